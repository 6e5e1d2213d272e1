//! Series that the reference evaluator has not: native histograms of integers, of gauges, of custom
//! buckets, of all kinds in turn, and counters with start timestamps.

use std::ops::Range;

use super::reference::data::{INTERVAL_MS, SAMPLES};
use super::support::remote_write::{self, BucketSpan, Histogram, Sample, TimeSeries};

/// Schema of custom buckets.
const CUSTOM: i32 = -53;
/// Reset hint of a gauge.
const GAUGE: i32 = 3;
const WHO: [(&str, &str); 5] = [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("c", "3")];
/// The zero threshold of histograms that come by OTLP.
const OTLP_ZERO_THRESHOLD: f64 = 1e-128;
/// How the names of metrics with start timestamps begin.
pub const STARTED: &str = "started_";
/// Custom bounds of each of [`WHO`]: some equal, some with common bounds, some without.
const BOUNDS: [&[f64]; 5] =
    [&[1.0, 2.0, 5.0], &[1.0, 2.0, 5.0], &[2.0, 5.0, 10.0], &[1.0, 5.0], &[0.5, 3.0]];

/// Their samples of a stretch of time; the first one is at `start_ms`.
pub fn messages(start_ms: i64, times: Range<i64>) -> Vec<TimeSeries> {
    let at = (0..SAMPLES).find(|at| times.contains(&(start_ms + at * INTERVAL_MS)));
    let Some(at) = at else { return Vec::new() };
    let timestamp = start_ms + at * INTERVAL_MS;
    let mut all = Vec::new();
    for (n, who) in WHO.iter().enumerate() {
        let mut add = |name: &str, histogram: Histogram| {
            let histograms = vec![Histogram { timestamp, ..histogram }];
            all.push(TimeSeries {
                histograms,
                ..remote_write::series(&labels(name, who, &[]), &[])
            });
        };
        add("nhi", integers(at, n));
        add("gauges", gauge(at, n));
        add("nhcb", custom(at, n));
        let start_timestamp = start_ms + started(at, n);
        let zero_threshold = OTLP_ZERO_THRESHOLD;
        add("started_nh", Histogram { start_timestamp, zero_threshold, ..integers(at, n) });
        match (at / 7 + n as i64) % 3 {
            0 => add("kinds", integers(at, n)),
            1 => add("kinds", custom(at, n)),
            _ => {
                let sample = vec![remote_write::sample(timestamp, (at % 9) as f64)];
                let series = remote_write::series(&labels("kinds", who, &[]), &[]);
                all.push(TimeSeries { samples: sample, ..series });
            }
        }
        if let Some(value) = started_value(at, n) {
            let samples = vec![Sample { value, timestamp, start_timestamp }];
            let series = remote_write::series(&labels("started_total", who, &[]), &[]);
            all.push(TimeSeries { samples, ..series });
        }
    }
    all
}

fn labels<'a>(
    name: &'a str,
    who: &(&'a str, &'a str),
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut labels = vec![("__name__", name), ("instance", who.1), ("job", who.0)];
    labels.extend(more);
    labels.sort_unstable();
    labels
}

/// A counter of integers with a negative bucket, gaps between buckets, and resets.
fn integers(at: i64, n: usize) -> Histogram {
    let count = at % (19 + n as i64);
    let (positive, negative) = ([count * 2 + 1, count, count / 2 + 1], [count, 1]);
    let deltas = |counts: &[i64]| -> Vec<i64> {
        (0..counts.len()).map(|i| counts[i] - if i > 0 { counts[i - 1] } else { 0 }).collect()
    };
    let total = positive.iter().chain(&negative).sum::<i64>() + count;
    Histogram {
        count_int: Some(total.unsigned_abs()),
        zero_count_int: Some(count.unsigned_abs()),
        zero_threshold: if n == 4 { 0.5 } else { 0.001 },
        sum: count as f64 * 1.75,
        schema: if n < 3 { 1 } else { 2 },
        positive_spans: vec![
            BucketSpan { offset: 0, length: 2 },
            BucketSpan { offset: 3, length: 1 },
        ],
        positive_deltas: deltas(&positive),
        negative_spans: vec![BucketSpan { offset: 1, length: 2 }],
        negative_deltas: deltas(&negative),
        ..Histogram::default()
    }
}

/// When the counting began of which sample `at` tells, in ms after the first sample: between two
/// samples, at one, now and then overlapping, or after the sample.
fn started(at: i64, n: usize) -> i64 {
    let n = n as i64;
    let (every, begin) = (13 + n, at - at % (13 + n));
    match at % every {
        7 if n == 2 => (at - 1) * INTERVAL_MS - 3_000,
        6 if n == 3 => at * INTERVAL_MS + 2_000,
        _ if n == 4 => at * INTERVAL_MS - 7_000,
        _ => begin * INTERVAL_MS - [1_000, 4_000, 0, 10_000, 9_999][n as usize],
    }
}

/// A counter that now and then begins anew at more than it had.
fn started_value(at: i64, n: usize) -> Option<f64> {
    let every = 13 + n as i64;
    let (round, within) = (at / every, at % every);
    (at % 29 != 28).then_some((within * 2 + 1 + 30 * (round % 3)) as f64)
}

/// A gauge of floats.
fn gauge(at: i64, n: usize) -> Histogram {
    let count = ((at * 7 + 3 * n as i64) % 11) as f64;
    Histogram {
        count_float: Some(2.0 * count + 1.75),
        zero_count_float: Some(0.25),
        sum: count * 1.5 - 3.0,
        schema: n as i32 % 3,
        positive_spans: vec![BucketSpan { offset: -1, length: 3 }],
        positive_counts: vec![count + 0.5, count, 1.0],
        reset_hint: GAUGE,
        ..Histogram::default()
    }
}

/// A counter with custom buckets.
fn custom(at: i64, n: usize) -> Histogram {
    let (bounds, count) = (BOUNDS[n], (at % (21 + n as i64)) as f64);
    let counts: Vec<f64> = (0..=bounds.len()).map(|i| count * (i + 1) as f64 + 1.0).collect();
    Histogram {
        count_float: Some(counts.iter().sum()),
        zero_count_float: Some(0.0),
        sum: count * 11.5,
        schema: CUSTOM,
        positive_spans: vec![BucketSpan { offset: 0, length: counts.len() as u32 }],
        positive_counts: counts,
        custom_values: bounds.to_vec(),
        ..Histogram::default()
    }
}
