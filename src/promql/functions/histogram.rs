//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction` of classic histograms: one
//! series a bucket, its upper bound in the label `le`.

use std::collections::HashMap;

use crate::model::Labels;
use crate::model::labels::{METRIC_NAME, Quoted};

use super::super::annotations::{Detail, Monotonicity, Notes, for_metric, invalid_quantile};
use super::super::ast::{Call, Span};
use super::super::error::QueryError;
use super::super::eval::block::{Block, Row, is_absent};
use super::super::eval::context::{Context, unwrap_parens};
use super::super::eval::grid::Grid;
use super::super::eval::pipeline::drop_names;
use super::super::eval::{not_supported, scalar, string, vector};
use super::number;

/// Counts that differ relatively less than this are the same: float addition is not exact.
const SMALL_DELTA: f64 = 1e-12;
/// The label that holds a bucket's upper bound.
const BUCKET_LABEL: &str = "le";

/// One bucket at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    upper: f64,
    count: f64,
}

/// The series of one histogram.
struct Classic {
    labels: Labels,
    /// Upper bound and row of each bucket, ascending by bound.
    buckets: Vec<(f64, usize)>,
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
    let classics = classics(context, &block, span, "histogram_quantile", notes)?;
    let mut rows = Vec::new();
    for classic in &classics {
        rows.push(quantile_row(context, classic, &block, &q, (grid, span), notes));
    }
    finish(context, rows, &block)
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
    let classics = classics(context, &block, span, "histogram_quantiles", notes)?;
    let mut rows = Vec::new();
    for q in &columns {
        for classic in &classics {
            let row = quantile_row(context, classic, &block, q, (grid, span), notes);
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
    let mut rows = Vec::new();
    let mut buckets = Vec::new();
    for classic in classics(context, &block, span, "histogram_fraction", notes)? {
        let mut row = new_row(&classic, grid);
        for step in 0..grid.steps {
            if classic.at(&block, step, &mut buckets) {
                row.values[step] = bucket_fraction(lower[step], upper[step], &mut buckets);
            }
        }
        rows.push(row);
    }
    finish(context, rows, &block)
}

/// `histogram_stddev(v)` and `histogram_stdvar(v)`, of native histograms only: floats are dropped.
pub(super) fn stddev(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    let block = vector(context, &call.args[0], grid, notes)?;
    if block.rows.iter().any(|row| !row.histograms.is_empty()) {
        return Err(not_supported(call.function.name));
    }
    context.budget.release(block.samples());
    Ok(Block::default())
}

fn note_quantiles(column: &[f64], span: Span, notes: &mut Notes) {
    for q in column.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
        notes.warn(span, invalid_quantile(*q));
    }
}

fn new_row(classic: &Classic, grid: Grid) -> Row {
    Row { drop_name: true, ..Row::new(classic.labels.clone(), grid.steps) }
}

fn finish(context: &Context<'_>, mut rows: Vec<Row>, input: &Block) -> Result<Block, QueryError> {
    rows.retain(|row| !row.is_empty());
    if !context.features.delayed_name_removal {
        rows = drop_names(rows, false)?;
    }
    let block = Block { rows };
    context.budget.hold(block.samples())?;
    context.budget.release(input.samples());
    Ok(block)
}

/// The histograms among the rows, in the order of their first buckets.
fn classics(
    context: &Context<'_>,
    block: &Block,
    span: Span,
    function: &str,
    notes: &mut Notes,
) -> Result<Vec<Classic>, QueryError> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut classics: Vec<Classic> = Vec::new();
    for (at, row) in block.rows.iter().enumerate() {
        if !row.histograms.is_empty() {
            return Err(not_supported(&format!("{function} of native histograms")));
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
    Ok(classics)
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

fn quantile_row(
    context: &Context<'_>,
    classic: &Classic,
    block: &Block,
    q: &[f64],
    (grid, span): (Grid, Span),
    notes: &mut Notes,
) -> Row {
    let mut row = new_row(classic, grid);
    let mut buckets = Vec::new();
    for step in 0..grid.steps {
        if !classic.at(block, step, &mut buckets) {
            continue;
        }
        let (value, repair) = bucket_quantile(q[step], &mut buckets);
        row.values[step] = value;
        if let Some(repair) = repair {
            let name = if context.features.delayed_name_removal {
                classic.labels.metric_name()
            } else {
                ""
            };
            let times = (grid.time(step), grid.time(step));
            let detail = Detail::Monotonicity(Monotonicity { times, ..repair });
            notes.add(false, span, for_metric(MONOTONICITY, name), detail);
        }
    }
    row
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

/// The quantile, interpolated linearly within its bucket, and what had to be repaired
/// (`promql/quantile.go`, `BucketQuantile`).
fn bucket_quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Monotonicity>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if buckets.last().is_none_or(|bucket| bucket.upper != f64::INFINITY) {
        return (f64::NAN, None);
    }
    coalesce(buckets);
    let repair = make_monotonic(buckets);
    let observations = buckets[buckets.len() - 1].count;
    if buckets.len() < 2 || observations == 0.0 {
        return (f64::NAN, repair);
    }
    (interpolate(q * observations, buckets), repair)
}

fn interpolate(rank: f64, buckets: &[Bucket]) -> f64 {
    let last = buckets.len() - 1;
    let at = buckets[..last].partition_point(|bucket| !(bucket.count >= rank));
    if at == last {
        return buckets[last - 1].upper;
    }
    let bucket = buckets[at];
    if at == 0 && bucket.upper <= 0.0 {
        return bucket.upper;
    }
    let below = if at > 0 { buckets[at - 1] } else { Bucket { upper: 0.0, count: 0.0 } };
    let (count, rank) = (bucket.count - below.count, rank - below.count);
    below.upper + (bucket.upper - below.upper) * (rank / count)
}

/// Adds up buckets with the same bound.
fn coalesce(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
}

/// Evens out small differences silently and removes decreases; tells of the latter.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<Monotonicity> {
    let mut repair: Option<Monotonicity> = None;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if count == before {
            continue;
        }
        let small = almost_equal(before, count);
        if !small && !(count < before) {
            before = count;
            continue;
        }
        bucket.count = before;
        if !small {
            let diff = before - count;
            let old = repair.map_or((bucket.upper, bucket.upper, diff), |r| {
                (r.buckets.0, r.buckets.1, r.diff_max)
            });
            let bounds = (old.0.min(bucket.upper), old.1.max(bucket.upper));
            let diff_max = old.2.max(diff);
            repair = Some(Monotonicity { times: (0, 0), buckets: bounds, diff_max, count: 1 });
        }
    }
    repair
}

/// Relative equality as in Prometheus' `util/almost`.
fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, diff) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return diff < SMALL_DELTA * f64::MIN_POSITIVE;
    }
    diff / sum.min(f64::MAX) < SMALL_DELTA
}

