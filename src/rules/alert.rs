//! The alerts of one rule and their states: pure, the time is handed in.
//!
//! In: what a rule's expression gave at a time. Out: states, and which series describe them, which
//! alerts are due to be sent, what is to be kept over a restart. Source: Prometheus'
//! `rules/alerting.go`; the alert-generator specification of its compliance suite.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::alert_map::{AlertMap, AlertPlace};
use crate::model::{Alert, Annotations, Labels, Timestamp};

/// How long a resolved alert is kept and sent again, in ms (as in Prometheus).
pub const RESOLVED_RETENTION_MS: i64 = 15 * 60 * 1000;
/// "Not yet": before every time.
pub const NEVER: i64 = i64::MIN;

/// The state of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum AlertState {
    /// Resolved, and still told.
    Inactive = 0,
    /// There, but not long enough.
    Pending = 1,
    /// There for long enough.
    Firing = 2,
}

impl AlertState {
    /// The word of API and series.
    pub const fn as_str(self) -> &'static str {
        match self {
            AlertState::Inactive => "inactive",
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
        }
    }
}

/// An element of a rule's result, with the labels and annotations its alert gets.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What identifies the alert.
    pub labels: Labels,
    /// What describes it.
    pub annotations: Annotations,
    /// The value; 0 for a histogram.
    pub value: f64,
    /// Labels of the element, where another one like it makes the same labels and texts as far as
    /// they do not depend on anything else.
    pub sample: Option<Labels>,
    /// The alert with these labels, as [`AlertSet::known`] said.
    pub known: Option<AlertPlace>,
}

/// What a sample gave before.
#[derive(Clone, Debug)]
pub struct Known {
    /// Where its alert is.
    pub place: AlertPlace,
    /// Its labels.
    pub labels: Labels,
    /// Its texts.
    pub annotations: Annotations,
    /// The value they were made for.
    pub value: f64,
}

/// What one alert is. Times in ms, [`NEVER`] when it has not happened.
#[derive(Clone, Debug)]
pub struct ActiveAlert {
    /// What describes it.
    pub annotations: Annotations,
    /// Its latest value.
    pub value: f64,
    /// Since when it is there.
    pub active_at: i64,
    /// Since when it fires.
    pub fired_at: i64,
    /// When it was resolved.
    pub resolved_at: i64,
    /// When it was sent last.
    pub last_sent_at: i64,
    /// Since when its result is gone while it is kept firing.
    pub keep_firing_since: i64,
    /// Its state.
    pub state: AlertState,
    /// The state its series tell.
    told: Option<AlertState>,
    /// The evaluation that gave it last.
    round: u32,
    is_changed: bool,
    is_saved: bool,
}

impl ActiveAlert {
    fn new(annotations: Annotations, value: f64, ts: i64, round: u32) -> ActiveAlert {
        ActiveAlert {
            annotations,
            value,
            active_at: ts,
            fired_at: NEVER,
            resolved_at: NEVER,
            last_sent_at: NEVER,
            keep_firing_since: NEVER,
            state: AlertState::Pending,
            told: None,
            round,
            is_changed: true,
            is_saved: false,
        }
    }

    /// An alert as it was kept over a restart.
    pub fn kept(
        annotations: Annotations,
        value: f64,
        state: AlertState,
        times: [i64; 5],
    ) -> ActiveAlert {
        let [active_at, fired_at, resolved_at, last_sent_at, keep_firing_since] = times;
        let told = (state != AlertState::Inactive).then_some(state);
        let new = ActiveAlert::new(annotations, value, active_at, 0);
        ActiveAlert {
            fired_at,
            resolved_at,
            last_sent_at,
            keep_firing_since,
            state,
            told,
            is_changed: false,
            is_saved: true,
            ..new
        }
    }

    fn set<T: PartialEq>(is_changed: &mut bool, field: &mut T, value: T) {
        *is_changed |= *field != value;
        *field = value;
    }

