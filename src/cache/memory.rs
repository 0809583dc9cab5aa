//! Objects in memory. moka owns policy, weight and eviction; freshness is the value's own affair.

use std::sync::Arc;

use http::HeaderName;
use moka::notification::RemovalCause;
use moka::sync::Cache;

use super::Key;
use super::invalidations::{Invalidations, Number};
use super::object::Object;
use super::pieces::Pieces;
use crate::clock::Timestamp;
use crate::origin::error::OriginError;
use crate::policy::admission::NotStored;

/// What is known of a key.
#[derive(Debug, Clone)]
pub enum Entry {
    Object(Arc<Object>),
    /// The origin's refusal is the answer until then (behaviour §8.1).
    Error {
        error: OriginError,
        until: Timestamp,
        /// A copy that is kept as a last resort, should the origin then be gone altogether (behaviour §5.1).
        behind: Option<Arc<Object>>,
    },
    /// Until then nobody waits for a fetch of this key: its answer is for one viewer only ("hit for miss").
    NotStored {
        why: NotStored,
        until: Timestamp,
    },
    /// A part of a large object; its key is no object's.
    Slice(Arc<Pieces>),
    /// There are several variants, each under a key of its own; they are told apart by these fields (RFC 9111 §4.1).
    Varies(Arc<[HeaderName]>),
}

impl Entry {
    /// Under which it can be invalidated (behaviour §12.14).
    fn tags(&self) -> &[Box<str>] {
        match self {
            Self::Object(object) | Self::Error { behind: Some(object), .. } => &object.tags,
            Self::Error { .. } | Self::NotStored { .. } | Self::Slice(_) | Self::Varies(_) => &[],
        }
    }
}

/// moka's weights are 32 bits; in units of 64 bytes they reach 256 GiB an entry.
const UNIT: u64 = 64;
/// Bytes from which on an object makes room for itself at once.
const AT_ONCE: u64 = 64 << 10;
/// moka's own cost per entry, about.
const OVERHEAD: u64 = 192;

#[derive(Debug)]
pub struct Memory {
    entries: Cache<Key, Kept>,
    max_bytes: u64,
    invalidations: Arc<Invalidations>,
}

#[derive(Debug, Clone)]
struct Kept {
    entry: Entry,
    /// No invalidation up to this one has hit it.
    since: Number,
}

