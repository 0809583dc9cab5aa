//! `edgeseal warm`: what it has fetched, the next viewer finds in the cache.

use std::process::Command;

use http::Method;
use serde_json::Value;

use crate::support::command::{Ended, edgeseal, finish};
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{HOST, ask};
use crate::support::{ACCESS_KEY, BUCKET, Bucket, PLAIN, REGION, SECRET_KEY, Stage};

fn command(stage: &Stage, more: &[&str]) -> Command {
    let edge = format!("https://{}", stage.https());
    edgeseal(&[&["warm", "--edge", &edge, "--host", HOST, "--insecure"], more].concat())
}

/// The same with credentials, and S3 at `endpoint`.
fn listing(stage: &Stage, endpoint: &str, more: &[&str]) -> Command {
    let mut command = command(stage, more);
    command
        .env("AWS_ENDPOINT_URL_S3", endpoint)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_REGION", REGION);
    command
}

async fn is_hit(stage: &Stage, target: &str) -> bool {
    let seen = ask(stage.https(), Method::GET, target, &[("accept-encoding", "gzip, deflate, br")]).await;
    seen.header("x-cache") == "Hit from edgeseal"
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[tokio::test]
async fn a_list_is_fetched_once_each_and_found_by_the_next_viewer() {
    let bucket = Bucket::start().await;
    for key in ["a", "b", "c"] {
        bucket.put(key, key.repeat(1000));
    }
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("urls").display().to_string();
    std::fs::write(&list, "/a\nhttps://cdn.example.com/b\n/a\n").unwrap();
    let ended = finish(command(&stage, &["--urls", &list, "--json", "/c"])).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    let summary = json(&ended);
    assert_eq!((&summary["requests"], &summary["bytes"]), (&3.into(), &3000.into()));
    assert_eq!(summary["results"], serde_json::json!({ "Miss": 3 }));
    for target in ["/a", "/b", "/c"] {
        assert!(is_hit(&stage, target).await, "{target}");
    }
    let again = finish(command(&stage, &["--urls", &list, "--limit", "1"])).await;
    assert!(again.out.starts_with("1 requests: 1 Hit; 0 failed; 1000 bytes in "), "{}", again.out);
    assert!(again.out.ends_with("not all URLs were asked for (--limit)\n"), "{}", again.out);
}

#[tokio::test]
async fn what_fails_is_listed_and_exits_with_1() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let ended = finish(command(&stage, &["/a", "/gone"])).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.out.starts_with("FAILED  /gone: status 403\n2 requests: 1 Error, 1 Miss; 1 failed;"),
        "{}",
        ended.out
    );
    assert_eq!(bucket.fetches("gone"), 1, "nothing is tried again");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = finish(edgeseal(&["warm", "--edge", &format!("http://{free}"), "/a"])).await;
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.out.starts_with("FAILED  /a: cannot connect"), "{}", nobody.out);
}

#[tokio::test]
async fn the_keys_of_a_bucket_are_urls() {
    let bucket = Bucket::listable().await;
    for key in ["images/a b.jpg", "images/é+.jpg", "images/folder/", "other"] {
        bucket.put(key, "a");
    }
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let source = format!("s3://{BUCKET}/images/");
    let ended = finish(listing(&stage, &bucket.origin.url(), &["--json", &source])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(json(&ended)["results"], serde_json::json!({ "Miss": 2 }));
    assert!(is_hit(&stage, "/images/a%20b.jpg").await && is_hit(&stage, "/images/%C3%A9%2B.jpg").await);
    assert!(!is_hit(&stage, "/other").await);
}

#[tokio::test]
async fn a_long_listing_comes_in_pages_and_the_origin_path_is_no_part_of_a_url() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let page = |keys: &str, more: &str| {
        let keys: String =
            keys.split(' ').map(|key| format!("<Contents><Key>site/{key}</Key></Contents>")).collect();
        let body =
            format!("<ListBucketResult><EncodingType>url</EncodingType>{keys}{more}</ListBucketResult>");
        Act::send(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
    };
    let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>a/b=</NextContinuationToken>";
    let s3 = Scripted::start([page("a b%2Bc", more), page("d", "<IsTruncated>false</IsTruncated>")]).await;
    let source = format!("s3://{BUCKET}/site/");
    let arguments = ["--json", "--origin-path", "/site", &source];
    let ended = finish(listing(&stage, &s3.url(), &arguments)).await;
    let summary = json(&ended);
    let mut asked: Vec<_> =
        summary["failures"].as_array().unwrap().iter().map(|of| of["path"].as_str().unwrap()).collect();
    asked.sort_unstable();
    assert_eq!(asked, ["/a", "/b%2Bc", "/d"], "{summary}");
    let heads = s3.heads();
    let first = format!("GET /{BUCKET}?list-type=2&encoding-type=url&prefix=site%2F HTTP/1.1\r\n");
    assert!(
        heads[0].starts_with(&first) && heads[0].contains("authorization: AWS4-HMAC-SHA256 "),
        "{heads:?}"
    );
    assert!(heads[1].contains("&continuation-token=a%2Fb%3D HTTP/1.1\r\n"), "{heads:?}");
}

#[tokio::test]
async fn a_bucket_that_may_not_be_listed_says_which_permission_is_missing() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let source = format!("s3://{BUCKET}");
    let ended = finish(listing(&stage, &bucket.origin.url(), &[&source])).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.err.contains("listing needs s3:ListBucket"), "{}", ended.err);
    assert!(!ended.err.contains(SECRET_KEY));
}
