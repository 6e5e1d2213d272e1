//! Evaluation of a syntax tree over a grid of times.
//!
//! In: an expression, a source of series, one time or a range. Out: a value with annotations and
//! statistics. Evaluation is columnar: every series is decoded once, a vector is a [`block::Block`]
//! of rows with a value a step, range functions slide over the columns, aggregations fold rows as
//! they come. An instant query is a range of one step. Never here: parsing, the clock (but for the
//! timeout), threads of its own.

pub(crate) mod accumulate;
mod aggregate;
pub(crate) mod alignment;
pub(crate) mod block;
mod budget;
pub(crate) mod context;
pub(super) mod explain;
pub(crate) mod grid;
mod hints;
pub(crate) mod instant;
mod invariant;
mod matching;
mod operator;
pub(crate) mod pipeline;
mod rowmap;
mod select;
mod sets;
pub(crate) mod tally;
mod vector;
pub(crate) mod window;

#[cfg(test)]
mod tests;

use crate::model::{SeriesSource, Timestamp};

use super::annotations::Notes;
use super::ast::{BinaryOp, Expr, StringLiteral, ValueType};
use super::engine::{EngineOptions, QueryOptions, QueryOutput, QueryStats};
use super::error::QueryError;
use super::functions::Evaluation;
use super::value::{MatrixSeries, PointValue, Value, VectorSample};
use block::{Block, Row, is_absent, merge_same_labels, refuse_same_labels, without_metadata};
use context::{Context, unwrap_parens};
use grid::Grid;

/// Evaluates at one time.
pub(super) fn instant(
    engine: &EngineOptions,
    options: &QueryOptions,
    source: &dyn SeriesSource,
    expr: &Expr,
    text: &str,
    time: Timestamp,
) -> Result<QueryOutput, QueryError> {
    let context = Context::new(engine, options, source, expr, (time.0, time.0, 0));
    context.check_durations(expr)?;
    let mut notes = Notes::default();
    let grid = Grid::once(time.0);
    let value = match expr.value_type() {
        ValueType::String => Value::String { timestamp: time.0, value: string(expr).to_owned() },
        ValueType::Scalar => {
            let values = scalar(&context, expr, grid, &mut notes)?;
            Value::Scalar { timestamp: time.0, value: values[0] }
        }
        ValueType::Vector => Value::Vector(samples(&context, expr, grid, &mut notes)?),
        ValueType::Matrix => Value::Matrix(select::matrix(&context, expr, grid, &mut notes)?),
    };
    Ok(output(engine, &context, value, notes, text))
}

/// Evaluates at `start`, `start + step`, ... up to `end`.
pub(super) fn range(
    engine: &EngineOptions,
    options: &QueryOptions,
    source: &dyn SeriesSource,
    expr: &Expr,
    text: &str,
    (start, end, step): (Timestamp, Timestamp, i64),
) -> Result<QueryOutput, QueryError> {
    let context = Context::new(engine, options, source, expr, (start.0, end.0, step));
    context.check_durations(expr)?;
    let mut notes = Notes::default();
    let grid = Grid::new(start.0, end.0, step);
    let block = if expr.value_type() == ValueType::Scalar {
        Block::from_scalar(scalar(&context, expr, grid, &mut notes)?)
    } else {
        vector(&context, expr, grid, &mut notes)?
    };
    let value = Value::Matrix(finish_matrix(&context, block, grid)?);
    Ok(output(engine, &context, value, notes, text))
}

fn output(
    engine: &EngineOptions,
    context: &Context<'_>,
    value: Value,
    notes: Notes,
    text: &str,
) -> QueryOutput {
    let elapsed = engine.clock.now().0.saturating_sub(context.budget.started().0);
    let stats = QueryStats {
        samples_total: context.budget.total(),
        samples_peak: context.budget.peak(),
        eval_time: std::time::Duration::from_millis(elapsed.max(0) as u64),
        steps: context.budget.tally().map_or_else(Vec::new, |tally| {
            let counts = tally.looked_at.iter().zip(&tally.read);
            let times = (0..).map(|step| context.query_start + context.query_step * step);
            times.zip(counts).map(|(ms, (seen, read))| (Timestamp(ms), *seen, *read)).collect()
        }),
    };
    QueryOutput { value, annotations: notes.render(text), stats }
}

