//! 1xx answers on their way from an origin to the viewer who waits for the final one (RFC 9110 §15.2).
//!
//! hyper's server sends final answers only. So they are written beside it, onto the connection of an HTTP/1.1 viewer, and
//! only between a request and the first byte of its answer: [`Interims`] is armed by the request, holds what has come, and
//! is disarmed by the first byte that hyper itself writes.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};

/// Bytes that wait for a viewer at most; what is more is dropped.
const MOST: usize = 32 << 10;

/// Those of one connection.
#[derive(Debug, Default)]
pub struct Interims {
    /// Everything that has been written is out: nothing of an earlier answer can come behind us.
    clean: AtomicBool,
    armed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts the requests that have armed it.
    request: u64,
    waiting: BytesMut,
    /// Of the connection's task.
    waker: Option<Waker>,
}

/// Where one request's are told.
#[derive(Debug, Clone)]
pub struct Sink {
    interims: Arc<Interims>,
    request: u64,
}

impl Interims {
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { clean: AtomicBool::new(true), ..Self::default() })
    }

    /// From now on until the first byte of its answer, this request's are sent. `None`: not safely.
    #[must_use]
    pub fn arm(self: &Arc<Self>) -> Option<Sink> {
        if !self.clean.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = self.lock();
        state.request += 1;
        state.waiting.clear();
        self.armed.store(true, Ordering::Release);
        Some(Sink { interims: Arc::clone(self), request: state.request })
    }

    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Acquire)
    }

    /// What is to be written; the task is woken when there is more.
    pub fn take(&self, cx: &Context<'_>) -> Bytes {
        let mut state = self.lock();
        state.waker = Some(cx.waker().clone());
        state.waiting.split().freeze()
    }

    /// The answer begins.
    pub fn disarm(&self) {
        let mut state = self.lock();
        self.armed.store(false, Ordering::Release);
        state.waiting.clear();
        state.waker = None;
    }

    /// Whether there is nothing of an answer that is not out yet.
    pub fn set_clean(&self, clean: bool) {
        self.clean.store(clean, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// An origin has answered so for the time being; `headers` are those that may travel. 100 is between it and the edge;
    /// 101 does not occur.
    pub fn tell(&self, status: StatusCode, headers: &HeaderMap) {
        if !(102..=199).contains(&status.as_u16()) {
            return;
        }
        let bytes = encoded(status, headers);
        let mut state = self.interims.lock();
        let late = state.request != self.request || !self.interims.is_armed();
        if late || state.waiting.len() + bytes.len() > MOST {
            return;
        }
        state.waiting.extend_from_slice(&bytes);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn encoded(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut line = String::new();
    let _ =
        write!(line, "HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let mut bytes = line.into_bytes();
    // RFC 9110 §8.6
    for (name, value) in headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH) {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use http::HeaderValue;

    use super::*;

    fn taken(interims: &Interims) -> String {
        String::from_utf8(interims.take(&Context::from_waker(Waker::noop())).to_vec()).unwrap()
    }

    fn hints() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("link", HeaderValue::from_static("</a.css>; rel=preload"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0")); // says nothing (RFC 9110 §8.6)
        headers
    }

    #[test]
    fn they_are_sent_between_a_request_and_its_answer() {
        let interims = Interims::new();
        let sink = interims.arm().unwrap();
        sink.tell(StatusCode::EARLY_HINTS, &hints());
        sink.tell(StatusCode::CONTINUE, &HeaderMap::new());
        sink.tell(StatusCode::PROCESSING, &HeaderMap::new());
        let expected =
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
        assert_eq!(taken(&interims), expected);
        interims.disarm();
        sink.tell(StatusCode::EARLY_HINTS, &hints());
        assert_eq!(taken(&interims), "", "the answer has begun");
    }

    #[test]
    fn an_earlier_request_says_nothing_to_a_later_one() {
        let interims = Interims::new();
        let first = interims.arm().unwrap();
        first.tell(StatusCode::EARLY_HINTS, &hints());
        let second = interims.arm().unwrap();
        first.tell(StatusCode::EARLY_HINTS, &hints());
        assert_eq!(taken(&interims), "");
        second.tell(StatusCode::PROCESSING, &HeaderMap::new());
        assert_eq!(taken(&interims), "HTTP/1.1 102 Processing\r\n\r\n");
        interims.set_clean(false);
        assert!(interims.arm().is_none(), "an earlier answer is not out yet");
    }

    #[test]
    fn an_origin_cannot_make_them_pile_up() {
        let interims = Interims::new();
        let sink = interims.arm().unwrap();
        for _ in 0..10_000 {
            sink.tell(StatusCode::EARLY_HINTS, &hints());
        }
        assert!(taken(&interims).len() <= MOST);
    }
}
