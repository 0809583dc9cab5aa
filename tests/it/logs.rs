//! Access logs: CloudFront's standard format, JSON lines with other fields, and that no log slows a viewer.

mod athena;
mod trouble;
mod upload;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use edgeseal::config::Config;
use edgeseal::config::log::{LogField, StandardLog};
use flate2::read::GzDecoder;
use http::Method;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::support::viewer::{HOST, ask, connect, get, raw};
use crate::support::{Bucket, PLAIN, Stage, eventually, log_lines, reader};

/// One distribution that takes writes and logs cookies.
const WRITES: &str = "\
[[distribution]]
id = \"site\"
domain_name = \"d111111abcdef8.cloudfront.net\"
aliases = [\"cdn.example.com\"]
$BUCKET
[distribution.logging]
include_cookies = true
[distribution.default_cache_behavior]
allowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\", \"PUT\", \"POST\", \"PATCH\", \"DELETE\"]
[[distribution.cache_behavior]]
path_pattern = \"images/*.jpg\"
target_origin = \"private-assets\"
";

/// Switches the standard log on.
fn into(directory: &Path) -> impl FnOnce(&mut Config) + use<> {
    let directory = directory.to_owned();
    move |config| {
        let interval = Duration::from_secs(300);
        config.log.standard = Some(StandardLog { directory, interval, max_size: 50_000_000, upload: None });
    }
}

/// Finished files by their names, unpacked.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    let named = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|of| of == "gz"));
    named
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), unpacked(File::open(&path).unwrap()))
        })
        .collect()
}

fn unpacked(from: impl std::io::Read) -> String {
    let mut text = String::new();
    GzDecoder::new(from).read_to_string(&mut text).unwrap();
    text
}

/// The records of all files.
fn records(folder: &Path) -> Vec<Vec<String>> {
    let texts = files(folder).into_values();
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_else(|| panic!("{field} is not a string: {line}"))
}

/// Within its interval, while the edge serves: nobody has to stop it to see its logs.
#[tokio::test]
async fn files_appear_while_the_edge_serves() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let folder = tempfile::tempdir().unwrap();
    let on = into(folder.path());
    let stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), |config| {
        on(config);
        config.log.standard.as_mut().unwrap().interval = Duration::from_secs(1);
    })
    .await;
    get(stage.https(), "/a").await;
    eventually("the file of the first request", || async { files(folder.path()).len() == 1 }).await;
    get(stage.https(), "/a").await;
    eventually("the file of the second", || async { files(folder.path()).len() == 2 }).await;
    for (name, text) in files(folder.path()) {
        assert!(name.starts_with("default.20") && name.ends_with(".gz"), "{name}");
        assert!(text.starts_with("#Version: 1.0\n#Fields: date time x-edge-location "), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }
    assert_eq!(stage.metric("edgeseal_log_dropped_total{log=\"standard\"}"), 0.0);
}

/// Each distribution has files of its own; one may have none. What names none of them is in nobody's.
#[tokio::test]
async fn each_distribution_has_its_files() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let folder = tempfile::tempdir().unwrap();
    let one = |id: &str, logging: &str| {
        format!(
            "[[distribution]]\nid = \"{id}\"\naliases = [\"{id}.example.com\"]\n$BUCKET\n\
             [distribution.default_cache_behavior]\nviewer_protocol_policy = \"allow-all\"\n\
             [distribution.logging]\n{logging}\n"
        )
    };
    let toml = one("a", "") + &one("b", "prefix = \"cdn/b\"") + &one("c", "enabled = false");
    let stage = Stage::start_tuned(&toml, &bucket.origin.url(), reader(), into(folder.path())).await;
    let http = stage.server.http;
    for id in ["a", "a", "b", "c", "nobody"] {
        let host = format!("{id}.example.com");
        crate::support::viewer::plain(http, Method::GET, "/a", &[("host", &host)]).await;
    }
    assert_eq!(log_lines(&stage.log, 5).await.len(), 5, "the other log has them all");
    stage.server.drain().await;
    let hosts =
        |folder: &Path| -> Vec<String> { records(folder).into_iter().map(|row| row[6].clone()).collect() };
    assert_eq!(hosts(folder.path()), ["a", "a"]);
    assert_eq!(hosts(&folder.path().join("cdn/b")), ["b"]);
    let names: Vec<_> = files(&folder.path().join("cdn/b")).into_keys().collect();
    assert!(names[0].starts_with("b.20"), "{names:?}");
}

