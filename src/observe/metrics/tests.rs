use std::net::SocketAddr;
use std::time::SystemTime;

use http::Version;

use super::families::SECONDS;
use super::*;
use crate::observe::record::{DetailedResult, More, Record, ResultType};

/// interface.md, "Metrics", and ours.
const NAMES: [(&str, &str); 38] = [
    ("edgeseal_build_info", "gauge"),
    ("edgeseal_requests_total", "counter"),
    ("edgeseal_request_duration_seconds", "histogram"),
    ("edgeseal_time_to_first_byte_seconds", "histogram"),
    ("edgeseal_response_bytes_total", "counter"),
    ("edgeseal_connections", "gauge"),
    ("edgeseal_tls_handshake_errors_total", "counter"),
    ("edgeseal_tls_cert_not_after_timestamp_seconds", "gauge"),
    ("edgeseal_cache_entries", "gauge"),
    ("edgeseal_cache_bytes", "gauge"),
    ("edgeseal_cache_max_bytes", "gauge"),
    ("edgeseal_cache_evictions_total", "counter"),
    ("edgeseal_cache_collapsed_requests_total", "counter"),
    ("edgeseal_cache_stale_served_total", "counter"),
    ("edgeseal_origin_requests_total", "counter"),
    ("edgeseal_origin_duration_seconds", "histogram"),
    ("edgeseal_origin_bytes_total", "counter"),
    ("edgeseal_origin_errors_total", "counter"),
    ("edgeseal_origin_denied_total", "counter"),
    ("edgeseal_credentials_expiry_timestamp_seconds", "gauge"),
    ("edgeseal_kms_key_usable", "gauge"),
    ("edgeseal_invalidations_total", "counter"),
    ("edgeseal_config_last_reload_successful", "gauge"),
    ("edgeseal_config_last_reload_success_timestamp_seconds", "gauge"),
    ("edgeseal_http3_retries_total", "counter"),
    ("edgeseal_early_requests_total", "counter"),
    ("edgeseal_tls_handshakes", "gauge"),
    ("edgeseal_log_dropped_total", "counter"),
    ("edgeseal_log_uploads_total", "counter"),
    ("edgeseal_log_files_dropped_total", "counter"),
    ("edgeseal_log_backlog_bytes", "gauge"),
    ("edgeseal_request_bytes_total", "counter"),
    ("edgeseal_memory_limit_bytes", "gauge"),
    ("process_resident_memory_bytes", "gauge"),
    ("process_open_fds", "gauge"),
    ("process_max_fds", "gauge"),
    ("process_cpu_seconds_total", "counter"),
    ("process_start_time_seconds", "gauge"),
];

const OPEN: Option<&str> = Some("application/openmetrics-text");

fn record(method: &str, status: u16, result: ResultType) -> Record<'_> {
    Record {
        started: SystemTime::UNIX_EPOCH,
        time_taken: Duration::from_millis(2),
        time_to_first_byte: Duration::from_micros(200),
        viewer: SocketAddr::from(([127, 0, 0, 1], 1)),
        distribution: None,
        request_id: "",
        method,
        version: Version::HTTP_11,
        host_header: b"",
        uri_stem: b"",
        uri_query: None,
        referer: None,
        user_agent: None,
        x_forwarded_for: None,
        tls: None,
        status,
        result,
        response_result: result,
        detailed: DetailedResult::Same,
        origin_code: None,
        bytes_from_viewer: 0,
        bytes_to_viewer: 100,
        content_type: None,
        content_length: None,
        range: None,
        more: More::default(),
    }
}

fn text(metrics: &Metrics) -> String {
    metrics.render(None).1
}

#[track_caller]
fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|l| l == *line), "no line {line:?} in\n{text}");
    }
}

