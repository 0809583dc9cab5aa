//! Lines on their way from the threads of requests to one writer: a buffer for each thread, and a thread that empties them.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};
use std::{fmt, mem};

use crate::observe::shard::{self, SHARDS};

/// Bytes of lines that may wait for the writer, of all threads together: viewers choose how long a line is.
pub(super) const MAX_BYTES: usize = 32 * 1024 * 1024;
/// How much of them a thread claims at a time.
const CLAIM: usize = 64 * 1024;
/// A piece takes no further line once it has these many bytes.
const PIECE: usize = 60 * 1024;
/// Buffers that the writer keeps for later.
const SPARE: usize = 32;
/// How long the writer lets lines gather. Waking it for each would cost a request more than the line itself does
/// (benches/README.md).
pub(super) const GATHER: Duration = Duration::from_millis(10);
/// After these many times of finding nothing the writer sleeps until it is woken.
const IDLE_ROUNDS: u32 = 100;
/// How long `close` waits for a writer whose reader has stopped reading.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// A failing log says so again after this long.
const WARN_AGAIN: Duration = Duration::from_secs(60);

/// Where lines end up.
pub(super) trait Sink: Send + 'static {
    /// Writes `piece`, as far as it can.
    ///
    /// # Errors
    /// [`Lost`]: the rest of `piece` will not be written.
    fn write(&mut self, piece: &Piece) -> Result<(), Lost>;

    /// What there is to do beside writing; how long until there may be more of it. `None`: only after a line.
    fn tend(&mut self) -> Option<Duration> {
        None
    }

    /// No line will follow.
    fn close(&mut self) {}
}

/// So many lines did not get out whole, and why.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) lines: u64,
    pub(super) error: io::Error,
}

#[derive(Debug)]
pub(super) struct Queue {
    name: &'static str,
    pub(super) buffers: Arc<Buffers>,
    writer: Mutex<Option<Writer>>,
}

#[derive(Debug)]
struct Writer {
    thread: JoinHandle<()>,
    /// Disconnected when the thread has ended: a `JoinHandle` cannot wait for a limited time.
    ended: Receiver<()>,
}

impl Queue {
    #[cfg(test)]
    pub(super) fn start(name: &'static str, sink: impl Sink) -> io::Result<Self> {
        Self::start_after(None, name, sink)
    }

    /// `name`: the thread's. What is dropped counts together with what `before`, in whose place it comes, has dropped.
    pub(super) fn start_after(
        before: Option<&Self>,
        name: &'static str,
        sink: impl Sink,
    ) -> io::Result<Self> {
        let (alive, ended) = channel();
        let dropped = before.map(|before| Arc::clone(&before.buffers.dropped));
        let buffers = Arc::new(Buffers::new(dropped.unwrap_or_default()));
        let thread = thread::Builder::new().name(name.into()).spawn({
            let buffers = Arc::clone(&buffers);
            move || empty(name, &buffers, sink, alive)
        })?;
        buffers.sleeper.get_or_init(|| thread.thread().clone());
        Ok(Self { name, buffers, writer: Mutex::new(Some(Writer { thread, ended })) })
    }

    /// Leaves what `write` appends for the writer, as a line. Never waits for it.
    pub(super) fn add(&self, write: impl FnOnce(&mut Vec<u8>)) {
        self.buffers.add(write);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.buffers.dropped.load(Ordering::Relaxed)
    }

    /// Lets the writer finish; waits up to [`CLOSE_WAIT`] for it.
    pub(super) fn close(&self) {
        let Some(writer) = lock(&self.writer).take() else {
            return;
        };
        self.buffers.close();
        writer.thread.thread().unpark();
        if writer.ended.recv_timeout(CLOSE_WAIT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(log = self.name, "nobody takes the log's lines; its last ones are lost");
        } else if writer.thread.join().is_err() {
            tracing::error!(log = self.name, "the log's writer panicked");
        }
    }
}

/// Ends when its last log is gone: a reload may have handed it on.
impl Drop for Queue {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the threads of requests and the writer share.
pub(super) struct Buffers {
    shards: Box<[Buffer]>,
    /// Bytes of [`MAX_BYTES`] that are claimed for lines.
    claimed: AtomicUsize,
    dropped: Arc<AtomicU64>,
    /// No line will follow.
    closed: AtomicBool,
    /// The writer sleeps, or is about to.
    pub(super) asleep: AtomicBool,
    sleeper: OnceLock<Thread>,
}

/// Aligned so that no two threads' share a cache line, nor the neighbour that is fetched along with it.
#[repr(align(128))]
#[derive(Default)]
struct Buffer(Mutex<Lines>);

/// One thread's lines that nobody has fetched yet.
#[derive(Default)]
struct Lines {
    closed: bool,
    full: Vec<Piece>,
    open: Piece,
}

/// Lines for one write.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
    /// Of the bytes that all may have; never fewer than `bytes`.
    claimed: usize,
}

