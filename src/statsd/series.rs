//! One StatsD series and what is stored for it.
//!
//! In: values. Out: the stored series with their present values: one for a counter, gauge or set,
//! several for a summary or a histogram. Never here: lookups, limits on their number, clocks.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::histogram::{Buckets, Native};
use super::observer::{HistogramOptions, ObserverOptions, SummaryOptions};
use super::quantile::Window;
use super::resolve::{Treatment, Twin, What};
use crate::model::labels::METRIC_NAME;
use crate::model::{Histogram, LabelError, Labels, MetricType, Timestamp, stale_nan};

/// Most distinct members of one set counted per flush interval; 8 bytes each.
pub const SET_MEMBERS_MAX: usize = 65_536;

/// How long a series is held back while a better form of its metric may come, in ms.
const HOLD_MS: i64 = 60_000;

/// The value of one stored series.
#[derive(Clone, Debug, PartialEq)]
pub enum PointValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Box<Histogram>),
}

/// One stored series with a value.
#[derive(Clone, Debug)]
pub struct Point<'a> {
    /// The stored series.
    pub labels: &'a Labels,
    /// Of when the value is.
    pub timestamp: Timestamp,
    /// The value.
    pub value: PointValue,
}

/// One StatsD series.
#[derive(Debug)]
pub struct Series {
    /// Name and tags.
    pub base: Labels,
    /// When it last had a sample, in ms.
    pub touched: i64,
    /// How long it lives without one, in ms; 0 for ever.
    pub ttl_ms: i64,
    /// Whether it passed its lifetime: nothing is written, but its count goes on should it return.
    pub asleep: bool,
    /// Nothing is written before, in ms.
    pub held_until: i64,
    /// Whether anything was written.
    pub written: bool,
    /// Which form of a metric it holds, when there are several.
    pub twin: Option<Twin>,
    /// Never below zero.
    floor: bool,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Counter(f64),
    /// `None` until it has a present value: it may have had a past one only.
    Gauge(Option<f64>),
    Set(Box<HashSet<u64, RandomState>>),
    Summary(Box<Summary>),
    Buckets(Box<Classic>),
    Native(Box<Native>),
    Both(Box<(Classic, Native)>),
}

#[derive(Debug)]
struct Summary {
    quantile_labels: Box<[Labels]>,
    totals: Totals,
    window: Window,
}

#[derive(Debug)]
struct Classic {
    options: Arc<HistogramOptions>,
    bucket_labels: Box<[Labels]>,
    totals: Totals,
    buckets: Buckets,
}

/// The sum and count of a summary or histogram.
#[derive(Debug)]
struct Totals {
    sum_labels: Labels,
    count_labels: Labels,
    sum: f64,
    count: u64,
}

impl Series {
    /// An empty series.
    ///
    /// # Errors
    /// Its labels pass a limit.
    pub fn new(
        family: &str,
        tags: &[(String, String)],
        what: &What,
        ttl_ms: i64,
        now: Timestamp,
    ) -> Result<Series, LabelError> {
        let data = match what {
            What::Counter => Data::Counter(0.0),
            What::Gauge => Data::Gauge(None),
            What::Set => Data::Set(Box::default()),
            What::Observer(ObserverOptions::Summary(options)) => {
                Data::Summary(Box::new(Summary::new(family, tags, options)?))
            }
            What::Observer(ObserverOptions::Histogram(options)) => {
                let native = options.native().map(Native::new);
                match (options.buckets().is_empty(), native) {
                    (true, Some(native)) => Data::Native(Box::new(native)),
                    (_, None) => Data::Buckets(Box::new(Classic::new(family, tags, options)?)),
                    (false, Some(native)) => {
                        Data::Both(Box::new((Classic::new(family, tags, options)?, native)))
                    }
                }
            }
        };
        let base = build_labels(family, tags, None)?;
        Ok(Series {
            base,
            touched: now.as_millis(),
            ttl_ms,
            asleep: false,
            held_until: i64::MIN,
            written: false,
            twin: None,
            floor: false,
            data,
        })
    }

