//! The state machine: alerts come in, notifications go out, and nothing is forgotten in between.
//!
//! In: alerts, silences, outcomes of deliveries, configurations, each with the time. Out: what is to
//! be stored, what the history gains, and what is to be told: in this order, so that nobody is told
//! what a crash could make us forget. Never here: clocks, threads, files, randomness.
//!
//! The way of an alert: [`Machine::receive`] puts it into the groups of its routes; when a group's
//! turn comes, [`flush`] looks at what may be told and queues the integrations that have to be;
//! [`send`] hands notifications out and takes outcomes in. [`reload`] moves everything to another
//! configuration, or brings it back after a restart; [`query`] answers questions.

mod alerts;
mod backlog;
mod flush;
mod group;
pub mod query;
mod reload;
mod send;
mod silences;

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::config::AlertConfig;
use super::deliver::Notification;
use super::event::{Event, EventKind};
use super::fingerprint::Fingerprint;
use super::inhibit::Inhibitor;
use super::route::RouteTree;
use super::rows::{AlertRow, RowChanges, RowKey, encoded};
use super::silence::Silences;
use super::silence::index::SilenceIndex;
use crate::model::{Alert, Labels, Timestamp};
use alerts::{AlertId, Alerts, Entry, Merged};
use backlog::Backlog;
pub use flush::SUPPRESSION_NAMES;
use group::Group;
pub use send::IN_FLIGHT_MAX;
use send::Target;

/// Most alerts known at a time; each costs about a kilobyte.
pub const ALERTS_MAX: usize = 1_000_000;
/// How much the end of an alert may move before it is stored anew, in ms. Senders move it with each
/// report; after a restart an alert that fired gets the resolve timeout anyway. So new texts of an
/// alert that is repeated are stored after this time at the latest, too.
const ENDS_AT_DRIFT_MS: i64 = 3_600_000;
/// Most rows, and most lines of the history, handed out at a time: a storm is written in parts, so
/// that it is not in memory a second time as a whole.
const EFFECTS_PART_MAX: usize = 4000;
/// How often old silences are looked for, in ms.
const GARBAGE_EVERY_MS: i64 = 15 * 60_000;

/// An alert that is reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// The alert; its labels are not empty.
    pub alert: Alert,
    /// Whether nobody has said when it ends, and `ends_at` is a guess.
    pub timeout: bool,
    /// Whether its sender repeats it as long as it lasts and is not told that it is stored: the own
    /// rules. Texts of theirs that hold a number change all the time.
    pub is_repeated: bool,
}

/// Why an alert is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There are [`ALERTS_MAX`] already.
    TooMany,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooMany => {
                write!(f, "the alert is not taken: there are {ALERTS_MAX} alerts already")
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// One notification to hand over, with the number its outcome has to name.
#[derive(Clone, Debug)]
pub struct Send {
    /// Its number.
    pub number: u64,
    /// What is to be told.
    pub notification: Notification,
}

/// What has to be done, in this order.
#[derive(Debug, Default)]
pub struct Effects {
    /// Rows to store.
    pub rows: RowChanges,
    /// Lines the history gains; with the rows, all or nothing.
    pub events: Vec<Event>,
    /// What is to be told once the rows are stored.
    pub sends: Vec<Send>,
}

impl Effects {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.events.is_empty() && self.sends.is_empty()
    }
}

/// Numbers for metrics; they only grow.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Alerts received that fire, and that are resolved.
    pub received: [u64; 2],
    /// Alerts that were not taken.
    pub refused: u64,
    /// Alerts kept quiet by silence, inhibition, mute and active interval.
    pub suppressed: [u64; 4],
    /// By kind of integration: notifications handed over, delivered, failed by kind of failure.
    pub integrations: BTreeMap<&'static str, IntegrationCounters>,
}

/// Numbers of one kind of integration.
#[derive(Clone, Debug, Default)]
pub struct IntegrationCounters {
    /// Attempts.
    pub requests: u64,
    /// Attempts that failed.
    pub requests_failed: u64,
    /// Notifications delivered or given up.
    pub notifications: u64,
    /// Notifications given up, by the place of their kind in `FailureKind::ALL`.
    pub failed: [u64; 7],
}

