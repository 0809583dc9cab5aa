//! Findings as they gather, and the checks that every section shares.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::nearest::nearest;
use super::super::raw::{Amount, At, Field, Typed};
use super::super::units::{self, show_duration};
use super::super::{Finding, Place, Severity};

#[derive(Debug)]
pub(super) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(findings: Vec<Finding>) -> Self {
        Self { findings }
    }

    pub(super) fn into_sorted(mut self) -> Vec<Finding> {
        let by = |finding: &Finding| {
            let Place { source, line } = finding.place.clone();
            (source, line, finding.key.clone())
        };
        self.findings.sort_by_cached_key(by);
        self.findings
    }

    pub(super) fn error(&mut self, at: &At, message: impl Into<String>, fix: impl Into<String>) {
        self.findings.push(at.finding(Severity::Error, message, fix));
    }

    pub(super) fn warn(&mut self, at: &At, message: impl Into<String>, fix: impl Into<String>) {
        self.findings.push(at.finding(Severity::Warning, message, fix));
    }

    /// Lets `check` report; its errors begin with CloudFront's `code` where they have none of their own (behaviour §1.6).
    pub(super) fn coded<T>(&mut self, code: &str, check: impl FnOnce(&mut Self) -> T) -> T {
        let earlier = self.findings.len();
        let value = check(self);
        for finding in &mut self.findings[earlier..] {
            if finding.severity == Severity::Error && finding.code().is_none() {
                finding.message.insert_str(0, &format!("{code}: "));
            }
        }
        value
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, field: &Field<String>, choices: &[(&str, T)], default: T) -> T {
        let Some(typed) = field.given() else {
            return default;
        };
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == typed.value) {
            return *value;
        }
        let names = || choices.iter().map(|(name, _)| *name);
        let all = names().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let fix = match nearest(&typed.value, names()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("write one of {all}"),
        };
        self.error(&typed.at, format!("{:?} is not one of {all}", typed.value), fix);
        default
    }

    pub(super) fn duration(
        &mut self,
        field: &Field<Amount>,
        limits: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        self.coded_duration("", field, limits, default)
    }

    /// With what begins the message of one outside `limits`: CloudFront's code, a colon and a space (behaviour §1.6).
    pub(super) fn coded_duration(
        &mut self,
        code: &str,
        field: &Field<Amount>,
        limits: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let Some(typed) = field.given() else {
            return default;
        };
        match units::duration(&typed.value) {
            Ok(value) if limits.contains(&value) => value,
            Ok(value) => {
                let (min, max) = (show_duration(*limits.start()), show_duration(*limits.end()));
                let message = format!("{code}{} is outside {min} to {max}", show_duration(value));
                let fix = match typed.value {
                    Amount::Text(_) => format!("write {min} to {max}"),
                    Amount::Number(_) => {
                        format!(
                            "write {} to {}, in seconds",
                            limits.start().as_secs(),
                            limits.end().as_secs()
                        )
                    }
                };
                self.error(&typed.at, message, fix);
                default
            }
            Err(error) => {
                self.error(&typed.at, error.to_string(), "write a whole number and a unit, such as \"10s\"");
                default
            }
        }
    }

    /// Bytes, at least 1.
    pub(super) fn size(&mut self, field: &Field<Amount>, default: u64) -> u64 {
        let Some(typed) = field.given() else {
            return default;
        };
        match units::size(&typed.value) {
            Ok(0) => {
                self.error(&typed.at, "is zero", "to keep nothing, use cache_policy = \"CachingDisabled\"");
                default
            }
            Ok(value) => value,
            Err(error) => {
                self.error(
                    &typed.at,
                    error.to_string(),
                    "write a whole number and a unit, such as \"512MiB\"",
                );
                default
            }
        }
    }

    /// A whole number within `limits`, which must fit `T`.
    pub(super) fn whole<T: TryFrom<i64>>(
        &mut self,
        field: &Field<i64>,
        limits: RangeInclusive<i64>,
    ) -> Option<T> {
        let typed = field.given()?;
        if limits.contains(&typed.value) {
            return T::try_from(typed.value).ok();
        }
        let (min, max) = limits.into_inner();
        let message = format!("{} is outside {min} to {max}", typed.value);
        self.error(&typed.at, message, format!("write {min} to {max}"));
        None
    }

    /// Text that `allowed` accepts, else an error that says `rule`.
    pub(super) fn text<'f>(
        &mut self,
        field: &'f Field<String>,
        allowed: impl Fn(&str) -> bool,
        rule: &str,
    ) -> Option<&'f str> {
        let typed = field.given()?;
        if allowed(&typed.value) {
            return Some(&typed.value);
        }
        self.error(&typed.at, format!("{:?} is not {rule}", typed.value), format!("write {rule}"));
        None
    }

    /// Refuses the second and every later of equal names.
    pub(super) fn unique<'f>(&mut self, names: impl IntoIterator<Item = &'f Typed<String>>, what: &str) {
        let mut first: BTreeMap<&str, &At> = BTreeMap::new();
        for typed in names {
            if let Some(earlier) = first.get(typed.value.as_str()) {
                let message = format!("{what} {:?} is taken already, at {}", typed.value, earlier.place);
                self.error(&typed.at, message, "give it a name of its own");
            } else {
                first.insert(&typed.value, &typed.at);
            }
        }
    }

    /// A name that nothing has.
    pub(super) fn unknown<'k>(
        &mut self,
        typed: &Typed<String>,
        what: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        self.unknown_as(typed, format!("there is no {what} {:?}", typed.value), known);
    }

    /// The same in other words.
    pub(super) fn unknown_as<'k>(
        &mut self,
        typed: &Typed<String>,
        message: String,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        self.error(&typed.at, message, known_or_near(&typed.value, known));
    }

    /// A policy that nothing is. What looks like an id is that of a file that was not given: `command` prints it.
    pub(super) fn unknown_policy<'k>(
        &mut self,
        typed: &Typed<String>,
        message: String,
        known: impl IntoIterator<Item = &'k str>,
        command: &str,
    ) {
        let fix = if is_policy_id(&typed.value) {
            format!("add what `aws cloudfront {command} --id {}` prints", typed.value)
        } else {
            filled_in(&typed.value, known_or_near(&typed.value, known))
        };
        self.error(&typed.at, message, fix);
    }
}

/// `fix`, unless what is wrong is that a template was never filled in.
pub(super) fn filled_in(text: &str, fix: impl Into<String>) -> String {
    const MARKS: [&str; 8] = ["${", "{{", "$(", "<", "replace", "your", "changeme", "placeholder"];
    let lower = text.to_ascii_lowercase();
    let is_placeholder = MARKS.iter().any(|mark| lower.contains(mark))
        || (lower.starts_with("__") && lower.ends_with("__") && lower.len() > 4);
    if is_placeholder { "put the real name in place of the placeholder".to_owned() } else { fix.into() }
}

fn known_or_near<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None if known.is_empty() => "there is none".to_owned(),
        None => format!("known: {}", known.join(", ")),
    }
}

/// A UUID.
fn is_policy_id(text: &str) -> bool {
    let is_part =
        |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == 5 && parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, length)| is_part(part, length))
}
