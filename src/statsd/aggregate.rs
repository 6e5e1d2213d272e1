//! The state behind the StatsD series: what was counted, set and observed so far.
//!
//! In: events and the time. Out: the present value of every series. Never here: sockets, clocks,
//! the store.
//!
//! Values are what statsd_exporter would expose: counters and the sums and counts of summaries only
//! grow (until a restart), quantiles cover a sliding window, gauges keep their last value. Sets,
//! which statsd_exporter refuses, become gauges with the number of distinct members per flush
//! interval.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use super::line::{self, Event, Kind, Value, escape, parse_line};
use super::metrics::Counts;
use super::quantile::{TARGETS, Window};
use crate::model::labels::METRIC_NAME;
use crate::model::{LabelError, Labels, MetricType, Timestamp};

/// Most distinct members of one set counted per flush interval; 8 bytes each.
pub const SET_MEMBERS_MAX: usize = 65_536;
/// Longest name plus tags, as sent, that is remembered for the quick lookup; longer ones are
/// escaped and sorted again on every line.
const RAW_KEY_BYTES_MAX: usize = 1024;
/// Raw spellings remembered per series on average: clients that send tags in changing order have
/// several for one series.
const RAW_KEYS_PER_SERIES: usize = 2;

/// All StatsD series.
#[derive(Debug)]
pub struct Aggregator {
    series: Vec<Series>,
    by_raw: HashMap<Box<[u8]>, u32, RandomState>,
    by_labels: HashMap<Labels, u32, RandomState>,
    /// Kind of each metric name in use.
    families: HashMap<String, Kind, RandomState>,
    /// Families whose type was not yet written.
    undeclared: Vec<(String, MetricType)>,
    member_hash: RandomState,
    series_max: usize,
    raw_key: Vec<u8>,
}

/// One StatsD series; a summary stands for five stored ones.
#[derive(Debug)]
enum Series {
    Counter(Labels, f64),
    Gauge(Labels, f64),
    Set(Labels, HashSet<u64, RandomState>),
    Summary(Box<Summary>),
}

#[derive(Debug)]
struct Summary {
    quantile_labels: [Labels; TARGETS.len()],
    sum_labels: Labels,
    count_labels: Labels,
    sum: f64,
    count: u64,
    window: Window,
}

/// Why an event has no series.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    Conflict,
    Full,
    Labels(LabelError),
}

impl Aggregator {
    /// An empty state that takes at most `series_max` series (a summary counts once).
    pub fn new(series_max: usize) -> Aggregator {
        Aggregator {
            series: Vec::new(),
            by_raw: HashMap::default(),
            by_labels: HashMap::default(),
            families: HashMap::default(),
            undeclared: Vec::new(),
            member_hash: RandomState::default(),
            series_max: series_max.min(u32::MAX as usize),
            raw_key: Vec::new(),
        }
    }

    /// Number of StatsD series.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether nothing was received yet.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Parses `lines` (separated by `\n` or `\r\n`, empty ones skipped) and applies every event as
    /// of `now`. Adds to `counts` what happened.
    pub fn take_lines(&mut self, lines: &[u8], now: Timestamp, counts: &mut Counts) {
        for line in split_lines(lines) {
            counts.lines += 1;
            parse_line(line, |event| match event {
                Ok(event) => {
                    counts.samples += 1;
                    self.apply(&event, now, counts);
                }
                Err(reason) => counts.refused(reason),
            });
        }
    }

    /// Applies one event as of `now`.
    pub fn apply(&mut self, event: &Event<'_>, now: Timestamp, counts: &mut Counts) {
        let kind = event.value.kind();
        if !event.tags.is_empty() {
            counts.tags += 1;
        }
        match self.slot(event, kind, counts) {
            Ok(slot) => {
                counts.event(kind);
                self.update(slot, &event.value, now, counts);
            }
            Err(Refusal::Conflict) => counts.conflict(kind),
            Err(Refusal::Full) => counts.series_refused += 1,
            Err(Refusal::Labels(_)) => counts.invalid_labels += 1,
        }
    }

