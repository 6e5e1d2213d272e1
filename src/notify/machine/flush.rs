//! A group's turn: what may be told, what has to be, and what is over.

use std::sync::Arc;

use super::alerts::{AlertId, Entry};
use super::group::{Group, Log, Member, Suppression, View};
use super::{Dirty, Machine};
use crate::model::{Labels, Timestamp};
use crate::notify::event::EventKind;
use crate::notify::route::Route;

impl Machine {
    /// Puts an alert into the groups of its routes.
    pub(super) fn group(&mut self, id: AlertId) {
        let routes = Arc::clone(&self.alerts.get(id).expect("BUG: just inserted").routes);
        for at in routes.iter() {
            self.group_at(id, *at);
        }
    }

    fn group_at(&mut self, id: AlertId, at: usize) {
        let entry = self.alerts.get(id).expect("BUG: the caller has looked it up");
        let route = self.routes.node(at);
        let labels = route.group_labels(&entry.labels);
        let key: Arc<str> = route.group_key(&labels).into();
        let name = (Arc::clone(&route.id), Arc::clone(&route.receiver), Arc::clone(&key));
        let group_id = match self.by_key.get(&name) {
            Some(known) => *known,
            None => {
                let first = first_flush(entry, route, self.now);
                self.new_group(at, name, labels, first)
            }
        };
        let entry = self.alerts.get_mut(id).expect("BUG: the caller has looked it up");
        if !entry.groups.contains(&group_id) {
            entry.groups.reserve_exact(1); // nearly always the only one
            entry.groups.push(group_id);
            let group = self.groups.get_mut(&group_id).expect("BUG: named by its key");
            group.members.push(Member { alert: id, noted: None });
        }
    }

    fn new_group(
        &mut self,
        at: usize,
        name: (Arc<str>, Arc<str>, Arc<str>),
        labels: Labels,
        first: Timestamp,
    ) -> u64 {
        let route = self.routes.node(at);
        let group = Group {
            route: Some(at),
            route_id: Arc::clone(&name.0),
            receiver: Arc::clone(&name.1),
            key: Arc::clone(&name.2),
            labels,
            route_labels: Arc::clone(&route.labels),
            timings: route.timings,
            members: Vec::new(),
            next_flush: first,
            flushed: false,
            logs: self.fresh_logs(&name.1),
        };
        let number = self.next_group;
        self.next_group += 1;
        self.by_key.insert(name, number);
        self.timers.insert((first, number));
        self.groups.insert(number, group);
        self.dirty.insert(Dirty::Group(number));
        number
    }

    /// Logs of the integrations that the receiver has.
    pub(super) fn fresh_logs(&self, receiver: &str) -> Vec<Log> {
        let integrations = self.config.receiver(receiver).map(|receiver| &receiver.integrations);
        let logs = integrations.into_iter().flatten().map(|integration| Log {
            name: format!("{}[{}]", integration.kind(), integration.index).into(),
            integration: Some(Arc::clone(integration)),
            not_before: Timestamp::MIN,
            ..Log::default()
        });
        logs.collect()
    }

