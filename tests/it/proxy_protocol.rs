//! Behind a load balancer that says by the PROXY protocol who the viewer is.

use std::net::SocketAddr;
use std::time::Duration;

use edgeseal::demo::viewer::{read, trusting};
use http::{Method, Request};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::support::viewer::{HOST, ask};
use crate::support::{Bucket, PLAIN, Stage, log_lines, reader};

const SOON: Duration = Duration::from_secs(5);
const FIRST: &[u8] = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n";

async fn stage(bucket: &Bucket, balancers: &str) -> Stage {
    bucket.put("a", "a");
    Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), |config| {
        config.listen.workers = 1;
        config.listen.proxy_protocol = vec![balancers.parse().unwrap()];
    })
    .await
}

fn request() -> Request<Empty<Bytes>> {
    Request::builder().method(Method::GET).uri(format!("https://{HOST}/a")).body(Empty::new()).unwrap()
}

/// The header, a handshake, and a request by what was agreed on; the status of its answer.
async fn through(edge: SocketAddr, header: &[u8], alpn: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(edge).await.unwrap();
    stream.write_all(header).await.unwrap();
    let connector = TlsConnector::from(std::sync::Arc::new(trusting(&[alpn])));
    let stream = TokioIo::new(connector.connect(ServerName::try_from(HOST).unwrap(), stream).await.unwrap());
    if alpn == b"h2" {
        let (mut sender, driving) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(driving);
        read(sender.send_request(request()).await.unwrap()).await.unwrap().status
    } else {
        let (mut sender, driving) = http1::handshake(stream).await.unwrap();
        tokio::spawn(driving);
        let mut request = request();
        request.headers_mut().insert("host", HOST.parse().unwrap());
        *request.uri_mut() = "/a".parse().unwrap();
        read(sender.send_request(request).await.unwrap()).await.unwrap().status
    }
}

#[tokio::test]
async fn the_log_names_the_viewer_and_not_the_balancer() {
    let bucket = Bucket::start().await;
    let stage = stage(&bucket, "127.0.0.0/8").await;
    let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24".to_vec();
    second.extend("2001:db8::5".parse::<std::net::Ipv6Addr>().unwrap().octets());
    second.extend([0; 16]);
    second.extend([0x12, 0x67, 1, 187]);
    assert_eq!(through(stage.https(), FIRST, b"http/1.1").await, 200);
    assert_eq!(through(stage.https(), &second, b"h2").await, 200);
    assert_eq!(through(stage.https(), b"PROXY UNKNOWN\r\n", b"h2").await, 200);

    let mut plain = TcpStream::connect(stage.server.http).await.unwrap();
    let asked =
        [FIRST, format!("GET /a HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n").as_bytes()].concat();
    plain.write_all(&asked).await.unwrap();
    let mut answer = String::new();
    timeout(SOON, plain.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 301"), "{answer}");

    let lines = log_lines(&stage.log, 4).await;
    let who: Vec<_> =
        lines.iter().map(|line| (line["c-ip"].as_str().unwrap(), line["c-port"].to_string())).collect();
    assert_eq!(
        who.iter().map(|(ip, _)| *ip).collect::<Vec<_>>(),
        ["203.0.113.7", "2001:db8::5", "127.0.0.1", "203.0.113.7"]
    );
    assert_eq!(
        [&who[0].1, &who[1].1, &who[3].1].map(|port| port.trim_matches('"')),
        ["4711", "4711", "4711"]
    );
}

#[tokio::test]
async fn a_balancer_that_says_nothing_is_not_served() {
    let bucket = Bucket::start().await;
    let stage = stage(&bucket, "127.0.0.0/8").await;
    let mut plain = TcpStream::connect(stage.server.http).await.unwrap();
    plain.write_all(format!("GET /a HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(SOON, plain.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"");
    let counted = "edgeseal_tls_handshake_errors_total{reason=\"proxy-header\"}";
    assert_eq!(stage.metric(counted), 1.0);
}

#[tokio::test]
async fn nobody_else_can_say_to_be_another() {
    let bucket = Bucket::start().await;
    let stage = stage(&bucket, "192.0.2.0/24").await;
    assert_eq!(ask(stage.https(), Method::GET, "/a", &[]).await.status, 200);
    let mut plain = TcpStream::connect(stage.server.http).await.unwrap();
    let asked = [FIRST, format!("GET /a HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()].concat();
    plain.write_all(&asked).await.unwrap();
    let mut answer = String::new();
    let _ = timeout(SOON, plain.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(log_lines(&stage.log, 1).await[0]["c-ip"], "127.0.0.1");
}
