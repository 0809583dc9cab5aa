//! May this answer be stored?

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT_RANGES, ETAG, VARY};
use http::{HeaderMap, Method, StatusCode};

use super::freshness::{self, Lifetime};
use crate::clock::Timestamp;
use crate::config::Behavior;

/// How long a key is remembered as not cacheable, so that its viewers do not queue behind each other's fetches.
/// Short: the next answer may be another one.
pub const REMEMBERED: Duration = Duration::from_secs(10);

/// What to do with an answer that is not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// In one.
    Store(Lifetime),
    /// In slices of this version, for it is large.
    Slices(Lifetime, Arc<str>),
    No(NotStored),
}

/// Why an answer is for one viewer only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStored {
    /// The policy's TTLs are all zero.
    CachingDisabled,
    /// Not one of the behaviour's cached methods.
    Method,
    /// Its body is larger than may be kept.
    TooLarge,
    /// Its headers and the policy together make a TTL of zero.
    ZeroTtl,
    /// Only whole answers and redirects are kept.
    Status,
    /// Its end cannot be told from a lost connection.
    Unframed,
    /// `Vary: *`: no later request is known to match (RFC 9110 §12.5.5).
    VaryAny,
}

/// May a request of this method use the cache at all (behaviour §2.2, §5.7)?
///
/// # Errors
/// The reason why not.
pub fn request(behavior: &Behavior, method: &Method) -> Result<(), NotStored> {
    if behavior.cache_policy.caching_disabled() {
        Err(NotStored::CachingDisabled)
    } else if method == Method::OPTIONS && !behavior.cache_options {
        Err(NotStored::Method)
    } else {
        Ok(())
    }
}

/// An answer's head, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    pub status: StatusCode,
    pub headers: &'a HeaderMap,
    /// Bytes of the body, if announced.
    pub length: Option<u64>,
    /// The body's end is marked: by its length or by chunks.
    pub framed: bool,
}

/// May this answer be stored, how, and for how long? `max_object`: bytes of the largest that is kept in one.
#[must_use]
pub fn response(answer: Answer<'_>, behavior: &Behavior, max_object: u64, now: Timestamp) -> Admission {
    let large = answer.length.is_some_and(|length| length > max_object);
    let version = if large && answer.status == StatusCode::OK { version(answer.headers) } else { None };
    let refused = if !is_kept(answer.status) {
        Some(NotStored::Status)
    } else if !answer.framed {
        Some(NotStored::Unframed)
    } else if large && version.is_none() {
        Some(NotStored::TooLarge)
    } else if answer.headers.get_all(VARY).iter().any(|value| value.as_bytes().contains(&b'*')) {
        Some(NotStored::VaryAny)
    } else {
        None
    };
    if let Some(why) = refused {
        return Admission::No(why);
    }
    let lifetime = freshness::lifetime(&behavior.cache_policy, answer.headers, now);
    let stale_at_once = lifetime.ttl <= lifetime.initial_age;
    match version {
        _ if stale_at_once => Admission::No(NotStored::ZeroTtl),
        Some(version) => Admission::Slices(lifetime, version),
        None => Admission::Store(lifetime),
    }
}

/// The name of these bytes, by which parts of them can be asked for (RFC 9110 §8.8.3, §14.3).
fn version(headers: &HeaderMap) -> Option<Arc<str>> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    let strong = etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"');
    let ranges =
        headers.get(ACCEPT_RANGES).is_some_and(|unit| unit.as_bytes().eq_ignore_ascii_case(b"bytes"));
    (strong && ranges).then(|| Arc::from(etag))
}

/// behaviour §5.6, RFC 9110 §15.1. Errors have rules of their own.
fn is_kept(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 302 | 307 | 308)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::config::{Asks, CachePolicy, ViewerProtocolPolicy};

    fn behavior(min: u64, default: u64, max: u64, cache_options: bool) -> Behavior {
        Behavior {
            encoding: crate::config::Encoding::default(),
            path_pattern: "*".into(),
            origin: 0,
            viewer_protocol_policy: ViewerProtocolPolicy::AllowAll,
            allow_writes: false,
            asks: Asks::default(),
            allow_options: true,
            cache_options,
            cache_policy: Arc::new(CachePolicy {
                name: "test".into(),
                min_ttl: Duration::from_secs(min),
                default_ttl: Duration::from_secs(default),
                max_ttl: Duration::from_secs(max),
                ..CachePolicy::default()
            }),
            response_headers_policy: None,
            origin_request_policy: None,
            failover: None,
        }
    }

    #[test]
    fn which_requests_use_the_cache() {
        let table = [
            (Method::GET, behavior(1, 2, 3, false), Ok(())),
            (Method::HEAD, behavior(1, 2, 3, false), Ok(())),
            (Method::OPTIONS, behavior(1, 2, 3, true), Ok(())),
            (Method::OPTIONS, behavior(1, 2, 3, false), Err(NotStored::Method)), // behaviour §2.2
            (Method::GET, behavior(0, 0, 0, false), Err(NotStored::CachingDisabled)), // behaviour §5.1
        ];
        for (method, behavior, expected) in table {
            assert_eq!(request(&behavior, &method), expected, "{method}");
        }
    }

    #[test]
    fn which_answers_are_stored() {
        use NotStored::*;
        let none: &[(&'static str, &'static str)] = &[];
        let table = [
            (200, none, Some(5), true, None),
            (200, none, None, true, None), // chunked
            (200, none, None, false, Some(Unframed)),
            (200, none, Some(101), true, Some(TooLarge)),
            (200, none, Some(100), true, None),
            (206, none, Some(5), true, Some(Status)),
            (204, none, Some(0), true, None),
            (301, none, Some(5), true, None), // behaviour §5.6
            (302, none, Some(5), true, None),
            (303, none, Some(5), true, Some(Status)),
            (200, &[("vary", "Origin, *")], Some(5), true, Some(VaryAny)),
            (200, &[("cache-control", "no-store")], Some(5), true, Some(ZeroTtl)), // behaviour §5.1, m = 0
            (200, &[("cache-control", "private")], Some(5), true, Some(ZeroTtl)),
        ];
        for (status, fields, length, framed, refused) in table {
            let headers = fields
                .iter()
                .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
                .collect();
            let answer =
                Answer { status: StatusCode::from_u16(status).unwrap(), headers: &headers, length, framed };
            match response(answer, &behavior(0, 60, 600, false), 100, Timestamp::from_secs(1000)) {
                Admission::Store(lifetime) | Admission::Slices(lifetime, _) => {
                    assert_eq!(refused, None, "{answer:?}");
                    assert_eq!(lifetime.ttl, Duration::from_secs(60), "{answer:?}");
                }
                Admission::No(why) => assert_eq!(refused, Some(why), "{answer:?}"),
            }
        }
    }
}
