//! The load: lanes that each have one request under way, all the time. Every answer is checked, for a benchmark of
//! error pages would be a fast one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use edgeseal::demo::viewer::{Failure, trusting};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::scenario::{By, Expected, Scenario};
use crate::stage::EdgeProcess;

const HOST: &str = "localhost";

/// One scenario, once.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) scenario: &'static Scenario,
    pub(crate) connections: u16,
    /// Measured, after a fifth of it to warm up.
    pub(crate) period: Duration,
}

/// What was seen between the warm-up and the end.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) elapsed: Duration,
    /// CPU time of the edge.
    pub(crate) cpu: Duration,
    /// Of each request that ended in time, from asking (or connecting, if it has a connection of its own) to the last
    /// byte. Sorted, never empty.
    pub(crate) latencies: Vec<Duration>,
}

impl Load {
    /// Runs it.
    ///
    /// # Errors
    /// A connection that fails, or an answer that is not the expected one.
    pub(crate) async fn run(&self, edge: &EdgeProcess) -> Result<Tally, Failure> {
        let scenario = self.scenario;
        let door = Door::of(edge, scenario.by);
        let mut clients = self.clients(&door).await?;
        if scenario.expected == Expected::Hit {
            clients[0].exchange(scenario, "", Expected::Miss.word()).await?;
        }
        let phase = Arc::new(Phase::default());
        let mut lanes = JoinSet::new();
        for client in clients {
            lanes.spawn(lane(client, scenario, lanes.len(), Arc::clone(&phase)));
        }

        tokio::time::sleep(self.period / 5).await;
        let (began, before) = (Instant::now(), edge.cpu()?);
        phase.set(Phase::MEASURING);
        tokio::time::sleep(self.period).await;
        phase.set(Phase::OVER);
        let (elapsed, cpu) = (began.elapsed(), edge.cpu()?.since(&before));

        let mut latencies = Vec::new();
        while let Some(seen) = lanes.join_next().await {
            latencies.extend(seen??);
        }
        if latencies.is_empty() {
            return Err(format!("{}: no request ended within {:?}", scenario.name, self.period).into());
        }
        latencies.sort_unstable();
        Ok(Tally { elapsed, cpu, latencies })
    }

    /// One for each lane; at least one.
    async fn clients(&self, door: &Door) -> Result<Vec<Client>, Failure> {
        let mut clients = Vec::new();
        for _ in 0..self.connections {
            match self.scenario.by {
                By::Tls | By::Plain => clients.push(Client::KeptAlive(door.http1().await?)),
                By::NewTls => clients.push(Client::Anew(door.clone())),
                By::H2 { streams } => {
                    let connection = door.http2().await?;
                    clients.extend((0..streams).map(|_| Client::Shared(connection.clone())));
                }
            }
        }
        Ok(clients)
    }
}

/// Asks, again and again, until it is over. What ended while it was measured counts.
async fn lane(
    mut client: Client,
    scenario: &'static Scenario,
    number: usize,
    phase: Arc<Phase>,
) -> Result<Vec<Duration>, Failure> {
    let mut seen = Vec::new();
    let mut asked = 0_u64;
    while !phase.is(Phase::OVER) {
        let variant = format!("{number}-{asked}");
        asked += 1;
        let start = Instant::now();
        client.exchange(scenario, &variant, scenario.expected.word()).await?;
        let taken = start.elapsed();
        if phase.is(Phase::MEASURING) {
            seen.push(taken);
        }
    }
    Ok(seen)
}

/// Where the load stands.
#[derive(Debug, Default)]
struct Phase(AtomicU8);

impl Phase {
    /// Before it, 0: the warm-up.
    const MEASURING: u8 = 1;
    const OVER: u8 = 2;

    fn set(&self, phase: u8) {
        self.0.store(phase, Ordering::Relaxed);
    }

    fn is(&self, phase: u8) -> bool {
        self.0.load(Ordering::Relaxed) == phase
    }
}

type Ask = Request<Empty<Bytes>>;

/// Who asks.
enum Client {
    KeptAlive(http1::SendRequest<Empty<Bytes>>),
    Shared(http2::SendRequest<Empty<Bytes>>),
    Anew(Door),
}

impl Client {
    /// One request, its answer read to the end and compared with what it should be.
    async fn exchange(&mut self, scenario: &Scenario, variant: &str, result: &str) -> Result<(), Failure> {
        let response = self.send(scenario.target, variant).await?;
        let status = response.status();
        let x_cache = response.headers().get("x-cache").cloned();
        let length = read(response.into_body()).await?;
        let as_expected = status == 200
            && length == scenario.size()
            && x_cache.as_ref().is_some_and(|value| value.as_bytes().starts_with(result.as_bytes()));
        if as_expected {
            Ok(())
        } else {
            let name = scenario.name;
            Err(format!("{name}: not a {result} of {} bytes: {status} {x_cache:?} {length}", scenario.size())
                .into())
        }
    }

    async fn send(&mut self, target: &str, variant: &str) -> Result<Response<Incoming>, Failure> {
        let ask = Request::builder().header("x-variant", variant);
        let body = Empty::new();
        Ok(match self {
            Self::KeptAlive(sender) => {
                sender.ready().await?;
                sender.send_request(ask.uri(target).header("host", HOST).body(body)?).await?
            }
            Self::Shared(sender) => {
                let ask: Ask = ask.uri(format!("https://{HOST}{target}")).body(body)?;
                sender.ready().await?;
                sender.send_request(ask).await?
            }
            Self::Anew(door) => {
                let ask = ask.uri(target).header("host", HOST).header("connection", "close").body(body)?;
                door.http1().await?.send_request(ask).await?
            }
        })
    }
}

async fn read(mut body: Incoming) -> Result<usize, Failure> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(length)
}

/// A way into the edge.
#[derive(Clone)]
struct Door {
    address: SocketAddr,
    /// `None`: plain HTTP.
    tls: Option<TlsConnector>,
}

impl Door {
    fn of(edge: &EdgeProcess, by: By) -> Self {
        let alpn: &[u8] = if matches!(by, By::H2 { .. }) { b"h2" } else { b"http/1.1" };
        let mut config = trusting(&[alpn]);
        // A resumed handshake is another, and cheaper, thing.
        config.resumption = Resumption::disabled();
        let tls = TlsConnector::from(Arc::new(config));
        match by {
            By::Plain => Self { address: edge.http, tls: None },
            By::Tls | By::NewTls | By::H2 { .. } => Self { address: edge.https, tls: Some(tls) },
        }
    }

    async fn http1(&self) -> Result<http1::SendRequest<Empty<Bytes>>, Failure> {
        let stream = self.connect().await?;
        match &self.tls {
            Some(tls) => speak_http1(handshake(tls, stream).await?).await,
            None => speak_http1(stream).await,
        }
    }

    async fn http2(&self) -> Result<http2::SendRequest<Empty<Bytes>>, Failure> {
        let tls = self.tls.as_ref().ok_or("HTTP/2 is spoken over TLS only")?;
        let stream = handshake(tls, self.connect().await?).await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

async fn handshake(tls: &TlsConnector, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
    Ok(tls.connect(ServerName::try_from(HOST)?, stream).await?)
}

async fn speak_http1(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<http1::SendRequest<Empty<Bytes>>, Failure> {
    let (sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
