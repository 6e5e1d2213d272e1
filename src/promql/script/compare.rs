//! Whether a value is the expected one.

use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::{BucketSpan, FloatHistogram, Labels, is_stale_nan};
use crate::promql::series_desc::SequenceValue;
use crate::promql::value::{MatrixSeries, PointValue, Value, VectorSample};

use super::When;
use super::expect::{Expectations, Points};

/// Largest accepted difference between floats, relative to their sum.
const TOLERANCE: f64 = 0.000_001;

type Compared = Result<(), String>;

/// Compares; `when` says which times the points of a range belong to.
pub(super) fn compare(expected: &Expectations, when: &When, value: &Value) -> Compared {
    match value {
        Value::Scalar { value, .. } => match expected.scalar {
            Some(wanted) if almost_equal(wanted, *value) => Ok(()),
            Some(wanted) => Err(format!("expected scalar {wanted}, got {value}")),
            None => Err(format!("expected a vector, got scalar {value}")),
        },
        Value::String { value, .. } => match &expected.string {
            Some(wanted) if wanted == value => Ok(()),
            wanted => Err(format!("expected string {wanted:?}, got {value:?}")),
        },
        Value::Vector(_) | Value::Matrix(_) if expected.scalar.is_some() => {
            Err(format!("expected a scalar, got {value:?}"))
        }
        Value::Vector(samples) => vector(expected, samples),
        Value::Matrix(series) => matrix(expected, when, series),
    }
}

fn find<'a>(
    expected: &'a Expectations,
    labels: &Labels,
    got: &dyn std::fmt::Debug,
) -> Result<&'a Points, String> {
    expected
        .series
        .get(labels)
        .ok_or_else(|| format!("expected no series {labels}, got it with {got:?}"))
}

/// Complains about an expected series that `got` does not have.
fn all_found<'a>(expected: &Expectations, got: impl Fn(&Labels) -> bool + 'a) -> Compared {
    match expected.series.iter().find(|(labels, _)| !got(labels)) {
        None => Ok(()),
        Some((labels, points)) => {
            Err(format!("expected series {labels} with {:?}, got none", points.values))
        }
    }
}

fn vector(expected: &Expectations, samples: &[VectorSample]) -> Compared {
    for (index, sample) in samples.iter().enumerate() {
        let points = find(expected, &sample.labels, &sample.value)?;
        let position = index + 1;
        if expected.ordered && points.position != position {
            let (labels, wanted) = (&sample.labels, points.position);
            return Err(format!(
                "expected series {labels} at place {wanted}, got it at {position}"
            ));
        }
        let Some(wanted) = points.values.first() else {
            return Err(format!("expected no value of {}, got one", sample.labels));
        };
        if !same_value(wanted, &sample.value) {
            let (labels, got) = (&sample.labels, &sample.value);
            return Err(format!("expected {wanted:?} for {labels}, got {got:?}"));
        }
    }
    all_found(expected, |labels| samples.iter().any(|sample| sample.labels == *labels))
}

fn same_value(wanted: &SequenceValue, got: &PointValue) -> bool {
    match (wanted, got) {
        (SequenceValue::Float(wanted), PointValue::Float(got)) => almost_equal(*wanted, *got),
        (SequenceValue::Histogram { histogram, hint_given }, PointValue::Histogram(got)) => {
            same_histogram(histogram, got, *hint_given)
        }
        _ => false,
    }
}

/// One point of a series, floats and histograms merged by time.
#[derive(Debug)]
struct Point<'a> {
    timestamp: i64,
    value: Got<'a>,
}

#[derive(Debug)]
enum Got<'a> {
    Float(f64),
    Histogram(&'a FloatHistogram),
}

fn matrix(expected: &Expectations, when: &When, series: &[MatrixSeries]) -> Compared {
    if expected.ordered {
        return Err("expected an ordered result, got a range vector".to_owned());
    }
    assert_sorted(series)?;
    for one in series {
        let wanted = find(expected, &one.labels, &(&one.floats, &one.histograms))?;
        same_points(wanted, when, one)?;
    }
    all_found(expected, |labels| series.iter().any(|one| one.labels == *labels))
}

/// A range vector comes sorted by labels.
pub(super) fn assert_sorted(series: &[MatrixSeries]) -> Compared {
    match series.windows(2).find(|pair| pair[0].labels >= pair[1].labels) {
        None => Ok(()),
        Some(pair) => Err(format!(
            "expected series sorted by labels, got {} before {}",
            pair[0].labels, pair[1].labels
        )),
    }
}

