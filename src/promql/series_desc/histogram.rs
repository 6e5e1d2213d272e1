//! Native histograms as text: `{{schema:0 sum:5 count:4 buckets:[1 2 1]}}`, and their sums.

use std::collections::BTreeMap;

use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::histogram_sum::{HistogramSum, IncompatibleBuckets};
use crate::model::limits::HISTOGRAM_BUCKETS_MAX;
use crate::model::parse_duration_ms;
use crate::model::{BucketSpan, CounterResetHint, FloatHistogram};
use crate::promql::lexer::parse_number;

use super::SequenceValue;

/// A histogram and whether its counter reset hint was written down.
#[derive(Clone, Debug)]
pub(super) struct Literal {
    pub histogram: FloatHistogram,
    pub hint_given: bool,
}

impl Literal {
    pub fn into_value(self) -> SequenceValue {
        let Literal { histogram, hint_given } = self;
        SequenceValue::Histogram { histogram: Box::new(histogram), hint_given }
    }
}

/// Parses what stands between the double braces.
pub(super) fn literal(text: &str) -> Result<Literal, String> {
    let mut entries: Vec<(&str, &str)> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) =
            rest.split_once(':').ok_or("missing `:` for histogram descriptor".to_owned())?;
        let (value, after) = value_of(after)?;
        if entries.iter().any(|(known, _)| *known == key) {
            return Err(format!("duplicate key \"{key}\" in histogram"));
        }
        entries.push((key, value));
        rest = after.trim_start();
    }
    build(&entries)
}

/// The value behind a colon, a list or a word, and what follows it.
fn value_of(text: &str) -> Result<(&str, &str), String> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or("unclosed left bracket".to_owned())?;
        return Ok((&text[..=end], &text[end + 1..]));
    }
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    Ok((&text[..end], &text[end..]))
}

fn build(entries: &[(&str, &str)]) -> Result<Literal, String> {
    let mut histogram = FloatHistogram::default();
    let (mut hint_given, mut offset, mut n_offset) = (false, 0, 0);
    for (key, value) in entries {
        match *key {
            "schema" => histogram.schema = integer(value)?,
            "sum" => histogram.sum = number(value)?,
            "count" => histogram.count = number(value)?,
            "z_bucket" => histogram.zero_count = number(value)?,
            "z_bucket_w" => histogram.zero_threshold = number(value)?,
            "custom_values" => histogram.custom_values = list(value)?,
            "buckets" => histogram.positive_buckets = list(value)?,
            "n_buckets" => histogram.negative_buckets = list(value)?,
            "offset" => offset = integer(value)?,
            "n_offset" => n_offset = integer(value)?,
            "counter_reset_hint" => {
                hint_given = true;
                histogram.counter_reset_hint = hint(value)?;
            }
            other => return Err(format!("bad histogram descriptor found: {other:?}")),
        }
    }
    histogram.positive_spans = one_span(offset, histogram.positive_buckets.len());
    histogram.negative_spans = one_span(n_offset, histogram.negative_buckets.len());
    Ok(Literal { histogram, hint_given })
}

fn one_span(offset: i32, buckets: usize) -> Vec<BucketSpan> {
    match u32::try_from(buckets) {
        Ok(length) if length > 0 => vec![BucketSpan { offset, length }],
        _ => Vec::new(),
    }
}

fn integer(text: &str) -> Result<i32, String> {
    text.parse().map_err(|error| format!("error parsing number {text:?} in histogram: {error}"))
}

fn number(text: &str) -> Result<f64, String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match parse_duration_ms(digits) {
        Ok(ms) => ms as f64 / 1000.0,
        Err(_) => parse_number(digits).map_err(|error| error.to_string())?,
    };
    Ok(if negative { -value } else { value })
}

fn list(text: &str) -> Result<Vec<f64>, String> {
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let inner = inner.ok_or_else(|| format!("expected a list in brackets, got {text:?}"))?;
    let values: Vec<f64> = inner.split_whitespace().map(number).collect::<Result<_, _>>()?;
    if values.len() > HISTOGRAM_BUCKETS_MAX {
        return Err(format!("more than {HISTOGRAM_BUCKETS_MAX} buckets in one histogram"));
    }
    Ok(values)
}

