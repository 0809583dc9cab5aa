use std::collections::HashMap;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, Weak};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;

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
    assert!((8..=15).contains(&stats.entries), "{stats:?}: 64 KiB each and their bookkeeping fit 15 times");
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

/// Which version of its key it is. Every other one knows its key.
fn version(number: u64, key: &str) -> Entry {
    let head = Head::new(StatusCode::OK, &HeaderMap::new());
    let body = vec![Bytes::from(vec![0; 300])].into();
    let object = Object::new(head, Lifetime::default(), Timestamp::from_secs(number), body);
    Entry::Object(Arc::new(if number.is_multiple_of(2) { object.under(key) } else { object }))
}

fn found(memory: &Memory, key: &str) -> Option<u64> {
    memory.get(key).map(|entry| match entry {
        Entry::Object(object) => object.stored_at.as_secs(),
        other => panic!("{other:?}"),
    })
}

fn weak(entry: &Entry) -> Weak<Object> {
    match entry {
        Entry::Object(object) => Arc::downgrade(object),
        other => panic!("{other:?}"),
    }
}

/// moka and the index agree, and nothing else is alive.
fn assert_exact(memory: &Memory, seen: &[Weak<Object>]) {
    let entries = memory.stats().entries;
    assert_eq!(memory.index.len() as u64, entries, "the index and moka");
    let alive = seen.iter().filter(|object| object.strong_count() > 0).count();
    assert_eq!(alive as u64, entries, "what is alive and what is kept");
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Insert(u8),
    Remove(u8),
    Get(u8),
    Invalidate(u8),
    Sweep,
    Settle,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..24_u8).prop_map(Step::Insert),
        2 => (0..24_u8).prop_map(Step::Remove),
        8 => (0..24_u8).prop_map(Step::Get),
        2 => (0..24_u8).prop_map(Step::Invalidate),
        1 => Just(Step::Sweep),
        1 => Just(Step::Settle),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is found is the last that was put there and neither removed nor invalidated; where there is room for all, it
    /// is found.
    #[test]
    fn what_is_found_is_the_newest(steps in steps(), roomy in any::<bool>()) {
        let memory = Memory::new(if roomy { 1 << 20 } else { 8 << 10 }, |_| ());
        let key = |n: u8| format!("d\n/{n}");
        let mut model = HashMap::new();
        let mut seen = Vec::new();
        for (number, step) in (0..).zip(steps) {
            match step {
                Step::Insert(n) => {
                    let entry = version(number, &key(n));
                    seen.push(weak(&entry));
                    memory.insert(key(n).into(), entry, memory.invalidations().latest());
                    model.insert(n, number);
                }
                Step::Remove(n) => {
                    memory.remove(&key(n));
                    model.remove(&n);
                }
                Step::Get(n) => match (found(&memory, &key(n)), model.get(&n)) {
                    (None, Some(_)) if !roomy => {} // evicted
                    (found, expected) => prop_assert_eq!(found.as_ref(), expected),
                },
                Step::Invalidate(n) => {
                    invalidate(&memory, &format!("/{n}"));
                    model.remove(&n);
                }
                Step::Sweep => memory.sweep(Timestamp::default()),
                Step::Settle => assert!(memory.stats().bytes <= memory.stats().max_bytes),
            }
        }
        for n in 0..24 {
            let found = found(&memory, &key(n));
            if roomy || found.is_some() {
                prop_assert_eq!(found.as_ref(), model.get(&n));
            }
        }
        assert_exact(&memory, &seen);
    }
}

