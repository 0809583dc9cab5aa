//! Which of the viewer's headers go to S3?

use std::net::SocketAddr;

use http::header::{AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{key, viewer_header};
use crate::config::{Behavior, CachePolicy, Selection, ViewerHeader, s3};
use crate::semantics::hop;
use crate::semantics::view::View;

/// Bytes of names and values that go along at most. S3 takes 8 KiB in all (s3 §1.4), of which a session token may be
/// the larger part; and its refusal would be remembered for everybody.
pub const MAX_FORWARDED: usize = 4_096;

/// Why a request cannot be put to the origin as the policies say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unforwardable {
    /// A header of the key is not text, and so cannot be signed.
    NotText,
    /// Over [`MAX_FORWARDED`].
    TooLarge,
}

/// Does `name` go to the origin, by the cache policy, by the origin request policy, or by both (behaviour §4.4)?
#[must_use]
pub fn takes(cache: &Selection, request: &Selection, name: &str) -> bool {
    match (cache, request) {
        (Selection::AllExcept(_), Selection::AllExcept(_)) => cache.takes(name) && request.takes(name),
        _ => cache.takes(name) || request.takes(name),
    }
}

/// The headers that go to S3: those of the key, those that the origin request policy adds as far as S3 may be told of
/// them, and those that the edge makes itself, which a viewer cannot forge (behaviour §4.4, §4.7). A preflight takes
/// along what it is about.
///
/// What only the origin request policy takes and is not text is left out: S3 could not check its signature.
///
/// # Errors
/// [`Unforwardable`].
pub fn headers(behavior: &Behavior, view: &View<'_>, viewer: SocketAddr) -> Result<HeaderMap, Unforwardable> {
    let mut told = HeaderMap::new();
    let policy = &behavior.cache_policy;
    let is_preflight = view.method == Method::OPTIONS;
    let preflight = key::preflight(policy).filter(|_| is_preflight);
    for name in policy.headers.iter().filter(|name| goes_when_keyed(name)).chain(preflight) {
        for value in view.headers.get_all(name) {
            value.to_str().map_err(|_| Unforwardable::NotText)?;
            append(&mut told, name, value);
        }
    }
    if is_write(view.method) {
        for name in &WRITTEN {
            for value in view.headers.get_all(name).iter().filter(|value| value.to_str().is_ok()) {
                append(&mut told, name, value);
            }
        }
    }
    add_requested(&mut told, behavior, view);
    for &header in made(behavior) {
        let value = viewer_header::value(header, view, viewer);
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(&*value).ok()) {
            told.insert(HeaderName::from_static(header.name()), value);
        }
    }
    let size: usize = told.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > MAX_FORWARDED { Err(Unforwardable::TooLarge) } else { Ok(told) }
}

/// What an object is written with, and what tells that it came whole (behaviour §4.5).
static WRITTEN: [HeaderName; 2] = [CONTENT_TYPE, HeaderName::from_static("content-md5")];
/// What an object may be written with where a policy takes it.
static WRITTEN_IF_TAKEN: [HeaderName; 3] = [CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE];

/// It is meant to change something (behaviour §2.2).
#[must_use]
pub fn is_write(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method)
}

/// `Authorization` goes without any policy with what is never cached, but for reads (behaviour §4.5).
#[must_use]
pub fn keeps_authorization(behavior: &Behavior, method: &Method) -> bool {
    is_write(method) || (method == Method::OPTIONS && !behavior.cache_options)
}

/// The viewer's, if it goes without any policy.
#[must_use]
pub fn kept_authorization(behavior: &Behavior, view: &View<'_>) -> Option<HeaderValue> {
    let kept = keeps_authorization(behavior, view.method);
    let mut value = view.headers.get(AUTHORIZATION).filter(|_| kept)?.clone();
    value.set_sensitive(true);
    Some(value)
}

/// `Authorization` goes by the cache policy, and by it alone (behaviour §4.5).
fn goes_when_keyed(name: &HeaderName) -> bool {
    name == AUTHORIZATION || s3::takes_header(name.as_str())
}

fn add_requested(told: &mut HeaderMap, behavior: &Behavior, view: &View<'_>) {
    let Some(policy) = behavior.origin_request_policy.as_ref().filter(|policy| !policy.headers.is_none())
    else {
        return;
    };
    let mut fields = view.headers.clone();
    hop::strip(&mut fields);
    for name in fields.keys() {
        let is_keyed = behavior.cache_policy.headers.contains(name) || told.contains_key(name);
        let may_go =
            s3::takes_header(name.as_str()) || (is_write(view.method) && WRITTEN_IF_TAKEN.contains(name));
        if is_keyed || !may_go || !policy.headers.takes(name.as_str()) {
            continue;
        }
        for value in fields.get_all(name).iter().filter(|value| value.to_str().is_ok()) {
            append(told, name, value);
        }
    }
}

/// Whatever a viewer sends may be a secret, so none of it shows in a debug print.
pub(super) fn append(told: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) {
    let mut value = value.clone();
    value.set_sensitive(true);
    told.append(name.clone(), value);
}

pub(super) fn made(behavior: &Behavior) -> impl Iterator<Item = &ViewerHeader> {
    let CachePolicy { viewer_headers, .. } = &*behavior.cache_policy;
    viewer_headers
        .iter()
        .chain(behavior.origin_request_policy.iter().flat_map(|policy| &policy.viewer_headers))
}

#[cfg(test)]
mod tests;
