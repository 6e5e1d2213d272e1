//! Functions that give a scalar, and `vector`.

use super::super::annotations::Notes;
use super::super::ast::Call;
use super::super::error::QueryError;
use super::super::eval::block::{Block, is_absent};
use super::super::eval::context::Context;
use super::super::eval::grid::Grid;
use super::super::eval::{scalar as evaluate_scalar, vector as evaluate_vector};
use super::number;

type Column = Result<Vec<f64>, QueryError>;

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// `time()`
pub(super) fn time(_: &Context<'_>, _: &Call, grid: Grid, _: &mut Notes) -> Column {
    Ok(grid.times().map(seconds).collect())
}

/// `pi()`
pub(super) fn pi(_: &Context<'_>, _: &Call, grid: Grid, _: &mut Notes) -> Column {
    Ok(vec![std::f64::consts::PI; grid.steps])
}

/// `start()`: first time of the query.
pub(super) fn start(context: &Context<'_>, _: &Call, grid: Grid, _: &mut Notes) -> Column {
    Ok(vec![seconds(context.query_start); grid.steps])
}

/// `end()`: last time of the query.
pub(super) fn end(context: &Context<'_>, _: &Call, grid: Grid, _: &mut Notes) -> Column {
    Ok(vec![seconds(context.query_end); grid.steps])
}

/// `range()`: length of the query.
pub(super) fn range(context: &Context<'_>, _: &Call, grid: Grid, _: &mut Notes) -> Column {
    Ok(vec![seconds(context.query_end.saturating_sub(context.query_start)); grid.steps])
}

/// `step()`: step of the query; 0 when it has one time only.
pub(super) fn step(context: &Context<'_>, _: &Call, grid: Grid, _: &mut Notes) -> Column {
    let once = context.query_start == context.query_end;
    Ok(vec![if once { 0.0 } else { seconds(context.query_step) }; grid.steps])
}

/// `max_of(a, b)`
pub(super) fn max_of(c: &Context<'_>, call: &Call, grid: Grid, notes: &mut Notes) -> Column {
    pick(c, call, grid, notes, number::max)
}

/// `min_of(a, b)`
pub(super) fn min_of(c: &Context<'_>, call: &Call, grid: Grid, notes: &mut Notes) -> Column {
    pick(c, call, grid, notes, number::min)
}

fn pick(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
    choose: fn(f64, f64) -> f64,
) -> Column {
    let a = evaluate_scalar(context, &call.args[0], grid, notes)?;
    let b = evaluate_scalar(context, &call.args[1], grid, notes)?;
    Ok(a.into_iter().zip(b).map(|(a, b)| choose(a, b)).collect())
}

/// `scalar(v)`: the value of the only float series, else NaN.
pub(super) fn scalar(context: &Context<'_>, call: &Call, grid: Grid, notes: &mut Notes) -> Column {
    let block = evaluate_vector(context, &call.args[0], grid, notes)?;
    let mut found = vec![0u32; grid.steps];
    let mut values = vec![f64::NAN; grid.steps];
    for row in &block.rows {
        for (step, value) in row.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
            found[step] += 1;
            values[step] = if found[step] == 1 { *value } else { f64::NAN };
        }
    }
    context.budget.release(block.samples());
    Ok(values)
}

/// `vector(s)`
pub(super) fn vector(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    Ok(Block::from_scalar(evaluate_scalar(context, &call.args[0], grid, notes)?))
}
