//! Cutting a native histogram at a value: the operators `</` and `>/`.
//!
//! What a cut bucket keeps is estimated, linearly in custom buckets and in the zero bucket,
//! logarithmically in exponential ones (Prometheus' `FloatHistogram.TrimBuckets`).

use super::buckets::{Bucket, negative_buckets, positive_buckets};
use super::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram};
use super::histogram_sum::HistogramSum;

/// Which observations stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those below the value: `histogram </ value`.
    Below,
    /// Those above the value: `histogram >/ value`.
    Above,
}

/// How a bucket's observations are thought to lie in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spread {
    Linear,
    ExponentialPositive,
    ExponentialNegative,
}

/// What stays of a bucket: observations and their estimated mean.
struct Kept {
    count: f64,
    mean: f64,
}

/// The observations of `histogram` on one side of `at`. Count and sum are estimated anew if
/// anything is cut.
pub fn trim(histogram: &FloatHistogram, at: f64, keep: Keep) -> FloatHistogram {
    let custom = histogram.schema == CUSTOM_BUCKETS_SCHEMA;
    let spread = |side| if custom { Spread::Linear } else { side };
    let sides = [
        (positive_buckets(histogram), spread(Spread::ExponentialPositive)),
        (negative_buckets(histogram), spread(Spread::ExponentialNegative)),
    ];
    let holds = sides.each_ref().map(|(buckets, _)| buckets.iter().any(|b| b.count != 0.0));
    let mut trimmed = histogram.clone();
    let counts = [&mut trimmed.positive_buckets, &mut trimmed.negative_buckets];
    let (mut count, mut sum, mut cut) = (0.0, 0.0, false);
    for (counts, (buckets, spread)) in counts.into_iter().zip(&sides) {
        for (kept_count, bucket) in counts.iter_mut().zip(buckets).filter(|(_, b)| b.count != 0.0) {
            let kept = trim_bucket(bucket, at, keep, *spread);
            cut |= kept.count != bucket.count;
            *kept_count = kept.count;
            count += kept.count;
            sum += kept.mean * kept.count;
        }
    }
    if histogram.zero_count > 0.0 {
        let kept = trim_zero_bucket(histogram, at, keep, holds);
        cut |= kept.count != histogram.zero_count;
        trimmed.zero_count = kept.count;
        count += kept.count;
        sum += kept.mean * kept.count;
    }
    if !cut {
        return histogram.clone();
    }
    HistogramSum::new(&FloatHistogram { count, sum, ..trimmed }).finish()
}

/// Whether some of the bucket may stay.
fn reaches(bucket: &Bucket, at: f64, keep: Keep) -> bool {
    match keep {
        Keep::Below => bucket.upper <= at || bucket.lower < at,
        Keep::Above => bucket.lower >= at || bucket.upper > at,
    }
}

fn trim_bucket(bucket: &Bucket, at: f64, keep: Keep, spread: Spread) -> Kept {
    let (below, above) = (bucket.upper <= at, bucket.lower >= at);
    let whole = if keep == Keep::Below { below } else { above };
    if whole {
        return Kept { count: bucket.count, mean: middle(bucket.lower, bucket.upper, spread) };
    }
    if !reaches(bucket, at, keep) {
        return Kept { count: 0.0, mean: 0.0 };
    }
    if bucket.lower == f64::NEG_INFINITY {
        return trim_lowest(bucket, at, keep);
    }
    if bucket.upper == f64::INFINITY {
        return trim_highest(bucket, at, keep);
    }
    let below = bucket.count * fraction_below(bucket, at, spread == Spread::Linear);
    match keep {
        Keep::Below => Kept { count: below, mean: middle(bucket.lower, at, spread) },
        Keep::Above => Kept { count: bucket.count - below, mean: middle(at, bucket.upper, spread) },
    }
}

/// A bucket from -Inf on: taken to begin at 0 if it ends above, else what lies in it is not known.
fn trim_lowest(bucket: &Bucket, at: f64, keep: Keep) -> Kept {
    let finite = bucket.upper != f64::INFINITY;
    match keep {
        Keep::Below if at > 0.0 && bucket.upper > 0.0 && finite => {
            Kept { count: bucket.count * at / bucket.upper, mean: at / 2.0 }
        }
        Keep::Below if bucket.upper <= 0.0 => Kept { count: bucket.count, mean: at },
        Keep::Above if at >= 0.0 && bucket.upper > at && finite => Kept {
            count: bucket.count * (1.0 - at / bucket.upper),
            mean: (at + bucket.upper) / 2.0,
        },
        Keep::Below | Keep::Above => Kept { count: 0.0, mean: 0.0 },
    }
}

