//! What an operator sees: health, metrics, the access log, and a polite end.

use std::cell::Cell;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use edgeseal::origin::credentials::CredentialSource;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::viewer::{HOST, Seen, ask, begin, connect, get, over_h2, plain, raw};
use crate::support::{Bucket, OBEDIENT, PLAIN, Stage, eventually, log_lines, reader};

/// Longer than anything here takes, shorter than the stage's grace period of 5 s.
const SOON: Duration = Duration::from_secs(3);
const LARGE: usize = 2_000_000;

async fn admin(stage: &Stage, path: &str, fields: &[(&str, &str)]) -> Seen {
    let fields = [&[("host", "127.0.0.1")], fields].concat();
    plain(stage.server.admin, Method::GET, path, &fields).await
}

fn checks(seen: &Seen) -> Vec<(String, bool)> {
    let said: Value = serde_json::from_str(seen.text()).unwrap();
    assert_eq!(said["ready"], seen.status == 200, "{said}");
    let check = |check: &Value| (check["name"].as_str().unwrap().to_owned(), check["ok"].as_bool().unwrap());
    said["checks"].as_array().unwrap().iter().map(check).collect()
}

#[derive(Debug)]
struct Nobody;

impl ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::provider_error(
            "password hunter2 was refused",
        )))
    }
}

#[tokio::test]
async fn readiness_names_each_condition() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    assert_eq!(admin(&stage, "/healthz", &[]).await.status, 200);
    let ready = admin(&stage, "/readyz", &[]).await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.header("content-type"), "application/json");
    let names = ["configuration", "certificates", "draining", "credentials", "origin"];
    assert_eq!(checks(&ready), names.map(|name| (name.to_owned(), true)));

    stage.server.edge().drain();
    let draining = admin(&stage, "/readyz", &[]).await;
    assert_eq!((draining.status, admin(&stage, "/healthz", &[]).await.status), (503, 200));
    assert_eq!(checks(&draining), names.map(|name| (name.to_owned(), name != "draining")));
}

#[tokio::test]
async fn without_credentials_it_is_not_ready_and_keeps_the_reason_clean() {
    let bucket = Bucket::start().await;
    let source = CredentialSource::start("test".into(), SharedCredentialsProvider::new(Nobody));
    let stage = Stage::start_with(PLAIN, &bucket.origin.url(), source).await;
    eventually("the first load has failed", || async {
        let ready = admin(&stage, "/readyz", &[]).await;
        assert_eq!(ready.status, 503);
        assert!(!ready.text().contains("hunter2"), "{}", ready.text());
        assert!(checks(&ready).contains(&("credentials".into(), false)));
        ready.text().contains("the credential provider failed")
    })
    .await;
    assert_eq!(get(stage.https(), "/a").await.status, 502);
}

#[tokio::test]
async fn an_expired_certificate_is_seen() {
    let bucket = Bucket::start().await;
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["old.example.com".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    let files = edgeseal::config::CertificateFiles {
        cert: folder.path().join("old.crt"),
        key: folder.path().join("old.key"),
    };
    std::fs::write(&files.cert, certificate.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    let stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), |config| {
        config.tls.certificates.push(files);
    })
    .await;
    let ready = admin(&stage, "/readyz", &[]).await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("expired: old.example.com"), "{}", ready.text());
    let name = "edgeseal_tls_cert_not_after_timestamp_seconds{name=\"old.example.com\"}";
    assert_eq!(stage.metric(name), 1_577_836_800.0);
}

