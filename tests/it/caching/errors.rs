//! Which refusals are remembered, and how long (behaviour §8.1).

use std::time::Duration;

use http::Method;

use super::{outlive, result, told};
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{ask, get};
use crate::support::{Bucket, OBEDIENT, PLAIN, Stage};

#[tokio::test]
async fn a_404_is_remembered() {
    let bucket = Bucket::listable().await;
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    assert_eq!(get(stage.https(), "/a").await.status, 404);
    bucket.put("a", "a");
    for method in [Method::GET, Method::HEAD] {
        let seen = ask(stage.https(), method, "/a", &[]).await;
        assert_eq!((seen.status, result(&seen)), (404, "Error"));
    }
    assert_eq!(bucket.fetches("a"), 1);
}

#[tokio::test]
async fn a_404_is_remembered_for_as_long_as_is_configured() {
    let bucket = Bucket::listable().await;
    let toml = format!(
        "{PLAIN}[[distribution.custom_error_response]]\nerror_code = 404\nerror_caching_min_ttl = \"1s\"\n"
    );
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    assert_eq!(get(stage.https(), "/a").await.status, 404);
    bucket.put("a", "a");
    assert_eq!(get(stage.https(), "/a").await.status, 404);
    outlive(Duration::from_secs(1)).await;
    assert_eq!(told(&get(stage.https(), "/a").await), (200, "Miss", "a"));
    assert_eq!(bucket.fetches("a"), 2);
}

#[tokio::test]
async fn a_403_of_s3_is_not_remembered() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    assert_eq!(get(stage.https(), "/a").await.status, 403); // s3 §2.7: missing, and the reader may not list
    bucket.put("a", "a");
    assert_eq!(told(&get(stage.https(), "/a").await), (200, "Miss", "a"));
}

#[tokio::test]
async fn status_and_headers_decide_what_is_remembered() {
    // behaviour §8.1: status, Cache-Control, what the second viewer gets
    let table = [
        (404, "", 404),
        (410, "", 410),
        (414, "", 414),
        (501, "", 501),
        (404, "no-store", 200),
        (404, "no-cache", 200),
        (404, "private", 200),
        (501, "no-store", 200),
        (400, "", 200),
        (403, "", 200),
        (405, "", 200),
        (412, "", 200),
        (403, "max-age=60", 403),
        (403, "s-maxage=60", 403),
        (415, "max-age=60", 415),
        (416, "max-age=60", 200),
        (401, "max-age=60", 200),
        (451, "", 200),
    ];
    for (status, cache_control, second) in table {
        let origin = Scripted::start([refusal(status, cache_control), Act::ok("a")]).await;
        let stage = Stage::start(OBEDIENT, &origin.url()).await;
        let first = get(stage.https(), "/a").await;
        let again = get(stage.https(), "/a").await;
        assert_eq!((first.status, again.status), (status, second), "{status} {cache_control}");
    }
}

#[tokio::test]
async fn a_failure_is_remembered_even_if_it_should_not_be_stored() {
    // behaviour §8.1; asked twice because S3 deserves a second chance (s3 §2.16).
    for status in [500, 502, 503, 504] {
        let failure = refusal(status, "no-store");
        let origin = Scripted::start([failure.clone(), failure, Act::ok("a")]).await;
        let stage = Stage::start(OBEDIENT, &origin.url()).await;
        for _ in 0..2 {
            let seen = get(stage.https(), "/a").await;
            assert_eq!((seen.status, result(&seen)), (status, "Error"));
        }
        assert_eq!(origin.heads().len(), 2);
    }
}

fn refusal(status: u16, cache_control: &str) -> Act {
    let field =
        if cache_control.is_empty() { String::new() } else { format!("cache-control: {cache_control}\r\n") };
    Act::send(&format!("HTTP/1.1 {status} X\r\n{field}content-length: 0\r\n\r\n"))
}
