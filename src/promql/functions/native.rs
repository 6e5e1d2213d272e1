//! Quantiles, fractions and deviations of one native histogram (Prometheus' `promql/quantile.go`).

use crate::model::FloatHistogram;
use crate::model::buckets::{Bucket, all_buckets};
use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::histogram_sum::Compensated;
use crate::model::histogram_trim::fraction_below;

use super::super::annotations::{FRACTION_EXCLUDES_NAN, QUANTILE_IS_NAN, QUANTILE_IS_SKEWED};

/// A number and what is to be told of it.
pub(super) type Told = (f64, Option<&'static str>);

fn is_custom(histogram: &FloatHistogram) -> bool {
    histogram.schema == CUSTOM_BUCKETS_SCHEMA
}

/// A bucket around zero reaches to one side only when all other buckets lie there.
fn one_sided(histogram: &FloatHistogram, bucket: Bucket) -> Bucket {
    match (histogram.negative_buckets.is_empty(), histogram.positive_buckets.is_empty()) {
        (true, false) => Bucket { lower: 0.0, ..bucket },
        (false, true) => Bucket { upper: 0.0, ..bucket },
        _ => bucket,
    }
}

/// The quantile, interpolated within its bucket: linearly in custom buckets and around zero, else
/// on a logarithmic scale.
pub(super) fn quantile(q: f64, histogram: &FloatHistogram) -> Told {
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return (f64::NAN, None);
    }
    let has_nan = histogram.sum.is_nan();
    let ascending = has_nan || q < 0.5;
    let mut buckets = all_buckets(histogram);
    if !ascending {
        buckets.reverse();
    }
    let rank = if ascending { q } else { 1.0 - q } * histogram.count;
    let (bucket, count, rest) = bucket_at(rank, &buckets);
    let mut bucket = bucket;
    if is_custom(histogram) {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return (bucket.upper, None);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return (bucket.lower, None);
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        bucket = one_sided(histogram, bucket);
    }
    let count = if count > histogram.count { histogram.count } else { count };
    if count < rank {
        return if has_nan { (f64::NAN, Some(QUANTILE_IS_NAN)) } else { (bucket.upper, None) };
    }
    let rank = if ascending { rank - (count - bucket.count) } else { count - rank };
    let skewed = has_nan && rest.iter().fold(count, |count, b| count + b.count) < histogram.count;
    if has_nan {
        // While it counts what is left, Prometheus loses sight of the bucket it had found.
        bucket = rest.last().copied().unwrap_or(bucket);
    }
    let value = interpolate(bucket, rank / bucket.count, is_custom(histogram));
    (value, skewed.then_some(QUANTILE_IS_SKEWED))
}

/// The bucket in which so many observations are reached, how many those up to it are, and the
/// buckets after it.
fn bucket_at(rank: f64, buckets: &[Bucket]) -> (Bucket, f64, &[Bucket]) {
    let nothing =
        Bucket { lower: 0.0, upper: 0.0, lower_inclusive: true, upper_inclusive: true, count: 0.0 };
    let mut count = 0.0;
    for (at, bucket) in buckets.iter().enumerate().filter(|(_, bucket)| bucket.count != 0.0) {
        count += bucket.count;
        if count >= rank {
            return (*bucket, count, &buckets[at + 1..]);
        }
    }
    (buckets.last().copied().unwrap_or(nothing), count, &[])
}

fn interpolate(bucket: Bucket, fraction: f64, custom: bool) -> f64 {
    let Bucket { lower, upper, .. } = bucket;
    if custom || (lower <= 0.0 && upper >= 0.0) {
        return lower + (upper - lower) * fraction;
    }
    let (low, high) = (lower.abs().log2(), upper.abs().log2());
    if lower > 0.0 {
        (low + (high - low) * fraction).exp2()
    } else {
        -(high + (low - high) * (1.0 - fraction)).exp2()
    }
}

