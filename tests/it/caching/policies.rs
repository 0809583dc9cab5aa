//! What cache policies and origin request policies take of a request: into the key, and to S3, signed by both and
//! verified there (behaviour §4.2, §4.4, §4.7; s3 §1.3, §2.1).

use http::Method;

use super::{result, told, under};
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{ask, get, over_h2};
use crate::support::{Bucket, Stage, all_held};

/// `under` with an origin request policy too.
fn with_request(cache: &str, request: &str) -> String {
    under(cache) + "origin_request_policy = \"more\"\n[[origin_request_policy]]\nname = \"more\"\n" + request
}

/// Target, a field or none, result.
type Row<'a> = (&'a str, Option<(&'a str, &'a str)>, &'a str);

/// `cache_policy` and the rest of one behaviour, by managed names.
fn managed(behavior: &str) -> String {
    format!("[[distribution]]\n$BUCKET\n[distribution.default_cache_behavior]\n{behavior}\n")
}

fn targets(bucket: &Bucket) -> Vec<String> {
    bucket.origin.served().into_iter().map(|served| served.path_and_query).collect()
}

#[tokio::test]
async fn parameters_of_a_whitelist_split_the_cache_and_reach_s3_signed() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(&under("query_strings = [\"v\"]"), &bucket.origin.url()).await;
    for (target, expected) in [
        ("/a?v=1", "Miss"),
        ("/a?utm=x&v=1", "Hit"),
        ("/a", "Miss"),
        ("/a?utm=x", "Hit"),
        ("/a?", "Hit"),
        ("/a?v=1&v=2", "Miss"),
        ("/a?v=2&v=1", "Miss"), // order matters
        ("/a?v", "Miss"),
        ("/a?v=", "Miss"), // not the same as none
        ("/a?V=1", "Hit"),
        ("/a?v=x/y+z(1)", "Miss"),
    ] {
        assert_eq!(told(&get(stage.https(), target).await), (200, expected, "a"), "{target}");
    }
    // Values of one name go in the order of the signature (s3 §1.3).
    let path = "/private-assets/a";
    let expected = ["?v=1", "", "?v=1&v=2", "?v=1&v=2", "?v=", "?v=", "?v=x%2Fy%20z%281%29"];
    assert_eq!(targets(&bucket), expected.map(|query| format!("{path}{query}")));
}

#[tokio::test]
async fn no_policy_makes_another_operation_of_a_read() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let all = "query_string_behavior = \"all\"\n";
    let queries =
        ["acl", "%61cl=1", "list-type=2", "uploads", "partNumber=1", "X-Amz-Signature=0", "versionId=x"];
    for toml in [
        under(all),
        with_request("", all),
        managed("cache_policy = \"CachingDisabled\"\norigin_request_policy = \"AllViewer\""),
    ] {
        let stage = Stage::start(&toml, &bucket.origin.url()).await;
        for query in queries {
            let seen = get(stage.https(), &format!("/a?{query}&response-content-type=text/html&x=1")).await;
            assert_eq!(
                (seen.status, seen.text(), seen.header("content-type")),
                (200, "a", "text/plain"),
                "{query}"
            );
        }
    }
    let seen = bucket.origin.take_served();
    let told: Vec<_> = seen.iter().filter_map(|served| served.path_and_query.split_once('?')).collect();
    assert!(told.iter().all(|(_, query)| *query == "x=1"), "{told:?}");
    // One of the second stage's, whose key has no query.
    assert_eq!(told.len(), queries.len() + 1 + queries.len());
}

#[tokio::test]
async fn an_override_that_the_key_names_is_s3s_to_make() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let toml = under("query_strings = [\"response-content-type\"]");
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    // s3 §2.6
    for (target, expected, kind) in [
        ("/a?response-content-type=text/html", "Miss", "text/html"),
        ("/a", "Miss", "text/plain"),
        ("/a?response-content-type=text/html", "Hit", "text/html"),
    ] {
        let seen = get(stage.https(), target).await;
        assert_eq!((result(&seen), seen.header("content-type")), (expected, kind), "{target}");
    }
}

