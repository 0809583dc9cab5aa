//! Origin groups: two origins, and which failures of the first lead to the second (behaviour §1.6, §8.8).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::raw::{self, List, Typed};
use super::super::{Failover, Origin};
use super::report::Report;

const MOST: usize = 10;

/// What a behaviour may name instead of an origin.
#[derive(Debug)]
pub(super) struct Group {
    pub id: String,
    /// Index of the origin that is asked first; 0 when an error was reported.
    pub primary: usize,
    pub failover: Failover,
}

pub(super) fn groups(
    report: &mut Report,
    list: &List<raw::OriginGroup>,
    origins: &[Arc<Origin>],
) -> Vec<Group> {
    let items = list.items();
    if let Some(typed) = list.given()
        && items.len() > MOST
    {
        let message = format!("TooManyOriginGroupsPerDistribution: {} origin groups", items.len());
        report.error(&typed.at, message, format!("at most {MOST}"));
    }
    report.unique(items.iter().filter_map(|typed| typed.value.id.given()), "the origin group's id");
    items.iter().map(|typed| group(report, typed, origins)).collect()
}

fn group(report: &mut Report, typed: &Typed<raw::OriginGroup>, origins: &[Arc<Origin>]) -> Group {
    let raw = &typed.value;
    if raw.id.is_absent() {
        report.error(&typed.at.child("id"), "is missing", "behaviours name the group by it");
    }
    let is_id =
        |text: &str| (1..=128).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b));
    report.text(&raw.id, is_id, "1 to 128 printable ASCII characters");
    if let Some(id) = raw.id.given()
        && origins.iter().any(|origin| *origin.id == *id.value)
    {
        report.error(&id.at, format!("{:?} is an origin's id too", id.value), "give it a name of its own");
    }
    let (primary, origin) = members(report, typed, origins);
    let failover = Failover { origin, status_codes: status_codes(report, typed) };
    Group { id: raw.id.value().cloned().unwrap_or_default(), primary, failover }
}

/// Indices of primary and secondary.
fn members(report: &mut Report, typed: &Typed<raw::OriginGroup>, origins: &[Arc<Origin>]) -> (usize, usize) {
    let list = &typed.value.members;
    let ids = || origins.iter().map(|origin| &*origin.id);
    let mut indices = Vec::new();
    for member in list.items() {
        let found = ids().position(|id| id == member.value);
        if found.is_none() {
            report.coded("NoSuchOrigin", |report| report.unknown(member, "origin", ids()));
        }
        indices.push(found.unwrap_or_default());
    }
    let fix = "write members = [\"PRIMARY\", \"SECONDARY\"], two ids of origins";
    match (list.items(), list.given()) {
        ([], None) if list.is_absent() => report.error(&typed.at.child("members"), "is missing", fix),
        ([first, second], Some(given)) if first.value == second.value => {
            report.error(&given.at, "InvalidArgument: both members are the same origin", fix);
        }
        ([_, _], _) | (_, None) => {}
        (items, Some(given)) => {
            report.error(&given.at, format!("InvalidArgument: {} members", items.len()), fix);
        }
    }
    (indices.first().copied().unwrap_or_default(), indices.get(1).copied().unwrap_or_default())
}

fn status_codes(report: &mut Report, typed: &Typed<raw::OriginGroup>) -> Vec<u16> {
    const CODES: [u16; 9] = [400, 403, 404, 416, 429, 500, 502, 503, 504];
    let list = &typed.value.status_codes;
    let all = || CODES.map(|code| code.to_string()).join(", ");
    if list.is_absent() {
        report.error(&typed.at.child("status_codes"), "is missing", format!("one or more of {}", all()));
    }
    if let Some(given) = list.given().filter(|given| given.value.is_empty()) {
        report.error(&given.at, "InvalidArgument: is empty", format!("one or more of {}", all()));
    }
    let mut codes = BTreeSet::new();
    for code in list.items() {
        match u16::try_from(code.value).ok().filter(|known| CODES.contains(known)) {
            Some(known) => drop(codes.insert(known)),
            None => {
                let message = format!("InvalidArgument: {} does not lead to failover", code.value);
                report.error(&code.at, message, format!("one or more of {}", all()));
            }
        }
    }
    codes.into_iter().collect()
}
