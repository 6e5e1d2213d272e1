//! Numbers about alerting under the names that Alertmanager's have, since dashboards and alerts use
//! them.

use std::time::Duration;

use md5::{Digest, Md5};

use super::config::AlertConfig;
use super::deliver::FailureKind;
use super::machine::{Counters, Machine, SUPPRESSION_NAMES};
use super::service::Notifier;
use super::silence::SilenceState;
use crate::model::Timestamp;
use crate::telemetry::{Counter, FloatCounter, Histogram, HistogramVec, MetricFamily};

/// Bounds of the time of deliveries in seconds, as Alertmanager has them.
const DELIVERY_SECONDS: &[f64] = &[1.0, 5.0, 10.0, 15.0, 20.0];
/// Most kinds of integrations; there are fewer.
const INTEGRATION_KINDS_MAX: usize = 64;

/// How long things take, which the state machine does not know.
#[derive(Debug)]
pub struct NotifyTimes {
    /// By kind of integration.
    deliveries: HistogramVec<1>,
    received: Counter,
    receive_seconds: FloatCounter,
}

impl Default for NotifyTimes {
    fn default() -> NotifyTimes {
        let make = || Histogram::new(DELIVERY_SECONDS);
        NotifyTimes {
            deliveries: HistogramVec::new(["integration"], INTEGRATION_KINDS_MAX, make),
            received: Counter::new(),
            receive_seconds: FloatCounter::new(),
        }
    }
}

impl NotifyTimes {
    /// Notes one attempt to deliver, whether it succeeded or not.
    pub(super) fn delivered(&self, kind: &str, took: Duration) {
        self.deliveries.with([kind]).observe_duration(took);
    }

    /// Notes that `count` alerts were put into their groups.
    pub(super) fn received(&self, count: usize, took: Duration) {
        self.received.add(count as u64);
        self.receive_seconds.add(took.as_secs_f64());
    }

    fn families(&self, config: &AlertConfig) -> [MetricFamily; 2] {
        // A line for each kind in the configuration, also before its first delivery.
        let configured = config.receivers.iter().flat_map(|receiver| &receiver.integrations);
        configured.for_each(|integration| drop(self.deliveries.with([integration.kind()])));
        [
            self.deliveries.family(
                "alertmanager_notification_latency_seconds",
                "The latency of notifications in seconds.",
            ),
            MetricFamily::summary(
                "alertmanager_dispatcher_alert_processing_duration_seconds",
                "Summary of latencies for the processing of alerts.",
            )
            .with_sum_and_count(&[], self.receive_seconds.get(), self.received.get()),
        ]
    }
}

/// What is shown of alerting now.
pub fn families(notifier: &Notifier) -> Vec<MetricFamily> {
    notifier.ask(|machine, now| {
        let mut all = state(machine, now);
        all.extend(received(machine.counters()));
        all.extend(integrations(machine.counters(), machine.config()));
        all.extend(notifier.times().families(machine.config()));
        all.push(config_hash(machine.config()));
        all
    })
}

/// Servers with the same configuration show the same number.
fn config_hash(config: &AlertConfig) -> MetricFamily {
    let digest = Md5::digest(config.yaml.as_bytes());
    let start = digest.iter().take(6); // 48 bits: a float holds them exactly
    let number = start.fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    MetricFamily::gauge(
        "alertmanager_config_hash",
        "Hash of the currently loaded alertmanager configuration, its secrets masked.",
    )
    .value(number as f64)
}

fn state(machine: &Machine, now: Timestamp) -> Vec<MetricFamily> {
    let (active, quiet) = machine.alert_counts();
    let mut silences = [0usize; 3];
    for silence in machine.silences().iter() {
        silences[silence.state(now) as usize] += 1;
    }
    let gauge = |name, help| MetricFamily::gauge(name, help);
    let state =
        |family: MetricFamily, name: &str, n: usize| family.with(&[("state", name)], n as f64);
    let mut of_silences = gauge("alertmanager_silences", "How many silences by state.");
    for name in [SilenceState::Active, SilenceState::Expired, SilenceState::Pending] {
        of_silences = state(of_silences, name.as_str(), silences[name as usize]);
    }
    let (waiting, under_way) = machine.queue_lengths();
    let alerts = gauge("alertmanager_alerts", "How many alerts by state.");
    let alerts = state(state(alerts, "active", active), "suppressed", quiet);
    vec![
        gauge("alertmanager_build_info", "A metric with a constant '1' value labeled by version.")
            .with(&[("version", env!("CARGO_PKG_VERSION"))], 1.0),
        alerts,
        of_silences,
        gauge("alertmanager_dispatcher_aggregation_groups", "Number of active aggregation groups.")
            .value(machine.group_count() as f64),
        gauge("tidewatch_notify_queued", "Notifications that wait for their integration.")
            .value(waiting as f64),
        gauge("tidewatch_notify_in_flight", "Deliveries under way.").value(under_way as f64),
    ]
}

fn received(counters: &Counters) -> Vec<MetricFamily> {
    let received = MetricFamily::counter(
        "alertmanager_alerts_received_total",
        "The total number of received alerts.",
    )
    .with(&[("status", "firing"), ("version", "v2")], counters.received[0] as f64)
    .with(&[("status", "resolved"), ("version", "v2")], counters.received[1] as f64);
    let mut suppressed = MetricFamily::counter(
        "alertmanager_notifications_suppressed_total",
        "The total number of notifications suppressed by reason.",
    );
    for (name, count) in SUPPRESSION_NAMES.iter().zip(counters.suppressed) {
        suppressed = suppressed.with(&[("reason", name)], count as f64);
    }
    let refused = MetricFamily::counter(
        "alertmanager_alerts_invalid_total",
        "The total number of received alerts that were not taken.",
    );
    vec![received, suppressed, refused.value(counters.refused as f64)]
}

/// A line for each kind of integration in the configuration, also before its first notification.
fn integrations(counters: &Counters, config: &AlertConfig) -> Vec<MetricFamily> {
    let counter = |name, help| MetricFamily::counter(name, help);
    let mut sent =
        counter("alertmanager_notifications_total", "The total number of notifications.");
    let mut failed = counter(
        "alertmanager_notifications_failed_total",
        "The total number of failed notifications.",
    );
    let mut requests = counter(
        "alertmanager_notification_requests_total",
        "The total number of notification requests.",
    );
    let mut requests_failed = counter(
        "alertmanager_notification_requests_failed_total",
        "The total number of failed notification requests.",
    );
    let configured = config.receivers.iter().flat_map(|receiver| &receiver.integrations);
    let mut kinds: Vec<&'static str> = configured.map(|integration| integration.kind()).collect();
    kinds.extend(counters.integrations.keys());
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let numbers = counters.integrations.get(kind).cloned().unwrap_or_default();
        let label = [("integration", kind)];
        sent = sent.with(&label, numbers.notifications as f64);
        requests = requests.with(&label, numbers.requests as f64);
        requests_failed = requests_failed.with(&label, numbers.requests_failed as f64);
        for (reason, count) in FailureKind::ALL.iter().zip(numbers.failed) {
            let labels = [("integration", kind), ("reason", reason.as_str())];
            failed = failed.with(&labels, count as f64);
        }
    }
    vec![sent, failed, requests, requests_failed]
}
