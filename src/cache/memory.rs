//! Objects in memory. moka decides what stays, by weight and use; freshness is the value's own affair.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use http::HeaderName;
use moka::notification::RemovalCause;
use moka::sync::Cache;

use super::Key;
use super::index::{Hash, Index, Seq};
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
/// Bytes that moka, the index and two counted pointers take for each entry (benches/README.md).
const OVERHEAD: u64 = 384;
/// One hit of so many is told to moka, and every miss. A power of two. benches/README.md has the hit ratios.
const SAMPLE: u32 = 8;

/// The values are in the index; moka knows their keys' hashes, their weights and their numbers. Whatever moka lets go of
/// its listener takes out of the index.
///
/// Locks, in the order in which they are taken: invalidation rules, `Index::writing`, moka's own, the index's tables.
#[derive(Debug)]
pub struct Memory {
    index: Arc<Index<Kept>>,
    policy: Cache<Hash, Token, Unhashed>,
    max_bytes: u64,
    sample: u32,
    invalidations: Arc<Invalidations>,
}

#[derive(Debug, Clone)]
struct Kept {
    held: Held,
    /// No invalidation up to this one has hit it.
    since: Number,
}

/// An [`Entry`] in 16 bytes, of which most are objects.
#[derive(Debug, Clone)]
enum Held {
    Object(Arc<Object>),
    Slice(Arc<Pieces>),
    Other(Arc<Entry>),
}

/// What moka keeps.
#[derive(Debug, Clone, Copy)]
struct Token {
    seq: Seq,
    weight: u32,
}

impl Memory {
    /// Keeps at most `max_bytes`, and calls `evicted` with the cause when something leaves.
    #[must_use]
    pub fn new(max_bytes: u64, evicted: impl Fn(&'static str) + Send + Sync + 'static) -> Self {
        Self::sampling(SAMPLE, max_bytes, evicted)
    }

    /// As [`Self::new`]; one hit of `sample` decides what stays. For benches.
    ///
    /// # Panics
    /// If `sample` is not a power of two.
    #[must_use]
    pub fn sampling(
        sample: u32,
        max_bytes: u64,
        evicted: impl Fn(&'static str) + Send + Sync + 'static,
    ) -> Self {
        // Of the operating system's, and of this cache alone.
        Self::seeded(RandomState::new().hash_one(()), sample, max_bytes, evicted)
    }

    fn seeded(
        seed: u64,
        sample: u32,
        max_bytes: u64,
        evicted: impl Fn(&'static str) + Send + Sync + 'static,
    ) -> Self {
        assert!(sample.is_power_of_two(), "one of {sample}");
        let index = Arc::new(Index::new(seed));
        let kept = Arc::clone(&index);
        let policy = Cache::builder()
            .max_capacity(max_bytes / UNIT)
            .weigher(|_: &Hash, token: &Token| token.weight)
            .eviction_listener(move |hash: Arc<Hash>, token, cause| {
                drop(kept.evicted(*hash, token.seq));
                evicted(label(cause));
            })
            .build_with_hasher(Unhashed::default());
        Self { index, policy, max_bytes, sample, invalidations: Arc::default() }
    }

    #[must_use]
    pub fn invalidations(&self) -> &Arc<Invalidations> {
        &self.invalidations
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<Entry> {
        let hash = self.index.hash(key);
        let Some((seq, Kept { held, since })) = self.index.read(hash, key, |seq, kept| (seq, kept.clone()))
        else {
            self.tell(hash); // what is wanted often and not there is let in
            return None;
        };
        if self.invalidations.hit(key, held.tags(), since) {
            self.take(hash, key, Some(seq));
            return None;
        }
        if one_of(self.sample) {
            self.tell(hash);
        }
        Some(held.entry())
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
        let (hash, weight) = (self.index.hash(&key), weigh(&key, &entry));
        let held = Held::from(entry);
        // No invalidation comes between the question and the insertion.
        let rules = self.invalidations.held();
        if rules.hit(&key, held.tags(), since) {
            return;
        }
        let mut writing = self.index.writing(hash);
        let (seq, replaced) = writing.put(hash, key, Kept { held, since: rules.latest() });
        self.policy.insert(hash, Token { seq, weight });
        drop(writing);
        drop(rules);
        drop(replaced);
        if large {
            self.policy.run_pending_tasks();
        }
    }

    pub fn remove(&self, key: &str) {
        self.take(self.index.hash(key), key, None);
    }

    /// Lets go of everything that has been invalidated, and of the rules that nobody needs any more.
    pub fn sweep(&self, now: Timestamp) {
        let number = self.invalidations.latest();
        let swept = self.invalidations.swept_up_to();
        for shard in self.index.snapshots() {
            for (hash, seq, key, Kept { held, since }) in shard {
                if self.invalidations.held().hit(&key, held.tags(), since.max(swept)) {
                    self.take(hash, &key, Some(seq));
                }
            }
        }
        self.invalidations.swept(number, now);
        self.policy.run_pending_tasks();
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        self.policy.run_pending_tasks();
        Stats {
            entries: self.policy.entry_count(),
            bytes: self.policy.weighted_size() * UNIT,
            max_bytes: self.max_bytes,
        }
    }

    /// Takes what is at the key out of both; with `only`, if that is its number.
    fn take(&self, hash: Hash, key: &str, only: Option<Seq>) {
        let mut writing = self.index.writing(hash);
        let taken = writing.take(hash, key, only);
        if taken.is_some() {
            self.policy.invalidate(&hash);
        }
        drop(writing);
        drop(taken);
    }

    /// Somebody has asked for it.
    fn tell(&self, hash: Hash) {
        let _token = self.policy.get(&hash);
    }
}

impl Held {
    fn tags(&self) -> &[Box<str>] {
        match self {
            Self::Object(object) => &object.tags,
            Self::Slice(_) => &[],
            Self::Other(entry) => entry.tags(),
        }
    }

    fn entry(self) -> Entry {
        match self {
            Self::Object(object) => Entry::Object(object),
            Self::Slice(pieces) => Entry::Slice(pieces),
            Self::Other(entry) => Entry::clone(&entry),
        }
    }
}

impl From<Entry> for Held {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Object(object) => Self::Object(object),
            Entry::Slice(pieces) => Self::Slice(pieces),
            other => Self::Other(Arc::new(other)),
        }
    }
}

/// moka's keys are hashes already.
#[derive(Debug, Clone, Default)]
struct Unhashed(u64);

impl BuildHasher for Unhashed {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self::default()
    }
}

impl Hasher for Unhashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Comes true once in `n` times, a power of two, on each thread: by chance, so that it falls into step with nobody.
fn one_of(n: u32) -> bool {
    thread_local! {
        static STATE: Cell<u32> = const { Cell::new(0x9E37_79B9) };
    }
    STATE.with(|state| {
        // Marsaglia's xorshift
        let mut x = state.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        state.set(x);
        x & (n - 1) == 0
    })
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
