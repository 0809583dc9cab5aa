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
    let urgency = value.split(|&byte| byte == b',').filter_map(|member| {
        let member = member.trim_ascii();
        match member.split(|&byte| byte == b';').next().unwrap_or_default() {
            [b'u', b'=', digit @ b'0'..=b'7'] => Some(i32::from(digit - b'0')),
            _ => None,
        }
    });
    // A later member of a name holds (RFC 8941 §3.2).
    USUAL - urgency.last().unwrap_or(USUAL)
}

/// What has been said about the streams of one connection.
#[derive(Debug, Default)]
pub(super) struct Priorities {
    /// There is something: most viewers never say anything, and answers that never wait ask for nothing else.
    any: AtomicBool,
    news: Mutex<VecDeque<News>>,
}

#[derive(Debug)]
struct News {
    stream: u64,
    /// `None`: nothing has been said.
    priority: Option<i32>,
    /// Who waits for it.
    waker: Option<Waker>,
}

impl Priorities {
    pub(super) fn update(&self, stream: u64, priority: i32) {
        let mut news = self.lock();
        let of_stream = entry(&mut news, stream);
        of_stream.priority = Some(priority);
        let waker = of_stream.waker.take();
        self.any.store(true, Ordering::Relaxed);
        drop(news);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What has been said about `stream`.
    pub(super) fn of(&self, stream: u64) -> Option<i32> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        self.lock().iter().find(|news| news.stream == stream)?.priority
    }

    /// Ready once something else than `known` has been said about `stream`.
    pub(super) fn poll_other(&self, cx: &Context<'_>, stream: u64, known: i32) -> Poll<i32> {
        let mut news = self.lock();
        let of_stream = entry(&mut news, stream);
        match of_stream.priority.filter(|priority| *priority != known) {
            Some(priority) => Poll::Ready(priority),
            None => {
                of_stream.waker = Some(cx.waker().clone());
                self.any.store(true, Ordering::Relaxed);
                Poll::Pending
            }
        }
    }

    /// Its answer is out.
    pub(super) fn forget(&self, stream: u64) {
        if self.any.load(Ordering::Relaxed) {
            self.lock().retain(|news| news.stream != stream);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<News>> {
        // No code that holds this lock can leave it half changed.
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept about `stream`, as the youngest.
fn entry(news: &mut VecDeque<News>, stream: u64) -> &mut News {
    let known = news.iter().position(|news| news.stream == stream).and_then(|at| news.remove(at));
    if news.len() >= MOST {
        news.pop_front();
    }
    news.push_back(known.unwrap_or(News { stream, priority: None, waker: None }));
    news.back_mut().expect("it has just been put there")
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
        assert_eq!(priorities.poll_other(first_cx, 0, 0), Poll::Pending);
        assert_eq!(priorities.poll_other(second_cx, 4, 0), Poll::Pending);
        priorities.update(4, 2);
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (0, 1));
        assert_eq!(priorities.poll_other(first_cx, 0, 0), Poll::Pending);
        assert_eq!(priorities.poll_other(second_cx, 4, 0), Poll::Ready(2));
        assert_eq!(priorities.poll_other(second_cx, 4, 2), Poll::Pending);
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
