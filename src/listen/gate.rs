//! Handshakes apart from requests: how many a worker has under way, and how much of its time they take. So a flood of
//! them does not starve the viewers that are there already.
//!
//! - A worker accepts no more than it has places for unfinished handshakes; the others wait in the kernel's backlog, which
//!   is bounded, too. With no place left, one that is not done after [`PATIENCE`] makes room for the next.
//! - A handshake computes for 200 µs at a stretch. All handshakes of a worker together take, in one turn of its runtime, no
//!   longer than everybody else took in the turn before, or one step.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
#[cfg(feature = "http3")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::observe::metrics::Metrics;

/// An unfinished handshake that is older than this gives way to the next, if there is no other place.
const PATIENCE: Duration = Duration::from_secs(2);
/// Whatever the others took: a turn must end.
const LONGEST_TURN: Duration = Duration::from_millis(5);

/// Of one worker, for one kind of handshakes.
#[derive(Debug)]
pub(super) struct Gate {
    places: Arc<Semaphore>,
    under_way: Mutex<UnderWay>,
    /// Of all the worker's gates.
    turn: Arc<tokio::sync::Mutex<Turn>>,
    metrics: Arc<Metrics>,
}

/// The handshakes that have begun, the oldest first.
#[derive(Debug, Default)]
struct UnderWay {
    next: u64,
    begun: BTreeMap<u64, Begun>,
}

#[derive(Debug)]
struct Begun {
    at: Instant,
    give_way: Arc<Notify>,
}

/// What handshakes may take of the worker's time, and have taken.
#[derive(Debug, Default)]
struct Turn {
    allowed: Duration,
    taken: Duration,
}

/// The right to one unfinished handshake.
#[derive(Debug)]
pub(super) struct Place {
    gate: Arc<Gate>,
    _permit: OwnedSemaphorePermit,
}

/// Another one needed the place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GaveWay;

impl Gate {
    /// For at most `places` unfinished handshakes.
    pub(super) fn new(places: usize, metrics: &Arc<Metrics>) -> Arc<Self> {
        Self::sharing(places, metrics, &Arc::default())
    }

    /// For as many handshakes of another kind, which take the same turns: none of either kind waits for a place of the other.
    pub(super) fn beside(&self, places: usize) -> Arc<Self> {
        Self::sharing(places, &self.metrics, &self.turn)
    }

