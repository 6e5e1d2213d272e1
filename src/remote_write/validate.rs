//! Whether a native histogram makes sense, and the reduction of resolutions nobody supports.
//!
//! In: a histogram as it was sent. Out: the same, fit to be stored, or a [`HistogramError`].
//! Never here: the wire format. The rules are those of Prometheus' `model/histogram`
//! (`Validate`, `ReduceResolution`), which its receiver applies.

use std::fmt;

use crate::model::BucketSpan;
use crate::model::histogram::{
    CUSTOM_BUCKETS_SCHEMA, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN, FloatHistogram,
    Histogram, IntHistogram,
};

/// The finest exponential schema number the protocol reserves; beyond 8 it is reduced to 8.
const RESERVED_SCHEMA_MAX: i32 = 52;

/// Which buckets an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Buckets of positive observations, or custom ones.
    Positive,
    /// Buckets of negative observations.
    Negative,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Positive => "positive side",
            Side::Negative => "negative side",
        })
    }
}

/// Why a histogram is not accepted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum HistogramError {
    /// No known schema.
    Schema(i32),
    /// A span other than the first goes back: (side, number from 1, offset).
    SpanOffset(Side, usize, i32),
    /// Spans and buckets disagree: (side, buckets the spans need, buckets there are).
    SpansMismatch(Side, u64, usize),
    /// A bucket index that no schema can have.
    BucketIndex(Side),
    /// A bucket with a negative count, or one beyond all integers: (side, number from 1).
    BucketCount(Side, usize),
    /// The count is not the sum of the buckets: (count, sum of the buckets).
    CountMismatch(u64, u64),
    /// The count is less than the sum of the buckets: (count, sum of the buckets).
    CountTooSmall(u64, u64),
    /// An exponential histogram with custom bounds.
    UnexpectedBounds,
    /// A histogram with custom bounds and the named part of an exponential one.
    UnexpectedPart(&'static str),
    /// Custom bounds do not ascend, or are infinite or no number: (bound).
    Bounds(f64),
    /// Spans reach beyond the custom bounds: (bounds, buckets spanned).
    TooFewBounds(usize, i64),
}

impl fmt::Display for HistogramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HistogramError::Schema(schema) => write!(f, "schema {schema} is not known"),
            HistogramError::SpanOffset(side, number, offset) => {
                write!(f, "{side}: span {number} has the negative offset {offset}")
            }
            HistogramError::SpansMismatch(side, need, have) => {
                write!(f, "{side}: spans need {need} buckets, there are {have}")
            }
            HistogramError::BucketIndex(side) => {
                write!(f, "{side}: spans reach beyond every possible bucket")
            }
            HistogramError::BucketCount(side, number) => {
                write!(f, "{side}: count of bucket {number} is negative or too large")
            }
            HistogramError::CountMismatch(count, sum) => {
                write!(f, "count is {count}, but the buckets hold {sum} observations")
            }
            HistogramError::CountTooSmall(count, sum) => {
                write!(f, "count is {count}, less than the {sum} observations in the buckets")
            }
            HistogramError::UnexpectedBounds => {
                f.write_str("an exponential schema does not go with custom bounds")
            }
            HistogramError::UnexpectedPart(part) => {
                write!(f, "custom bounds do not go with {part}")
            }
            HistogramError::Bounds(bound) => {
                write!(f, "custom bound {bound} does not ascend, or is not finite")
            }
            HistogramError::TooFewBounds(bounds, spanned) => {
                write!(f, "{bounds} custom bounds do not cover the {spanned} spanned buckets")
            }
        }
    }
}

impl std::error::Error for HistogramError {}

/// Checks a histogram and, where its resolution is finer than schema 8, merges its buckets to
/// schema 8.
///
/// # Errors
/// It contradicts itself; it is then unchanged.
pub fn check_and_reduce(histogram: &mut Histogram) -> Result<(), HistogramError> {
    match histogram {
        Histogram::Int(int) => {
            check_int(int)?;
            reduce_int(int);
        }
        Histogram::Float(float) => {
            check_float(float)?;
            reduce_float(float);
        }
    }
    Ok(())
}

