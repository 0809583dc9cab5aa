use http::{HeaderName, StatusCode};

use super::*;

type Fields = &'static [(&'static str, &'static str)];

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    map
}

fn outcome(status: u16, length: Option<u64>, fields: Fields) -> Result<(), Unsuitable> {
    let status = StatusCode::from_u16(status).unwrap();
    suits(&Answer { status, headers: &map(fields), length, framed: true })
}

/// behaviour §7.1
#[test]
fn which_answers_suit() {
    use Unsuitable::*;
    const HTML: Fields = &[("content-type", "text/html")];
    type Row = (u16, Option<u64>, Fields, Result<(), Unsuitable>);
    let table: &[Row] = &[
        (200, Some(1_000), HTML, Ok(())),
        (200, Some(999), HTML, Err(Size)),
        (200, Some(10_000_000), HTML, Ok(())),
        (200, Some(10_000_001), HTML, Err(Size)),
        (200, Some(0), HTML, Err(Size)),
        (200, None, HTML, Err(Size)),
        (403, Some(5_000), HTML, Ok(())),
        (404, Some(5_000), HTML, Ok(())),
        (206, Some(5_000), HTML, Err(Status)),
        (203, Some(5_000), HTML, Err(Status)),
        (304, Some(5_000), HTML, Err(Status)),
        (500, Some(5_000), HTML, Err(Status)),
        (200, Some(5_000), &[], Err(Type)),
        (200, Some(5_000), &[("content-type", "text/html"), ("content-type", "text/html")], Err(Type)),
        (200, Some(5_000), &[("content-type", "text/html"), ("content-encoding", "gzip")], Err(Encoded)),
        (200, Some(5_000), &[("content-type", "text/html"), ("content-encoding", "identity")], Err(Encoded)),
        (200, Some(5_000), &[("content-type", "text/html"), ("content-encoding", "")], Err(Encoded)),
        // RFC 9111 §5.2.2.6
        (
            200,
            Some(5_000),
            &[("content-type", "text/html"), ("cache-control", "max-age=5, No-Transform")],
            Err(NoTransform),
        ),
        (200, Some(5_000), &[("content-type", "text/html"), ("cache-control", "max-age=5")], Ok(())),
    ];
    for (status, length, fields, expected) in table {
        assert_eq!(outcome(*status, *length, fields), *expected, "{status} {length:?} {fields:?}");
    }
}

/// behaviour §7.2
#[test]
fn which_types_are_listed() {
    let table: &[(&'static str, bool)] = &[
        ("application/javascript", true),
        ("application/json", true),
        ("application/wasm", true),
        ("application/pdf", true),
        ("application/x-mpegurl", true),
        ("font/otf", true),
        ("image/svg+xml", true),
        ("text/css", true),
        ("text/html; charset=utf-8", true),
        ("text/html ;charset=utf-8", true),
        ("Text/HTML", true),
        ("vnd.apple.mpegurl", true),
        ("application/octet-stream", false),
        ("application/manifest+json", false),
        ("application/ld+json", false),
        ("image/bmp", false),
        ("font/woff", false),
        ("font/woff2", false),
        ("image/x-icon", false),
        ("text/markdown", false),
        ("text/htmlx", false),
        ("text", false),
        ("", false),
    ];
    for (kind, listed) in table {
        let headers = map(&[("content-type", kind)]);
        let answer = Answer { status: StatusCode::OK, headers: &headers, length: Some(5_000), framed: true };
        assert_eq!(suits(&answer).is_ok(), *listed, "{kind}");
    }
    assert_eq!(TYPES.len(), 48);
}

/// behaviour §7.3
#[test]
fn what_becomes_of_the_etag() {
    let table: &[(&'static str, Option<&str>)] = &[
        ("\"abc\"", Some("W/\"abc\"")),
        ("\"\"", Some("W/\"\"")),
        ("W/\"abc\"", Some("W/\"abc\"")),
        ("abc", None),
        ("\"abc", None),
        ("\"", None),
        ("W/abc", None),
        ("w/\"abc\"", None),
    ];
    for (own, expected) in table {
        let mut headers = map(&[("etag", own)]);
        assert_eq!(rewrite(&mut headers, Coding::Gzip).unwrap(), *own);
        assert_eq!(headers.get(ETAG).map(|etag| etag.to_str().unwrap()), *expected, "{own}");
        let once = headers.clone();
        rewrite(&mut headers, Coding::Gzip);
        assert_eq!(headers, once, "{own}");
    }
    assert_eq!(rewrite(&mut HeaderMap::new(), Coding::Gzip), None);
}

#[test]
fn a_compressed_head_says_so_and_drops_what_is_no_longer_true() {
    let mut headers = map(&[
        ("content-type", "text/html"),
        ("content-md5", "x"),
        ("repr-digest", "x"),
        ("content-digest", "x"),
        ("digest", "x"),
        ("accept-ranges", "bytes"),
    ]);
    rewrite(&mut headers, Coding::Brotli);
    let expected = [
        ("content-type", "text/html"),
        ("accept-ranges", "bytes"),
        ("content-encoding", "br"),
        ("vary", "Accept-Encoding"),
    ];
    assert_eq!(headers, map(&expected));
}

/// RFC 9110 §12.5.5
#[test]
fn vary_is_said_once() {
    let table: &[(Fields, &[&str])] = &[
        (&[], &["Accept-Encoding"]),
        (&[("vary", "Origin")], &["Origin", "Accept-Encoding"]),
        (&[("vary", "Origin, accept-encoding")], &["Origin, accept-encoding"]),
        (&[("vary", "*")], &["*"]),
        (&[("vary", "X-Accept-Encoding")], &["X-Accept-Encoding", "Accept-Encoding"]),
    ];
    for (fields, expected) in table {
        let mut headers = map(fields);
        add_vary(&mut headers);
        let found: Vec<_> = headers.get_all(VARY).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(found, *expected, "{fields:?}");
    }
}