/// The state machine.
#[derive(Debug)]
pub struct Machine {
    config: Arc<AlertConfig>,
    routes: RouteTree,
    inhibitor: Inhibitor,
    alerts: Alerts,
    groups: BTreeMap<u64, Group>,
    /// (route id, receiver, group key) -> group.
    by_key: HashMap<(Arc<str>, Arc<str>, Arc<str>), u64, FixedState>,
    timers: BTreeSet<(Timestamp, u64)>,
    silences: Silences,
    /// The active silences, when they were last looked at.
    silence_index: SilenceIndex,
    silence_timers: BTreeSet<(Timestamp, Arc<str>)>,
    /// Whether silences were changed since; the next tick finds out what that means.
    silences_changed: bool,
    /// What mutes each route now; none when nothing does.
    muted: Vec<Option<group::Suppression>>,
    /// The minute since the epoch in which that was found out.
    muted_minute: i64,
    targets: BTreeMap<(Arc<str>, Arc<str>), Target>,
    in_flight: BTreeMap<u64, (u64, Arc<str>)>,
    /// Route sets that alerts share.
    route_sets: HashMap<Arc<[usize]>, (), FixedState>,
    next_group: u64,
    next_send: u64,
    id_seed: u64,
    next_id: u64,
    now: Timestamp,
    /// No alert ends before.
    next_end: Timestamp,
    next_garbage: Timestamp,
    /// What was returned, and what is to be told.
    effects: Effects,
    /// Lines of the history, all newer than those in `effects`.
    backlog: Backlog,
    dirty: BTreeSet<Dirty>,
    counters: Counters,
}

/// What has to be stored anew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Dirty {
    Alert(Fingerprint),
    Group(u64),
    Log(u64, Arc<str>),
    Silence(Arc<str>),
}

impl Machine {
    /// A machine that knows nothing yet. `id_seed` makes the names of silences.
    pub fn new(config: Arc<AlertConfig>, id_seed: u64, now: Timestamp) -> Machine {
        let routes = RouteTree::new(&config.route);
        let mut machine = Machine {
            inhibitor: Inhibitor::new(&config.inhibit_rules),
            muted: vec![None; routes.nodes().len()],
            routes,
            config,
            alerts: Alerts::default(),
            groups: BTreeMap::new(),
            by_key: HashMap::default(),
            timers: BTreeSet::new(),
            silences: Silences::default(),
            silence_index: SilenceIndex::default(),
            silence_timers: BTreeSet::new(),
            silences_changed: false,
            muted_minute: i64::MIN,
            targets: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            route_sets: HashMap::default(),
            next_group: 1,
            next_send: 1,
            id_seed,
            next_id: 0,
            now,
            next_end: Timestamp::MAX,
            next_garbage: now.saturating_add(GARBAGE_EVERY_MS),
            effects: Effects::default(),
            backlog: Backlog::default(),
            dirty: BTreeSet::new(),
            counters: Counters::default(),
        };
        machine.refresh_muted();
        machine
    }

    /// Takes a report of an alert in.
    ///
    /// # Errors
    /// There are too many alerts.
    pub fn receive(&mut self, incoming: Incoming, now: Timestamp) -> Result<(), Refusal> {
        self.move_clock(now);
        let fires = !incoming.alert.is_resolved_at(self.now);
        self.counters.received[usize::from(!fires)] += 1;
        let fingerprint = Fingerprint::of(&incoming.alert.labels);
        match self.alerts.find(fingerprint) {
            Some(id) => self.update(id, incoming),
            // Nobody was told of it, and nobody will be.
            None if !fires => {}
            None if self.alerts.len() >= ALERTS_MAX => {
                self.counters.refused += 1;
                return Err(Refusal::TooMany);
            }
            None => self.insert(incoming, fingerprint),
        }
        Ok(())
    }

    fn insert(&mut self, incoming: Incoming, fingerprint: Fingerprint) {
        let alert = incoming.alert;
        let sides = self.inhibitor.sides(&alert.labels);
        let entry = Entry {
            fingerprint,
            routes: self.routes_of(&alert.labels),
            silenced_by: self.silence_index.matching(&alert.labels),
            sides: sides.clone(),
            labels: alert.labels,
            annotations: alert.annotations,
            generator_url: alert.generator_url,
            starts_at: alert.starts_at,
            ends_at: alert.ends_at,
            updated_at: self.now,
            timeout: incoming.timeout,
            resolved: false,
            stored_ends_at: alert.ends_at,
            groups: Vec::new(),
        };
        self.next_end = self.next_end.min(entry.ends_at);
        self.backlog.alert(entry.line(EventKind::Firing, self.now));
        let id = self.alerts.insert(entry);
        self.inhibitor.add(id, &sides);
        self.dirty.insert(Dirty::Alert(fingerprint));
        self.group(id);
    }

