//! Our own servers and hyper's give the same answers: whatever is on the way, whichever way it is (issue 4).

use std::collections::BTreeMap;

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{HOST, Seen, ask, ask_h2, connect, raw};
use crate::support::{Stage, log_lines, reader};

/// What the origin says once: it is kept for an hour.
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 26\r\ncontent-type: text/css\r\netag: \"1\"\r\n\
    last-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\ncache-control: max-age=3600\r\ncontent-md5: x\r\n\
    vary: Origin, X-Unsaid\r\nx-cache: Hit from another\r\nvia: 1.1 another\r\nx-amz-meta-a: b\r\n$MORE\r\n\
    abcdefghijklmnopqrstuvwxyz";

const POLICIES: [&str; 8] = [
    "",
    "response_headers_policy = \"SecurityHeadersPolicy\"\n",
    "response_headers_policy = \"CORS-and-SecurityHeadersPolicy\"\n",
    "response_headers_policy = \"own\"\n",
    "response_headers_policy = \"timed\"\n",
    "response_headers_policy = \"ageless\"\n",
    "response_headers_policy = \"typed\"\n",
    "origin_request_policy = \"UserAgentRefererHeaders\"\n",
];

const OWN: &str = "[[response_headers_policy]]\nname = \"own\"\nremove_headers = [\"x-amz-meta-a\", \"content-md5\"]\n\
    [[response_headers_policy.custom_header]]\nheader = \"Cache-Control\"\nvalue = \"no-cache\"\noverride = true\n\
    [[response_headers_policy.custom_header]]\nheader = \"X-New\"\nvalue = \"1\"\noverride = false\n\
    [[response_headers_policy]]\nname = \"ageless\"\nremove_headers = [\"Age\"]\n\
    [[response_headers_policy]]\nname = \"typed\"\n[[response_headers_policy.custom_header]]\n\
    header = \"Content-Type\"\nvalue = \"a/b\"\noverride = true\n\
    [[response_headers_policy]]\nname = \"timed\"\n\
    [response_headers_policy.server_timing_headers_config]\nenabled = true\nsampling_rate = 100\n";

/// Method, target, fields.
type Asked = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const REQUESTS: [Asked; 22] = [
    ("GET", "/a", &[]),
    ("GET", "/a?b=c", &[]),
    ("HEAD", "/a", &[]),
    ("GET", "/a", &[("range", "bytes=2-5")]),
    ("GET", "/a", &[("range", "bytes=-3")]),
    ("GET", "/a", &[("range", "bytes=26-")]),
    ("GET", "/a", &[("range", "bytes=x")]),
    ("HEAD", "/a", &[("range", "bytes=2-5")]),
    ("GET", "/a", &[("if-none-match", "\"1\"")]),
    ("HEAD", "/a", &[("if-none-match", "\"2\", W/\"1\"")]),
    ("GET", "/a", &[("if-match", "\"2\"")]),
    ("GET", "/a", &[("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")]),
    ("GET", "/a", &[("if-range", "\"1\""), ("range", "bytes=0-0")]),
    ("GET", "/a", &[("if-range", "\"2\""), ("range", "bytes=0-0")]),
    ("GET", "/a", &[("origin", "https://app.example.org")]),
    ("GET", "/a", &[("origin", "https://app.example.org"), ("range", "bytes=2-5")]),
    ("GET", "/a", &[("origin", "https://app.example.org"), ("if-none-match", "\"1\"")]),
    (
        "GET",
        "/a",
        &[("accept-encoding", "gzip, br"), ("cookie", "a=b"), ("user-agent", "u"), ("referer", "r?x=y")],
    ),
    ("GET", "/a%20b", &[]),
    ("GET", "/./a", &[]),
    ("GET", "/a", &[("host", "other.example.com")]),
    ("OPTIONS", "/a", &[]),
];

/// Those that differ from answer to answer.
const OF_EACH: [&str; 4] = ["x-amz-cf-id", "date", "via", "server-timing"];

fn told(seen: &Seen) -> (u16, BTreeMap<String, Vec<String>>, String) {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &seen.headers {
        let value = if OF_EACH.contains(&name.as_str()) { "any" } else { value.to_str().unwrap() };
        // A second may pass between two answers.
        let value = if name == "age" { "some" } else { value };
        fields.entry(name.to_string()).or_default().push(value.to_owned());
    }
    let id = seen.headers["x-amz-cf-id"].to_str().unwrap();
    (seen.status, fields, String::from_utf8_lossy(&seen.body).replace(id, "its own id"))
}

async fn stage(origin: &str, behavior: &str, fast_path: bool, endpoint: &str) -> Stage {
    let toml = format!(
        "{OWN}[cache]\ncache_status = true\n[[distribution]]\naliases = [\"cdn.example.com\"]\n{origin}\n\
         [distribution.default_cache_behavior]\n\
         allowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\"]\n{behavior}"
    );
    Stage::start_tuned(&toml, endpoint, reader(), |config| {
        config.listen.fast_path = fast_path;
        config.listen.workers = 1;
    })
    .await
}

