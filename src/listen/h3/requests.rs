//! What the requests of one connection share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::frame::{Code, Fault};
use super::priority::Priorities;
use crate::early::Early;
use crate::listen::connection::STREAMS;

/// Requests that a viewer may give up beyond those that it lets be answered (rapid reset, CVE-2023-44487).
const ABANDONED: usize = 256;
/// Changes of priority beyond [`UPDATES`] for each request.
const MORE_UPDATES: u64 = 256;
const UPDATES: u64 = 16;

#[derive(Debug, Default)]
pub(super) struct Requests {
    abandoned: AtomicUsize,
    /// From this stream on none has been taken up.
    next: AtomicU64,
    updates: AtomicU64,
    pub(super) priorities: Priorities,
    /// `None`: they have all come after the handshake.
    pub(super) early: Option<Early>,
}

impl Requests {
    pub(super) fn new(early: Option<Early>) -> Self {
        Self { early, ..Self::default() }
    }

    /// The request on `stream` is taken up.
    pub(super) fn begun(&self, stream: u64) {
        self.next.fetch_max(stream + 4, Ordering::Relaxed);
    }

    /// From this stream on none has been taken up.
    pub(super) fn next(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    pub(super) fn answered(&self) {
        let less = |abandoned: usize| abandoned.checked_sub(1);
        let _ = self.abandoned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Whether that was one too many.
    pub(super) fn abandoned(&self) -> bool {
        self.abandoned.fetch_add(1, Ordering::Relaxed) >= ABANDONED
    }

    /// The viewer says how urgent the answer on `stream` is, whose request may be still to come (RFC 9218 §7.2).
    ///
    /// # Errors
    /// It is no request's, or nobody changes their mind as often.
    pub(super) fn reprioritize(&self, stream: u64, value: &[u8]) -> Result<(), Fault> {
        // Bits of a stream's number: RFC 9000 §2.1. Each request that ends lets one more begin.
        if !stream.is_multiple_of(4) || stream >= self.next() + 4 * u64::from(STREAMS) {
            return Err(Fault::Connection(Code::IdError, "a priority for what is no request"));
        }
        if self.updates.fetch_add(1, Ordering::Relaxed) >= MORE_UPDATES + UPDATES * (self.next() / 4) {
            return Err(Fault::Connection(Code::ExcessiveLoad, "priorities are changed again and again"));
        }
        self.priorities.update(stream, super::priority::read(value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(outcome: Result<(), Fault>) -> Option<Code> {
        match outcome {
            Err(Fault::Connection(code, _)) => Some(code),
            _ => None,
        }
    }

    #[test]
    fn only_requests_have_priorities() {
        let requests = Requests::default();
        requests.begun(8);
        // RFC 9218 §7.2: those that may come, too; 128 at a time
        for (stream, expected) in [
            (0, None),
            (8, None),
            (12, None),
            (12 + 4 * 127, None),
            (12 + 4 * 128, Some(Code::IdError)),
            (1, Some(Code::IdError)),
            (2, Some(Code::IdError)),
            (7, Some(Code::IdError)),
            ((1 << 62) - 4, Some(Code::IdError)),
        ] {
            assert_eq!(code(requests.reprioritize(stream, b"u=1")), expected, "{stream}");
        }
    }

    #[test]
    fn priorities_are_not_changed_again_and_again() {
        let requests = Requests::default();
        requests.begun(0);
        let changed = (0..10_000).take_while(|_| requests.reprioritize(0, b"u=1").is_ok()).count() as u64;
        assert_eq!(changed, MORE_UPDATES + UPDATES);
        assert_eq!(code(requests.reprioritize(0, b"u=1")), Some(Code::ExcessiveLoad));
    }
}
