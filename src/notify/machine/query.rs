//! Questions about the present: alerts, groups, silences.
//!
//! Answers are copies that share texts, so that they can be written out while the machine goes on.

use std::sync::Arc;

use super::Machine;
use super::alerts::{AlertId, Entry};
use super::group::Suppression;
use crate::model::{Annotations, Labels, Timestamp};
use crate::notify::config::Receiver;
use crate::notify::fingerprint::Fingerprint;
use crate::notify::silence::{Silence, Silences};

/// An alert as it is now.
#[derive(Clone, Debug)]
pub struct AlertView {
    /// What identifies it.
    pub labels: Labels,
    /// What describes it.
    pub annotations: Annotations,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// When it counts as resolved unless it is reported again.
    pub ends_at: Timestamp,
    /// When it was last reported.
    pub updated_at: Timestamp,
    /// Where its rule can be seen; may be empty.
    pub generator_url: Arc<str>,
    /// Its short name.
    pub fingerprint: Fingerprint,
    /// Names of the receivers it goes to.
    pub receivers: Vec<Arc<str>>,
    /// Silences that keep it quiet.
    pub silenced_by: Vec<Arc<str>>,
    /// The alert that keeps it quiet.
    pub inhibited_by: Option<Fingerprint>,
    /// Time intervals that keep it quiet; only known within a group.
    pub muted_by: Vec<Arc<str>>,
}

/// A group as it is now.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// The labels its alerts share.
    pub labels: Labels,
    /// Labels of its route; values are templates.
    pub route_labels: Arc<std::collections::BTreeMap<String, String>>,
    /// Name of its receiver.
    pub receiver: Arc<str>,
    /// Its name.
    pub key: Arc<str>,
    /// Its alerts that fire.
    pub alerts: Vec<AlertView>,
}

/// Whose names are wanted: alerts of these receivers only.
pub type ReceiverFilter<'a> = dyn Fn(&Receiver) -> bool + 'a;

impl Machine {
    /// The alerts that fire and that `wanted` takes, of the receivers that `receivers` takes, by
    /// fingerprint.
    pub fn alerts(
        &self,
        now: Timestamp,
        receivers: &ReceiverFilter<'_>,
        wanted: impl Fn(&AlertView) -> bool,
        labels_wanted: impl Fn(&Labels) -> bool,
    ) -> Vec<AlertView> {
        let routes = self.wanted_routes(receivers);
        let mut found: Vec<AlertView> = self
            .alerts
            .iter()
            .filter(|(_, entry)| entry.ends_at > now && labels_wanted(&entry.labels))
            .filter(|(_, entry)| entry.routes.iter().any(|at| routes[*at]))
            .map(|(id, entry)| self.alert_view(id, entry))
            .filter(|view| wanted(view))
            .collect();
        found.sort_by_key(|view| view.fingerprint);
        found
    }

    /// For each route, whether its receiver is wanted.
    fn wanted_routes(&self, wanted: &ReceiverFilter<'_>) -> Vec<bool> {
        let of = |name: &str| self.config.receiver(name).is_some_and(|receiver| wanted(receiver));
        self.routes.nodes().iter().map(|node| of(&node.receiver)).collect()
    }

    fn alert_view(&self, id: AlertId, entry: &Entry) -> AlertView {
        let mut receivers: Vec<Arc<str>> = Vec::new();
        for at in entry.routes.iter() {
            let receiver = &self.routes.node(*at).receiver;
            if !receivers.contains(receiver) {
                receivers.push(Arc::clone(receiver));
            }
        }
        let inhibitor = self.inhibitor_of(id, entry).and_then(|id| self.alerts.get(id));
        AlertView {
            labels: entry.labels.clone(),
            annotations: entry.annotations.clone(),
            starts_at: entry.starts_at,
            ends_at: entry.ends_at,
            updated_at: entry.updated_at,
            generator_url: Arc::clone(&entry.generator_url),
            fingerprint: entry.fingerprint,
            receivers,
            silenced_by: entry.silenced_by.clone(),
            inhibited_by: inhibitor.map(|entry| entry.fingerprint),
            muted_by: Vec::new(),
        }
    }

    /// The groups with alerts that fire and that `wanted` takes, by labels and receiver.
    pub fn groups(
        &self,
        now: Timestamp,
        receivers: &ReceiverFilter<'_>,
        wanted: impl Fn(&AlertView) -> bool,
        labels_wanted: impl Fn(&Labels) -> bool,
    ) -> Vec<GroupView> {
        let routes = self.wanted_routes(receivers);
        let mut found = Vec::new();
        for group in self.groups.values() {
            let Some(route) = group.route.filter(|route| routes[*route]) else { continue };
            let muted_by = match &self.muted[route] {
                Some(Suppression::MuteInterval(names) | Suppression::ActiveInterval(names)) => {
                    names.clone()
                }
                _ => Vec::new(),
            };
            let members = group.members.iter().filter_map(|member| {
                let entry = self.alerts.get(member.alert)?;
                let shown = entry.ends_at > now && labels_wanted(&entry.labels);
                let view = shown.then(|| self.alert_view(member.alert, entry))?;
                let view = AlertView { muted_by: muted_by.clone(), ..view };
                wanted(&view).then_some(view)
            });
            let mut alerts: Vec<AlertView> = members.collect();
            if alerts.is_empty() {
                continue;
            }
            alerts.sort_by_key(|view| view.fingerprint);
            found.push(GroupView {
                labels: group.labels.clone(),
                route_labels: Arc::clone(&group.route_labels),
                receiver: Arc::clone(&group.receiver),
                key: Arc::clone(&group.key),
                alerts,
            });
        }
        found.sort_by(|a, b| (&a.labels, &a.receiver).cmp(&(&b.labels, &b.receiver)));
        found
    }

    /// All silences.
    pub fn silences(&self) -> &Silences {
        &self.silences
    }

    /// The silence of that name.
    pub fn silence(&self, id: &str) -> Option<&Silence> {
        self.silences.get(id)
    }

    /// How many alerts fire that are active, and that are kept quiet.
    pub fn alert_counts(&self) -> (usize, usize) {
        let (mut active, mut quiet) = (0, 0);
        for (id, entry) in self.alerts.iter().filter(|(_, entry)| !entry.resolved) {
            let is_quiet = !entry.silenced_by.is_empty() || self.inhibitor_of(id, entry).is_some();
            *(if is_quiet { &mut quiet } else { &mut active }) += 1;
        }
        (active, quiet)
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// How many alerts are known.
    pub fn alert_count(&self) -> usize {
        self.alerts.len()
    }
}
