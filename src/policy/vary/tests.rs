use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::config::{CachePolicy, OriginRequestPolicy, Selection, ViewerHeader, ViewerProtocolPolicy};
use crate::semantics::place::Place;
use crate::semantics::view;

fn behavior(keyed: &[&'static str], told: Selection, cookies: Selection) -> Behavior {
    Behavior {
        allow_writes: false,
        asks: crate::config::Asks { s3: true, custom: false },
        path_pattern: "*".into(),
        origin: 0,
        viewer_protocol_policy: ViewerProtocolPolicy::AllowAll,
        allow_options: false,
        cache_options: false,
        cache_policy: Arc::new(CachePolicy {
            headers: keyed.iter().copied().map(HeaderName::from_static).collect(),
            ..CachePolicy::default()
        }),
        response_headers_policy: None,
        origin_request_policy: Some(Arc::new(OriginRequestPolicy {
            headers: told,
            cookies,
            viewer_headers: vec![ViewerHeader::Address, ViewerHeader::ForwardedProto, ViewerHeader::Country],
            ..OriginRequestPolicy::default()
        })),
        failover: None,
        encoding: Default::default(),
    }
}

fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    map
}

fn vary(lines: &[&str]) -> HeaderMap {
    fields(&lines.iter().map(|line| ("vary", *line)).collect::<Vec<_>>())
}

