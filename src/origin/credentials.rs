//! Credentials for signing: loaded once, refreshed ahead of their expiry, shared by every request (s3 §6.2).
//!
//! The SDK's chain caches nothing, so asking it for each request would be a call to STS or IMDS for each.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};

mod provider;
#[cfg(test)]
pub(crate) mod scripted;

pub use provider::{SetupError, provider_for, sdk_config};

/// Holds the credentials of one origin. Reading them is a pointer's load; a task of its own replaces them.
pub struct CredentialSource {
    name: Arc<str>,
    current: ArcSwapOption<Credentials>,
    progress: watch::Sender<Progress>,
    /// Wakes the refresh task, to load now or to see that the source is gone. `None`: there is no task.
    wake: Option<Arc<Notify>>,
}

/// What readiness and the metrics say of a source. Reasons are one line, and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialStatus {
    Usable {
        /// `None`: they never expire.
        expiry: Option<SystemTime>,
        /// Why the last refresh failed; the credentials at hand are still good.
        refresh_failing: Option<String>,
    },
    Missing {
        reason: String,
    },
}

impl CredentialSource {
    /// Credentials that are never refreshed.
    #[must_use]
    pub fn fixed(credentials: Credentials) -> Arc<Self> {
        let progress = Progress { loads: 1, ..Progress::default() };
        Arc::new(Self {
            name: "fixed".into(),
            current: ArcSwapOption::from_pointee(credentials),
            progress: watch::Sender::new(progress),
            wake: None,
        })
    }

    /// Starts a task on the current runtime that loads at once and then refreshes as [`next_refresh`] says.
    /// It alone calls the provider, and ends when the source is dropped. `name` is the origin's, for the log.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(name: Arc<str>, provider: SharedCredentialsProvider) -> Arc<Self> {
        let wake = Arc::new(Notify::new());
        let progress = Progress { loading: true, ..Progress::default() };
        let source = Arc::new(Self {
            name,
            current: ArcSwapOption::empty(),
            progress: watch::Sender::new(progress),
            wake: Some(Arc::clone(&wake)),
        });
        tokio::spawn(keep_fresh(Arc::downgrade(&source), provider, wake));
        source
    }

    /// The credentials to sign with; `None` when there are none, or none that are still good.
    #[must_use]
    pub fn current(&self, now: SystemTime) -> Option<Arc<Credentials>> {
        let current = self.current.load_full()?;
        if is_usable(&current, now) {
            return Some(current);
        }
        // The task sleeps by a clock that stands still while the machine is suspended; it may have overslept.
        // When it is failing it keeps to its backoff.
        if self.progress.borrow().failure.is_none() {
            self.ask();
        }
        None
    }

    /// Loads anew because S3 refused `seen` (`ExpiredToken`, `InvalidToken`), unless that has happened
    /// already. Callers at the same time share one load. Returns when it has ended, well or not: compare
    /// [`current`](Self::current) with `seen`. At most once a second, and never longer than 10 s.
    pub async fn refresh(&self, seen: &Arc<Credentials>) {
        let mut progress = self.progress.subscribe();
        let before = progress.borrow_and_update().loads;
        let replaced = self.current.load().as_ref().is_some_and(|current| !Arc::ptr_eq(current, seen));
        if !replaced && self.ask() {
            // A timeout leaves things as they are: the load goes on, and the caller gives up.
            let _ = timeout(REFRESH_TIMEOUT, progress.wait_for(|progress| progress.loads > before)).await;
        }
    }

    /// Waits for the first load to end, well or not, but no longer than `within`.
    pub async fn ready(&self, within: Duration) {
        let mut progress = self.progress.subscribe();
        let _ = timeout(within, progress.wait_for(|progress| progress.loads > 0)).await;
    }

    #[must_use]
    pub fn status(&self, now: SystemTime) -> CredentialStatus {
        let current = self.current.load_full();
        let progress = self.progress.borrow();
        let failure = progress.failure.as_ref().map(|failure| failure.reason.clone());
        match current {
            Some(current) if is_usable(&current, now) => {
                CredentialStatus::Usable { expiry: current.expiry(), refresh_failing: failure }
            }
            current => {
                let otherwise = match current {
                    Some(_) => "the credentials have expired",
                    None => "the credentials are still being loaded",
                };
                CredentialStatus::Missing { reason: failure.unwrap_or_else(|| otherwise.to_owned()) }
            }
        }
    }

    /// Whether the end of a load is worth waiting for: one is under way, or was just asked for.
    fn ask(&self) -> bool {
        let Some(wake) = &self.wake else { return false };
        let now = Instant::now();
        let mut under_way = true;
        self.progress.send_if_modified(|progress| {
            let too_soon = progress.asked.is_some_and(|asked| now - asked < REFRESH_INTERVAL);
            if progress.loading || too_soon {
                under_way = progress.loading;
                return false;
            }
            progress.loading = true;
            progress.asked = Some(now);
            wake.notify_one();
            true
        });
        under_way
    }

    /// Takes in what a load gave; how long to pause until the next, `None` for ever.
    fn publish(&self, loaded: Result<Credentials, String>, now: SystemTime, jitter: f64) -> Option<Duration> {
        match loaded {
            Ok(credentials) if is_usable(&credentials, now) => {
                let left = |expiry: SystemTime| expiry.duration_since(now).unwrap_or_default();
                let lifetime = credentials.expiry().map(left);
                self.replace(credentials);
                self.end_load(None);
                next_refresh(lifetime, jitter)
            }
            Ok(_) => Some(self.fail("the credential provider gave expired credentials".to_owned(), jitter)),
            Err(reason) => Some(self.fail(reason, jitter)),
        }
    }

    /// The same credentials again are no new ones: what was signed with them would be refused again.
    fn replace(&self, credentials: Credentials) {
        if self.current.load().as_deref() != Some(&credentials) {
            self.current.store(Some(Arc::new(credentials)));
        }
    }

    fn fail(&self, reason: String, jitter: f64) -> Duration {
        tracing::warn!(origin = %self.name, reason, "credentials could not be loaded");
        let in_a_row =
            self.progress.borrow().failure.as_ref().map_or(1, |last| last.in_a_row.saturating_add(1));
        self.end_load(Some(Failure { reason, in_a_row }));
        backoff(in_a_row, jitter)
    }

    fn end_load(&self, failure: Option<Failure>) {
        self.progress.send_modify(|progress| {
            if failure.is_none() && progress.failure.is_some() {
                tracing::info!(origin = %self.name, "credentials are loaded again");
            }
            progress.loads += 1;
            progress.loading = false;
            progress.failure = failure;
        });
    }
}

