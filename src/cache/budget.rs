//! Bytes that bodies on their way in may take, all together: what arrives is not yet weighed by the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bound on the bytes of all fills.
#[derive(Debug)]
pub struct Budget {
    left: AtomicU64,
}

/// A share of a [`Budget`], given back when dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    #[must_use]
    pub fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(bytes) })
    }

    /// A share of `bytes`, if there is that much left.
    #[must_use]
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Share> {
        self.take(bytes).then(|| Share { budget: Arc::clone(self), bytes })
    }

    fn take(&self, bytes: u64) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

impl Share {
    /// Makes the share at least `bytes` large. `false`: there is not that much left.
    #[must_use]
    pub fn grow_to(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let granted = self.budget.take(more);
        if granted {
            self.bytes += more;
        }
        granted
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_bounded_and_come_back() {
        let budget = Budget::new(100);
        let mut first = budget.reserve(60).unwrap();
        assert!(budget.reserve(60).is_none());
        assert!(first.grow_to(100));
        assert!(!first.grow_to(101));
        drop(first);
        assert!(budget.reserve(100).is_some());
    }
}
