//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`, of native histograms and of
//! classic ones: one series a bucket, its upper bound in the label `le`.

use std::collections::HashMap;

use crate::model::labels::{METRIC_NAME, Quoted};
use crate::model::{FloatHistogram, Labels};

use super::super::annotations::{
    Detail, MIXED_CLASSIC_AND_NATIVE, Monotonicity, Notes, for_metric, invalid_quantile,
};
use super::super::ast::{Call, Span};
use super::super::error::QueryError;
use super::super::eval::block::{Block, Row, is_absent, merge_same_labels};
use super::super::eval::context::{Context, unwrap_parens};
use super::super::eval::grid::Grid;
use super::super::eval::pipeline::drop_names;
use super::super::eval::{scalar, string, vector};
use super::classic::{Bucket, bucket_fraction, bucket_quantile, leave_behind};
use super::{native, number};

/// The label that holds a bucket's upper bound.
const BUCKET_LABEL: &str = "le";

/// The series of one histogram.
struct Classic {
    labels: Labels,
    /// Upper bound and row of each bucket, ascending by bound.
    buckets: Vec<(f64, usize)>,
}

/// The histograms among the rows of an argument.
struct Histograms<'a> {
    context: &'a Context<'a>,
    block: &'a Block,
    /// Where the argument stands.
    span: Span,
    grid: Grid,
    classics: Vec<Classic>,
    /// Rows with native histograms, and the classic histogram with the same labels.
    natives: Vec<(usize, Option<usize>)>,
}

/// `histogram_quantile(q, v)`
pub(super) fn quantile(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    let q = scalar(context, &call.args[0], grid, notes)?;
    note_quantiles(&q, unwrap_parens(&call.args[0]).span(), notes);
    let span = unwrap_parens(&call.args[1]).span();
    let block = vector(context, &call.args[1], grid, notes)?;
    let histograms = Histograms::of(context, &block, (grid, span), notes);
    finish(context, histograms.quantiles(&q, &[], notes)?, &block)
}

/// `histogram_quantiles(v, label, q...)`: one series for each quantile.
pub(super) fn quantiles(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    let span = unwrap_parens(&call.args[0]).span();
    let label = string(&call.args[1]);
    let mut columns = Vec::new();
    for argument in &call.args[2..] {
        let q = scalar(context, argument, grid, notes)?;
        note_quantiles(&q, unwrap_parens(argument).span(), notes);
        columns.push(q);
    }
    let block = vector(context, &call.args[0], grid, notes)?;
    let histograms = Histograms::of(context, &block, (grid, span), notes);
    let mut rows = Vec::new();
    for (at, q) in columns.iter().enumerate() {
        for row in histograms.quantiles(q, &columns[..at], notes)? {
            split_by_quantile(row, label, q, &mut rows)?;
        }
    }
    finish(context, rows, &block)
}

/// `histogram_fraction(lower, upper, v)`
pub(super) fn fraction(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    let lower = scalar(context, &call.args[0], grid, notes)?;
    let upper = scalar(context, &call.args[1], grid, notes)?;
    let span = unwrap_parens(&call.args[2]).span();
    let block = vector(context, &call.args[2], grid, notes)?;
    let histograms = Histograms::of(context, &block, (grid, span), notes);
    let rows = histograms.rows(
        notes,
        |step, histogram| native::fraction(lower[step], upper[step], histogram),
        |step, _, buckets, _| bucket_fraction(lower[step], upper[step], buckets),
    )?;
    finish(context, rows, &block)
}

fn note_quantiles(column: &[f64], span: Span, notes: &mut Notes) {
    for q in column.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
        notes.warn(span, invalid_quantile(*q));
    }
}

fn new_row(labels: &Labels, grid: Grid) -> Row {
    Row { drop_name: true, ..Row::new(labels.clone(), grid.steps) }
}

fn finish(context: &Context<'_>, mut rows: Vec<Row>, input: &Block) -> Result<Block, QueryError> {
    rows.retain(|row| !row.is_empty());
    if !context.features.delayed_name_removal {
        rows = drop_names(rows, false)?;
    } else if rows.first().is_some_and(|row| row.values.len() > 1) {
        // At one time alone Prometheus looks at equal labels in the end only.
        rows = merge_same_labels(rows)?;
    }
    let block = Block { rows };
    context.budget.hold(block.samples())?;
    context.budget.release(input.samples());
    Ok(block)
}

impl<'a> Histograms<'a> {
    /// The histograms of `block`, classic ones in the order of their first buckets.
    fn of(
        context: &'a Context<'_>,
        block: &'a Block,
        (grid, span): (Grid, Span),
        notes: &mut Notes,
    ) -> Histograms<'a> {
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut classics: Vec<Classic> = Vec::new();
        for (at, row) in block.rows.iter().enumerate() {
            if !row.histograms.is_empty() && row.values.iter().all(|value| is_absent(*value)) {
                continue;
            }
            let text = row.labels.value(BUCKET_LABEL);
            let Ok(upper) = text.parse::<f64>() else {
                notes.warn(span, bad_bucket(context, &row.labels));
                continue;
            };
            let labels = row.labels.filter(|name| name != BUCKET_LABEL);
            let place = *places.entry(labels.clone()).or_insert(classics.len());
            if place == classics.len() {
                classics.push(Classic { labels, buckets: Vec::new() });
            }
            classics[place].buckets.push((upper, at));
        }
        for classic in &mut classics {
            classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        let rows = block.rows.iter().enumerate().filter(|(_, row)| !row.histograms.is_empty());
        let natives = rows.map(|(at, row)| (at, places.get(&row.labels).copied())).collect();
        Histograms { context, block, span, grid, classics, natives }
    }