/// The fraction of observations between two bounds.
pub(super) fn fraction(lower: f64, upper: f64, histogram: &FloatHistogram) -> Told {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, None);
    }
    if lower >= upper {
        return (0.0, None);
    }
    let buckets = all_buckets(histogram);
    let (mut all, mut note) = (histogram.count, None);
    if histogram.sum.is_nan() {
        all = buckets.iter().map(|bucket| bucket.count).sum();
        note = (all < histogram.count).then_some(FRACTION_EXCLUDES_NAN);
    }
    let rank =
        |bound| rank_of(bound, histogram, &buckets).filter(|rank| !(*rank > all)).unwrap_or(all);
    ((rank(upper) - rank(lower)) / histogram.count, note)
}

/// How many observations lie below `bound`; `None` when it lies above all buckets.
fn rank_of(bound: f64, histogram: &FloatHistogram, buckets: &[Bucket]) -> Option<f64> {
    let mut rank = 0.0;
    for bucket in buckets {
        let around_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        let bucket = if around_zero { one_sided(histogram, *bucket) } else { *bucket };
        if bucket.lower >= bound {
            return Some(rank);
        }
        if bucket.upper > bound {
            let linear = is_custom(histogram) || around_zero;
            return Some(if linear && bucket.lower == f64::NEG_INFINITY {
                bucket.count
            } else {
                rank + bucket.count * fraction_below(&bucket, bound, linear)
            });
        }
        rank += bucket.count;
    }
    None
}

/// The estimated standard deviation.
pub(super) fn deviation(histogram: &FloatHistogram) -> f64 {
    variance(histogram).sqrt()
}

/// The estimated variance: observations are thought to lie in the middle of their buckets.
pub(super) fn variance(histogram: &FloatHistogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let mut variance = Compensated::default();
    for bucket in all_buckets(histogram).iter().filter(|bucket| bucket.count != 0.0) {
        let delta = middle(bucket, is_custom(histogram)) - mean;
        variance.add(bucket.count * delta * delta);
    }
    variance.total() / histogram.count
}

fn middle(bucket: &Bucket, custom: bool) -> f64 {
    if custom {
        return (bucket.upper + bucket.lower) / 2.0;
    }
    if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
        return 0.0;
    }
    let middle = (bucket.upper * bucket.lower).sqrt();
    if bucket.upper < 0.0 { -middle } else { middle }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BucketSpan;

    /// 4 observations in (1, 2], 4 in (2, 4].
    fn histogram() -> FloatHistogram {
        FloatHistogram {
            count: 8.0,
            sum: 20.0,
            positive_spans: vec![BucketSpan { offset: 1, length: 2 }],
            positive_buckets: vec![4.0, 4.0],
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn quantiles_interpolate_on_a_logarithmic_scale() {
        assert_eq!(quantile(0.25, &histogram()), (2f64.sqrt(), None));
        assert_eq!(quantile(1.0, &histogram()).0, 4.0);
        assert_eq!(quantile(-0.1, &histogram()).0, f64::NEG_INFINITY);
        assert!(quantile(0.5, &FloatHistogram::default()).0.is_nan());
    }

    #[test]
    fn nan_observations_are_told() {
        let h = FloatHistogram { sum: f64::NAN, count: 10.0, ..histogram() };
        // In the last bucket, as in Prometheus, although the rank lies in the first one.
        assert_eq!(quantile(0.4, &h), (4.0, Some(QUANTILE_IS_SKEWED)));
        assert_eq!(quantile(0.8, &h), (4.0, Some(QUANTILE_IS_SKEWED)));
        assert!(quantile(0.9, &h).0.is_nan());
        assert_eq!(fraction(0.0, 2.0, &h), (0.4, Some(FRACTION_EXCLUDES_NAN)));
    }

    #[test]
    fn fractions_count_between_bounds() {
        assert_eq!(fraction(1.0, 4.0, &histogram()).0, 1.0);
        assert!((fraction(0.0, 8f64.sqrt(), &histogram()).0 - 0.75).abs() < 1e-12);
        assert_eq!(fraction(4.0, 1.0, &histogram()).0, 0.0);
    }
}
