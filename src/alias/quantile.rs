//! The quantiles of a summary, from the buckets of a histogram.
//!
//! In: the buckets' samples. Out: at each time the quantile of what was observed in the ten minutes
//! before, as clients of summaries compute it; NaN when nothing was.

use super::combine::growth;
use crate::model::SeriesData;

/// Quantiles that aliases have, and their label values: those of statsd_exporter's default.
pub(super) const QUANTILES: [(f64, &str); 3] = [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99")];
/// How much of the past counts, in ms (statsd_exporter: `max_age`).
pub(super) const WINDOW_MS: i64 = 10 * 60 * 1000;

/// One bucket over time.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// Its upper bound in seconds.
    pub le: f64,
    /// Its samples.
    pub data: SeriesData,
}

/// Writes the quantile `q` over time.
pub(super) fn quantile(q: f64, buckets: &[Bucket], out: &mut SeriesData) {
    out.clear();
    let mut grown: Vec<(f64, SeriesData)> =
        buckets.iter().map(|bucket| (bucket.le, growth(&bucket.data))).collect();
    grown.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut times: Vec<i64> =
        grown.iter().flat_map(|(_, data)| data.timestamps.iter().copied()).collect();
    times.sort_unstable();
    times.dedup();
    for time in times {
        let counts = grown.iter().map(|(le, data)| (*le, increase(data, time)));
        out.timestamps.push(time);
        out.values.push(of_counts(q, &merged(counts)));
    }
}

/// How much a counter grew in the window that ends at `time`.
fn increase(data: &SeriesData, time: i64) -> f64 {
    let at = |time: i64| {
        let index = data.timestamps.partition_point(|t| *t <= time);
        let index = index.saturating_sub(1); // before its first sample a counter stood there
        data.values.get(index).copied().unwrap_or(0.0)
    };
    at(time) - at(time.saturating_sub(WINDOW_MS))
}

/// Buckets of one bound are one.
fn merged(counts: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut merged: Vec<(f64, f64)> = Vec::new();
    for (le, count) in counts {
        match merged.last_mut() {
            Some(last) if last.0 == le => last.1 += count,
            _ => merged.push((le, count)),
        }
    }
    merged
}

/// The quantile of cumulative counts, spread evenly within a bucket; bounds ascend and end with
/// infinity (as PromQL's `histogram_quantile`).
fn of_counts(q: f64, counts: &[(f64, f64)]) -> f64 {
    let Some((_, total)) = counts.last().filter(|(le, total)| le.is_infinite() && *total > 0.0)
    else {
        return f64::NAN;
    };
    let rank = q * total;
    let index = counts.partition_point(|(_, count)| *count < rank);
    let (from, below) = match index {
        0 => (0.0, 0.0),
        index => counts[index - 1],
    };
    match counts.get(index) {
        Some((le, count)) if le.is_finite() => {
            from + (le - from) * (rank - below) / (count - below)
        }
        // Beyond the last bound there is nothing to measure by.
        _ => from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_of_the_last_minutes() {
        let bucket = |le: f64, values: &[f64]| {
            let timestamps = (0..values.len() as i64).map(|i| i * WINDOW_MS).collect();
            let data = SeriesData { timestamps, values: values.to_vec(), ..SeriesData::default() };
            Bucket { le, data }
        };
        // Four quick ones before, then ten slow ones, then nothing.
        let buckets = [
            bucket(f64::INFINITY, &[4.0, 14.0, 14.0]),
            bucket(1.0, &[4.0, 4.0, 4.0]),
            bucket(5.0, &[4.0, 14.0, 14.0]),
        ];
        let mut out = SeriesData::default();
        quantile(0.5, &buckets, &mut out);
        assert_eq!(out.timestamps, [0, WINDOW_MS, 2 * WINDOW_MS]);
        assert!(out.values[0].is_nan() && out.values[2].is_nan(), "{:?}", out.values);
        assert_eq!(out.values[1], 3.0);
    }

    #[test]
    fn beyond_the_last_bound_the_bound_is_known() {
        assert_eq!(of_counts(0.9, &[(1.0, 1.0), (f64::INFINITY, 10.0)]), 1.0);
        assert_eq!(of_counts(0.5, &[(1.0, 10.0), (f64::INFINITY, 10.0)]), 0.5);
        assert!(of_counts(0.5, &[(1.0, 10.0)]).is_nan());
    }
}
