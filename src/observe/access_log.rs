//! What was asked, line by line: JSON objects with the field names of CloudFront's standard logs (behaviour §12.9), and its
//! standard logs themselves (§12.8), each if it is wanted.
//!
//! Each thread writes its lines to a buffer of its own (`observe/shard.rs`), and one thread a log empties them all. So the
//! lines of one worker are in order, and those of several are near it. Writing a line never waits for the reader of the log:
//! when that cannot keep up, lines are dropped and counted.

mod appended;
mod line;
mod queue;
mod sheet;
pub mod standard;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use tokio::sync::Notify;

pub use line::json_line;

use super::record::{Record, Wants};
use crate::config::log::{LogField, Logging, StandardLog};
use crate::config::{AccessLogTarget, Config, Distribution};
use appended::Appended;
use queue::Queue;
use sheet::Sheet;
use standard::Standard;

/// What the kinds of log are called in metrics and diagnostics.
const NAMES: [&str; 2] = ["access", "standard"];
/// Addresses of viewers, and what they read.
const MODE: u32 = 0o640;

/// The access log: for each form a buffer for each thread, and a thread that empties them.
#[derive(Debug)]
pub struct AccessLog {
    pop: Arc<str>,
    wants: Wants,
    /// What a JSON line says. `None`: the usual.
    fields: Option<Box<[LogField]>>,
    /// JSON lines. `None`: off.
    lines: Option<Arc<Queue>>,
    /// The standard format. `None`: off.
    standard: Option<Arc<Queue>>,
    /// Told of each file of the standard log that is finished.
    finished: Arc<Notify>,
    opened: Opened,
}

impl AccessLog {
    /// Opens `target` for JSON lines with the usual fields, and nothing else. `pop` is the value of `x-edge-location`.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, standard output has no descriptor left for it, or no thread can be
    /// started.
    pub fn open(target: &AccessLogTarget, pop: Arc<str>) -> io::Result<Self> {
        let opened = Opened { access: target.clone(), standard: None, distributions: Vec::new() };
        let lines = lines(target, None)?.map(Arc::new);
        let wants = Wants::default();
        Ok(Self { pop, wants, fields: None, lines, standard: None, finished: Arc::default(), opened })
    }

    /// Opens all that `config` wants.
    ///
    /// # Errors
    /// As [`Self::open`]; and when the standard log's folders cannot be made.
    pub fn of(config: &Config) -> io::Result<Self> {
        Self::open(&AccessLogTarget::Off, Arc::clone(&config.identity.pop))?.followed_by(config)
    }

    /// The log for another configuration. What that wants as before stays open, and is written to by both until this one is
    /// gone; the rest is opened.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn followed_by(&self, config: &Config) -> io::Result<Self> {
        let opened = Opened::of(config);
        let lines = match opened.access == self.opened.access {
            true => self.lines.clone(),
            false => lines(&opened.access, self.lines.as_deref())?.map(Arc::new),
        };
        let standard = match (opened.same_standard(&self.opened), &opened.standard) {
            (true, _) => self.standard.clone(),
            (false, None) => None,
            (false, Some(standard)) => {
                let sink = Standard::open(standard, &config.distributions, Arc::clone(&self.finished))?;
                Some(Arc::new(Queue::start_after(self.standard.as_deref(), NAMES[1], sink)?))
            }
        };
        let (pop, finished) = (Arc::clone(&config.identity.pop), Arc::clone(&self.finished));
        let mut log = Self { pop, wants: Wants::default(), fields: None, lines, standard, finished, opened };
        if let Some(fields) = config.log.fields.as_deref().filter(|_| log.lines.is_some()) {
            let has = |field| fields.contains(&field);
            log.wants = Wants {
                path_pattern: has(LogField::PathPattern),
                place: has(LogField::Asn) || has(LogField::CCountry),
            };
            log.fields = Some(fields.into());
        }
        Ok(log)
    }

    /// The standard log, and what is to be done with its files, are as before.
    pub(crate) fn has_same_standard(&self, config: &Config) -> bool {
        self.opened.same_standard(&Opened::of(config))
    }

    /// Whether lines are wanted at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.lines.is_some() || self.standard.is_some()
    }

    /// What has to be looked up for a record.
    #[must_use]
    pub fn wants(&self) -> Wants {
        self.wants
    }

    /// Leaves a line for each writer. Never waits for one.
    pub fn write(&self, record: &Record<'_>) {
        if let Some(queue) = &self.lines {
            queue.add(|out| match &self.fields {
                None => json_line(record, &self.pop, out),
                Some(fields) => line::json_line_of(fields, record, &self.pop, out),
            });
        }
        if let Some(queue) = &self.standard
            && let Some(shelf) = record.more.logged_as.and_then(|site| site.shelf)
        {
            queue.add(|out| {
                standard::label(shelf, out);
                line::standard_line(record, &self.pop, out);
            });
        }
    }

    /// Lines that are not whole in any log: too many waited, the write failed, or the log was closed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped_by_log().into_iter().map(|(_, lines)| lines).sum()
    }

    /// The same for each log, by its name in metrics.
    #[must_use]
    pub fn dropped_by_log(&self) -> [(&'static str, u64); 2] {
        let dropped = |queue: &Option<Arc<Queue>>| queue.as_ref().map_or(0, |queue| queue.dropped());
        [(NAMES[0], dropped(&self.lines)), (NAMES[1], dropped(&self.standard))]
    }

    /// Told when a file of the standard log is finished.
    #[must_use]
    pub fn finished(&self) -> &Arc<Notify> {
        &self.finished
    }

    /// Writes what waits, finishes files and ends the writers, also of others that share them; waits up to 5 s for each. Lines that come later are dropped.
    pub fn close(&self) {
        for queue in [&self.lines, &self.standard].into_iter().flatten() {
            queue.close();
        }
    }
}

/// `None`: they are off.
fn lines(target: &AccessLogTarget, before: Option<&Queue>) -> io::Result<Option<Queue>> {
    let name = NAMES[0];
    Ok(match target {
        AccessLogTarget::Off => None,
        // Not `io::stdout()`: that keeps the end of what it could not write, and calls it written.
        AccessLogTarget::Stdout => {
            let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            Some(Queue::start_after(before, name, Sheet::new(stdout))?)
        }
        AccessLogTarget::File(path) => {
            Some(Queue::start_after(before, name, Sheet::new(Appended::open(path)?))?)
        }
    })
}

/// What a form of the log was opened with. While it stays the same, a reload goes on with what is open.
#[derive(Debug, Clone, PartialEq)]
struct Opened {
    access: AccessLogTarget,
    standard: Option<StandardLog>,
    /// Of the standard log, counted as its lines count them.
    distributions: Vec<(Arc<str>, Logging)>,
}

impl Opened {
    fn of(config: &Config) -> Self {
        let distribution = |of: &Distribution| (Arc::clone(&of.id), of.logging.clone());
        Self {
            access: config.log.access.clone(),
            standard: config.log.standard.clone(),
            distributions: config.distributions.iter().map(distribution).collect(),
        }
    }

    fn same_standard(&self, other: &Self) -> bool {
        (&self.standard, &self.distributions) == (&other.standard, &other.distributions)
    }
}
