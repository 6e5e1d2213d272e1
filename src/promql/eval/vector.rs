//! Vector expressions, one kind after the other.

use super::super::annotations::Notes;
use super::super::ast::{Binary, Call, Expr, ValueType};
use super::super::error::QueryError;
use super::super::functions::Evaluation;
use super::block::{Block, Row};
use super::context::{Context, unwrap_parens};
use super::grid::Grid;
use super::instant::Show;
use super::operator::changes_metric;
use super::pipeline::{Pipeline, drop_names, pins_name};
use super::rowmap::{RowMap, ScalarOperand};
use super::select::{Operation, pipeline, row_operation, scalar_operand};
use super::{aggregate, matching, not_supported, scalar, sets, vector};

/// Most operations of a chain that are applied series by series: each keeps the values of its
/// scalar, and making a pipeline of them recurses.
const CHAIN_MAX: usize = 128;

/// Evaluates `expr` at every step of a grid that is not empty.
pub(super) fn evaluate(
    context: &Context<'_>,
    expr: &Expr,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    if let Some(pipeline) = stream(context, expr, grid, notes)? {
        return pipeline.collect(context, notes);
    }
    match expr {
        Expr::Paren(paren) => vector(context, &paren.expr, grid, notes),
        Expr::Aggregate(aggregate) => aggregate::evaluate(context, aggregate, grid, notes),
        Expr::Call(call) => evaluate_call(context, call, grid, notes),
        Expr::Unary(unary) => {
            let block = vector(context, &unary.expr, grid, notes)?;
            if unary.negative { map(context, block, &RowMap::Negate, notes) } else { Ok(block) }
        }
        Expr::Binary(binary) => evaluate_binary(context, binary, grid, notes),
        _ => Err(not_supported("vector expression")),
    }
}

