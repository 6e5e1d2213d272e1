//! Range functions: one series in, one row out, the window sliding over the series' columns with
//! two moving indices.

use crate::model::source::HistogramPoint;
use crate::model::{Labels, SeriesData, is_stale_nan};

use super::super::annotations::Notes;
use super::super::ast::{EdgeMode, Span};
use super::super::error::QueryError;
use super::super::features::Features;
use super::alignment::Alignments;
use super::block::{Row, SharedHistogram};
use super::budget::Budget;
use super::grid::{Grid, Reach};

/// After so many samples within one series the clock is looked at: at most some 10 ms of work.
const CHECK_SAMPLES: u64 = 1 << 18;

/// A function over ranges: fills one row from one series.
pub(crate) type RangeFunction = fn(&mut RangeRow<'_>) -> Result<(), QueryError>;

/// What is the same for all series of a range function's call.
#[derive(Debug)]
pub(crate) struct RangeCall {
    /// Evaluation times.
    pub(crate) grid: Grid,
    /// Where the windows end.
    pub(crate) reach: Reach,
    /// Length of the windows in ms.
    pub(crate) range: i64,
    /// The scalar arguments, a column each.
    pub(crate) params: Vec<Vec<f64>>,
    /// Where the first argument stands; annotations point there.
    pub(crate) first_arg: Span,
    /// How the windows' edges are treated.
    pub(crate) edge: EdgeMode,
    /// How far an extended window reaches over its edges, in ms.
    pub(crate) lookback: i64,
    /// What threads found out about the timestamps of series.
    pub(crate) alignments: Alignments,
}

impl RangeCall {
    /// Whether the edges of the windows are interpolated.
    pub(crate) fn smoothed(&self) -> bool {
        self.edge == EdgeMode::Smoothed
    }

    /// How far windows reach over their (start, end), in ms.
    pub(crate) fn margins(&self) -> (i64, i64) {
        margins(self.edge, self.lookback)
    }
}

/// How far windows reach over their (start, end), in ms.
pub(crate) fn margins(edge: EdgeMode, lookback: i64) -> (i64, i64) {
    match edge {
        EdgeMode::Plain => (0, 0),
        EdgeMode::Anchored => (lookback, 0),
        EdgeMode::Smoothed => (lookback, lookback),
    }
}

/// One series of a call.
pub(crate) struct RangeRow<'a> {
    /// The call.
    pub(crate) call: &'a RangeCall,
    /// The samples, without stale markers.
    pub(crate) data: &'a SeriesData,
    /// Labels of the series.
    pub(crate) labels: &'a Labels,
    /// What is on.
    pub(crate) features: Features,
    /// What is filled.
    pub(crate) out: &'a mut Row,
    /// Where annotations go.
    pub(crate) notes: &'a mut Notes,
    /// What the query may use.
    pub(crate) budget: &'a Budget,
    /// Samples looked at, counted once a window.
    pub(crate) looked_at: u64,
}

/// The samples of one window, `start < timestamp <= end`; an extended one has some beyond.
#[derive(Clone, Copy)]
pub(crate) struct Window<'a> {
    /// Timestamps of the float samples.
    pub(crate) timestamps: &'a [i64],
    /// Their values.
    pub(crate) values: &'a [f64],
    /// Histogram samples.
    pub(crate) histograms: &'a [HistogramPoint],
    /// Index of the first float sample in the series.
    pub(crate) first: usize,
    /// Index of the first histogram in the series.
    pub(crate) first_histogram: usize,
    /// Start of the window, exclusive, in ms.
    pub(crate) start: i64,
    /// End of the window, inclusive, in ms.
    pub(crate) end: i64,
    /// Number of the step.
    pub(crate) step: usize,
}

/// What a function makes of a window.
pub(crate) enum Point {
    /// Nothing.
    Absent,
    /// A number.
    Float(f64),
    /// A histogram.
    Histogram(SharedHistogram),
}

impl From<Option<f64>> for Point {
    fn from(value: Option<f64>) -> Point {
        value.map_or(Point::Absent, Point::Float)
    }
}

impl RangeRow<'_> {
    /// Calls `f` for every window with a sample.
    #[inline]
    pub(crate) fn each(
        &mut self,
        mut f: impl FnMut(&Window<'_>, &mut Notes) -> Result<Point, QueryError>,
    ) -> Result<(), QueryError> {
        let data = self.data;
        let mut floats = Slider::default();
        let mut histograms = Slider::default();
        let (before, after) = self.call.margins();
        let mut next_check = CHECK_SAMPLES;
        for step in 0..self.call.grid.steps {
            let end = self.call.reach.end(step);
            let start = end.saturating_sub(self.call.range);
            let (from, to) = (start.saturating_sub(before), end.saturating_add(after));
            floats.slide(from, to, data.timestamps.len(), |i| data.timestamps[i]);
            if !data.histograms.is_empty() {
                let time = |i: usize| data.histograms[i].timestamp;
                histograms.slide(from, to, data.histograms.len(), time);
            }
            let seen = floats.len() + histograms.len();
            if seen == 0 {
                continue;
            }
            self.looked_at += seen as u64;
            if self.looked_at >= next_check {
                self.budget.check()?;
                next_check = self.looked_at + CHECK_SAMPLES;
            }
            let window = Window {
                timestamps: &data.timestamps[floats.from..floats.to],
                values: &data.values[floats.from..floats.to],
                histograms: &data.histograms[histograms.from..histograms.to],
                first: floats.from,
                first_histogram: histograms.from,
                start,
                end,
                step,
            };
            match f(&window, self.notes)? {
                Point::Absent => {}
                Point::Float(value) => self.out.values[step] = value,
                Point::Histogram(histogram) => self.out.histograms.push((step as u32, histogram)),
            }
        }
        Ok(())
    }

    /// Name of the metric.
    pub(crate) fn metric_name(&self) -> &str {
        self.labels.metric_name()
    }
}

/// Two indices that only move forward.
#[derive(Default)]
pub(super) struct Slider {
    /// Index of the first sample within.
    pub(super) from: usize,
    /// Index of the first one after them.
    pub(super) to: usize,
}

impl Slider {
    /// Moves on to the samples with `start < time <= end`.
    #[inline]
    pub(super) fn slide(&mut self, start: i64, end: i64, len: usize, time: impl Fn(usize) -> i64) {
        while self.to < len && time(self.to) <= end {
            self.to += 1;
        }
        while self.from < self.to && time(self.from) <= start {
            self.from += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.to - self.from
    }
}

/// Removes stale markers, which ranges do not see.
pub(crate) fn drop_stale(data: &mut SeriesData) {
    if data.values.iter().any(|value| is_stale_nan(*value)) {
        let mut kept = 0;
        for at in 0..data.values.len() {
            if !is_stale_nan(data.values[at]) {
                data.values[kept] = data.values[at];
                data.timestamps[kept] = data.timestamps[at];
                if !data.start_timestamps.is_empty() {
                    data.start_timestamps[kept] = data.start_timestamps[at];
                }
                kept += 1;
            }
        }
        data.values.truncate(kept);
        data.timestamps.truncate(kept);
        data.start_timestamps.truncate(kept);
    }
    data.histograms.retain(|point| !point.histogram.is_stale());
}
