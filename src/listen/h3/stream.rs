//! Both directions of a stream: frames as they come in, and an end that is never clean by accident.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use quinn::{ReadError, RecvStream, SendStream, VarInt, WriteError, Written};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::frame::{self, Code, Fault, kind};
use super::head;
use super::qpack::{self, Undecodable};
use super::requests::Requests;

/// What comes in on a stream. Nothing is lost if one of its futures is dropped and the same thing is asked for again.
#[derive(Debug)]
pub(super) struct Inbound {
    stream: RecvStream,
    /// Has come and is not looked at yet.
    ready: Bytes,
    /// Bytes that are still to be skipped.
    unwanted: u64,
    /// The beginning of what is taken as a whole.
    part: BytesMut,
    ended: bool,
}

impl Inbound {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, ready: Bytes::new(), unwanted: 0, part: BytesMut::new(), ended: false }
    }

    /// Type and length of the next frame; `None`: the stream has ended.
    pub(super) async fn frame(&mut self) -> Result<Option<(u64, u64)>, Fault> {
        while self.unwanted > 0 {
            self.unwanted -= self.some(self.unwanted).await?.len() as u64;
        }
        self.whole(|ready| frame::header(ready).map(|(kind, length, used)| ((kind, length), used))).await
    }

    pub(super) async fn varint(&mut self) -> Result<Option<u64>, Fault> {
        self.whole(frame::varint).await
    }

    /// What `read` makes of the next bytes, once enough of them are there.
    async fn whole<T>(&mut self, read: impl Fn(&[u8]) -> Option<(T, usize)>) -> Result<Option<T>, Fault> {
        loop {
            if let Some((value, used)) = read(&self.ready) {
                self.ready.advance(used);
                return Ok(Some(value));
            }
            let Some(more) = self.receive().await? else {
                return if self.ready.is_empty() { Ok(None) } else { Err(cut()) };
            };
            self.ready = if self.ready.is_empty() {
                more
            } else {
                let mut joined = BytesMut::from(&self.ready[..]);
                joined.extend_from_slice(&more);
                joined.freeze()
            };
        }
    }

    /// The next `length` bytes, which the caller has found to be few enough.
    pub(super) async fn take(&mut self, length: usize) -> Result<Bytes, Fault> {
        if self.part.is_empty() && self.ready.len() >= length {
            return Ok(self.ready.split_to(length));
        }
        while self.part.len() < length {
            let more = self.some((length - self.part.len()) as u64).await?;
            self.part.extend_from_slice(&more);
        }
        Ok(std::mem::take(&mut self.part).freeze())
    }

    /// At least one byte of the next `most`, which must be there.
    async fn some(&mut self, most: u64) -> Result<Bytes, Fault> {
        if self.ready.is_empty() {
            self.ready = self.receive().await?.ok_or_else(cut)?;
        }
        let length = usize::try_from(most).unwrap_or(usize::MAX).min(self.ready.len());
        Ok(self.ready.split_to(length))
    }

    /// The next frame is `length` bytes further on.
    pub(super) fn skip(&mut self, length: u64) {
        self.unwanted = length;
    }

    /// Reads what comes and forgets it, to the end.
    pub(super) async fn drain(&mut self) -> Result<(), Fault> {
        self.ready.clear();
        while self.receive().await?.is_some() {}
        Ok(())
    }

    /// The next bytes that are not empty.
    async fn receive(&mut self) -> Result<Option<Bytes>, Fault> {
        if self.ended {
            return Ok(None);
        }
        match self.stream.read_chunk(usize::MAX, true).await {
            Ok(Some(chunk)) => Ok(Some(chunk.bytes)),
            Ok(None) => {
                self.ended = true;
                Ok(None)
            }
            Err(error) => {
                self.ended = matches!(error, ReadError::Reset(_));
                Err(Fault::Gone)
            }
        }
    }

    /// No more is wanted.
    pub(super) fn stop(&mut self, code: Code) {
        if !self.ended {
            self.ended = true;
            // Closed already: then there is nothing to stop.
            let _ = self.stream.stop(code.into());
        }
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        // RFC 9114 §4.1: a request that is answered need not be read to its end.
        self.stop(Code::NoError);
    }
}

