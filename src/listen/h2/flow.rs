//! Windows of flow control (RFC 9113 §5.2, §6.9).

/// What every window begins with (RFC 9113 §6.9.2).
pub(super) const INITIAL: u32 = 65_535;
/// What a window may hold.
pub(super) const MAX: i64 = 0x7fff_ffff;

/// What may be sent: by us, to a peer's window; or by a peer, to ours. Below zero after a smaller SETTINGS_INITIAL_WINDOW_SIZE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window(i64);

/// Larger than a window may be, or less in it than was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overflow;

impl Window {
    pub(super) fn new(size: u32) -> Self {
        Self(i64::from(size))
    }

    /// Octets that may be sent now.
    pub(super) fn room(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// Takes what has been found room for.
    pub(super) fn take(&mut self, octets: usize) -> Result<(), Overflow> {
        let octets = i64::try_from(octets).map_err(|_| Overflow)?;
        if octets > self.0.max(0) {
            return Err(Overflow);
        }
        self.0 -= octets;
        Ok(())
    }

    /// By a WINDOW_UPDATE, or by a change of the setting.
    pub(super) fn grow(&mut self, by: i64) -> Result<(), Overflow> {
        let grown = self.0 + by;
        if grown > MAX {
            return Err(Overflow);
        }
        self.0 = grown;
        Ok(())
    }
}

/// A window of ours: what the peer may send yet, and what has been consumed and is not given back yet.
#[derive(Debug)]
pub(super) struct Receiving {
    window: Window,
    consumed: u32,
    size: u32,
}

impl Receiving {
    pub(super) fn new(size: u32) -> Self {
        Self { window: Window::new(size), consumed: 0, size }
    }

    /// The peer has sent `octets`.
    pub(super) fn take(&mut self, octets: usize) -> Result<(), Overflow> {
        self.window.take(octets)
    }

    /// What the peer may still send.
    pub(super) fn room(&self) -> usize {
        self.window.room()
    }

    /// `octets` are not held for the peer any more.
    pub(super) fn consume(&mut self, octets: usize) {
        self.consumed = self.consumed.saturating_add(u32::try_from(octets).unwrap_or(u32::MAX));
    }

    /// What a WINDOW_UPDATE is to give back, once it is worth one.
    pub(super) fn give_back(&mut self) -> Option<u32> {
        if self.consumed < self.size / 2 {
            return None;
        }
        let by = std::mem::take(&mut self.consumed);
        // Never more than was taken before.
        self.window.grow(i64::from(by)).ok()?;
        Some(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_taken_from_and_grows_up_to_its_limit() {
        let mut window = Window::new(10);
        assert_eq!(window.take(11), Err(Overflow));
        window.take(10).unwrap();
        assert_eq!(window.room(), 0);
        assert_eq!(window.take(0), Ok(()));
        window.grow(MAX).unwrap();
        assert_eq!(window.grow(1), Err(Overflow)); // RFC 9113 §6.9.1
        assert_eq!(window.room(), 0x7fff_ffff);
    }

    #[test]
    fn a_window_may_become_negative() {
        // RFC 9113 §6.9.2: 60 kB sent, then the setting falls to 16 kB, then an update of 50 kB.
        let mut window = Window::new(65_535);
        window.take(60_000).unwrap();
        window.grow(16_384 - 65_535).unwrap();
        assert_eq!(window.room(), 0);
        assert_eq!(window.take(1), Err(Overflow));
        window.grow(50_000).unwrap();
        assert_eq!(window.room(), 6_384);
    }

    #[test]
    fn what_is_consumed_is_given_back_in_halves() {
        let mut receiving = Receiving::new(100);
        receiving.take(100).unwrap();
        assert_eq!(receiving.take(1), Err(Overflow));
        receiving.consume(49);
        assert_eq!(receiving.give_back(), None);
        receiving.consume(1);
        assert_eq!((receiving.give_back(), receiving.give_back()), (Some(50), None));
        receiving.take(50).unwrap();
        assert_eq!(receiving.take(1), Err(Overflow));
    }
}
