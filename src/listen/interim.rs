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
        if self.interims.is_armed() {
            ready!(self.relay(cx))?;
            self.interims.disarm();
        }
        self.interims.set_clean(false);
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