#[tokio::test]
async fn the_admin_listener_answers_only_to_local_names() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let port = stage.server.admin.port();
    let table = [
        ("127.0.0.1".to_owned(), 200),
        (format!("127.0.0.1:{port}"), 200),
        (format!("localhost:{port}"), 200),
        ("[::1]".to_owned(), 200),
        ("evil.example.com".to_owned(), 403),
        (format!("localhost.evil.example.com:{port}"), 403),
    ];
    for (host, status) in table {
        for path in ["/healthz", "/readyz", "/metrics"] {
            let seen = plain(stage.server.admin, Method::GET, path, &[("host", &host)]).await;
            assert_eq!(seen.status, status, "{host} {path}");
            assert!(status == 200 || !seen.text().contains("edgeseal_"), "{host} {path}");
        }
    }
    // And the public listeners know none of its paths.
    let public = get(stage.https(), "/metrics").await;
    assert_eq!(public.status, 403);
    assert!(!public.text().contains("edgeseal_requests"));
}

/// Every name of interface.md.
const NAMES: [&str; 24] = [
    "edgeseal_build_info",
    "edgeseal_requests_total",
    "edgeseal_request_duration_seconds",
    "edgeseal_time_to_first_byte_seconds",
    "edgeseal_response_bytes_total",
    "edgeseal_connections",
    "edgeseal_tls_handshake_errors_total",
    "edgeseal_tls_cert_not_after_timestamp_seconds",
    "edgeseal_cache_entries",
    "edgeseal_cache_bytes",
    "edgeseal_cache_max_bytes",
    "edgeseal_cache_evictions_total",
    "edgeseal_cache_collapsed_requests_total",
    "edgeseal_cache_stale_served_total",
    "edgeseal_origin_requests_total",
    "edgeseal_origin_duration_seconds",
    "edgeseal_origin_bytes_total",
    "edgeseal_origin_errors_total",
    "edgeseal_origin_denied_total",
    "edgeseal_credentials_expiry_timestamp_seconds",
    "edgeseal_kms_key_usable",
    "edgeseal_invalidations_total",
    "edgeseal_config_last_reload_successful",
    "edgeseal_config_last_reload_success_timestamp_seconds",
];

#[tokio::test]
async fn metrics_count_what_happened() {
    let bucket = Bucket::start().await;
    bucket.put("a", vec![7; 10_000]);
    let toml = "[[distribution]]\nid = \"site\"\naliases = [\"cdn.example.com\"]\n$BUCKET\n";
    let stage = Stage::start(toml, &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    for _ in 0..2 {
        get(stage.https(), "/a").await;
    }
    ask(stage.https(), Method::HEAD, "/a", &[]).await;
    ask(stage.https(), Method::POST, "/a", &[]).await;
    get(stage.https(), "/missing").await;
    plain(stage.server.http, Method::GET, "/a", &[]).await;
    ask(stage.https(), Method::GET, "/a", &[("host", "other.example.com")]).await;

    let requests = |method, result, status, distribution| {
        format!(
            "edgeseal_requests_total{{distribution=\"{distribution}\",method=\"{method}\",result=\"{result}\",\
             status=\"{status}\"}}"
        )
    };
    let table = [
        (requests("GET", "Miss", 200, "site"), 1.0),
        (requests("GET", "Hit", 200, "site"), 2.0),
        (requests("HEAD", "Hit", 200, "site"), 1.0),
        (requests("OTHER", "Error", 403, "site"), 1.0),
        (requests("GET", "Error", 403, "site"), 1.0),
        (requests("GET", "Redirect", 301, "site"), 1.0),
        (requests("GET", "Error", 403, ""), 1.0),
        ("edgeseal_request_duration_seconds_count{distribution=\"site\",result=\"Hit\"}".into(), 3.0),
        ("edgeseal_time_to_first_byte_seconds_count{distribution=\"site\",result=\"Miss\"}".into(), 1.0),
        ("edgeseal_origin_requests_total{origin=\"private-assets\",status=\"200\"}".into(), 1.0),
        ("edgeseal_origin_requests_total{origin=\"private-assets\",status=\"403\"}".into(), 1.0),
        ("edgeseal_origin_duration_seconds_count{origin=\"private-assets\"}".into(), 2.0),
        ("edgeseal_origin_denied_total{cause=\"access_denied\",origin=\"private-assets\"}".into(), 1.0),
        ("edgeseal_cache_entries".into(), 1.0),
        ("edgeseal_cache_max_bytes".into(), (512_u64 << 20) as f64),
        ("edgeseal_config_last_reload_successful".into(), 1.0),
    ];
    // A request counts when its last byte has left, which a viewer may see a little earlier.
    eventually("all requests are counted", || async {
        table[..7].iter().all(|(sample, value)| stage.metric(sample) == *value)
    })
    .await;
    for (sample, value) in table {
        assert_eq!(stage.metric(&sample), value, "{sample}");
    }
    let sent = stage.metric("edgeseal_response_bytes_total{distribution=\"site\"}");
    assert!((30_000.0..40_000.0).contains(&sent), "three bodies and seven heads: {sent}");
    let received = stage.metric("edgeseal_origin_bytes_total{origin=\"private-assets\"}");
    assert!((10_000.0..11_000.0).contains(&received), "{received}");
    let kept = stage.metric("edgeseal_cache_bytes");
    assert!((10_000.0..12_000.0).contains(&kept), "{kept}");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let expiry = stage.metric("edgeseal_tls_cert_not_after_timestamp_seconds{name=\"cdn.example.com\"}");
    assert!(expiry > now + 86_400.0, "{expiry}");
    let loaded = stage.metric("edgeseal_config_last_reload_success_timestamp_seconds");
    assert!((now - 60.0..=now).contains(&loaded), "{loaded}");
}

#[tokio::test]
async fn metrics_come_in_two_formats_under_the_pinned_names() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    get(stage.https(), "/secret-path?secret-query").await;
    let prometheus = admin(&stage, "/metrics", &[]).await;
    assert_eq!(prometheus.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    for name in NAMES {
        let title = format!("# TYPE {name} ");
        assert!(prometheus.text().contains(&title), "{name}");
    }
    assert!(!prometheus.text().contains("secret-"), "a label is never a path");

    let open = admin(&stage, "/metrics", &[("accept", "application/openmetrics-text;version=1.0.0")]).await;
    assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.text().ends_with("\n# EOF\n"));
    assert!(open.text().contains("# TYPE edgeseal_requests counter\n"));
    assert!(open.text().contains("\nedgeseal_requests_total{"));
}

