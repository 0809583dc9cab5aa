//! Invalidations of the past, as far back as there is room. No clock, no randomness: both are arguments.

use std::collections::VecDeque;
use std::sync::Arc;

use super::batch::{Batch, MOST_PATHS};
use super::error::Refusal;
use crate::clock::Timestamp;

/// Invalidations that are remembered; CloudFront lists a hundred a page.
const MOST: usize = 1_000;
/// Bytes of their texts.
const MOST_BYTES: usize = 16 << 20;

/// One that has been carried out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Past {
    pub id: String,
    pub distribution: Arc<str>,
    pub created: Timestamp,
    /// Which of the cache's invalidations it is.
    pub number: u64,
    pub batch: Batch,
}

#[derive(Debug, Default)]
pub(super) struct History {
    /// The oldest first. Their numbers grow.
    past: VecDeque<Arc<Past>>,
    bytes: usize,
}

/// Some of the past, the newest first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub items: Vec<Arc<Past>>,
    /// There are older ones.
    pub is_truncated: bool,
}

impl Past {
    /// Nothing of it is left in the cache, up to whose `swept`-th invalidation all memory has been freed.
    pub(super) fn is_completed(&self, swept: u64) -> bool {
        self.number <= swept
    }
}

impl History {
    /// The same request was here already (behaviour §12.14).
    ///
    /// # Errors
    /// Another was, with the same reference.
    pub(super) fn earlier(&self, distribution: &str, batch: &Batch) -> Result<Option<Arc<Past>>, Refusal> {
        let mut of_distribution = self.of(distribution);
        match of_distribution.find(|past| past.batch.reference == batch.reference) {
            None => Ok(None),
            Some(past) if past.batch.has_the_paths_of(batch) => Ok(Some(Arc::clone(past))),
            Some(_) => {
                let message = "Your request contains a caller reference that was used for a previous invalidation of \
                               this distribution with other paths.";
                Err(Refusal::new(http::StatusCode::CONFLICT, "InvalidationBatchAlreadyExists", message))
            }
        }
    }

    /// Forgets the oldest that are completed, until there is room for one of `paths` paths.
    ///
    /// # Errors
    /// Too much is in progress.
    pub(super) fn make_room(&mut self, distribution: &str, paths: usize, swept: u64) -> Result<(), Refusal> {
        let in_progress: usize =
            self.in_progress(distribution, swept).map(|past| past.batch.paths.len()).sum();
        while self.past.len() >= MOST || self.bytes > MOST_BYTES {
            let Some(oldest) = self.past.pop_front_if(|past| past.is_completed(swept)) else {
                return Err(too_many());
            };
            self.bytes -= oldest.batch.weight();
        }
        if in_progress + paths > MOST_PATHS { Err(too_many()) } else { Ok(()) }
    }

    pub(super) fn add(&mut self, past: Past) -> Arc<Past> {
        self.bytes += past.batch.weight();
        let past = Arc::new(past);
        self.past.push_back(Arc::clone(&past));
        past
    }

    pub(super) fn get(&self, distribution: &str, id: &str) -> Option<Arc<Past>> {
        self.of(distribution).find(|past| past.id == id).cloned()
    }

    /// At most `most` of a distribution that are older than the one called `marker`. One that is not known any more was among
    /// the oldest, and nothing is older.
    pub(super) fn page(&self, distribution: &str, marker: Option<&str>, most: usize) -> Page {
        let mut items = self.of(distribution);
        if let Some(marker) = marker {
            items.by_ref().find(|past| past.id == marker);
        }
        let mut rest = items.cloned();
        let items = rest.by_ref().take(most).collect();
        Page { items, is_truncated: rest.next().is_some() }
    }

    pub(super) fn in_progress(&self, distribution: &str, swept: u64) -> impl Iterator<Item = &Arc<Past>> {
        self.of(distribution).filter(move |past| !past.is_completed(swept))
    }

    /// Of all distributions, the newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Past> {
        self.past.iter().rev().map(|past| &**past)
    }

    /// The newest first.
    fn of(&self, distribution: &str) -> impl Iterator<Item = &Arc<Past>> {
        self.past.iter().rev().filter(move |past| *past.distribution == *distribution)
    }
}

