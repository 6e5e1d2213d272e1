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
    /// Samples no mapping rule matched.
    pub unmapped: u64,
    /// Samples thrown away by a mapping rule.
    pub dropped: u64,
    /// Observations that the quantiles took no notice of because they are full.
    pub unsketched: u64,
    /// Past values of gauges that found no room.
    pub past_refused: u64,
    /// Samples left out because another form of the same metric is kept.
    pub duplicates: u64,
    /// DogStatsD events.
    pub notices: u64,
    /// DogStatsD service checks.
    pub checks: u64,
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

/// One of the receiver's counters or gauges without labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// StatsD datagrams received over UDP.
    UdpPackets,
    /// StatsD datagrams dropped because the receiver's queue was full.
    UdpPacketDrops,
    /// StatsD datagrams the kernel dropped because the socket buffer was full.
    UdpKernelDrops,
    /// StatsD datagrams received over Unix sockets.
    UnixgramPackets,
    /// StatsD datagrams over Unix sockets dropped because the queue was full.
    UnixgramPacketDrops,
    /// StatsD TCP connections accepted.
    TcpConnections,
    /// StatsD TCP connections that failed or were refused.
    TcpConnectionErrors,
    /// StatsD TCP connections open.
    TcpOpen,
    /// StatsD lines over TCP discarded because of their length.
    TcpTooLongLines,
    /// StatsD Unix stream connections accepted.
    UnixConnections,
    /// StatsD Unix stream connections that failed or were refused.
    UnixConnectionErrors,
    /// StatsD Unix stream connections open.
    UnixOpen,
    /// StatsD lines over Unix streams discarded because of their length.
    UnixTooLongLines,
    /// Flushes of StatsD series written.
    Flushes,
    /// Flushes of StatsD series that failed; counts go out with the next one.
    FlushErrors,
    /// StatsD series held.
    Series,
    /// Stored series that StatsD series stand for.
    StoredSeries,
    /// StatsD lines received.
    Lines,
    /// StatsD samples received.
    Samples,
    /// StatsD samples with DogStatsD tags.
    Tags,
    /// Tags left out because they have no key, no value or a reserved key.
    TagErrors,
    /// StatsD samples refused because the series limit is reached.
    SeriesRefused,
    /// StatsD samples refused because a label limit is passed.
    InvalidLabels,
    /// Set members not counted because sets are full.
    SetMembersRefused,
    /// StatsD samples no mapping rule matched.
    Unmapped,
    /// StatsD samples thrown away by a mapping rule.
    Dropped,
    /// StatsD samples left out because another form of the metric is kept.
    Duplicates,
    /// Observations only sum and count took in, quantiles being full.
    Unsketched,
    /// Past values of gauges that found no room before the flush.
    PastRefused,
    /// DogStatsD events received.
    Notices,
    /// DogStatsD service checks received.
    Checks,
    /// Mapping rules loaded.
    Mappings,
    /// Times the StatsD rules were loaded again.
    Reloads,
    /// StatsD lines handed on to the relay target.
    RelayLines,
    /// Datagrams sent to the relay target.
    RelayPackets,
    /// StatsD lines too long for a relay datagram, not handed on.
    RelayLongLines,
    /// Relay datagrams that could not be sent.
    RelayDrops,
}