    fn update(&mut self, id: AlertId, incoming: Incoming) {
        let now = self.now;
        let entry = self.alerts.get_mut(id).expect("BUG: found by its fingerprint");
        let is_repeated = incoming.is_repeated;
        let mut changed = match entry.merge(incoming, now) {
            Merged::Times => false,
            Merged::Texts => !is_repeated,
            Merged::More => true,
        };
        let moved = (entry.ends_at.0 - entry.stored_ends_at.0).abs() > ENDS_AT_DRIFT_MS;
        let (was_resolved, fires) = (entry.resolved, entry.ends_at > now);
        self.next_end = self.next_end.min(entry.ends_at);
        if was_resolved && fires {
            entry.resolved = false;
            self.backlog.alert(entry.line(EventKind::Firing, now));
            self.group(id);
            changed = true;
        } else if !was_resolved && !fires {
            self.resolve(id);
        }
        if changed || moved {
            let entry = self.alerts.get_mut(id).expect("BUG: it is still there");
            entry.stored_ends_at = entry.ends_at;
            self.dirty.insert(Dirty::Alert(entry.fingerprint));
        }
    }

    /// Keeps alerts that fire and have all labels of an element of `expected` from ending before the
    /// time beside it: their rules cannot repeat them earlier, so their silence says nothing.
    pub fn hold(&mut self, expected: &[(Labels, Timestamp)], now: Timestamp) {
        self.move_clock(now);
        let mut by_name: HashMap<&str, Vec<&(Labels, Timestamp)>> = HashMap::new();
        for one in expected {
            by_name.entry(one.0.value("alertname")).or_default().push(one);
        }
        for (_, entry) in self.alerts.iter_mut().filter(|(_, entry)| !entry.resolved) {
            let of_name = by_name.get(entry.labels.value("alertname")).into_iter().flatten();
            let mine = of_name.filter(|(labels, _)| labels.iter().all(|l| entry.has(l)));
            let until = mine.map(|(_, until)| *until).max();
            entry.ends_at = until.map_or(entry.ends_at, |until| until.max(entry.ends_at));
        }
    }

    /// Notices that an alert is resolved.
    fn resolve(&mut self, id: AlertId) {
        let now = self.now;
        let entry = self.alerts.get_mut(id).expect("BUG: the caller has looked it up");
        entry.resolved = true;
        entry.stored_ends_at = entry.ends_at;
        self.backlog.alert(entry.line(EventKind::Resolved, now));
        self.dirty.insert(Dirty::Alert(entry.fingerprint));
        if entry.groups.is_empty() {
            self.forget(id);
        }
    }

    /// Drops an alert that is resolved and in no group.
    fn forget(&mut self, id: AlertId) {
        if let Some(entry) = self.alerts.remove(id) {
            self.inhibitor.remove(id, &entry.sides);
            self.dirty.insert(Dirty::Alert(entry.fingerprint));
        }
    }

    fn routes_of(&mut self, labels: &crate::model::Labels) -> Arc<[usize]> {
        let found = self.routes.matching(labels);
        if let Some((shared, ())) = self.route_sets.get_key_value(found.as_slice()) {
            return Arc::clone(shared);
        }
        let shared: Arc<[usize]> = found.into();
        self.route_sets.insert(Arc::clone(&shared), ());
        shared
    }

    /// Lets time pass: what is due happens.
    pub fn tick(&mut self, now: Timestamp) {
        self.move_clock(now);
        self.end_alerts();
        self.pass_silences();
        self.refresh_muted();
        self.flush_due();
        self.pump();
        if now >= self.next_garbage {
            self.next_garbage = now.saturating_add(GARBAGE_EVERY_MS);
            for id in self.silences.collect_garbage(now) {
                self.dirty.insert(Dirty::Silence(id));
            }
        }
    }

    /// When [`Machine::tick`] has something to do at the latest.
    pub fn next_due(&self) -> Timestamp {
        let timer = self.timers.first().map(|(at, _)| *at);
        let silence = self.silence_timers.first().map(|(at, _)| *at);
        let targets = self.targets.values().filter_map(|target| self.target_due(target));
        let changed = self.silences_changed.then_some(self.now);
        let due =
            timer.into_iter().chain(changed).chain(silence).chain(targets).chain([self.next_end]);
        due.min().unwrap_or(Timestamp::MAX)
    }

