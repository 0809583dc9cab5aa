//! The owner's pages in the place of errors (behaviour §8.3).

use std::time::Duration;

use http::Method;

use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{Seen, ask, get, over_h2, plain};
use crate::support::{BUCKET, Bucket, PLAIN, REGION, Stage, log_lines};

/// S3 is asked twice before its `SlowDown` counts (s3 §2.16).
const ONE_FAILURE: u32 = 2;

/// After `toml`, a page for errors of this status.
fn page(toml: &str, error: u16, path: &str, code: u16) -> String {
    format!(
        "{toml}[[distribution.custom_error_response]]\nerror_code = {error}\nresponse_page_path = \"{path}\"\n\
         response_code = {code}\n"
    )
}

/// The site, and the pages of `/errors/*` in another bucket under another policy.
fn pages_elsewhere(pages: &Bucket, policy: &str) -> String {
    format!(
        "[[distribution]]\n$BUCKET[[distribution.origin]]\nid = \"pages\"\nbucket = \"{BUCKET}\"\n\
         region = \"{REGION}\"\nendpoint = \"{}\"\n[distribution.default_cache_behavior]\n\
         target_origin = \"{BUCKET}\"\n[[distribution.cache_behavior]]\npath_pattern = \"/errors/*\"\n\
         target_origin = \"pages\"\ncache_policy = \"{policy}\"\n",
        pages.origin.url()
    )
}

fn is_error(seen: &Seen) -> bool {
    seen.header("x-cache") == "Error from edgeseal" // behaviour §8.5
}

#[tokio::test]
async fn an_app_of_one_page_answers_for_every_route() {
    let bucket = Bucket::start().await;
    bucket.put_with("index.html", "app", |meta| meta.content_type = Some("text/html".into()));
    let stage = Stage::start(&page(PLAIN, 403, "/index.html", 200), &bucket.origin.url()).await;
    for target in ["/route/1", "/route/1?a=b", "/", "/other"] {
        let seen = get(stage.https(), target).await;
        assert_eq!((seen.status, seen.text()), (200, "app"), "{target}");
        assert!(is_error(&seen), "{target}: {:?}", seen.headers);
        assert_eq!(seen.header("content-type"), "text/html");
        assert!(!seen.header("etag").is_empty(), "the page's own fields");
    }
    // The error is kept with its page, and the page like any other object.
    assert_eq!((bucket.fetches("route/1"), bucket.fetches("other")), (1, 1));
    assert_eq!(bucket.fetches("index.html"), 1);
    assert_eq!(get(stage.https(), "/index.html").await.header("x-cache"), "Hit from edgeseal");
}

#[tokio::test]
async fn conditions_and_ranges_are_not_about_the_page() {
    let bucket = Bucket::start().await;
    let tag = bucket.put("index.html", "the whole app");
    for policy in ["CachingOptimized", "CachingDisabled"] {
        let toml = format!("{PLAIN}[distribution.default_cache_behavior]\ncache_policy = \"{policy}\"\n");
        let stage = Stage::start(&page(&toml, 403, "/index.html", 200), &bucket.origin.url()).await;
        for (name, value) in [
            ("if-none-match", tag.as_str()),
            ("if-none-match", "*"),
            ("if-modified-since", "Fri, 31 Dec 9999 23:59:59 GMT"),
            ("if-match", "\"other\""),
            ("range", "bytes=0-2"),
        ] {
            let seen = ask(stage.https(), Method::GET, "/route", &[(name, value)]).await;
            assert_eq!((seen.status, seen.text()), (200, "the whole app"), "{policy} {name}: {value}");
            assert!(!seen.headers.contains_key("content-range"));
        }
    }
}

