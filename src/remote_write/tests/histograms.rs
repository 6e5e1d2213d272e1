//! Which histograms are accepted, and the reduction of their resolution.

use crate::model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, IntHistogram};
use crate::model::{BucketSpan, stale_nan};
use crate::remote_write::validate::{HistogramError, Side, check_and_reduce};

fn span(offset: i32, length: u32) -> BucketSpan {
    BucketSpan { offset, length }
}

/// Counts 2, 3, 0, 4 in buckets 0, 1, 3, 4; one in the zero bucket.
fn exponential() -> IntHistogram {
    IntHistogram {
        schema: 3,
        zero_threshold: 0.001,
        zero_count: 1,
        count: 10,
        sum: 12.5,
        positive_spans: vec![span(0, 2), span(1, 2)],
        positive_deltas: vec![2, 1, -3, 4],
        ..IntHistogram::default()
    }
}

fn custom() -> IntHistogram {
    IntHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 5,
        sum: 12.5,
        positive_spans: vec![span(0, 3)],
        positive_deltas: vec![2, -1, 1],
        custom_values: vec![0.5, 1.0],
        ..IntHistogram::default()
    }
}

fn check(histogram: &IntHistogram) -> Result<(), HistogramError> {
    check_and_reduce(&mut Histogram::Int(histogram.clone()))
}

fn check_with(
    change: impl Fn(&mut IntHistogram),
    base: IntHistogram,
) -> Result<(), HistogramError> {
    let mut histogram = base;
    change(&mut histogram);
    check(&histogram)
}

#[test]
fn sound_histograms_pass_unchanged() {
    let stale = IntHistogram { sum: stale_nan(), ..IntHistogram::default() };
    for histogram in [exponential(), custom(), stale, IntHistogram::default()] {
        let mut checked = Histogram::Int(histogram.clone());
        assert_eq!(check_and_reduce(&mut checked), Ok(()));
        assert_eq!(format!("{checked:?}"), format!("{:?}", Histogram::Int(histogram)));
    }
}

#[test]
fn exponential_histograms_that_contradict_themselves_are_refused() {
    use HistogramError as E;
    let check = |change: fn(&mut IntHistogram)| check_with(change, exponential());
    let positive = Side::Positive;
    assert_eq!(check(|h| h.schema = 53), Err(E::Schema(53)));
    assert_eq!(check(|h| h.schema = -5), Err(E::Schema(-5)));
    let offset = check(|h| h.positive_spans[1].offset = -1);
    assert_eq!(offset, Err(E::SpanOffset(positive, 2, -1)));
    let longer = check(|h| h.positive_spans[1].length = 3);
    assert_eq!(longer, Err(E::SpansMismatch(positive, 5, 4)));
    let endless = check(|h| h.positive_spans = vec![span(0, u32::MAX); 3]);
    assert!(matches!(endless, Err(E::SpansMismatch(..))));
    let far = check(|h| h.positive_spans = vec![span(i32::MAX, 2), span(i32::MAX, 2)]);
    assert_eq!(far, Err(E::BucketIndex(positive)));
    assert_eq!(check(|h| h.positive_deltas[2] = -4), Err(E::BucketCount(positive, 3)));
    assert_eq!(check(|h| h.positive_deltas[0] = i64::MAX), Err(E::BucketCount(positive, 2)));
    assert_eq!(check(|h| h.count = 11), Err(E::CountMismatch(11, 10)));
    assert_eq!(check(|h| h.zero_count = u64::MAX), Err(E::CountTooSmall(10, u64::MAX)));
    assert_eq!(check(|h| h.custom_values = vec![1.0]), Err(E::UnexpectedBounds));
}

#[test]
fn observations_of_nan_are_in_no_bucket() {
    let nan = |count| IntHistogram { sum: f64::NAN, count, ..exponential() };
    assert_eq!(check(&nan(11)), Ok(()));
    assert_eq!(check(&nan(10)), Ok(()));
    assert_eq!(check(&nan(9)), Err(HistogramError::CountTooSmall(9, 10)));
}

#[test]
fn custom_histograms_that_contradict_themselves_are_refused() {
    use HistogramError as E;
    let check = |change: fn(&mut IntHistogram)| check_with(change, custom());
    assert_eq!(check(|h| h.custom_values = vec![1.0, 1.0]), Err(E::Bounds(1.0)));
    assert_eq!(check(|h| h.custom_values[1] = f64::INFINITY), Err(E::Bounds(f64::INFINITY)));
    assert!(matches!(check(|h| h.custom_values[0] = f64::NAN), Err(E::Bounds(_))));
    assert_eq!(check(|h| h.custom_values = vec![1.0]), Err(E::TooFewBounds(1, 3)));
    assert_eq!(check(|h| h.zero_threshold = 0.1), Err(E::UnexpectedPart("a zero bucket")));
    let negative = check(|h| h.negative_spans = vec![span(0, 0)]);
    assert_eq!(negative, Err(E::UnexpectedPart("negative buckets")));
    let offset = check(|h| h.positive_spans[0].offset = -1);
    assert_eq!(offset, Err(E::SpanOffset(Side::Positive, 1, -1)));
}

#[test]
fn float_histograms_need_no_matching_count_but_no_negative_bucket() {
    let float = FloatHistogram { count: 99.0, ..exponential().to_float() };
    assert_eq!(check_and_reduce(&mut Histogram::Float(float.clone())), Ok(()));
    let mut negative = float;
    negative.positive_buckets[1] = -0.5;
    let refused = check_and_reduce(&mut Histogram::Float(negative));
    assert_eq!(refused, Err(HistogramError::BucketCount(Side::Positive, 2)));
}

#[test]
fn resolutions_beyond_schema_8_are_merged() {
    // Schema 10 has four times the buckets of schema 8: -3..=0 -> 0, 1..=4 -> 1, 5..=8 -> 2.
    let fine = IntHistogram {
        schema: 10,
        count: 21,
        positive_spans: vec![span(0, 2), span(2, 2), span(2, 1)],
        positive_deltas: vec![1, 1, 1, 1, 1],
        negative_spans: vec![span(-4, 3)],
        negative_deltas: vec![2, 0, 0],
        ..IntHistogram::default()
    };
    let mut merged = Histogram::Int(fine.clone());
    check_and_reduce(&mut merged).expect("valid");
    let Histogram::Int(h) = &merged else { panic!("still of integers") };
    assert_eq!(h.schema, 8);
    // Positive buckets 0, 1, 4, 5, 8 hold 1, 2, 3, 4, 5.
    assert_eq!(h.positive_spans, [span(0, 3)]);
    assert_eq!(h.to_float().positive_buckets, [1.0, 5.0, 9.0]);
    // Negative buckets -4, -3, -2 hold 2 each.
    assert_eq!(h.negative_spans, [span(-1, 2)]);
    assert_eq!(h.to_float().negative_buckets, [2.0, 4.0]);

    let mut float = Histogram::Float(fine.to_float());
    check_and_reduce(&mut float).expect("valid");
    assert_eq!(float.to_float(), merged.to_float());
}
