//! What is to be told, taken from the metrics: no clock, no counters of its own.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::admin::api::Recent;
use crate::admin::{Check, Readiness};
use crate::clock::Timestamp;
use crate::observe::metrics::{Metric, MetricFamily};
use crate::observe::record::ResultType;

/// Lines of errors, the most frequent first.
const ERRORS: usize = 12;

/// `/status.json`. Counts are since the start, times in seconds since the Unix epoch, durations in seconds.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    pub version: &'static str,
    pub at: u64,
    pub uptime_seconds: Option<u64>,
    pub ready: bool,
    pub checks: Vec<Check>,
    pub requests: u64,
    /// From the cache, confirmed ones too; and all that could be.
    pub hits: u64,
    pub cacheable: u64,
    pub bytes_sent: u64,
    pub results: Vec<OfResult>,
    pub distributions: Vec<OfDistribution>,
    pub origins: Vec<OfOrigin>,
    pub errors: Vec<Failure>,
    pub cache: Cache,
    pub connections: BTreeMap<String, u64>,
    pub memory: Memory,
    pub certificates: Vec<Expiry>,
    pub credentials: Vec<Expiry>,
    pub keys: Vec<Key>,
    pub configuration: Configuration,
    pub invalidations: u64,
    /// `None`: not told to whoever asks.
    pub recent_invalidations: Option<Vec<Recent>>,
}

/// What the metrics do not reveal.
#[derive(Debug, Default)]
pub(super) struct Private {
    /// Names of distributions by their ids.
    pub names: BTreeMap<String, String>,
    pub invalidations: Vec<Recent>,
}

