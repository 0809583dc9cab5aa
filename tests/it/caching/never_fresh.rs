//! What is kept and asked about each time, and what is kept for bad days only (behaviour §5.1, §5.7).

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::sync::Notify;

use super::{outlive, result, told};
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{Seen, ask, get};
use crate::support::{Bucket, OBEDIENT, Stage, all_held, eventually};

const KEEPING: &str = "[cache]\nkeep_uncacheable_for_errors = true\n";

fn put(bucket: &Bucket, key: &str, cache_control: &str) {
    bucket.put_with(key, "body", |meta| meta.cache_control = Some(cache_control.into()));
}

#[tokio::test]
async fn what_is_never_fresh_is_confirmed_each_time() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(OBEDIENT, &bucket.origin.url()).await;
    for (row, control) in
        ["max-age=0", "max-age=60, s-maxage=0", "no-cache", "no-cache, max-age=60"].into_iter().enumerate()
    {
        put(&bucket, &format!("{row}"), control);
        for expected in ["Miss", "RefreshHit", "RefreshHit"] {
            let seen = get(stage.https(), &format!("/{row}")).await;
            assert_eq!(told(&seen), (200, expected, "body"), "{control}");
        }
        let served = bucket.origin.take_served();
        let statuses: Vec<_> = served.iter().map(|served| served.status).collect();
        assert_eq!(statuses, [200, 304, 304], "{control}"); // behaviour §5.1
    }
}

#[tokio::test]
async fn a_new_version_of_it_is_seen_at_once() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(OBEDIENT, &bucket.origin.url()).await;
    put(&bucket, "a", "no-cache");
    get(stage.https(), "/a").await;
    bucket.put_with("a", "new", |meta| meta.cache_control = Some("max-age=60".into()));
    for expected in ["Miss", "Hit"] {
        assert_eq!(told(&get(stage.https(), "/a").await), (200, expected, "new"));
    }
}

#[tokio::test]
async fn its_viewers_do_not_queue() {
    const VIEWERS: usize = 8;
    let bucket = Bucket::start().await;
    put(&bucket, "a", "max-age=0");
    let stage = Stage::start(OBEDIENT, &bucket.origin.url()).await;
    let edge = stage.https();
    get(edge, "/a").await;
    let held = bucket.origin.hold();
    let viewers: Vec<_> = (0..VIEWERS).map(|_| tokio::spawn(async move { get(edge, "/a").await })).collect();
    all_held(&held, VIEWERS).await; // behaviour §5.7: each question is on its way
    drop(held);
    for viewer in viewers {
        assert_eq!(told(&viewer.await.unwrap()), (200, "RefreshHit", "body"));
    }
}

#[tokio::test]
async fn ranges_and_conditions_of_it_are_answered_from_what_was_confirmed() {
    let bucket = Bucket::start().await;
    put(&bucket, "a", "max-age=0");
    let stage = Stage::start(OBEDIENT, &bucket.origin.url()).await;
    let etag = get(stage.https(), "/a").await.header("etag").to_owned();
    let range = ask(stage.https(), Method::GET, "/a", &[("range", "bytes=1-2")]).await;
    assert_eq!(told(&range), (206, "RefreshHit", "od"));
    let known = ask(stage.https(), Method::GET, "/a", &[("if-none-match", &etag)]).await;
    assert_eq!((known.status, result(&known)), (304, "RefreshHit"));
}

#[tokio::test]
async fn it_may_stand_in_unless_it_says_no_cache() {
    for (control, status) in [("max-age=0", 200), ("max-age=0, must-revalidate", 502), ("no-cache", 502)] {
        let bucket = Bucket::start().await;
        put(&bucket, "a", control);
        let stage = Stage::start(OBEDIENT, &bucket.origin.url()).await;
        get(stage.https(), "/a").await;
        bucket.origin.shutdown();
        assert_eq!(get(stage.https(), "/a").await.status, status, "{control}"); // behaviour §5.3
    }
}

#[tokio::test]
async fn a_last_resort_is_for_an_origin_that_is_gone() {
    for (control, status) in
        [("no-store", 200), ("private", 200), ("no-cache", 200), ("no-store, stale-if-error=0", 502)]
    {
        let bucket = Bucket::start().await;
        put(&bucket, "a", control);
        let stage = Stage::start(&format!("{KEEPING}{OBEDIENT}"), &bucket.origin.url()).await;
        for _ in 0..2 {
            assert_eq!(
                told(&get(stage.https(), "/a").await),
                (200, "Miss", "body"),
                "{control}: always asked for anew"
            );
        }
        bucket.origin.shutdown();
        let seen = get(stage.https(), "/a").await;
        assert_eq!(seen.status, status, "{control}"); // behaviour §5.1, retention note
    }
}

