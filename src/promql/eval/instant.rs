//! Instant selectors: the newest sample within the lookback, for every step.

use std::sync::Arc;

use crate::model::source::HistogramPoint;
use crate::model::{CounterResetHint, FloatHistogram, SeriesData, is_stale_nan};

use super::super::annotations::{Notes, mixed_range};
use super::super::ast::Span;
use super::super::error::QueryError;
use super::super::functions::extended::Extended;
use super::super::functions::extended_histogram::interpolate;
use super::super::functions::histogram_rate::Told;
use super::block::Row;
use super::grid::Reach;

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
        let from = data.timestamps.partition_point(|t| *t <= oldest);
        let to = data.timestamps.partition_point(|t| *t <= newest);
        looked_at += (to - from) as u64;
        let first = data.histograms.partition_point(|point| point.timestamp <= oldest);
        let end = data.histograms.partition_point(|point| point.timestamp <= newest);
        if first < end {
            looked_at += (end - first) as u64;
            if from < to {
                notes.warn(span, mixed_range(row.labels.metric_name()));
            } else {
                let told = Told { name: row.labels.metric_name(), span, notes };
                if let Some(histogram) = smooth_histogram(&data.histograms[first..end], time, told)
                {
                    row.put_histogram(step, Arc::new(histogram));
                }
            }
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

/// The histogram at `time` among those around it; beyond the last one that one, its reset hint
/// without meaning there. Only two gauges are interpolated as gauges.
fn smooth_histogram(
    points: &[HistogramPoint],
    time: i64,
    mut told: Told<'_>,
) -> Option<FloatHistogram> {
    let at = points.partition_point(|point| point.timestamp < time);
    let point = |at: usize| (points[at].timestamp, points[at].histogram.to_float());
    if points.get(at).is_some_and(|point| point.timestamp == time) {
        return Some(point(at).1);
    }
    let (from_time, mut from) = point(at.checked_sub(1)?);
    if at == points.len() {
        from.counter_reset_hint = CounterResetHint::Unknown;
        return Some(from);
    }
    let (to_time, to) = point(at);
    // Also where a reset would keep them apart.
    if !told.same_kind([&from, &to]) {
        return None;
    }
    let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    let counter = !is_gauge(&from) || !is_gauge(&to);
    match interpolate((from_time, &from), (to_time, &to), time, counter) {
        Ok((histogram, reconciled)) => {
            if reconciled {
                told.reconciled("subtraction");
                told.reconciled("addition");
            }
            Some(histogram)
        }
        Err(error) => {
            told.added(Err(error), "subtraction");
            None
        }
    }
}