impl Drop for CredentialSource {
    fn drop(&mut self) {
        if let Some(wake) = &self.wake {
            wake.notify_one();
        }
    }
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expiry = self.current.load().as_ref().map(|current| current.expiry());
        f.debug_struct("CredentialSource")
            .field("name", &self.name)
            .field("expiry", &expiry)
            .finish_non_exhaustive()
    }
}

/// How long after a load the next is due, from the lifetime that is left: two thirds of it, and at least five
/// minutes before the end; half of a lifetime below 15 minutes (s3 §6.2). `jitter` (0 to 1) makes it up to a
/// tenth earlier, so that a fleet does not ask at once. Never below a second; `None` for what does not
/// expire.
#[must_use]
pub fn next_refresh(lifetime: Option<Duration>, jitter: f64) -> Option<Duration> {
    let lifetime = lifetime?;
    let latest =
        if lifetime < SHORT_LIFETIME { lifetime / 2 } else { (lifetime / 3 * 2).min(lifetime - MARGIN) };
    let earlier = latest.mul_f64(jitter.clamp(0.0, 1.0) / 10.0);
    Some((latest - earlier).max(Duration::from_secs(1)))
}

const SHORT_LIFETIME: Duration = Duration::from_secs(15 * 60);
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// Longer than the SDK's own attempts take (`sdk_config`), so that its error, which says more, comes first.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// How the task is getting on. Its lock is what makes a refresh single-flight.
#[derive(Debug, Default)]
struct Progress {
    /// Loads that have ended, well or not.
    loads: u64,
    /// A load is due or under way; who wants one waits for this one.
    loading: bool,
    /// When a load was last asked for out of turn.
    asked: Option<Instant>,
    /// `None` when the last load went well.
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Failure {
    reason: String,
    in_a_row: u32,
}

/// Keeps nothing of the source alive while it waits.
async fn keep_fresh(source: Weak<CredentialSource>, provider: SharedCredentialsProvider, wake: Arc<Notify>) {
    loop {
        let loaded = load(&provider).await;
        let Some(holder) = source.upgrade() else { return };
        let pause = holder.publish(loaded, SystemTime::now(), fastrand::f64());
        drop(holder);
        if !load_is_due(&source, &wake, pause).await {
            return;
        }
    }
}

async fn load(provider: &SharedCredentialsProvider) -> Result<Credentials, String> {
    let loaded = timeout(LOAD_TIMEOUT, provider.provide_credentials()).await;
    loaded
        .unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(LOAD_TIMEOUT)))
        .map_err(|error| provider::reason(&error))
}

/// Waits out the pause, or until someone asks. False when the source is gone.
async fn load_is_due(source: &Weak<CredentialSource>, wake: &Notify, pause: Option<Duration>) -> bool {
    match pause.and_then(|pause| Instant::now().checked_add(pause)) {
        // Either is a reason to go on.
        Some(due) => drop(timeout_at(due, wake.notified()).await),
        None => wake.notified().await,
    }
    let Some(holder) = source.upgrade() else { return false };
    holder.progress.send_modify(|progress| progress.loading = true);
    true
}

fn is_usable(credentials: &Credentials, now: SystemTime) -> bool {
    credentials.expiry().is_none_or(|expiry| now < expiry)
}

/// 1 s, doubled with each failure up to 60 s; `jitter` (0 to 1) takes off up to a half.
fn backoff(failures: u32, jitter: f64) -> Duration {
    let secs = 1 << failures.saturating_sub(1).min(6);
    Duration::from_secs(secs).min(Duration::from_secs(60)).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