/// A vector expression's value at the only time of `grid`.
fn samples(
    context: &Context<'_>,
    expr: &Expr,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Vec<VectorSample>, QueryError> {
    context.budget.check()?;
    let block = match vector::stream(context, expr, grid, notes)? {
        Some(stream) if stream.keeps_labels() => return stream.samples(context, grid.start, notes),
        Some(stream) => stream.collect(context, notes)?,
        None => vector(context, expr, grid, notes)?,
    };
    finish_vector(context, block, grid.start)
}

/// The rows with the names dropped that were still to be dropped.
fn final_rows(context: &Context<'_>, block: Block) -> Vec<Row> {
    let mut rows = block.rows;
    if context.features.delayed_name_removal {
        for row in rows.iter_mut().filter(|row| row.drop_name) {
            row.labels = without_metadata(&row.labels);
        }
    }
    rows
}

fn finish_vector(
    context: &Context<'_>,
    block: Block,
    time: i64,
) -> Result<Vec<VectorSample>, QueryError> {
    let rows = final_rows(context, block);
    refuse_same_labels(&rows)?;
    let sample = |mut row: Row| {
        let value = only_point(&mut row);
        VectorSample { labels: row.labels, timestamp: time, value }
    };
    Ok(rows.into_iter().map(sample).collect())
}

/// Takes the point of a row of one step.
fn only_point(row: &mut Row) -> PointValue {
    match row.histograms.pop() {
        Some((_, histogram)) => PointValue::Histogram(Box::new(owned(histogram))),
        None => PointValue::Float(row.values[0]),
    }
}

fn finish_matrix(
    context: &Context<'_>,
    block: Block,
    grid: Grid,
) -> Result<Vec<MatrixSeries>, QueryError> {
    let rows = merge_same_labels(final_rows(context, block))?;
    let mut series: Vec<MatrixSeries> = rows.into_iter().map(|row| series_of(row, grid)).collect();
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(series)
}

/// The points of a row with their times.
fn series_of(row: Row, grid: Grid) -> MatrixSeries {
    let points = row.values.iter().enumerate().filter(|(_, value)| !is_absent(**value));
    let floats = points.map(|(step, value)| (grid.time(step), *value)).collect();
    let histograms = row.histograms.into_iter();
    let histograms = histograms.map(|(step, h)| (grid.time(step as usize), owned(h))).collect();
    MatrixSeries { labels: row.labels, floats, histograms }
}

fn owned(histogram: block::SharedHistogram) -> crate::model::FloatHistogram {
    std::sync::Arc::unwrap_or_clone(histogram)
}

/// The text of a string expression.
pub(crate) fn string(expr: &Expr) -> &str {
    match unwrap_parens(expr) {
        Expr::String(literal) => &literal.value,
        _ => "",
    }
}

/// The text of a string expression as the name of a label; its bytes if it is none.
pub(crate) fn label_name(expr: &Expr) -> Result<&str, &[u8]> {
    match unwrap_parens(expr) {
        Expr::String(StringLiteral { not_utf8: Some(bytes), .. }) => Err(bytes),
        Expr::String(StringLiteral { value, .. }) if !value.is_empty() => Ok(value),
        _ => Err(&[]),
    }
}

/// A scalar expression's value at each step.
pub(crate) fn scalar(
    context: &Context<'_>,
    expr: &Expr,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Vec<f64>, QueryError> {
    let (first, operations) = expr.left_side();
    let mut values = scalar_operand(context, first, grid, notes)?;
    for binary in operations {
        context.budget.check()?;
        let rhs = scalar(context, &binary.rhs, grid, notes)?;
        if matches!(binary.op, BinaryOp::TrimUpper | BinaryOp::TrimLower) {
            let operator = binary.op.as_str();
            let message = format!("operator \"{operator}\" not allowed for Scalar operations");
            return Err(QueryError::Execution(message));
        }
        values = operator::scalars(binary.op, &values, &rhs);
    }
    Ok(values)
}

/// The same of what is no binary operation.
fn scalar_operand(
    context: &Context<'_>,
    expr: &Expr,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Vec<f64>, QueryError> {
    match expr {
        Expr::Number(number) => Ok(vec![number.value; grid.steps]),
        Expr::Paren(paren) => scalar(context, &paren.expr, grid, notes),
        Expr::Unary(unary) => {
            let mut values = scalar(context, &unary.expr, grid, notes)?;
            if unary.negative {
                values.iter_mut().for_each(|value| *value = -*value);
            }
            Ok(values)
        }
        Expr::Call(call) => match call.function.evaluation {
            Evaluation::Scalar(function) => function(context, call, grid, notes),
            _ => Err(not_supported(call.function.name)),
        },
        _ => Err(not_supported("scalar expression")),
    }
}

/// A vector expression's value at each step. A chain of operations is evaluated from its leftmost
/// operand on.
pub(crate) fn vector(
    context: &Context<'_>,
    expr: &Expr,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    context.budget.check()?;
    if grid.steps == 0 {
        return Ok(Block::default());
    }
    let fixed = if grid.steps > 1 { invariant::invariant_part(expr) } else { None };
    let is_fixed = |part: &Expr| fixed.is_some_and(|fixed| std::ptr::eq(fixed, part));
    let (mut first, mut operations) = (expr, Vec::new());
    while !is_fixed(first)
        && let Some(binary) = vector::last_operation(context, first)
    {
        operations.push(binary);
        first = &binary.lhs;
    }
    let mut block = match is_fixed(first) {
        true => evaluate_once(context, first, grid, notes)?,
        false => vector::evaluate(context, first, grid, notes)?,
    };
    while let Some(binary) = operations.pop() {
        context.budget.check()?;
        block = vector::operate(context, binary, block, grid, notes)?;
    }
    Ok(block)
}

/// Evaluates what has the same value at every step.
fn evaluate_once(
    context: &Context<'_>,
    expr: &Expr,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    let once = || vector(context, expr, Grid::once(grid.start), notes);
    let (block, inner) = context.budget.apart(1, once);
    let mut block = block?;
    if let Some(mut tally) = context.budget.tally() {
        (0..grid.steps).for_each(|step| tally.add(step, inner.total(), 0));
        tally.add(0, 0, inner.total_read());
    }
    context.budget.hold(block.rows.len() as u64 * (grid.steps as u64 - 1))?;
    block.rows.iter_mut().for_each(|row| row.repeat(grid.steps));
    Ok(block)
}

/// Runs a range function over the argument of `call` and shows each row to `look`.
pub(crate) fn range_rows(
    context: &Context<'_>,
    call: &super::ast::Call,
    function: window::RangeFunction,
    grid: Grid,
    notes: &mut Notes,
    mut look: impl FnMut(&Row),
) -> Result<(), QueryError> {
    let pipeline = select::range_pipeline(context, call, function, true, grid, notes)?;
    pipeline.for_each(context, notes, |row| {
        look(row);
        Ok(())
    })
}

/// The error for what this version does not evaluate yet.
pub(crate) fn not_supported(what: &str) -> QueryError {
    QueryError::NotSupported(what.to_owned())
}
