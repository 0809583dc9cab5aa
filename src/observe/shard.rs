//! Which set of counters, and which log buffer, a thread writes to: one of its own, so that no two cores pass a cache
//! line back and forth, as long as there are enough.

use std::sync::{Mutex, PoisonError};

/// As many as a u128 has bits.
pub(super) const SHARDS: usize = 128;

/// The one of threads that have none of their own, and of threads about to end.
const SHARED: usize = 0;

/// A place among [`SHARDS`], for the thread that got it from [`mine`] and only now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard(usize);

impl Shard {
    pub(super) fn index(self) -> usize {
        self.0
    }

    /// No other thread writes here while this one lives.
    pub(super) fn is_own(self) -> bool {
        self.0 != SHARED
    }
}

/// The calling thread's.
pub(super) fn mine() -> Shard {
    thread_local!(static LEASE: Lease = Lease::take());
    Shard(LEASE.try_with(|lease| lease.0).unwrap_or(SHARED))
}

/// A bit for every shard that some thread has.
static TAKEN: Mutex<u128> = Mutex::new(1 << SHARED);

/// Given back when its thread ends. Whoever has it next sees all that was written there: the lock sees to it.
struct Lease(usize);

impl Lease {
    fn take() -> Self {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let first_free = taken.trailing_ones() as usize;
        if first_free == SHARDS {
            return Self(SHARED);
        }
        *taken |= 1 << first_free;
        Self(first_free)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.0 != SHARED {
            *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) &= !(1 << self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn no_two_living_threads_own_the_same() {
        const THREADS: usize = SHARDS + 8;
        let all_have_one = Barrier::new(THREADS);
        let shards: Vec<Shard> = thread::scope(|scope| {
            let one = || {
                let shard = mine();
                all_have_one.wait();
                assert_eq!(mine(), shard);
                shard
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let own: Vec<usize> =
            shards.iter().filter(|shard| shard.is_own()).map(|shard| shard.index()).collect();
        assert_eq!(own.iter().collect::<BTreeSet<_>>().len(), own.len());
        assert!(own.iter().all(|index| (1..SHARDS).contains(index)));
        // At least these had to share, and more when other tests run.
        assert!(shards.len() - own.len() > 8);
        // What ended threads had is there again.
        assert!(thread::spawn(mine).join().unwrap().is_own());
    }
}