fn too_many() -> Refusal {
    let message = format!(
        "Processing your request will cause you to exceed the maximum number of in-progress paths, {MOST_PATHS}. \
         They are done within a few seconds."
    );
    Refusal::bad("TooManyInvalidationsInProgress", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(reference: &str, paths: &[&str]) -> Batch {
        Batch { paths: paths.iter().map(ToString::to_string).collect(), reference: reference.into() }
    }

    fn past(number: u64, distribution: &str, batch: Batch) -> Past {
        let (id, distribution) = (format!("I{number}"), distribution.into());
        Past { id, distribution, created: Timestamp::from_secs(number), number, batch }
    }

    fn ids(page: &Page) -> Vec<&str> {
        page.items.iter().map(|past| past.id.as_str()).collect()
    }

    #[test]
    fn a_reference_tells_repetitions_from_conflicts() {
        let mut history = History::default();
        history.add(past(1, "E1", batch("r", &["/a", "/b"])));
        let code = |distribution: &str, batch: Batch| match history.earlier(distribution, &batch) {
            Ok(Some(past)) => past.id.clone(),
            Ok(None) => "new".to_owned(),
            Err(refusal) => format!("{} {}", refusal.status.as_u16(), refusal.code),
        };
        assert_eq!(code("E1", batch("r", &["/b", "/a"])), "I1");
        assert_eq!(code("E1", batch("r", &["/a"])), "409 InvalidationBatchAlreadyExists");
        assert_eq!(code("E1", batch("s", &["/a", "/b"])), "new");
        assert_eq!(code("E2", batch("r", &["/a"])), "new", "references are a distribution's own");
    }

    #[test]
    fn pages_go_from_the_newest_to_the_oldest() {
        let mut history = History::default();
        (1..=5).for_each(|n| drop(history.add(past(n, "E1", batch(&n.to_string(), &["/"])))));
        history.add(past(6, "E2", batch("6", &["/"])));
        for (marker, most, expected, is_truncated) in [
            (None, 100, &["I5", "I4", "I3", "I2", "I1"][..], false),
            (None, 5, &["I5", "I4", "I3", "I2", "I1"], false),
            (None, 2, &["I5", "I4"], true),
            (Some("I4"), 2, &["I3", "I2"], true),
            (Some("I2"), 2, &["I1"], false),
            (Some("I1"), 2, &[], false),
            (Some("I6"), 2, &[], false), // another distribution's, or one that is forgotten
        ] {
            let page = history.page("E1", marker, most);
            assert_eq!(
                (ids(&page), page.is_truncated),
                (expected.to_vec(), is_truncated),
                "{marker:?} {most}"
            );
        }
    }

    #[test]
    fn only_what_is_completed_is_forgotten() {
        let mut history = History::default();
        for n in 1..=MOST as u64 {
            history.make_room("E1", 1, 0).unwrap();
            history.add(past(n, "E1", batch(&n.to_string(), &["/a"])));
        }
        assert_eq!(history.make_room("E1", 1, 0).unwrap_err().code, "TooManyInvalidationsInProgress");
        history.make_room("E1", 1, 2).unwrap();
        assert!(history.get("E1", "I1").is_none());
        assert!(history.get("E1", "I2").is_some(), "no more than had to be");
        assert_eq!(history.past.len(), MOST - 1);
    }

    #[test]
    fn long_paths_take_no_more_room_than_they_may() {
        let mut history = History::default();
        let long = "x".repeat(1 << 20);
        for n in 1..=40 {
            history.make_room("E1", 1, n).unwrap();
            history.add(past(n, "E1", batch(&n.to_string(), &[&long])));
        }
        assert!(history.bytes <= MOST_BYTES + (2 << 20), "{}", history.bytes);
        assert!(history.past.len() < 20 && history.get("E1", "I40").is_some());
        let bytes: usize = history.past.iter().map(|past| past.batch.weight()).sum();
        assert_eq!(history.bytes, bytes);
    }

    #[test]
    fn paths_in_progress_are_limited_for_each_distribution() {
        let mut history = History::default();
        let many: Vec<String> = (0..MOST_PATHS).map(|n| format!("/{n}")).collect();
        history.make_room("E1", MOST_PATHS, 0).unwrap();
        history.add(past(1, "E1", Batch { paths: many, reference: "r".into() }));
        assert!(history.make_room("E1", 1, 0).is_err());
        assert!(history.make_room("E2", 1, 0).is_ok());
        assert!(history.make_room("E1", 1, 1).is_ok(), "when the first is done");
        assert_eq!(history.in_progress("E1", 0).count(), 1);
        assert_eq!(history.in_progress("E1", 1).count(), 0);
    }
}