    /// Gives every group its turn that is due.
    pub(super) fn flush_due(&mut self) {
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= self.now) {
            self.timers.remove(&(at, id));
            self.flush(id);
        }
    }

    /// Gives a group its turn as soon as the next tick, unless it still waits for its first.
    pub(super) fn wake(&mut self, id: u64) {
        let now = self.now;
        if let Some(group) = self.groups.get_mut(&id).filter(|group| group.flushed) {
            self.timers.remove(&(group.next_flush, id));
            group.next_flush = group.next_flush.min(now);
            self.timers.insert((group.next_flush, id));
        }
    }

    fn flush(&mut self, id: u64) {
        let Some(mut group) = self.groups.remove(&id) else { return };
        let was_flushed = std::mem::replace(&mut group.flushed, true);
        group.next_flush = self.now.saturating_add(group.timings.interval_ms);
        self.note_suppression(&mut group);
        let mut queue = Vec::new();
        for log in &mut group.logs {
            if log.sending.is_some() {
                log.again = true;
            } else if !log.queued {
                queue.push(Arc::clone(&log.name));
            }
        }
        self.timers.insert((group.next_flush, id));
        if !was_flushed {
            // Later turns are not worth a write: see `Machine::space_turns`.
            self.dirty.insert(Dirty::Group(id));
        }
        self.groups.insert(id, group);
        queue.into_iter().for_each(|name| self.enqueue(id, &name));
        self.settle(id);
    }

    /// Writes down what keeps members quiet, where that has changed.
    fn note_suppression(&mut self, group: &mut Group) {
        for at in 0..group.members.len() {
            let member = &group.members[at];
            let Some(entry) = self.alerts.get(member.alert).filter(|entry| !entry.resolved) else {
                continue;
            };
            let now_quiet = self.suppression(group, member.alert, entry);
            if let Some(quiet) = &now_quiet {
                self.counters.suppressed[quiet.number()] += 1;
            }
            if now_quiet.as_ref() == member.noted.as_deref() {
                continue;
            }
            let kind = match now_quiet {
                Some(_) => EventKind::Suppressed,
                None => EventKind::Unsuppressed,
            };
            self.backlog.member(entry.line(kind, self.now), group, now_quiet.clone());
            group.members[at].noted = now_quiet.map(Box::new);
        }
    }

    /// What keeps an alert of a group quiet, in the order in which Alertmanager looks.
    pub(super) fn suppression(
        &self,
        group: &Group,
        id: AlertId,
        entry: &Entry,
    ) -> Option<Suppression> {
        if let Some(source) = self.inhibitor_of(id, entry) {
            let source = self.alerts.get(source).expect("BUG: it fires");
            return Some(Suppression::Inhibition(source.fingerprint));
        }
        if let Some(muted) = group.route.and_then(|route| self.muted[route].clone()) {
            return Some(muted);
        }
        let silenced = !entry.silenced_by.is_empty();
        silenced.then(|| Suppression::Silence(entry.silenced_by.clone()))
    }

    /// The alert that keeps this one quiet.
    pub(super) fn inhibitor_of(&self, id: AlertId, entry: &Entry) -> Option<AlertId> {
        self.inhibitor.inhibited_by(&entry.labels, &entry.sides, |source| {
            let source_entry = self.alerts.get(source)?;
            let fires = source != id && !source_entry.resolved && source_entry.ends_at > self.now;
            fires.then_some((&source_entry.labels, &source_entry.sides))
        })
    }

    /// What an integration could be told of a group now.
    pub(super) fn view(&self, group: &Group, log: &Log) -> View {
        let mut view = View::default();
        for member in &group.members {
            let Some(entry) = self.alerts.get(member.alert) else { continue };
            if entry.resolved {
                if log.owed.binary_search(&entry.fingerprint).is_ok() {
                    view.resolved.push(entry.fingerprint);
                }
                continue;
            }
            view.any_fires = true;
            let told =
                group.route.is_some() && self.suppression(group, member.alert, entry).is_none();
            if told {
                view.firing.push(entry.fingerprint);
            }
        }
        view.firing.sort_unstable();
        view.resolved.sort_unstable();
        view
    }

    /// Lets members go that are resolved and that nobody has to be told of any more, and the group
    /// itself when it is empty.
    pub(super) fn settle(&mut self, id: u64) {
        let Some(mut group) = self.groups.remove(&id) else { return };
        let mut gone = Vec::new();
        let alerts = &self.alerts;
        let logs = &group.logs;
        let mut never_told = Vec::new();
        group.members.retain(|member| {
            let Some(entry) = alerts.get(member.alert) else { return false };
            let fingerprint = entry.fingerprint;
            let owed = logs.iter().any(|log| log.owed.binary_search(&fingerprint).is_ok());
            let keep = owed || (!entry.resolved && group.route.is_some());
            if !keep {
                let told = |log: &Log| {
                    log.firing.binary_search(&fingerprint).is_ok()
                        || log.resolved.binary_search(&fingerprint).is_ok()
                };
                if entry.resolved && !logs.is_empty() && !logs.iter().any(told) {
                    never_told.push(member.alert);
                }
                gone.push(member.alert);
            }
            keep
        });
        for alert in never_told {
            let entry = self.alerts.get(alert).expect("BUG: it was a member");
            self.backlog.member(entry.line(EventKind::NeverTold, self.now), &group, None);
        }
        let busy = group.logs.iter().any(|log| log.sending.is_some());
        let over = group.members.is_empty() && !busy;
        match over {
            true => self.destroy(id, &group),
            false => drop(self.groups.insert(id, group)),
        }
        gone.into_iter().for_each(|alert| self.leave(alert, id));
    }

    /// Removes a group's traces; it is taken out of `groups` already.
    pub(super) fn destroy(&mut self, id: u64, group: &Group) {
        self.timers.remove(&(group.next_flush, id));
        self.by_key.remove(&group.name());
        self.dirty.insert(Dirty::Group(id));
        for log in &group.logs {
            self.dirty.insert(Dirty::Log(id, Arc::clone(&log.name)));
        }
    }

    /// An alert is not in that group any more.
    pub(super) fn leave(&mut self, alert: AlertId, group: u64) {
        let Some(entry) = self.alerts.get_mut(alert) else { return };
        entry.groups.retain(|other| *other != group);
        if entry.groups.is_empty() && entry.resolved {
            self.forget(alert);
        }
    }

    /// Finds out what mutes each route now, and wakes the groups of those that are not muted any
    /// more.
    pub(super) fn refresh_muted(&mut self) {
        let now = self.now;
        let minute = now.0.div_euclid(60_000);
        if std::mem::replace(&mut self.muted_minute, minute) == minute {
            return; // intervals begin and end with a minute
        }
        let within = |name: &Arc<str>| {
            let intervals = self.config.time_intervals.get(&**name);
            intervals.is_some_and(|all| all.iter().any(|interval| interval.contains(now)))
        };
        let quiet = |route: &Route| {
            let mute: Vec<Arc<str>> = route.mute.iter().filter(|n| within(n)).cloned().collect();
            if !route.active.is_empty() && !route.active.iter().any(within) {
                return Some(Suppression::ActiveInterval(route.active.clone()));
            }
            (!mute.is_empty()).then_some(Suppression::MuteInterval(mute))
        };
        let muted: Vec<Option<Suppression>> = self.routes.nodes().iter().map(quiet).collect();
        let before = std::mem::replace(&mut self.muted, muted);
        let woken = |at: usize| before.get(at).is_some_and(Option::is_some);
        let woken: Vec<bool> =
            self.muted.iter().enumerate().map(|(at, now)| now.is_none() && woken(at)).collect();
        if !woken.contains(&true) {
            return;
        }
        let of_woken = |group: &Group| group.route.is_some_and(|route| woken[route]);
        let groups: Vec<u64> =
            self.groups.iter().filter(|(_, group)| of_woken(group)).map(|(id, _)| *id).collect();
        groups.into_iter().for_each(|id| self.wake(id));
    }
}

impl Group {
    pub(super) fn name(&self) -> (Arc<str>, Arc<str>, Arc<str>) {
        (Arc::clone(&self.route_id), Arc::clone(&self.receiver), Arc::clone(&self.key))
    }
}

/// A group whose first alert has fired for longer than it would wait has its turn at once.
pub(super) fn first_flush(entry: &Entry, route: &Route, now: Timestamp) -> Timestamp {
    let waited = entry.starts_at.saturating_add(route.timings.wait_ms);
    if waited < now { now } else { now.saturating_add(route.timings.wait_ms) }
}

impl Suppression {
    /// Its number in the counters.
    pub(super) fn number(&self) -> usize {
        match self {
            Suppression::Silence(_) => 0,
            Suppression::Inhibition(_) => 1,
            Suppression::MuteInterval(_) => 2,
            Suppression::ActiveInterval(_) => 3,
        }
    }
}

/// Names of what suppresses, by their number in the counters; as Alertmanager's metric has them.
pub const SUPPRESSION_NAMES: [&str; 4] =
    ["silence", "inhibition", "mute_time_interval", "active_time_interval"];
