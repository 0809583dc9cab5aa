//! `cors_config` (behaviour §9.4).

use std::sync::Arc;

use http::HeaderValue;

use super::super::super::raw::{self, List, Typed};
use super::super::super::response_headers::{AllowHeaders, AllowOrigins, Cors, OriginPattern};
use super::super::report::Report;
use super::{header_name, required};

/// Characters of an allowed origin (behaviour §12.13).
const LONGEST: usize = 1_783;

pub(super) fn cors(report: &mut Report, typed: &Typed<raw::CorsConfig>) -> Cors {
    let raw = &typed.value;
    let credentials = raw.access_control_allow_credentials.value().copied().unwrap_or_default();
    let origins =
        required(report, &typed.at, "access_control_allow_origins", &raw.access_control_allow_origins);
    let origins = origins.map_or(AllowOrigins::Any, |list| origins_of(report, list));
    if let (true, AllowOrigins::Any, Some(list)) =
        (credentials, &origins, raw.access_control_allow_origins.given())
    {
        // RFC 6454's whole point: any site could read what belongs to the viewer's session.
        let message = "InvalidArgument: credentials are allowed, and any origin is";
        report.error(&list.at, message, "list the origins");
    }
    let methods = methods(report, &raw.access_control_allow_methods);
    let max_age: Option<u32> = report.whole(&raw.access_control_max_age_sec, 0..=i64::from(i32::MAX));
    Cors {
        origins,
        credentials,
        headers: allow_headers(report, &raw.access_control_allow_headers, credentials),
        methods,
        expose_headers: join(&names(report, &raw.access_control_expose_headers)),
        max_age: max_age.map(HeaderValue::from),
        overrides: raw.origin_override.value().copied().unwrap_or_default(),
    }
}

fn origins_of(report: &mut Report, list: &Typed<Vec<Typed<String>>>) -> AllowOrigins {
    if list.value.is_empty() {
        report.error(&list.at, "InvalidArgument: no origin is allowed", "list one, or \"*\"");
    }
    if list.value.iter().any(|entry| entry.value == "*") {
        return AllowOrigins::Any;
    }
    let mut patterns = Vec::new();
    for entry in &list.value {
        match pattern(&entry.value) {
            Ok(pattern) => patterns.push(pattern),
            Err(problem) => {
                let message = format!("InvalidArgument: {:?} {problem}", entry.value);
                let fix = "write \"https://www.example.com\", \"https://*.example.com\" or \"*\"";
                report.error(&entry.at, message, fix);
            }
        }
    }
    AllowOrigins::Listed(patterns)
}

/// `[scheme://][*.]host[:port]`, a port with `*` for any digits.
fn pattern(text: &str) -> Result<OriginPattern, &'static str> {
    if text.len() > LONGEST {
        return Err("is longer than 1783 characters");
    }
    let text = text.to_ascii_lowercase();
    let (scheme, authority) = match text.split_once("://") {
        Some((scheme, authority)) => (Some(scheme), authority),
        None => (None, text.as_str()),
    };
    if scheme.is_some_and(|scheme| !is_scheme(scheme)) {
        return Err("has a scheme that is none");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if port.is_some_and(|port| {
        port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit() || byte == b'*')
    }) {
        return Err("has a port that is neither digits nor a wildcard");
    }
    let (subdomains, name) = match host.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, host),
    };
    if name.contains('*') {
        return Err("has a wildcard that is not the whole first label");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_literal = !subdomains
        && name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = name.split('.').all(|label| !label.is_empty()) && name.bytes().all(allowed);
    if !is_literal && !is_name {
        return Err("is not an origin: a scheme, a host and perhaps a port");
    }
    Ok(OriginPattern {
        scheme: scheme.map(Arc::from),
        host: Arc::from(if subdomains { &host[1..] } else { host }),
        subdomains,
        port: port.map(Arc::from),
    })
}

/// RFC 3986 §3.1, in lower case: applications have schemes of their own.
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Browsers take `*` for a wildcard only without credentials; then, and for a pattern, the edge says which of the
/// names that are asked for it matches.
fn allow_headers(report: &mut Report, list: &List<String>, credentials: bool) -> AllowHeaders {
    let mut allowed = AllowHeaders::default();
    let mut listed = Vec::new();
    for typed in list.items() {
        let text = typed.value.as_str();
        // `*` is a character of names, too.
        if header_name(report, typed).is_none() {
            continue;
        }
        if text.contains('*') && (text != "*" || credentials) {
            allowed.patterns.push(Arc::from(text.to_ascii_lowercase()));
        } else {
            listed.push(text);
        }
    }
    allowed.listed = join(&listed);
    allowed
}

fn methods(report: &mut Report, list: &List<String>) -> Option<HeaderValue> {
    const ALL: [&str; 7] = ["GET", "DELETE", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
    let mut methods = Vec::new();
    for typed in list.items() {
        match typed.value.as_str() {
            "ALL" => methods = ALL.to_vec(),
            method if methods.contains(&method) => {}
            method if ALL.contains(&method) => methods.push(method),
            _ => {
                let message = format!("InvalidArgument: {:?} is not a method", typed.value);
                report.error(&typed.at, message, format!("ALL, or of {}", ALL.join(", ")));
            }
        }
    }
    join(&methods)
}

fn names<'l>(report: &mut Report, list: &'l List<String>) -> Vec<&'l str> {
    list.items()
        .iter()
        .filter(|typed| header_name(report, typed).is_some())
        .map(|typed| typed.value.as_str())
        .collect()
}

/// What is joined are tokens, so it is a value. `None` for nothing.
fn join(tokens: &[&str]) -> Option<HeaderValue> {
    if tokens.is_empty() { None } else { HeaderValue::try_from(tokens.join(", ")).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// behaviour §9.4
    #[test]
    fn where_a_wildcard_may_be() {
        for (text, expected) in [
            ("http://*.example.org", Some((Some("http"), ".example.org", true, None))),
            ("*.example.org", Some((None, ".example.org", true, None))),
            ("Example.org", Some((None, "example.org", false, None))),
            ("http://example.org:*", Some((Some("http"), "example.org", false, Some("*")))),
            ("http://example.org:1*3", Some((Some("http"), "example.org", false, Some("1*3")))),
            ("capacitor://localhost", Some((Some("capacitor"), "localhost", false, None))),
            ("http://[::1]:8080", Some((Some("http"), "[::1]", false, Some("8080")))),
            ("example.*", None),
            ("test.*.example.org", None),
            ("*test.example.org", None),
            ("exa*mple.org", None),
            ("*.*.example.org", None),
            ("https://example.org/", None),
            ("https://example.org:", None),
            ("https://example.org:a", None),
            ("https://", None),
            ("*://example.org", None),
            ("*.[::1]", None),
            ("", None),
            ("null,", None),
        ] {
            let found = pattern(text).ok();
            let told = found.as_ref().map(|pattern| {
                (pattern.scheme.as_deref(), &*pattern.host, pattern.subdomains, pattern.port.as_deref())
            });
            assert_eq!(told, expected, "{text:?}");
        }
    }
}
