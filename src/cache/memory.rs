//! Objects in memory. moka decides what stays, by weight and use; freshness is the value's own affair.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use http::HeaderName;
use moka::notification::RemovalCause;
use moka::sync::Cache;

use super::Key;
use super::index::{Hash, Index, Keyed, Seq};
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
/// Bytes that moka, the index and what is counted take for each entry (benches/README.md).
const OVERHEAD: u64 = 500;

/// Which hits moka is told of; of misses it hears always. Being told costs it a microsecond and more, so what is told is
/// measured by the fetches, which cost a hundred: where a part of the requests misses, moka hears of nearly all hits and
/// decides as if it were asked each time, and where all hit there is nothing to decide.
///
/// A plain sample of hits beside all misses made of every newcomer somebody better known than who is there: two to five
/// points of hit ratio (benches/README.md).
#[derive(Debug, Clone, Copy)]
pub struct Telling {
    /// So many hits are told for each value that comes in, on the thread that it comes in on.
    pub per_insert: u32,
    /// Of the others one of so many. A power of two.
    pub one_of: u32,
}

impl Default for Telling {
    fn default() -> Self {
        Self { per_insert: 16, one_of: 32 }
    }
}

/// Hits that may be told at most before the next value comes in: after a cache has been filled nobody is to pay for all
/// of it.
const MOST_TOLD: u32 = 1024;

/// The values are in the index; moka knows their keys' hashes, their weights and their numbers. Whatever moka lets go of
/// its listener takes out of the index.
///
/// Locks, in the order in which they are taken: invalidation rules, `Index::writing`, moka's own, the index's tables.
#[derive(Debug)]
pub struct Memory {
    index: Arc<Index<Kept>>,
    policy: Cache<Hash, Token, Unhashed>,
    max_bytes: u64,
    telling: Telling,
    invalidations: Arc<Invalidations>,
}

#[derive(Debug, Clone)]
struct Kept {
    held: Held,
    /// No invalidation up to this one has hit it.
    since: Number,
}

/// An [`Entry`] and its key in 16 bytes, of which most are objects that know their key.
#[derive(Debug, Clone)]
enum Held {
    Object(Arc<Object>),
    Other(Arc<(Key, Entry)>),
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
        Self::telling(Telling::default(), max_bytes, evicted)
    }

    /// As [`Self::new`], for benches.
    ///
    /// # Panics
    /// If `telling.one_of` is not a power of two.
    #[must_use]
    pub fn telling(
        telling: Telling,
        max_bytes: u64,
        evicted: impl Fn(&'static str) + Send + Sync + 'static,
    ) -> Self {
        // Of the operating system's, and of this cache alone.
        Self::seeded(RandomState::new().hash_one(()), telling, max_bytes, evicted)
    }

    fn seeded(
        seed: u64,
        telling: Telling,
        max_bytes: u64,
        evicted: impl Fn(&'static str) + Send + Sync + 'static,
    ) -> Self {
        assert!(telling.one_of.is_power_of_two(), "{telling:?}");
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
        Self { index, policy, max_bytes, telling, invalidations: Arc::default() }
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
        if is_told(self.telling.one_of) {
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
        // No invalidation comes between the question and the insertion.
        let rules = self.invalidations.held();
        if rules.hit(&key, entry.tags(), since) {
            return;
        }
        let held = Held::new(key, entry);
        allow(self.telling.per_insert);
        let mut writing = self.index.writing(hash);
        let (seq, replaced) = writing.put(hash, Kept { held, since: rules.latest() });
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
            for (hash, seq, kept) in shard {
                // Keys are text.
                let key = std::str::from_utf8(kept.key()).unwrap_or_default();
                if self.invalidations.held().hit(key, kept.held.tags(), kept.since.max(swept)) {
                    self.take(hash, key, Some(seq));
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
    fn new(key: Key, entry: Entry) -> Self {
        match entry {
            Entry::Object(object) if object.key() == key.as_bytes() => Self::Object(object),
            other => Self::Other(Arc::new((key, other))),
        }
    }

    fn tags(&self) -> &[Box<str>] {
        match self {
            Self::Object(object) => &object.tags,
            Self::Other(other) => other.1.tags(),
        }
    }

    fn entry(self) -> Entry {
        match self {
            Self::Object(object) => Entry::Object(object),
            Self::Other(other) => other.1.clone(),
        }
    }
}

impl Keyed for Kept {
    fn key(&self) -> &[u8] {
        match &self.held {
            Held::Object(object) => object.key(),
            Held::Other(other) => other.0.as_bytes(),
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

thread_local! {
    /// Hits that moka is yet to be told of.
    static ALLOWED: Cell<u32> = const { Cell::new(0) };
    static CHANCE: Cell<u32> = const { Cell::new(0x9E37_79B9) };
}

fn allow(hits: u32) {
    ALLOWED.set(ALLOWED.get().saturating_add(hits).min(MOST_TOLD));
}

/// Of what nobody has allowed one of `n`, a power of two: by chance, so that it falls into step with no pattern.
fn is_told(n: u32) -> bool {
    let allowed = ALLOWED.get();
    if allowed > 0 {
        ALLOWED.set(allowed - 1);
        return true;
    }
    // Marsaglia's xorshift
    let mut x = CHANCE.get();
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    CHANCE.set(x);
    x & (n - 1) == 0
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
            Entry::Slice(pieces) => size_of::<Pieces>() as u64 + pieces.weight(),
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
mod tests;
