//! HTTP/1.1 for viewers (RFC 9112): requests without a body, one after the other, which is nearly all there is.
//!
//! A hit is read, answered and written in one turn: its head and body go out in one write, and nothing of the request is
//! copied. Everything else of this kind goes the long way through the pipeline ([`answer`]). What has a body, wants another
//! protocol or is malformed is handed to hyper, with all that has been read, for the rest of the connection.

mod answer;
mod head;

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice, Write as _};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::connection::{HEADER_READ, IDLE, READ_BUFFER};
use super::deadlines::Deadline;
use crate::edge::{Edge, Site};
use crate::live::Latest;
use crate::pipeline::hit::{self, Facts, HeadWriter, Hit};
use crate::pipeline::tx::Connection;
use crate::semantics::view::Received;
use head::Found;

/// Bytes that are read at a time.
const READ: usize = 4096;
/// Pieces of a body that one write takes at most.
const SLICES: usize = 8;

/// Serves a viewer to the end of the connection. What comes back is hyper's to go on with.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    latest: Latest,
    connection: &Arc<Connection>,
    deadline: &Deadline,
) -> Option<(S, BytesMut)> {
    let mut viewer = Viewer {
        stream,
        latest,
        connection,
        deadline,
        buffer: BytesMut::new(),
        sending: None,
        is_closing: false,
        looked: 0,
    };
    deadline.set(IDLE);
    loop {
        match poll_fn(|cx| viewer.poll_hits(cx)).await {
            Turn::LongWay => match Box::pin(answer::answer(&mut viewer)).await {
                answer::Outcome::Next => {}
                answer::Outcome::Last => break,
                answer::Outcome::Foreign => return Some((viewer.stream, viewer.buffer)),
                // Not a polite end: the viewer must not take what it has for the whole.
                answer::Outcome::Broken => return None,
            },
            Turn::Foreign => return Some((viewer.stream, viewer.buffer)),
            Turn::Over => break,
            Turn::Broken => return None,
        }
    }
    // Who does not wait for the end has had everything.
    let _ = viewer.stream.shutdown().await;
    None
}

/// One connection.
struct Viewer<'c, S> {
    stream: S,
    latest: Latest,
    connection: &'c Arc<Connection>,
    deadline: &'c Deadline,
    /// What has been read: a request, while it is being answered, and what came behind it.
    buffer: BytesMut,
    sending: Option<Sending>,
    /// The answer under way is the last.
    is_closing: bool,
    /// Bytes of the buffer in which no head has ended.
    looked: usize,
}

/// A hit that does not fit into the socket at once.
struct Sending {
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    site: Arc<Site>,
    facts: Facts,
    head: Vec<u8>,
    /// Bytes of head and body together that are written.
    written: u64,
    /// For the log.
    request: Bytes,
}

/// It is all sent, or the viewer is gone.
impl Drop for Sending {
    fn drop(&mut self) {
        let sent = self.written.saturating_sub(self.head.len() as u64);
        // It has been read before.
        let _ = head::read(&self.request, |received, _| {
            self.facts.ended(&self.edge, &self.site, &self.connection, received, sent);
        });
    }
}

/// Why there are no more hits for now.
enum Turn {
    /// A request stands at the beginning of the buffer that is no hit.
    LongWay,
    /// What stands there is for hyper.
    Foreign,
    /// No more requests will come.
    Over,
    Broken,
}

/// What became of a request that was looked at.
enum Tried {
    Sent,
    SomeLeft(Box<Left>),
    NoHit,
    Failed,
}

/// What is left to send.
struct Left {
    edge: Arc<Edge>,
    site: Arc<Site>,
    facts: Facts,
    head: Vec<u8>,
    written: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Viewer<'_, S> {
    fn poll_hits(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        loop {
            if self.sending.is_some() {
                if ready!(self.poll_rest(cx)).is_err() {
                    return Poll::Ready(Turn::Broken);
                }
                self.sending = None;
                self.expect_more();
            }
            if self.is_closing {
                return Poll::Ready(Turn::Over);
            }
            // Whoever sends a head byte by byte does not have it read from its beginning each time.
            if self.looked > 0 && self.buffer.len() < READ_BUFFER && !head::may_end(&self.buffer, self.looked)
            {
                self.looked = self.buffer.len();
                if let Some(turn) = ready!(self.poll_more(cx)) {
                    return Poll::Ready(turn);
                }
                continue;
            }
            let Self { stream, latest, connection, deadline, buffer, is_closing, .. } = self;
            let edge = latest.edge();
            let is_stopping = deadline.is_stopping();
            let found = head::read(buffer, |received, closes| {
                *is_closing = closes || is_stopping;
                let Some(hit) = hit::answer(edge, connection, received) else { return Tried::NoHit };
                send(Pin::new(&mut *stream), cx, (edge, connection), received, hit, *is_closing)
            });
            self.looked = 0;
            match found {
                Found::Whole { length, made, .. } => match made {
                    Tried::Sent => self.forget(length),
                    Tried::SomeLeft(left) => self.keep(*left, length),
                    Tried::NoHit => return Poll::Ready(Turn::LongWay),
                    Tried::Failed => return Poll::Ready(Turn::Broken),
                },
                Found::Foreign => return Poll::Ready(Turn::Foreign),
                // More than hyper would read: it has the answer for that.
                Found::Partial if self.buffer.len() >= READ_BUFFER => return Poll::Ready(Turn::Foreign),
                Found::Partial => {
                    self.looked = self.buffer.len();
                    if let Some(turn) = ready!(self.poll_more(cx)) {
                        return Poll::Ready(turn);
                    }
                }
            }
        }
    }

