//! One JSON object a line, with the field names of CloudFront's standard logs (behaviour §12.8, §12.9).
//!
//! Each thread writes its lines to a buffer of its own (`observe/shard.rs`), and one thread empties them all. So the lines
//! of one worker are in order, and those of several are near it. Writing a line never waits for the reader of the log:
//! when that cannot keep up, lines are dropped and counted.

mod line;
mod sheet;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;
use std::{fmt, mem};

pub use line::json_line;

use super::record::Record;
use super::shard::{self, SHARDS};
use crate::config::AccessLogTarget;
use sheet::{Lost, Sheet};

/// Bytes of lines that may wait for the writer, of all threads together: viewers choose how long a line is.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// How much of them a thread claims at a time.
const CLAIM: usize = 64 * 1024;
/// A piece takes no further line once it has these many bytes.
const PIECE: usize = 60 * 1024;
/// Buffers that the writer keeps for later.
const SPARE: usize = 32;
/// How long the writer lets lines gather. Waking it for each would cost a request more than the line itself does
/// (benches/README.md).
const GATHER: Duration = Duration::from_millis(10);
/// After these many times of finding nothing the writer sleeps until it is woken.
const IDLE_ROUNDS: u32 = 100;
/// How long `close` waits for a writer whose reader has stopped reading.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// The access log: a buffer for each thread, and a thread that empties them.
#[derive(Debug)]
pub struct AccessLog {
    pop: Arc<str>,
    /// `None`: the log is off.
    queue: Option<Queue>,
}

impl AccessLog {
    /// Opens `target`. `pop` is the value of `x-edge-location`.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, standard output has no descriptor left for it, or no thread can be
    /// started.
    pub fn open(target: &AccessLogTarget, pop: Arc<str>) -> io::Result<Self> {
        let queue = match target {
            AccessLogTarget::Off => None,
            // Not `io::stdout()`: that keeps the end of what it could not write, and calls it written.
            AccessLogTarget::Stdout => {
                Some(Queue::start(File::from(io::stdout().as_fd().try_clone_to_owned()?))?)
            }
            AccessLogTarget::File(path) => {
                Some(Queue::start(OpenOptions::new().create(true).append(true).open(path)?)?)
            }
        };
        Ok(Self { pop, queue })
    }

    /// Whether lines are wanted at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Leaves a line for the writer. Never waits for it.
    pub fn write(&self, record: &Record<'_>) {
        if let Some(queue) = &self.queue {
            queue.buffers.add(|out| json_line(record, &self.pop, out));
        }
    }

    /// Lines that are not whole in any log: too many waited, the write failed, or the log was closed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.buffers.dropped.load(Ordering::Relaxed))
    }

    /// Writes what waits and ends the writer; waits up to 5 s for it. Lines that come later are dropped.
    pub fn close(&self) {
        if let Some(queue) = &self.queue {
            queue.close();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.close();
    }
}

#[derive(Debug)]
struct Queue {
    buffers: Arc<Buffers>,
    writer: Mutex<Option<Writer>>,
}

#[derive(Debug)]
struct Writer {
    thread: JoinHandle<()>,
    /// Disconnected when the thread has ended: a `JoinHandle` cannot wait for a limited time.
    ended: Receiver<()>,
}

impl Queue {
    /// `out` must not buffer: what it has taken counts as written.
    fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (alive, ended) = channel();
        let buffers = Arc::new(Buffers::new());
        let thread = thread::Builder::new().name("access-log".into()).spawn({
            let buffers = Arc::clone(&buffers);
            move || empty(&buffers, out, alive)
        })?;
        buffers.sleeper.get_or_init(|| thread.thread().clone());
        Ok(Self { buffers, writer: Mutex::new(Some(Writer { thread, ended })) })
    }

    fn close(&self) {
        let Some(writer) = lock(&self.writer).take() else {
            return;
        };
        self.buffers.close();
        writer.thread.thread().unpark();
        if writer.ended.recv_timeout(CLOSE_WAIT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the access log's reader does not read; its last lines are lost");
        } else if writer.thread.join().is_err() {
            tracing::error!("the access log's writer panicked");
        }
    }
}

/// What the threads of requests and the writer share.
struct Buffers {
    shards: Box<[Buffer]>,
    /// Bytes of [`MAX_BYTES`] that are claimed for lines.
    claimed: AtomicUsize,
    dropped: AtomicU64,
    /// No line will follow.
    closed: AtomicBool,
    /// The writer sleeps, or is about to.
    asleep: AtomicBool,
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
struct Piece {
    bytes: Vec<u8>,
    lines: u64,
    /// Of the bytes that all may have; never fewer than `bytes`.
    claimed: usize,
}

impl Buffers {
    fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Buffer::default()).collect(),
            claimed: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
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
fn empty(buffers: &Buffers, out: impl Write, _alive: Sender<()>) {
    let mut sheet = Sheet::new(out);
    let (mut taken, mut spare) = (Vec::new(), Vec::new());
    let (mut failing, mut idle) = (false, 0);
    loop {
        let is_last = buffers.closed.load(Ordering::Acquire);
        buffers.take(&mut taken, &mut spare);
        idle = if taken.is_empty() { idle + 1 } else { 0 };
        for piece in taken.drain(..) {
            match sheet.write(&piece) {
                Ok(()) => failing = false,
                Err(Lost { lines, error }) => {
                    buffers.dropped.fetch_add(lines, Ordering::Relaxed);
                    // Once, not for every line while the disk is full.
                    if !failing {
                        tracing::warn!(%error, "cannot write to the access log");
                    }
                    failing = true;
                }
            }
            buffers.claimed.fetch_sub(piece.claimed, Ordering::Relaxed);
            keep(&mut spare, piece.bytes);
        }
        if is_last {
            return;
        }
        rest(buffers, idle);
    }
}

/// A buffer for later, unless it is out of the ordinary or there are enough.
fn keep(spare: &mut Vec<Vec<u8>>, mut bytes: Vec<u8>) {
    if bytes.capacity() <= 2 * CLAIM && spare.len() < SPARE {
        bytes.clear();
        spare.push(bytes);
    }
}

fn rest(buffers: &Buffers, idle: u32) {
    if idle < IDLE_ROUNDS {
        return thread::park_timeout(GATHER);
    }
    // It says so first, and looks afterwards: with the next round, and then for as long as nobody wakes it.
    if !buffers.asleep.swap(true, Ordering::Relaxed) {
        return;
    }
    thread::park();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