/// RFC 9114 §7.1
fn cut() -> Fault {
    Fault::Connection(Code::FrameError, "a stream ends within a frame")
}

/// What goes out on a request's stream: if it is not finished it is reset, for quinn would end it cleanly.
#[derive(Debug)]
pub(super) struct Outbound {
    stream: SendStream,
    id: u64,
    requests: Arc<Requests>,
    priority: i32,
    /// Bytes that have been written.
    written: usize,
    open: bool,
}

/// Fewer bytes than these are out before anybody changes their mind about them.
const SMALL: usize = 64 << 10;

impl Outbound {
    pub(super) fn new(stream: SendStream, requests: Arc<Requests>) -> Self {
        let id = VarInt::from(stream.id()).into_inner();
        Self { stream, id, requests, priority: 0, written: 0, open: true }
    }

    pub(super) fn requests(&self) -> &Arc<Requests> {
        &self.requests
    }

    /// Writes all of `chunks`, with at most `patience` between two steps.
    pub(super) async fn write(&mut self, mut chunks: &mut [Bytes], patience: Duration) -> Result<(), Fault> {
        while !chunks.is_empty() {
            let step = timeout(patience, self.step(chunks)).await;
            let written = step.map_err(|_| Fault::Stream(Code::RequestCancelled))?.map_err(lost)?;
            self.written += written.bytes;
            chunks = &mut chunks[written.chunks..];
        }
        Ok(())
    }

    /// Writes what there is room for, as urgently as the viewer has said last.
    async fn step(&mut self, chunks: &mut [Bytes]) -> Result<Written, WriteError> {
        loop {
            self.look_up_priority();
            let Self { stream, id, requests, priority, .. } = self;
            let priorities = &requests.priorities;
            let mut stood_back = false;
            let stepped = poll_fn(|cx| {
                if !stood_back && priorities.wake_higher(*priority) {
                    stood_back = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                // It may be that the viewer takes no more of it, or that there was no room just then.
                let gives_way = stood_back && priorities.has_higher(*priority);
                stood_back = false;
                let written = match gives_way {
                    true => poll_write_little(stream, chunks, cx),
                    false => pin!(stream.write_chunks(chunks)).poll(cx),
                };
                match written {
                    Poll::Ready(written) => Poll::Ready(Some(written)),
                    Poll::Pending => priorities.poll_other(cx, *id, *priority, true).map(|()| None),
                }
            });
            if let Some(written) = stepped.await {
                return written;
            }
        }
    }

    /// Takes up what the viewer has said while the request came, or before (RFC 9218 §7).
    fn look_up_priority(&mut self) {
        if let Some(priority) = self.requests.priorities.of(self.id) {
            self.set_priority(priority);
        }
    }

    /// That was all.
    pub(super) fn finish(&mut self) {
        self.open = false;
        // The viewer has stopped it: then there is nothing to end.
        let _ = self.stream.finish();
    }

    pub(super) fn reset(&mut self, code: Code) {
        if self.open {
            self.open = false;
            let _ = self.stream.reset(code.into());
        }
    }

    /// Waits until the viewer has everything, or does not want it any more.
    pub(super) fn settled(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let stopped = self.stream.stopped();
        async move { drop(stopped.await) }
    }

    /// The same, as urgently as the viewer says meanwhile.
    pub(super) async fn sent(&mut self) {
        let mut settled = pin!(self.settled());
        loop {
            let (priorities, is_small) = (&self.requests.priorities, self.written < SMALL);
            let changed = poll_fn(|cx| match settled.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(false),
                Poll::Pending if is_small => Poll::Pending,
                Poll::Pending => priorities.poll_other(cx, self.id, self.priority, false).map(|()| true),
            });
            if !changed.await {
                return;
            }
            self.look_up_priority();
        }
    }

