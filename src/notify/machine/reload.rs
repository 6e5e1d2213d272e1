//! From one configuration to another, and from rows back to life.
//!
//! Groups whose route, receiver and labels stay keep their timers and what was told. Groups that
//! have no route any more stay as long as somebody was told that an alert fires: they are told when
//! it is resolved. What was known when the process ended comes back the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::alerts::Entry;
use super::group::{Group, Log, Member};
use super::{Dirty, Incoming, Machine};
use crate::model::{Alert, Labels, Timestamp};
use crate::notify::config::AlertConfig;
use crate::notify::event::{Event, EventKind, label_map};
use crate::notify::fingerprint::Fingerprint;
use crate::notify::inhibit::Inhibitor;
use crate::notify::route::{RouteTree, Timings};
use crate::notify::rows::{AlertRow, GroupRow, LogRow, RowKey, RowKind, SilenceRow};

/// Least time an alert that fired keeps firing after a start, in ms: by then the rules are read.
const START_MS: i64 = 60_000;

impl Machine {
    /// Goes on with another configuration.
    pub fn reload(&mut self, config: Arc<AlertConfig>, now: Timestamp) {
        self.move_clock(now);
        self.routes = RouteTree::new(&config.route);
        self.inhibitor = Inhibitor::new(&config.inhibit_rules);
        self.config = config;
        self.muted = vec![None; self.routes.nodes().len()];
        self.muted_minute = i64::MIN;
        self.refresh_muted();
        self.backlog.push(Event::new(EventKind::Reloaded, now));
        self.route_everything();
    }

    /// A machine that knows what these rows hold. Sentences about rows that cannot be read are
    /// returned with it.
    pub fn restore(
        config: Arc<AlertConfig>,
        id_seed: u64,
        now: Timestamp,
        rows: impl IntoIterator<Item = (RowKey, Vec<u8>)>,
    ) -> (Machine, Vec<String>) {
        let mut machine = Machine::new(config, id_seed, now);
        let mut faults = Vec::new();
        let mut logs = Vec::new();
        for (key, row) in rows {
            let read = match key.kind {
                RowKind::Alert => read(&row).and_then(|row| machine.restore_alert(row)),
                RowKind::Group => read(&row).and_then(|row| machine.restore_group(&key, row)),
                RowKind::Silence => read(&row).and_then(|row| machine.restore_silence(&key, row)),
                RowKind::Log => {
                    logs.push((key, row));
                    Ok(())
                }
            };
            faults.extend(read.err());
        }
        // Groups of which it is not known whether a message arrived.
        let mut open = BTreeSet::new();
        for (key, row) in logs {
            let read = read(&row).and_then(|row: LogRow| {
                open.extend(key.group_number().filter(|_| row.sending).map(|(id, _)| id));
                machine.restore_log(&key, row)
            });
            faults.extend(read.err());
        }
        machine.rebuild_silences();
        machine.route_everything();
        machine.space_turns(&open);
        (machine, faults)
    }

    /// Groups that had their first turn have one at once: when the last one was is not stored. But
    /// who was told something last less than an interval ago is left alone until it is over.
    fn space_turns(&mut self, open: &BTreeSet<u64>) {
        let now = self.now;
        let closed = |(id, group): &(&u64, &mut Group)| group.flushed && !open.contains(id);
        for (id, group) in self.groups.iter_mut().filter(closed) {
            let told_at = group.logs.iter().filter_map(|log| log.told_at).max();
            let Some(told_at) = told_at else { continue };
            let next = told_at.saturating_add(group.timings.interval_ms);
            let next = next.min(now.saturating_add(group.timings.interval_ms));
            if next > group.next_flush {
                self.timers.remove(&(group.next_flush, *id));
                group.next_flush = next;
                self.timers.insert((next, *id));
            }
        }
    }

    fn restore_alert(&mut self, row: AlertRow) -> Result<(), String> {
        let pairs = row.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels = Labels::from_pairs(pairs).map_err(|error| error.to_string())?;
        // Nobody could report it while we were away: it gets the time of one that was just reported,
        // and at least until the rules say when they are evaluated ([`Machine::hold`]).
        let resolve_ms = self.resolve_timeout_ms().max(START_MS);
        let ends_at = match row.resolved {
            true => Timestamp(row.ends_at),
            false => Timestamp(row.ends_at).max(self.now.saturating_add(resolve_ms)),
        };
        let alert = Alert {
            labels,
            annotations: row.annotations.into_iter().collect(),
            starts_at: Timestamp(row.starts_at),
            ends_at,
            generator_url: row.generator_url.into(),
        };
        let incoming = Incoming { alert, timeout: row.timeout, is_repeated: false };
        self.put_back(incoming, row.resolved, Timestamp(row.updated_at), Timestamp(row.ends_at));
        Ok(())
    }

