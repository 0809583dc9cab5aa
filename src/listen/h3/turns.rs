//! A connection's own task in quinn: on its worker, and in its worker's turns for as long as it works for a handshake.

use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};

use crate::listen::gate::Turns;

tokio::task_local! {
    /// For the task that quinn is about to spawn: it does not say what for.
    static TURNS: Turns;
}

/// Runs `accept`; what it spawns takes `turns`.
pub(super) fn taking<T>(turns: Turns, accept: impl FnOnce() -> T) -> T {
    TURNS.sync_scope(turns, accept)
}

/// tokio's, but for that.
#[derive(Debug)]
pub(super) struct InTurns;

impl Runtime for InTurns {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        match TURNS.try_with(Turns::clone) {
            Ok(turns) => drop(tokio::spawn(turns.take(work))),
            Err(_) => TokioRuntime.spawn(work),
        }
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::listen::gate::Gate;
    use crate::observe::metrics::Metrics;

    #[tokio::test]
    async fn a_connections_task_lets_others_go_first_while_it_shakes_hands() {
        for (in_turns, over, at_once) in [(true, false, false), (true, true, true), (false, false, true)] {
            let turns = Gate::new(1, &Metrics::new()).place().await.turns();
            if over {
                turns.end();
            }
            let done = Arc::new(AtomicBool::new(false));
            let doing = Arc::clone(&done);
            let work = Box::pin(async move { doing.store(true, Ordering::Relaxed) });
            if in_turns {
                taking(turns, || InTurns.spawn(work))
            } else {
                InTurns.spawn(work)
            }
            tokio::task::yield_now().await;
            assert_eq!(done.load(Ordering::Relaxed), at_once, "in turns: {in_turns}, over: {over}");
            while !done.load(Ordering::Relaxed) {
                tokio::task::yield_now().await;
            }
        }
    }
}
