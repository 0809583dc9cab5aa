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
