//! Invalidation: what is removed, when, and what is not kept for it (behaviour §12.14).

use std::process::Command;

use http::Method;

use crate::support::viewer::{Seen, ask, get};
use crate::support::{Bucket, PLAIN, Stage, all_held, pattern};

const KIB: usize = 1 << 10;

/// Origin and query are in the key; `x-amz-meta-tags` names cache tags.
const TAGGED: &str = r#"
[[cache_policy]]
name = "split"
headers = ["Origin"]
query_string_behavior = "all"
[[distribution]]
cache_tag_header = "x-amz-meta-tags"
default_root_object = "index.html"
$BUCKET
[distribution.default_cache_behavior]
cache_policy = "split"
"#;

#[tokio::test]
async fn every_variant_of_a_path_goes_and_nothing_else() {
    let bucket = Bucket::start().await;
    for key in ["a", "ab", "d/a", "d/b", "index.html"] {
        bucket.put(key, key);
    }
    let stage = Stage::start(TAGGED, &bucket.origin.url()).await;
    // path with query, Origin
    let all = ["/a", "/a o", "/a?x=1", "/a?x=1 o", "/a?x=2", "/ab", "/d/a", "/d/b o", "/"];
    for (paths, removed) in [
        (vec!["/a"], vec!["/a", "/a o"]),
        (vec!["/a?x=1"], vec!["/a?x=1", "/a?x=1 o"]),
        (vec!["/a*"], vec!["/a", "/a o", "/a?x=1", "/a?x=1 o", "/a?x=2", "/ab"]),
        (vec!["/d/*", "/ab"], vec!["/ab", "/d/a", "/d/b o"]),
        (vec!["/d"], vec![]),
        (vec!["/A", "/a/"], vec![]),
        (vec!["/index.html"], vec!["/"]),
        (vec!["/"], vec!["/"]),
        (vec!["/*"], all.to_vec()),
    ] {
        for request in all {
            fetch(&stage, request).await;
        }
        invalidate(&stage, &paths);
        let mut missed = Vec::new();
        for request in all {
            if result(&fetch(&stage, request).await) == "Miss" {
                missed.push(request);
            }
        }
        assert_eq!(missed, removed, "{paths:?}");
    }
}

#[tokio::test]
async fn tags_remove_what_carries_them() {
    let bucket = Bucket::start().await;
    for (key, tags) in [("a", "News, sport"), ("b", "sport"), ("c", "")] {
        bucket.put_with(key, key, |meta| {
            meta.user.insert("tags".into(), tags.into());
        });
    }
    let stage = Stage::start(TAGGED, &bucket.origin.url()).await;
    for (tag, removed) in [("#NEWS", vec!["/a"]), ("#sport", vec!["/a", "/b"]), ("#spor", vec![])] {
        for path in ["/a", "/b", "/c"] {
            get(stage.https(), path).await;
        }
        invalidate(&stage, &[tag]);
        let mut missed = Vec::new();
        for path in ["/a", "/b", "/c"] {
            if result(&get(stage.https(), path).await) == "Miss" {
                missed.push(path);
            }
        }
        assert_eq!(missed, removed, "{tag}");
    }
}

#[tokio::test]
async fn a_cached_error_goes_with_its_path() {
    let bucket = Bucket::listable().await;
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    for _ in 0..2 {
        assert_eq!(get(stage.https(), "/a").await.status, 404);
    }
    assert_eq!(bucket.fetches("a"), 1, "the error is remembered");
    bucket.put("a", "a");
    invalidate(&stage, &["/a"]);
    assert_eq!(get(stage.https(), "/a").await.status, 200);
}

