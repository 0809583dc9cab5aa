//! A body that is arriving: one writer, many readers, each at a position of its own.
//!
//! ```text
//! Open(n bytes) ──▶ Complete          every byte that was promised has arrived
//!        └────────▶ Failed(why)       also when the writer is dropped: an unfinished body is never a whole one
//! ```
//!
//! The writer never waits for a reader as long as the body may be kept. A body that turns out to be larger than may
//! be kept becomes a *window*: what all readers have passed is let go, and the writer waits for the slowest. A reader
//! that makes the writer wait for [`PATIENCE`] in all while it takes less than [`WINDOW`] is cut off. So memory stays
//! bounded, and nobody is held below 100 KiB/s by another.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use slab::Slab;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::origin::error::OriginError;

/// Pieces of a stored body are merged up to this size.
pub const PIECE: usize = 1 << 20;
/// How much of a body that may not be kept is in memory at most, beside the last piece that arrived.
pub const WINDOW: u64 = 1 << 20;
/// How long, in all, the slowest reader may hold up the others for each [`WINDOW`] that it takes.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The readers' side; cheap to share.
#[derive(Debug)]
pub struct Filling {
    shared: Mutex<Shared>,
    /// A reader moved on, or left: there may be room in the window.
    moved: Notify,
    /// What the head announced.
    length: Option<u64>,
}

/// The one that appends. Dropping it unfinished fails the body.
#[derive(Debug)]
pub struct Writer {
    filling: Arc<Filling>,
    /// The time spent waiting for room since the window's base was at `mark`.
    waited: Duration,
    mark: u64,
}

#[derive(Debug)]
struct Shared {
    chunks: VecDeque<Chunk>,
    /// Bytes that have arrived.
    length: u64,
    end: End,
    window: bool,
    readers: Slab<Seat>,
}

#[derive(Debug)]
struct Chunk {
    start: u64,
    bytes: Bytes,
}

/// A reader's place: the next byte it wants, and how to wake it.
#[derive(Debug)]
struct Seat {
    position: u64,
    waker: Option<Waker>,
}

#[derive(Debug, Clone)]
enum End {
    Open,
    Complete,
    Failed(OriginError),
}

/// A body that will have `length` bytes, if that is known.
#[must_use]
pub fn begin(length: Option<u64>) -> (Writer, Arc<Filling>) {
    let shared =
        Shared { chunks: VecDeque::new(), length: 0, end: End::Open, window: false, readers: Slab::new() };
    let filling = Arc::new(Filling { shared: Mutex::new(shared), moved: Notify::new(), length });
    (Writer { filling: Arc::clone(&filling), waited: Duration::ZERO, mark: 0 }, filling)
}

impl Writer {
    /// Appends what has arrived and wakes who waits for it. Never blocks.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let mut shared = self.filling.lock();
        let start = shared.length;
        shared.length += bytes.len() as u64;
        shared.chunks.push_back(Chunk { start, bytes });
        let merge = !shared.window && shared.tail_bytes() >= PIECE;
        wake(shared);
        if merge {
            self.merge_tail();
        }
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.filling.lock().length
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From now on the body is not kept: see the module's words on windows.
    pub fn become_window(&mut self) {
        self.filling.lock().window = true;
    }

    /// Waits until the window has room. `false`: there has been no reader for [`PATIENCE`], nobody wants the rest.
    pub async fn room(&mut self) -> bool {
        loop {
            let filling = Arc::clone(&self.filling);
            let moved = filling.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let (base, wanted) = match self.filling.lock().trim() {
                Room::Free => return true,
                Room::Nobody { base } => (base, false),
                Room::Full { base } => (base, true),
            };
            if base >= self.mark + WINDOW {
                self.start_waiting_from(base);
            }
            let since = Instant::now();
            let in_time = tokio::time::timeout(PATIENCE - self.waited, moved).await.is_ok();
            self.waited = (self.waited + since.elapsed()).min(PATIENCE);
            if !in_time && !wanted {
                return false;
            }
            if !in_time {
                let base = self.filling.lock().cut_slowest();
                self.start_waiting_from(base);
            }
        }
    }

    fn start_waiting_from(&mut self, base: u64) {
        self.waited = Duration::ZERO;
        self.mark = base;
    }

    /// Every byte has arrived: the pieces to keep. Readers are told by [`Writer::complete`], after the object is
    /// where the next viewer looks for it.
    #[must_use]
    pub fn pieces(&mut self) -> Box<[Bytes]> {
        self.merge_tail();
        self.filling.lock().chunks.iter().map(|chunk| chunk.bytes.clone()).collect()
    }

    /// Copies the run of small chunks at the end into one. Only the writer changes the end of a body that is kept, so
    /// the copying itself needs no lock, and keeps no reader waiting.
    fn merge_tail(&mut self) {
        let run: Vec<Bytes> = {
            let shared = self.filling.lock();
            let first = shared.chunks.len() - shared.tail().count();
            shared.chunks.range(first..).map(|chunk| chunk.bytes.clone()).collect()
        };
        let mut merged = BytesMut::with_capacity(run.iter().map(Bytes::len).sum());
        for bytes in &run {
            merged.extend_from_slice(bytes);
        }
        if merged.is_empty() {
            return;
        }
        let mut shared = self.filling.lock();
        let first = shared.chunks.len() - run.len();
        let start = shared.chunks[first].start;
        shared.chunks.truncate(first);
        shared.chunks.push_back(Chunk { start, bytes: merged.freeze() });
    }

