//! The state behind the StatsD series: what was counted, set and observed so far.
//!
//! In: lines, where they came from, and the time. Out: the present value of every series. Never
//! here: sockets, clocks, the store.
//!
//! Values are what statsd_exporter would expose: counters, sums and counts only grow, quantiles
//! cover a sliding window, gauges keep their last value. Sets, which statsd_exporter refuses, become
//! gauges with the number of distinct members per flush interval. A series that passed its lifetime
//! is marked as ended and sleeps: should it return, its count goes on and looks like no restart.
//!
//! Memory is bounded at any number of names: there is a limit on stored series, on remembered
//! spellings, on members of sets and on what quantiles hold. What passes a limit is counted.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::airflow::Knowledge;
use super::families::{Conflict, Families};
use super::line::{Event, Item, Kind, Reason, Value, parse_line};
use super::listen::source::Origin;
use super::memory::{Change, Definition};
use super::metrics::Counts;
use super::resolve::{Resolution, Resolver, Spec, What};
use super::samples::Samples;
use super::series::{Inserted, Series};
use super::waiting::Waiting;
use crate::model::limits::SAMPLE_FUTURE_MS_MAX;
use crate::model::{Labels, MetricMetadata, Timestamp};

/// Longest spelling (name, tags, container) that is remembered; longer ones are resolved again on
/// every line.
const SPELLING_BYTES_MAX: usize = 1024;
/// Remembered spellings per allowed series: clients that send tags in changing order have several
/// for one series.
const SPELLINGS_PER_SERIES: usize = 2;
/// Most set members held at a time over all sets; 8 bytes each.
const SET_MEMBERS_TOTAL_MAX: usize = 4 << 20;
/// Most past values of gauges kept for the next flush.
const PAST_MAX: usize = 100_000;
/// A gauge's value with a timestamp this old is no present value, in ms.
const PAST_AFTER_MS: i64 = 60_000;

/// What a spelling led to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Series(Known),
    Dropped(u32),
    Refused(Reason),
    Duplicate,
    Nothing,
    Waits,
}

impl Target {
    /// Whether every further sample of the spelling leads to the same.
    fn is_lasting(self) -> bool {
        !matches!(self, Target::Nothing | Target::Waits)
    }
}

/// The series of a spelling and how its values are treated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    slot: u32,
    rule: Option<u32>,
    scale: f64,
    timer_divisor: f64,
    /// Whether negative samples of a counter are taken.
    signed: bool,
    /// Whether every observation comes twice.
    drop_repeats: bool,
    /// Tags that are left out of every sample.
    tag_errors: u32,
}

/// All StatsD series.
#[derive(Debug)]
pub struct Aggregator {
    pub(super) resolver: Resolver,
    pub(super) series: Vec<Series>,
    /// Stored series of all of `series`.
    pub(super) stored: usize,
    pub(super) series_max: usize,
    pub(super) by_spelling: HashMap<Box<[u8]>, Target, RandomState>,
    pub(super) by_labels: HashMap<Labels, u32, RandomState>,
    pub(super) families: Families,
    pub(super) member_hash: RandomState,
    pub(super) set_members: usize,
    pub(super) sketch_full: bool,
    /// Values of gauges with the time they are of, in ms.
    pub(super) past: VecDeque<(u32, i64, f64)>,
    /// Samples of each mapping rule, in the order of the file.
    pub(super) rule_hits: Vec<u64>,
    pub(super) samples: Samples,
    /// What the traffic has told about Airflows.
    pub(super) knowledge: Knowledge,
    /// Observations that wait for more knowledge.
    pub(super) waiting: Vec<Waiting>,
    /// Whether knowledge has changed since they were tried.
    pub(super) relearned: bool,
    /// The last observation of series whose every observation comes twice.
    pub(super) repeats: HashMap<u32, (f64, i64), RandomState>,
    /// What [`Aggregator::take_changes`] has to tell.
    pub(super) changes: Vec<Change>,
    pub(super) spelling: Vec<u8>,
}

/// Why a sample has no series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Conflict,
    Full,
    Labels,
}

