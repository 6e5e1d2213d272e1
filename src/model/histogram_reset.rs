//! Whether a native histogram began anew since the one before it.

use super::buckets::{Cell, Resolution, cells, merge_custom, reduce};
use super::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram};
use super::histogram_sum::shared_bounds;
use super::sample::is_stale_nan;
use super::source::HistogramPoint;

/// Whether the counting behind `current` began anew after `previous`: as its hint says, else when
/// anything in it went down or became finer (Prometheus' `FloatHistogram.DetectReset`).
pub fn is_reset(previous: &FloatHistogram, current: &FloatHistogram) -> bool {
    match current.counter_reset_hint {
        CounterResetHint::Reset => return true,
        CounterResetHint::NotReset => return false,
        CounterResetHint::Unknown | CounterResetHint::Gauge => {}
    }
    if current.count < previous.count {
        return true;
    }
    let (resolution, before) = (Resolution(current.schema), Resolution(previous.schema));
    if resolution.is_custom() && before.is_custom() {
        return custom_went_down(previous, current);
    }
    if resolution.is_custom()
        || current.schema > previous.schema
        || current.zero_threshold < previous.zero_threshold
    {
        return true;
    }
    let sides = [
        (
            &previous.positive_spans,
            &previous.positive_buckets,
            &current.positive_spans,
            &current.positive_buckets,
        ),
        (
            &previous.negative_spans,
            &previous.negative_buckets,
            &current.negative_spans,
            &current.negative_buckets,
        ),
    ];
    let mut in_zero_bucket = previous.zero_count;
    let sides = sides
        .map(|(old_spans, old, new_spans, new)| (cells(old_spans, old), cells(new_spans, new)));
    let widened = current.zero_threshold > previous.zero_threshold;
    for cell in sides.iter().flat_map(|(old, _)| old).filter(|_| widened) {
        if before.exponential_bound(cell.index - 1) >= current.zero_threshold {
            continue;
        }
        if before.exponential_bound(cell.index) > current.zero_threshold {
            return true;
        }
        in_zero_bucket += cell.count.total();
    }
    if current.zero_count < in_zero_bucket {
        return true;
    }
    let outside = |cell: &Cell| resolution.exponential_bound(cell.index) > current.zero_threshold;
    sides.into_iter().any(|(mut old, mut new)| {
        reduce(&mut old, before, resolution);
        old.retain(outside);
        new.retain(outside);
        went_down(&old, &new)
    })
}

/// Marks with "no reset" each histogram of a counter that has no hint and goes on counting where the
/// one before it stood, as reading a chunk of Prometheus does; a chunk ends where the layout or the
/// kind of sample changes. `histograms` and `float_times` are of one series, ascending in time.
pub fn mark_continuations(histograms: &mut [HistogramPoint], float_times: &[i64]) {
    let mut previous: Option<(i64, FloatHistogram)> = None;
    for point in histograms {
        let current = point.histogram.to_float();
        if let Some((before, previous)) = &previous {
            let float_between = float_times.partition_point(|time| time <= before)
                < float_times.partition_point(|time| *time < point.timestamp);
            if !float_between && continues(previous, &current) {
                set_hint(&mut point.histogram, CounterResetHint::NotReset);
            }
        }
        previous = Some((point.timestamp, current));
    }
}

/// Takes back what [`mark_continuations`] said, where samples have come between, or what a sender
/// said: both are found out anew.
pub fn unmark_continuations(histograms: &mut [HistogramPoint]) {
    for point in histograms {
        if hint(&point.histogram) == CounterResetHint::NotReset {
            set_hint(&mut point.histogram, CounterResetHint::Unknown);
        }
    }
}

/// Takes back what a sender said of resets: Prometheus begins a chunk there, and of the first
/// histogram of a chunk nothing is known. To be called once [`mark_continuations`] has seen it.
pub fn forget_resets(histograms: &mut [HistogramPoint]) {
    for point in histograms {
        if hint(&point.histogram) == CounterResetHint::Reset {
            set_hint(&mut point.histogram, CounterResetHint::Unknown);
        }
    }
}

fn hint(histogram: &Histogram) -> CounterResetHint {
    match histogram {
        Histogram::Int(histogram) => histogram.counter_reset_hint,
        Histogram::Float(histogram) => histogram.counter_reset_hint,
    }
}

fn set_hint(histogram: &mut Histogram, hint: CounterResetHint) {
    match histogram {
        Histogram::Int(histogram) => histogram.counter_reset_hint = hint,
        Histogram::Float(histogram) => histogram.counter_reset_hint = hint,
    }
}

/// Whether `current`, which says nothing of resets, would follow `previous` in a chunk.
fn continues(previous: &FloatHistogram, current: &FloatHistogram) -> bool {
    let stale = |histogram: &FloatHistogram| is_stale_nan(histogram.sum);
    let custom = current.schema == CUSTOM_BUCKETS_SCHEMA;
    current.counter_reset_hint == CounterResetHint::Unknown
        && previous.counter_reset_hint != CounterResetHint::Gauge
        && !stale(previous)
        && !stale(current)
        && previous.schema == current.schema
        && previous.zero_threshold == current.zero_threshold
        && (!custom || previous.custom_values == current.custom_values)
        && !is_reset(previous, current)
}

