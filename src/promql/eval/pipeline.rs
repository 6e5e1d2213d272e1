//! Rows as a stream: a selector (or subquery), perhaps a range function over it, and any number of
//! row-wise changes, evaluated series by series so that nothing between them is materialised.
//!
//! Series are evaluated in parallel batches but always delivered in order, so that a result never
//! depends on threads.

use std::cell::Cell;
use std::ops::Range;

use rayon::ThreadPool;
use rayon::prelude::*;
use thread_local::ThreadLocal;

use crate::model::source::HistogramPoint;
use crate::model::{Histogram, Labels, MatchOp, SeriesData, SeriesSet};

use super::super::annotations::Notes;
use super::super::ast::Span;
use super::super::error::QueryError;
use super::super::value::VectorSample;
use super::block::{
    Block, Row, is_absent, is_metadata, merge_same_labels, refuse_same_labels, without_metadata,
};
use super::context::Context;
use super::grid::{Grid, Reach};
use super::hints::{self, Course};
use super::instant::{self, Show};
use super::only_point;
use super::rowmap::RowMap;
use super::tally::Tally;
use super::window::{RangeCall, RangeFunction, RangeRow, drop_stale};

/// Most series evaluated by one task.
const BATCH_ROWS: usize = 64;
/// Samples and steps of one task, about: enough to pay for handing it to a thread.
const BATCH_COST: i64 = 16 << 10;
/// Distance of samples, in ms, by which their number is guessed.
const TYPICAL_INTERVAL_MS: i64 = 15_000;
/// Batches that each thread evaluates before their rows are delivered: a wave.
const BATCHES_PER_THREAD: usize = 4;
/// Most values in the rows of a wave (8 MB; there are two), so that queries of many steps stay
/// small.
const WAVE_VALUES: usize = 1 << 20;

/// Where a pipeline's samples come from.
pub(crate) enum Input {
    /// Stored series, each read once.
    Series(Box<dyn SeriesSet>),
    /// The result of a subquery and its times.
    Rows(Block, Grid),
}

/// What makes rows of samples.
pub(crate) enum Base {
    /// An instant selector.
    Instant(Reach, Show),
    /// A `smoothed` instant selector; where it stands.
    Smoothed(Reach, Span),
    /// A function over ranges.
    Range(RangeFunction, Box<RangeCall>),
}

/// See the module.
pub(crate) struct Pipeline {
    /// The samples.
    pub(crate) input: Input,
    /// The first operation.
    pub(crate) base: Base,
    /// Further operations in order.
    pub(crate) maps: Vec<RowMap>,
    /// Notes that come after those of the rows.
    pub(crate) after: Notes,
    /// Number of steps.
    pub(crate) steps: usize,
    /// Whether the base drops the metric name.
    pub(crate) drops_name: bool,
    /// Whether only totals of histograms are looked at.
    pub(crate) totals_only: bool,
    /// Whether all series have the same metric name, so that dropping it makes no duplicates.
    pub(crate) name_pinned: bool,
}

/// What each thread reads its series into.
type Buffers = ThreadLocal<Cell<SeriesData>>;

/// What one task brings besides its rows.
#[derive(Default)]
struct BatchReport {
    notes: Notes,
    looked_at: u64,
    read: u64,
    tally: Option<Tally>,
}

impl Pipeline {
    /// Number of series that go in.
    pub(crate) fn len(&self) -> usize {
        match &self.input {
            Input::Series(set) => set.len(),
            Input::Rows(block, _) => block.rows.len(),
        }
    }

    /// Whether rows lose their metric name on the way.
    pub(crate) fn renames(&self) -> bool {
        self.drops_name || self.maps.iter().any(RowMap::drops_name)
    }

    /// Evaluates all series and hands the rows to `take` in the order of the series; rows without
    /// a point are handed over too. While this thread does so, others evaluate the next ones.
    pub(crate) fn for_each(
        &self,
        context: &Context<'_>,
        notes: &mut Notes,
        mut take: impl FnMut(&mut Row) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let threads = context.pool.map_or(1, |pool| pool.current_num_threads());
        let wave_max = BATCH_ROWS * BATCHES_PER_THREAD * threads;
        let wave = (WAVE_VALUES / self.steps.max(1)).clamp(BATCH_ROWS, wave_max).min(self.len());
        let waves_samples = 2 * (wave * self.steps) as u64;
        context.budget.hold(waves_samples)?;
        let buffers = Buffers::new();
        let (mut rows, mut ahead) = (Vec::new(), Vec::new());
        let mut first = 0;
        let mut evaluated = self.evaluate(context, first..wave, &buffers, &mut rows);
        while first < self.len() {
            context.budget.check()?;
            for report in evaluated? {
                context.budget.looked_at(report.looked_at);
                if let (Some(mut tally), Some(counted)) = (context.budget.tally(), &report.tally) {
                    tally.merge(counted);
                }
                notes.merge(report.notes);
            }
            first += rows.len();
            let next = first..(first + wave).min(self.len());
            let pool = context.pool.filter(|_| !next.is_empty());
            let (delivered, after) = both(
                pool,
                || rows.iter_mut().try_for_each(&mut take),
                || self.evaluate(context, next, &buffers, &mut ahead),
            );
            delivered?;
            evaluated = after;
            std::mem::swap(&mut rows, &mut ahead);
        }
        context.budget.release(waves_samples);
        notes.merge(self.after.clone());
        Ok(())
    }

