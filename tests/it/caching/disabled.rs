//! CachingDisabled: the edge signs and forgets (behaviour §4.8, §5.1, §5.7).

use std::time::{Duration, UNIX_EPOCH};

use http::Method;

use super::{result, told};
use crate::support::viewer::{ask, get};
use crate::support::{Bucket, Stage, all_held};

const DISABLED: &str = "[[distribution]]\n$BUCKET\n[distribution.default_cache_behavior]\n\
                        cache_policy = \"CachingDisabled\"\n";

#[tokio::test]
async fn every_request_reaches_the_origin_and_nothing_is_kept() {
    let bucket = Bucket::start().await;
    bucket.put_with("a", "one", |meta| meta.cache_control = Some("max-age=60".into()));
    let stage = Stage::start(DISABLED, &bucket.origin.url()).await;
    assert_eq!(told(&get(stage.https(), "/a").await), (200, "Miss", "one"));
    bucket.put("a", "two");
    let second = get(stage.https(), "/a").await;
    assert_eq!(told(&second), (200, "Miss", "two"));
    assert_eq!(second.header("age"), "");
    let head = ask(stage.https(), Method::HEAD, "/a", &[]).await;
    assert_eq!((head.status, head.header("content-length"), head.text()), (200, "3", ""));
    let methods: Vec<_> = bucket.origin.served().into_iter().map(|served| served.method).collect();
    assert_eq!(methods, [Method::GET, Method::GET, Method::HEAD]);
    assert_eq!(stage.metric("edgeseal_cache_entries"), 0.0);
}

#[tokio::test]
async fn errors_are_not_kept_either() {
    let bucket = Bucket::listable().await;
    let stage = Stage::start(DISABLED, &bucket.origin.url()).await;
    assert_eq!(get(stage.https(), "/a").await.status, 404);
    bucket.put("a", "now");
    assert_eq!(told(&get(stage.https(), "/a").await), (200, "Miss", "now")); // behaviour §8.1
}

#[tokio::test]
async fn viewers_do_not_wait_for_one_another() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(DISABLED, &bucket.origin.url()).await;
    let held = bucket.origin.hold();
    let viewers: Vec<_> = (0..3)
        .map(|_| {
            let edge = stage.https();
            tokio::spawn(async move { get(edge, "/a").await })
        })
        .collect();
    all_held(&held, 3).await; // behaviour §5.7
    drop(held);
    for viewer in viewers {
        assert_eq!(told(&viewer.await.unwrap()), (200, "Miss", "a"));
    }
}

#[tokio::test]
async fn ranges_and_conditions_are_passed_on_and_signed() {
    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    let bucket = Bucket::start().await;
    let etag = bucket.put_with("a", "0123456789", |meta| {
        meta.last_modified = Some(UNIX_EPOCH + Duration::from_secs(784_111_777));
    });
    let stage = Stage::start(DISABLED, &bucket.origin.url()).await;
    // behaviour §6, s3 §2.4, §2.5: the origin's own answers
    let table = [
        ("range", "bytes=2-4", 206, "234"),
        ("range", "bytes=-2", 206, "89"),
        ("range", "bytes=100-", 416, ""),
        ("if-none-match", &*etag, 304, ""),
        ("if-none-match", "\"other\"", 200, "0123456789"),
        ("if-modified-since", MODIFIED, 304, ""),
        ("if-modified-since", EARLIER, 200, "0123456789"),
        ("if-match", "\"other\"", 412, ""),
        ("if-unmodified-since", EARLIER, 412, ""),
    ];
    for (name, value, status, body) in table {
        let seen = ask(stage.https(), Method::GET, "/a", &[(name, value)]).await;
        assert_eq!(seen.status, status, "{name}: {value}");
        assert!(status > 400 || seen.text() == body, "{name}: {value} brings {:?}", seen.text());
        let served = bucket.origin.take_served().pop().unwrap();
        assert_eq!((served.status, served.headers.get(name).unwrap().to_str().unwrap()), (status, value));
        let signed = served.signed_headers.unwrap();
        assert!(signed.split(';').any(|signed| signed == name), "{name} is not among {signed}"); // s3 §1.4
    }
}

#[tokio::test]
async fn a_304_of_the_origin_passes() {
    let bucket = Bucket::start().await;
    let etag = bucket.put("a", "a");
    let stage = Stage::start(DISABLED, &bucket.origin.url()).await;
    let seen = ask(stage.https(), Method::GET, "/a", &[("if-none-match", &etag)]).await;
    assert_eq!((seen.status, result(&seen), seen.header("etag")), (304, "Miss", &*etag)); // behaviour §5.6
    assert!(!seen.headers.contains_key("content-length"));
}
