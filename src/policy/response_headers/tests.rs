use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::*;
use crate::config::response_headers::{AllowHeaders, AllowOrigins, Cors, OriginPattern, managed};

type Field = (&'static str, &'static str);
type Fields = &'static [Field];

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    map
}

fn header(name: &'static str, value: &'static str, overrides: bool) -> SetHeader {
    SetHeader { name: HeaderName::from_static(name), value: HeaderValue::from_static(value), overrides }
}

/// What `policy` makes of `fields`, sorted.
fn applied(
    policy: &ResponseHeadersPolicy,
    method: &Method,
    asked: Fields,
    maker: Maker,
    fields: Fields,
) -> Vec<(String, String)> {
    let mut headers = map(fields);
    apply(policy, Asked { method, headers: &map(asked) }, maker, &mut headers);
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let mut all: Vec<_> = headers.iter().map(|(n, v)| (n.to_string(), text(v))).collect();
    all.sort();
    all
}

fn owned(fields: Fields) -> Vec<(String, String)> {
    fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn removed_first_then_added_by_the_override_rule() {
    let policy = ResponseHeadersPolicy {
        security: vec![header("x-frame-options", "DENY", true), header("referrer-policy", "origin", false)],
        custom: vec![
            header("x-a", "policy", false),
            header("x-b", "policy", true),
            header("cache-control", "no-store", true),
            header("content-language", "en", false),
        ],
        remove: vec![HeaderName::from_static("x-a"), HeaderName::from_static("x-gone")],
        ..ResponseHeadersPolicy::default()
    };
    let table: &[(Maker, Fields, Fields)] = &[
        // behaviour §9.2: removed and added is present; §9.3
        (
            Maker::Origin,
            &[
                ("x-a", "origin"),
                ("x-b", "1"),
                ("x-b", "2"),
                ("x-gone", "1"),
                ("referrer-policy", "unsafe-url"),
            ],
            &[
                ("cache-control", "no-store"),
                ("content-language", "en"),
                ("referrer-policy", "unsafe-url"),
                ("x-a", "policy"),
                ("x-b", "policy"),
                ("x-frame-options", "DENY"),
            ],
        ),
        // The stored copy may have another language, which this 304 must not replace.
        (
            Maker::OriginUnchanged,
            &[],
            &[
                ("cache-control", "no-store"),
                ("referrer-policy", "origin"),
                ("x-a", "policy"),
                ("x-b", "policy"),
                ("x-frame-options", "DENY"),
            ],
        ),
        // What is meant for objects does not make a refusal cacheable.
        (
            Maker::Edge,
            &[("x-gone", "1"), ("location", "/")],
            &[("location", "/"), ("referrer-policy", "origin"), ("x-frame-options", "DENY"), ("x-gone", "1")],
        ),
    ];
    for (maker, fields, expected) in table {
        assert_eq!(applied(&policy, &Method::GET, &[], *maker, fields), owned(expected), "{maker:?}");
    }
}

/// behaviour §9.8
#[test]
fn the_managed_policies() {
    const CROSS: Fields = &[("origin", "https://a.example")];
    const PREFLIGHT: Fields = &[("origin", "https://a.example"), ("access-control-request-method", "PUT")];
    const SECURITY: Fields = &[
        ("referrer-policy", "strict-origin-when-cross-origin"),
        ("strict-transport-security", "max-age=31536000"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "SAMEORIGIN"),
        ("x-xss-protection", "1; mode=block"),
    ];
    let methods = ("access-control-allow-methods", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");
    let any = ("access-control-allow-origin", "*");
    let expose = ("access-control-expose-headers", "*");
    type Row = (&'static str, Method, Fields, Vec<Field>);
    let table: &[Row] = &[
        ("SimpleCORS", Method::GET, CROSS, vec![any]),
        ("SimpleCORS", Method::OPTIONS, PREFLIGHT, vec![any]),
        ("SimpleCORS", Method::GET, &[], vec![("vary", "Origin")]),
        ("CORS-With-Preflight", Method::GET, CROSS, vec![any, expose]),
        ("CORS-With-Preflight", Method::OPTIONS, CROSS, vec![any, expose]),
        ("CORS-With-Preflight", Method::OPTIONS, PREFLIGHT, vec![methods, any, expose]),
        ("SecurityHeadersPolicy", Method::GET, CROSS, SECURITY.to_vec()),
        ("CORS-and-SecurityHeadersPolicy", Method::GET, CROSS, [&[any], SECURITY].concat()),
        (
            "CORS-with-preflight-and-SecurityHeadersPolicy",
            Method::OPTIONS,
            PREFLIGHT,
            [&[methods, any, expose], SECURITY].concat(),
        ),
    ];
    for (name, method, asked, expected) in table {
        let found = applied(&managed(name).unwrap(), method, asked, Maker::Origin, &[]);
        let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert_eq!(found, expected, "{name} {method} {asked:?}");
    }
    let own: Fields = &[("x-frame-options", "DENY"), ("x-content-type-options", "sniff")];
    let found = applied(&managed("SecurityHeadersPolicy").unwrap(), &Method::GET, &[], Maker::Origin, own);
    assert!(found.contains(&("x-frame-options".into(), "DENY".into())), "{found:?}");
    assert!(found.contains(&("x-content-type-options".into(), "nosniff".into())), "{found:?}");
}

fn cors(overrides: bool, credentials: bool) -> ResponseHeadersPolicy {
    let cors = Cors {
        origins: AllowOrigins::Listed(vec![OriginPattern {
            scheme: Some("https".into()),
            host: ".example.org".into(),
            subdomains: true,
            port: None,
        }]),
        credentials,
        headers: AllowHeaders { listed: Some(HeaderValue::from_static("X-A")), patterns: vec![] },
        methods: Some(HeaderValue::from_static("GET, PUT")),
        expose_headers: None,
        max_age: Some(HeaderValue::from_static("600")),
        overrides,
    };
    ResponseHeadersPolicy { name: Arc::from("cors"), cors: Some(cors), ..ResponseHeadersPolicy::default() }
}

/// behaviour §9.4
#[test]
fn cors_by_origin_and_override() {
    const GOOD: Fields = &[("origin", "https://a.example.org")];
    const EVIL: Fields = &[("origin", "https://evil.test")];
    const TWO: Fields = &[("origin", "https://a.example.org"), ("origin", "https://evil.test")];
    let vary = ("vary", "Origin");
    let good = ("access-control-allow-origin", "https://a.example.org");
    let lax: Fields = &[("access-control-allow-credentials", "true"), ("access-control-allow-origin", "*")];
    type Row = (bool, bool, Fields, Fields, Vec<Field>);
    let table: &[Row] = &[
        (false, false, GOOD, &[], vec![good, vary]),
        (false, true, GOOD, &[], vec![("access-control-allow-credentials", "true"), good, vary]),
        (false, false, EVIL, &[], vec![vary]),
        (false, false, TWO, &[], vec![vary]),
        (false, false, &[("origin", "null")], &[], vec![vary]),
        (false, false, &[], &[], vec![vary]),
        (false, false, GOOD, lax, lax.to_vec()),
        // One of the origin's keeps all of the policy's away.
        (
            false,
            false,
            GOOD,
            &[("access-control-expose-headers", "x")],
            vec![("access-control-expose-headers", "x")],
        ),
        (true, false, GOOD, lax, vec![good, vary]),
        (true, true, GOOD, lax, vec![("access-control-allow-credentials", "true"), good, vary]),
        (
            true,
            false,
            GOOD,
            &[("access-control-expose-headers", "x")],
            vec![good, ("access-control-expose-headers", "x"), vary],
        ),
        (true, false, EVIL, lax, vec![vary]),
        (true, false, &[], lax, [lax, &[vary]].concat()),
    ];
    for (overrides, credentials, asked, fields, expected) in table {
        let found = applied(&cors(*overrides, *credentials), &Method::GET, asked, Maker::Origin, fields);
        let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert_eq!(found, expected, "override {overrides} credentials {credentials} {asked:?} {fields:?}");
    }
}

#[test]
fn a_preflight_is_told_methods_headers_and_age() {
    let asked: Fields = &[("origin", "https://a.example.org"), ("access-control-request-method", "PUT")];
    let expected: Fields = &[
        ("access-control-allow-headers", "X-A"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-origin", "https://a.example.org"),
        ("access-control-max-age", "600"),
        ("vary", "Origin"),
    ];
    for maker in [Maker::Origin, Maker::Edge] {
        let found = applied(&cors(false, false), &Method::OPTIONS, asked, maker, &[]);
        assert_eq!(found, owned(expected), "{maker:?}");
    }
    let plain = applied(&cors(false, false), &Method::GET, asked, Maker::Origin, &[]);
    assert_eq!(plain.len(), 2, "{plain:?}");
}
