//! Connections to one origin host: HTTP/1.1, kept alive for as long as the origin keeps them (s3 §2.15, behaviour §1.5).

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::error::OriginError;
use super::upload::Outgoing;
use crate::config::Endpoint;

/// S3 closes idle connections after 5–20 s; one second less than the least of it (s3 §2.15).
pub const IDLE: Duration = Duration::from_secs(4);
/// Idle connections kept per host.
const MAX_IDLE: usize = 256;
/// An origin's response head may be this large (behaviour §2.4); hyper needs room for the start of the body, too.
const MAX_HEAD: usize = 64 << 10;

/// Idle connections to one host, and how to make new ones.
pub struct Pool {
    host: Arc<str>,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    keep: Duration,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    sender: SendRequest<Outgoing>,
    since: Instant,
}

/// A connection that is ours until its answer has been read to the end.
pub struct Lease {
    pub sender: SendRequest<Outgoing>,
    /// It had carried a request before: it may have been closed in the meantime.
    pub reused: bool,
    /// What it took to make it; nothing for one that was idle.
    pub dial: Dial,
    pool: Arc<Pool>,
}

/// How long a connection took to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dial {
    pub dns: Duration,
    /// TCP and TLS.
    pub connect: Duration,
}

impl Pool {
    /// A pool for `endpoint` that keeps idle connections for `keep`. With TLS, `tls` verifies the server; it must not offer h2 (s3 §2.15).
    ///
    /// # Errors
    /// [`OriginError::Tls`] when the host is no name that a certificate could be verified for.
    pub fn new(
        endpoint: &Endpoint,
        tls: &Arc<ClientConfig>,
        keep: Duration,
    ) -> Result<Arc<Self>, OriginError> {
        let host = endpoint.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Self::under(endpoint, tls, &host, keep)
    }

    /// The same, and TLS is spoken with it under another `name`.
    ///
    /// # Errors
    /// [`OriginError::Tls`] when `name` is none that a certificate could be verified for.
    pub fn under(
        endpoint: &Endpoint,
        tls: &Arc<ClientConfig>,
        name: &str,
        keep: Duration,
    ) -> Result<Arc<Self>, OriginError> {
        let host = endpoint.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = if endpoint.tls {
            let name = ServerName::try_from(name.to_owned()).map_err(|_| OriginError::Tls)?;
            Some((TlsConnector::from(Arc::clone(tls)), name))
        } else {
            None
        };
        let port = endpoint.connect_port();
        Ok(Arc::new(Self { host: host.into(), port, tls, keep, idle: Mutex::default() }))
    }

    /// An idle connection that still seems open.
    #[must_use]
    pub fn idle(self: &Arc<Self>) -> Option<Lease> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(Idle { sender, since }) = idle.pop() {
            if since.elapsed() > self.keep {
                // The last one in is the youngest: the others are older still.
                idle.clear();
                return None;
            }
            if sender.is_ready() {
                return Some(Lease { sender, reused: true, dial: Dial::default(), pool: Arc::clone(self) });
            }
        }
        None
    }

    /// A new connection, within `timeout`: name, TCP and TLS together (behaviour §8.7).
    ///
    /// # Errors
    /// [`OriginError::Dns`], [`OriginError::ConnectRefused`], [`OriginError::ConnectTimeout`] or
    /// [`OriginError::Tls`].
    pub async fn connect(self: &Arc<Self>, timeout: Duration) -> Result<Lease, OriginError> {
        match tokio::time::timeout(timeout, self.dial()).await {
            Ok(Ok((sender, dial))) => Ok(Lease { sender, reused: false, dial, pool: Arc::clone(self) }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(OriginError::ConnectTimeout),
        }
    }

    async fn dial(&self) -> Result<(SendRequest<Outgoing>, Dial), OriginError> {
        let started = Instant::now();
        let mut addresses: Vec<_> =
            tokio::net::lookup_host((&*self.host, self.port)).await.map_err(|_| OriginError::Dns)?.collect();
        let dns = started.elapsed();
        // S3 rotates a large set of addresses: spread over them (s3 §2.15).
        fastrand::shuffle(&mut addresses);
        let stream = connect_any(&addresses).await?;
        // Small requests must not wait for the acknowledgement of the last; without it they are merely slower.
        let _ = stream.set_nodelay(true);
        let sender = match &self.tls {
            None => handshake(TokioIo::new(stream)).await?,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(|error| {
                    tracing::warn!(host = %self.host, %error, "TLS handshake with the origin failed");
                    OriginError::Tls
                })?;
                handshake(TokioIo::new(stream)).await?
            }
        };
        Ok((sender, Dial { dns, connect: started.elapsed().saturating_sub(dns) }))
    }

    fn give_back(&self, sender: SendRequest<Outgoing>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE && !sender.is_closed() {
            idle.push(Idle { sender, since: Instant::now() });
        }
    }
}

impl Lease {
    /// The answer has been read to its end: others may use the connection.
    pub fn give_back(self) {
        self.pool.give_back(self.sender);
    }
}

async fn connect_any(addresses: &[std::net::SocketAddr]) -> Result<TcpStream, OriginError> {
    let mut last = OriginError::Dns; // a name without addresses
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => last = OriginError::ConnectTimeout,
            Err(_) => last = OriginError::ConnectRefused,
        }
    }
    Err(last)
}

async fn handshake<T>(io: TokioIo<T>) -> Result<SendRequest<Outgoing>, OriginError>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(io)
        .await
        .map_err(|_| OriginError::ConnectionLost)?;
    tokio::spawn(async move {
        // Its end and its errors show at the sender or in the body.
        let _ = connection.await;
    });
    Ok(sender)
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("pool", &self.pool)
            .field("reused", &self.reused)
            .finish_non_exhaustive()
    }
}
