//! Which parts of the request make the key?
//!
//! Distribution, raw path, and what the cache policy names of headers, query and cookies; OPTIONS apart from GET and
//! HEAD, which share theirs (behaviour §4.1). Always from the viewer's untouched request: two distributions in front
//! of one bucket never share an object. Neither scheme nor Host is part of it, unless the policy says so.

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HOST};
use http::{HeaderName, Method};

use super::encoding::Normalized;
use super::{cookies, query, viewer_header};
use crate::config::CachePolicy;
use crate::semantics::fields::Fields;
use crate::semantics::view::View;

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
pub(super) const SEPARATOR: char = '\n';

/// The key of a request. `accepted`: what is left of its `Accept-Encoding`.
#[must_use]
pub fn key(
    distribution: &str,
    view: &View<'_, impl Fields>,
    raw_path: &str,
    policy: &CachePolicy,
    accepted: Normalized,
) -> String {
    let headers = view.headers;
    let mut key = String::with_capacity(distribution.len() + raw_path.len() + 2 + 32 * policy.headers.len());
    key.push_str(distribution);
    key.push(SEPARATOR);
    key.push_str(raw_path);
    if view.method == Method::OPTIONS {
        key.push(SEPARATOR);
        key.push_str("OPTIONS");
        preflight(policy).for_each(|name| push(&mut key, name, headers));
    }
    for name in &policy.headers {
        if name == HOST {
            push_value(&mut key, HOST.as_str(), view.host.name.as_bytes()); // HTTP/2 has no such field
        } else {
            push(&mut key, name, headers);
        }
    }
    if let Some(codings) = accepted.in_key() {
        push_value(&mut key, ACCEPT_ENCODING.as_str(), codings.as_bytes());
    }
    for &header in &policy.viewer_headers {
        if let Some(value) = viewer_header::of_request(header, view) {
            push_value(&mut key, header.name(), value.as_bytes());
        }
    }
    push_query(&mut key, view.query, policy);
    push_cookies(&mut key, headers, policy);
    key
}

/// As the viewer wrote it; no header's name begins with `?`.
fn push_query(key: &mut String, query: Option<&str>, policy: &CachePolicy) {
    let mut delimiter = "\n?";
    for parameter in query::keyed(query, &policy.query_strings) {
        key.push_str(delimiter);
        key.push_str(parameter);
        delimiter = "&";
    }
}

/// Cookies are credentials more often than not, so all of them together are told apart by their digest.
fn push_cookies(key: &mut String, headers: &impl Fields, policy: &CachePolicy) {
    let cookies = cookies::keyed(headers, &policy.cookies);
    if !cookies.is_empty() {
        push_value(key, "cookie", digest(&cookies.join(&b"; "[..])).as_bytes());
    }
}

/// An absent field is not an empty one (behaviour §4.2).
fn push(key: &mut String, name: &HeaderName, headers: &impl Fields) {
    for value in headers.all(name) {
        if name == AUTHORIZATION {
            // Keys are kept for as long as their objects; a credential must not be.
            push_value(key, name.as_str(), digest(value).as_bytes());
        } else {
            push_value(key, name.as_str(), value);
        }
    }
}

/// Bytes above ASCII become what they are in Latin-1, so that different bytes stay different.
fn push_value(key: &mut String, name: &str, value: &[u8]) {
    key.push(SEPARATOR);
    key.push_str(name);
    key.push(':');
    key.extend(value.iter().map(|&byte| char::from(byte)));
}

