//! Response headers policies: those of the configuration, and CloudFront's managed ones (behaviour §1.9, §9).

mod cors;
mod security;

use std::collections::HashSet;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::super::raw::{self, Decimal, Field, List, Typed};
use super::super::response_headers::{self, ResponseHeadersPolicy, SamplingRate, SetHeader};
use super::own;
use super::report::Report;

/// behaviour §12.13
const MOST_CUSTOM: usize = 10;

/// Those that behaviours may name.
pub(super) fn read(
    report: &mut Report,
    list: &List<raw::ResponseHeadersPolicy>,
) -> own::Policies<raw::ResponseHeadersPolicy, ResponseHeadersPolicy> {
    let kind = own::Kind {
        what: "response headers policy",
        missing: "NoSuchResponseHeadersPolicy",
        command: "get-response-headers-policy",
        id: |raw: &raw::ResponseHeadersPolicy| &raw.id,
        name: |raw: &raw::ResponseHeadersPolicy| &raw.name,
        managed: response_headers::managed,
        managed_names: || response_headers::names().collect(),
        build: policy,
    };
    kind.read(report, list)
}

fn policy(report: &mut Report, typed: &Typed<raw::ResponseHeadersPolicy>) -> ResponseHeadersPolicy {
    const NAME: &str = "1 to 128 letters, digits, hyphens or underscores";
    let raw = &typed.value;
    if raw.name.is_absent() {
        report.error(&typed.at.child("name"), "is missing", "give the policy a name");
    }
    ResponseHeadersPolicy {
        name: Arc::from(report.text(&raw.name, is_name, NAME).unwrap_or_default()),
        cors: raw.cors_config.given().map(|typed| cors::cors(report, typed)),
        security: security::headers(report, &raw.security_headers_config),
        custom: custom(report, &raw.custom_headers),
        remove: removals(report, &raw.remove_headers),
        server_timing: raw.server_timing_headers_config.given().and_then(|typed| timing(report, typed)),
    }
}

fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// A key that has no default.
fn required<'f, T>(
    report: &mut Report,
    table: &raw::At,
    name: &str,
    field: &'f Field<T>,
) -> Option<&'f Typed<T>> {
    if field.is_absent() {
        report.error(&table.child(name), "InvalidArgument: is missing", format!("say what {name} is"));
    }
    field.given()
}

fn header_name(report: &mut Report, typed: &Typed<String>) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(typed.value.as_bytes()).ok();
    if name.is_none() {
        let message = format!("InvalidArgument: {:?} is not the name of a header", typed.value);
        report.error(&typed.at, message, "write a name such as \"X-Variant\"");
    }
    name
}

/// The text as a value of visible ASCII and inner blanks, at most `longest` bytes.
fn header_value(report: &mut Report, typed: &Typed<String>, longest: usize) -> Option<HeaderValue> {
    let text = typed.value.as_str();
    let value = HeaderValue::from_str(text).ok().filter(|_| text.is_ascii() && text.trim() == text);
    match value {
        None => {
            let message = "InvalidArgument: has characters that a header cannot have";
            report.error(&typed.at, message, "write visible ASCII, and no blank at either end");
        }
        Some(_) if text.len() > longest => {
            let message = format!("InvalidArgument: {} characters", text.len());
            report.error(&typed.at, message, format!("at most {longest}"));
        }
        Some(_) => {}
    }
    value
}