fn same_points(points: &Points, when: &When, got: &MatrixSeries) -> Compared {
    let (start, end, step_ms) = match *when {
        When::Instant(time) => (time.as_millis(), time.as_millis(), 0),
        When::Range { start, end, step_ms } => (start.as_millis(), end.as_millis(), step_ms),
    };
    let labels = &got.labels;
    let mut wanted = Vec::new();
    for (index, value) in points.values.iter().enumerate() {
        let steps = i64::try_from(index).unwrap_or(i64::MAX);
        let timestamp = start.saturating_add(step_ms.saturating_mul(steps));
        if timestamp > end {
            let count = points.values.len();
            return Err(format!("expected {count} points for {labels}, got fewer steps than that"));
        }
        if !matches!(value, SequenceValue::Omitted) {
            wanted.push((timestamp, value));
        }
    }
    let floats = got.floats.iter().map(|(t, v)| Point { timestamp: *t, value: Got::Float(*v) });
    let histograms =
        got.histograms.iter().map(|(t, h)| Point { timestamp: *t, value: Got::Histogram(h) });
    let mut actual: Vec<Point<'_>> = floats.chain(histograms).collect();
    actual.sort_by_key(|point| point.timestamp);
    let same = wanted.len() == actual.len()
        && wanted.iter().zip(&actual).all(|((timestamp, value), point)| {
            *timestamp == point.timestamp && same_point(value, &point.value)
        });
    if same {
        return Ok(());
    }
    Err(format!("expected {} for {labels}, got {}", show(&wanted), show_points(&actual)))
}

fn same_point(wanted: &SequenceValue, got: &Got<'_>) -> bool {
    match (wanted, got) {
        (SequenceValue::Float(wanted), Got::Float(got)) => almost_equal(*wanted, *got),
        (SequenceValue::Histogram { histogram, hint_given }, Got::Histogram(got)) => {
            same_histogram(histogram, got, *hint_given)
        }
        _ => false,
    }
}

fn show(points: &[(i64, &SequenceValue)]) -> String {
    let texts: Vec<String> = points
        .iter()
        .map(|(timestamp, value)| match value {
            SequenceValue::Float(value) => format!("{value} @[{timestamp}]"),
            value => format!("{value:?} @[{timestamp}]"),
        })
        .collect();
    texts.join(" ")
}

fn show_points(points: &[Point<'_>]) -> String {
    let texts: Vec<String> = points
        .iter()
        .map(|Point { timestamp, value }| match value {
            Got::Float(value) => format!("{value} @[{timestamp}]"),
            Got::Histogram(histogram) => format!("{histogram:?} @[{timestamp}]"),
        })
        .collect();
    texts.join(" ")
}

/// Whether two floats are equal but for rounding. The stale marker equals only itself, any other
/// NaN any other NaN (Prometheus `util/almost`).
pub(super) fn almost_equal(a: f64, b: f64) -> bool {
    if is_stale_nan(a) || is_stale_nan(b) {
        return is_stale_nan(a) && is_stale_nan(b);
    }
    if a.is_nan() && b.is_nan() || a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

fn same_histogram(wanted: &FloatHistogram, got: &FloatHistogram, compare_hint: bool) -> bool {
    let buckets = |spans: &[BucketSpan], counts: &[f64]| non_empty(spans, counts);
    wanted.schema == got.schema
        && almost_equal(wanted.count, got.count)
        && almost_equal(wanted.sum, got.sum)
        && wanted.zero_threshold == got.zero_threshold
        && almost_equal(wanted.zero_count, got.zero_count)
        && (wanted.schema != CUSTOM_BUCKETS_SCHEMA || wanted.custom_values == got.custom_values)
        && same_buckets(
            &buckets(&wanted.positive_spans, &wanted.positive_buckets),
            &buckets(&got.positive_spans, &got.positive_buckets),
        )
        && same_buckets(
            &buckets(&wanted.negative_spans, &wanted.negative_buckets),
            &buckets(&got.negative_spans, &got.negative_buckets),
        )
        && (!compare_hint || wanted.counter_reset_hint == got.counter_reset_hint)
}

/// Index and count of the buckets that hold something.
fn non_empty(spans: &[BucketSpan], counts: &[f64]) -> Vec<(i64, f64)> {
    let mut buckets = Vec::new();
    let (mut index, mut counts) = (0i64, counts.iter());
    for span in spans {
        index += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            if *count != 0.0 {
                buckets.push((index, *count));
            }
            index += 1;
        }
    }
    buckets
}

fn same_buckets(a: &[(i64, f64)], b: &[(i64, f64)]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && almost_equal(a.1, b.1))
}