/// Names and help texts in the order of [`Meter`].
const METERS: [(Meter, &str, &str); 37] = [
    (
        Meter::UdpPackets,
        "tidewatch_statsd_udp_packets_total",
        "StatsD datagrams received over UDP.",
    ),
    (
        Meter::UdpPacketDrops,
        "tidewatch_statsd_udp_packet_drops_total",
        "StatsD datagrams dropped because the receiver's queue was full.",
    ),
    (
        Meter::UdpKernelDrops,
        "tidewatch_statsd_udp_kernel_drops_total",
        "StatsD datagrams the kernel dropped because the socket buffer was full.",
    ),
    (
        Meter::UnixgramPackets,
        "tidewatch_statsd_unixgram_packets_total",
        "StatsD datagrams received over Unix sockets.",
    ),
    (
        Meter::UnixgramPacketDrops,
        "tidewatch_statsd_unixgram_packet_drops_total",
        "StatsD datagrams over Unix sockets dropped because the queue was full.",
    ),
    (
        Meter::TcpConnections,
        "tidewatch_statsd_tcp_connections_total",
        "StatsD TCP connections accepted.",
    ),
    (
        Meter::TcpConnectionErrors,
        "tidewatch_statsd_tcp_connection_errors_total",
        "StatsD TCP connections that failed or were refused.",
    ),
    (Meter::TcpOpen, "tidewatch_statsd_tcp_connections_open", "StatsD TCP connections open."),
    (
        Meter::TcpTooLongLines,
        "tidewatch_statsd_tcp_too_long_lines_total",
        "StatsD lines over TCP discarded because of their length.",
    ),
    (
        Meter::UnixConnections,
        "tidewatch_statsd_unix_connections_total",
        "StatsD Unix stream connections accepted.",
    ),
    (
        Meter::UnixConnectionErrors,
        "tidewatch_statsd_unix_connection_errors_total",
        "StatsD Unix stream connections that failed or were refused.",
    ),
    (
        Meter::UnixOpen,
        "tidewatch_statsd_unix_connections_open",
        "StatsD Unix stream connections open.",
    ),
    (
        Meter::UnixTooLongLines,
        "tidewatch_statsd_unix_too_long_lines_total",
        "StatsD lines over Unix streams discarded because of their length.",
    ),
    (Meter::Flushes, "tidewatch_statsd_flushes_total", "Flushes of StatsD series written."),
    (
        Meter::FlushErrors,
        "tidewatch_statsd_flush_errors_total",
        "Flushes of StatsD series that failed; counts go out with the next one.",
    ),
    (Meter::Series, "tidewatch_statsd_series", "StatsD series held."),
    (
        Meter::StoredSeries,
        "tidewatch_statsd_stored_series",
        "Stored series that StatsD series stand for.",
    ),
    (Meter::Lines, "tidewatch_statsd_lines_total", "StatsD lines received."),
    (Meter::Samples, "tidewatch_statsd_samples_total", "StatsD samples received."),
    (Meter::Tags, "tidewatch_statsd_tags_total", "StatsD samples with DogStatsD tags."),
    (
        Meter::TagErrors,
        "tidewatch_statsd_tag_errors_total",
        "Tags left out because they have no key, no value or a reserved key.",
    ),
    (
        Meter::SeriesRefused,
        "tidewatch_statsd_series_refused_total",
        "StatsD samples refused because the series limit is reached.",
    ),
    (
        Meter::InvalidLabels,
        "tidewatch_statsd_invalid_labels_total",
        "StatsD samples refused because a label limit is passed.",
    ),
    (
        Meter::SetMembersRefused,
        "tidewatch_statsd_set_members_refused_total",
        "Set members not counted because sets are full.",
    ),
    (
        Meter::Unmapped,
        "tidewatch_statsd_events_unmapped_total",
        "StatsD samples no mapping rule matched.",
    ),
    (
        Meter::Dropped,
        "tidewatch_statsd_events_dropped_total",
        "StatsD samples thrown away by a mapping rule.",
    ),
    (
        Meter::Duplicates,
        "tidewatch_statsd_duplicates_total",
        "StatsD samples left out because another form of the metric is kept.",
    ),
    (
        Meter::Unsketched,
        "tidewatch_statsd_observations_unsketched_total",
        "Observations only sum and count took in, quantiles being full.",
    ),
    (
        Meter::PastRefused,
        "tidewatch_statsd_past_values_refused_total",
        "Past values of gauges that found no room before the flush.",
    ),
    (Meter::Notices, "tidewatch_statsd_dogstatsd_events_total", "DogStatsD events received."),
    (Meter::Checks, "tidewatch_statsd_service_checks_total", "DogStatsD service checks received."),
    (Meter::Mappings, "tidewatch_statsd_loaded_mappings", "Mapping rules loaded."),
    (
        Meter::Reloads,
        "tidewatch_statsd_config_reloads_total",
        "Times the StatsD rules were loaded again.",
    ),
    (
        Meter::RelayLines,
        "tidewatch_statsd_relay_lines_relayed_total",
        "StatsD lines handed on to the relay target.",
    ),
    (
        Meter::RelayPackets,
        "tidewatch_statsd_relay_packets_total",
        "Datagrams sent to the relay target.",
    ),
    (
        Meter::RelayLongLines,
        "tidewatch_statsd_relay_long_lines_total",
        "StatsD lines too long for a relay datagram, not handed on.",
    ),
    (
        Meter::RelayDrops,
        "tidewatch_statsd_relay_drops_total",
        "Relay datagrams that could not be sent.",
    ),
];

