//! How long an object lives, and how it is asked about afterwards (behaviour §5.1, §5.4).

use std::time::{Duration, Instant};

use edgeseal::demo::store::Encryption;
use http::Method;
use tokio::task::JoinHandle;

use super::{BRIEF, brief, outlive, result, told, under};
use crate::support::viewer::{Seen, ask, get};
use crate::support::{Bucket, OBEDIENT, Stage, all_held};

const PAST: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const FUTURE: &str = "Fri, 31 Dec 9999 23:59:59 GMT";

#[tokio::test]
async fn the_origin_says_how_long() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(OBEDIENT, &bucket.origin.url()).await;
    // behaviour §5.1, m = 0: Cache-Control, Expires, the second viewer's result
    let table = [
        (None, None, "Hit"),
        (Some("public, immutable"), None, "Hit"),
        (Some("max-age=60"), None, "Hit"),
        (Some("max-age=60"), Some(PAST), "Hit"),
        (Some("max-age=0"), Some(FUTURE), "RefreshHit"),
        (Some("max-age=0, s-maxage=60"), None, "Hit"),
        (Some("max-age=60, s-maxage=0"), None, "RefreshHit"),
        (Some("s-maxage=60"), Some(PAST), "Hit"),
        (None, Some(FUTURE), "Hit"),
        (None, Some(PAST), "RefreshHit"),
        (None, Some("0"), "RefreshHit"),
        (Some("no-store"), None, "Miss"),
        (Some("no-store, max-age=60"), None, "Miss"),
        (Some("no-cache"), Some(FUTURE), "RefreshHit"),
        (Some("private, s-maxage=60"), None, "Miss"),
    ];
    for (row, (cache_control, expires, second)) in table.into_iter().enumerate() {
        let key = format!("{row}");
        put(&bucket, &key, cache_control, expires);
        for expected in ["Miss", second] {
            let seen = get(stage.https(), &format!("/{key}")).await;
            assert_eq!(told(&seen), (200, expected, "body"), "{cache_control:?} {expires:?}");
            assert_eq!(seen.header("cache-control"), cache_control.unwrap_or_default(), "as it was");
        }
        let fetches = if second == "Hit" { 1 } else { 2 };
        assert_eq!(bucket.fetches(&key), fetches, "{cache_control:?} {expires:?}");
    }
}

#[tokio::test]
async fn a_minimum_overrules_the_origin() {
    let bucket = Bucket::start().await;
    let policy = under("min_ttl = \"60s\"\ndefault_ttl = \"60s\"\nmax_ttl = \"1d\"");
    let stage = Stage::start(&policy, &bucket.origin.url()).await;
    // behaviour §5.1, m > 0
    for (row, cache_control) in
        ["no-store", "no-cache", "private", "max-age=0", "s-maxage=0"].into_iter().enumerate()
    {
        put(&bucket, &format!("{row}"), Some(cache_control), None);
        for expected in ["Miss", "Hit"] {
            let seen = get(stage.https(), &format!("/{row}")).await;
            assert_eq!(told(&seen), (200, expected, "body"), "{cache_control}");
        }
    }
}

#[tokio::test]
async fn the_minimum_is_also_all_that_an_unwelcome_object_gets() {
    let bucket = Bucket::start().await;
    let policy = under("min_ttl = \"100ms\"\ndefault_ttl = \"60s\"\nmax_ttl = \"1d\"");
    let stage = Stage::start(&policy, &bucket.origin.url()).await;
    put(&bucket, "a", Some("no-store, max-age=60"), None);
    get(stage.https(), "/a").await;
    outlive(BRIEF).await;
    assert_eq!(result(&get(stage.https(), "/a").await), "RefreshHit");
}

#[tokio::test]
async fn a_maximum_overrules_the_origin() {
    let bucket = Bucket::start().await;
    let policy = under("min_ttl = \"0s\"\ndefault_ttl = \"0s\"\nmax_ttl = \"100ms\"");
    let stage = Stage::start(&policy, &bucket.origin.url()).await;
    put(&bucket, "a", Some("max-age=60"), None);
    put(&bucket, "b", None, Some(FUTURE));
    for target in ["/a", "/b"] {
        get(stage.https(), target).await;
        outlive(BRIEF).await;
        assert_eq!(result(&get(stage.https(), target).await), "RefreshHit", "{target}"); // behaviour §5.1
    }
}

