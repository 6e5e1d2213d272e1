//! Queues of integrations, notifications that go out, and outcomes that come in.
//!
//! A queue holds groups, not messages: what is told is made up when its turn comes, so that a storm
//! or a receiver that was away for long ends in one message a group with the state of that moment.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::group::{Group, Log, Sending, View, union, without};
use super::{Dirty, IntegrationCounters, Machine, Send};
use crate::model::Timestamp;
use crate::notify::deliver::{Failure, FailureKind, Notification, NotifiedAlert, Outcome, Reason};
use crate::notify::event::{EVENT_ALERTS_MAX, Event, EventKind};

/// Most deliveries of one integration under way: a slow receiver must not use up all threads.
pub const INTEGRATION_IN_FLIGHT_MAX: usize = 2;
/// Most deliveries under way altogether.
pub const IN_FLIGHT_MAX: usize = 64;
/// Most alerts one notification lists; the rest is counted. Nobody reads more, and each is rendered.
pub const NOTIFIED_ALERTS_MAX: usize = 10_000;
/// First pause after a delivery that may work later, in ms; half as much again after each.
const RETRY_FIRST_MS: i64 = 500;
/// Longest such pause, in ms.
const RETRY_MAX_MS: i64 = 60_000;
/// Longest time a receiver may ask to be left alone, in ms.
const RETRY_AFTER_MAX_MS: i64 = 3_600_000;

/// The queue of one integration of one receiver.
#[derive(Debug)]
pub(super) struct Target {
    queue: VecDeque<u64>,
    in_flight: usize,
    pub not_before: Timestamp,
}

impl Default for Target {
    fn default() -> Target {
        Target { queue: VecDeque::new(), in_flight: 0, not_before: Timestamp::MIN }
    }
}

impl Machine {
    /// Queues an integration of a group if it has to be told something.
    pub(super) fn enqueue(&mut self, id: u64, name: &Arc<str>) {
        let Some(mut group) = self.groups.remove(&id) else { return };
        let at = group.logs.iter().position(|log| log.name == *name);
        if let Some(at) = at.filter(|at| self.has_to_be_told(id, &mut group, *at).is_some()) {
            group.logs[at].queued = true;
            let key = (Arc::clone(&group.receiver), Arc::clone(name));
            self.targets.entry(key).or_default().queue.push_back(id);
        }
        self.groups.insert(id, group);
    }

    /// Why and what an integration has to be told; what needs no message is settled here: resolved
    /// alerts for those who do not want to hear of them.
    fn has_to_be_told(&mut self, id: u64, group: &mut Group, at: usize) -> Option<(Reason, View)> {
        let integration = group.logs[at].integration.clone()?;
        let mut view = self.view(group, &group.logs[at]);
        let log = &mut group.logs[at];
        if !integration.send_resolved && !view.resolved.is_empty() {
            log.owed = without(&log.owed, &view.resolved);
            log.firing = without(&log.firing, &view.resolved);
            log.resolved = std::mem::take(&mut view.resolved);
            self.dirty.insert(Dirty::Log(id, Arc::clone(&log.name)));
        }
        let reason = log.reason(&view, self.now, group.timings.repeat_ms)?;
        Some((reason, view))
    }

    /// Hands out what may go out now.
    pub(super) fn pump(&mut self) {
        let keys: Vec<(Arc<str>, Arc<str>)> = self.targets.keys().cloned().collect();
        for key in keys {
            let waiting = self.targets[&key].queue.len();
            for _ in 0..waiting {
                let target = self.targets.get_mut(&key).expect("BUG: only pump removes targets");
                let full = target.in_flight >= INTEGRATION_IN_FLIGHT_MAX;
                if full || target.not_before > self.now || self.in_flight.len() >= IN_FLIGHT_MAX {
                    break;
                }
                let Some(id) = target.queue.pop_front() else { break };
                self.send_one(id, &key);
            }
            let target = &self.targets[&key];
            let idle = target.queue.is_empty() && target.in_flight == 0;
            if idle && target.not_before <= self.now {
                self.targets.remove(&key);
            }
        }
    }

