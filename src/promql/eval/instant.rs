//! Instant selectors: the newest sample within the lookback, for every step.

use std::sync::Arc;

use crate::model::{SeriesData, is_stale_nan};

use super::super::annotations::{Notes, mixed_range};
use super::super::ast::Span;
use super::super::error::QueryError;
use super::super::functions::extended::Extended;
use super::block::Row;
use super::grid::Reach;
use super::not_supported;

/// What a selector's row shows of the sample it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// The sample's value.
    Value,
    /// The sample's own timestamp, in seconds: `timestamp(selector)`.
    Timestamp,
    /// The sample's start timestamp, in seconds: `start_timestamp(selector)`.
    StartTimestamp,
}

/// Fills `row` from the samples of one series; gives the number of samples looked at.
pub(crate) fn fill(
    data: &SeriesData,
    reach: Reach,
    lookback: i64,
    show: Show,
    row: &mut Row,
) -> u64 {
    let (mut float_end, mut histogram_end) = (0, 0);
    let mut found = 0;
    for step in 0..row.values.len() {
        let end = reach.end(step);
        let oldest = end.saturating_sub(lookback);
        while float_end < data.timestamps.len() && data.timestamps[float_end] <= end {
            float_end += 1;
        }
        while histogram_end < data.histograms.len()
            && data.histograms[histogram_end].timestamp <= end
        {
            histogram_end += 1;
        }
        let float = float_end.checked_sub(1).map(|at| (data.timestamps[at], at));
        let histogram = histogram_end.checked_sub(1).map(|at| (data.histograms[at].timestamp, at));
        let float = float.filter(|(time, _)| *time > oldest);
        let histogram = histogram.filter(|(time, _)| *time > oldest);
        let is_histogram = match (float, histogram) {
            (None, None) => continue,
            (Some((float_time, _)), Some((time, _))) => time > float_time,
            (float, _) => float.is_none(),
        };
        found += u64::from(if is_histogram {
            histogram.is_some_and(|(_, at)| put_histogram(data, at, step, show, row))
        } else {
            float.is_some_and(|(_, at)| put_float(data, at, step, show, row))
        });
    }
    found
}

#[inline]
fn put_float(data: &SeriesData, at: usize, step: usize, show: Show, row: &mut Row) -> bool {
    if is_stale_nan(data.values[at]) {
        return false;
    }
    row.values[step] = match show {
        Show::Value => data.values[at],
        Show::Timestamp => data.timestamps[at] as f64 / 1000.0,
        Show::StartTimestamp => data.start_timestamps.get(at).copied().unwrap_or(0) as f64 / 1000.0,
    };
    true
}

fn put_histogram(data: &SeriesData, at: usize, step: usize, show: Show, row: &mut Row) -> bool {
    let point = &data.histograms[at];
    if point.histogram.is_stale() {
        return false;
    }
    match show {
        Show::Value => {
            let shared = match row.histograms.last() {
                Some((_, last)) if at > 0 && step > 0 && same_point(data, at, last) => {
                    Arc::clone(last)
                }
                _ => Arc::new(point.histogram.to_float()),
            };
            row.histograms.push((step as u32, shared));
        }
        Show::Timestamp => row.values[step] = point.timestamp as f64 / 1000.0,
        Show::StartTimestamp => row.values[step] = point.start_timestamp as f64 / 1000.0,
    }
    true
}

/// Whether the histogram already made from the series equals point `at`: steps between two samples
/// share one histogram.
fn same_point(data: &SeriesData, at: usize, last: &crate::model::FloatHistogram) -> bool {
    let histogram = &data.histograms[at].histogram;
    histogram.sum().to_bits() == last.sum.to_bits() && histogram.to_float() == *last
}

/// Fills `row` from the samples of one series without stale markers, interpolating between the
/// samples around each step; gives the number of samples looked at.
pub(crate) fn smooth(
    data: &SeriesData,
    reach: Reach,
    lookback: i64,
    span: Span,
    row: &mut Row,
    notes: &mut Notes,
) -> Result<u64, QueryError> {
    let mut looked_at = 0;
    for step in 0..row.values.len() {
        let time = reach.end(step);
        let (oldest, newest) = (time.saturating_sub(lookback), time.saturating_add(lookback));
        let near = |time: i64| time > oldest && time <= newest;
        let from = data.timestamps.partition_point(|t| *t <= oldest);
        let to = data.timestamps.partition_point(|t| *t <= newest);
        looked_at += (to - from) as u64;
        if data.histograms.iter().any(|point| near(point.timestamp)) {
            if from == to {
                return Err(not_supported("smoothed native histograms"));
            }
            notes.warn(span, mixed_range(row.labels.metric_name()));
            continue;
        }
        let (timestamps, values) = (&data.timestamps[from..to], &data.values[from..to]);
        let around = Extended { timestamps, values, start: oldest, end: newest, smoothed: true };
        let at = timestamps.partition_point(|t| *t < time);
        if timestamps.get(at) == Some(&time) {
            row.values[step] = values[at];
        } else if at > 0 && at < values.len() {
            row.values[step] = around.interpolate(at - 1, time, false);
        } else if at > 0 {
            row.values[step] = values[at - 1];
        }
    }
    Ok(looked_at)
}
