//! What stays in the cache: hit ratios of [`Memory`], which tells moka of a sample of its hits, beside moka that is asked
//! each time, least recently used, and the best that can be had when each request is independent of the others (the most
//! popular keys are there, always). Then a crawl over keys that nobody else wants.
//!
//! `cargo bench --profile release --bench cache_policy [-- --requests N --main N --seeds N]`; benches/README.md has figures.
#![allow(clippy::print_stdout, reason = "it prints what it measures")]

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use edgeseal::cache::Key;
use edgeseal::cache::memory::{Entry, Memory, Telling};
use edgeseal::cache::object::{Head, Object};
use edgeseal::clock::Timestamp;
use edgeseal::policy::freshness::Lifetime;
use http::{HeaderMap, StatusCode};

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: usize = 1_000_000;
const EXPONENTS: [f64; 4] = [0.8, 0.9, 1.0, 1.1];
/// Keys in a thousand that there is room for.
const SIZES: [usize; 3] = [10, 50, 100];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Lru,
    Moka,
    /// One hit of so many is told to moka, and none for those that come in.
    Sample(u32),
    Ours,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    policy: Policy,
    size: usize,
    seed: u64,
    requests: usize,
}

#[derive(Debug)]
struct Options {
    requests: usize,
    main: usize,
    seeds: u64,
}

fn main() {
    let options = options();
    let keys = keys();
    let compared = [Policy::Lru, Policy::Moka, Policy::Ours];
    let heading =
        "| s | room | best | LRU | moka, every read | Memory |\n| --: | --: | --: | --: | --: | --: |";
    println!(
        "hit ratio in %, second half of {} requests, {KEYS} keys: mean (spread)\n{heading}",
        options.main
    );
    grid(&keys, &[0.9], &[50], &compared, options.main, options.seeds);
    println!(
        "\na crawl: hit ratio of the hot keys in %\n| | before | during | after |\n| --- | --: | --: | --: |"
    );
    for policy in compared {
        let [before, during, after] = crawl(&keys, policy);
        println!("| {policy:?} | {before:.2} | {during:.2} | {after:.2} |");
    }
    println!("\nas the first, {} requests\n{heading}", options.requests);
    grid(&keys, &EXPONENTS, &SIZES, &compared, options.requests, options.seeds);
    println!("\nplain samples of the hits");
    println!(
        "| s | room | best | 1/1 | 1/4 | 1/8 | 1/16 | 1/32 |\n| --: | --: | --: | --: | --: | --: | --: | --: |"
    );
    let samples = [1, 4, 8, 16, 32].map(Policy::Sample);
    grid(&keys, &[0.8, 1.0], &[10, 100], &samples, options.requests, options.seeds);
}

fn options() -> Options {
    let mut options = Options { requests: 1_000_000, main: 10_000_000, seeds: 1 };
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let number = words.next().and_then(|word| word.parse().ok()).expect("a number after each option");
        match word.as_str() {
            "--requests" => options.requests = number,
            "--main" => options.main = number,
            "--seeds" => options.seeds = number as u64,
            other => panic!("no such option: {other}"),
        }
    }
    options
}

/// Of one length, so that all entries weigh the same. The second million is the crawl's.
fn keys() -> Vec<Key> {
    (0..2 * KEYS).map(|n| format!("E2EXAMPLE\n/assets/{n:07}").into()).collect()
}

fn grid(keys: &[Key], exponents: &[f64], sizes: &[usize], policies: &[Policy], requests: usize, seeds: u64) {
    for &exponent in exponents {
        let zipf = Zipf::new(KEYS, exponent);
        let mut runs = Vec::new();
        for &size in sizes {
            for &policy in policies {
                runs.extend((0..seeds).map(|seed| Run { policy, size, seed, requests }));
            }
        }
        let ratios = in_parallel(&runs, |run| replay(keys, &zipf, run));
        for &size in sizes {
            print!(
                "| {exponent} | {} % | {:.2} |",
                size as f64 / 10.0,
                100.0 * zipf.best(KEYS * size / 1000)
            );
            for &policy in policies {
                let mine = |(run, _): &(&Run, &f64)| run.size == size && run.policy == policy;
                let all: Vec<f64> = runs.iter().zip(&ratios).filter(mine).map(|(_, ratio)| *ratio).collect();
                let mean = all.iter().sum::<f64>() / all.len() as f64;
                let spread =
                    all.iter().fold(f64::MIN, |a, b| a.max(*b)) - all.iter().fold(f64::MAX, |a, b| a.min(*b));
                print!(" {mean:.2} ({spread:.2}) |");
            }
            println!();
        }
    }
}

fn in_parallel(runs: &[Run], work: impl Fn(&Run) -> f64 + Sync) -> Vec<f64> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(vec![0.0; runs.len()]);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, run)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, runs.get(n)?)))
                {
                    let ratio = work(run);
                    done.lock().expect("no run panics")[index] = ratio;
                }
            });
        }
    });
    done.into_inner().expect("no run panics")
}

fn replay(keys: &[Key], zipf: &Zipf, run: &Run) -> f64 {
    let mut random = fastrand::Rng::with_seed(run.seed);
    let mut cache = Cache::new(run.policy, KEYS * run.size / 1000, keys);
    let warm = run.requests / 2;
    for _ in 0..warm {
        cache.request(keys, zipf.draw(&mut random));
    }
    let hits = (warm..run.requests).filter(|_| cache.request(keys, zipf.draw(&mut random))).count();
    100.0 * hits as f64 / (run.requests - warm) as f64
}

