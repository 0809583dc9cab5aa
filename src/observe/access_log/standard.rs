//! CloudFront's standard logs (behaviour §12.8): for each distribution and hour gzip files, which appear under their names
//! when they are whole.

pub mod name;
mod page;
mod recovery;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use memchr::memchr;
use time::OffsetDateTime;
use tokio::sync::Notify;

use super::queue::{Lost, Piece, Sink};
use crate::config::Distribution;
use crate::config::log::StandardLog;
use page::Page;

/// Files that grow at a time: each takes some 300 KB of memory.
const MOST_PAGES: usize = 128;
/// Ended files that may wait for their disk.
const MOST_ENDED: usize = 16;
/// Between two looks for what is to be flushed or finished.
const TEND: Duration = Duration::from_secs(1);
/// An hour's file is finished so long after the hour: by then all workers' lines are here.
const LATE: Duration = Duration::from_secs(5);
/// Failures are told so often.
const WARN_AGAIN: Duration = Duration::from_secs(60);

/// Folders of the standard log, each with what keys in a bucket begin with for its files.
#[must_use]
pub fn folders(log: &StandardLog, distributions: &[Distribution]) -> BTreeSet<(PathBuf, Arc<str>)> {
    let shelf = |distribution: &Distribution| {
        (log.directory.join(&*distribution.logging.prefix), Arc::clone(&distribution.logging.prefix))
    };
    distributions.iter().filter(|distribution| distribution.logging.enabled).map(shelf).collect()
}

/// Begins a line for [`Standard`]: which distribution's it is, counted in the configuration.
pub(super) fn label(shelf: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&shelf.to_le_bytes());
}

/// Sorts lines into files.
pub(super) struct Standard {
    shelves: Vec<Shelf>,
    interval: Duration,
    max_size: u64,
    pages: HashMap<Place, Page>,
    /// Ended, but not on disk yet.
    ended: Vec<Page>,
    tended: Instant,
    /// No file could be opened; not to be tried for every line.
    shut: Option<(Instant, io::ErrorKind)>,
    warned: Option<Instant>,
    finished: Arc<Notify>,
    #[cfg(test)]
    recovery: Option<thread::JoinHandle<()>>,
}

/// A distribution.
struct Shelf {
    folder: PathBuf,
    id: Arc<str>,
}

/// A distribution, and the hour as a line begins with it.
type Place = (u32, [u8; HOUR]);
const HOUR: usize = "2025-11-24\t16".len();

impl Standard {
    /// Makes the folders, and begins to look for what a crash has left there.
    pub(super) fn open(
        log: &StandardLog,
        distributions: &[Distribution],
        finished: Arc<Notify>,
    ) -> io::Result<Self> {
        let folders: BTreeSet<PathBuf> =
            folders(log, distributions).into_iter().map(|(folder, _)| folder).collect();
        for folder in &folders {
            page::make_folder(folder).map_err(|error| {
                io::Error::new(error.kind(), format!("log.standard.directory: {}: {error}", folder.display()))
            })?;
        }
        let recovered = Arc::clone(&finished);
        // Not in the way of lines: there may be many.
        let recovery = thread::Builder::new().name("log-recovery".into()).spawn(move || {
            if recovery::recover(&folders) > 0 {
                recovered.notify_one();
            }
        })?;
        // It ends by itself.
        #[cfg(not(test))]
        drop(recovery);
        let shelf = |distribution: &Distribution| Shelf {
            folder: log.directory.join(&*distribution.logging.prefix),
            id: Arc::clone(&distribution.id),
        };
        Ok(Self {
            shelves: distributions.iter().map(shelf).collect(),
            interval: log.interval,
            max_size: log.max_size,
            pages: HashMap::new(),
            ended: Vec::new(),
            tended: Instant::now(),
            shut: None,
            warned: None,
            finished,
            #[cfg(test)]
            recovery: Some(recovery),
        })
    }

    fn add(&mut self, shelf: u32, line: &[u8]) -> io::Result<()> {
        let hour = line.first_chunk().ok_or(io::ErrorKind::InvalidData)?;
        let place = (shelf, *hour);
        if !self.pages.contains_key(&place) {
            let page = self.new_page(place)?;
            self.pages.insert(place, page);
        }
        let page = self.pages.get_mut(&place).ok_or(io::ErrorKind::NotFound)?;
        page.add(line)?;
        if page.size() >= self.max_size {
            self.end(place);
        }
        Ok(())
    }

