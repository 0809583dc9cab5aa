//! May this answer be compressed before it is stored, and what does its head say then (behaviour §7)?

use std::ops::RangeInclusive;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderValue};

use super::admission::Answer;
use crate::semantics::cache_control;
use crate::semantics::coding::Coding;

/// Bytes of a body that is worth it (behaviour §7.1).
pub const SIZES: RangeInclusive<u64> = 1_000..=10_000_000;

/// Why an answer stays as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsuitable {
    /// Not one of 200, 403 and 404.
    Status,
    /// It has a `Content-Encoding`, be it `identity`.
    Encoded,
    /// Not announced, or not one of [`SIZES`].
    Size,
    /// Not a listed type.
    Type,
    /// `Cache-Control: no-transform` (RFC 9111 §5.2.2.6).
    NoTransform,
}

/// Would a viewer that takes a coding get this answer compressed?
///
/// # Errors
/// The first reason why not.
pub fn suits(answer: &Answer<'_>) -> Result<(), Unsuitable> {
    let headers = answer.headers;
    if !matches!(answer.status.as_u16(), 200 | 403 | 404) {
        Err(Unsuitable::Status)
    } else if headers.contains_key(CONTENT_ENCODING) {
        Err(Unsuitable::Encoded)
    } else if !answer.length.is_some_and(|length| SIZES.contains(&length)) {
        Err(Unsuitable::Size)
    } else if !is_listed(headers) {
        Err(Unsuitable::Type)
    } else if cache_control::parse(headers).no_transform {
        Err(Unsuitable::NoTransform)
    } else {
        Ok(())
    }
}

/// Makes a head say that its body is compressed; the origin's `ETag` comes back, by which the origin knows the object.
/// Doing it twice is the same as doing it once, but for what comes back.
///
/// Digests of the body as it was are removed (RFC 9530).
pub fn rewrite(headers: &mut HeaderMap, coding: Coding) -> Option<HeaderValue> {
    const DIGESTS: [&str; 4] = ["content-digest", "content-md5", "digest", "repr-digest"];
    headers.insert(CONTENT_ENCODING, coding.value());
    DIGESTS.iter().for_each(|name| drop(headers.remove(*name)));
    add_vary(headers);
    let own = headers.remove(ETAG);
    if let Some(weak) = own.as_ref().and_then(weakened) {
        headers.insert(ETAG, weak);
    }
    own
}

/// Tells caches behind this one that another viewer may get another coding (RFC 9110 §12.5.5).
pub fn add_vary(headers: &mut HeaderMap) {
    let names = |value: &HeaderValue| {
        value
            .as_bytes()
            .split(|&b| b == b',')
            .any(|name| matches!(name.trim_ascii(), b"*") || is(name, "accept-encoding"))
    };
    if !headers.get_all(VARY).iter().any(names) {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// behaviour §7.3. `None`: no tag at all, rather than one that is none.
fn weakened(etag: &HeaderValue) -> Option<HeaderValue> {
    let is_quoted = |tag: &[u8]| tag.len() >= 2 && tag.starts_with(b"\"") && tag.ends_with(b"\"");
    let tag = etag.as_bytes();
    if is_quoted(tag) {
        HeaderValue::from_bytes(&[b"W/", tag].concat()).ok()
    } else {
        tag.strip_prefix(b"W/").is_some_and(is_quoted).then(|| etag.clone())
    }
}

/// The type without its parameters, in any case; of several fields none counts.
fn is_listed(headers: &HeaderMap) -> bool {
    let mut fields = headers.get_all(CONTENT_TYPE).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return false };
    let essence = field.as_bytes().split(|&b| b == b';').next().unwrap_or_default();
    TYPES.iter().any(|listed| is(essence, listed))
}

fn is(text: &[u8], name: &str) -> bool {
    text.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
}

/// behaviour §7.2, complete.
const TYPES: [&str; 48] = [
    "application/dash+xml",
    "application/eot",
    "application/font",
    "application/font-sfnt",
    "application/javascript",
    "application/json",
    "application/opentype",
    "application/otf",
    "application/pdf",
    "application/pkcs7-mime",
    "application/protobuf",
    "application/rss+xml",
    "application/truetype",
    "application/ttf",
    "application/vnd.apple.mpegurl",
    "application/vnd.mapbox-vector-tile",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/xhtml+xml",
    "application/xml",
    "application/x-font-opentype",
    "application/x-font-truetype",
    "application/x-font-ttf",
    "application/x-httpd-cgi",
    "application/x-javascript",
    "application/x-mpegurl",
    "application/x-opentype",
    "application/x-otf",
    "application/x-perl",
    "application/x-ttf",
    "font/eot",
    "font/opentype",
    "font/otf",
    "font/ttf",
    "image/svg+xml",
    "text/css",
    "text/csv",
    "text/html",
    "text/javascript",
    "text/js",
    "text/plain",
    "text/richtext",
    "text/tab-separated-values",
    "text/xml",
    "text/x-component",
    "text/x-java-source",
    "text/x-script",
    "vnd.apple.mpegurl",
];

#[cfg(test)]
mod tests;