    /// Treats it in a special way from now on.
    pub fn treat(&mut self, treatment: &Treatment, now: Timestamp) {
        self.twin = treatment.twin;
        self.floor = treatment.floor;
        if treatment.hold && !self.written {
            self.held_until = self.held_until.max(now.as_millis().saturating_add(HOLD_MS));
        }
    }

    /// Grows a counter, or moves a gauge.
    #[inline]
    pub fn add(&mut self, value: f64) {
        match &mut self.data {
            Data::Counter(total) => *total += value,
            Data::Gauge(gauge) => {
                let moved = gauge.unwrap_or(0.0) + value;
                *gauge = Some(if self.floor { moved.max(0.0) } else { moved });
            }
            _ => {}
        }
    }

    /// Sets a gauge.
    #[inline]
    pub fn set(&mut self, value: f64) {
        if let Data::Gauge(gauge) = &mut self.data {
            *gauge = Some(value);
        }
    }

    /// Observes `value` `weight` times; with `sketch` false the quantiles take no notice.
    #[inline]
    pub fn observe(&mut self, value: f64, weight: u64, now: Timestamp, sketch: bool) {
        match &mut self.data {
            Data::Summary(summary) => {
                summary.totals.add(value, weight);
                if sketch {
                    summary.window.observe(value, weight, now);
                }
            }
            Data::Buckets(classic) => classic.observe(value, weight),
            Data::Native(native) => native.observe(value, weight),
            Data::Both(both) => {
                both.0.observe(value, weight);
                both.1.observe(value, weight);
            }
            _ => {}
        }
    }

    /// Adds a member to a set.
    pub fn insert(&mut self, member: &str, hash: &RandomState) -> Inserted {
        match &mut self.data {
            Data::Set(members) if members.len() >= SET_MEMBERS_MAX => Inserted::Full,
            Data::Set(members) => match members.insert(hash.hash_one(member)) {
                true => Inserted::New,
                false => Inserted::Known,
            },
            _ => Inserted::Known,
        }
    }

    /// Begins a new flush interval: a set is empty again.
    pub fn start_interval(&mut self) {
        if let Data::Set(members) = &mut self.data {
            members.clear();
        }
    }