impl Buffers {
    fn new(dropped: Arc<AtomicU64>) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Buffer::default()).collect(),
            claimed: AtomicUsize::new(0),
            dropped,
            closed: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            sleeper: OnceLock::new(),
        }
    }

    /// Adds the line that `write` appends to the buffer of the calling thread, which is its own but for a moment every
    /// [`GATHER`].
    fn add(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let added = self.append(&mut lock(&self.shards[shard::mine().index()].0), write);
        if !added {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // The writer looks for lines once more after it has said this, under the locks: either it sees this line, or
        // this thread sees that it must be woken.
        if self.asleep.load(Ordering::Relaxed)
            && self.asleep.swap(false, Ordering::Relaxed)
            && let Some(sleeper) = self.sleeper.get()
        {
            sleeper.unpark();
        }
    }

    fn append(&self, lines: &mut Lines, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        if lines.closed {
            return false;
        }
        let piece = &mut lines.open;
        if piece.bytes.capacity() == 0 {
            piece.bytes.reserve_exact(CLAIM);
        }
        let start = piece.bytes.len();
        write(&mut piece.bytes);
        piece.bytes.push(b'\n');
        let missing = piece.bytes.len().saturating_sub(piece.claimed);
        if missing > 0 {
            let Some(more) = self.claim(missing) else {
                piece.bytes.truncate(start);
                // A long line has made it large.
                piece.bytes.shrink_to(start.max(CLAIM));
                return false;
            };
            piece.claimed += more;
        }
        piece.lines += 1;
        if piece.bytes.len() >= PIECE {
            lines.full.push(mem::take(piece));
        }
        true
    }

    /// At least `bytes`, if there are as many.
    fn claim(&self, bytes: usize) -> Option<usize> {
        let bytes = bytes.max(CLAIM);
        let before = self.claimed.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > MAX_BYTES {
            self.claimed.fetch_sub(bytes, Ordering::Relaxed);
            return None;
        }
        Some(bytes)
    }

    /// Moves all lines to `taken`, those of one thread in their order, and leaves buffers out of `spare` instead.
    fn take(&self, taken: &mut Vec<Piece>, spare: &mut Vec<Vec<u8>>) {
        for shard in &self.shards {
            let mut lines = lock(&shard.0);
            taken.append(&mut lines.full);
            if lines.open.lines > 0 {
                let bytes = spare.pop().unwrap_or_default();
                taken.push(mem::replace(&mut lines.open, Piece { bytes, ..Piece::default() }));
            }
        }
    }

    fn close(&self) {
        for shard in &self.shards {
            lock(&shard.0).closed = true;
        }
        self.closed.store(true, Ordering::Release);
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").field("claimed", &self.claimed).finish_non_exhaustive()
    }
}

/// The writer thread: what has gathered, time after time, until the log is closed and nothing is left. `_alive` is dropped
/// at the very end.
fn empty(name: &'static str, buffers: &Buffers, mut sink: impl Sink, _alive: Sender<()>) {
    let (mut taken, mut spare) = (Vec::new(), Vec::new());
    let (mut idle, mut warned) = (0, None);
    loop {
        let is_last = buffers.closed.load(Ordering::Acquire);
        buffers.take(&mut taken, &mut spare);
        idle = if taken.is_empty() { idle + 1 } else { 0 };
        for piece in taken.drain(..) {
            if let Err(Lost { lines, error }) = sink.write(&piece) {
                buffers.dropped.fetch_add(lines, Ordering::Relaxed);
                // Not for every line while the disk is full.
                if warned.is_none_or(|at: Instant| at.elapsed() > WARN_AGAIN) {
                    tracing::warn!(log = name, %error, "cannot write to the log");
                    warned = Some(Instant::now());
                }
            }
            buffers.claimed.fetch_sub(piece.claimed, Ordering::Relaxed);
            keep(&mut spare, piece.bytes);
        }
        if is_last {
            return sink.close();
        }
        let next = sink.tend();
        rest(buffers, idle, next);
    }
}

/// A buffer for later, unless it is out of the ordinary or there are enough.
fn keep(spare: &mut Vec<Vec<u8>>, mut bytes: Vec<u8>) {
    if bytes.capacity() <= 2 * CLAIM && spare.len() < SPARE {
        bytes.clear();
        spare.push(bytes);
    }
}

/// `next`: when there may be something to do all the same.
fn rest(buffers: &Buffers, idle: u32, next: Option<Duration>) {
    if idle < IDLE_ROUNDS {
        return thread::park_timeout(GATHER);
    }
    // It says so first, and looks afterwards: with the next round, and then for as long as nobody wakes it.
    if !buffers.asleep.swap(true, Ordering::Relaxed) {
        return;
    }
    match next {
        Some(next) => thread::park_timeout(next),
        None => thread::park(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
