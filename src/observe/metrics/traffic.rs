//! What every request counts. Each thread has a set of counters of its own for each distribution ([`super::shard`]); a
//! scrape adds them up.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http::StatusCode;
use prometheus::core::{Collector, Desc};
use prometheus::proto;

use super::families::{SECONDS, counter, family, histogram, label};
use crate::observe::record::{Record, ResultType};
use crate::observe::shard::{self, SHARDS, Shard};

/// The distributions that were ever served, by name. A reload finds its own again.
#[derive(Debug, Clone, Default)]
pub(super) struct Traffic(Arc<Mutex<BTreeMap<String, Arc<Counts>>>>);

impl Traffic {
    pub(super) fn distribution(&self, id: &str) -> DistributionMetrics {
        DistributionMetrics(Arc::clone(self.lock().entry(id.to_owned()).or_default()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Counts>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Traffic {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let sums: Vec<(String, Sum)> =
            self.lock().iter().map(|(id, counts)| (id.clone(), counts.sum())).collect();
        let (mut requests, mut durations, mut first_bytes) = (vec![], vec![], vec![]);
        let (mut bytes, mut uploads) = (vec![], vec![]);
        for (id, sum) in &sums {
            for (Kind { method, status, result }, count) in &sum.requests {
                let labels = vec![
                    label("distribution", id),
                    label("method", METHODS[*method]),
                    label("result", ResultType::ALL[*result].as_str()),
                    label("status", StatusCode::from_u16(*status).as_ref().map_or("000", StatusCode::as_str)),
                ];
                requests.push(counter(labels, *count));
            }
            for (timings, series) in
                [(&sum.duration, &mut durations), (&sum.time_to_first_byte, &mut first_bytes)]
            {
                series.extend(timings.iter().zip(ResultType::ALL).map(|(timing, result)| {
                    let labels = vec![label("distribution", id), label("result", result.as_str())];
                    histogram(labels, &timing.buckets, timing.seconds())
                }));
            }
            bytes.push(counter(vec![label("distribution", id)], sum.bytes));
            uploads.push(counter(vec![label("distribution", id)], sum.uploads));
        }
        vec![
            family(
                "edgeseal_requests_total",
                "Requests finished, by CloudFront's result type.",
                proto::MetricType::COUNTER,
                requests,
            ),
            family(
                "edgeseal_request_duration_seconds",
                "From the request's head to the answer's last byte.",
                proto::MetricType::HISTOGRAM,
                durations,
            ),
            family(
                "edgeseal_time_to_first_byte_seconds",
                "From the request's head to the answer's first byte.",
                proto::MetricType::HISTOGRAM,
                first_bytes,
            ),
            family(
                "edgeseal_response_bytes_total",
                "Bytes sent to viewers, heads included.",
                proto::MetricType::COUNTER,
                bytes,
            ),
            family(
                "edgeseal_request_bytes_total",
                "Bytes received from viewers by any other method than GET and HEAD, heads included.",
                proto::MetricType::COUNTER,
                uploads,
            ),
        ]
    }
}

/// The metrics of one distribution.
#[derive(Debug, Clone)]
pub struct DistributionMetrics(Arc<Counts>);

impl DistributionMetrics {
    /// Counts a finished request. Neither waits nor allocates, but for a thread's first request, and for statuses that
    /// are out of the ordinary.
    pub fn observe(&self, record: &Record<'_>) {
        let shard = shard::mine();
        let tally = self.0.shards[shard.index()].get_or_init(Box::default);
        let (method, result) = (method(record.method), record.result as usize);
        match slot(method, record.status, result) {
            Some(slot) => tally.requests[slot].add(shard, 1),
            None => self.0.count_rare(Kind { method, status: record.status, result }),
        }
        tally.duration[result].observe(shard, record.time_taken);
        // Status 0: the viewer left before there was a first byte.
        if record.status != 0 {
            tally.time_to_first_byte[result].observe(shard, record.time_to_first_byte);
        }
        tally.bytes.add(shard, record.bytes_to_viewer);
        if method > HEAD {
            tally.uploads.add(shard, record.bytes_from_viewer);
        }
    }
}

/// One distribution's.
struct Counts {
    /// Made when a thread's first request comes.
    shards: Box<[OnceLock<Box<Tally>>]>,
    rare: Mutex<BTreeMap<Kind, u64>>,
}

/// The labels of a request, as indices but for the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    method: usize,
    status: u16,
    result: usize,
}

impl Counts {
    fn count_rare(&self, kind: Kind) {
        *self.rare.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
    }

    fn sum(&self) -> Sum {
        let mut sum = Sum {
            requests: self.rare.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            ..Sum::default()
        };
        for tally in self.shards.iter().filter_map(OnceLock::get) {
            for (slot, count) in
                tally.requests.iter().map(Count::get).enumerate().filter(|(_, count)| *count > 0)
            {
                *sum.requests.entry(kind(slot)).or_default() += count;
            }
            sum.bytes += tally.bytes.get();
            sum.uploads += tally.uploads.get();
            for result in 0..RESULTS {
                sum.duration[result].add(&tally.duration[result]);
                sum.time_to_first_byte[result].add(&tally.time_to_first_byte[result]);
            }
        }
        sum
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| OnceLock::new()).collect(), rare: Mutex::default() }
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts").finish_non_exhaustive()
    }
}