    /// The step of one evaluation. False when the alert is to be forgotten.
    fn step(&mut self, ts: i64, is_there: bool, timing: &Timing) -> Step {
        if is_there {
            Self::set(&mut self.is_changed, &mut self.keep_firing_since, NEVER);
        } else if timing.nothing_ends && self.state != AlertState::Inactive {
            return Step::Active;
        } else {
            match self.state {
                AlertState::Pending => return Step::Forgotten,
                AlertState::Inactive => {
                    let is_over = ts.saturating_sub(self.resolved_at) > RESOLVED_RETENTION_MS;
                    return if is_over { Step::Forgotten } else { Step::Resolved };
                }
                AlertState::Firing => {
                    if !self.is_kept(ts, timing.keep_firing_ms) {
                        self.state = AlertState::Inactive;
                        self.resolved_at = ts;
                        self.is_changed = true;
                        return Step::Resolved;
                    }
                }
            }
        }
        let is_due = ts.saturating_sub(self.active_at) >= timing.hold_ms;
        if self.state == AlertState::Pending && is_due {
            self.state = AlertState::Firing;
            self.fired_at = ts;
            self.is_changed = true;
        } else if self.state == AlertState::Firing && !is_due {
            self.state = AlertState::Pending;
            self.fired_at = NEVER;
            self.last_sent_at = NEVER;
            self.keep_firing_since = NEVER;
            self.is_changed = true;
        }
        Step::Active
    }

    fn is_kept(&mut self, ts: i64, keep_firing_ms: i64) -> bool {
        if keep_firing_ms == 0 {
            return false;
        }
        if self.keep_firing_since == NEVER {
            self.keep_firing_since = ts;
            self.is_changed = true;
        }
        ts.saturating_sub(self.keep_firing_since) < keep_firing_ms
    }

    fn is_due(&self, ts: i64, resend_delay_ms: i64) -> bool {
        match self.state {
            AlertState::Pending => false,
            _ if self.resolved_at > self.last_sent_at => true,
            _ => self.last_sent_at.saturating_add(resend_delay_ms) < ts,
        }
    }
}

enum Step {
    /// Pending or firing.
    Active,
    Resolved,
    Forgotten,
}

/// What a rule says about the time its alerts take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// `for`, in ms.
    pub hold_ms: i64,
    /// `keep_firing_for`, in ms.
    pub keep_firing_ms: i64,
    /// Most active alerts; 0 for no limit.
    pub limit: usize,
    /// The first evaluation after an outage: what is not there may only not have arrived yet, so
    /// nothing ends.
    pub nothing_ends: bool,
}

/// What a series tells of an alert: its labels, and the state for `ALERTS`, or none for
/// `ALERTS_FOR_STATE`.
pub type Telling<'a> = (&'a Labels, Option<AlertState>);

/// The alerts of one rule.
#[derive(Debug, Default)]
pub struct AlertSet {
    alerts: AlertMap,
    round: u32,
    /// Alerts that are gone while their series still tell of them.
    gone: Vec<(Labels, AlertState)>,
    /// Alerts that are gone and still kept.
    forgotten: Vec<Labels>,
}

impl AlertSet {
    /// Takes what the expression gave at `ts`.
    ///
    /// # Errors
    /// Two elements make the same alert: nothing has changed. More alerts are active than the limit
    /// allows: all are forgotten, without a word to anybody.
    pub fn evaluate(
        &mut self,
        ts: Timestamp,
        candidates: Vec<Candidate>,
        timing: &Timing,
    ) -> Result<(), String> {
        let places = self.places(&candidates)?;
        self.round = self.round.wrapping_add(1);
        for (candidate, place) in candidates.into_iter().zip(places) {
            self.merge(ts.0, candidate, place);
        }
        let active = self.step(ts.0, timing);
        if timing.limit > 0 && active > timing.limit {
            self.clear();
            return Err(format!("exceeded limit of {} with {active} alerts", timing.limit));
        }
        Ok(())
    }

    /// What the sample with these labels gave the last time, unless it has to be made anew.
    pub fn known(&self, sample: &Labels) -> Option<Known> {
        let place = self.alerts.of_sample(sample)?;
        let (labels, alert) = self.alerts.at(place)?;
        let (labels, annotations) = (labels.clone(), alert.annotations.clone());
        Some(Known { place, labels, annotations, value: alert.value })
    }

    /// Forgets what samples gave: the next evaluation makes all labels and texts anew.
    pub fn forget_samples(&mut self) {
        self.alerts.forget_samples();
    }

    /// Lets a candidate whose alert is known share its labels and texts, as far as they are equal.
    pub fn share(&self, candidate: &mut Candidate) {
        if candidate.known.is_none() {
            candidate.known = self.alerts.find(&candidate.labels);
        }
        let Some((labels, alert)) = candidate.known.and_then(|at| self.alerts.at(at)) else {
            return;
        };
        candidate.labels = labels.clone();
        if alert.annotations.is_kept_as(&candidate.annotations) {
            candidate.annotations = alert.annotations.clone();
        }
    }

