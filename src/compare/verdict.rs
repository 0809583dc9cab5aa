//! Two answers to one question: what is not alike, and whether it counts.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, header};
use serde::Serialize;

use super::{Probe, ResultType, Rules};
use crate::client::Answer;

/// An answer, and what it says about itself.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub answer: &'a Answer,
    /// Of the best of several, where a question was asked more than once.
    pub result: ResultType,
    /// `cdn.example.com:8443`: what the endpoint is called, for `Location`.
    pub authority: &'a str,
    /// SHA-256 and length of what a compressed body decodes to.
    pub decoded: Option<([u8; 32], u64)>,
}

/// Does it count?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// The two do not serve alike.
    Difference,
    /// Worth knowing, and to be expected.
    Note,
}

/// Something in which two answers are not alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Point {
    pub weight: Weight,
    /// `status`, `body`, `caching`, or a field's name.
    pub what: String,
    pub edge: String,
    pub reference: String,
    /// Of a note: why it does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

/// Of one question about one URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "reason", rename_all = "snake_case")]
pub enum Verdict {
    Agree,
    Differ,
    /// It was not asked.
    Skipped(String),
    /// There was no answer.
    Failed(String),
}

impl Verdict {
    #[must_use]
    pub fn of(points: &[Point]) -> Self {
        if points.iter().any(|point| point.weight == Weight::Difference) { Self::Differ } else { Self::Agree }
    }

    /// It counts against them.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        matches!(self, Self::Differ | Self::Failed(_))
    }
}

/// In what `edge` and `reference` are not alike.
#[must_use]
pub fn judge(probe: Probe, edge: &Seen<'_>, reference: &Seen<'_>, rules: &Rules) -> Vec<Point> {
    let mut points = Points { edge, reference, rules, list: Vec::new() };
    points.status();
    points.caching(probe);
    points.fields(probe);
    points.body(probe);
    points.list
}

const OWN_PAGE: &str = "an error's or a redirect's page is each one's own";
const NOT_REPEATED: &str = "a 304 need not repeat what describes the body (RFC 9110 §15.4.5)";
const OWN_ENCODER: &str = "each compresses in its own way; what it decodes to is compared";

struct Points<'a> {
    edge: &'a Seen<'a>,
    reference: &'a Seen<'a>,
    rules: &'a Rules,
    list: Vec<Point>,
}

impl Points<'_> {
    fn add(&mut self, why: Option<&'static str>, what: &str, edge: String, reference: String) {
        let weight = if why.is_some() { Weight::Note } else { Weight::Difference };
        self.list.push(Point { weight, what: what.to_owned(), edge, reference, why });
    }

    fn status(&mut self) {
        let (edge, reference) = (self.edge.answer.status, self.reference.answer.status);
        if edge != reference {
            self.add(None, "status", edge.to_string(), reference.to_string());
        }
    }

    fn caching(&mut self, probe: Probe) {
        let (edge, reference) = (self.edge.result, self.reference.result);
        let why = match (edge, reference) {
            _ if edge == reference => return self.age(),
            (ResultType::Unsaid, _) | (_, ResultType::Unsaid) => {
                Some("one does not say X-Cache, so nothing can be said of it")
            }
            (ResultType::Hit | ResultType::RefreshHit, ResultType::Hit | ResultType::RefreshHit) => {
                Some("out of the cache, both; one had to confirm it")
            }
            (
                ResultType::Hit | ResultType::RefreshHit | ResultType::Miss,
                ResultType::Hit | ResultType::RefreshHit | ResultType::Miss,
            ) if matches!(probe, Probe::Cold | Probe::Missing) => {
                Some("who asked before, and when, decides about a first request")
            }
            _ => None,
        };
        self.add(why, "caching", edge.as_str().to_owned(), reference.as_str().to_owned());
    }

    /// A hit says how old it is.
    fn age(&mut self) {
        if self.edge.result == ResultType::Hit {
            let said = |seen: &Seen<'_>| {
                if seen.answer.headers.contains_key(header::AGE) { "Hit with Age" } else { "Hit without Age" }
            };
            let (edge, reference) = (said(self.edge), said(self.reference));
            if edge != reference {
                self.add(None, "caching", edge.to_owned(), reference.to_owned());
            }
        }
    }

    fn fields(&mut self, probe: Probe) {
        let (edge, reference) = (&self.edge.answer.headers, &self.reference.answer.headers);
        let names: BTreeSet<&str> = edge.keys().chain(reference.keys()).map(HeaderName::as_str).collect();
        let own_page = self.own_pages();
        let both_unchanged = self.edge.answer.status == 304 && self.reference.answer.status == 304;
        let encoded = self.are_encoded_alike(probe);
        for name in names {
            let Ok(name) = HeaderName::try_from(name) else { continue };
            if self.rules.why(&name).is_some() {
                continue;
            }
            let value = |seen: &Seen<'_>| said(&seen.answer.headers, &name, seen.authority);
            let (edge, reference) = (value(self.edge), value(self.reference));
            // A length need not be said: HTTP/2 and chunks have an end without it.
            let unsaid = edge.is_none() || reference.is_none();
            if edge == reference || name == header::CONTENT_LENGTH && unsaid {
                continue;
            }
            let of_body = matches!(
                name,
                header::CONTENT_LENGTH
                    | header::CONTENT_TYPE
                    | header::ETAG
                    | header::LAST_MODIFIED
                    | header::ACCEPT_RANGES
            );
            let why = match () {
                () if own_page && of_body => Some(OWN_PAGE),
                () if both_unchanged && of_body && unsaid && name != header::ETAG => Some(NOT_REPEATED),
                () if encoded && name == header::CONTENT_LENGTH => Some(OWN_ENCODER),
                () => None,
            };
            let shown = |value: Option<String>| value.unwrap_or_else(|| "(absent)".to_owned());
            self.add(why, name.as_str(), shown(edge), shown(reference));
        }
    }

    fn body(&mut self, probe: Probe) {
        let (edge, reference) = (self.edge, self.reference);
        if (edge.answer.sha256, edge.answer.length) == (reference.answer.sha256, reference.answer.length) {
            return;
        }
        if self.are_encoded_alike(probe)
            && let (Some(one), Some(other)) = (edge.decoded, reference.decoded)
        {
            if one != other {
                self.add(None, "body (decoded)", digest(one), digest(other));
            }
            return;
        }
        let why = self.own_pages().then_some(OWN_PAGE);
        let of = |answer: &Answer| digest((answer.sha256, answer.length));
        self.add(why, "body", of(edge.answer), of(reference.answer));
    }

    /// Both answers are pages about something that could not be had, or is elsewhere.
    fn own_pages(&self) -> bool {
        let own = |seen: &Seen<'_>| seen.answer.status >= 300 && seen.answer.status != 304;
        own(self.edge) && own(self.reference)
    }

    fn are_encoded_alike(&self, probe: Probe) -> bool {
        let coding = |seen: &Seen<'_>| seen.answer.headers.get(header::CONTENT_ENCODING).cloned();
        probe == Probe::Compressed
            && coding(self.edge).is_some()
            && coding(self.edge) == coding(self.reference)
    }
}

