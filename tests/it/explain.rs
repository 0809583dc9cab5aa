//! `explain` and `Cache-Status`' elder sister: what would become of a request, and why.

use serde_json::Value;

use crate::support::command::{edgeseal, finish};
use crate::support::viewer::get;
use crate::support::{Bucket, Stage};

const SITE: &str = r#"
[[cache_policy]]
name = "by-language"
min_ttl = "0s"
default_ttl = "60s"
max_ttl = "1d"
headers = ["Accept-Language"]
query_string_behavior = "all"
[[distribution]]
id = "site"
aliases = ["cdn.example.com"]
default_root_object = "index.html"
[[distribution.origin]]
bucket = "private-assets"
region = "eu-west-1"
origin_path = "/site"
[distribution.default_cache_behavior]
cache_policy = "by-language"
[[distribution.cache_behavior]]
path_pattern = "/live/*"
cache_policy = "CachingDisabled"
"#;

#[tokio::test]
async fn every_step_of_a_request_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    std::fs::write(&path, SITE).unwrap();
    let config = path.to_str().unwrap();
    let explain = async |words: &[&str]| -> Value {
        let ended = finish(edgeseal(&[&["explain", "--config", config, "--json"], words].concat())).await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        serde_json::from_str(&ended.out).unwrap()
    };
    let told = explain(&["https://cdn.example.com/a%20b?x=1", "-H", "Accept-Language: de"]).await;
    assert_eq!((&told["distribution"], &told["behavior"]), (&"site".into(), &"*".into()));
    assert_eq!(told["cache_policy"], "by-language");
    let key: Vec<_> = told["key"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
    assert_eq!(key, ["site", "/a%20b", "accept-language:de", "?x=1"]);
    assert!(
        told["asks"]
            .as_str()
            .unwrap()
            .starts_with("GET private-assets.s3.eu-west-1.amazonaws.com/site/a%20b?x=1")
    );
    assert!(told["keeps"].as_str().unwrap().contains("without them 1m"), "{told:#}");
    assert!(told.get("cached").is_none(), "nobody serves here");

    let told = explain(&["https://cdn.example.com/live/x"]).await;
    assert_eq!(told["behavior"], "/live/*");
    assert!(told["keeps"].as_str().unwrap().contains("TTLs are all zero"));
    for (words, field, says) in [
        (&["http://cdn.example.com/a"][..], "refused", "301: redirect to https://cdn.example.com/a"),
        (&["https://other.example.com/a"], "refused", "403: no distribution for this Host"),
        (&["https://cdn.example.com/a", "--method", "PUT"], "refused", "403: method not allowed"),
        (&["https://cdn.example.com/a", "--answer", "Cache-Control: no-store"], "answer", "not kept: "),
        (
            &["https://cdn.example.com/a", "--answer", "Cache-Control: max-age=90"],
            "answer",
            "kept, fresh for 90s",
        ),
        (
            &["https://cdn.example.com/a", "--answer", "Retry-After: 5", "--answer-status", "503"],
            "answer",
            "503: errors are kept by status",
        ),
        (&["/a"], "refused", "400: "),
    ] {
        let told = explain(words).await;
        assert!(told[field].as_str().unwrap_or_default().starts_with(says), "{words:?}: {told:#}");
    }
}

#[tokio::test]
async fn a_running_edge_tells_what_is_cached_now() {
    let bucket = Bucket::listable().await;
    bucket.put("site/a", "hello");
    bucket.put_with("site/private", "p", |meta| meta.cache_control = Some("private".into()));
    let stage = Stage::start(SITE, &bucket.origin.url()).await;
    let admin = stage.server.admin.to_string();
    let live = async |url: &str| -> String {
        let ended = finish(edgeseal(&["explain", "--live", "--admin", &admin, url])).await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let line = ended.out.lines().find(|line| line.starts_with("cached ")).unwrap_or_default();
        line.trim_start_matches("cached").trim().to_owned()
    };
    assert_eq!(live("https://cdn.example.com/a").await, "nothing");
    for path in ["/a", "/missing", "/private"] {
        get(stage.https(), path).await;
    }
    let cached = live("https://cdn.example.com/a").await;
    assert!(cached.starts_with("an object of 5 bytes, in one, status 200; fresh for "), "{cached}");
    let cached = live("https://cdn.example.com/missing").await;
    assert!(cached.contains("an error, for ") && cached.contains("404"), "{cached}");
    let cached = live("https://cdn.example.com/private").await;
    assert!(cached.contains("the last answer was not kept: Cache-Control"), "{cached}");
    let refused = finish(edgeseal(&["explain", "--live", "--admin", &admin, "not a url"])).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("not a url"), "{}", refused.err);
}
