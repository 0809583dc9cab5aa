//! Origin request policies: those of the configuration, and by name the managed ones (behaviour §1.8, §4.9).

use std::sync::Arc;

use http::HeaderName;

use super::super::raw::{self, At, List, Typed};
use super::super::request_policies;
use super::super::{CachePolicy, OriginRequestPolicy, Selection, ViewerHeader, s3};
use super::cache_policy::is_name;
use super::own;
use super::report::Report;
use super::selection::{self, Choice, FOUR, Kind};

const HEADERS: Kind = Kind {
    behavior: "header_behavior",
    list: "headers",
    too_many: "TooManyHeadersInOriginRequestPolicy",
    choices: &[
        ("none", Choice::None),
        ("whitelist", Choice::Whitelist),
        ("allViewer", Choice::All),
        ("allViewerAndWhitelistCloudFront", Choice::AllAndMade),
        ("allExcept", Choice::AllExcept),
    ],
};
const COOKIES: Kind = Kind {
    behavior: "cookie_behavior",
    list: "cookies",
    too_many: "TooManyCookiesInOriginRequestPolicy",
    choices: &FOUR,
};
const QUERY_STRINGS: Kind = Kind {
    behavior: "query_string_behavior",
    list: "query_strings",
    too_many: "TooManyQueryStringsInOriginRequestPolicy",
    choices: &FOUR,
};

/// Those that behaviours may name.
pub(super) fn read(
    report: &mut Report,
    list: &List<raw::OriginRequestPolicy>,
) -> own::Policies<raw::OriginRequestPolicy, OriginRequestPolicy> {
    let kind = own::Kind {
        what: "origin request policy",
        missing: "NoSuchOriginRequestPolicy",
        command: "get-origin-request-policy",
        id: |raw: &raw::OriginRequestPolicy| &raw.id,
        name: |raw: &raw::OriginRequestPolicy| &raw.name,
        managed: request_policies::managed,
        managed_names: || request_policies::names().collect(),
        build: policy,
    };
    kind.read(report, list)
}

fn policy(report: &mut Report, typed: &Typed<raw::OriginRequestPolicy>) -> OriginRequestPolicy {
    const NAME: &str = "1 to 128 letters, digits, hyphens or underscores";
    let (raw, at) = (&typed.value, &typed.at);
    if raw.name.is_absent() {
        report.error(&at.child("name"), "is missing", "give the policy a name");
    }
    let (headers, viewer_headers) = headers(report, raw, at);
    OriginRequestPolicy {
        name: Arc::from(report.text(&raw.name, is_name, NAME).unwrap_or_default()),
        headers,
        viewer_headers,
        cookies: selection::selection(report, at, COOKIES, &raw.cookie_behavior, &raw.cookies),
        query_strings: selection::selection(
            report,
            at,
            QUERY_STRINGS,
            &raw.query_string_behavior,
            &raw.query_strings,
        ),
    }
}

