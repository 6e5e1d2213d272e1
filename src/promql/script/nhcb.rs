//! Classic histograms to native histograms with custom buckets, for `load_with_nhcb`.

use std::collections::BTreeMap;

use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::{BucketSpan, FloatHistogram, Labels};
use crate::promql::lexer::parse_number;
use crate::promql::memory::{MemorySample, MemoryValue};

use super::LoadedSeries;

/// The parts of one classic histogram at one time.
#[derive(Default)]
struct Parts {
    /// Upper bound and cumulative count.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// Which part of a histogram a series holds.
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

/// The histograms that `_bucket`, `_count` and `_sum` series make up together.
pub(super) fn convert(series: &[LoadedSeries]) -> Result<Vec<LoadedSeries>, String> {
    let mut histograms: BTreeMap<Labels, BTreeMap<i64, Parts>> = BTreeMap::new();
    for one in series {
        let Some((part, base)) = part_of(&one.labels)? else { continue };
        let by_time = histograms.entry(base).or_default();
        for sample in &one.samples {
            let MemoryValue::Float(value) = sample.value else { continue };
            let parts = by_time.entry(sample.timestamp).or_default();
            match part {
                Part::Bucket(bound) => parts.buckets.push((bound, value)),
                Part::Count => parts.count = Some(value),
                Part::Sum => parts.sum = value,
            }
        }
    }
    histograms
        .into_iter()
        .map(|(labels, by_time)| {
            let samples = by_time.into_iter().map(sample).collect::<Result<_, String>>()?;
            Ok(LoadedSeries { labels, samples })
        })
        .collect()
}

/// What the series is a part of; `None` when it is none or its bound is no number.
fn part_of(labels: &Labels) -> Result<Option<(Part, Labels)>, String> {
    let name = labels.metric_name();
    let (part, base) = if let Some(base) = name.strip_suffix("_bucket") {
        match parse_number(labels.value("le")) {
            Ok(bound) if !bound.is_nan() => (Part::Bucket(bound), base),
            _ => return Ok(None),
        }
    } else if let Some(base) = name.strip_suffix("_count") {
        (Part::Count, base)
    } else if let Some(base) = name.strip_suffix("_sum") {
        (Part::Sum, base)
    } else {
        return Ok(None);
    };
    let mut builder = labels.to_builder();
    builder.set("__name__", base).delete("le");
    let labels = builder.build().map_err(|error| error.to_string())?;
    Ok(Some((part, labels)))
}

fn sample((timestamp, parts): (i64, Parts)) -> Result<MemorySample, String> {
    let value = MemoryValue::Histogram(Box::new(histogram(parts)?));
    Ok(MemorySample { timestamp, start_timestamp: 0, value })
}

fn histogram(mut parts: Parts) -> Result<FloatHistogram, String> {
    parts.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    parts.buckets.dedup_by(|a, b| a.0 == b.0);
    let last = parts.buckets.last().copied();
    let count = parts.count.or(last.map(|(_, count)| count)).unwrap_or(0.0);
    if last.is_none_or(|(bound, _)| bound != f64::INFINITY) {
        parts.buckets.push((f64::INFINITY, count));
    }
    let mut histogram = FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count,
        sum: parts.sum,
        positive_spans: vec![BucketSpan {
            offset: 0,
            length: u32::try_from(parts.buckets.len()).map_err(|error| error.to_string())?,
        }],
        ..FloatHistogram::default()
    };
    let mut below = 0.0;
    for (bound, cumulative) in parts.buckets {
        if cumulative < below {
            return Err(format!("bucket counts are not cumulative: {cumulative} < {below}"));
        }
        histogram.positive_buckets.push(cumulative - below);
        below = cumulative;
        if bound != f64::INFINITY {
            histogram.custom_values.push(bound);
        }
    }
    Ok(histogram)
}
