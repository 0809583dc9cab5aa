//! From tallies to a table.

use std::fmt;
use std::time::Duration;

use crate::load::Tally;
use crate::scenario::Scenario;

/// What each scenario came to in each round.
#[derive(Debug)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    scenario: &'static Scenario,
    rounds: Vec<Figures>,
}

/// One round of one scenario.
#[derive(Debug, Clone, Copy)]
struct Figures {
    requests_per_second: f64,
    /// Milliseconds.
    p50: f64,
    /// Milliseconds.
    p99: f64,
    /// Of bodies, 10^6 bytes per second.
    megabytes_per_second: f64,
    /// CPU time of the edge for a request, microseconds.
    cpu_per_request: f64,
    /// CPU time of the edge over elapsed time, percent of one core.
    cpu: f64,
}

impl Report {
    pub(crate) fn new(scenarios: &[&'static Scenario]) -> Self {
        Self { rows: scenarios.iter().map(|scenario| Row { scenario, rounds: Vec::new() }).collect() }
    }

    /// Adds a round of the scenario with this index.
    pub(crate) fn add(&mut self, index: usize, tally: &Tally) {
        let row = &mut self.rows[index];
        row.rounds.push(Figures::of(tally, row.scenario.size()));
    }
}

/// A Markdown table of medians over the rounds.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| scenario | requests/s | p50 ms | p99 ms | MB/s | edge CPU µs/request | min–max | edge CPU % |"
        )?;
        writeln!(f, "| --- | --: | --: | --: | --: | --: | --: | --: |")?;
        for row in self.rows.iter().filter(|row| !row.rounds.is_empty()) {
            let of = |figure: fn(&Figures) -> f64| sorted(row.rounds.iter().map(figure));
            let cost = of(|figures| figures.cpu_per_request);
            writeln!(
                f,
                "| {} | {:.0} | {:.3} | {:.3} | {:.1} | {:.1} | {:.1}–{:.1} | {:.0} |",
                row.scenario.name,
                median(&of(|figures| figures.requests_per_second)),
                median(&of(|figures| figures.p50)),
                median(&of(|figures| figures.p99)),
                median(&of(|figures| figures.megabytes_per_second)),
                median(&cost),
                cost[0],
                cost[cost.len() - 1],
                median(&of(|figures| figures.cpu)),
            )?;
        }
        Ok(())
    }
}

impl Figures {
    fn of(tally: &Tally, size: usize) -> Self {
        let count = tally.latencies.len() as f64;
        let seconds = tally.elapsed.as_secs_f64();
        Self {
            requests_per_second: count / seconds,
            p50: percentile(&tally.latencies, 50).as_secs_f64() * 1e3,
            p99: percentile(&tally.latencies, 99).as_secs_f64() * 1e3,
            megabytes_per_second: count * size as f64 / seconds / 1e6,
            cpu_per_request: tally.cpu.as_secs_f64() * 1e6 / count,
            cpu: tally.cpu.as_secs_f64() / seconds * 100.0,
        }
    }
}

/// The smallest that `percent` of them do not exceed. `sorted` is not empty.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent).div_ceil(100).saturating_sub(1)]
}

fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures
}

/// `sorted` is not empty; of an even number of figures, the lower of the middle two.
fn median(sorted: &[f64]) -> f64 {
    sorted[(sorted.len() - 1) / 2]
}
