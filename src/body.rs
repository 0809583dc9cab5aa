//! The one response body type, whatever the bytes come from.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::cache::fill::Reader;
use crate::cache::pieces::{Cursor, Pieces};
use crate::cache::slices;
use crate::origin::body::OriginBody;
use crate::origin::error::OriginError;

/// A response's body.
#[derive(Debug, Default)]
pub enum Body {
    #[default]
    Empty,
    /// One piece that is at hand.
    Full(Bytes),
    /// A stored object, or a part of it.
    Stored(Cursor),
    /// A large object, slice by slice.
    Sliced(Box<slices::Reader>),
    /// An object that is still arriving.
    Arriving(Reader),
    /// Straight from the origin.
    Origin(OriginBody),
    /// One after the other.
    Chain(VecDeque<Body>),
}

impl Body {
    /// `length` bytes of `pieces` from `first` on.
    #[must_use]
    pub fn stored(pieces: &Pieces, first: u64, length: u64) -> Self {
        let part = |only: &Bytes| {
            let first = usize::try_from(first).ok()?;
            let end = first.checked_add(usize::try_from(length).ok()?)?;
            (end <= only.len()).then(|| only.slice(first..end))
        };
        match pieces.single().and_then(part) {
            // The usual small object: nothing to keep but its bytes.
            Some(bytes) => Self::Full(bytes),
            None => Self::Stored(pieces.cursor(first, length)),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(_) => {
                let Self::Full(bytes) = std::mem::take(&mut *self) else { return Poll::Ready(None) };
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Stored(stored) => Poll::Ready(stored.next().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Sliced(reader) => Pin::new(&mut **reader).poll_frame(cx),
            Self::Arriving(reader) => Pin::new(reader).poll_frame(cx),
            Self::Origin(body) => Pin::new(body).poll_frame(cx),
            Self::Chain(bodies) => loop {
                let Some(first) = bodies.front_mut() else { return Poll::Ready(None) };
                match ready!(Pin::new(first).poll_frame(cx)) {
                    Some(frame) => return Poll::Ready(Some(frame)),
                    None => drop(bodies.pop_front()),
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Stored(stored) => stored.left() == 0,
            Self::Sliced(reader) => reader.is_end_stream(),
            Self::Arriving(reader) => reader.is_end_stream(),
            Self::Origin(body) => body.is_end_stream(),
            Self::Chain(bodies) => bodies.iter().all(HttpBody::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stored(stored) => SizeHint::with_exact(stored.left()),
            Self::Sliced(reader) => reader.size_hint(),
            Self::Arriving(reader) => reader.size_hint(),
            Self::Origin(body) => body.size_hint(),
            Self::Chain(bodies) => bodies
                .iter()
                .map(|body| body.size_hint().exact())
                .sum::<Option<u64>>()
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
