//! Finished files of the standard log on their way to a bucket: the oldest first, deleted when it has them, kept within
//! bounds until then. A start finds what an earlier one has left.

mod backlog;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use crate::config::Config;
use crate::config::log::LogUpload;
use crate::observe::access_log::standard;
use crate::observe::metrics::Metrics;
use crate::origin::credentials::CredentialSource;
use crate::origin::deposit::Deposit;
use crate::origin::error::OriginError;
use crate::origin::trust::Trust;
use backlog::{Folder, Waiting};

/// Without news, what waits is looked at this often: others may have put it there.
const LOOK: Duration = Duration::from_secs(60);
/// How long the end waits to know what is left: a disk may hang.
const COUNT: Duration = Duration::from_secs(1);
/// After failures in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What goes where.
#[derive(Debug)]
pub struct Delivery {
    folders: Vec<Folder>,
    deposit: Deposit,
    /// Bytes that may wait.
    room: u64,
    metrics: Arc<Metrics>,
    finished: Arc<Notify>,
}

impl Delivery {
    /// `None`: nothing is to be sent. `finished`: the log's.
    ///
    /// # Errors
    /// As [`Deposit::new`].
    pub fn new(
        config: &Config,
        metrics: &Arc<Metrics>,
        finished: &Arc<Notify>,
        tls: &Trust,
        credentials: impl FnOnce(&LogUpload) -> Arc<CredentialSource>,
        user_agent: HeaderValue,
    ) -> Result<Option<Self>, OriginError> {
        let Some((log, upload)) =
            config.log.standard.as_ref().and_then(|log| Some((log, log.upload.as_ref()?)))
        else {
            return Ok(None);
        };
        let folders = standard::folders(log, &config.distributions);
        let bucket = Arc::clone(&upload.bucket);
        Ok(Some(Self {
            folders: folders.into_iter().map(|(path, prefix)| Folder { path, prefix }).collect(),
            deposit: Deposit::new(bucket, tls, credentials(upload), user_agent)?,
            room: upload.backlog,
            metrics: Arc::clone(metrics),
            finished: Arc::clone(finished),
        }))
    }

    /// Sends what there is and what will be, for ever.
    pub async fn run(&self) {
        let (mut failures, mut next) = (0_u32, Instant::now());
        loop {
            let waiting = self.waiting().await;
            if Instant::now() >= next {
                match self.send(waiting).await {
                    Ok(()) => failures = 0,
                    Err(()) => {
                        failures = failures.saturating_add(1);
                        next = Instant::now() + pause(failures, fastrand::f64());
                    }
                }
            }
            // While it fails, what waits must stay within its bounds all the same.
            let until =
                if failures == 0 { LOOK } else { next.saturating_duration_since(Instant::now()).min(LOOK) };
            let _ = timeout(until, self.finished.notified()).await;
        }
    }

    /// Sends what there is, as far as it comes `within` that time.
    pub async fn last(&self, within: Duration) {
        let all = async {
            let waiting = self.waiting().await;
            self.send(waiting).await
        };
        let _ = timeout(within, all).await;
        match timeout(COUNT, self.waiting()).await.map(|left| left.len()) {
            Ok(0) => {}
            Ok(left) => {
                tracing::warn!(
                    files = left,
                    "log files are not in their bucket yet; the next start sends them"
                );
            }
            Err(_) => tracing::warn!("the folder of the log files does not answer"),
        }
    }

    /// What waits, the oldest first and no more than there is room for.
    async fn waiting(&self) -> Vec<Waiting> {
        let (folders, room) = (self.folders.clone(), self.room);
        let trimmed = spawn_blocking(move || backlog::trim(backlog::list(&folders), room)).await;
        let (kept, dropped) = trimmed.unwrap_or_default();
        (0..dropped).for_each(|_| self.metrics.log_file_dropped());
        if dropped > 0 {
            tracing::warn!(files = dropped, "log files were deleted unsent: too many wait for their bucket");
        }
        self.tell(&kept);
        kept
    }

    fn tell(&self, waiting: &[Waiting]) {
        self.metrics.log_backlog(waiting.iter().map(|file| file.bytes).sum());
    }

    /// Until one is not taken: the next would not be either.
    async fn send(&self, mut waiting: Vec<Waiting>) -> Result<(), ()> {
        waiting.reverse();
        while let Some(file) = waiting.last() {
            if let Err(error) = self.send_one(file).await {
                self.metrics.log_uploaded(false);
                tracing::warn!(file = file.key, %error, "a log file could not be sent to its bucket");
                return Err(());
            }
            waiting.pop();
            self.tell(&waiting);
        }
        Ok(())
    }

    async fn send_one(&self, file: &Waiting) -> Result<(), OriginError> {
        let path = file.path.clone();
        let held = match spawn_blocking(move || backlog::hold(&path)).await {
            Ok(Ok(Some(held))) => held,
            // Another process has it, or has sent it already.
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return told(&file.path, &error, "cannot be read"),
            Err(_) => return Ok(()),
        };
        self.deposit.put(&file.key, Bytes::from(held.bytes)).await?;
        self.metrics.log_uploaded(true);
        match std::fs::remove_file(&file.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                told(&file.path, &error, "is sent and cannot be deleted")
            }
            _ => Ok(()),
        }
    }
}

/// One file's own trouble holds up no other.
fn told(path: &Path, error: &io::Error, what: &str) -> Result<(), OriginError> {
    tracing::warn!(file = %path.display(), %error, "a log file {what}");
    Ok(())
}

/// Doubled with each failure; `jitter` (0 to 1) takes off up to a half.
fn pause(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        for (failures, jitter, expected) in
            [(1, 0.0, 1), (2, 0.0, 2), (5, 0.0, 16), (5, 1.0, 8), (40, 0.0, 300)]
        {
            assert_eq!(pause(failures, jitter), Duration::from_secs(expected), "{failures}");
        }
    }
}
