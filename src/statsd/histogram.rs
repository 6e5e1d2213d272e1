//! Histograms that count observations: with fixed buckets, and native ones.
//!
//! In: weighted observations. Out: cumulative counts. Never here: labels, time. The native one
//! follows the client library of Prometheus: buckets exist only where there are observations, and
//! when they become too many the resolution is halved.

use std::collections::BTreeMap;

use super::observer::NativeOptions;
use crate::model::buckets::bucket_bound;
use crate::model::histogram::{BucketSpan, EXPONENTIAL_SCHEMA_MIN, IntHistogram};

/// Observations this close to zero are in the zero bucket: 2^-128, as in the client library.
const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;
/// Empty buckets between two others that are written out rather than starting a new span.
const GAP_MAX: i32 = 2;

/// Counts by fixed upper bounds, the last count being that above all bounds.
#[derive(Clone, Debug)]
pub struct Buckets(Vec<u64>);

impl Buckets {
    /// Empty buckets below each of `bounds` and above all.
    pub fn new(bounds: &[f64]) -> Buckets {
        Buckets(vec![0; bounds.len() + 1])
    }

    /// Adds `weight` observations of `value`; `bounds` are those of [`Buckets::new`].
    pub fn observe(&mut self, bounds: &[f64], value: f64, weight: u64) {
        let at = bounds.partition_point(|bound| *bound < value);
        self.0[at] = self.0[at].saturating_add(weight);
    }

    /// The counts up to each bound and up to infinity.
    pub fn cumulative(&self) -> impl Iterator<Item = u64> {
        self.0.iter().scan(0u64, |sum, count| {
            *sum = sum.saturating_add(*count);
            Some(*sum)
        })
    }

    /// Takes over cumulative counts, as many as there are buckets; false when they do not fit.
    pub fn restore(&mut self, cumulative: &[u64]) -> bool {
        if cumulative.len() != self.0.len() || !cumulative.is_sorted() {
            return false;
        }
        let below = std::iter::once(0).chain(cumulative.iter().copied());
        self.0 = cumulative.iter().zip(below).map(|(upto, below)| upto - below).collect();
        true
    }
}

/// A native histogram.
#[derive(Clone, Debug)]
pub struct Native {
    schema: i32,
    buckets_max: usize,
    zero_count: u64,
    positive: BTreeMap<i32, u64>,
    negative: BTreeMap<i32, u64>,
    count: u64,
    sum: f64,
}

impl Native {
    /// An empty histogram.
    pub fn new(options: NativeOptions) -> Native {
        Native {
            schema: options.schema,
            buckets_max: options.buckets_max as usize,
            zero_count: 0,
            positive: BTreeMap::new(),
            negative: BTreeMap::new(),
            count: 0,
            sum: 0.0,
        }
    }

    /// Number of buckets in use.
    pub fn len(&self) -> usize {
        self.positive.len() + self.negative.len()
    }

    /// Adds `weight` observations of `value`, which is finite.
    pub fn observe(&mut self, value: f64, weight: u64) {
        self.count = self.count.saturating_add(weight);
        self.sum += value * weight as f64;
        if value.abs() <= ZERO_THRESHOLD {
            self.zero_count = self.zero_count.saturating_add(weight);
            return;
        }
        let index = index_of(value.abs(), self.schema);
        let side = if value > 0.0 { &mut self.positive } else { &mut self.negative };
        let count = side.entry(index).or_default();
        *count = count.saturating_add(weight);
        while self.len() > self.buckets_max && self.schema > EXPONENTIAL_SCHEMA_MIN {
            self.halve();
        }
    }

    /// Merges each pair of neighbouring buckets.
    fn halve(&mut self) {
        self.schema -= 1;
        for side in [&mut self.positive, &mut self.negative] {
            let mut merged: BTreeMap<i32, u64> = BTreeMap::new();
            for (index, count) in side.iter() {
                let sum = merged.entry((index + 1) >> 1).or_default();
                *sum = sum.saturating_add(*count);
            }
            *side = merged;
        }
    }

    /// The present counts.
    pub fn snapshot(&self) -> IntHistogram {
        let (positive_spans, positive_deltas) = lay_out(&self.positive);
        let (negative_spans, negative_deltas) = lay_out(&self.negative);
        IntHistogram {
            schema: self.schema,
            zero_threshold: ZERO_THRESHOLD,
            zero_count: self.zero_count,
            count: self.count,
            sum: self.sum,
            positive_spans,
            negative_spans,
            positive_deltas,
            negative_deltas,
            ..IntHistogram::default()
        }
    }

    /// Takes over a [`Native::snapshot`]; false when it is none of this kind.
    pub fn restore(&mut self, saved: &IntHistogram) -> bool {
        let (Some(positive), Some(negative)) = (
            read_back(&saved.positive_spans, &saved.positive_deltas),
            read_back(&saved.negative_spans, &saved.negative_deltas),
        ) else {
            return false;
        };
        let fits = (EXPONENTIAL_SCHEMA_MIN..=self.schema).contains(&saved.schema);
        if !fits || saved.zero_threshold.to_bits() != ZERO_THRESHOLD.to_bits() {
            return false;
        }
        *self = Native {
            schema: saved.schema,
            buckets_max: self.buckets_max,
            zero_count: saved.zero_count,
            positive,
            negative,
            count: saved.count,
            sum: saved.sum,
        };
        true
    }
}

