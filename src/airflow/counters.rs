//! The counted series of one instance: their values now, and the samples that tell how they came to
//! be.
//!
//! In: [`Occurrence`]s, each with its own time. Out: samples. A counter's samples lie where the
//! things it counts happened, so that history that is read late looks as if it had been watched.
//! Values only grow and outlive restarts: they are remembered, so writing them again changes
//! nothing.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::family::{BUCKETS, Family, Kind, family};
use crate::model::labels::METRIC_NAME;
use crate::model::{LabelError, Labels, Sample, Timestamp};

/// Most counted series (a histogram counts once) of one instance; beyond it new ones are left out.
const SERIES_MAX: usize = 100_000;
/// How long before the first thing it counts a series stands at zero: without that sample `rate`
/// would not see the first.
const ZERO_BEFORE_MS: i64 = 60_000;
/// First letter of the keys of remembered series.
pub const KEY: &str = "c";

/// Something that happened and is counted.
#[derive(Clone, Debug)]
pub struct Occurrence {
    /// When.
    pub at: Timestamp,
    /// What it counts into.
    pub family: &'static Family,
    /// Labels beside those of the instance.
    pub labels: Vec<(&'static str, String)>,
    /// What a histogram observes; a counter grows by it.
    pub value: f64,
}

/// One sample of one series.
pub type Point = (Labels, Sample);

/// The counted series of one instance.
#[derive(Debug)]
pub struct Counters {
    common: Vec<(String, String)>,
    series: HashMap<String, Series>,
    dirty: BTreeSet<String>,
    refused: u64,
    /// Newest time all series were written for.
    all_ms: i64,
}

#[derive(Debug)]
struct Series {
    value: Value,
    /// Names of the stored series, in the order of [`Value::numbers`].
    stored: Vec<Labels>,
}

/// What is remembered.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
struct Value {
    /// One bucket's count each, not added up; empty for a counter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    buckets: Vec<u64>,
    /// The counter, or the sum of what was observed.
    total: f64,
    /// Newest time a sample was written for.
    last_ms: i64,
}

impl Counters {
    /// No series yet; `common` are the labels of the instance.
    pub fn new(common: Vec<(String, String)>) -> Counters {
        Counters { common, series: HashMap::new(), dirty: BTreeSet::new(), refused: 0, all_ms: 0 }
    }

    /// Takes back one remembered series; what is not understood is left out.
    pub fn restore(&mut self, key: &str, bytes: &[u8]) {
        let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { return };
        let mut parts = key.split('\0').skip(1);
        let Some(family) = parts.next().and_then(family) else { return };
        let pairs: Vec<&str> = parts.collect();
        let labels: Vec<(&str, &str)> = pairs.chunks_exact(2).map(|p| (p[0], p[1])).collect();
        if let Ok(stored) = self.stored(family, &labels) {
            if family.kind == Kind::Histogram {
                value.buckets.resize(BUCKETS.len(), 0);
            }
            self.series.insert(key.to_owned(), Series { value, stored });
        }
    }

    /// Counts what happened, oldest first, and adds a sample where it happened. What happened
    /// before the series' newest sample is only in its next one. Nothing is dated after `now`.
    pub fn apply(
        &mut self,
        mut occurrences: Vec<Occurrence>,
        now: Timestamp,
        out: &mut Vec<Point>,
    ) {
        occurrences.sort_by_key(|occurrence| occurrence.at);
        for occurrence in &occurrences {
            let key = key_of(occurrence);
            if !self.series.contains_key(&key) {
                if !self.create(&key, occurrence, now, out) {
                    self.refused += 1;
                    continue;
                }
                self.create_siblings(occurrence, now, out);
            }
            let series = self.series.get_mut(&key).expect("BUG: present or just created");
            series.value.count(occurrence.value);
            let at = occurrence.at.min(now);
            // Several at one time: the last sample holds them all.
            if at.0 >= series.value.last_ms.max(self.all_ms) {
                series.emit(at, out);
            }
            self.dirty.insert(key);
        }
    }

    /// Says that every series may have a sample of that time: what happened before it gets none of
    /// its own any more, or a counter would seem to shrink. To be remembered before [`Counters::all`].
    pub fn written_until(&mut self, at: Timestamp) {
        self.all_ms = self.all_ms.max(at.0);
    }

