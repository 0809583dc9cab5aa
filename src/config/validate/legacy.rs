//! `ForwardedValues` and the TTLs beside it: what there was before policies (behaviour §1.6, §4.5). They become a cache
//! policy and an origin request policy without names.

use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, HOST};

use super::super::raw::{self, At, Field, List, Typed};
use super::super::{Asks, CachePolicy, OriginRequestPolicy, Selection};
use super::cache_policy::{self, Ttls};
use super::report::Report;

const TOO_MANY_HEADERS: &str = "TooManyHeadersInForwardedValues";
/// behaviour §12.13
const MOST: usize = 10;

/// What the viewer sends and the origin is not told unless it is named, or never (behaviour §4.5); and what an origin
/// takes for the edge's own.
const NOT_TOLD: [&str; 17] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cookie",
    "expect",
    "host",
    "origin",
    "range",
    "referer",
    "request-range",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-http-method-override",
    "x-real-ip",
];

pub(super) fn policies(
    report: &mut Report,
    raw: &raw::Behavior,
    typed: &Typed<raw::ForwardedValues>,
    asks: Asks,
) -> (Arc<CachePolicy>, Option<Arc<OriginRequestPolicy>>) {
    refuse_policies_beside(report, raw);
    let values = &typed.value;
    let all_headers = forwards_all(report, raw, &values.headers);
    let (keyed_queries, told_queries) = queries(report, values);
    let cookies = cookies(report, &typed.at, values);
    let gzip = raw.compress.value().copied().unwrap_or_default();
    let (headers, viewer_headers) = match all_headers {
        true => Default::default(),
        false => cache_policy::headers(report, &named(&values.headers, gzip), gzip, TOO_MANY_HEADERS),
    };
    if asks.s3
        && let Some(at) = values.headers.given().map(|typed| &typed.at).filter(|_| headers.contains(&HOST))
    {
        report.error(at, "InvalidHeadersForS3Origin: Host is among them", "take Host out of the list");
    }
    let ttls = Ttls { min: &raw.min_ttl, default: &raw.default_ttl, max: &raw.max_ttl };
    let [min_ttl, default_ttl, max_ttl] = match (cache_policy::ttls(report, ttls), all_headers) {
        (ttls, false) => ttls,
        (_, true) => Default::default(),
    };
    let told_headers = match (asks.custom, all_headers) {
        (false, false) => Selection::None,
        (_, true) => Selection::All,
        (true, false) => Selection::AllExcept(NOT_TOLD.into_iter().map(Arc::from).collect()),
    };
    let request = OriginRequestPolicy {
        headers: told_headers,
        query_strings: told_queries,
        ..OriginRequestPolicy::default()
    };
    let cache = CachePolicy {
        min_ttl,
        default_ttl,
        max_ttl,
        headers,
        viewer_headers,
        cookies,
        query_strings: keyed_queries,
        enable_accept_encoding_gzip: gzip, // never Brotli (behaviour §4.3)
        ..CachePolicy::default()
    };
    let request = (request != OriginRequestPolicy::default()).then(|| Arc::new(request));
    (Arc::new(cache), request)
}

/// Without `forwarded_values`, which they belong to.
pub(super) fn refuse_ttls(report: &mut Report, raw: &raw::Behavior) {
    for ttl in [&raw.min_ttl, &raw.default_ttl, &raw.max_ttl].into_iter().filter_map(Field::given) {
        let message = "InvalidArgument: a TTL of the behaviour itself, and no forwarded_values";
        report.error(&ttl.at, message, "give the TTLs of the cache policy, or add forwarded_values");
    }
}

fn refuse_policies_beside(report: &mut Report, raw: &raw::Behavior) {
    for policy in [&raw.cache_policy, &raw.origin_request_policy].into_iter().filter_map(Field::given) {
        let message = "InvalidArgument: a policy, and forwarded_values beside it";
        report.error(&policy.at, message, "leave one of the two out");
    }
}

