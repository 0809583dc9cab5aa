//! A connection with its socket: drives [`Core`], and puts its requests to the pipeline.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, Response, StatusCode, response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};

use super::bell::Bell;
use super::core::{Core, Request};
use super::hit;
use super::hpack::{Blocks, Fields};
use super::send::Block;
use super::stream::{Broken, Source};
use super::{HEADER_LIST, LAST_WORDS, TICK};
use crate::interim::Interims;
use crate::live::Latest;
use crate::pipeline::tx::{Connection, Tracked};

/// Bytes that are read at once: what one TLS record holds.
const READ: usize = 16 << 10;
/// Bytes that are read before anything is written.
const TURN: usize = 4 * READ;
/// Slices of one write.
const SLICES: usize = 64;
/// Room of a worker's buffer that is kept when a turn has made it larger.
const KEPT: usize = 512 << 10;

/// Rings that are no stream's.
const STOP: u32 = 0;
const TIME: u32 = 2;

/// Serves the connection to its end, or politely closes it once `stop` says so.
pub(in crate::listen) async fn serve<S>(
    io: S,
    mut latest: Latest,
    connection: Arc<Connection>,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _counted = latest.edge().metrics.connection("h2");
    let mut session = Session {
        io,
        core: Core::new(),
        latest,
        connection,
        bell: Arc::default(),
        unflushed: false,
        draining: false,
    };
    let (stop_ring, time_ring) = (session.bell.ring(STOP), session.bell.ring(TIME));
    let ended = {
        let (mut stopped, mut time) = (pin!(stop.wait_for(|&stop| stop)), pin!(sleep(TICK)));
        stop_ring.wake_by_ref();
        time_ring.wake_by_ref();
        poll_fn(|cx| {
            session.bell.set_task(cx.waker());
            session.poll(cx, |session, whose| match whose {
                STOP if !session.draining => {
                    if stopped.as_mut().poll(&mut Context::from_waker(&stop_ring)).is_ready() {
                        session.draining = true;
                        session.core.announce();
                        time.as_mut().reset(Instant::now() + LAST_WORDS);
                        session.look(time.as_mut(), &time_ring);
                    }
                }
                STOP => {}
                _ => session.look(time.as_mut(), &time_ring),
            })
        })
        .await
    };
    let Session { mut io, mut core, .. } = session;
    // Their records are written now.
    core.abandon();
    match ended {
        Ok(()) => drop(io.shutdown().await),
        // Viewers come and go: of interest only to who looks for it.
        Err(error) => tracing::debug!(?error, "connection ended"),
    }
}

struct Session<S> {
    io: S,
    core: Core<Work>,
    latest: Latest,
    connection: Arc<Connection>,
    bell: Arc<Bell>,
    unflushed: bool,
    draining: bool,
}

/// What becomes of a request.
pub(super) enum Work {
    Hit(Box<hit::Body>),
    /// In the pipeline.
    Serving(Serving, Waker, Arc<Interims>),
    Body(Box<Tracked>, Waker),
    /// It has just been opened.
    Begun,
}

type Serving = Pin<Box<dyn Future<Output = Response<Tracked>> + Send>>;

/// What a worker's connections share, one after the other.
struct Scratch {
    read: Box<[u8]>,
    fields: Fields,
    blocks: Blocks,
    output: Vec<u8>,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl Scratch {
    fn take() -> Box<Self> {
        let new = || Self {
            read: vec![0; READ].into(),
            fields: Fields::new(HEADER_LIST),
            blocks: Blocks::new(),
            output: Vec::new(),
        };
        SCRATCH.take().unwrap_or_else(|| Box::new(new()))
    }

    fn put_back(self: Box<Self>) {
        SCRATCH.set(Some(self));
    }
}

/// How far a turn has come.
enum Read {
    /// Nothing more has come; the task is woken when it does.
    All,
    /// There may be more.
    Enough,
    End,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    fn poll(&mut self, cx: &mut Context<'_>, mut other: impl FnMut(&mut Self, u32)) -> Poll<io::Result<()>> {
        let mut scratch = Scratch::take();
        self.core.output.lend(std::mem::take(&mut scratch.output));
        let polled = self.turns(cx, &mut scratch, &mut other);
        if let Some(buffer) = self.core.output.reclaim().filter(|buffer| buffer.capacity() <= KEPT) {
            scratch.output = buffer;
        }
        scratch.put_back();
        polled
    }

