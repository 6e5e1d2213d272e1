//! The receiver's own metrics, named after statsd_exporter's with the prefix `tidewatch_statsd_`.
//!
//! In: counts, added once per batch of lines. Out: (name, label, value) triples for whoever exposes
//! them.

use std::sync::atomic::{AtomicU64, Ordering};

use super::line::{Kind, Reason};

/// What one batch of lines did; plain numbers, added to [`StatsdMetrics`] once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines that are not empty.
    pub lines: u64,
    /// Samples that parsed.
    pub samples: u64,
    /// Events with DogStatsD tags.
    pub tags: u64,
    /// Tags without key or value, or with a reserved key.
    pub tag_errors: u64,
    /// Events refused because the series limit is reached.
    pub series_refused: u64,
    /// Events refused because their labels pass a limit.
    pub invalid_labels: u64,
    /// Members not counted because their set is full.
    pub set_members_refused: u64,
    events: [u64; Kind::ALL.len()],
    conflicts: [u64; Kind::ALL.len()],
    sample_errors: [u64; Reason::ALL.len()],
}

impl Counts {
    /// Counts an applied event.
    #[inline]
    pub fn event(&mut self, kind: Kind) {
        self.events[kind as usize] += 1;
    }

    /// Counts an event whose name belongs to another kind.
    pub fn conflict(&mut self, kind: Kind) {
        self.conflicts[kind as usize] += 1;
    }

    /// Counts a refused line or sample.
    pub fn refused(&mut self, reason: Reason) {
        self.sample_errors[reason as usize] += 1;
    }

    /// Applied events of `kind`.
    pub fn events_of(&self, kind: Kind) -> u64 {
        self.events[kind as usize]
    }

    /// Events of `kind` dropped for a name conflict.
    pub fn conflicts_of(&self, kind: Kind) -> u64 {
        self.conflicts[kind as usize]
    }

    /// Refusals for `reason`.
    pub fn refused_for(&self, reason: Reason) -> u64 {
        self.sample_errors[reason as usize]
    }
}

/// Counters and gauges of the StatsD receiver. All only grow, but for `series`, `tcp_open` and
/// `kernel_drops`, which is the kernel's figure.
#[derive(Debug, Default)]
pub struct StatsdMetrics {
    /// Datagrams received.
    pub udp_packets: AtomicU64,
    /// Datagrams dropped by us because the queue was full.
    pub udp_packet_drops: AtomicU64,
    /// Datagrams dropped by the kernel because the socket's buffer was full.
    pub kernel_drops: AtomicU64,
    /// TCP connections accepted.
    pub tcp_connections: AtomicU64,
    /// TCP connections that failed or were refused because there were too many.
    pub tcp_connection_errors: AtomicU64,
    /// TCP connections open.
    pub tcp_open: AtomicU64,
    /// Over-long TCP lines discarded.
    pub tcp_too_long_lines: AtomicU64,
    /// Flushes whose batch is on disk.
    pub flushes: AtomicU64,
    /// Flushes that failed; their values go out with the next one.
    pub flush_errors: AtomicU64,
    /// StatsD series held.
    pub series: AtomicU64,
    lines: AtomicU64,
    samples: AtomicU64,
    tags: AtomicU64,
    tag_errors: AtomicU64,
    series_refused: AtomicU64,
    invalid_labels: AtomicU64,
    set_members_refused: AtomicU64,
    events: [AtomicU64; Kind::ALL.len()],
    conflicts: [AtomicU64; Kind::ALL.len()],
    sample_errors: [AtomicU64; Reason::ALL.len()],
}

/// One exposed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// Metric name.
    pub name: &'static str,
    /// Help text.
    pub help: &'static str,
    /// Whether the value only grows.
    pub counter: bool,
    /// The one label, when the metric has one.
    pub label: Option<(&'static str, &'static str)>,
    /// The present value.
    pub value: u64,
}

