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
    start_with(TIMEOUTS).await
}

async fn start_with(timeouts: Timeouts) -> Running {
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
    let invalidate = |invalidation: &Invalidation| match invalidation.distribution.as_deref() {
        None | Some("known") => Ok(invalidation.paths.len()),
        Some(other) => Err(Refused::NoSuchDistribution(other.to_owned())),
    };
    let admin = Admin {
        metrics: Metrics::new(),
        readiness: Arc::new(readiness),
        invalidate: Arc::new(invalidate),
        explain: Arc::new(|asked| Ok(asked.url.clone())),
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

#[tokio::test]
async fn only_a_well_formed_invalidation_is_carried_out() {
    const JSON: &str = "Content-Type: application/json\r\n";
    let running = start().await;
    let table = [
        ("POST", JSON, r#"{"paths":["/a","/b*"]}"#, "200", r#"{"invalidated_paths":2}"#),
        ("POST", JSON, r#"{"distribution":"known","paths":["/a"]}"#, "200", r#"{"invalidated_paths":1}"#),
        ("POST", JSON, r#"{"distribution":"other","paths":["/a"]}"#, "404", r#"{"error":"other"}"#),
        ("POST", JSON, r#"{"paths":["/a"],"path":"/b"}"#, "400", "unknown field `path`"),
        ("POST", JSON, r#"{"paths":"/a"}"#, "400", "not an invalidation"),
        ("POST", JSON, "", "400", "not an invalidation"),
        // What a page on the web can have a browser send without asking first.
        ("POST", "Content-Type: text/plain\r\n", r#"{"paths":["/a"]}"#, "415", "application/json"),
        ("POST", "", r#"{"paths":["/a"]}"#, "415", "application/json"),
        ("GET", "", "", "405", "only POST"),
    ];
    for (method, kind, body, status, expected) in table {
        let length = body.len();
        let headers = format!("{LOCAL}{kind}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        let (head, answer) = ask(running.address, &format!("{method} /invalidate"), &headers).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{method} {kind} {body}: {head}");
        assert!(answer.contains(expected), "{method} {kind} {body}: {answer}");
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
            r#"{"error":"no such path; there are /healthz, /readyz, /metrics, /explain and /invalidate"}"#,
        ),
        (
            "POST /nowhere",
            "404",
            r#"{"error":"no such path; there are /healthz, /readyz, /metrics, /explain and /invalidate"}"#,
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
    let running = start_with(Timeouts { header_read: long, stop: long }).await;
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
    let running = start_with(Timeouts { header_read: Duration::from_millis(50), ..TIMEOUTS }).await;
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
