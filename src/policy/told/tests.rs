use std::sync::Arc;

use http::Request;

use super::*;
use crate::config::{Asks, CachePolicy, Encoding, ViewerProtocolPolicy};
use crate::semantics::view;

const HOP: Hop<'static> = Hop {
    viewer: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)), 5),
    request_id: "id==",
    node: "abc",
    name: "edge",
    interims: None,
    early: None,
};

fn list(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().copied().map(Arc::from).collect()
}

fn behavior(keyed: &[&'static str], request: Option<OriginRequestPolicy>) -> Behavior {
    Behavior {
        encoding: Encoding::default(),
        path_pattern: "*".into(),
        origin: 0,
        viewer_protocol_policy: ViewerProtocolPolicy::AllowAll,
        allow_options: true,
        cache_options: false,
        cache_policy: Arc::new(CachePolicy {
            headers: keyed.iter().copied().map(HeaderName::from_static).collect(),
            ..CachePolicy::default()
        }),
        response_headers_policy: None,
        origin_request_policy: request.map(Arc::new),
        failover: None,
        allow_writes: true,
        asks: Asks { s3: false, custom: true },
    }
}

fn headers(selection: Selection) -> Option<OriginRequestPolicy> {
    Some(OriginRequestPolicy { headers: selection, ..OriginRequestPolicy::default() })
}

fn ask(behavior: &Behavior, method: &str, fields: &[(&str, &str)]) -> Result<Told, Loops> {
    let mut request =
        Request::builder().method(method).uri("/a%7eb?x=1&y=%20&x=2").header("host", "Cdn:8443");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    told(behavior, &view::parse(&parts, true).unwrap(), "/a%7eb", HOP)
}

fn value_of(behavior: &Behavior, method: &str, name: &str) -> Option<String> {
    let told = ask(behavior, method, &[(name, "v")]).unwrap();
    told.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

/// behaviour §4.5: by default; in the cache policy; by `allViewer`.
#[test]
fn header_by_header() {
    let table = [
        ("accept", [false, true, true]),
        ("accept-charset", [false, true, true]),
        ("accept-encoding", [false, true, true]),
        ("accept-language", [false, true, true]),
        ("authorization", [false, true, true]),
        ("cache-control", [false, true, true]),
        ("content-md5", [false, true, true]),
        ("content-type", [false, true, true]),
        ("date", [false, true, true]),
        ("expect", [false, false, false]),
        ("from", [false, true, true]),
        ("max-forwards", [false, true, true]),
        ("origin", [false, true, true]),
        ("pragma", [false, true, true]),
        ("proxy-authorization", [false, false, false]),
        ("proxy-connection", [false, false, false]),
        ("referer", [false, true, true]),
        ("request-range", [false, false, false]),
        ("te", [false, false, false]),
        ("trailer", [false, false, false]),
        ("upgrade", [false, false, false]),
        ("user-agent", [false, true, true]),
        ("warning", [false, true, true]),
        ("x-edge-anything", [false, false, false]),
        ("x-forwarded-proto", [false, false, false]),
        ("x-http-method-override", [false, true, true]),
        ("x-real-ip", [false, false, false]),
        ("x-any-other", [false, true, true]),
        ("if-none-match", [false, false, false]), // the edge's own conditions, or the viewer's when it passes them
        ("range", [false, false, false]),
        ("cloudfront-viewer-country", [false, false, false]), // behaviour §4.7: nobody can forge it
        ("x-amz-meta-a", [false, true, true]),                // nothing of S3's matters here
    ];
    for (name, expected) in table {
        let keyed = behavior(&[name], None);
        let all = behavior(&[], headers(Selection::All));
        for (behavior, expected) in [&behavior(&[], None), &keyed, &all].into_iter().zip(expected) {
            let found = value_of(behavior, "GET", name).is_some();
            assert_eq!(found, expected, "{name} by {:?}", behavior.origin_request_policy);
        }
    }
}

/// behaviour §4.5
#[test]
fn what_writes_take_along() {
    let (plain, cached) = (behavior(&[], None), Behavior { cache_options: true, ..behavior(&[], None) });
    for (behavior, method, name, expected) in [
        (&plain, "GET", "authorization", false),
        (&plain, "HEAD", "authorization", false),
        (&plain, "PUT", "authorization", true),
        (&plain, "DELETE", "authorization", true),
        (&plain, "OPTIONS", "authorization", true),
        (&cached, "OPTIONS", "authorization", false),
        (&plain, "POST", "content-type", true),
        (&plain, "PATCH", "content-md5", true),
        (&plain, "POST", "content-encoding", false),
        (&plain, "OPTIONS", "origin", true), // nothing is known of a preflight without
    ] {
        assert_eq!(value_of(behavior, method, name).is_some(), expected, "{method} {name}");
    }
}

/// behaviour §4.3: the normal form is not this question's.
#[test]
fn accept_encoding_does_not_go_raw_where_it_is_normalized() {
    let mut behavior = behavior(&[], headers(Selection::All));
    let policy = CachePolicy { enable_accept_encoding_gzip: true, ..CachePolicy::default() };
    behavior.cache_policy = Arc::new(policy);
    assert_eq!(value_of(&behavior, "GET", "accept-encoding"), None);
}

/// behaviour §1.8, §4.5
#[test]
fn whose_host_the_origin_sees() {
    let whitelist = |name| headers(Selection::Whitelist(list(&[name])));
    let except = |name| headers(Selection::AllExcept(list(&[name])));
    for (behavior, expected) in [
        (behavior(&[], None), None),
        (behavior(&["host"], None), Some("cdn:8443")),
        (behavior(&[], whitelist("host")), Some("cdn:8443")),
        (behavior(&[], whitelist("origin")), None),
        (behavior(&[], headers(Selection::All)), Some("cdn:8443")),
        (behavior(&[], except("host")), None),
    ] {
        let told = ask(&behavior, "GET", &[]).unwrap();
        assert_eq!(told.host.as_ref().map(|host| host.to_str().unwrap()), expected, "{behavior:?}");
    }
}

/// behaviour §4.4: raw, as the policies take it.
#[test]
fn path_and_query_go_as_they_were_written() {
    let queries =
        |query_strings| Some(OriginRequestPolicy { query_strings, ..OriginRequestPolicy::default() });
    for (request, expected) in [
        (None, ""),
        (queries(Selection::All), "x=1&y=%20&x=2"),
        (queries(Selection::Whitelist(list(&["y"]))), "y=%20"),
        (queries(Selection::AllExcept(list(&["y"]))), "x=1&x=2"),
    ] {
        let told = ask(&behavior(&[], request), "GET", &[]).unwrap();
        assert_eq!((told.path.as_str(), told.query.as_str()), ("/a%7eb", expected));
    }
}

/// behaviour §4.5, RFC 8586
#[test]
fn the_edge_adds_itself() {
    let fields = [
        ("x-forwarded-for", "192.0.2.4,192.0.2.3"),
        ("via", "1.0 first"),
        ("cdn-loop", "other"),
        ("x-amz-cf-id", "forged"),
    ];
    let told = ask(&behavior(&[], None), "GET", &fields).unwrap();
    for (name, expected) in [
        ("x-forwarded-for", "192.0.2.4,192.0.2.3,192.0.2.2"),
        ("via", "1.0 first, 1.1 abc.edge (edge)"),
        ("cdn-loop", "other, edgeseal; node=abc"),
        ("x-amz-cf-id", "id=="),
    ] {
        assert_eq!(told.headers[name], expected, "{name}");
    }
    assert_eq!(ask(&behavior(&[], None), "GET", &[]).unwrap().headers["x-forwarded-for"], "192.0.2.2");
}

/// RFC 8586; behaviour §1.5
#[test]
fn a_request_does_not_come_back() {
    for (field, expected) in [
        ("", true),
        ("other", true),
        ("edgeseal", true), // another edge in front of this one
        ("edgeseal; node=abc", false),
        ("other, EdgeSeal;node=abc", false),
        ("edgeseal; node=b, edgeseal; node=c", false), // behaviour §1.5: no more than two
        ("edgesealed; node=abc", true),
    ] {
        let found = ask(&behavior(&[], None), "GET", &[("cdn-loop", field)]);
        assert_eq!(found.is_ok(), expected, "{field}");
    }
}

/// behaviour §5.6, §5.7
#[test]
fn cookies_go_by_the_policies() {
    let cookies = Some(OriginRequestPolicy { cookies: Selection::All, ..OriginRequestPolicy::default() });
    for (request, expected) in [(None, None), (headers(Selection::All), None), (cookies, Some("a=1; b=2"))] {
        let told = ask(&behavior(&[], request), "GET", &[("cookie", "b=2; a=1")]).unwrap();
        assert_eq!(told.headers.get("cookie").map(|value| value.to_str().unwrap()), expected);
        assert_eq!(told.with_cookies, expected.is_some());
    }
}