#[tokio::test]
async fn the_connections_gauge_goes_up_and_down() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let open = |protocol: &str| stage.metric(&format!("edgeseal_connections{{protocol=\"{protocol}\"}}"));
    let first = connect(stage.https(), HOST, &[]).await;
    let second = TcpStream::connect(stage.server.http).await.unwrap();
    let third = connect(stage.https(), HOST, &[b"h2"]).await;
    eventually("three are open", || async { (open("http/1.1"), open("h2")) == (2.0, 1.0) }).await;
    drop((first, second, third));
    eventually("none is open", || async { (open("http/1.1"), open("h2")) == (0.0, 0.0) }).await;
}

#[tokio::test]
async fn those_who_wait_for_one_fetch_are_counted_as_collapsed() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let held = bucket.origin.hold();
    let https = stage.https();
    let viewers: Vec<_> = (0..5).map(|_| tokio::spawn(async move { get(https, "/a").await })).collect();
    eventually("four wait for the first", || async {
        stage.metric("edgeseal_cache_collapsed_requests_total") == 4.0
    })
    .await;
    drop(held);
    let mut results = Vec::new();
    for viewer in viewers {
        results.push(viewer.await.unwrap().header("x-cache").to_owned());
    }
    results.sort();
    let hit = "Hit from edgeseal";
    assert_eq!(results, [hit, hit, hit, hit, "Miss from edgeseal"]); // behaviour §5.7
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_else(|| panic!("{field} is not a string: {line}"))
}

