//! What a viewer gets: objects, redirects, refusals.

use http::Method;

use crate::support::viewer::{ask, get, over_h2, plain, raw};
use crate::support::{Bucket, PLAIN, Stage};

#[tokio::test]
async fn an_object_is_fetched_once_and_then_served_from_memory() {
    let bucket = Bucket::start().await;
    let etag = bucket.put_with("a/photo.jpg", "a photo", |meta| {
        meta.cache_control = Some("max-age=60".into());
        meta.user.insert("owner".into(), "me".into());
    });
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;

    let miss = get(stage.https(), "/a/photo.jpg").await;
    assert_eq!((miss.status, miss.text()), (200, "a photo"));
    assert_eq!(miss.header("x-cache"), "Miss from edgeseal"); // behaviour §8.5
    assert_eq!(miss.header("age"), ""); // behaviour §9.1: only from the cache
    assert_eq!(miss.header("etag"), etag);
    assert_eq!(miss.header("cache-control"), "max-age=60");
    assert_eq!(miss.header("x-amz-meta-owner"), "me");
    assert_eq!(miss.header("content-length"), "7");

    let hit = get(stage.https(), "/a/photo.jpg").await;
    assert_eq!((hit.status, hit.text()), (200, "a photo"));
    assert_eq!(hit.header("x-cache"), "Hit from edgeseal");
    assert_eq!(hit.header("age"), "0");
    assert_eq!(hit.header("etag"), etag);
    assert_eq!(hit.header("x-amz-cf-pop"), "EDG1-C1");
    assert_eq!(hit.header("x-amz-cf-id").len(), 56);
    assert!(hit.header("via").starts_with("1.1 ") && hit.header("via").ends_with(".edgeseal (edgeseal)"));
    assert_ne!(hit.header("x-amz-cf-id"), miss.header("x-amz-cf-id"));
    assert_eq!(bucket.fetches("a/photo.jpg"), 1);
}

#[tokio::test]
async fn what_s3_says_of_keys_and_accounts_stays_inside() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    for _ in 0..2 {
        let seen = get(stage.https(), "/a").await;
        let leaked: Vec<_> = seen
            .headers
            .keys()
            .filter(|name| name.as_str().starts_with("x-amz-") && !name.as_str().starts_with("x-amz-cf-"))
            .collect();
        assert!(leaked.is_empty(), "{leaked:?}"); // s3 §2.2
    }
}

#[tokio::test]
async fn plain_http_is_redirected() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let (http, https) = (stage.server.http, stage.https().port());
    // behaviour §2.1; the port by interface.md
    let table = [
        (Method::GET, "cdn.example.com", 301, "https://cdn.example.com/a%20b?c=d&e".to_owned()),
        (Method::HEAD, "cdn.example.com:80", 301, format!("https://cdn.example.com:{https}/a%20b?c=d&e")),
        (Method::POST, "cdn.example.com", 307, "https://cdn.example.com/a%20b?c=d&e".to_owned()),
        (Method::OPTIONS, "cdn.example.com", 307, "https://cdn.example.com/a%20b?c=d&e".to_owned()),
    ];
    for (method, host, status, location) in table {
        let seen = plain(http, method.clone(), "/a%20b?c=d&e", &[("host", host)]).await;
        assert_eq!((seen.status, seen.header("location")), (status, &*location), "{method} {host}");
        assert_eq!(seen.header("x-cache"), "Redirect from edgeseal");
    }
    assert!(bucket.origin.served().is_empty());
}

#[tokio::test]
async fn a_behaviour_says_whether_plain_http_is_served() {
    let bucket = Bucket::start().await;
    bucket.put("open/a", "a");
    let toml = r#"
[[distribution]]
$BUCKET
[distribution.default_cache_behavior]
viewer_protocol_policy = "https-only"
[[distribution.cache_behavior]]
path_pattern = "open/*"
viewer_protocol_policy = "allow-all"
"#;
    let stage = Stage::start(toml, &bucket.origin.url()).await;
    let refused = plain(stage.server.http, Method::GET, "/a", &[]).await;
    assert_eq!(refused.status, 403); // behaviour §2.1
    let miss = plain(stage.server.http, Method::GET, "/open/a", &[]).await;
    assert_eq!((miss.status, miss.text()), (200, "a"));
    let hit = get(stage.https(), "/open/a").await;
    assert_eq!(hit.header("x-cache"), "Hit from edgeseal"); // behaviour §1.1: one object for both schemes
}

#[tokio::test]
async fn methods_outside_the_behaviours_are_refused() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let seen = ask(stage.https(), method.clone(), "/a", &[]).await;
        assert_eq!(seen.status, 403, "{method}"); // behaviour §2.2
        assert_eq!(seen.header("x-cache"), "Error from edgeseal");
    }
    let with_body =
        raw(stage.https(), b"GET /a HTTP/1.1\r\nhost: cdn.example.com\r\ncontent-length: 1\r\n\r\nx").await;
    assert!(with_body.starts_with("HTTP/1.1 403 "), "{with_body}"); // behaviour §2.2
    assert!(bucket.origin.served().is_empty());
}

#[tokio::test]
async fn a_head_brings_what_the_next_get_wants() {
    let bucket = Bucket::start().await;
    bucket.put("a", "twelve bytes");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let head = ask(stage.https(), Method::HEAD, "/a", &[]).await;
    assert_eq!((head.status, head.header("content-length"), head.text()), (200, "12", ""));
    let get = get(stage.https(), "/a").await;
    assert_eq!((get.header("x-cache"), get.text()), ("Hit from edgeseal", "twelve bytes"));
    assert_eq!(bucket.fetches("a"), 1);
}

