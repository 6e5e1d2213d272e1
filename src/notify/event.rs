//! What the history tells: every transition, suppression and delivery attempt.
//!
//! In: what the state machine did. Out: events that are stored as they are and shown as JSON. Never
//! here: deciding anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::fingerprint::Fingerprint;
use crate::model::{Labels, Timestamp};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// An alert fires that did not before.
    Firing,
    /// An alert is resolved.
    Resolved,
    /// An alert of a group is kept quiet.
    Suppressed,
    /// An alert of a group is not kept quiet any more.
    Unsuppressed,
    /// A receiver was told.
    Notified,
    /// A receiver could not be told.
    NotifyFailed,
    /// An alert was resolved before anybody was told that it fires.
    NeverTold,
    /// A receiver was told that an alert fires and cannot be told that it is resolved.
    CannotTell,
    /// A silence was created.
    SilenceCreated,
    /// A silence was changed.
    SilenceUpdated,
    /// A silence was ended by somebody, or is over.
    SilenceExpired,
    /// The configuration was read again.
    Reloaded,
}

/// One line of the history. What does not apply is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, in ms since the epoch.
    pub at: i64,
    /// What.
    pub kind: EventKind,
    /// Labels of the alert, or those of the group for deliveries.
    #[serde(
        default = "Labels::empty",
        skip_serializing_if = "Labels::is_empty",
        serialize_with = "write_labels",
        deserialize_with = "read_labels"
    )]
    pub labels: Labels,
    /// The alert's short name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// The receiver.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub receiver: Box<str>,
    /// In which way it is told, such as `slack[0]`.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub integration: Box<str>,
    /// The group.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub group_key: Box<str>,
    /// Why a receiver is told; or why not.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Box<str>,
    /// What keeps an alert quiet: `silence`, `inhibition`, `mute_time_interval`,
    /// `active_time_interval`.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub suppressed_by: Box<str>,
    /// Which: names of silences or intervals, the short name of an alert.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<Box<str>>,
    /// How many alerts of a notification fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firing: Option<usize>,
    /// How many are resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<usize>,
    /// The alerts of a notification, the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Fingerprint>,
    /// Which attempt it was, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What the receiver said.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub note: Box<str>,
    /// When it is tried again, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<i64>,
    /// The silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<Box<SilenceNote>>,
}

/// What the history keeps of a silence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SilenceNote {
    /// Its name.
    pub id: Box<str>,
    /// Its matchers.
    pub matchers: Vec<String>,
    /// From when on, in ms since the epoch.
    pub starts_at: i64,
    /// Until when.
    pub ends_at: i64,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// Most alerts one event names.
pub const EVENT_ALERTS_MAX: usize = 100;

impl Event {
    /// An event without details.
    pub fn new(kind: EventKind, at: Timestamp) -> Event {
        Event {
            at: at.0,
            kind,
            labels: Labels::empty(),
            fingerprint: None,
            receiver: "".into(),
            integration: "".into(),
            group_key: "".into(),
            reason: "".into(),
            suppressed_by: "".into(),
            by: Vec::new(),
            firing: None,
            resolved: None,
            alerts: Vec::new(),
            attempt: None,
            note: "".into(),
            retry_at: None,
            silence: None,
        }
    }

    /// An event of one alert.
    pub fn of_alert(
        kind: EventKind,
        at: Timestamp,
        labels: &Labels,
        fingerprint: Fingerprint,
    ) -> Event {
        let fingerprint = Some(fingerprint);
        Event { labels: labels.clone(), fingerprint, ..Event::new(kind, at) }
    }
}

fn write_labels<S: Serializer>(labels: &Labels, out: S) -> Result<S::Ok, S::Error> {
    out.collect_map(labels.iter())
}

fn read_labels<'de, D: Deserializer<'de>>(input: D) -> Result<Labels, D::Error> {
    let map = BTreeMap::<String, String>::deserialize(input)?;
    let pairs = map.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Labels::from_pairs(pairs).map_err(serde::de::Error::custom)
}

/// Labels as a map.
pub fn label_map(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
