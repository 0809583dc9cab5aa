use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;

use super::*;

struct Running {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

async fn start() -> Running {
    start_with(TIMEOUTS, None).await
}

/// One distribution.
struct Nothing;

impl Control for Nothing {
    fn distributions(&self) -> Arc<[Described]> {
        let document = crate::config::Document::new(serde_json::json!({ "Comment": "mine" }));
        let described = |id: &str| Described {
            id: id.into(),
            domain_name: "".into(),
            document: document.clone(),
            since: crate::clock::Timestamp::from_secs(0),
        };
        Arc::new([described("E1")])
    }

    fn invalidate(&self, _: &str, _: &[String]) -> Result<u64, String> {
        Ok(1)
    }

    fn swept_up_to(&self) -> u64 {
        0
    }
}

async fn start_with(timeouts: Timeouts, keys: Option<Arc<Keys>>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let ready = Arc::new(AtomicBool::new(true));
    let readiness = {
        let ready = Arc::clone(&ready);
        move || {
            let ok = ready.load(Ordering::Relaxed);
            Readiness { ready: ok, checks: vec![Check { name: "draining", ok, detail: "a \"why\"".into() }] }
        }
    };
    let admin = Admin {
        metrics: Metrics::new(),
        readiness: Arc::new(readiness),
        api: Arc::new(Api::new(Nothing)),
        explain: Arc::new(|asked| Ok(asked.url.clone())),
        keys,
    };
    Running { address, ready, stop, task: tokio::spawn(serve_within(timeouts, listener, admin, stopped)) }
}

/// Sends `request` with `Connection: close`; head and body of the answer.
async fn ask(address: SocketAddr, line: &str, headers: &str) -> (String, String) {
    let request = format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

const LOCAL: &str = "Host: localhost\r\n";

const CREATE: &str = "POST /2020-05-31/distribution/E1/invalidation";
const BATCH: &str = "<InvalidationBatch><Paths><Quantity>1</Quantity><Items><Path>/a</Path></Items></Paths>\
                     <CallerReference>r</CallerReference></InvalidationBatch>";

fn with_body(headers: &str, body: &str) -> String {
    format!("{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn the_api_answers_as_cloudfronts() {
    let running = start().await;
    let (head, body) = ask(running.address, CREATE, &with_body(LOCAL, BATCH)).await;
    assert!(head.starts_with("http/1.1 201"), "{head}");
    for field in [
        "\r\nlocation: http://localhost/2020-05-31/distribution/e1/invalidation/i",
        "\r\ncontent-type: text/xml\r\n",
        "\r\nx-amzn-requestid: ",
        "\r\ncache-control: no-store\r\n",
    ] {
        assert!(head.contains(field), "{field:?} in {head}");
    }
    assert!(body.contains("<Status>InProgress</Status>"), "{body}");
    let (head, body) = ask(running.address, "GET /2020-05-31/distribution/E1/config", LOCAL).await;
    assert!(head.starts_with("http/1.1 200") && head.contains("\r\netag: e"), "{head}");
    assert!(body.contains("<Comment>mine</Comment></DistributionConfig>"), "{body}");
    let (head, body) = ask(running.address, "DELETE /2020-05-31/distribution/E1/invalidation", LOCAL).await;
    assert!(head.starts_with("http/1.1 405") && head.contains("\r\nallow: get, post\r\n"), "{head}");
    let id = head.split("x-amzn-requestid: ").nth(1).unwrap().split("\r\n").next().unwrap();
    assert!(id.len() == 36 && id.as_bytes()[14] == b'4', "{id}");
    assert!(body.contains(&format!("<RequestId>{id}</RequestId>")), "{body}");
}

/// A page on the web can have a browser post to loopback, and need not see the answer.
#[tokio::test]
async fn a_page_on_the_web_invalidates_nothing() {
    let running = start().await;
    for (fields, status) in [
        ("", "201"),
        ("Content-Type: application/xml\r\n", "201"),
        ("Content-Type: text/xml; charset=utf-8\r\n", "201"),
        ("Sec-Fetch-Site: none\r\n", "201"),
        ("Content-Type: text/plain\r\n", "415"),
        ("Content-Type: application/x-www-form-urlencoded\r\n", "415"),
        ("Content-Type: application/xml\r\nOrigin: https://evil.example\r\n", "403"),
        ("Origin: null\r\n", "403"),
        ("Sec-Fetch-Site: cross-site\r\n", "403"),
        ("Sec-Fetch-Site: same-site\r\n", "403"),
    ] {
        let headers = with_body(&format!("{LOCAL}{fields}"), BATCH);
        let (head, _) = ask(running.address, CREATE, &headers).await;
        assert_eq!(head.split(' ').nth(1), Some(status), "{fields}");
        assert!(!head.contains("access-control"), "{head}");
    }
    let preflight = format!("{LOCAL}Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n");
    let (head, _) =
        ask(running.address, "OPTIONS /2020-05-31/distribution/E1/invalidation", &preflight).await;
    assert!(head.starts_with("http/1.1 403") && !head.contains("access-control"), "{head}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read() {
    let running = start().await;
    let headers = with_body(LOCAL, &"x".repeat((1 << 20) + 1));
    let (head, body) = ask(running.address, CREATE, &headers).await;
    assert!(head.starts_with("http/1.1 413") && body.contains("BatchTooLarge"), "{head}{body}");
}

#[tokio::test]
async fn with_keys_all_but_health_needs_a_signature() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "a-secret-of-an-administrator").unwrap();
    let secret = crate::config::SecretSource::File(file);
    let keys = Keys::load(&[crate::config::AdminKey { access_key_id: "ADMIN1".into(), secret }]).unwrap();
    let running = start_with(TIMEOUTS, keys).await;
    for (line, headers, status, code) in [
        ("GET /healthz", LOCAL, "200", "ok"),
        ("GET /metrics", LOCAL, "200", "edgeseal_"),
        ("GET /readyz", LOCAL, "200", "\"detail\":\"\""),
        ("GET /readyz", "Host: localhost\r\nAuthorization: Basic YTpi\r\n", "200", "\"detail\":\"\""),
        ("GET /healthz", "Host: evil.example\r\n", "403", "Host"),
        ("GET /explain?url=x", LOCAL, "403", "MissingAuthenticationToken"),
        ("GET /2020-05-31/distribution", LOCAL, "403", "MissingAuthenticationToken"),
        ("GET /2020-05-31/distribution", "Host: edge.example\r\n", "403", "MissingAuthenticationToken"),
        ("GET /nowhere", LOCAL, "403", "MissingAuthenticationToken"),
        (
            "GET /2020-05-31/distribution",
            "Host: localhost\r\nAuthorization: Basic YTpi\r\n",
            "400",
            "IncompleteSignature",
        ),
    ] {
        let (head, body) = ask(running.address, line, headers).await;
        assert_eq!(head.split(' ').nth(1), Some(status), "{line} {headers}: {body}");
        assert!(body.contains(code), "{line} {headers}: {body}");
    }
}

#[tokio::test]
async fn paths_and_methods_are_answered() {
    let running = start().await;
    for (line, status, body) in [
        ("GET /healthz", "200", "ok"),
        ("GET /healthz?x=1", "200", "ok"),
        ("HEAD /healthz", "200", ""),
        (
            "GET /nowhere",
            "404",
            r#"{"error":"no such path; there are /, /status.json, /healthz, /readyz, /metrics, /explain and /2020-05-31/distribution"}"#,
        ),
        (
            "POST /nowhere",
            "404",
            r#"{"error":"no such path; there are /, /status.json, /healthz, /readyz, /metrics, /explain and /2020-05-31/distribution"}"#,
        ),
        ("DELETE /metrics", "405", r#"{"error":"only GET and HEAD"}"#),
    ] {
        let (head, answered) = ask(running.address, line, LOCAL).await;
        assert_eq!(head.split(' ').nth(1), Some(status), "{line}");
        assert_eq!(answered, body, "{line}");
        assert_eq!(head.contains("\r\nallow: get, head"), status == "405", "{line}");
        assert!(head.contains("\r\ncache-control: no-store"), "{line}");
    }
    let (head, _) = ask(running.address, "HEAD /healthz", LOCAL).await;
    assert!(head.contains("\r\ncontent-length: 2"), "{head}");
}

#[tokio::test]
async fn readiness_is_asked_every_time() {
    let running = start().await;
    for (ready, status) in [(true, "200"), (false, "503"), (true, "200")] {
        running.ready.store(ready, Ordering::Relaxed);
        let (head, body) = ask(running.address, "GET /readyz", LOCAL).await;
        assert_eq!(head.split(' ').nth(1), Some(status));
        assert!(head.contains("\r\ncontent-type: application/json"), "{head}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let checks = serde_json::json!([{ "name": "draining", "ok": ready, "detail": "a \"why\"" }]);
        assert_eq!(body, serde_json::json!({ "ready": ready, "checks": checks }));
    }
}

#[tokio::test]
async fn metrics_come_in_the_form_asked_for() {
    let running = start().await;
    let (head, body) = ask(running.address, "GET /metrics", LOCAL).await;
    assert!(head.contains("\r\ncontent-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("\nedgeseal_cache_entries 0\n") && !body.contains("# EOF"), "{body}");
    let headers = format!("{LOCAL}Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n");
    let (head, body) = ask(running.address, "GET /metrics", &headers).await;
    assert!(head.contains("\r\ncontent-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(body.ends_with("# EOF\n"), "{body}");
}

/// A page of evil.example whose name resolves to 127.0.0.1 must learn nothing.
#[tokio::test]
async fn names_that_are_not_local_are_refused() {
    let running = start().await;
    for (line, headers, status) in [
        ("GET /healthz", "Host: evil.example\r\n", "403"),
        ("GET /healthz", "Host: 127.0.0.1\r\nHost: evil.example\r\n", "403"),
        ("GET /healthz", "", "403"),
        ("GET http://evil.example/healthz", "Host: localhost\r\n", "403"),
        ("GET http://localhost/healthz", "Host: localhost\r\n", "200"),
        ("GET /healthz", "Host: [::1]:9090\r\n", "200"),
    ] {
        let (head, _) = ask(running.address, line, headers).await;
        assert_eq!(head.split(' ').nth(1), Some(status), "{line} {headers}");
    }
}

#[tokio::test]
async fn a_body_is_ignored() {
    let running = start().await;
    let (head, body) =
        ask(running.address, "GET /healthz", "Host: localhost\r\nContent-Length: 100000\r\n").await;
    assert_eq!((head.split(' ').nth(1), body.as_str()), (Some("200"), "ok"));
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_ends() {
    // Neither timeout may be what ends it.
    let long = Duration::from_secs(300);
    let running = start_with(Timeouts { header_read: long, stop: long }, None).await;
    let address = running.address;
    let idle = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        stream
    });
    let mut idle = idle.await.unwrap();
    running.stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(20), running.task).await.unwrap().unwrap();
    let rest = tokio::task::spawn_blocking(move || {
        let mut rest = String::new();
        idle.read_to_string(&mut rest).map(|_| rest)
    });
    assert!(rest.await.unwrap().unwrap().ends_with("ok"));
    assert!(TcpStream::connect(address).is_err());
}

/// Also the time that an idle connection has for its next request.
#[tokio::test]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let running = start_with(Timeouts { header_read: Duration::from_millis(50), ..TIMEOUTS }, None).await;
    let address = running.address;
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: loc").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map(|_| answer)
    });
    assert_eq!(answer.await.unwrap().unwrap(), b"");
}