fn check_int(h: &IntHistogram) -> Result<(), HistogramError> {
    let (positive, negative) = (h.positive_deltas.len(), h.negative_deltas.len());
    if h.schema == CUSTOM_BUCKETS_SCHEMA {
        let no_zero = h.zero_count == 0 && h.zero_threshold == 0.0;
        check_custom(&h.custom_values, &h.positive_spans, positive, no_zero)?;
        check_no_negative(&h.negative_spans, negative)?;
    } else {
        check_exponential(h.schema, &h.custom_values)?;
        check_spans(Side::Positive, &h.positive_spans, positive)?;
        check_spans(Side::Negative, &h.negative_spans, negative)?;
    }
    let in_buckets = sum_of(Side::Negative, &h.negative_deltas)?
        .checked_add(sum_of(Side::Positive, &h.positive_deltas)?)
        .and_then(|sum| sum.checked_add(h.zero_count))
        .ok_or(HistogramError::CountTooSmall(h.count, u64::MAX))?;
    // Observations of NaN are counted, but are in no bucket.
    if h.sum.is_nan() && in_buckets > h.count {
        return Err(HistogramError::CountTooSmall(h.count, in_buckets));
    }
    if !h.sum.is_nan() && in_buckets != h.count {
        return Err(HistogramError::CountMismatch(h.count, in_buckets));
    }
    Ok(())
}

/// Counts of floats are not compared with the sum of the buckets: they come out of arithmetic.
fn check_float(h: &FloatHistogram) -> Result<(), HistogramError> {
    let (positive, negative) = (h.positive_buckets.len(), h.negative_buckets.len());
    if h.schema == CUSTOM_BUCKETS_SCHEMA {
        let no_zero = h.zero_count == 0.0 && h.zero_threshold == 0.0;
        check_custom(&h.custom_values, &h.positive_spans, positive, no_zero)?;
        check_no_negative(&h.negative_spans, negative)?;
    } else {
        check_exponential(h.schema, &h.custom_values)?;
        check_spans(Side::Positive, &h.positive_spans, positive)?;
        check_spans(Side::Negative, &h.negative_spans, negative)?;
    }
    check_counts(Side::Negative, &h.negative_buckets)?;
    check_counts(Side::Positive, &h.positive_buckets)
}

fn check_exponential(schema: i32, custom_values: &[f64]) -> Result<(), HistogramError> {
    if !(EXPONENTIAL_SCHEMA_MIN..=RESERVED_SCHEMA_MAX).contains(&schema) {
        return Err(HistogramError::Schema(schema));
    }
    if custom_values.is_empty() { Ok(()) } else { Err(HistogramError::UnexpectedBounds) }
}

fn check_no_negative(spans: &[BucketSpan], buckets: usize) -> Result<(), HistogramError> {
    if spans.is_empty() && buckets == 0 {
        return Ok(());
    }
    Err(HistogramError::UnexpectedPart("negative buckets"))
}

fn check_custom(
    bounds: &[f64],
    spans: &[BucketSpan],
    buckets: usize,
    no_zero_bucket: bool,
) -> Result<(), HistogramError> {
    let mut previous = f64::NEG_INFINITY;
    for &bound in bounds {
        // A bound that is no number compares with nothing and is refused here, too.
        if !(bound > previous && bound < f64::INFINITY) {
            return Err(HistogramError::Bounds(bound));
        }
        previous = bound;
    }
    if let Some(first) = spans.first().filter(|span| span.offset < 0) {
        return Err(HistogramError::SpanOffset(Side::Positive, 1, first.offset));
    }
    check_spans(Side::Positive, spans, buckets)?;
    let spanned: i64 = spans.iter().map(|s| i64::from(s.offset) + i64::from(s.length)).sum();
    if bounds.len() as i64 + 1 < spanned {
        return Err(HistogramError::TooFewBounds(bounds.len(), spanned));
    }
    if no_zero_bucket { Ok(()) } else { Err(HistogramError::UnexpectedPart("a zero bucket")) }
}

/// Spans go upwards, cover exactly the buckets there are, and stay within the integers.
fn check_spans(side: Side, spans: &[BucketSpan], buckets: usize) -> Result<(), HistogramError> {
    let mut index = 0i64;
    let mut need = 0u64;
    for (i, span) in spans.iter().enumerate() {
        if i > 0 && span.offset < 0 {
            return Err(HistogramError::SpanOffset(side, i + 1, span.offset));
        }
        need += u64::from(span.length);
        // At most 10 000 spans of less than 2^33: no overflow.
        index += i64::from(span.offset) + i64::from(span.length);
    }
    if need != buckets as u64 {
        return Err(HistogramError::SpansMismatch(side, need, buckets));
    }
    if i32::try_from(index).is_err() { Err(HistogramError::BucketIndex(side)) } else { Ok(()) }
}

