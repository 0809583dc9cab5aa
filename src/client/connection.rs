//! One connection, and how long it took to make.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, Uri, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Question, Site, Trouble};

/// Which HTTP is spoken over TLS. Without it HTTP/1.1 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/2 where the server has it.
    #[default]
    Any,
    Http1,
    Http2,
}

/// How servers are reached.
#[derive(Debug, Clone)]
pub struct Reach {
    tls: Arc<ClientConfig>,
    protocol: Protocol,
    /// For a connection, and for an answer from its question to its last byte.
    pub(super) patience: Duration,
}

/// What a connection is, and what it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    pub name: Duration,
    pub connect: Duration,
    /// `None`: plain HTTP.
    pub handshake: Option<Duration>,
    /// `HTTP/2`
    pub http: &'static str,
    /// `TLS 1.3`
    pub tls: Option<&'static str>,
}

impl Reach {
    /// `tls` says who is believed.
    #[must_use]
    pub fn new(mut tls: ClientConfig, protocol: Protocol, patience: Duration) -> Self {
        let alpn: &[&[u8]] = match protocol {
            Protocol::Any => &[b"h2", b"http/1.1"],
            Protocol::Http1 => &[b"http/1.1"],
            Protocol::Http2 => &[b"h2"],
        };
        tls.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        // A session that is resumed would make the second handshake another thing than the first.
        tls.resumption = rustls::client::Resumption::disabled();
        Self { tls: Arc::new(tls), protocol, patience }
    }

    /// A connection that is thrown away again.
    ///
    /// # Errors
    /// [`Trouble`]
    pub async fn dial(&self, site: &Site) -> Result<Dial, Trouble> {
        Ok(Connection::open(site, self).await?.dial)
    }
}

pub(super) struct Connection {
    sender: Sender,
    dial: Dial,
}

enum Sender {
    One(http1::SendRequest<Empty<Bytes>>),
    Two(http2::SendRequest<Empty<Bytes>>),
}

impl Connection {
    pub(super) async fn open(site: &Site, reach: &Reach) -> Result<Self, Trouble> {
        let opened = tokio::time::timeout(reach.patience, Self::open_at_leisure(site, reach)).await;
        opened.unwrap_or(Err(Trouble::Late(reach.patience.as_secs())))
    }

    async fn open_at_leisure(site: &Site, reach: &Reach) -> Result<Self, Trouble> {
        let started = Instant::now();
        let addresses = resolve(site).await?;
        let name = started.elapsed();
        let started = Instant::now();
        let stream = connect(&addresses).await?;
        let connect = started.elapsed();
        // It would only be slower without.
        let _ = stream.set_nodelay(true);
        let mut dial = Dial { name, connect, handshake: None, http: "HTTP/1.1", tls: None };
        if !site.secure {
            return Ok(Self { sender: one(stream).await?, dial });
        }
        let server = site.server_name().trim_start_matches('[').trim_end_matches(']').to_owned();
        let server = ServerName::try_from(server).map_err(|error| Trouble::Tls(error.to_string()))?;
        let started = Instant::now();
        let stream = TlsConnector::from(Arc::clone(&reach.tls)).connect(server, stream).await;
        let stream = stream.map_err(|error| Trouble::Tls(error.to_string()))?;
        dial.handshake = Some(started.elapsed());
        let session = stream.get_ref().1;
        dial.tls = session.protocol_version().map(|version| match version {
            rustls::ProtocolVersion::TLSv1_3 => "TLS 1.3",
            _ => "TLS 1.2",
        });
        let sender = if session.alpn_protocol() == Some(b"h2") {
            dial.http = "HTTP/2";
            two(stream).await?
        } else if reach.protocol == Protocol::Http2 {
            return Err(Trouble::NoHttp2);
        } else {
            one(stream).await?
        };
        Ok(Self { sender, dial })
    }

    pub(super) fn dial(&self) -> &Dial {
        &self.dial
    }

    pub(super) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::One(sender) => sender.is_closed(),
            Sender::Two(sender) => sender.is_closed(),
        }
    }

    /// Waits until the last exchange has left it.
    pub(super) async fn ready(&mut self) -> Result<(), Trouble> {
        match &mut self.sender {
            Sender::One(sender) => sender.ready().await,
            Sender::Two(sender) => sender.ready().await,
        }
        .map_err(lost)
    }

    pub(super) async fn send(
        &mut self,
        site: &Site,
        question: &Question,
    ) -> Result<Response<Incoming>, Trouble> {
        let target: PathAndQuery = question.target.parse().map_err(|_| Trouble::Target)?;
        let mut request = Request::new(Empty::new());
        *request.method_mut() = question.method.clone();
        request.headers_mut().clone_from(&question.headers);
        match &mut self.sender {
            Sender::One(sender) => {
                *request.uri_mut() = Uri::from(target);
                let host = site.authority.parse().map_err(|_| Trouble::Target)?;
                request.headers_mut().insert(header::HOST, host);
                sender.send_request(request).await
            }
            Sender::Two(sender) => {
                let uri = Uri::builder().scheme(Scheme::HTTPS).authority(&*site.authority);
                *request.uri_mut() = uri.path_and_query(target).build().map_err(|_| Trouble::Target)?;
                sender.send_request(request).await
            }
        }
        .map_err(lost)
    }
}

async fn resolve(site: &Site) -> Result<Vec<SocketAddr>, Trouble> {
    if let Some(address) = site.address {
        return Ok(vec![SocketAddr::new(address, site.port)]);
    }
    let found = tokio::net::lookup_host((&*site.host, site.port)).await;
    let found: Vec<_> = found.map_err(|_| Trouble::Name(site.host.clone()))?.collect();
    if found.is_empty() { Err(Trouble::Name(site.host.clone())) } else { Ok(found) }
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, Trouble> {
    let mut last = String::new();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(Trouble::Connect(last))
}

async fn one(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Sender, Trouble> {
    let (sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(lost)?;
    // Its end shows at the sender, and in the body.
    tokio::spawn(connection);
    Ok(Sender::One(sender))
}

async fn two(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Sender, Trouble> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    // As browsers have it: a small window would measure the way there and back.
    builder.initial_stream_window_size(6 << 20).initial_connection_window_size(15 << 20);
    let (sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(lost)?;
    tokio::spawn(connection);
    Ok(Sender::Two(sender))
}

pub(super) fn lost(error: hyper::Error) -> Trouble {
    use std::error::Error as _;
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    Trouble::Lost(format!("{error}{cause}"))
}
