//! Bytes that are kept: a whole body, or a slice of one, in few large pieces.

use std::sync::Arc;

use bytes::Bytes;

/// All bytes of a body or of a slice, in order. A clone shares them.
#[derive(Debug, Clone)]
pub struct Pieces(Kept);

/// The usual small body is one piece, and lies one step nearer to its object.
#[derive(Debug, Clone)]
enum Kept {
    One(Bytes),
    Many { pieces: Arc<[Bytes]>, length: u64 },
}

impl Default for Pieces {
    fn default() -> Self {
        Self(Kept::One(Bytes::new()))
    }
}

impl Pieces {
    #[must_use]
    pub fn new(pieces: Box<[Bytes]>) -> Self {
        Self(match <[Bytes; 1]>::try_from(pieces.into_vec()) {
            Ok([only]) => Kept::One(only),
            Err(pieces) => {
                let length = pieces.iter().map(|piece| piece.len() as u64).sum();
                Kept::Many { pieces: pieces.into(), length }
            }
        })
    }

    fn all(&self) -> &[Bytes] {
        match &self.0 {
            Kept::One(only) => std::slice::from_ref(only),
            Kept::Many { pieces, .. } => pieces,
        }
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.0 {
            Kept::One(only) => only.len() as u64,
            Kept::Many { length, .. } => *length,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes in memory beside those of [`Self`].
    #[must_use]
    pub fn weight(&self) -> u64 {
        match &self.0 {
            Kept::One(only) => only.len() as u64,
            Kept::Many { pieces, length } => length + size_of_val(&**pieces) as u64,
        }
    }

    /// The usual small body: one piece.
    #[must_use]
    pub fn single(&self) -> Option<&Bytes> {
        match &self.0 {
            Kept::One(only) => Some(only),
            Kept::Many { .. } => None,
        }
    }

    /// From `position` on, as far as one piece reaches; empty at the end.
    #[must_use]
    pub fn at(&self, position: u64) -> &[u8] {
        let mut skip = position;
        for piece in self.all() {
            match usize::try_from(skip) {
                Ok(within) if within < piece.len() => return &piece[within..],
                _ => skip -= piece.len() as u64,
            }
        }
        &[]
    }

    /// What [`Self::at`] says, to be kept.
    #[must_use]
    pub fn share(&self, position: u64) -> Bytes {
        let mut skip = position;
        for piece in self.all() {
            match usize::try_from(skip) {
                Ok(within) if within < piece.len() => return piece.slice(within..),
                _ => skip -= piece.len() as u64,
            }
        }
        Bytes::new()
    }

    /// At most `length` bytes from `first` on.
    #[must_use]
    pub fn cursor(&self, first: u64, length: u64) -> Cursor {
        let left = length.min(self.len().saturating_sub(first));
        let (mut piece, mut skip) = (0, first);
        for bytes in self.all() {
            if skip < bytes.len() as u64 {
                break;
            }
            skip -= bytes.len() as u64;
            piece += 1;
        }
        let offset = usize::try_from(skip).unwrap_or(usize::MAX);
        Cursor { pieces: self.clone(), piece, offset, left }
    }
}

/// A position in [`Pieces`].
#[derive(Debug)]
pub struct Cursor {
    pieces: Pieces,
    piece: usize,
    offset: usize,
    left: u64,
}

impl Cursor {
    /// Bytes that are still to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }
}

impl Iterator for Cursor {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.left == 0 {
            return None;
        }
        let mut bytes = self.pieces.all().get(self.piece)?.slice(self.offset..);
        bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= bytes.len() as u64;
        self.piece += 1;
        self.offset = 0;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_part_is_that_part(
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
            let from = usize::try_from(first).unwrap().min(whole.len());
            let to = from.saturating_add(usize::try_from(length).unwrap()).min(whole.len());
            let pieces = Pieces::new(pieces);
            let cursor = pieces.cursor(first, length);
            prop_assert_eq!(cursor.left(), (to - from) as u64);
            prop_assert_eq!(&cursor.collect::<Vec<_>>().concat()[..], &whole[from..to]);
            let piece = pieces.at(first);
            prop_assert!(whole[from..].starts_with(piece));
            prop_assert_eq!(piece.is_empty(), from == whole.len());
        }
    }
}
