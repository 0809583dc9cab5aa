//! Headers that an origin gets with every request (behaviour §4.6). Their values may be secrets: no finding repeats one.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::raw::{self, List, Typed};
use super::report::Report;

const MOST: usize = 30;
/// Characters.
const LONGEST_NAME: usize = 256;
const LONGEST_VALUE: usize = 1_783;
const LONGEST_TOGETHER: usize = 10_240;

pub(super) fn custom_headers(report: &mut Report, list: &List<raw::OriginHeader>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for typed in list.items() {
        if let Some((name, value)) = header(report, typed)
            && headers.insert(&name, value).is_some()
        {
            let message = format!("InvalidArgument: {name} is there twice");
            report.error(&typed.at, message, "leave one of them out");
        }
    }
    let count = list.items().len();
    let together: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if let Some(typed) = list.given()
        && (count > MOST || together > LONGEST_TOGETHER)
    {
        let message = format!("TooManyOriginCustomHeaders: {count} headers with {together} characters");
        report.error(&typed.at, message, format!("at most {MOST} headers and {LONGEST_TOGETHER} characters"));
    }
    headers
}

fn header(report: &mut Report, typed: &Typed<raw::OriginHeader>) -> Option<(HeaderName, HeaderValue)> {
    let raw = &typed.value;
    if raw.name.is_absent() {
        report.error(&typed.at.child("name"), "is missing", "name the header");
    }
    if raw.value.is_absent() {
        report.error(&typed.at.child("value"), "is missing", "give it a value; it may be empty");
    }
    let name = raw.name.given().and_then(|given| match HeaderName::from_bytes(given.value.as_bytes()) {
        Ok(name) if name.as_str().len() <= LONGEST_NAME && !is_reserved(name.as_str()) => Some(name),
        Ok(name) if name.as_str().len() <= LONGEST_NAME => {
            let message = format!("InvalidArgument: {:?} cannot be set for an origin", given.value);
            report.error(&given.at, message, "leave it out");
            None
        }
        _ => {
            let message = format!("InvalidArgument: {:?} is not the name of a header", given.value);
            report.error(&given.at, message, format!("write a name of at most {LONGEST_NAME} characters"));
            None
        }
    });
    let value = raw.value.given().and_then(|given| {
        let value = HeaderValue::from_str(&given.value).ok();
        let value = value.filter(|_| given.value.len() <= LONGEST_VALUE);
        if value.is_none() {
            let message = "InvalidArgument: is too long, or has characters that may not be in a header";
            report.error(&given.at, message, format!("at most {LONGEST_VALUE} printable characters"));
        }
        value
    });
    let (name, mut value) = name.zip(value)?;
    value.set_sensitive(true);
    Some((name, value))
}

/// behaviour §4.6. `name` in lower case.
fn is_reserved(name: &str) -> bool {
    const RESERVED: [&str; 22] = [
        "cache-control",
        "connection",
        "content-length",
        "cookie",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "max-forwards",
        "pragma",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "request-range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-real-ip",
    ];
    RESERVED.contains(&name) || name.starts_with("x-amz-") || name.starts_with("x-edge-")
}