    /// A row for each histogram. `native` gives a number and what is to be told of it, `classic`
    /// is given the buckets of one step and the histogram's name. Where a series has both kinds at
    /// one step there is no result.
    fn rows(
        &self,
        notes: &mut Notes,
        native: impl Fn(usize, &FloatHistogram) -> native::Told,
        classic: impl Fn(usize, &str, &mut Vec<Bucket>, &mut Notes) -> f64,
    ) -> Result<Vec<Row>, QueryError> {
        let mut rows = Vec::new();
        let mut buckets = Vec::new();
        let mut conflicts: Vec<(usize, usize)> = Vec::new();
        for (at, rival) in &self.natives {
            self.context.budget.check()?;
            let input = &self.block.rows[*at];
            let mut row = new_row(&input.labels, self.grid);
            let name = self.name(&input.labels);
            for (step, histogram) in &input.histograms {
                let step = *step as usize;
                let rival = rival.filter(|r| self.classics[*r].at(self.block, step, &mut buckets));
                if let Some(rival) = rival {
                    notes.warn(self.span, for_metric(MIXED_CLASSIC_AND_NATIVE, name));
                    conflicts.push((rival, step));
                    continue;
                }
                let (value, note) = native(step, histogram);
                row.values[step] = value;
                if let Some(text) = note {
                    notes.info(self.span, for_metric(text, name));
                }
            }
            rows.push(row);
        }
        for (number, histogram) in self.classics.iter().enumerate() {
            self.context.budget.check()?;
            let mut row = new_row(&histogram.labels, self.grid);
            let name = self.name(&histogram.labels);
            for step in 0..self.grid.steps {
                let lost = !conflicts.is_empty() && conflicts.contains(&(number, step));
                if !lost && histogram.at(self.block, step, &mut buckets) {
                    row.values[step] = classic(step, name, &mut buckets, notes);
                }
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// A row of quantiles for each histogram; `q` has a value a step, and so has each of those that
    /// were asked for before.
    fn quantiles(
        &self,
        q: &[f64],
        earlier: &[Vec<f64>],
        notes: &mut Notes,
    ) -> Result<Vec<Row>, QueryError> {
        self.rows(
            notes,
            |step, histogram| native::quantile(q[step], histogram),
            |step, name, buckets, notes| {
                for _ in earlier.iter().filter(|q| (0.0..=1.0).contains(&q[step])) {
                    leave_behind(buckets);
                }
                let (value, repair) = bucket_quantile(q[step], buckets);
                if let Some(repair) = repair {
                    let times = (self.grid.time(step), self.grid.time(step));
                    let detail = Detail::Monotonicity(Monotonicity { times, ..repair });
                    notes.add(false, self.span, for_metric(MONOTONICITY, name), detail);
                }
                value
            },
        )
    }

    /// The metric name as far as it is not dropped yet.
    fn name<'l>(&self, labels: &'l Labels) -> &'l str {
        if self.context.features.delayed_name_removal { labels.metric_name() } else { "" }
    }
}

fn bad_bucket(context: &Context<'_>, labels: &Labels) -> String {
    let name = if context.features.delayed_name_removal { labels.value(METRIC_NAME) } else { "" };
    let text = format!(
        "bucket label \"{BUCKET_LABEL}\" is missing or has a malformed value of {}",
        Quoted(labels.value(BUCKET_LABEL))
    );
    for_metric(&text, name)
}

impl Classic {
    /// Fills `buckets` with those present at `step`; false when there is none.
    fn at(&self, block: &Block, step: usize, buckets: &mut Vec<Bucket>) -> bool {
        buckets.clear();
        for (upper, row) in &self.buckets {
            let count = block.rows[*row].values[step];
            if !is_absent(count) {
                buckets.push(Bucket { upper: *upper, count });
            }
        }
        !buckets.is_empty()
    }
}

const MONOTONICITY: &str = "input to histogram_quantile needed to be fixed for monotonicity (see \
    https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";

/// One row for each different quantile of the column, labelled with it.
fn split_by_quantile(
    row: Row,
    label: &str,
    q: &[f64],
    rows: &mut Vec<Row>,
) -> Result<(), QueryError> {
    let mut places: HashMap<u64, usize> = HashMap::new();
    for (step, value) in row.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
        let place = match places.get(&q[step].to_bits()) {
            Some(place) => *place,
            None => {
                let mut builder = row.labels.to_builder();
                builder.set(label, &number::open_metrics(q[step]));
                let labels = builder.build().map_err(|e| QueryError::Execution(e.to_string()))?;
                rows.push(Row { drop_name: true, ..Row::new(labels, row.values.len()) });
                places.insert(q[step].to_bits(), rows.len() - 1);
                rows.len() - 1
            }
        };
        rows[place].values[step] = *value;
    }
    Ok(())
}
