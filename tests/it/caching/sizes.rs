//! How much is kept: memory is bounded, and what is too large for it passes by.

use http_body_util::BodyExt;

use super::result;
use crate::support::viewer::{begin, get};
use crate::support::{Bucket, Stage, pattern};

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
