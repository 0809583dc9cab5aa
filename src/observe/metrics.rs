//! The metrics of interface.md: base units, bounded labels, never a path.
//!
//! Nothing here is global: a test may have as many [`Metrics`] as it likes.

mod exposition;
mod families;
mod process;
#[cfg(test)]
mod tests;
mod traffic;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::StatusCode;
use prometheus::core::Collector;
pub use prometheus::proto::{Metric, MetricFamily};
use prometheus::{GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use families::Families;
pub use traffic::DistributionMetrics;
use traffic::Traffic;

/// What runs before every scrape: it sets what is cheaper to read then than to count all the time.
pub type ScrapeHook = Box<dyn Fn(&Metrics) + Send + Sync>;

/// Every metric of this process.
pub struct Metrics {
    /// All of them, in the order in which they are written.
    families: Vec<Box<dyn Collector>>,
    hook: RwLock<Option<ScrapeHook>>,
    traffic: Traffic,
    connections: IntGaugeVec,
    tls_handshake_errors: IntCounterVec,
    cert_not_after: IntGaugeVec,
    cache_entries: IntGauge,
    cache_bytes: IntGauge,
    cache_max_bytes: IntGauge,
    cache_evictions: IntCounterVec,
    cache_collapsed: IntCounter,
    cache_stale_served: IntCounterVec,
    origin_requests: IntCounterVec,
    origin_duration: HistogramVec,
    origin_bytes: IntCounterVec,
    origin_errors: IntCounterVec,
    origin_denied: IntCounterVec,
    credentials_expiry: GaugeVec,
    kms_key_usable: IntGaugeVec,
    invalidations: IntCounter,
    reload_successful: IntGauge,
    reload_success_timestamp: IntGauge,
    http3_retries: IntCounter,
    tls_handshakes: IntGauge,
    log_dropped: IntCounterVec,
    log_uploads: IntCounterVec,
    log_files_dropped: IntCounter,
    log_backlog_bytes: IntGauge,
    /// One at a time brings [`Self::log_dropped`] up to date.
    log_totals: Mutex<()>,
    early_requests: IntCounter,
}

impl Metrics {
    #[must_use]
    pub fn new() -> Arc<Self> {
        let mut families = Families::default();
        let f = &mut families;
        f.build_info();
        let mut metrics = Self {
            traffic: f.put(Traffic::default()),
            connections: f.gauges("edgeseal_connections", "Open viewer connections.", &["protocol"]),
            tls_handshake_errors: f.counters(
                "edgeseal_tls_handshake_errors_total",
                "TLS handshakes with viewers that failed.",
                &["reason"],
            ),
            cert_not_after: f.gauges(
                "edgeseal_tls_cert_not_after_timestamp_seconds",
                "When the certificate for this name expires; the earliest, if several have it.",
                &["name"],
            ),
            cache_entries: f.gauge("edgeseal_cache_entries", "Objects in the cache."),
            cache_bytes: f.gauge("edgeseal_cache_bytes", "Bytes that the cache's objects take."),
            cache_max_bytes: f.gauge("edgeseal_cache_max_bytes", "Bytes that they may take."),
            cache_evictions: f.counters(
                "edgeseal_cache_evictions_total",
                "Objects that left the cache.",
                &["cause"],
            ),
            cache_collapsed: f.counter(
                "edgeseal_cache_collapsed_requests_total",
                "Requests that were answered from another request's fetch.",
            ),
            cache_stale_served: f.counters(
                "edgeseal_cache_stale_served_total",
                "Expired objects that were served all the same.",
                &["reason"],
            ),
            origin_requests: f.counters(
                "edgeseal_origin_requests_total",
                "Answers from origins, by status.",
                &["origin", "status"],
            ),
            origin_duration: f.histograms(
                "edgeseal_origin_duration_seconds",
                "From asking the origin to the head of its answer.",
                &["origin"],
            ),
            origin_bytes: f.counters(
                "edgeseal_origin_bytes_total",
                "Body bytes received from origins.",
                &["origin"],
            ),
            origin_errors: f.counters(
                "edgeseal_origin_errors_total",
                "Attempts that brought no answer.",
                &["origin", "reason"],
            ),
            origin_denied: f.counters(
                "edgeseal_origin_denied_total",
                "Answers in which the origin, or KMS behind it, refused access.",
                &["origin", "cause"],
            ),
            credentials_expiry: f.float_gauges(
                "edgeseal_credentials_expiry_timestamp_seconds",
                "When the credentials for this origin expire; absent when they do not.",
                &["origin"],
            ),
            kms_key_usable: f.gauges(
                "edgeseal_kms_key_usable",
                "1 when KMS says that the key can decrypt.",
                &["key"],
            ),
            invalidations: f.counter("edgeseal_invalidations_total", "Invalidations accepted."),
            reload_successful: f.gauge(
                "edgeseal_config_last_reload_successful",
                "1 when the configuration that was read last is in force.",
            ),
            reload_success_timestamp: f.gauge(
                "edgeseal_config_last_reload_success_timestamp_seconds",
                "When the configuration in force was read.",
            ),
            http3_retries: f.counter(
                "edgeseal_http3_retries_total",
                "HTTP/3 viewers who had to show first that they are where their packets say.",
            ),
            tls_handshakes: f
                .gauge("edgeseal_tls_handshakes", "TLS handshakes with viewers that are under way."),
            log_dropped: f.counters(
                "edgeseal_log_dropped_total",
                "Records that are in no log: it could not be written, or not fast enough.",
                &["log"],
            ),
            log_uploads: f.counters(
                "edgeseal_log_uploads_total",
                "Files of the standard log that were sent to their bucket, or could not be.",
                &["outcome"],
            ),
            log_files_dropped: f.counter(
                "edgeseal_log_files_dropped_total",
                "Files of the standard log that were deleted unsent, for too many waited.",
            ),
            log_backlog_bytes: f.gauge(
                "edgeseal_log_backlog_bytes",
                "Bytes of the standard log that wait to be sent to their bucket.",
            ),
            log_totals: Mutex::new(()),
            early_requests: f.counter(
                "edgeseal_early_requests_total",
                "Requests that were answered before their viewers' handshakes were over (0-RTT).",
            ),
            hook: RwLock::new(None),
            families: Vec::new(),
        };
        families.put(process::Process);
        metrics.families = families.into_all();
        Arc::new(metrics)
    }

    /// What requests for one distribution drive; `""` for requests that named none of ours.
    #[must_use]
    pub fn distribution(&self, id: &str) -> DistributionMetrics {
        self.traffic.distribution(id)
    }

    /// What requests to one origin drive.
    #[must_use]
    pub fn origin(&self, id: &str) -> OriginMetrics {
        OriginMetrics {
            id: id.into(),
            requests: self.origin_requests.clone(),
            duration: self.origin_duration.with_label_values(&[id]),
            bytes: self.origin_bytes.with_label_values(&[id]),
            errors: self.origin_errors.clone(),
            denied: self.origin_denied.clone(),
        }
    }

    /// Counts a connection for as long as the guard lives. `protocol` as ALPN has it: `http/1.1`, `h2`, `h3`.
    #[must_use]
    pub fn connection(&self, protocol: &'static str) -> ConnectionGuard {
        let open = self.connections.with_label_values(&[protocol]);
        open.inc();
        ConnectionGuard { open }
    }

    /// A viewer must show that it gets what is sent to it (RFC 9000 §8.1.2).
    pub fn http3_retry(&self) {
        self.http3_retries.inc();
    }

    /// A request is answered before its viewer's handshake is over.
    pub fn early_request(&self) {
        self.early_requests.inc();
    }

    /// Counts a handshake with a viewer for as long as the guard lives.
    #[must_use]
    pub fn tls_handshake(&self) -> ConnectionGuard {
        self.tls_handshakes.inc();
        ConnectionGuard { open: self.tls_handshakes.clone() }
    }

    pub fn tls_handshake_error(&self, reason: &'static str) {
        self.tls_handshake_errors.with_label_values(&[reason]).inc();
    }

    /// `at_secs`: since the Unix epoch.
    pub fn cert_not_after(&self, name: &str, at_secs: i64) {
        self.cert_not_after.with_label_values(&[name]).set(at_secs);
    }

    /// No certificate has this name any more.
    pub fn cert_gone(&self, name: &str) {
        forget(self.cert_not_after.remove_label_values(&[name]));
    }

    pub fn cache_evicted(&self, cause: &'static str) {
        self.cache_evictions.with_label_values(&[cause]).inc();
    }

    /// A request waited for another one's fetch and got its answer (behaviour §5.7).
    pub fn collapsed(&self) {
        self.cache_collapsed.inc();
    }

    pub fn stale_served(&self, reason: &'static str) {
        self.cache_stale_served.with_label_values(&[reason]).inc();
    }

    /// `at_secs`: since the Unix epoch. `None`: they do not expire, or there are none; the series goes away.
    pub fn credentials_expiry(&self, origin: &str, at_secs: Option<f64>) {
        match at_secs {
            Some(at) => self.credentials_expiry.with_label_values(&[origin]).set(at),
            None => forget(self.credentials_expiry.remove_label_values(&[origin])),
        }
    }

    /// `None`: nobody knows; the series goes away.
    pub fn kms_key_usable(&self, key: &str, usable: Option<bool>) {
        match usable {
            Some(usable) => self.kms_key_usable.with_label_values(&[key]).set(usable.into()),
            None => forget(self.kms_key_usable.remove_label_values(&[key])),
        }
    }

    /// An invalidation was accepted (behaviour §12.14).
    pub fn invalidated(&self) {
        self.invalidations.inc();
    }

    /// A configuration is in force since `at_secs` (since the Unix epoch).
    pub fn config_loaded(&self, at_secs: u64) {
        self.reload_successful.set(1);
        self.reload_success_timestamp.set(signed(at_secs));
    }

    /// A reload was refused; the configuration before it stays in force.
    pub fn config_rejected(&self) {
        self.reload_successful.set(0);
    }

    /// So many records are in no `log`, in all.
    pub fn log_dropped(&self, log: &'static str, total: u64) {
        let _one_at_a_time = self.log_totals.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = self.log_dropped.with_label_values(&[log]);
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    /// A file of the standard log is in its bucket, or is not.
    pub fn log_uploaded(&self, is_there: bool) {
        let outcome = if is_there { "sent" } else { "failed" };
        self.log_uploads.with_label_values(&[outcome]).inc();
    }

    /// A file of the standard log was deleted unsent.
    pub fn log_file_dropped(&self) {
        self.log_files_dropped.inc();
    }

    /// So many bytes of the standard log wait for their bucket.
    pub fn log_backlog(&self, bytes: u64) {
        self.log_backlog_bytes.set(signed(bytes));
    }

    pub fn cache_sizes(&self, entries: u64, bytes: u64, max_bytes: u64) {
        self.cache_entries.set(signed(entries));
        self.cache_bytes.set(signed(bytes));
        self.cache_max_bytes.set(signed(max_bytes));
    }

    /// Runs `hook` at the start of every [`render`](Self::render) and [`gather`](Self::gather), in place of any earlier one. The hook must
    /// not set a hook.
    pub fn set_scrape_hook(&self, hook: ScrapeHook) {
        *self.hook.write().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    /// Content type and text: OpenMetrics 1.0 when the `Accept` header prefers it, else Prometheus text 0.0.4.
    /// Metrics without a series yet are there by name.
    #[must_use]
    pub fn render(&self, accept: Option<&str>) -> (&'static str, String) {
        let format = exposition::Format::negotiate(accept);
        (format.content_type(), exposition::write(self.gather().into_iter(), format))
    }

    /// All of them as they are now, in the order in which they are written.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        if let Some(hook) = &*self.hook.read().unwrap_or_else(PoisonError::into_inner) {
            hook(self);
        }
        self.families.iter().flat_map(|family| family.collect()).collect()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("families", &self.families.len()).finish_non_exhaustive()
    }
}

/// The metrics of one origin.
#[derive(Debug, Clone)]
pub struct OriginMetrics {
    id: Arc<str>,
    requests: IntCounterVec,
    duration: Histogram,
    bytes: IntCounter,
    errors: IntCounterVec,
    denied: IntCounterVec,
}

impl OriginMetrics {
    /// The head of an answer has come, `took` after it was asked for.
    pub fn answered(&self, code: u16, took: Duration) {
        let code = StatusCode::from_u16(code);
        self.requests.with_label_values(&[&*self.id, status(code.as_ref())]).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Bytes of a body have come.
    pub fn received(&self, bytes: u64) {
        self.bytes.inc_by(bytes);
    }

    /// An attempt brought no answer.
    pub fn failed(&self, reason: &'static str) {
        self.errors.with_label_values(&[&*self.id, reason]).inc();
    }

    /// The origin, or KMS behind it, refused access.
    pub fn denied(&self, cause: &'static str) {
        self.denied.with_label_values(&[&*self.id, cause]).inc();
    }
}

/// An open connection, counted.
#[derive(Debug)]
pub struct ConnectionGuard {
    open: IntGauge,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// `000` for what is no status, as the access log writes it (behaviour §12.8 field 9).
fn status<E>(code: Result<&StatusCode, E>) -> &str {
    code.map_or("000", StatusCode::as_str)
}

/// A series that was not there needs no removing.
fn forget(removed: prometheus::Result<()>) {
    drop(removed);
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
