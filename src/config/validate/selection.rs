//! What a policy takes of one kind of value: a behaviour, and the names that it is about (behaviour §1.7, §1.8).

use std::sync::Arc;

use super::super::Selection;
use super::super::nearest::nearest;
use super::super::raw::{At, Field, List, Typed};
use super::report::Report;

/// Of one policy (behaviour §12.13).
const MOST: usize = 10;
/// Of all names together.
const MOST_BYTES: usize = 1024;

/// Cookies, parameters or headers, of one kind of policy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// The key of the behaviour, such as `cookie_behavior`.
    pub behavior: &'static str,
    /// The key of the list, such as `cookies`.
    pub list: &'static str,
    /// CloudFront's code for too many names.
    pub too_many: &'static str,
    /// The words that the behaviour may be.
    pub choices: &'static [(&'static str, Choice)],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    None,
    Whitelist,
    AllExcept,
    All,
    /// `allViewerAndWhitelistCloudFront`: all, and the names are headers that the edge makes.
    AllAndMade,
}

/// Of cookies and of query strings, in both kinds of policy.
pub(super) const FOUR: [(&str, Choice); 4] = [
    ("none", Choice::None),
    ("whitelist", Choice::Whitelist),
    ("allExcept", Choice::AllExcept),
    ("all", Choice::All),
];

/// `policy` is where the policy itself stands.
pub(super) fn selection(
    report: &mut Report,
    policy: &At,
    kind: Kind,
    behavior: &Field<String>,
    list: &List<String>,
) -> Selection {
    let choice = choice(report, policy, kind, behavior, list);
    let names = || list.items().iter().map(|typed| Arc::from(typed.value.as_str())).collect();
    limit(report, kind, list);
    match choice {
        Choice::None => Selection::None,
        Choice::Whitelist => Selection::Whitelist(names()),
        Choice::AllExcept => Selection::AllExcept(names()),
        Choice::All | Choice::AllAndMade => Selection::All,
    }
}

/// By default a list is a whitelist, and no list is none. A behaviour and its list must fit.
pub(super) fn choice(
    report: &mut Report,
    policy: &At,
    kind: Kind,
    behavior: &Field<String>,
    list: &List<String>,
) -> Choice {
    let default = if list.items().is_empty() { Choice::None } else { Choice::Whitelist };
    let Some(typed) = behavior.given() else { return default };
    let Some((word, choice)) = kind.choices.iter().find(|(word, _)| *word == typed.value) else {
        refuse_word(report, kind, typed);
        return default;
    };
    let takes_names = !matches!(choice, Choice::None | Choice::All);
    if takes_names && list.items().is_empty() && !matches!(list, Field::Unreadable) {
        let message = format!("InvalidArgument: {word:?} needs names, and there are none");
        report.error(&policy.child(kind.list), message, format!("give {} at least one name", kind.list));
    }
    if let Some(names) = list.given().filter(|names| !takes_names && !names.value.is_empty()) {
        let message = format!("InvalidArgument: {} is {word:?}, which takes no names", kind.behavior);
        report.error(&names.at, message, format!("leave it out, or write {} = \"whitelist\"", kind.behavior));
    }
    *choice
}

pub(super) fn limit(report: &mut Report, kind: Kind, list: &List<String>) {
    let (count, bytes) =
        list.items().iter().fold((0, 0), |(count, bytes), typed| (count + 1, bytes + typed.value.len()));
    if let Some(typed) = list.given()
        && (count > MOST || bytes > MOST_BYTES)
    {
        let message = format!("{}: {count} names with {bytes} characters", kind.too_many);
        report.error(&typed.at, message, format!("at most {MOST} names and {MOST_BYTES} characters"));
    }
    for typed in list.items().iter().filter(|typed| typed.value.is_empty()) {
        report.error(&typed.at, "InvalidArgument: an empty name", "leave it out");
    }
}

fn refuse_word(report: &mut Report, kind: Kind, typed: &Typed<String>) {
    let words = || kind.choices.iter().map(|(word, _)| *word);
    let all = words().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    let fix = match nearest(&typed.value, words()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("write one of {all}"),
    };
    report.error(&typed.at, format!("{:?} is not one of {all}", typed.value), fix);
}
