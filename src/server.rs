//! A running edge: configuration, edge, listeners and admin joined. `run`, `demo` and the integration tests start
//! the same thing.

mod reload;
mod restart;

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use crate::admin::keys::{KeyError, Keys};
use crate::admin::{self, Admin, Api, Asked, Check, Control, Described};
use crate::clock;
use crate::config::log::LogUpload;
use crate::config::{self, Config};
use crate::delivery::Delivery;
use crate::edge::{self, BuildError, Edge};
use crate::listen::certs::{self, Certificates};
use crate::listen::tickets::{TicketKeyError, TicketKeys};
use crate::listen::{self, Handshakes, Offers, Serving};
use crate::live::{Live, WeakLive};
use crate::observe::access_log::AccessLog;
use crate::observe::metrics::Metrics;
use crate::origin::credentials::CredentialSource;
use crate::pipeline::explain::{self, Question};
use crate::stamp::Stamp;
pub use reload::Reloaded;

/// It listens and serves. [`Server::drain`] ends it.
#[derive(Debug)]
pub struct Server {
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub admin: SocketAddr,
    pub live: Live,
    serving: Serving,
    stop_admin: watch::Sender<bool>,
    admin_task: JoinHandle<()>,
    offers: Arc<Offers>,
    shown: Arc<ArcSwap<Shown>>,
    retired: Retired,
    /// There is a socket for HTTP/3.
    has_udp: bool,
    running: Running,
}

/// What a reload compares with, and has to end.
#[derive(Debug)]
struct Running {
    /// In force: what waits for a restart is as it was at start.
    config: Config,
    /// Of the database of places, before it was read.
    geo_stamp: Option<Stamp>,
    admin_keys: Option<Arc<Keys>>,
    ticket_keys: Option<Arc<TicketKeys>>,
    following_tickets: Option<Following>,
    sending: Option<Sending>,
    _following_admins: Option<Following>,
}

/// What the admin listener tells beside what the edge knows.
#[derive(Debug, Clone)]
struct Shown {
    certificates: Arc<Certificates>,
    distributions: Arc<[Described]>,
    /// Why the last reload was refused.
    refused: Option<Arc<str>>,
}

/// A task that ends with this.
#[derive(Debug)]
struct Following(JoinSet<()>);

impl Following {
    fn new(task: impl Future<Output = ()> + Send + 'static) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(task);
        Self(tasks)
    }

    fn tickets(keys: &Arc<TicketKeys>, live: WeakLive) -> Self {
        if let Some(warning) = keys.warning() {
            tracing::warn!("{warning}");
        }
        let keys = Arc::clone(keys);
        Self::new(follow("the keys for session tickets", move || keys.reload(), live))
    }

    fn admins(keys: &Arc<Keys>, live: WeakLive) -> Self {
        keys.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        let keys = Arc::clone(keys);
        Self::new(follow("administrators' secrets", move || keys.reload(), live))
    }
}

/// Log files on their way to their bucket.
#[derive(Debug)]
struct Sending {
    delivery: Arc<Delivery>,
    _task: Following,
}

impl Sending {
    fn start(delivery: Arc<Delivery>) -> Self {
        let running = Arc::clone(&delivery);
        Self { delivery, _task: Following::new(async move { running.run().await }) }
    }
}

/// Logs of earlier configurations, to which requests that began under them may still write. Closing one may take seconds: it
/// must not happen where the last of them ends.
#[derive(Debug, Clone, Default)]
struct Retired(Arc<Mutex<Vec<Arc<AccessLog>>>>);

impl Retired {
    fn add(&self, log: Arc<AccessLog>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(log);
    }

    /// Takes out those that nobody else has.
    fn unused(&self) -> Vec<Arc<AccessLog>> {
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logs.extract_if(.., |log| Arc::strong_count(log) == 1).collect()
    }

    /// For as long as there is an edge.
    async fn tend(self, live: WeakLive) {
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while live.now().is_some() {
            ticks.tick().await;
            let unused = self.unused();
            if !unused.is_empty() && tokio::task::spawn_blocking(move || drop(unused)).await.is_err() {
                tracing::error!("closing a log panicked");
            }
        }
    }

