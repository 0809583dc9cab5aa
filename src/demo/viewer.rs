//! A small viewer: one request, one answer, over plain HTTP or TLS. For the demo's story and for tests.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::client::tls;

/// Whatever went wrong, in words.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An answer that has been read to its end.
#[derive(Debug, Clone)]
pub struct Seen {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    /// A header's value; empty when it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text, if it is text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }
}

/// Asks over plain HTTP on a connection of its own.
///
/// # Errors
/// Connection, protocol, or a body cut short.
pub async fn plain(address: SocketAddr, request: Request<Empty<Bytes>>) -> Result<Seen, Failure> {
    exchange(TcpStream::connect(address).await?, request).await
}

/// Asks over TLS with HTTP/1.1, whatever certificate the server shows: it is a self-signed one of our own process.
///
/// # Errors
/// Connection, handshake, protocol, or a body cut short.
pub async fn secure(
    address: SocketAddr,
    name: &str,
    request: Request<Empty<Bytes>>,
) -> Result<Seen, Failure> {
    let connector = tokio_rustls::TlsConnector::from(Arc::new(trusting(&[])));
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned())?;
    exchange(connector.connect(name, stream).await?, request).await
}

/// Asks over a connection that is there.
///
/// # Errors
/// Protocol, or a body cut short.
pub async fn exchange(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<Seen, Failure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    let driver = tokio::spawn(connection);
    let seen = read(sender.send_request(request).await?).await;
    driver.abort();
    seen
}

/// Reads an answer to its end.
///
/// # Errors
/// A body cut short.
pub async fn read(response: Response<hyper::body::Incoming>) -> Result<Seen, Failure> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Seen { status: parts.status.as_u16(), headers: parts.headers, body })
}

/// A TLS client that takes any certificate, for loopback only.
#[must_use]
pub fn trusting(alpn: &[&[u8]]) -> ClientConfig {
    let mut config = tls::trusting();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}
