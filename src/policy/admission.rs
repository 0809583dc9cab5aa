//! May this answer be stored?

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT_RANGES, ETAG, LAST_MODIFIED};
use http::{HeaderMap, Method, StatusCode};

use super::freshness::{self, Lifetime, keeps_out, remaining};
use super::vary::{self, Vary};
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
    /// Its headers and the policy together make a TTL of zero, and it may not be kept to ask about, or has nothing to ask
    /// by.
    ZeroTtl,
    /// Not of a status that is kept, or not without a time of its own.
    Status,
    /// Its end cannot be told from a lost connection, and it is a bucket's.
    Unframed,
    /// `Vary: *`: no later request is known to match (RFC 9110 §12.5.5). Or so many fields that it comes to the same.
    VaryAny,
}

impl NotStored {
    /// The word in `Cache-Status`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CachingDisabled => "caching-disabled",
            Self::Method => "method",
            Self::TooLarge => "too-large",
            Self::ZeroTtl => "zero-ttl",
            Self::Status => "status",
            Self::Unframed => "unframed",
            Self::VaryAny => "vary-any",
        }
    }
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
    let ok = answer.status == StatusCode::OK;
    let large = answer.length.is_some_and(|length| length > max_object);
    let version = if large && ok { version(answer.headers) } else { None };
    let policy = &behavior.cache_policy;
    let control = freshness::control(policy, answer.headers);
    let timed = || remaining(policy, &control, answer.headers, now).is_some();
    let known = match rule(answer.status) {
        Rule::Plain => true,
        Rule::Timed => timed(),
        Rule::Unknown => timed() && !control.must_understand,
        Rule::Never => false,
    };
    // A custom origin may end its body by closing (behaviour §6); a bucket always says how long it is.
    let has_end = answer.framed || behavior.asks.custom || answer.status == StatusCode::NO_CONTENT;
    let refused = if !known {
        Some(NotStored::Status)
    } else if !has_end {
        Some(NotStored::Unframed)
    } else if large && version.is_none() {
        Some(NotStored::TooLarge)
    } else if vary::of(answer.headers, behavior) == Vary::Any {
        Some(NotStored::VaryAny)
    } else {
        None
    };
    if let Some(why) = refused {
        return Admission::No(why);
    }
    let lifetime = freshness::lifetime(policy, answer.headers, now);
    // Without a validator there is nothing to ask about: each viewer's answer is a new one, and one to keep would only
    // take room from others.
    let validated = || [ETAG, LAST_MODIFIED].iter().any(|name| answer.headers.contains_key(name));
    let keep = if !lifetime.is_never_fresh() || policy.keep_uncacheable_for_errors {
        true
    } else {
        !keeps_out(&control) && validated()
    };
    match version {
        _ if !keep => Admission::No(NotStored::ZeroTtl),
        // Of a last resort all must be there.
        Some(_) if lifetime.last_resort && lifetime.is_never_fresh() => Admission::No(NotStored::ZeroTtl),
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

/// Which statuses are kept (behaviour §5.6; RFC 9111 §3; errors: behaviour §8.1).
enum Rule {
    /// By the table of behaviour §5.1.
    Plain,
    /// Only with a time of its own: neither book says that a default may stand for it.
    Timed,
    /// The same, unless caches must know it.
    Unknown,
    Never,
}

fn rule(status: StatusCode) -> Rule {
    match status.as_u16() {
        200 | 203 | 204 | 300 | 301 | 302 | 307 | 308 => Rule::Plain,
        206 | 304 => Rule::Never, // no answer by itself
        200..=399 if status.canonical_reason().is_none() => Rule::Unknown,
        200..=399 => Rule::Timed,
        _ => Rule::Never,
    }
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
    fn what_is_kept_to_be_asked_about_or_for_an_origin_that_is_gone() {
        // behaviour §5.1: m = 0, and the retention note
        let table = [
            ("max-age=0", Some(false), Some(false)),
            ("s-maxage=0", Some(false), Some(false)),
            ("no-cache", Some(false), Some(true)),
            ("no-store", None, Some(true)),
            ("private, max-age=60", None, Some(true)),
        ];
        for (control, by_default, when_asked_for) in table {
            for (keep, expected) in [(false, by_default), (true, when_asked_for)] {
                let mut behavior = behavior(0, 60, 600, false);
                Arc::make_mut(&mut behavior.cache_policy).keep_uncacheable_for_errors = keep;
                let headers = [("cache-control", control), ("etag", "\"1\"")]
                    .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)));
                let headers = HeaderMap::from_iter(headers);
                let answer =
                    Answer { status: StatusCode::OK, headers: &headers, length: Some(5), framed: true };
                let stored = match response(answer, &behavior, 100, Timestamp::from_secs(1000)) {
                    Admission::Store(lifetime) => {
                        assert!(lifetime.is_never_fresh(), "{control}");
                        Some(lifetime.last_resort)
                    }
                    other => {
                        assert!(matches!(other, Admission::No(_)), "{control}: {other:?}");
                        None
                    }
                };
                assert_eq!(stored, expected, "{control}, keep: {keep}");
            }
        }
    }

    #[test]
    fn a_body_that_ends_by_closing_is_kept_of_custom_origins_only() {
        let headers = HeaderMap::new();
        let answer = Answer { status: StatusCode::OK, headers: &headers, length: None, framed: false };
        // behaviour §6: close-delimited is delivered and cached
        for (s3, custom, kept) in [(true, false, false), (false, true, true), (true, true, true)] {
            let behavior = Behavior { asks: Asks { s3, custom }, ..behavior(0, 60, 600, false) };
            let found = response(answer, &behavior, 100, Timestamp::from_secs(1000));
            assert_eq!(matches!(found, Admission::Store(_)), kept, "{s3} {custom}: {found:?}");
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
            (204, none, None, false, None), // it has no body, so no end to mark
            (301, none, Some(0), true, None), // behaviour §5.6
            (302, none, Some(0), true, None),
            (303, none, Some(0), true, Some(Status)),
            (303, &[("cache-control", "max-age=60")], Some(0), true, None), // RFC 9111 §3
            (308, none, Some(0), true, None),
            (201, none, Some(0), true, Some(Status)),
            (299, none, Some(5), true, Some(Status)),
            (299, &[("cache-control", "max-age=60")], Some(5), true, None),
            (299, &[("cache-control", "max-age=60, must-understand")], Some(5), true, Some(Status)),
            (200, &[("cache-control", "max-age=60, no-store, must-understand")], Some(5), true, None), // RFC 9111 §5.2.2.3
            (200, &[("vary", "Origin, *")], Some(5), true, Some(VaryAny)),
            (200, &[("cache-control", "no-store")], Some(5), true, Some(ZeroTtl)), // behaviour §5.1, m = 0
            (200, &[("cache-control", "private")], Some(5), true, Some(ZeroTtl)),
            (200, &[("cache-control", "private"), ("etag", "\"1\"")], Some(5), true, Some(ZeroTtl)),
            (200, &[("cache-control", "no-cache")], Some(5), true, Some(ZeroTtl)),
            (200, &[("cache-control", "max-age=0")], Some(5), true, Some(ZeroTtl)),
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