    fn close(&self) {
        let logs = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        logs.iter().for_each(|log| log.close());
    }
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Build(#[from] BuildError),
    /// One line for each certificate that cannot be used.
    #[error("{0}")]
    Certificates(String),
    #[error("tls.ticket_key_file: {0}")]
    TicketKeys(#[from] TicketKeyError),
    #[error("admin.key: {0}")]
    AdminKeys(#[from] KeyError),
}

/// Between two looks for something to sweep.
const SWEEP: Duration = Duration::from_secs(1);
/// Between two looks whether log lines were dropped.
const DROPPED: Duration = Duration::from_secs(10);
/// How long the end waits for the last log files to be sent.
const LAST_FILES: Duration = Duration::from_secs(10);
/// Between two looks at the files of ticket keys and of administrators' secrets.
const KEY_FILES: Duration = Duration::from_secs(30);

/// Binds, builds and serves. `credentials` is asked once for each origin, and for the bucket of the logs.
///
/// # Errors
/// [`StartError`]; nothing listens then.
pub async fn start(
    config: &Config,
    metrics: Arc<Metrics>,
    mut credentials: impl FnMut(&config::Origin) -> Arc<CredentialSource>,
) -> Result<Server, StartError> {
    let certificates = Arc::new(read_certificates(config)?);
    for (name, not_after) in certificates.names_and_expiry() {
        metrics.cert_not_after(&name, not_after);
    }
    let ticket_keys = config.tls.ticket_key_file.as_deref().map(TicketKeys::load).transpose()?;
    let admin_keys = Keys::load(&config.admin.keys)?;
    let log = AccessLog::of(config)?;
    let has_udp = config.has_http3();
    let bound = listen::bind(&config.listen, has_udp)?;
    let (http, https, admin) = (bound.http, bound.https, bound.admin);
    let geo_stamp = config.geo_database.as_deref().and_then(Stamp::of);
    let edge = Edge::new(config, Arc::clone(&metrics), log, &mut credentials)?;
    let delivery = delivery(config, &edge, &mut credentials)?;
    let live = Live::new(edge);
    metrics.config_loaded(clock::now().as_secs());

    let handshakes = Handshakes::sharing(&certificates, config, ticket_keys.as_deref());
    let offers = Arc::new(Offers::from_pointee(handshakes));
    let (serving, admin_listener) = bound.serve(&live, &offers, &config.listen)?;
    let shown = Shown { certificates, distributions: described(config, &[]), refused: None };
    let shown = Arc::new(ArcSwap::from_pointee(shown));
    let (stop_admin, admin_stopped) = watch::channel(false);
    let admin_task = tokio::spawn(admin::serve(
        tokio::net::TcpListener::from_std(admin_listener)?,
        admin_of(&live, &shown, admin_keys.clone()),
        admin_stopped,
    ));
    let retired = Retired::default();
    tokio::spawn(sweep(live.downgrade()));
    tokio::spawn(tell_dropped(live.downgrade()));
    tokio::spawn(retired.clone().tend(live.downgrade()));
    let running = Running {
        config: config.clone(),
        geo_stamp,
        following_tickets: ticket_keys.as_ref().map(|keys| Following::tickets(keys, live.downgrade())),
        _following_admins: admin_keys.as_ref().map(|keys| Following::admins(keys, live.downgrade())),
        admin_keys,
        ticket_keys,
        sending: delivery.map(Sending::start),
    };
    Ok(Server {
        http,
        https,
        admin,
        live,
        serving,
        stop_admin,
        admin_task,
        offers,
        shown,
        retired,
        has_udp,
        running,
    })
}

/// Reads something again and again, for as long as there is an edge. `true`: it has changed.
async fn follow<E: Display + Send + 'static>(
    what: &'static str,
    reload: impl Fn() -> Result<bool, E> + Send + Sync + 'static,
    live: WeakLive,
) {
    let mut ticks = tokio::time::interval(KEY_FILES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reload = Arc::new(reload);
    let mut failed = false;
    while live.now().is_some() {
        ticks.tick().await;
        let reading = Arc::clone(&reload);
        match tokio::task::spawn_blocking(move || reading()).await {
            Ok(Ok(changed)) => {
                failed = false;
                if changed {
                    tracing::info!("{what} are new");
                }
            }
            Ok(Err(error)) if !failed => {
                failed = true;
                tracing::warn!("{what} stay as they were: {error}");
            }
            Ok(Err(_)) => {}
            Err(_) => tracing::error!("reading {what} panicked"),
        }
    }
}

/// The bucket of the logs, if there is one.
fn delivery(
    config: &Config,
    edge: &Arc<Edge>,
    credentials: &mut impl FnMut(&config::Origin) -> Arc<CredentialSource>,
) -> Result<Option<Arc<Delivery>>, StartError> {
    if config.log.standard.as_ref().is_none_or(|standard| standard.upload.is_none()) {
        return Ok(None);
    }
    let tls = edge::client_tls()?;
    let credentials = |upload: &LogUpload| credentials(&upload.bucket);
    let delivery =
        Delivery::new(config, &edge.metrics, edge.log.finished(), &tls, credentials, edge.marks.server());
    Ok(delivery
        .map_err(|source| BuildError::Origin { origin: "log.standard.upload".into(), source })?
        .map(Arc::new))
}

/// Says how many lines are in no log, now and then: who writes them may be stuck, and those who leave them have no time.
async fn tell_dropped(live: WeakLive) {
    let mut ticks = tokio::time::interval(DROPPED);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = <[u64; 2]>::default();
    loop {
        ticks.tick().await;
        let Some(edge) = live.now() else { return };
        for ((log, dropped), told) in edge.log.dropped_by_log().into_iter().zip(&mut told) {
            if dropped > *told {
                tracing::warn!(log, lines = dropped - *told, "log lines were dropped");
                *told = dropped;
            }
        }
    }
}

/// Frees what has been invalidated, soon after and for as long as there is an edge.
async fn sweep(live: WeakLive) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(edge) = live.now() else { return };
        if edge.store.is_swept() {
            continue;
        }
        // It looks at everything that is kept: not on a thread that has something else to do.
        let store = Arc::clone(&edge.store);
        drop(edge);
        let sweeping = tokio::task::spawn_blocking(move || store.sweep(clock::now()));
        if sweeping.await.is_err() {
            tracing::error!("a sweep panicked");
        }
    }
}

impl Server {
    /// The one in force.
    #[must_use]
    pub fn edge(&self) -> Arc<Edge> {
        self.live.now()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.running.config
    }

