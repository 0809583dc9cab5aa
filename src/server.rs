//! A running edge: configuration, edge, listeners and admin joined. `run`, `demo` and the integration tests start
//! the same thing.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

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
use crate::listen::{self, Handshakes, Serving};
use crate::observe::access_log::AccessLog;
use crate::observe::metrics::Metrics;
use crate::origin::credentials::CredentialSource;
use crate::pipeline::explain::{self, Question};

/// It listens and serves. [`Server::drain`] ends it.
#[derive(Debug)]
pub struct Server {
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub admin: SocketAddr,
    pub edge: Arc<Edge>,
    serving: Serving,
    stop_admin: watch::Sender<bool>,
    admin_task: JoinHandle<()>,
    delivery: Option<Arc<Delivery>>,
    /// Ends with the server.
    background: JoinSet<()>,
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
    let certificates = Arc::new(certificates(config)?);
    for (name, not_after) in certificates.names_and_expiry() {
        metrics.cert_not_after(&name, not_after);
    }
    let ticket_keys = config.tls.ticket_key_file.as_deref().map(TicketKeys::load).transpose()?;
    let admin_keys = Keys::load(&config.admin.keys)?;
    let log = AccessLog::of(config)?;
    let bound = listen::bind(&config.listen, config.has_http3())?;
    let (http, https, admin) = (bound.http, bound.https, bound.admin);
    let edge = Edge::new(config, Arc::clone(&metrics), log, &mut credentials)?;
    let delivery = delivery(config, &edge, &mut credentials)?;
    metrics.config_loaded(crate::clock::now().as_secs());

    let handshakes = Handshakes::sharing(&certificates, config, ticket_keys.as_deref());
    let (serving, admin_listener) = bound.serve(&edge, &handshakes, &config.listen)?;
    let (stop_admin, admin_stopped) = watch::channel(false);
    let admin_task = tokio::spawn(admin::serve(
        tokio::net::TcpListener::from_std(admin_listener)?,
        admin_of(config, &edge, certificates, admin_keys.clone()),
        admin_stopped,
    ));
    tokio::spawn(sweep(Arc::downgrade(&edge)));
    tokio::spawn(tell_dropped(Arc::downgrade(&edge)));
    let mut background = JoinSet::new();
    if let Some(delivery) = delivery.clone() {
        background.spawn(async move { delivery.run().await });
    }
    if let Some(keys) = ticket_keys {
        if let Some(warning) = keys.warning() {
            tracing::warn!("{warning}");
        }
        tokio::spawn(follow("the keys for session tickets", move || keys.reload(), Arc::downgrade(&edge)));
    }
    if let Some(keys) = admin_keys {
        keys.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        tokio::spawn(follow("administrators' secrets", move || keys.reload(), Arc::downgrade(&edge)));
    }
    Ok(Server { http, https, admin, edge, serving, stop_admin, admin_task, delivery, background })
}

/// Reads something again and again, for as long as there is an edge. `true`: it has changed.
async fn follow<E: Display + Send + 'static>(
    what: &'static str,
    reload: impl Fn() -> Result<bool, E> + Send + Sync + 'static,
    edge: Weak<Edge>,
) {
    let mut ticks = tokio::time::interval(KEY_FILES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reload = Arc::new(reload);
    let mut failed = false;
    while edge.strong_count() > 0 {
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
async fn tell_dropped(edge: Weak<Edge>) {
    let mut ticks = tokio::time::interval(DROPPED);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = <[u64; 2]>::default();
    loop {
        ticks.tick().await;
        let Some(edge) = edge.upgrade() else { return };
        for ((log, dropped), told) in edge.log.dropped_by_log().into_iter().zip(&mut told) {
            if dropped > *told {
                tracing::warn!(log, lines = dropped - *told, "log lines were dropped");
                *told = dropped;
            }
        }
    }
}

/// Frees what has been invalidated, soon after and for as long as there is an edge.
async fn sweep(edge: Weak<Edge>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(edge) = edge.upgrade() else { return };
        if edge.store.is_swept() {
            continue;
        }
        // It looks at everything that is kept: not on a thread that has something else to do.
        let sweeping = tokio::task::spawn_blocking(move || edge.store.sweep(clock::now()));
        if sweeping.await.is_err() {
            tracing::error!("a sweep panicked");
        }
    }
}

impl Server {
    /// Open connections of viewers, by worker.
    #[must_use]
    pub fn connections(&self) -> Vec<usize> {
        self.serving.connections()
    }

    /// Stops accepting, lets requests in flight finish within the grace period, flushes the log, and sends its last files.
    pub async fn drain(mut self) {
        self.serving.drain().await;
        self.stop_admin.send_replace(true);
        if self.admin_task.await.is_err() {
            tracing::error!("the admin listener panicked");
        }
        self.edge.log.close();
        if let Some(delivery) = self.delivery {
            self.background.shutdown().await;
            delivery.last(LAST_FILES).await;
        }
    }
}

fn certificates(config: &Config) -> Result<Certificates, StartError> {
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

fn admin_of(
    config: &Config,
    edge: &Arc<Edge>,
    certificates: Arc<Certificates>,
    keys: Option<Arc<Keys>>,
) -> Admin {
    let gauges = Arc::downgrade(edge);
    edge.metrics.set_scrape_hook(Box::new(move |_| {
        if let Some(edge) = gauges.upgrade() {
            edge.refresh_gauges();
        }
    }));
    let metrics = Arc::clone(&edge.metrics);
    let controlled = Controlled { edge: Arc::clone(edge), distributions: described(config) };
    let (edge, explaining) = (Arc::clone(edge), Arc::clone(edge));
    Admin {
        metrics,
        readiness: Arc::new(move || edge.readiness(certificates_check(&certificates))),
        api: Arc::new(Api::new(controlled)),
        explain: Arc::new(move |asked| explain(&explaining, asked)),
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
    edge: Arc<Edge>,
    distributions: Arc<[Described]>,
}

impl Control for Controlled {
    fn distributions(&self) -> Arc<[Described]> {
        Arc::clone(&self.distributions)
    }

    fn invalidate(&self, distribution: &str, paths: &[String]) -> Result<u64, String> {
        self.edge.invalidate(Some(distribution), paths, clock::now()).map_err(|why| why.to_string())
    }

    fn swept_up_to(&self) -> u64 {
        self.edge.store.swept_up_to()
    }
}

fn described(config: &Config) -> Arc<[Described]> {
    let since = clock::now();
    let described = |distribution: &config::Distribution| Described {
        id: Arc::clone(&distribution.id),
        domain_name: (distribution.domain_name.clone())
            .or_else(|| distribution.aliases.first().cloned())
            .unwrap_or_default(),
        document: distribution.document.clone(),
        since,
    };
    config.distributions.iter().map(described).collect()
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
