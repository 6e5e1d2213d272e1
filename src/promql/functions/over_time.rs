//! The `*_over_time` family.

use std::sync::Arc;

use crate::model::FloatHistogram;
use crate::model::histogram_sum::IncompatibleBuckets;

use super::super::annotations::{
    Notes, ignored_in_mixed_range, invalid_quantile, mixed_range, mixed_schemas,
};
use super::super::ast::Span;
use super::super::error::QueryError;
use super::super::eval::accumulate::Accumulator;
use super::super::eval::window::{Point, RangeRow, Window};
use super::histogram_rate::Histograms;
use super::number::{self, kahan_add};

/// Runs `f` over the floats of each window that has some, and says so when histograms are passed
/// over.
fn floats_only(
    row: &mut RangeRow<'_>,
    mut f: impl FnMut(&Window<'_>) -> f64,
) -> Result<(), QueryError> {
    let (span, labels) = (row.call.first_arg, row.labels);
    row.each(|window, notes| {
        if window.values.is_empty() {
            return Ok(Point::Absent);
        }
        note_ignored(window, labels.metric_name(), span, notes);
        Ok(Point::Float(f(window)))
    })
}

/// Says that histograms of the window were passed over.
pub(super) fn note_ignored(window: &Window<'_>, name: &str, span: Span, notes: &mut Notes) {
    if !window.histograms.is_empty() {
        notes.info(span, ignored_in_mixed_range(name));
    }
}

/// Adds a histogram to those before it.
type Add = fn(&mut Accumulator, &FloatHistogram) -> Result<(), IncompatibleBuckets>;

/// Runs `floats` over windows of floats, and adds up windows of histograms; windows with both are
/// dropped with a warning.
fn uniform(
    row: &mut RangeRow<'_>,
    mut floats: impl FnMut(&Window<'_>) -> f64,
    (add, finish): (Add, fn(Accumulator) -> FloatHistogram),
) -> Result<(), QueryError> {
    let (span, labels, data) = (row.call.first_arg, row.labels, row.data);
    let mut histograms = None;
    row.each(|window, notes| match (window.values.is_empty(), window.histograms.is_empty()) {
        (_, true) => Ok(Point::Float(floats(window))),
        (false, false) => {
            notes.warn(span, mixed_range(labels.metric_name()));
            Ok(Point::Absent)
        }
        (true, false) => {
            let known =
                histograms.get_or_insert_with(|| Histograms::with_events(data, |_, _| false));
            let points = known.within(window);
            let mut state = Accumulator::new(&points[0]);
            if points[1..].iter().any(|point| add(&mut state, point).is_err()) {
                notes.warn(span, mixed_schemas(labels.metric_name()));
                return Ok(Point::Absent);
            }
            state.note(span, notes);
            Ok(Point::Histogram(Arc::new(finish(state))))
        }
    })
}

/// `sum_over_time(v[r])`
pub(super) fn sum(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    let floats = |window: &Window<'_>| {
        let (sum, compensation) =
            window.values.iter().fold((0.0, 0.0), |(sum, c), value| kahan_add(*value, sum, c));
        if sum.is_infinite() { sum } else { sum + compensation }
    };
    uniform(row, floats, (Accumulator::add, Accumulator::sum))
}

/// `avg_over_time(v[r])`
pub(super) fn avg(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    let floats = |window: &Window<'_>| mean(window.values);
    uniform(row, floats, (Accumulator::add_to_mean, Accumulator::mean))
}

/// The mean: a compensated sum divided by the count, or, once the sum would overflow, a running
/// mean.
fn mean(values: &[f64]) -> f64 {
    let (mut sum, mut compensation) = (values[0], 0.0);
    let mut running: Option<f64> = None;
    let mut count = 1.0;
    for value in &values[1..] {
        count += 1.0;
        if running.is_none() {
            let (total, c) = kahan_add(*value, sum, compensation);
            if !total.is_infinite() {
                (sum, compensation) = (total, c);
                continue;
            }
            running = Some(sum / (count - 1.0));
            compensation /= count - 1.0;
        }
        let weight = (count - 1.0) / count;
        let mean = running.unwrap_or(0.0);
        let (total, c) = kahan_add(value / count, weight * mean, weight * compensation);
        (running, compensation) = (Some(total), c);
    }
    running.map_or(sum / count + compensation / count, |mean| mean + compensation)
}

/// `count_over_time(v[r])`
pub(super) fn count(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    row.each(|window, _| Ok(Point::Float((window.values.len() + window.histograms.len()) as f64)))
}

/// `present_over_time(v[r])`, and what `absent_over_time` starts from.
pub(super) fn present(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    row.each(|_, _| Ok(Point::Float(1.0)))
}

/// `last_over_time(v[r])`
pub(super) fn last(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    row.each(|window, _| {
        let float = window.timestamps.last();
        match window.histograms.last() {
            Some(point) if float.is_none_or(|time| *time <= point.timestamp) => {
                Ok(Point::Histogram(Arc::new(point.histogram.to_float())))
            }
            _ => Ok(Point::from(window.values.last().copied())),
        }
    })
}

/// `first_over_time(v[r])`
pub(super) fn first(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    row.each(|window, _| {
        let float = window.timestamps.first();
        match window.histograms.first() {
            Some(point) if float.is_none_or(|time| *time >= point.timestamp) => {
                Ok(Point::Histogram(Arc::new(point.histogram.to_float())))
            }
            _ => Ok(Point::from(window.values.first().copied())),
        }
    })
}

/// `ts_of_first_over_time(v[r])`
pub(super) fn time_of_first(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    row.each(|window, _| {
        let float = window.timestamps.first().copied();
        let histogram = window.histograms.first().map(|point| point.timestamp);
        let first = float.into_iter().chain(histogram).min();
        Ok(Point::from(first.map(|time| time as f64 / 1000.0)))
    })
}

/// `ts_of_last_over_time(v[r])`
pub(super) fn time_of_last(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    row.each(|window, _| {
        let float = window.timestamps.last().copied();
        let histogram = window.histograms.last().map(|point| point.timestamp);
        let last = float.into_iter().chain(histogram).max();
        Ok(Point::from(last.map(|time| time as f64 / 1000.0)))
    })
}

/// The value of a window that `better` prefers, and its timestamp.
#[inline]
fn best(window: &Window<'_>, better: impl Fn(f64, f64) -> bool) -> (f64, i64) {
    let mut best = (window.values[0], window.timestamps[0]);
    for (value, time) in window.values.iter().zip(window.timestamps) {
        if better(*value, best.0) || best.0.is_nan() {
            best = (*value, *time);
        }
    }
    best
}

/// `max_over_time(v[r])`
pub(super) fn max(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    floats_only(row, |window| best(window, |a, b| a > b).0)
}

/// `min_over_time(v[r])`
pub(super) fn min(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    floats_only(row, |window| best(window, |a, b| a < b).0)
}

/// `ts_of_max_over_time(v[r])`: the last of equal ones.
pub(super) fn time_of_max(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    floats_only(row, |window| best(window, |a, b| a >= b).1 as f64 / 1000.0)
}

/// `ts_of_min_over_time(v[r])`: the last of equal ones.
pub(super) fn time_of_min(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    floats_only(row, |window| best(window, |a, b| a <= b).1 as f64 / 1000.0)
}

/// `stdvar_over_time(v[r])`
pub(super) fn stdvar(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    floats_only(row, |window| variance(window.values))
}

/// `stddev_over_time(v[r])`
pub(super) fn stddev(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    floats_only(row, |window| variance(window.values).sqrt())
}

/// Welford's running variance with compensated sums.
fn variance(values: &[f64]) -> f64 {
    let (mut count, mut mean, mut aux) = (0.0, (0.0, 0.0), (0.0, 0.0));
    for value in values {
        count += 1.0;
        let delta = value - (mean.0 + mean.1);
        mean = kahan_add(delta / count, mean.0, mean.1);
        aux = kahan_add(delta * (value - (mean.0 + mean.1)), aux.0, aux.1);
    }
    (aux.0 + aux.1) / count
}

/// `quantile_over_time(q, v[r])`
pub(super) fn quantile(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    let call = row.call;
    let labels = row.labels;
    let mut sorted = Vec::new();
    row.each(|window, notes| {
        if window.values.is_empty() {
            return Ok(Point::Absent);
        }
        let q = call.params[0][window.step];
        if !(0.0..=1.0).contains(&q) {
            notes.warn(call.first_arg, invalid_quantile(q));
        }
        note_ignored(window, labels.metric_name(), call.first_arg, notes);
        sorted.clear();
        sorted.extend_from_slice(window.values);
        Ok(Point::Float(number::quantile(q, &mut sorted)))
    })
}

/// `mad_over_time(v[r])`: the median of the distances to the median.
pub(super) fn mad(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    let mut sorted: Vec<f64> = Vec::new();
    floats_only(row, |window| {
        if window.values.iter().any(|value| value.is_nan()) {
            return f64::NAN;
        }
        sorted.clear();
        sorted.extend_from_slice(window.values);
        let median = number::quantile(0.5, &mut sorted);
        sorted.iter_mut().for_each(|value| *value = (*value - median).abs());
        number::quantile(0.5, &mut sorted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_survives_a_sum_that_overflows() {
        assert_eq!(mean(&[f64::MAX, f64::MAX]), f64::MAX);
        assert_eq!(mean(&[1.0, 2.0, 6.0]), 3.0);
        assert_eq!(mean(&[1e100, 1.0, -1e100]), 1.0 / 3.0);
    }

    #[test]
    fn variance_of_a_constant_is_zero() {
        assert_eq!(variance(&[1.599, 1.599, 1.599]), 0.0);
        assert!((variance(&[0.0, 8.0, 8.0, 2.0, 3.0]) - 10.56).abs() < 1e-12);
    }
}