    fn slot(
        &mut self,
        event: &Event<'_>,
        kind: Kind,
        counts: &mut Counts,
    ) -> Result<usize, Refusal> {
        self.raw_key.clear();
        self.raw_key.extend_from_slice(event.name.as_bytes());
        self.raw_key.push(b'\n'); // cannot be in a line
        self.raw_key.extend_from_slice(event.tags.as_bytes());
        let slot = match self.by_raw.get(self.raw_key.as_slice()) {
            Some(slot) => *slot as usize,
            None => self.slot_by_labels(event, kind, counts)?,
        };
        if self.series[slot].kind() == kind { Ok(slot) } else { Err(Refusal::Conflict) }
    }

    fn slot_by_labels(
        &mut self,
        event: &Event<'_>,
        kind: Kind,
        counts: &mut Counts,
    ) -> Result<usize, Refusal> {
        let family = escape(event.name);
        let tags = read_tags(event.tags, counts);
        let labels = build_labels(&family, &tags, None).map_err(Refusal::Labels)?;
        let slot = match self.by_labels.get(&labels) {
            Some(slot) => *slot,
            None => self.create(&family, &tags, labels, kind)?,
        };
        let remembered = self.by_raw.len() < self.series_max.saturating_mul(RAW_KEYS_PER_SERIES);
        if remembered && self.raw_key.len() <= RAW_KEY_BYTES_MAX {
            self.by_raw.insert(self.raw_key.as_slice().into(), slot);
        }
        Ok(slot as usize)
    }

    fn create(
        &mut self,
        family: &str,
        tags: &[(String, &str)],
        labels: Labels,
        kind: Kind,
    ) -> Result<u32, Refusal> {
        if self.conflicts(family, kind) {
            return Err(Refusal::Conflict);
        }
        if self.series.len() >= self.series_max {
            return Err(Refusal::Full);
        }
        let series = Series::new(family, tags, labels.clone(), kind).map_err(Refusal::Labels)?;
        if self.families.insert(family.to_owned(), kind).is_none() {
            self.undeclared.push((family.to_owned(), metric_type(kind)));
        }
        let slot = u32::try_from(self.series.len()).expect("BUG: series_max fits u32");
        self.series.push(series);
        self.by_labels.insert(labels, slot);
        Ok(slot)
    }

    /// Whether `family` of `kind` would share a stored name with a family of another kind.
    fn conflicts(&self, family: &str, kind: Kind) -> bool {
        if let Some(known) = self.families.get(family) {
            return *known != kind;
        }
        let is_summary = |name: &str| self.families.get(name) == Some(&Kind::Observer);
        ["_sum", "_count"].into_iter().any(|suffix| {
            family.strip_suffix(suffix).is_some_and(is_summary)
                || kind == Kind::Observer
                    && self.families.contains_key(&format!("{family}{suffix}"))
        })
    }

    fn update(&mut self, slot: usize, value: &Value<'_>, now: Timestamp, counts: &mut Counts) {
        match (&mut self.series[slot], *value) {
            (Series::Counter(_, total), Value::Count(count)) => *total += count,
            (Series::Gauge(_, gauge), Value::GaugeSet(value)) => *gauge = value,
            (Series::Gauge(_, gauge), Value::GaugeAdd(delta)) => *gauge += delta,
            (Series::Summary(summary), Value::Observe { value, weight }) => {
                summary.observe(value, weight, now);
            }
            (Series::Set(_, members), Value::Member(member)) => {
                if members.len() < SET_MEMBERS_MAX {
                    members.insert(self.member_hash.hash_one(member));
                } else {
                    counts.set_members_refused += 1;
                }
            }
            _ => unreachable!("BUG: `slot` compared the kinds"),
        }
    }

    /// Every stored series and its value as of `now`. Sets keep their members until
    /// [`Aggregator::start_interval`].
    pub fn values(&mut self, now: Timestamp) -> Vec<(&Labels, f64)> {
        let mut out = Vec::with_capacity(self.series.len());
        for series in &mut self.series {
            match series {
                Series::Counter(labels, value) | Series::Gauge(labels, value) => {
                    out.push((&*labels, *value));
                }
                Series::Set(labels, members) => out.push((&*labels, members.len() as f64)),
                Series::Summary(summary) => summary.values(now, &mut out),
            }
        }
        out
    }

