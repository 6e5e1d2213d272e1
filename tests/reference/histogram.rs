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

    /// Every number divided; by 0 no bucket is left.
    pub fn divided(&self, by: f64) -> Histo {
        let mut divided = self.map(|value| value / by);
        if by == 0.0 {
            divided.buckets.clear();
        }
        divided
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Histo {
        let buckets = self.buckets.iter().map(|(bucket, count)| (*bucket, f(*count))).collect();
        Histo { buckets, count: f(self.count), sum: f(self.sum) }
    }

    /// This one and `sign` times the other; of what is left of buckets none is empty.
    pub fn plus(&self, other: &Histo, sign: f64) -> Histo {
        let mut sum = self.clone();
        for (bucket, count) in &other.buckets {
            *sum.buckets.entry(*bucket).or_default() += sign * count;
        }
        sum.count += sign * other.count;
        sum.sum += sign * other.sum;
        sum.buckets.retain(|_, count| *count != 0.0);
        sum
    }

    /// Whether numbers make little sense: what is found then depends on how one looks for it.
    pub fn is_odd(&self) -> bool {
        let bad = |value: &f64| !value.is_finite() || *value < 0.0;
        let total: f64 = self.buckets.values().sum();
        self.buckets.values().any(bad)
            || bad(&self.count)
            || !self.sum.is_finite()
            || (total - self.count).abs() > 1e-9 * self.count
    }

    /// The value below which a share `phi` lies, in its bucket on a logarithmic scale.
    pub fn quantile(&self, phi: f64) -> f64 {
        if phi.is_nan() || self.count == 0.0 && (0.0..=1.0).contains(&phi) {
            return f64::NAN;
        }
        if !(0.0..=1.0).contains(&phi) {
            return if phi < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
        }
        let (rank, mut below) = (phi * self.count, 0.0);
        let filled: Vec<(i64, f64)> =
            self.buckets.iter().map(|(b, c)| (*b, *c)).filter(|(_, c)| *c > 0.0).collect();
        for (at, (bucket, count)) in filled.iter().enumerate() {
            if below + count >= rank || at == filled.len() - 1 {
                return 2f64.powf(*bucket as f64 - 1.0 + (rank - below) / count);
            }
            below += count;
        }
        f64::NAN
    }

    /// The share of observations between two values.
    pub fn fraction(&self, low: f64, high: f64) -> f64 {
        if self.count == 0.0 || low.is_nan() || high.is_nan() {
            return f64::NAN;
        }
        if low >= high {
            return 0.0;
        }
        let share = |(bucket, count): (&i64, &f64)| {
            let bound = |value: f64| {
                if value <= 0.0 {
                    0.0
                } else {
                    (value.log2() - *bucket as f64 + 1.0).clamp(0.0, 1.0)
                }
            };
            count * (bound(high) - bound(low))
        };
        self.buckets.iter().map(share).sum::<f64>() / self.count
    }

    /// The variance, every observation taken to be in the middle of its bucket, on a logarithmic
    /// scale.
    pub fn variance(&self) -> f64 {
        let mean = self.sum / self.count;
        let part = |(bucket, count): (&i64, &f64)| {
            let distance = 2f64.powf(*bucket as f64 - 0.5) - mean;
            if *count == 0.0 { 0.0 } else { count * distance * distance }
        };
        self.buckets.iter().map(part).sum::<f64>() / self.count
    }

    /// The observations between two values. What is kept of a bucket that is cut is its share on a
    /// logarithmic scale; count and sum are estimated anew then.
    pub fn trimmed(&self, low: f64, high: f64) -> Histo {
        let mut trimmed = Histo::default();
        let mut is_cut = false;
        for (bucket, count) in &self.buckets {
            let (lower, upper) = (2f64.powi(*bucket as i32 - 1), 2f64.powi(*bucket as i32));
            let none = low.is_nan() || high.is_nan();
            let (from, to) = if none { (1.0, 0.0) } else { (lower.max(low), upper.min(high)) };
            let share = if from < to { to.log2() - from.log2() } else { 0.0 };
            let kept = if (from, to) == (lower, upper) { *count } else { count * share };
            is_cut |= kept != *count;
            trimmed.buckets.insert(*bucket, kept);
            trimmed.count += kept;
            trimmed.sum += if kept == 0.0 { 0.0 } else { kept * (from * to).sqrt() };
        }
        if !is_cut {
            return self.clone();
        }
        trimmed.buckets.retain(|_, count| *count != 0.0);
        trimmed
    }

    /// Whether counting began anew after `before`: something went down.
    pub fn is_reset_after(&self, before: &Histo) -> bool {
        let went_down = |(bucket, count): (&i64, &f64)| {
            *count > 0.0 && self.buckets.get(bucket).is_none_or(|now| now < count)
        };
        self.count < before.count || before.buckets.iter().any(went_down)
    }
}