/// `*`: every request goes to the origin, with all that the viewer said (behaviour §1.6).
fn forwards_all(report: &mut Report, raw: &raw::Behavior, headers: &List<String>) -> bool {
    let Some(star) = headers.items().iter().find(|typed| typed.value == "*") else { return false };
    if headers.items().len() > 1 {
        // CloudFront takes it: live distributions have it.
        report.warn(&star.at, "is all headers, so that the others say nothing", "\"*\" alone is enough");
    }
    if let Some(ttl) = raw.min_ttl.given().filter(|_| !cache_policy::is_zero(&raw.min_ttl)) {
        let message = "InvalidArgument: with the header \"*\" nothing is cached, whatever the TTLs";
        report.error(&ttl.at, message, "write 0");
    }
    true
}

/// As a list of its own, without what compression says in its stead (behaviour §4.3).
fn named(headers: &List<String>, gzip: bool) -> List<String> {
    let Some(typed) = headers.given() else { return Field::Absent };
    let mut items = typed.value.clone();
    items.retain(|header| !(gzip && header.value.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str())));
    Field::new(items, typed.at.clone())
}

/// In the key, and beside it to the origin: all are forwarded, and all or the listed ones keyed on.
fn queries(report: &mut Report, values: &raw::ForwardedValues) -> (Selection, Selection) {
    let keys = values.query_string_cache_keys.items();
    let forwarded = values.query_string.value().copied().unwrap_or_default();
    if let Some(typed) = values.query_string_cache_keys.given() {
        if !forwarded && !keys.is_empty() {
            let message =
                "InvalidQueryStringParameters: parameters to key on, and the query is not forwarded";
            report.error(&typed.at, message, "set query_string to true, or leave the list out");
        }
        limit(report, &typed.at, "TooManyQueryStringParameters", keys.len());
    }
    match (forwarded, keys) {
        (false, _) => (Selection::None, Selection::None),
        (true, []) => (Selection::All, Selection::None),
        (true, keys) => (Selection::Whitelist(names(keys)), Selection::All),
    }
}

fn cookies(report: &mut Report, at: &At, values: &raw::ForwardedValues) -> Selection {
    #[derive(Clone, Copy)]
    enum Forward {
        None,
        Whitelist,
        All,
    }
    const WORDS: [(&str, Forward); 3] =
        [("none", Forward::None), ("whitelist", Forward::Whitelist), ("all", Forward::All)];
    let listed = values.whitelisted_cookies.items();
    if let Some(typed) = values.whitelisted_cookies.given() {
        limit(report, &typed.at, "TooManyCookieNamesInWhiteList", listed.len());
    }
    let forward =
        report.coded("InvalidForwardCookies", |report| report.choice(&values.cookies, &WORDS, Forward::None));
    if let Some(typed) = values.whitelisted_cookies.given()
        && !matches!(forward, Forward::Whitelist)
        && !listed.is_empty()
    {
        let message = "InvalidForwardCookies: names, and cookies are not forwarded by a whitelist";
        report.error(&typed.at, message, "leave the list out, or forward a \"whitelist\"");
    }
    match forward {
        Forward::None => Selection::None,
        Forward::All => Selection::All,
        Forward::Whitelist if listed.is_empty() => {
            if !matches!(values.whitelisted_cookies, Field::Unreadable) {
                let message = "InvalidForwardCookies: a whitelist without names";
                report.error(&at.child("whitelisted_cookies"), message, "give at least one name");
            }
            Selection::None
        }
        Forward::Whitelist if listed.iter().any(|name| name.value.contains(['*', '?'])) => {
            Selection::Matching(names(listed))
        }
        Forward::Whitelist => Selection::Whitelist(names(listed)),
    }
}

fn limit(report: &mut Report, at: &At, code: &str, count: usize) {
    if count > MOST {
        report.error(at, format!("{code}: {count}"), format!("at most {MOST}"));
    }
}

fn names(listed: &[Typed<String>]) -> Vec<Arc<str>> {
    listed.iter().map(|typed| Arc::from(typed.value.as_str())).collect()
}