fn names(names: &[&'static str]) -> Vec<HeaderName> {
    names.iter().copied().map(HeaderName::from_static).collect()
}

/// behaviour §4.7: nor where the edge itself does not know
#[test]
fn no_viewer_forges_what_the_edge_makes() {
    let behavior = behavior(&[], Selection::All, Selection::None);
    let request = http::Request::builder()
        .uri("/a")
        .header("host", "h")
        .header("cloudfront-forwarded-proto", "http")
        .header("cloudfront-viewer-country", "FR");
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let mut view = view::parse(&parts, true).unwrap();
    for (country, expected) in [(None, None), (Some("DE"), Some("DE"))] {
        view.viewer.place = Some(Box::new(Place { country, ..Place::default() }));
        let fields = selecting(&behavior, &view);
        assert_eq!(fields.get("cloudfront-forwarded-proto").unwrap(), "https");
        assert_eq!(
            fields.get("cloudfront-viewer-country").map(HeaderValue::as_bytes),
            expected.map(str::as_bytes)
        );
    }
}

#[test]
fn what_an_answer_varies_by() {
    let told = Selection::Whitelist(vec!["user-agent".into()]);
    let behavior = behavior(&["x-key"], told, Selection::None);
    // RFC 9111 §4.1, RFC 9110 §12.5.5
    let table: &[(&[&str], Option<&[&'static str]>)] = &[
        (&[], Some(&[])),
        (&["X-B, x-a", "X-B,"], Some(&["x-a", "x-b"])),
        (&["X-Key"], Some(&[])),                   // in the key
        (&["User-Agent"], Some(&["user-agent"])),  // told to the origin
        (&["Cookie, Accept-Language"], Some(&[])), // not told
        (&["Origin, Access-Control-Request-Method, Access-Control-Request-Headers"], Some(&[])), // s3 §2.2
        (&["Accept-Encoding"], Some(&[])),         // behaviour §4.3
        (&["CloudFront-Forwarded-Proto"], Some(&["cloudfront-forwarded-proto"])),
        (&["CloudFront-Viewer-Country"], Some(&["cloudfront-viewer-country"])),
        (&["CloudFront-Viewer-Address"], None),
        (&["*"], None),
        (&["*, *"], None),
        (&["", "*"], None),
        (&["x-a, *"], None),
        (&["no name, x-a"], Some(&["x-a"])),
        (&["a, b, c, d, e, f, g, h"], Some(&["a", "b", "c", "d", "e", "f", "g", "h"])),
        (&["a, b, c, d, e, f, g, h, i"], None),
    ];
    for (lines, expected) in table {
        let expected = expected.map_or(Vary::Any, |expected| Vary::By(names(expected)));
        assert_eq!(of(&vary(lines), &behavior), expected, "{lines:?}");
    }
}

/// Another origin than a bucket is told more.
#[test]
fn what_a_custom_origin_is_told_of_by_the_edge_itself() {
    for (told, line, expected) in [
        (Selection::None, "X-Forwarded-For", None), // the viewer's address, in every request
        (Selection::All, "X-Forwarded-For", None),
        (Selection::None, "Authorization", Some(&[][..])),
        (Selection::All, "Authorization", Some(&["authorization"])),
        (Selection::All, "Host", Some(&["authorization", "host"])),
    ] {
        let mut behavior = behavior(&[], told, Selection::None);
        behavior.asks = crate::config::Asks { s3: false, custom: true };
        let expected = expected.map_or(Vary::Any, |expected| Vary::By(names(expected)));
        assert_eq!(of(&vary(&[line]), &behavior), expected, "{line}");
    }
}

/// RFC 9111 §3.5
#[test]
fn what_was_got_with_a_credential_is_for_those_who_have_it() {
    for (control, by_credential) in [
        ("max-age=60", true),
        ("public, max-age=60", false),
        ("s-maxage=60", false),
        ("max-age=60, must-revalidate", false),
    ] {
        for (keyed, custom, told, expected) in [
            (&[][..], true, Selection::All, by_credential),
            (&["authorization"], true, Selection::All, false), // in the key
            (&[], true, Selection::None, false),               // not told
            (&[], false, Selection::All, false),               // a bucket is told by the key alone
        ] {
            let mut behavior = behavior(keyed, told, Selection::None);
            behavior.asks = crate::config::Asks { s3: !custom, custom };
            let expected = Vary::By(names(if expected { &["authorization"] } else { &[] }));
            assert_eq!(
                of(&fields(&[("cache-control", control)]), &behavior),
                expected,
                "{control} {keyed:?}"
            );
        }
    }
}

#[test]
fn a_host_tells_variants_apart_by_whatever_protocol_it_comes() {
    let behavior = behavior(&[], Selection::All, Selection::None);
    let of = |uri: &str, host: Option<&str>| {
        let mut request = http::Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let view = crate::semantics::view::parse(&parts, true).unwrap();
        key("d\n/a", &names(&["host"]), &selecting(&behavior, &view))
    };
    let one = of("https://one.example/a", None); // as HTTP/2 has it
    assert_ne!(one, of("https://two.example/a", None));
    assert_eq!(one, of("/a", Some("One.example")));
}

#[test]
fn cookies_make_variants_where_the_origin_gets_more_of_them_than_the_key() {
    for (cookies, expected) in [(Selection::None, &[][..]), (Selection::All, &["cookie"][..])] {
        let behavior = behavior(&[], Selection::None, cookies);
        assert_eq!(of(&vary(&["Cookie"]), &behavior), Vary::By(names(expected)));
    }
}

#[test]
fn the_same_said_otherwise_is_the_same_variant() {
    let one = |name: &'static str, lines: &[&str]| {
        let lines: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
        key("d\n/a", &names(&[name]), &fields(&lines))
    };
    // RFC 9111 §4.1
    let same: &[(&str, &[&str], &[&str])] = &[
        ("x-a", &["1, 2"], &["1", "2"]),
        ("x-a", &["1,2"], &[" 1, 2 "]),
        ("accept-language", &["en, de"], &["eN ,   De"]),
    ];
    for (name, left, right) in same {
        assert_eq!(one(name, left), one(name, right), "{left:?} {right:?}");
    }
    let different: &[(&str, &[&str], &[&str])] = &[
        ("x-a", &["1"], &["2"]),
        ("x-a", &[], &[""]),
        ("x-a", &["a"], &["A"]),
        ("x-a", &["1, 2"], &["2, 1"]),
        ("x-a", &["\"a, b\""], &["\"a,b\""]),
        ("cookie", &["a=1"], &["a=2"]),
    ];
    for (name, left, right) in different {
        assert_ne!(one(name, left), one(name, right), "{left:?} {right:?}");
    }
    assert!(!one("cookie", &["session=secret"]).contains("secret"), "a key outlives a request");
    assert!(!one("authorization", &["Bearer secret"]).contains("secret"), "a key outlives a request");
}

#[test]
fn what_viewers_see_of_it() {
    // behaviour §5.5
    let behavior = behavior(&["x-key"], Selection::Whitelist(vec!["x-told".into()]), Selection::None);
    let table: &[(&[&str], Option<&str>)] = &[
        (&[], None),
        (&["Accept-Encoding, Cookie"], Some("Accept-Encoding, Cookie")),
        (&["Origin, X-Key", "X-Told, X-Else"], Some("X-Key, X-Told")),
        (&["User-Agent"], None),
        (&["*"], Some("*")),
    ];
    for (lines, expected) in table {
        let shown = shown(&vary(lines), &behavior);
        assert_eq!(shown.as_ref().map(|shown| shown.to_str().unwrap()), *expected, "{lines:?}");
    }
    let mut device = behavior;
    Arc::make_mut(&mut device.cache_policy).viewer_headers = vec![ViewerHeader::IsMobile];
    assert_eq!(shown(&vary(&["User-Agent"]), &device).unwrap(), "User-Agent");
}

proptest! {
    /// Two requests of one variant agree in every field that it names, but for lines, spaces and a language's case.
    #[test]
    fn no_two_values_are_one_variant(one in "[ -~]{0,12}", other in "[ -~]{0,12}") {
        let of = |value: &str| key("k", &names(&["x-a"]), &fields(&[("x-a", value)]));
        let plain = |text: &str| text.replace(' ', "");
        if plain(&one) != plain(&other) {
            prop_assert_ne!(of(&one), of(&other));
        }
    }
}