#[tokio::test]
async fn a_last_resort_outlives_an_error() {
    let bucket = Bucket::start().await;
    put(&bucket, "a", "no-store");
    let brief = "[[distribution.custom_error_response]]\nerror_code = 503\nerror_caching_min_ttl = \"1s\"\n";
    let stage = Stage::start(&format!("{KEEPING}{OBEDIENT}{brief}"), &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    bucket.origin.slow_down(2);
    assert_eq!(get(stage.https(), "/a").await.status, 503, "it answers, if with an error");
    outlive(Duration::from_secs(1)).await;
    bucket.origin.shutdown();
    assert_eq!(told(&get(stage.https(), "/a").await), (200, "RefreshHit", "body"));
}

#[tokio::test]
async fn without_the_option_nothing_of_the_kind_is_kept() {
    for control in ["no-store", "private", "no-cache"] {
        let bucket = Bucket::start().await;
        put(&bucket, "a", control);
        let stage = Stage::start(OBEDIENT, &bucket.origin.url()).await;
        get(stage.https(), "/a").await;
        bucket.origin.shutdown();
        assert_eq!(get(stage.https(), "/a").await.status, 502, "{control}");
    }
}

#[tokio::test]
async fn a_last_resort_does_not_survive_a_refusal() {
    let bucket = Bucket::start().await;
    put(&bucket, "a", "private");
    let stage = Stage::start(&format!("{KEEPING}{OBEDIENT}"), &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    bucket.origin.remove("a").unwrap();
    assert_eq!(get(stage.https(), "/a").await.status, 403);
    bucket.origin.shutdown();
    assert_eq!(get(stage.https(), "/a").await.status, 502, "what was taken away does not come back");
}

#[tokio::test]
async fn fields_that_are_not_for_later_viewers_are_not_kept() {
    let fields = "cache-control: max-age=60, no-cache=\"x-a\", private=\"x-b\"\r\nx-a: 1\r\nx-b: 2\r\nx-c: 3";
    let origin =
        Scripted::start([Act::send(&format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n{fields}\r\n\r\nx"))])
            .await;
    let stage = Stage::start(OBEDIENT, &origin.url()).await;
    let of = |seen: &Seen| ["x-a", "x-b", "x-c"].map(|name| seen.header(name).to_owned());
    let (first, second) = (get(stage.https(), "/a").await, get(stage.https(), "/a").await);
    assert_eq!((result(&first), of(&first)), ("Miss", ["1", "2", "3"].map(String::from)));
    assert_eq!((result(&second), of(&second)), ("Hit", ["", "", "3"].map(String::from))); // RFC 9111 §5.2.2.4
}

#[tokio::test]
async fn who_waits_for_anothers_fetch_does_not_get_its_fields() {
    let go = Arc::new(Notify::new());
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncache-control: max-age=60, no-cache=\"x-a\"";
    let act = Act::SendAfter(Arc::clone(&go), format!("{head}\r\nx-a: 1\r\n\r\nx").into_bytes());
    let origin = Scripted::start([act]).await;
    let stage = Stage::start(OBEDIENT, &origin.url()).await;
    let edge = stage.https();
    let leader = tokio::spawn(async move { get(edge, "/a").await });
    eventually("the first is on its way", || async { origin.heads().len() == 1 }).await;
    let follower = tokio::spawn(async move { get(edge, "/a").await });
    let collapsed = "edgeseal_cache_collapsed_requests_total";
    eventually("the other waits", || async { stage.metric(collapsed) == 1.0 }).await;
    go.notify_one();
    let (leader, follower) = (leader.await.unwrap(), follower.await.unwrap());
    assert_eq!((told(&leader), leader.header("x-a")), ((200, "Miss", "x"), "1"));
    assert_eq!((told(&follower), follower.header("x-a")), ((200, "Hit", "x"), ""));
}

#[tokio::test]
async fn other_statuses_are_kept_too() {
    // behaviour §5.6, RFC 9111 §3
    for (head, status, second) in [
        ("203 X\r\ncontent-length: 1\r\n\r\nx", 203, "Hit"),
        ("204 X\r\n\r\n", 204, "Hit"),
        ("299 X\r\ncontent-length: 1\r\n\r\nx", 299, "Miss"),
        ("299 X\r\ncache-control: max-age=60\r\ncontent-length: 1\r\n\r\nx", 299, "Hit"),
    ] {
        let act = || Act::send(&format!("HTTP/1.1 {head}"));
        let origin = Scripted::start([act(), act()]).await;
        let stage = Stage::start(OBEDIENT, &origin.url()).await;
        for expected in ["Miss", second] {
            let seen = get(stage.https(), "/a").await;
            assert_eq!((seen.status, result(&seen)), (status, expected), "{head}");
            assert_eq!(seen.header("content-length").is_empty(), status == 204, "{head}");
        }
        let range = ask(stage.https(), Method::GET, "/a", &[("range", "bytes=0-0")]).await;
        assert!(second == "Miss" || range.status == status, "only a 200 has ranges: {head}");
    }
}

#[tokio::test]
async fn a_targeted_field_is_listened_to_and_passed_on() {
    let fields = "cache-control: no-store\r\ncdn-cache-control: max-age=60";
    let act = || Act::send(&format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n{fields}\r\n\r\nx"));
    for (on, second) in [(true, "Hit"), (false, "Miss")] {
        let origin = Scripted::start([act(), act()]).await;
        let toml = format!("[cache]\ncdn_cache_control = {on}\n{OBEDIENT}");
        let stage = Stage::start(&toml, &origin.url()).await;
        for expected in ["Miss", second] {
            let seen = get(stage.https(), "/a").await;
            assert_eq!(result(&seen), expected, "on: {on}");
            // RFC 9213 §3.1
            assert_eq!(seen.header("cdn-cache-control"), "max-age=60");
            assert_eq!(seen.header("cache-control"), "no-store");
        }
    }
}
