//! What is deployed beside the edge speaks of metrics that the edge has, and of alerts that somebody has written about.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use edgeseal::observe::metrics::Metrics;

/// Metrics that no panel or rule asks for, in the order of their names.
const ON_NO_PANEL: [&str; 4] = [
    "edgeseal_config_last_reload_success_timestamp_seconds",
    "edgeseal_early_requests_total",
    "edgeseal_http3_retries_total",
    "edgeseal_tls_handshakes",
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below `folder` whose names end in one of `endings`.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, endings));
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
            found.push(path);
        }
    }
    found
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Words of `text` that are names of metrics: ours, the process's, and those that rules record (which have colons in them).
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c: char| !is_name(c)).map(|word| word.trim_matches(':'));
    let is_metric = |word: &&str| {
        let bare = word.rsplit(':').nth(1).unwrap_or(word);
        ["edgeseal_", "process_"].iter().any(|prefix| bare.starts_with(prefix) && bare.len() > prefix.len())
    };
    words.filter(is_metric).collect()
}

/// As Prometheus stores what the edge exports.
fn exported() -> BTreeSet<String> {
    let (_, text) = Metrics::new().render(None);
    let mut names = BTreeSet::new();
    for (name, kind) in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')) {
        match kind {
            "histogram" => names.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}"))),
            _ => drop(names.insert(name.to_owned())),
        }
    }
    names
}

#[test]
fn every_metric_that_is_asked_for_is_one_that_there_is() {
    let rules = text(&repository().join("deploy/prometheus/rules/edgeseal.recording.yml"));
    let recorded = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
    let mut there = exported();
    there.extend(recorded.map(str::to_owned));
    let folders = ["deploy/prometheus", "deploy/grafana/dashboards"];
    let mut unknown = Vec::new();
    let mut known = BTreeSet::new();
    for path in folders.iter().flat_map(|folder| files(&repository().join(folder), &[".yml", ".json"])) {
        for name in metrics_in(&text(&path)) {
            if there.contains(name) {
                known.insert(name.to_owned());
            } else {
                unknown.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    // Nothing that an operator could want to see is left out.
    let unseen: Vec<_> = exported()
        .into_iter()
        .filter(|name| !known.contains(name) && !name.ends_with("_sum") && !name.ends_with("_count"))
        .collect();
    assert_eq!(unseen, ON_NO_PANEL, "show it in deploy/grafana/dashboard.py, or add it to ON_NO_PANEL");
}

/// CloudFront's metrics by name, one panel each (behaviour §12.12); functions and key value stores are not there.
#[test]
fn the_dashboard_has_cloudfronts_metrics() {
    let json = text(&repository().join("deploy/grafana/dashboards/edgeseal.json"));
    let dashboard: serde_json::Value = serde_json::from_str(&json).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let titles: Vec<_> = panels.iter().map(|panel| panel["title"].as_str().unwrap()).collect();
    for name in [
        "Requests",
        "BytesDownloaded",
        "BytesUploaded",
        "4xxErrorRate",
        "5xxErrorRate",
        "TotalErrorRate",
        "CacheHitRate",
        "OriginLatency",
        "401ErrorRate",
        "403ErrorRate",
        "404ErrorRate",
        "502ErrorRate",
        "503ErrorRate",
        "504ErrorRate",
    ] {
        assert_eq!(titles.iter().filter(|title| **title == name).count(), 1, "{name}");
    }
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "Grafana keeps one panel of each id");
}

#[test]
fn every_alert_says_where_to_read_on_and_is_there() {
    let alerts = text(&repository().join("deploy/prometheus/rules/edgeseal.alerts.yml"));
    let names: Vec<_> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 10, "{names:?}");
    let guide = text(&repository().join("docs/operations.md"));
    for name in &names {
        let runbook = format!("runbook: docs/operations.md#{}\n", name.to_lowercase());
        assert_eq!(alerts.matches(&runbook).count(), 1, "{name} does not lead to its own heading");
        assert!(guide.lines().any(|line| line == format!("### {name}")), "nothing is written about {name}");
    }
    let written: Vec<_> = guide.lines().filter_map(|line| line.strip_prefix("### Edgeseal")).collect();
    assert_eq!(written.len(), names.len(), "of an alert that is no more: {written:?}");
}
