//! One running group: its rules in order, their state, and what is kept of it.
//!
//! In: the time of an evaluation. Out: everything the rules give. Never here: when that time is
//! ([`super::slot`]), threads.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::metrics::GroupMetrics;
use super::output::Output;
use super::restore::{GRACE_PERIOD_MS, OUTAGE_TOLERANCE_MS, restore};
use super::rule::{Order, Rule, lock, valid_ms};
use super::saved;
use super::seams::{Change, Environment, StateStore};
use super::slot::Slots;
use super::spec::GroupSpec;
use crate::model::{Labels, Timestamp};

/// Most alerts kept in one commit.
const SAVED_PART_MAX: usize = 4000;

/// What groups take when they do not say it themselves, and how state is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time between two evaluations in ms (`global.evaluation_interval`); above 0.
    pub interval_ms: i64,
    /// How far queries and samples are shifted back, in ms (`global.rule_query_offset`).
    pub query_offset_ms: i64,
    /// How long ago the latest sample of `ALERTS_FOR_STATE` may be when state is restored from it,
    /// in ms (`--rules.alert.for-outage-tolerance`).
    pub outage_tolerance_ms: i64,
    /// Least time from a restoration to firing, in ms (`--rules.alert.for-grace-period`).
    pub grace_period_ms: i64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            interval_ms: 60_000,
            query_offset_ms: 0,
            outage_tolerance_ms: OUTAGE_TOLERANCE_MS,
            grace_period_ms: GRACE_PERIOD_MS,
        }
    }
}

/// When a group was evaluated last, for whoever looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// When the latest evaluation began; `None` before the first.
    pub evaluated_at: Option<Timestamp>,
    /// How long it took.
    pub took: Duration,
}

/// A running group.
#[derive(Debug)]
pub struct Group {
    spec: Arc<GroupSpec>,
    settings: Settings,
    interval_ms: i64,
    query_offset_ms: i64,
    rules: Vec<Rule>,
    /// Held for the whole of an evaluation, so that there is one at a time.
    run: Mutex<Run>,
    /// Written after an evaluation, read by the API.
    progress: Mutex<Progress>,
    /// Evaluations so far.
    evaluations: AtomicU32,
    /// Its own metrics.
    pub metrics: GroupMetrics,
}

/// What only evaluation works with.
#[derive(Debug, Default)]
struct Run {
    /// Replaced or removed: not to be evaluated any more.
    is_retired: bool,
    /// Whether it is kept that the group is evaluated.
    is_known: bool,
    /// Time of the latest evaluation before the restart, until the first one after it.
    resumes: Option<Timestamp>,
    /// Series of rules that are no more.
    ended: Vec<Labels>,
}

impl Group {
    /// A group without state. `is_restored`: whether series tell of its alerts from the first
    /// evaluation on; else from the second, when state was restored from such series.
    pub fn new(spec: Arc<GroupSpec>, settings: Settings, is_restored: bool) -> Group {
        let mut identities: Vec<String> = Vec::new();
        let rules = spec.rules.iter().map(|rule| {
            let identity = rule.identity();
            let twin = identities.iter().filter(|other| **other == identity).count();
            identities.push(identity);
            Rule::new(Arc::clone(rule), twin, is_restored)
        });
        Group {
            rules: rules.collect(),
            interval_ms: spec.interval_ms.unwrap_or(settings.interval_ms).max(1),
            query_offset_ms: spec.query_offset_ms.unwrap_or(settings.query_offset_ms),
            spec,
            settings,
            run: Mutex::default(),
            progress: Mutex::default(),
            evaluations: AtomicU32::new(0),
            metrics: GroupMetrics::default(),
        }
    }

    /// What it says.
    pub fn spec(&self) -> &Arc<GroupSpec> {
        &self.spec
    }

    /// What it takes where it does not say it itself.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Its rules in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Time between two evaluations in ms.
    pub fn interval_ms(&self) -> i64 {
        self.interval_ms
    }

    /// When it is evaluated.
    pub fn slots(&self) -> Slots {
        Slots::new(&self.spec.file, &self.spec.name, self.interval_ms)
    }

    /// When it was evaluated last.
    pub fn progress(&self) -> Progress {
        *lock(&self.progress)
    }

    /// Until when alerts of its rules must not end because nobody repeats them, when it is evaluated
    /// for the first time after `now`.
    pub(super) fn expected(
        &self,
        now: Timestamp,
        resend_delay_ms: i64,
    ) -> Vec<(Labels, Timestamp)> {
        let valid_ms = valid_ms(self.interval_ms, resend_delay_ms);
        let until = self.slots().next_after(now).saturating_add(valid_ms);
        let labels = self.rules.iter().filter_map(Rule::fixed_labels);
        labels.map(|labels| (labels, until)).collect()
    }

