//! A viewer: ready-made requests over TLS, and raw bytes where a library would not send them.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
pub use edgeseal::demo::viewer::Seen;
use edgeseal::demo::viewer::{self as demo, trusting};
use http::{Method, Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name in `Host` and SNI unless a test says another.
pub const HOST: &str = "cdn.example.com";

/// A GET over TLS on a connection of its own, read to its end.
pub async fn get(edge: SocketAddr, target: &str) -> Seen {
    ask(edge, Method::GET, target, &[]).await
}

/// A request over TLS on a connection of its own, read to its end. `host` among the fields replaces the usual one.
pub async fn ask(edge: SocketAddr, method: Method, target: &str, fields: &[(&str, &str)]) -> Seen {
    demo::secure(edge, HOST, request(method, target, fields)).await.unwrap()
}

/// The same over plain HTTP.
pub async fn plain(edge: SocketAddr, method: Method, target: &str, fields: &[(&str, &str)]) -> Seen {
    demo::plain(edge, request(method, target, fields)).await.unwrap()
}

/// The head of the answer, the body still to be read. The connection lives as long as the body.
pub async fn begin(edge: SocketAddr, target: &str, fields: &[(&str, &str)]) -> Response<Incoming> {
    let stream = connect(edge, HOST, &[]).await;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request(Method::GET, target, fields)).await.unwrap()
}

/// A GET over HTTP/2 on a connection of its own, read to its end.
#[cfg(feature = "compress")]
pub async fn ask_h2(edge: SocketAddr, target: &str, fields: &[(&str, &str)]) -> Seen {
    let stream = connect(edge, HOST, &[b"h2"]).await;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().uri(format!("https://{HOST}{target}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    demo::read(sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap())
        .await
        .unwrap()
}

/// Requests on one HTTP/2 connection, at the same time.
pub async fn over_h2(edge: SocketAddr, targets: &[&str]) -> Vec<Seen> {
    let uris: Vec<_> = targets.iter().map(|target| format!("https://{HOST}{target}")).collect();
    over_h2_to(edge, &uris.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// The same for other hosts than the connection's.
pub async fn over_h2_to(edge: SocketAddr, uris: &[&str]) -> Vec<Seen> {
    let stream = connect(edge, HOST, &[b"h2"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut tasks = Vec::new();
    for uri in uris {
        let request = Request::builder().uri(*uri).body(Empty::<Bytes>::new()).unwrap();
        let mut sender = sender.clone();
        tasks.push(tokio::spawn(async move {
            demo::read(sender.send_request(request).await.unwrap()).await.unwrap()
        }));
    }
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.unwrap());
    }
    seen
}

/// Sends exactly these bytes over TLS and returns all that comes back until the edge closes, or for two seconds.
pub async fn raw(edge: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(edge, HOST, &[]).await;
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    // The edge may keep the connection open: what has come by then is the answer.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), reading).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// A TLS connection to the edge that takes any certificate.
pub async fn connect(edge: SocketAddr, name: &str, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
    let connector = TlsConnector::from(Arc::new(trusting(alpn)));
    let stream = TcpStream::connect(edge).await.unwrap();
    connector.connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await.unwrap()
}

fn request(method: Method, target: &str, fields: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let mut request = Request::builder().method(method).uri(target);
    if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", HOST);
    }
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Empty::new()).unwrap()
}