    fn send_one(&mut self, id: u64, key: &(Arc<str>, Arc<str>)) {
        let Some(mut group) = self.groups.remove(&id) else { return };
        let at = group.logs.iter().position(|log| log.name == key.1 && log.queued);
        if let Some(at) = at {
            if group.logs[at].not_before > self.now {
                let target = self.targets.get_mut(key).expect("BUG: pump holds it");
                target.queue.push_back(id);
            } else if let Some((reason, view)) = self.has_to_be_told(id, &mut group, at) {
                self.hand_out(id, &mut group, at, reason, view);
            } else {
                group.logs[at].queued = false;
                group.logs[at].attempts = 0;
            }
        }
        self.groups.insert(id, group);
    }

    fn hand_out(&mut self, id: u64, group: &mut Group, at: usize, reason: Reason, view: View) {
        let notification = self.notification(group, &group.logs[at], reason, &view);
        let log = &mut group.logs[at];
        let number = self.next_send;
        self.next_send += 1;
        let newly_owed = without(&view.firing, &log.owed);
        log.owed = union(&log.owed, &view.firing);
        log.queued = false;
        log.again = false;
        log.sending = Some(Sending {
            number,
            at: self.now,
            reason,
            firing: view.firing,
            resolved: view.resolved,
            newly_owed,
        });
        let name = Arc::clone(&log.name);
        let key = (Arc::clone(&group.receiver), Arc::clone(&name));
        self.targets.entry(key).or_default().in_flight += 1;
        self.dirty.insert(Dirty::Log(id, Arc::clone(&name)));
        self.in_flight.insert(number, (id, name));
        self.effects.sends.push(Send { number, notification });
    }

    fn notification(&self, group: &Group, log: &Log, reason: Reason, view: &View) -> Notification {
        let integration = log.integration.clone().expect("BUG: checked by has_to_be_told");
        let told = view.firing.iter().chain(&view.resolved);
        let entries = told.filter_map(|one| self.alerts.get(self.alerts.find(*one)?));
        let mut alerts: Vec<NotifiedAlert> = entries.map(|entry| entry.notified()).collect();
        alerts.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.labels.cmp(&b.labels)));
        let unlisted = alerts.len().saturating_sub(NOTIFIED_ALERTS_MAX);
        alerts.truncate(NOTIFIED_ALERTS_MAX);
        let receiver = self.config.receiver(&group.receiver);
        Notification {
            receiver: Arc::clone(receiver.expect("BUG: logs have integrations of a receiver")),
            integration,
            group_key: Arc::clone(&group.key),
            group_labels: group.labels.clone(),
            route_labels: Arc::clone(&group.route_labels),
            alerts,
            unlisted,
            reason,
            now: self.now,
            receiver_data: match reason {
                Reason::First => BTreeMap::new(),
                _ => log.data.clone(),
            },
        }
    }

    /// Learns how a delivery went.
    pub fn outcome(&mut self, number: u64, outcome: Outcome, now: Timestamp) {
        self.move_clock(now);
        let Some((id, name)) = self.in_flight.remove(&number) else { return };
        let Some(mut group) = self.groups.remove(&id) else { return };
        let key = (Arc::clone(&group.receiver), Arc::clone(&name));
        if let Some(target) = self.targets.get_mut(&key) {
            target.in_flight = target.in_flight.saturating_sub(1);
        }
        let at = group.logs.iter().position(|log| log.name == name);
        let sending = at.and_then(|at| group.logs[at].sending.take_if(|s| s.number == number));
        let (Some(at), Some(sending)) = (at, sending) else {
            self.groups.insert(id, group);
            return;
        };
        self.dirty.insert(Dirty::Log(id, Arc::clone(&name)));
        let log = &mut group.logs[at];
        log.attempts += 1;
        let kind = log.integration.as_ref().map_or("", |integration| integration.kind());
        self.counters.integrations.entry(kind).or_default().count(&outcome);
        let mut event = event(now, &group, at, &sending);
        let log = &mut group.logs[at];
        match outcome {
            Outcome::Delivered { data, note } => {
                event.note = note.into();
                log.delivered(sending, data);
            }
            Outcome::Retry { failure, after } => {
                log.failed(&sending, &failure);
                let retry_at = self.retry_at(number, &key, log.attempts, after);
                log.not_before = retry_at;
                log.queued = true;
                self.targets.entry(key).or_default().queue.push_back(id);
                event.kind = EventKind::NotifyFailed;
                event.note = failure.message.into();
                event.retry_at = Some(retry_at.0);
            }
            Outcome::Failed(failure) => {
                log.failed(&sending, &failure);
                log.attempts = 0;
                event.kind = EventKind::NotifyFailed;
                event.note = failure.message.into();
            }
        }
        self.backlog.push(event);
        let again = std::mem::take(&mut log.again) && !log.queued;
        self.groups.insert(id, group);
        if again {
            self.enqueue(id, &name);
        }
        self.settle(id);
    }

    /// A pause that grows with the attempts, spread a little so that groups do not come all at once;
    /// longer when the receiver asks for it, and then for all its groups.
    fn retry_at(
        &mut self,
        number: u64,
        key: &(Arc<str>, Arc<str>),
        attempts: u32,
        after: Option<std::time::Duration>,
    ) -> Timestamp {
        let growth = 1.5f64.powi(attempts.saturating_sub(1).min(20).cast_signed());
        let pause = (RETRY_FIRST_MS as f64 * growth).min(RETRY_MAX_MS as f64);
        let spread =
            (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1u64 << 24) as f64;
        let pause = (pause * (0.5 + spread)) as i64;
        let asked = after.map(|after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
        let asked = asked.map(|asked| asked.min(RETRY_AFTER_MAX_MS));
        if let Some(asked) = asked {
            let target = self.targets.entry(key.clone()).or_default();
            target.not_before = target.not_before.max(self.now.saturating_add(asked));
        }
        self.now.saturating_add(pause.max(asked.unwrap_or(0)))
    }

    /// When a queue has something that may go out, if it has anything.
    pub(super) fn target_due(&self, target: &Target) -> Option<Timestamp> {
        if target.in_flight >= INTEGRATION_IN_FLIGHT_MAX || self.in_flight.len() >= IN_FLIGHT_MAX {
            return None; // an outcome comes first
        }
        let logs = |id: &u64| self.groups.get(id).map(|group| group.logs.iter());
        let waiting = target.queue.iter().filter_map(logs).flatten().filter(|log| log.queued);
        let first = waiting.map(|log| log.not_before).min()?;
        Some(first.max(target.not_before))
    }

    /// How many groups wait in queues, and how many deliveries are under way.
    pub fn queue_lengths(&self) -> (usize, usize) {
        let waiting = self.targets.values().map(|target| target.queue.len()).sum();
        (waiting, self.in_flight.len())
    }
}

