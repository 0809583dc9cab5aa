//! What has been invalidated: rules with numbers, instead of a search through what is kept.
//!
//! Every invalidation gets the next number. What is kept knows the number up to which it has been looked at, so a look-up
//! compares two numbers, and asks the rules only when there are newer ones. An invalidation costs what it names, however
//! much is kept, and holds from the moment it returns. A sweep behind everybody's back frees what is dead; after it the
//! numbers agree again. A fetch knows the number that it began with, so that what it brings can be told from what was
//! asked for after the invalidation.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::policy::invalidation::Pattern;

/// How many invalidations there have been.
pub type Number = u64;

/// How long a rule is kept for fetches that began before it. One that takes longer is not kept.
const KEEP: Duration = Duration::from_secs(15 * 60);
/// Rules that are kept for that long; of more, the oldest go.
const MOST: usize = 100_000;
/// Bytes of their texts: viewers who may write choose them.
const MOST_BYTES: usize = 32 << 20;

#[derive(Debug, Default)]
pub struct Invalidations {
    latest: AtomicU64,
    /// Everything that is kept agrees with the rules up to here.
    swept: AtomicU64,
    rules: RwLock<Rules>,
}

#[derive(Debug, Default)]
struct Rules {
    /// Distribution, path and query; when.
    exact: HashMap<Box<str>, Number>,
    /// Beginnings of the same, by their length.
    prefixes: BTreeMap<usize, HashMap<Box<str>, Number>>,
    /// Distribution and tag.
    tags: HashMap<Box<str>, Number>,
    /// Of each distribution: when the last tag was invalidated.
    last_tag: HashMap<Box<str>, Number>,
    /// Rules up to this number have been forgotten.
    forgotten: Number,
    batches: BTreeMap<Number, Timestamp>,
}

/// A look at the rules during which none is added.
#[derive(Debug)]
pub struct Held<'a> {
    rules: RwLockReadGuard<'a, Rules>,
    latest: Number,
}

impl Invalidations {
    /// The number of the last invalidation.
    #[must_use]
    pub fn latest(&self) -> Number {
        self.latest.load(Ordering::Acquire)
    }

    /// Takes effect for everything that begins after it returns. Its number.
    pub fn add(&self, distribution: &str, patterns: &[Pattern], now: Timestamp) -> Number {
        let mut rules = self.write();
        let number = self.latest() + 1;
        for pattern in patterns {
            rules.add(distribution, pattern, number);
        }
        rules.batches.insert(number, now);
        self.latest.store(number, Ordering::Release);
        number
    }

    /// As [`Self::add`], of the target that this key names, in all variants of headers and cookies.
    pub fn add_key(&self, key: &str, now: Timestamp) {
        let (_, target) = target(key);
        let mut rules = self.write();
        let number = self.latest() + 1;
        rules.exact.insert(target.into_boxed_str(), number);
        rules.batches.insert(number, now);
        self.latest.store(number, Ordering::Release);
    }

    /// Has something that was looked at up to `since` been invalidated? The usual answer takes no lock.
    #[must_use]
    pub fn hit(&self, key: &str, tags: &[Box<str>], since: Number) -> bool {
        let since = since.max(self.swept.load(Ordering::Acquire));
        since < self.latest() && self.held().hit(key, tags, since)
    }

    /// Everything that is kept agrees with the rules up to here.
    #[must_use]
    pub fn swept_up_to(&self) -> Number {
        self.swept.load(Ordering::Acquire)
    }

    /// Would a fetch that began at `since` bring what has been invalidated? Its tags are not known yet.
    #[must_use]
    pub fn hit_fetch(&self, key: &str, since: Number) -> bool {
        since < self.latest() && self.held().hit_fetch(key, since)
    }