#[tokio::test]
async fn a_line_says_of_a_request_what_cloudfront_says() {
    let bucket = Bucket::start().await;
    bucket.put("a b/photo.txt", "0123456789");
    let toml = "[[distribution]]\nid = \"site\"\naliases = [\"cdn.example.com\"]\n$BUCKET\n";
    let stage = Stage::start(toml, &bucket.origin.url()).await;
    let fields = [
        ("user-agent", "a viewer \"1\""),
        ("referer", "https://example.com/?Signature=abc&b=c"),
        ("x-forwarded-for", "192.0.2.1, 192.0.2.2"),
        ("cookie", "session=secret"),
    ];
    let seen = ask(stage.https(), Method::GET, "/a%20b/photo.txt?q=1&Signature=abc", &fields).await;
    let lines = log_lines(&stage.log, 1).await;
    // behaviour §12.8
    let table = [
        ("x-edge-location", "EDG1-C1"),
        ("c-ip", "127.0.0.1"),
        ("cs-method", "GET"),
        ("cs(Host)", "site"),
        ("cs-uri-stem", "/a%2520b/photo.txt"),
        ("sc-status", "200"),
        ("cs(Referer)", "https://example.com/?Signature=REDACTED&b=c"),
        ("cs(User-Agent)", "a%20viewer%20%221%22"),
        ("cs-uri-query", "q=1&Signature=REDACTED"),
        ("cs(Cookie)", "-"),
        ("x-edge-result-type", "Miss"),
        ("x-edge-request-id", seen.header("x-amz-cf-id")),
        ("x-host-header", HOST),
        ("cs-protocol", "https"),
        ("x-forwarded-for", "192.0.2.1,%20192.0.2.2"),
        ("ssl-protocol", "TLSv1.3"),
        ("ssl-cipher", "TLS_AES_128_GCM_SHA256"),
        ("x-edge-response-result-type", "Miss"),
        ("cs-protocol-version", "HTTP/1.1"),
        ("fle-status", "-"),
        ("fle-encrypted-fields", "-"),
        ("x-edge-detailed-result-type", "Miss"),
        ("sc-content-type", "text/plain"),
        ("sc-content-len", "10"),
        ("sc-range-start", "-"),
        ("sc-range-end", "-"),
        ("x-edgeseal-origin-code", "-"),
    ];
    for (field, value) in table {
        assert_eq!(text(&lines[0], field), value, "{field}");
    }
    let number = |field| text(&lines[0], field).parse::<f64>().unwrap();
    assert!((10.0..1_500.0).contains(&number("sc-bytes")), "{}", number("sc-bytes"));
    assert!((100.0..1_000.0).contains(&number("cs-bytes")), "{}", number("cs-bytes"));
    assert!(number("c-port") > 0.0);
    assert!(
        (0.0..60.0).contains(&number("time-taken")) && number("time-to-first-byte") <= number("time-taken")
    );
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as f64;
    assert!((now - 60_000.0..=now).contains(&number("timestamp(ms)")));
    assert_eq!((text(&lines[0], "date").len(), text(&lines[0], "time").len()), (10, 8));
}

