use std::time::Duration;

use http::HeaderValue;

use super::*;

type Fields = &'static [(&'static str, &'static str)];

fn answer(status: u16, fields: Fields, body: &str) -> Answer {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let mut sha256 = [0; 32];
    sha256[..body.len()].copy_from_slice(body.as_bytes());
    Answer {
        status,
        headers,
        length: body.len() as u64,
        sha256,
        body: None,
        first_byte: Duration::ZERO,
        last_byte: Duration::ZERO,
    }
}

fn points(probe: Probe, edge: &Answer, reference: &Answer) -> Vec<(Weight, String)> {
    let seen = |answer, authority| Seen {
        answer,
        result: ResultType::of(&answer.headers),
        authority,
        decoded: None,
    };
    let points =
        judge(probe, &seen(edge, "edge:8443"), &seen(reference, "d1.cloudfront.net"), &Rules::with(&[]));
    points.into_iter().map(|point| (point.weight, point.what)).collect()
}

#[test]
fn what_counts_and_what_does_not() {
    const CHANGED: &[&str] = &[];
    type Told = (u16, Fields, &'static str);
    let table: &[(Probe, Told, Told, &[&str])] = &[
        (Probe::Cold, (200, &[("etag", "\"1\"")], "a"), (200, &[("etag", "\"1\"")], "a"), CHANGED),
        (Probe::Cold, (200, &[], "a"), (403, &[], "a"), &["status"]),
        (Probe::Cold, (200, &[], "a"), (200, &[], "b"), &["body"]),
        (Probe::Cold, (200, &[], "a"), (200, &[], "ab"), &["body"]),
        (Probe::Cold, (200, &[("etag", "\"1\"")], "a"), (200, &[("etag", "\"2\"")], "a"), &["etag"]),
        (Probe::Cold, (200, &[("x-frame-options", "DENY")], "a"), (200, &[], "a"), &["x-frame-options"]),
        // Ignored, each for its reason
        (
            Probe::Cold,
            (200, &[("date", "1"), ("via", "a")], "a"),
            (200, &[("date", "2"), ("x-amz-version-id", "3")], "a"),
            CHANGED,
        ),
        (Probe::Cold, (200, &[("x-amz-meta-a", "1")], "a"), (200, &[], "a"), &["x-amz-meta-a"]),
        // Written in another way
        (
            Probe::Cold,
            (200, &[("vary", "Origin, accept-encoding")], "a"),
            (200, &[("vary", "Accept-Encoding"), ("vary", "origin")], "a"),
            CHANGED,
        ),
        (
            Probe::Cold,
            (200, &[("content-type", "text/html;charset=UTF-8")], "a"),
            (200, &[("content-type", "text/html; charset=utf-8")], "a"),
            CHANGED,
        ),
        (Probe::Cold, (200, &[("content-length", "1")], "a"), (200, &[], "a"), CHANGED),
        (
            Probe::Head,
            (200, &[("content-length", "1")], ""),
            (200, &[("content-length", "2")], ""),
            &["content-length"],
        ),
        (
            Probe::Cold,
            (200, &[("set-cookie", "id=1; Secure")], "a"),
            (200, &[("set-cookie", "id=2; Secure")], "a"),
            CHANGED,
        ),
        (
            Probe::Cold,
            (200, &[("set-cookie", "id=1")], "a"),
            (200, &[("set-cookie", "other=2")], "a"),
            &["set-cookie"],
        ),
        // Each calls itself by its own name
        (
            Probe::Redirect,
            (301, &[("location", "https://edge:8443/a?b")], "x"),
            (301, &[("location", "https://d1.cloudfront.net/a?b")], "x"),
            CHANGED,
        ),
        (
            Probe::Redirect,
            (301, &[("location", "https://edge:8443/a")], "x"),
            (301, &[("location", "https://d1.cloudfront.net/b")], "x"),
            &["location"],
        ),
        (
            Probe::Redirect,
            (301, &[("location", "https://edgeother/a")], "x"),
            (301, &[("location", "https://d1.cloudfront.net/a")], "x"),
            &["location"],
        ),
        // Pages about errors are each one's own
        (
            Probe::Missing,
            (403, &[("content-type", "text/html")], "a"),
            (403, &[("content-type", "application/xml")], "bc"),
            &["~content-type", "~body"],
        ),
        (Probe::Missing, (404, &[("cache-control", "no-store")], "a"), (404, &[], "a"), &["cache-control"]),
        (Probe::Conditional, (304, &[("content-type", "a")], ""), (304, &[], ""), &["~content-type"]),
        (
            Probe::Conditional,
            (304, &[("content-type", "a")], ""),
            (304, &[("content-type", "b")], ""),
            &["content-type"],
        ),
        (Probe::Conditional, (304, &[("etag", "\"1\"")], ""), (304, &[], ""), &["etag"]),
    ];
    for (probe, edge, reference, expected) in table {
        let (edge, reference) =
            (answer(edge.0, edge.1, edge.2), answer(reference.0, reference.1, reference.2));
        let found = points(*probe, &edge, &reference);
        let found: Vec<String> = found
            .into_iter()
            .map(|(weight, what)| if weight == Weight::Note { format!("~{what}") } else { what })
            .collect();
        assert_eq!(found, *expected, "{probe:?} {edge:?} {reference:?}");
    }
}

#[test]
fn caching_is_judged_by_what_both_can_know() {
    const HIT: Fields = &[("x-cache", "Hit from a"), ("age", "3")];
    const AGELESS: Fields = &[("x-cache", "Hit from a")];
    const REFRESHED: Fields = &[("x-cache", "RefreshHit from a"), ("age", "0")];
    const MISS: Fields = &[("x-cache", "Miss from b")];
    const ERROR: Fields = &[("x-cache", "Error from b")];
    let table: &[(Probe, Fields, Fields, &[Weight])] = &[
        (Probe::Warm, HIT, HIT, &[]),
        (Probe::Warm, HIT, MISS, &[Weight::Difference]),
        (Probe::Warm, HIT, REFRESHED, &[Weight::Note]),
        (Probe::Warm, HIT, AGELESS, &[Weight::Difference]),
        (Probe::Warm, HIT, &[], &[Weight::Note]),
        (Probe::Warm, MISS, ERROR, &[Weight::Difference]),
        (Probe::Cold, HIT, MISS, &[Weight::Note]),
        (Probe::Cold, HIT, ERROR, &[Weight::Difference]),
        (Probe::Missing, ERROR, ERROR, &[]),
    ];
    for (probe, edge, reference, expected) in table {
        let found = points(*probe, &answer(200, edge, "a"), &answer(200, reference, "a"));
        assert!(found.iter().all(|(_, what)| what == "caching"), "{found:?}");
        let weights: Vec<Weight> = found.into_iter().map(|(weight, _)| weight).collect();
        assert_eq!(weights, *expected, "{probe:?} {edge:?} {reference:?}");
    }
}

#[test]
fn compressed_bodies_are_compared_by_what_they_decode_to() {
    const GZIP: Fields = &[("content-encoding", "gzip"), ("content-length", "3")];
    const GZIP_ELSE: Fields = &[("content-encoding", "gzip"), ("content-length", "4")];
    const BROTLI: Fields = &[("content-encoding", "br")];
    let judged = |edge: Fields, reference: Fields, decoded: [Option<u8>; 2]| {
        let (edge, reference) = (answer(200, edge, "abc"), answer(200, reference, "abcd"));
        let seen = |answer, decoded: Option<u8>| Seen {
            answer,
            result: ResultType::Unsaid,
            authority: "a",
            decoded: decoded.map(|byte| ([byte; 32], 9)),
        };
        let points = judge(
            Probe::Compressed,
            &seen(&edge, decoded[0]),
            &seen(&reference, decoded[1]),
            &Rules::with(&[]),
        );
        let verdict = Verdict::of(&points);
        (verdict, points.into_iter().map(|point| point.what).collect::<Vec<_>>().join(" "))
    };
    let table = [
        (GZIP, GZIP_ELSE, [Some(1), Some(1)], Verdict::Agree, "content-length"),
        (GZIP, GZIP_ELSE, [Some(1), Some(2)], Verdict::Differ, "content-length body (decoded)"),
        (GZIP, GZIP_ELSE, [None, Some(1)], Verdict::Differ, "content-length body"),
        (GZIP, BROTLI, [Some(1), Some(1)], Verdict::Differ, "content-encoding body"),
    ];
    for (edge, reference, decoded, verdict, what) in table {
        assert_eq!(judged(edge, reference, decoded), (verdict, what.to_owned()));
    }
}
