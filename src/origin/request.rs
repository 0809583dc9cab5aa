//! The head that will be sent: one strictly encoded path, and nothing of the viewer's but what was chosen for it.

use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};

use super::error::OriginError;
use crate::config::{self, Endpoint, OriginKind, S3Origin};
use crate::early::{EARLY_DATA, Early};
use crate::interim::Sink;
use crate::semantics::path;

/// What the edge wants of an origin.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: Method,
    /// Decoded, begins with `/`: the viewer's path, before the origin path goes in front.
    pub path: String,
    /// Strictly encoded, as it is signed (s3 §1.3); empty: none.
    pub query: String,
    /// Range, conditions, and fields that a policy forwards. Never `Authorization`.
    pub headers: HeaderMap,
    /// The viewer's `Authorization`, where the cache policy forwards it (behaviour §10.1).
    pub authorization: Option<HeaderValue>,
    /// What an origin that is not a bucket is told instead; of `headers` it gets the range and the conditions. `None`:
    /// no such origin is asked.
    pub told: Option<Arc<Told>>,
    /// Where the origin's 1xx answers go. `None`: nowhere.
    pub interims: Option<Sink>,
    /// The viewer's handshake, where the origin is told that it was not over, and not by the viewer.
    pub early: Option<Early>,
}

/// The viewer's request as a custom origin gets it (behaviour §4.4, §4.5).
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// As the viewer wrote it.
    pub path: String,
    /// As the viewer wrote it; empty: none.
    pub query: String,
    pub headers: HeaderMap,
    /// The viewer's, where a policy forwards it, instead of the origin's own.
    pub host: Option<HeaderValue>,
    /// The viewer came over TLS.
    pub secure: bool,
    /// Cookies go to the origin, so its own are for whoever sent them (behaviour §5.6).
    pub with_cookies: bool,
}

impl Ask {
    /// A whole object.
    #[must_use]
    pub fn get(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            query: String::new(),
            headers: HeaderMap::new(),
            authorization: None,
            told: None,
            interims: None,
            early: None,
        }
    }

    /// The same once the viewer's handshake is over.
    #[must_use]
    pub fn no_longer_early(&self) -> Self {
        let mut ask = Self { early: None, ..self.clone() };
        if let Some(told) = &mut ask.told {
            Arc::make_mut(told).headers.remove(EARLY_DATA);
        }
        ask
    }
}

impl Ask {
    /// It may be asked again: it changes nothing, and has no body (behaviour §8.7).
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }

    /// Cookies go to the origin, so its own are for whoever sent them (behaviour §5.6).
    #[must_use]
    pub fn is_with_cookies(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.with_cookies)
    }

    /// It is meant to change something (RFC 9110 §9.2.1).
    #[must_use]
    pub fn is_write(&self) -> bool {
        !(self.is_repeatable() || self.method == Method::OPTIONS)
    }
}

/// Why a path may not be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unaskable {
    /// It names the bucket itself: a signed request for it lists or probes the bucket (s3 §2.1).
    NoKey,
    /// Its dot segments climb above where it begins. A literal key for S3; a way out of the origin path for whatever
    /// else on the way resolves them.
    Climbs,
}

/// May `origin` be asked for this decoded path? A bucket needs a key; of any other server only the origin path is kept to
/// (behaviour §1.5).
///
/// # Errors
/// [`Unaskable`]
pub fn check(decoded: &str, origin: &config::Origin) -> Result<(), Unaskable> {
    match &origin.kind {
        OriginKind::S3(_) => check_key(decoded, &origin.origin_path),
        OriginKind::Custom(_) if origin.origin_path.is_empty() => Ok(()),
        OriginKind::Custom(_) => check_key(decoded, &origin.origin_path),
    }
}

