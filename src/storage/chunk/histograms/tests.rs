use proptest::prelude::*;

use super::*;
use crate::model::histogram::{BucketSpan, CounterResetHint, Histogram, IntHistogram};
use crate::model::{FloatHistogram, stale_nan};

/// Equality bit for bit: derived equality says NaN differs from itself.
fn bits(points: &[HistogramPoint]) -> String {
    let float = |v: &f64| v.to_bits();
    let floats = |v: &[f64]| v.iter().map(float).collect::<Vec<_>>();
    points
        .iter()
        .map(|p| match &p.histogram {
            Histogram::Int(h) => {
                let mut plain = h.clone();
                (plain.sum, plain.zero_threshold, plain.custom_values) = (0.0, 0.0, vec![]);
                let exact = (float(&h.sum), float(&h.zero_threshold), floats(&h.custom_values));
                format!("{} {} {plain:?} {exact:?}\n", p.timestamp, p.start_timestamp)
            }
            Histogram::Float(h) => {
                let exact = [h.sum, h.zero_threshold, h.zero_count, h.count].map(|v| float(&v));
                let lists =
                    [&h.custom_values, &h.positive_buckets, &h.negative_buckets].map(|v| floats(v));
                let shape = (h.counter_reset_hint, h.schema, &h.positive_spans, &h.negative_spans);
                format!("{} {} {exact:?} {lists:?} {shape:?}\n", p.timestamp, p.start_timestamp)
            }
        })
        .collect()
}

fn check(points: &[HistogramPoint]) -> usize {
    let mut bytes = Vec::new();
    encode(points, &mut bytes).unwrap();
    let mut out = Vec::new();
    decode(&bytes, &mut out).unwrap();
    assert_eq!(bits(&out), bits(points));
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end], &mut Vec::new()).is_err(), "prefix of {end} bytes");
    }
    bytes.len()
}

fn steady(count: u64) -> Vec<HistogramPoint> {
    (0..count)
        .map(|i| {
            let absolute: Vec<i64> = (0..20).map(|b| (i * (20 - b) + b * b) as i64).collect();
            let mut before = 0;
            let positive_deltas = absolute.iter().map(|c| c - std::mem::replace(&mut before, *c));
            let h = IntHistogram {
                schema: 3,
                zero_threshold: 2.0f64.powi(-128),
                count: i * 210 + 2470,
                sum: i as f64 * 0.125,
                positive_spans: vec![BucketSpan { offset: -4, length: 20 }],
                positive_deltas: positive_deltas.collect(),
                ..IntHistogram::default()
            };
            let timestamp = 1_795_262_400_000 + i as i64 * 15_000;
            HistogramPoint { timestamp, start_timestamp: 0, histogram: Histogram::Int(h) }
        })
        .collect()
}

#[test]
fn steady_histograms_share_their_layout() {
    assert!(check(&steady(120)) < 300, "{}", check(&steady(120)));
    check(&[]);
    check(&steady(1));
}

#[test]
fn kinds_hints_layouts_and_stale_markers_change_freely() {
    let mut points = steady(10);
    if let Histogram::Int(h) = &mut points[3].histogram {
        h.counter_reset_hint = CounterResetHint::Reset;
        h.positive_spans = vec![BucketSpan { offset: i32::MIN, length: u32::MAX }];
        h.positive_deltas = vec![i64::MIN, i64::MAX, -1];
        (h.count, h.zero_count) = (u64::MAX, 1 << 63);
    }
    let float = points[5].histogram.to_float();
    points[5].histogram = Histogram::Float(FloatHistogram {
        schema: -53,
        custom_values: vec![0.1, 2.5, f64::NAN],
        zero_count: -0.0,
        counter_reset_hint: CounterResetHint::Gauge,
        ..float
    });
    points[7].histogram =
        Histogram::Int(IntHistogram { sum: stale_nan(), ..IntHistogram::default() });
    points[8].histogram =
        Histogram::Float(FloatHistogram { sum: stale_nan(), ..FloatHistogram::default() });
    points[9].start_timestamp = i64::MIN;
    check(&points);
}

#[test]
fn too_many_buckets_are_refused() {
    let mut points = steady(1);
    if let Histogram::Int(h) = &mut points[0].histogram {
        h.positive_deltas = vec![0; 10_001];
    }
    assert!(matches!(
        encode(&points, &mut Vec::new()),
        Err(CodecError::LimitExceeded { found: 10_001, .. })
    ));
}

fn point() -> impl Strategy<Value = Histogram> {
    let list = || prop::collection::vec(any::<i64>(), 0..3);
    let span =
        (any::<i32>(), any::<u32>()).prop_map(|(offset, length)| BucketSpan { offset, length });
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), 0i64..4);
    (any::<bool>(), numbers, list(), list(), prop::collection::vec(span, 0..2)).prop_map(
        |(float, (count, zero_count, sum, hint), positive, negative, positive_spans)| {
            let h = IntHistogram {
                counter_reset_hint: CounterResetHint::from_number(hint),
                count,
                zero_count,
                sum: f64::from_bits(sum),
                positive_spans,
                positive_deltas: positive,
                negative_deltas: negative,
                ..IntHistogram::default()
            };
            if float { Histogram::Float(h.to_float()) } else { Histogram::Int(h) }
        },
    )
}

proptest! {
    #[test]
    fn any_histograms_come_back(histograms in prop::collection::vec(point(), 0..30)) {
        let points: Vec<HistogramPoint> = histograms.into_iter().enumerate().map(|(i, histogram)| {
            HistogramPoint { timestamp: i as i64 * 7, start_timestamp: 0, histogram }
        }).collect();
        check(&points);
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes, &mut Vec::new());
    }
}