    /// For looks that must not be overtaken by an invalidation.
    #[must_use]
    pub fn held(&self) -> Held<'_> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        // Written under the other lock, so it is what the rules say.
        Held { latest: self.latest(), rules }
    }

    /// Everything that is kept has been compared with the rules up to `number`. Forgets those that no fetch needs.
    pub fn swept(&self, number: Number, now: Timestamp) {
        self.swept.fetch_max(number, Ordering::Release);
        self.write().forget(number, now);
    }

    /// Is there something to sweep?
    #[must_use]
    pub fn is_swept(&self) -> bool {
        self.swept.load(Ordering::Acquire) >= self.latest()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rules> {
        self.rules.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held<'_> {
    /// The number of the last invalidation that this look knows.
    #[must_use]
    pub fn latest(&self) -> Number {
        self.latest
    }

    /// As [`Invalidations::hit`].
    #[must_use]
    pub fn hit(&self, key: &str, tags: &[Box<str>], since: Number) -> bool {
        let rules = &*self.rules;
        if since < rules.forgotten {
            return true; // nobody knows any more
        }
        let (distribution, target) = target(key);
        let newer = |number: Option<&Number>| number.is_some_and(|number| *number > since);
        newer(rules.exact.get(target.as_str()))
            || rules.prefixes.iter().any(|(length, prefixes)| {
                newer(target.get(..*length).and_then(|beginning| prefixes.get(beginning)))
            })
            || tags.iter().any(|tag| newer(rules.tags.get(rule(distribution, tag).as_str())))
    }

    fn hit_fetch(&self, key: &str, since: Number) -> bool {
        let (distribution, _) = key.split_once('\n').unwrap_or((key, ""));
        let tagged = self.rules.last_tag.get(distribution).is_some_and(|number| *number > since);
        tagged || self.hit(key, &[], since)
    }
}

impl Rules {
    fn add(&mut self, distribution: &str, pattern: &Pattern, number: Number) {
        let of = |text: &str| rule(distribution, text).into_boxed_str();
        match pattern {
            Pattern::Exact(target) => self.exact.insert(of(target), number),
            Pattern::Prefix(beginning) => {
                let beginning = of(beginning);
                self.prefixes.entry(beginning.len()).or_default().insert(beginning, number)
            }
            Pattern::Tag(tag) => {
                self.last_tag.insert(distribution.into(), number);
                self.tags.insert(of(tag), number)
            }
        };
    }

    fn forget(&mut self, swept: Number, now: Timestamp) {
        let texts = || {
            let prefixes = self.prefixes.values().flat_map(HashMap::keys);
            self.exact.keys().chain(self.tags.keys()).chain(prefixes)
        };
        let too_large = texts().count() > MOST || texts().map(|text| text.len()).sum::<usize>() > MOST_BYTES;
        // The same path may be written again and again.
        let mut too_many = self.batches.len().saturating_sub(MOST);
        while let Some(batch) = self.batches.first_entry()
            && *batch.key() <= swept
            && (now.since(*batch.get()) >= KEEP || too_large || too_many > 0)
        {
            self.forgotten = batch.remove_entry().0;
            too_many = too_many.saturating_sub(1);
        }
        let forgotten = self.forgotten;
        self.exact.retain(|_, number| *number > forgotten);
        self.tags.retain(|_, number| *number > forgotten);
        self.last_tag.retain(|_, number| *number > forgotten);
        self.prefixes.retain(|_, prefixes| {
            prefixes.retain(|_, number| *number > forgotten);
            !prefixes.is_empty()
        });
    }
}

fn rule(distribution: &str, text: &str) -> String {
    format!("{distribution}\n{text}")
}

/// Distribution, and what a rule says of this key: distribution, path and query, and none of what else tells variants
/// apart (see [`crate::policy::key`]).
fn target(key: &str) -> (&str, String) {
    let mut lines = key.split('\n');
    let (distribution, path) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let mut target = rule(distribution, path);
    if let Some(query) = lines.find(|line| line.starts_with('?')) {
        target.push_str(query);
    }
    (distribution, target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::invalidation::parse;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn added(paths: &[&str]) -> Invalidations {
        let invalidations = Invalidations::default();
        let patterns: Vec<_> = paths.iter().map(|path| parse(path).unwrap()).collect();
        invalidations.add("d", &patterns, at(0));
        invalidations
    }

    #[test]
    fn what_is_removed() {
        // behaviour §12.14
        let table: &[(&str, &str, bool)] = &[
            ("/a.jpg", "d\n/a.jpg", true),
            ("/a.jpg", "e\n/a.jpg", false), // another distribution's
            ("/a.jpg", "d\n/A.jpg", false),
            ("/a.jpg", "d\n/a.jpg2", false),
            ("/a.jpg", "d\n/a.jpg\norigin:https://x\ncookie:digest", true), // every variant
            ("/a.jpg", "d\n/a.jpg\nOPTIONS", true),
            ("/a.jpg", "d\n/a.jpg\n#\"etag\"\n7", true), // its slices
            ("/a.jpg", "d\n/a.jpg\n?x=1", false),        // the query is in the key: it must be named
            ("/a.jpg?x=1", "d\n/a.jpg\norigin:o\n?x=1\ncookie:digest", true),
            ("/a.jpg?x=1", "d\n/a.jpg", false),
            ("/a.jpg*", "d\n/a.jpg\n?x=1", true),
            ("/images", "d\n/images/", false),
            ("/images*", "d\n/images/a", true),
            ("/images/*", "d\n/images", false),
            ("/images/*", "d\n/images/a/b", true),
            ("/*", "d\n/", true),
            ("/*", "e\n/", false),
        ];
        for (path, key, expected) in table {
            assert_eq!(added(&[path]).hit(key, &[], 0), *expected, "{path} and {key:?}");
            assert!(!added(&[path]).hit(key, &[], 1), "{path} and {key:?}, which is newer");
        }
    }

    #[test]
    fn tags_reach_what_carries_them() {
        let invalidations = added(&["#News"]);
        let tags: [Box<str>; 2] = ["sport".into(), "news".into()];
        assert!(invalidations.hit("d\n/a", &tags, 0));
        assert!(!invalidations.hit("d\n/a", &tags[..1], 0));
        assert!(!invalidations.hit("e\n/a", &tags, 0));
        assert!(invalidations.hit_fetch("d\n/a", 0), "nobody knows yet what it will carry");
        assert!(!invalidations.hit_fetch("d\n/a", 1));
        assert!(!invalidations.hit_fetch("e\n/a", 0));
    }

    #[test]
    fn one_path_that_is_written_again_and_again_takes_no_more_room_than_many() {
        let invalidations = Invalidations::default();
        let writes = MOST as u64 + 10;
        (0..writes).for_each(|_| invalidations.add_key("d\n/a", at(0)));
        invalidations.swept(writes, at(1));
        assert!(invalidations.rules.read().unwrap().batches.len() <= MOST);
        assert!(invalidations.hit_fetch("d\n/a", writes - 1), "the last is known");
        assert!(!invalidations.hit_fetch("d\n/b", writes - 1));
    }

    #[test]
    fn long_targets_that_are_written_take_no_more_room_than_rules_may() {
        let invalidations = Invalidations::default();
        let long = "x".repeat(1 << 20);
        let writes = (MOST_BYTES >> 20) as u64 + 1;
        (0..writes).for_each(|n| invalidations.add_key(&format!("d\n/{n}{long}"), at(0)));
        invalidations.swept(writes - 1, at(1));
        assert_eq!(invalidations.rules.read().unwrap().exact.len(), 1, "the one that is not swept yet");
        assert!(
            invalidations.hit_fetch("d\n/other", 0),
            "who began before what is forgotten is not believed"
        );
    }

    #[test]
    fn rules_are_forgotten_when_no_fetch_needs_them() {
        let invalidations = added(&["/a", "/b*", "#c"]);
        invalidations.swept(1, at(1));
        assert!(invalidations.hit_fetch("d\n/a", 0), "a fetch may have begun before");
        assert!(!invalidations.hit_fetch("e\n/x", 0));
        assert!(!invalidations.hit("d\n/a", &[], 0), "what is kept has been looked at");
        invalidations.add("d", &[parse("/z").unwrap()], at(1000));
        invalidations.swept(1, at(1000));
        let rules = invalidations.rules.read().unwrap();
        assert_eq!((rules.exact.len(), rules.prefixes.len(), rules.tags.len()), (1, 0, 0));
        drop(rules);
        assert!(invalidations.hit_fetch("d\n/x", 0), "who began before what is forgotten is not believed");
        assert!(!invalidations.hit_fetch("d\n/x", 1));
    }
}