#[tokio::test]
async fn each_outcome_has_its_words_in_the_log() {
    let bucket = Bucket::listable().await;
    bucket.put("a", "0123456789");
    let stage = Stage::in_order(PLAIN, &bucket.origin.url()).await;
    let https = stage.https();
    let mut expected = Vec::new();
    let mut expect = |status, result, detailed, code| expected.push((status, result, detailed, code));

    get(https, "/a").await;
    expect("200", "Miss", "Miss", "-");
    get(https, "/a").await;
    expect("200", "Hit", "Hit", "-");
    plain(stage.server.http, Method::GET, "/a", &[]).await;
    expect("301", "Redirect", "Redirect", "-");
    ask(https, Method::POST, "/a", &[]).await;
    expect("403", "Error", "InvalidRequestMethod", "-");
    raw(https, b"GET /a HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;
    expect("400", "Error", "InvalidRequest", "-");
    get(https, "/missing").await;
    expect("404", "Error", "OriginError", "NoSuchKey");
    get(https, "/missing").await;
    expect("404", "Error", "Error", "NoSuchKey"); // behaviour §8.1: a cached error
    over_h2(https, &["/a"]).await;
    expect("200", "Hit", "Hit", "-");

    let lines = log_lines(&stage.log, expected.len()).await;
    for ((status, result, detailed, code), line) in expected.iter().zip(&lines) {
        assert_eq!(text(line, "sc-status"), *status, "{line}");
        assert_eq!(text(line, "x-edge-result-type"), *result, "{line}");
        assert_eq!(text(line, "x-edge-response-result-type"), *result, "{line}");
        assert_eq!(text(line, "x-edge-detailed-result-type"), *detailed, "{line}");
        assert_eq!(text(line, "x-edgeseal-origin-code"), *code, "{line}");
    }
    assert_eq!(
        (text(&lines[2], "cs-protocol"), text(&lines[2], "ssl-protocol"), text(&lines[2], "ssl-cipher")),
        ("http", "-", "-")
    );
    assert_eq!(text(&lines[7], "cs-protocol-version"), "HTTP/2.0");
}

#[tokio::test]
async fn what_the_origin_confirmed_is_a_refresh_hit() {
    let bucket = Bucket::start().await;
    bucket.put_with("a", "a", |meta| meta.cache_control = Some("max-age=1".into()));
    let stage = Stage::in_order(OBEDIENT, &bucket.origin.url()).await;
    let asked = Cell::new(0);
    eventually("the object expires and is confirmed", || async {
        asked.set(asked.get() + 1);
        get(stage.https(), "/a").await.header("x-cache") == "RefreshHit from edgeseal"
    })
    .await;
    let lines = log_lines(&stage.log, asked.get()).await;
    for (n, line) in lines.iter().enumerate() {
        let result = if n == 0 {
            "Miss"
        } else if n + 1 == asked.get() {
            "RefreshHit"
        } else {
            "Hit"
        };
        assert_eq!(text(line, "x-edge-result-type"), result, "{line}");
        assert_eq!(text(line, "x-edge-detailed-result-type"), result, "{line}");
    }
    let confirmed = "edgeseal_origin_requests_total{origin=\"private-assets\",status=\"304\"}";
    assert_eq!(stage.metric(confirmed), 1.0);
}

#[tokio::test]
async fn the_log_counts_bytes_and_names_ranges() {
    let bucket = Bucket::start().await;
    bucket.put("a", vec![7; 50_000]);
    let stage = Stage::in_order(PLAIN, &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    ask(stage.https(), Method::GET, "/a", &[("range", "bytes=100-199")]).await;
    ask(stage.https(), Method::HEAD, "/a", &[]).await;
    // Status, first byte, last byte, stated length, bytes of the body.
    let table = [
        ("200", "-", "-", "50000", 50_000),
        ("206", "100", "199", "100", 100),
        ("200", "-", "-", "50000", 0),
    ];
    let lines = log_lines(&stage.log, table.len()).await;
    for ((status, first, last, length, body), line) in table.into_iter().zip(&lines) {
        assert_eq!(text(line, "sc-status"), status);
        assert_eq!((text(line, "sc-range-start"), text(line, "sc-range-end")), (first, last));
        assert_eq!(text(line, "sc-content-len"), length);
        let sent: u64 = text(line, "sc-bytes").parse().unwrap();
        assert!((body + 100..body + 1_500).contains(&sent), "the head counts too: {line}");
    }
}

#[tokio::test]
async fn a_viewer_that_leaves_is_an_error_whatever_it_would_have_been() {
    let bucket = Bucket::start().await;
    bucket.put("a", vec![7; LARGE]);
    bucket.put("slow", "slow");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let stopped = bucket.origin.hold_body_after(100_000);
    let leads = begin(stage.https(), "/a", &[]).await;
    let follows = begin(stage.https(), "/a", &[]).await;
    assert_eq!(leads.headers()["x-cache"], "Miss from edgeseal");
    assert_eq!(follows.headers()["x-cache"], "Hit from edgeseal");
    drop(leads);
    log_lines(&stage.log, 1).await;
    drop(follows);
    log_lines(&stage.log, 2).await;
    drop(stopped);

    let held = bucket.origin.hold();
    let mut stream = connect(stage.https(), HOST, &[]).await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n").await.unwrap();
    held.until_waiting(1).await;
    drop(stream);
    let lines = log_lines(&stage.log, 3).await;
    // behaviour §12.8: fields 9, 14, 23 and 29
    let table = [
        ("200", "Error", "Miss", "ClientCommError"),
        ("200", "Error", "Hit", "ClientCommError"),
        ("000", "Error", "Error", "ClientHungUpRequest"),
    ];
    for ((status, result, response_result, detailed), line) in table.into_iter().zip(&lines) {
        assert_eq!(text(line, "sc-status"), status, "{line}");
        assert_eq!(text(line, "x-edge-result-type"), result, "{line}");
        assert_eq!(text(line, "x-edge-response-result-type"), response_result, "{line}");
        assert_eq!(text(line, "x-edge-detailed-result-type"), detailed, "{line}");
    }
}

#[tokio::test]
async fn a_download_under_way_outlives_the_listeners() {
    let bucket = Bucket::start().await;
    bucket.put("a", vec![7; LARGE]);
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let (https, http, admin) = (stage.https(), stage.server.http, stage.server.admin);
    let stopped = bucket.origin.hold_body_after(100_000);
    let response = begin(https, "/a", &[]).await;
    stage.server.edge().drain();
    let draining = tokio::spawn(stage.server.drain());
    eventually("no new viewers", || async {
        TcpStream::connect(https).await.is_err() && TcpStream::connect(http).await.is_err()
    })
    .await;
    let ready = plain(admin, Method::GET, "/readyz", &[("host", "localhost")]).await;
    assert_eq!(ready.status, 503);
    assert!(!draining.is_finished(), "a download is under way");
    drop(stopped);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), LARGE);
    timeout(SOON, draining).await.unwrap().unwrap();
    assert!(TcpStream::connect(admin).await.is_err());
    assert_eq!(text(&log_lines(&stage.log, 1).await[0], "x-edge-result-type"), "Miss");
}