    /// Open connections of viewers, by worker.
    #[must_use]
    pub fn connections(&self) -> Vec<usize> {
        self.serving.connections()
    }

    /// Stops accepting, lets requests in flight finish within the grace period, flushes the log, and sends its last files.
    pub async fn drain(self) {
        self.serving.drain().await;
        self.stop_admin.send_replace(true);
        if self.admin_task.await.is_err() {
            tracing::error!("the admin listener panicked");
        }
        self.live.now().log.close();
        self.retired.close();
        if let Some(Sending { delivery, _task: task }) = self.running.sending {
            let Following(mut task) = task;
            task.shutdown().await;
            delivery.last(LAST_FILES).await;
        }
    }
}

fn read_certificates(config: &Config) -> Result<Certificates, StartError> {
    if config.tls.certificates.is_empty() {
        tracing::warn!(
            "no certificate is configured: serving with a self-signed one, which no browser trusts"
        );
        let aliases = config.distributions.iter().flat_map(|distribution| &distribution.aliases);
        return Ok(certs::self_signed(&aliases.map(ToString::to_string).collect::<Vec<_>>()));
    }
    let certificates = certs::load(&config.tls.certificates).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        StartError::Certificates(lines.join("\n"))
    })?;
    for warning in certificates.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(certificates)
}

fn admin_of(live: &Live, shown: &Arc<ArcSwap<Shown>>, keys: Option<Arc<Keys>>) -> Admin {
    let gauges = live.downgrade();
    let metrics = Arc::clone(&live.now().metrics);
    metrics.set_scrape_hook(Box::new(move |_| {
        if let Some(edge) = gauges.now() {
            edge.refresh_gauges();
        }
    }));
    let controlled = Controlled { live: live.clone(), shown: Arc::clone(shown) };
    let (live, explaining, shown) = (live.clone(), live.clone(), Arc::clone(shown));
    Admin {
        metrics,
        readiness: Arc::new(move || {
            let shown = shown.load();
            live.now().readiness(configuration_check(&shown), certificates_check(&shown.certificates))
        }),
        api: Arc::new(Api::new(controlled)),
        explain: Arc::new(move |asked| explain(&explaining.now(), asked)),
        keys,
    }
}

fn explain(edge: &Edge, asked: &Asked) -> Result<String, String> {
    let Asked { url, method, headers, viewer } = asked;
    let question = Question::read(url, method.as_deref(), headers, *viewer)?;
    let explanation = explain::explain(edge, &question, clock::now());
    serde_json::to_string(&explanation).map_err(|error| error.to_string())
}

/// The edge as CloudFront's API sees it.
struct Controlled {
    live: Live,
    shown: Arc<ArcSwap<Shown>>,
}

impl Control for Controlled {
    fn distributions(&self) -> Arc<[Described]> {
        Arc::clone(&self.shown.load().distributions)
    }

    fn invalidate(&self, distribution: &str, paths: &[String]) -> Result<u64, String> {
        self.live.now().invalidate(Some(distribution), paths, clock::now()).map_err(|why| why.to_string())
    }

    fn swept_up_to(&self) -> u64 {
        self.live.now().store.swept_up_to()
    }
}

/// What has not changed is as old as it was `before`.
fn described(config: &Config, before: &[Described]) -> Arc<[Described]> {
    let now = clock::now();
    let described = |distribution: &config::Distribution| {
        let same =
            |other: &&Described| *other.id == *distribution.id && other.document == distribution.document;
        Described {
            id: Arc::clone(&distribution.id),
            domain_name: (distribution.domain_name.clone())
                .or_else(|| distribution.aliases.first().cloned())
                .unwrap_or_default(),
            document: distribution.document.clone(),
            since: before.iter().find(same).map_or(now, |before| before.since),
        }
    };
    config.distributions.iter().map(described).collect()
}

/// Ready even after a reload that was refused: the last good configuration serves. A restart, which some would answer "not
/// ready" with, is what would lose it.
fn configuration_check(shown: &Shown) -> Check {
    let detail = match &shown.refused {
        None => "loaded".to_owned(),
        Some(why) => format!("the last reload was refused, and what was loaded before is in force: {why}"),
    };
    Check { name: "configuration", ok: true, detail }
}

fn certificates_check(certificates: &Certificates) -> Check {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    let expired: Vec<String> = certificates
        .names_and_expiry()
        .into_iter()
        .filter_map(|(name, not_after)| (not_after <= now).then_some(name))
        .collect();
    let detail =
        if expired.is_empty() { "valid".to_owned() } else { format!("expired: {}", expired.join(", ")) };
    Check { name: "certificates", ok: expired.is_empty(), detail }
}
