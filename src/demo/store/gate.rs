//! Gates that tests close to line requests up, and the response body, which knows one.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::watch;

/// Keeps a gate closed. Dropping the last guard lets everyone through.
#[derive(Debug)]
#[must_use = "the gate opens when the guard is dropped"]
pub struct HoldGuard(Arc<Gate>);

impl HoldGuard {
    /// Returns once at least `n` requests wait at this gate at the same time.
    pub async fn until_waiting(&self, n: usize) {
        // The sender lives in self.0, so the channel cannot close while we wait.
        let _ = self.0.waiting.subscribe().wait_for(|waiting| *waiting >= n).await;
    }
}

impl Drop for HoldGuard {
    fn drop(&mut self) {
        self.0.holders.send_modify(|holders| *holders -= 1);
    }
}

#[derive(Debug, Default)]
pub(super) struct Gate {
    holders: watch::Sender<usize>,
    waiting: watch::Sender<usize>,
    /// Of each body, the bytes that pass even so. Means nothing at the gate for requests.
    free: AtomicUsize,
}

impl Gate {
    /// Closes the gate; bodies that start from now on stop after `free` bytes.
    pub(super) fn close(self: &Arc<Self>, free: usize) -> HoldGuard {
        self.free.store(free, Ordering::Relaxed);
        self.holders.send_modify(|holders| *holders += 1);
        HoldGuard(Arc::clone(self))
    }

    /// Returns at once when open, else when the last guard goes.
    pub(super) async fn pass(&self) {
        let mut holders = self.holders.subscribe();
        if *holders.borrow_and_update() == 0 {
            return;
        }
        let _counted = Waiting::at(self);
        let _ = holders.wait_for(|holders| *holders == 0).await;
    }

    fn is_closed(&self) -> bool {
        *self.holders.borrow() > 0
    }
}

/// Counts one waiting request, also when its connection dies.
struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn at(gate: &'a Gate) -> Self {
        gate.waiting.send_modify(|waiting| *waiting += 1);
        Self(gate)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

/// Small enough that a test sees a large object arrive in pieces.
const CHUNK: usize = 64 * 1024;

/// A body in frames of at most 64 KiB. It states no length: where S3 sends `Content-Length` the header is set, where
/// S3 sends chunks (errors) it is not.
pub(super) struct Chunks {
    rest: Bytes,
    stop: Option<Stop>,
}

struct Stop {
    free: usize,
    pass: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Chunks {
    pub(super) fn new(rest: Bytes, gate: &Arc<Gate>) -> Self {
        let stop = gate.is_closed().then(|| {
            let gate = Arc::clone(gate);
            Stop { free: gate.free.load(Ordering::Relaxed), pass: Box::pin(async move { gate.pass().await }) }
        });
        Self { rest, stop }
    }
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        let mut len = this.rest.len().min(CHUNK);
        if let Some(stop) = &mut this.stop {
            if stop.free == 0 {
                std::task::ready!(stop.pass.as_mut().poll(cx));
                this.stop = None;
            } else {
                len = len.min(stop.free);
                stop.free -= len;
            }
        }
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(len)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn frames(mut body: Chunks) -> Vec<usize> {
        let mut lens = Vec::new();
        while let Some(frame) = body.frame().await {
            lens.push(frame.unwrap().into_data().unwrap().len());
        }
        lens
    }

    #[tokio::test]
    async fn bodies_come_in_frames_of_64_kib() {
        let gate = Arc::<Gate>::default();
        assert_eq!(frames(Chunks::new(vec![0; 150_000].into(), &gate)).await, [65_536, 65_536, 18_928]);
        assert!(frames(Chunks::new(Bytes::new(), &gate)).await.is_empty());
    }

    #[tokio::test]
    async fn the_last_guard_opens_the_gate() {
        let gate = Arc::<Gate>::default();
        let (one, two) = (gate.close(4), gate.close(4));
        let mut body = Chunks::new(Bytes::from_static(b"0123456789"), &gate);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "0123");
        drop(one);
        assert!(poll_once(&mut body).is_pending(), "one guard is left");
        drop(two);
        assert_eq!(frames(body).await, [6]);
    }

    fn poll_once(body: &mut Chunks) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        http_body::Body::poll_frame(Pin::new(body), &mut Context::from_waker(std::task::Waker::noop()))
    }
}
