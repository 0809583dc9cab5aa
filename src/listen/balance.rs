//! Which worker has how many connections, and who takes the next one. The kernel spreads connections over listeners by a
//! hash of their addresses, which with a few long ones may be far from even.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// So many more connections than the least of the workers has are no imbalance.
const SLACK: usize = 8;

/// The open connections of each worker.
#[derive(Debug)]
pub(super) struct Loads {
    workers: Box<[Load]>,
    /// One worker has none left.
    emptied: Notify,
}

/// On a cache line of its own, and of its neighbour's.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Load(AtomicUsize);

impl Loads {
    pub(super) fn new(workers: usize) -> Arc<Self> {
        let workers = (0..workers).map(|_| Load::default()).collect();
        Arc::new(Self { workers, emptied: Notify::new() })
    }

    /// Connections by worker.
    pub(super) fn counts(&self) -> impl Iterator<Item = usize> {
        self.workers.iter().map(|Load(count)| count.load(Ordering::SeqCst))
    }

    /// The worker that should take the next connection in the place of `worker`, if one should.
    pub(super) fn better(&self, worker: usize) -> Option<usize> {
        let (least, count) = self.counts().enumerate().min_by_key(|(_, count)| *count)?;
        let own = self.workers.get(worker)?.0.load(Ordering::SeqCst);
        is_uneven(own, count).then_some(least)
    }

    /// Counts a connection of `worker`'s for as long as the guest lives.
    pub(super) fn enter(self: &Arc<Self>, worker: usize) -> Guest {
        self.workers[worker].0.fetch_add(1, Ordering::SeqCst);
        Guest { loads: Arc::clone(self), worker }
    }

    /// Waits until no worker has a connection.
    pub(super) async fn none_left(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.counts().all(|count| count == 0) {
                return;
            }
            emptied.await;
        }
    }
}

/// By more than [`SLACK`] and more than a quarter.
fn is_uneven(own: usize, least: usize) -> bool {
    own > least + SLACK && own > least + least / 4
}

/// One connection.
#[derive(Debug)]
pub(super) struct Guest {
    loads: Arc<Loads>,
    worker: usize,
}

impl Drop for Guest {
    fn drop(&mut self) {
        if self.loads.workers[self.worker].0.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.loads.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_more_are_no_imbalance_and_of_many_a_quarter() {
        for (own, least, uneven) in [
            (0, 0, false),
            (8, 0, false),
            (9, 0, true),
            (40, 32, false),
            (41, 32, true),
            (125, 100, false),
            (126, 100, true),
            (1_109, 1_000, false),
        ] {
            assert_eq!(is_uneven(own, least), uneven, "{own} beside {least}");
        }
    }

    #[test]
    fn the_one_with_the_least_takes_over() {
        let loads = Loads::new(3);
        let mut guests: Vec<_> = (0..9).map(|_| loads.enter(0)).collect();
        guests.push(loads.enter(1));
        assert_eq!((loads.better(0), loads.better(1), loads.better(2)), (Some(2), None, None));
        guests.truncate(8);
        assert_eq!(loads.better(0), None);
    }

    #[tokio::test]
    async fn an_end_waits_for_the_last_of_any_worker() {
        let loads = Loads::new(2);
        let (first, second) = (loads.enter(0), loads.enter(1));
        let soon = std::time::Duration::from_millis(20);
        drop(first);
        assert!(tokio::time::timeout(soon, loads.none_left()).await.is_err());
        let leaving = async { drop(second) };
        tokio::join!(loads.none_left(), leaving);
    }
}
