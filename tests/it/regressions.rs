//! What was once wrong, and found by review: each test is named after what holds now.

use std::time::{Duration, Instant};

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{Seen, ask, begin, connect, get, plain};
use crate::support::{Bucket, OBEDIENT, PLAIN, Stage, eventually};

const DISABLED: &str =
    "[[distribution]]\n$BUCKET\n[distribution.default_cache_behavior]\ncache_policy = \"CachingDisabled\"\n";

/// Asks until the object is past its second and the origin has been asked again.
async fn get_once_expired(stage: &Stage, target: &str) -> Seen {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let seen = get(stage.https(), target).await;
        if !seen.header("x-cache").starts_with("Hit") {
            return seen;
        }
        assert!(Instant::now() < deadline, "it does not expire");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn for_a_second(body: &str) -> Act {
    Act::send(&format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\netag: \"1\"\r\ncache-control: max-age=1\r\n\r\n{body}",
        body.len()
    ))
}

/// The edge's own refusals are 502 to a viewer, and used to count as a failing origin.
#[tokio::test]
async fn a_revoked_key_serves_nothing_stale() {
    let refusal = Act::error(403, "<Error><Code>InvalidAccessKeyId</Code></Error>");
    let origin = Scripted::start([for_a_second("secret"), refusal]).await;
    let stage = Stage::start(PLAIN, &origin.url()).await;
    assert_eq!(get(stage.https(), "/a").await.text(), "secret");
    let seen = get_once_expired(&stage, "/a").await;
    assert_eq!(seen.status, 502);
    assert!(!seen.text().contains("secret"));
}

/// A 304 that says `no-store` used to put the copy back.
#[tokio::test]
async fn a_304_with_no_store_ends_the_copy() {
    let confirmed = "HTTP/1.1 304 X\r\netag: \"1\"\r\ncache-control: no-store\r\n\r\n";
    let origin = Scripted::start([for_a_second("mine"), Act::send(confirmed), Act::ok("new")]).await;
    let stage = Stage::start(OBEDIENT, &origin.url()).await;
    get(stage.https(), "/a").await;
    let confirmed = get_once_expired(&stage, "/a").await;
    assert_eq!((confirmed.status, confirmed.text()), (200, "mine"));
    assert_eq!(get(stage.https(), "/a").await.text(), "new");
    assert!(!origin.heads()[2].contains("if-none-match"));
}

/// One key that cannot be read used to take the whole edge out of a load balancer's rotation.
#[tokio::test]
async fn one_bad_object_does_not_make_the_edge_unready() {
    let origin = Scripted::start([Act::send("HTTP/1.1 206 X\r\ncontent-length: 1\r\n\r\nx")]).await;
    let stage = Stage::start(PLAIN, &origin.url()).await;
    assert_eq!(get(stage.https(), "/bad").await.status, 502);
    let ready = plain(stage.server.admin, Method::GET, "/readyz", &[("host", "localhost")]).await;
    assert_eq!(ready.status, 200, "{}", ready.text());
}

