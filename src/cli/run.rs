//! `edgeseal run`: strings → Config → Edge → listeners → drain.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use super::notify::{Notify, State};
use super::watch::Watch;
use super::{FAILED, Overriding, Source, print, say, source};
use crate::config::{self, Config, S3Origin};
use crate::observe::metrics::Metrics;
use crate::observe::trace;
use crate::origin::credentials::{self, CredentialSource};
use crate::origin::kms::{self, KeyState};
use crate::server::{self, Server, StartError};

/// How long the start waits for the first credentials before it goes on without.
const FIRST_CREDENTIALS: Duration = Duration::from_secs(10);
/// How often watched keys are looked at.
const KEY_WATCH: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    over: Overriding,
}

impl Run {
    pub(super) fn execute(self) -> ExitCode {
        let loaded = match source::load(&self.source, &self.over) {
            Ok(loaded) => loaded,
            Err(findings) => {
                findings.iter().for_each(|finding| say(&finding.to_string()));
                return ExitCode::from(FAILED);
            }
        };
        trace::init(loaded.config.log.format);
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        // Control work only: credentials, keys, admin. Viewers are served by the workers.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let outcome = runtime.map_err(Failure::from).and_then(|runtime| {
            let outcome = runtime.block_on(serve(&loaded.config, &self));
            // A credential provider that hangs must not hold up the end.
            runtime.shutdown_background();
            outcome
        });
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                say(&format!("edgeseal: {failure}"));
                ExitCode::from(FAILED)
            }
        }
    }
}

impl Run {
    /// All that a reload would read.
    fn files(&self, config: &Config) -> Vec<PathBuf> {
        let mut files = self.source.files();
        for pair in &config.tls.certificates {
            files.extend([pair.cert.clone(), pair.key.clone()]);
        }
        files.extend(config.tls.ticket_key_file.clone());
        files.extend(config.geo_database.clone());
        files
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("origin {origin}: {reason}")]
    Credentials { origin: Arc<str>, reason: String },
}

/// From a configuration to an exit, by way of SIGTERM or SIGINT. SIGHUP, and files that have changed, bring another
/// configuration.
async fn serve(config: &Config, run: &Run) -> Result<(), Failure> {
    let mut end = End::new()?;
    // Before anything that takes time: unheard, it would end the process.
    let mut hangup = signal(SignalKind::hangup())?;
    let metrics = Metrics::new();
    let mut sources = Sources::default();
    // As they are before they are read.
    let mut watch = Watch::new(run.files(config));
    tokio::select! {
        started = sources.start(config) => started?,
        () = end.asked() => return Ok(()),
    }
    let mut keys = watch_keys(config, &metrics).await;
    let mut server = server::start(config, Arc::clone(&metrics), |origin| sources.of(origin)).await?;
    announce(&server);
    let notify = Notify::from_env();
    notify.tell(State::Ready);
    loop {
        let follows_files = server.config().reload.watch;
        tokio::select! {
            () = end.asked() => break,
            _ = hangup.recv() => tracing::info!("reading the configuration again: asked by SIGHUP"),
            () = watch.changed(|| run.files(server.config())), if follows_files => {
                tracing::debug!("reading the configuration again: files have changed");
            }
        }
        notify.tell(State::Reloading);
        let reloaded = tokio::select! {
            reloaded = reload(&mut server, &mut sources, run) => reloaded,
            () = end.asked() => break,
        };
        match reloaded {
            Ok(true) => {
                // The new ones must not be forgotten with the old.
                drop(keys);
                keys = watch_keys(server.config(), &metrics).await;
            }
            Ok(false) => {}
            Err(reasons) => server.refuse(&reasons),
        }
        notify.tell(State::Ready);
    }
    notify.tell(State::Stopping);
    drop(keys);
    tracing::info!("draining");
    server.edge().drain();
    tokio::time::sleep(server.config().listen.drain_delay).await;
    server.drain().await;
    tracing::info!("stopped");
    Ok(())
}

