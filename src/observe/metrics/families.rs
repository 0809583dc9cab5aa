//! Makes the metrics of interface.md.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    proto,
};

/// Upper bounds in seconds: a hit in memory takes some 100 µs, an origin may take a minute.
pub(super) const SECONDS: [f64; 18] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0, 60.0,
];

/// Makes metrics and remembers each. Names and labels are constants, so what can go wrong goes wrong in every
/// test.
#[derive(Default)]
pub(super) struct Families(Vec<Box<dyn Collector>>);

impl Families {
    pub(super) fn counter(&mut self, name: &str, help: &str) -> IntCounter {
        self.keep(IntCounter::new(name, help))
    }

    pub(super) fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str) -> IntGauge {
        self.keep(IntGauge::new(name, help))
    }

    pub(super) fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn float_gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.keep(GaugeVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn histograms(&mut self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        self.keep(HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels))
    }

    pub(super) fn build_info(&mut self) {
        let opts = Opts::new("edgeseal_build_info", "1, labelled with what was built.")
            .const_label("version", env!("CARGO_PKG_VERSION"))
            .const_label("crypto", "aws-lc-rs");
        self.keep(Gauge::with_opts(opts)).set(1.0);
    }

    /// In the order in which they were made.
    pub(super) fn into_all(self) -> Vec<Box<dyn Collector>> {
        self.0
    }

    fn keep<C: Collector + Clone + 'static>(&mut self, made: prometheus::Result<C>) -> C {
        self.put(made.expect("names, labels and buckets are constants that prometheus accepts"))
    }

    /// One that was made elsewhere.
    pub(super) fn put<C: Collector + Clone + 'static>(&mut self, made: C) -> C {
        self.0.push(Box::new(made.clone()));
        made
    }
}

pub(super) fn family(
    name: &str,
    help: &str,
    kind: proto::MetricType,
    series: Vec<proto::Metric>,
) -> proto::MetricFamily {
    let mut family = proto::MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(series);
    family
}

/// `labels` in the order of their names, here and in [`histogram`].
pub(super) fn counter(labels: Vec<proto::LabelPair>, count: u64) -> proto::Metric {
    let mut value = proto::Counter::default();
    value.set_value(count as f64);
    let mut metric = proto::Metric::from_label(labels);
    metric.set_counter(value);
    metric
}

/// Of no labels.
pub(super) fn gauge(value: f64) -> proto::Metric {
    let mut gauge = proto::Gauge::default();
    gauge.set_value(value);
    let mut metric = proto::Metric::from_label(Vec::new());
    metric.set_gauge(gauge);
    metric
}

/// Of no labels, and not whole.
pub(super) fn real_counter(count: f64) -> proto::Metric {
    let mut value = proto::Counter::default();
    value.set_value(count);
    let mut metric = proto::Metric::from_label(Vec::new());
    metric.set_counter(value);
    metric
}

/// `buckets`: how many fell between each bound of [`SECONDS`] and the one before it, and at last beyond all.
pub(super) fn histogram(labels: Vec<proto::LabelPair>, buckets: &[u64], seconds: f64) -> proto::Metric {
    let mut count = 0;
    let steps = SECONDS.iter().zip(buckets).map(|(bound, fell)| {
        count += fell;
        let mut step = proto::Bucket::default();
        step.set_upper_bound(*bound);
        step.set_cumulative_count(count);
        step
    });
    let mut value = proto::Histogram::default();
    value.set_bucket(steps.collect());
    value.set_sample_count(buckets.iter().sum());
    value.set_sample_sum(seconds);
    let mut metric = proto::Metric::from_label(labels);
    metric.set_histogram(value);
    metric
}

pub(super) fn label(name: &str, value: &str) -> proto::LabelPair {
    let mut label = proto::LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}
