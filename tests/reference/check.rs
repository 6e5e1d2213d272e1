//! Whether the engine gives what the reference gives.

use std::collections::BTreeMap;

use tidewatch::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use tidewatch::model::{
    BucketSpan, CounterResetHint, FloatHistogram, Labels as EngineLabels, Timestamp,
};
use tidewatch::promql::memory::{MemorySample, MemorySource, MemoryValue};
use tidewatch::promql::{Engine, EngineOptions, Features, QueryOptions, Value as EngineValue};

use super::data::{self, Labels, Point, Series};
use super::evaluate::{Query, SAME_LABELS, Steps, Value};
use super::histogram::Histo;

/// Relative difference that rounding may make.
const TOLERANCE: f64 = 1e-7;

/// What rounding may leave in a bucket that is empty.
const NOTHING: f64 = 1e-12;

/// The data, the times of the queries, and an engine over the data.
pub struct Bench {
    series: Vec<Series>,
    source: MemorySource,
    engine: Engine,
    times: (i64, i64, i64),
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The same values.
    Same,
    /// Both fail.
    BothFail,
    /// The language leaves the result open, or the reference does not know it: why.
    Open(&'static str),
}

/// The first and last time and the step (ms) of the queries of [`Bench::small`].
const TIMES: (i64, i64, i64) = (1_000_000 + 130_000, 1_000_000 + 560_000, 43_000);
/// When the data begin, in ms.
const START_MS: i64 = 1_000_000;

/// What is always on.
const NEWEST: Features = Features {
    experimental_functions: true,
    extended_range_selectors: true,
    binop_fill_modifiers: true,
    delayed_name_removal: false,
    use_start_timestamps: false,
    type_and_unit_labels: false,
};

impl Bench {
    /// All there is, native histograms too; samples, times and ranges meet at their edges.
    pub fn small() -> Bench {
        let series =
            [data::series(START_MS, 0, true), data::started(START_MS), data::kinds(START_MS)]
                .concat();
        let mut bench = Bench::new(series, TIMES);
        let features = Features { use_start_timestamps: true, ..NEWEST };
        bench.engine = Engine::new(EngineOptions { features, ..EngineOptions::default() });
        bench
    }

    /// These series, asked at `(first, last, step)` in ms.
    pub fn new(series: Vec<Series>, times: (i64, i64, i64)) -> Bench {
        let mut source = MemorySource::new();
        for one in &series {
            let pairs = one.labels.iter().map(|(n, v)| (n.as_str(), v.as_str()));
            let labels = EngineLabels::from_pairs(pairs).expect("valid");
            source.append(&labels, one.samples.iter().map(|sample| stored(sample, &one.starts)));
        }
        let engine = Engine::new(EngineOptions { features: NEWEST, ..EngineOptions::default() });
        Bench { series, source, engine, times }
    }