/// SHA-256 in base64.
pub(super) fn digest(secret: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD_NO_PAD
        .encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Request, Version};

    use super::*;
    use crate::config::{Selection, ViewerHeader};
    use crate::semantics::view;

    fn policy(headers: &[&'static str]) -> CachePolicy {
        CachePolicy {
            headers: headers.iter().copied().map(HeaderName::from_static).collect(),
            ..CachePolicy::default()
        }
    }

    fn whitelist(names: &[&str]) -> Selection {
        Selection::Whitelist(names.iter().copied().map(Arc::from).collect())
    }

    type Fields<'a> = &'a [(&'a str, &'a [u8])];

    fn of(
        distribution: &str,
        method: &Method,
        target: &str,
        policy: &CachePolicy,
        fields: Fields<'_>,
    ) -> String {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .version(Version::HTTP_11)
            .header("host", "cdn.example");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let view = view::parse(&parts, true).unwrap();
        key(distribution, &view, view.raw_path, policy, Normalized::Untouched)
    }

    fn get(target: &str, policy: &CachePolicy, fields: Fields<'_>) -> String {
        of("d", &Method::GET, target, policy, fields)
    }

    fn assert_distinct(keys: &[String]) {
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len(), "{keys:?}");
    }

    #[test]
    fn get_and_head_share_a_key_that_options_has_not() {
        let key = |method| of("d", &method, "/a", &policy(&[]), &[]);
        assert_eq!(key(Method::GET), key(Method::HEAD));
        assert_ne!(key(Method::GET), key(Method::OPTIONS));
    }

    #[test]
    fn different_requests_have_different_keys() {
        // behaviour §4.1, §4.2: path as requested, header values case-sensitive, absent is not empty.
        let by_variant = policy(&["x-v"]);
        assert_distinct(&[
            get("/a", &by_variant, &[]),
            of("e", &Method::GET, "/a", &by_variant, &[]),
            get("/a/", &by_variant, &[]),
            get("/%61", &by_variant, &[]),
            get("/a", &by_variant, &[("x-v", b"")]),
            get("/a", &by_variant, &[("x-v", b"1")]),
            get("/a", &by_variant, &[("x-v", b"1"), ("x-v", b"2")]),
            get("/a", &by_variant, &[("x-v", b"1x-v:2")]),
            get("/a", &by_variant, &[("x-v", b"\xe9")]),
            get("/a", &by_variant, &[("x-v", b"\xc3\xa9")]),
        ]);
    }

    #[test]
    fn different_queries_and_cookies_have_different_keys() {
        // behaviour §4.2: order matters, no value is not an empty one.
        let all = CachePolicy { query_strings: Selection::All, cookies: Selection::All, ..policy(&["x-v"]) };
        assert_distinct(&[
            get("/a", &all, &[]),
            get("/a?x", &all, &[]),
            get("/a?x=", &all, &[]),
            get("/a?x=1", &all, &[]),
            get("/a?x=1&y=2", &all, &[]),
            get("/a?y=2&x=1", &all, &[]),
            get("/a?x=1&x=1", &all, &[]),
            get("/a?x=1;y=2", &all, &[]),
            get("/a?X=1", &all, &[]),
            get("/a", &all, &[("cookie", b"x=1")]),
            get("/a", &all, &[("cookie", b"x=1; y=2")]),
            get("/a?x", &all, &[("cookie", b"x=1")]),
            get("/a", &all, &[("x-v", b"?x")]),
        ]);
        assert_eq!(get("/a?", &all, &[]), get("/a", &all, &[]), "an empty query is none");
        let sorted = get("/a", &all, &[("cookie", b"x=1; y=2")]);
        assert_eq!(get("/a", &all, &[("cookie", b"y=2; x=1")]), sorted);
    }

    #[test]
    fn the_host_and_what_the_edge_makes() {
        let by_host = policy(&["host"]);
        assert_ne!(get("/a", &by_host, &[]), get("https://cdn.example/b", &by_host, &[]));
        assert!(get("/a", &by_host, &[]).ends_with("\nhost:cdn.example"));
        let by_proto = CachePolicy { viewer_headers: vec![ViewerHeader::ForwardedProto], ..policy(&[]) };
        let forged = get("/a", &by_proto, &[("cloudfront-forwarded-proto", b"http")]); // behaviour §4.7
        assert_eq!(forged, "d\n/a\ncloudfront-forwarded-proto:https");
    }

    #[test]
    fn a_credential_tells_keys_apart_and_is_not_in_them() {
        let by_viewer = CachePolicy { cookies: whitelist(&["session"]), ..policy(&["authorization"]) };
        let of = |secret: &[u8], cookie: &[u8]| {
            get("/a", &by_viewer, &[("authorization", secret), ("cookie", cookie)])
        };
        let key = of(b"Bearer one", b"session=secret");
        assert_ne!(key, of(b"Bearer two", b"session=secret"));
        assert_ne!(key, of(b"Bearer one", b"session=other"));
        assert!(!key.contains("one") && !key.contains("secret"), "{key}");
    }

    /// behaviour §4.3
    #[test]
    fn the_codings_that_a_viewer_takes() {
        let (parts, ()) = Request::builder().uri("/a").header("host", "h").body(()).unwrap().into_parts();
        let view = view::parse(&parts, true).unwrap();
        let of = |accepted| key("d", &view, "/a", &policy(&[]), accepted);
        assert_eq!(of(Normalized::Both), "d\n/a\naccept-encoding:br,gzip");
        assert_distinct(
            &[Normalized::Absent, Normalized::Gzip, Normalized::Brotli, Normalized::Both].map(of),
        );
        assert_eq!(of(Normalized::Identity), of(Normalized::Absent));
        assert_eq!(of(Normalized::Untouched), "d\n/a");
    }

    #[test]
    fn what_the_policy_does_not_name_is_not_in_the_key() {
        let plain = get("/a", &policy(&[]), &[]);
        let noisy: Fields<'_> = &[("x-v", b"1"), ("cookie", b"a=b"), ("accept-encoding", b"gzip")];
        assert_eq!(plain, get("/a?x=1", &policy(&[]), noisy));
    }
}