fn custom_went_down(previous: &FloatHistogram, current: &FloatHistogram) -> bool {
    let mut old = cells(&previous.positive_spans, &previous.positive_buckets);
    let mut new = cells(&current.positive_spans, &current.positive_buckets);
    if previous.custom_values != current.custom_values {
        let shared = shared_bounds(&current.custom_values, &previous.custom_values);
        merge_custom(&mut old, &previous.custom_values, &shared);
        merge_custom(&mut new, &current.custom_values, &shared);
    }
    went_down(&old, &new)
}

/// Whether a bucket of `old` is missing in `new` or holds less there; both ascend by index.
fn went_down(old: &[Cell], new: &[Cell]) -> bool {
    let mut new = new.iter().peekable();
    old.iter().any(|cell| {
        while new.next_if(|other| other.index < cell.index).is_some() {}
        match new.peek() {
            Some(other) if other.index == cell.index => other.count.total() < cell.count.total(),
            _ => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::BucketSpan;

    fn histogram(schema: i32, offset: i32, buckets: &[f64]) -> FloatHistogram {
        FloatHistogram {
            schema,
            count: buckets.iter().sum(),
            positive_spans: vec![BucketSpan { offset, length: buckets.len() as u32 }],
            positive_buckets: buckets.to_vec(),
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn the_hint_is_believed() {
        let (low, high) = (histogram(0, 0, &[1.0]), histogram(0, 0, &[2.0]));
        assert!(!is_reset(&low, &high) && is_reset(&high, &low));
        let hint = CounterResetHint::NotReset;
        assert!(!is_reset(&high, &FloatHistogram { counter_reset_hint: hint, ..low.clone() }));
        let hint = CounterResetHint::Reset;
        assert!(is_reset(&low, &FloatHistogram { counter_reset_hint: hint, ..high }));
    }

    #[test]
    fn what_goes_on_counting_is_marked() {
        use CounterResetHint::{Gauge, NotReset, Unknown};
        let stale = FloatHistogram { sum: crate::model::stale_nan(), ..histogram(0, 0, &[1.0]) };
        let gauge = FloatHistogram { counter_reset_hint: Gauge, ..histogram(0, 0, &[1.0]) };
        let cases = [
            (histogram(0, 0, &[1.0]), Unknown),
            (histogram(0, 0, &[2.0]), NotReset),
            (histogram(0, 0, &[1.0]), Unknown),
            (stale, Unknown),
            (histogram(0, 0, &[2.0]), Unknown),
            (histogram(1, 0, &[3.0]), Unknown),
            (gauge, Gauge),
            (histogram(0, 0, &[9.0]), Unknown),
            (histogram(0, 0, &[9.0]), NotReset),
            (histogram(0, 0, &[9.0]), Unknown), // a float stands between
        ];
        let point = |(at, (histogram, _)): (usize, &(FloatHistogram, _))| HistogramPoint {
            timestamp: at as i64 * 10,
            start_timestamp: 0,
            histogram: Histogram::Float(histogram.clone()),
        };
        let mut points: Vec<_> = cases.iter().enumerate().map(point).collect();
        mark_continuations(&mut points, &[85]);
        let hints: Vec<_> =
            points.iter().map(|p| p.histogram.to_float().counter_reset_hint).collect();
        assert_eq!(hints, cases.map(|(_, hint)| hint));
        forget_resets(&mut points);
        assert!(
            points
                .iter()
                .all(|p| p.histogram.to_float().counter_reset_hint != CounterResetHint::Reset)
        );
        unmark_continuations(&mut points);
        assert!(points.iter().all(|p| p.histogram.to_float().counter_reset_hint != NotReset));
    }

    #[test]
    fn a_bucket_that_went_down_is_a_reset() {
        let before = histogram(0, 0, &[1.0, 2.0]);
        assert!(is_reset(&before, &histogram(0, 0, &[5.0, 1.0])));
        assert!(is_reset(&before, &histogram(0, 1, &[5.0])), "a bucket is gone");
        assert!(!is_reset(&before, &histogram(-1, 0, &[1.0, 2.0])), "coarser now");
        assert!(is_reset(&histogram(-1, 0, &[1.0, 2.0]), &before), "finer now");
    }

    #[test]
    fn a_wider_zero_bucket_may_swallow_whole_buckets_only() {
        let before = histogram(0, 1, &[1.0, 2.0]);
        let zero = |threshold, count| FloatHistogram {
            zero_threshold: threshold,
            zero_count: count,
            count: 9.0,
            ..histogram(0, 2, &[2.0])
        };
        assert!(!is_reset(&before, &zero(2.0, 1.0)));
        assert!(is_reset(&before, &zero(2.0, 0.5)));
        assert!(is_reset(&before, &zero(3.0, 3.0)));
    }

    #[test]
    fn custom_bounds_are_compared_where_they_meet() {
        let custom = |bounds: &[f64], buckets: &[f64]| FloatHistogram {
            custom_values: bounds.to_vec(),
            ..histogram(CUSTOM_BUCKETS_SCHEMA, 0, buckets)
        };
        let before = custom(&[1.0, 2.0], &[1.0, 1.0]);
        assert!(!is_reset(&before, &custom(&[2.0], &[2.0])));
        assert!(is_reset(&before, &custom(&[2.0, 3.0], &[1.0, 1.0])));
        assert!(is_reset(&histogram(0, 0, &[1.0]), &before));
    }
}