///
/// # Errors
/// [`Unaskable`], also for paths that only become the bucket's own once dot segments and empty ones are resolved:
/// S3 would take them literally, other stores might not.
fn check_key(decoded: &str, origin_path: &str) -> Result<(), Unaskable> {
    let mut depth = 0_usize;
    let mut named = !origin_path.is_empty();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => depth = depth.checked_sub(1).ok_or(Unaskable::Climbs)?,
            _ => depth += 1,
        }
    }
    named |= depth > 0;
    if named { Ok(()) } else { Err(Unaskable::NoKey) }
}

/// The target on the wire, which is also the one that is signed: the path decoded once and encoded strictly once, and
/// the query (s3 §1.2, §1.3).
#[must_use]
pub fn target(s3: &S3Origin, origin_path: &str, endpoint: &Endpoint, ask: &Ask) -> String {
    let mut target = String::with_capacity(ask.path.len() + ask.query.len() + 64);
    if endpoint.path_style {
        target.push('/');
        target.push_str(&s3.bucket);
    }
    target.push_str(&path::encode(origin_path));
    target.push_str(&path::encode(&ask.path));
    if !ask.query.is_empty() {
        target.push('?');
        target.push_str(&ask.query);
    }
    target
}

/// The complete head for a bucket, but for what signing adds.
///
/// # Errors
/// [`OriginError::Unsignable`] when the parts do not make an HTTP head; they always should.
pub fn head(
    ask: &Ask,
    (origin, s3): (&config::Origin, &S3Origin),
    endpoint: &Endpoint,
    user_agent: &HeaderValue,
) -> Result<Parts, OriginError> {
    const EXPECTED_OWNER: HeaderName = HeaderName::from_static("x-amz-expected-bucket-owner");
    let target = target(s3, &origin.origin_path, endpoint, ask);
    let mut parts = bare(&ask.method, target).ok_or(OriginError::Unsignable)?;
    parts.headers = ask.headers.clone();
    let host = HeaderValue::try_from(endpoint.authority()).map_err(|_| OriginError::Unsignable)?;
    parts.headers.insert(HOST, host);
    // The viewer's, where a policy takes it (behaviour §4.5).
    parts.headers.entry(USER_AGENT).or_insert_with(|| user_agent.clone());
    overwrite(&mut parts.headers, &origin.custom_headers);
    if let Some(owner) = &s3.expected_bucket_owner {
        let owner = HeaderValue::from_str(owner).map_err(|_| OriginError::Unsignable)?;
        parts.headers.insert(EXPECTED_OWNER, owner);
    }
    Ok(parts)
}

/// `None`: the target cannot stand in a request line.
pub(super) fn bare(method: &Method, target: String) -> Option<Parts> {
    let request = Request::builder().method(method).uri(target).version(Version::HTTP_11).body(());
    request.ok().map(|request| request.into_parts().0)
}

/// The origin's own headers take the place of the viewer's (behaviour §4.6). An `Accept-Encoding` that is blank takes
/// the viewer's away (behaviour §4.3).
pub(super) fn overwrite(headers: &mut HeaderMap, own: &HeaderMap) {
    for (name, value) in own {
        if name == ACCEPT_ENCODING && value.as_bytes().trim_ascii().is_empty() {
            headers.remove(name);
        } else {
            headers.insert(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_key_is_not_asked_for() {
        use Unaskable::*;
        let table = [
            ("/a", "", Ok(())),
            ("/", "", Err(NoKey)), // s3 §2.1
            ("//", "", Err(NoKey)),
            ("/.", "", Err(NoKey)),
            ("/a/..", "", Err(NoKey)),
            ("/", "/site", Ok(())), // the key "site/"
            ("/../other", "/site", Err(Climbs)),
            ("/a/../../other", "/site", Err(Climbs)),
            ("/a/../b", "/site", Ok(())),
            ("/./a", "", Ok(())),
            ("/a//b", "", Ok(())),
            ("/..a", "", Ok(())),
        ];
        for (decoded, origin_path, expected) in table {
            assert_eq!(check_key(decoded, origin_path), expected, "{decoded} under {origin_path:?}");
        }
    }
}
