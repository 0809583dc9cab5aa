//! A viewer's stream onto which 1xx answers are written beside hyper: see [`crate::interim`].

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::interim::Interims;

/// `S`, and what is written onto it before the next answer.
#[derive(Debug)]
pub(super) struct Relaying<S> {
    stream: S,
    interims: Arc<Interims>,
    /// On its way out.
    rest: Bytes,
}

impl<S: AsyncWrite + Unpin> Relaying<S> {
    pub(super) fn new(stream: S, interims: Arc<Interims>) -> Self {
        Self { stream, interims, rest: Bytes::new() }
    }

    /// Writes out what has come.
    fn relay(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.rest.is_empty() {
                self.rest = self.interims.take(cx);
            }
            if self.rest.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest.advance(written);
        }
    }

    /// hyper writes: that is the answer.
    fn answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // First of all: while this waits, hyper may read the next request.
        self.interims.set_clean(false);
        if self.interims.is_armed() {
            ready!(self.relay(cx))?;
            self.interims.disarm();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Relaying<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Relaying<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.answer(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.answer(cx))?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.interims.is_armed() {
            ready!(self.relay(cx))?;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // hyper flushes when all that it has is written.
        self.interims.set_clean(true);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http::{HeaderMap, StatusCode};

    use super::*;

    /// A viewer who does not read, so that nothing more can be written.
    #[derive(Debug)]
    struct Full;

    impl AsyncWrite for Full {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    /// hyper reads the next request while the answer to the last waits behind hints that do not get out.
    #[test]
    fn a_pipelined_request_says_nothing_before_an_answer_that_waits() {
        let interims = Interims::new();
        let sink = interims.arm().unwrap();
        sink.tell(StatusCode::EARLY_HINTS, &HeaderMap::new());
        let mut stream = Relaying::new(Full, Arc::clone(&interims));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut stream).poll_write(&mut cx, b"HTTP/1.1 200 OK\r\n\r\n").is_pending());
        assert!(interims.arm().is_none(), "its hints would come before the answer to the request before it");
    }
}
