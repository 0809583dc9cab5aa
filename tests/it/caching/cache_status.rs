//! `Cache-Status` says what became of a request (RFC 9211).

use std::time::Duration;

use http::Method;

use super::{BRIEF, brief, outlive};
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{ask, get, plain};
use crate::support::{Bucket, OBEDIENT, Stage};

const TELLING: &str = "[cache]\ncache_status = true\n";

#[tokio::test]
async fn it_is_told_how_each_answer_came_about() {
    let bucket = Bucket::listable().await;
    for (key, control) in [("kept", "max-age=3600"), ("asked", "max-age=0"), ("not", "no-store")] {
        bucket.put_with(key, "body", |meta| meta.cache_control = Some(control.into()));
    }
    let stage = Stage::start(&format!("{TELLING}{OBEDIENT}"), &bucket.origin.url()).await;
    for (target, expected) in [
        ("/kept", "edgeseal; fwd=uri-miss; fwd-status=200; stored"),
        ("/asked", "edgeseal; fwd=uri-miss; fwd-status=200; stored"),
        ("/asked", "edgeseal; fwd=stale; fwd-status=304; ttl=0"),
        ("/not", "edgeseal; fwd=uri-miss; fwd-status=200; detail=zero-ttl"),
        ("/not", "edgeseal; fwd=miss; detail=zero-ttl"),
        ("/absent", "edgeseal; fwd=miss; fwd-status=404"),
        ("/absent", "edgeseal; hit; detail=error"),
    ] {
        assert_eq!(get(stage.https(), target).await.header("cache-status"), expected, "{target}");
    }
    let hit = get(stage.https(), "/kept").await;
    let ttl = hit.header("cache-status").strip_prefix("edgeseal; hit; ttl=").unwrap().parse::<u32>().unwrap();
    assert!((3500..=3600).contains(&ttl), "{ttl}");
    let redirect = plain(stage.server.http, Method::GET, "/kept", &[]).await;
    assert_eq!((redirect.status, redirect.header("cache-status")), (301, ""), "the cache had no part in it");
}

#[tokio::test]
async fn stale_answers_are_told_as_such() {
    let bucket = Bucket::start().await;
    bucket.put("a", "old");
    let stage = Stage::start(&format!("{TELLING}{}", brief()), &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    outlive(BRIEF + Duration::from_secs(1)).await;
    bucket.origin.shutdown();
    for prefix in ["edgeseal; fwd=stale; ttl=-", "edgeseal; hit; ttl=-"] {
        let seen = get(stage.https(), "/a").await;
        assert!(seen.header("cache-status").starts_with(prefix), "{}", seen.header("cache-status"));
    }
}

#[tokio::test]
async fn what_a_cache_before_us_said_comes_first() {
    let fields = "content-length: 1\r\ncache-status: upstream; hit";
    let origin = Scripted::start([Act::send(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nx"))]).await;
    let stage = Stage::start(&format!("{TELLING}{OBEDIENT}"), &origin.url()).await;
    for expected in ["fwd=uri-miss; fwd-status=200; stored", "hit; ttl=86400"] {
        let seen = get(stage.https(), "/a").await;
        let lines: Vec<_> = seen.headers.get_all("cache-status").iter().collect();
        assert_eq!(lines, ["upstream; hit", &format!("edgeseal; {expected}")]);
    }
}

#[tokio::test]
async fn nobody_is_told_who_did_not_ask_for_it() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(OBEDIENT, &bucket.origin.url()).await;
    assert_eq!(ask(stage.https(), Method::GET, "/a", &[]).await.header("cache-status"), "");
}

#[tokio::test]
async fn a_behavior_that_does_not_cache_says_so() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let toml = format!(
        "{TELLING}[[distribution]]\n$BUCKET\n[distribution.default_cache_behavior]\n\
         cache_policy = \"CachingDisabled\"\n"
    );
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    let told = get(stage.https(), "/a").await;
    assert_eq!(told.header("cache-status"), "edgeseal; fwd=bypass; detail=caching-disabled");
}