    /// As an alert that is received, but into no group and without a line in the history.
    fn put_back(
        &mut self,
        incoming: Incoming,
        resolved: bool,
        updated_at: Timestamp,
        stored_ends_at: Timestamp,
    ) {
        let alert = incoming.alert;
        if !resolved {
            self.next_end = self.next_end.min(alert.ends_at);
        }
        self.alerts.insert(Entry {
            fingerprint: Fingerprint::of(&alert.labels),
            routes: Arc::from([].as_slice()),
            silenced_by: Vec::new(),
            sides: Default::default(),
            labels: alert.labels,
            annotations: alert.annotations,
            generator_url: alert.generator_url,
            starts_at: alert.starts_at,
            ends_at: alert.ends_at,
            updated_at,
            timeout: incoming.timeout,
            resolved,
            stored_ends_at,
            groups: Vec::new(),
        });
    }

    fn restore_group(&mut self, key: &RowKey, row: GroupRow) -> Result<(), String> {
        let (id, _) = key.group_number().ok_or("a group's key is malformed")?;
        let pairs = row.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let root = self.routes.node(0);
        let group = Group {
            route: None,
            route_id: row.route_id.into(),
            receiver: row.receiver.into(),
            key: row.key.into(),
            labels: Labels::from_pairs(pairs).map_err(|error| error.to_string())?,
            route_labels: Arc::default(),
            timings: Timings { ..root.timings },
            members: Vec::new(),
            next_flush: Timestamp(row.next_flush),
            flushed: row.flushed,
            logs: Vec::new(),
        };
        self.next_group = self.next_group.max(id + 1);
        self.by_key.insert(group.name(), id);
        self.timers.insert((group.next_flush, id));
        self.groups.insert(id, group);
        Ok(())
    }

    fn restore_log(&mut self, key: &RowKey, row: LogRow) -> Result<(), String> {
        let (id, name) = key.group_number().ok_or("a log's key is malformed")?;
        let (group, now) = (self.groups.get_mut(&id), self.now);
        let Some(group) = group else {
            // Left over from a crash between the removals of a group and of its logs.
            self.dirty.insert(Dirty::Log(id, name.into()));
            return Ok(());
        };
        if row.sending {
            // Whether it arrived is not known; the group has its turn at once.
            self.timers.remove(&(group.next_flush, id));
            group.next_flush = group.next_flush.min(now);
            self.timers.insert((group.next_flush, id));
        }
        group.logs.push(Log { not_before: Timestamp::MIN, ..Log::from_row(name, row) });
        Ok(())
    }

    fn restore_silence(&mut self, key: &RowKey, row: SilenceRow) -> Result<(), String> {
        let id = std::str::from_utf8(&key.key).map_err(|_| "a silence's name is no text")?;
        self.silences.restore(super::silences::from_row(id, row)?);
        Ok(())
    }

    fn resolve_timeout_ms(&self) -> i64 {
        i64::try_from(self.config.resolve_timeout.as_millis()).unwrap_or(i64::MAX)
    }

    /// Puts every alert where it belongs under the configuration in force.
    fn route_everything(&mut self) {
        self.route_sets.clear();
        self.detach_groups();
        let ids: Vec<u32> = self.alerts.iter().map(|(id, _)| id).collect();
        for id in &ids {
            let labels = self.alerts.get(*id).expect("BUG: just listed").labels.clone();
            let (routes, sides) = (self.routes_of(&labels), self.inhibitor.sides(&labels));
            self.inhibitor.add(*id, &sides);
            let silenced_by = self.silence_index.matching(&labels);
            let entry = self.alerts.get_mut(*id).expect("BUG: just listed");
            (entry.routes, entry.sides, entry.silenced_by) = (routes, sides, silenced_by);
            entry.groups.clear();
        }
        self.attach_promises();
        self.adopt_groups();
        for id in &ids {
            if self.alerts.get(*id).is_some_and(|entry| !entry.resolved) {
                self.group(*id);
            }
        }
        let groups: Vec<u64> = self.groups.keys().copied().collect();
        groups.into_iter().for_each(|id| self.settle(id));
        for id in ids {
            let entry = self.alerts.get(id);
            if entry.is_some_and(|entry| entry.resolved && entry.groups.is_empty()) {
                self.forget(id);
            }
        }
    }

