//! Which parts of the request make the key?
//!
//! Distribution, raw path, and the headers that the cache policy names; OPTIONS apart from GET and HEAD, which share
//! theirs (behaviour §4.1). Always from the viewer's untouched request: two distributions in front of one bucket
//! never share an object. Neither scheme nor Host is part of it.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Method};

use crate::config::CachePolicy;

/// Fields that an answer to OPTIONS depends on: a preflight means nothing without them.
static PREFLIGHT: [HeaderName; 3] = [
    http::header::ORIGIN,
    http::header::ACCESS_CONTROL_REQUEST_METHOD,
    http::header::ACCESS_CONTROL_REQUEST_HEADERS,
];

/// What an answer to OPTIONS depends on beside what the policy names.
pub fn preflight(policy: &CachePolicy) -> impl Iterator<Item = &HeaderName> {
    PREFLIGHT.iter().filter(|name| !policy.headers.contains(name))
}

/// Ends each part. No path and no header value can hold it, so no two requests run into one key.
const SEPARATOR: char = '\n';

/// The key of a request.
#[must_use]
pub fn key(
    distribution: &str,
    method: &Method,
    raw_path: &str,
    policy: &CachePolicy,
    headers: &HeaderMap,
) -> String {
    let mut key = String::with_capacity(distribution.len() + raw_path.len() + 2 + 32 * policy.headers.len());
    key.push_str(distribution);
    key.push(SEPARATOR);
    key.push_str(raw_path);
    if method == Method::OPTIONS {
        key.push(SEPARATOR);
        key.push_str("OPTIONS");
        preflight(policy).for_each(|name| push(&mut key, name, headers));
    }
    policy.headers.iter().for_each(|name| push(&mut key, name, headers));
    key
}

/// An absent field is not an empty one (behaviour §4.2).
fn push(key: &mut String, name: &HeaderName, headers: &HeaderMap) {
    for value in headers.get_all(name) {
        key.push(SEPARATOR);
        key.push_str(name.as_str());
        key.push(':');
        if name == AUTHORIZATION {
            // Keys are kept for as long as their objects; a credential must not be.
            key.push_str(&digest(value.as_bytes()));
        } else {
            // Bytes above ASCII become what they are in Latin-1, so that different bytes stay different.
            key.extend(value.as_bytes().iter().map(|&byte| char::from(byte)));
        }
    }
}

/// SHA-256 in base64.
fn digest(secret: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD_NO_PAD
        .encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;

    fn policy(headers: &[&'static str]) -> CachePolicy {
        CachePolicy {
            name: "test".into(),
            min_ttl: Duration::ZERO,
            default_ttl: Duration::ZERO,
            max_ttl: Duration::ZERO,
            headers: headers.iter().copied().map(HeaderName::from_static).collect(),
        }
    }

    fn request(fields: &[(&'static str, &'static [u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    #[test]
    fn get_and_head_share_a_key_that_options_has_not() {
        let key = |method| key("d", &method, "/a", &policy(&[]), &HeaderMap::new());
        assert_eq!(key(Method::GET), key(Method::HEAD));
        assert_ne!(key(Method::GET), key(Method::OPTIONS));
    }

    #[test]
    fn different_requests_have_different_keys() {
        // behaviour §4.1, §4.2: path as requested, header values case-sensitive, absent is not empty.
        let by_variant = policy(&["x-v"]);
        let keys = [
            key("d", &Method::GET, "/a", &by_variant, &request(&[])),
            key("e", &Method::GET, "/a", &by_variant, &request(&[])),
            key("d", &Method::GET, "/a/", &by_variant, &request(&[])),
            key("d", &Method::GET, "/%61", &by_variant, &request(&[])),
            key("d", &Method::GET, "/a", &by_variant, &request(&[("x-v", b"")])),
            key("d", &Method::GET, "/a", &by_variant, &request(&[("x-v", b"1")])),
            key("d", &Method::GET, "/a", &by_variant, &request(&[("x-v", b"1"), ("x-v", b"2")])),
            key("d", &Method::GET, "/a", &by_variant, &request(&[("x-v", b"1x-v:2")])),
            key("d", &Method::GET, "/a", &by_variant, &request(&[("x-v", b"\xe9")])),
            key("d", &Method::GET, "/a", &by_variant, &request(&[("x-v", b"\xc3\xa9")])),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len(), "{keys:?}");
    }

    #[test]
    fn a_credential_tells_keys_apart_and_is_not_in_them() {
        let by_viewer = policy(&["authorization"]);
        let of = |secret| key("d", &Method::GET, "/a", &by_viewer, &request(&[("authorization", secret)]));
        assert_ne!(of(b"Bearer one"), of(b"Bearer two"));
        assert!(!of(b"Bearer one").contains("one"));
    }

    #[test]
    fn what_the_policy_does_not_name_is_not_in_the_key() {
        let plain = key("d", &Method::GET, "/a", &policy(&[]), &request(&[]));
        let noisy = request(&[("x-v", b"1"), ("cookie", b"a=b"), ("accept-encoding", b"gzip")]);
        assert_eq!(plain, key("d", &Method::GET, "/a", &policy(&[]), &noisy));
    }
}