/// The bucket of `value` > 0: its upper bound is the first that is not below the value.
fn index_of(value: f64, schema: i32) -> i32 {
    let estimate = (value.log2() * 2f64.powi(schema)).ceil() as i32;
    let bound = |index: i32| bucket_bound(i64::from(index), schema, &[]);
    // The logarithm may be off by a rounding error.
    if bound(estimate - 1) >= value {
        estimate - 1
    } else if bound(estimate) < value {
        estimate + 1
    } else {
        estimate
    }
}

/// Spans, and counts as differences.
fn lay_out(side: &BTreeMap<i32, u64>) -> (Vec<BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<BucketSpan>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut next, mut before) = (0i32, 0i64);
    for (index, count) in side {
        let gap = index - next;
        match spans.last_mut() {
            Some(span) if gap <= GAP_MAX => {
                for _ in 0..gap {
                    deltas.push(-before);
                    before = 0;
                }
                span.length += 1 + gap as u32;
            }
            _ => spans.push(BucketSpan { offset: gap, length: 1 }),
        }
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        deltas.push(count - before);
        before = count;
        next = index + 1;
    }
    (spans, deltas)
}

fn read_back(spans: &[BucketSpan], deltas: &[i64]) -> Option<BTreeMap<i32, u64>> {
    let mut side = BTreeMap::new();
    let mut deltas = deltas.iter();
    let (mut index, mut count) = (0i32, 0i64);
    for span in spans {
        index = index.checked_add(span.offset)?;
        for _ in 0..span.length {
            count = count.checked_add(*deltas.next()?)?;
            if count != 0 {
                side.insert(index, u64::try_from(count).ok()?);
            }
            index = index.checked_add(1)?;
        }
    }
    deltas.next().is_none().then_some(side)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::buckets::positive_buckets;

    fn native(factor: f64, max: u32) -> Native {
        Native::new(NativeOptions::new(factor, max).expect("a native histogram"))
    }

    #[test]
    fn fixed_buckets_count_up_to_and_with_their_bound() {
        let bounds = [1.0, 2.0];
        let mut buckets = Buckets::new(&bounds);
        for (value, weight) in [(0.5, 1), (1.0, 2), (1.5, 4), (2.0, 8), (9.0, 16)] {
            buckets.observe(&bounds, value, weight);
        }
        assert_eq!(buckets.cumulative().collect::<Vec<_>>(), [3, 15, 31]);
        let mut again = Buckets::new(&bounds);
        assert!(again.restore(&[3, 15, 31]));
        assert_eq!(again.cumulative().collect::<Vec<_>>(), [3, 15, 31]);
        assert!(!again.restore(&[3, 15]));
        assert!(!again.restore(&[3, 1, 4]));
    }

    #[test]
    fn every_observation_lies_in_its_native_bucket() {
        for value in [1.0, 1.5, 2.0, 0.1, 1e-30, 1e30, 4.0, 0.25, 1.090_507_732_665_257_7] {
            for factor in [1.01, 1.1, 2.0, 100.0] {
                let mut histogram = native(factor, 0);
                histogram.observe(value, 3);
                let found = positive_buckets(&histogram.snapshot().to_float());
                let counted: Vec<_> = found.iter().filter(|bucket| bucket.count > 0.0).collect();
                assert_eq!(counted.len(), 1);
                let bucket = counted[0];
                assert!(bucket.lower < value && value <= bucket.upper, "{value} in {bucket:?}");
            }
        }
    }

    #[test]
    fn too_many_buckets_halve_the_resolution_and_lose_nothing() {
        let mut histogram = native(1.1, 16);
        (1..=1000).for_each(|i| histogram.observe(f64::from(i) / 10.0, 1));
        (1..=10).for_each(|i| histogram.observe(-f64::from(i), 2));
        histogram.observe(0.0, 5);
        assert!(histogram.len() <= 16);
        let saved = histogram.snapshot();
        assert_eq!((saved.count, saved.zero_count), (1025, 5));
        let float = saved.to_float();
        let all = float.positive_buckets.iter().chain(&float.negative_buckets).sum::<f64>();
        assert_eq!(all, 1020.0);
        let mut again = native(1.1, 16);
        assert!(again.restore(&saved));
        assert_eq!(again.snapshot(), saved);
        assert!(!native(100.0, 16).restore(&saved), "finer than asked for");
    }

    #[test]
    fn far_apart_buckets_have_spans_of_their_own() {
        let mut histogram = native(2.0, 0);
        for value in [1.0, 4.0, 1024.0] {
            histogram.observe(value, 1);
        }
        let saved = histogram.snapshot();
        let spans = [BucketSpan { offset: 0, length: 3 }, BucketSpan { offset: 7, length: 1 }];
        assert_eq!(saved.positive_spans, spans);
        assert_eq!(saved.positive_deltas, [1, -1, 1, 0]);
    }
}
