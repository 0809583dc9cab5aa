//! Sockets: bound first, served by workers, drained at the end. Knows nothing of what is served.
//!
//! Each worker is a thread with a runtime of its own and, by `SO_REUSEPORT`, listeners of its own. A connection may go to
//! another worker when it is accepted, if that one has far less to do (`balance`), and never moves again. All workers end
//! together, when the last viewer is gone or the grace period is over: a connection to an origin lives on the worker that opened it, and another worker's viewer may be reading from it.

mod balance;
pub mod certs;
mod connection;
mod deadlines;
mod gate;
mod h1;
mod h2;
#[cfg_attr(not(feature = "http3"), path = "no_h3.rs")]
mod h3;
mod handshakes;
mod huffman;
mod interim;
mod patience;
mod proxy;
mod rewound;
#[cfg(test)]
mod tests;
pub mod tickets;
pub mod tls;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::config::Listen;
use crate::edge::Edge;
use balance::{Guest, Loads};
use connection::{Door, LAST_WORDS};
use deadlines::Deadlines;
use gate::Gate;
pub use handshakes::Handshakes;

/// Pending connections that the kernel keeps for a listener.
const BACKLOG: u32 = 4096;
/// After an error of accept (no descriptors left, mostly): time for connections to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// So many connections are accepted in a row before those that are there have their turn.
const BURST: u32 = 8;
/// Connections on their way to one worker from the others.
const INBOX: usize = 64;

/// Bound, not serving yet.
#[derive(Debug)]
pub struct Bound {
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub admin: SocketAddr,
    workers: Vec<Pair>,
    admin_listener: std::net::TcpListener,
    /// For HTTP/3, on the port of `https`.
    udp: Option<UdpSocket>,
}

#[derive(Debug)]
struct Pair {
    http: std::net::TcpListener,
    https: std::net::TcpListener,
}

/// Binds everything, or nothing; UDP only for HTTP/3.
///
/// # Errors
/// The address, and why it cannot be bound.
pub fn bind(listen: &Listen, http3: bool) -> io::Result<Bound> {
    for address in [listen.http, listen.https] {
        refuse_shared(address)?;
    }
    let (https, udp) = bind_https(listen.https, http3)?;
    let first = Pair { http: bind_one(listen.http)?, https };
    let (http, https) = (first.http.local_addr()?, first.https.local_addr()?);
    let mut workers = vec![first];
    for _ in 1..listen.workers.max(1) {
        workers.push(Pair { http: bind_one(http)?, https: bind_one(https)? });
    }
    let admin_listener =
        std::net::TcpListener::bind(listen.admin).map_err(|error| naming(listen.admin, &error))?;
    admin_listener.set_nonblocking(true)?;
    Ok(Bound { http, https, admin: admin_listener.local_addr()?, workers, admin_listener, udp })
}

/// TCP, and UDP on the same port; a port of the system's choice may be free for one and taken for the other.
fn bind_https(address: SocketAddr, http3: bool) -> io::Result<(std::net::TcpListener, Option<UdpSocket>)> {
    let mut attempts = if address.port() == 0 { 10 } else { 1 };
    loop {
        let tcp = bind_one(address)?;
        if !http3 {
            return Ok((tcp, None));
        }
        let bound = tcp.local_addr()?;
        attempts -= 1;
        match h3::bind(bound) {
            Ok(udp) => return Ok((tcp, Some(udp))),
            Err(error) if attempts == 0 => {
                let error = io::Error::new(error.kind(), format!("UDP, for HTTP/3: {error}"));
                return Err(naming(bound, &error));
            }
            Err(_) => {}
        }
    }
}

/// `SO_REUSEPORT` would let a second edge bind what a first one serves, and take half of its viewers. A socket without
/// it cannot.
fn refuse_shared(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    // The standard library sets SO_REUSEADDR: connections of an earlier process that still linger do not matter.
    std::net::TcpListener::bind(address).map(drop).map_err(|error| naming(address, &error))
}

fn bind_one(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    listener().map_err(|error| naming(address, &error))
}

fn naming(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}

/// The workers, serving.
#[derive(Debug)]
pub struct Serving {
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
    reception: Option<h3::Reception>,
    loads: Arc<Loads>,
}

