//! What is kept, by its key: the table that answers every look-up.
//!
//! moka decides what stays and what goes; asking it costs a microsecond and more when many keys are alive, for each read
//! is logged and replayed on lists in cold memory. So moka knows hashes, weights and numbers, and this table owns the
//! values. Whoever writes holds [`Index::writing`] of the key; the number that a value got there tells it from its
//! successors, so news of its eviction, which may come late and on any thread, never removes another.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use hashbrown::HashTable;

/// A power of two. Many, so that one that has to grow is small, and holds up few.
const SHARDS: usize = 256;

/// Of a key, with this index's own seed.
pub(super) type Hash = u64;

/// Which of the values that a shard has ever got.
pub(super) type Seq = u64;

pub(super) struct Index<V> {
    hasher: SeedableRandomState,
    shards: Box<[Shard<V>]>,
}

/// Apart from its neighbours by two cache lines, for processors fetch them in pairs.
#[repr(align(128))]
struct Shard<V> {
    slots: RwLock<HashTable<Slot<V>>>,
    next: Mutex<Seq>,
}

struct Slot<V> {
    /// Kept, for a table that grows must not visit every key.
    hash: Hash,
    seq: Seq,
    value: V,
}

/// A value that knows its key: one place less in memory that a look-up has to wait for.
pub(super) trait Keyed {
    fn key(&self) -> &[u8];
}

/// The right to write in one shard. It is taken before moka is called and held until moka has come back, so that moka
/// and the index see all writes of one key in the same order. moka's listener runs inside and outside of it.
pub(super) struct Writing<'a, V> {
    shard: &'a Shard<V>,
    next: MutexGuard<'a, Seq>,
}

impl<V: Keyed> Index<V> {
    /// `seed` need only be unknown to those who choose the keys.
    pub(super) fn new(seed: u64) -> Self {
        let shard = || Shard { slots: RwLock::new(HashTable::new()), next: Mutex::new(0) };
        Self {
            hasher: SeedableRandomState::with_seed(seed, SharedSeed::global_random()),
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
        }
    }

    pub(super) fn hash(&self, key: &str) -> Hash {
        self.hasher.hash_one(key)
    }

    /// What `look` sees at the key. It must not take long, nor a lock.
    pub(super) fn read<R>(&self, hash: Hash, key: &str, look: impl FnOnce(Seq, &V) -> R) -> Option<R> {
        let slots = self.shard(hash).read();
        slots.find(hash, |slot| slot.is(hash, key)).map(|slot| look(slot.seq, &slot.value))
    }

    pub(super) fn writing(&self, hash: Hash) -> Writing<'_, V> {
        let shard = self.shard(hash);
        Writing { next: shard.next.lock().unwrap_or_else(PoisonError::into_inner), shard }
    }

    /// The value with this number has been evicted. Gives it back, so that it is dropped outside of all locks.
    pub(super) fn evicted(&self, hash: Hash, seq: Seq) -> Option<V> {
        self.shard(hash).take(hash, |slot| slot.hash == hash && slot.seq == seq).map(|slot| slot.value)
    }

    /// All there is, a shard at a time, without holding any lock in between.
    pub(super) fn snapshots(&self) -> impl Iterator<Item = Vec<(Hash, Seq, V)>>
    where
        V: Clone,
    {
        let copy = |slot: &Slot<V>| (slot.hash, slot.seq, slot.value.clone());
        self.shards.iter().map(move |shard| shard.read().iter().map(copy).collect())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// hashbrown goes by the lowest bits and the seven highest, moka by all: these are in between.
    fn shard(&self, hash: Hash) -> &Shard<V> {
        &self.shards[(hash >> 40) as usize & (SHARDS - 1)]
    }
}

impl<V: Keyed> Writing<'_, V> {
    /// Puts a value, with the hash of its key, in the place of what is there, which it gives back, and the number of the new
    /// one. From now on it is what is read.
    pub(super) fn put(&mut self, hash: Hash, value: V) -> (Seq, Option<V>) {
        *self.next += 1;
        let seq = *self.next;
        let slot = Slot { hash, seq, value };
        let mut slots = self.shard.write();
        if let Some(there) =
            slots.find_mut(hash, |there| there.hash == hash && there.value.key() == slot.value.key())
        {
            return (seq, Some(std::mem::replace(there, slot).value));
        }
        slots.insert_unique(hash, slot, |slot| slot.hash);
        (seq, None)
    }

    /// Takes what is at the key; with `only`, if that is its number.
    pub(super) fn take(&mut self, hash: Hash, key: &str, only: Option<Seq>) -> Option<V> {
        let wanted = |slot: &Slot<V>| slot.is(hash, key) && only.is_none_or(|seq| seq == slot.seq);
        self.shard.take(hash, wanted).map(|slot| slot.value)
    }
}