/// hyper never polls the body of an answer to HEAD, and the log took that for a viewer that had left.
#[tokio::test]
async fn a_redirected_head_is_no_error_in_the_log() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    plain(stage.server.http, Method::HEAD, "/a", &[]).await;
    let log = || std::fs::read_to_string(&stage.log).unwrap_or_default();
    eventually("a line in the access log", || std::future::ready(log().contains('\n'))).await;
    assert!(log().contains(r#""x-edge-result-type":"Redirect""#), "{}", log());
}

/// It was signed as `a,a`, which no CORS rule matches.
#[tokio::test]
async fn a_preflight_has_one_origin_though_the_policy_names_it_too() {
    let toml = r#"
[[cache_policy]]
name = "cors"
headers = ["Origin"]
[[distribution]]
$BUCKET
[distribution.default_cache_behavior]
cache_policy = "cors"
allowed_methods = ["GET", "HEAD", "OPTIONS"]
"#;
    let origin = Scripted::start([Act::ok("")]).await;
    let stage = Stage::start(toml, &origin.url()).await;
    let fields = [("origin", "https://a.example"), ("access-control-request-method", "GET")];
    ask(stage.https(), Method::OPTIONS, "/a", &fields).await;
    assert_eq!(origin.heads()[0].matches("origin: https://a.example").count(), 1);
}

/// Bytes that cannot be signed used to be the edge's own 502, and a line of warning for each.
#[tokio::test]
async fn a_condition_that_is_not_text_is_no_condition() {
    let origin = Scripted::start([Act::ok("fine")]).await;
    let stage = Stage::start(DISABLED, &origin.url()).await;
    let mut stream = connect(stage.https(), "cdn.example.com", &[]).await;
    let request = b"GET /a HTTP/1.1\r\nhost: h\r\nif-none-match: \"\xff\"\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // The edge closes without `close_notify` when the viewer has asked for it; what has come is the answer.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn several_lines_of_a_condition_are_one_list() {
    let bucket = Bucket::start().await;
    let etag = bucket.put("a", "a");
    let stage = Stage::start(DISABLED, &bucket.origin.url()).await;
    let seen = ask(stage.https(), Method::GET, "/a", &[("if-match", "\"other\""), ("if-match", &etag)]).await;
    assert_eq!(seen.status, 200); // RFC 9110 §5.3
}

#[tokio::test]
async fn an_unsatisfiable_range_says_the_length_uncached_too() {
    let refusal = "HTTP/1.1 416 X\r\ncontent-range: bytes */3\r\ncontent-length: 0\r\n\r\n";
    let origin = Scripted::start([Act::send(refusal)]).await;
    let stage = Stage::start(DISABLED, &origin.url()).await;
    let seen = ask(stage.https(), Method::GET, "/a", &[("range", "bytes=10-")]).await;
    assert_eq!((seen.status, seen.header("content-range")), (416, "bytes */3"));
}

/// Collapsed hits used to say `Age: 0` whatever the upstream had said.
#[tokio::test]
async fn a_collapsed_viewer_sees_the_upstreams_age() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nage: 50\r\netag: \"1\"\r\n\r\nab";
    let origin = Scripted::start([Act::send(half)]).await;
    let stage = Stage::start(PLAIN, &origin.url()).await;
    let first = begin(stage.https(), "/a", &[]).await;
    let second = begin(stage.https(), "/a", &[]).await;
    assert_eq!(first.headers()["age"], "50");
    assert_eq!(second.headers()["age"], "50");
    assert_eq!(second.headers()["x-cache"], "Hit from edgeseal");
}

/// A large body of unknown length used to hold its share of the budget for as long as it was read.
#[tokio::test]
async fn a_body_that_is_not_kept_gives_its_room_back() {
    let toml = "[cache]\nmemory = \"4MiB\"\nmax_object = \"1MiB\"\n[[distribution]]\n$BUCKET\n";
    let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\netag: \"1\"\r\n\r\n";
    let long = [head.as_slice(), &chunk.repeat(1024)].concat();
    let small = "y".repeat(600_000);
    let origin = Scripted::start([Act::Send(long), Act::ok(&small), Act::ok(&small)]).await;
    let stage = Stage::start(toml, &origin.url()).await;
    let _slow = begin(stage.https(), "/long", &[]).await;
    // Once it is known to be too large, it is marked as such: a question for it would pass.
    eventually("the long body is known to be too large", || {
        std::future::ready(stage.metric("edgeseal_cache_entries") >= 1.0)
    })
    .await;
    get(stage.https(), "/small").await;
    assert_eq!(get(stage.https(), "/small").await.header("x-cache"), "Hit from edgeseal");
}

/// Neither a handshake nor a preface that never comes used to let the drain end before the grace period.
#[tokio::test]
async fn silent_connections_do_not_hold_up_the_drain() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let _handshake = tokio::net::TcpStream::connect(stage.https()).await.unwrap();
    let _preface = connect(stage.https(), "cdn.example.com", &[b"h2"]).await;
    let _request = connect(stage.https(), "cdn.example.com", &[]).await;
    let started = Instant::now();
    let Stage { server, .. } = stage;
    server.drain().await;
    assert!(started.elapsed() < Duration::from_secs(4), "the grace period is five seconds");
}
