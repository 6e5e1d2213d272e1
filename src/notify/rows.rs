//! What is kept over a restart: alerts, groups, what receivers were told, silences.
//!
//! In: the state machine's values. Out: rows as JSON, each under its own key, and back. A row that
//! cannot be read is reported and left out: one bad row must not keep all alerts from anybody.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::silence::MatcherParts;

/// Which table a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKind {
    /// [`AlertRow`], under the fingerprint.
    Alert,
    /// [`GroupRow`], under the group's number.
    Group,
    /// [`LogRow`], under the group's number and the integration.
    Log,
    /// [`SilenceRow`], under its name.
    Silence,
}

/// The name of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// Which table.
    pub kind: RowKind,
    /// Its key there.
    pub key: Vec<u8>,
}

/// Rows that changed: `None` removes.
pub type RowChanges = BTreeMap<RowKey, Option<Vec<u8>>>;

/// An alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertRow {
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    pub starts_at: i64,
    pub ends_at: i64,
    pub updated_at: i64,
    #[serde(default)]
    pub timeout: bool,
    #[serde(default)]
    pub resolved: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub generator_url: String,
}

/// A group of alerts for a receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupRow {
    pub route_id: String,
    pub receiver: String,
    pub key: String,
    pub labels: BTreeMap<String, String>,
    pub next_flush: i64,
    pub flushed: bool,
}

/// What one integration was told of a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogRow {
    /// When.
    pub told_at: Option<i64>,
    /// Which alerts fired in the last notification.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub firing: Vec<Fingerprint>,
    /// Which were resolved in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolved: Vec<Fingerprint>,
    /// Of which it was told that they fire, and not yet that they are resolved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<Fingerprint>,
    /// What deliveries left behind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Whether a delivery was under way when this was written.
    #[serde(default)]
    pub sending: bool,
}

/// A silence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SilenceRow {
    pub matchers: Vec<MatcherParts>,
    pub starts_at: i64,
    pub ends_at: i64,
    pub updated_at: i64,
    pub created_by: String,
    pub comment: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl RowKey {
    pub(super) fn alert(fingerprint: Fingerprint) -> RowKey {
        RowKey { kind: RowKind::Alert, key: fingerprint.0.to_be_bytes().to_vec() }
    }

    pub(super) fn group(id: u64) -> RowKey {
        RowKey { kind: RowKind::Group, key: id.to_be_bytes().to_vec() }
    }

    pub(super) fn log(group: u64, integration: &str) -> RowKey {
        let mut key = group.to_be_bytes().to_vec();
        key.extend_from_slice(integration.as_bytes());
        RowKey { kind: RowKind::Log, key }
    }

    pub(super) fn silence(id: &str) -> RowKey {
        RowKey { kind: RowKind::Silence, key: id.as_bytes().to_vec() }
    }

    /// The group's number of a group or log row, and what follows it.
    pub(super) fn group_number(&self) -> Option<(u64, &str)> {
        let (number, rest) = self.key.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*number), std::str::from_utf8(rest).ok()?))
    }
}

/// A row as it is stored.
pub(super) fn encoded(row: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(row).expect("BUG: rows have only texts as keys")
}
