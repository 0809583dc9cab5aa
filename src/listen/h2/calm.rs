//! How much of a nuisance a peer may be: what costs us work and brings nobody an answer is counted.
//!
//! Both allowances come back with what is of use, and with time. Thus a browser that leaves a page of a hundred streams
//! stays far below; rapid reset (CVE-2023-44487), its counterpart that makes us reset (CVE-2025-8671), and floods of PING,
//! SETTINGS, PRIORITY, WINDOW_UPDATE and empty DATA (CVE-2019-9512 and its kin) do not.

/// Frames that bring nothing, between two rests.
const NOISE: u32 = 2_000;
/// Streams that were reset before their answer was out, whoever did it.
const RESETS: u32 = 200;
/// What a request makes good.
const REQUEST: u32 = 8;
/// Octets of a body that make one frame good: those of viewers who confirm all that they get twice.
const OCTETS: usize = 1_024;

#[derive(Debug)]
pub(super) struct Calm {
    noise: u32,
    resets: u32,
}

/// ENHANCE_YOUR_CALM (RFC 9113 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Calm {
    pub(super) fn new() -> Self {
        Self { noise: NOISE, resets: RESETS }
    }

    /// A frame that brings nothing.
    pub(super) fn noise(&mut self) -> Result<(), Exhausted> {
        self.noise = self.noise.checked_sub(1).ok_or(Exhausted)?;
        Ok(())
    }

    /// A stream was reset in flight.
    pub(super) fn reset(&mut self) -> Result<(), Exhausted> {
        self.resets = self.resets.checked_sub(1).ok_or(Exhausted)?;
        Ok(())
    }

    /// A request has been read.
    pub(super) fn request(&mut self) {
        self.noise = (self.noise + REQUEST).min(NOISE);
    }

    /// Octets of a body have been sent.
    pub(super) fn sent(&mut self, octets: usize) {
        let earned = u32::try_from(octets / OCTETS).unwrap_or(NOISE).min(NOISE);
        self.noise = (self.noise + earned).min(NOISE);
    }

    /// An answer is out.
    pub(super) fn answered(&mut self) {
        self.resets = (self.resets + 1).min(RESETS);
    }

    /// Some time has passed.
    pub(super) fn rest(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_brings_nothing_is_allowed_so_many_times() {
        let mut calm = Calm::new();
        assert_eq!((0..NOISE).try_for_each(|_| calm.noise()), Ok(()));
        assert_eq!(calm.noise(), Err(Exhausted));
        calm.request();
        calm.sent(2 * OCTETS + 1);
        assert_eq!((0..REQUEST + 2).try_for_each(|_| calm.noise()), Ok(()));
        assert_eq!(calm.noise(), Err(Exhausted));
        calm.rest();
        assert_eq!(calm.noise(), Ok(()));
    }

    #[test]
    fn resets_are_made_good_by_answers_alone() {
        let mut calm = Calm::new();
        assert_eq!((0..RESETS).try_for_each(|_| calm.reset()), Ok(()));
        calm.request();
        calm.sent(1 << 20);
        assert_eq!(calm.reset(), Err(Exhausted));
        calm.answered();
        assert_eq!((calm.reset(), calm.reset()), (Ok(()), Err(Exhausted)));
    }
}