/// All requests, each for the second time, for the first may fetch.
async fn answers(stage: &Stage, h2: bool) -> Vec<(u16, BTreeMap<String, Vec<String>>, String)> {
    let mut all = Vec::new();
    for (method, target, fields) in REQUESTS {
        for again in [false, true] {
            let method: Method = method.parse().unwrap();
            if h2 && (method != Method::GET || fields.iter().any(|(name, _)| *name == "host")) {
                continue;
            }
            let seen = match h2 {
                true => ask_h2(stage.https(), target, fields).await,
                false => ask(stage.https(), method, target, fields).await,
            };
            if again {
                all.push(told(&seen));
            }
        }
    }
    all
}

async fn compare(origin: &str, endpoint: &str) {
    for behavior in POLICIES {
        for h2 in [false, true] {
            let own = stage(origin, behavior, true, endpoint).await;
            let hypers = stage(origin, behavior, false, endpoint).await;
            let (seen, expected) = (answers(&own, h2).await, answers(&hypers, h2).await);
            assert!(
                expected.iter().filter(|(_, fields, _)| fields["x-cache"][0].starts_with("Hit")).count() > 8
            );
            for (n, (seen, expected)) in seen.iter().zip(&expected).enumerate() {
                assert_eq!(seen, expected, "{behavior} h2: {h2}, answer {n}");
            }
            let of = async |stage: &Stage| {
                let mut lines = log_lines(&stage.log, 2 * seen.len()).await;
                for line in &mut lines {
                    let line = line.as_object_mut().unwrap();
                    for key in ["date", "time", "timestamp(ms)", "x-edge-request-id", "c-port", "time-taken"]
                    {
                        line.remove(key);
                    }
                    // Digits of an age may make one byte more.
                    line.remove("sc-bytes");
                    line.remove("time-to-first-byte");
                }
                lines
            };
            assert_eq!(of(&own).await, of(&hypers).await, "{behavior} h2: {h2}");
        }
    }
}

fn script() -> Vec<Act> {
    vec![Act::send(&ANSWER.replace("$MORE", "")); 2000]
}

#[tokio::test]
async fn in_front_of_a_bucket_both_say_the_same() {
    let origin = Scripted::start(script()).await;
    compare("$BUCKET", &origin.url()).await;
}

#[tokio::test]
async fn in_front_of_a_custom_origin_both_say_the_same() {
    let origin = Scripted::start(script()).await;
    let keys = format!(
        "[[distribution.origin]]\ndomain_name = \"127.0.0.1\"\n[distribution.origin.custom_origin]\n\
         http_port = {}\norigin_protocol_policy = \"http-only\"\n",
        origin.port()
    );
    compare(&keys, "http://127.0.0.1:1").await;
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte() {
    let origin = Scripted::start(script()).await;
    let stage = stage("$BUCKET", "", true, &origin.url()).await;
    let mut stream = connect(stage.https(), HOST, &[]).await;
    let request = format!(
        "GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\nGET /a HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    );
    for byte in request.bytes() {
        stream.write_all(&[byte]).await.unwrap();
        stream.flush().await.unwrap();
    }
    let mut seen = String::new();
    stream.read_to_string(&mut seen).await.unwrap();
    assert_eq!(seen.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{seen}");
    assert_eq!(seen.matches("abcdefghijklmnopqrstuvwxyz").count(), 2, "{seen}");
}

/// One after the other without waiting, a part of one at a time, and with one in between that is handed to hyper.
#[tokio::test]
async fn requests_may_come_in_any_pieces() {
    let origin = Scripted::start(script()).await;
    let stage = stage("$BUCKET", "", true, &origin.url()).await;
    ask(stage.https(), Method::GET, "/a", &[]).await;
    let get = "GET /a HTTP/1.1\r\nHost: cdn.example.com\r\n\r\n";
    let last = "GET /a HTTP/1.1\r\nHost: cdn.example.com\r\nConnection: close\r\n\r\n";
    let options = "OPTIONS /a HTTP/1.1\r\nHost: cdn.example.com\r\nContent-Length: 3\r\n\r\nabc";
    for (request, count) in [
        (get.repeat(3) + last, 4),
        (format!("{get}{options}{get}{last}"), 4),
        (format!("\r\n{get}{last}"), 2),
        (format!("{last}{get}"), 1),
    ] {
        let seen = raw(stage.https(), request.as_bytes()).await;
        assert_eq!(seen.matches("HTTP/1.1 ").count(), count, "{request}\n{seen}");
        assert_eq!(seen.matches("connection: close\r\n").count(), 1, "{seen}");
    }
}