/// Each key has one writer; the others look what is there, and a crowd of other keys keeps moka evicting. Whatever was
/// replaced or removed before somebody began to look, he does not see.
#[test]
fn nobody_sees_what_had_gone_before() {
    const KEYS: usize = 8;
    const ROUNDS: u64 = 2_000;
    let memory = &Memory::new(64 << 10, |_| ());
    let keys: &[Key] = &(0..KEYS).map(|n| format!("d\n/{n}").into()).collect::<Vec<_>>();
    let oldest: &[AtomicU64] = &std::array::from_fn::<_, KEYS, _>(|_| AtomicU64::new(0));
    let (done, seen) = (&AtomicBool::new(false), &Mutex::new(Vec::new()));
    let keep = |entry: Entry, key: Key| {
        seen.lock().unwrap().push(weak(&entry));
        memory.insert(key, entry, 0);
    };
    let write = move |mine: usize| {
        for round in 1..=ROUNDS {
            let n = mine + 2 * (round as usize % (KEYS / 2));
            keep(version(round, &keys[n]), Key::clone(&keys[n]));
            oldest[n].store(round, Release);
            if round % 3 == 0 {
                memory.remove(&keys[n]);
                oldest[n].store(round + 1, Release);
                assert_eq!(found(memory, &keys[n]), None, "after its removal");
            }
            keep(version(0, ""), format!("d\n/crowd/{mine}/{round}").into());
        }
    };
    let look = || {
        while !done.load(Acquire) {
            for (key, oldest) in keys.iter().zip(oldest) {
                let oldest = oldest.load(Acquire);
                if let Some(found) = found(memory, key) {
                    assert!(found >= oldest, "{found} was gone before {oldest} came");
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let lookers = [scope.spawn(look), scope.spawn(look)];
        let writers = [scope.spawn(move || write(0)), scope.spawn(move || write(1))];
        let ended = writers.map(|writer| writer.join().is_ok());
        done.store(true, Release);
        assert_eq!(ended, [true, true]);
        assert!(lookers.into_iter().all(|looker| looker.join().is_ok()));
    });
    assert_exact(memory, &seen.lock().unwrap());
}

/// Draws from so many keys, the n-th as often as 1/n.
struct Zipf {
    sums: Vec<f64>,
    random: fastrand::Rng,
}

impl Zipf {
    fn new(keys: u32) -> Self {
        let sums = (1..=keys).scan(0.0, |sum, n| {
            *sum += 1.0 / f64::from(n);
            Some(*sum)
        });
        Self { sums: sums.collect(), random: fastrand::Rng::with_seed(7) }
    }

    fn draw(&mut self) -> usize {
        let at = self.random.f64() * self.sums.last().unwrap();
        self.sums.partition_point(|sum| *sum < at)
    }
}

/// Requests that hit, in a hundred.
fn hits(trace: &[usize], mut request: impl FnMut(usize) -> bool) -> f64 {
    let hits = trace.iter().filter(|key| request(**key)).count();
    100.0 * hits as f64 / trace.len() as f64
}

/// Requests of a memory with room for so many.
fn requests(entries: u64) -> impl FnMut(usize) -> bool {
    let (entry, keys): (_, Vec<Key>) =
        (version(0, ""), (0..120_000).map(|n| format!("d\n/{n:06}").into()).collect());
    let bytes = entries * u64::from(weigh(&keys[0], &entry)) * UNIT;
    let memory = Memory::seeded(1, Telling::default(), bytes, |_| ());
    move |n: usize| {
        let hit = memory.get(&keys[n]).is_some();
        if !hit {
            memory.insert(Key::clone(&keys[n]), entry.clone(), 0);
        }
        hit
    }
}

#[test]
fn a_sample_of_the_hits_decides_as_well_as_all_of_them() {
    let mut zipf = Zipf::new(20_000);
    let trace: Vec<usize> = (0..200_000).map(|_| zipf.draw()).collect();
    let request = requests(1_000);
    let ours = hits(&trace, request);
    // Weighed, for that alone makes moka another (benches/README.md).
    let plain = Cache::<usize, ()>::builder()
        .max_capacity(8_000)
        .weigher(|_, ()| 8)
        .eviction_listener(|_, (), _| ())
        .build();
    let plain = hits(&trace, |key| {
        let hit = plain.get(&key).is_some();
        if !hit {
            plain.insert(key, ());
        }
        hit
    });
    assert!(ours >= plain - 1.0, "{ours:.2} % and {plain:.2} %");
    assert!(plain > 50.0, "{plain:.2} %: this trace is worth caching");
}

/// Every third request is the crawler's, for a key that is never asked for again. Least recently used keeps 88 % of the
/// hits.
#[test]
fn a_crawl_over_cold_keys_leaves_the_hot_ones() {
    let mut zipf = Zipf::new(1_500);
    let mut request = requests(2_000);
    let mut phase = |mut cold: std::ops::Range<usize>| {
        let hot: Vec<usize> = (0..100_000).map(|_| zipf.draw()).collect();
        let mut crawler = false;
        hits(&hot, |key| {
            crawler = !crawler;
            if crawler && let Some(key) = cold.next() {
                request(key);
            }
            request(key)
        })
    };
    phase(0..0);
    let before = phase(0..0);
    let during = phase(20_000..120_000);
    let after = phase(0..0);
    assert!(during >= 0.9 * before && after >= 0.9 * before, "{before:.2} % {during:.2} % {after:.2} %");
}