    /// Begins a new flush interval: sets are empty again.
    pub fn start_interval(&mut self) {
        for series in &mut self.series {
            if let Series::Set(_, members) = series {
                members.clear();
            }
        }
    }

    /// Names and types of the families not yet [declared](Aggregator::declared).
    pub fn undeclared(&self) -> &[(String, MetricType)] {
        &self.undeclared
    }

    /// Says that the types of all families are written.
    pub fn declared(&mut self) {
        self.undeclared.clear();
    }
}

/// The non-empty lines of `lines`, without their line ends.
fn split_lines(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b'\n', lines).chain(std::iter::once(lines.len()));
    let mut start = 0;
    ends.filter_map(move |end| {
        let line = &lines[start..end];
        start = (end + 1).min(lines.len());
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (!line.is_empty()).then_some(line)
    })
}

impl Series {
    fn new(
        family: &str,
        tags: &[(String, &str)],
        labels: Labels,
        kind: Kind,
    ) -> Result<Series, LabelError> {
        Ok(match kind {
            Kind::Counter => Series::Counter(labels, 0.0),
            Kind::Gauge => Series::Gauge(labels, 0.0),
            Kind::Set => Series::Set(labels, HashSet::default()),
            Kind::Observer => Series::Summary(Box::new(Summary::new(family, tags)?)),
        })
    }

    const fn kind(&self) -> Kind {
        match self {
            Series::Counter(..) => Kind::Counter,
            Series::Gauge(..) => Kind::Gauge,
            Series::Set(..) => Kind::Set,
            Series::Summary(_) => Kind::Observer,
        }
    }
}

impl Summary {
    fn new(family: &str, tags: &[(String, &str)]) -> Result<Summary, LabelError> {
        // A tag of that name would clash; the quantile wins, as an own label must.
        let tags: Vec<_> = tags.iter().filter(|(key, _)| key != "quantile").cloned().collect();
        let quantile = |i: usize| build_labels(family, &tags, Some(&TARGETS[i].0.to_string()));
        Ok(Summary {
            quantile_labels: [quantile(0)?, quantile(1)?, quantile(2)?],
            sum_labels: build_labels(&format!("{family}_sum"), &tags, None)?,
            count_labels: build_labels(&format!("{family}_count"), &tags, None)?,
            sum: 0.0,
            count: 0,
            window: Window::new(),
        })
    }

    fn observe(&mut self, value: f64, weight: u64, now: Timestamp) {
        self.sum += value * weight as f64;
        self.count = self.count.saturating_add(weight);
        self.window.observe(value, weight, now);
    }

    fn values<'a>(&'a mut self, now: Timestamp, out: &mut Vec<(&'a Labels, f64)>) {
        self.window.forget_old(now);
        out.extend(self.quantile_labels.iter().zip(self.window.quantiles()));
        out.push((&self.sum_labels, self.sum));
        out.push((&self.count_labels, self.count as f64));
    }
}

const fn metric_type(kind: Kind) -> MetricType {
    match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge | Kind::Set => MetricType::Gauge,
        Kind::Observer => MetricType::Summary,
    }
}

/// The tags with escaped keys; of a repeated key the last one.
fn read_tags<'a>(section: &'a str, counts: &mut Counts) -> Vec<(String, &'a str)> {
    let mut out: Vec<(String, &str)> = Vec::new();
    for tag in line::tags(section) {
        let Ok((key, value)) = tag else {
            counts.tag_errors += 1;
            continue;
        };
        let key = escape(key);
        match out.iter_mut().find(|(known, _)| *known == key) {
            Some(known) => known.1 = value,
            None => out.push((key, value)),
        }
    }
    out
}

fn build_labels(
    name: &str,
    tags: &[(String, &str)],
    quantile: Option<&str>,
) -> Result<Labels, LabelError> {
    let own = std::iter::once((METRIC_NAME, name));
    let tags = tags.iter().map(|(key, value)| (key.as_str(), *value));
    Labels::from_pairs(own.chain(quantile.map(|q| ("quantile", q))).chain(tags))
}

#[cfg(test)]
#[path = "aggregate_tests.rs"]
mod tests;