    /// Evaluates all rules for the time `ts`, one after the other: what one writes the next reads.
    pub fn evaluate(&self, environment: &Environment<'_>, ts: Timestamp) {
        let mut run = lock(&self.run);
        if run.is_retired || environment.is_canceled() {
            return;
        }
        let (began, start) = (environment.clock.now(), (environment.elapsed)());
        let order = Order {
            is_after_outage: self.resume(&mut run, ts),
            ts,
            shifted: ts.saturating_sub(self.query_offset_ms),
            limit: self.spec.limit,
            interval_ms: self.interval_ms,
        };
        let (mut samples, mut seconds) = (0, Duration::ZERO);
        for rule in &self.rules {
            if environment.is_canceled() {
                break;
            }
            samples += rule.evaluate(environment, order);
            let outcome = rule.outcome();
            self.metrics.evaluations.inc();
            self.metrics.failures.add(u64::from(outcome.last_error.is_some()));
            seconds += outcome.took;
        }
        self.end_ended(environment, &mut run, order.shifted);
        self.restore_when_due(environment, ts);
        self.save(environment.state, &mut run, ts);
        let took = (environment.elapsed)().saturating_sub(start);
        *lock(&self.progress) = Progress { evaluated_at: Some(began), took };
        self.metrics.evaluated(ts, took, seconds, samples);
        environment.metrics.group_took(took);
    }

    /// After a restart the time that the process was away does not count as time an alert was
    /// pending; a gap of up to two intervals is none. Whether this is the first evaluation after
    /// more than that.
    fn resume(&self, run: &mut Run, ts: Timestamp) -> bool {
        let Some(before) = run.resumes.take() else { return false };
        let gap = ts.0.saturating_sub(before.0);
        if gap <= self.interval_ms.saturating_mul(2) {
            return false;
        }
        let away = gap - self.interval_ms;
        for rule in &self.rules {
            rule.alerts().move_active(|_, alert| {
                let is_pending = alert.state == super::alert::AlertState::Pending;
                is_pending.then(|| alert.active_at.saturating_add(away))
            });
        }
        true
    }

    fn restore_when_due(&self, environment: &Environment<'_>, ts: Timestamp) {
        let evaluations = self.evaluations.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if evaluations < 2 || self.rules.iter().all(Rule::is_restored) {
            return;
        }
        let start = (environment.elapsed)();
        for rule in self.rules.iter().filter(|rule| !rule.is_restored()) {
            restore(rule, environment, ts, &self.settings);
            rule.set_restored();
        }
        self.metrics.restored((environment.elapsed)().saturating_sub(start));
    }

    /// Marks the ends of series of rules that are no more.
    fn end_ended(&self, environment: &Environment<'_>, run: &mut Run, at: Timestamp) {
        if run.ended.is_empty() {
            return;
        }
        let mut output = Output::new(environment.samples, at);
        run.ended.iter().for_each(|series| output.stale(series));
        match output.finish() {
            Ok(_) => run.ended.clear(),
            Err(why) => tracing::warn!(
                "rule group {}: the end of series of removed rules is not written: {why}",
                self.spec.key()
            ),
        }
    }

    /// Keeps what changed, and when; nothing is written when nothing did.
    fn save(&self, store: &dyn StateStore, run: &mut Run, ts: Timestamp) {
        let alerting = || self.rules.iter().filter(|rule| rule.spec().is_alerting());
        let changed: Vec<(&Rule, Vec<Labels>)> = alerting()
            .map(|rule| (rule, rule.alerts().changed()))
            .filter(|(_, changed)| !changed.is_empty())
            .collect();
        let has_pending = alerting().any(|rule| rule.alerts().has_pending());
        if changed.is_empty() && run.is_known && !has_pending {
            return;
        }
        match self.write_changes(store, &changed, ts) {
            Ok(()) => {
                run.is_known = true;
                changed.iter().for_each(|(rule, _)| rule.alerts().saved());
            }
            Err(why) => {
                self.metrics.state_failures.inc();
                let why = format!("the state of alerts is not kept: {why}");
                tracing::error!("rule group {}: {why}", self.spec.key());
                changed.iter().for_each(|(rule, _)| rule.set_error(why.clone()));
            }
        }
    }

