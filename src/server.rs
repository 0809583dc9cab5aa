//! A running edge: configuration, edge, listeners and admin joined. `run`, `demo` and the integration tests start
//! the same thing.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::admin::{self, Admin, Asked, Check, Invalidation, Refused};
use crate::clock;
use crate::config::{self, Config};
use crate::edge::{BuildError, Edge, NotInvalidated};
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
}

/// Between two looks for something to sweep.
const SWEEP: Duration = Duration::from_secs(1);
/// Between two looks at the file of ticket keys.
const TICKET_KEYS: Duration = Duration::from_secs(30);

/// Binds, builds and serves. `credentials` is asked once for each origin.
///
/// # Errors
/// [`StartError`]; nothing listens then.
pub async fn start(
    config: &Config,
    metrics: Arc<Metrics>,
    credentials: impl FnMut(&config::Origin) -> Arc<CredentialSource>,
) -> Result<Server, StartError> {
    let certificates = Arc::new(certificates(config)?);
    for (name, not_after) in certificates.names_and_expiry() {
        metrics.cert_not_after(&name, not_after);
    }
    let ticket_keys = config.tls.ticket_key_file.as_deref().map(TicketKeys::load).transpose()?;
    let log = AccessLog::of(config)?;
    let bound = listen::bind(&config.listen, config.has_http3())?;
    let (http, https, admin) = (bound.http, bound.https, bound.admin);
    let edge = Edge::new(config, Arc::clone(&metrics), log, credentials)?;
    metrics.config_loaded(crate::clock::now().as_secs());

    let handshakes = Handshakes::sharing(&certificates, config, ticket_keys.as_deref());
    let (serving, admin_listener) = bound.serve(&edge, &handshakes, &config.listen)?;
    let (stop_admin, admin_stopped) = watch::channel(false);
    let admin_task = tokio::spawn(admin::serve(
        tokio::net::TcpListener::from_std(admin_listener)?,
        admin_of(&edge, certificates),
        admin_stopped,
    ));
    tokio::spawn(sweep(Arc::downgrade(&edge)));
    if let Some(keys) = ticket_keys {
        if let Some(warning) = keys.warning() {
            tracing::warn!("{warning}");
        }
        tokio::spawn(read_again(keys, Arc::downgrade(&edge)));
    }
    Ok(Server { http, https, admin, edge, serving, stop_admin, admin_task })
}

/// Follows the file of ticket keys for as long as there is an edge.
async fn read_again(keys: Arc<TicketKeys>, edge: Weak<Edge>) {
    let mut ticks = tokio::time::interval(TICKET_KEYS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = false;
    while edge.strong_count() > 0 {
        ticks.tick().await;
        let reading = Arc::clone(&keys);
        match tokio::task::spawn_blocking(move || reading.reload()).await {
            Ok(Ok(changed)) => {
                failed = false;
                if changed {
                    tracing::info!("the keys for session tickets are new");
                }
            }
            Ok(Err(error)) if !failed => {
                failed = true;
                tracing::warn!("the keys for session tickets stay as they were: {error}");
            }
            Ok(Err(_)) => {}
            Err(_) => tracing::error!("reading the keys for session tickets panicked"),
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

    /// Stops accepting, lets requests in flight finish within the grace period, and flushes the log.
    pub async fn drain(self) {
        self.serving.drain().await;
        self.stop_admin.send_replace(true);
        if self.admin_task.await.is_err() {
            tracing::error!("the admin listener panicked");
        }
        self.edge.log.close();
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

fn admin_of(edge: &Arc<Edge>, certificates: Arc<Certificates>) -> Admin {
    let gauges = Arc::downgrade(edge);
    edge.metrics.set_scrape_hook(Box::new(move |_| {
        if let Some(edge) = gauges.upgrade() {
            edge.refresh_gauges();
        }
    }));
    let metrics = Arc::clone(&edge.metrics);
    let (edge, invalidating, explaining) = (Arc::clone(edge), Arc::clone(edge), Arc::clone(edge));
    Admin {
        metrics,
        readiness: Arc::new(move || edge.readiness(certificates_check(&certificates))),
        invalidate: Arc::new(move |invalidation| invalidate(&invalidating, invalidation)),
        explain: Arc::new(move |asked| explain(&explaining, asked)),
    }
}

fn explain(edge: &Edge, asked: &Asked) -> Result<String, String> {
    let Asked { url, method, headers, viewer } = asked;
    let question = Question::read(url, method.as_deref(), headers, *viewer)?;
    let explanation = explain::explain(edge, &question, clock::now());
    serde_json::to_string(&explanation).map_err(|error| error.to_string())
}

/// It has taken effect when this returns; the memory is freed behind everybody's back.
fn invalidate(edge: &Arc<Edge>, invalidation: &Invalidation) -> Result<usize, Refused> {
    let Invalidation { distribution, paths } = invalidation;
    let count = edge.invalidate(distribution.as_deref(), paths, clock::now()).map_err(|why| match why {
        NotInvalidated::NoSuchDistribution => Refused::NoSuchDistribution(why.to_string()),
        _ => Refused::Invalid(why.to_string()),
    })?;
    tracing::info!(distribution, ?paths, "invalidated");
    Ok(count)
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