#[test]
fn every_name_is_there_before_anything_happens() {
    let metrics = Metrics::new();
    let (prometheus, open) = (text(&metrics), metrics.render(OPEN).1);
    for (name, kind) in NAMES {
        assert_eq!(prometheus.matches(&format!("# TYPE {name} {kind}\n")).count(), 1, "{name}");
        let family = name.strip_suffix("_total").filter(|_| kind == "counter").unwrap_or(name);
        assert_eq!(open.matches(&format!("# TYPE {family} {kind}\n")).count(), 1, "{family}");
        assert_eq!(open.matches(&format!("# HELP {family} ")).count(), 1, "{family}");
    }
    assert_eq!(prometheus.matches("# TYPE ").count(), NAMES.len());
    assert_lines(
        &prometheus,
        &[
            concat!(
                "edgeseal_build_info{crypto=\"aws-lc-rs\",version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
            "edgeseal_invalidations_total 0",
            "edgeseal_config_last_reload_successful 0",
        ],
    );
}

#[test]
fn a_request_is_counted_by_method_status_and_result() {
    let metrics = Metrics::new();
    let distribution = metrics.distribution("E1");
    for (method, status, result, times) in [
        ("GET", 200, ResultType::Hit, 2),
        ("GET", 200, ResultType::Miss, 1),
        ("HEAD", 304, ResultType::RefreshHit, 1),
        ("OPTIONS", 204, ResultType::Miss, 1),
        ("PROPFIND", 403, ResultType::Error, 1),
        ("GET", 418, ResultType::Error, 3),
        ("GET", 0, ResultType::Error, 1),
    ] {
        (0..times).for_each(|_| distribution.observe(&record(method, status, result)));
    }
    let text = text(&metrics);
    assert_lines(
        &text,
        &[
            r#"edgeseal_requests_total{distribution="E1",method="GET",result="Hit",status="200"} 2"#,
            r#"edgeseal_requests_total{distribution="E1",method="GET",result="Miss",status="200"} 1"#,
            r#"edgeseal_requests_total{distribution="E1",method="HEAD",result="RefreshHit",status="304"} 1"#,
            r#"edgeseal_requests_total{distribution="E1",method="OPTIONS",result="Miss",status="204"} 1"#,
            r#"edgeseal_requests_total{distribution="E1",method="OTHER",result="Error",status="403"} 1"#,
            r#"edgeseal_requests_total{distribution="E1",method="GET",result="Error",status="418"} 3"#,
            r#"edgeseal_requests_total{distribution="E1",method="GET",result="Error",status="000"} 1"#,
            r#"edgeseal_request_duration_seconds_count{distribution="E1",result="Error"} 5"#,
            // The one without a first byte is not among them.
            r#"edgeseal_time_to_first_byte_seconds_count{distribution="E1",result="Error"} 4"#,
            r#"edgeseal_response_bytes_total{distribution="E1"} 1000"#,
        ],
    );
    assert_eq!(text.matches("edgeseal_requests_total{").count(), 7);
}

/// CloudFront's BytesUploaded (behaviour §12.12).
#[test]
fn what_viewers_bring_is_counted_by_methods_that_bring_something() {
    let metrics = Metrics::new();
    let distribution = metrics.distribution("E1");
    for (method, bytes_from_viewer) in [("GET", 1), ("HEAD", 2), ("OPTIONS", 40), ("PUT", 800), ("POST", 160)]
    {
        distribution.observe(&Record { bytes_from_viewer, ..record(method, 200, ResultType::Miss) });
    }
    assert_lines(&text(&metrics), &[r#"edgeseal_request_bytes_total{distribution="E1"} 1000"#]);
}

/// More threads than shards, so that some have one of their own and others share.
#[test]
fn nothing_is_lost_however_many_threads_count() {
    const THREADS: u64 = 200;
    const EACH: u64 = 500;
    let metrics = Metrics::new();
    let distribution = metrics.distribution("E1");
    let all_started = std::sync::Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                all_started.wait();
                for _ in 0..EACH {
                    distribution.observe(&record("GET", 200, ResultType::Hit));
                    distribution.observe(&record("GET", 418, ResultType::Error));
                }
                // Nobody takes over this thread's shard before the others have counted, too.
                all_started.wait();
            });
        }
    });
    // Those that came later have the shards of those that went.
    std::thread::scope(|scope| {
        scope.spawn(|| distribution.observe(&record("GET", 200, ResultType::Hit)));
    });
    let (hits, errors) = (THREADS * EACH + 1, THREADS * EACH);
    assert_lines(
        &text(&metrics),
        &[
            &format!(
                r#"edgeseal_requests_total{{distribution="E1",method="GET",result="Hit",status="200"}} {hits}"#
            ),
            &format!(
                r#"edgeseal_requests_total{{distribution="E1",method="GET",result="Error",status="418"}} {errors}"#
            ),
            &format!(r#"edgeseal_response_bytes_total{{distribution="E1"}} {}"#, (hits + errors) * 100),
            &format!(r#"edgeseal_time_to_first_byte_seconds_count{{distribution="E1",result="Hit"}} {hits}"#),
            &format!(
                r#"edgeseal_request_duration_seconds_bucket{{distribution="E1",result="Error",le="0.0025"}} {errors}"#
            ),
        ],
    );
}

/// A reload asks for them anew, and the old configuration's requests still end.
#[test]
fn a_distribution_is_counted_on_when_it_is_asked_for_again() {
    let metrics = Metrics::new();
    let before = metrics.distribution("E1");
    before.observe(&record("GET", 200, ResultType::Hit));
    metrics.distribution("E1").observe(&record("GET", 200, ResultType::Hit));
    before.observe(&record("GET", 200, ResultType::Hit));
    drop((before, metrics.distribution("E0")));
    assert_lines(
        &text(&metrics),
        &[
            r#"edgeseal_requests_total{distribution="E1",method="GET",result="Hit",status="200"} 3"#,
            r#"edgeseal_response_bytes_total{distribution="E0"} 0"#,
            r#"edgeseal_request_duration_seconds_sum{distribution="E0",result="Hit"} 0"#,
        ],
    );
}

/// The histograms rely on it.
#[test]
fn results_are_numbered_as_they_are_listed() {
    for (index, result) in ResultType::ALL.into_iter().enumerate() {
        assert_eq!(result as usize, index);
    }
}

#[test]
fn durations_fall_into_buckets() {
    let metrics = Metrics::new();
    metrics.distribution("E1").observe(&record("GET", 200, ResultType::Hit));
    let text = text(&metrics);
    let taken = |le: &str| {
        let name = "edgeseal_request_duration_seconds_bucket";
        format!("{name}{{distribution=\"E1\",result=\"Hit\",le=\"{le}\"}} ")
    };
    assert_lines(
        &text,
        &[
            &(taken("0.001") + "0"),
            &(taken("0.0025") + "1"),
            &(taken("60") + "1"),
            &(taken("+Inf") + "1"),
            r#"edgeseal_time_to_first_byte_seconds_bucket{distribution="E1",result="Hit",le="0.0001"} 0"#,
            r#"edgeseal_time_to_first_byte_seconds_bucket{distribution="E1",result="Hit",le="0.00025"} 1"#,
            r#"edgeseal_request_duration_seconds_sum{distribution="E1",result="Hit"} 0.002"#,
        ],
    );
    assert!(SECONDS.is_sorted_by(|a, b| a < b));
    assert_eq!((SECONDS.first(), SECONDS.last()), (Some(&0.0001), Some(&60.0)));
}

#[test]
fn an_origin_is_counted() {
    let metrics = Metrics::new();
    let origin = metrics.origin("S3-media");
    origin.answered(200, Duration::from_millis(30));
    origin.answered(1, Duration::from_millis(30));
    origin.received(70);
    origin.received(7);
    origin.failed("connect");
    origin.denied("kms_key_disabled");
    assert_lines(
        &text(&metrics),
        &[
            r#"edgeseal_origin_requests_total{origin="S3-media",status="200"} 1"#,
            r#"edgeseal_origin_requests_total{origin="S3-media",status="000"} 1"#,
            r#"edgeseal_origin_duration_seconds_bucket{origin="S3-media",le="0.025"} 0"#,
            r#"edgeseal_origin_duration_seconds_bucket{origin="S3-media",le="0.05"} 2"#,
            r#"edgeseal_origin_bytes_total{origin="S3-media"} 77"#,
            r#"edgeseal_origin_errors_total{origin="S3-media",reason="connect"} 1"#,
            r#"edgeseal_origin_denied_total{cause="kms_key_disabled",origin="S3-media"} 1"#,
        ],
    );
}

#[test]
fn a_connection_is_counted_while_it_is_open() {
    let metrics = Metrics::new();
    let first = metrics.connection("h2");
    let second = metrics.connection("h2");
    assert_lines(&text(&metrics), &[r#"edgeseal_connections{protocol="h2"} 2"#]);
    drop(first);
    assert_lines(&text(&metrics), &[r#"edgeseal_connections{protocol="h2"} 1"#]);
    drop(second);
    assert_lines(&text(&metrics), &[r#"edgeseal_connections{protocol="h2"} 0"#]);
}

#[test]
fn the_rest_is_counted_under_its_name() {
    let metrics = Metrics::new();
    metrics.tls_handshake_error("timeout");
    metrics.cert_not_after("*.example.com", 1_800_000_000);
    metrics.cache_evicted("size");
    metrics.collapsed();
    metrics.stale_served("origin_error");
    metrics.credentials_expiry("S3-media", Some(1_800_000_000.5));
    metrics.kms_key_usable("arn:1", Some(false));
    metrics.invalidated();
    metrics.config_loaded(1_700_000_000);
    assert_lines(
        &text(&metrics),
        &[
            r#"edgeseal_tls_handshake_errors_total{reason="timeout"} 1"#,
            r#"edgeseal_tls_cert_not_after_timestamp_seconds{name="*.example.com"} 1800000000"#,
            r#"edgeseal_cache_evictions_total{cause="size"} 1"#,
            "edgeseal_cache_collapsed_requests_total 1",
            r#"edgeseal_cache_stale_served_total{reason="origin_error"} 1"#,
            r#"edgeseal_credentials_expiry_timestamp_seconds{origin="S3-media"} 1800000000.5"#,
            r#"edgeseal_kms_key_usable{key="arn:1"} 0"#,
            "edgeseal_invalidations_total 1",
            "edgeseal_config_last_reload_successful 1",
            "edgeseal_config_last_reload_success_timestamp_seconds 1700000000",
        ],
    );
}

#[test]
fn what_is_no_longer_known_goes_away() {
    let metrics = Metrics::new();
    metrics.credentials_expiry("S3-media", Some(1.0));
    metrics.kms_key_usable("arn:1", Some(true));
    metrics.credentials_expiry("S3-media", None);
    metrics.kms_key_usable("arn:1", None);
    metrics.kms_key_usable("arn:never", None);
    let text = text(&metrics);
    assert!(!text.contains("S3-media") && !text.contains("arn:"), "{text}");
}

#[test]
fn a_refused_reload_keeps_the_time_of_the_last_good_one() {
    let metrics = Metrics::new();
    metrics.config_loaded(1_700_000_000);
    metrics.config_rejected();
    assert_lines(
        &text(&metrics),
        &[
            "edgeseal_config_last_reload_successful 0",
            "edgeseal_config_last_reload_success_timestamp_seconds 1700000000",
        ],
    );
}

#[test]
fn the_hook_runs_before_every_scrape() {
    let metrics = Metrics::new();
    let scrapes = std::sync::atomic::AtomicU64::new(0);
    metrics.set_scrape_hook(Box::new(move |metrics| {
        let n = scrapes.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        metrics.cache_sizes(n, 10 * n, u64::MAX);
    }));
    assert_lines(&text(&metrics), &["edgeseal_cache_entries 1", "edgeseal_cache_bytes 10"]);
    assert_lines(&text(&metrics), &["edgeseal_cache_entries 2", "edgeseal_cache_bytes 20"]);
}

#[test]
fn openmetrics_differs_where_its_specification_does() {
    let metrics = Metrics::new();
    metrics.distribution("E1").observe(&record("GET", 200, ResultType::Hit));
    let (prometheus, open) = (text(&metrics), metrics.render(OPEN).1);
    let sample = r#"edgeseal_requests_total{distribution="E1",method="GET",result="Hit",status="200"} 1"#;
    let bucket = r#"edgeseal_request_duration_seconds_bucket{distribution="E1",result="Hit",le="#;
    assert_lines(
        &prometheus,
        &["# TYPE edgeseal_requests_total counter", sample, &format!("{bucket}\"1\"}} 1")],
    );
    assert_lines(&open, &["# TYPE edgeseal_requests counter", sample, &format!("{bucket}\"1.0\"}} 1")]);
    assert!(open.ends_with("\n# EOF\n") && !prometheus.contains("EOF"));
}

/// RFC 9110 §12.5.1; the third is what Prometheus 2 sends.
#[test]
fn accept_chooses_the_format() {
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let plain = "text/plain; version=0.0.4; charset=utf-8";
    for (accept, content_type) in [
        (None, plain),
        (Some("application/openmetrics-text"), open),
        (
            Some("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"),
            open,
        ),
        (Some("text/plain;q=0.9, Application/OpenMetrics-Text; version=1.0.0; q=0.5"), plain),
        (Some("application/openmetrics-text;q=0"), plain),
        (Some("application/openmetrics-text;q=nonsense"), plain),
        (Some("*/*"), plain),
        (Some("text/html"), plain),
    ] {
        assert_eq!(Metrics::new().render(accept).0, content_type, "{accept:?}");
    }
}

#[test]
fn label_values_are_escaped_and_series_sorted() {
    let metrics = Metrics::new();
    let keys = ["z", "c", "f", "b", "e", "a\"\\\n", "d"];
    keys.iter().for_each(|key| metrics.kms_key_usable(key, Some(true)));
    let text = text(&metrics);
    let series = text
        .lines()
        .filter_map(|line| line.strip_prefix("edgeseal_kms_key_usable{key=\"")?.strip_suffix("\"} 1"));
    assert_eq!(series.collect::<Vec<_>>(), ["a\\\"\\\\\\n", "b", "c", "d", "e", "f", "z"]);
}
