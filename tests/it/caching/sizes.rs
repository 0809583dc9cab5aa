//! How much is kept: memory is bounded, and what is too large for it passes by.

use http::Method;
use http_body_util::BodyExt;

use super::result;
use crate::support::viewer::{Seen, ask, begin, get};
use crate::support::{Bucket, Stage, all_held, eventually, pattern};

const KIB: usize = 1 << 10;

#[tokio::test]
async fn memory_is_bounded_and_what_leaves_is_counted() {
    let bucket = Bucket::start().await;
    let stage =
        Stage::start("[cache]\nmemory = \"2MiB\"\n[[distribution]]\n$BUCKET\n", &bucket.origin.url()).await;
    let max = stage.metric("edgeseal_cache_max_bytes");
    assert_eq!(max, (2048 * KIB) as f64);
    for i in 0..60 {
        bucket.put(&format!("{i}"), vec![i; 100 * KIB]);
        let seen = get(stage.https(), &format!("/{i}")).await;
        assert!(seen.body.len() == 100 * KIB && seen.body.iter().all(|&byte| byte == i), "object {i}");
        assert!(stage.metric("edgeseal_cache_bytes") <= max, "object {i}");
    }
    let kept = stage.metric("edgeseal_cache_entries");
    assert!((10.0..=20.0).contains(&kept), "{kept} of 60 objects, and 20 fit");
    assert_eq!(stage.metric("edgeseal_cache_evictions_total{cause=\"size\"}"), 60.0 - kept);
}

/// Objects over 64 KiB are too large.
const NARROW: &str = "[cache]\nmemory = \"8MiB\"\nmax_object = \"64KiB\"\n[[distribution]]\n$BUCKET\n";

#[tokio::test]
async fn an_object_that_is_too_large_is_streamed_and_not_kept() {
    let bucket = Bucket::start().await;
    let body = pattern(1024 * KIB);
    bucket.put("large", body.clone());
    bucket.put("just", pattern(64 * KIB));
    let stage = Stage::start(NARROW, &bucket.origin.url()).await;
    for turn in 1..=3 {
        let seen = get(stage.https(), "/large").await;
        assert_eq!((seen.status, result(&seen)), (200, "Miss"));
        assert!(seen.body == body);
        assert_eq!(bucket.fetches("large"), turn);
    }
    assert!(stage.metric("edgeseal_cache_bytes") < (64 * KIB) as f64);
    assert_eq!(result(&get(stage.https(), "/just").await), "Miss");
    assert_eq!(result(&get(stage.https(), "/just").await), "Hit");
}

#[tokio::test]
async fn a_range_of_an_object_that_is_too_large_is_s3s_to_cut() {
    let bucket = Bucket::start().await;
    let body = pattern(256 * KIB);
    bucket.put("large", body.clone());
    let stage = Stage::start(NARROW, &bucket.origin.url()).await;
    // The first request has to find out how large it is; those after it know.
    for (range, first, last) in [
        ("bytes=1000-1999", 1000, 1999),
        ("bytes=262000-", 262_000, 262_143),
        ("bytes=-10", 262_134, 262_143),
        ("bytes=0-0", 0, 0),
    ] {
        let seen = ask(stage.https(), Method::GET, "/large", &[("range", range)]).await;
        assert_eq!((seen.status, result(&seen)), (206, "Miss"), "{range}");
        assert_eq!(seen.header("content-range"), format!("bytes {first}-{last}/262144"));
        assert!(seen.body == body[first..=last], "{range}");
        let served = bucket.origin.take_served().pop().unwrap();
        assert_eq!((served.status, served.range.as_deref()), (206, Some(range)));
        assert!(served.signed_headers.unwrap().split(';').any(|name| name == "range")); // s3 §1.4
    }
    let beyond = ask(stage.https(), Method::GET, "/large", &[("range", "bytes=262144-")]).await;
    assert_eq!(beyond.status, 416); // behaviour §6
}

#[tokio::test]
async fn the_whole_of_it_goes_to_a_viewer_that_wants_the_whole() {
    let bucket = Bucket::start().await;
    bucket.put("large", pattern(256 * KIB));
    let stage = Stage::start(NARROW, &bucket.origin.url()).await;
    let edge = stage.https();
    let held = bucket.origin.hold();
    let part = tokio::spawn(async move { ask(edge, Method::GET, "/large", &[("range", "bytes=0-9")]).await });
    all_held(&held, 1).await;
    let whole = tokio::spawn(async move { get(edge, "/large").await });
    eventually("both wait for the first answer", || async {
        stage.metric("edgeseal_cache_collapsed_requests_total") >= 1.0
    })
    .await;
    drop(held);
    assert_eq!((part.await.unwrap().status, whole.await.unwrap().body.len()), (206, 256 * KIB));
    let ranges: Vec<_> = bucket.origin.served().into_iter().map(|served| served.range).collect();
    assert_eq!(ranges, [None, Some("bytes=0-9".to_owned())]);
}

#[tokio::test]
async fn a_download_of_an_object_that_is_too_large_resumes_only_if_it_is_still_the_same() {
    let bucket = Bucket::start().await;
    let old = pattern(256 * KIB);
    let etag = bucket.put("large", old.clone());
    let stage = Stage::start(NARROW, &bucket.origin.url()).await;
    let resume = async |tag: &str| -> Seen {
        let fields = [("range", "bytes=200000-"), ("if-range", tag)];
        ask(stage.https(), Method::GET, "/large", &fields).await
    };
    let rest = resume(&etag).await;
    assert_eq!(rest.status, 206);
    assert!(rest.body == old[200_000..]);
    // A weak tag says too little; the whole is always right (RFC 9110 §13.1.5).
    assert_eq!(resume(&format!("W/{etag}")).await.status, 200);

    let new = vec![7; 300 * KIB];
    bucket.put("large", new.clone());
    let whole = resume(&etag).await;
    assert_eq!(whole.status, 200); // s3 §2.4: by If-Match, whose 412 the viewer never sees
    assert!(whole.body == new);
}

#[tokio::test]
async fn what_finds_no_room_on_its_way_in_passes_by() {
    let bucket = Bucket::start().await;
    for key in ["a", "b"] {
        bucket.put(key, pattern(64 * KIB));
    }
    // Room for a quarter of the memory, which is one of them.
    let toml = "[cache]\nmemory = \"256KiB\"\nmax_object = \"64KiB\"\n[[distribution]]\n$BUCKET\n";
    let stage = Stage::start(toml, &bucket.origin.url()).await;
    let edge = stage.https();
    let held = bucket.origin.hold_body_after(1);
    let both = [begin(edge, "/a", &[]).await, begin(edge, "/b", &[]).await];
    drop(held);
    for viewer in both {
        assert_eq!(viewer.into_body().collect().await.unwrap().to_bytes().len(), 64 * KIB);
    }
    assert_eq!(result(&get(edge, "/a").await), "Hit");
    assert_eq!(result(&get(edge, "/b").await), "Miss", "it was not kept");
    assert_eq!(result(&get(edge, "/b").await), "Hit", "and may be, now that there is room");
}
