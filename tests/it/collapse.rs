//! One fetch for however many viewers, who all read along (behaviour §5.7).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{Seen, ask, begin, get};
use crate::support::{Bucket, PLAIN, Stage, all_held, eventually, pattern};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const COLLAPSED: &str = "edgeseal_cache_collapsed_requests_total";

#[tokio::test]
async fn five_hundred_viewers_of_a_cold_object_cost_one_fetch() {
    const VIEWERS: usize = 500;
    let bucket = Bucket::start().await;
    let body = pattern(100 * KIB);
    bucket.put("a", body.clone());
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let held = bucket.origin.hold();
    let viewers: Vec<_> = (0..VIEWERS).map(|_| viewer(&stage, "/a")).collect();
    all_follow(&stage, VIEWERS - 1).await;
    drop(held);
    let (mut misses, mut hits) = (0, 0);
    for viewer in viewers {
        let seen = viewer.await.unwrap();
        assert!(seen.status == 200 && seen.body == body);
        match seen.header("x-cache") {
            "Miss from edgeseal" => misses += 1,
            "Hit from edgeseal" => hits += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!((misses, hits), (1, VIEWERS - 1)); // behaviour §5.7, §8.5
    assert_eq!(bucket.fetches("a"), 1);
    assert_eq!(stage.metric(COLLAPSED), 499.0);
}

#[tokio::test]
async fn the_first_byte_is_out_before_the_last_is_in() {
    let bucket = Bucket::start().await;
    let body = pattern(MIB);
    bucket.put("a", body.clone());
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let held = bucket.origin.hold_body_after(1000);
    let mut leader = begin(stage.https(), "/a", &[]).await;
    assert_eq!(take(&mut leader, 1000).await, body[..1000]);
    let mut late = begin(stage.https(), "/a", &[]).await;
    assert_eq!(late.headers()["x-cache"], "Hit from edgeseal");
    assert_eq!(take(&mut late, 1000).await, body[..1000]);
    drop(held);
    for viewer in [leader, late] {
        assert!(rest(viewer).await.unwrap() == body[1000..]);
    }
}

#[tokio::test]
async fn a_viewer_that_does_not_read_holds_back_nobody() {
    let bucket = Bucket::start().await;
    let body = pattern(20 * MIB);
    bucket.put("a", body.clone());
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let slow = begin(stage.https(), "/a", &[]).await;
    assert!(get(stage.https(), "/a").await.body == body);
    assert_eq!(bucket.fetches("a"), 1);
    assert!(rest(slow).await.unwrap() == body, "and it loses nothing");
}

#[tokio::test]
async fn the_viewer_that_was_first_may_leave() {
    let bucket = Bucket::start().await;
    let body = pattern(MIB);
    bucket.put("a", body.clone());
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let held = bucket.origin.hold_body_after(1000);
    let leader = begin(stage.https(), "/a", &[]).await;
    let follower = begin(stage.https(), "/a", &[]).await;
    drop(leader);
    connections_left(&stage, 1).await;
    drop(held);
    assert!(rest(follower).await.unwrap() == body);
    let seen = get(stage.https(), "/a").await;
    assert_eq!(seen.header("x-cache"), "Hit from edgeseal");
    assert_eq!(bucket.fetches("a"), 1);
}

#[tokio::test]
async fn all_viewers_may_leave_and_the_object_is_kept() {
    let bucket = Bucket::start().await;
    let body = pattern(MIB);
    bucket.put("a", body.clone());
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let held = bucket.origin.hold_body_after(1000);
    let viewers = [begin(stage.https(), "/a", &[]).await, begin(stage.https(), "/a", &[]).await];
    drop(viewers);
    connections_left(&stage, 0).await;
    drop(held);
    let seen = get(stage.https(), "/a").await;
    assert!(seen.body == body);
    assert_eq!((seen.header("x-cache"), bucket.fetches("a")), ("Hit from edgeseal", 1));
}

#[tokio::test]
async fn the_viewer_that_was_first_may_leave_before_there_is_an_answer() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let held = bucket.origin.hold();
    let leader = viewer(&stage, "/a");
    all_held(&held, 1).await;
    let follower = viewer(&stage, "/a");
    all_follow(&stage, 1).await;
    leader.abort();
    connections_left(&stage, 1).await;
    drop(held);
    assert_eq!(follower.await.unwrap().text(), "a");
    assert_eq!(bucket.fetches("a"), 1);
}

#[tokio::test]
async fn an_origin_that_dies_in_mid_body_ends_every_body_with_an_error() {
    let bucket = Bucket::start().await;
    let body = pattern(MIB);
    bucket.put("a", body.clone());
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let held = bucket.origin.hold_body_after(1000);
    let mut viewers = Vec::new();
    for _ in 0..3 {
        let mut viewer = begin(stage.https(), "/a", &[]).await;
        assert_eq!(take(&mut viewer, 1000).await, body[..1000]);
        viewers.push(viewer);
    }
    bucket.origin.shutdown();
    for viewer in viewers {
        assert!(rest(viewer).await.is_err(), "a part is not presented as the whole");
    }
    drop(held);
    assert_eq!(get(stage.https(), "/a").await.status, 502);
    assert_eq!(stage.metric(COLLAPSED), 2.0);
}

#[tokio::test]
async fn a_short_body_is_an_error_and_the_next_request_fetches_again() {
    // behaviour §6: by its length, and by a last chunk that never comes
    let table = [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n01234\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\n01234",
    ];
    for short in table {
        let origin = Scripted::start([Act::send_and_close(short), Act::ok("0123456789")]).await;
        let stage = Stage::start(PLAIN, &origin.url()).await;
        let viewer = begin(stage.https(), "/a", &[]).await;
        assert_eq!(viewer.status(), 200, "{short}");
        assert!(rest(viewer).await.is_err(), "{short}");
        let again = get(stage.https(), "/a").await;
        assert_eq!((again.header("x-cache"), again.text()), ("Miss from edgeseal", "0123456789"), "{short}");
        assert_eq!(origin.heads().len(), 2, "{short}");
    }
}

#[tokio::test]
async fn heads_and_ranges_and_conditions_join_a_fetch() {
    let bucket = Bucket::start().await;
    let etag = bucket.put("a", "0123456789");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let held = bucket.origin.hold();
    let edge = stage.https();
    let leader = viewer(&stage, "/a");
    all_held(&held, 1).await;
    let head = tokio::spawn(async move { ask(edge, Method::HEAD, "/a", &[]).await });
    let range = tokio::spawn(async move { ask(edge, Method::GET, "/a", &[("range", "bytes=2-4")]).await });
    let known = tokio::spawn(async move { ask(edge, Method::GET, "/a", &[("if-none-match", &etag)]).await });
    all_follow(&stage, 3).await;
    drop(held);
    assert_eq!(leader.await.unwrap().text(), "0123456789");
    let (head, range, known) = (head.await.unwrap(), range.await.unwrap(), known.await.unwrap());
    assert_eq!((head.status, head.header("content-length"), head.text()), (200, "10", ""));
    assert_eq!((range.status, range.header("content-range"), range.text()), (206, "bytes 2-4/10", "234"));
    assert_eq!((known.status, known.text()), (304, ""));
    assert_eq!(bucket.fetches("a"), 1);
}

#[tokio::test]
async fn a_failure_before_the_head_is_told_to_all_who_wait() {
    for (bucket, status) in [(Bucket::listable().await, 404), (Bucket::start().await, 403)] {
        let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
        let held = bucket.origin.hold();
        let viewers: Vec<_> = (0..10).map(|_| viewer(&stage, "/missing")).collect();
        all_follow(&stage, 9).await;
        drop(held);
        for viewer in viewers {
            let seen = viewer.await.unwrap();
            assert_eq!((seen.status, seen.header("x-cache")), (status, "Error from edgeseal"));
        }
        assert_eq!(bucket.fetches("missing"), 1);
    }
}

#[tokio::test]
async fn a_revalidation_is_shared_too() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let toml = "[[cache_policy]]\nname = \"brief\"\ndefault_ttl = \"100ms\"\n[[distribution]]\n$BUCKET\n\
                [distribution.default_cache_behavior]\ncache_policy = \"brief\"\n";
    let stage = Stage::start(toml, &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    tokio::time::sleep(Duration::from_millis(100)).await; // its lifetime: now it is over
    let held = bucket.origin.hold();
    let viewers: Vec<_> = (0..10).map(|_| viewer(&stage, "/a")).collect();
    all_follow(&stage, 9).await;
    drop(held);
    let mut results = Vec::new();
    for viewer in viewers {
        let seen = viewer.await.unwrap();
        assert_eq!((seen.status, seen.text()), (200, "a"));
        results.push(seen.header("x-cache").to_owned());
    }
    let confirmed = results.iter().filter(|result| *result == "RefreshHit from edgeseal").count();
    let hits = results.iter().filter(|result| *result == "Hit from edgeseal").count();
    assert_eq!((confirmed, hits), (1, 9)); // behaviour §5.4, §5.7
    assert_eq!(bucket.fetches("a"), 2);
}

#[tokio::test]
async fn two_objects_do_not_wait_for_each_other() {
    let origin = Scripted::start([Act::Silence, Act::ok("b")]).await;
    let stage = Stage::start(PLAIN, &origin.url()).await;
    let waiting = viewer(&stage, "/a");
    eventually("the first is at the origin", || async { origin.heads().len() == 1 }).await;
    assert_eq!(get(stage.https(), "/b").await.text(), "b");
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test]
async fn a_body_of_unknown_length_is_kept_when_it_turns_out_small_enough() {
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n";
    let origin = Scripted::start([Act::send(chunked)]).await;
    let stage = Stage::start(PLAIN, &origin.url()).await;
    let miss = get(stage.https(), "/a").await;
    assert_eq!((miss.header("x-cache"), miss.text()), ("Miss from edgeseal", "0123456789"));
    let hit = get(stage.https(), "/a").await;
    assert_eq!((hit.header("x-cache"), hit.text()), ("Hit from edgeseal", "0123456789"));
    assert_eq!(hit.header("content-length"), "10", "now it is known");
}

/// Memory for bodies on their way in is 2 MiB here, and no body over 1 MiB is kept.
const NARROW: &str = "[cache]\nmemory = \"8MiB\"\nmax_object = \"1MiB\"\n[[distribution]]\n$BUCKET\n";
/// More than all the sockets between origin, edge and viewer can hold.
const HUGE: usize = 48 * MIB;

#[tokio::test]
async fn a_huge_body_of_unknown_length_streams_to_all_who_joined_in_bounded_memory() {
    let body = pattern(HUGE);
    let start = Arc::new(Notify::new());
    let origin = Scripted::start([Act::SendAfter(Arc::clone(&start), chunked(&body)), Act::ok("next")]).await;
    let stage = Stage::start(NARROW, &origin.url()).await;
    let edge = stage.https();
    let [fast, slow] = [(); 2].map(|()| tokio::spawn(async move { begin(edge, "/a", &[]).await }));
    all_follow(&stage, 1).await;
    start.notify_one();
    let (mut fast, slow) = (fast.await.unwrap(), slow.await.unwrap());

    // One reads until nothing more comes: the edge holds back the origin for the other, who reads nothing. (If it
    // did not, all of the body would come without a pause, and the end of it is a failure here.)
    let mut seen = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(300), fast.frame()).await {
            Ok(frame) => {
                let frame = frame.expect("the body is not over").unwrap();
                seen.extend_from_slice(frame.data_ref().unwrap());
            }
            Err(_) if seen.len() > MIB => break,
            Err(_) => {}
        }
    }
    let received = stage.metric("edgeseal_origin_bytes_total{origin=\"private-assets\"}");
    assert!(received < (HUGE / 2) as f64, "{received} bytes are in memory");

    // It goes on as soon as the other reads, too.
    let slow = tokio::spawn(rest(slow));
    seen.extend_from_slice(&rest(fast).await.unwrap());
    assert!(seen == body && slow.await.unwrap().unwrap() == body);
    let next = get(edge, "/a").await;
    assert_eq!((next.header("x-cache"), next.text()), ("Miss from edgeseal", "next"), "it was not kept");
    assert!(stage.metric("edgeseal_cache_bytes") < MIB as f64);
}

