//! One viewer's connection: TLS, the protocol that was agreed on, and a polite end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

use bytes::BytesMut;

use super::deadlines::Deadlines;
use super::gate::{GaveWay, Place};
use super::interim::Relaying;
use super::patience::Patient;
use super::rewound::Rewound;
use super::{Handshakes, h1, h2, proxy};
use crate::edge::Edge;
use crate::interim::Interims;
use crate::observe::metrics::Metrics;
use crate::pipeline::tx::{Connection, Secured, Tracked};

/// A handshake that takes longer is given up.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);
/// From the first byte of a request head to its last, and between two requests.
pub(super) const HEADER_READ: Duration = Duration::from_secs(30);
/// Read buffer of a connection: what is over 32,768 bytes must still be read to be answered with 494 (behaviour
/// §2.4). Beyond this hyper itself answers 431.
pub(super) const READ_BUFFER: usize = 128 << 10;
/// The same for HTTP/2's decoded header list.
pub(super) const HEADER_LIST: u32 = 64 << 10;
/// Requests at a time on one HTTP/2 connection.
pub(super) const STREAMS: u32 = 128;
/// A silent HTTP/2 connection is asked whether it still lives.
pub(super) const PING: Duration = Duration::from_secs(30);
/// Plaintext that rustls may hold: with 256 KiB a large body costs a third less than with its default of 64.
const TLS_BUFFER: usize = 256 << 10;

/// A write that makes no progress for this long ends the connection.
pub(super) const SEND: Duration = Duration::from_secs(60);
/// A connection without a request for this long, and for at most twice as long, is closed.
pub(super) const IDLE: Duration = Duration::from_secs(60);
/// What a connection that has been told to end may take for it, with no request in flight.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a connection comes in.
pub(super) enum Door {
    Plain,
    /// Its handshake has a place.
    Tls(Arc<Handshakes>, Place),
}

impl Door {
    /// Serves the connection to its end, or politely closes it once `stop` says so.
    pub(super) async fn serve(
        self,
        stream: TcpStream,
        viewer: SocketAddr,
        balancers: Arc<[IpNet]>,
        edge: Arc<Edge>,
        mut stop: watch::Receiver<bool>,
        deadlines: Arc<Deadlines>,
    ) {
        // Without it small answers are slower, not wrong.
        let _ = stream.set_nodelay(true);
        let mut stream = Patient::new(stream, SEND);
        let mut viewer = viewer;
        if !balancers.is_empty() {
            let told = tokio::select! {
                told = Box::pin(proxy::viewer(&mut stream, viewer, &balancers)) => told,
                _ = stop.wait_for(|&stop| stop) => return,
            };
            match told {
                Ok(told) => viewer = told,
                Err(refused) => {
                    edge.metrics.tls_handshake_error("proxy-header");
                    return proxy::tell(viewer, &refused);
                }
            }
        }
        match self {
            Self::Plain => Box::pin(http1(stream, edge, viewer, None, stop, deadlines)).await,
            Self::Tls(handshakes, place) => {
                // Each stage in a box of its own: an idle connection keeps no room for its handshake.
                let shaken = tokio::select! {
                    shaken = Box::pin(handshake(&handshakes, place, stream, &edge.metrics)) => shaken,
                    _ = stop.wait_for(|&stop| stop) => None,
                };
                let Some(mut stream) = shaken else { return };
                let (_, session) = stream.get_mut();
                session.set_buffer_limit(Some(TLS_BUFFER));
                let secured = Some(handshakes.settled(session));
                if session.alpn_protocol() == Some(b"h2") {
                    let connection = Connection::new(viewer, secured, None);
                    if edge.fast_path {
                        Box::pin(h2::serve(stream, edge, connection, stop)).await;
                    } else {
                        Box::pin(http2(stream, edge, connection, stop)).await;
                    }
                } else {
                    Box::pin(http1(stream, edge, viewer, secured, stop, deadlines)).await;
                }
            }
        }
    }
}

