//! Time limits of idle connections, at no cost for a request: one clock of a worker ticks once a second and wakes whose
//! time is over. So a limit holds to the second, and a connection that goes on takes no timer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

const TICK: Duration = Duration::from_secs(1);
/// No limit.
const NEVER: u64 = u64::MAX;

/// Those of one worker.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// Ticks so far.
    now: AtomicU64,
    stopping: AtomicBool,
    waiting: Mutex<Slab<Arc<Waiter>>>,
}

#[derive(Debug)]
struct Waiter {
    /// Tick.
    until: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

/// One connection's.
#[derive(Debug)]
pub(super) struct Deadline {
    all: Arc<Deadlines>,
    waiter: Arc<Waiter>,
    key: usize,
}

impl Deadlines {
    /// Ticks until `stop` says so, which everybody is told at once; then on, as long as somebody waits.
    pub(super) async fn tick(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            let is_told = self.stopping.load(Ordering::Relaxed);
            tokio::select! {
                _ = ticks.tick() => drop(self.now.fetch_add(1, Ordering::Relaxed)),
                _ = stop.wait_for(|&stop| stop), if !is_told => self.stopping.store(true, Ordering::Relaxed),
            }
            self.wake();
        }
    }

    pub(super) fn join(self: &Arc<Self>) -> Deadline {
        let waiter = Arc::new(Waiter { until: AtomicU64::new(NEVER), waker: Mutex::default() });
        let key = self.waiting().insert(Arc::clone(&waiter));
        Deadline { all: Arc::clone(self), waiter, key }
    }

    fn wake(&self) {
        let (now, stopping) = (self.now.load(Ordering::Relaxed), self.stopping.load(Ordering::Relaxed));
        for (_, waiter) in self.waiting().iter() {
            if (stopping || waiter.until.load(Ordering::Relaxed) <= now)
                && let Some(waker) = lock(&waiter.waker).take()
            {
                waker.wake();
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Slab<Arc<Waiter>>> {
        lock(&self.waiting)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deadline {
    /// It is over `limit` from now, at most a second later.
    pub(super) fn set(&self, limit: Duration) {
        let until = self.all.now.load(Ordering::Relaxed).saturating_add(limit.as_secs() + 1);
        self.waiter.until.store(until, Ordering::Relaxed);
    }

    pub(super) fn clear(&self) {
        self.waiter.until.store(NEVER, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.waiter.until.load(Ordering::Relaxed) <= self.all.now.load(Ordering::Relaxed)
    }

    /// The listeners have closed: whoever waits for a request waits in vain.
    pub(super) fn is_stopping(&self) -> bool {
        self.all.stopping.load(Ordering::Relaxed)
    }

    /// The task is woken when either becomes true.
    pub(super) fn register(&self, cx: &Context<'_>) {
        let mut waker = lock(&self.waiter.waker);
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.all.waiting().try_remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::time::Instant;

    use super::*;

    async fn over(deadline: &Deadline) {
        poll_fn(|cx| {
            deadline.register(cx);
            if deadline.is_over() || deadline.is_stopping() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_holds_to_the_second_and_ends_with_the_connection() {
        let all = Arc::new(Deadlines::default());
        let (_stop, stopped) = watch::channel(false);
        tokio::spawn(Arc::clone(&all).tick(stopped));
        let (early, late, cleared) = (all.join(), all.join(), all.join());
        early.set(Duration::from_secs(5));
        late.set(Duration::from_secs(7));
        cleared.set(Duration::from_secs(1));
        cleared.clear();
        let began = Instant::now();
        over(&early).await;
        assert!((5..=6).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        assert!(!late.is_over());
        over(&late).await;
        assert!((7..=8).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        assert!(!cleared.is_over());
        drop((early, late, cleared));
        assert!(all.waiting().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_told_at_once() {
        let all = Arc::new(Deadlines::default());
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(Arc::clone(&all).tick(stopped));
        let deadline = all.join();
        let began = Instant::now();
        let waiting = tokio::spawn(async move { over(&deadline).await });
        tokio::task::yield_now().await;
        stop.send_replace(true);
        waiting.await.unwrap();
        assert!(began.elapsed() < TICK, "{:?}", began.elapsed());
    }
}