#[derive(Debug, Serialize)]
pub(super) struct OfResult {
    pub result: &'static str,
    pub requests: u64,
    /// To the first byte; `None`: there was none.
    pub first_byte_p50: Option<f64>,
    pub first_byte_p99: Option<f64>,
    pub last_byte_p99: Option<f64>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct OfDistribution {
    /// Empty: of requests that named none of ours.
    pub id: String,
    pub name: Option<String>,
    pub requests: u64,
    pub hits: u64,
    pub cacheable: u64,
    pub errors_4xx: u64,
    pub errors_5xx: u64,
    pub bytes_sent: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct OfOrigin {
    pub id: String,
    pub requests: u64,
    pub failed: u64,
    pub denied: u64,
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub bytes: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failure {
    /// `viewer`, `origin`, `origin denied`, `TLS`, `log`.
    pub kind: &'static str,
    pub what: String,
    pub of: String,
    pub count: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Cache {
    pub entries: u64,
    pub bytes: u64,
    pub max_bytes: u64,
    pub evicted_for_room: u64,
    pub collapsed: u64,
    pub stale: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Memory {
    pub resident_bytes: Option<u64>,
    pub limit_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Expiry {
    pub of: String,
    pub at: u64,
    pub seconds_left: i64,
}

#[derive(Debug, Serialize)]
pub(super) struct Key {
    pub key: String,
    pub usable: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Configuration {
    pub in_force: bool,
    pub since: u64,
}

impl Status {
    pub(super) fn of(
        families: &[MetricFamily],
        readiness: Readiness,
        private: Option<Private>,
        now: Timestamp,
    ) -> Self {
        let all = Families(families);
        let is_private = private.is_some();
        let Private { names, invalidations } = private.unwrap_or_default();
        let distributions = distributions(all, &names);
        let sum = |of: fn(&OfDistribution) -> u64| distributions.iter().map(of).sum();
        let now_secs = now.as_secs();
        let optional = |name: &str| all.of(name).next().map(|metric| count(value(metric)));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            at: now_secs,
            uptime_seconds: optional("process_start_time_seconds")
                .map(|began| now_secs.saturating_sub(began)),
            ready: readiness.ready,
            checks: readiness.checks,
            requests: sum(|one| one.requests),
            hits: sum(|one| one.hits),
            cacheable: sum(|one| one.cacheable),
            bytes_sent: sum(|one| one.bytes_sent),
            results: ResultType::ALL.into_iter().map(|result| of_result(all, result.as_str())).collect(),
            origins: origins(all),
            errors: errors(all),
            cache: Cache {
                entries: all.total("edgeseal_cache_entries"),
                bytes: all.total("edgeseal_cache_bytes"),
                max_bytes: all.total("edgeseal_cache_max_bytes"),
                evicted_for_room: all.total_where("edgeseal_cache_evictions_total", "cause", "size"),
                collapsed: all.total("edgeseal_cache_collapsed_requests_total"),
                stale: all.total("edgeseal_cache_stale_served_total"),
            },
            connections: all
                .of("edgeseal_connections")
                .map(|metric| (text(metric, "protocol").to_owned(), count(value(metric))))
                .collect(),
            memory: Memory {
                resident_bytes: optional("process_resident_memory_bytes"),
                limit_bytes: optional("edgeseal_memory_limit_bytes"),
            },
            certificates: expiries(all, "edgeseal_tls_cert_not_after_timestamp_seconds", "name", now_secs),
            credentials: expiries(all, "edgeseal_credentials_expiry_timestamp_seconds", "origin", now_secs),
            keys: all
                .of("edgeseal_kms_key_usable")
                .map(|metric| Key { key: text(metric, "key").to_owned(), usable: value(metric) > 0.0 })
                .collect(),
            configuration: Configuration {
                in_force: all.total("edgeseal_config_last_reload_successful") > 0,
                since: all.total("edgeseal_config_last_reload_success_timestamp_seconds"),
            },
            invalidations: all.total("edgeseal_invalidations_total"),
            recent_invalidations: is_private.then_some(invalidations),
            distributions,
        }
    }
}

/// Read by name.
#[derive(Clone, Copy)]
struct Families<'a>(&'a [MetricFamily]);

impl<'a> Families<'a> {
    fn of(self, name: &str) -> impl Iterator<Item = &'a Metric> + use<'a> {
        let found = self.0.iter().find(|family| family.name() == name);
        found.into_iter().flat_map(|family| family.get_metric())
    }

    fn total(self, name: &str) -> u64 {
        self.of(name).map(|metric| count(value(metric))).sum()
    }

    fn total_where(self, name: &str, label: &str, wanted: &str) -> u64 {
        self.of(name).filter(|metric| text(metric, label) == wanted).map(|metric| count(value(metric))).sum()
    }
}

/// Of a label; empty if there is none.
fn text<'m>(metric: &'m Metric, label: &str) -> &'m str {
    metric.get_label().iter().find(|pair| pair.name() == label).map_or("", |pair| pair.value())
}

/// Of a counter or a gauge: the other one is 0.
fn value(metric: &Metric) -> f64 {
    metric.get_counter().get_value() + metric.get_gauge().get_value()
}

fn count(value: f64) -> u64 {
    value.max(0.0) as u64
}

fn distributions(all: Families<'_>, names: &BTreeMap<String, String>) -> Vec<OfDistribution> {
    let mut found: BTreeMap<&str, OfDistribution> = BTreeMap::new();
    for metric in all.of("edgeseal_response_bytes_total") {
        found.entry(text(metric, "distribution")).or_default().bytes_sent += count(value(metric));
    }
    for metric in all.of("edgeseal_requests_total") {
        let one = found.entry(text(metric, "distribution")).or_default();
        let requests = count(value(metric));
        one.requests += requests;
        match text(metric, "status").as_bytes().first() {
            Some(b'4') => one.errors_4xx += requests,
            Some(b'5') => one.errors_5xx += requests,
            _ => {}
        }
        // CloudFront's CacheHitRate is of these (behaviour §12.12).
        if text(metric, "method") != "OTHER" {
            match text(metric, "result") {
                "Hit" | "RefreshHit" => {
                    one.hits += requests;
                    one.cacheable += requests;
                }
                "Miss" => one.cacheable += requests,
                _ => {}
            }
        }
    }
    found
        .into_iter()
        .map(|(id, one)| OfDistribution { id: id.to_owned(), name: names.get(id).cloned(), ..one })
        .filter(|one| !one.id.is_empty() || one.requests > 0)
        .collect()
}

fn of_result(all: Families<'_>, result: &'static str) -> OfResult {
    let merged = |name: &str| {
        let mut buckets = Buckets::default();
        all.of(name).filter(|metric| text(metric, "result") == result).for_each(|metric| buckets.add(metric));
        buckets
    };
    let first = merged("edgeseal_time_to_first_byte_seconds");
    OfResult {
        result,
        requests: all.total_where("edgeseal_requests_total", "result", result),
        first_byte_p50: first.quantile(0.5),
        first_byte_p99: first.quantile(0.99),
        last_byte_p99: merged("edgeseal_request_duration_seconds").quantile(0.99),
    }
}

fn origins(all: Families<'_>) -> Vec<OfOrigin> {
    let mut found: BTreeMap<&str, OfOrigin> = BTreeMap::new();
    for metric in all.of("edgeseal_origin_duration_seconds") {
        let mut buckets = Buckets::default();
        buckets.add(metric);
        let one = found.entry(text(metric, "origin")).or_default();
        (one.p50, one.p99) = (buckets.quantile(0.5), buckets.quantile(0.99));
    }
    let mut add = |name: &str, field: fn(&mut OfOrigin) -> &mut u64| {
        for metric in all.of(name) {
            *field(found.entry(text(metric, "origin")).or_default()) += count(value(metric));
        }
    };
    add("edgeseal_origin_requests_total", |one| &mut one.requests);
    add("edgeseal_origin_errors_total", |one| &mut one.failed);
    add("edgeseal_origin_denied_total", |one| &mut one.denied);
    add("edgeseal_origin_bytes_total", |one| &mut one.bytes);
    found.into_iter().map(|(id, one)| OfOrigin { id: id.to_owned(), ..one }).collect()
}

fn errors(all: Families<'_>) -> Vec<Failure> {
    let mut found: BTreeMap<(&'static str, String, String), u64> = BTreeMap::new();
    let mut add = |kind, name: &str, what: &str, of: &str| {
        for metric in all.of(name) {
            let what = text(metric, what);
            // Of answers to viewers only the errors.
            if kind != "viewer" || matches!(what.as_bytes().first(), Some(b'4' | b'5')) {
                let key = (kind, what.to_owned(), text(metric, of).to_owned());
                *found.entry(key).or_default() += count(value(metric));
            }
        }
    };
    add("viewer", "edgeseal_requests_total", "status", "distribution");
    add("origin", "edgeseal_origin_errors_total", "reason", "origin");
    add("origin denied", "edgeseal_origin_denied_total", "cause", "origin");
    add("TLS", "edgeseal_tls_handshake_errors_total", "reason", "");
    add("log", "edgeseal_log_dropped_total", "log", "");
    let mut lines: Vec<Failure> = found
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|((kind, what, of), count)| Failure { kind, what, of, count })
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.count));
    lines.truncate(ERRORS);
    lines
}

/// The one that ends first comes first.
fn expiries(all: Families<'_>, name: &str, label: &str, now: u64) -> Vec<Expiry> {
    let left = |at: u64| i64::try_from(at).unwrap_or(i64::MAX).saturating_sub_unsigned(now);
    let expiry = |metric| {
        let at = count(value(metric));
        Expiry { of: text(metric, label).to_owned(), at, seconds_left: left(at) }
    };
    let mut found: Vec<Expiry> = all.of(name).map(expiry).collect();
    found.sort_by_key(|expiry| expiry.at);
    found
}

/// Histograms, added up: upper bounds in seconds, and how many are at most that.
#[derive(Default)]
struct Buckets {
    steps: Vec<(f64, u64)>,
    all: u64,
}

impl Buckets {
    fn add(&mut self, metric: &Metric) {
        let histogram = metric.get_histogram();
        self.all += histogram.get_sample_count();
        for (index, step) in histogram.get_bucket().iter().enumerate() {
            match self.steps.get_mut(index) {
                Some((_, count)) => *count += step.cumulative_count(),
                None => self.steps.push((step.upper_bound(), step.cumulative_count())),
            }
        }
    }

