//! A viewer that comes by HTTP/3, by an implementation that is not ours; and one that says what no library would.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use edgeseal::demo::viewer::{Seen, trusting};
use h3::client::{RequestStream, SendRequest};
use h3::error::{ConnectionError, StreamError};
use h3_quinn::{BidiStream, OpenStreams};
use http::{Method, Request};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint};
use tokio::task::JoinHandle;

use super::viewer::HOST;

/// One HTTP/3 connection.
pub struct Viewer {
    pub endpoint: Endpoint,
    pub quic: Connection,
    sender: SendRequest<OpenStreams, Bytes>,
    /// Ends when the connection does.
    pub driver: JoinHandle<ConnectionError>,
}

/// A request's stream.
pub type Stream = RequestStream<BidiStream<Bytes>, Bytes>;

/// A QUIC connection that offers h3 and takes any certificate.
pub async fn connect(edge: SocketAddr, name: &str) -> Result<(Endpoint, Connection), quinn::ConnectionError> {
    let mut endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let crypto = QuicClientConfig::try_from(trusting(&[b"h3"])).unwrap();
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(crypto)));
    let connection = endpoint.connect(edge, name).unwrap().await?;
    Ok((endpoint, connection))
}

impl Viewer {
    pub async fn connect(edge: SocketAddr) -> Self {
        let (endpoint, quic) = connect(edge, HOST).await.unwrap();
        Self::of(endpoint, quic).await
    }

    pub async fn of(endpoint: Endpoint, quic: Connection) -> Self {
        let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(quic.clone())).await.unwrap();
        let driver = tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
        Self { endpoint, quic, sender, driver }
    }

    pub async fn get(&self, target: &str) -> Seen {
        self.ask(Method::GET, target, &[]).await
    }

    /// A request without a body, and the whole answer.
    pub async fn ask(&self, method: Method, target: &str, fields: &[(&str, &str)]) -> Seen {
        let stream = self.begin(method, target, fields).await.unwrap();
        read(stream).await.unwrap()
    }

    /// A request without a body.
    pub async fn begin(
        &self,
        method: Method,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Result<Stream, StreamError> {
        let mut stream = self.open(method, target, fields).await?;
        stream.finish().await?;
        Ok(stream)
    }

    /// A request whose body is still to be sent. `target`: a path, or whole.
    pub async fn open(
        &self,
        method: Method,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Result<Stream, StreamError> {
        let uri = if target.starts_with('/') { format!("https://{HOST}{target}") } else { target.to_owned() };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        self.sender.clone().send_request(request.body(()).unwrap()).await
    }
}

/// The answer to its end.
pub async fn read(mut stream: Stream) -> Result<Seen, StreamError> {
    let response = stream.recv_response().await?;
    let mut body = BytesMut::new();
    while let Some(mut data) = stream.recv_data().await? {
        body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    Ok(Seen { status: response.status().as_u16(), headers: response.headers().clone(), body: body.freeze() })
}

/// A HEADERS frame with these fields, all of them in full.
pub fn headers_frame(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    let mut text = |pattern: u8, full: usize, text: &str| {
        match text.len() {
            short if short < full => section.push(pattern | short as u8),
            long => {
                section.push(pattern | full as u8);
                let mut rest = long - full;
                while rest >= 128 {
                    section.push(rest as u8 | 128);
                    rest >>= 7;
                }
                section.push(rest as u8);
            }
        }
        section.extend_from_slice(text.as_bytes());
    };
    for (name, value) in fields {
        text(0b0010_0000, 7, name);
        text(0, 127, value);
    }
    frame(1, &section)
}

/// Any frame; its length in four bytes.
pub fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend_from_slice(&(payload.len() as u32 | 0x8000_0000).to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}
