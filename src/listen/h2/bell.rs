//! Who of a connection's has woken it? Of a hundred requests that wait, only those are polled that have something new.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// One connection's.
#[derive(Debug, Default)]
pub(super) struct Bell {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rung: Vec<Arc<Ring>>,
    /// Of the connection's task.
    task: Option<Waker>,
}

#[derive(Debug)]
struct Ring {
    whose: u32,
    rung: AtomicBool,
    bell: Arc<Bell>,
}

impl Bell {
    /// A waker that says `whose` it is.
    pub(super) fn ring(self: &Arc<Self>, whose: u32) -> Waker {
        Arc::new(Ring { whose, rung: AtomicBool::new(false), bell: Arc::clone(self) }).into()
    }

    /// The task that is woken from now on.
    pub(super) fn set_task(&self, task: &Waker) {
        let mut state = self.lock();
        if !state.task.as_ref().is_some_and(|waker| waker.will_wake(task)) {
            state.task = Some(task.clone());
        }
    }

    /// One of those that have rung.
    pub(super) fn next(&self) -> Option<u32> {
        let ring = self.lock().rung.pop()?;
        ring.rung.store(false, Ordering::Release);
        Some(ring.whose)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.bell.lock();
        state.rung.push(Arc::clone(self));
        let task = state.task.clone();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Debug, Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_has_rung_is_told_once() {
        let (bell, task) = (Arc::new(Bell::default()), Arc::new(Counted::default()));
        bell.set_task(&Arc::clone(&task).into());
        let (one, three) = (bell.ring(1), bell.ring(3));
        one.wake_by_ref();
        one.wake_by_ref();
        three.wake_by_ref();
        let mut rung = [bell.next(), bell.next()];
        rung.sort_unstable();
        assert_eq!((rung, bell.next()), ([Some(1), Some(3)], None));
        one.wake();
        assert_eq!((bell.next(), task.0.load(Ordering::Relaxed)), (Some(1), 3));
    }
}
