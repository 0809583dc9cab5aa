//! What tells one object from another (behaviour §4.1, §4.2), and what of it S3 sees.

use http::Method;

use super::{result, told, under};
use crate::support::viewer::{ask, get};
use crate::support::{Bucket, PLAIN, Stage};

/// Sub-resources and overrides of S3 (s3 §2.6), and what marketing adds.
const QUERIES: [&str; 8] = [
    "acl",
    "list-type=2",
    "versionId=x",
    "partNumber=1",
    "response-content-type=text/html",
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0",
    "utm_source=a&utm_medium=b",
    "",
];

#[tokio::test]
async fn a_query_string_neither_splits_the_cache_nor_reaches_s3() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    for (row, query) in QUERIES.iter().enumerate() {
        bucket.put(&format!("{row}"), "body");
        let miss = get(stage.https(), &format!("/{row}?{query}")).await;
        assert_eq!(told(&miss), (200, "Miss", "body"), "{query}");
        assert_eq!(miss.header("content-type"), "text/plain", "{query}");
        let hit = get(stage.https(), &format!("/{row}")).await;
        assert_eq!(told(&hit), (200, "Hit", "body"), "{query}");
    }
    let seen = bucket.origin.served();
    assert_eq!(seen.len(), QUERIES.len());
    assert!(seen.iter().all(|served| !served.path_and_query.contains('?')), "{seen:?}");
}

#[tokio::test]
async fn a_query_string_does_not_reach_s3_past_the_cache_either() {
    let bucket = Bucket::start().await;
    bucket.put("a", "body");
    let toml = "[[distribution]]\n$BUCKET\n[distribution.default_cache_behavior]\n\
                cache_policy = \"CachingDisabled\"\n";
    let stage = Stage::start(toml, &bucket.origin.url()).await;
    for query in QUERIES {
        assert_eq!(told(&get(stage.https(), &format!("/a?{query}")).await), (200, "Miss", "body"), "{query}");
    }
    let seen = bucket.origin.served();
    assert!(seen.iter().all(|served| !served.path_and_query.contains('?')), "{seen:?}");
}

#[tokio::test]
async fn headers_outside_the_policy_do_not_split_the_cache() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    // behaviour §4.1
    for (name, value) in [
        ("host", "other.example.com"),
        ("accept-encoding", "br, gzip"),
        ("cookie", "session=1"),
        ("user-agent", "another"),
        ("authorization", "Bearer 1"),
        ("origin", "https://example.com"),
    ] {
        let seen = ask(stage.https(), Method::GET, "/a", &[(name, value)]).await;
        assert_eq!(result(&seen), "Hit", "{name}");
    }
    assert_eq!(bucket.fetches("a"), 1);
}

#[tokio::test]
async fn the_path_splits_the_cache_as_it_is_written() {
    let bucket = Bucket::start().await;
    bucket.put("a", "file");
    bucket.put("a/", "folder");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    // behaviour §4.1
    for (target, result, body) in
        [("/a", "Miss", "file"), ("/a/", "Miss", "folder"), ("/%61", "Miss", "file"), ("/a", "Hit", "file")]
    {
        assert_eq!(told(&get(stage.https(), target).await), (200, result, body), "{target}");
    }
}

#[tokio::test]
async fn a_header_of_the_policy_splits_the_cache_and_reaches_the_origin_signed() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let policy = under("headers = [\"X-Variant\"]");
    let stage = Stage::start(&policy, &bucket.origin.url()).await;
    // behaviour §4.2: values are case-sensitive, absent is not empty
    let table: [(&[(&str, &str)], &str); 7] = [
        (&[("x-variant", "one")], "Miss"),
        (&[("X-VARIANT", "one")], "Hit"),
        (&[("x-variant", "One")], "Miss"),
        (&[("x-variant", "")], "Miss"),
        (&[], "Miss"),
        (&[("x-other", "1")], "Hit"),
        (&[("x-variant", "One")], "Hit"),
    ];
    for (fields, expected) in table {
        let seen = ask(stage.https(), Method::GET, "/a", fields).await;
        assert_eq!(result(&seen), expected, "{fields:?}");
    }
    let sent: Vec<_> = bucket
        .origin
        .served()
        .iter()
        .map(|served| {
            let signed = served.signed_headers.as_deref().unwrap().split(';').any(|name| name == "x-variant");
            let value = served.headers.get("x-variant").map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(signed, value.is_some(), "{served:?}"); // s3 §1.4
            value
        })
        .collect();
    assert_eq!(sent, [Some("one".into()), Some("One".into()), Some(String::new()), None]);
}
