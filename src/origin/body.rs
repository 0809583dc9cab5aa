//! An origin's body: every byte that was announced, each in time, or an error.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::error::OriginError;
use super::pool::Lease;
use crate::observe::metrics::OriginMetrics;

/// The rest of an answer. Dropping it early closes the connection.
#[derive(Debug)]
pub struct OriginBody {
    incoming: Incoming,
    lease: Option<Lease>,
    read_timeout: Duration,
    /// Armed while nothing comes.
    deadline: Option<Pin<Box<Sleep>>>,
    /// When all of it must have come (behaviour §1.5).
    end: Option<Pin<Box<Sleep>>>,
    metrics: OriginMetrics,
}

impl OriginBody {
    pub(super) fn new(
        incoming: Incoming,
        lease: Lease,
        read_timeout: Duration,
        metrics: OriginMetrics,
    ) -> Self {
        let mut body =
            Self { incoming, lease: Some(lease), read_timeout, deadline: None, end: None, metrics };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }

    pub(super) fn end_by(&mut self, until: Option<Instant>) {
        let until = until.filter(|_| self.lease.is_some());
        self.end = until.map(|until| Box::pin(tokio::time::sleep_until(until)));
    }

    fn finish(&mut self) {
        self.deadline = None;
        self.end = None;
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn fail(&mut self, error: OriginError) -> OriginError {
        self.lease = None;
        self.end = None;
        self.metrics.failed(error.label());
        error
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`OriginError::BodyCutShort`] or [`OriginError::BodyStalled`].
    pub async fn next(&mut self) -> Option<Result<Bytes, OriginError>> {
        loop {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await?;
            match frame.map(Frame::into_data) {
                Ok(Ok(bytes)) => return Some(Ok(bytes)),
                Ok(Err(_trailers)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let this = self.get_mut();
        if let Some(end) = &mut this.end
            && end.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(this.fail(OriginError::BodyStalled))));
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            this.deadline = None;
            return Poll::Ready(match frame {
                Some(Ok(frame)) => {
                    this.metrics.received(frame.data_ref().map_or(0, |data| data.len() as u64));
                    if this.incoming.is_end_stream() {
                        this.finish();
                    }
                    Some(Ok(frame))
                }
                Some(Err(_)) => Some(Err(this.fail(OriginError::BodyCutShort))),
                None => {
                    this.finish();
                    None
                }
            });
        }
        let timeout = this.read_timeout;
        let deadline =
            this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + timeout)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Some(Err(this.fail(OriginError::BodyStalled))))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