    /// Whether a sample at `now` finds the series past its lifetime.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.ttl_ms > 0 && now.as_millis().saturating_sub(self.touched) > self.ttl_ms
    }

    /// How many series are stored for it.
    pub fn stored(&self) -> usize {
        match &self.data {
            Data::Summary(summary) => summary.quantile_labels.len() + 2,
            Data::Buckets(classic) => classic.bucket_labels.len() + 2,
            Data::Both(both) => both.0.bucket_labels.len() + 3,
            _ => 1,
        }
    }

    /// Cells of memory its quantiles take.
    pub fn sketch_cells(&self) -> usize {
        match &self.data {
            Data::Summary(summary) => summary.window.cells(),
            _ => 0,
        }
    }

    /// Appends the stored series with their present values.
    pub fn points<'a>(&'a mut self, now: Timestamp, out: &mut Vec<Point<'a>>) {
        let base = &self.base;
        let mut push = |labels: &'a Labels, value: f64| {
            out.push(Point { labels, timestamp: now, value: PointValue::Float(value) });
        };
        match &mut self.data {
            Data::Counter(value) | Data::Gauge(Some(value)) => push(base, *value),
            Data::Gauge(None) => {}
            Data::Set(members) => push(base, members.len() as f64),
            Data::Summary(summary) => {
                summary.window.forget_old(now);
                let quantiles = summary.window.quantiles();
                summary.quantile_labels.iter().zip(quantiles).for_each(|(l, q)| push(l, q));
                summary.totals.points(&mut push);
            }
            Data::Buckets(classic) => classic.points(&mut push),
            Data::Native(native) => out.push(native_point(base, native, now)),
            Data::Both(both) => {
                both.0.points(&mut push);
                out.push(native_point(base, &both.1, now));
            }
        }
    }

    /// Appends values of the past, `(time in ms, value)` in ascending order, and the present ones.
    pub fn points_with_past<'a>(
        &'a mut self,
        now: Timestamp,
        past: &[(i64, f64)],
        out: &mut Vec<Point<'a>>,
    ) {
        if past.is_empty() {
            return self.points(now, out);
        }
        let base: &'a Labels = &self.base;
        for (at, value) in past {
            let value = PointValue::Float(*value);
            out.push(Point { labels: base, timestamp: Timestamp(*at), value });
        }
        if let Data::Gauge(Some(value)) = self.data {
            out.push(Point { labels: base, timestamp: now, value: PointValue::Float(value) });
        }
    }

    /// Appends the stored series, each with the mark that it has ended.
    pub fn ends<'a>(&'a self, now: Timestamp, out: &mut Vec<Point<'a>>) {
        let mut end = |labels: &'a Labels| {
            out.push(Point { labels, timestamp: now, value: PointValue::Float(stale_nan()) });
        };
        let totals = |totals: &'a Totals| [&totals.sum_labels, &totals.count_labels];
        match &self.data {
            Data::Gauge(None) => {}
            Data::Counter(_) | Data::Gauge(_) | Data::Set(_) | Data::Native(_) => end(&self.base),
            Data::Summary(summary) => {
                summary.quantile_labels.iter().chain(totals(&summary.totals)).for_each(end);
            }
            Data::Buckets(classic) => {
                classic.bucket_labels.iter().chain(totals(&classic.totals)).for_each(end);
            }
            Data::Both(both) => {
                both.0.bucket_labels.iter().chain(totals(&both.0.totals)).for_each(&mut end);
                end(&self.base);
            }
        }
    }

    /// Takes over what was stored last, as `last` tells it for each stored series; false when
    /// there is nothing to go on from.
    pub fn restore(&mut self, last: &impl Fn(&Labels) -> Option<PointValue>) -> bool {
        let float = |labels: &Labels| match last(labels) {
            Some(PointValue::Float(value)) if value.is_finite() => Some(value),
            _ => None,
        };
        match &mut self.data {
            Data::Counter(total) => float(&self.base).map(|value| *total = value).is_some(),
            Data::Gauge(gauge) => {
                *gauge = float(&self.base);
                gauge.is_some()
            }
            Data::Set(_) => float(&self.base).is_some(),
            Data::Summary(summary) => summary.totals.restore(&float),
            Data::Buckets(classic) => classic.restore(&float),
            Data::Native(native) => restore_native(native, last(&self.base)),
            Data::Both(both) => {
                both.0.restore(&float) && restore_native(&mut both.1, last(&self.base))
            }
        }
    }
}

/// What became of a member of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It was not in the set.
    New,
    /// It was.
    Known,
    /// The set takes no more.
    Full,
}

fn native_point<'a>(labels: &'a Labels, native: &Native, now: Timestamp) -> Point<'a> {
    let histogram = Box::new(Histogram::Int(native.snapshot()));
    Point { labels, timestamp: now, value: PointValue::Histogram(histogram) }
}

fn restore_native(native: &mut Native, last: Option<PointValue>) -> bool {
    match last {
        Some(PointValue::Histogram(histogram)) => match *histogram {
            Histogram::Int(saved) => native.restore(&saved),
            Histogram::Float(_) => false,
        },
        _ => false,
    }
}

impl Totals {
    fn new(family: &str, tags: &[(String, String)]) -> Result<Totals, LabelError> {
        Ok(Totals {
            sum_labels: build_labels(&format!("{family}_sum"), tags, None)?,
            count_labels: build_labels(&format!("{family}_count"), tags, None)?,
            sum: 0.0,
            count: 0,
        })
    }

    fn add(&mut self, value: f64, weight: u64) {
        self.sum += value * weight as f64;
        self.count = self.count.saturating_add(weight);
    }