/// Counters and gauges of the StatsD receiver. Those named `_total` only grow; the kernel's drops are
/// the kernel's figure.
#[derive(Debug)]
pub struct StatsdMetrics {
    meters: [AtomicU64; METERS.len()],
    events: [AtomicU64; Kind::ALL.len()],
    conflicts: [AtomicU64; Kind::ALL.len()],
    sample_errors: [AtomicU64; Reason::ALL.len()],
}

impl Default for StatsdMetrics {
    fn default() -> StatsdMetrics {
        StatsdMetrics {
            meters: [const { AtomicU64::new(0) }; METERS.len()],
            events: Default::default(),
            conflicts: Default::default(),
            sample_errors: Default::default(),
        }
    }
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
    /// Adds to a counter or gauge.
    pub fn count(&self, meter: Meter, by: u64) {
        if by > 0 {
            self.meters[meter as usize].fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Sets a gauge.
    pub fn set(&self, meter: Meter, value: u64) {
        self.meters[meter as usize].store(value, Ordering::Relaxed);
    }

    /// Takes one off a gauge.
    pub fn lower(&self, meter: Meter) {
        self.meters[meter as usize].fetch_sub(1, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self, meter: Meter) -> u64 {
        self.meters[meter as usize].load(Ordering::Relaxed)
    }

    /// Adds the counts of one batch.
    pub fn add(&self, counts: &Counts) {
        for (meter, count) in [
            (Meter::Lines, counts.lines),
            (Meter::Samples, counts.samples),
            (Meter::Tags, counts.tags),
            (Meter::TagErrors, counts.tag_errors),
            (Meter::SeriesRefused, counts.series_refused),
            (Meter::InvalidLabels, counts.invalid_labels),
            (Meter::SetMembersRefused, counts.set_members_refused),
            (Meter::Unmapped, counts.unmapped),
            (Meter::Dropped, counts.dropped),
            (Meter::Duplicates, counts.duplicates),
            (Meter::Unsketched, counts.unsketched),
            (Meter::PastRefused, counts.past_refused),
            (Meter::Notices, counts.notices),
            (Meter::Checks, counts.checks),
        ] {
            self.count(meter, count);
        }
        let tables = self.events.iter().zip(counts.events);
        let tables = tables.chain(self.conflicts.iter().zip(counts.conflicts));
        let tables = tables.chain(self.sample_errors.iter().zip(counts.sample_errors));
        for (total, count) in tables.filter(|(_, count)| *count > 0) {
            total.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Lines and samples refused for `reason`.
    pub fn refused_for(&self, reason: Reason) -> u64 {
        self.sample_errors[reason as usize].load(Ordering::Relaxed)
    }

    /// Every value, metric by metric.
    pub fn expose(&self) -> Vec<Exposed> {
        let mut out: Vec<Exposed> = METERS
            .iter()
            .map(|(meter, name, help)| exposed((name, help), None, self.get(*meter)))
            .collect();
        for (metric, values) in [(EVENTS, &self.events), (CONFLICTS, &self.conflicts)] {
            out.extend(Kind::ALL.map(|kind| {
                let value = values[kind as usize].load(Ordering::Relaxed);
                exposed(metric, Some(("type", kind.as_str())), value)
            }));
        }
        out.extend(Reason::ALL.map(|reason| {
            exposed(SAMPLE_ERRORS, Some(("reason", reason.as_str())), self.refused_for(reason))
        }));
        out
    }
}

const EVENTS: (&str, &str) = ("tidewatch_statsd_events_total", "StatsD samples applied.");
const CONFLICTS: (&str, &str) = (
    "tidewatch_statsd_events_conflict_total",
    "StatsD samples dropped because their name belongs to a metric of another type.",
);
const SAMPLE_ERRORS: (&str, &str) =
    ("tidewatch_statsd_sample_errors_total", "StatsD lines and samples refused.");

fn exposed(
    (name, help): (&'static str, &'static str),
    label: Option<(&'static str, &'static str)>,
    value: u64,
) -> Exposed {
    Exposed { name, help, counter: name.ends_with("_total"), label, value }
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
        for (i, (meter, name, _)) in METERS.into_iter().enumerate() {
            assert_eq!(meter as usize, i);
            assert!(METERS[..i].iter().all(|(_, other, _)| *other != name), "{name} twice");
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