impl Aggregator {
    /// An empty state that makes at most `series_max` stored series.
    pub fn new(series_max: usize) -> Aggregator {
        Aggregator {
            resolver: Resolver::default(),
            series: Vec::new(),
            stored: 0,
            series_max: series_max.min(u32::MAX as usize),
            by_spelling: HashMap::default(),
            by_labels: HashMap::default(),
            families: Families::default(),
            member_hash: RandomState::default(),
            set_members: 0,
            sketch_full: false,
            past: VecDeque::new(),
            rule_hits: Vec::new(),
            samples: Samples::default(),
            knowledge: Knowledge::default(),
            waiting: Vec::new(),
            relearned: false,
            repeats: HashMap::default(),
            changes: Vec::new(),
            spelling: Vec::new(),
        }
    }

    /// Takes new rules; series that exist stay, until samples under the new rules replace them.
    pub fn set_resolver(&mut self, resolver: Resolver) {
        self.rule_hits = vec![0; resolver.mapper.rules().len()];
        self.resolver = resolver;
        self.by_spelling.clear();
        self.knowledge = Knowledge::default();
        self.families.start_generation();
    }

    /// The rules in force.
    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// What the traffic has told about Airflows.
    pub fn knowledge(&self) -> &Knowledge {
        &self.knowledge
    }

    /// Number of StatsD series.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether nothing was received yet.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Number of stored series that StatsD series stand for.
    pub fn stored(&self) -> usize {
        self.stored
    }

    /// Samples each mapping rule matched, in the order of the file.
    pub fn rule_hits(&self) -> &[u64] {
        &self.rule_hits
    }

    /// Lines to look at.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Parses `lines` of one origin (separated by `\n` or `\r\n`, empty ones skipped) and applies
    /// every item as of `now`. Adds to `counts` what happened.
    pub fn take_lines(
        &mut self,
        origin: Origin,
        lines: &[u8],
        now: Timestamp,
        counts: &mut Counts,
    ) {
        self.samples.start_batch();
        let mut last: &[u8] = &[];
        for line in split_lines(lines) {
            counts.lines += 1;
            last = line;
            parse_line(line, |item| {
                let outcome = match item {
                    Ok(Item::Sample(event)) => self.apply(origin, &event, now, counts),
                    Ok(Item::Notice(notice)) => self.apply_notice(&notice, now, counts),
                    Ok(Item::Check(check)) => self.apply_check(&check, now, counts),
                    Err(reason) => Err(reason),
                };
                if let Err(reason) = outcome {
                    counts.refused(reason);
                    self.samples.refused(reason, line, now);
                }
            });
        }
        self.samples.seen(last, now);
        if std::mem::take(&mut self.relearned) && !self.waiting.is_empty() {
            self.resume(now, counts);
        }
    }

    /// Applies one sample as of `now`; `Err` says why it is malformed after all.
    pub(super) fn apply(
        &mut self,
        origin: Origin,
        event: &Event<'_>,
        now: Timestamp,
        counts: &mut Counts,
    ) -> Result<(), Reason> {
        counts.samples += 1;
        let kind = event.value.kind();
        counts.tags += u64::from(!event.tags.is_empty());
        let known = match self.target(origin, event, kind, now) {
            Ok(Target::Series(known)) => known,
            Ok(Target::Dropped(rule)) => {
                counts.dropped += 1;
                self.hit(Some(rule));
                return Ok(());
            }
            Ok(Target::Refused(reason)) => return refused_sample(reason, counts),
            Ok(Target::Duplicate | Target::Nothing) => {
                counts.duplicates += 1;
                return Ok(());
            }
            Ok(Target::Waits) => {
                counts.samples -= 1; // counted when it is its turn
                self.wait(origin, event, now, counts);
                return Ok(());
            }
            Err(refusal) => {
                count_refusal(refusal, kind, counts);
                return Ok(());
            }
        };
        match self.update(known, event, now, counts) {
            Ok(()) => {
                counts.event(kind);
                counts.tag_errors += u64::from(known.tag_errors);
                counts.unmapped += u64::from(known.rule.is_none());
                self.hit(known.rule);
                Ok(())
            }
            Err(reason) => refused_sample(reason, counts),
        }
    }

    #[inline]
    fn hit(&mut self, rule: Option<u32>) {
        if let Some(hits) = rule.and_then(|rule| self.rule_hits.get_mut(rule as usize)) {
            *hits += 1;
        }
    }

