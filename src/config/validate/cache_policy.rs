//! Cache policies: those of the configuration, and by name the managed ones (behaviour §1.7, §4.8).

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::super::policies;
use super::super::raw::{self, Amount, At, Field, List, Typed};
use super::super::units::{self, show_duration};
use super::super::{CachePolicy, ViewerHeader};
use super::own;
use super::report::Report;
use super::selection::{self, Choice, FOUR, Kind};

const DAY: Duration = Duration::from_secs(86_400);
const HEADERS: Kind = Kind {
    behavior: "header_behavior",
    list: "headers",
    too_many: "TooManyHeadersInCachePolicy",
    choices: &[("none", Choice::None), ("whitelist", Choice::Whitelist)],
};
const COOKIES: Kind = Kind {
    behavior: "cookie_behavior",
    list: "cookies",
    too_many: "TooManyCookiesInCachePolicy",
    choices: &FOUR,
};
const QUERY_STRINGS: Kind = Kind {
    behavior: "query_string_behavior",
    list: "query_strings",
    too_many: "TooManyQueryStringsInCachePolicy",
    choices: &FOUR,
};
const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// Largest TTL: 100 years, so that sums of a few stay far from overflow.
pub(super) const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Those that behaviours may name.
pub(super) fn read(
    report: &mut Report,
    list: &List<raw::CachePolicy>,
) -> own::Policies<raw::CachePolicy, CachePolicy> {
    let kind = own::Kind {
        what: "cache policy",
        missing: "NoSuchCachePolicy",
        command: "get-cache-policy",
        id: |raw: &raw::CachePolicy| &raw.id,
        name: |raw: &raw::CachePolicy| &raw.name,
        managed: policies::managed,
        managed_names: || policies::names().collect(),
        build: policy,
    };
    kind.read(report, list)
}

fn policy(report: &mut Report, typed: &Typed<raw::CachePolicy>) -> CachePolicy {
    const NAME: &str = "1 to 128 letters, digits, hyphens or underscores";
    let (raw, at) = (&typed.value, &typed.at);
    if raw.name.is_absent() {
        report.error(&at.child("name"), "is missing", "give the policy a name");
    }
    let ttls = Ttls { min: &raw.min_ttl, default: &raw.default_ttl, max: &raw.max_ttl };
    let [min_ttl, default_ttl, max_ttl] = self::ttls(report, ttls);
    let gzip = raw.enable_accept_encoding_gzip.value().copied().unwrap_or_default();
    let brotli = raw.enable_accept_encoding_brotli.value().copied().unwrap_or_default();
    selection::choice(report, at, HEADERS, &raw.header_behavior, &raw.headers);
    let (headers, viewer_headers) = self::headers(report, &raw.headers, gzip || brotli, HEADERS.too_many);
    CachePolicy {
        name: Arc::from(report.text(&raw.name, is_name, NAME).unwrap_or_default()),
        min_ttl,
        default_ttl,
        max_ttl,
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
        enable_accept_encoding_gzip: gzip,
        enable_accept_encoding_brotli: brotli,
        // Where there is a behaviour, see `settings::caching`.
        cdn_cache_control: false,
        keep_uncacheable_for_errors: false,
    }
}

pub(super) fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// As they were typed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ttls<'r> {
    pub min: &'r Field<Amount>,
    pub default: &'r Field<Amount>,
    pub max: &'r Field<Amount>,
}

pub(super) fn is_zero(field: &Field<Amount>) -> bool {
    field.value().is_some_and(|amount| units::duration(amount) == Ok(Duration::ZERO))
}

/// Minimum, default, maximum. A default that was not typed gives way to what was (behaviour §1.7).
pub(super) fn ttls(report: &mut Report, raw: Ttls<'_>) -> [Duration; 3] {
    let limits = || Duration::ZERO..=FOREVER;
    let min = report.duration(raw.min, limits(), Duration::ZERO);
    let default = report.duration(raw.default, limits(), DAY.max(min));
    let max = report.duration(raw.max, limits(), YEAR.max(default));
    if min > default {
        refuse_order(report, raw.default.given().map(|typed| &typed.at), [min, default, max]);
    } else if default > max {
        refuse_order(report, raw.max.given().map(|typed| &typed.at), [min, default, max]);
    }
    [min, default, max]
}

