//! HTTP/2 for viewers (RFC 9113), our own: for hits, what hyper does for any service cost more than all the rest.
//!
//! ```text
//!  session   the socket, requests to the pipeline, time             tokio
//!   core     octets → requests                                      nothing but memory
//!   send     answers → octets, in the order of RFC 9218
//!    frame, hpack/, request, stream, flow, priority, calm, linger   one rule each
//! ```
//!
//! A turn of a connection reads all that has come, answers what can be answered, and writes once.

mod bell;
mod calm;
mod core;
mod flow;
mod frame;
mod hit;
mod hpack;
mod linger;
mod output;
mod priority;
mod request;
mod send;
mod session;
mod stream;
#[cfg(test)]
mod tests;
mod upload;

use std::time::Duration;

pub(super) use session::serve;

/// Requests at a time on one connection.
const STREAMS: usize = 128;
/// Bytes of a decoded header list (RFC 9113 §6.5.2): what is over 32,768 must still be read to be answered with 494
/// (behaviour §2.4). Beyond this the answer is 431.
const HEADER_LIST: usize = 64 << 10;
/// Bytes of a header block as it comes.
const BLOCK: usize = 128 << 10;
/// CONTINUATION frames of a header block.
const CONTINUATIONS: usize = 16;
/// Bytes of a request's body that wait for whoever reads it.
const WINDOW: u32 = 256 << 10;
/// The same for all requests of a connection.
const WINDOW_OF_ALL: u32 = 1 << 20;
/// Bytes that are put out ahead of the socket: enough for one large write.
const OUTPUT: usize = 256 << 10;
/// Bytes of replies that the peer has not taken yet, before nothing more is read.
const REPLIES: usize = 16 << 10;
/// Priorities that are remembered for streams to come.
const EARLY: usize = 16;
/// Streams that we ended and the peer may not know of.
const FORGOTTEN: usize = 128;

/// How often it is looked whether anything moves.
const TICK: Duration = Duration::from_secs(30);
/// Ticks without a request, after which a connection is closed. The first may be over at once: these are 60 to 90 s.
const IDLE: u8 = 3;
/// Ticks after which something that does not move is given up: an answer that nobody takes, half a header block.
/// Likewise 60 to 90 s.
const STUCK: u8 = 3;
/// What a connection that has been told to end may take for it, with no request in flight.
const LAST_WORDS: Duration = Duration::from_secs(1);