/// Reads everything again and puts it in force. `false`: all is as it was. May be given up at any time before that.
///
/// # Errors
/// Why it is not in force; nothing has changed then.
async fn reload(server: &mut Server, sources: &mut Sources, run: &Run) -> Result<bool, Vec<String>> {
    let (source, over) = (run.source.clone(), run.over.clone());
    let loading = tokio::task::spawn_blocking(move || source::load(&source, &over));
    let loaded = loading.await.map_err(|_| vec!["reading the configuration panicked".to_owned()])?;
    let loaded = loaded.map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    sources.start(&loaded.config).await.map_err(|failure| vec![failure.to_string()])?;
    let reloaded = server.reload(loaded.config, |origin| sources.of(origin)).await;
    let reloaded =
        reloaded.map_err(|failure| failure.to_string().lines().map(str::to_owned).collect::<Vec<_>>())?;
    for key in &reloaded.wait_for_restart {
        tracing::warn!(key, "this key has another value now, which takes a restart");
    }
    if !reloaded.changed {
        tracing::info!("nothing to reload: what was read is in force already");
        return Ok(false);
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    sources.keep_only(server.config());
    tracing::info!(distributions = server.config().distributions.len(), "reloaded");
    Ok(true)
}

/// SIGTERM or SIGINT.
pub(super) struct End {
    term: Signal,
    interrupt: Signal,
}

impl End {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// One line for each address (interface.md).
pub(super) fn announce(server: &Server) {
    for (name, address) in [("http", server.http), ("https", server.https), ("admin", server.admin)] {
        print(&format!("listening {name} {address}"));
    }
}

/// The sources of credentials. Origins that are configured alike share one; so do all that use the chain as it is.
#[derive(Default)]
struct Sources {
    chain: Option<Arc<CredentialSource>>,
    roles: Vec<(Arc<config::Origin>, Arc<CredentialSource>)>,
}

impl Sources {
    /// Starts those that are missing and waits a little for their first credentials. Without any the edge starts all the
    /// same: its `/readyz` says what is missing, and it heals by itself.
    async fn start(&mut self, config: &Config) -> Result<(), Failure> {
        let mut new = Vec::new();
        for origin in buckets(config) {
            if let Some(s3) = origin.s3()
                && self.find(origin).is_none()
            {
                new.push(self.add(origin, s3).await?);
            }
        }
        for source in new {
            source.ready(FIRST_CREDENTIALS).await;
        }
        Ok(())
    }

    /// Lets go of those that nobody asks for any more.
    fn keep_only(&mut self, config: &Config) {
        self.roles.retain(|(of, _)| buckets(config).any(|origin| **origin == **of));
    }

    async fn add(
        &mut self,
        origin: &Arc<config::Origin>,
        s3: &S3Origin,
    ) -> Result<Arc<CredentialSource>, Failure> {
        let base = credentials::sdk_config(&s3.region).await;
        let provider = credentials::provider_for(s3, &origin.origin_path, &base).await.map_err(|error| {
            Failure::Credentials { origin: Arc::clone(&origin.id), reason: error.to_string() }
        })?;
        let source = CredentialSource::start(Arc::clone(&origin.id), provider);
        match s3.role {
            Some(_) => self.roles.push((Arc::clone(origin), Arc::clone(&source))),
            None => self.chain = Some(Arc::clone(&source)),
        }
        Ok(source)
    }

    fn find(&self, origin: &config::Origin) -> Option<&Arc<CredentialSource>> {
        match origin.s3().and_then(|s3| s3.role.as_ref()) {
            Some(_) => self.roles.iter().find(|(of, _)| **of == *origin).map(|(_, source)| source),
            None => self.chain.as_ref(),
        }
    }

    fn of(&self, origin: &config::Origin) -> Arc<CredentialSource> {
        Arc::clone(self.find(origin).expect("a source was started for every bucket"))
    }
}

/// All origins, and where the logs go.
fn buckets(config: &Config) -> impl Iterator<Item = &Arc<config::Origin>> {
    let upload = config.log.standard.as_ref().and_then(|standard| standard.upload.as_ref());
    let origins = config.distributions.iter().flat_map(|distribution| &distribution.origins);
    origins.chain(upload.map(|upload| &upload.bucket))
}

/// Keys that are looked at. Dropped: no longer, and nobody is told of them any more.
struct WatchedKeys {
    metrics: Arc<Metrics>,
    keys: Vec<Arc<str>>,
    tasks: JoinSet<()>,
}

impl Drop for WatchedKeys {
    fn drop(&mut self) {
        self.tasks.abort_all();
        for key in &self.keys {
            self.metrics.kms_key_usable(key, None);
        }
    }
}

/// Looks at the keys' state under the chain's own identity: a role's session may decrypt and nothing else.
async fn watch_keys(config: &Config, metrics: &Arc<Metrics>) -> WatchedKeys {
    let mut watched = WatchedKeys { metrics: Arc::clone(metrics), keys: Vec::new(), tasks: JoinSet::new() };
    let origins = config.distributions.iter().flat_map(|distribution| &distribution.origins);
    for s3 in origins.filter_map(|origin| origin.s3()).filter(|s3| s3.watch_keys) {
        let client = aws_sdk_kms::Client::new(&credentials::sdk_config(&s3.region).await);
        let metrics = Arc::clone(metrics);
        let report = move |key: &str, state| {
            let usable = match state {
                KeyState::Usable => Some(true),
                KeyState::Unusable => Some(false),
                KeyState::Unknown => None,
            };
            metrics.kms_key_usable(key, usable);
        };
        watched.keys.extend(s3.kms_keys.iter().cloned());
        watched.tasks.spawn(kms::watch(s3.kms_keys.clone(), client, KEY_WATCH, report));
    }
    watched
}