/// The fraction of observations between the bounds (`promql/quantile.go`, `BucketFraction`).
fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if buckets.last().is_none_or(|bucket| bucket.upper != f64::INFINITY) {
        return f64::NAN;
    }
    coalesce(buckets);
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank = |bound| rank_of(bound, buckets).filter(|rank| !(*rank > count)).unwrap_or(count);
    (rank(upper) - rank(lower)) / count
}

/// How many observations lie below `bound`; `None` when it lies above all buckets.
fn rank_of(bound: f64, buckets: &[Bucket]) -> Option<f64> {
    let mut rank = 0.0;
    let mut low = if buckets[0].upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    for bucket in buckets {
        if low >= bound {
            return Some(rank);
        }
        if bucket.upper > bound {
            if low == f64::NEG_INFINITY {
                return Some(bucket.count);
            }
            return Some(rank + (bucket.count - rank) * (bound - low) / (bucket.upper - low));
        }
        (rank, low) = (bucket.count, bucket.upper);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect()
    }

    #[test]
    fn quantiles_interpolate_within_a_bucket() {
        let mut b = buckets(&[(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 20.0)]);
        assert_eq!(bucket_quantile(0.75, &mut b).0, 1.5);
        assert_eq!(bucket_quantile(1.0, &mut b.clone()).0, 2.0);
        assert!(bucket_quantile(0.5, &mut buckets(&[(1.0, 1.0)])).0.is_nan(), "no +Inf bucket");
    }

    #[test]
    fn decreases_are_repaired_and_told() {
        let mut b = buckets(&[(1.0, 10.0), (2.0, 8.0), (f64::INFINITY, 12.0)]);
        let repair = bucket_quantile(0.5, &mut b).1.expect("a repair");
        assert_eq!((repair.buckets, repair.diff_max), ((2.0, 2.0), 2.0));
        assert_eq!(b[1].count, 10.0);
    }

    #[test]
    fn fractions_count_between_bounds() {
        let mut b = buckets(&[(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 20.0)]);
        assert_eq!(bucket_fraction(0.5, 1.5, &mut b), 0.5);
        assert_eq!(bucket_fraction(2.0, 1.0, &mut b), 0.0);
    }
}