#[tokio::test]
async fn a_fill_in_flight_is_not_stored_as_fresh_and_nobody_joins_it() {
    let bucket = Bucket::start().await;
    bucket.put("a", "old");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let edge = stage.https();
    let held = bucket.origin.hold_body_after(1);
    let early = tokio::spawn(async move { get(edge, "/a").await });
    all_held(&held, 1).await;
    bucket.put("a", "new");
    invalidate(&stage, &["/a"]);
    let late = tokio::spawn(async move { get(edge, "/a").await });
    all_held(&held, 2).await; // it asks for itself
    drop(held);
    assert_eq!(early.await.unwrap().body, "old", "who waited before is answered");
    let late = late.await.unwrap();
    assert_eq!((&late.body[..], result(&late)), (&b"new"[..], "Miss"));
    let seen = get(edge, "/a").await;
    assert_eq!((&seen.body[..], result(&seen)), (&b"new"[..], "Hit"));
}

#[tokio::test]
async fn a_large_object_goes_with_all_its_slices() {
    let bucket = Bucket::start().await;
    bucket.put("large", pattern(500 * KIB));
    let toml = "[cache]\nmemory = \"8MiB\"\nmax_object = \"64KiB\"\n[[distribution]]\n$BUCKET\n";
    let stage = Stage::start(toml, &bucket.origin.url()).await;
    assert_eq!(get(stage.https(), "/large").await.body.len(), 500 * KIB);
    invalidate(&stage, &["/large"]);
    let seen = ask(stage.https(), Method::GET, "/large", &[("range", "bytes=400000-400009")]).await;
    assert_eq!((seen.status, result(&seen)), (206, "Miss"));
    assert_eq!(bucket.origin.take_served().len(), 3, "the head and the slice are fetched again");
}

#[tokio::test]
async fn the_verb_invalidates_through_the_admin_listener() {
    let bucket = Bucket::start().await;
    bucket.put("a", "old");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    bucket.put("a", "new");
    let admin = stage.server.admin.to_string();
    let verb = async |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgeseal"));
        command.args(["invalidate", "--admin", &admin]).args(words);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    };
    let refused = verb(&["index.html"]).await;
    assert_eq!(refused.status.code(), Some(1));
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("InvalidArgument") && why.contains("\"index.html\" must begin with /"), "{why}");
    let refused = verb(&["/a", "--distribution", "E404"]).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("NoSuchDistribution"));
    assert_eq!(&get(stage.https(), "/a").await.body[..], b"old");
    assert_eq!(stage.metric("edgeseal_invalidations_total"), 0.0);

    let done = verb(&["/a", "/b/*", "--wait"]).await;
    assert!(done.status.success(), "{done:?}");
    assert_eq!(&get(stage.https(), "/a").await.body[..], b"new");
    assert_eq!(stage.metric("edgeseal_invalidations_total"), 1.0);
    let done = verb(&["/*", "--wait", "--json", "--caller-reference", "deploy-1"]).await;
    let told: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let made = &told["Invalidation"];
    assert_eq!(made["Status"], "Completed", "{told}");
    assert_eq!(made["InvalidationBatch"]["Paths"], serde_json::json!({ "Quantity": 1, "Items": ["/*"] }));
    assert!(told["Location"].as_str().unwrap().ends_with(made["Id"].as_str().unwrap()), "{told}");
    assert_eq!(stage.metric("edgeseal_cache_entries"), 0.0, "completed is when the memory is freed");
    let again = verb(&["/*", "--json", "--caller-reference", "deploy-1"]).await;
    let again: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["Invalidation"], *made);
    assert_eq!(stage.metric("edgeseal_invalidations_total"), 2.0, "one that was repeated is not done again");
}

/// `PATH`, or `PATH o` with an Origin.
async fn fetch(stage: &Stage, request: &str) -> Seen {
    match request.split_once(' ') {
        Some((path, origin)) => ask(stage.https(), Method::GET, path, &[("origin", origin)]).await,
        None => get(stage.https(), request).await,
    }
}

fn invalidate(stage: &Stage, paths: &[&str]) {
    let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
    stage.server.edge().invalidate(None, &paths, edgeseal::clock::now()).unwrap();
}

fn result(seen: &Seen) -> &str {
    seen.header("x-cache").strip_suffix(" from edgeseal").unwrap()
}
