//! A group of alerts for one receiver, and what the receiver's integrations were told of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::alerts::AlertId;
use crate::model::{Labels, Timestamp};
use crate::notify::config::Integration;
use crate::notify::deliver::Reason;
use crate::notify::fingerprint::Fingerprint;
use crate::notify::route::Timings;
use crate::notify::rows::LogRow;

/// A group.
#[derive(Debug)]
pub(super) struct Group {
    /// The route it belongs to; `None` when there is none any more and only promises are left.
    pub route: Option<usize>,
    pub route_id: Arc<str>,
    pub receiver: Arc<str>,
    pub key: Arc<str>,
    pub labels: Labels,
    pub route_labels: Arc<BTreeMap<String, String>>,
    pub timings: Timings,
    pub members: Vec<Member>,
    pub next_flush: Timestamp,
    /// Whether it had its first turn.
    pub flushed: bool,
    pub logs: Vec<Log>,
}

/// An alert of a group.
#[derive(Debug)]
pub(super) struct Member {
    pub alert: AlertId,
    /// What kept it quiet when that was last looked at; mostly nothing.
    pub noted: Option<Box<Suppression>>,
}

/// What keeps an alert quiet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Suppression {
    Silence(Vec<Arc<str>>),
    Inhibition(Fingerprint),
    MuteInterval(Vec<Arc<str>>),
    ActiveInterval(Vec<Arc<str>>),
}

/// What one integration was told.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// `slack[0]`.
    pub name: Arc<str>,
    /// `None` when the configuration does not have it any more.
    pub integration: Option<Arc<Integration>>,
    pub told_at: Option<Timestamp>,
    /// Ascending, as all sets here.
    pub firing: Vec<Fingerprint>,
    pub resolved: Vec<Fingerprint>,
    /// Told, or perhaps told, that they fire, and not yet that they are resolved.
    pub owed: Vec<Fingerprint>,
    pub data: BTreeMap<String, String>,
    pub sending: Option<Sending>,
    /// Whether it waits for its turn in the queue of its integration.
    pub queued: bool,
    /// Whether the group had a turn while a delivery was under way.
    pub again: bool,
    pub attempts: u32,
    pub not_before: Timestamp,
}

/// A delivery that is under way.
#[derive(Debug)]
pub(super) struct Sending {
    pub number: u64,
    pub at: Timestamp,
    pub reason: Reason,
    pub firing: Vec<Fingerprint>,
    pub resolved: Vec<Fingerprint>,
    /// What was not owed before.
    pub newly_owed: Vec<Fingerprint>,
}

/// What could be told now: both ascending.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    pub firing: Vec<Fingerprint>,
    pub resolved: Vec<Fingerprint>,
    /// Whether any alert of the group still fires, quiet or not.
    pub any_fires: bool,
}

impl Log {
    pub(super) fn row(&self) -> LogRow {
        LogRow {
            told_at: self.told_at.map(|at| at.0),
            firing: self.firing.clone(),
            resolved: self.resolved.clone(),
            owed: self.owed.clone(),
            data: self.data.clone(),
            sending: self.sending.is_some(),
        }
    }

    pub(super) fn from_row(name: &str, row: LogRow) -> Log {
        Log {
            name: name.into(),
            told_at: row.told_at.map(Timestamp),
            firing: row.firing,
            resolved: row.resolved,
            owed: row.owed,
            data: row.data,
            ..Log::default()
        }
    }

    /// Why the integration has to be told, if it has (`needsUpdate` of Alertmanager). Resolved
    /// alerts in `view` are only those it is owed.
    pub(super) fn reason(&self, view: &View, now: Timestamp, repeat_ms: i64) -> Option<Reason> {
        let all_known = is_subset(&view.firing, &self.firing);
        if !all_known {
            return Some(if self.firing.is_empty() { Reason::First } else { Reason::NewAlerts });
        }
        if !view.resolved.is_empty() {
            let some = view.any_fires && !view.firing.is_empty();
            return Some(if some { Reason::SomeResolved } else { Reason::AllResolved });
        }
        let told_at = self.told_at?;
        let due = told_at.saturating_add(repeat_ms) <= now;
        (due && !view.firing.is_empty()).then_some(Reason::Repeat)
    }
}

/// Whether every element of `part` is in `whole`; both ascending.
pub(super) fn is_subset(part: &[Fingerprint], whole: &[Fingerprint]) -> bool {
    part.len() <= whole.len() && part.iter().all(|one| whole.binary_search(one).is_ok())
}

/// The elements of `all` that are not in `other`; both ascending.
pub(super) fn without(all: &[Fingerprint], other: &[Fingerprint]) -> Vec<Fingerprint> {
    all.iter().filter(|one| other.binary_search(one).is_err()).copied().collect()
}

/// The elements of either; both ascending.
pub(super) fn union(a: &[Fingerprint], b: &[Fingerprint]) -> Vec<Fingerprint> {
    let mut all = [a, b].concat();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fps(numbers: &[u64]) -> Vec<Fingerprint> {
        numbers.iter().copied().map(Fingerprint).collect()
    }

    fn view(firing: &[u64], resolved: &[u64]) -> View {
        let any_fires = !firing.is_empty();
        View { firing: fps(firing), resolved: fps(resolved), any_fires }
    }

    #[test]
    fn reasons_are_those_of_alertmanager() {
        let told = Log {
            told_at: Some(Timestamp(1000)),
            firing: fps(&[1, 2]),
            owed: fps(&[1, 2]),
            ..Log::default()
        };
        let fresh = Log::default();
        let now = Timestamp(1500);
        let reason = |log: &Log, view: View| log.reason(&view, now, 1000);
        assert_eq!(reason(&fresh, view(&[1], &[])), Some(Reason::First));
        assert_eq!(reason(&fresh, view(&[], &[])), None);
        assert_eq!(reason(&told, view(&[1, 2], &[])), None);
        assert_eq!(reason(&told, view(&[1], &[])), None);
        assert_eq!(reason(&told, view(&[1, 3], &[])), Some(Reason::NewAlerts));
        assert_eq!(reason(&told, view(&[1], &[2])), Some(Reason::SomeResolved));
        assert_eq!(reason(&told, view(&[], &[1, 2])), Some(Reason::AllResolved));
        assert_eq!(told.reason(&view(&[1], &[]), Timestamp(2000), 1000), Some(Reason::Repeat));
        assert_eq!(told.reason(&view(&[], &[]), Timestamp(9000), 1000), None);
    }
}