#[tokio::test]
async fn a_page_comes_from_the_origin_of_its_own_behaviour_under_its_own_times() {
    let (bucket, pages) = (Bucket::listable().await, Bucket::start().await);
    pages.put("errors/404.html", "not here");
    let toml = page(&pages_elsewhere(&pages, "CachingDisabled"), 404, "/errors/404.html", 404);
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    for _ in 0..3 {
        let seen = get(stage.https(), "/a").await;
        assert_eq!((seen.status, seen.text()), (404, "not here"));
        assert!(is_error(&seen));
    }
    assert_eq!(bucket.fetches("a"), 1, "the error is remembered");
    assert_eq!(pages.fetches("errors/404.html"), 3, "the page is not kept");
    assert_eq!(bucket.fetches("errors/404.html"), 0);
}

#[tokio::test]
async fn a_page_that_fails_fails_by_its_own_status() {
    let (bucket, pages) = (Bucket::listable().await, Bucket::start().await);
    let toml = page(&pages_elsewhere(&pages, "CachingOptimized"), 404, "/errors/404.html", 200);
    // A page for the page's error is not looked for.
    let toml = page(&toml, 403, "/errors/403.html", 200);
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    let seen = get(stage.https(), "/a").await;
    assert_eq!(seen.status, 403);
    assert!(is_error(&seen));
    assert!(seen.text().contains("<Code>AccessDenied</Code>"), "{}", seen.text());
    assert_eq!(pages.fetches("errors/403.html"), 0);
}

#[tokio::test]
async fn a_failing_origin_has_a_page_that_is_elsewhere() {
    let (bucket, pages) = (Bucket::start().await, Bucket::start().await);
    pages.put("errors/sorry.html", "sorry");
    let toml = page(&pages_elsewhere(&pages, "CachingOptimized"), 503, "/errors/sorry.html", 503);
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    bucket.origin.slow_down(ONE_FAILURE);
    for _ in 0..2 {
        let seen = get(stage.https(), "/a").await;
        assert_eq!((seen.status, seen.text(), seen.header("retry-after")), (503, "sorry", "1"));
    }
    assert_eq!((bucket.fetches("a"), pages.fetches("errors/sorry.html")), (2, 1));
}

#[tokio::test]
async fn an_origin_that_is_gone_has_a_page_too() {
    let pages = Bucket::start().await;
    pages.put("errors/sorry.html", "sorry");
    let toml = page(&pages_elsewhere(&pages, "CachingOptimized"), 502, "/errors/sorry.html", 500);
    let stage = Stage::start(&toml, &super::failover::nobody().await).await;
    let seen = get(stage.https(), "/a").await;
    assert_eq!((seen.status, seen.text()), (500, "sorry"));
}

#[tokio::test]
async fn a_head_gets_the_pages_head() {
    let bucket = Bucket::start().await;
    bucket.put("index.html", "app");
    for policy in ["CachingOptimized", "CachingDisabled"] {
        let toml = format!("{PLAIN}[distribution.default_cache_behavior]\ncache_policy = \"{policy}\"\n");
        let stage = Stage::start(&page(&toml, 403, "/index.html", 200), &bucket.origin.url()).await;
        let seen = ask(stage.https(), Method::HEAD, "/route", &[]).await;
        assert_eq!((seen.status, seen.header("content-length"), seen.text()), (200, "3", ""), "{policy}");
        assert!(is_error(&seen));
    }
}

#[tokio::test]
async fn the_log_tells_the_replaced_status_and_the_error() {
    let bucket = Bucket::start().await;
    bucket.put("index.html", "app");
    let stage = Stage::start(&page(PLAIN, 403, "/index.html", 200), &bucket.origin.url()).await;
    get(stage.https(), "/route").await;
    let lines = log_lines(&stage.log, 1).await;
    let line = |field: &str| lines[0][field].as_str().map_or(lines[0][field].to_string(), str::to_owned);
    assert_eq!(line("sc-status"), "200"); // behaviour §8.3
    assert_eq!(line("x-edge-result-type"), "Error");
    assert_eq!(line("x-edge-response-result-type"), "Error");
    assert_eq!(line("cs-uri-stem"), "/route");
    assert_eq!(line("x-edgeseal-origin-code"), "AccessDenied");
}

