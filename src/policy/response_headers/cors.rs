//! Which CORS headers does this response get (behaviour §9.4)?
//!
//! Choices where the book is silent: an `Origin` that the list does not have gets no CORS headers, and with
//! `origin_override` not the origin's either. Whenever the answer to another `Origin` would be another one, `Vary:
//! Origin` says so to the caches behind this edge; an answer of `*` suits everybody and does not.

#[cfg(test)]
mod tests;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::Asked;
use crate::config::response_headers::{AllowHeaders, AllowOrigins, Cors, OriginPattern};

/// Characters of a header value that is made of what a viewer asked for (behaviour §9.4).
const MAX_VALUE: usize = 1_783;

pub(super) fn apply(cors: &Cors, asked: Asked<'_>, headers: &mut HeaderMap) {
    if !cors.overrides && headers.keys().any(is_cors) {
        return;
    }
    let allowed = allow_origin(cors, asked.headers);
    if allowed.as_ref().is_none_or(|value| value != "*") {
        vary_by_origin(headers);
    }
    if !asked.headers.contains_key(ORIGIN) {
        return;
    }
    let Some(allowed) = allowed else { return remove_all(headers) };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    // The origin may have said it of what the policy allows without credentials.
    headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
    if cors.credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    replace(headers, ACCESS_CONTROL_EXPOSE_HEADERS, cors.expose_headers.clone());
    if is_preflight(asked) {
        replace(headers, ACCESS_CONTROL_ALLOW_METHODS, cors.methods.clone());
        replace(headers, ACCESS_CONTROL_ALLOW_HEADERS, allow_headers(&cors.headers, asked.headers));
        replace(headers, ACCESS_CONTROL_MAX_AGE, cors.max_age.clone());
    }
}

fn is_cors(name: &HeaderName) -> bool {
    name.as_str().starts_with("access-control-")
}

/// Only with `origin_override` is there anything to remove.
fn remove_all(headers: &mut HeaderMap) {
    let names: Vec<_> = headers.keys().filter(|name| is_cors(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn replace(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

/// OPTIONS that asks for a method (Fetch §3.2.2).
fn is_preflight(asked: Asked<'_>) -> bool {
    asked.method == Method::OPTIONS && asked.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The value of `Access-Control-Allow-Origin` for the one `Origin` of the request.
fn allow_origin(cors: &Cors, asked: &HeaderMap) -> Option<HeaderValue> {
    let mut origins = asked.get_all(ORIGIN).iter();
    let origin = origins.next()?;
    match &cors.origins {
        AllowOrigins::Any => Some(HeaderValue::from_static("*")),
        AllowOrigins::Listed(patterns) => {
            let parts = Parts::of(origin.to_str().ok().filter(|_| origins.next().is_none())?)?;
            patterns.iter().any(|pattern| parts.match_pattern(pattern)).then(|| origin.clone())
        }
    }
}

/// A serialised origin (RFC 6454 §6.2): scheme, host and, unless it is the scheme's own, port.
#[derive(Debug)]
struct Parts {
    scheme: String,
    host: String,
    port: Option<String>,
}

impl Parts {
    /// `None` for `null` and for whatever is not an origin.
    fn of(text: &str) -> Option<Self> {
        let text = Some(text).filter(|text| text.len() <= MAX_VALUE)?.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://")?;
        if !authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte)) {
            return None;
        }
        // An IPv6 literal has colons of its own, in brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
            return None;
        }
        Some(Self { scheme: scheme.to_owned(), host: host.to_owned(), port: port.map(str::to_owned) })
    }

    fn match_pattern(&self, pattern: &OriginPattern) -> bool {
        let scheme = pattern.scheme.as_ref().is_none_or(|scheme| **scheme == *self.scheme);
        let host =
            if pattern.subdomains { self.host.ends_with(&*pattern.host) } else { self.host == *pattern.host };
        let port = match (&pattern.port, &self.port) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some(pattern), None) => **pattern == *"*",
            (Some(pattern), Some(port)) => matches(pattern, port),
        };
        scheme && host && port
    }
}

/// The value of `Access-Control-Allow-Headers`: what the policy lists, and of what the viewer asks for what its
/// patterns match.
fn allow_headers(allowed: &AllowHeaders, asked: &HeaderMap) -> Option<HeaderValue> {
    if allowed.patterns.is_empty() {
        return allowed.listed.clone();
    }
    let listed = allowed.listed.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut value = listed.to_owned();
    let fields = asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter().filter_map(|field| field.to_str().ok());
    for name in fields.flat_map(|field| field.split(',')).map(str::trim) {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        let said = value.split(", ").any(|said| said.eq_ignore_ascii_case(name.as_str()));
        let fits = value.len() + ", ".len() + name.as_str().len() <= MAX_VALUE;
        if !said && fits && allowed.patterns.iter().any(|pattern| allows(pattern, name.as_str())) {
            if !value.is_empty() {
                value.push_str(", ");
            }
            value.push_str(name.as_str());
        }
    }
    if value.is_empty() { None } else { HeaderValue::try_from(value).ok() }
}

/// `name` in lower case. `*` is everything except Authorization, which must be listed.
fn allows(pattern: &str, name: &str) -> bool {
    if pattern == "*" { name != "authorization" } else { matches(pattern, name) }
}

/// `*` is any number of characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

fn vary_by_origin(headers: &mut HeaderMap) {
    let mut fields = Vec::new();
    for field in headers.get_all(VARY) {
        let members = field.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        if members.into_iter().any(|member| member == b"*" || member.eq_ignore_ascii_case(b"origin")) {
            return;
        }
        fields.push(field.as_bytes());
    }
    fields.push(b"Origin");
    if let Ok(value) = HeaderValue::from_bytes(&fields.join(&b", "[..])) {
        headers.insert(VARY, value);
    }
}
