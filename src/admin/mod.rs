//! The admin listener: health, readiness, metrics, a page for people, CloudFront's API, explanations. HTTP/1.1, never on a public address.
//!
//! Without administrator keys it is on loopback, and answers whoever is there. With them it may be elsewhere, and what tells
//! more than health and counts must be asked for with a signature.

mod answer;
pub(crate) mod api;
mod crowd;
mod explain;
pub mod keys;
mod page;
mod sigv4;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::observe::metrics::Metrics;
pub use api::{Api, Control, Described};
use crowd::{Crowd, Place};
pub use explain::Asked;
use keys::Keys;

/// Connections served at a time; more wait to be accepted.
const CONNECTIONS: usize = 128;
/// Before the next `accept` after one that failed: no file descriptor is free, and that takes time to change.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes of a request's head.
const HEAD: usize = 64 << 10;

const TIMEOUTS: Timeouts = Timeouts { header_read: Duration::from_secs(10), stop: Duration::from_secs(2) };

#[derive(Clone, Copy)]
struct Timeouts {
    /// For a request's head, and for the next request on an idle connection.
    header_read: Duration,
    /// How long answers under way may take once the listener stops.
    stop: Duration,
}

/// What the admin listener can tell and do.
#[derive(Clone)]
pub struct Admin {
    pub metrics: Arc<Metrics>,
    /// Asked on every `/readyz`; must be quick.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    pub api: Arc<Api>,
    pub explain: Arc<Explain>,
    /// `None`: there are none, and the listener is on loopback.
    pub keys: Option<Arc<Keys>>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Caller {
    /// There are no keys: whoever reaches loopback.
    Local,
    /// By the id of the key.
    Administrator(Arc<str>),
    /// There are keys, and this one has not signed.
    Unknown,
}

impl Caller {
    fn name(&self) -> &str {
        match self {
            Self::Local => "local",
            Self::Administrator(id) => id,
            Self::Unknown => "unknown",
        }
    }
}

/// JSON, or what of the question cannot be read.
pub type Explain = dyn Fn(&Asked) -> Result<String, String> + Send + Sync;

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("metrics", &self.metrics).finish_non_exhaustive()
    }
}

/// Whether viewers should be sent here, and why (not). The JSON of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    pub ready: bool,
    pub checks: Vec<Check>,
}

/// One of the things that readiness depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `configuration`, `certificates`, `credentials`, `origin` or `draining`.
    pub name: &'static str,
    pub ok: bool,
    /// For people; nothing secret.
    pub detail: String,
}

/// Serves until `stop` becomes true (or its sender is gone), then finishes the answers under way.
pub async fn serve(listener: TcpListener, admin: Admin, stop: watch::Receiver<bool>) {
    serve_within(TIMEOUTS, listener, admin, stop).await;
}

async fn serve_within(
    timeouts: Timeouts,
    listener: TcpListener,
    admin: Admin,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let crowd = Crowd::default();
    let is_local = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, peer)) => if let Some(place) = crowd.enter(peer.ip()) {
                    let listener = (admin.clone(), is_local);
                    connections.spawn(serve_connection(timeouts, (stream, place), listener, stop.clone()));
                },
                Err(error) => {
                    tracing::warn!(%error, "the admin listener cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    // What is still there then is aborted with `connections`.
    let _ = tokio::time::timeout(timeouts.stop, finish).await;
}

async fn serve_connection(
    timeouts: Timeouts,
    (stream, _place): (TcpStream, Place),
    (admin, is_local): (Admin, bool),
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(|request| {
        let admin = admin.clone();
        async move { Ok::<_, Infallible>(answer::answer(&admin, request, is_local).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(HEAD)
        .header_read_timeout(timeouts.header_read)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an admin connection failed");
    }
}

/// `stop` is true, or no one is left who could say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