/// One thread's part of a distribution's counts. Aligned so that nothing of another thread's shares a cache line, nor the
/// neighbour that is fetched along with it.
#[repr(align(128))]
struct Tally {
    /// Of the usual methods, statuses and results: [`slot`] numbers them.
    requests: [Count; METHODS.len() * COMMON_STATUSES.len() * RESULTS],
    bytes: Count,
    uploads: Count,
    duration: [Timing; RESULTS],
    time_to_first_byte: [Timing; RESULTS],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            requests: std::array::from_fn(|_| Count::default()),
            bytes: Count::default(),
            uploads: Count::default(),
            duration: Default::default(),
            time_to_first_byte: Default::default(),
        }
    }
}

/// A histogram's part. Nanoseconds and whole seconds apart: together they would overflow after 584 years of waiting, which
/// ten thousand slow viewers bring about in three weeks.
#[derive(Default)]
struct Timing {
    /// Not cumulative; the last one is beyond all bounds.
    buckets: [Count; SECONDS.len() + 1],
    nanos: Count,
    secs: Count,
}

impl Timing {
    fn observe(&self, shard: Shard, took: Duration) {
        self.buckets[bucket(took)].add(shard, 1);
        self.nanos.add(shard, took.subsec_nanos().into());
        if took.as_secs() > 0 {
            self.secs.add(shard, took.as_secs());
        }
    }
}

#[derive(Default)]
struct Count(AtomicU64);

impl Count {
    fn add(&self, shard: Shard, more: u64) {
        if shard.is_own() {
            // Nobody else writes here, so nothing can come between.
            self.0.store(self.get().wrapping_add(more), Ordering::Relaxed);
        } else {
            self.0.fetch_add(more, Ordering::Relaxed);
        }
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All threads' together.
#[derive(Default)]
struct Sum {
    requests: BTreeMap<Kind, u64>,
    bytes: u64,
    uploads: u64,
    duration: [TimingSum; RESULTS],
    time_to_first_byte: [TimingSum; RESULTS],
}

#[derive(Default)]
struct TimingSum {
    buckets: [u64; SECONDS.len() + 1],
    nanos: u64,
    secs: u64,
}

impl TimingSum {
    fn add(&mut self, part: &Timing) {
        for (sum, count) in self.buckets.iter_mut().zip(&part.buckets) {
            *sum += count.get();
        }
        self.nanos = self.nanos.wrapping_add(part.nanos.get());
        self.secs = self.secs.wrapping_add(part.secs.get());
    }

    fn seconds(&self) -> f64 {
        self.secs as f64 + self.nanos as f64 / 1e9
    }
}

const RESULTS: usize = ResultType::ALL.len();

const METHODS: [&str; 4] = ["GET", "HEAD", "OPTIONS", "OTHER"];
/// The last of [`METHODS`] that never brings anything.
const HEAD: usize = 1;

/// Statuses that an edge answers with every day: counted without taking a lock.
const COMMON_STATUSES: [u16; 14] = [200, 206, 304, 0, 204, 301, 400, 403, 404, 416, 500, 502, 503, 504];

/// The bounds of [`SECONDS`] in nanoseconds.
const BOUNDS: [u64; SECONDS.len()] = {
    let mut bounds = [0; SECONDS.len()];
    let mut n = 0;
    while n < SECONDS.len() {
        bounds[n] = (SECONDS[n] * 1e9 + 0.5) as u64;
        n += 1;
    }
    bounds
};

/// The first bucket whose bound is not below `took`.
fn bucket(took: Duration) -> usize {
    let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    BOUNDS.iter().map(|bound| usize::from(*bound < nanos)).sum()
}

/// Index into [`METHODS`].
fn method(method: &str) -> usize {
    METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1)
}

/// Index into [`Tally::requests`].
fn slot(method: usize, status: u16, result: usize) -> Option<usize> {
    let status = COMMON_STATUSES.iter().position(|common| *common == status)?;
    Some((method * COMMON_STATUSES.len() + status) * RESULTS + result)
}

/// What [`slot`] has numbered.
fn kind(slot: usize) -> Kind {
    let (rest, result) = (slot / RESULTS, slot % RESULTS);
    Kind {
        method: rest / COMMON_STATUSES.len(),
        status: COMMON_STATUSES[rest % COMMON_STATUSES.len()],
        result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_kinds_are_one_to_one() {
        let mut seen = Vec::new();
        for method in 0..METHODS.len() {
            for status in COMMON_STATUSES {
                for result in 0..RESULTS {
                    let slot = slot(method, status, result).unwrap();
                    assert_eq!(kind(slot), Kind { method, status, result });
                    seen.push(slot);
                }
            }
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..METHODS.len() * COMMON_STATUSES.len() * RESULTS));
        assert_eq!(slot(0, 418, 0), None);
    }

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        for (n, seconds) in SECONDS.into_iter().enumerate() {
            let bound = Duration::from_secs_f64(seconds);
            assert_eq!(bucket(bound), n, "{seconds}");
            assert_eq!(bucket(bound + Duration::from_nanos(1)), n + 1, "{seconds}");
        }
        assert_eq!((bucket(Duration::ZERO), bucket(Duration::MAX)), (0, SECONDS.len()));
    }

    #[test]
    fn long_waits_do_not_overflow_a_sum() {
        let (timing, mut sum) = (Timing::default(), TimingSum::default());
        (0..3).for_each(|_| timing.observe(shard::mine(), Duration::new(10_000_000_000, 250_000_000)));
        sum.add(&timing);
        assert_eq!((sum.secs, sum.nanos), (30_000_000_000, 750_000_000));
    }
}
