//! The head that will be sent: one strictly encoded path, and nothing of the viewer's but what was chosen for it.

use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};

use super::error::OriginError;
use crate::config::{self, Endpoint};
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
        }
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

/// May this decoded path be asked for?
///
/// # Errors
/// [`Unaskable`], also for paths that only become the bucket's own once dot segments and empty ones are resolved:
/// S3 would take them literally, other stores might not.
pub fn check(decoded: &str, origin_path: &str) -> Result<(), Unaskable> {
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
pub fn target(origin: &config::Origin, endpoint: &Endpoint, ask: &Ask) -> String {
    let mut target = String::with_capacity(ask.path.len() + ask.query.len() + 64);
    if endpoint.path_style {
        target.push('/');
        target.push_str(&origin.bucket);
    }
    target.push_str(&path::encode(&origin.origin_path));
    target.push_str(&path::encode(&ask.path));
    if !ask.query.is_empty() {
        target.push('?');
        target.push_str(&ask.query);
    }
    target
}

/// The complete head, but for what signing adds.
///
/// # Errors
/// [`OriginError::Unsignable`] when the parts do not make an HTTP head; they always should.
pub fn head(
    ask: &Ask,
    origin: &config::Origin,
    endpoint: &Endpoint,
    user_agent: &HeaderValue,
) -> Result<Parts, OriginError> {
    const EXPECTED_OWNER: HeaderName = HeaderName::from_static("x-amz-expected-bucket-owner");
    let unsignable = |_| OriginError::Unsignable;
    let request = Request::builder()
        .method(&ask.method)
        .uri(target(origin, endpoint, ask))
        .version(Version::HTTP_11)
        .body(())
        .map_err(unsignable)?;
    let (mut parts, ()) = request.into_parts();
    parts.headers = ask.headers.clone();
    let host = HeaderValue::try_from(endpoint.authority()).map_err(|_| OriginError::Unsignable)?;
    parts.headers.insert(HOST, host);
    // The viewer's, where a policy takes it (behaviour §4.5).
    parts.headers.entry(USER_AGENT).or_insert_with(|| user_agent.clone());
    if let Some(owner) = &origin.expected_bucket_owner {
        let owner = HeaderValue::from_str(owner).map_err(|_| OriginError::Unsignable)?;
        parts.headers.insert(EXPECTED_OWNER, owner);
    }
    Ok(parts)
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
            assert_eq!(check(decoded, origin_path), expected, "{decoded} under {origin_path:?}");
        }
    }
}