impl StatsdMetrics {
    /// Adds the counts of one batch.
    pub fn add(&self, counts: &Counts) {
        let pairs = [
            (&self.lines, counts.lines),
            (&self.samples, counts.samples),
            (&self.tags, counts.tags),
            (&self.tag_errors, counts.tag_errors),
            (&self.series_refused, counts.series_refused),
            (&self.invalid_labels, counts.invalid_labels),
            (&self.set_members_refused, counts.set_members_refused),
        ];
        let tables = self.events.iter().zip(counts.events);
        let tables = tables.chain(self.conflicts.iter().zip(counts.conflicts));
        let tables = tables.chain(self.sample_errors.iter().zip(counts.sample_errors));
        for (total, count) in pairs.into_iter().chain(tables).filter(|(_, count)| *count > 0) {
            total.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Every value, metric by metric.
    pub fn expose(&self) -> Vec<Exposed> {
        let mut out: Vec<Exposed> = self
            .singles()
            .into_iter()
            .map(|(name, help, value)| exposed(name, help, None, value))
            .collect();
        for kind in Kind::ALL {
            let value = &self.events[kind as usize];
            out.push(exposed(EVENTS.0, EVENTS.1, Some(("type", kind.as_str())), value));
        }
        for kind in Kind::ALL {
            let value = &self.conflicts[kind as usize];
            out.push(exposed(CONFLICTS.0, CONFLICTS.1, Some(("type", kind.as_str())), value));
        }
        for reason in Reason::ALL {
            let value = &self.sample_errors[reason as usize];
            let label = Some(("reason", reason.as_str()));
            out.push(exposed(SAMPLE_ERRORS.0, SAMPLE_ERRORS.1, label, value));
        }
        out
    }

    fn singles(&self) -> [(&'static str, &'static str, &AtomicU64); 17] {
        [
            ("tidewatch_statsd_udp_packets_total", "StatsD datagrams received.", &self.udp_packets),
            (
                "tidewatch_statsd_udp_packet_drops_total",
                "StatsD datagrams dropped because the receiver's queue was full.",
                &self.udp_packet_drops,
            ),
            (
                "tidewatch_statsd_udp_kernel_drops_total",
                "StatsD datagrams the kernel dropped because the socket buffer was full.",
                &self.kernel_drops,
            ),
            (
                "tidewatch_statsd_tcp_connections_total",
                "StatsD TCP connections accepted.",
                &self.tcp_connections,
            ),
            (
                "tidewatch_statsd_tcp_connection_errors_total",
                "StatsD TCP connections that failed or were refused.",
                &self.tcp_connection_errors,
            ),
            (
                "tidewatch_statsd_tcp_connections_open",
                "StatsD TCP connections open.",
                &self.tcp_open,
            ),
            (
                "tidewatch_statsd_tcp_too_long_lines_total",
                "StatsD lines over TCP discarded because of their length.",
                &self.tcp_too_long_lines,
            ),
            ("tidewatch_statsd_flushes_total", "Flushes of StatsD series written.", &self.flushes),
            (
                "tidewatch_statsd_flush_errors_total",
                "Flushes of StatsD series that failed and are retried with the next one.",
                &self.flush_errors,
            ),
            ("tidewatch_statsd_series", "StatsD series held.", &self.series),
            ("tidewatch_statsd_lines_total", "StatsD lines received.", &self.lines),
            ("tidewatch_statsd_samples_total", "StatsD samples received.", &self.samples),
            ("tidewatch_statsd_tags_total", "StatsD events with DogStatsD tags.", &self.tags),
            (
                "tidewatch_statsd_tag_errors_total",
                "DogStatsD tags left out because they have no key, no value or a reserved key.",
                &self.tag_errors,
            ),
            (
                "tidewatch_statsd_series_refused_total",
                "StatsD events refused because the series limit is reached.",
                &self.series_refused,
            ),
            (
                "tidewatch_statsd_invalid_labels_total",
                "StatsD events refused because a label limit is passed.",
                &self.invalid_labels,
            ),
            (
                "tidewatch_statsd_set_members_refused_total",
                "Set members not counted because their set is full.",
                &self.set_members_refused,
            ),
        ]
    }
}

const EVENTS: (&str, &str) = ("tidewatch_statsd_events_total", "StatsD events applied.");
const CONFLICTS: (&str, &str) = (
    "tidewatch_statsd_events_conflict_total",
    "StatsD events dropped because their name belongs to a metric of another type.",
);
const SAMPLE_ERRORS: (&str, &str) =
    ("tidewatch_statsd_sample_errors_total", "StatsD lines and samples refused.");

fn exposed(
    name: &'static str,
    help: &'static str,
    label: Option<(&'static str, &'static str)>,
    value: &AtomicU64,
) -> Exposed {
    let counter = name.ends_with("_total");
    Exposed { name, help, counter, label, value: value.load(Ordering::Relaxed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_follow_the_order_of_their_enums() {
        for (i, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, i);
        }
        for (i, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
        }
    }

    #[test]
    fn counts_appear_under_their_names() {
        let metrics = StatsdMetrics::default();
        let mut counts = Counts { lines: 3, ..Counts::default() };
        counts.event(Kind::Gauge);
        counts.refused(Reason::MalformedValue);
        metrics.add(&counts);
        metrics.add(&counts);
        let value = |name: &str, label: Option<&str>| {
            let all = metrics.expose();
            let found = all.iter().find(|e| e.name == name && e.label.map(|l| l.1) == label);
            found.expect("exposed").value
        };
        assert_eq!(value("tidewatch_statsd_lines_total", None), 6);
        assert_eq!(value("tidewatch_statsd_events_total", Some("gauge")), 2);
        assert_eq!(value("tidewatch_statsd_events_total", Some("counter")), 0);
        let reason = Some("malformed_value");
        assert_eq!(value("tidewatch_statsd_sample_errors_total", reason), 2);
    }
}
