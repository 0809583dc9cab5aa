//! The one response body type, whatever the bytes come from.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::cache::fill::Reader;
use crate::cache::object::Object;
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
    Stored(Stored),
    /// An object that is still arriving.
    Arriving(Reader),
    /// Straight from the origin.
    Origin(OriginBody),
}

/// A position in a stored object's pieces.
#[derive(Debug)]
pub struct Stored {
    object: Arc<Object>,
    piece: usize,
    offset: usize,
    left: u64,
}

impl Body {
    /// `length` bytes of `object` from `first` on.
    #[must_use]
    pub fn stored(object: &Arc<Object>, first: u64, length: u64) -> Self {
        let mut piece = 0;
        let mut skip = first;
        for bytes in object.pieces() {
            if skip < bytes.len() as u64 {
                break;
            }
            skip -= bytes.len() as u64;
            piece += 1;
        }
        let Ok(offset) = usize::try_from(skip) else { return Self::Empty };
        match object.pieces() {
            // The usual small object: nothing to keep but its bytes.
            [only] if offset < only.len() => {
                let length = usize::try_from(length).unwrap_or(usize::MAX).min(only.len() - offset);
                Self::Full(only.slice(offset..offset + length))
            }
            _ => Self::Stored(Stored { object: Arc::clone(object), piece, offset, left: length }),
        }
    }
}

impl Stored {
    fn next(&mut self) -> Option<Bytes> {
        if self.left == 0 {
            return None;
        }
        let piece = self.object.pieces().get(self.piece)?;
        let mut bytes = piece.slice(self.offset..);
        bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= bytes.len() as u64;
        self.piece += 1;
        self.offset = 0;
        Some(bytes)
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
            Self::Arriving(reader) => Pin::new(reader).poll_frame(cx),
            Self::Origin(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Stored(stored) => stored.left == 0,
            Self::Arriving(reader) => reader.is_end_stream(),
            Self::Origin(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stored(stored) => SizeHint::with_exact(stored.left),
            Self::Arriving(reader) => reader.size_hint(),
            Self::Origin(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    use super::*;
    use crate::cache::object::Head;
    use crate::clock::Timestamp;
    use crate::policy::freshness::Lifetime;

    proptest! {
        #[test]
        fn any_part_of_a_stored_object_is_that_part(
            sizes in proptest::collection::vec(0_usize..50, 0..6),
            first in 0_u64..300,
            length in 0_u64..300,
        ) {
            let mut next = 0_u8;
            let pieces: Box<[Bytes]> = sizes
                .iter()
                .map(|&size| (0..size).map(|_| { next = next.wrapping_add(1); next }).collect::<Vec<u8>>().into())
                .collect();
            let whole = pieces.concat();
            let head = Head::new(StatusCode::OK, &HeaderMap::new());
            let object = Arc::new(Object::new(head, Lifetime::default(), Timestamp::default(), pieces));
            let from = usize::try_from(first).unwrap().min(whole.len());
            let to = from.saturating_add(usize::try_from(length).unwrap()).min(whole.len());
            let body = Body::stored(&object, first, (to - from) as u64);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(body.collect()).unwrap().to_bytes();
            prop_assert_eq!(&read[..], &whole[from..to]);
        }
    }
}
