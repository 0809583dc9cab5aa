//! Origin groups: who is asked after the first, and when (behaviour §8.8).

use http::Method;
use tokio::net::TcpListener;

use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{ask, get};
use crate::support::{BUCKET, Bucket, REGION, Stage};

/// S3 is asked twice before its `SlowDown` counts (s3 §2.16).
const ONE_FAILURE: u32 = 2;

/// The stage's bucket first, then what is under `/copy` at `copy`.
fn group(codes: &str, copy: &str) -> String {
    format!(
        r#"
[[cache_policy]]
name = "obedient"
min_ttl = "0s"
default_ttl = "1d"
max_ttl = "365d"
[[distribution]]
$BUCKET
connection_attempts = 1
read_timeout = "1s"
[[distribution.origin]]
id = "copy"
bucket = "{BUCKET}"
region = "{REGION}"
endpoint = "{copy}"
origin_path = "/copy"
[[distribution.origin_group]]
id = "both"
members = ["{BUCKET}", "copy"]
status_codes = {codes}
[distribution.default_cache_behavior]
target_origin = "both"
cache_policy = "obedient"
"#
    )
}

/// An address where nobody listens.
pub async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_configured_status_leads_to_the_second_origin() {
    let (first, second) = (Bucket::start().await, Bucket::start().await);
    first.put("b", "of the first");
    second.put("copy/a", "of the second");
    let stage = Stage::start(&group("[403, 404]", &second.origin.url()), &first.origin.url()).await;
    let seen = get(stage.https(), "/a").await; // each origin's own path, each its own signature
    assert_eq!(
        (seen.status, seen.text(), seen.header("x-cache")),
        (200, "of the second", "Miss from edgeseal")
    );
    // Under the same key, whoever sent it; and no memory of what failed.
    let seen = get(stage.https(), "/a").await;
    assert_eq!((seen.text(), seen.header("x-cache")), ("of the second", "Hit from edgeseal"));
    assert_eq!(get(stage.https(), "/b").await.text(), "of the first");
    assert_eq!((first.fetches("a"), first.fetches("b")), (1, 1));
    assert_eq!((second.fetches("copy/a"), second.fetches("copy/b")), (1, 0));
}

#[tokio::test]
async fn a_failing_first_origin_is_tried_again_by_the_next_request() {
    let (first, second) = (Bucket::start().await, Bucket::start().await);
    for key in ["a", "b"] {
        first.put(key, "of the first");
        second.put(&format!("copy/{key}"), "of the second");
    }
    let stage = Stage::start(&group("[503]", &second.origin.url()), &first.origin.url()).await;
    first.origin.slow_down(ONE_FAILURE);
    assert_eq!(get(stage.https(), "/a").await.text(), "of the second");
    assert_eq!(get(stage.https(), "/b").await.text(), "of the first");
}

#[tokio::test]
async fn any_other_failure_is_the_answer() {
    let (first, second) = (Bucket::listable().await, Bucket::start().await);
    second.put("copy/a", "of the second");
    let stage =
        Stage::start(&group("[403, 500, 502, 503, 504]", &second.origin.url()), &first.origin.url()).await;
    assert_eq!(get(stage.https(), "/a").await.status, 404);
    assert!(second.origin.served().is_empty());
}

#[tokio::test]
async fn no_connection_leads_on_only_with_503() {
    let second = Bucket::start().await;
    second.put("copy/a", "of the second");
    for (codes, status) in [("[503]", 200), ("[400, 403, 404, 416, 429, 500, 502, 504]", 502)] {
        let stage = Stage::start(&group(codes, &second.origin.url()), &nobody().await).await;
        assert_eq!(get(stage.https(), "/a").await.status, status, "{codes}");
    }
}

#[tokio::test]
async fn no_answer_in_time_leads_on_only_with_504() {
    let second = Bucket::start().await;
    second.put("copy/a", "of the second");
    for (codes, status) in [("[504]", 200), ("[400, 403, 404, 416, 429, 500, 502, 503]", 504)] {
        let first = Scripted::start([Act::Silence]).await;
        let stage = Stage::start(&group(codes, &second.origin.url()), &first.url()).await;
        assert_eq!(get(stage.https(), "/a").await.status, status, "{codes}");
        assert_eq!(first.heads().len(), 1, "{codes}");
    }
}

