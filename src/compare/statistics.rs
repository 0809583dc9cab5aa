//! Percentiles, and how sure one may be of a median: the bootstrap (Efron, 1979), with a seed, so that a report can be made
//! again.

use std::time::Duration;

use serde::Serialize;

/// Of durations, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// How many there were. With fewer than 100 the 99th percentile is the largest.
    pub n: usize,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    /// 95 % confidence interval of the median; `None` of fewer than six, which cannot have one: all of five lie on one side of
    /// the median oftener than one time in twenty.
    pub interval: Option<Interval>,
}

/// In milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    pub from: f64,
    pub to: f64,
}

/// 95 % confidence interval of the difference of two medians, in milliseconds: below zero the first is faster.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    pub of_medians: f64,
    pub from: f64,
    pub to: f64,
}

impl Difference {
    /// The interval leaves zero out.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.from > 0.0 || self.to < 0.0
    }
}

/// Values that have an interval; draws of a bootstrap, and how many values all of them may draw: a long list needs fewer.
const FEWEST: usize = 6;
const DRAWS: usize = 2000;
const FEWEST_DRAWS: usize = 200;
const MOST_VALUES: usize = 20_000_000;

/// `None`: there are none.
#[must_use]
pub fn summarize(durations: &[Duration], seed: u64) -> Option<Summary> {
    let values = sorted(durations);
    let mut medians = medians(&values, &mut fastrand::Rng::with_seed(seed));
    medians.sort_by(f64::total_cmp);
    Some(Summary {
        n: values.len(),
        p50: median(&values)?,
        p90: percentile(&values, 90)?,
        p99: percentile(&values, 99)?,
        interval: interval(&medians),
    })
}

/// Of `edge` less `reference`; `None` when there are fewer than six of one.
#[must_use]
pub fn difference(edge: &[Duration], reference: &[Duration], seed: u64) -> Option<Difference> {
    let (edge, reference) = (sorted(edge), sorted(reference));
    let mut rng = fastrand::Rng::with_seed(seed);
    let (one, other) = (medians(&edge, &mut rng), medians(&reference, &mut rng));
    let mut differences: Vec<f64> = one.iter().zip(&other).map(|(one, other)| one - other).collect();
    differences.sort_by(f64::total_cmp);
    let Interval { from, to } = interval(&differences)?;
    Some(Difference { of_medians: median(&edge)? - median(&reference)?, from, to })
}

/// The middle 95 %.
fn interval(sorted: &[f64]) -> Option<Interval> {
    Some(Interval { from: percentile_of(sorted, 0.025)?, to: percentile_of(sorted, 0.975)? })
}

fn sorted(durations: &[Duration]) -> Vec<f64> {
    let mut values: Vec<f64> = durations.iter().map(|duration| duration.as_secs_f64() * 1000.0).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The smallest value that `percent` of all are not above ("nearest rank").
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

fn percentile_of(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = (last as f64 * share).round() as usize;
    sorted.get(at).copied()
}

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle)?;
    if sorted.len() % 2 == 1 { Some(*upper) } else { Some(f64::midpoint(*sorted.get(middle - 1)?, *upper)) }
}

/// Medians of as many values, drawn with replacement. Of sorted values only their places need be drawn.
fn medians(sorted: &[f64], rng: &mut fastrand::Rng) -> Vec<f64> {
    if sorted.len() < FEWEST {
        return Vec::new();
    }
    let draws = (MOST_VALUES / sorted.len()).clamp(FEWEST_DRAWS, DRAWS);
    let mut counts = vec![0_u32; sorted.len()];
    let mut medians = Vec::with_capacity(draws);
    for _ in 0..draws {
        counts.fill(0);
        for _ in 0..sorted.len() {
            counts[rng.usize(..sorted.len())] += 1;
        }
        let at = |rank: usize| {
            let mut before = 0;
            let place = counts.iter().position(|count| {
                before += *count as usize;
                before > rank
            });
            sorted[place.unwrap_or(sorted.len() - 1)]
        };
        let middle = sorted.len() / 2;
        let upper = at(middle);
        medians.push(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(at(middle - 1), upper) });
    }
    medians
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(values: impl IntoIterator<Item = u64>) -> Vec<Duration> {
        values.into_iter().map(Duration::from_millis).collect()
    }

    #[test]
    fn percentiles_are_the_nearest_ranks() {
        type Expected = Option<(usize, f64, f64, f64)>;
        let table: &[(Vec<Duration>, Expected)] = &[
            (millis([]), None),
            (millis([7]), Some((1, 7.0, 7.0, 7.0))),
            (millis([4, 1]), Some((2, 2.5, 4.0, 4.0))),
            (millis((1..=10).rev()), Some((10, 5.5, 9.0, 10.0))),
            (millis(1..=100), Some((100, 50.5, 90.0, 99.0))),
            (millis(1..=1000), Some((1000, 500.5, 900.0, 990.0))),
        ];
        for (durations, expected) in table {
            let summary = summarize(durations, 1);
            assert_eq!(summary.map(|of| (of.n, of.p50, of.p90, of.p99)), *expected, "{durations:?}");
        }
    }

    #[test]
    fn the_interval_holds_the_median_and_narrows_with_more() {
        let few = summarize(&millis((0..20).map(|n| n * 5)), 1).unwrap();
        let many = summarize(&millis((0..2000).map(|n| n % 100)), 1).unwrap();
        let width = |of: Summary| {
            let Interval { from, to } = of.interval.unwrap();
            assert!(from <= of.p50 && of.p50 <= to, "{of:?}");
            to - from
        };
        assert!(width(few) > 4.0 * width(many), "{few:?} {many:?}");
        // Of values that are all the same one is sure; of few of them not.
        assert_eq!(width(summarize(&millis([5; 6]), 1).unwrap()), 0.0);
        assert_eq!(summarize(&millis([5; 5]), 1).unwrap().interval, None);
    }

    #[test]
    fn the_interval_covers_the_true_median_about_as_often_as_it_says() {
        let mut rng = fastrand::Rng::with_seed(7);
        let covered = (0..400)
            .filter(|seed| {
                let drawn = millis((0..60).map(|_| rng.u64(0..=10_000)));
                let of = summarize(&drawn, *seed).unwrap();
                of.interval.is_some_and(|of| of.from <= 5000.0 && 5000.0 <= of.to)
            })
            .count();
        assert!((360..=396).contains(&covered), "of 400: {covered}");
    }

    #[test]
    fn a_seed_makes_it_again() {
        let values = millis((0..50).map(|n| n * n));
        let other = millis((0..50).map(|n| n * n + 300));
        assert_eq!(summarize(&values, 3), summarize(&values, 3));
        assert_eq!(difference(&values, &other, 3), difference(&values, &other, 3));
        assert_ne!(difference(&values, &other, 3), difference(&values, &other, 4));
    }

    #[test]
    fn a_difference_is_sure_when_zero_is_outside() {
        let table = [
            (millis(10..30), millis(110..130), Some((-100.0, true))),
            (millis(110..130), millis(10..30), Some((100.0, true))),
            (millis(10..30), millis(10..30), Some((0.0, false))),
            (millis(10..15), millis(110..130), None),
            (millis(10..30), millis([]), None),
        ];
        for (edge, reference, expected) in table {
            let found = difference(&edge, &reference, 1);
            assert_eq!(found.map(|of| (of.of_medians, of.is_sure())), expected);
        }
    }
}