    /// Every series' value as of `now`.
    pub fn all(&mut self, now: Timestamp, out: &mut Vec<Point>) {
        self.written_until(now);
        for series in self.series.values_mut().filter(|series| series.value.last_ms < now.0) {
            // Not marked as changed: a restart may write at this time again, with the same value.
            series.emit(now, out);
        }
    }

    /// Occurrences that found no series, because their labels are not valid or there are too many.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// What changed since the last call, to be remembered.
    pub fn changes(&mut self) -> Vec<(String, Option<Vec<u8>>)> {
        let dirty = std::mem::take(&mut self.dirty);
        let row = |key: String| {
            let value = &self.series.get(&key)?.value;
            Some((key, Some(serde_json::to_vec(value).expect("BUG: numbers are JSON"))))
        };
        dirty.into_iter().filter_map(row).collect()
    }

    /// The series of the other states a new one's family has from the start.
    fn create_siblings(&mut self, first: &Occurrence, now: Timestamp, out: &mut Vec<Point>) {
        for state in first.family.states {
            let mut sibling = first.clone();
            let own = sibling.labels.iter_mut().find(|(name, _)| *name == "state");
            own.into_iter().for_each(|(_, value)| *value = (*state).to_owned());
            let key = key_of(&sibling);
            if !self.series.contains_key(&key) && self.create(&key, &sibling, now, out) {
                self.dirty.insert(key);
            }
        }
    }

    fn create(
        &mut self,
        key: &str,
        occurrence: &Occurrence,
        now: Timestamp,
        out: &mut Vec<Point>,
    ) -> bool {
        let labels: Vec<(&str, &str)> =
            occurrence.labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let Ok(stored) = self.stored(occurrence.family, &labels) else { return false };
        if self.series.len() >= SERIES_MAX {
            return false;
        }
        let buckets = match occurrence.family.kind {
            Kind::Counter => Vec::new(),
            Kind::Histogram => vec![0; BUCKETS.len()],
        };
        let mut series = Series { value: Value { buckets, ..Value::default() }, stored };
        series.emit(occurrence.at.min(now).saturating_sub(ZERO_BEFORE_MS), out);
        self.series.insert(key.to_owned(), series);
        true
    }

    fn stored(&self, family: &Family, labels: &[(&str, &str)]) -> Result<Vec<Labels>, LabelError> {
        let name = |suffix: &str, le: Option<&str>| {
            let full = format!("{}{suffix}", family.name);
            let common = self.common.iter().map(|(n, v)| (n.as_str(), v.as_str()));
            let own = labels.iter().copied().chain(le.map(|le| ("le", le)));
            Labels::from_pairs(common.chain(own).chain([(METRIC_NAME, full.as_str())]))
        };
        if family.kind == Kind::Counter {
            return Ok(vec![name("", None)?]);
        }
        let buckets = BUCKETS.iter().map(|(_, le)| name("_bucket", Some(le)));
        buckets.chain([name("_sum", None), name("_count", None)]).collect()
    }
}

impl Series {
    fn emit(&mut self, at: Timestamp, out: &mut Vec<Point>) {
        let numbers = self.value.numbers();
        let points = self.stored.iter().zip(numbers);
        out.extend(points.map(|(labels, value)| (labels.clone(), Sample::new(at, value))));
        self.value.last_ms = at.0;
    }
}

impl Value {
    fn count(&mut self, value: f64) {
        self.total += value;
        let slot = BUCKETS.iter().position(|(bound, _)| value <= *bound);
        if let Some(bucket) = slot.and_then(|slot| self.buckets.get_mut(slot)) {
            *bucket = bucket.saturating_add(1);
        }
    }

