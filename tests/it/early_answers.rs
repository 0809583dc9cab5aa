//! Origins that answer before a request's body has come to its end (RFC 9112 §9.3): nobody else gets onto that connection,
//! and what the viewer sends next is not taken for the body, nor the body for a request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::Stage;
use crate::support::viewer::{HOST, connect, get};

/// What has come on each connection.
type Seen = Arc<Mutex<Vec<Vec<u8>>>>;

/// Answers as soon as it has a head, and reads on.
async fn hasty(answer: &'static str, seen: Seen) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let index = {
                let mut seen = seen.lock().unwrap();
                seen.push(Vec::new());
                seen.len() - 1
            };
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut answered = 0;
                let mut chunk = vec![0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut chunk).await {
                    let heads = {
                        let mut seen = seen.lock().unwrap();
                        seen[index].extend_from_slice(&chunk[..read]);
                        String::from_utf8_lossy(&seen[index]).matches("\r\n\r\n").count()
                    };
                    while answered < heads {
                        answered += 1;
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    port
}

async fn answered_early(answer: &'static str) {
    let seen = Seen::default();
    let port = hasty(answer, Arc::clone(&seen)).await;
    let toml = format!(
        "[[distribution]]\n[[distribution.origin]]\ndomain_name = \"127.0.0.1\"\n\
         [distribution.origin.custom_origin]\nhttp_port = {port}\norigin_protocol_policy = \"http-only\"\n\
         [distribution.default_cache_behavior]\n\
         allowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\", \"PUT\", \"PATCH\", \"POST\", \"DELETE\"]\n"
    );
    let stage = Stage::start(&toml, "http://127.0.0.1:1").await;
    let mut viewer = connect(stage.https(), HOST, &[]).await;
    let head = format!("POST /up HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 40\r\n\r\n0123456789");
    viewer.write_all(head.as_bytes()).await.unwrap();
    read_answer(&mut viewer).await;
    assert_eq!(get(stage.https(), "/other").await.text(), "ok");
    // The body looks like a request, and is none.
    let rest = format!("GET /x HTTP/1.1\r\nA: 1\r\n-------GET /next HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    viewer.write_all(rest.as_bytes()).await.unwrap();
    let mut next = String::new();
    let reading = async {
        let mut chunk = vec![0; 4096];
        while let Ok(read @ 1..) = viewer.read(&mut chunk).await {
            next.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
            if next.ends_with("ok") {
                break;
            }
        }
    };
    timeout(Duration::from_secs(10), reading).await.unwrap();
    // The next request is answered, or the connection has been closed: RFC 9112 §9.3 allows both.
    assert!(next.is_empty() || next.starts_with("HTTP/1.1 200 OK\r\n"), "{next}");
    assert!(next.matches("HTTP/1.1 ").count() <= 1, "{next}");
    for connection in &*seen.lock().unwrap() {
        let text = String::from_utf8_lossy(connection);
        assert!(!text.starts_with("GET /x"), "{text}");
        let (_, after) = text.split_once("\r\n\r\n").unwrap();
        if text.starts_with("POST /up ") {
            assert!(
                "0123456789GET /x HTTP/1.1\r\nA: 1\r\n-------".starts_with(&after[..after.len().min(40)]),
                "{text}"
            );
            assert!(!after.contains("/other"), "{text}");
        }
    }
}

async fn read_answer(viewer: &mut (impl AsyncReadExt + Unpin)) {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok") {
        answer.push(timeout(Duration::from_secs(10), viewer.read_u8()).await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn a_connection_is_nobody_elses_while_a_body_is_on_its_way() {
    answered_early("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
}

#[tokio::test]
async fn the_same_with_an_answer_that_closes() {
    answered_early("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
}
