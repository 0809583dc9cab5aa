//! `security_headers_config` → the headers of behaviour §9.5.

use http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS, X_XSS_PROTECTION,
};
use http::{HeaderName, HeaderValue};

use super::super::super::raw::{self, Field, Typed};
use super::super::super::response_headers::SetHeader;
use super::super::report::Report;
use super::{header_value, required};

/// Characters (behaviour §12.13).
const LONGEST_CSP: usize = 1_783;

pub(super) fn headers(report: &mut Report, raw: &raw::SecurityHeadersConfig) -> Vec<SetHeader> {
    let mut headers = Vec::new();
    let mut add = |name: HeaderName, overrides: &Field<bool>, value: Option<HeaderValue>| {
        let overrides = overrides.value().copied().unwrap_or_default();
        headers.extend(value.map(|value| SetHeader { name, value, overrides }));
    };
    if let Some(typed) = raw.strict_transport_security.given() {
        add(STRICT_TRANSPORT_SECURITY, &typed.value.overrides, transport(report, typed));
    }
    if let Some(typed) = raw.content_type_options.given() {
        add(X_CONTENT_TYPE_OPTIONS, &typed.value.overrides, Some(HeaderValue::from_static("nosniff")));
    }
    if let Some(typed) = raw.frame_options.given() {
        add(X_FRAME_OPTIONS, &typed.value.overrides, frame(report, typed));
    }
    if let Some(typed) = raw.xss_protection.given() {
        add(X_XSS_PROTECTION, &typed.value.overrides, xss(report, typed));
    }
    if let Some(typed) = raw.referrer_policy.given() {
        add(REFERRER_POLICY, &typed.value.overrides, referrer(report, typed));
    }
    if let Some(typed) = raw.content_security_policy.given() {
        let text =
            required(report, &typed.at, "content_security_policy", &typed.value.content_security_policy);
        let value = text.and_then(|text| header_value(report, text, LONGEST_CSP));
        add(CONTENT_SECURITY_POLICY, &typed.value.overrides, value);
    }
    headers
}

fn transport(report: &mut Report, typed: &Typed<raw::StrictTransportSecurity>) -> Option<HeaderValue> {
    let raw = &typed.value;
    required(report, &typed.at, "access_control_max_age_sec", &raw.access_control_max_age_sec)?;
    let seconds: u32 = report.whole(&raw.access_control_max_age_sec, 0..=i64::from(i32::MAX))?;
    let said = |field: &Field<bool>, text| if field.value() == Some(&true) { text } else { "" };
    let subdomains = said(&raw.include_subdomains, "; includeSubDomains");
    let preload = said(&raw.preload, "; preload");
    HeaderValue::try_from(format!("max-age={seconds}{subdomains}{preload}")).ok()
}

fn frame(report: &mut Report, typed: &Typed<raw::FrameOptions>) -> Option<HeaderValue> {
    const OPTIONS: [(&str, Option<&str>); 2] = [("DENY", Some("DENY")), ("SAMEORIGIN", Some("SAMEORIGIN"))];
    let field = &typed.value.frame_option;
    required(report, &typed.at, "frame_option", field)?;
    report.choice(field, &OPTIONS, None).map(HeaderValue::from_static)
}

fn referrer(report: &mut Report, typed: &Typed<raw::ReferrerPolicy>) -> Option<HeaderValue> {
    const fn same(word: &'static str) -> (&'static str, Option<&'static str>) {
        (word, Some(word))
    }
    const POLICIES: [(&str, Option<&str>); 8] = [
        same("no-referrer"),
        same("no-referrer-when-downgrade"),
        same("origin"),
        same("origin-when-cross-origin"),
        same("same-origin"),
        same("strict-origin"),
        same("strict-origin-when-cross-origin"),
        same("unsafe-url"),
    ];
    let field = &typed.value.referrer_policy;
    required(report, &typed.at, "referrer_policy", field)?;
    report.choice(field, &POLICIES, None).map(HeaderValue::from_static)
}

fn xss(report: &mut Report, typed: &Typed<raw::XssProtection>) -> Option<HeaderValue> {
    let raw = &typed.value;
    let protection = required(report, &typed.at, "protection", &raw.protection)?.value;
    let block = raw.mode_block.value() == Some(&true);
    let uri = raw.report_uri.given().filter(|uri| !uri.value.is_empty());
    if let Some(uri) = uri.filter(|_| block) {
        let message = "InvalidArgument: mode_block and report_uri exclude each other";
        report.error(&uri.at, message, "leave one out");
    }
    if let (false, Some(at)) = (
        protection,
        uri.map(|uri| &uri.at).or(raw.mode_block.given().filter(|_| block).map(|typed| &typed.at)),
    ) {
        let message = "InvalidArgument: protection is off, so there is nothing to block or report";
        report.error(at, message, "set protection = true, or leave it out");
    }
    match (protection, uri) {
        (false, _) => Some(HeaderValue::from_static("0")),
        (true, _) if block => Some(HeaderValue::from_static("1; mode=block")),
        (true, None) => Some(HeaderValue::from_static("1")),
        (true, Some(uri)) => {
            let uri = header_value(report, uri, LONGEST_CSP)?;
            HeaderValue::try_from(format!("1; report={}", uri.to_str().ok()?)).ok()
        }
    }
}
