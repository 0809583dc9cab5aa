//! HTTP/3 (RFC 9114) over quinn's QUIC, on the UDP port beside the HTTPS listener.
//!
//! One socket and one thread receive: a viewer that changes its address keeps its connection, which the kernel could not
//! know if it spread packets over several sockets by where they come from. Whoever receives only looks up whose a packet is:
//! connections are decrypted, driven and answered on the workers, each on one of them for its life.
//!
//! The framing is our own. The crate h3 (0.0.8) takes a HEADERS frame of any length into memory before it looks at it,
//! forgets whether a pseudo-header field came twice or too late, and copies every byte of a body; it is the viewer in our
//! tests.

mod connection;
mod control;
mod frame;
mod head;
mod hit;
mod interim;
mod offer;
mod priority;
mod qpack;
mod request;
mod requests;
mod stream;
mod turns;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use quinn::{Endpoint, EndpointConfig, Incoming};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{mpsc, oneshot, watch};

use crate::edge::Edge;
use crate::listen::gate::Place;
use crate::observe::metrics::Metrics;
pub(super) use offer::Offer;
use turns::InTurns;

/// Bytes that the kernel keeps of what has come and is not read yet, and of what is on its way out; it may allow less.
const SOCKET_BUFFER: usize = 4 << 20;
/// Handshakes under way, proven addresses or not; more are refused.
const MOST_HANDSHAKES: usize = 4096;
/// Connections on their way to one worker.
const INBOX: usize = 256;

/// Binds the socket; nobody else may have it.
///
/// # Errors
/// Why not.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // As much of it as the system allows.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The thread that receives.
#[derive(Debug)]
pub(super) struct Reception {
    /// Its drop says that the workers are gone.
    workers: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// A worker's share of the connections.
#[derive(Debug)]
pub(super) struct Arrivals(mpsc::Receiver<Arrival>);

/// A connection that begins.
#[derive(Debug)]
pub(super) struct Arrival {
    incoming: Incoming,
    offer: Offer,
    shaking: Shaking,
    /// For as long as it lives.
    load: Counted,
}

/// Starts to receive. `unproven`: with so many handshakes under way with viewers of whom nobody knows whether they are
/// where their packets say, further ones must show it first (RFC 9000 §8.1.2).
///
/// # Errors
/// What the system does not give.
pub(super) fn open(
    socket: UdpSocket,
    offer: &Offer,
    workers: usize,
    unproven: usize,
    metrics: &Arc<Metrics>,
    stop: watch::Receiver<bool>,
) -> io::Result<(Reception, Vec<Arrivals>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let endpoint = {
        let _inside = runtime.enter();
        Endpoint::new(EndpointConfig::default(), Some(offer.quic()), socket, Arc::new(InTurns))?
    };
    let (senders, arrivals): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::channel(INBOX)).unzip();
    let door = Door {
        offer: offer.clone(),
        workers: senders.into_iter().map(|sender| (sender, Arc::default())).collect(),
        shaking: Arc::default(),
        unproven: Arc::default(),
        most_unproven: unproven,
        metrics: Arc::clone(metrics),
    };
    let (workers, workers_gone) = oneshot::channel();
    let thread = std::thread::Builder::new().name("quic".into());
    let thread = thread.spawn(move || {
        runtime.block_on(door.receive(endpoint, stop, workers_gone));
        runtime.shutdown_background();
    })?;
    Ok((Reception { workers, thread }, arrivals.into_iter().map(Arrivals).collect()))
}

impl Reception {
    /// To be called once the workers are gone.
    pub(super) fn close(self) {
        drop(self.workers);
        if self.thread.join().is_err() {
            tracing::error!("the thread that receives QUIC panicked");
        }
    }
}

impl Arrivals {
    /// `None`: there will be no more.
    pub(super) async fn next(&mut self) -> Option<Arrival> {
        self.0.recv().await
    }
}

impl Arrival {
    /// Serves it, on the runtime where this is polled. Its handshake has a place.
    pub(super) async fn serve(self, place: Place, edge: Arc<Edge>, stop: watch::Receiver<bool>) {
        let Self { incoming, offer, shaking, load } = self;
        connection::serve(incoming, offer, place, edge, stop, shaking).await;
        drop(load);
    }
}

/// Who comes in, and to which worker.
struct Door {
    offer: Offer,
    /// With the connections that each has.
    workers: Vec<(mpsc::Sender<Arrival>, Arc<AtomicUsize>)>,
    shaking: Arc<AtomicUsize>,
    unproven: Arc<AtomicUsize>,
    most_unproven: usize,
    metrics: Arc<Metrics>,
}

impl Door {
    /// Until the workers are gone: their connections live from what comes in here.
    async fn receive(
        self,
        endpoint: Endpoint,
        mut stop: watch::Receiver<bool>,
        workers_gone: oneshot::Receiver<()>,
    ) {
        loop {
            tokio::select! {
                incoming = endpoint.accept() => match incoming {
                    Some(incoming) => self.admit(incoming),
                    None => break,
                },
                _ = stop.wait_for(|&stop| stop) => break,
            }
        }
        endpoint.set_server_config(None);
        let _ = workers_gone.await;
    }

    fn admit(&self, incoming: Incoming) {
        let proven = incoming.remote_address_validated();
        if !proven && incoming.may_retry() && self.unproven.load(Ordering::Relaxed) >= self.most_unproven {
            self.metrics.http3_retry();
            // It may be retried: that was asked.
            let _ = incoming.retry();
            return;
        }
        if self.shaking.load(Ordering::Relaxed) >= MOST_HANDSHAKES {
            return self.refuse(incoming);
        }
        let shaking = Shaking(Counted::new(&self.shaking), (!proven).then(|| Counted::new(&self.unproven)));
        let idlest = self.workers.iter().min_by_key(|(_, load)| load.load(Ordering::Relaxed));
        let Some((worker, load)) = idlest else { return self.refuse(incoming) };
        let arrival = Arrival { incoming, offer: self.offer.clone(), shaking, load: Counted::new(load) };
        if let Err(refused) = worker.try_send(arrival) {
            self.refuse(refused.into_inner().incoming);
        }
    }

    /// There is no place for it, nor for it to wait.
    fn refuse(&self, incoming: Incoming) {
        self.metrics.tls_handshake_error("refused");
        incoming.refuse();
    }
}

/// A handshake under way; and one with an address that is not proven.
#[derive(Debug)]
struct Shaking(
    #[expect(dead_code, reason = "its drop counts")] Counted,
    #[expect(dead_code, reason = "its drop counts")] Option<Counted>,
);

/// One of those that are counted there.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
