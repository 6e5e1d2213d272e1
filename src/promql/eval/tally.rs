//! The statistics of a query, counted as Prometheus counts them (`util/stats/query_stats.go` and
//! where `promql/engine.go` calls it): for each step the samples that an instant query at its time
//! would look at, and those that no earlier step has read.
//!
//! A native histogram counts as many samples as fit into its memory. Only counted when asked for:
//! the loops that evaluate know totals alone, and of floats and histograms alike.

use crate::model::source::HistogramPoint;
use crate::model::{FloatHistogram, SeriesData};

use super::block::{Row, is_absent};
use super::grid::Grid;
use super::instant::Show;
use super::window::RangeCall;

/// Samples by step, of one evaluation on one grid.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Looked at: a range counts in full at each step.
    pub(crate) looked_at: Vec<u64>,
    /// Read: what the step before had in its range does not count.
    pub(crate) read: Vec<u64>,
}

impl Tally {
    /// Nothing yet, on a grid of `steps`.
    pub(crate) fn new(steps: usize) -> Tally {
        Tally { looked_at: vec![0; steps], read: vec![0; steps] }
    }

    /// All that was looked at.
    pub(crate) fn total(&self) -> u64 {
        self.looked_at.iter().sum()
    }

    /// All that was read.
    pub(crate) fn total_read(&self) -> u64 {
        self.read.iter().sum()
    }

    /// Counts at one step.
    pub(crate) fn add(&mut self, step: usize, looked_at: u64, read: u64) {
        self.looked_at[step] += looked_at;
        self.read[step] += read;
    }

    /// Adds another one of the same grid.
    pub(crate) fn merge(&mut self, other: &Tally) {
        for (step, (looked_at, read)) in other.looked_at.iter().zip(&other.read).enumerate() {
            self.add(step, *looked_at, *read);
        }
    }

    /// Counts what an instant selector found for `row`.
    pub(crate) fn instant(&mut self, row: &Row, show: Show) {
        for step in (0..row.values.len()).filter(|step| !is_absent(row.values[*step])) {
            self.add(step, 1, 1);
        }
        for (step, histogram) in &row.histograms {
            let samples = if show == Show::Value { size(histogram) } else { 1 };
            self.add(*step as usize, samples, samples);
        }
    }

    /// Counts the windows of a range function over one series without stale markers. What a
    /// subquery made was read by it: `stored` says that it was not.
    pub(crate) fn windows(&mut self, call: &RangeCall, data: &SeriesData, stored: bool) {
        let sizes: Vec<u64> = data.histograms.iter().map(point_size).collect();
        let (before, after) = call.margins();
        let pinned = call.grid.steps > 1 && call.reach.end(0) == call.reach.end(1);
        for step in 0..call.grid.steps {
            let end = call.reach.end(step).saturating_add(after);
            let start = call.reach.end(step).saturating_sub(call.range).saturating_sub(before);
            let within = |from: i64| count(data, &sizes, from.max(start), end);
            let looked_at = within(start);
            let read = match step {
                _ if !stored => 0,
                0 => looked_at,
                _ if pinned => 0,
                _ => within(end.saturating_sub(call.grid.step)),
            };
            self.add(step, looked_at, read);
        }
    }

    /// Adds what a subquery read in evaluating its expression on `grid`, to the first step of
    /// `call` that uses it; what falls between two ranges counts nowhere.
    pub(crate) fn absorb_subquery(&mut self, inner: &Tally, grid: Grid, call: &RangeCall) {
        let steps = call.grid.steps;
        if steps <= 1 {
            self.add(0, 0, inner.total_read());
            return;
        }
        for (at, read) in inner.read.iter().enumerate().filter(|(_, read)| **read > 0) {
            let time = grid.time(at);
            let behind = time.saturating_sub(call.reach.end(0)).max(0);
            let step = (behind as usize).div_ceil(call.grid.step as usize).min(steps - 1);
            if time > call.reach.end(step).saturating_sub(call.range) {
                self.add(step, 0, *read);
            }
        }
    }
}

/// Samples with `from < timestamp <= to`, histograms by their sizes.
fn count(data: &SeriesData, sizes: &[u64], from: i64, to: i64) -> u64 {
    let first = data.timestamps.partition_point(|time| *time <= from);
    let last = data.timestamps.partition_point(|time| *time <= to);
    let first_size = data.histograms.partition_point(|point| point.timestamp <= from);
    let last_size = data.histograms.partition_point(|point| point.timestamp <= to);
    let histograms: u64 = sizes.get(first_size..last_size).unwrap_or_default().iter().sum();
    last.saturating_sub(first) as u64 + histograms
}

fn point_size(point: &HistogramPoint) -> u64 {
    size(&point.histogram.to_float())
}

/// How many float samples (16 bytes each) a histogram takes the place of.
pub(crate) fn size(histogram: &FloatHistogram) -> u64 {
    /// Of the structure without its lists, and of its pointer, in bytes.
    const STRUCTURE_BYTES: usize = 168 + 8;
    let elements = histogram.positive_spans.len()
        + histogram.negative_spans.len()
        + histogram.positive_buckets.len()
        + histogram.negative_buckets.len()
        + histogram.custom_values.len();
    ((STRUCTURE_BYTES + elements * 8) / 16) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::ast::{EdgeMode, Span};
    use crate::promql::eval::grid::Reach;

    fn call(grid: Grid, range: i64) -> RangeCall {
        RangeCall {
            grid,
            reach: Reach::new(grid, 0, None),
            range,
            params: Vec::new(),
            first_arg: Span::default(),
            edge: EdgeMode::Plain,
            lookback: 0,
            alignments: Default::default(),
        }
    }

    #[test]
    fn overlapping_windows_are_read_once_and_looked_at_twice() {
        let timestamps: Vec<i64> = (0..10).map(|i| i * 10).collect();
        let values = vec![1.0; timestamps.len()];
        let data = SeriesData { timestamps, values, ..SeriesData::default() };
        let mut tally = Tally::new(3);
        tally.windows(&call(Grid::new(40, 80, 20), 40), &data, true);
        assert_eq!((tally.looked_at, tally.read), (vec![4, 4, 4], vec![4, 2, 2]));
    }

    #[test]
    fn what_a_subquery_reads_between_windows_does_not_count() {
        let inner = Tally { looked_at: vec![1; 9], read: vec![1; 9] };
        let mut tally = Tally::new(3);
        tally.absorb_subquery(&inner, Grid::new(0, 80, 10), &call(Grid::new(0, 80, 40), 20));
        assert_eq!(tally.read, [1, 2, 2]);
        assert_eq!(size(&FloatHistogram::default()), 11);
    }
}