fn hint(text: &str) -> Result<CounterResetHint, String> {
    match text {
        "unknown" => Ok(CounterResetHint::Unknown),
        "reset" => Ok(CounterResetHint::Reset),
        "not_reset" => Ok(CounterResetHint::NotReset),
        "gauge" => Ok(CounterResetHint::Gauge),
        other => Err(format!("bad histogram descriptor found: {other:?}")),
    }
}

/// `a + b`, or `a - b` when not `add`. `b` may be finer than `a`, not coarser.
pub(super) fn combine(
    a: &FloatHistogram,
    b: &FloatHistogram,
    add: bool,
) -> Result<FloatHistogram, String> {
    if a.schema > b.schema {
        return Err(format!(
            "error combining histograms: cannot merge from schema {} to {}",
            b.schema, a.schema
        ));
    }
    let custom = |h: &FloatHistogram| h.schema == CUSTOM_BUCKETS_SCHEMA;
    if a.zero_threshold != b.zero_threshold || a.custom_values != b.custom_values {
        return reconciled(a, b, add);
    }
    if custom(a) != custom(b) {
        return Err(format!("error combining histograms: {IncompatibleBuckets}"));
    }
    let sign = if add { 1.0 } else { -1.0 };
    let shift = if custom(a) { 0 } else { b.schema.saturating_sub(a.schema).clamp(0, 31) };
    let mut result = a.clone();
    result.counter_reset_hint = common_hint(a.counter_reset_hint, b.counter_reset_hint);
    result.zero_count += sign * b.zero_count;
    result.count += sign * b.count;
    result.sum += sign * b.sum;
    let merge = |a_spans, a_counts, b_spans, b_counts| {
        let mut buckets = buckets(a_spans, a_counts, 0);
        for (index, count) in self::buckets(b_spans, b_counts, shift) {
            *buckets.entry(index).or_insert(0.0) += sign * count;
        }
        spans(&buckets)
    };
    (result.positive_spans, result.positive_buckets) =
        merge(&a.positive_spans, &a.positive_buckets, &b.positive_spans, &b.positive_buckets);
    (result.negative_spans, result.negative_buckets) =
        merge(&a.negative_spans, &a.negative_buckets, &b.negative_spans, &b.negative_buckets);
    Ok(result)
}

/// The same of histograms whose zero buckets or custom bounds differ.
fn reconciled(a: &FloatHistogram, b: &FloatHistogram, add: bool) -> Result<FloatHistogram, String> {
    let mut sum = HistogramSum::new(a);
    let added = if add { sum.add(b) } else { sum.subtract(b) };
    added.map_err(|error| format!("error combining histograms: {error}"))?;
    let hint = common_hint(a.counter_reset_hint, b.counter_reset_hint);
    Ok(FloatHistogram { counter_reset_hint: hint, ..sum.finish() })
}

/// Gauge wins; otherwise two different hints leave it unknown.
fn common_hint(a: CounterResetHint, b: CounterResetHint) -> CounterResetHint {
    if a == b {
        a
    } else if a == CounterResetHint::Gauge || b == CounterResetHint::Gauge {
        CounterResetHint::Gauge
    } else {
        CounterResetHint::Unknown
    }
}

/// Count by bucket index, the resolution lowered by `shift` schemas.
fn buckets(spans: &[BucketSpan], counts: &[f64], shift: i32) -> BTreeMap<i32, f64> {
    let mut result = BTreeMap::new();
    let (mut index, mut counts) = (0i32, counts.iter());
    for span in spans {
        index = index.saturating_add(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            // Bucket i holds (base^(i-1), base^i]: the upper bound decides.
            let coarse = if shift == 0 { index } else { (index.saturating_sub(1) >> shift) + 1 };
            *result.entry(coarse).or_insert(0.0) += count;
            index = index.saturating_add(1);
        }
    }
    result
}

fn spans(buckets: &BTreeMap<i32, f64>) -> (Vec<BucketSpan>, Vec<f64>) {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut next = 0i32;
    for index in buckets.keys() {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(BucketSpan { offset: index.saturating_sub(next), length: 1 }),
        }
        next = index.saturating_add(1);
    }
    (spans, buckets.values().copied().collect())
}