    /// The body is whole.
    pub fn complete(self) {
        self.end(End::Complete);
    }

    /// The body will never be whole.
    pub fn fail(self, error: OriginError) {
        self.end(End::Failed(error));
    }

    fn end(&self, end: End) {
        let mut shared = self.filling.lock();
        if matches!(shared.end, End::Open) {
            shared.end = end;
            wake(shared);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end(End::Failed(OriginError::Abandoned));
    }
}

impl Filling {
    /// What the head announced.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Bytes that have arrived.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.lock().length
    }

    /// Reads from byte `first` up to and including `last` (`None`: to the end). `None` when that part has been let go
    /// already.
    #[must_use]
    pub fn reader(self: &Arc<Self>, first: u64, last: Option<u64>) -> Option<Reader> {
        let mut shared = self.lock();
        if first < shared.base() {
            return None;
        }
        let seat = shared.readers.insert(Seat { position: first, waker: None });
        self.moved.notify_waiters();
        let end = last.map(|last| last + 1).or(self.length);
        Some(Reader { filling: Arc::clone(self), seat, position: first, end })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // No code that holds this lock can leave the state half changed.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Room {
    Free,
    Full {
        base: u64,
    },
    /// Nor does the first reader have to be there before the first byte.
    Nobody {
        base: u64,
    },
}

impl Shared {
    /// Offset of the first byte that is still here.
    fn base(&self) -> u64 {
        self.chunks.front().map_or(self.length, |chunk| chunk.start)
    }

    /// The run of small chunks at the end.
    fn tail(&self) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter().rev().take_while(|chunk| chunk.bytes.len() < PIECE)
    }

    fn tail_bytes(&self) -> usize {
        self.tail().map(|chunk| chunk.bytes.len()).sum()
    }

    /// Lets go of what every reader has passed. Those that were cut off do not count.
    fn trim(&mut self) -> Room {
        let base = self.base();
        let positions = self.readers.iter().map(|(_, seat)| seat.position);
        let Some(slowest) = positions.filter(|&position| position >= base).min() else {
            return Room::Nobody { base };
        };
        while self.chunks.front().is_some_and(|chunk| chunk.start + chunk.bytes.len() as u64 <= slowest) {
            self.chunks.pop_front();
        }
        let base = self.base();
        if self.length - base <= WINDOW { Room::Free } else { Room::Full { base } }
    }

    /// Lets go of the oldest bytes whoever still wants them; where what is left begins.
    fn cut_slowest(&mut self) -> u64 {
        while self.length - self.base() > WINDOW {
            self.chunks.pop_front();
        }
        self.base()
    }

    fn at(&self, position: u64) -> Option<Bytes> {
        let after = self.chunks.partition_point(|chunk| chunk.start <= position);
        let chunk = self.chunks.get(after.checked_sub(1)?)?;
        let offset = usize::try_from(position - chunk.start).ok()?;
        (offset < chunk.bytes.len()).then(|| chunk.bytes.slice(offset..))
    }
}

/// Wakes outside the lock, so that a reader does not run into it.
fn wake(mut shared: MutexGuard<'_, Shared>) {
    let wakers: Vec<Waker> = shared.readers.iter_mut().filter_map(|(_, seat)| seat.waker.take()).collect();
    drop(shared);
    for waker in wakers {
        waker.wake();
    }
}

/// One viewer's view of the body, as an HTTP body.
#[derive(Debug)]
pub struct Reader {
    filling: Arc<Filling>,
    seat: usize,
    position: u64,
    end: Option<u64>,
}

impl Reader {
    /// Comes back when anything has arrived, wherever.
    ///
    /// # Errors
    /// Nothing will.
    pub async fn begun(&self) -> Result<(), OriginError> {
        std::future::poll_fn(|cx| {
            let mut shared = self.filling.lock();
            match &shared.end {
                _ if shared.length > 0 => Poll::Ready(Ok(())),
                End::Complete => Poll::Ready(Ok(())),
                End::Failed(error) => Poll::Ready(Err(error.clone())),
                End::Open => {
                    shared.readers[self.seat].waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let this = self.get_mut();
        if this.is_end_stream() {
            return Poll::Ready(None);
        }
        let mut shared = this.filling.lock();
        if this.position < shared.base() {
            return Poll::Ready(Some(Err(OriginError::Abandoned))); // cut off: too slow for the window
        }
        if let Some(mut bytes) = shared.at(this.position) {
            if let Some(left) = this.end.map(|end| end - this.position) {
                bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            }
            this.position += bytes.len() as u64;
            shared.readers[this.seat].position = this.position;
            let window = shared.window;
            drop(shared);
            if window {
                this.filling.moved.notify_waiters();
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &shared.end {
            End::Complete if this.end.is_none() => Poll::Ready(None),
            End::Complete => Poll::Ready(Some(Err(OriginError::BodyCutShort))),
            End::Failed(error) => Poll::Ready(Some(Err(error.clone()))),
            End::Open => {
                shared.readers[this.seat].waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_some_and(|end| self.position >= end)
    }

    fn size_hint(&self) -> SizeHint {
        self.end.map_or_else(SizeHint::default, |end| SizeHint::with_exact(end.saturating_sub(self.position)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.filling.lock().readers.remove(self.seat);
        self.filling.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
