//! Plots as SVG: no script, no font, no colour but the page's own.

use std::fmt::Write as _;
use std::time::Duration;

use super::report::Pair;
use super::statistics::Summary;

const WIDTH: f64 = 640.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 24.0;
/// Points of a curve; more cannot be told apart.
const MOST_POINTS: usize = 400;

/// Median with its interval, p90 and p99 of both, on one axis.
pub(super) fn intervals(pair: &Pair, title: &str) -> String {
    let sides = [("edge", pair.edge), ("reference", pair.reference)];
    let most = sides.iter().filter_map(|(_, of)| of.map(|of| of.p99)).fold(0.0, f64::max);
    let axis = Axis::new(most);
    let mut svg = open(96.0, title);
    for (row, (side, summary)) in sides.into_iter().enumerate() {
        let Some(of) = summary else { continue };
        let y = if row == 0 { 20.0 } else { 48.0 };
        bar(&mut svg, &axis, y, side, &of);
    }
    axis.draw(&mut svg, 70.0);
    svg.push_str("</svg>");
    svg
}

fn bar(svg: &mut String, axis: &Axis, y: f64, side: &str, of: &Summary) {
    let [p50, p90, p99] = [of.p50, of.p90, of.p99].map(|value| axis.x(value));
    let [from, to] = of.interval.map_or([p50, p50], |of| [of.from, of.to].map(|value| axis.x(value)));
    let wide = (to - from).max(2.0);
    // Writing to a String does not fail.
    let _ = write!(
        svg,
        "<text x=\"8\" y=\"{:.1}\">{side}</text>\
         <g class=\"{side}\"><line x1=\"{p50:.1}\" x2=\"{p99:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
         <rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"14\"/>\
         <line x1=\"{p90:.1}\" x2=\"{p90:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
         <circle cx=\"{p99:.1}\" cy=\"{y:.1}\" r=\"3\"/></g>\
         <line class=\"median\" x1=\"{p50:.1}\" x2=\"{p50:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
        y + 4.0,
        y - 7.0,
        y - 5.0,
        y + 5.0,
        y - 9.0,
        y + 9.0
    );
}

/// The share of answers that took no longer.
pub(super) fn shares(pair: &Pair, title: &str) -> String {
    const TOP: f64 = 12.0;
    const BOTTOM: f64 = 150.0;
    let most = pair.durations.iter().flatten().max().map_or(0.0, |most| most.as_secs_f64() * 1000.0);
    let axis = Axis::new(most);
    let mut svg = open(176.0, title);
    for (share, label) in [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")] {
        let y = BOTTOM - share * (BOTTOM - TOP);
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" class=\"end\">{label}</text><line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" \
             y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
            LEFT - 8.0,
            y + 4.0,
            WIDTH - RIGHT
        );
    }
    for (side, durations) in ["edge", "reference"].into_iter().zip(&pair.durations) {
        let points = curve(durations);
        if points.is_empty() {
            continue;
        }
        let _ = write!(svg, "<polyline class=\"{side}\" points=\"{LEFT:.1},{BOTTOM:.1}");
        let mut before = BOTTOM;
        for (millis, share) in points {
            let (x, y) = (axis.x(millis), BOTTOM - share * (BOTTOM - TOP));
            let _ = write!(svg, " {x:.1},{before:.1} {x:.1},{y:.1}");
            before = y;
        }
        svg.push_str("\"/>");
    }
    axis.draw(&mut svg, BOTTOM);
    svg.push_str("</svg>");
    svg
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples")]
fn curve(durations: &[Duration]) -> Vec<(f64, f64)> {
    let mut sorted = durations.to_vec();
    sorted.sort();
    let n = sorted.len();
    let step = n.div_ceil(MOST_POINTS).max(1);
    let places = (0..n).filter(|place| place % step == step - 1 || place + 1 == n);
    places.map(|place| (sorted[place].as_secs_f64() * 1000.0, (place + 1) as f64 / n as f64)).collect()
}

fn open(height: f64, title: &str) -> String {
    let title = quick_xml::escape::escape(title);
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>"
    )
}

/// From 0 to a round number of milliseconds.
struct Axis {
    most: f64,
}

impl Axis {
    fn new(most: f64) -> Self {
        let power = 10_f64.powf(most.max(0.001).log10().floor());
        let steps = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0];
        let most = steps.into_iter().map(|step| step * power).find(|round| *round >= most);
        Self { most: most.unwrap_or(10.0 * power) }
    }

    fn x(&self, millis: f64) -> f64 {
        LEFT + (millis / self.most).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn draw(&self, svg: &mut String, y: f64) {
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y}\" y2=\"{y}\"/>",
            WIDTH - RIGHT
        );
        for quarter in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let millis = self.most * quarter;
            let label = format!("{millis:.3}");
            let label = label.trim_end_matches('0').trim_end_matches('.');
            let unit = if quarter == 1.0 { " ms" } else { "" };
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" class=\"middle\">{label}{unit}</text>",
                self.x(millis),
                y + 18.0
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_beyond_the_most() {
        for (most, end) in [(0.0, 0.001), (0.3, 0.4), (1.0, 1.0), (7.3, 8.0), (81.0, 100.0), (123.0, 200.0)] {
            let axis = Axis::new(most);
            assert!((axis.most - end).abs() < 1e-9, "{most}: {}", axis.most);
            assert!(axis.x(most) <= WIDTH - RIGHT && axis.x(0.0) == LEFT);
        }
    }

    #[test]
    fn a_curve_ends_at_all_of_them_however_many() {
        for n in [1_u64, 7, 400, 401, 5000] {
            let durations: Vec<Duration> = (0..n).rev().map(Duration::from_millis).collect();
            let points = curve(&durations);
            assert!(points.len() <= MOST_POINTS + 1, "{n}");
            assert_eq!(points.last(), Some(&((n - 1) as f64, 1.0)), "{n}");
        }
        assert!(curve(&[]).is_empty());
    }
}
