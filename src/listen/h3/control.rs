//! A viewer's unidirectional streams (RFC 9114 §6.2, RFC 9204 §4.2).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::task::JoinSet;

use super::frame::{self, Code, Fault, kind, stream};
use super::requests::Requests;
use super::stream::Inbound;

/// A SETTINGS frame of more bytes is not read.
const SETTINGS: u64 = 4096;
/// Nor a PRIORITY_UPDATE frame.
const PRIORITY: u64 = 1024;

/// Takes what the viewer says beside its requests, for as long as it says nothing wrong.
pub(super) async fn listen(quic: &quinn::Connection, requests: &Arc<Requests>) -> Fault {
    let seen = Arc::new(AtomicU8::new(0));
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            accepted = quic.accept_uni() => match accepted {
                Ok(stream) => drop(streams.spawn(take(stream, Arc::clone(&seen), Arc::clone(requests)))),
                Err(_) => return Fault::Gone,
            },
            Some(ended) = streams.join_next() => match ended {
                Ok(Err(fault @ Fault::Connection(..))) => return fault,
                Ok(_) => {}
                Err(_) => return Fault::Connection(Code::InternalError, ""),
            },
        }
    }
}

/// `seen`: bit by bit, which streams there have been of those that may be there once.
async fn take(stream: quinn::RecvStream, seen: Arc<AtomicU8>, requests: Arc<Requests>) -> Result<(), Fault> {
    let mut inbound = Inbound::new(stream);
    // One that ends before its type is known may do so (RFC 9114 §6.2).
    let Some(kind) = inbound.varint().await? else { return Ok(()) };
    if kind == stream::PUSH {
        return Err(Fault::Connection(Code::StreamCreationError, "only a server pushes"));
    }
    if kind > stream::QPACK_DECODER {
        inbound.stop(Code::StreamCreationError);
        return Ok(());
    }
    let bit = 1 << kind;
    if seen.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return Err(Fault::Connection(Code::StreamCreationError, "a second stream of its kind"));
    }
    let ended = match kind {
        stream::CONTROL => control(&mut inbound, &requests).await,
        stream::QPACK_ENCODER => encoder(&mut inbound).await,
        // It can only say which fields it has not read, and we keep nothing for it.
        _ => inbound.drain().await,
    };
    match ended {
        Ok(()) | Err(Fault::Gone | Fault::Stream(_)) => {
            Err(Fault::Connection(Code::ClosedCriticalStream, "a stream has ended that never may"))
        }
        fault => fault,
    }
}

async fn control(inbound: &mut Inbound, requests: &Requests) -> Result<(), Fault> {
    match inbound.frame().await? {
        Some((kind::SETTINGS, length)) if length <= SETTINGS => {
            let payload = inbound.take(length as usize).await?;
            frame::settings(&payload)?;
        }
        Some((kind::SETTINGS, _)) => return Err(Fault::Connection(Code::ExcessiveLoad, "too many settings")),
        Some(_) => return Err(Fault::Connection(Code::MissingSettings, "no SETTINGS frame first")),
        None => return Ok(()),
    }
    while let Some((frame, length)) = inbound.frame().await? {
        match frame {
            // We push nothing: neither how much we may, nor where the viewer stops taking it, matters.
            kind::MAX_PUSH_ID | kind::GOAWAY => inbound.skip(length),
            kind::PRIORITY_UPDATE if length > PRIORITY => {
                return Err(Fault::Connection(Code::ExcessiveLoad, "a priority that is too long"));
            }
            kind::PRIORITY_UPDATE => {
                let payload = inbound.take(length as usize).await?;
                let cut = Fault::Connection(Code::FrameError, "a cut PRIORITY_UPDATE frame");
                let (stream, used) = frame::varint(&payload).ok_or(cut)?;
                requests.reprioritize(stream, &payload[used..])?;
            }
            kind::PRIORITY_UPDATE_PUSH => {
                return Err(Fault::Connection(Code::IdError, "a priority for what is no push"));
            }
            kind::CANCEL_PUSH => return Err(Fault::Connection(Code::IdError, "there is no push to cancel")),
            kind::DATA | kind::HEADERS | kind::SETTINGS | kind::PUSH_PROMISE => return Err(unexpected()),
            frame if frame::is_of_http_2(frame) => return Err(unexpected()),
            _ => inbound.skip(length),
        }
    }
    Ok(())
}

fn unexpected() -> Fault {
    Fault::Connection(Code::FrameUnexpected, "a frame that may not be on the control stream")
}

/// The dynamic table has no room, so that all it may say is that (RFC 9204 §3.2.3, §4.3.1).
async fn encoder(inbound: &mut Inbound) -> Result<(), Fault> {
    const CAPACITY_0: u64 = 0x20;
    // An instruction is one byte here, as an integer of QUIC below 64 is.
    while let Some(instruction) = inbound.varint().await? {
        if instruction != CAPACITY_0 {
            return Err(Fault::Connection(Code::QpackEncoderStreamError, "there is no dynamic table"));
        }
    }
    Ok(())
}
