//! Extended range selectors: `anchored` ranges begin with the last sample at or before their start,
//! `smoothed` ones are interpolated at both edges (Prometheus' `promql-extended-range-selectors`).

use super::super::annotations::mixed_range;
use super::super::error::QueryError;
use super::super::eval::window::{Point, RangeRow, Window};
use super::extended_histogram;
use super::histogram_rate::{Histograms, Told};

/// Float samples of an extended range, its edges, and how it treats them.
#[derive(Clone, Copy)]
pub(crate) struct Extended<'a> {
    /// Timestamps, those beyond the edges included; not empty.
    pub(crate) timestamps: &'a [i64],
    /// Values.
    pub(crate) values: &'a [f64],
    /// Start of the range, exclusive, in ms.
    pub(crate) start: i64,
    /// End of the range, inclusive, in ms.
    pub(crate) end: i64,
    /// Whether the edges are interpolated.
    pub(crate) smoothed: bool,
}

/// `rate`, `increase` and `delta` of an extended range.
pub(super) fn rate(
    row: &mut RangeRow<'_>,
    counter: bool,
    per_second: bool,
) -> Result<(), QueryError> {
    let (data, call) = (row.data, row.call);
    let name = row.metric_name().to_owned();
    let seconds = call.range as f64 / 1000.0;
    let mut histograms = None;
    row.each(|window, notes| {
        if !window.histograms.is_empty() {
            if !window.values.is_empty() {
                notes.warn(call.first_arg, mixed_range(&name));
                return Ok(Point::Absent);
            }
            let histograms =
                histograms.get_or_insert_with(|| Histograms::with_events(data, |_, _| false));
            let told = Told { name: &name, span: call.first_arg, notes };
            let how = (call.smoothed(), counter);
            let per_seconds = per_second.then_some(seconds);
            return Ok(extended_histogram::rate(histograms, window, how, per_seconds, told));
        }
        let change = extended(window, call.smoothed()).change(counter);
        Ok(Point::from(change.map(|c| if per_second { c / seconds } else { c })))
    })
}

fn extended<'a>(window: &Window<'a>, smoothed: bool) -> Extended<'a> {
    Extended {
        timestamps: window.timestamps,
        values: window.values,
        start: window.start,
        end: window.end,
        smoothed,
    }
}

impl Extended<'_> {
    /// Indices of the first and last sample that matter; `None` when all lie before the range or
    /// all after it.
    pub(super) fn ends(&self) -> Option<(usize, usize)> {
        let (first, last) = self.outermost()?;
        let after = self.smoothed && self.timestamps[first] > self.end;
        (!after).then_some((first, last))
    }

    /// The same, though all samples may lie after the range.
    fn outermost(&self) -> Option<(usize, usize)> {
        let newest = self.timestamps.len() - 1;
        let older = &self.timestamps[..newest];
        let first = older.partition_point(|time| *time <= self.start).saturating_sub(1);
        let last =
            if self.smoothed { older.partition_point(|time| *time < self.end) } else { newest };
        (self.timestamps[last] > self.start).then_some((first, last))
    }

    /// The value at the start of the range.
    fn left(&self, first: usize, counter: bool) -> f64 {
        if self.smoothed && self.timestamps[first] < self.start {
            return self.interpolate(first, self.start, counter);
        }
        self.values[first]
    }

    /// The value at the end of the range.
    fn right(&self, last: usize, counter: bool) -> f64 {
        if self.smoothed && last > 0 && self.timestamps[last] > self.end {
            return self.interpolate(last - 1, self.end, counter);
        }
        self.values[last]
    }

    /// The value at `time` on the line from sample `at` to the next one. A counter that was reset
    /// between them counts from zero.
    pub(crate) fn interpolate(&self, at: usize, time: i64, counter: bool) -> f64 {
        let (before, after) = (self.values[at], self.values[at + 1]);
        let from = if counter && after < before { 0.0 } else { before };
        let whole = (self.timestamps[at + 1] - self.timestamps[at]) as f64;
        from + (after - from) * (time - self.timestamps[at]) as f64 / whole
    }

    /// The samples strictly within the range, as indices.
    fn within(&self, first: usize, last: usize) -> std::ops::Range<usize> {
        let from = first + usize::from(self.timestamps[first] <= self.start);
        let to = last + usize::from(self.timestamps[last] < self.end);
        from..to.max(from)
    }

    /// The change over the range, corrected for resets when it is a counter.
    fn change(&self, counter: bool) -> Option<f64> {
        let (first, last) = self.ends()?;
        let (left, right) = (self.left(first, counter), self.right(last, counter));
        if !counter {
            return Some(right - left);
        }
        let (mut correction, mut before) = (0.0, left);
        for value in &self.values[self.within(first, last)] {
            if *value < before {
                correction += before;
            }
            before = *value;
        }
        if right < before {
            correction += before;
        }
        Some(right - left + correction)
    }

    /// The samples of the range with one at either edge.
    pub(crate) fn samples(&self) -> Vec<(i64, f64)> {
        let Some((first, last)) = self.outermost() else { return Vec::new() };
        let mut samples = vec![(self.start, self.left(first, false))];
        for at in self.within(first, last) {
            samples.push((self.timestamps[at], self.values[at]));
        }
        samples.push((self.end, self.right(last, false)));
        samples
    }
}

