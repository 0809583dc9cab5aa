//! What is to be written, in order: a buffer of our own, and between its octets large pieces that nobody copies.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// A smaller piece is copied: another slice costs more than that.
pub(super) const COPIED: usize = 4_096;

/// Octets that have been written, and are kept until it is worth moving what stands behind them.
const WRITTEN: usize = 64 << 10;

#[derive(Debug, Default)]
pub(super) struct Output {
    own: Vec<u8>,
    /// How much of `own` has been written.
    done: usize,
    /// Each stands before the octet of `own` at its place.
    pieces: VecDeque<(usize, Bytes)>,
    /// Octets of them.
    shared: usize,
}

impl Output {
    pub(super) fn len(&self) -> usize {
        self.own.len() - self.done + self.shared
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The end of what is to be written, to append to.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.own
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < COPIED {
            return self.own.extend_from_slice(&bytes);
        }
        self.shared += bytes.len();
        self.pieces.push_back((self.own.len(), bytes));
    }

    /// The front of it; how many of `into` are filled.
    pub(super) fn slices<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let (mut at, mut filled) = (self.done, 0);
        let mut pieces = self.pieces.iter();
        while filled < into.len() {
            let piece = pieces.next();
            let until = piece.map_or(self.own.len(), |(place, _)| *place);
            if until > at {
                into[filled] = IoSlice::new(&self.own[at..until]);
                filled += 1;
                at = until;
            }
            let Some((_, bytes)) = piece else { return filled };
            if filled < into.len() {
                into[filled] = IoSlice::new(bytes);
                filled += 1;
            }
        }
        filled
    }

    /// So many octets of it have been written.
    pub(super) fn advance(&mut self, mut octets: usize) {
        while octets > 0 {
            let until = self.pieces.front().map_or(self.own.len(), |(place, _)| *place);
            let own = octets.min(until - self.done);
            self.done += own;
            octets -= own;
            if let Some((_, bytes)) = self.pieces.front_mut().filter(|_| octets > 0) {
                let shared = octets.min(bytes.len());
                bytes.advance(shared);
                octets -= shared;
                self.shared -= shared;
                if bytes.is_empty() {
                    self.pieces.pop_front();
                }
            } else if own == 0 {
                break; // more than there was
            }
        }
        if self.is_empty() {
            self.own.clear();
            self.done = 0;
        } else if self.done > WRITTEN && self.done > self.own.len() / 2 {
            self.forget_written();
        }
    }

    /// Of a connection that never catches up nothing else would. No more is moved than was written.
    fn forget_written(&mut self) {
        self.own.drain(..self.done);
        for (place, _) in &mut self.pieces {
            *place -= self.done;
        }
        self.done = 0;
    }

    /// Takes a buffer to write into, if there is none.
    pub(super) fn lend(&mut self, buffer: Vec<u8>) {
        if self.own.capacity() == 0 {
            self.own = buffer;
        }
    }

    /// The buffer, once all of it is written. It is empty.
    pub(super) fn reclaim(&mut self) -> Option<Vec<u8>> {
        if !self.is_empty() {
            return None;
        }
        if self.pieces.capacity() > 0 {
            self.pieces = VecDeque::new();
        }
        self.done = 0;
        let mut buffer = std::mem::take(&mut self.own);
        buffer.clear();
        (buffer.capacity() > 0).then_some(buffer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(output: &mut Output, steps: &[usize], slices: usize) -> Vec<u8> {
        let mut all = Vec::new();
        for step in steps.iter().cycle() {
            if output.is_empty() {
                return all;
            }
            let mut front = vec![IoSlice::new(&[]); slices];
            let filled = output.slices(&mut front);
            assert!(filled > 0 && front[..filled].iter().all(|slice| !slice.is_empty()));
            let front: Vec<u8> = front[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            let step = front.len().min(*step);
            all.extend(&front[..step]);
            output.advance(step);
        }
        all
    }

    proptest! {
        #[test]
        fn all_is_written_in_order(
            parts in proptest::collection::vec((any::<bool>(), 1_usize..9_000), 0..20),
            steps in proptest::collection::vec(1_usize..10_000, 1..20),
            slices in 1_usize..5,
        ) {
            let (mut output, mut expected) = (Output::default(), Vec::<u8>::new());
            for (place, (own, length)) in parts.into_iter().enumerate() {
                let part = vec![place as u8; length];
                expected.extend(&part);
                if own {
                    output.end().extend(part);
                } else {
                    output.push(part.into());
                }
                prop_assert_eq!(output.len(), expected.len());
            }
            prop_assert_eq!(written(&mut output, &steps, slices), expected);
            prop_assert!(output.reclaim().is_none_or(|buffer| buffer.is_empty()));
        }

        #[test]
        fn what_is_written_does_not_pile_up_though_there_is_always_more(
            parts in proptest::collection::vec((any::<bool>(), 1_usize..6_000), 100..200),
            left in 1_usize..40_000,
        ) {
            let (mut output, mut expected, mut seen) = (Output::default(), Vec::<u8>::new(), Vec::<u8>::new());
            for (place, (own, length)) in parts.into_iter().enumerate() {
                let part = vec![place as u8; length];
                expected.extend(&part);
                if own {
                    output.end().extend(part);
                } else {
                    output.push(part.into());
                }
                while output.len() > left {
                    let mut front = [IoSlice::new(&[]); 1];
                    output.slices(&mut front);
                    let step = front[0].len().min(output.len() - left);
                    seen.extend(&front[0][..step]);
                    output.advance(step);
                }
                prop_assert!(output.own.len() <= 2 * output.len() + WRITTEN, "{}", output.own.len());
            }
            seen.extend(written(&mut output, &[1_000], 2));
            prop_assert_eq!(seen, expected);
        }
    }
}
