//! Receivers told through a recorder and through the network.

mod again;
mod defaults;
mod mail_tls;
mod network;
mod payloads;
mod secrets;
mod steps;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::model::{Annotations, Labels, ManualClock, Timestamp};
use crate::notify::config;
use crate::notify::deliver::{NotifiedAlert, Reason};
use crate::notify::fingerprint::Fingerprint;

/// Tuesday, 14 November 2023, 22:13:20 UTC.
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn receivers() -> Receivers {
    let clock = Arc::new(ManualClock::new(NOW));
    Receivers::new(templates::defaults(), "http://am.example:9093/", clock)
}

/// An alert whose texts have to be escaped everywhere.
fn alert(instance: &str, severity: &str, is_resolved: bool) -> NotifiedAlert {
    let labels = [("alertname", "Disk<full>"), ("instance", instance), ("severity", severity)];
    let labels = Labels::from_pairs(labels).unwrap();
    let annotations: Annotations =
        [("runbook_url", "https://run/b?a=1&b=2"), ("summary", "\"/\" is\nfull, gr\u{fc}n & <b>")]
            .into_iter()
            .collect();
    let fingerprint = Fingerprint::of(&labels);
    NotifiedAlert {
        labels,
        annotations,
        starts_at: Timestamp(NOW.as_millis() - 600_123),
        resolved_at: is_resolved.then_some(Timestamp(NOW.as_millis() - 1000)),
        generator_url: "http://p:9090/graph?g0.expr=disk+%3E+0.9&g0.tab=1".into(),
        fingerprint,
    }
}

/// One notification for each integration of the one receiver of a configuration, of an alert that
/// fires and one that does not, or of two that do not.
fn notifications(receiver: &str, is_firing: bool) -> Vec<Notification> {
    let text = format!("route: {{receiver: team.x}}\nreceivers:\n- name: team.x\n{receiver}");
    let config = config::parse(Path::new("alertmanager.yml"), &text).unwrap();
    let receiver = config.receiver("team.x").unwrap();
    let alerts = vec![alert("a:9100", "critical", !is_firing), alert("b:9100", "warning", true)];
    let notification = |integration: &Arc<config::Integration>| Notification {
        receiver: Arc::clone(receiver),
        integration: Arc::clone(integration),
        group_key: "{}/{team=\"x\"}:{alertname=\"Disk<full>\"}".into(),
        group_labels: Labels::from_pairs([("alertname", "Disk<full>")]).unwrap(),
        route_labels: Arc::default(),
        alerts: alerts.clone(),
        unlisted: 0,
        reason: if is_firing { Reason::First } else { Reason::AllResolved },
        now: NOW,
        receiver_data: BTreeMap::new(),
    };
    receiver.integrations.iter().map(notification).collect()
}

fn notification(receiver: &str, is_firing: bool) -> Notification {
    notifications(receiver, is_firing).remove(0)
}

/// What a delivery sends while the receiver answers so, and how it goes.
fn told(notification: &Notification, answers: Vec<wire::Answer>) -> (Vec<Preview>, Outcome) {
    let answers = answers.into_iter().map(Ok).collect();
    let mut recorder = Recorder { sent: Vec::new(), answers };
    let outcome = match receivers().run(notification, &mut recorder).0 {
        Ok(done) => done.outcome(),
        Err(trouble) => trouble.outcome(),
    };
    (recorder.sent, outcome)
}

fn answer(status: u16, body: &str) -> wire::Answer {
    wire::Answer {
        status,
        content_type: "application/json".to_owned(),
        retry_after: None,
        body: body.to_owned(),
    }
}