#[tokio::test]
async fn http2_is_told_to_go_away_and_its_streams_finish() {
    let bucket = Bucket::start().await;
    bucket.put("a", vec![7; LARGE]);
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let stream = connect(stage.https(), HOST, &[b"h2"]).await;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = |path: &str| {
        Request::get(format!("https://{HOST}{path}")).body(Empty::<bytes::Bytes>::new()).unwrap()
    };
    let stopped = bucket.origin.hold_body_after(100_000);
    let response = sender.send_request(request("/a")).await.unwrap();
    let draining = tokio::spawn(stage.server.drain());
    // Until GOAWAY has come, a new stream is taken.
    eventually("the connection takes no more requests", || {
        let sent = sender.send_request(request("/small"));
        async move { sent.await.is_err() }
    })
    .await;
    assert!(!draining.is_finished());
    drop(stopped);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), LARGE);
    timeout(SOON, draining).await.unwrap().unwrap();
    timeout(SOON, connection).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn connections_without_a_request_do_not_hold_up_the_drain() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let https = stage.https();
    // Silent before the handshake; idle after a request; silent after the handshake; HTTP/2 without a stream.
    let mut strange = TcpStream::connect(https).await.unwrap();
    let (mut used, connection) =
        http1::handshake(TokioIo::new(connect(https, HOST, &[]).await)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("/a").header("host", HOST).body(Empty::<bytes::Bytes>::new()).unwrap();
    let response = used.send_request(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "a");
    let mut silent = connect(https, HOST, &[]).await;
    let stream = connect(https, HOST, &[b"h2"]).await;
    let (_sender, idle_h2) =
        http2::handshake::<_, _, Empty<bytes::Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let idle_h2 = tokio::spawn(idle_h2);
    let mut plain = TcpStream::connect(stage.server.http).await.unwrap();
    let open = |protocol: &str| stage.metric(&format!("edgeseal_connections{{protocol=\"{protocol}\"}}"));
    eventually("all are served", || async { (open("http/1.1"), open("h2")) == (3.0, 1.0) }).await;

    timeout(SOON, stage.server.drain()).await.expect("nothing is under way");
    timeout(SOON, connection).await.unwrap().unwrap().unwrap();
    let mut rest = Vec::new();
    let _ = timeout(SOON, silent.read_to_end(&mut rest)).await.unwrap();
    timeout(SOON, idle_h2).await.unwrap().unwrap().unwrap();
    let _ = timeout(SOON, strange.read_to_end(&mut rest)).await.unwrap();
    let _ = timeout(SOON, plain.read_to_end(&mut rest)).await.unwrap();
}

