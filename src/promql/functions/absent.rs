//! `absent` and `absent_over_time`.

use crate::model::labels::METRIC_NAME;
use crate::model::{Labels, LabelsBuilder, MatchOp, Matcher};

use super::super::annotations::Notes;
use super::super::ast::{Call, Expr};
use super::super::error::QueryError;
use super::super::eval::block::{ABSENT, Block, Row, is_absent};
use super::super::eval::context::{Context, unwrap_parens};
use super::super::eval::grid::Grid;
use super::super::eval::{range_rows, vector};
use super::over_time;

/// `absent(v)`
pub(super) fn absent(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    let block = vector(context, &call.args[0], grid, notes)?;
    context.budget.release(block.samples());
    Ok(gaps(&block, labels_of(&call.args[0]), grid.steps))
}

/// `absent_over_time(v[r])`
pub(super) fn absent_over_time(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    let mut present = vec![1.0; grid.steps];
    range_rows(context, call, over_time::present, grid, notes, |row| {
        for (step, value) in row.values.iter().enumerate() {
            if !is_absent(*value) {
                present[step] = ABSENT;
            }
        }
    })?;
    let labels = labels_of(&call.args[0]);
    let row = Row { values: present, ..Row::new(labels, 0) };
    Ok(Block { rows: if row.is_empty() { Vec::new() } else { vec![row] } })
}

/// One row that is 1 where no row of `block` has a point.
fn gaps(block: &Block, labels: Labels, steps: usize) -> Block {
    let mut row = Row { values: vec![1.0; steps], ..Row::new(labels, 0) };
    for other in &block.rows {
        for step in 0..steps {
            if other.has(step) {
                row.values[step] = ABSENT;
            }
        }
    }
    Block { rows: if row.is_empty() { Vec::new() } else { vec![row] } }
}

/// The labels a selector asks for with `=`, each once.
fn labels_of(expr: &Expr) -> Labels {
    let matchers: &[Matcher] = match unwrap_parens(expr) {
        Expr::VectorSelector(selector) => &selector.matchers,
        Expr::MatrixSelector(selector) => &selector.vector.matchers,
        _ => return Labels::empty(),
    };
    let mut labels = LabelsBuilder::new();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| matcher.name() != METRIC_NAME) {
        if matcher.op() == MatchOp::Equal && !seen.contains(&matcher.name()) {
            labels.set(matcher.name(), matcher.value());
            seen.push(matcher.name());
        } else {
            labels.delete(matcher.name());
        }
    }
    labels.build().unwrap_or_else(|_| Labels::empty())
}