    fn new_page(&mut self, (shelf, hour): Place) -> io::Result<Page> {
        if let Some((at, why)) = self.shut
            && at.elapsed() < TEND
        {
            return Err(why.into());
        }
        if self.pages.len() >= MOST_PAGES {
            let oldest = self.pages.iter().max_by_key(|(_, page)| page.age()).map(|(place, _)| *place);
            oldest.into_iter().for_each(|place| self.end(place));
            if self.pages.len() >= MOST_PAGES {
                // As many wait for their disk already.
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let shelf = usize::try_from(shelf).ok().and_then(|shelf| self.shelves.get(shelf));
        let shelf = shelf.ok_or(io::ErrorKind::NotFound)?;
        let opened = Page::open(&shelf.folder, &shelf.id, &shown(&hour));
        self.shut = opened.as_ref().err().map(|error| (Instant::now(), error.kind()));
        opened
    }

    /// Takes a page out, and gives it its name if the disk lets it.
    fn end(&mut self, place: Place) {
        if self.ended.len() < MOST_ENDED {
            self.ended.extend(self.pages.remove(&place));
            self.finish();
        }
    }

    fn finish(&mut self) {
        let before = self.ended.len();
        let mut failure = None;
        self.ended.retain_mut(|page| match page.finish() {
            Ok(()) => false,
            Err(error) => {
                failure = Some(error);
                true
            }
        });
        if self.ended.len() < before {
            self.finished.notify_one();
        }
        if let Some(error) = failure {
            self.warn(&error);
        }
    }

    fn warn(&mut self, error: &io::Error) {
        if self.warned.is_none_or(|at| at.elapsed() > WARN_AGAIN) {
            tracing::warn!(%error, "cannot finish files of the standard log");
            self.warned = Some(Instant::now());
        }
    }

    fn end_due(&mut self, now: SystemTime) {
        let running = hour_of(now.checked_sub(LATE).unwrap_or(SystemTime::UNIX_EPOCH));
        let is_due = |(place, page): (&Place, &Page)| {
            (page.age() >= self.interval || shown(&place.1) < running).then_some(*place)
        };
        let due: Vec<Place> = self.pages.iter().filter_map(is_due).collect();
        due.into_iter().for_each(|place| self.end(place));
    }
}

impl Sink for Standard {
    fn write(&mut self, piece: &Piece) -> Result<(), Lost> {
        let (mut rest, mut lost) = (piece.bytes.as_slice(), None);
        while let Some((shelf, line)) = rest.split_first_chunk()
            && let Some(end) = memchr(b'\n', line)
        {
            let (line, after) = line.split_at(end + 1);
            rest = after;
            if let Err(error) = self.add(u32::from_le_bytes(*shelf), line) {
                let lines = lost.map_or(0, |lost: Lost| lost.lines) + 1;
                lost = Some(Lost { lines, error });
            }
        }
        lost.map_or(Ok(()), Err)
    }

    fn tend(&mut self) -> Option<Duration> {
        if let Some(left) = TEND.checked_sub(self.tended.elapsed()).filter(|left| !left.is_zero()) {
            return (!self.pages.is_empty() || !self.ended.is_empty()).then_some(left);
        }
        self.tended = Instant::now();
        self.end_due(SystemTime::now());
        self.finish();
        // What a disk does not take stays where it is, and is lost only if more comes than there is room for.
        let failure = self.pages.values_mut().filter_map(|page| page.flush().err()).last();
        if let Some(error) = failure {
            self.warn(&error);
        }
        (!self.pages.is_empty() || !self.ended.is_empty()).then_some(TEND)
    }

    fn close(&mut self) {
        self.ended.extend(self.pages.drain().map(|(_, page)| page));
        self.finish();
        if !self.ended.is_empty() {
            let files = self.ended.len();
            tracing::warn!(files, "files of the standard log stay unfinished; the next start finishes them");
        }
    }
}

/// `2025-11-24-16`, from what a line begins with.
fn shown(hour: &[u8; HOUR]) -> String {
    String::from_utf8_lossy(hour).replace('\t', "-")
}

fn hour_of(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    format!("{:04}-{:02}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day(), at.hour())
}