    /// Where samples of this spelling go.
    #[inline]
    fn target(
        &mut self,
        origin: Origin,
        event: &Event<'_>,
        kind: Kind,
        now: Timestamp,
    ) -> Result<Target, Refusal> {
        self.spell(origin, event, kind);
        match self.by_spelling.get(self.spelling.as_slice()) {
            Some(target) => Ok(*target),
            None => self.new_target(origin, event, now),
        }
    }

    fn spell(&mut self, origin: Origin, event: &Event<'_>, kind: Kind) {
        let spelling = &mut self.spelling;
        spelling.clear();
        spelling.extend_from_slice(&origin.0.to_le_bytes());
        spelling.push(kind as u8);
        spelling.extend_from_slice(event.name.as_bytes());
        for part in [event.tags, event.container] {
            spelling.push(b'\n'); // cannot be in a line
            spelling.extend_from_slice(part.as_bytes());
        }
    }

    #[cold]
    fn new_target(
        &mut self,
        origin: Origin,
        event: &Event<'_>,
        now: Timestamp,
    ) -> Result<Target, Refusal> {
        // Counted for every sample, and not only where it is resolved.
        let mut left_out = Counts::default();
        let resolution = self.resolver.resolve(origin, event, &mut self.knowledge, &mut left_out);
        self.follow_knowledge();
        let tag_errors = left_out.tag_errors as u32;
        if let (Resolution::Series(spec), Value::Count(count)) = (&resolution, event.value)
            && spec.what == What::Counter
            && count * spec.scale < 0.0
        {
            // No reason to make a series.
            return Ok(Target::Refused(Reason::IllegalNegativeCounter));
        }
        let target = match resolution {
            Resolution::Series(spec) => Target::Series(Known {
                slot: self.slot(&spec, now)?,
                rule: spec.rule,
                scale: spec.scale,
                timer_divisor: spec.timer_divisor,
                signed: spec.treatment.signed,
                drop_repeats: spec.treatment.drop_repeats,
                tag_errors,
            }),
            Resolution::Dropped(rule) => Target::Dropped(rule),
            Resolution::Refused(reason) => Target::Refused(reason),
            Resolution::Duplicate => Target::Duplicate,
            Resolution::Nothing => Target::Nothing,
            Resolution::Waits => Target::Waits,
        };
        if target.is_lasting() && self.spelling.len() <= SPELLING_BYTES_MAX {
            if self.by_spelling.len() >= self.series_max.saturating_mul(SPELLINGS_PER_SERIES) {
                // What is still sent comes back; endless new spellings do not pile up.
                self.by_spelling.clear();
            }
            self.by_spelling.insert(self.spelling.as_slice().into(), target);
        }
        Ok(target)
    }

    /// The series of `spec`, made if need be.
    pub(super) fn slot(&mut self, spec: &Spec, now: Timestamp) -> Result<u32, Refusal> {
        match self.families.check(&spec.family, &spec.what) {
            Ok(()) => {}
            Err(Conflict::Older) => self.forget_family(&spec.family),
            Err(Conflict::Present) => return Err(Refusal::Conflict),
        }
        let new = Series::new(&spec.family, &spec.tags, &spec.what, spec.ttl_ms, now);
        let mut new = new.map_err(|_| Refusal::Labels)?;
        if let Some(slot) = self.by_labels.get(&new.base) {
            let series = &mut self.series[*slot as usize];
            series.ttl_ms = spec.ttl_ms;
            series.treat(&spec.treatment, now);
            return Ok(*slot);
        }
        let stored = self.stored + new.stored();
        if stored > self.series_max {
            return Err(Refusal::Full);
        }
        self.families.add(&spec.family, &spec.what, &spec.help);
        self.changes.push(Change::Made(Definition {
            base: new.base.clone(),
            what: spec.what.clone(),
            ttl_ms: spec.ttl_ms,
        }));
        new.treat(&spec.treatment, now);
        self.push(new, stored);
        Ok(self.series.len() as u32 - 1)
    }

    pub(super) fn push(&mut self, new: Series, stored: usize) {
        self.stored = stored;
        let slot = u32::try_from(self.series.len()).expect("BUG: series_max fits u32");
        self.by_labels.insert(new.base.clone(), slot);
        self.series.push(new);
    }

