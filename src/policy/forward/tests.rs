use std::sync::Arc;

use http::Request;

use super::*;
use crate::config::{Asks, OriginRequestPolicy, ViewerProtocolPolicy};
use crate::semantics::view;

fn list(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().copied().map(Arc::from).collect()
}

fn whitelist(names: &[&str]) -> Selection {
    Selection::Whitelist(list(names))
}

fn all_except(names: &[&str]) -> Selection {
    Selection::AllExcept(list(names))
}

/// behaviour §4.4, the table of combinations: of `c` (named by the cache policy), `r` (by the origin request
/// policy), `b` (by both) and `n` (by neither), which go.
#[test]
fn how_two_policies_combine() {
    use Selection::{All, None};
    let (cache, request) = (&["c", "b"], &["r", "b"]);
    let table = [
        (None, None, ""),
        (None, All, "crbn"),
        (None, whitelist(request), "rb"),
        (None, all_except(request), "cn"),
        (All, None, "crbn"),
        (All, All, "crbn"),
        (All, whitelist(request), "crbn"),
        (All, all_except(request), "crbn"), // the cache policy wins
        (whitelist(cache), None, "cb"),
        (whitelist(cache), All, "crbn"),
        (whitelist(cache), whitelist(request), "crb"),
        (whitelist(cache), all_except(request), "cbn"), // `b`, even if blocked
        (all_except(cache), None, "rn"),
        (all_except(cache), All, "crbn"),
        (all_except(cache), whitelist(request), "rbn"), // the origin request policy's allowance wins
        (all_except(cache), all_except(request), "n"),
    ];
    for (cache, request, expected) in table {
        let going: String =
            ["c", "r", "b", "n"].into_iter().filter(|name| takes(&cache, &request, name)).collect();
        assert_eq!(going, expected, "{cache:?} and {request:?}");
    }
}

fn behavior(keyed: &[&'static str], headers: Selection, made: &[ViewerHeader]) -> Behavior {
    Behavior {
        encoding: crate::config::Encoding::default(),
        path_pattern: "*".into(),
        origin: 0,
        viewer_protocol_policy: ViewerProtocolPolicy::AllowAll,
        allow_writes: false,
        asks: Asks::default(),
        allow_options: true,
        cache_options: false,
        cache_policy: Arc::new(CachePolicy {
            headers: keyed.iter().copied().map(HeaderName::from_static).collect(),
            ..CachePolicy::default()
        }),
        response_headers_policy: None,
        failover: None,
        origin_request_policy: Some(Arc::new(OriginRequestPolicy {
            headers,
            viewer_headers: made.to_vec(),
            ..OriginRequestPolicy::default()
        })),
    }
}

/// `name: value` of what goes, sorted.
fn told(behavior: &Behavior, method: Method, fields: &[(&str, &[u8])]) -> Result<Vec<String>, Unforwardable> {
    let mut request = Request::builder().method(method).uri("/a").header("host", "cdn.example.com");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let view = view::parse(&parts, true).unwrap();
    let headers = super::headers(behavior, &view, "192.0.2.1:5".parse().unwrap())?;
    let text = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
    let mut lines: Vec<_> = headers.iter().map(text).collect();
    lines.sort();
    Ok(lines)
}

#[test]
fn which_headers_go_to_s3() {
    let viewer: &[(&str, &[u8])] = &[
        ("origin", b"https://a.example"),
        ("x-a", b"1"),
        ("x-a", b"2"),
        ("user-agent", b"ua"),
        ("authorization", b"Bearer 1"),
        ("cookie", b"a=b"),
        ("accept-encoding", b"gzip"),
        ("range", b"bytes=0-1"),
        ("if-none-match", b"\"1\""),
        ("x-amz-acl", b"public-read"),
        ("x-edge-a", b"1"),
        ("x-forwarded-for", b"192.0.2.9"),
        ("cloudfront-viewer-country", b"XX"),
        ("connection", b"x-hop, close"),
        ("x-hop", b"1"),
        ("x-bytes", b"\xe9"),
        ("content-md5", b"x"),
    ];
    let (a1, a2, origin, agent) = ("x-a: 1", "x-a: 2", "origin: https://a.example", "user-agent: ua");
    let table: [(Behavior, &[&str]); 8] = [
        (behavior(&[], Selection::None, &[]), &[]), // behaviour §4.4: nothing of the viewer's
        (behavior(&["x-a"], Selection::None, &[]), &[a1, a2]),
        (behavior(&[], Selection::All, &[]), &[origin, agent, a1, a2]),
        (behavior(&[], all_except(&["x-a"]), &[]), &[origin, agent]),
        (behavior(&["x-a"], all_except(&["x-a"]), &[]), &[origin, agent, a1, a2]),
        (behavior(&[], whitelist(&["origin", "host", "x-amz-acl"]), &[]), &[origin]),
        (
            behavior(&["authorization", "accept-encoding", "host"], Selection::None, &[]),
            &["authorization: Bearer 1"],
        ),
        (behavior(&["x-a"], whitelist(&["x-a"]), &[]), &[a1, a2]), // once
    ];
    for (behavior, expected) in table {
        assert_eq!(told(&behavior, Method::GET, viewer).unwrap(), expected, "{behavior:?}");
    }
}

#[test]
fn a_viewer_cannot_forge_what_the_edge_makes() {
    // behaviour §4.7
    let made = behavior(&[], Selection::All, &[ViewerHeader::ForwardedProto, ViewerHeader::Address]);
    let forged: &[(&str, &[u8])] =
        &[("cloudfront-forwarded-proto", b"http"), ("cloudfront-viewer-address", b"127.0.0.1:1")];
    let expected = ["cloudfront-forwarded-proto: https", "cloudfront-viewer-address: 192.0.2.1:5"];
    assert_eq!(told(&made, Method::GET, forged).unwrap(), expected);
}

#[test]
fn a_preflight_takes_along_what_it_is_about() {
    let fields: &[(&str, &[u8])] =
        &[("origin", b"o"), ("access-control-request-method", b"GET"), ("x-a", b"1")];
    let expected = ["access-control-request-method: GET", "origin: o"];
    assert_eq!(told(&behavior(&[], Selection::None, &[]), Method::OPTIONS, fields).unwrap(), expected);
}

#[test]
fn a_credential_that_goes_without_a_policy_is_not_shown() {
    let behavior = behavior(&[], Selection::None, &[]);
    for (method, goes) in [(Method::PUT, true), (Method::GET, false)] {
        let request = Request::builder().method(method).uri("/a").header("host", "h");
        let (parts, ()) = request.header("authorization", "hush").body(()).unwrap().into_parts();
        let kept = kept_authorization(&behavior, &view::parse(&parts, true).unwrap());
        assert_eq!(kept.is_some(), goes);
        assert!(!format!("{kept:?}").contains("hush"));
    }
}

#[test]
fn what_cannot_be_put_to_s3() {
    let keyed = behavior(&["x-a"], Selection::None, &[]);
    assert_eq!(told(&keyed, Method::GET, &[("x-a", b"\xe9")]), Err(Unforwardable::NotText));
    let all = behavior(&[], Selection::All, &[]);
    let largest = "v".repeat(MAX_FORWARDED - "x-a".len());
    assert!(told(&all, Method::GET, &[("x-a", largest.as_bytes())]).is_ok()); // s3 §1.4
    let larger = largest + "v";
    assert_eq!(told(&all, Method::GET, &[("x-a", larger.as_bytes())]), Err(Unforwardable::TooLarge));
}
