//! The open loop. A request is due at its time, whatever became of earlier ones: if no connection is free it waits, and
//! that counts (a closed loop would ask a stalled server less, and its p99 would flatter: "coordinated omission").

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::{spawn_local, yield_now};

use crate::http::{Connection, Failure, Target};

/// After the last request was due.
const LAST: Duration = Duration::from_secs(5);

/// # Errors
/// A connection that fails, an answer that is not as expected, or requests that are not answered at all.
pub(crate) async fn run(
    target: &Target,
    rate: f64,
    warm: Duration,
    period: Duration,
    lanes: usize,
) -> Result<Value, Failure> {
    let mut connections = Vec::new();
    for _ in 0..lanes {
        connections.push(target.connect().await?);
    }
    let queue = Rc::new(Queue::default());
    let running: Vec<_> = connections
        .into_iter()
        .map(|connection| {
            let (queue, request) = (Rc::clone(&queue), target.request("GET", 0, ""));
            spawn_local(lane(connection, request, queue))
        })
        .collect();

    let began = Instant::now();
    let (measured_from, end) = (began + warm, began + warm + period);
    queue.measured_from.set(Some(measured_from));
    let gap = Duration::try_from_secs_f64(1.0 / rate)?;
    let mut lags = Vec::new();
    let mut due = began;
    // A timer's tick is a millisecond, far too coarse. This spins: the core is the load's own.
    while due < end {
        let now = Instant::now();
        while due <= now && due < end {
            queue.add(due);
            if due >= measured_from {
                lags.push(now - due);
            }
            due += gap;
        }
        yield_now().await;
    }
    let asked = lags.len();
    while queue.done.get() < asked && end.elapsed() < LAST {
        yield_now().await;
    }
    queue.over();
    for lane in running {
        // Those that nobody answered are found below; these have failed.
        if lane.is_finished() {
            lane.await??;
        } else {
            lane.abort();
        }
    }
    let mut latencies = queue.latencies.take();
    if latencies.len() < asked {
        return Err(format!("{} of {asked} requests were not answered", asked - latencies.len()).into());
    }
    Ok(json!({
        "requests": asked,
        "seconds": period.as_secs_f64(),
        "p50_us": quantile(&mut latencies, 0.5),
        "p99_us": quantile(&mut latencies, 0.99),
        "p999_us": quantile(&mut latencies, 0.999),
        // How late this program itself was: latencies of this order say nothing of the server.
        "lag_p99_us": quantile(&mut lags, 0.99),
    }))
}

async fn lane(mut connection: Connection, request: Vec<u8>, queue: Rc<Queue>) -> Result<(), Failure> {
    let mut buffer = vec![0; 64 << 10];
    while let Some(due) = queue.next().await {
        connection.exchange(&request, &mut buffer).await?;
        if queue.measured_from.get().is_some_and(|from| due >= from) {
            queue.latencies.borrow_mut().push(due.elapsed());
            queue.done.set(queue.done.get() + 1);
        }
    }
    Ok(())
}

/// What is due and not sent yet, and what came of the rest.
#[derive(Default)]
struct Queue {
    due: RefCell<VecDeque<Instant>>,
    more: Notify,
    is_over: Cell<bool>,
    measured_from: Cell<Option<Instant>>,
    latencies: RefCell<Vec<Duration>>,
    done: Cell<usize>,
}

impl Queue {
    fn add(&self, due: Instant) {
        self.due.borrow_mut().push_back(due);
        self.more.notify_one();
    }

    /// `None`: it is over.
    async fn next(&self) -> Option<Instant> {
        loop {
            if self.is_over.get() {
                return None;
            }
            let due = self.due.borrow_mut().pop_front();
            if due.is_some() {
                return due;
            }
            self.more.notified().await;
        }
    }

    fn over(&self) {
        self.is_over.set(true);
        self.more.notify_waiters();
    }
}

/// In microseconds; 0 of nothing.
pub(crate) fn quantile(of: &mut [Duration], share: f64) -> f64 {
    of.sort_unstable();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index"
    )]
    let index = ((of.len() as f64 * share) as usize).min(of.len().saturating_sub(1));
    of.get(index).map_or(0.0, |duration| duration.as_secs_f64() * 1e6)
}