async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    handshakes: &Handshakes,
    place: Place,
    stream: S,
    metrics: &Metrics,
) -> Option<Box<tokio_rustls::server::TlsStream<S>>> {
    let reason = match tokio::time::timeout(HANDSHAKE, place.shake(handshakes.accept(stream))).await {
        Ok(Ok(Ok(stream))) => return Some(Box::new(stream)),
        Ok(Ok(Err(error))) if error.kind() == io::ErrorKind::UnexpectedEof => "closed",
        Ok(Ok(Err(error))) if error.kind() == io::ErrorKind::InvalidData => "protocol",
        Ok(Ok(Err(_))) => "io",
        Ok(Err(GaveWay)) => "gave-way",
        Err(_) => "timeout",
    };
    metrics.tls_handshake_error(reason);
    None
}

async fn http1(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    edge: Arc<Edge>,
    viewer: SocketAddr,
    secured: Option<Secured>,
    stop: watch::Receiver<bool>,
    deadlines: Arc<Deadlines>,
) {
    let _counted = edge.metrics.connection("http/1.1");
    let interims = Interims::new();
    let io = Relaying::new(io, Arc::clone(&interims));
    let connection = Connection::new(viewer, secured, Some(interims));
    let (io, read) = if edge.fast_path {
        match h1::serve(io, &edge, &connection, &deadlines.join()).await {
            Some(rest) => rest,
            None => return,
        }
    } else {
        (io, BytesMut::new())
    };
    Box::pin(hyper1(Rewound::new(io, read), edge, connection, stop)).await;
}

async fn hyper1(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    stop: watch::Receiver<bool>,
) {
    let service = service_fn(|request| {
        let response = answer(Arc::clone(&edge), Arc::clone(&connection), request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ)
        .max_buf_size(READ_BUFFER)
        .serve_connection(TokioIo::new(io), service);
    drive(pin!(serving), |serving| serving.graceful_shutdown(), &connection, stop).await;
}

async fn http2(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    stop: watch::Receiver<bool>,
) {
    let _counted = edge.metrics.connection("h2");
    let service = service_fn(|request| {
        let response = answer(Arc::clone(&edge), Arc::clone(&connection), request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_LIST)
        .keep_alive_interval(Some(PING))
        .keep_alive_timeout(PING)
        .serve_connection(TokioIo::new(io), service);
    drive(pin!(serving), |serving| serving.graceful_shutdown(), &connection, stop).await;
}

/// Puts a request to the pipeline.
fn answer(
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    request: Request<hyper::body::Incoming>,
) -> impl Future<Output = Response<Tracked>> {
    let (parts, body) = request.into_parts();
    // Seldom there, and then what it costs to box it does not matter.
    let body = (!body.is_end_stream()).then(|| body.map_err(Into::into).boxed_unsync());
    crate::pipeline::serve(edge, connection, parts, body)
}

/// Drives `serving` to its end. When `stop` says so, or nothing has been asked for long enough, `shut_down` makes it
/// end after the requests in flight; a peer that then has none and says nothing more is not waited for.
async fn drive<S, E>(
    mut serving: Pin<&mut S>,
    shut_down: impl FnOnce(Pin<&mut S>),
    connection: &Arc<Connection>,
    mut stop: watch::Receiver<bool>,
) where
    S: Future<Output = Result<(), E>>,
    E: std::fmt::Debug,
{
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        _ = stop.wait_for(|&stop| stop) => None,
        () = idle(connection, IDLE) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            shut_down(serving.as_mut());
            tokio::select! {
                ended = serving.as_mut() => ended,
                () = idle(connection, LAST_WORDS) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        // Viewers come and go: of interest only to who looks for it.
        tracing::debug!(?error, "connection ended");
    }
}

/// Waits until nothing has been asked, or is still being answered, for `period`.
pub(super) async fn idle(connection: &Arc<Connection>, period: Duration) {
    let mut seen = None;
    loop {
        let requests = connection.requests();
        if Connection::in_flight(connection) == 0 && seen == Some(requests) {
            return;
        }
        seen = (Connection::in_flight(connection) == 0).then_some(requests);
        tokio::time::sleep(period).await;
    }
}