    /// Streams of a higher one go first (RFC 9218 in quinn's terms).
    pub(super) fn set_priority(&mut self, priority: i32) {
        self.priority = priority;
        let _ = self.stream.set_priority(priority);
    }
}

/// The beginning of `chunks`, so that what is more urgent has its turn soon.
fn poll_write_little(
    stream: &mut SendStream,
    chunks: &mut [Bytes],
    cx: &mut Context<'_>,
) -> Poll<Result<Written, WriteError>> {
    const LITTLE: usize = 4 << 10;
    let empty = chunks.iter().take_while(|chunk| chunk.is_empty()).count();
    let Some(first) = chunks.get_mut(empty) else {
        return Poll::Ready(Ok(Written { bytes: 0, chunks: empty }));
    };
    let mut little = [first.slice(..first.len().min(LITTLE))];
    let Written { bytes, .. } = ready!(pin!(stream.write_chunks(&mut little)).poll(cx))?;
    first.advance(bytes);
    Poll::Ready(Ok(Written { bytes, chunks: empty + usize::from(first.is_empty()) }))
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.reset(Code::InternalError);
        self.requests.priorities.forget(self.id);
    }
}

fn lost(_: WriteError) -> Fault {
    Fault::Gone
}

/// A request's body, for the pipeline that reads it and for its stream's task, which keeps it longer: when it goes, the
/// viewer is asked to stop.
pub(super) type Shared = Arc<Mutex<Upload>>;

/// A request's body.
#[derive(Debug)]
pub(super) struct Upload {
    inbound: Inbound,
    at: At,
    /// Bytes so far, and as announced.
    taken: u64,
    announced: Option<u64>,
    /// Of a trailer section.
    limit: usize,
    fault: Option<Fault>,
}

/// Where an upload is.
#[derive(Debug)]
enum At {
    /// In a DATA frame, so many bytes before its end; before the first one, too.
    Data(u64),
    /// At the beginning of a trailer section of so many bytes.
    Trailers(u64),
    /// Behind the trailer section.
    Trailed,
}

impl Upload {
    /// A body of `announced` bytes; `limit`: those of its trailer section.
    pub(super) fn new(inbound: Inbound, announced: Option<u64>, limit: usize) -> Self {
        Self { inbound, at: At::Data(0), taken: 0, announced, limit, fault: None }
    }

    /// What went wrong with it when it was read as a [`Streaming`].
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Waits for the first byte or the end: is there anything? Nothing is lost if it is not waited for.
    pub(super) async fn begins(&mut self) -> Result<bool, Fault> {
        Ok(self.left().await? > 0)
    }

    /// No more is wanted.
    pub(super) fn stop(&mut self, code: Code) {
        self.inbound.stop(code);
    }

    /// Some bytes of it; `None` at its end.
    async fn bytes(&mut self) -> Result<Option<Bytes>, Fault> {
        let left = self.left().await?;
        if left == 0 {
            return Ok(None);
        }
        let bytes = self.inbound.some(left).await?;
        self.at = At::Data(left - bytes.len() as u64);
        self.taken += bytes.len() as u64;
        match self.announced {
            Some(announced) if self.taken > announced => Err(Fault::Stream(Code::MessageError)),
            _ => Ok(Some(bytes)),
        }
    }

    /// Bytes that are left of the DATA frame at hand, or of the next one; 0: that was the end.
    async fn left(&mut self) -> Result<u64, Fault> {
        loop {
            match self.at {
                At::Data(left @ 1..) => return Ok(left),
                At::Trailers(length) => self.trailers(length).await?,
                At::Data(0) | At::Trailed => match (&self.at, self.inbound.frame().await?) {
                    (_, None) => return self.end().map(|()| 0),
                    (At::Data(_), Some((kind::DATA, length))) => self.at = At::Data(length),
                    (At::Data(_), Some((kind::HEADERS, length))) => self.at = At::Trailers(length),
                    // After trailers, too, nothing but unknown frames (RFC 9114 §4.1).
                    (_, Some((other, length))) => skip(&mut self.inbound, other, length)?,
                },
            }
        }
    }

