//! Own metrics of deliveries, under the names Prometheus gives them.

use super::AlertSender;
use super::target::Target;
use crate::telemetry::{Counter, Histogram, MetricFamily, Summary};

/// Metrics of one Alertmanager.
#[derive(Debug)]
pub(super) struct TargetMetrics {
    /// Time of a request.
    pub latency: Histogram,
    /// The same as quantiles.
    pub latency_summary: Summary,
    /// Alerts sent, those that failed among them.
    pub sent: Counter,
    /// Alerts whose delivery failed.
    pub errors: Counter,
    /// Alerts dropped because the queue was full, or at the stop.
    pub dropped: Counter,
}

impl Default for TargetMetrics {
    fn default() -> TargetMetrics {
        TargetMetrics {
            latency: Histogram::new(Histogram::SECONDS),
            latency_summary: Summary::new(Summary::USUAL),
            sent: Counter::new(),
            errors: Counter::new(),
            dropped: Counter::new(),
        }
    }
}

type Read = fn(&Target) -> f64;

/// Everything as families; does not keep the sender's threads alive.
pub fn families(sender: &AlertSender) -> Vec<MetricFamily> {
    let inner = sender.read();
    let by_target = |mut family: MetricFamily, read: Read| {
        for target in &inner.targets {
            family = family.with(&[("alertmanager", &target.options().url)], read(target));
        }
        family
    };
    let counters: [(&str, &str, Read); 3] = [
        ("prometheus_notifications_sent_total", "Alerts sent.", |target| {
            target.metrics().sent.get() as f64
        }),
        ("prometheus_notifications_errors_total", "Alerts whose delivery failed.", |target| {
            target.metrics().errors.get() as f64
        }),
        (
            "prometheus_notifications_dropped_total",
            "Alerts dropped because too many were waiting.",
            |target| target.metrics().dropped.get() as f64,
        ),
    ];
    let mut families: Vec<MetricFamily> = counters
        .into_iter()
        .map(|(name, help, read)| by_target(MetricFamily::counter(name, help), read))
        .collect();
    let gauges: [(&str, &str, Read); 2] = [
        ("prometheus_notifications_queue_length", "Alerts waiting.", |target| {
            target.waiting() as f64
        }),
        ("prometheus_notifications_queue_capacity", "Most alerts that may wait.", |target| {
            target.capacity() as f64
        }),
    ];
    families.extend(
        gauges
            .into_iter()
            .map(|(name, help, read)| by_target(MetricFamily::gauge(name, help), read)),
    );
    let mut latency = MetricFamily::histogram(
        "prometheus_notifications_latency_histogram_seconds",
        "Time of requests that send alerts.",
    );
    for target in &inner.targets {
        let labels = [("alertmanager", target.options().url.as_str())];
        latency = latency.with_histogram(&labels, &target.metrics().latency);
    }
    families.push(latency);
    let mut summary = MetricFamily::summary(
        "prometheus_notifications_latency_seconds",
        "Time of requests that send alerts, of the last ten minutes.",
    );
    for target in &inner.targets {
        let labels = [("alertmanager", target.options().url.as_str())];
        summary = summary.with_summary(&labels, &target.metrics().latency_summary);
    }
    families.push(summary);
    families.push(
        MetricFamily::gauge(
            "prometheus_notifications_alertmanagers_discovered",
            "Alertmanagers that alerts are sent to.",
        )
        .value(inner.targets.len() as f64),
    );
    families
}