    /// Writes alerts, and with the last of them the time: in one commit unless they are very many,
    /// so that a storm is not in memory a second time. An alert is whole for itself.
    fn write_changes(
        &self,
        store: &dyn StateStore,
        changed: &[(&Rule, Vec<Labels>)],
        ts: Timestamp,
    ) -> Result<(), String> {
        let mut changes: Vec<Change> = Vec::new();
        for (rule, labels) in changed {
            let prefix = saved::rule_key(&self.spec, rule);
            for part in labels.chunks(SAVED_PART_MAX) {
                if changes.len() + part.len() > SAVED_PART_MAX {
                    store.change(std::mem::take(&mut changes))?;
                }
                let alerts = rule.alerts();
                changes.extend(part.iter().map(|labels| {
                    let record = alerts.get(labels).map(saved::encode);
                    (saved::alert_key(&prefix, labels), record)
                }));
            }
        }
        changes.push((saved::group_key(&self.spec), Some(ts.0.to_le_bytes().to_vec())));
        store.change(changes)
    }

    /// Takes the state that was kept before a restart. Rules that were evaluated before have
    /// nothing else to restore.
    pub fn load(&self, store: &dyn StateStore) {
        let mut run = lock(&self.run);
        let loaded = saved::load(store, &self.spec, &self.rules);
        match loaded {
            Ok(loaded) => {
                run.resumes = loaded.evaluated_at;
                run.is_known = loaded.evaluated_at.is_some();
                if run.is_known {
                    self.rules.iter().for_each(Rule::set_restored);
                }
                forget(store, loaded.unknown);
            }
            Err(why) => {
                self.metrics.state_failures.inc();
                let key = self.spec.key();
                tracing::error!("rule group {key}: the state of its alerts is lost: {why}");
            }
        }
    }

    /// Takes over the state of the group it replaces, which ends with its present evaluation.
    pub fn take_over(&self, before: &Group, store: &dyn StateStore) {
        let mut own = lock(&self.run);
        let mut old = lock(&before.run);
        old.is_retired = true;
        let mut taken = vec![false; before.rules.len()];
        for rule in &self.rules {
            let same = before.rules.iter().position(|other| other.key() == rule.key());
            let same = same
                .filter(|at| before.rules[*at].spec().is_alerting() == rule.spec().is_alerting());
            match same {
                Some(at) => {
                    taken[at] = true;
                    rule.take_over(&before.rules[at]);
                }
                None => rule.set_restored(),
            }
        }
        own.is_known = old.is_known;
        own.resumes = old.resumes;
        own.ended = std::mem::take(&mut old.ended);
        let ended = before.rules.iter().zip(taken).filter(|(_, taken)| !taken);
        own.ended.extend(ended.flat_map(|(rule, _)| rule.told_series()));
        let evaluations = before.evaluations.load(Ordering::Relaxed);
        self.evaluations.store(evaluations, Ordering::Relaxed);
        drop(old);
        match saved::unknown(store, &self.spec, &self.rules) {
            Ok(unknown) => forget(store, unknown),
            Err(why) => tracing::warn!("state of removed rules is not removed: {why}"),
        }
    }

    /// Ends the group with its present evaluation: it is removed.
    pub fn retire(&self, store: &dyn StateStore) {
        lock(&self.run).is_retired = true;
        match saved::all_of_group(store, &self.spec) {
            Ok(keys) => forget(store, keys),
            Err(why) => tracing::warn!("state of a removed group is not removed: {why}"),
        }
    }

    /// Marks the ends of a removed group's series at the time it was removed, but for those that
    /// another rule has written since.
    pub fn end_series(&self, environment: &Environment<'_>, removed_at: Timestamp) {
        let at = removed_at.saturating_sub(self.query_offset_ms);
        let mut output = Output::new(environment.samples, at);
        for rule in &self.rules {
            rule.end_series(&mut output, &|series| is_live(environment, series, at));
        }
        if let Err(why) = output.finish() {
            let key = self.spec.key();
            tracing::warn!("rule group {key}: the end of its series is not written: {why}");
        }
    }
}

fn forget(store: &dyn StateStore, keys: Vec<Vec<u8>>) {
    let changes: Vec<Change> = keys.into_iter().map(|key| (key, None)).collect();
    if changes.is_empty() {
        return;
    }
    if let Err(why) = store.change(changes) {
        tracing::warn!("state of removed rules is not removed: {why}");
    }
}

/// Whether a series has a sample at `since` or later.
fn is_live(environment: &Environment<'_>, series: &Labels, since: Timestamp) -> bool {
    use crate::model::{Matcher, Selector, SeriesData};
    let matchers: Vec<Matcher> = series.iter().map(|(n, v)| Matcher::equal(n, v)).collect();
    let selector = Selector::new(&matchers, since, Timestamp::MAX);
    let Ok(found) = environment.source.select(&selector) else { return false };
    let mut data = SeriesData::default();
    (0..found.len()).any(|index| {
        found.labels(index) == series && found.read(index, &mut data).is_ok() && !data.is_empty()
    })
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod group_tests;
