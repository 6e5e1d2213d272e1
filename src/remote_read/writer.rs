//! Writes protobuf fields.
//!
//! In: numbers and bytes. Out: their encoding at the end of a buffer. Never here: which message it
//! is, save for the histogram, which both forms of an answer may need.

use crate::model::BucketSpan;
use crate::model::histogram::Histogram;
use crate::model::source::HistogramPoint;

/// Appends a variable-length integer.
#[inline]
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes [`varint`] appends for `value`.
#[inline]
pub const fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Appends an integer field.
#[inline]
pub fn integer(out: &mut Vec<u8>, field: u32, value: u64) {
    varint(out, u64::from(field) << 3);
    varint(out, value);
}

/// Appends a `double` field.
#[inline]
pub fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    varint(out, u64::from(field) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a field of bytes.
pub fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    delimited(out, field, value.len());
    out.extend_from_slice(value);
}

/// Appends the key and length of a field of `len` bytes, which have to follow.
pub fn delimited(out: &mut Vec<u8>, field: u32, len: usize) {
    varint(out, u64::from(field) << 3 | 2);
    varint(out, len as u64);
}

/// Appends a field whose bytes `write` appends; its length is put in afterwards.
pub fn nested(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    varint(out, u64::from(field) << 3 | 2);
    let start = out.len();
    write(out);
    let len = (out.len() - start) as u64;
    varint(out, len);
    out[start..].rotate_right(varint_len(len));
}

/// The number of a signed integer in the `sint` types.
#[inline]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Appends the fields of a `prometheus.Histogram`.
pub fn histogram(out: &mut Vec<u8>, point: &HistogramPoint) {
    let (schema, zero_threshold, hint, custom_values) = match &point.histogram {
        Histogram::Int(h) => {
            integer(out, 1, h.count);
            (h.schema, h.zero_threshold, h.counter_reset_hint, &h.custom_values)
        }
        Histogram::Float(h) => {
            double(out, 2, h.count);
            (h.schema, h.zero_threshold, h.counter_reset_hint, &h.custom_values)
        }
    };
    double(out, 3, point.histogram.sum());
    integer(out, 4, zigzag(i64::from(schema)));
    double(out, 5, zero_threshold);
    match &point.histogram {
        Histogram::Int(h) => {
            integer(out, 6, h.zero_count);
            spans(out, 8, &h.negative_spans);
            deltas(out, 9, &h.negative_deltas);
            spans(out, 11, &h.positive_spans);
            deltas(out, 12, &h.positive_deltas);
        }
        Histogram::Float(h) => {
            double(out, 7, h.zero_count);
            spans(out, 8, &h.negative_spans);
            doubles(out, 10, &h.negative_buckets);
            spans(out, 11, &h.positive_spans);
            doubles(out, 13, &h.positive_buckets);
        }
    }
    integer(out, 14, hint as u64);
    integer(out, 15, point.timestamp.cast_unsigned());
    doubles(out, 16, custom_values);
}

fn spans(out: &mut Vec<u8>, field: u32, spans: &[BucketSpan]) {
    for span in spans {
        nested(out, field, |out| {
            integer(out, 1, zigzag(i64::from(span.offset)));
            integer(out, 2, u64::from(span.length));
        });
    }
}

fn deltas(out: &mut Vec<u8>, field: u32, deltas: &[i64]) {
    if !deltas.is_empty() {
        nested(out, field, |out| deltas.iter().for_each(|delta| varint(out, zigzag(*delta))));
    }
}

fn doubles(out: &mut Vec<u8>, field: u32, values: &[f64]) {
    if !values.is_empty() {
        delimited(out, field, values.len() * 8);
        values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_integers_are_known_before() {
        for value in (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit]).chain([u64::MAX]) {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
        }
    }

    #[test]
    fn nested_fields_get_their_length_in_front() {
        for len in [0, 1, 127, 128, 20_000] {
            let (mut direct, mut nested_) = (Vec::new(), Vec::new());
            let content = vec![7; len];
            bytes(&mut direct, 3, &content);
            nested(&mut nested_, 3, |out| out.extend_from_slice(&content));
            assert_eq!(direct, nested_);
        }
    }
}
