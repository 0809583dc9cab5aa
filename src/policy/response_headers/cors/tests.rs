use std::sync::Arc;

use super::*;
use crate::config::response_headers::AllowHeaders;

fn pattern(scheme: Option<&str>, host: &str, port: Option<&str>) -> OriginPattern {
    let tail = host.strip_prefix('*');
    OriginPattern {
        scheme: scheme.map(Arc::from),
        host: Arc::from(tail.unwrap_or(host)),
        subdomains: tail.is_some(),
        port: port.map(Arc::from),
    }
}

/// The table of behaviour §9.4. Where it is reconstructed, the stricter reading: no port, no match.
#[test]
fn origins_match_by_scheme_host_and_port() {
    let star_example = || pattern(None, "*.example.org", None);
    let table: &[(OriginPattern, &[&str], &[&str])] = &[
        (
            pattern(Some("http"), "*.example.org", None),
            &["http://www.example.org", "http://test.example.org", "HTTP://Test.Example.org"],
            &["https://test.example.org", "http://test.example.org:123", "http://example.org"],
        ),
        (
            star_example(),
            &["http://test.example.org", "https://test.test.example.org", "https://.example.org"],
            &["https://example.org", "https://test.example.org:123", "https://badexample.org"],
        ),
        (
            pattern(None, "example.org", None),
            &["http://example.org", "https://example.org"],
            &["https://www.example.org", "https://example.org.evil.test", "example.org", "null", ""],
        ),
        (
            pattern(Some("http"), "example.org", None),
            &["http://example.org"],
            &["https://example.org", "http://example.org:123"],
        ),
        (
            pattern(Some("http"), "example.org", Some("*")),
            &["http://example.org:123", "http://example.org"],
            &["https://example.org", "http://example.org:", "http://example.org:1a"],
        ),
        (
            pattern(Some("http"), "example.org", Some("1*3")),
            &["http://example.org:123", "http://example.org:1893", "http://example.org:13"],
            &["http://example.org", "http://example.org:124", "http://example.org:1"],
        ),
        (
            pattern(None, "*.example.org", Some("1*")),
            &["https://test.example.org:123"],
            &["https://test.example.org:23", "https://test.example.org"],
        ),
        // What a match by suffix must not be talked into.
        (
            star_example(),
            &[],
            &[
                "https://evil.test/.example.org",
                "https://evil.test?.example.org",
                "https://evil.test#.example.org",
                "https://evil.test, https://a.example.org",
                "https://user@a.example.org",
            ],
        ),
        (pattern(None, "[::1]", Some("8080")), &["http://[::1]:8080"], &["http://[::1]"]),
        (pattern(None, "[::1]", None), &["http://[::1]"], &["http://[::1]:80"]),
    ];
    for (pattern, matching, others) in table {
        let matches = |origin: &str| Parts::of(origin).is_some_and(|parts| parts.match_pattern(pattern));
        for origin in *matching {
            assert!(matches(origin), "{pattern:?} {origin}");
        }
        for origin in *others {
            assert!(!matches(origin), "{pattern:?} {origin}");
        }
    }
}

/// behaviour §9.4
#[test]
fn headers_match_by_pattern() {
    for (pattern, name, expected) in [
        ("x-amz-*", "x-amz-test", true),
        ("x-amz-*", "x-amz-", true),
        ("x-amz-*", "x-amz", false),
        ("x-*-amz", "x-test-amz", true),
        ("x-*-amz", "x--amz", true),
        ("x-*-amz", "x-amz", false),
        ("*", "x-a", true),
        ("*", "authorization", false),
        ("author*", "authorization", true),
        ("a*b*c", "abc", true),
        ("a*b*c", "acb", false),
        ("a*b*b", "ab", false),
        ("a**c", "abc", true),
    ] {
        assert_eq!(allows(pattern, name), expected, "{pattern} {name}");
    }
}

#[test]
fn what_is_asked_for_and_matched_is_said_beside_what_is_listed() {
    let allowed = |listed: &'static str, patterns: &[&str]| AllowHeaders {
        listed: (!listed.is_empty()).then(|| HeaderValue::from_static(listed)),
        patterns: patterns.iter().map(|pattern| Arc::from(*pattern)).collect(),
    };
    for (allowed, asked, expected) in [
        (allowed("X-A, X-B", &[]), "x-c", Some("X-A, X-B")),
        (allowed("*", &[]), "x-c", Some("*")),
        (allowed("X-A", &["x-amz-*"]), "x-a,x-amz-b , x-c", Some("X-A, x-amz-b")),
        (allowed("", &["x-amz-*"]), "x-amz-b,x-amz-b,x-amz-c", Some("x-amz-b, x-amz-c")),
        (allowed("", &["x-amz-*"]), "x-c,, \u{7f}", None),
        (allowed("", &["*"]), "authorization,x-c", Some("x-c")),
        (allowed("Authorization", &["*"]), "authorization,x-c", Some("Authorization, x-c")),
    ] {
        let mut fields = HeaderMap::new();
        fields.insert(
            ACCESS_CONTROL_REQUEST_HEADERS,
            HeaderValue::from_bytes(asked.as_bytes()).unwrap_or(HeaderValue::from_static("")),
        );
        let value = allow_headers(&allowed, &fields);
        assert_eq!(value.as_ref().and_then(|value| value.to_str().ok()), expected, "{allowed:?} {asked}");
    }
}

#[test]
fn a_viewer_cannot_make_the_answer_large() {
    let allowed = AllowHeaders { listed: None, patterns: vec![Arc::from("*")] };
    let names: Vec<_> = (0..5_000).map(|n| format!("x-{n}")).collect();
    let mut fields = HeaderMap::new();
    fields.insert(ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::try_from(names.join(",")).unwrap());
    let value = allow_headers(&allowed, &fields).unwrap();
    assert!((MAX_VALUE - 10..=MAX_VALUE).contains(&value.len()), "{}", value.len());
}

#[test]
fn vary_is_said_once() {
    for (fields, expected) in [
        (&[][..], "Origin"),
        (&["Accept-Encoding"], "Accept-Encoding, Origin"),
        (&["a", "b"], "a, b, Origin"),
        (&["a, origin"], "a, origin"),
        (&["*"], "*"),
    ] {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(VARY, HeaderValue::from_static(field));
        }
        vary_by_origin(&mut headers);
        let all: Vec<_> = headers.get_all(VARY).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(all, [expected], "{fields:?}");
    }
}
