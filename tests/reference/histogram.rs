//! Native histograms as a map from bucket to count: schema 0, positive buckets only.

use std::collections::BTreeMap;

/// Bucket `i` holds the observations in `(2^(i-1), 2^i]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histo {
    /// Counts by bucket; those of no observation may be missing.
    pub buckets: BTreeMap<i64, f64>,
    /// Number of observations.
    pub count: f64,
    /// Sum of observations.
    pub sum: f64,
}

impl Histo {
    /// A histogram of these buckets, and empty ones between them; each observation is as large as
    /// its bucket allows.
    pub fn new(buckets: &[(i64, f64)]) -> Histo {
        let mut buckets: BTreeMap<i64, f64> = buckets.iter().copied().collect();
        let (first, last) = (buckets.keys().next().copied(), buckets.keys().last().copied());
        for bucket in first.unwrap_or(0)..last.unwrap_or(0) {
            buckets.entry(bucket).or_default();
        }
        let sum = buckets.iter().map(|(bucket, count)| 2f64.powi(*bucket as i32) * count).sum();
        Histo { count: buckets.values().sum(), sum, buckets }
    }

    /// Every number multiplied.
    pub fn times(&self, factor: f64) -> Histo {
        self.map(|value| value * factor)
    }

    /// Every number divided.
    pub fn divided(&self, by: f64) -> Histo {
        self.map(|value| value / by)
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Histo {
        let buckets = self.buckets.iter().map(|(bucket, count)| (*bucket, f(*count))).collect();
        Histo { buckets, count: f(self.count), sum: f(self.sum) }
    }

    /// This one and `sign` times the other.
    pub fn plus(&self, other: &Histo, sign: f64) -> Histo {
        let mut sum = self.clone();
        for (bucket, count) in &other.buckets {
            *sum.buckets.entry(*bucket).or_default() += sign * count;
        }
        sum.count += sign * other.count;
        sum.sum += sign * other.sum;
        sum
    }

    /// Whether counting began anew after `before`: something went down.
    pub fn is_reset_after(&self, before: &Histo) -> bool {
        let went_down = |(bucket, count): (&i64, &f64)| {
            *count > 0.0 && self.buckets.get(bucket).is_none_or(|now| now < count)
        };
        self.count < before.count || before.buckets.iter().any(went_down)
    }
}
