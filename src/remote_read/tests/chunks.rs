//! Chunks, read back by a decoder written for these tests from the format's description.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, IntHistogram};
use crate::model::source::HistogramPoint;
use crate::model::{BucketSpan, CounterResetHint, stale_nan};
use crate::remote_read::{histogram_chunk, xor};

/// Reads bits, most significant first.
pub struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8]) -> Bits<'a> {
        Bits { bytes, at: 0 }
    }

    fn bit(&mut self) -> bool {
        let bit = self.bytes[self.at / 8] >> (7 - self.at % 8) & 1 == 1;
        self.at += 1;
        bit
    }

    fn take(&mut self, width: u32) -> u64 {
        (0..width).fold(0, |value, _| value << 1 | u64::from(self.bit()))
    }

    fn ones(&mut self, most: u32) -> u32 {
        (0..most).take_while(|_| self.bit()).count() as u32
    }

    fn signed(&mut self, width: u32) -> i64 {
        let value = self.take(width);
        if width < 64 && value > 1 << (width - 1) {
            value as i64 - (1 << width)
        } else {
            value as i64
        }
    }

    fn varint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.take(8);
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    fn varbit(&mut self) -> i64 {
        match self.ones(8) {
            0 => 0,
            ones => self.signed([3, 6, 9, 12, 18, 25, 56, 64][ones as usize - 1]),
        }
    }

    fn varbit_unsigned(&mut self) -> u64 {
        match self.ones(8) {
            0 => 0,
            ones => self.take([3, 6, 9, 12, 18, 25, 56, 64][ones as usize - 1]),
        }
    }

    fn double(&mut self) -> f64 {
        f64::from_bits(self.take(64))
    }
}

/// Timestamps and value bits of an XOR chunk.
pub fn decode_xor(chunk: &[u8]) -> Vec<(i64, u64)> {
    let count = u16::from_be_bytes([chunk[0], chunk[1]]);
    let mut bits = Bits::new(&chunk[2..]);
    let mut samples: Vec<(i64, u64)> = Vec::new();
    let (mut delta, mut leading, mut trailing) = (0i64, 0, 0);
    for i in 0..count {
        let Some(&(time, value)) = samples.last() else {
            let first = bits.varint();
            let time = (first >> 1) as i64 ^ -((first & 1) as i64);
            samples.push((time, bits.take(64)));
            continue;
        };
        delta = match i {
            1 => bits.varint() as i64,
            _ => delta.wrapping_add(match bits.ones(4) {
                0 => 0,
                ones => bits.signed([14, 17, 20, 64][ones as usize - 1]),
            }),
        };
        let mut value = value;
        if bits.bit() {
            if bits.bit() {
                leading = bits.take(5) as u32;
                let width = bits.take(6) as u32;
                trailing = 64 - leading - if width == 0 { 64 } else { width };
            }
            value ^= bits.take(64 - leading - trailing) << trailing;
        }
        samples.push((time.wrapping_add(delta), value));
    }
    samples
}

fn decode_histogram(chunk: &[u8], is_float: bool) -> HistogramPoint {
    assert_eq!(&chunk[..2], [0, 1]);
    let hint = match chunk[2] {
        0b1000_0000 => CounterResetHint::Reset,
        0b0100_0000 => CounterResetHint::NotReset,
        0b1100_0000 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    };
    let mut bits = Bits::new(&chunk[3..]);
    let zero_threshold = match bits.take(8) {
        0 => 0.0,
        255 => bits.double(),
        exponent => 0.5 * (exponent as f64 - 243.0).exp2(),
    };
    let schema = bits.varbit() as i32;
    let mut spans = || -> Vec<BucketSpan> {
        let count = bits.varbit_unsigned();
        let mut span = || {
            let length = bits.varbit_unsigned() as u32;
            BucketSpan { length, offset: bits.varbit() as i32 }
        };
        (0..count).map(|_| span()).collect()
    };
    let (positive_spans, negative_spans) = (spans(), spans());
    let mut custom_values = Vec::new();
    if schema == CUSTOM_BUCKETS_SCHEMA {
        for _ in 0..bits.varbit_unsigned() {
            custom_values.push(match bits.varbit_unsigned() {
                0 => bits.double(),
                thousandths => (thousandths - 1) as f64 / 1000.0,
            });
        }
    }
    let timestamp = bits.varbit();
    let len = |spans: &[BucketSpan]| spans.iter().map(|span| span.length as usize).sum::<usize>();
    let (positive, negative) = (len(&positive_spans), len(&negative_spans));
    let histogram = if is_float {
        let (count, zero_count, sum) = (bits.double(), bits.double(), bits.double());
        Histogram::Float(FloatHistogram {
            counter_reset_hint: hint,
            schema,
            zero_threshold,
            zero_count,
            count,
            sum,
            positive_buckets: (0..positive).map(|_| bits.double()).collect(),
            negative_buckets: (0..negative).map(|_| bits.double()).collect(),
            positive_spans,
            negative_spans,
            custom_values,
        })
    } else {
        let (count, zero_count) = (bits.varbit_unsigned(), bits.varbit_unsigned());
        let sum = bits.double();
        Histogram::Int(IntHistogram {
            counter_reset_hint: hint,
            schema,
            zero_threshold,
            zero_count,
            count,
            sum,
            positive_deltas: (0..positive).map(|_| bits.varbit()).collect(),
            negative_deltas: (0..negative).map(|_| bits.varbit()).collect(),
            positive_spans,
            negative_spans,
            custom_values,
        })
    };
    HistogramPoint { timestamp, start_timestamp: 0, histogram }
}