impl Memory {
    /// Keeps at most `max_bytes`, and calls `evicted` with the cause when something leaves.
    #[must_use]
    pub fn new(max_bytes: u64, evicted: impl Fn(&'static str) + Send + Sync + 'static) -> Self {
        let entries = Cache::builder()
            .max_capacity(max_bytes / UNIT)
            .weigher(|key: &Key, kept: &Kept| weigh(key, &kept.entry))
            .eviction_listener(move |_, _, cause| evicted(label(cause)))
            .build();
        Self { entries, max_bytes, invalidations: Arc::default() }
    }

    #[must_use]
    pub fn invalidations(&self) -> &Arc<Invalidations> {
        &self.invalidations
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<Entry> {
        let Kept { entry, since } = self.entries.get(key)?;
        if self.invalidations.hit(key, entry.tags(), since) {
            self.entries.invalidate(key);
            return None;
        }
        Some(entry)
    }

    /// Keeps what a fetch brought that began at `since`, unless it has been invalidated since then.
    ///
    /// Whatever must leave for a large object leaves now: moka alone sees to it some 64 insertions later, and until
    /// then exceeds its limit. For small objects that is little, and they come by the thousand.
    pub fn insert(&self, key: Key, entry: Entry, since: Number) {
        let large = match &entry {
            Entry::Object(object) => object.weight() > AT_ONCE,
            Entry::Slice(pieces) => pieces.weight() > AT_ONCE,
            Entry::Error { error, .. } => error.answer().is_some_and(|answer| answer.weight() > AT_ONCE),
            Entry::NotStored { .. } | Entry::Varies(_) => false,
        };
        // No invalidation comes between the question and the insertion.
        let rules = self.invalidations.held();
        if rules.hit(&key, entry.tags(), since) {
            return;
        }
        self.entries.insert(key, Kept { entry, since: rules.latest() });
        drop(rules);
        if large {
            self.entries.run_pending_tasks();
        }
    }

    pub fn remove(&self, key: &str) {
        self.entries.invalidate(key);
    }

    /// Lets go of everything that has been invalidated, and of the rules that nobody needs any more.
    pub fn sweep(&self, now: Timestamp) {
        let number = self.invalidations.latest();
        let swept = self.invalidations.swept_up_to();
        for (key, Kept { entry, since }) in &self.entries {
            if self.invalidations.held().hit(&key, entry.tags(), since.max(swept)) {
                self.entries.invalidate(&*key);
            }
        }
        self.invalidations.swept(number, now);
        self.entries.run_pending_tasks();
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        self.entries.run_pending_tasks();
        Stats {
            entries: self.entries.entry_count(),
            bytes: self.entries.weighted_size() * UNIT,
            max_bytes: self.max_bytes,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    pub entries: u64,
    pub bytes: u64,
    pub max_bytes: u64,
}

fn weigh(key: &Key, entry: &Entry) -> u32 {
    let bytes = key.len() as u64
        + OVERHEAD
        + match entry {
            Entry::Object(object) => object.weight(),
            Entry::Slice(pieces) => pieces.weight(),
            Entry::Error { error, behind, .. } => {
                size_of::<Entry>() as u64
                    + error.answer().map_or(0, |answer| answer.weight())
                    + behind.as_ref().map_or(0, |object| object.weight())
            }
            Entry::NotStored { .. } => size_of::<Entry>() as u64,
            Entry::Varies(names) => (size_of::<Entry>() + size_of_val(&**names)) as u64,
        };
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

fn label(cause: RemovalCause) -> &'static str {
    match cause {
        RemovalCause::Expired => "expired",
        RemovalCause::Explicit => "explicit",
        RemovalCause::Replaced => "replaced",
        RemovalCause::Size => "size",
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::cache::object::Head;
    use crate::policy::freshness::Lifetime;
    use crate::policy::invalidation::parse;

    fn object(size: usize) -> Entry {
        let head = Head::new(StatusCode::OK, &HeaderMap::new());
        let body = vec![Bytes::from(vec![0; size])].into();
        Entry::Object(Arc::new(Object::new(head, Lifetime::default(), Timestamp::default(), body)))
    }

    #[test]
    fn memory_is_bounded_by_real_bytes() {
        let memory = Memory::new(1 << 20, |_| ());
        for i in 0..100 {
            memory.insert(Key::from(format!("k{i}")), object(64 << 10), 0);
        }
        let stats = memory.stats();
        assert!(stats.bytes <= 1 << 20, "{stats:?}");
        assert!(
            (8..=15).contains(&stats.entries),
            "{stats:?}: 64 KiB each and their bookkeeping fit 15 times"
        );
    }

    /// They used to stay until some later call: 60 of them in a cache for two.
    #[test]
    fn what_a_large_object_displaces_is_let_go_at_once() {
        let memory = Memory::new(1 << 20, |_| ());
        let mut seen = Vec::new();
        for i in 0..60 {
            let Entry::Object(object) = object(1 << 19) else { panic!("an object") };
            seen.push(Arc::downgrade(&object));
            memory.insert(Key::from(format!("k{i}")), Entry::Object(object), 0);
        }
        let alive = seen.iter().filter(|object| object.strong_count() > 0).count();
        assert!(alive <= 3, "{alive} objects of 512 KiB in a cache of 1 MiB");
    }

    #[test]
    fn what_a_large_error_displaces_is_let_go_at_once() {
        use crate::origin::custom::ErrorAnswer;
        use crate::origin::s3_error::Cause;
        let memory = Memory::new(1 << 20, |_| ());
        let mut seen = Vec::new();
        for i in 0..60 {
            let answer = Arc::new(ErrorAnswer {
                headers: HeaderMap::new(),
                body: vec![0; 1 << 19].into(),
                announced: true,
            });
            seen.push(Arc::downgrade(&answer));
            let fields = Arc::default();
            let error = OriginError::Refused {
                status: 404,
                cause: Cause::Other,
                code: None,
                fields,
                answer: Some(answer),
            };
            let entry = Entry::Error { error, until: Timestamp::default(), behind: None };
            memory.insert(Key::from(format!("k{i}")), entry, 0);
        }
        let alive = seen.iter().filter(|answer| answer.strong_count() > 0).count();
        assert!(alive <= 3, "{alive} errors of 512 KiB in a cache of 1 MiB");
    }

    #[test]
    fn a_sweep_leaves_what_is_older_than_the_rules_that_are_forgotten() {
        let memory = Memory::new(1 << 20, |_| ());
        memory.insert("d\n/a".into(), object(1000), 0);
        for minute in [0, 20, 40, 60] {
            let now = Timestamp::from_secs(60 * minute);
            memory.invalidations().add("d", &[parse("/b").unwrap()], now);
            memory.sweep(now);
            assert!(memory.get("d\n/a").is_some(), "after {minute} minutes, and it was never meant");
        }
    }

    fn invalidate(memory: &Memory, path: &str) {
        memory.invalidations().add("d", &[parse(path).unwrap()], Timestamp::default());
    }

    #[test]
    fn what_is_invalidated_is_gone_at_once_and_its_memory_with_the_sweep() {
        let memory = Memory::new(1 << 20, |_| ());
        for name in ["a", "b", "c"] {
            memory.insert(format!("d\n/{name}").into(), object(1000), 0);
        }
        invalidate(&memory, "/a");
        assert!(memory.get("d\n/a").is_none());
        assert!(memory.get("d\n/b").is_some());
        invalidate(&memory, "/b*");
        assert_eq!(memory.stats().entries, 2, "nobody has looked yet");
        memory.sweep(Timestamp::default());
        assert_eq!(memory.stats().entries, 1);
        assert!(memory.get("d\n/b").is_none());
        assert!(memory.get("d\n/c").is_some());
    }

    #[test]
    fn what_was_asked_for_before_an_invalidation_is_not_kept_after_it() {
        let memory = Memory::new(1 << 20, |_| ());
        invalidate(&memory, "/x");
        let began = memory.invalidations().latest();
        invalidate(&memory, "/a");
        for sweep in [false, true] {
            if sweep {
                memory.sweep(Timestamp::default());
            }
            memory.insert("d\n/a".into(), object(1000), began);
            assert!(memory.get("d\n/a").is_none(), "swept: {sweep}");
            memory.insert("d\n/b".into(), object(1000), began);
            assert!(memory.get("d\n/b").is_some(), "swept: {sweep}");
        }
        memory.insert("d\n/a".into(), object(1000), began + 1);
        assert!(memory.get("d\n/a").is_some(), "it was asked for afterwards");
    }

    #[test]
    fn the_weight_counts_body_head_and_key() {
        let small = u64::from(weigh(&Key::from("k"), &object(0))) * UNIT;
        let large = u64::from(weigh(&Key::from("k".repeat(6400)), &object(64 << 10))) * UNIT;
        assert!(small >= 192, "{small}");
        assert!(large - small > (64 << 10) + 6399 - UNIT, "{small} {large}");
    }
}