    /// Evaluates `text` both ways, over a range.
    ///
    /// # Errors
    /// How the results differ.
    pub fn compare(&self, text: &str) -> Result<Outcome, String> {
        let expr = self.engine.parse(text).map_err(|error| format!("{text}: {error}"))?;
        let (start, end, step) = self.times;
        let query = Query::new(&self.series, self.times);
        let wanted = query.range(&expr);
        let options = QueryOptions::default();
        let (first, last) = (Timestamp(start), Timestamp(end));
        let got = self.engine.range(&self.source, text, first, last, step, &options);
        if let Some(why) = query.open.get() {
            return Ok(Outcome::Open(why));
        }
        match (wanted, got) {
            (Err(_), Err(_)) => Ok(Outcome::BothFail),
            // Over a range labels must be unique even where points do not meet.
            (Ok(_), Err(error)) if error.to_string() == SAME_LABELS => Ok(Outcome::BothFail),
            (Ok(_), Err(error)) => Err(format!("{text}\n  the engine fails: {error}")),
            (Err(why), Ok(_)) => Err(format!("{text}\n  the reference fails: {why}")),
            (Ok(wanted), Ok(got)) => {
                let (wanted, got) = (points(&wanted), engine_points(&got.value));
                difference(&wanted, &got)
                    .map_or(Ok(Outcome::Same), |how| Err(format!("{text}\n  {how}")))
            }
        }
    }
}

fn stored((timestamp, point): &(i64, Point), starts: &BTreeMap<i64, i64>) -> MemorySample {
    let value = match point {
        Point::Float(value) => MemoryValue::Float(*value),
        Point::Stale => MemoryValue::Float(tidewatch::model::stale_nan()),
        Point::Histogram(histogram) => MemoryValue::Histogram(Box::new(native(histogram))),
    };
    let start_timestamp = starts.get(timestamp).copied().unwrap_or(0);
    MemorySample { timestamp: *timestamp, start_timestamp, value }
}

/// The histogram as the engine has it.
fn native(histogram: &Histo) -> FloatHistogram {
    let first = histogram.buckets.keys().next().copied().unwrap_or(0);
    let last = histogram.buckets.keys().last().copied().unwrap_or(0);
    let count = |bucket| histogram.buckets.get(&bucket).copied().unwrap_or(0.0);
    FloatHistogram {
        count: histogram.count,
        sum: histogram.sum,
        positive_spans: vec![BucketSpan {
            offset: first as i32,
            length: (last - first + 1) as u32,
        }],
        positive_buckets: (first..=last).map(count).collect(),
        counter_reset_hint: match histogram.is_gauge {
            true => CounterResetHint::Gauge,
            false => CounterResetHint::Unknown,
        },
        schema: if histogram.bounds.is_some() { CUSTOM_BUCKETS_SCHEMA } else { 0 },
        custom_values: histogram.bounds.clone().unwrap_or_default(),
        ..FloatHistogram::default()
    }
}

/// A point of a result: labels, time, and floats: one, or what a histogram holds.
type Found = (Labels, i64, Vec<(String, f64)>);

fn points(steps: &Steps) -> Vec<Found> {
    let mut found = Vec::new();
    for (time, value) in steps {
        match value {
            Value::Scalar(scalar) => {
                found.push((Labels::new(), *time, numbers(&Point::Float(*scalar))))
            }
            Value::Vector(vector) => {
                let point =
                    |e: &super::evaluate::Element| (e.labels.clone(), *time, numbers(&e.point));
                found.extend(vector.iter().map(point));
            }
            other => panic!("no result of a range query: {other:?}"),
        }
    }
    sorted(found)
}

fn numbers(point: &Point) -> Vec<(String, f64)> {
    match point {
        Point::Float(value) => vec![("float".to_owned(), *value)],
        Point::Histogram(h) => {
            let totals = [("count".to_owned(), h.count), ("sum".to_owned(), h.sum)];
            let buckets = h.buckets.iter().filter(|(_, count)| !(count.abs() < NOTHING));
            let buckets = buckets.map(|(bucket, count)| (bucket.to_string(), *count));
            let bounds = h.bounds.iter().flatten().map(|bound| ("bound".to_owned(), *bound));
            let gauge = h.is_gauge.then(|| ("gauge".to_owned(), 1.0));
            totals.into_iter().chain(buckets).chain(bounds).chain(gauge).collect()
        }
        Point::Stale => panic!("a stale marker is no result"),
    }
}

fn sorted(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    found
}

fn engine_points(value: &EngineValue) -> Vec<Found> {
    let EngineValue::Matrix(series) = value else { panic!("a range query gives a matrix") };
    let mut found = Vec::new();
    for one in series {
        let labels: Labels = one.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        for (time, value) in &one.floats {
            found.push((labels.clone(), *time, numbers(&Point::Float(*value))));
        }
        for (time, histogram) in &one.histograms {
            found.push((labels.clone(), *time, numbers(&Point::Histogram(plain(histogram)))));
        }
    }
    sorted(found)
}

/// The histogram as the reference has it.
fn plain(histogram: &FloatHistogram) -> Histo {
    let is_custom = histogram.schema == CUSTOM_BUCKETS_SCHEMA;
    let mut plain = Histo {
        bounds: is_custom.then(|| histogram.custom_values.clone()),
        is_gauge: histogram.counter_reset_hint == CounterResetHint::Gauge,
        count: histogram.count,
        sum: histogram.sum,
        ..Histo::default()
    };
    let (mut bucket, mut counts) = (0i64, histogram.positive_buckets.iter());
    for span in &histogram.positive_spans {
        bucket += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            plain.buckets.insert(bucket, *count);
            bucket += 1;
        }
    }
    plain
}

fn difference(wanted: &[Found], got: &[Found]) -> Option<String> {
    let unlike = wanted.iter().zip(got).find(|(wanted, got)| !same(wanted, got));
    match unlike {
        Some((wanted, got)) => Some(format!("expected {wanted:?}\n  got      {got:?}")),
        None if wanted.len() != got.len() => {
            let (more, of) = if wanted.len() > got.len() { (wanted, got) } else { (got, wanted) };
            Some(format!(
                "{} points expected, {} found; {:?}",
                wanted.len(),
                got.len(),
                more[of.len()]
            ))
        }
        None => None,
    }
}

fn same(a: &Found, b: &Found) -> bool {
    let numbers =
        a.2.len() == b.2.len() && a.2.iter().zip(&b.2).all(|(a, b)| a.0 == b.0 && close(a.1, b.1));
    (&a.0, a.1) == (&b.0, b.1) && numbers
}

/// Whether two numbers differ by no more than rounding does.
pub fn close(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1.0)
}