/// `at`: the TTL that is too small. One that was not typed is never too small.
fn refuse_order(report: &mut Report, at: Option<&At>, ttls: [Duration; 3]) {
    if let Some(at) = at {
        let [min, default, max] = ttls.map(show_duration);
        let message = format!("InvalidTTLOrder: min_ttl {min}, default_ttl {default}, max_ttl {max}");
        report.error(at, message, "give all three, each no smaller than the one before");
    }
}

/// At most 10, names of 1,024 characters together (behaviour §12.13). Lower-case, sorted, unique.
/// Apart from those that the edge makes itself. `normalized`: the policy says so of Accept-Encoding (behaviour §4.3).
pub(super) fn headers(
    report: &mut Report,
    list: &List<String>,
    normalized: bool,
    too_many: &str,
) -> (Vec<HeaderName>, Vec<ViewerHeader>) {
    let mut names = Vec::new();
    let mut made = Vec::new();
    for typed in list.items() {
        match HeaderName::from_bytes(typed.value.as_bytes()) {
            Ok(name) => {
                if let Some(header) =
                    ViewerHeader::from_name(name.as_str()).filter(|header| header.may_be_keyed())
                {
                    made.push(header);
                    continue;
                }
                if let Some(reason) = needless(name.as_str()) {
                    let message = format!("{:?} is not made part of the cache key: {reason}", typed.value);
                    report.warn(
                        &typed.at,
                        message,
                        "nothing need be done; every viewer gets what it asks for",
                    );
                    continue;
                }
                if let Some(reason) = refusal(name.as_str(), normalized) {
                    let message = format!("{:?} cannot be part of the cache key: {reason}", typed.value);
                    report.error(&typed.at, message, "take it out of the list");
                }
                names.push(name);
            }
            Err(_) => {
                let message = format!("{:?} is not the name of a header", typed.value);
                report.error(&typed.at, message, "write a name such as \"X-Variant\"");
            }
        }
    }
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    made.dedup();
    let count = names.len() + made.len();
    let length = names.iter().map(|name| name.as_str().len()).sum::<usize>()
        + made.iter().map(|header| header.name().len()).sum::<usize>();
    if let Some(typed) = list.given()
        && (count > 10 || length > 1024)
    {
        let message = format!("{too_many}: {count} headers with {length} characters");
        report.error(&typed.at, message, "at most 10 headers and 1024 characters");
    }
    (names, made)
}

/// Why a header that CloudFront would key on (behaviour §4.5) makes no difference here. `name` in lower case.
fn needless(name: &str) -> Option<&'static str> {
    match name {
        "range" => Some("the edge cuts ranges out of whole objects itself"),
        "if-match" | "if-modified-since" | "if-none-match" | "if-range" | "if-unmodified-since" => {
            Some("the edge answers conditional requests itself")
        }
        "expect" => Some("it is answered hop by hop"),
        _ => None,
    }
}

/// Why a header would break the signature, the connection or the cache (behaviour §4.2, §4.5). `name` in lower case.
fn refusal(name: &str, normalized: bool) -> Option<&'static str> {
    const HOP_BY_HOP: [&str; 6] =
        ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
    const NEVER_KEYED: [&str; 7] = [
        "cache-control",
        "content-length",
        "max-forwards",
        "pragma",
        "request-range",
        "x-forwarded-proto",
        "x-real-ip",
    ];
    const NEVER_MADE: [&str; 7] = [
        "cloudfront-error-args",
        "cloudfront-error-uri",
        "cloudfront-viewer-address",
        "cloudfront-viewer-asn",
        "cloudfront-viewer-ja3-fingerprint",
        "cloudfront-viewer-ja4-fingerprint",
        "cloudfront-viewer-tls",
    ];
    let begins = |prefix: &str| name.starts_with(prefix);
    Some(match name {
        "cookie" => "cookies are named one by one, in cookies",
        "accept-encoding" if normalized => "enable_accept_encoding_… normalises it",
        _ if HOP_BY_HOP.contains(&name) => "it belongs to one connection",
        _ if begins("proxy-") => "it is meant for a proxy, not for the origin",
        _ if begins("x-edge-") => "CloudFront reserves and removes X-Edge-*",
        _ if begins("x-amz-") => "X-Amz-* is part of the signature that the edge makes",
        _ if NEVER_MADE.contains(&name) => "CloudFront does not key on it either",
        _ if begins("cloudfront-") => "not supported yet, and a viewer could forge it",
        _ if NEVER_KEYED.contains(&name) => "CloudFront does not key on it either",
        _ => return None,
    })
}