/// By what alerts are ordered before their labels.
fn order(alert: &NotifiedAlert) -> (&str, &str) {
    (alert.labels.value("job"), alert.labels.value("instance"))
}

impl Log {
    fn delivered(&mut self, sending: Sending, data: Option<BTreeMap<String, String>>) {
        self.owed = without(&self.owed, &sending.resolved);
        self.firing = sending.firing;
        self.resolved = sending.resolved;
        self.told_at = Some(sending.at);
        self.attempts = 0;
        self.not_before = Timestamp::MIN;
        if sending.reason == Reason::First {
            self.data.clear();
        }
        if let Some(data) = data {
            self.data = data;
        }
    }

    /// What certainly did not arrive is not owed.
    fn failed(&mut self, sending: &Sending, failure: &Failure) {
        if !failure.maybe_delivered {
            self.owed = without(&self.owed, &sending.newly_owed);
        }
    }
}

impl IntegrationCounters {
    fn count(&mut self, outcome: &Outcome) {
        self.requests += 1;
        self.requests_failed += u64::from(!matches!(outcome, Outcome::Delivered { .. }));
        match outcome {
            Outcome::Delivered { .. } => self.notifications += 1,
            Outcome::Retry { .. } => {}
            Outcome::Failed(failure) => {
                self.notifications += 1;
                let at = FailureKind::ALL.iter().position(|kind| *kind == failure.kind);
                self.failed[at.expect("BUG: ALL has every kind")] += 1;
            }
        }
    }
}

fn event(now: Timestamp, group: &Group, at: usize, sending: &Sending) -> Event {
    let log = &group.logs[at];
    let alerts = sending.firing.iter().chain(&sending.resolved);
    Event {
        labels: group.labels.clone(),
        receiver: group.receiver[..].into(),
        integration: log.name[..].into(),
        group_key: group.key[..].into(),
        reason: sending.reason.as_str().into(),
        firing: Some(sending.firing.len()),
        resolved: Some(sending.resolved.len()),
        alerts: alerts.take(EVENT_ALERTS_MAX).copied().collect(),
        attempt: Some(log.attempts),
        ..Event::new(EventKind::Notified, now)
    }
}