    fn turns(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        other: &mut impl FnMut(&mut Self, u32),
    ) -> Poll<io::Result<()>> {
        loop {
            while let Some(whose) = self.bell.next() {
                if whose % 2 == 1 { self.advance(whose, &mut scratch.blocks) } else { other(self, whose) }
            }
            let read = self.read(cx, scratch)?;
            let is_reading = self.core.is_reading();
            let is_out = self.write(cx)?;
            if matches!(read, Read::End) || (self.core.is_over() && is_out) {
                return Poll::Ready(Ok(()));
            }
            let may_read = matches!(read, Read::Enough) || (!is_reading && self.core.is_reading());
            if !may_read {
                return Poll::Pending;
            }
        }
    }

    /// Reads what has come, and takes up what is asked.
    fn read(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> io::Result<Read> {
        let Scratch { read, fields, blocks, .. } = scratch;
        let mut total = 0;
        while self.core.is_reading() {
            let mut into = ReadBuf::new(read);
            let Poll::Ready(done) = Pin::new(&mut self.io).poll_read(cx, &mut into) else {
                return Ok(Read::All);
            };
            done?;
            let mut bytes = into.filled();
            if bytes.is_empty() {
                return Ok(Read::End);
            }
            total += bytes.len();
            while let Some(request) = self.core.receive(&mut bytes, fields) {
                self.take_up(&request, fields, blocks);
            }
            if total >= TURN {
                return Ok(Read::Enough);
            }
        }
        Ok(Read::All)
    }

    /// Writes what there is; whether all of it is out.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        loop {
            self.core.fill();
            if self.core.output.is_empty() {
                break;
            }
            while !self.core.output.is_empty() {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let filled = self.core.output.slices(&mut slices);
                let io = Pin::new(&mut self.io);
                let written = match &slices[..filled] {
                    [only] => io.poll_write(cx, only),
                    several => io.poll_write_vectored(cx, several),
                };
                let Poll::Ready(written) = written else { return Ok(false) };
                match written? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    written => self.core.wrote(written),
                }
                self.unflushed = true;
            }
        }
        if self.unflushed {
            let Poll::Ready(done) = Pin::new(&mut self.io).poll_flush(cx) else { return Ok(false) };
            done?;
            self.unflushed = false;
        }
        self.core.drained();
        Ok(true)
    }

    /// Time has passed, perhaps.
    fn look(&mut self, mut time: Pin<&mut Sleep>, ring: &Waker) {
        while time.as_mut().poll(&mut Context::from_waker(ring)).is_ready() {
            self.core.alarm();
            time.as_mut().reset(Instant::now() + TICK);
        }
    }

    fn take_up(&mut self, request: &Request, fields: &Fields, blocks: &mut Blocks) {
        let edge = self.latest.edge();
        if hit::answer(&mut self.core, edge, &self.connection, request, fields, blocks) {
            return;
        }
        let Ok(mut parts) = request.shape.head(fields).parts() else { return self.core.refuse(request) };
        let interims = Interims::new();
        parts.extensions.insert(Arc::clone(&interims));
        let waker = self.bell.ring(request.id);
        let upload = self.core.open(request, Work::Begun);
        let Some(stream) = self.core.streams.get_mut(request.id) else { return };
        stream.wake_for_uploads(waker.clone());
        let body = upload.map(|upload| upload.map_err(Into::into).boxed_unsync());
        let (edge, connection) = (Arc::clone(edge), Arc::clone(&self.connection));
        let serving = crate::pipeline::serve(edge, connection, parts, body);
        stream.work = Work::Serving(Box::pin(serving), waker, interims);
        self.advance(request.id, blocks);
    }

    /// A stream's work has something new.
    fn advance(&mut self, id: u32, blocks: &mut Blocks) {
        let Some(stream) = self.core.streams.get_mut(id) else { return };
        let Work::Serving(serving, waker, interims) = &mut stream.work else { return self.core.wake(id) };
        let mut cx = Context::from_waker(waker);
        let polled = serving.as_mut().poll(&mut cx);
        let waker = waker.clone();
        if interims.is_armed() {
            let told = interims.take(&cx);
            write_interims(&mut self.core, id, &told, blocks);
        }
        let Some(stream) = self.core.streams.get_mut(id) else { return };
        let Poll::Ready(response) = polled else { return };
        let (head, body) = response.into_parts();
        let length = (!body.is_end_stream()).then(|| body.size_hint().exact()).flatten();
        stream.work = Work::Body(Box::new(body), waker);
        self.core.respond(id, blocks, |block| {
            block.status(head.status.as_u16());
            write_fields(&head, length, block);
        });
    }
}

