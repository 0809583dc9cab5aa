//! One viewer's QUIC connection: the handshake, its requests, and a polite end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use quinn::{ConnectionError, Incoming, StreamId, VarInt};
use tokio::sync::watch;
use tokio::time::timeout;

use super::frame::{self, Code, Fault};
use super::offer::Offer;
use super::{control, request};
use crate::edge::Edge;
use crate::listen::connection::{HANDSHAKE, HEADER_LIST, IDLE, LAST_WORDS, idle};
use crate::pipeline::tx::Connection;

/// Shakes hands and serves, to the connection's end or until `stop` says so. `shaking` is dropped when the handshake is
/// over.
pub(super) async fn serve(
    incoming: Incoming,
    offer: Offer,
    edge: Arc<Edge>,
    mut stop: watch::Receiver<bool>,
    shaking: impl Send,
) {
    let viewer = incoming.remote_address();
    let (config, noted) = offer.admit();
    let shaken = tokio::select! {
        shaken = handshake(incoming, config) => shaken,
        _ = stop.wait_for(|&stop| stop) => return,
    };
    drop(shaking);
    let quic = match shaken {
        Ok(quic) => quic,
        Err(reason) => return edge.metrics.tls_handshake_error(reason),
    };
    let connection = Connection::new(viewer, Some(offer.settled(&quic, &noted)), None);
    drop((offer, noted));
    let _counted = edge.metrics.connection("h3");
    drive(&edge, &quic, &connection, stop).await;
    // Its end is sent by another task of this runtime, which may be about to stop.
    tokio::task::yield_now().await;
}

/// Or the reason for the metric, in the words that TLS over TCP has.
async fn handshake(
    incoming: Incoming,
    config: Arc<quinn::ServerConfig>,
) -> Result<quinn::Connection, &'static str> {
    let accepted = match incoming.accept_with(config) {
        Ok(connecting) => timeout(HANDSHAKE, connecting).await.map_err(|_| "timeout")?,
        Err(error) => Err(error),
    };
    accepted.map_err(|error| match error {
        ConnectionError::TransportError(_) | ConnectionError::VersionMismatch => "protocol",
        ConnectionError::ConnectionClosed(_) | ConnectionError::ApplicationClosed(_) => "closed",
        ConnectionError::TimedOut => "timeout",
        _ => "io",
    })
}

/// Requests that a viewer may give up beyond those that it lets be answered (rapid reset, CVE-2023-44487).
const ABANDONED: usize = 256;

/// How a connection's requests end.
#[derive(Debug, Default)]
pub(super) struct Ends {
    abandoned: AtomicUsize,
}

impl Ends {
    pub(super) fn answered(&self) {
        let less = |abandoned: usize| abandoned.checked_sub(1);
        let _ = self.abandoned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Whether that was one too many.
    pub(super) fn abandoned(&self) -> bool {
        self.abandoned.fetch_add(1, Ordering::Relaxed) >= ABANDONED
    }
}

/// Accepts requests until there is a reason to end.
async fn drive(
    edge: &Arc<Edge>,
    quic: &quinn::Connection,
    connection: &Arc<Connection>,
    mut stop: watch::Receiver<bool>,
) {
    // A viewer must leave room for it (RFC 9114 §6.2).
    let Ok(Some(mut control)) = timeout(HANDSHAKE, open(quic)).await else {
        return quic.close(Code::ExcessiveLoad.into(), b"no room for a control stream");
    };
    let faulty = control::listen(quic);
    tokio::pin!(faulty);
    let ending = async {
        tokio::select! {
            _ = stop.wait_for(|&stop| stop) => {}
            () = idle(connection, IDLE) => {}
        }
    };
    tokio::pin!(ending);
    let ends = Arc::new(Ends::default());
    // From this stream on requests are not looked at.
    let mut next = 0;
    let (code, why) = loop {
        tokio::select! {
            accepted = quic.accept_bi() => {
                let Ok(stream) = accepted else { return };
                next = next.max(id(stream.0.id()) + 4);
                tokio::spawn(request::serve(
                    Arc::clone(edge),
                    Arc::clone(connection),
                    quic.clone(),
                    Arc::clone(&ends),
                    stream,
                ));
            }
            fault = &mut faulty => match fault {
                Fault::Connection(code, why) => break (code, why),
                _ => return,
            },
            () = &mut ending => {
                let told = timeout(LAST_WORDS, control.write_all(&frame::goaway(next))).await;
                if !matches!(told, Ok(Ok(()))) {
                    break (Code::NoError, "");
                }
                tokio::select! {
                    () = reject(quic, next) => return,
                    fault = &mut faulty => match fault {
                        Fault::Connection(code, why) => break (code, why),
                        _ => return,
                    },
                    () = idle(connection, LAST_WORDS) => break (Code::NoError, ""),
                }
            }
        }
    };
    quic.close(VarInt::from(code), why.as_bytes());
}

/// Our control stream, with what we take. Held to the end: its end would be the connection's (RFC 9114 §6.2.1).
async fn open(quic: &quinn::Connection) -> Option<quinn::SendStream> {
    let mut control = quic.open_uni().await.ok()?;
    // It goes before whatever else there is.
    let _ = control.set_priority(i32::MAX);
    control.write_all(&frame::opening(HEADER_LIST.into())).await.ok()?;
    Some(control)
}

/// After GOAWAY: a viewer may ask for it again elsewhere (RFC 9114 §4.1.1, §5.2). Streams come in the order of their
/// numbers, but for those on their way when it was sent. Comes back when the connection is gone.
async fn reject(quic: &quinn::Connection, from: u64) {
    while let Ok((mut send, mut recv)) = quic.accept_bi().await {
        debug_assert!(id(send.id()) >= from, "quinn gives streams in their order");
        let _ = send.reset(Code::RequestRejected.into());
        let _ = recv.stop(Code::RequestRejected.into());
    }
}

fn id(stream: StreamId) -> u64 {
    VarInt::from(stream).into_inner()
}