#[tokio::test]
async fn who_comes_when_a_huge_body_is_no_longer_kept_fetches_for_itself() {
    let origin = Scripted::start([Act::Send(chunked(&pattern(4 * MIB))), Act::ok("own")]).await;
    let stage = Stage::start(NARROW, &origin.url()).await;
    let first = begin(stage.https(), "/a", &[]).await;
    let inflight = &stage.server.edge().store.inflight;
    eventually("it is larger than what is kept", || async { inflight.is_empty() }).await;
    assert_eq!(get(stage.https(), "/a").await.text(), "own");
    drop(first);
}

fn viewer(stage: &Stage, target: &'static str) -> JoinHandle<Seen> {
    let edge = stage.https();
    tokio::spawn(async move { get(edge, target).await })
}

/// Waits until as many viewers wait for another one's fetch.
async fn all_follow(stage: &Stage, followers: usize) {
    eventually("all wait for one fetch", || async { stage.metric(COLLAPSED) >= followers as f64 }).await;
}

/// Waits until the edge has noticed who has gone.
async fn connections_left(stage: &Stage, left: usize) {
    eventually("the edge sees viewers leave", || async {
        stage.metric("edgeseal_connections{protocol=\"http/1.1\"}") <= left as f64
    })
    .await;
}

/// At least the next `n` bytes, of which nothing more has been sent yet.
async fn take(response: &mut Response<Incoming>, n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < n {
        let frame = response.frame().await.expect("the body is not over").unwrap();
        bytes.extend_from_slice(frame.data_ref().unwrap());
    }
    bytes
}

async fn rest(response: Response<Incoming>) -> Result<Bytes, hyper::Error> {
    response.into_body().collect().await.map(|body| body.to_bytes())
}

/// A 200 in chunks of 64 KiB.
fn chunked(body: &[u8]) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(64 * KIB) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
