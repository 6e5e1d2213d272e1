//! Own metrics of rules, under the names Prometheus gives them.

use std::sync::Arc;
use std::time::Duration;

use super::group::Group;
use crate::model::Timestamp;
use crate::telemetry::{Counter, FloatGauge, Gauge, Histogram, MetricFamily, Summary};

/// Quantiles of the durations of groups, as Prometheus has them.
const GROUP_QUANTILES: &[f64] = &[0.01, 0.05, 0.5, 0.9, 0.99];

/// Metrics of all rules together.
#[derive(Debug)]
pub struct RuleMetrics {
    evaluation_seconds: Histogram,
    evaluation_summary: Summary,
    group_seconds: Histogram,
    group_summary: Summary,
}

impl Default for RuleMetrics {
    fn default() -> RuleMetrics {
        let seconds = || Histogram::new(Histogram::SECONDS);
        RuleMetrics {
            evaluation_seconds: seconds(),
            evaluation_summary: Summary::new(Summary::USUAL),
            group_seconds: seconds(),
            group_summary: Summary::new(GROUP_QUANTILES),
        }
    }
}

impl RuleMetrics {
    /// Notes how long a rule took.
    pub(super) fn rule_took(&self, took: Duration) {
        self.evaluation_seconds.observe_duration(took);
        self.evaluation_summary.observe_duration(took);
    }

    /// Notes how long a group took.
    pub(super) fn group_took(&self, took: Duration) {
        self.group_seconds.observe_duration(took);
        self.group_summary.observe_duration(took);
    }
}

/// Metrics of one group.
#[derive(Debug, Default)]
pub struct GroupMetrics {
    /// Evaluations that were due, those left out among them.
    pub iterations: Counter,
    /// Evaluations left out because the one before took too long.
    pub missed: Counter,
    /// Evaluations of single rules.
    pub evaluations: Counter,
    /// Those that failed.
    pub failures: Counter,
    /// Failures to keep or read the state of alerts.
    pub state_failures: Counter,
    last_seconds: FloatGauge,
    took_seconds: FloatGauge,
    rules_took_seconds: FloatGauge,
    restore_seconds: FloatGauge,
    samples: Gauge,
}

impl GroupMetrics {
    /// Notes an evaluation for `ts`.
    pub(super) fn evaluated(&self, ts: Timestamp, took: Duration, rules: Duration, samples: usize) {
        self.last_seconds.set(ts.as_secs_f64());
        self.took_seconds.set(took.as_secs_f64());
        self.rules_took_seconds.set(rules.as_secs_f64());
        self.samples.set(i64::try_from(samples).unwrap_or(i64::MAX));
    }

    /// Notes a restoration.
    pub(super) fn restored(&self, took: Duration) {
        self.restore_seconds.set(took.as_secs_f64());
    }
}

type Read = fn(&Group) -> f64;

/// Families of counters with one sample a group.
const COUNTERS: [(&str, &str, Read); 5] = [
    (
        "prometheus_rule_group_iterations_total",
        "Scheduled evaluations of rule groups, whether carried out or missed.",
        |group| group.metrics.iterations.get() as f64,
    ),
    (
        "prometheus_rule_group_iterations_missed_total",
        "Evaluations of rule groups missed because the one before took too long.",
        |group| group.metrics.missed.get() as f64,
    ),
    ("prometheus_rule_evaluations_total", "Evaluations of rules.", |group| {
        group.metrics.evaluations.get() as f64
    }),
    ("prometheus_rule_evaluation_failures_total", "Evaluations of rules that failed.", |group| {
        group.metrics.failures.get() as f64
    }),
    (
        "tidewatch_rule_state_failures_total",
        "Failures to keep the state of alerts; the log says why.",
        |group| group.metrics.state_failures.get() as f64,
    ),
];

/// Families of gauges with one sample a group.
const GAUGES: [(&str, &str, Read); 7] = [
    ("prometheus_rule_group_interval_seconds", "Interval of rule groups.", |group| {
        group.interval_ms() as f64 / 1000.0
    }),
    (
        "prometheus_rule_group_last_evaluation_timestamp_seconds",
        "Time of the last evaluation of rule groups.",
        |group| group.metrics.last_seconds.get(),
    ),
    (
        "prometheus_rule_group_last_duration_seconds",
        "Duration of the last evaluation of rule groups.",
        |group| group.metrics.took_seconds.get(),
    ),
    (
        "prometheus_rule_group_last_rule_duration_sum_seconds",
        "Sum of the durations of the rules in the last evaluation of rule groups.",
        |group| group.metrics.rules_took_seconds.get(),
    ),
    (
        "prometheus_rule_group_last_restore_duration_seconds",
        "Duration of the last restoration of alerts of rule groups.",
        |group| group.metrics.restore_seconds.get(),
    ),
    ("prometheus_rule_group_rules", "Rules of rule groups.", |group| group.rules().len() as f64),
    (
        "prometheus_rule_group_last_evaluation_samples",
        "Samples written by the last evaluation of rule groups.",
        |group| group.metrics.samples.get() as f64,
    ),
];

/// Everything as families.
pub fn families(all: &RuleMetrics, groups: &[Arc<Group>]) -> Vec<MetricFamily> {
    let by_group = |mut family: MetricFamily, read: Read| {
        for group in groups {
            family = family.with(&[("rule_group", &group.spec().key())], read(group));
        }
        family
    };
    let mut families: Vec<MetricFamily> = Vec::new();
    for (name, help, read) in COUNTERS {
        families.push(by_group(MetricFamily::counter(name, help), read));
    }
    for (name, help, read) in GAUGES {
        families.push(by_group(MetricFamily::gauge(name, help), read));
    }
    for (name, help, histogram) in [
        (
            "prometheus_rule_evaluation_duration_histogram_seconds",
            "Duration of evaluations of rules.",
            &all.evaluation_seconds,
        ),
        (
            "prometheus_rule_group_duration_histogram_seconds",
            "Duration of evaluations of rule groups.",
            &all.group_seconds,
        ),
    ] {
        families.push(MetricFamily::histogram(name, help).with_histogram(&[], histogram));
    }
    for (name, help, summary) in [
        (
            "prometheus_rule_evaluation_duration_seconds",
            "Duration of evaluations of rules, of the last ten minutes.",
            &all.evaluation_summary,
        ),
        (
            "prometheus_rule_group_duration_seconds",
            "Duration of evaluations of rule groups, of the last ten minutes.",
            &all.group_summary,
        ),
    ] {
        families.push(MetricFamily::summary(name, help).with_summary(&[], summary));
    }
    families.extend(expansions(groups));
    families
}

fn expansions(groups: &[Arc<Group>]) -> [MetricFamily; 2] {
    let rules = || groups.iter().flat_map(|group| group.rules());
    let total: u64 = rules().map(|rule| rule.expansions.total.get()).sum();
    let failed: u64 = rules().map(|rule| rule.expansions.failed.get()).sum();
    let counter = |name, help, value| MetricFamily::counter(name, help).value(value as f64);
    [
        counter(
            "prometheus_template_text_expansions_total",
            "Expansions of templates of labels and annotations.",
            total,
        ),
        counter(
            "prometheus_template_text_expansion_failures_total",
            "Expansions of templates of labels and annotations that failed.",
            failed,
        ),
    ]
}