/// A field's value as it is compared: lists of names as sets, an endpoint's own name as `HOST`.
fn said(headers: &HeaderMap, name: &HeaderName, authority: &str) -> Option<String> {
    if !headers.contains_key(name) {
        return None;
    }
    let values =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut values: Vec<String> = values.collect();
    match *name {
        header::VARY
        | header::CACHE_CONTROL
        | header::ALLOW
        | header::ACCESS_CONTROL_ALLOW_METHODS
        | header::ACCESS_CONTROL_ALLOW_HEADERS
        | header::ACCESS_CONTROL_EXPOSE_HEADERS => {
            let joined = values.join(",");
            let set: BTreeSet<String> =
                joined.split(',').map(|item| item.trim().to_ascii_lowercase()).collect();
            return Some(set.into_iter().filter(|item| !item.is_empty()).collect::<Vec<_>>().join(", "));
        }
        // Sessions differ; that there is one must not.
        header::SET_COOKIE => {
            for value in &mut values {
                value.truncate(value.find('=').unwrap_or(value.len()));
            }
            values.sort();
        }
        header::CONTENT_TYPE => {
            for value in &mut values {
                *value = value.split(';').map(str::trim).collect::<Vec<_>>().join("; ").to_ascii_lowercase();
            }
        }
        header::LOCATION | header::CONTENT_LOCATION | header::LINK => {
            for value in &mut values {
                *value = without_name(value, authority);
            }
        }
        _ => {}
    }
    Some(values.join(", "))
}

/// `https://HOST/a` of `https://cdn.example.com:8443/a`, with any port: each endpoint has its own.
fn without_name(value: &str, authority: &str) -> String {
    let end = authority.rfind(']').map_or(0, |at| at + 1);
    let name = authority[end..].rfind(':').map_or(authority, |at| &authority[..end + at]);
    let Some((before, after)) = value.split_once("://") else { return value.to_owned() };
    let Some(named) = after.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name)) else {
        return value.to_owned();
    };
    let rest = &after[named.len()..];
    let rest =
        rest.strip_prefix(':').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    if rest.is_empty() || rest.starts_with(['/', '?', '#', '>']) {
        format!("{before}://HOST{rest}")
    } else {
        value.to_owned()
    }
}

fn digest((sha256, length): ([u8; 32], u64)) -> String {
    let start: String = sha256[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{length} bytes, SHA-256 {start}…")
}

#[cfg(test)]
mod tests;