    /// All rows, as the value of an expression.
    pub(crate) fn collect(
        self,
        context: &Context<'_>,
        notes: &mut Notes,
    ) -> Result<Block, QueryError> {
        let mut rows = Vec::new();
        self.for_each(context, notes, |row| {
            if !row.is_empty() {
                let empty = Row::new(Labels::empty(), 0);
                context.budget.hold(row.values.len() as u64)?;
                rows.push(std::mem::replace(row, empty));
            }
            Ok(())
        })?;
        if !context.features.delayed_name_removal {
            rows = drop_names(rows, self.drops_name && self.maps.is_empty())?;
        }
        Ok(Block { rows })
    }

    /// Whether each row has the labels of its series, which are all different.
    pub(crate) fn keeps_labels(&self) -> bool {
        matches!(self.input, Input::Series(_)) && !self.renames()
    }

    /// The points at the only step of a pipeline that keeps labels: an instant query of a hundred
    /// thousand series needs no rows of them.
    pub(crate) fn samples(
        self,
        context: &Context<'_>,
        timestamp: i64,
        notes: &mut Notes,
    ) -> Result<Vec<VectorSample>, QueryError> {
        let mut samples = Vec::with_capacity(self.len());
        self.for_each(context, notes, |row| {
            if !row.is_empty() {
                context.budget.hold(1)?;
                let value = only_point(row);
                samples.push(VectorSample { labels: row.labels.clone(), timestamp, value });
            }
            Ok(())
        })?;
        Ok(samples)
    }

    /// Evaluates a range of the series into `rows`, one each.
    fn evaluate(
        &self,
        context: &Context<'_>,
        series: Range<usize>,
        buffers: &Buffers,
        rows: &mut Vec<Row>,
    ) -> Result<Vec<BatchReport>, QueryError> {
        rows.resize_with(series.len(), || Row::new(Labels::empty(), 0));
        let batch_rows = self.batch_rows(context);
        let batch = |(number, rows): (usize, &mut [Row])| {
            let buffer = buffers.get_or_default();
            let mut data = buffer.take();
            let report =
                self.evaluate_batch(context, series.start + number * batch_rows, &mut data, rows);
            buffer.set(data);
            report
        };
        match context.pool {
            Some(pool) if rows.len() > batch_rows => {
                pool.install(|| rows.par_chunks_mut(batch_rows).enumerate().map(batch).collect())
            }
            _ => rows.chunks_mut(batch_rows).enumerate().map(batch).collect(),
        }
    }

    /// How many series one task evaluates: the fewer, the longer they are.
    fn batch_rows(&self, context: &Context<'_>) -> usize {
        let (start, end) = match &self.base {
            Base::Instant(reach, _) => reach.bounds(context.lookback_ms),
            Base::Smoothed(reach, _) => {
                reach.wide_bounds(context.lookback_ms, (0, context.lookback_ms))
            }
            Base::Range(_, call) => call.reach.wide_bounds(call.range, call.margins()),
        };
        let samples = end.saturating_sub(start) / TYPICAL_INTERVAL_MS;
        let cost = samples.saturating_add(self.steps as i64).max(1);
        (BATCH_COST / cost).clamp(1, BATCH_ROWS as i64) as usize
    }

    fn evaluate_batch(
        &self,
        context: &Context<'_>,
        first: usize,
        data: &mut SeriesData,
        rows: &mut [Row],
    ) -> Result<BatchReport, QueryError> {
        let tally = context.budget.tallies().then(|| Tally::new(self.steps));
        let mut report = BatchReport { tally, ..BatchReport::default() };
        for (at, row) in rows.iter_mut().enumerate() {
            context.budget.check()?;
            self.produce(context, first + at, data, row, &mut report)?;
        }
        context.budget.hold(report.read)?;
        context.budget.release(report.read);
        Ok(report)
    }