#[tokio::test]
async fn the_second_answer_is_final() {
    let (first, second) = (Bucket::listable().await, Bucket::start().await);
    second.put("copy/sorry", "sorry");
    let toml = group("[403, 404]", &second.origin.url());
    let stage = Stage::start(&toml, &first.origin.url()).await;
    assert_eq!(get(stage.https(), "/a").await.status, 403, "404 of the first, 403 of the second");
    let page = "[[distribution.custom_error_response]]\nerror_code = 403\nresponse_page_path = \"/sorry\"\nresponse_code = 404\n";
    let stage = Stage::start(&format!("{toml}{page}"), &first.origin.url()).await;
    let seen = get(stage.https(), "/a").await; // the page's own request fails over, too
    assert_eq!((seen.status, seen.text()), (404, "sorry"));
}

#[tokio::test]
async fn what_both_refuse_is_remembered_once() {
    let (first, second) = (Bucket::listable().await, Bucket::listable().await);
    let stage = Stage::start(&group("[404]", &second.origin.url()), &first.origin.url()).await;
    for _ in 0..3 {
        assert_eq!(get(stage.https(), "/a").await.status, 404);
    }
    assert_eq!((first.fetches("a"), second.fetches("copy/a")), (1, 1));
}

#[tokio::test]
async fn methods_that_read_lead_on() {
    // behaviour §8.8: OPTIONS only if it is a cached method
    let table = [
        (Method::GET, "[\"GET\", \"HEAD\"]", 200),
        (Method::HEAD, "[\"GET\", \"HEAD\"]", 200),
        (Method::OPTIONS, "[\"GET\", \"HEAD\", \"OPTIONS\"]", 200),
        (Method::OPTIONS, "[\"GET\", \"HEAD\"]", 404),
    ];
    for (method, cached, status) in table {
        let first = Scripted::start([Act::error(404, "")]).await;
        let second = Scripted::start([Act::ok("of the second")]).await;
        let toml = group("[404]", &second.url())
            + &format!("allowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\"]\ncached_methods = {cached}\n");
        let stage = Stage::start(&toml, &first.url()).await;
        let seen = ask(stage.https(), method.clone(), "/a", &[]).await;
        assert_eq!(seen.status, status, "{method} {cached}");
        assert_eq!(second.heads().len(), usize::from(status == 200), "{method} {cached}");
    }
}

#[tokio::test]
async fn past_the_cache_it_is_the_same() {
    let (first, second) = (Bucket::start().await, Bucket::start().await);
    second.put("copy/a", "of the second");
    let toml = group("[403]", &second.origin.url());
    let toml = toml.replace("cache_policy = \"obedient\"", "cache_policy = \"CachingDisabled\"");
    let stage = Stage::start(&toml, &first.origin.url()).await;
    for _ in 0..2 {
        let seen = ask(stage.https(), Method::GET, "/a", &[("range", "bytes=0-1")]).await;
        assert_eq!((seen.status, seen.text()), (206, "of"));
    }
    assert_eq!((first.fetches("a"), second.fetches("copy/a")), (2, 2));
}

#[tokio::test]
async fn the_second_origin_comes_before_an_old_object() {
    let (first, second) = (Bucket::start().await, Bucket::start().await);
    first.put_with("a", "old", |meta| meta.cache_control = Some("max-age=1".into()));
    second.put_with("copy/a", "new", |meta| meta.cache_control = Some("max-age=1".into()));
    let stage = Stage::start(&group("[503]", &second.origin.url()), &first.origin.url()).await;
    assert_eq!(get(stage.https(), "/a").await.text(), "old");
    let expire = || tokio::time::sleep(std::time::Duration::from_secs(1)); // the very thing it is about
    expire().await;
    first.origin.slow_down(ONE_FAILURE);
    assert_eq!(get(stage.https(), "/a").await.text(), "new");
    expire().await;
    for bucket in [&first, &second] {
        bucket.origin.slow_down(ONE_FAILURE);
    }
    let seen = get(stage.https(), "/a").await; // behaviour §5.3
    assert_eq!((seen.status, seen.text(), seen.header("x-cache")), (200, "new", "RefreshHit from edgeseal"));
}

#[tokio::test]
async fn a_path_that_names_no_key_of_the_second_does_not_lead_there() {
    let (first, second) = (Bucket::start().await, Bucket::listable().await);
    second.put("secret-name", "a");
    let toml = group("[403]", &second.origin.url()).replace("origin_path = \"/copy\"\n", "");
    let toml = toml.replace("connection_attempts = 1", "connection_attempts = 1\norigin_path = \"/site\"");
    let stage = Stage::start(&toml, &first.origin.url()).await;
    assert_eq!(get(stage.https(), "/").await.status, 403); // s3 §2.1: the second would list its keys
    assert_eq!((first.fetches("site/"), second.origin.served().len()), (1, 0));
}
