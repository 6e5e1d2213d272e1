//! Native histograms of both protocol versions: their message, read and checked.
//!
//! In: the body of a `Histogram`. Out: a [`HistogramPoint`] that passed [`validate`], or a
//! rejection. Never here: storage of histograms, their arithmetic.

use crate::model::histogram::{FloatHistogram, Histogram, IntHistogram};
use crate::model::limits::HISTOGRAM_BUCKETS_MAX;
use crate::model::source::HistogramPoint;
use crate::model::{BucketSpan, CounterResetHint, WriteBatch};

use super::element::{HISTOGRAMS_MAX, Rejections, within};
use super::validate;
use super::wire::{Field, Reader, Value, WireError, zigzag};

const MESSAGE: &str = "Histogram";

/// Reads a `Histogram` and adds it to the batch, or names it among the rejections.
///
/// # Errors
/// The body is not such a message, or there are too many.
pub fn push(
    batch: &mut WriteBatch<'_>,
    rejections: &mut Rejections,
    body: &[u8],
) -> Result<(), WireError> {
    within(batch.histograms.len(), HISTOGRAMS_MAX, "histograms")?;
    let mut point = decode(body)?;
    match validate::check_and_reduce(&mut point.histogram) {
        Ok(()) => batch.histograms.push(point),
        Err(error) => {
            rejections.histograms += 1;
            rejections.explain(|| format!("histogram at {} ms: {error}", point.timestamp));
        }
    }
    Ok(())
}

/// Reads a `Histogram`, unchecked. It is one of floats when its count is one.
///
/// # Errors
/// The body is not such a message.
pub fn decode(body: &[u8]) -> Result<HistogramPoint, WireError> {
    let mut raw = Raw::default();
    let mut reader = Reader::new(body);
    while let Some(field) = reader.field()? {
        raw.take(&field)?;
    }
    Ok(HistogramPoint {
        timestamp: raw.timestamp,
        start_timestamp: raw.start_timestamp,
        histogram: raw.into_histogram(),
    })
}

/// All fields of the message. Of the two forms of a count the last one given holds.
#[derive(Default)]
struct Raw {
    is_float: bool,
    count_int: u64,
    count_float: f64,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    zero_count_int: u64,
    zero_count_float: f64,
    negative_spans: Vec<BucketSpan>,
    negative_deltas: Vec<i64>,
    negative_counts: Vec<f64>,
    positive_spans: Vec<BucketSpan>,
    positive_deltas: Vec<i64>,
    positive_counts: Vec<f64>,
    reset_hint: CounterResetHint,
    timestamp: i64,
    custom_values: Vec<f64>,
    start_timestamp: i64,
}

impl Raw {
    fn take(&mut self, field: &Field<'_>) -> Result<(), WireError> {
        match field.number {
            1 => (self.is_float, self.count_int) = (false, field.varint(MESSAGE)?),
            2 => (self.is_float, self.count_float) = (true, field.double(MESSAGE)?),
            3 => self.sum = field.double(MESSAGE)?,
            4 => self.schema = zigzag(field.varint(MESSAGE)?) as i32,
            5 => self.zero_threshold = field.double(MESSAGE)?,
            6 => self.zero_count_int = field.varint(MESSAGE)?,
            7 => self.zero_count_float = field.double(MESSAGE)?,
            8 => push_span(&mut self.negative_spans, field)?,
            9 => extend_deltas(&mut self.negative_deltas, field)?,
            10 => extend_doubles(&mut self.negative_counts, field)?,
            11 => push_span(&mut self.positive_spans, field)?,
            12 => extend_deltas(&mut self.positive_deltas, field)?,
            13 => extend_doubles(&mut self.positive_counts, field)?,
            14 => self.reset_hint = CounterResetHint::from_number(field.int64(MESSAGE)?),
            15 => self.timestamp = field.int64(MESSAGE)?,
            16 => extend_doubles(&mut self.custom_values, field)?,
            17 => self.start_timestamp = field.int64(MESSAGE)?,
            _ => {}
        }
        Ok(())
    }

    fn into_histogram(self) -> Histogram {
        if self.is_float {
            return Histogram::Float(FloatHistogram {
                counter_reset_hint: self.reset_hint,
                schema: self.schema,
                zero_threshold: self.zero_threshold,
                zero_count: self.zero_count_float,
                count: self.count_float,
                sum: self.sum,
                positive_spans: self.positive_spans,
                negative_spans: self.negative_spans,
                positive_buckets: self.positive_counts,
                negative_buckets: self.negative_counts,
                custom_values: self.custom_values,
            });
        }
        Histogram::Int(IntHistogram {
            counter_reset_hint: self.reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count_int,
            count: self.count_int,
            sum: self.sum,
            positive_spans: self.positive_spans,
            negative_spans: self.negative_spans,
            positive_deltas: self.positive_deltas,
            negative_deltas: self.negative_deltas,
            custom_values: self.custom_values,
        })
    }
}

fn push_span(spans: &mut Vec<BucketSpan>, field: &Field<'_>) -> Result<(), WireError> {
    const MESSAGE: &str = "BucketSpan";
    let mut span = BucketSpan::default();
    let mut reader = Reader::new(field.bytes(MESSAGE)?);
    while let Some(field) = reader.field()? {
        match field.number {
            1 => span.offset = zigzag(field.varint(MESSAGE)?) as i32,
            2 => span.length = field.varint(MESSAGE)? as u32,
            _ => {}
        }
    }
    within(spans.len(), HISTOGRAM_BUCKETS_MAX, "spans in a histogram")?;
    spans.push(span);
    Ok(())
}

/// A repeated `sint64`, packed or one by one.
fn extend_deltas(deltas: &mut Vec<i64>, field: &Field<'_>) -> Result<(), WireError> {
    let mut push = |value: u64| {
        within(deltas.len(), HISTOGRAM_BUCKETS_MAX, "buckets in a histogram")?;
        deltas.push(zigzag(value));
        Ok(())
    };
    match field.value {
        Value::Varint(value) => push(value),
        Value::Bytes(packed) => {
            let mut reader = Reader::new(packed);
            while !reader.is_empty() {
                push(reader.varint()?)?;
            }
            Ok(())
        }
        _ => Err(field.wrong_type(MESSAGE)),
    }
}

/// A repeated `double`, packed or one by one.
fn extend_doubles(values: &mut Vec<f64>, field: &Field<'_>) -> Result<(), WireError> {
    let mut push = |bits: u64| {
        within(values.len(), HISTOGRAM_BUCKETS_MAX, "buckets in a histogram")?;
        values.push(f64::from_bits(bits));
        Ok(())
    };
    match field.value {
        Value::Fixed64(bits) => push(bits),
        Value::Bytes(packed) => {
            let mut reader = Reader::new(packed);
            while !reader.is_empty() {
                push(reader.fixed64()?)?;
            }
            Ok(())
        }
        _ => Err(field.wrong_type(MESSAGE)),
    }
}
