//! What a viewer wants first (RFC 9218), in quinn's terms: streams of a higher priority go first. It may change its mind
//! while an answer is under way, and say so before the request has come (§7.2).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Streams about which something is kept: as many as there can be at a time, answered or still to come, twice. The oldest
/// news makes way.
const MOST: usize = 256;

/// Of a field or a frame: `u=0` goes first, 3 is what has none (RFC 9218 §4.1).
pub(super) fn read(value: &[u8]) -> i32 {
    const USUAL: i32 = 3;
    let mut members = value.rsplit(|&byte| byte == b',');
    let urgency = members.find_map(|member| {
        let member = member.trim_ascii();
        match member.split(|&byte| byte == b';').next().unwrap_or_default() {
            [b'u', b'=', digit @ b'0'..=b'7'] => Some(i32::from(digit - b'0')),
            _ => None,
        }
    });
    // A later member of a name holds (RFC 8941 §3.2).
    USUAL - urgency.unwrap_or(USUAL)
}

/// What has been said about the streams of one connection, and who waits.
#[derive(Debug, Default)]
pub(super) struct Priorities {
    /// There is something: most viewers never say anything, and answers that never wait ask for nothing else.
    any: AtomicBool,
    streams: Mutex<VecDeque<Stream>>,
}

#[derive(Debug)]
struct Stream {
    id: u64,
    /// What the viewer has said. `None`: nothing.
    said: Option<i32>,
    waits: Option<Waiting>,
}

/// An answer that waits for something, and for what the viewer says meanwhile.
#[derive(Debug)]
struct Waiting {
    /// What it has now.
    priority: i32,
    /// It has more to write, and there was no room.
    for_room: bool,
    waker: Waker,
}

impl Priorities {
    pub(super) fn update(&self, id: u64, priority: i32) {
        let mut streams = self.lock();
        let stream = entry(&mut streams, id);
        stream.said = Some(priority);
        let waiting = stream.waits.take();
        self.any.store(true, Ordering::Relaxed);
        drop(streams);
        if let Some(waiting) = waiting {
            waiting.waker.wake();
        }
    }

    /// What has been said about stream `id`.
    pub(super) fn of(&self, id: u64) -> Option<i32> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        self.lock().iter().find(|stream| stream.id == id)?.said
    }

    /// Ready once something else than `known` has been said about stream `id`, which waits, perhaps for room to write.
    pub(super) fn poll_other(&self, cx: &Context<'_>, id: u64, known: i32, for_room: bool) -> Poll<()> {
        let mut streams = self.lock();
        let stream = entry(&mut streams, id);
        if stream.said.is_some_and(|priority| priority != known) {
            stream.waits = None;
            return Poll::Ready(());
        }
        stream.waits = Some(Waiting { priority: known, for_room, waker: cx.waker().clone() });
        self.any.store(true, Ordering::Relaxed);
        Poll::Pending
    }

    /// Wakes what waits for room with a higher priority than `own`, so that it is asked first: when there is room again,
    /// quinn wakes everybody, and the first takes all of it. `false`: there is nothing.
    pub(super) fn wake_higher(&self, own: i32) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let mut wakers = Vec::new();
        for stream in self.lock().iter_mut() {
            let higher = stream.waits.take_if(|waiting| waiting.for_room && waiting.priority > own);
            wakers.extend(higher.map(|waiting| waiting.waker));
        }
        let found = !wakers.is_empty();
        wakers.into_iter().for_each(Waker::wake);
        found
    }

    /// Does anything with a higher priority than `own` wait for room?
    pub(super) fn has_higher(&self, own: i32) -> bool {
        let is_higher = |waiting: &Waiting| waiting.for_room && waiting.priority > own;
        self.lock().iter().any(|stream| stream.waits.as_ref().is_some_and(is_higher))
    }

    /// Its answer is out.
    pub(super) fn forget(&self, id: u64) {
        if self.any.load(Ordering::Relaxed) {
            self.lock().retain(|stream| stream.id != id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Stream>> {
        // No code that holds this lock can leave it half changed.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept about stream `id`, as the youngest.
fn entry(streams: &mut VecDeque<Stream>, id: u64) -> &mut Stream {
    let known = streams.iter().position(|stream| stream.id == id).and_then(|at| streams.remove(at));
    if streams.len() >= MOST {
        streams.pop_front();
    }
    streams.push_back(known.unwrap_or(Stream { id, said: None, waits: None }));
    streams.back_mut().expect("it has just been put there")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[test]
    fn what_is_urgent_goes_first() {
        // RFC 9218 §4.1
        for (value, priority) in [
            ("u=0", 3),
            ("u=3", 0),
            ("u=7", -4),
            ("i", 0),
            ("", 0),
            ("i, u=1", 2),
            ("u=1;x, i", 2),
            ("u=1, u=5", -2),
            ("u=8", 0),
            ("u=-1", 0),
            ("u=10", 0),
        ] {
            assert_eq!(read(value.as_bytes()), priority, "{value}");
        }
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_is_told_and_nobody_else() {
        let priorities = Priorities::default();
        let (first, second) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let wakers = [Arc::clone(&first).into(), Arc::clone(&second).into()];
        let [mut first_cx, mut second_cx] = [0, 1].map(|nth: usize| Context::from_waker(&wakers[nth]));
        let (first_cx, second_cx) = (&mut first_cx, &mut second_cx);
        let woken = || (first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed));
        assert!(priorities.poll_other(first_cx, 0, 0, true).is_pending());
        assert!(priorities.poll_other(second_cx, 4, 0, false).is_pending());
        priorities.update(4, 2);
        assert_eq!(woken(), (0, 1));
        assert!(priorities.poll_other(first_cx, 0, 0, true).is_pending());
        assert!(priorities.poll_other(second_cx, 4, 0, false).is_ready());
        assert!(priorities.poll_other(second_cx, 4, 2, false).is_pending());

        // Of those that wait for room the more urgent go first, and are told once.
        assert!(!priorities.wake_higher(0), "the second has written all that it has");
        assert!(priorities.poll_other(second_cx, 4, 2, true).is_pending());
        assert!(!priorities.wake_higher(2));
        assert!(priorities.has_higher(1) && priorities.wake_higher(1));
        assert_eq!(woken(), (0, 2));
        assert!(!priorities.has_higher(1) && !priorities.wake_higher(1));
    }

    #[test]
    fn what_is_said_before_the_request_is_known_when_it_comes() {
        let priorities = Priorities::default();
        assert_eq!(priorities.of(4), None);
        priorities.update(4, 1);
        priorities.update(4, -1);
        assert_eq!((priorities.of(4), priorities.of(8)), (Some(-1), None));
        priorities.forget(4);
        assert_eq!(priorities.of(4), None);
    }

    #[test]
    fn a_viewer_cannot_fill_the_memory() {
        let priorities = Priorities::default();
        for nth in 0..10_000 {
            priorities.update(4 * nth, 1);
        }
        assert_eq!(priorities.lock().len(), MOST);
        assert_eq!((priorities.of(0), priorities.of(4 * 9_999)), (None, Some(1)));
    }
}