    /// RFC 9114 §4.1.2: as many bytes as were announced.
    fn end(&mut self) -> Result<(), Fault> {
        match self.announced {
            Some(announced) if self.taken != announced => Err(Fault::Stream(Code::MessageError)),
            _ => Ok(()),
        }
    }

    /// Reads them and leaves them out.
    async fn trailers(&mut self, length: u64) -> Result<(), Fault> {
        let section = section(&mut self.inbound, length, self.limit).await?;
        let section = section.ok_or(Fault::Stream(Code::ExcessiveLoad))?;
        qpack::decode(&section, self.limit, head::trailer).map_err(|why| match why {
            Undecodable::Section => undecodable(),
            Undecodable::TooLarge => Fault::Stream(Code::ExcessiveLoad),
            Undecodable::Field(_) => Fault::Stream(Code::MessageError),
        })?;
        self.at = At::Trailed;
        Ok(())
    }
}

/// A frame of a request's stream that is neither DATA nor HEADERS, or not where it may be.
pub(super) fn skip(inbound: &mut Inbound, frame: u64, length: u64) -> Result<(), Fault> {
    if frame::is_skipped(frame) {
        inbound.skip(length);
        return Ok(());
    }
    Err(Fault::Connection(Code::FrameUnexpected, "a frame that may not be on a request's stream"))
}

/// A HEADERS frame's payload. `None`: it is longer than its fields may be.
pub(super) async fn section(
    inbound: &mut Inbound,
    length: u64,
    limit: usize,
) -> Result<Option<Bytes>, Fault> {
    match usize::try_from(length).ok().filter(|length| *length <= limit) {
        Some(length) => inbound.take(length).await.map(Some),
        None => Ok(None),
    }
}

pub(super) fn undecodable() -> Fault {
    Fault::Connection(Code::QpackDecompressionFailed, "a field section that cannot be decoded")
}

/// The body, as the pipeline takes it.
pub(super) struct Streaming(State);

/// The upload, for the next time, and what it has given.
type Read = (Shared, Result<Option<Bytes>, Fault>);

enum State {
    Idle(Shared),
    Reading(Pin<Box<dyn Future<Output = Read> + Send>>),
    Ended,
}

/// The body broke off.
#[derive(Debug, thiserror::Error)]
#[error("the viewer's body broke off")]
pub(super) struct BrokeOff;

impl Streaming {
    pub(super) fn new(upload: Shared) -> Self {
        Self(State::Idle(upload))
    }
}

impl Body for Streaming {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        loop {
            match std::mem::replace(&mut self.0, State::Ended) {
                State::Idle(upload) => self.0 = State::Reading(Box::pin(read(upload))),
                State::Reading(mut reading) => {
                    let polled = reading.as_mut().poll(cx);
                    if polled.is_pending() {
                        self.0 = State::Reading(reading);
                    }
                    let (upload, read) = ready!(polled);
                    return Poll::Ready(match read {
                        Ok(Some(bytes)) => {
                            self.0 = State::Idle(upload);
                            Some(Ok(Frame::data(bytes)))
                        }
                        Ok(None) => None,
                        Err(_) => Some(Err(BrokeOff)),
                    });
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, State::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        let State::Idle(upload) = &self.0 else { return SizeHint::default() };
        // Nobody has it at hand while it is not read.
        match upload.try_lock().as_deref() {
            Ok(Upload { announced: Some(announced), taken, .. }) => {
                SizeHint::with_exact(announced.saturating_sub(*taken))
            }
            _ => SizeHint::default(),
        }
    }
}

async fn read(upload: Shared) -> Read {
    let mut held = upload.lock().await;
    let read = held.bytes().await;
    held.fault = read.as_ref().err().copied();
    drop(held);
    (upload, read)
}