#[tokio::test]
async fn cookies_of_the_policy_split_the_cache_and_s3_is_not_told() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(&under("cookies = [\"x\", \"y\"]"), &bucket.origin.url()).await;
    for (cookie, expected) in [
        ("x=1; y=2", "Miss"),
        ("y=2; x=1", "Hit"), // sorted by name
        ("z=3; x=1; y=2", "Hit"),
        ("x=1", "Miss"),
        ("X=1", "Miss"), // another name, so none
        ("z=3", "Hit"),
        ("x=1; junk", "Hit"), // not well-formed, so none
    ] {
        let seen = ask(stage.https(), Method::GET, "/a", &[("cookie", cookie)]).await;
        assert_eq!(told(&seen), (200, expected, "a"), "{cookie}");
    }
    let seen = bucket.origin.served();
    assert!(seen.iter().all(|served| !served.headers.contains_key("cookie")), "{seen:?}");
}

#[tokio::test]
async fn viewers_do_not_share_a_fetch_where_cookies_are_taken() {
    const VIEWERS: usize = 5;
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(&under("cookies = [\"x\"]"), &bucket.origin.url()).await;
    let held = bucket.origin.hold();
    let edge = stage.https();
    let viewers: Vec<_> = (0..VIEWERS).map(|_| tokio::spawn(async move { get(edge, "/a").await })).collect();
    all_held(&held, VIEWERS).await; // behaviour §5.7: each asks for itself
    drop(held);
    for viewer in viewers {
        assert_eq!(told(&viewer.await.unwrap()), (200, "Miss", "a"));
    }
    assert_eq!(told(&get(edge, "/a").await), (200, "Hit", "a"));
}

#[tokio::test]
async fn an_origin_request_policy_adds_to_what_s3_is_told_and_not_to_the_key() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let toml = with_request("headers = [\"X-Key\"]", "headers = [\"X-More\"]\nquery_strings = [\"q\"]\n");
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    let fields = [("x-key", "1"), ("x-more", "2"), ("x-else", "3")];
    assert_eq!(result(&ask(stage.https(), Method::GET, "/a?q=1&r=2", &fields).await), "Miss");
    assert_eq!(result(&ask(stage.https(), Method::GET, "/a?q=2", &[("x-key", "1")]).await), "Hit");
    let served = bucket.origin.served().remove(0);
    assert_eq!(served.path_and_query, "/private-assets/a?q=1"); // behaviour §4.4
    let signed: Vec<_> = served.signed_headers.as_deref().unwrap().split(';').collect();
    for (name, expected) in [("x-key", true), ("x-more", true), ("x-else", false)] {
        assert_eq!(served.headers.contains_key(name), expected, "{name}");
        assert_eq!(signed.contains(&name), expected, "{name}");
    }
}