/// The part of an anchored window that `resets` and `changes` look at: from the last sample at or
/// before its start on; `None` when nothing lies after the start.
pub(super) fn anchored<'a>(window: &Window<'a>) -> Option<Window<'a>> {
    let float = window.timestamps.partition_point(|time| *time <= window.start);
    let histogram = window.histograms.partition_point(|point| point.timestamp <= window.start);
    if float == window.timestamps.len() && histogram == window.histograms.len() {
        return None;
    }
    let last_float = float.checked_sub(1).map(|at| window.timestamps[at]);
    let last_histogram = histogram.checked_sub(1).map(|at| window.histograms[at].timestamp);
    let (float, histogram) = match (last_float, last_histogram) {
        (None, None) => (0, 0),
        (Some(_), None) => (float - 1, histogram),
        (Some(time), Some(other)) if time >= other => (float - 1, histogram),
        _ => (float, histogram - 1),
    };
    Some(Window {
        timestamps: &window.timestamps[float..],
        values: &window.values[float..],
        histograms: &window.histograms[histogram..],
        first: window.first + float,
        first_histogram: window.first_histogram + histogram,
        ..*window
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(smoothed: bool) -> Extended<'static> {
        let (timestamps, values): (&[i64], &[f64]) = (&[5, 15, 25, 35], &[1.0, 2.0, 1.0, 3.0]);
        Extended { timestamps, values, start: 10, end: 30, smoothed }
    }

    #[test]
    fn smoothed_edges_are_interpolated() {
        assert_eq!(range(true).samples(), [(10, 1.5), (15, 2.0), (25, 1.0), (30, 2.0)]);
        assert_eq!(range(true).change(false), Some(0.5));
        assert_eq!(range(true).change(true), Some(2.5));
    }

    #[test]
    fn a_smoothed_range_before_all_samples_has_the_first_value_but_no_change() {
        let before = Extended { start: -10, end: 0, ..range(true) };
        assert_eq!(before.samples(), [(-10, 1.0), (0, 1.0)]);
        assert_eq!(before.change(false), None);
    }

    #[test]
    fn anchored_ranges_begin_with_the_sample_before() {
        let anchored =
            Extended { timestamps: &[5, 15, 25], values: &[1.0, 2.0, 1.0], ..range(false) };
        assert_eq!(anchored.samples(), [(10, 1.0), (15, 2.0), (25, 1.0), (30, 1.0)]);
        assert_eq!(anchored.change(true), Some(2.0));
    }
}