impl Bound {
    /// Starts the workers. The admin listener is handed back: it is served elsewhere.
    ///
    /// # Errors
    /// A thread or a runtime that cannot be made.
    pub fn serve(
        self,
        edge: &Arc<Edge>,
        handshakes: &Handshakes,
        listen: &Listen,
    ) -> io::Result<(Serving, std::net::TcpListener)> {
        edge.set_https_port(self.https.port());
        let stop = watch::Sender::new(false);
        let handshakes = Arc::new(handshakes.clone());
        let loads = Loads::new(self.workers.len());
        let (outboxes, inboxes): (Vec<_>, Vec<_>) = self.workers.iter().map(|_| mailboxes()).unzip();
        let outboxes: Arc<[Outboxes]> = outboxes.into();
        let count = self.workers.len();
        let (reception, arrivals) = match (self.udp, handshakes.http3()) {
            (Some(udp), Some(offer)) => {
                let unproven = listen.unproven_handshakes;
                let (reception, arrivals) =
                    h3::open(udp, offer, count, unproven, &edge.metrics, stop.subscribe())?;
                (Some(reception), arrivals)
            }
            _ => (None, Vec::new()),
        };
        let mut arrivals = arrivals.into_iter();
        let balancers: Arc<[IpNet]> = listen.proxy_protocol.as_slice().into();
        let mut workers = Vec::new();
        for (index, (pair, inboxes)) in self.workers.into_iter().zip(inboxes).enumerate() {
            let gate = Gate::new(listen.handshakes, &edge.metrics);
            let worker = Worker {
                index,
                edge: Arc::clone(edge),
                handshakes: Arc::clone(&handshakes),
                quic_gate: gate.beside(listen.handshakes),
                gate,
                stop: stop.subscribe(),
                loads: Arc::clone(&loads),
                outboxes: Arc::clone(&outboxes),
                grace: listen.grace,
                balancers: Arc::clone(&balancers),
            };
            let arrivals = arrivals.next();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let thread = std::thread::Builder::new().name(format!("edge-{index}"));
            workers.push(thread.spawn(move || {
                runtime.block_on(worker.run(pair, inboxes, arrivals));
                // A name that is still being looked up must not hold up the end.
                runtime.shutdown_background();
            })?);
        }
        Ok((Serving { stop, workers, reception, loads }, self.admin_listener))
    }
}

impl Serving {
    /// Open connections, by worker.
    #[must_use]
    pub fn connections(&self) -> Vec<usize> {
        self.loads.counts().collect()
    }

    /// Stops accepting, lets requests in flight finish within the grace period, and waits for the workers.
    pub async fn drain(self) {
        self.stop.send_replace(true);
        let joined = tokio::task::spawn_blocking(move || {
            for worker in self.workers {
                if worker.join().is_err() {
                    tracing::error!("a worker panicked");
                }
            }
            if let Some(reception) = self.reception {
                reception.close();
            }
        });
        if joined.await.is_err() {
            tracing::error!("cannot wait for the workers");
        }
    }
}

/// A connection that another worker has accepted.
type Handed = (std::net::TcpStream, SocketAddr, Guest);

/// One that stays.
type Arrived = (TcpStream, SocketAddr, Guest);

/// For one kind of listener, or one of each kind.
type Outboxes = Kinds<mpsc::Sender<Handed>>;
type Inboxes = Kinds<mpsc::Receiver<Handed>>;

#[derive(Debug)]
struct Kinds<T> {
    http: T,
    https: T,
}

fn mailboxes() -> (Outboxes, Inboxes) {
    let (http_out, http_in) = mpsc::channel(INBOX);
    let (https_out, https_in) = mpsc::channel(INBOX);
    (Kinds { http: http_out, https: https_out }, Kinds { http: http_in, https: https_in })
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Http,
    Https,
}

impl<T> Kinds<T> {
    fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::Http => &self.http,
            Kind::Https => &self.https,
        }
    }
}

struct Worker {
    index: usize,
    edge: Arc<Edge>,
    handshakes: Arc<Handshakes>,
    gate: Arc<Gate>,
    /// Of those that come by QUIC.
    quic_gate: Arc<Gate>,
    stop: watch::Receiver<bool>,
    loads: Arc<Loads>,
    /// Of all workers.
    outboxes: Arc<[Outboxes]>,
    grace: Duration,
    /// Who must say for whom they speak.
    balancers: Arc<[IpNet]>,
}

impl Worker {
    async fn run(self, pair: Pair, inboxes: Inboxes, arrivals: Option<h3::Arrivals>) {
        let deadlines = Arc::new(Deadlines::default());
        tokio::spawn(Arc::clone(&deadlines).tick(self.stop.clone()));
        let accepting = async {
            tokio::join!(
                self.accept(Kind::Http, pair.http, inboxes.http, &deadlines),
                self.accept(Kind::Https, pair.https, inboxes.https, &deadlines),
                self.quic(arrivals),
            )
        };
        accepting.await;
        if tokio::time::timeout(self.grace, self.loads.none_left()).await.is_err() {
            tracing::warn!("the grace period is over; the last connections are cut");
        }
    }

