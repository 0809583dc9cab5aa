//! What a comparison found, as `--json` prints it; the terminal and the page show the same.

use std::time::Duration;

use serde::Serialize;

use super::statistics::{self, Difference, Summary};
use super::{Ignored, Point, Probe, ResultType, Rules, Verdict};
use crate::client::{Dial, Site};

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Every question about every URL was answered alike.
    pub agree: bool,
    pub counts: Counts,
    pub edge: Endpoint,
    pub reference: Endpoint,
    pub settings: Settings,
    pub urls: Vec<Page>,
    /// By result type, of GETs of whole objects on a connection that was there.
    pub latency: Vec<Latency>,
    /// Fields that were not compared.
    pub ignored: Vec<Ignored>,
}

/// Questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    pub agree: usize,
    pub differ: usize,
    pub failed: usize,
    pub skipped: usize,
}

/// How it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Warm GETs of each URL, of either endpoint in turn.
    pub samples: usize,
    /// URLs at a time.
    pub concurrency: usize,
    /// Of the bootstrap.
    pub seed: u64,
    /// URLs of the lists that were not asked for.
    pub left_out: usize,
}

/// One side, and its connections.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Endpoint {
    /// Where it was asked.
    pub url: String,
    /// As whom.
    pub host: String,
    /// `HTTP/2`
    pub http: Option<&'static str>,
    /// `TLS 1.3`
    pub tls: Option<&'static str>,
    pub name: Option<Summary>,
    pub connect: Option<Summary>,
    pub handshake: Option<Summary>,
}

/// One URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    pub path: String,
    pub probes: Vec<Outcome>,
}

/// One question about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub probe: Probe,
    #[serde(flatten)]
    pub verdict: Verdict,
    pub points: Vec<Point>,
}

/// One result type, of both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latency {
    pub result: ResultType,
    /// To the head of the answer.
    pub first_byte: Pair,
    /// To the end of the body.
    pub last_byte: Pair,
}

/// Milliseconds of both, and of the edge less the reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    pub edge: Option<Summary>,
    pub reference: Option<Summary>,
    pub difference: Option<Difference>,
    /// What they are of, edge and reference, for plots.
    #[serde(skip)]
    pub durations: [Vec<Duration>; 2],
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Edge,
    Reference,
}

/// One GET of a whole object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    pub side: Side,
    pub result: ResultType,
    pub first_byte: Duration,
    pub last_byte: Duration,
}

impl Endpoint {
    /// `dials`: new connections, one after the other.
    #[must_use]
    pub fn new(site: &Site, dials: &[Dial], seed: u64) -> Self {
        let of = |part: fn(&Dial) -> Option<Duration>| {
            statistics::summarize(&dials.iter().filter_map(part).collect::<Vec<_>>(), seed)
        };
        Self {
            url: site.place(),
            host: site.authority.clone(),
            http: dials.last().map(|dial| dial.http),
            tls: dials.last().and_then(|dial| dial.tls),
            name: of(|dial| Some(dial.name)),
            connect: of(|dial| Some(dial.connect)),
            handshake: of(|dial| dial.handshake),
        }
    }
}

impl Report {
    #[must_use]
    pub fn new(
        [edge, reference]: [Endpoint; 2],
        settings: Settings,
        urls: Vec<Page>,
        samples: &[Sample],
        rules: &Rules,
    ) -> Self {
        let mut counts = Counts::default();
        for outcome in urls.iter().flat_map(|page| &page.probes) {
            *match outcome.verdict {
                Verdict::Agree => &mut counts.agree,
                Verdict::Differ => &mut counts.differ,
                Verdict::Failed(_) => &mut counts.failed,
                Verdict::Skipped(_) => &mut counts.skipped,
            } += 1;
        }
        let agree = counts.agree > 0 && counts.differ == 0 && counts.failed == 0;
        let latency =
            ResultType::ALL.into_iter().filter_map(|result| latency(result, samples, settings.seed));
        let latency = latency.collect();
        Self { agree, counts, edge, reference, settings, urls, latency, ignored: rules.list().to_vec() }
    }

    /// A sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let Counts { agree, differ, failed, skipped } = self.counts;
        let word = if self.agree { "they agree" } else { "they do not agree" };
        let urls = self.urls.len();
        format!(
            "{word}: {urls} URLs, {agree} questions answered alike, {differ} not, {failed} failed, {skipped} skipped"
        )
    }
}