/// A bucket up to +Inf: all of it may lie above the value.
fn trim_highest(bucket: &Bucket, at: f64, keep: Keep) -> Kept {
    if keep == Keep::Above && at >= bucket.lower {
        return Kept { count: bucket.count, mean: at };
    }
    Kept { count: 0.0, mean: 0.0 }
}

/// The zero bucket; it reaches to one side only when all other buckets lie there.
fn trim_zero_bucket(
    histogram: &FloatHistogram,
    at: f64,
    keep: Keep,
    [positive, negative]: [bool; 2],
) -> Kept {
    let (mut lower, mut upper) = (-histogram.zero_threshold, histogram.zero_threshold);
    if negative && !positive {
        upper = 0.0;
    } else if positive && !negative {
        lower = 0.0;
    }
    let count = histogram.zero_count;
    let whole = Kept { count, mean: (lower + upper) / 2.0 };
    let nothing = Kept { count: 0.0, mean: 0.0 };
    match keep {
        Keep::Below if at <= lower => nothing,
        Keep::Below if at >= upper => whole,
        Keep::Below => {
            Kept { count: count * ((at - lower) / (upper - lower)), mean: (lower + at) / 2.0 }
        }
        Keep::Above if at <= lower => whole,
        Keep::Above if at >= upper => nothing,
        Keep::Above => {
            Kept { count: count * ((upper - at) / (upper - lower)), mean: (at + upper) / 2.0 }
        }
    }
}

/// The share of a bucket's observations at or below `at`, which lies within its finite bounds;
/// evenly spread, or evenly on a logarithmic scale.
pub fn fraction_below(bucket: &Bucket, at: f64, linear: bool) -> f64 {
    if linear {
        return (at - bucket.lower) / (bucket.upper - bucket.lower);
    }
    let [lower, upper, at_log] = [bucket.lower, bucket.upper, at].map(|bound| bound.abs().log2());
    if at > 0.0 {
        (at_log - lower) / (upper - lower)
    } else {
        1.0 - (at_log - upper) / (lower - upper)
    }
}

/// The estimated mean of observations between two bounds.
fn middle(lower: f64, upper: f64, spread: Spread) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        (false, false) => match spread {
            Spread::Linear => (lower + upper) / 2.0,
            Spread::ExponentialPositive => (lower * upper).abs().sqrt(),
            Spread::ExponentialNegative => -(lower * upper).abs().sqrt(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::BucketSpan;

    fn custom() -> FloatHistogram {
        FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 8.0,
            sum: 20.0,
            positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
            positive_buckets: vec![2.0, 4.0, 2.0],
            custom_values: vec![2.0, 4.0],
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn a_cut_bucket_keeps_its_share() {
        let below = trim(&custom(), 3.0, Keep::Below);
        assert_eq!((below.positive_buckets, below.count), (vec![2.0, 2.0], 4.0));
        let above = trim(&custom(), 3.0, Keep::Above);
        assert_eq!((above.positive_buckets, above.count), (vec![2.0, 2.0], 4.0));
        assert_eq!(above.sum, 3.5 * 2.0 + 4.0 * 2.0);
    }

    #[test]
    fn nothing_cut_nothing_changed() {
        assert_eq!(trim(&custom(), f64::NEG_INFINITY, Keep::Above), custom());
        assert_eq!(trim(&custom(), f64::INFINITY, Keep::Below), custom());
    }

    #[test]
    fn exponential_buckets_are_cut_on_a_logarithmic_scale() {
        let h = FloatHistogram {
            count: 4.0,
            positive_spans: vec![BucketSpan { offset: 1, length: 1 }],
            positive_buckets: vec![4.0],
            ..FloatHistogram::default()
        };
        let below = trim(&h, 2f64.sqrt(), Keep::Below);
        assert!((below.count - 2.0).abs() < 1e-12, "half of (1, 2] on a logarithmic scale");
    }
}
