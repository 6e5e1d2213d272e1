//! Native histograms in Prometheus' chunk encodings (`tsdb/chunkenc/histogram.go`,
//! `float_histogram.go`), one histogram a chunk.
//!
//! In: a histogram. Out: the bytes of a chunk that holds it alone: larger than chunks of many, but
//! free of the rules by which many share one layout. Never here: floats.

use crate::model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, IntHistogram};
use crate::model::source::HistogramPoint;
use crate::model::{BucketSpan, CounterResetHint};

use super::bits::BitWriter;

/// Encodes a histogram as a chunk of one.
pub fn encode(point: &HistogramPoint) -> Vec<u8> {
    match &point.histogram {
        // Of a stale marker only the sum counts; a chunk of them has an empty layout.
        Histogram::Int(h) if point.histogram.is_stale() => {
            encode_int(point.timestamp, &IntHistogram { sum: h.sum, ..IntHistogram::default() })
        }
        Histogram::Float(h) if point.histogram.is_stale() => encode_float(
            point.timestamp,
            &FloatHistogram { sum: h.sum, ..FloatHistogram::default() },
        ),
        Histogram::Int(h) => encode_int(point.timestamp, h),
        Histogram::Float(h) => encode_float(point.timestamp, h),
    }
}

fn encode_int(timestamp: i64, h: &IntHistogram) -> Vec<u8> {
    let mut bits = header(h.counter_reset_hint);
    let spans = (&*h.positive_spans, &*h.negative_spans);
    push_layout(&mut bits, h.schema, h.zero_threshold, spans, &h.custom_values);
    bits.push_varbit(timestamp);
    bits.push_varbit_unsigned(h.count);
    bits.push_varbit_unsigned(h.zero_count);
    bits.push(h.sum.to_bits(), 64);
    for delta in h.positive_deltas.iter().chain(&h.negative_deltas) {
        bits.push_varbit(*delta);
    }
    bits.into_bytes()
}

fn encode_float(timestamp: i64, h: &FloatHistogram) -> Vec<u8> {
    let mut bits = header(h.counter_reset_hint);
    let spans = (&*h.positive_spans, &*h.negative_spans);
    push_layout(&mut bits, h.schema, h.zero_threshold, spans, &h.custom_values);
    bits.push_varbit(timestamp);
    for value in [h.count, h.zero_count, h.sum] {
        bits.push(value.to_bits(), 64);
    }
    for count in h.positive_buckets.iter().chain(&h.negative_buckets) {
        bits.push(count.to_bits(), 64);
    }
    bits.into_bytes()
}

/// Number of histograms (one) and what is known of a counter reset.
fn header(hint: CounterResetHint) -> BitWriter {
    let flags = match hint {
        CounterResetHint::Unknown => 0b0000_0000,
        CounterResetHint::Reset => 0b1000_0000,
        CounterResetHint::NotReset => 0b0100_0000,
        CounterResetHint::Gauge => 0b1100_0000,
    };
    BitWriter::after(&[0, 1, flags])
}

fn push_layout(
    bits: &mut BitWriter,
    schema: i32,
    zero_threshold: f64,
    (positive, negative): (&[BucketSpan], &[BucketSpan]),
    bounds: &[f64],
) {
    push_zero_threshold(bits, zero_threshold);
    bits.push_varbit(i64::from(schema));
    push_spans(bits, positive);
    push_spans(bits, negative);
    if schema == CUSTOM_BUCKETS_SCHEMA {
        bits.push_varbit_unsigned(bounds.len() as u64);
        for bound in bounds {
            // The zero announces a whole double; the short form for thousandths is optional.
            bits.push_bit(false);
            bits.push(bound.to_bits(), 64);
        }
    }
}

fn push_spans(bits: &mut BitWriter, spans: &[BucketSpan]) {
    bits.push_varbit_unsigned(spans.len() as u64);
    for span in spans {
        bits.push_varbit_unsigned(u64::from(span.length));
        bits.push_varbit(i64::from(span.offset));
    }
}

/// Zero is a byte of 0; all else is written whole, behind a byte of 255.
fn push_zero_threshold(bits: &mut BitWriter, threshold: f64) {
    if threshold == 0.0 {
        return bits.push(0, 8);
    }
    bits.push(255, 8);
    bits.push(threshold.to_bits(), 64);
}