#[tokio::test]
async fn all_of_the_viewers_headers_but_what_s3_must_not_hear() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(&managed("origin_request_policy = \"AllViewer\""), &bucket.origin.url()).await;
    let fields = [
        ("origin", "https://a.example"),
        ("user-agent", "viewer/1"),
        ("authorization", "Bearer viewer"),
        ("cookie", "a=b"),
        ("accept-encoding", "gzip"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-amz-request-payer", "requester"),
        ("content-md5", "bad"),
    ];
    assert_eq!(told(&ask(stage.https(), Method::GET, "/a", &fields).await), (200, "Miss", "a"));
    let served = bucket.origin.served().remove(0);
    assert_eq!(served.headers["user-agent"], "viewer/1"); // behaviour §4.5
    assert_eq!(served.headers["origin"], "https://a.example");
    assert!(served.headers["host"].to_str().unwrap().starts_with("127.0.0.1:"), "{served:?}");
    assert!(served.headers["authorization"].to_str().unwrap().starts_with("AWS4-HMAC-SHA256 "));
    for name in ["cookie", "accept-encoding", "x-forwarded-for", "x-amz-request-payer", "content-md5"] {
        assert!(!served.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn what_would_only_make_s3_refuse_is_refused_here_and_not_remembered() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(&managed("origin_request_policy = \"AllViewer\""), &bucket.origin.url()).await;
    let large = "v".repeat(5_000);
    let seen = ask(stage.https(), Method::GET, "/a", &[("x-large", large.as_str())]).await;
    assert_eq!(seen.status, 494);
    assert_eq!(told(&get(stage.https(), "/a").await), (200, "Miss", "a"));
    let seen = ask(stage.https(), Method::GET, "/a", &[("x-large", large.as_str())]).await;
    assert_eq!(told(&seen), (200, "Hit", "a"));
}

#[tokio::test]
async fn what_the_edge_says_of_the_viewer_cannot_be_forged() {
    let origin = Scripted::start([Act::ok("one"), Act::ok("two"), Act::ok("three")]).await;
    let toml = with_request(
        "headers = [\"CloudFront-Is-Mobile-Viewer\", \"CloudFront-Viewer-Http-Version\"]",
        "headers = [\"CloudFront-Viewer-Address\", \"CloudFront-Forwarded-Proto\"]\n",
    );
    let stage = Stage::start(&toml, &origin.url()).await;
    let desktop = [("cloudfront-is-mobile-viewer", "true"), ("cloudfront-viewer-address", "192.0.2.1:1")];
    let mobile = [("user-agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148")];
    assert_eq!(told(&ask(stage.https(), Method::GET, "/a", &desktop).await), (200, "Miss", "one"));
    assert_eq!(told(&ask(stage.https(), Method::GET, "/a", &mobile).await), (200, "Miss", "two"));
    assert_eq!(told(&ask(stage.https(), Method::GET, "/a", &[]).await), (200, "Hit", "one"));
    assert_eq!(told(&over_h2(stage.https(), &["/a"]).await.remove(0)), (200, "Miss", "three"));
    // behaviour §4.7
    let heads: Vec<_> = origin.heads().iter().map(|head| head.to_ascii_lowercase()).collect();
    for (head, mobile, version) in
        [(&heads[0], "false", "1.1"), (&heads[1], "true", "1.1"), (&heads[2], "false", "2.0")]
    {
        for line in [
            format!("\r\ncloudfront-is-mobile-viewer: {mobile}\r\n"),
            format!("\r\ncloudfront-viewer-http-version: {version}\r\n"),
            "\r\ncloudfront-forwarded-proto: https\r\n".to_owned(),
            "\r\ncloudfront-viewer-address: 127.0.0.1:".to_owned(),
        ] {
            assert!(head.contains(&line), "{head}");
        }
    }
}

#[tokio::test]
async fn managed_policies_that_key_on_more() {
    let bucket = Bucket::start().await;
    bucket.put_with("a", "a", |meta| meta.cache_control = Some("max-age=60".into()));
    let toml = managed("cache_policy = \"UseOriginCacheControlHeaders-QueryStrings\"");
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    // behaviour §4.8
    let table: [Row<'_>; 7] = [
        ("/a", None, "Miss"),
        ("/a", None, "Hit"),
        ("/a?x=1", None, "Miss"),
        ("/a", Some(("cookie", "a=1")), "Miss"),
        ("/a", Some(("host", "other.example.com")), "Miss"),
        ("/a", Some(("origin", "https://a.example")), "Miss"),
        ("/a", Some(("accept-language", "de")), "Hit"),
    ];
    for (target, field, expected) in table {
        let seen = ask(stage.https(), Method::GET, target, field.as_slice()).await;
        assert_eq!(told(&seen), (200, expected, "a"), "{target} {field:?}");
    }
}