    /// A counter's value; of a histogram the buckets added up, the sum and the count.
    fn numbers(&self) -> Vec<f64> {
        if self.buckets.is_empty() {
            return vec![self.total];
        }
        let mut below = 0;
        let mut numbers: Vec<f64> = Vec::with_capacity(self.buckets.len() + 2);
        for bucket in &self.buckets {
            below += bucket;
            numbers.push(below as f64);
        }
        numbers.extend([self.total, below as f64]);
        numbers
    }
}

/// `c`, the family and the labels, separated by zero bytes.
fn key_of(occurrence: &Occurrence) -> String {
    let mut key = format!("{KEY}\0{}", occurrence.family.name);
    for (name, value) in &occurrence.labels {
        for part in [*name, value.as_str()] {
            key.push('\0');
            key.push_str(part);
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::airflow::family::{RUN_DURATION, RUNS};

    fn run(at: i64) -> Occurrence {
        let labels = vec![("dag_id", "d".to_owned())];
        Occurrence { at: Timestamp(at), family: &RUNS, labels, value: 1.0 }
    }

    fn values(points: &[Point]) -> Vec<(i64, f64)> {
        points.iter().map(|(_, sample)| (sample.timestamp.0, sample.value)).collect()
    }

    #[test]
    fn things_are_counted_where_they_happened() {
        let mut counters = Counters::new(vec![("instance".to_owned(), "a".to_owned())]);
        let mut out = Vec::new();
        counters.apply(vec![run(300_000), run(200_000)], Timestamp(400_000), &mut out);
        counters.all(Timestamp(400_000), &mut out);
        assert_eq!(values(&out), [(140_000, 0.0), (200_000, 1.0), (300_000, 2.0), (400_000, 2.0)]);
        assert_eq!(out[0].0.value("instance"), "a");
        // Older than what is written: only the total learns of it.
        out.clear();
        counters.apply(vec![run(250_000)], Timestamp(410_000), &mut out);
        counters.all(Timestamp(410_000), &mut out);
        assert_eq!(values(&out), [(410_000, 3.0)]);
    }

    #[test]
    fn what_did_not_happen_yet_is_zero() {
        let mut counters = Counters::new(Vec::new());
        let mut out = Vec::new();
        let mut first = run(200_000);
        first.labels.push(("state", "success".to_owned()));
        counters.apply(vec![first.clone(), first], Timestamp(400_000), &mut out);
        let state = |(labels, sample): &Point| (labels.value("state").to_owned(), sample.value);
        let states: Vec<(String, f64)> = out.iter().map(state).collect();
        let expected = [("success", 0.0), ("failed", 0.0), ("success", 1.0), ("success", 2.0)];
        assert_eq!(states, expected.map(|(state, value)| (state.to_owned(), value)));
        assert_eq!(counters.changes().len(), 2, "both are remembered");
    }

    #[test]
    fn values_outlive_a_restart() {
        let mut counters = Counters::new(Vec::new());
        let mut out = Vec::new();
        counters.apply(vec![run(200_000)], Timestamp(400_000), &mut out);
        let changes = counters.changes();
        assert!(counters.changes().is_empty());
        let mut again = Counters::new(Vec::new());
        for (key, bytes) in changes {
            again.restore(&key, &bytes.expect("a value"));
        }
        out.clear();
        again.apply(vec![run(400_000)], Timestamp(500_000), &mut out);
        assert_eq!(values(&out), [(400_000, 2.0)]);
    }

    #[test]
    fn after_a_restart_no_sample_is_put_before_a_lower_one() {
        let mut counters = Counters::new(Vec::new());
        let mut out = Vec::new();
        counters.apply(vec![run(200_000)], Timestamp(400_000), &mut out);
        let mut again = Counters::new(Vec::new());
        for (key, bytes) in counters.changes() {
            again.restore(&key, &bytes.expect("a value"));
        }
        again.written_until(Timestamp(400_000));
        out.clear();
        again.apply(vec![run(390_000)], Timestamp(410_000), &mut out);
        again.all(Timestamp(410_000), &mut out);
        assert_eq!(values(&out), [(410_000, 2.0)]);
    }

    #[test]
    fn histograms_add_their_buckets_up() {
        let mut counters = Counters::new(Vec::new());
        let mut out = Vec::new();
        let observe = |value| Occurrence { family: &RUN_DURATION, value, ..run(100_000) };
        counters.apply(vec![observe(0.5), observe(40.0)], Timestamp(200_000), &mut out);
        let last = &out[out.len() - 16..];
        let le = |le: &str| {
            let found = last.iter().find(|(labels, _)| labels.value("le") == le);
            found.expect("a bucket").1.value
        };
        assert_eq!((le("1.0"), le("30.0"), le("60.0"), le("+Inf")), (1.0, 1.0, 2.0, 2.0));
        assert_eq!((last[14].1.value, last[15].1.value), (40.5, 2.0));
        assert_eq!(last[14].0.metric_name(), "airflow_dag_run_duration_seconds_sum");
    }
}
