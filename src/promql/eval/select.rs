//! From selectors, range functions and row-wise operations to pipelines; and the range vectors
//! themselves, which only an instant query can show.

use crate::model::SeriesData;

use super::super::annotations::Notes;
use super::super::ast::{
    Binary, Call, EdgeMode, Expr, MatrixSelector, Span, ValueType, VectorSelector,
};
use super::super::error::QueryError;
use super::super::functions::Evaluation;
use super::super::functions::extended::Extended;
use super::super::value::MatrixSeries;
use super::alignment::Alignments;
use super::context::{Context, Shift, unwrap_parens};
use super::grid::{Grid, Reach};
use super::instant::Show;
use super::pipeline::{Base, Input, Pipeline, pins_name};
use super::rowmap::{RowMap, ScalarOperand};
use super::window::{RangeCall, RangeFunction, drop_stale, margins};
use super::{finish_matrix, not_supported, scalar, tally, vector};

/// The pipeline that evaluates `expr`; `None` when it is no chain of row-wise operations over a
/// selector.
pub(crate) fn pipeline(
    context: &Context<'_>,
    expr: &Expr,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Option<Pipeline>, QueryError> {
    match expr {
        Expr::VectorSelector(selector) => {
            instant_pipeline(context, selector, grid, Show::Value).map(Some)
        }
        Expr::Paren(paren) => pipeline(context, &paren.expr, grid, notes),
        Expr::Unary(unary) => {
            let inner = pipeline(context, &unary.expr, grid, notes)?;
            Ok(inner.map(|p| if unary.negative { p.then(RowMap::Negate) } else { p }))
        }
        Expr::Call(call) => call_pipeline(context, call, grid, notes),
        Expr::Binary(binary) => binary_pipeline(context, binary, grid, notes),
        _ => Ok(None),
    }
}

impl Pipeline {
    /// This pipeline with one more operation.
    fn then(mut self, map: RowMap) -> Pipeline {
        self.maps.push(map);
        self
    }
}

fn call_pipeline(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Option<Pipeline>, QueryError> {
    match call.function.evaluation {
        Evaluation::Range(function) => {
            range_pipeline(context, call, function, true, grid, notes).map(Some)
        }
        Evaluation::RangeKeepName(function) => {
            range_pipeline(context, call, function, false, grid, notes).map(Some)
        }
        Evaluation::Timestamp(show) => match unwrap_parens(&call.args[0]) {
            // Without the feature nobody knows start timestamps.
            Expr::VectorSelector(selector)
                if show != Show::StartTimestamp || context.features.use_start_timestamps =>
            {
                let mut pipeline = instant_pipeline(context, selector, grid, show)?;
                pipeline.drops_name = true;
                Ok(Some(pipeline))
            }
            _ => Ok(None),
        },
        _ => {
            let Some(operation) = row_operation(context, call, grid, notes)? else {
                return Ok(None);
            };
            operated_pipeline(context, operation, grid, notes)
        }
    }
}

/// A row-wise operation on a vector.
pub(crate) struct Operation<'e> {
    /// What is done.
    pub(crate) map: RowMap,
    /// The vector.
    pub(crate) operand: &'e Expr,
    /// Notes of the scalars that stand behind the vector: they come after those of the vector.
    pub(crate) after: Notes,
}

fn operated_pipeline(
    context: &Context<'_>,
    operation: Operation<'_>,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Option<Pipeline>, QueryError> {
    let Operation { map, operand, after } = operation;
    let Some(mut pipeline) = pipeline(context, operand, grid, notes)? else { return Ok(None) };
    pipeline.after.merge(after);
    Ok(Some(pipeline.then(map)))
}

/// Evaluates scalars that stand behind a vector. They come first because all steps of a row need
/// them, but what they tell comes last: if they fail, the vector may fail before them.
fn behind<T>(
    context: &Context<'_>,
    operand: &Expr,
    grid: Grid,
    notes: &mut Notes,
    scalars: impl FnOnce(&mut Notes) -> Result<T, QueryError>,
) -> Result<(T, Notes), QueryError> {
    let mut after = Notes::default();
    match scalars(&mut after) {
        Ok(value) => Ok((value, after)),
        Err(error) => vector(context, operand, grid, notes).and(Err(error)),
    }
}

/// The row-wise operation a call is, if it is one.
pub(crate) fn row_operation<'e>(
    context: &Context<'_>,
    call: &'e Call,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Option<Operation<'e>>, QueryError> {
    let Some(operand) = call.args.first().filter(|a| a.value_type() == ValueType::Vector) else {
        return Ok(None);
    };
    let scalars = |after: &mut Notes| row_map(context, call, grid, after);
    let (map, after) = behind(context, operand, grid, notes, scalars)?;
    Ok(map.map(|map| Operation { map, operand, after }))
}

fn row_map(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Option<RowMap>, QueryError> {
    let mut column = |at: usize| scalar(context, &call.args[at], grid, notes);
    let constant = |value: f64| vec![value; grid.steps];
    Ok(Some(match call.function.evaluation {
        Evaluation::Math(f) => RowMap::Math(f),
        Evaluation::Histogram(f) => RowMap::Histogram(f),
        Evaluation::Date(f) if !call.args.is_empty() => RowMap::Math(f),
        Evaluation::Clamp => RowMap::Clamp(column(1)?, column(2)?),
        Evaluation::ClampMin => RowMap::Clamp(column(1)?, constant(f64::INFINITY)),
        Evaluation::ClampMax => RowMap::Clamp(constant(f64::NEG_INFINITY), column(1)?),
        Evaluation::Round if call.args.len() == 1 => RowMap::Round(constant(1.0)),
        Evaluation::Round => RowMap::Round(column(1)?),
        Evaluation::Timestamp(Show::Timestamp) => {
            RowMap::Times(grid.times().map(|ms| ms as f64 / 1000.0).collect())
        }
        _ => return Ok(None),
    }))
}

fn binary_pipeline(
    context: &Context<'_>,
    binary: &Binary,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Option<Pipeline>, QueryError> {
    let Some(operation) = scalar_operand(context, binary, grid, notes)? else {
        return Ok(None);
    };
    operated_pipeline(context, operation, grid, notes)
}

/// The operation and the vector of an operator between a vector and a scalar.
pub(crate) fn scalar_operand<'e>(
    context: &Context<'_>,
    binary: &'e Binary,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Option<Operation<'e>>, QueryError> {
    let (operand, values, after, left) = match (binary.lhs.value_type(), binary.rhs.value_type()) {
        (ValueType::Vector, ValueType::Scalar) => {
            let scalars = |after: &mut Notes| scalar(context, &binary.rhs, grid, after);
            let (values, after) = behind(context, &binary.lhs, grid, notes, scalars)?;
            (&binary.lhs, values, after, false)
        }
        (ValueType::Scalar, ValueType::Vector) => {
            let values = scalar(context, &binary.lhs, grid, notes)?;
            (&binary.rhs, values, Notes::default(), true)
        }
        _ => return Ok(None),
    };
    let (op, return_bool, span) = (binary.op, binary.return_bool, binary.span);
    let map = RowMap::Scalar(ScalarOperand { op, values, left, return_bool, span });
    Ok(Some(Operation { map, operand, after }))
}

fn instant_pipeline(
    context: &Context<'_>,
    selector: &VectorSelector,
    grid: Grid,
    show: Show,
) -> Result<Pipeline, QueryError> {
    let Shift { offset, at } = context.shift(selector)?;
    let reach = Reach::new(grid, offset, at);
    let smoothed = selector.edge == EdgeMode::Smoothed && show == Show::Value;
    let after = if smoothed { context.lookback_ms } else { 0 };
    let bounds = reach.wide_bounds(context.lookback_ms, (0, after));
    let set = context.select(&selector.matchers, bounds)?;
    let base =
        if smoothed { Base::Smoothed(reach, selector.span) } else { Base::Instant(reach, show) };
    Ok(Pipeline {
        input: Input::Series(set),
        base,
        maps: Vec::new(),
        after: Notes::default(),
        steps: grid.steps,
        drops_name: false,
        totals_only: context.totals_only.contains(&selector.span),
        name_pinned: pins_name(&selector.matchers),
    })
}

/// The pipeline of a range function over the range vector among the arguments of `call`.
pub(super) fn range_pipeline(
    context: &Context<'_>,
    call: &Call,
    function: RangeFunction,
    drops_name: bool,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Pipeline, QueryError> {
    let params = |notes: &mut Notes| {
        let scalars = call.args.iter().filter(|a| a.value_type() == ValueType::Scalar);
        scalars.map(|a| scalar(context, a, grid, notes)).collect::<Result<Vec<_>, _>>()
    };
    let matrix = call.args.iter().map(unwrap_parens).find(|a| a.value_type() == ValueType::Matrix);
    let first_arg = call.args.first().map_or(call.span, |a| match unwrap_parens(a) {
        Expr::Subquery(_) => Span::default(), // Prometheus forgets where a subquery stands
        argument => argument.span(),
    });
    let lookback = context.lookback_ms;
    let with = |reach, range, params, edge| {
        let alignments = Alignments::default();
        RangeCall { grid, reach, range, params, first_arg, edge, lookback, alignments }
    };
    match matrix {
        Some(Expr::MatrixSelector(selector)) => {
            let params = params(notes)?;
            check_edge(selector, call.function.name)?;
            let Shift { offset, at } = context.shift(&selector.vector)?;
            let range = context.range_ms(&selector.range)?;
            let reach = Reach::new(grid, offset, at);
            let edge = selector.vector.edge;
            let bounds = reach.wide_bounds(range, margins(edge, lookback));
            let set = context.select(&selector.vector.matchers, bounds)?;
            Ok(Pipeline {
                input: Input::Series(set),
                base: Base::Range(function, Box::new(with(reach, range, params, edge))),
                maps: Vec::new(),
                after: Notes::default(),
                steps: grid.steps,
                drops_name,
                totals_only: context.totals_only.contains(&selector.vector.span),
                name_pinned: pins_name(&selector.vector.matchers),
            })
        }
        Some(Expr::Subquery(subquery)) => {
            let range = context.range_ms(&subquery.range)?;
            let offset = context.offset(&subquery.offset)?;
            let reach = Reach::new(grid, offset, context.at(subquery.at));
            let inner = context.subquery_grid(subquery, grid)?;
            let evaluate = || vector(context, &subquery.expr, inner, notes);
            let (block, counted) = context.budget.apart(inner.steps, evaluate);
            let block = block?;
            let call = with(reach, range, params(notes)?, EdgeMode::Plain);
            if let Some(mut tally) = context.budget.tally() {
                tally.absorb_subquery(&counted, inner, &call);
            }
            Ok(Pipeline {
                input: Input::Rows(block, inner),
                base: Base::Range(function, Box::new(call)),
                maps: Vec::new(),
                after: Notes::default(),
                steps: grid.steps,
                drops_name,
                totals_only: false,
                name_pinned: false,
            })
        }
        _ => Err(not_supported(call.function.name)),
    }
}

fn check_edge(selector: &MatrixSelector, function: &str) -> Result<(), QueryError> {
    let (word, allowed): (&str, &[&str]) = match selector.vector.edge {
        EdgeMode::Plain => return Ok(()),
        EdgeMode::Anchored => ("anchored", &["changes", "delta", "increase", "rate", "resets"]),
        EdgeMode::Smoothed => ("smoothed", &["delta", "increase", "rate"]),
    };
    if allowed.contains(&function) {
        return Ok(());
    }
    Err(QueryError::Execution(format!(
        "{word} modifier can only be used with: {} - not with {function}",
        allowed.join(", ")
    )))
}

/// A range vector as the value of an instant query.
pub(crate) fn matrix(
    context: &Context<'_>,
    expr: &Expr,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Vec<MatrixSeries>, QueryError> {
    match unwrap_parens(expr) {
        Expr::MatrixSelector(selector) => raw_samples(context, selector, grid),
        Expr::Subquery(subquery) => {
            let inner = context.subquery_grid(subquery, grid)?;
            let evaluate = || vector(context, &subquery.expr, inner, notes);
            let (block, counted) = context.budget.apart(inner.steps, evaluate);
            if let Some(mut tally) = context.budget.tally() {
                tally.add(0, counted.total(), counted.total_read());
            }
            finish_matrix(context, block?, inner)
        }
        _ => Err(not_supported("range vector expression")),
    }
}

fn raw_samples(
    context: &Context<'_>,
    selector: &MatrixSelector,
    grid: Grid,
) -> Result<Vec<MatrixSeries>, QueryError> {
    let Shift { offset, at } = context.shift(&selector.vector)?;
    let range = context.range_ms(&selector.range)?;
    let edge = selector.vector.edge;
    let reach = Reach::new(grid, offset, at);
    let bounds = reach.wide_bounds(range, margins(edge, context.lookback_ms));
    let set = context.select(&selector.vector.matchers, bounds)?;
    let mut result = Vec::new();
    let mut data = SeriesData::default();
    for index in 0..set.len() {
        context.budget.check()?;
        set.read(index, &mut data)?;
        drop_stale(&mut data);
        context.budget.hold(data.len() as u64)?;
        context.budget.looked_at(data.len() as u64);
        let mut series = matrix_series(set.labels(index).clone(), &data);
        if edge != EdgeMode::Plain {
            extend(&mut series, &data, (reach.end(0) - range, reach.end(0)), edge)?;
        }
        if let Some(mut tally) = context.budget.tally() {
            let histograms = series.histograms.iter().map(|(_, histogram)| tally::size(histogram));
            let samples = series.floats.len() as u64 + histograms.sum::<u64>();
            tally.add(0, samples, samples);
        }
        if !series.floats.is_empty() || !series.histograms.is_empty() {
            result.push(series);
        }
    }
    result.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(result)
}

/// Replaces the samples by those of an extended range.
fn extend(
    series: &mut MatrixSeries,
    data: &SeriesData,
    (start, end): (i64, i64),
    edge: EdgeMode,
) -> Result<(), QueryError> {
    let smoothed = edge == EdgeMode::Smoothed;
    if !data.histograms.is_empty() {
        let word = if smoothed { "smoothed" } else { "anchored" };
        let message = format!("{word} modifier is not supported with histograms");
        return Err(QueryError::Execution(message));
    }
    if !data.values.is_empty() {
        let (timestamps, values) = (data.timestamps.as_slice(), data.values.as_slice());
        series.floats = Extended { timestamps, values, start, end, smoothed }.samples();
    }
    Ok(())
}

fn matrix_series(labels: crate::model::Labels, data: &SeriesData) -> MatrixSeries {
    let floats = data.timestamps.iter().copied().zip(data.values.iter().copied()).collect();
    let histograms = data.histograms.iter();
    let histograms = histograms.map(|p| (p.timestamp, p.histogram.to_float())).collect();
    MatrixSeries { labels, floats, histograms }
}