/// The process is killed in mid-file: the next one finishes what there is.
#[tokio::test]
async fn a_killed_process_loses_no_line_that_is_a_second_old() {
    use crate::support::process::Process;
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let folder = tempfile::tempdir().unwrap();
    let toml = format!(
        "[log.standard]\ndirectory = {:?}\n{}",
        folder.path().display().to_string(),
        PLAIN.replace(
            "$BUCKET",
            "[[distribution.origin]]\nbucket = \"private-assets\"\nregion = \"eu-west-1\""
        )
    );
    let url = bucket.origin.url();
    let variables = [
        ("AWS_ACCESS_KEY_ID", crate::support::ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", crate::support::SECRET_KEY),
        ("AWS_ENDPOINT_URL_S3", &*url),
    ];
    let process = Process::start(&toml, &variables);
    for _ in 0..3 {
        assert_eq!(get(process.https, "/a").await.status, 200);
    }
    let part =
        || fs::read_dir(folder.path()).unwrap().next().map(|entry| entry.unwrap().metadata().unwrap().len());
    // The header alone has some 400 bytes, compressed.
    eventually("the lines are flushed", || async { part().is_some_and(|bytes| bytes > 100) }).await;
    drop(process); // by SIGKILL
    assert_eq!(files(folder.path()).len(), 0);
    let process = Process::start(&toml, &variables);
    eventually("the file is finished", || async { files(folder.path()).len() == 1 }).await;
    assert_eq!(records(folder.path()).len(), 3);
    let (diagnostics, _) = process.stop();
    assert!(diagnostics.contains("finished a log file that a crash had left"), "{diagnostics}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// behaviour §12.8 field 13: all cookies, of hits too, only where the distribution says so; never what grants access.
#[tokio::test]
async fn cookies_are_logged_where_the_distribution_says_so() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::in_order(WRITES, &bucket.origin.url()).await;
    let cookies = [("cookie", "a=\"1\"; CloudFront-Signature=SECRET"), ("cookie", "b=2")];
    for _ in 0..2 {
        ask(stage.https(), Method::GET, "/a", &cookies).await;
    }
    get(stage.https(), "/a").await;
    let lines = log_lines(&stage.log, 3).await;
    let expected = "a=%221%22;%20CloudFront-Signature=REDACTED;%20b=2";
    let table = [("Miss", expected), ("Hit", expected), ("Hit", "-")];
    for (line, (result, cookie)) in lines.iter().zip(table) {
        assert_eq!((text(line, "x-edge-result-type"), text(line, "cs(Cookie)")), (result, cookie), "{line}");
        assert_eq!(text(line, "cs(Host)"), "d111111abcdef8.cloudfront.net"); // behaviour §12.8 field 7
    }
}

/// behaviour §12.8 field 18
#[tokio::test]
async fn bytes_from_the_viewer_include_the_body() {
    let bucket = Bucket::start().await;
    let stage = Stage::in_order(WRITES, &bucket.origin.url()).await;
    let bytes = async |length: usize| {
        let body = "x".repeat(length);
        let request = format!(
            "PUT /a HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {length:05}\r\nconnection: close\r\n\r\n{body}"
        );
        raw(stage.https(), request.as_bytes()).await
    };
    bytes(1).await;
    bytes(10_001).await;
    let lines = log_lines(&stage.log, 2).await;
    let bytes: Vec<u64> = lines.iter().map(|line| text(line, "cs-bytes").parse().unwrap()).collect();
    assert_eq!(bytes[1] - bytes[0], 10_000, "{lines:#?}");
}

/// behaviour §12.9: a subset, in the order that is wanted, with what the 33 do not say; the same of hits and misses.
#[tokio::test]
async fn a_json_line_says_what_it_is_told_to() {
    let bucket = Bucket::start().await;
    bucket.put("images/a.jpg", "a");
    let fields = [
        LogField::PathPattern,
        LogField::DistributionId,
        LogField::EdgeResultType,
        LogField::OriginFbl,
        LogField::CsUriStem,
    ];
    let stage = Stage::start_tuned(WRITES, &bucket.origin.url(), reader(), |config| {
        config.listen.workers = 1;
        config.log.fields = Some(fields.to_vec());
    })
    .await;
    for path in ["/images/a.jpg", "/images/a.jpg", "/images/none.png"] {
        get(stage.https(), path).await;
    }
    raw(stage.https(), b"GET /a HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;
    let lines = log_lines(&stage.log, 4).await;
    let seen: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                text(line, "cache-behavior-path-pattern"),
                text(line, "x-edge-result-type"),
                text(line, "primary-distribution-id"),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("images/*.jpg", "Miss", "site"),
            ("images/*.jpg", "Hit", "site"),
            ("*", "Error", "site"),
            ("-", "Error", "-")
        ]
    );
    let raw = fs::read_to_string(&stage.log).unwrap();
    let first = raw.lines().next().unwrap();
    assert!(
        first.starts_with("{\"cache-behavior-path-pattern\":\"images/*.jpg\",\"primary-distribution-id\":"),
        "{first}"
    );
    let took: f64 = text(&lines[0], "origin-fbl").parse().unwrap();
    assert!((0.0..10.0).contains(&took));
    assert_eq!(text(&lines[1], "origin-fbl"), "-", "nobody was asked");
}

/// It hung up before it had an answer.
#[tokio::test]
async fn a_viewer_that_leaves_is_in_the_standard_log() {
    let bucket = Bucket::start().await;
    bucket.put("slow", "slow");
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), into(folder.path())).await;
    let held = bucket.origin.hold();
    let mut stream = connect(stage.https(), HOST, &[]).await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n").await.unwrap();
    held.until_waiting(1).await;
    drop(stream);
    log_lines(&stage.log, 1).await;
    drop(held);
    stage.server.drain().await;
    let rows = records(folder.path());
    // behaviour §12.8 fields 9, 14 and 29
    assert_eq!((&*rows[0][8], &*rows[0][13], &*rows[0][28]), ("000", "Error", "ClientHungUpRequest"));
}