#[tokio::test]
async fn limits_are_answered_and_close_the_connection() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    // behaviour §2.4
    let long = format!("GET /{} HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n", "a".repeat(8_200));
    let seen = raw(stage.https(), long.as_bytes()).await;
    assert!(seen.starts_with("HTTP/1.1 414 ") && seen.contains("connection: close"), "{seen}");
    let large = format!("GET /a HTTP/1.1\r\nhost: cdn.example.com\r\nx-a: {}\r\n\r\n", "a".repeat(33_000));
    let seen = raw(stage.https(), large.as_bytes()).await;
    assert!(seen.starts_with("HTTP/1.1 494 ") && seen.contains("connection: close"), "{seen}");
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_not_read() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let table: &[(&str, &str)] = &[
        ("no Host", "GET /a HTTP/1.1\r\n\r\n"),
        ("two Hosts", "GET /a HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
        ("another host in the target", "GET http://other/a HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n"),
        ("userinfo", "GET /a HTTP/1.1\r\nhost: cdn.example.com@other\r\n\r\n"),
        ("a broken escape", "GET /a%2 HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n"),
        ("bytes that are no UTF-8", "GET /%ff HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n"),
        ("a path above its root", "GET /../a HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n"),
    ];
    for (what, request) in table {
        let seen = raw(stage.https(), request.as_bytes()).await;
        assert!(seen.starts_with("HTTP/1.1 400 "), "{what}: {seen}");
    }
    let absolute =
        "GET https://cdn.example.com/a HTTP/1.1\r\nhost: cdn.example.com\r\nconnection: close\r\n\r\n";
    assert!(raw(stage.https(), absolute.as_bytes()).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(bucket.origin.served().len(), 1);
}

#[tokio::test]
async fn the_host_chooses_the_distribution() {
    let (one, two) = (Bucket::start().await, Bucket::start().await);
    one.put("a", "of one");
    two.put("a", "of two");
    let toml = format!(
        r#"
[[distribution]]
id = "one"
aliases = ["one.example.com", "*.example.com"]
$BUCKET
[[distribution]]
id = "two"
aliases = ["two.example.com"]
[[distribution.origin]]
bucket = "private-assets"
region = "eu-west-1"
endpoint = "{}"
"#,
        two.origin.url()
    );
    let stage = Stage::start(&toml, &one.origin.url()).await;
    // behaviour §1.2: exact before wildcard; the same path is another object
    let table = [
        ("one.example.com", 200, "of one"),
        ("two.example.com", 200, "of two"),
        ("TWO.example.com:8443", 200, "of two"),
        ("deep.down.example.com", 200, "of one"),
        ("example.com", 403, ""),
        ("example.org", 403, ""),
    ];
    for (host, status, body) in table {
        let seen = ask(stage.https(), Method::GET, "/a", &[("host", host)]).await;
        assert_eq!(seen.status, status, "{host}");
        assert!(status == 403 || seen.text() == body, "{host}: {}", seen.text());
    }
    // Both call their origin by the bucket's name; their series are told apart.
    let fetches = |of: &str| {
        stage.metric(&format!(
            "edgeseal_origin_requests_total{{origin=\"{of}/private-assets\",status=\"200\"}}"
        ))
    };
    assert_eq!((fetches("one"), fetches("two")), (1.0, 1.0));
}

#[tokio::test]
async fn an_empty_key_never_becomes_a_listing() {
    let bucket = Bucket::listable().await;
    bucket.put("secret-name", "a");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    for target in ["/", "//", "/.", "/a/..", "/?list-type=2", "/%2e", "/%2F"] {
        for method in [Method::GET, Method::HEAD] {
            let seen = ask(stage.https(), method.clone(), target, &[]).await;
            assert_eq!(seen.status, 403, "{method} {target}");
            assert!(!seen.text().contains("secret-name"));
        }
    }
    assert!(bucket.origin.served().is_empty()); // s3 §2.1
}

#[tokio::test]
async fn the_root_is_the_default_root_object() {
    let bucket = Bucket::start().await;
    bucket.put("index.html", "home");
    let toml = "[[distribution]]\ndefault_root_object = \"index.html\"\n$BUCKET\n";
    let stage = Stage::start(toml, &bucket.origin.url()).await;
    let root = get(stage.https(), "/?utm=1").await; // behaviour §1.4
    assert_eq!((root.status, root.text()), (200, "home"));
    let file = get(stage.https(), "/index.html").await;
    assert_eq!(file.header("x-cache"), "Hit from edgeseal", "the root object is cached by its path");
    assert_eq!(get(stage.https(), "/sub/").await.status, 403, "only the root");
}

#[tokio::test]
async fn two_protocols_one_cache() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    bucket.put("b", vec![7; 3_000_000]);
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    let seen = over_h2(stage.https(), &["/a", "/b", "/missing"]).await;
    assert_eq!((seen[0].header("x-cache"), seen[0].text()), ("Hit from edgeseal", "a"));
    assert_eq!((seen[1].status, seen[1].body.len()), (200, 3_000_000));
    assert_eq!(seen[2].status, 403);
    assert!(!seen[2].headers.contains_key("connection"), "RFC 9113 §8.2.2");
}