/// Sum of all bucket counts, given as differences; it fits an `i64`.
fn sum_of(side: Side, deltas: &[i64]) -> Result<u64, HistogramError> {
    let (mut count, mut sum) = (0i64, 0i64);
    for (i, delta) in deltas.iter().enumerate() {
        let refused = HistogramError::BucketCount(side, i + 1);
        count = count.checked_add(*delta).filter(|c| *c >= 0).ok_or_else(|| refused.clone())?;
        sum = sum.checked_add(count).ok_or(refused)?;
    }
    Ok(sum.unsigned_abs())
}

fn check_counts(side: Side, counts: &[f64]) -> Result<(), HistogramError> {
    match counts.iter().position(|count| *count < 0.0) {
        Some(i) => Err(HistogramError::BucketCount(side, i + 1)),
        None => Ok(()),
    }
}

fn reduce_int(h: &mut IntHistogram) {
    let Some(steps) = steps_above_max(h.schema) else { return };
    for (spans, deltas) in [
        (&mut h.positive_spans, &mut h.positive_deltas),
        (&mut h.negative_spans, &mut h.negative_deltas),
    ] {
        let mut count = 0;
        let counts = deltas.iter().map(|delta| {
            count += delta; // checked by `sum_of`
            count
        });
        let merged = merge(spans, counts, steps);
        let mut previous = 0;
        *deltas = merged.iter().map(|(_, n)| n - std::mem::replace(&mut previous, *n)).collect();
        *spans = spans_of(merged.iter().map(|(index, _)| *index));
    }
    h.schema = EXPONENTIAL_SCHEMA_MAX;
}

fn reduce_float(h: &mut FloatHistogram) {
    let Some(steps) = steps_above_max(h.schema) else { return };
    for (spans, buckets) in [
        (&mut h.positive_spans, &mut h.positive_buckets),
        (&mut h.negative_spans, &mut h.negative_buckets),
    ] {
        let merged = merge(spans, buckets.iter().copied(), steps);
        *buckets = merged.iter().map(|(_, count)| *count).collect();
        *spans = spans_of(merged.iter().map(|(index, _)| *index));
    }
    h.schema = EXPONENTIAL_SCHEMA_MAX;
}

/// By how many halvings of the resolution a schema is too fine.
fn steps_above_max(schema: i32) -> Option<u32> {
    u32::try_from(schema - EXPONENTIAL_SCHEMA_MAX).ok().filter(|steps| *steps > 0)
}

/// The buckets after halving the resolution `steps` times, as (index, count) in ascending order.
/// Bucket i of a schema lies in bucket ceil(i / 2) of the next coarser one.
fn merge<N: Copy + std::ops::AddAssign>(
    spans: &[BucketSpan],
    counts: impl Iterator<Item = N>,
    steps: u32,
) -> Vec<(i32, N)> {
    let mut merged: Vec<(i32, N)> = Vec::new();
    for (index, count) in indexes(spans).zip(counts) {
        let index = (((index - 1) >> steps) + 1) as i32; // nearer to zero than an i32
        match merged.last_mut() {
            Some((last, sum)) if *last == index => *sum += count,
            _ => merged.push((index, count)),
        }
    }
    merged
}

/// The index of every bucket that spans describe.
fn indexes(spans: &[BucketSpan]) -> impl Iterator<Item = i64> + '_ {
    let mut next = 0i64;
    spans.iter().flat_map(move |span| {
        let start = next + i64::from(span.offset);
        next = start + i64::from(span.length);
        start..next
    })
}

/// The spans that describe buckets with these ascending indexes.
fn spans_of(indexes: impl Iterator<Item = i32>) -> Vec<BucketSpan> {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut next = 0;
    for index in indexes {
        match spans.last_mut() {
            Some(last) if index == next => last.length += 1,
            _ => spans.push(BucketSpan { offset: index - next, length: 1 }),
        }
        next = index + 1;
    }
    spans
}
