//! One viewer's QUIC connection: the handshake, its requests, and a polite end.

use std::sync::Arc;

use quinn::{ConnectionError, Incoming, StreamId, VarInt, ZeroRttAccepted};
use tokio::sync::watch;
use tokio::time::timeout;

use super::frame::{self, Code, Fault};
use super::offer::{Noted, Offer};
use super::requests::Requests;
use super::{control, request, turns};
use crate::early::{Early, Shaking};
use crate::edge::Edge;
use crate::listen::connection::{HANDSHAKE, HEADER_LIST, IDLE, LAST_WORDS, idle};
use crate::listen::gate::{GaveWay, Place, Turns};
use crate::pipeline::tx::Connection;

/// Shakes hands and serves, to the connection's end or until `stop` says so. `shaking` is dropped when the handshake is
/// over, or a viewer who comes back may ask before it is.
pub(super) async fn serve(
    incoming: Incoming,
    offer: Offer,
    place: Place,
    edge: Arc<Edge>,
    mut stop: watch::Receiver<bool>,
    shaking: impl Send,
) {
    let viewer = incoming.remote_address();
    let (config, noted) = offer.admit();
    let shaken = tokio::select! {
        shaken = handshake(incoming, config, place, &noted) => shaken,
        _ = stop.wait_for(|&stop| stop) => return,
    };
    drop(shaking);
    let Shaken { quic, rest } = match shaken {
        Ok(shaken) => shaken,
        Err(reason) => return edge.metrics.tls_handshake_error(reason),
    };
    let connection = Connection::new(viewer, Some(offer.settled(&quic, &noted)), None);
    drop((offer, noted));
    let _counted = edge.metrics.connection("h3");
    match rest {
        None => drive(&edge, &quic, &connection, &Arc::default(), stop).await,
        Some(rest) => {
            let (shaking, early) = Early::new();
            let requests = Arc::new(Requests::new(Some(early)));
            let driven = drive(&edge, &quic, &connection, &requests, stop);
            tokio::join!(driven, finish(&edge, &quic, rest, shaking));
        }
    }
    // Its end is sent by another task of this runtime, which may be about to stop.
    tokio::task::yield_now().await;
}

struct Shaken {
    quic: quinn::Connection,
    /// The viewer has yet to finish, and may ask meanwhile.
    rest: Option<ZeroRttAccepted>,
}

/// Or the reason for the metric, in the words that TLS over TCP has.
async fn handshake(
    incoming: Incoming,
    config: Arc<quinn::ServerConfig>,
    place: Place,
    noted: &Noted,
) -> Result<Shaken, &'static str> {
    let turns = place.turns();
    let shaking = place.shake(shake(incoming, config, turns.clone(), noted));
    let shaken = timeout(HANDSHAKE, shaking).await;
    // Whatever became of it, its end is nothing to wait for.
    turns.end();
    match shaken {
        Ok(Ok(shaken)) => shaken.map_err(|error| match error {
            ConnectionError::TransportError(_) | ConnectionError::VersionMismatch => "protocol",
            ConnectionError::ConnectionClosed(_) | ConnectionError::ApplicationClosed(_) => "closed",
            ConnectionError::TimedOut => "timeout",
            _ => "io",
        }),
        Ok(Err(GaveWay)) => Err("gave-way"),
        Err(_) => Err("timeout"),
    }
}

async fn shake(
    incoming: Incoming,
    config: Arc<quinn::ServerConfig>,
    turns: Turns,
    noted: &Noted,
) -> Result<Shaken, ConnectionError> {
    let mut connecting = turns::taking(turns, || incoming.accept_with(config))?;
    if noted.may_be_early() {
        // The viewer's first message has been read.
        connecting.handshake_data().await?;
        if noted.is_resumed() {
            match connecting.into_0rtt() {
                Ok((quic, rest)) => return Ok(Shaken { quic, rest: Some(rest) }),
                Err(whole) => connecting = whole,
            }
        }
    }
    Ok(Shaken { quic: connecting.await?, rest: None })
}

/// Waits for the end of a handshake with a viewer who may be asking already.
async fn finish(edge: &Edge, quic: &quinn::Connection, rest: ZeroRttAccepted, shaking: Shaking) {
    let ended = timeout(HANDSHAKE, rest).await;
    if quic.close_reason().is_some() {
        // Nobody waits for it any more.
        drop(shaking);
    } else if ended.is_ok() {
        shaking.over();
    } else {
        edge.metrics.tls_handshake_error("timeout");
        quic.close(Code::NoError.into(), b"the handshake takes too long");
    }
}

/// Accepts requests until there is a reason to end.
async fn drive(
    edge: &Arc<Edge>,
    quic: &quinn::Connection,
    connection: &Arc<Connection>,
    requests: &Arc<Requests>,
    mut stop: watch::Receiver<bool>,
) {
    // A viewer must leave room for it (RFC 9114 §6.2).
    let Ok(Some(mut control)) = timeout(HANDSHAKE, open(quic)).await else {
        return quic.close(Code::ExcessiveLoad.into(), b"no room for a control stream");
    };
    let faulty = control::listen(quic, requests);
    tokio::pin!(faulty);
    let ending = async {
        tokio::select! {
            _ = stop.wait_for(|&stop| stop) => {}
            () = idle(connection, IDLE) => {}
        }
    };
    tokio::pin!(ending);
    let (code, why) = loop {
        tokio::select! {
            accepted = quic.accept_bi() => {
                let Ok(stream) = accepted else { return };
                requests.begun(id(stream.0.id()));
                tokio::spawn(request::serve(
                    Arc::clone(edge),
                    Arc::clone(connection),
                    quic.clone(),
                    Arc::clone(requests),
                    stream,
                ));
            }
            fault = &mut faulty => match fault {
                Fault::Connection(code, why) => break (code, why),
                _ => return,
            },
            () = &mut ending => {
                // From this stream on requests are not looked at.
                let next = requests.next();
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