fn latency(result: ResultType, samples: &[Sample], seed: u64) -> Option<Latency> {
    let of = |side, part: fn(&Sample) -> Duration| -> Vec<Duration> {
        samples.iter().filter(|sample| sample.side == side && sample.result == result).map(part).collect()
    };
    let pair = |part: fn(&Sample) -> Duration| {
        let durations = [of(Side::Edge, part), of(Side::Reference, part)];
        Pair {
            edge: statistics::summarize(&durations[0], seed),
            reference: statistics::summarize(&durations[1], seed),
            difference: statistics::difference(&durations[0], &durations[1], seed),
            durations,
        }
    };
    let first_byte = pair(|sample| sample.first_byte);
    if first_byte.edge.is_none() && first_byte.reference.is_none() {
        return None;
    }
    Some(Latency { result, first_byte, last_byte: pair(|sample| sample.last_byte) })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::compare::Weight;

    /// A comparison in which one URL differs, and is hostile in what it says.
    pub(in crate::compare) fn differing() -> Report {
        let dial = |millis| Dial {
            name: Duration::from_millis(1),
            connect: Duration::from_millis(millis),
            handshake: Some(Duration::from_millis(2 * millis)),
            http: "HTTP/2",
            tls: Some("TLS 1.3"),
        };
        let sample = |side, result, millis| Sample {
            side,
            result,
            first_byte: Duration::from_millis(millis),
            last_byte: Duration::from_millis(2 * millis),
        };
        let point = Point {
            weight: Weight::Difference,
            what: "x-frame-options".into(),
            edge: "<script>alert(1)</script>\u{1b}[31m".into(),
            reference: "(absent)".into(),
            why: None,
        };
        let outcome = |probe, verdict, points| Outcome { probe, verdict, points };
        let pages = vec![
            Page { path: "/a".into(), probes: vec![outcome(Probe::Cold, Verdict::Agree, vec![])] },
            Page {
                path: "/b?\"><i>".into(),
                probes: vec![
                    outcome(Probe::Cold, Verdict::Differ, vec![point]),
                    outcome(Probe::Warm, Verdict::Failed("edge: cannot connect".into()), vec![]),
                    outcome(Probe::Redirect, Verdict::Skipped("no address without TLS".into()), vec![]),
                ],
            },
        ];
        let mut samples: Vec<Sample> = (1..=20)
            .flat_map(|n| {
                [sample(Side::Edge, ResultType::Hit, n), sample(Side::Reference, ResultType::Hit, n + 100)]
            })
            .collect();
        samples.push(sample(Side::Edge, ResultType::Miss, 70));
        let edge = "https://127.0.0.1:8443".parse::<Site>().unwrap().named("edge").unwrap();
        Report::new(
            [
                Endpoint::new(&edge, &[dial(1), dial(3)], 1),
                Endpoint::new(&"https://d1.cloudfront.net".parse().unwrap(), &[dial(10)], 1),
            ],
            Settings { samples: 20, concurrency: 1, seed: 1, left_out: 3 },
            pages,
            &samples,
            &Rules::with(&[]),
        )
    }

    #[test]
    fn it_counts_and_groups() {
        let report = differing();
        assert!(!report.agree);
        assert_eq!(report.counts, Counts { agree: 1, differ: 1, failed: 1, skipped: 1 });
        let groups: Vec<_> = report
            .latency
            .iter()
            .map(|of| {
                let n = |summary: Option<Summary>| summary.map_or(0, |of| of.n);
                (of.result, n(of.first_byte.edge), n(of.last_byte.reference))
            })
            .collect();
        assert_eq!(groups, [(ResultType::Hit, 20, 20), (ResultType::Miss, 1, 0)]);
        assert_eq!(report.latency[0].first_byte.difference.unwrap().of_medians, -100.0);
        assert_eq!(report.edge.handshake.unwrap().p50, 4.0);
    }

    #[test]
    fn nothing_asked_is_no_agreement() {
        let Report { edge, reference, settings, .. } = differing();
        let report = Report::new([edge, reference], settings, vec![], &[], &Rules::with(&[]));
        assert!(!report.agree);
    }

    #[test]
    fn as_json_it_says_verdicts_and_reasons() {
        let json: serde_json::Value = serde_json::to_value(differing()).unwrap();
        let probes = &json["urls"][1]["probes"];
        assert_eq!(probes[0]["verdict"], "differ");
        assert_eq!(probes[0]["points"][0]["weight"], "difference");
        assert_eq!((&probes[1]["probe"], &probes[1]["verdict"]), (&"warm".into(), &"failed".into()));
        assert_eq!(probes[2]["reason"], "no address without TLS");
        assert_eq!(json["latency"][0]["result"], "Hit");
        assert!(json["latency"][0]["first_byte"]["edge"]["p99"].is_number());
    }
}
