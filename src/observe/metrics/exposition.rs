//! Two text formats from the same families: Prometheus 0.0.4 and OpenMetrics 1.0. The `prometheus` crate writes
//! only the first, and leaves out metrics that have no series yet.

use std::fmt::{self, Write};

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// OpenMetrics when `Accept` names it with a weight that is neither 0 nor below that of `text/plain`
    /// (RFC 9110 §12.5.1). Ranges with wildcards say nothing about either.
    pub(super) fn negotiate(accept: Option<&str>) -> Self {
        let accept = accept.unwrap_or_default();
        let open = weight(accept, "application/openmetrics-text");
        if open > 0.0 && open >= weight(accept, "text/plain") { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

pub(super) fn write(families: impl Iterator<Item = MetricFamily>, format: Format) -> String {
    let mut text = String::with_capacity(16 * 1024);
    for family in families {
        write_family(&mut text, &family, format);
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

/// The largest weight that `media_type` has in `accept`; 0 when it is not there.
fn weight(accept: &str, media_type: &str) -> f32 {
    let range = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case(media_type) {
            return None;
        }
        let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some(q.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
    };
    accept.split(',').filter_map(range).fold(0.0, f32::max)
}

fn write_family(text: &mut String, family: &MetricFamily, format: Format) {
    let (name, kind) = (family.name(), family.get_field_type());
    // OpenMetrics: `_total` belongs to a counter's samples, not to its family.
    let titled = match (format, kind) {
        (Format::OpenMetrics, MetricType::COUNTER) => name.strip_suffix("_total").unwrap_or(name),
        _ => name,
    };
    put(text, format_args!("# HELP {titled} {}\n# TYPE {titled} {}\n", family.help(), type_name(kind)));
    let mut series: Vec<&Metric> = family.get_metric().iter().collect();
    series.sort_by(|a, b| label_values(a).cmp(label_values(b)));
    for metric in series {
        let labels = metric.get_label();
        match kind {
            MetricType::HISTOGRAM => write_histogram(text, name, metric, format),
            MetricType::COUNTER => write_sample(text, name, labels, None, metric.get_counter().get_value()),
            _ => write_sample(text, name, labels, None, metric.get_gauge().get_value()),
        }
    }
}

fn write_histogram(text: &mut String, name: &str, metric: &Metric, format: Format) {
    let (histogram, labels) = (metric.get_histogram(), metric.get_label());
    let bucket = format!("{name}_bucket");
    for step in histogram.get_bucket() {
        let bound = match format {
            Format::Prometheus => step.upper_bound().to_string(),
            // OpenMetrics 1.0 wants `1.0`, not `1`; Debug writes a float that way.
            Format::OpenMetrics => format!("{:?}", step.upper_bound()),
        };
        write_sample(text, &bucket, labels, Some(&bound), step.cumulative_count() as f64);
    }
    let count = histogram.get_sample_count() as f64;
    write_sample(text, &bucket, labels, Some("+Inf"), count);
    write_sample(text, &format!("{name}_sum"), labels, None, histogram.get_sample_sum());
    write_sample(text, &format!("{name}_count"), labels, None, count);
}

/// `le` is a histogram bucket's upper bound.
fn write_sample(text: &mut String, name: &str, labels: &[LabelPair], le: Option<&str>, value: f64) {
    text.push_str(name);
    let mut open = '{';
    for (label, value) in labels.iter().map(|l| (l.name(), l.value())).chain(le.map(|le| ("le", le))) {
        put(text, format_args!("{open}{label}=\""));
        escape(text, value);
        text.push('"');
        open = ',';
    }
    if open == ',' {
        text.push('}');
    }
    put(text, format_args!(" {value}\n"));
}

fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str(r"\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str(r"\n"),
            c => text.push(c),
        }
    }
}

fn put(text: &mut String, args: fmt::Arguments<'_>) {
    text.write_fmt(args).expect("a String takes whatever is written");
}

fn label_values(metric: &Metric) -> impl Iterator<Item = &str> {
    metric.get_label().iter().map(LabelPair::value)
}

fn type_name(kind: MetricType) -> &'static str {
    match kind {
        MetricType::COUNTER => "counter",
        MetricType::HISTOGRAM => "histogram",
        _ => "gauge",
    }
}
