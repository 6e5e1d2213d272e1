//! A metric family as it is gathered: name, help, type and its samples of this moment.

use std::borrow::Cow;

use super::metric::Histogram;
use super::summary::Summary;
use crate::model::MetricType;

/// All samples of one metric at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricFamily {
    /// The family's name as it stands in the text format; counters end in `_total`.
    pub name: Cow<'static, str>,
    /// One sentence for the reader.
    pub help: Cow<'static, str>,
    /// Counter, gauge, histogram, summary, info or unknown.
    pub metric_type: MetricType,
    /// The unit, which must then also end the name; empty when there is none.
    pub unit: &'static str,
    /// The samples, in the order they are to be shown.
    pub samples: Vec<MetricSample>,
}

/// One sample of a family.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSample {
    /// What is appended to the family's name: empty, `_bucket`, `_sum` or `_count`.
    pub suffix: &'static str,
    /// Label names and values, without the metric name.
    pub labels: Vec<(Cow<'static, str>, String)>,
    /// The value.
    pub value: f64,
}

impl MetricFamily {
    /// A counter family without samples; `name` ends in `_total`.
    pub fn counter(name: &'static str, help: &'static str) -> MetricFamily {
        MetricFamily::new(name, help, MetricType::Counter)
    }

    /// A gauge family without samples.
    pub fn gauge(name: &'static str, help: &'static str) -> MetricFamily {
        MetricFamily::new(name, help, MetricType::Gauge)
    }

    /// A histogram family without samples.
    pub fn histogram(name: &'static str, help: &'static str) -> MetricFamily {
        MetricFamily::new(name, help, MetricType::Histogram)
    }

    /// A summary family without samples.
    pub fn summary(name: &'static str, help: &'static str) -> MetricFamily {
        MetricFamily::new(name, help, MetricType::Summary)
    }

    /// A family of any type without samples.
    pub fn new(name: &'static str, help: &'static str, metric_type: MetricType) -> MetricFamily {
        MetricFamily {
            name: Cow::Borrowed(name),
            help: Cow::Borrowed(help),
            metric_type,
            unit: "",
            samples: Vec::new(),
        }
    }

    /// Declares the unit, for example `seconds`.
    #[must_use]
    pub fn unit(mut self, unit: &'static str) -> MetricFamily {
        self.unit = unit;
        self
    }

    /// Adds the sample without labels.
    #[must_use]
    pub fn value(self, value: f64) -> MetricFamily {
        self.with(&[], value)
    }

    /// Adds a sample with labels.
    #[must_use]
    pub fn with(mut self, labels: &[(&str, &str)], value: f64) -> MetricFamily {
        self.samples.push(MetricSample { suffix: "", labels: owned(labels), value });
        self
    }

    /// Adds the buckets, sum and count of a histogram with labels.
    #[must_use]
    pub fn with_histogram(mut self, labels: &[(&str, &str)], histogram: &Histogram) -> Self {
        let buckets = histogram.cumulative();
        let count = buckets.last().map_or(0, |(_, count)| *count);
        for (bound, count) in buckets {
            let mut labels = owned(labels);
            labels.push((Cow::Borrowed("le"), float_text(bound)));
            self.samples.push(MetricSample { suffix: "_bucket", labels, value: count as f64 });
        }
        for (suffix, value) in [("_sum", histogram.sum()), ("_count", count as f64)] {
            self.samples.push(MetricSample { suffix, labels: owned(labels), value });
        }
        self
    }

    /// Adds the quantiles, sum and count of a summary with labels.
    #[must_use]
    pub fn with_summary(mut self, labels: &[(&str, &str)], summary: &Summary) -> Self {
        for (quantile, value) in summary.quantiles() {
            let mut labels = owned(labels);
            labels.push((Cow::Borrowed("quantile"), quantile.to_string()));
            self.samples.push(MetricSample { suffix: "", labels, value });
        }
        let (sum, count) = summary.sum_and_count();
        self.with_sum_and_count(labels, sum, count)
    }

    /// Adds a summary without quantiles, with labels.
    #[must_use]
    pub fn with_sum_and_count(mut self, labels: &[(&str, &str)], sum: f64, count: u64) -> Self {
        for (suffix, value) in [("_sum", sum), ("_count", count as f64)] {
            self.samples.push(MetricSample { suffix, labels: owned(labels), value });
        }
        self
    }
}

fn owned(labels: &[(&str, &str)]) -> Vec<(Cow<'static, str>, String)> {
    labels.iter().map(|(n, v)| (Cow::Owned((*n).to_owned()), (*v).to_owned())).collect()
}

/// A float as the text formats write it: whole numbers with `.0` only in `le` (as OpenMetrics asks
/// and Prometheus 3 stores), infinities as `+Inf` and `-Inf`.
pub(super) fn float_text(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        v => format!("{v:?}"),
    }
}