    /// Reads on. `Some`: there is nothing to come.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Option<Turn>> {
        let before = self.buffer.len();
        if before == 0 {
            self.buffer = take_spare();
        }
        self.buffer.reserve(READ);
        let read = pin!(self.stream.read_buf(&mut self.buffer)).poll(cx);
        match read {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Some(Turn::Over)),
            Poll::Ready(Ok(_)) => {
                if before == 0 {
                    self.deadline.set(HEADER_READ);
                }
                Poll::Ready(None)
            }
            Poll::Pending => {
                if before == 0 {
                    // Between requests a connection keeps nothing.
                    give_spare(std::mem::take(&mut self.buffer));
                }
                if self.deadline.is_over() || (before == 0 && self.deadline.is_stopping()) {
                    return Poll::Ready(Some(Turn::Over));
                }
                self.deadline.register(cx);
                Poll::Pending
            }
        }
    }

    /// The request at the beginning of the buffer has been answered.
    fn forget(&mut self, length: usize) {
        if length == self.buffer.len() {
            give_spare(std::mem::take(&mut self.buffer));
        } else {
            let _ = self.buffer.split_to(length);
        }
        self.expect_more();
    }

    /// The next request may take its time to begin, but not to end.
    fn expect_more(&self) {
        self.deadline.set(if self.buffer.is_empty() { IDLE } else { HEADER_READ });
    }

    /// The rest of an answer waits for the socket.
    fn keep(&mut self, left: Left, length: usize) {
        let Left { edge, site, facts, head, written } = left;
        let connection = Arc::clone(self.connection);
        let request = self.buffer.split_to(length).freeze();
        self.sending = Some(Sending { edge, connection, site, facts, head, written, request });
    }

    /// Goes on with it.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(Sending { facts, head, written, .. }) = &mut self.sending else {
            return Poll::Ready(Ok(()));
        };
        poll_send(Pin::new(&mut self.stream), cx, facts, head, written)
    }
}

/// Writes a hit, or as much of it as the socket takes.
fn send<S: AsyncWrite>(
    stream: Pin<&mut S>,
    cx: &mut Context<'_>,
    (edge, connection): (&Arc<Edge>, &Connection),
    received: &Received<'_>,
    mut hit: Hit<'_>,
    is_last: bool,
) -> Tried {
    let mut head = HEAD.take();
    head.clear();
    hit.tell(&mut Http1(&mut head));
    if is_last {
        head.extend_from_slice(b"connection: close\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let site = hit.site();
    let facts = hit.facts;
    let mut written = 0;
    let tried = match poll_send(stream, cx, &facts, &head, &mut written) {
        Poll::Ready(outcome) => {
            let sent = written.saturating_sub(head.len() as u64);
            facts.ended(edge, site, connection, received, sent);
            if outcome.is_ok() { Tried::Sent } else { Tried::Failed }
        }
        Poll::Pending => {
            let head = head.clone();
            let (edge, site) = (Arc::clone(edge), Arc::clone(site));
            Tried::SomeLeft(Box::new(Left { edge, site, facts, head, written }))
        }
    };
    HEAD.set(head);
    tried
}

thread_local! {
    /// Heads are written here.
    static HEAD: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// A buffer for whoever reads next.
    static SPARE: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

fn take_spare() -> BytesMut {
    SPARE.take().unwrap_or_else(|| BytesMut::with_capacity(READ))
}

/// Of the usual size only: nobody inherits the memory of a large request.
fn give_spare(mut buffer: BytesMut) {
    buffer.clear();
    if buffer.capacity() <= 2 * READ {
        SPARE.set(Some(buffer));
    }
}

/// Writes head and body from `written` on, to the last byte.
fn poll_send<S: AsyncWrite>(
    mut stream: Pin<&mut S>,
    cx: &mut Context<'_>,
    facts: &Facts,
    head: &[u8],
    written: &mut u64,
) -> Poll<io::Result<()>> {
    let whole = head.len() as u64 + facts.len();
    while *written < whole {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        let head_left =
            usize::try_from(*written).ok().and_then(|written| head.get(written..)).unwrap_or_default();
        if !head_left.is_empty() {
            slices[0] = IoSlice::new(head_left);
            count = 1;
        }
        let mut position = (*written).saturating_sub(head.len() as u64);
        while count < SLICES {
            let piece = facts.bytes(position);
            if piece.is_empty() {
                break;
            }
            slices[count] = IoSlice::new(piece);
            position += piece.len() as u64;
            count += 1;
        }
        match ready!(stream.as_mut().poll_write_vectored(cx, &slices[..count]))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            more => *written += more as u64,
        }
    }
    stream.poll_flush(cx)
}

/// A head as HTTP/1.1 writes it.
struct Http1<'b>(&'b mut Vec<u8>);

impl HeadWriter for Http1<'_> {
    fn status(&mut self, status: StatusCode) {
        match status {
            StatusCode::OK => self.0.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
            _ => {
                let reason = status.canonical_reason().unwrap_or_default();
                // A vector takes whatever is written.
                let _ = write!(self.0, "HTTP/1.1 {} {reason}\r\n", status.as_str());
            }
        }
    }

    fn lines(&mut self, lines: &[u8]) {
        self.0.extend_from_slice(lines);
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(b"\r\n");
    }
}