    /// The clock may have been set back: then everything that waits moves with it, so that nothing
    /// waits for hours.
    fn move_clock(&mut self, now: Timestamp) {
        let back = self.now.0.saturating_sub(now.0);
        self.now = now;
        if back <= 0 {
            return;
        }
        for group in self.groups.values_mut() {
            group.next_flush = group.next_flush.saturating_sub(back);
            for log in &mut group.logs {
                log.told_at = log.told_at.map(|at| at.min(now));
                log.not_before = log.not_before.saturating_sub(back);
            }
        }
        self.timers = self.groups.iter().map(|(id, group)| (group.next_flush, *id)).collect();
        for target in self.targets.values_mut() {
            target.not_before = target.not_before.saturating_sub(back);
        }
        self.next_garbage = self.next_garbage.min(now.saturating_add(GARBAGE_EVERY_MS));
        self.rebuild_silences();
    }

    /// Resolves alerts whose end has come.
    fn end_alerts(&mut self) {
        if self.now < self.next_end {
            return;
        }
        let now = self.now;
        let mut ended = Vec::new();
        self.next_end = Timestamp::MAX;
        for (id, entry) in self.alerts.iter().filter(|(_, entry)| !entry.resolved) {
            match entry.ends_at <= now {
                true => ended.push(id),
                false => self.next_end = self.next_end.min(entry.ends_at),
            }
        }
        ended.into_iter().for_each(|id| self.resolve(id));
    }

    /// What has to be done now; the caller does it and says so to nobody but, for deliveries, to
    /// [`Machine::outcome`]. Of much it is a part: the caller comes again while
    /// [`Machine::has_effects`], and what is to be told comes with the last part. Each row is whole
    /// for itself, so a crash between two parts is as one before the change of those that follow.
    pub fn take_effects(&mut self) -> Effects {
        let mut part =
            Effects { rows: std::mem::take(&mut self.effects.rows), ..Effects::default() };
        while part.rows.len() < EFFECTS_PART_MAX {
            let Some(one) = self.dirty.pop_first() else { break };
            let (key, row) = self.row(&one);
            part.rows.insert(key, row);
        }
        let events = self.effects.events.len().min(EFFECTS_PART_MAX);
        part.events = self.effects.events.drain(..events).collect();
        part.events.extend(self.backlog.take(EFFECTS_PART_MAX - events));
        if self.dirty.is_empty() && self.effects.events.is_empty() && self.backlog.is_empty() {
            part.sends = std::mem::take(&mut self.effects.sends);
        }
        part
    }

    /// Whether [`Machine::take_effects`] has more to hand out.
    pub fn has_effects(&self) -> bool {
        !(self.dirty.is_empty() && self.effects.is_empty() && self.backlog.is_empty())
    }

    /// Takes back what could not be stored: it is handed out again.
    pub fn return_effects(&mut self, mut effects: Effects) {
        let newer = std::mem::take(&mut self.effects);
        effects.rows.extend(newer.rows);
        effects.events.extend(newer.events);
        effects.sends.extend(newer.sends);
        self.effects = effects;
    }

    fn row(&self, dirty: &Dirty) -> (RowKey, Option<Vec<u8>>) {
        match dirty {
            Dirty::Alert(fingerprint) => {
                let entry = self.alerts.find(*fingerprint).and_then(|id| self.alerts.get(id));
                (RowKey::alert(*fingerprint), entry.map(|entry| encoded(&alert_row(entry))))
            }
            Dirty::Group(id) => {
                let group = self.groups.get(id);
                (RowKey::group(*id), group.map(|group| encoded(&reload::group_row(group))))
            }
            Dirty::Log(id, name) => {
                let group = self.groups.get(id);
                let log = group.and_then(|group| group.logs.iter().find(|log| log.name == *name));
                (RowKey::log(*id, name), log.map(|log| encoded(&log.row())))
            }
            Dirty::Silence(id) => {
                let silence = self.silences.get(id);
                (RowKey::silence(id), silence.map(|silence| encoded(&silences::row(silence))))
            }
        }
    }

    /// Numbers for metrics.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The configuration in force.
    pub fn config(&self) -> &Arc<AlertConfig> {
        &self.config
    }
}

fn alert_row(entry: &Entry) -> AlertRow {
    let annotations = entry.annotations.iter();
    AlertRow {
        labels: super::event::label_map(&entry.labels),
        annotations: annotations.map(|(name, text)| (name.to_owned(), text.to_owned())).collect(),
        starts_at: entry.starts_at.0,
        ends_at: entry.ends_at.0,
        updated_at: entry.updated_at.0,
        timeout: entry.timeout,
        resolved: entry.resolved,
        generator_url: entry.generator_url.to_string(),
    }
}