#[tokio::test]
async fn the_grace_period_cuts_what_does_not_end() {
    let bucket = Bucket::start().await;
    bucket.put("a", vec![7; LARGE]);
    let stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), |config| {
        config.listen.grace = Duration::from_millis(200);
    })
    .await;
    let _stopped = bucket.origin.hold_body_after(100_000);
    let response = begin(stage.https(), "/a", &[]).await;
    timeout(SOON, stage.server.drain()).await.expect("the grace period is 200 ms");
    assert!(response.into_body().collect().await.is_err(), "a body that was cut is never presented as whole");
    let lines = log_lines(&stage.log, 1).await;
    assert_eq!(text(&lines[0], "x-edge-result-type"), "Error");
    assert_eq!(text(&lines[0], "x-edge-response-result-type"), "Miss");
}

#[tokio::test]
async fn what_is_logged_at_the_end_is_written() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    for _ in 0..10 {
        over_h2(stage.https(), &["/a"; 100]).await;
    }
    let edge = stage.server.edge();
    stage.server.drain().await;
    let lines = std::fs::read_to_string(&stage.log).unwrap().lines().count();
    assert_eq!((lines, edge.log.dropped()), (1_000, 0));
}

#[tokio::test]
async fn a_person_sees_how_it_is_doing() {
    let bucket = Bucket::start().await;
    bucket.put("a", "hello");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    for _ in 0..3 {
        assert_eq!(get(stage.https(), "/a").await.status, 200);
    }
    assert_eq!(get(stage.https(), "/missing").await.status, 403);
    let create = "<InvalidationBatch xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"><Paths><Quantity>1</Quantity>\
                  <Items><Path>/%3Cb%3E&lt;i&gt;</Path></Items></Paths><CallerReference>r</CallerReference></InvalidationBatch>";
    let id = stage.server.edge().sites.find("localhost").unwrap().id.to_string();
    let head = format!(
        "POST /2020-05-31/distribution/{id}/invalidation HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{create}",
        create.len()
    );
    let mut stream = TcpStream::connect(stage.server.admin).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");

    let page = admin(&stage, "/", &[]).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for said in [
        "class=\"good\">ready<",
        "access_denied",
        "/%3Cb%3E&lt;i&gt;",
        "data-counter=\"requests\" data-value=\"4\"",
    ] {
        assert!(page.text().contains(said), "no {said:?} in {}", page.text());
    }
    let json: Value = serde_json::from_str(admin(&stage, "/status.json", &[]).await.text()).unwrap();
    assert_eq!(
        (&json["requests"], &json["hits"], &json["cacheable"]),
        (&4.into(), &2.into(), &3.into()),
        "{json}"
    );
    assert_eq!(json["recent_invalidations"][0]["paths"][0], "/%3Cb%3E<i>", "{json}");
    assert_eq!(json["distributions"][0]["errors_4xx"], 1, "{json}");
    assert_eq!(json["cache"]["entries"], stage.metric("edgeseal_cache_entries") as u64, "{json}");
    // As for the rest of the listener: not for pages whose names lead to loopback.
    assert_eq!(admin(&stage, "/", &[("host", "evil.example.com")]).await.status, 403);

    stage.server.edge().drain();
    assert!(admin(&stage, "/", &[]).await.text().contains("class=\"bad\">not ready<"));
}
