//! Past its time: when an old object is better than none (behaviour §5.2, §5.3).

use std::time::Duration;

use super::{BRIEF, brief, outlive, result, told};
use crate::support::viewer::get;
use crate::support::{Bucket, Stage, all_held, eventually};

/// S3 is asked twice before its `SlowDown` counts (s3 §2.16).
const ONE_FAILURE: u32 = 2;

#[tokio::test]
async fn an_old_object_stands_in_for_a_failing_origin_which_is_then_left_alone() {
    let bucket = Bucket::start().await;
    bucket.put("a", "old");
    let stage = Stage::start(&brief(), &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    outlive(BRIEF).await;
    bucket.put("a", "new");
    bucket.origin.slow_down(ONE_FAILURE);
    assert_eq!(told(&get(stage.https(), "/a").await), (200, "RefreshHit", "old")); // behaviour §5.3
    assert_eq!(stage.metric("edgeseal_cache_stale_served_total{reason=\"error\"}"), 1.0);
    let asked = bucket.fetches("a");
    for _ in 0..3 {
        // It would answer now, but has 10 s of peace.
        assert_eq!(told(&get(stage.https(), "/a").await), (200, "Hit", "old"));
    }
    assert_eq!(bucket.fetches("a"), asked);
}

#[tokio::test]
async fn the_time_of_peace_is_the_errors_own() {
    let bucket = Bucket::start().await;
    bucket.put("a", "old");
    let toml = brief()
        + "[[distribution.custom_error_response]]\nerror_code = 503\nerror_caching_min_ttl = \"300ms\"\n";
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    outlive(BRIEF).await;
    bucket.put("a", "new");
    bucket.origin.slow_down(ONE_FAILURE);
    assert_eq!(get(stage.https(), "/a").await.text(), "old");
    outlive(Duration::from_millis(300)).await;
    assert_eq!(told(&get(stage.https(), "/a").await), (200, "Miss", "new")); // behaviour §5.3
}

#[tokio::test]
async fn an_old_object_stands_in_for_an_origin_that_is_gone() {
    let bucket = Bucket::start().await;
    bucket.put("a", "old");
    let stage = Stage::start(&brief(), &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    outlive(BRIEF).await;
    bucket.origin.shutdown();
    assert_eq!(told(&get(stage.https(), "/a").await), (200, "RefreshHit", "old")); // behaviour §5.3
    assert_eq!(get(stage.https(), "/b").await.status, 502);
}

#[tokio::test]
async fn the_object_says_whether_it_may_stand_in() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(&brief(), &bucket.origin.url()).await;
    let table = [
        ("stale-if-error=60", 200),
        ("stale-if-error=0", 503), // behaviour §5.2
        ("must-revalidate", 503),  // RFC 9111 §5.2.2.2
        ("proxy-revalidate", 503),
    ];
    for (cache_control, status) in table {
        let target = format!("/{cache_control}");
        bucket.put_with(cache_control, "old", |meta| meta.cache_control = Some(cache_control.into()));
        get(stage.https(), &target).await;
        outlive(BRIEF).await;
        bucket.origin.slow_down(ONE_FAILURE);
        let seen = get(stage.https(), &target).await;
        assert_eq!(seen.status, status, "{cache_control}");
        assert_eq!(seen.text() == "old", status == 200, "{cache_control}");
    }
}

#[tokio::test]
async fn after_the_maximum_an_old_object_is_gone() {
    let bucket = Bucket::start().await;
    bucket.put("a", "old");
    let policy = super::under("min_ttl = \"0s\"\ndefault_ttl = \"100ms\"\nmax_ttl = \"100ms\"");
    let stage = Stage::start(&policy, &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    outlive(BRIEF).await;
    bucket.origin.slow_down(ONE_FAILURE);
    assert_eq!(get(stage.https(), "/a").await.status, 503); // behaviour §5.3: only up to MaxTTL
}

#[tokio::test]
async fn a_refusal_of_the_viewers_request_is_the_answer() {
    // behaviour §5.3, s3 §2.7
    for (bucket, status) in [(Bucket::start().await, 403), (Bucket::listable().await, 404)] {
        bucket.put("a", "old");
        let stage = Stage::start(&brief(), &bucket.origin.url()).await;
        get(stage.https(), "/a").await;
        outlive(BRIEF).await;
        bucket.origin.remove("a").unwrap();
        let seen = get(stage.https(), "/a").await;
        assert_eq!((seen.status, result(&seen)), (status, "Error"));
        assert!(!seen.text().contains("old"));
        bucket.origin.slow_down(ONE_FAILURE);
        assert_ne!(get(stage.https(), "/a").await.status, 200, "what is gone does not come back");
    }
}

#[tokio::test]
async fn an_old_object_is_served_while_the_origin_is_asked() {
    let bucket = Bucket::start().await;
    bucket.put_with("a", "old", |meta| meta.cache_control = Some("stale-while-revalidate=60".into()));
    let stage = Stage::start(&brief(), &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    outlive(BRIEF).await;
    bucket.put_with("a", "new", |meta| meta.cache_control = Some("max-age=60".into()));
    let held = bucket.origin.hold();
    for _ in 0..3 {
        assert_eq!(told(&get(stage.https(), "/a").await), (200, "Hit", "old")); // behaviour §5.2
    }
    all_held(&held, 1).await;
    drop(held);
    eventually("the new object is served", || async {
        let seen = get(stage.https(), "/a").await;
        assert_eq!(result(&seen), "Hit", "nobody waits for the origin");
        seen.text() == "new"
    })
    .await;
    assert_eq!(bucket.fetches("a"), 2, "one question, however many viewers");
    assert!(stage.metric("edgeseal_cache_stale_served_total{reason=\"revalidate\"}") >= 3.0);
}

#[tokio::test]
async fn what_is_refused_in_the_background_is_not_served_again() {
    let bucket = Bucket::start().await;
    bucket.put_with("a", "old", |meta| meta.cache_control = Some("stale-while-revalidate=60".into()));
    let stage = Stage::start(&brief(), &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    outlive(BRIEF).await;
    bucket.origin.remove("a").unwrap();
    eventually("the old object is gone", || async {
        get(stage.https(), "/a").await.status == 403 // behaviour §5.3
    })
    .await;
    assert_eq!(get(stage.https(), "/a").await.status, 403);
}

#[tokio::test]
async fn a_window_to_revalidate_ends() {
    let bucket = Bucket::start().await;
    bucket.put_with("a", "old", |meta| meta.cache_control = Some("stale-while-revalidate=1".into()));
    let stage = Stage::start(&brief(), &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    outlive(BRIEF + Duration::from_secs(1)).await;
    bucket.put("a", "new");
    assert_eq!(told(&get(stage.https(), "/a").await), (200, "Miss", "new")); // behaviour §5.2
}