/// What is taken of the viewer's headers, and those that the edge makes.
fn headers(report: &mut Report, raw: &raw::OriginRequestPolicy, at: &At) -> (Selection, Vec<ViewerHeader>) {
    let choice = selection::choice(report, at, HEADERS, &raw.header_behavior, &raw.headers);
    selection::limit(report, HEADERS, &raw.headers);
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut made = Vec::new();
    for typed in raw.headers.items().iter().filter(|typed| !typed.value.is_empty()) {
        let Ok(name) = HeaderName::from_bytes(typed.value.as_bytes()) else {
            let message = format!("{:?} is not the name of a header", typed.value);
            report.error(&typed.at, message, "write a name such as \"Origin\"");
            continue;
        };
        match (choice, made_here(name.as_str())) {
            // A viewer's own header of such a name is never forwarded, so that there is nothing to make an exception of.
            (Choice::AllExcept, _) | (Choice::Whitelist, Made::No) => names.push(Arc::from(name.as_str())),
            (Choice::Whitelist | Choice::AllAndMade, Made::Here(header)) => made.push(header),
            (Choice::Whitelist | Choice::AllAndMade, Made::NotYet) => {
                let message = format!("{:?} is not supported yet", typed.value);
                report.error(&typed.at, message, "take it out of the list");
            }
            (Choice::AllAndMade, Made::No) => {
                let message = format!("InvalidArgument: {:?} is not a CloudFront-* header", typed.value);
                report.error(&typed.at, message, "take it out: all headers of the viewer are taken already");
            }
            (Choice::None | Choice::All, _) => {} // an error already
        }
        if choice == Choice::Whitelist && name == http::header::AUTHORIZATION {
            let message = "InvalidArgument: Authorization goes to the origin as part of the cache key only";
            report.error(&typed.at, message, "name it in the headers of a [[cache_policy]]");
        }
    }
    made.dedup();
    let headers = match choice {
        Choice::None => Selection::None,
        Choice::Whitelist if names.is_empty() => Selection::None,
        Choice::Whitelist => Selection::Whitelist(names),
        Choice::AllExcept => Selection::AllExcept(names),
        Choice::All | Choice::AllAndMade => Selection::All,
    };
    (headers, made)
}

enum Made {
    /// It is a header of the viewer's.
    No,
    Here(ViewerHeader),
    NotYet,
}

fn made_here(name: &str) -> Made {
    match ViewerHeader::from_name(name) {
        Some(header) => Made::Here(header),
        None if name.starts_with("cloudfront-") => Made::NotYet,
        None => Made::No,
    }
}

/// Says what the policies of one behaviour take that an S3 origin is not told (s3 §2.1).
pub(super) fn warn_of_what_s3_is_not_told(
    report: &mut Report,
    raw: &raw::Behavior,
    cache: &CachePolicy,
    request: Option<&OriginRequestPolicy>,
    assumes_role: bool,
) {
    const LEAVE: &str = "nothing need be done; to be rid of this, leave it out of the policy";
    if let Some(typed) = raw.cache_policy.given() {
        if !cache.cookies.is_none() {
            let message = "cookies split the cache, and S3 is not told of them";
            report.warn(&typed.at, message, LEAVE);
        }
        warn_of_query(report, &typed.at, &cache.query_strings, |name| {
            s3::parameter(name) == s3::Parameter::Operates
        });
        if assumes_role && cache.query_strings.whitelists("versionId") {
            let message = "S3 refuses versionId here: the session of role_arn may s3:GetObject and no more";
            report.warn(&typed.at, message, "use the process's own identity, which may s3:GetObjectVersion");
        }
    }
    let (Some(typed), Some(policy)) = (raw.origin_request_policy.given(), request) else { return };
    let mut untold: Vec<&str> = match &policy.headers {
        Selection::Whitelist(names) => names.iter().map(|name| &**name).collect(),
        Selection::All | Selection::AllExcept(_) if policy.headers.takes("host") => vec!["host"],
        _ => Vec::new(),
    };
    untold.retain(|name| !s3::takes_header(name));
    if !policy.cookies.is_none() {
        untold.push("cookie");
    }
    if !untold.is_empty() {
        let message = format!("S3 is not told the headers {}", untold.join(", "));
        report.warn(&typed.at, message, LEAVE);
    }
    warn_of_query(report, &typed.at, &policy.query_strings, |name| match s3::parameter(name) {
        s3::Parameter::Idle => false,
        s3::Parameter::Selects => !cache.caching_disabled() && !cache.query_strings.whitelists(name),
        s3::Parameter::Operates => true,
    });
}

fn warn_of_query(report: &mut Report, at: &At, selection: &Selection, untold: impl Fn(&str) -> bool) {
    let Selection::Whitelist(names) = selection else { return };
    let untold: Vec<_> = names.iter().map(|name| &**name).filter(|name| untold(name)).collect();
    if !untold.is_empty() {
        let message =
            format!("S3 is not told the parameters {}: they change what it does", untold.join(", "));
        report.warn(at, message, "versionId and response-* belong into the cache policy's query_strings");
    }
}