fn int_histogram() -> IntHistogram {
    IntHistogram {
        counter_reset_hint: CounterResetHint::Gauge,
        schema: -4,
        zero_threshold: 1e-3,
        zero_count: 100_000,
        count: 100_000 + 2 + 3 + 40_000_000_000,
        sum: -12.5,
        positive_spans: vec![
            BucketSpan { offset: -300, length: 2 },
            BucketSpan { offset: 70_000, length: 1 },
        ],
        positive_deltas: vec![2, 1, 39_999_999_997],
        ..IntHistogram::default()
    }
}

#[test]
fn histograms_come_back() {
    let exponential = int_histogram();
    let custom = IntHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        custom_values: vec![-1.5, 0.25, 1e9],
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
        positive_deltas: vec![5, -2],
        ..IntHistogram::default()
    };
    let negative = IntHistogram {
        negative_spans: vec![BucketSpan { offset: 3, length: 2 }],
        negative_deltas: vec![9, -9],
        ..IntHistogram::default()
    };
    for h in [exponential, custom, negative, IntHistogram::default()] {
        let float = Histogram::Float(h.to_float());
        for (histogram, is_float) in [(Histogram::Int(h), false), (float, true)] {
            let timestamp = 1_700_000_000_000;
            let point = HistogramPoint { timestamp, start_timestamp: 0, histogram };
            assert_eq!(decode_histogram(&histogram_chunk::encode(&point), is_float), point);
        }
    }
}

#[test]
fn stale_histograms_are_empty_chunks() {
    let h = IntHistogram { sum: stale_nan(), ..int_histogram() };
    let histogram = Histogram::Int(h);
    let point = HistogramPoint { timestamp: -5, start_timestamp: 0, histogram };
    let back = decode_histogram(&histogram_chunk::encode(&point), false);
    assert!(back.histogram.is_stale());
    assert_eq!((back.timestamp, back.histogram.to_float().positive_spans.len()), (-5, 0));
}

#[test]
fn a_chunk_byte_for_byte() {
    // Count, zigzag 1000, 1.0 whole, step 1000, and a 0 for "same value".
    let expected = b"\0\x02\xd0\x0f\x3f\xf0\0\0\0\0\0\0\xe8\x07\0";
    assert_eq!(xor::encode(&[1000, 2000], &[1.0, 1.0]), expected);
    // Then: same step (0), value changed (1), in a new window (1) of 12 leading zeros (01100) and
    // 1 significant bit (000001), which is 1.
    let three = xor::encode(&[1000, 2000, 3000], &[1.0, 1.0, 1.5]);
    assert_eq!(three, b"\0\x03\xd0\x0f\x3f\xf0\0\0\0\0\0\0\xe8\x07\x36\x03");
}

proptest! {
    #[test]
    fn floats_come_back(
        start in any::<i64>(),
        steps in vec(prop_oneof![Just(15_000u64), 14_000..16_000u64, 1..(1u64 << 40)], 0..120),
        pool in vec(prop_oneof![any::<u64>(), (0..100u32).prop_map(|n| f64::from(n).to_bits())], 121),
    ) {
        let mut timestamps = vec![start];
        for step in steps {
            timestamps.push(timestamps[timestamps.len() - 1].saturating_add_unsigned(step));
        }
        timestamps.dedup();
        timestamps.truncate(120);
        let values: Vec<f64> = pool.into_iter().map(f64::from_bits).take(timestamps.len()).collect();
        let expected: Vec<(i64, u64)> =
            timestamps.iter().zip(&values).map(|(t, v)| (*t, v.to_bits())).collect();
        prop_assert_eq!(decode_xor(&xor::encode(&timestamps, &values)), expected);
    }
}
