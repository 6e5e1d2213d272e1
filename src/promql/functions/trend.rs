//! `deriv`, `predict_linear` and `double_exponential_smoothing`.

use super::super::error::QueryError;
use super::super::eval::window::{Point, RangeRow, Window};
use super::number::kahan_add;
use super::over_time::note_ignored;

/// `deriv(v[r])`: slope of the regression line, per second.
pub(super) fn deriv(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    two_floats(row, |window, _| {
        Ok(regression(window.timestamps, window.values, window.timestamps[0]).0)
    })
}

/// `predict_linear(v[r], seconds)`: the regression line so many seconds after the evaluation time.
pub(super) fn predict_linear(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    let call = row.call;
    two_floats(row, |window, step| {
        let time = call.grid.time(step);
        let (slope, intercept) = regression(window.timestamps, window.values, time);
        Ok(slope * call.params[0][step] + intercept)
    })
}

/// `double_exponential_smoothing(v[r], smoothing, trend)`
pub(super) fn double_exponential_smoothing(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    let call = row.call;
    let (span, labels) = (call.first_arg, row.labels);
    row.each(|window, notes| {
        let smoothing = factor(call.params[0][window.step], "smoothing")?;
        let trend = factor(call.params[1][window.step], "trend")?;
        if window.values.len() < 2 {
            if window.values.len() == 1 {
                note_ignored(window, labels.metric_name(), span, notes);
            }
            return Ok(Point::Absent);
        }
        note_ignored(window, labels.metric_name(), span, notes);
        Ok(Point::Float(smooth(window.values, smoothing, trend)))
    })
}

fn factor(value: f64, what: &str) -> Result<f64, QueryError> {
    if value <= 0.0 || value >= 1.0 {
        let initial = if what == "smoothing" { "sf" } else { "tf" };
        return Err(QueryError::Execution(format!(
            "invalid {what} factor. Expected: 0 < {initial} < 1, got: {value:.6}"
        )));
    }
    Ok(value)
}

fn smooth(values: &[f64], smoothing: f64, trend: f64) -> f64 {
    let (mut before, mut smoothed) = (0.0, values[0]);
    let mut slope = values[1] - values[0];
    for (at, value) in values.iter().enumerate().skip(1) {
        let x = smoothing * value;
        if at > 1 {
            slope = trend * (smoothed - before) + (1.0 - trend) * slope;
        }
        let y = (1.0 - smoothing) * (smoothed + slope);
        (before, smoothed) = (smoothed, x + y);
    }
    smoothed
}

/// Runs `f` over windows of two floats or more, and says so when histograms are passed over.
fn two_floats(
    row: &mut RangeRow<'_>,
    mut f: impl FnMut(&Window<'_>, usize) -> Result<f64, QueryError>,
) -> Result<(), QueryError> {
    let (span, labels) = (row.call.first_arg, row.labels);
    row.each(|window, notes| {
        if !window.values.is_empty() {
            note_ignored(window, labels.metric_name(), span, notes);
        }
        if window.values.len() < 2 {
            return Ok(Point::Absent);
        }
        Ok(Point::Float(f(window, window.step)?))
    })
}

/// Slope and value at time `at` (ms) of the least-squares line.
fn regression(timestamps: &[i64], values: &[f64], at: i64) -> (f64, f64) {
    let first = values[0];
    if values.iter().all(|value| *value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let n = values.len() as f64;
    let (mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) =
        ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0));
    for (time, y) in timestamps.iter().zip(values) {
        let x = time.saturating_sub(at) as f64 / 1e3;
        x_sum = kahan_add(x, x_sum.0, x_sum.1);
        y_sum = kahan_add(*y, y_sum.0, y_sum.1);
        xy_sum = kahan_add(x * y, xy_sum.0, xy_sum.1);
        xx_sum = kahan_add(x * x, xx_sum.0, xx_sum.1);
    }
    let (x, y, xy, xx) =
        (x_sum.0 + x_sum.1, y_sum.0 + y_sum.1, xy_sum.0 + xy_sum.1, xx_sum.0 + xx_sum.1);
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_finds_the_line() {
        let (slope, intercept) = regression(&[0, 1000, 2000], &[1.0, 3.0, 5.0], 2000);
        assert!((slope - 2.0).abs() < 1e-12 && (intercept - 5.0).abs() < 1e-12);
        assert_eq!(regression(&[0, 1], &[7.0, 7.0], 0), (0.0, 7.0));
    }

    #[test]
    fn factors_lie_between_zero_and_one() {
        let error = factor(1.5, "smoothing").expect_err("too large").to_string();
        assert_eq!(error, "invalid smoothing factor. Expected: 0 < sf < 1, got: 1.500000");
    }
}
