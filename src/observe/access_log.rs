//! One JSON object a line, with the field names of CloudFront's standard logs (behaviour §12.8, §12.9).
//!
//! Writing a line never holds up a request: when the reader of the log cannot keep up, lines are dropped and
//! counted.

mod line;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use line::json_line;

use super::record::Record;
use crate::config::AccessLogTarget;

/// Lines that may wait for the writer.
const QUEUE_LINES: usize = 8192;
/// Their bytes: viewers choose how long a line is.
const QUEUE_BYTES: usize = 32 * 1024 * 1024;
/// Bytes that one write takes at most, and one line.
const BATCH_BYTES: usize = 64 * 1024;
/// How long the writer rests once the queue is empty. Waking it for each line would cost a request more than the line
/// itself does (benches/README.md).
const GATHER: Duration = Duration::from_millis(10);
/// How long `close` waits for a writer whose reader has stopped reading.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// The access log: a queue, and a thread that empties it.
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
    /// When the file cannot be opened for appending, or no thread can be started.
    pub fn open(target: &AccessLogTarget, pop: Arc<str>) -> io::Result<Self> {
        let queue = match target {
            AccessLogTarget::Off => None,
            AccessLogTarget::Stdout => Some(Queue::start(io::stdout())?),
            AccessLogTarget::File(path) => {
                Some(Queue::start(OpenOptions::new().create(true).append(true).open(path)?)?)
            }
        };
        Ok(Self { pop, queue })
    }

    /// Hands a line to the writer. Never blocks.
    pub fn write(&self, record: &Record<'_>) {
        if let Some(queue) = &self.queue {
            let mut line = Vec::with_capacity(1536);
            json_line(record, &self.pop, &mut line);
            queue.offer(line);
        }
    }

    /// Lines that are in no log: the queue was full, the write failed, or the log was closed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.counts.dropped.load(Ordering::Relaxed))
    }

    /// Writes what is queued and ends the writer; waits up to 5 s for it. Lines that come later are dropped.
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
    /// Taken on close, which tells the writer that no line will follow.
    lines: RwLock<Option<SyncSender<Vec<u8>>>>,
    counts: Arc<Counts>,
    writer: Mutex<Option<Writer>>,
}

#[derive(Debug, Default)]
struct Counts {
    queued_bytes: AtomicUsize,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Writer {
    thread: JoinHandle<()>,
    /// Disconnected when the thread has ended: a `JoinHandle` cannot wait for a limited time.
    ended: Receiver<()>,
}

impl Queue {
    fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, queued) = sync_channel(QUEUE_LINES);
        let (alive, ended) = channel();
        let counts = Arc::new(Counts::default());
        let thread = thread::Builder::new().name("access-log".into()).spawn({
            let counts = Arc::clone(&counts);
            move || empty(&queued, out, &counts, alive)
        })?;
        let writer = Mutex::new(Some(Writer { thread, ended }));
        Ok(Self { lines: RwLock::new(Some(lines)), counts, writer })
    }

    fn offer(&self, line: Vec<u8>) {
        let size = line.len();
        let queued = self.counts.queued_bytes.fetch_add(size, Ordering::Relaxed);
        if queued.saturating_add(size) > QUEUE_BYTES || !self.send(line) {
            self.counts.queued_bytes.fetch_sub(size, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn send(&self, line: Vec<u8>) -> bool {
        // Only `close` locks for writing, and after it there is no one to send to.
        let Ok(lines) = self.lines.try_read() else {
            return false;
        };
        lines.as_ref().is_some_and(|lines| lines.try_send(line).is_ok())
    }

    fn close(&self) {
        drop(self.lines.write().unwrap_or_else(PoisonError::into_inner).take());
        let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        if writer.ended.recv_timeout(CLOSE_WAIT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the access log's reader does not read; its last lines are lost");
        } else if writer.thread.join().is_err() {
            tracing::error!("the access log's writer panicked");
        }
    }
}

/// The writer thread: as many lines a write as are there, until the queue is closed and empty. `_alive` is
/// dropped at the very end.
fn empty(queued: &Receiver<Vec<u8>>, mut out: impl Write, counts: &Counts, _alive: Sender<()>) {
    let mut batch = Vec::with_capacity(BATCH_BYTES);
    let mut failing = false;
    while let Ok(line) = queued.recv() {
        batch.clear();
        let mut lines = 0;
        let mut next = Some(line);
        while let Some(line) = next {
            counts.queued_bytes.fetch_sub(line.len(), Ordering::Relaxed);
            batch.extend_from_slice(&line);
            batch.push(b'\n');
            lines += 1;
            next = if batch.len() < BATCH_BYTES { queued.try_recv().ok() } else { None };
        }
        match out.write_all(&batch).and_then(|()| out.flush()) {
            Ok(()) => failing = false,
            Err(error) => {
                counts.dropped.fetch_add(lines, Ordering::Relaxed);
                // Once, not for every line while the disk is full.
                if !failing {
                    tracing::warn!(%error, "cannot write to the access log");
                }
                failing = true;
            }
        }
        if batch.len() < BATCH_BYTES {
            thread::sleep(GATHER);
        }
    }
}