impl<V> Shard<V> {
    fn read(&self) -> RwLockReadGuard<'_, HashTable<Slot<V>>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashTable<Slot<V>>> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, hash: Hash, wanted: impl FnMut(&Slot<V>) -> bool) -> Option<Slot<V>> {
        let mut slots = self.write();
        let (slot, _) = slots.find_entry(hash, wanted).ok()?.remove();
        if slots.capacity() > 64 && slots.len() < slots.capacity() / 8 {
            let room = slots.len() * 2;
            slots.shrink_to(room, |slot| slot.hash);
        }
        Some(slot)
    }
}

impl<V: Keyed> Slot<V> {
    fn is(&self, hash: Hash, key: &str) -> bool {
        self.hash == hash && self.value.key() == key.as_bytes()
    }
}

impl<V> fmt::Debug for Index<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(String, u8);

    impl Keyed for Named {
        fn key(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }

    fn put(index: &Index<Named>, hash: Hash, key: &str, value: u8) -> (Seq, Option<u8>) {
        let (seq, replaced) = index.writing(hash).put(hash, Named(key.to_owned(), value));
        (seq, replaced.map(|Named(_, value)| value))
    }

    fn read(index: &Index<Named>, hash: Hash, key: &str) -> Option<u8> {
        index.read(hash, key, |_, Named(_, value)| *value)
    }

    fn evicted(index: &Index<Named>, hash: Hash, seq: Seq) -> Option<u8> {
        index.evicted(hash, seq).map(|Named(_, value)| value)
    }

    #[test]
    fn late_news_of_an_old_value_leaves_the_new_one() {
        let index = Index::new(1);
        let (first, _) = put(&index, 7, "a", 1);
        let (second, replaced) = put(&index, 7, "a", 2);
        assert_eq!(replaced, Some(1));
        assert_eq!(evicted(&index, 7, first), None);
        assert_eq!(read(&index, 7, "a"), Some(2));
        assert!(index.writing(7).take(7, "a", Some(first)).is_none());
        assert_eq!(evicted(&index, 7, second), Some(2));
        assert_eq!(read(&index, 7, "a"), None);
        assert_eq!(evicted(&index, 7, second), None);
    }

    #[test]
    fn two_keys_of_one_hash_are_two_keys() {
        let index = Index::new(1);
        let (first, _) = put(&index, 7, "a", 1);
        put(&index, 7, "b", 2);
        assert_eq!(
            (read(&index, 7, "a"), read(&index, 7, "b"), read(&index, 7, "c")),
            (Some(1), Some(2), None)
        );
        assert_eq!(evicted(&index, 7, first), Some(1));
        assert_eq!((read(&index, 7, "a"), read(&index, 7, "b")), (None, Some(2)));
    }

    #[test]
    fn a_table_that_has_been_full_gives_its_room_back() {
        let index = Index::new(1);
        let all: Vec<_> = (0..1000_u64).map(|n| (n, put(&index, n, &n.to_string(), 0).0)).collect();
        assert_eq!(index.len(), 1000);
        assert!(index.shards[0].read().capacity() >= 1000);
        for (hash, seq) in &all[10..] {
            assert_eq!(evicted(&index, *hash, *seq), Some(0));
        }
        assert!(index.shards[0].read().capacity() < 100, "{}", index.shards[0].read().capacity());
        for (hash, _) in &all[..10] {
            assert_eq!(read(&index, *hash, &hash.to_string()), Some(0));
        }
    }

    #[test]
    fn seeds_tell_indices_apart() {
        let [a, b] = [1, 2].map(Index::<Named>::new);
        assert_eq!(a.hash("/x"), a.hash("/x"));
        assert_ne!(a.hash("/x"), b.hash("/x"));
        assert_ne!(a.hash("/x"), a.hash("/y"));
    }
}
