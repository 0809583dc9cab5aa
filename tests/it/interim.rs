//! 1xx answers of origins reach the HTTP/1.1 viewer who waits (RFC 9110 §15.2).

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::support::Stage;
use crate::support::viewer::{HOST, connect, get, over_h2};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
const FINAL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: max-age=60\r\n\r\nok";

/// Sends hints at once, and the answer when it is told to.
pub async fn origin(go: Arc<Notify>) -> u16 {
    hinting(HINTS, go).await
}

async fn hinting(hints: &'static str, go: Arc<Notify>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let go = Arc::clone(&go);
            tokio::spawn(async move {
                let mut head = Vec::new();
                loop {
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    head.clear();
                    stream.write_all(hints.as_bytes()).await.unwrap();
                    go.notified().await;
                    stream.write_all(FINAL.as_bytes()).await.unwrap();
                }
            });
        }
    });
    port
}

pub async fn stage(port: u16) -> Stage {
    let toml = format!(
        "[[distribution]]\n[[distribution.origin]]\ndomain_name = \"127.0.0.1\"\n\
         [distribution.origin.custom_origin]\nhttp_port = {port}\norigin_protocol_policy = \"http-only\"\n"
    );
    Stage::start(&toml, "http://127.0.0.1:1").await
}

#[tokio::test]
async fn hints_come_before_the_answer_and_are_not_kept() {
    let go = Arc::new(Notify::new());
    let stage = stage(origin(Arc::clone(&go)).await).await;
    let mut viewer = connect(stage.https(), HOST, &[]).await;
    for (path, hints) in [("/a", true), ("/b", true), ("/a", false)] {
        viewer.write_all(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
        if hints {
            let mut interim = vec![0; HINTS.len()];
            let read = timeout(Duration::from_secs(10), viewer.read_exact(&mut interim)).await;
            read.expect("the hints come while the origin has yet to answer").unwrap();
            assert_eq!(String::from_utf8(interim).unwrap(), HINTS);
            go.notify_one();
        }
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok") {
            answer.push(viewer.read_u8().await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
        assert_eq!(answer.contains("x-cache: Hit"), !hints, "{path}: {answer}");
        assert!(!answer.contains("rel=preload"), "hints are no part of the answer: {answer}");
    }
}

/// A length would have the next bytes taken for a body (RFC 9110 §8.6); cookies are as in answers (behaviour §5.6).
#[tokio::test]
async fn hints_have_no_length_and_no_cookies_that_answers_would_not_have() {
    let sent = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nset-cookie: a=b\r\nconnection: x-hop\r\nx-hop: 1\r\ncontent-length: 9\r\n\r\n";
    let go = Arc::new(Notify::new());
    let stage = stage(hinting(sent, Arc::clone(&go)).await).await;
    let mut viewer = connect(stage.https(), HOST, &[]).await;
    viewer.write_all(format!("GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    let mut interim = vec![0; HINTS.len()];
    timeout(Duration::from_secs(10), viewer.read_exact(&mut interim)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(interim).unwrap(), HINTS);
    go.notify_one();
}

#[tokio::test]
async fn who_cannot_be_sent_them_gets_the_answer_alone() {
    let go = Arc::new(Notify::new());
    let stage = stage(origin(Arc::clone(&go)).await).await;
    go.notify_one();
    let seen = over_h2(stage.https(), &["/h2"]).await.pop().unwrap();
    assert_eq!((seen.status, seen.text()), (200, "ok"));
    let mut viewer = connect(stage.https(), HOST, &[]).await;
    viewer.write_all(format!("GET /old HTTP/1.0\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    go.notify_one();
    let mut answer = String::new();
    viewer.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") || answer.starts_with("HTTP/1.0 200 OK"), "{answer}");
    go.notify_one();
    assert_eq!(get(stage.https(), "/ready-made").await.text(), "ok");
}

/// Pipelined requests: no hint ever comes between the parts of an answer.
#[tokio::test]
async fn answers_under_way_are_not_interrupted() {
    let go = Arc::new(Notify::new());
    let stage = stage(origin(Arc::clone(&go)).await).await;
    let mut viewer = connect(stage.https(), HOST, &[]).await;
    let requests: String = (0..20).map(|i| format!("GET /{i} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).collect();
    viewer.write_all(requests.as_bytes()).await.unwrap();
    let driver = tokio::spawn(async move {
        loop {
            go.notify_one();
            tokio::task::yield_now().await;
        }
    });
    let mut text = String::new();
    while text.matches("\r\n\r\nok").count() < 20 {
        let mut chunk = vec![0; 4096];
        let read = timeout(Duration::from_secs(10), viewer.read(&mut chunk)).await.unwrap().unwrap();
        assert!(read > 0, "{text}");
        text.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
    }
    driver.abort();
    // What is left without the answers are whole hints.
    let mut rest = text.as_str();
    let mut answers = 0;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(HINTS) {
            rest = after;
        } else {
            assert!(rest.starts_with("HTTP/1.1 200 OK\r\n"), "{rest}");
            rest = &rest[rest.find("\r\n\r\nok").unwrap() + 6..];
            answers += 1;
        }
    }
    assert_eq!(answers, 20);
}
