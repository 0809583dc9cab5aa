//! The report as a terminal shows it, and a progress bar.

use std::fmt::Write as _;

use super::report::{Endpoint, Page, Pair, Report};
use super::statistics::Summary;
use super::{Point, Probe, Verdict, Weight};

/// Differences that are told in full; `--json` and `--html` have all of them.
const MOST_POINTS: usize = 60;
/// Characters of a value, and of a path in the table.
const MOST_VALUE: usize = 60;
const MOST_PATH: usize = 40;

/// All of it; lines end with `\n`.
#[must_use]
pub fn show(report: &Report) -> String {
    let mut out = String::new();
    verdicts(&mut out, report);
    points(&mut out, report);
    connections(&mut out, report);
    latency(&mut out, report);
    // Writing to a String does not fail.
    let _ = writeln!(out, "{}", report.summary());
    if report.settings.left_out > 0 {
        let _ = writeln!(out, "{} URLs of the lists were left out (--limit)", report.settings.left_out);
    }
    out
}

/// `[#####.....]  12/40  /images/a.jpg`, no wider than `width`.
#[must_use]
pub fn bar(done: usize, all: usize, what: &str, width: usize) -> String {
    const CELLS: usize = 20;
    let full = (done * CELLS).checked_div(all).unwrap_or(CELLS).min(CELLS);
    let text =
        format!("[{}{}]  {done}/{all}  {}", "#".repeat(full), ".".repeat(CELLS - full), printable(what));
    text.chars().take(width).collect()
}