    /// Serves those who come by HTTP/3.
    async fn quic(&self, arrivals: Option<h3::Arrivals>) {
        let Some(mut arrivals) = arrivals else { return };
        let mut stop = self.stop.clone();
        loop {
            let arriving = async { Some((arrivals.next().await?, self.quic_gate.place().await)) };
            let arrived = tokio::select! {
                arrived = arriving => arrived,
                _ = stop.wait_for(|&stop| stop) => return,
            };
            let Some((arrival, place)) = arrived else { return };
            let guest = self.loads.enter(self.index);
            let served = arrival.serve(place, Arc::clone(&self.edge), self.stop.clone());
            tokio::spawn(async move {
                served.await;
                drop(guest);
            });
        }
    }

    async fn accept(
        &self,
        kind: Kind,
        listener: std::net::TcpListener,
        mut inbox: mpsc::Receiver<Handed>,
        deadlines: &Arc<Deadlines>,
    ) {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "cannot serve a listener"),
        };
        let mut stop = self.stop.clone();
        let mut in_a_row = 0;
        loop {
            let accepting = async {
                let door = self.door(kind).await;
                tokio::select! {
                    Some(handed) = inbox.recv() => (door, Self::take(handed).map(Some)),
                    accepted = listener.accept() => (door, accepted.map(|accepted| self.keep(kind, accepted))),
                }
            };
            let (door, accepted) = tokio::select! {
                // Once the end has come, nobody is admitted who would be told of it at once.
                biased;
                _ = stop.wait_for(|&stop| stop) => break,
                accepted = accepting => accepted,
            };
            match accepted {
                Ok(Some(arrived)) => self.admit(door, arrived, self.stop.clone(), deadlines),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            in_a_row += 1;
            if in_a_row == BURST {
                in_a_row = 0;
                tokio::task::yield_now().await;
            }
        }
        drop(listener);
        self.admit_last(kind, inbox).await;
    }

    /// Serves whom other workers have handed over before the end. Nobody has read from them yet, so the end comes to them
    /// a little later: what they have asked is answered.
    async fn admit_last(&self, kind: Kind, mut inbox: mpsc::Receiver<Handed>) {
        // From now on the other workers keep theirs.
        inbox.close();
        let end = watch::Sender::new(false);
        let (stop, deadlines) = (end.subscribe(), Arc::new(Deadlines::default()));
        tokio::spawn(Arc::clone(&deadlines).tick(stop.clone()));
        let time = LAST_WORDS.min(self.grace);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            end.send_replace(true);
        });
        // Not `try_recv`: another worker may have a slot and be about to fill it.
        while let Some(handed) = inbox.recv().await {
            let door = self.door(kind).await;
            match Self::take(handed) {
                Ok(arrived) => self.admit(door, arrived, stop.clone(), &deadlines),
                Err(error) => tracing::warn!(%error, "a connection is lost on its way from another worker"),
            }
        }
    }

    /// Serves a connection to its end.
    fn admit(
        &self,
        door: Door,
        (stream, viewer, guest): Arrived,
        stop: watch::Receiver<bool>,
        deadlines: &Arc<Deadlines>,
    ) {
        let balancers = Arc::clone(&self.balancers);
        let served =
            door.serve(stream, viewer, balancers, Arc::clone(&self.edge), stop, Arc::clone(deadlines));
        tokio::spawn(async move {
            served.await;
            drop(guest);
        });
    }

    /// Waits until another connection may come in.
    async fn door(&self, kind: Kind) -> Door {
        match kind {
            Kind::Http => Door::Plain,
            Kind::Https => Door::Tls(Arc::clone(&self.handshakes), self.gate.place().await),
        }
    }

    /// One that this worker has accepted, unless it goes to another that has less to do. From then on it stays.
    fn keep(&self, kind: Kind, (stream, viewer): (TcpStream, SocketAddr)) -> Option<Arrived> {
        let better = self.loads.better(self.index).filter(|better| *better != self.index);
        // A full inbox is none with less to do.
        let slot =
            better.and_then(|better| Some((better, self.outboxes[better].of(kind).try_reserve().ok()?)));
        let Some((better, slot)) = slot else { return Some((stream, viewer, self.loads.enter(self.index))) };
        match stream.into_std() {
            Ok(stream) => slot.send((stream, viewer, self.loads.enter(better))),
            Err(error) => tracing::warn!(%error, "a connection is lost on its way to another worker"),
        }
        None
    }

    fn take((stream, viewer, guest): Handed) -> io::Result<Arrived> {
        Ok((TcpStream::from_std(stream)?, viewer, guest))
    }
}