    /// Where the alerts of candidates are, as far as there are such.
    fn places(&self, candidates: &[Candidate]) -> Result<Vec<Option<AlertPlace>>, String> {
        let mut taken = vec![false; self.alerts.places()];
        let mut new: HashSet<&Labels, FixedState> = HashSet::default();
        let place = |candidate: &'_ Candidate| {
            let is_its = |at: &AlertPlace| {
                self.alerts.at(*at).is_some_and(|(labels, _)| *labels == candidate.labels)
            };
            let known = candidate.known.filter(is_its);
            known.or_else(|| self.alerts.find(&candidate.labels))
        };
        let mut places = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let place = place(candidate);
            let is_twin = match place {
                Some(at) => std::mem::replace(&mut taken[at as usize], true),
                None => !new.insert(&candidate.labels),
            };
            if is_twin {
                let why =
                    "vector contains metrics with the same labelset after applying alert labels";
                return Err(why.to_owned());
            }
            places.push(place);
        }
        Ok(places)
    }

    fn merge(&mut self, ts: i64, candidate: Candidate, place: Option<AlertPlace>) {
        let Candidate { labels, annotations, value, sample, .. } = candidate;
        let alert = place.and_then(|at| self.alerts.at_mut(at));
        match alert.filter(|alert| alert.state != AlertState::Inactive) {
            Some(alert) => {
                alert.annotations = annotations;
                alert.value = value;
                alert.round = self.round;
            }
            None => {
                let alert = ActiveAlert::new(annotations, value, ts, self.round);
                if let Some(before) = self.alerts.insert(labels.clone(), alert) {
                    self.gone.extend(before.told.map(|state| (labels.clone(), state)));
                }
            }
        }
        if let Some(at) = place.or_else(|| self.alerts.find(&labels)) {
            self.alerts.set_sample(at, sample);
        }
    }

    fn step(&mut self, ts: i64, timing: &Timing) -> usize {
        let (round, mut active) = (self.round, 0);
        let (gone, forgotten) = (&mut self.gone, &mut self.forgotten);
        self.alerts.retain(|labels, alert| {
            match alert.step(ts, alert.round == round, timing) {
                Step::Active => active += 1,
                Step::Resolved => {}
                Step::Forgotten => {
                    gone.extend(alert.told.map(|state| (labels.clone(), state)));
                    forgotten.extend(alert.is_saved.then(|| labels.clone()));
                    return false;
                }
            }
            true
        });
        active
    }

    fn clear(&mut self) {
        let alerts = std::mem::take(&mut self.alerts);
        for (labels, alert) in alerts.iter() {
            self.gone.extend(alert.told.map(|state| (labels.clone(), state)));
            self.forgotten.extend(alert.is_saved.then(|| labels.clone()));
        }
    }

    /// The series that describe the active alerts: `ALERTS` of each and `ALERTS_FOR_STATE` with its
    /// value, the time since when the alert is there (ms).
    pub fn tell(&self, mut each: impl FnMut(&Labels, AlertState, i64)) {
        for (labels, alert) in self.active() {
            each(labels, alert.state, alert.active_at);
        }
    }

    /// The series that told of an alert and do so no more.
    pub fn end(&self, mut each: impl FnMut(Telling<'_>)) {
        for (labels, alert) in self.alerts.iter() {
            let is_active = alert.state != AlertState::Inactive;
            match alert.told {
                Some(told) if !is_active => {
                    each((labels, Some(told)));
                    each((labels, None));
                }
                Some(told) if told != alert.state => each((labels, Some(told))),
                _ => {}
            }
        }
        for (labels, told) in &self.gone {
            let state = self.alerts.get(labels).map_or(AlertState::Inactive, |alert| alert.state);
            if state != *told {
                each((labels, Some(*told)));
            }
            if state == AlertState::Inactive {
                each((labels, None));
            }
        }
    }

    /// Whether a series is among those of [`AlertSet::tell`], for alerts whose own label
    /// `alertstate` is replaced there: several of them may share one series.
    pub fn has_own_state_label(&self) -> bool {
        let is = |labels: &Labels| labels.get("alertstate").is_some();
        self.alerts.iter().any(|(labels, _)| is(labels))
            || self.gone.iter().any(|(labels, _)| is(labels))
    }

    /// Says that the series of [`AlertSet::tell`] and [`AlertSet::end`] are written; or, with
    /// `is_told` false, that none is written yet.
    pub fn told(&mut self, is_told: bool) {
        self.gone.clear();
        for (_, alert) in self.alerts.iter_mut() {
            let is_active = alert.state != AlertState::Inactive;
            alert.told = (is_active && is_told).then_some(alert.state);
        }
    }

    /// Alerts to be sent at `ts`; they count as sent from now on.
    pub fn take_due(&mut self, ts: Timestamp, resend_delay_ms: i64) -> Vec<AlertPlace> {
        let due = self.alerts.places_mut().filter(|(_, alert)| alert.is_due(ts.0, resend_delay_ms));
        due.map(|(at, alert)| {
            // What was sent before is kept; a repetition is not worth a write.
            alert.is_changed |= alert.last_sent_at == NEVER;
            alert.last_sent_at = ts.0;
            at
        })
        .collect()
    }

    /// The alert at this place as it is sent. `valid_ms`: after which time it counts as
    /// resolved unless it is repeated.
    pub fn to_send(
        &self,
        place: AlertPlace,
        valid_ms: i64,
        generator_url: &Arc<str>,
    ) -> Option<Alert> {
        let (labels, alert) = self.alerts.at(place)?;
        let ends_at = match alert.resolved_at {
            NEVER => alert.last_sent_at.saturating_add(valid_ms),
            resolved_at => resolved_at,
        };
        Some(Alert {
            labels: labels.clone(),
            annotations: alert.annotations.clone(),
            starts_at: Timestamp(alert.fired_at),
            ends_at: Timestamp(ends_at),
            generator_url: Arc::clone(generator_url),
        })
    }

    /// Pending and firing alerts.
    pub fn active(&self) -> impl Iterator<Item = (&Labels, &ActiveAlert)> {
        self.alerts.iter().filter(|(_, alert)| alert.state != AlertState::Inactive)
    }

    /// The worst state.
    pub fn state(&self) -> AlertState {
        let states = self.alerts.iter().map(|(_, alert)| alert.state);
        states.max().unwrap_or(AlertState::Inactive)
    }

    /// Number of alerts, resolved ones among them.
    pub fn len(&self) -> usize {
        self.alerts.len()
    }

    /// Whether any is pending.
    pub fn has_pending(&self) -> bool {
        self.alerts.iter().any(|(_, alert)| alert.state == AlertState::Pending)
    }

    /// Puts an alert back that was kept.
    pub fn put(&mut self, labels: Labels, alert: ActiveAlert) {
        self.alerts.insert(labels, alert);
    }

    /// Moves the time since when alerts are there: `at` gives it for those it knows better.
    pub fn move_active(&mut self, mut at: impl FnMut(&Labels, &ActiveAlert) -> Option<i64>) {
        for (labels, alert) in self.alerts.iter_mut() {
            if alert.state == AlertState::Inactive {
                continue;
            }
            if let Some(active_at) = at(labels, alert) {
                alert.active_at = active_at;
                alert.is_changed = true;
            }
        }
    }

    /// Alerts that changed since [`AlertSet::saved`], by the bytes of their labels: to be kept, or,
    /// where [`AlertSet::get`] knows none, to be no longer kept.
    pub fn changed(&self) -> Vec<Labels> {
        let gone = self.forgotten.iter().filter(|labels| self.alerts.find(labels).is_none());
        let changed = self.alerts.iter().filter(|(_, alert)| alert.is_changed);
        let all = gone.chain(changed.map(|(labels, _)| labels));
        let mut all: Vec<Labels> = all.cloned().collect();
        // Neighbours share pages where they are kept.
        all.sort_unstable_by(|a, b| a.as_packed().cmp(b.as_packed()));
        all.dedup();
        all
    }

    /// The alert with these labels, resolved or not.
    pub fn get(&self, labels: &Labels) -> Option<&ActiveAlert> {
        self.alerts.get(labels)
    }

    /// Says that all changes are kept.
    pub fn saved(&mut self) {
        self.forgotten.clear();
        for (_, alert) in self.alerts.iter_mut() {
            alert.is_changed = false;
            alert.is_saved = true;
        }
    }

    /// Takes over the alerts of the rule that this one replaces, which has the same name and labels.
    pub fn take_over(&mut self, before: &mut AlertSet) {
        *self = std::mem::take(before);
        self.forget_samples(); // the texts of the rule may be others
    }

    /// The series that tell of its alerts, for a rule that is no more.
    pub fn all_told(&self, mut each: impl FnMut(Telling<'_>)) {
        let told = self.alerts.iter().filter_map(|(labels, alert)| Some((labels, alert.told?)));
        for (labels, state) in told.chain(self.gone.iter().map(|(labels, state)| (labels, *state)))
        {
            each((labels, Some(state)));
            each((labels, None));
        }
    }
}

#[cfg(test)]
#[path = "alert_tests.rs"]
mod tests;