/// What an answer says may not steer a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn verdicts(out: &mut String, report: &Report) {
    let wide =
        report.urls.iter().map(|page| page.path.chars().count()).max().unwrap_or(0).clamp(3, MOST_PATH);
    let _ = write!(out, "{:<wide$}", "URL");
    for probe in Probe::ALL {
        let cell = cell(probe);
        let _ = write!(out, "  {:<cell$}", probe.word());
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    for page in &report.urls {
        let _ = write!(out, "{:<wide$}", short(&page.path, wide));
        for probe in Probe::ALL {
            let outcome = page.probes.iter().find(|outcome| outcome.probe == probe);
            let mark = match outcome.map(|outcome| (&outcome.verdict, outcome.points.is_empty())) {
                Some((Verdict::Agree, true)) => "ok",
                Some((Verdict::Agree, false)) => "ok*",
                Some((Verdict::Differ, _)) => "DIFFER",
                Some((Verdict::Failed(_), _)) => "FAILED",
                Some((Verdict::Skipped(_), _)) | None => "-",
            };
            let cell = cell(probe);
            let _ = write!(out, "  {mark:<cell$}");
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out.push('\n');
}

/// Wide enough for its word and for each mark.
fn cell(probe: Probe) -> usize {
    probe.word().len().max("DIFFER".len())
}

fn points(out: &mut String, report: &Report) {
    let mut told = 0;
    let mut untold = 0;
    for page in &report.urls {
        let path = short(&page.path, MOST_PATH);
        for outcome in &page.probes {
            if let Verdict::Failed(why) = &outcome.verdict {
                let _ = writeln!(out, "FAILED  {path} {}: {}", outcome.probe.word(), printable(why));
            }
        }
        for (point, probes) in differences(page) {
            if told == MOST_POINTS {
                untold += 1;
                continue;
            }
            told += 1;
            let (edge, reference) = (short(&point.edge, MOST_VALUE), short(&point.reference, MOST_VALUE));
            let probes = probes.join(", ");
            let _ =
                writeln!(out, "DIFFER  {path} {probes}: {}: edge {edge} | reference {reference}", point.what);
        }
    }
    if untold > 0 {
        let _ = writeln!(out, "and {untold} more: --json and --html have them");
    }
    if !out.ends_with("\n\n") {
        out.push('\n');
    }
}

/// Each once, with all questions that showed it.
fn differences(page: &Page) -> Vec<(&Point, Vec<&'static str>)> {
    let mut found: Vec<(&Point, Vec<&'static str>)> = Vec::new();
    for outcome in &page.probes {
        for point in outcome.points.iter().filter(|point| point.weight == Weight::Difference) {
            match found.iter_mut().find(|(known, _)| *known == point) {
                Some((_, probes)) => probes.push(outcome.probe.word()),
                None => found.push((point, vec![outcome.probe.word()])),
            }
        }
    }
    found
}

fn connections(out: &mut String, report: &Report) {
    for (side, endpoint) in [("edge", &report.edge), ("reference", &report.reference)] {
        let Endpoint { url, host, http, tls, name, connect, handshake } = endpoint;
        let median =
            |of: &Option<Summary>| of.map_or_else(|| "-".to_owned(), |of| format!("{:.2} ms", of.p50));
        let spoken = [*http, *tls].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            out,
            "{side:<9}  {url} as {host}  {spoken}  name {}, TCP {}, TLS {}",
            median(name),
            median(connect),
            median(handshake)
        );
    }
    out.push('\n');
}

fn latency(out: &mut String, report: &Report) {
    if report.latency.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "{:<13} {:<10} {:<9} {:>6} {:>9} {:>19} {:>9} {:>9}",
        "result", "to", "of", "n", "p50 ms", "95 % of p50", "p90", "p99"
    );
    for of in &report.latency {
        for (what, pair) in [("first byte", &of.first_byte), ("last byte", &of.last_byte)] {
            rows(out, of.result.as_str(), what, pair);
        }
    }
    out.push('\n');
}

fn rows(out: &mut String, result: &str, what: &str, pair: &Pair) {
    for (side, summary) in [("edge", pair.edge), ("reference", pair.reference)] {
        if let Some(Summary { n, p50, p90, p99, interval }) = summary {
            let interval =
                interval.map_or_else(|| "too few".to_owned(), |of| format!("{:.2} to {:.2}", of.from, of.to));
            let _ = writeln!(
                out,
                "{result:<13} {what:<10} {side:<9} {n:>6} {p50:>9.2} {interval:>19} {p90:>9.2} {p99:>9.2}"
            );
        }
    }
    if let Some(difference) = pair.difference {
        let sure = if difference.is_sure() { "" } else { ": no difference to be seen" };
        let _ = writeln!(
            out,
            "{:<13} {:<10} edge less reference: {:+.2} ms ({:+.2} to {:+.2}){sure}",
            "", "", difference.of_medians, difference.from, difference.to
        );
    }
}

fn short(text: &str, most: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= most { text } else { text.chars().take(most - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::report::tests::differing;

    #[test]
    fn it_tells_what_differs_and_how_fast() {
        let text = show(&differing());
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("URL") && lines[0].ends_with("missing  redirect"), "{text}");
        assert!(lines[1].starts_with("/a") && lines[1].contains("  ok"), "{text}");
        for part in [
            "DIFFER  /b?\"><i> cold: x-frame-options: edge <script>alert(1)</script>\u{fffd}[31m | reference (absent)",
            "FAILED  /b?\"><i> warm: edge: cannot connect",
            "edge       https://127.0.0.1:8443 as edge  HTTP/2, TLS 1.3  name 1.00 ms, TCP 2.00 ms, TLS 4.00 ms",
            "edge less reference: -100.00 ms",
            "they do not agree: 2 URLs, 1 questions answered alike, 1 not, 1 failed, 1 skipped",
            "3 URLs of the lists were left out (--limit)",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        let row = lines
            .iter()
            .find(|line| line.starts_with("Hit") && line.contains("first byte") && line.contains("edge"))
            .unwrap();
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!((cells[4], cells[5], cells.last()), ("20", "10.50", Some(&"20.00")), "{row}");
    }

    #[test]
    fn what_several_questions_show_is_told_once() {
        let mut report = differing();
        let page = &mut report.urls[1];
        let point = page.probes[0].points[0].clone();
        page.probes[1].points = vec![point.clone(), Point { what: "etag".into(), ..point.clone() }];
        page.probes[2].points = vec![Point { weight: Weight::Note, ..point }];
        let found: Vec<_> =
            differences(page).into_iter().map(|(point, of)| (&*point.what, of.join(" "))).collect();
        assert_eq!(found, [("x-frame-options", "cold warm".to_owned()), ("etag", "warm".to_owned())]);
    }

    #[test]
    fn a_bar_fills() {
        let table = [
            ((0, 4, "/a", 80), "[....................]  0/4  /a"),
            ((1, 4, "/a\u{1b}", 80), "[#####...............]  1/4  /a\u{fffd}"),
            ((4, 4, "/a", 80), "[####################]  4/4  /a"),
            ((0, 0, "", 80), "[####################]  0/0  "),
            ((1, 4, "/a", 10), "[#####...."),
        ];
        for ((done, all, what, width), expected) in table {
            assert_eq!(bar(done, all, what, width), expected);
        }
    }
}
