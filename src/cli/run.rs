//! `edgeseal run`: strings → Config → Edge → listeners → drain.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

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
            let outcome = runtime.block_on(serve(&loaded.config));
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

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("origin {origin}: {reason}")]
    Credentials { origin: Arc<str>, reason: String },
}

/// From a configuration to an exit, by way of SIGTERM or SIGINT.
async fn serve(config: &Config) -> Result<(), Failure> {
    let mut end = End::new()?;
    let metrics = Metrics::new();
    let sources = tokio::select! {
        sources = Sources::start(config) => sources?,
        () = end.asked() => return Ok(()),
    };
    watch_keys(config, &metrics).await;
    let server = server::start(config, metrics, |origin| sources.of(origin)).await?;
    announce(&server);
    end.asked().await;
    tracing::info!("draining");
    server.edge.drain();
    tokio::time::sleep(config.listen.drain_delay).await;
    server.drain().await;
    tracing::info!("stopped");
    Ok(())
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
    /// Starts them and waits a little for the first credentials. Without any the edge starts all the same: its
    /// `/readyz` says what is missing, and it heals by itself.
    async fn start(config: &Config) -> Result<Self, Failure> {
        let mut sources = Self::default();
        let upload = config.log.standard.as_ref().and_then(|standard| standard.upload.as_ref());
        let origins = config.distributions.iter().flat_map(|distribution| &distribution.origins);
        for origin in origins.chain(upload.map(|upload| &upload.bucket)) {
            if let Some(s3) = origin.s3()
                && sources.find(origin).is_none()
            {
                sources.add(origin, s3).await?;
            }
        }
        let all = sources.chain.iter().chain(sources.roles.iter().map(|(_, source)| source));
        for source in all {
            source.ready(FIRST_CREDENTIALS).await;
        }
        Ok(sources)
    }

    async fn add(&mut self, origin: &Arc<config::Origin>, s3: &S3Origin) -> Result<(), Failure> {
        let base = credentials::sdk_config(&s3.region).await;
        let provider = credentials::provider_for(s3, &origin.origin_path, &base).await.map_err(|error| {
            Failure::Credentials { origin: Arc::clone(&origin.id), reason: error.to_string() }
        })?;
        let source = CredentialSource::start(Arc::clone(&origin.id), provider);
        match s3.role {
            Some(_) => self.roles.push((Arc::clone(origin), source)),
            None => self.chain = Some(source),
        }
        Ok(())
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

/// Looks at the keys' state under the chain's own identity: a role's session may decrypt and nothing else.
async fn watch_keys(config: &Config, metrics: &Arc<Metrics>) {
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
        tokio::spawn(kms::watch(s3.kms_keys.clone(), client, KEY_WATCH, report));
    }
}