#[tokio::test]
async fn a_confirmed_object_is_young_again() {
    let bucket = Bucket::start().await;
    let policy = under("min_ttl = \"0s\"\ndefault_ttl = \"1s\"\nmax_ttl = \"1d\"");
    let stage = Stage::start(&policy, &bucket.origin.url()).await;
    // The same bytes without KMS: the ETag stays, the other fields change (s3 §2.3).
    let etag = bucket.put_with("a", "body", |meta| meta.encryption = Encryption::SseS3);
    let first = get(stage.https(), "/a").await;
    outlive(Duration::from_secs(1)).await;
    bucket.put_with("a", "body", |meta| {
        meta.encryption = Encryption::SseS3;
        meta.cache_control = Some("max-age=60".into());
    });

    let asked = Instant::now();
    let confirmed = get(stage.https(), "/a").await;
    assert_eq!(told(&confirmed), (200, "RefreshHit", "body"));
    assert_eq!(confirmed.header("cache-control"), "max-age=60", "a 304 brings fields up to date"); // RFC 9111 §3.2
    let question = bucket.origin.served().pop().unwrap();
    assert_eq!((question.status, question.if_none_match.as_deref()), (304, Some(&*etag)));
    // behaviour §5.4
    assert_eq!(question.headers.get("if-modified-since").unwrap(), first.header("last-modified"));

    let hit = get(stage.https(), "/a").await;
    assert_eq!(told(&hit), (200, "Hit", "body"));
    assert!(age(&hit) <= asked.elapsed().as_secs(), "{} s old", age(&hit));
    assert_eq!(bucket.fetches("a"), 2);
}

#[tokio::test]
async fn a_changed_object_takes_the_expired_ones_place() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(&brief(), &bucket.origin.url()).await;
    put(&bucket, "a", None, None);
    get(stage.https(), "/a").await;
    outlive(BRIEF).await;
    let etag = bucket.put_with("a", "new", |meta| meta.cache_control = Some("max-age=60".into()));
    for expected in ["Miss", "Hit"] {
        let seen = get(stage.https(), "/a").await;
        assert_eq!(told(&seen), (200, expected, "new")); // behaviour §5.4
        assert_eq!(seen.header("etag"), etag);
    }
    assert_eq!(bucket.fetches("a"), 2);
}

#[tokio::test]
async fn what_a_viewer_says_of_caching_changes_nothing() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(OBEDIENT, &bucket.origin.url()).await;
    put(&bucket, "a", None, None);
    get(stage.https(), "/a").await;
    let fields = [("cache-control", "no-cache, no-store, max-age=0"), ("pragma", "no-cache")];
    let seen = ask(stage.https(), Method::GET, "/a", &fields).await;
    assert_eq!(told(&seen), (200, "Hit", "body")); // behaviour §5.6
}

#[tokio::test]
async fn viewers_of_what_may_not_be_kept_do_not_queue() {
    const VIEWERS: usize = 20;
    let bucket = Bucket::start().await;
    put(&bucket, "a", Some("no-store"), None);
    let stage = Stage::start(OBEDIENT, &bucket.origin.url()).await;
    // Cold: they wait for one head, and then none for another one's body (behaviour §5.7).
    let bodies = bucket.origin.hold_body_after(1);
    let viewers = come(&stage, VIEWERS);
    all_held(&bodies, VIEWERS).await;
    drop(bodies);
    all_miss(viewers).await;
    // Known as not to be kept: none waits for another one's head either.
    let requests = bucket.origin.hold();
    let viewers = come(&stage, VIEWERS);
    all_held(&requests, VIEWERS).await;
    drop(requests);
    all_miss(viewers).await;
    assert_eq!(bucket.fetches("a"), 2 * VIEWERS);
}

fn come(stage: &Stage, viewers: usize) -> Vec<JoinHandle<Seen>> {
    let edge = stage.https();
    (0..viewers).map(|_| tokio::spawn(async move { get(edge, "/a").await })).collect()
}

async fn all_miss(viewers: Vec<JoinHandle<Seen>>) {
    for viewer in viewers {
        assert_eq!(told(&viewer.await.unwrap()), (200, "Miss", "body"));
    }
}

fn put(bucket: &Bucket, key: &str, cache_control: Option<&str>, expires: Option<&str>) {
    bucket.put_with(key, "body", |meta| {
        meta.cache_control = cache_control.map(Into::into);
        meta.expires = expires.map(Into::into);
    });
}

fn age(seen: &Seen) -> u64 {
    seen.header("age").parse().unwrap()
}
