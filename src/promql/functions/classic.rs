//! Quantiles and fractions of one classic histogram: cumulative buckets, ascending by upper bound
//! (Prometheus' `promql/quantile.go`).

use super::super::annotations::Monotonicity;

/// Counts that differ relatively less than this are the same: float addition is not exact.
const SMALL_DELTA: f64 = 1e-12;

/// One bucket at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    /// Upper bound.
    pub(super) upper: f64,
    /// Observations up to it.
    pub(super) count: f64,
}

/// The quantile, interpolated linearly within its bucket, and what had to be repaired
/// (`promql/quantile.go`, `BucketQuantile`).
pub(super) fn bucket_quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Monotonicity>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if buckets.last().is_none_or(|bucket| bucket.upper != f64::INFINITY) {
        return (f64::NAN, None);
    }
    coalesce(buckets);
    let repair = make_monotonic(buckets);
    let observations = buckets[buckets.len() - 1].count;
    if buckets.len() < 2 || observations == 0.0 {
        return (f64::NAN, repair);
    }
    (interpolate(q * observations, buckets), repair)
}

fn interpolate(rank: f64, buckets: &[Bucket]) -> f64 {
    let last = buckets.len() - 1;
    let at = buckets[..last].partition_point(|bucket| !(bucket.count >= rank));
    if at == last {
        return buckets[last - 1].upper;
    }
    let bucket = buckets[at];
    if at == 0 && bucket.upper <= 0.0 {
        return bucket.upper;
    }
    let below = if at > 0 { buckets[at - 1] } else { Bucket { upper: 0.0, count: 0.0 } };
    let (count, rank) = (bucket.count - below.count, rank - below.count);
    below.upper + (bucket.upper - below.upper) * (rank / count)
}

/// Makes of the buckets what a quantile leaves to the next one of the same histogram: Prometheus adds
/// up and repairs in place, and what it then no longer needs at the end is there again the next time.
pub(super) fn leave_behind(buckets: &mut Vec<Bucket>) {
    if buckets.last().is_none_or(|bucket| bucket.upper != f64::INFINITY) {
        return;
    }
    let before = buckets.clone();
    coalesce(buckets);
    make_monotonic(buckets);
    buckets.extend_from_slice(&before[buckets.len()..]);
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
}

/// Adds up buckets with the same bound.
fn coalesce(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
}

/// Evens out small differences silently and removes decreases; tells of the latter.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<Monotonicity> {
    let mut repair: Option<Monotonicity> = None;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if count == before {
            continue;
        }
        let small = almost_equal(before, count);
        if !small && !(count < before) {
            before = count;
            continue;
        }
        bucket.count = before;
        if !small {
            let diff = before - count;
            let old = repair.map_or((bucket.upper, bucket.upper, diff), |r| {
                (r.buckets.0, r.buckets.1, r.diff_max)
            });
            let bounds = (old.0.min(bucket.upper), old.1.max(bucket.upper));
            let diff_max = old.2.max(diff);
            repair = Some(Monotonicity { times: (0, 0), buckets: bounds, diff_max, count: 1 });
        }
    }
    repair
}

/// Relative equality as in Prometheus' `util/almost`.
fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, diff) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return diff < SMALL_DELTA * f64::MIN_POSITIVE;
    }
    diff / sum.min(f64::MAX) < SMALL_DELTA
}

/// The fraction of observations between the bounds (`promql/quantile.go`, `BucketFraction`).
pub(super) fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if buckets.last().is_none_or(|bucket| bucket.upper != f64::INFINITY) {
        return f64::NAN;
    }
    coalesce(buckets);
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank = |bound| rank_of(bound, buckets).filter(|rank| !(*rank > count)).unwrap_or(count);
    (rank(upper) - rank(lower)) / count
}

/// How many observations lie below `bound`; `None` when it lies above all buckets.
fn rank_of(bound: f64, buckets: &[Bucket]) -> Option<f64> {
    let mut rank = 0.0;
    let mut low = if buckets[0].upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    for bucket in buckets {
        if low >= bound {
            return Some(rank);
        }
        if bucket.upper > bound {
            if low == f64::NEG_INFINITY {
                return Some(bucket.count);
            }
            return Some(rank + (bucket.count - rank) * (bound - low) / (bucket.upper - low));
        }
        (rank, low) = (bucket.count, bucket.upper);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect()
    }

    #[test]
    fn quantiles_interpolate_within_a_bucket() {
        let mut b = buckets(&[(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 20.0)]);
        assert_eq!(bucket_quantile(0.75, &mut b).0, 1.5);
        assert_eq!(bucket_quantile(1.0, &mut b.clone()).0, 2.0);
        assert!(bucket_quantile(0.5, &mut buckets(&[(1.0, 1.0)])).0.is_nan(), "no +Inf bucket");
    }

    #[test]
    fn decreases_are_repaired_and_told() {
        let mut b = buckets(&[(1.0, 10.0), (2.0, 8.0), (f64::INFINITY, 12.0)]);
        let repair = bucket_quantile(0.5, &mut b).1.expect("a repair");
        assert_eq!((repair.buckets, repair.diff_max), ((2.0, 2.0), 2.0));
        assert_eq!(b[1].count, 10.0);
    }

    #[test]
    fn fractions_count_between_bounds() {
        let mut b = buckets(&[(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 20.0)]);
        assert_eq!(bucket_fraction(0.5, 1.5, &mut b), 0.5);
        assert_eq!(bucket_fraction(2.0, 1.0, &mut b), 0.0);
    }
}