    /// As Prometheus estimates it: in even steps within a bucket, and the last bound beyond all.
    fn quantile(&self, q: f64) -> Option<f64> {
        if self.all == 0 {
            return None;
        }
        let rank = q * self.all as f64;
        let mut below = (0.0, 0);
        for (bound, count) in &self.steps {
            if *count as f64 >= rank && *count > below.1 {
                let share = (rank - below.1 as f64) / (*count - below.1) as f64;
                return Some(below.0 + (bound - below.0) * share);
            }
            below = (*bound, *count);
        }
        Some(below.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observe::metrics::Metrics;

    fn status(metrics: &Metrics, private: Option<Private>) -> Status {
        let readiness = Readiness { ready: true, checks: Vec::new() };
        Status::of(&metrics.gather(), readiness, private, Timestamp::from_secs(1_000))
    }

    #[test]
    fn an_edge_that_was_never_asked_has_nothing_to_tell() {
        let metrics = Metrics::new();
        let status = status(&metrics, None);
        assert_eq!((status.requests, status.hits, status.errors.len(), status.origins.len()), (0, 0, 0, 0));
        assert!(status.results.iter().all(|line| line.requests == 0 && line.first_byte_p50.is_none()));
        assert!(status.recent_invalidations.is_none() && status.distributions.is_empty());
    }

    #[test]
    fn what_fails_most_comes_first() {
        let metrics = Metrics::new();
        let origin = metrics.origin("bucket");
        (0..3).for_each(|_| origin.failed("connect_refused"));
        (0..5).for_each(|_| origin.denied("kms_key_disabled"));
        origin.answered(200, Duration::from_millis(30));
        metrics.tls_handshake_error("timeout");
        metrics.log_dropped("access", 4);
        let status = status(&metrics, None);
        let lines: Vec<_> =
            status.errors.iter().map(|line| (line.kind, &*line.what, &*line.of, line.count)).collect();
        assert_eq!(
            lines,
            [
                ("origin denied", "kms_key_disabled", "bucket", 5),
                ("log", "access", "", 4),
                ("origin", "connect_refused", "bucket", 3),
                ("TLS", "timeout", "", 1),
            ]
        );
        let [bucket] = &status.origins[..] else { panic!("{:?}", status.origins) };
        assert_eq!((bucket.requests, bucket.failed, bucket.denied), (1, 3, 5));
        assert!(bucket.p50.is_some_and(|p50| p50 > 0.025 && p50 <= 0.05), "{:?}", bucket.p50);
    }

    #[test]
    fn what_ends_first_comes_first() {
        let metrics = Metrics::new();
        metrics.cert_not_after("later.example.com", 5_000);
        metrics.cert_not_after("gone.example.com", 400);
        metrics.credentials_expiry("bucket", Some(1_300.5));
        metrics.kms_key_usable("arn:key", Some(false));
        let status = status(&metrics, None);
        let left: Vec<_> = status.certificates.iter().map(|one| (&*one.of, one.seconds_left)).collect();
        assert_eq!(left, [("gone.example.com", -600), ("later.example.com", 4_000)]);
        assert_eq!(status.credentials[0].seconds_left, 300);
        assert!(!status.keys[0].usable);
    }

    #[test]
    fn quantiles_are_prometheus() {
        let buckets = Buckets { steps: vec![(0.1, 50), (0.2, 100), (0.4, 100)], all: 110 };
        for (q, expected) in [(0.25, 0.055), (0.5, 0.11), (0.9, 0.198), (0.99, 0.4)] {
            let found = buckets.quantile(q).unwrap();
            assert!((found - expected).abs() < 1e-9, "{q}: {found}");
        }
        assert_eq!(Buckets::default().quantile(0.5), None);
    }
}