    fn sharing(places: usize, metrics: &Arc<Metrics>, turn: &Arc<tokio::sync::Mutex<Turn>>) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            under_way: Mutex::default(),
            turn: Arc::clone(turn),
            metrics: Arc::clone(metrics),
        })
    }

    /// Waits for a place. Only one waits at a time: the one who accepts.
    pub(super) async fn place(self: &Arc<Self>) -> Place {
        let permit = tokio::select! {
            biased;
            permit = self.permit() => permit,
            () = self.oldest_is_due() => {
                self.make_room();
                self.permit().await
            }
        };
        Place { gate: Arc::clone(self), _permit: permit }
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.places).acquire_owned().await.expect("nobody closes the gate")
    }

    async fn oldest_is_due(&self) {
        loop {
            let oldest = self.under_way().begun.first_key_value().map(|(_, begun)| begun.at);
            // One that has a place and has not begun yet is no older than this.
            let due = oldest.unwrap_or_else(Instant::now) + PATIENCE;
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }

    fn make_room(&self) {
        if let Some((_, oldest)) = self.under_way().begun.pop_first() {
            oldest.give_way.notify_one();
        }
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        // No code that holds this lock can leave the state half changed.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drives `handshake`, each step in its turn. One in a task: whatever wakes the task is taken for the handshake's.
    async fn drive<F: Future>(&self, mut handshake: Pin<&mut F>) -> F::Output {
        loop {
            match self.step(handshake.as_mut()).await {
                Poll::Ready(done) => return done,
                // Nothing may come between the poll and this: a wake would be lost.
                Poll::Pending => woken().await,
            }
        }
    }

    /// One step of `handshake`, in its turn.
    async fn step<F: Future>(&self, mut handshake: Pin<&mut F>) -> Poll<F::Output> {
        let mut turn = self.turn.lock().await;
        if turn.taken >= turn.allowed {
            let since = Instant::now();
            // The runtime asks the kernel who else is ready, and lets them go first.
            tokio::task::yield_now().await;
            *turn = Turn { allowed: since.elapsed().min(LONGEST_TURN), taken: Duration::ZERO };
        }
        let began = Instant::now();
        let polled = poll_fn(|cx| Poll::Ready(handshake.as_mut().poll(cx))).await;
        turn.taken += began.elapsed();
        polled
    }
}

/// Comes back when this task has been woken.
async fn woken() {
    let mut waited = false;
    poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

impl Place {
    /// For what works for this handshake in a task of its own.
    #[cfg(feature = "http3")]
    pub(super) fn turns(&self) -> Turns {
        Turns { gate: Arc::clone(&self.gate), over: Arc::default() }
    }

    /// Runs a handshake to its end, unless it must give way. The place is free when this returns.
    ///
    /// # Errors
    /// [`GaveWay`].
    pub(super) async fn shake<F: Future>(self, handshake: F) -> Result<F::Output, GaveWay> {
        let _counted = self.gate.metrics.tls_handshake();
        let running = Running::begin(&self.gate);
        let handshake = pin!(handshake);
        tokio::select! {
            biased;
            done = self.gate.drive(handshake) => Ok(done),
            () = running.give_way.notified() => Err(GaveWay),
        }
    }
}

/// Keeps a task in the worker's turns for as long as it works for a handshake.
#[cfg(feature = "http3")]
#[derive(Debug, Clone)]
pub(super) struct Turns {
    gate: Arc<Gate>,
    over: Arc<AtomicBool>,
}

#[cfg(feature = "http3")]
impl Turns {
    /// The handshake is over.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// `work` to its end: in turns, until the handshake is over.
    pub(super) async fn take<F: Future>(self, work: F) -> F::Output {
        let mut work = pin!(work);
        while !self.over.load(Ordering::Relaxed) {
            match self.gate.step(work.as_mut()).await {
                Poll::Ready(done) => return done,
                Poll::Pending => woken().await,
            }
        }
        work.await
    }
}

/// One of those under way, for as long as it lives.
struct Running<'g> {
    gate: &'g Gate,
    number: u64,
    give_way: Arc<Notify>,
}

impl<'g> Running<'g> {
    fn begin(gate: &'g Gate) -> Self {
        let give_way = Arc::new(Notify::new());
        let mut under_way = gate.under_way();
        let number = under_way.next;
        under_way.next += 1;
        under_way.begun.insert(number, Begun { at: Instant::now(), give_way: Arc::clone(&give_way) });
        drop(under_way);
        Self { gate, number, give_way }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.gate.under_way().begun.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn who_comes_when_all_places_are_taken_waits_until_one_is_done() {
        let gate = Gate::new(2, &Metrics::new());
        let (first, second) = (gate.place().await, gate.place().await);
        assert!(timeout(SOON, gate.place()).await.is_err());
        assert_eq!(first.shake(sleep(SOON)).await, Ok(()));
        let third = timeout(SOON, gate.place()).await.expect("the first has left");
        assert!(timeout(SOON, gate.place()).await.is_err());
        drop((second, third));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_one_gives_way_to_the_next_and_only_if_there_is_one() {
        let gate = Gate::new(2, &Metrics::new());
        let stuck = tokio::spawn(gate.place().await.shake(std::future::pending::<()>()));
        sleep(SOON).await;
        let later = tokio::spawn(gate.place().await.shake(sleep(3 * PATIENCE)));
        sleep(2 * PATIENCE).await;
        assert!(!stuck.is_finished(), "nobody needs its place");
        let place = timeout(SOON, gate.place()).await.expect("the oldest is due");
        assert_eq!(stuck.await.unwrap(), Err(GaveWay));
        drop(place);
        assert_eq!(later.await.unwrap(), Ok(()), "one place was needed, not two");
    }

    #[tokio::test(start_paused = true)]
    async fn a_young_one_is_let_be() {
        let gate = Gate::new(1, &Metrics::new());
        let young = tokio::spawn(gate.place().await.shake(sleep(PATIENCE / 2)));
        assert!(timeout(PATIENCE, gate.place()).await.is_ok());
        assert_eq!(young.await.unwrap(), Ok(()));
    }

    /// Ready at once, again and again, as a flood is; each step takes a millisecond.
    async fn busy(steps: u32) {
        for _ in 0..steps {
            std::thread::sleep(SOON);
            let mut again = false;
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if std::mem::replace(&mut again, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    }

    #[tokio::test]
    async fn between_two_steps_of_a_flood_the_others_have_their_turn() {
        let gate = Gate::new(64, &Metrics::new());
        let mut flood = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let place = gate.place().await;
            flood.spawn(place.shake(busy(1)));
        }
        let mut turns = 0;
        while !flood.is_empty() {
            tokio::task::yield_now().await;
            turns += 1;
            while let Some(done) = flood.try_join_next() {
                assert_eq!(done.unwrap(), Ok(()));
            }
        }
        assert!(turns >= 20, "{turns} turns beside 20 handshakes of two steps each");
    }

    /// A QUIC connection's own task: what it computes for a flood is no less of a burden.
    #[cfg(feature = "http3")]
    #[tokio::test]
    async fn what_works_for_handshakes_elsewhere_takes_its_turns_with_those_of_the_other_kind() {
        let tcp = Gate::new(64, &Metrics::new());
        let quic = tcp.beside(1);
        let (place, turns) = (tcp.place().await, quic.place().await.turns());
        let mut flood = tokio::task::JoinSet::new();
        for _ in 0..10 {
            flood.spawn(turns.clone().take(busy(1)));
        }
        flood.spawn(async { place.shake(busy(10)).await.unwrap() });
        let mut passed = 0;
        while !flood.is_empty() {
            tokio::task::yield_now().await;
            passed += 1;
            while let Some(done) = flood.try_join_next() {
                done.unwrap();
            }
        }
        assert!(passed >= 20, "{passed} turns beside 21 steps");
    }

    #[cfg(feature = "http3")]
    #[tokio::test]
    async fn once_the_handshake_is_over_nobody_waits_for_a_turn() {
        let gate = Gate::new(1, &Metrics::new());
        let turns = gate.place().await.turns();
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<()>(1);
        let work = tokio::spawn(turns.clone().take(async move { while receiver.recv().await.is_some() {} }));
        sender.send(()).await.unwrap();
        turns.end();
        let _turn = gate.turn.lock().await;
        sender.send(()).await.unwrap();
        drop(sender);
        timeout(Duration::from_secs(10), work).await.expect("it takes no turn").unwrap();
    }

    #[tokio::test]
    async fn a_wake_in_the_middle_of_a_turn_is_not_lost() {
        let gate = Gate::new(64, &Metrics::new());
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<()>(1);
        let waits = gate.place().await.shake(async { while receiver.recv().await.is_some() {} });
        let wakes = async {
            for _ in 0..1000 {
                sender.send(()).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(sender);
        };
        let (done, ()) =
            timeout(Duration::from_secs(10), async { tokio::join!(waits, wakes) }).await.unwrap();
        assert_eq!(done, Ok(()));
    }
}