    fn detach_groups(&mut self) {
        for group in self.groups.values_mut() {
            group.route = None;
            group.members.clear();
        }
    }

    /// Alerts stay members of groups whose receivers were told of them.
    fn attach_promises(&mut self) {
        for (id, group) in &mut self.groups {
            let mut owed: Vec<Fingerprint> =
                group.logs.iter().flat_map(|log| log.owed.iter().copied()).collect();
            owed.sort_unstable();
            owed.dedup();
            for fingerprint in owed {
                let Some(alert) = self.alerts.find(fingerprint) else { continue };
                group.members.push(Member { alert, noted: None });
                self.alerts.get_mut(alert).expect("BUG: just found").groups.push(*id);
            }
        }
    }

    /// Gives groups the route they had, if it is still there, and the integrations of their receiver.
    fn adopt_groups(&mut self) {
        let routes: BTreeMap<(Arc<str>, Arc<str>), usize> = self
            .routes
            .nodes()
            .iter()
            .enumerate()
            .map(|(at, node)| ((Arc::clone(&node.id), Arc::clone(&node.receiver)), at))
            .collect();
        let ids: Vec<u64> = self.groups.keys().copied().collect();
        for id in ids {
            let mut group = self.groups.remove(&id).expect("BUG: just listed");
            let route = (Arc::clone(&group.route_id), Arc::clone(&group.receiver));
            // The grouping may have changed: then no alert forms this group any more.
            let at = routes.get(&route).copied().filter(|at| self.still_forms(&group, *at));
            if let Some(at) = at {
                let node = self.routes.node(at);
                group.route = Some(at);
                group.timings = node.timings;
                group.route_labels = Arc::clone(&node.labels);
                let latest = self.now.saturating_add(match group.flushed {
                    true => node.timings.interval_ms,
                    false => node.timings.wait_ms,
                });
                if group.next_flush > latest {
                    self.timers.remove(&(group.next_flush, id));
                    group.next_flush = latest;
                    self.timers.insert((latest, id));
                }
            }
            self.renew_logs(id, &mut group);
            self.groups.insert(id, group);
        }
    }

    /// Whether the labels of a group are still those by which its route groups.
    fn still_forms(&self, group: &Group, at: usize) -> bool {
        use crate::notify::config::GroupBy;
        let node = self.routes.node(at);
        match &node.group_by {
            GroupBy::All => true,
            GroupBy::Labels(_) => node.group_labels(&group.labels) == group.labels,
        }
    }

    /// Gives the logs the integrations their receiver has now. Who has none any more cannot be told
    /// anything.
    fn renew_logs(&mut self, id: u64, group: &mut Group) {
        let mut logs = self.fresh_logs(&group.receiver);
        for old in std::mem::take(&mut group.logs) {
            match logs.iter_mut().find(|log| log.name == old.name) {
                Some(log) => *log = Log { integration: log.integration.clone(), ..old },
                None if old.sending.is_some() => {
                    // The outcome is still awaited; then it goes.
                    logs.push(Log { integration: None, queued: false, owed: Vec::new(), ..old });
                }
                None => {
                    self.dirty.insert(Dirty::Log(id, Arc::clone(&old.name)));
                    self.note_broken_promise(group, &old);
                }
            }
        }
        group.logs = logs;
    }

    fn note_broken_promise(&mut self, group: &Group, log: &Log) {
        if log.owed.is_empty() {
            return;
        }
        self.backlog.push(Event {
            labels: group.labels.clone(),
            receiver: group.receiver[..].into(),
            integration: log.name[..].into(),
            group_key: group.key[..].into(),
            reason: "the receiver is not in the configuration any more".into(),
            alerts: log.owed.iter().take(crate::notify::event::EVENT_ALERTS_MAX).copied().collect(),
            firing: Some(log.owed.len()),
            ..Event::new(EventKind::CannotTell, self.now)
        });
    }
}

fn read<T: serde::de::DeserializeOwned>(row: &[u8]) -> Result<T, String> {
    serde_json::from_slice(row).map_err(|error| format!("a stored row cannot be read: {error}"))
}

pub(super) fn group_row(group: &Group) -> GroupRow {
    GroupRow {
        route_id: group.route_id.to_string(),
        receiver: group.receiver.to_string(),
        key: group.key.to_string(),
        labels: label_map(&group.labels),
        next_flush: group.next_flush.0,
        flushed: group.flushed,
    }
}