    fn points<'a>(&'a self, push: &mut impl FnMut(&'a Labels, f64)) {
        push(&self.sum_labels, self.sum);
        push(&self.count_labels, self.count as f64);
    }

    fn restore(&mut self, float: &impl Fn(&Labels) -> Option<f64>) -> bool {
        let (Some(sum), Some(count)) = (float(&self.sum_labels), float(&self.count_labels)) else {
            return false;
        };
        (self.sum, self.count) = (sum, count as u64);
        true
    }
}

impl Summary {
    fn new(
        family: &str,
        tags: &[(String, String)],
        options: &Arc<SummaryOptions>,
    ) -> Result<Summary, LabelError> {
        let quantile = |target: &(f64, f64)| {
            build_labels(family, tags, Some(("quantile", &target.0.to_string())))
        };
        Ok(Summary {
            quantile_labels: options.targets().iter().map(quantile).collect::<Result<_, _>>()?,
            totals: Totals::new(family, tags)?,
            window: Window::new(Arc::clone(options)),
        })
    }
}

impl Classic {
    fn new(
        family: &str,
        tags: &[(String, String)],
        options: &Arc<HistogramOptions>,
    ) -> Result<Classic, LabelError> {
        let name = format!("{family}_bucket");
        // With a decimal point, as Prometheus keeps bounds whatever the exporter wrote.
        let bounds = options.buckets().iter().map(|bound| format!("{bound:?}"));
        let bucket = |bound: String| build_labels(&name, tags, Some(("le", &bound)));
        Ok(Classic {
            options: Arc::clone(options),
            bucket_labels: bounds
                .chain(["+Inf".to_owned()])
                .map(bucket)
                .collect::<Result<_, _>>()?,
            totals: Totals::new(family, tags)?,
            buckets: Buckets::new(options.buckets()),
        })
    }

    fn observe(&mut self, value: f64, weight: u64) {
        self.totals.add(value, weight);
        self.buckets.observe(self.options.buckets(), value, weight);
    }

    fn points<'a>(&'a self, push: &mut impl FnMut(&'a Labels, f64)) {
        let counts = self.buckets.cumulative();
        self.bucket_labels.iter().zip(counts).for_each(|(labels, n)| push(labels, n as f64));
        self.totals.points(push);
    }

    fn restore(&mut self, float: &impl Fn(&Labels) -> Option<f64>) -> bool {
        let counts: Option<Vec<u64>> =
            self.bucket_labels.iter().map(|labels| Some(float(labels)? as u64)).collect();
        counts.is_some_and(|counts| self.buckets.restore(&counts)) && self.totals.restore(float)
    }
}

/// The type a family of `what` is declared with.
pub fn metric_type(what: &What) -> MetricType {
    match what {
        What::Counter => MetricType::Counter,
        What::Gauge | What::Set => MetricType::Gauge,
        What::Observer(ObserverOptions::Summary(_)) => MetricType::Summary,
        What::Observer(ObserverOptions::Histogram(_)) => MetricType::Histogram,
    }
}

/// The names under which a series of `family` stores.
pub fn stored_names(family: &str, what: &What) -> Vec<String> {
    let suffixes: &[&str] = match what {
        What::Counter | What::Gauge | What::Set => &[""],
        What::Observer(ObserverOptions::Summary(_)) => &["_sum", "_count"],
        What::Observer(ObserverOptions::Histogram(_)) => &["", "_sum", "_count", "_bucket"],
    };
    suffixes.iter().map(|suffix| format!("{family}{suffix}")).collect()
}

/// Labels of a stored series. A tag by the name of the own label must yield to it.
fn build_labels(
    name: &str,
    tags: &[(String, String)],
    own: Option<(&str, &str)>,
) -> Result<Labels, LabelError> {
    let own_key = own.map(|(key, _)| key);
    let tags = tags.iter().filter(|(key, _)| Some(key.as_str()) != own_key);
    let tags = tags.map(|(key, value)| (key.as_str(), value.as_str()));
    Labels::from_pairs([(METRIC_NAME, name)].into_iter().chain(own).chain(tags))
}