/// A hundred thousand keys, room for half of them; every second request is for a key that is never asked for again.
fn crawl(keys: &[Key], policy: Policy) -> [f64; 3] {
    let (hot, phase) = (100_000, 1_000_000);
    let zipf = Zipf::new(hot, 0.9);
    let mut random = fastrand::Rng::with_seed(1);
    let mut cache = Cache::new(policy, hot / 2, keys);
    for _ in 0..phase {
        cache.request(keys, zipf.draw(&mut random));
    }
    [false, true, false].map(|crawled| {
        let mut hits = 0;
        for n in 0..phase {
            if crawled {
                cache.request(keys, KEYS + n);
            }
            hits += usize::from(cache.request(keys, zipf.draw(&mut random)));
        }
        100.0 * hits as f64 / phase as f64
    })
}

/// Draws keys by their popularity, in constant time (Walker's alias method, as Vose builds it).
struct Zipf {
    kept: Vec<f64>,
    alias: Vec<u32>,
    chances: Vec<f64>,
}

impl Zipf {
    fn new(keys: usize, exponent: f64) -> Self {
        let weights: Vec<f64> = (1..=keys).map(|rank| (rank as f64).powf(-exponent)).collect();
        let sum: f64 = weights.iter().sum();
        let chances: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
        let mut kept: Vec<f64> = chances.iter().map(|chance| chance * keys as f64).collect();
        let mut alias: Vec<u32> = (0..keys as u32).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..keys).partition(|&n| kept[n] < 1.0);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            alias[poor] = rich as u32;
            kept[rich] -= 1.0 - kept[poor];
            if kept[rich] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Self { kept, alias, chances }
    }

    fn draw(&self, random: &mut fastrand::Rng) -> usize {
        let n = random.usize(..self.kept.len());
        if random.f64() < self.kept[n] { n } else { self.alias[n] as usize }
    }

    /// The hit ratio of a cache that always has the most popular keys.
    fn best(&self, room: usize) -> f64 {
        self.chances[..room].iter().sum()
    }
}

enum Cache {
    Lru(Lru),
    Moka(moka::sync::Cache<Key, Arc<Object>>, Arc<Object>),
    Ours(Memory, Arc<Object>),
}

impl Cache {
    fn new(policy: Policy, room: usize, keys: &[Key]) -> Self {
        let head = Head::new(StatusCode::OK, &HeaderMap::new());
        let object =
            Arc::new(Object::new(head, Lifetime::default(), Timestamp::default(), [Bytes::new()].into()));
        let weight = |memory: Memory| {
            memory.insert(Key::clone(&keys[0]), Entry::Object(Arc::clone(&object)), 0);
            memory.stats().bytes
        };
        let bytes = room as u64 * weight(Memory::new(1 << 30, |_| ()));
        match policy {
            Policy::Lru => Self::Lru(Lru::new(room, keys.len())),
            Policy::Moka => Self::Moka(
                moka::sync::Cache::builder()
                    .max_capacity(room as u64 * 8)
                    .weigher(|_, _| 8)
                    .eviction_listener(|_, _, _| ())
                    .build(),
                object,
            ),
            Policy::Sample(one_of) => {
                let telling = Telling { per_insert: 0, one_of };
                Self::Ours(Memory::telling(telling, bytes, |_| ()), object)
            }
            Policy::Ours => Self::Ours(Memory::new(bytes, |_| ()), object),
        }
    }

    /// `true`: it was there. Otherwise it is now, if the policy lets it in.
    fn request(&mut self, keys: &[Key], n: usize) -> bool {
        match self {
            Self::Lru(lru) => lru.request(n as u32),
            Self::Moka(cache, _) if cache.get(&keys[n]).is_some() => true,
            Self::Moka(cache, object) => {
                cache.insert(Key::clone(&keys[n]), Arc::clone(object));
                false
            }
            Self::Ours(memory, _) if memory.get(&keys[n]).is_some() => true,
            Self::Ours(memory, object) => {
                memory.insert(Key::clone(&keys[n]), Entry::Object(Arc::clone(object)), 0);
                false
            }
        }
    }
}

/// The textbook's: a list in the order of use, in two arrays.
struct Lru {
    newer: Vec<u32>,
    older: Vec<u32>,
    present: Vec<bool>,
    left: usize,
}

impl Lru {
    fn new(room: usize, keys: usize) -> Self {
        let end = keys as u32; // newest is newer[end]'s other side: a ring through the end
        Self {
            newer: vec![end; keys + 1],
            older: vec![end; keys + 1],
            present: vec![false; keys + 1],
            left: room,
        }
    }

    fn request(&mut self, n: u32) -> bool {
        let end = self.present.len() - 1;
        let hit = self.present[n as usize];
        if hit {
            self.unlink(n);
        } else if self.left > 0 {
            self.left -= 1;
        } else {
            let oldest = self.newer[end];
            self.unlink(oldest);
            self.present[oldest as usize] = false;
        }
        self.present[n as usize] = true;
        let newest = self.older[end];
        (self.older[n as usize], self.newer[n as usize]) = (newest, end as u32);
        self.newer[newest as usize] = n;
        self.older[end] = n;
        hit
    }

    fn unlink(&mut self, n: u32) {
        let (older, newer) = (self.older[n as usize], self.newer[n as usize]);
        self.newer[older as usize] = newer;
        self.older[newer as usize] = older;
    }
}