    #[inline]
    fn update(
        &mut self,
        known: Known,
        event: &Event<'_>,
        now: Timestamp,
        counts: &mut Counts,
    ) -> Result<(), Reason> {
        let present = match event.timestamp {
            None => true,
            Some(seconds) => self.is_present(known, event, seconds, now, counts)?,
        };
        let series = &mut self.series[known.slot as usize];
        match event.value {
            Value::Count(count) => {
                let count = count * known.scale;
                if count < 0.0 && !known.signed {
                    return Err(Reason::IllegalNegativeCounter);
                }
                series.add(count);
            }
            Value::GaugeSet(value) if present => series.set(value * known.scale),
            Value::GaugeAdd(value) if present => {
                match self.resolver.signed_gauges.sets(event.dogstatsd) {
                    true => series.set(value * known.scale),
                    false => series.add(value * known.scale),
                }
            }
            Value::GaugeSet(_) | Value::GaugeAdd(_) => {}
            Value::Observe { value, weight, timer } => {
                let divisor = if timer { known.timer_divisor } else { 1.0 };
                let value = value / divisor * known.scale;
                if known.drop_repeats && self.is_repeat(known.slot, value, now) {
                    counts.duplicates += 1;
                    return Ok(());
                }
                let series = &mut self.series[known.slot as usize];
                series.observe(value, weight, now, !self.sketch_full);
                counts.unsketched += u64::from(self.sketch_full);
            }
            Value::Member(member) => self.insert(known.slot, member, counts),
        }
        let series = &mut self.series[known.slot as usize];
        series.touched = now.as_millis();
        series.asleep = false;
        Ok(())
    }

    /// Whether a sample with a timestamp says something about the present. A gauge's value of the
    /// past is kept for the store; counts of the past are counts all the same.
    #[cold]
    fn is_present(
        &mut self,
        known: Known,
        event: &Event<'_>,
        seconds: i64,
        now: Timestamp,
        counts: &mut Counts,
    ) -> Result<bool, Reason> {
        let at = seconds.checked_mul(1000).ok_or(Reason::MalformedTimestamp)?;
        let now = now.as_millis();
        if at < 0 || at > now.saturating_add(SAMPLE_FUTURE_MS_MAX) {
            return Err(Reason::MalformedTimestamp);
        }
        if let Value::GaugeSet(value) | Value::GaugeAdd(value) = event.value {
            match self.past.len() < PAST_MAX {
                true => self.past.push_back((known.slot, at, value * known.scale)),
                false => counts.past_refused += 1,
            }
        }
        Ok(at >= now.saturating_sub(PAST_AFTER_MS))
    }

    fn insert(&mut self, slot: u32, member: &str, counts: &mut Counts) {
        let room = self.set_members < SET_MEMBERS_TOTAL_MAX;
        let series = &mut self.series[slot as usize];
        match room.then(|| series.insert(member, &self.member_hash)) {
            Some(Inserted::New) => self.set_members += 1,
            Some(Inserted::Known) => {}
            Some(Inserted::Full) | None => counts.set_members_refused += 1,
        }
    }

    /// Names and metadata of the families not yet [declared](Aggregator::declared).
    pub fn undeclared(&self) -> &[(String, MetricMetadata)] {
        self.families.undeclared()
    }

    /// Says that the metadata of the first `count` undeclared families is written.
    pub fn declared(&mut self, count: usize) {
        self.families.declared(count);
    }
}

fn refused_sample(reason: Reason, counts: &mut Counts) -> Result<(), Reason> {
    counts.samples -= 1;
    Err(reason)
}

pub(super) fn count_refusal(refusal: Refusal, kind: Kind, counts: &mut Counts) {
    match refusal {
        Refusal::Conflict => counts.conflict(kind),
        Refusal::Full => counts.series_refused += 1,
        Refusal::Labels => counts.invalid_labels += 1,
    }
}

/// The non-empty lines of `lines`, without their line ends.
pub(super) fn split_lines(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b'\n', lines).chain(std::iter::once(lines.len()));
    let mut start = 0;
    ends.filter_map(move |end| {
        let line = &lines[start..end];
        start = (end + 1).min(lines.len());
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (!line.is_empty()).then_some(line)
    })
}

#[cfg(test)]
#[path = "aggregate_tests.rs"]
mod tests;