#[tokio::test]
async fn what_is_wrong_with_the_request_itself_has_no_page() {
    let bucket = Bucket::start().await;
    bucket.put("index.html", "app");
    let toml =
        format!("{PLAIN}[distribution.default_cache_behavior]\nviewer_protocol_policy = \"https-only\"\n");
    let toml = page(&page(&toml, 403, "/index.html", 200), 400, "/index.html", 200);
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    let post = ask(stage.https(), Method::POST, "/route", &[]).await;
    assert_eq!(post.status, 403, "nothing was done, and 200 would say otherwise");
    assert_eq!(get(stage.https(), "/%zz").await.status, 400);
    assert_eq!(get(stage.https(), "/../a").await.status, 400);
    let clear = plain(stage.server.http, Method::GET, "/route", &[]).await;
    assert_eq!(clear.status, 403, "nothing of the bucket over plain HTTP");
    assert!(bucket.origin.served().is_empty());
}

#[tokio::test]
async fn an_old_object_comes_before_a_page() {
    let (bucket, pages) = (Bucket::start().await, Bucket::start().await);
    bucket.put_with("a", "old", |meta| meta.cache_control = Some("max-age=1".into()));
    bucket.put_with("b", "old", |meta| meta.cache_control = Some("max-age=1, stale-if-error=0".into()));
    pages.put("errors/sorry.html", "sorry");
    let toml = page(&pages_elsewhere(&pages, "CachingOptimized"), 503, "/errors/sorry.html", 503);
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    for target in ["/a", "/b"] {
        assert_eq!(get(stage.https(), target).await.text(), "old");
    }
    tokio::time::sleep(Duration::from_secs(1)).await; // the very thing it is about: they expire
    for (target, expected) in [("/a", (200, "old")), ("/b", (503, "sorry"))] {
        bucket.origin.slow_down(ONE_FAILURE);
        let seen = get(stage.https(), target).await;
        assert_eq!((seen.status, seen.text()), expected, "{target}"); // behaviour §5.2
    }
}

#[tokio::test]
async fn a_range_that_cannot_be_had_may_have_a_page() {
    let bucket = Bucket::start().await;
    bucket.put("a", "12345");
    bucket.put("range.html", "no such bytes");
    let stage = Stage::start(&page(PLAIN, 416, "/range.html", 416), &bucket.origin.url()).await;
    let seen = ask(stage.https(), Method::GET, "/a", &[("range", "bytes=10-")]).await;
    assert_eq!((seen.status, seen.text()), (416, "no such bytes"));
    assert_eq!(seen.header("content-range"), "bytes */5"); // RFC 9110 §15.5.17
}

#[tokio::test]
async fn the_connection_ends_after_some_pages() {
    // behaviour §8.3
    for (status, connection) in [(400, "close"), (404, ""), (405, "close"), (414, "close"), (501, "close")] {
        let refusal = || Act::send(&format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"));
        let origin = Scripted::start([refusal(), Act::ok("page"), refusal()]).await;
        let stage = Stage::start(&page(PLAIN, status, "/page", 404), &origin.url()).await;
        let seen = get(stage.https(), "/a").await;
        assert_eq!(
            (seen.status, seen.text(), seen.header("connection")),
            (404, "page", connection),
            "{status}"
        );
        let seen = over_h2(stage.https(), &["/b"]).await.remove(0);
        assert_eq!((seen.status, seen.header("connection")), (404, ""), "{status}: RFC 9113 §8.2.2");
    }
}

#[tokio::test]
async fn the_root_as_a_page_is_the_default_root_object() {
    let bucket = Bucket::start().await;
    bucket.put("index.html", "app");
    let toml = "[[distribution]]\ndefault_root_object = \"index.html\"\n$BUCKET";
    let stage = Stage::start(&page(toml, 403, "/", 200), &bucket.origin.url()).await;
    assert_eq!(get(stage.https(), "/route").await.text(), "app");
}