/// The pipeline that evaluates the expression series by series, where that can be done.
pub(super) fn stream(
    context: &Context<'_>,
    expr: &Expr,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Option<Pipeline>, QueryError> {
    match streams(context, expr) {
        true => pipeline(context, expr, grid, notes),
        false => Ok(None),
    }
}

/// Whether the expression can be evaluated series by series.
fn streams(context: &Context<'_>, expr: &Expr) -> bool {
    is_chain(expr) && !operand_of(expr).is_some_and(|operand| may_collide(context, operand))
}

/// The operation that is applied to the whole of its left operand, a vector, if `expr` is one.
pub(super) fn last_operation<'e>(context: &Context<'_>, expr: &'e Expr) -> Option<&'e Binary> {
    match expr {
        Expr::Binary(binary)
            if binary.lhs.value_type() == ValueType::Vector && !streams(context, expr) =>
        {
            Some(binary)
        }
        _ => None,
    }
}

/// Whether the expression is a chain of row-wise operations down to a selector or subquery, so
/// that making its pipeline evaluates nothing twice.
pub(super) fn is_chain(expr: &Expr) -> bool {
    let mut rest = Some(expr);
    for _ in 0..CHAIN_MAX {
        rest = match rest {
            None => return false,
            Some(Expr::VectorSelector(_)) => return true,
            Some(Expr::Call(call)) if call.function.evaluation.is_over_range() => return true,
            Some(Expr::Paren(paren)) => Some(&paren.expr),
            Some(expr) => operand_of(expr),
        };
    }
    false
}

/// What a chain's outermost operation is applied to; `None` for its end, and what is no chain.
fn operand_of(expr: &Expr) -> Option<&Expr> {
    match unwrap_parens(expr) {
        Expr::Unary(unary) => Some(&unary.expr),
        Expr::Binary(binary) if binary.matching.is_none() => {
            let is_vector = |side: &&Expr| side.value_type() == ValueType::Vector;
            [&binary.lhs, &binary.rhs].into_iter().find(is_vector)
        }
        Expr::Call(call) if call.function.evaluation.is_row_wise() => call.args.first(),
        _ => None,
    }
}

/// Whether two series of a chain may become one by losing their names: what comes after it must not
/// begin before that is known.
pub(super) fn may_collide(context: &Context<'_>, chain: &Expr) -> bool {
    !context.features.delayed_name_removal && renames(chain) && !has_one_name(chain)
}

/// Whether a chain drops the names of its series.
fn renames(chain: &Expr) -> bool {
    let chain = unwrap_parens(chain);
    let by_itself = match chain {
        Expr::Unary(unary) => unary.negative,
        Expr::Binary(binary) => binary.return_bool || changes_metric(binary.op),
        Expr::Call(call) => !matches!(call.function.evaluation, Evaluation::RangeKeepName(_)),
        _ => false,
    };
    by_itself || operand_of(chain).is_some_and(renames)
}

/// Whether all series at the end of a chain have the same name, or none.
fn has_one_name(chain: &Expr) -> bool {
    if let Some(operand) = operand_of(chain) {
        return has_one_name(operand);
    }
    match unwrap_parens(chain) {
        Expr::VectorSelector(selector) => pins_name(&selector.matchers),
        Expr::MatrixSelector(selector) => pins_name(&selector.vector.matchers),
        Expr::Subquery(subquery) => {
            let inner = unwrap_parens(&subquery.expr);
            is_chain(inner) && (renames(inner) || has_one_name(inner))
        }
        Expr::Call(call) => {
            let range = call.args.iter().find(|a| a.value_type() == ValueType::Matrix);
            range.is_some_and(has_one_name)
        }
        _ => false,
    }
}

fn evaluate_call(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    match call.function.evaluation {
        Evaluation::Vector(function) => function(context, call, grid, notes),
        Evaluation::Date(f) if call.args.is_empty() => {
            Ok(Block::from_scalar(grid.times().map(|ms| f((ms / 1000) as f64)).collect()))
        }
        // Known of samples alone, and evaluated in a pipeline then; the argument may fail.
        Evaluation::Timestamp(Show::StartTimestamp) => {
            vector(context, &call.args[0], grid, notes).map(|_| Block::default())
        }
        _ => match row_operation(context, call, grid, notes)? {
            Some(operation) => apply(context, operation, grid, notes),
            None => Err(not_supported(call.function.name)),
        },
    }
}

fn evaluate_binary(
    context: &Context<'_>,
    binary: &Binary,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    if binary.lhs.value_type() == ValueType::Vector {
        let lhs = vector(context, &binary.lhs, grid, notes)?;
        return operate(context, binary, lhs, grid, notes);
    }
    match scalar_operand(context, binary, grid, notes)? {
        Some(operation) => apply(context, operation, grid, notes),
        None => Err(not_supported("operation on two scalars as a vector")),
    }
}

/// The operation on `lhs`, the value of its left operand.
pub(super) fn operate(
    context: &Context<'_>,
    binary: &Binary,
    lhs: Block,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    if binary.rhs.value_type() == ValueType::Scalar {
        let values = scalar(context, &binary.rhs, grid, notes)?;
        let Binary { op, return_bool, span, .. } = *binary;
        let operand = ScalarOperand { op, values, left: false, return_bool, span };
        return map(context, lhs, &RowMap::Scalar(operand), notes);
    }
    let rhs = vector(context, &binary.rhs, grid, notes)?;
    let held = lhs.samples() + rhs.samples();
    let block = if binary.op.is_set() {
        sets::evaluate(binary, lhs, rhs, grid.steps)?
    } else {
        matching::evaluate(context, binary, lhs, rhs, grid.steps, notes)?
    };
    context.budget.hold(block.samples())?;
    context.budget.release(held);
    Ok(block)
}

/// A row-wise operation on the value of its operand.
fn apply(
    context: &Context<'_>,
    operation: Operation<'_>,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    let block = vector(context, operation.operand, grid, notes)?;
    notes.merge(operation.after);
    map(context, block, &operation.map, notes)
}

/// Applies a row-wise operation to a whole block.
fn map(
    context: &Context<'_>,
    block: Block,
    operation: &RowMap,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    let mut rows: Vec<Row> = block.rows;
    rows.iter_mut().try_for_each(|row| operation.apply(row, notes))?;
    rows.retain(|row| !row.is_empty());
    if !context.features.delayed_name_removal && operation.drops_name() {
        rows = drop_names(rows, false)?;
    }
    Ok(Block { rows })
}
