//! Observations that have to wait until more is known about their sender.
//!
//! A part of [`Aggregator`]: what a value means can depend on the version of an Airflow, which shows
//! within seconds of its first line. Until then its few doubtful values wait here.

use super::aggregate::Aggregator;
use super::line::{Event, Value};
use super::listen::source::Origin;
use super::metrics::Counts;
use crate::model::Timestamp;

/// Most observations waiting; beyond it further ones are left out.
const WAITING_MAX: usize = 4096;
/// How long an observation waits at most, in ms.
const PATIENCE_MS: i64 = 15_000;
/// How far apart the two of a pair of equal observations may be, in ms.
const REPEAT_MS: i64 = 5_000;

/// An observation that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    origin: Origin,
    name: String,
    tags: String,
    container: String,
    value: f64,
    weight: u64,
    timer: bool,
    dogstatsd: bool,
    since: i64,
}

impl Aggregator {
    /// Lets an observation wait.
    pub(super) fn wait(
        &mut self,
        origin: Origin,
        event: &Event<'_>,
        now: Timestamp,
        counts: &mut Counts,
    ) {
        let Value::Observe { value, weight, timer } = event.value else { return };
        if self.waiting.len() >= WAITING_MAX {
            counts.duplicates += 1;
            return;
        }
        self.waiting.push(Waiting {
            origin,
            name: event.name.to_owned(),
            tags: event.tags.to_owned(),
            container: event.container.to_owned(),
            value,
            weight,
            timer,
            dogstatsd: event.dogstatsd,
            since: now.as_millis(),
        });
    }

    /// Tries again what waits.
    pub(super) fn resume(&mut self, now: Timestamp, counts: &mut Counts) {
        for waiting in std::mem::take(&mut self.waiting) {
            let Waiting { value, weight, timer, .. } = waiting;
            let event = Event {
                name: &waiting.name,
                tags: &waiting.tags,
                container: &waiting.container,
                value: Value::Observe { value, weight, timer },
                timestamp: None,
                dogstatsd: waiting.dogstatsd,
            };
            let waited = self.waiting.len();
            if let Err(reason) = self.apply(waiting.origin, &event, now, counts) {
                counts.refused(reason);
            }
            if let Some(again) = self.waiting.get_mut(waited) {
                again.since = waiting.since;
            }
        }
    }

    /// Ends the waiting of what has waited long enough.
    pub fn settle(&mut self, now: Timestamp, counts: &mut Counts) {
        let oldest = self.waiting.first().map_or(i64::MAX, |waiting| waiting.since);
        if now.as_millis().saturating_sub(oldest) < PATIENCE_MS || self.waiting.is_empty() {
            return;
        }
        if let Some(airflow) = &self.resolver.airflow {
            airflow.settle(&mut self.knowledge);
        }
        self.follow_knowledge();
        self.resume(now, counts);
        // Nothing waits for a sender that is known.
        self.waiting.clear();
    }

    /// Undoes decisions that new knowledge makes wrong.
    pub(super) fn follow_knowledge(&mut self) {
        if std::mem::take(&mut self.knowledge.changed) {
            self.by_spelling.clear();
            self.relearned = true;
        }
        for better in std::mem::take(&mut self.knowledge.outdone) {
            self.retire(better);
        }
    }

    /// Whether the same value was observed just before; then it is forgotten, so that of three
    /// equal ones two count.
    pub(super) fn is_repeat(&mut self, slot: u32, value: f64, now: Timestamp) -> bool {
        let now = now.as_millis();
        match self.repeats.remove(&slot) {
            Some((last, at)) if last == value && now.saturating_sub(at) < REPEAT_MS => true,
            _ => {
                self.repeats.insert(slot, (value, now));
                false
            }
        }
    }
}
