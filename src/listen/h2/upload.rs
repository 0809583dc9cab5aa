//! A request's body on its way from the connection to whoever reads it: no more of it at a time than its window holds.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The connection's side.
#[derive(Debug)]
pub(super) struct Sender(Arc<Mutex<Pipe>>);

/// The reader's side.
#[derive(Debug)]
pub(super) struct Upload(Arc<Mutex<Pipe>>);

/// The stream was reset, or its connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the viewer's stream broke off")]
pub(super) struct BrokeOff;

#[derive(Debug)]
struct Pipe {
    chunks: VecDeque<Bytes>,
    /// Octets in `chunks`.
    held: usize,
    /// Octets that have been read, and whose room the peer is yet to get back.
    consumed: usize,
    /// Octets to come, if the viewer has said how many.
    announced: Option<u64>,
    state: State,
    /// Nobody reads any more.
    abandoned: bool,
    reader: Option<Waker>,
    /// Of the connection: there is room to give back.
    writer: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Broken,
}

pub(super) fn pipe(announced: Option<u64>) -> (Sender, Upload) {
    let pipe = Arc::new(Mutex::new(Pipe {
        chunks: VecDeque::new(),
        held: 0,
        consumed: 0,
        announced,
        state: State::Open,
        abandoned: false,
        reader: None,
        writer: None,
    }));
    (Sender(Arc::clone(&pipe)), Upload(pipe))
}

fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sender {
    /// To be woken when there is room to give back.
    pub(super) fn set_waker(&self, waker: Waker) {
        lock(&self.0).writer = Some(waker);
    }

    pub(super) fn push(&self, data: &[u8]) {
        let mut pipe = lock(&self.0);
        if pipe.abandoned {
            pipe.consumed += data.len();
        } else {
            pipe.held += data.len();
            pipe.chunks.push_back(Bytes::copy_from_slice(data));
            wake(pipe, |pipe| &mut pipe.reader);
        }
    }

    pub(super) fn end(&self) {
        self.close(State::Ended);
    }

    /// Octets whose room is to be given back.
    pub(super) fn take_consumed(&self) -> usize {
        std::mem::take(&mut lock(&self.0).consumed)
    }

    /// Octets that will not be asked about again.
    fn outstanding(&self) -> usize {
        let mut pipe = lock(&self.0);
        pipe.writer = None;
        pipe.held + std::mem::take(&mut pipe.consumed)
    }

    /// The stream is gone: what has come whole may still be read. Octets whose room is to be given back.
    pub(super) fn detach(self) -> usize {
        self.outstanding()
    }

    fn close(&self, state: State) {
        let mut pipe = lock(&self.0);
        if pipe.state == State::Open {
            pipe.state = state;
            wake(pipe, |pipe| &mut pipe.reader);
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.close(State::Broken);
    }
}

/// Wakes after the lock is released.
fn wake(mut pipe: MutexGuard<'_, Pipe>, whom: impl FnOnce(&mut Pipe) -> &mut Option<Waker>) {
    let waker = whom(&mut pipe).take();
    drop(pipe);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let mut pipe = lock(&self.0);
        if let Some(chunk) = pipe.chunks.pop_front() {
            pipe.held -= chunk.len();
            pipe.consumed += chunk.len();
            pipe.announced = pipe.announced.map(|left| left.saturating_sub(chunk.len() as u64));
            if let Some(waker) = &pipe.writer {
                let waker = waker.clone();
                drop(pipe);
                waker.wake();
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match pipe.state {
            State::Open => {
                pipe.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            State::Ended => Poll::Ready(None),
            State::Broken => Poll::Ready(Some(Err(BrokeOff))),
        }
    }

    fn is_end_stream(&self) -> bool {
        let pipe = lock(&self.0);
        pipe.chunks.is_empty() && pipe.state == State::Ended
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).announced.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut pipe = lock(&self.0);
        pipe.abandoned = true;
        pipe.chunks.clear();
        pipe.consumed += std::mem::take(&mut pipe.held);
        wake(pipe, |pipe| &mut pipe.writer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(upload: &mut Upload) -> Poll<Option<Result<Bytes, BrokeOff>>> {
        let polled = Pin::new(upload).poll_frame(&mut Context::from_waker(Waker::noop()));
        polled.map(|frame| frame.map(|frame| frame.map(|frame| frame.into_data().unwrap())))
    }

    #[test]
    fn what_is_sent_is_read_and_its_room_given_back() {
        let (sender, mut upload) = pipe(Some(5));
        assert_eq!((poll(&mut upload), upload.size_hint().exact()), (Poll::Pending, Some(5)));
        sender.push(b"ab");
        sender.push(b"cde");
        assert_eq!(sender.take_consumed(), 0);
        assert_eq!(poll(&mut upload), Poll::Ready(Some(Ok(Bytes::from_static(b"ab")))));
        assert_eq!(
            (sender.take_consumed(), sender.take_consumed(), upload.size_hint().exact()),
            (2, 0, Some(3))
        );
        sender.end();
        assert_eq!(sender.detach(), 3);
        assert_eq!(poll(&mut upload), Poll::Ready(Some(Ok(Bytes::from_static(b"cde")))));
        assert_eq!((poll(&mut upload), upload.is_end_stream()), (Poll::Ready(None), true));
    }

    #[test]
    fn what_breaks_off_does_not_look_whole() {
        let (sender, mut upload) = pipe(None);
        sender.push(b"ab");
        drop(sender);
        assert_eq!(poll(&mut upload), Poll::Ready(Some(Ok(Bytes::from_static(b"ab")))));
        assert_eq!((poll(&mut upload), upload.is_end_stream()), (Poll::Ready(Some(Err(BrokeOff))), false));
    }

    #[test]
    fn what_nobody_reads_is_room_at_once() {
        let (sender, upload) = pipe(None);
        sender.push(b"ab");
        drop(upload);
        sender.push(b"c");
        assert_eq!(sender.take_consumed(), 3);
    }
}