/// 1xx answers as HTTP/1.1 writes them, one after the other.
fn write_interims(core: &mut Core<Work>, id: u32, told: &[u8], blocks: &mut Blocks) {
    let mut rest = told;
    while let Some(end) = memmem::find(rest, b"\r\n\r\n") {
        let (head, behind) = rest.split_at(end + 4);
        rest = behind;
        let Some(first) = memmem::find(head, b"\r\n") else { return };
        let status = head.get("HTTP/1.1 ".len()..).and_then(|head| head.first_chunk::<3>());
        let Some(status) = status.and_then(|status| StatusCode::from_bytes(status).ok()) else { return };
        let mut block = core.begin(id, blocks);
        block.status(status.as_u16());
        block.lines(&head[first + 2..head.len() - 2]);
        block.end(false);
    }
}

/// An answer's fields. `length`: of its body, for want of a field that says it.
fn write_fields(head: &response::Parts, length: Option<u64>, block: &mut Block<'_>) {
    const OF_CONNECTIONS: [HeaderName; 5] = [
        CONNECTION,
        TRANSFER_ENCODING,
        UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    let has_length = !head.status.is_informational() && head.status != StatusCode::NO_CONTENT; // RFC 9110 §8.6
    for (name, value) in &head.headers {
        // RFC 9113 §8.2.2
        if !OF_CONNECTIONS.contains(name) && (has_length || name != CONTENT_LENGTH) {
            block.field(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if let Some(length) = length.filter(|_| has_length && !head.headers.contains_key(CONTENT_LENGTH)) {
        block.field(CONTENT_LENGTH.as_str().as_bytes(), length.to_string().as_bytes());
    }
}

impl Source for Work {
    fn poll_next(&mut self) -> Poll<Option<Result<Bytes, Broken>>> {
        let (body, waker) = match self {
            Self::Hit(hit) => return Poll::Ready(hit.next().map(Ok)),
            Self::Body(body, waker) => (body, waker),
            Self::Serving(..) | Self::Begun => return Poll::Pending,
        };
        let mut cx = Context::from_waker(waker);
        loop {
            let Poll::Ready(frame) = Pin::new(&mut **body).poll_frame(&mut cx) else { return Poll::Pending };
            match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                    // Trailers are left out (behaviour §4.5).
                    _ => {}
                },
                Some(Err(_)) => return Poll::Ready(Some(Err(Broken))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn is_end(&self) -> bool {
        match self {
            Self::Hit(hit) => hit.is_end(),
            Self::Body(body, _) => body.is_end_stream(),
            Self::Serving(..) | Self::Begun => false,
        }
    }

    fn left_behind(&mut self, octets: usize) {
        if let Self::Hit(hit) = self {
            hit.left_behind(octets);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::ETAG;

    use super::super::hpack::{Decoder, Name};
    use super::*;

    #[test]
    fn an_answer_that_has_no_body_says_nothing_of_its_length() {
        // RFC 9110 §8.6
        for (status, given, length, expected) in [
            (204, Some("0"), None, None),
            (204, Some("5"), None, None),
            (204, None, Some(0), None),
            (103, Some("0"), None, None),
            (200, Some("5"), None, Some("5")),
            (200, None, Some(5), Some("5")),
            (304, Some("5"), None, Some("5")),
        ] {
            let mut answer = Response::builder().status(status).header(ETAG, "\"1\"");
            if let Some(given) = given {
                answer = answer.header(CONTENT_LENGTH, given);
            }
            let (head, ()) = answer.body(()).unwrap().into_parts();
            let (mut core, mut blocks) = (Core::<Work>::new(), Blocks::new());
            let before = core.output.end().len();
            let mut block = core.begin(1, &mut blocks);
            block.status(status);
            write_fields(&head, length, &mut block);
            block.end(true);
            let mut fields = Fields::new(1_000);
            Decoder::new()
                .decode(&core.output.end()[before + super::super::frame::HEAD..], &mut fields)
                .unwrap();
            let mut all = (0..fields.len()).map(|index| fields.get(index));
            let told = all.find(|(name, ..)| *name == Name::CONTENT_LENGTH).map(|(_, _, value)| value);
            assert_eq!(told, expected.map(str::as_bytes), "{status} {given:?} {length:?}");
        }
    }
}
