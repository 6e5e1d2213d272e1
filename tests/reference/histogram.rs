//! Native histograms as a map from bucket to count: exponential buckets of schema 0, positive ones
//! only, or custom buckets; counters or gauges.

use std::collections::BTreeMap;

/// Bucket `i` holds the observations in `(2^(i-1), 2^i]`; of custom buckets those in
/// `(bounds[i-1], bounds[i]]`, the first one all below, the last one all above.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histo {
    /// The bounds of custom buckets, without +Inf, if it has such.
    pub bounds: Option<Vec<f64>>,
    /// Whether it is no counter.
    pub is_gauge: bool,
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
        Histo { count: buckets.values().sum(), sum, buckets, ..Histo::default() }
    }

    /// A histogram of custom buckets, which hold `counts`.
    pub fn custom(bounds: &[f64], counts: &[f64], sum: f64) -> Histo {
        let buckets = (0..).zip(counts.iter().copied()).collect();
        let bounds = Some(bounds.to_vec());
        Histo { bounds, count: counts.iter().sum(), sum, buckets, is_gauge: false }
    }

    /// One of the same buckets that has observed nothing.
    pub fn emptied(&self) -> Histo {
        Histo { bounds: self.bounds.clone(), ..Histo::default() }
    }

    /// Whether both have exponential or both have custom buckets.
    pub fn is_like(&self, other: &Histo) -> bool {
        self.bounds.is_some() == other.bounds.is_some()
    }

    /// Whether all numbers are the same, bit by bit, whatever they count.
    pub fn equals(&self, other: &Histo) -> bool {
        let bits = |histogram: &Histo| {
            let buckets: Vec<(i64, u64)> = histogram
                .buckets
                .iter()
                .map(|(bucket, count)| (*bucket, count.to_bits()))
                .collect();
            (histogram.count.to_bits(), histogram.sum.to_bits(), buckets)
        };
        self.bounds == other.bounds && bits(self) == bits(other)
    }

    /// Whether there are numbers in both that differ by no more than rounding does, or could if they
    /// were computed in another order.
    pub fn is_rounded(&self, other: &Histo) -> bool {
        let is_exact = |value: f64| (value * 8.0).fract() == 0.0;
        let near = |a: f64, b: f64| {
            (a - b).abs() <= 1e-9 * a.abs() && (a != b || !is_exact(a) || !is_exact(b))
        };
        let is_near = |(bucket, count): (&i64, &f64)| {
            other.buckets.get(bucket).is_some_and(|now| near(*count, *now))
        };
        near(self.count, other.count) || self.buckets.iter().any(is_near)
    }

    /// Without buckets that hold nothing.
    pub fn compacted(mut self) -> Histo {
        self.buckets.retain(|_, count| *count != 0.0);
        self
    }

    /// All of them together, if they are of one kind.
    pub fn total(all: &[&Histo]) -> Option<Histo> {
        let (first, rest) = all.split_first()?;
        rest.iter().try_fold((*first).clone(), |sum, histogram| sum.plus(histogram, 1.0))
    }

    /// Every number multiplied; what has become negative is no counter.
    pub fn times(&self, factor: f64) -> Histo {
        let is_gauge = self.is_gauge || factor < 0.0;
        Histo { is_gauge, ..self.map(|value| value * factor) }
    }

    /// Every number divided; by 0 no bucket is left.
    pub fn divided(&self, by: f64) -> Histo {
        let mut divided = self.map(|value| value / by);
        divided.is_gauge |= by < 0.0;
        if by == 0.0 {
            divided.buckets.clear();
        }
        divided
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Histo {
        let buckets = self.buckets.iter().map(|(bucket, count)| (*bucket, f(*count))).collect();
        let (count, sum) = (f(self.count), f(self.sum));
        Histo { buckets, count, sum, bounds: self.bounds.clone(), is_gauge: self.is_gauge }
    }

    /// This one and `sign` times the other, if they are of one kind; of what is left of buckets none
    /// is empty. Of different custom bounds those are left that both have.
    pub fn plus(&self, other: &Histo, sign: f64) -> Option<Histo> {
        if !self.is_like(other) {
            return None;
        }
        let shared = self.shared_bounds(other);
        let (mut sum, other) = (self.within(&shared), other.within(&shared));
        for (bucket, count) in &other.buckets {
            *sum.buckets.entry(*bucket).or_default() += sign * count;
        }
        sum.count += sign * other.count;
        sum.sum += sign * other.sum;
        sum.is_gauge |= other.is_gauge;
        Some(sum.compacted())
    }

    fn shared_bounds(&self, other: &Histo) -> Option<Vec<f64>> {
        let (own, others) = (self.bounds.as_ref()?, other.bounds.as_ref()?);
        Some(own.iter().copied().filter(|bound| others.contains(bound)).collect())
    }

    /// The same observations in buckets of fewer bounds.
    fn within(&self, shared: &Option<Vec<f64>>) -> Histo {
        let (Some(own), Some(shared)) = (&self.bounds, shared) else { return self.clone() };
        let mut buckets = BTreeMap::new();
        for (bucket, count) in &self.buckets {
            let bound = own.get(*bucket as usize);
            let at = bound.and_then(|bound| shared.iter().position(|other| other >= bound));
            *buckets.entry(at.unwrap_or(shared.len()) as i64).or_default() += count;
        }
        Histo { buckets, bounds: Some(shared.clone()), ..self.clone() }
    }

    /// The bounds of a bucket.
    fn bucket(&self, bucket: i64) -> (f64, f64) {
        let Some(bounds) = &self.bounds else {
            return (2f64.powi(bucket as i32 - 1), 2f64.powi(bucket as i32));
        };
        let bound = |at: i64| bounds.get(at as usize).copied();
        let lower = if bucket == 0 { None } else { bound(bucket - 1) };
        (lower.unwrap_or(f64::NEG_INFINITY), bound(bucket).unwrap_or(f64::INFINITY))
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

    /// The value below which a share `phi` lies, in its bucket on a logarithmic scale, or a linear one
    /// if the bucket is custom. Buckets are counted from the nearer end.
    pub fn quantile(&self, phi: f64) -> f64 {
        if phi.is_nan() || self.count == 0.0 && (0.0..=1.0).contains(&phi) {
            return f64::NAN;
        }
        if !(0.0..=1.0).contains(&phi) {
            return if phi < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
        }
        let mut filled: Vec<(i64, f64)> =
            self.buckets.iter().map(|(b, c)| (*b, *c)).filter(|(_, c)| *c > 0.0).collect();
        let from_above = phi >= 0.5;
        let rank = self.count * if from_above { 1.0 - phi } else { phi };
        if from_above {
            filled.reverse();
        }
        let mut seen = 0.0;
        for (at, (bucket, count)) in filled.iter().enumerate() {
            if seen + count >= rank || at == filled.len() - 1 {
                let within = (rank - seen) / count;
                return self.inside(*bucket, if from_above { 1.0 - within } else { within });
            }
            seen += count;
        }
        f64::NAN
    }

    /// The value a share of a bucket lies below.
    fn inside(&self, bucket: i64, share: f64) -> f64 {
        if self.bounds.is_none() {
            return 2f64.powf(bucket as f64 - 1.0 + share);
        }
        let (lower, upper) = self.bucket(bucket);
        if lower.is_finite() && upper == f64::INFINITY {
            return lower;
        }
        if lower == f64::NEG_INFINITY && upper <= 0.0 {
            return upper;
        }
        let lower = if lower == f64::NEG_INFINITY { 0.0 } else { lower };
        lower + (upper - lower) * share
    }

    /// The share of observations between two values.
    pub fn fraction(&self, low: f64, high: f64) -> f64 {
        if self.count == 0.0 || low.is_nan() || high.is_nan() {
            return f64::NAN;
        }
        if low >= high {
            return 0.0;
        }
        (self.below(high) - self.below(low)) / self.count
    }

    /// How many observations lie below a value.
    fn below(&self, value: f64) -> f64 {
        let part = |(bucket, count): (&i64, &f64)| {
            let (lower, upper) = self.bucket(*bucket);
            // There are no negative buckets: the one that zero is in begins there.
            let lower = if lower <= 0.0 && upper >= 0.0 { 0.0 } else { lower };
            let share = match value {
                _ if value >= upper => 1.0,
                _ if value <= lower || upper == f64::INFINITY => 0.0,
                _ if lower == f64::NEG_INFINITY => 1.0,
                _ if self.bounds.is_some() => (value - lower) / (upper - lower),
                _ => value.log2() - lower.log2(),
            };
            count * share
        };
        self.buckets.iter().map(part).sum()
    }

    /// The variance, every observation taken to be in the middle of its bucket, on a logarithmic
    /// scale if the bucket is not custom.
    pub fn variance(&self) -> f64 {
        let mean = self.sum / self.count;
        let part = |(bucket, count): (&i64, &f64)| {
            let (lower, upper) = self.bucket(*bucket);
            let middle = match self.bounds {
                Some(_) => (lower + upper) / 2.0,
                None => 2f64.powf(*bucket as f64 - 0.5),
            };
            let distance = middle - mean;
            if *count == 0.0 { 0.0 } else { count * distance * distance }
        };
        self.buckets.iter().map(part).sum::<f64>() / self.count
    }

    /// The observations between two values, one of which is infinite. What is kept of a bucket that is
    /// cut is its share on a logarithmic scale, or a linear one if it is custom; count and sum are
    /// estimated anew then.
    pub fn trimmed(&self, low: f64, high: f64) -> Histo {
        let mut trimmed = Histo { is_gauge: self.is_gauge, ..self.emptied() };
        let mut is_cut = false;
        for (bucket, count) in self.buckets.iter().filter(|(_, count)| **count != 0.0) {
            let (lower, upper) = self.bucket(*bucket);
            let none = low.is_nan() || high.is_nan();
            let (kept, middle) = match none {
                true => (0.0, 0.0),
                false if lower >= low && upper <= high => (*count, self.middle(lower, upper)),
                false if lower >= high || upper <= low => (0.0, 0.0),
                false => {
                    let (share, middle) = self.cut(*bucket, low, high);
                    (count * share, middle)
                }
            };
            is_cut |= kept != *count;
            trimmed.buckets.insert(*bucket, kept);
            trimmed.count += kept;
            trimmed.sum += kept * middle;
        }
        if !is_cut {
            return self.clone();
        }
        trimmed.compacted()
    }

    /// Where the observations between two values are taken to be, on the average.
    fn middle(&self, lower: f64, upper: f64) -> f64 {
        match (lower.is_finite(), upper.is_finite()) {
            (true, true) if self.bounds.is_some() => (lower + upper) / 2.0,
            (true, true) => (lower * upper).sqrt(),
            (true, false) => lower,
            (false, true) if upper > 0.0 => upper / 2.0,
            (false, true) => upper,
            (false, false) => 0.0,
        }
    }

    /// Which share of a bucket that is cut is kept, and where it is. Nothing is known of where the
    /// observations of an infinite bucket are: it goes, but for a last one cut below, a first one
    /// that is not above zero and is cut above, and a first one taken to begin at zero.
    fn cut(&self, bucket: i64, low: f64, high: f64) -> (f64, f64) {
        let (lower, upper) = self.bucket(bucket);
        let is_upper = low == f64::NEG_INFINITY;
        match (lower.is_finite(), upper.is_finite()) {
            (true, false) => (if is_upper { 0.0 } else { 1.0 }, if is_upper { 0.0 } else { low }),
            (false, false) => (0.0, 0.0),
            (false, true) if upper <= 0.0 => (if is_upper { 1.0 } else { 0.0 }, high.min(upper)),
            (false, true) if is_upper && high > 0.0 => (high / upper, high / 2.0),
            (false, true) if !is_upper && low >= 0.0 => (1.0 - low / upper, (low + upper) / 2.0),
            (false, true) => (0.0, 0.0),
            (true, true) => {
                let (from, to) = (lower.max(low), upper.min(high));
                let share = match self.bounds {
                    Some(_) => (to - from) / (upper - lower),
                    None => to.log2() - from.log2(),
                };
                (share, self.middle(from, to))
            }
        }
    }

    /// Whether counting began anew after `before`: something went down.
    pub fn is_reset_after(&self, before: &Histo) -> bool {
        if !self.is_like(before) {
            return true;
        }
        let shared = self.shared_bounds(before);
        if self.bounds.is_some() && self.bounds != before.bounds {
            let (now, before) = (self.within(&shared), before.within(&shared));
            let count = |histogram: &Histo, at| histogram.buckets.get(&at).copied().unwrap_or(0.0);
            let buckets = 0..=shared.map_or(0, |bounds| bounds.len() as i64);
            let went_down = |at| count(&now, at) < count(&before, at);
            return now.count < before.count || buckets.into_iter().any(went_down);
        }
        let went_down = |(bucket, count): (&i64, &f64)| {
            self.buckets.get(bucket).map_or(*count != 0.0, |now| now < count)
        };
        self.count < before.count || before.buckets.iter().any(went_down)
    }
}