    fn produce(
        &self,
        context: &Context<'_>,
        index: usize,
        data: &mut SeriesData,
        row: &mut Row,
        report: &mut BatchReport,
    ) -> Result<(), QueryError> {
        self.read(index, data, row)?;
        report.read = report.read.max(data.len() as u64);
        if self.totals_only && !data.histograms.is_empty() {
            hints::keep_totals(data, self.course(context));
        }
        match &self.base {
            Base::Instant(reach, show) => {
                report.looked_at += instant::fill(data, *reach, context.lookback_ms, *show, row);
                if let Some(tally) = &mut report.tally {
                    tally.instant(row, *show);
                }
            }
            Base::Smoothed(reach, span) => {
                drop_stale(data);
                let lookback = context.lookback_ms;
                report.looked_at +=
                    instant::smooth(data, *reach, lookback, *span, row, &mut report.notes)?;
            }
            Base::Range(function, call) => {
                drop_stale(data);
                if let Some(tally) = &mut report.tally {
                    tally.windows(call, data, matches!(self.input, Input::Series(_)));
                }
                let labels = row.labels.clone();
                let mut range = RangeRow {
                    call,
                    data,
                    labels: &labels,
                    features: context.features,
                    out: row,
                    notes: &mut report.notes,
                    budget: &context.budget,
                    looked_at: 0,
                };
                function(&mut range)?;
                report.looked_at += range.looked_at;
            }
        }
        row.drop_name |= self.drops_name;
        for map in &self.maps {
            map.apply(row, &mut report.notes)?;
        }
        Ok(())
    }

    /// How the base goes through the samples of a series.
    fn course(&self, context: &Context<'_>) -> Course {
        let lookback = context.lookback_ms;
        let (reach, range, further) = match &self.base {
            Base::Instant(reach, _) => (*reach, lookback, lookback),
            Base::Smoothed(reach, _) => (*reach, lookback, i64::MAX),
            Base::Range(_, call) => (call.reach, call.range, call.range.min(call.grid.step)),
        };
        Course { reach, steps: self.steps, range, further }
    }

    /// Reads the samples of series `index` and makes `row` its empty row.
    fn read(&self, index: usize, data: &mut SeriesData, row: &mut Row) -> Result<(), QueryError> {
        match &self.input {
            Input::Series(set) => {
                set.read(index, data)?;
                row.reset(set.labels(index).clone(), self.steps);
            }
            Input::Rows(block, grid) => {
                let from = &block.rows[index];
                samples_of(from, *grid, data);
                row.reset(from.labels.clone(), self.steps);
                row.drop_name = from.drop_name;
            }
        }
        Ok(())
    }

    /// Fails when two series become one by losing their names. Needed where rows are folded
    /// without being collected.
    pub(crate) fn refuse_same_names(&self, context: &Context<'_>) -> Result<(), QueryError> {
        let Input::Series(set) = &self.input else { return Ok(()) };
        if context.features.delayed_name_removal || !self.renames() || set.len() < 2 {
            return Ok(());
        }
        let pinned =
            |labels: &Labels| labels.iter().filter(|(name, _)| is_metadata(name)).count() == 1;
        if self.name_pinned && (0..set.len()).all(|index| pinned(set.labels(index))) {
            return Ok(());
        }
        let mut seen = hashbrown::HashSet::with_capacity(set.len());
        let fresh = |index| seen.insert(without_metadata(set.labels(index)));
        if (0..set.len()).all(fresh) { Ok(()) } else { Err(super::block::same_labels()) }
    }
}

/// Runs `here` on this thread and `there` on another one of the pool, or afterwards without one.
fn both<A, B: Send>(
    pool: Option<&ThreadPool>,
    here: impl FnOnce() -> A,
    there: impl FnOnce() -> B + Send,
) -> (A, B) {
    let Some(pool) = pool else { return (here(), there()) };
    let mut result = None;
    let a = pool.in_place_scope(|scope| {
        scope.spawn(|_| result = Some(there()));
        here()
    });
    (a, result.expect("BUG: a scope waits for what it spawned"))
}

/// Drops the names of rows that are to lose them and joins what became one series. A range
/// function refuses equal label sets even when their points do not meet (`strict`).
pub(crate) fn drop_names(mut rows: Vec<Row>, strict: bool) -> Result<Vec<Row>, QueryError> {
    if !rows.iter().any(|row| row.drop_name) {
        return Ok(rows);
    }
    for row in rows.iter_mut().filter(|row| row.drop_name) {
        row.labels = without_metadata(&row.labels);
    }
    if strict {
        refuse_same_labels(&rows)?;
        return Ok(rows);
    }
    merge_same_labels(rows)
}

/// The points of a subquery's row as samples. Reset hints of histograms mean nothing any more: the
/// samples between are not known.
fn samples_of(row: &Row, grid: Grid, data: &mut SeriesData) {
    data.clear();
    for (step, value) in row.values.iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
        data.timestamps.push(grid.time(step));
        data.values.push(*value);
    }
    for (step, histogram) in &row.histograms {
        use crate::model::CounterResetHint::{NotReset, Reset, Unknown};
        let mut histogram = (**histogram).clone();
        if matches!(histogram.counter_reset_hint, Reset | NotReset) {
            histogram.counter_reset_hint = Unknown;
        }
        data.histograms.push(HistogramPoint {
            timestamp: grid.time(*step as usize),
            start_timestamp: 0,
            histogram: Histogram::Float(histogram),
        });
    }
}

/// Whether the matchers accept one metric name only.
pub(crate) fn pins_name(matchers: &[crate::model::Matcher]) -> bool {
    matchers.iter().any(|m| {
        m.name() == crate::model::labels::METRIC_NAME
            && m.op() == MatchOp::Equal
            && !m.value().is_empty()
    })
}