fn custom(report: &mut Report, list: &List<raw::CustomHeader>) -> Vec<SetHeader> {
    if let Some(typed) = list.given()
        && typed.value.len() > MOST_CUSTOM
    {
        let message = format!("TooManyCustomHeadersInResponseHeadersPolicy: {}", typed.value.len());
        report.error(&typed.at, message, format!("at most {MOST_CUSTOM}"));
    }
    let mut seen = HashSet::new();
    let mut headers = Vec::new();
    for typed in list.items() {
        let raw = &typed.value;
        let Some(header) = required(report, &typed.at, "header", &raw.header) else { continue };
        let Some(name) = header_name(report, header) else { continue };
        if let Some(reason) = forbidden(&name) {
            let message = format!("InvalidArgument: {:?} cannot be a custom header: {reason}", header.value);
            report.error(&header.at, message, "leave it out");
        }
        if !seen.insert(name.clone()) {
            let message = format!("InvalidArgument: {:?} was given before", header.value);
            report.error(&header.at, message, "give it once");
        }
        let value = match raw.value.given() {
            Some(typed) => header_value(report, typed, usize::MAX),
            None => Some(HeaderValue::from_static("")), // behaviour §9.3
        };
        let overrides = raw.overrides.value().copied().unwrap_or_default();
        headers.extend(value.map(|value| SetHeader { name, value, overrides }));
    }
    headers
}

fn removals(report: &mut Report, list: &List<String>) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for typed in list.items() {
        let Some(name) = header_name(report, typed) else { continue };
        if let Some(reason) = forbidden(&name) {
            let message = format!("InvalidArgument: {:?} cannot be removed: {reason}", typed.value);
            report.error(&typed.at, message, "take it out of the list");
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Why a header is none of a policy's business (behaviour §9.6). The book says so of removing; what may not be removed
/// may not be put in its place either.
fn forbidden(name: &HeaderName) -> Option<&'static str> {
    const MESSAGE: [&str; 14] = [
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "warning",
    ];
    const RESERVED: [&str; 16] = [
        "x-accel-buffering",
        "x-accel-charset",
        "x-accel-limit-rate",
        "x-accel-redirect",
        "x-amzn-auth",
        "x-amzn-cf-billing",
        "x-amzn-cf-id",
        "x-amzn-cf-xff",
        "x-amzn-errortype",
        "x-amzn-fle-profile",
        "x-amzn-header-count",
        "x-amzn-header-order",
        "x-amzn-lambda-integration-tag",
        "x-amzn-requestid",
        "x-forwarded-proto",
        "x-real-ip",
    ];
    let name = name.as_str();
    if MESSAGE.contains(&name) {
        Some("it belongs to how the message travels")
    } else if RESERVED.contains(&name)
        || name == "x-cache"
        || name.starts_with("x-amz-cf-")
        || name.starts_with("x-edge-")
    {
        Some("CloudFront reserves it")
    } else {
        None
    }
}

/// `None` when it is switched off.
fn timing(report: &mut Report, typed: &Typed<raw::ServerTimingHeadersConfig>) -> Option<SamplingRate> {
    let raw = &typed.value;
    let enabled = required(report, &typed.at, "enabled", &raw.enabled).is_some_and(|typed| typed.value);
    let rate = match raw.sampling_rate.given() {
        None => 0,
        Some(rate) => per_million(&rate.value).unwrap_or_else(|| {
            let message = format!("InvalidArgument: {} is not a sampling rate", rate.value.0);
            report.error(&rate.at, message, "write a percentage, 0 to 100, with at most four decimals");
            0
        }),
    };
    enabled.then_some(SamplingRate(rate))
}

/// A percentage with at most four decimals.
fn per_million(percent: &Decimal) -> Option<u32> {
    let scaled = percent.0.parse::<f64>().ok()? * 10_000.0;
    let limits = 0.0..=f64::from(SamplingRate::ALL);
    let is_whole = (scaled - scaled.round()).abs() < 1e-6;
    // In range and whole, so nothing is lost.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just before")]
    (limits.contains(&scaled) && is_whole).then(|| scaled.round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// behaviour §9.7
    #[test]
    fn sampling_rates() {
        for (percent, expected) in [
            ("0", Some(0)),
            ("100", Some(1_000_000)),
            ("100.0", Some(1_000_000)),
            ("0.0001", Some(1)),
            ("33.3333", Some(333_333)),
            ("5e1", Some(500_000)),
            ("0.00001", None),
            ("100.0001", None),
            ("-1", None),
            ("nan", None),
            ("inf", None),
        ] {
            assert_eq!(per_million(&Decimal(percent.to_owned())), expected, "{percent}");
        }
    }
}
