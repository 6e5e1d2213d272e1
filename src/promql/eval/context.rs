//! What every part of one query's evaluation knows: the source, the options, the query's own time
//! range, and the budget.

use crate::model::limits::QUERY_SERIES_MAX;
use crate::model::{Matcher, Selector, SeriesSet, SeriesSource, Timestamp};

use super::super::ast::{
    AtModifier, BinaryOp, DurationExpr, DurationSpec, Expr, Span, Subquery, VectorSelector,
};
use super::super::engine::{EngineOptions, QueryOptions};
use super::super::error::QueryError;
use super::super::features::Features;
use super::super::functions::number;
use super::budget::Budget;
use super::grid::Grid;
use super::hints;

/// The surroundings of one query.
pub(crate) struct Context<'a> {
    /// Where series come from.
    pub(crate) source: &'a dyn SeriesSource,
    /// Which optional parts of the language are on.
    pub(crate) features: Features,
    /// How far back an instant selector looks, in ms.
    pub(crate) lookback_ms: i64,
    /// Step of a subquery that names none, in ms.
    pub(crate) subquery_step_ms: i64,
    /// First and last time of the query in ms.
    pub(crate) query_start: i64,
    /// See `query_start`.
    pub(crate) query_end: i64,
    /// Step of the query in ms; 0 for an instant query.
    pub(crate) query_step: i64,
    /// What the query may use.
    pub(crate) budget: Budget,
    /// The selectors of which only totals of histograms are looked at.
    pub(crate) totals_only: Vec<Span>,
    /// Where series are spread over threads.
    pub(crate) pool: Option<&'a rayon::ThreadPool>,
}

/// The times a selector or subquery names, in ms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shift {
    /// Subtracted from the evaluation time.
    pub(crate) offset: i64,
    /// Used instead of the evaluation time.
    pub(crate) at: Option<i64>,
}

impl<'a> Context<'a> {
    /// The surroundings of a query of `expr` over (start, end, step) in ms.
    pub(crate) fn new(
        engine: &'a EngineOptions,
        options: &QueryOptions,
        source: &'a dyn SeriesSource,
        expr: &Expr,
        (start, end, step): (i64, i64, i64),
    ) -> Context<'a> {
        Context {
            source,
            features: engine.features,
            lookback_ms: options.lookback_ms.filter(|ms| *ms > 0).unwrap_or(engine.lookback_ms),
            subquery_step_ms: engine.default_subquery_step_ms.max(1),
            query_start: start,
            query_end: end,
            query_step: step,
            budget: Budget::new(engine, options, steps_of((start, end, step))),
            totals_only: hints::totals_only(expr),
            pool: engine.pool.as_deref(),
        }
    }

    /// Fails when a duration somewhere in `expr` makes no sense. Said before anything is evaluated:
    /// the query is at fault.
    pub(crate) fn check_durations(&self, expr: &Expr) -> Result<(), QueryError> {
        match expr {
            Expr::VectorSelector(selector) => self.offset(&selector.offset).map(|_| ()),
            Expr::MatrixSelector(selector) => {
                self.range_ms(&selector.range)?;
                self.offset(&selector.vector.offset).map(|_| ())
            }
            Expr::Subquery(subquery) => {
                self.offset(&subquery.offset)?;
                subquery.step.as_ref().map_or(Ok(0), |step| self.duration(step, false))?;
                self.range_ms(&subquery.range)?;
                self.check_durations(&subquery.expr)
            }
            Expr::Binary(_) => {
                let (first, operations) = expr.left_side();
                self.check_durations(first)?;
                operations.into_iter().try_for_each(|binary| self.check_durations(&binary.rhs))
            }
            _ => expr.children().into_iter().try_for_each(|child| self.check_durations(child)),
        }
    }

    /// The series that match, with samples between the bounds (ms, inclusive).
    pub(crate) fn select(
        &self,
        matchers: &[Matcher],
        (start, end): (i64, i64),
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        let interrupt = self.budget.interrupt();
        let (start, end) = (Timestamp(start), Timestamp(end));
        let set = self.source.select(&Selector { matchers, start, end, interrupt })?;
        self.budget.check()?;
        if set.len() > QUERY_SERIES_MAX {
            return Err(QueryError::Execution(format!(
                "a selector matches {} series, a query may read {QUERY_SERIES_MAX} of one",
                set.len()
            )));
        }
        Ok(set)
    }

    /// Offset and `@` of a selector.
    pub(crate) fn shift(&self, selector: &VectorSelector) -> Result<Shift, QueryError> {
        Ok(Shift { offset: self.offset(&selector.offset)?, at: self.at(selector.at) })
    }

    /// The times at which a subquery evaluates its expression: multiples of its step, so that they
    /// do not move with the query.
    pub(crate) fn subquery_grid(
        &self,
        subquery: &Subquery,
        grid: Grid,
    ) -> Result<Grid, QueryError> {
        let range = self.range_ms(&subquery.range)?;
        let offset = self.offset(&subquery.offset)?;
        let step = match &subquery.step {
            // Prometheus divides by it: "runtime error: integer divide by zero".
            Some(DurationSpec::Fixed(0)) => {
                let message = "the step of a subquery must be at least 1ms";
                return Err(QueryError::Execution(message.to_owned()));
            }
            Some(spec) => match self.duration(spec, false)? {
                0 => self.subquery_step_ms,
                step => step,
            },
            None => self.subquery_step_ms,
        };
        let (first, last) =
            self.at(subquery.at).map_or((grid.start, grid.end()), |time| (time, time));
        let after = first.saturating_sub(offset).saturating_sub(range);
        let mut start = step * (after / step);
        if start <= after {
            start = start.saturating_add(step);
        }
        let sub = Grid::new(start, last.saturating_sub(offset), step);
        if sub.steps as i64 > super::super::engine::STEPS_MAX {
            return Err(QueryError::Execution(format!(
                "subquery has {} steps, at most {} are evaluated",
                sub.steps,
                super::super::engine::STEPS_MAX
            )));
        }
        Ok(sub)
    }

    /// The time an `@` modifier names.
    pub(crate) fn at(&self, at: Option<AtModifier>) -> Option<i64> {
        at.map(|at| match at {
            AtModifier::Time(time) => time.0,
            AtModifier::Start => self.query_start,
            AtModifier::End => self.query_end,
        })
    }

    /// The length of a range in ms, greater than 0.
    pub(crate) fn range_ms(&self, spec: &DurationSpec) -> Result<i64, QueryError> {
        self.duration(spec, false)
    }

    /// An offset in ms, perhaps negative.
    pub(crate) fn offset(&self, spec: &DurationSpec) -> Result<i64, QueryError> {
        self.duration(spec, true)
    }

    fn duration(&self, spec: &DurationSpec, negative_allowed: bool) -> Result<i64, QueryError> {
        let expr = match spec {
            DurationSpec::Fixed(ms) => return Ok(*ms),
            DurationSpec::Expr(expr) => expr,
        };
        let seconds = self.seconds(expr)?;
        let span = expr.inner_span();
        let fail = |what| Err(duration_error(span, what));
        if !seconds.is_finite() {
            return fail("duration is NaN or infinite");
        }
        if seconds <= 0.0 && !negative_allowed {
            return fail("duration must be greater than 0");
        }
        if seconds.abs() > DURATION_SECONDS_MAX {
            return fail("duration is out of range");
        }
        Ok((seconds * 1000.0) as i64)
    }

    fn seconds(&self, expr: &DurationExpr) -> Result<f64, QueryError> {
        Ok(match expr {
            DurationExpr::Number(number) => number.value,
            DurationExpr::Step(_) => self.query_step as f64 / 1000.0,
            DurationExpr::Range(_) => (self.query_end - self.query_start) as f64 / 1000.0,
            DurationExpr::Unary { negative, operand, .. } => {
                let value = self.seconds(operand)?;
                if *negative { -value } else { value }
            }
            DurationExpr::Binary { op, lhs, rhs, span } => {
                arithmetic(*op, self.seconds(lhs)?, self.seconds(rhs)?, *span)?
            }
            DurationExpr::Pick { max, lhs, rhs, .. } => {
                let (lhs, rhs) = (self.seconds(lhs)?, self.seconds(rhs)?);
                if *max { number::max(lhs, rhs) } else { number::min(lhs, rhs) }
            }
            DurationExpr::Paren(inner, _) => self.seconds(inner)?,
        })
    }
}

/// Number of steps of a query; a step of 0 is an instant query's.
fn steps_of((start, end, step): (i64, i64, i64)) -> usize {
    if step == 0 { 1 } else { Grid::new(start, end, step).steps }
}

/// Go's `time.Duration` holds no more seconds; longer ones are refused as there.
const DURATION_SECONDS_MAX: f64 = (1u64 << 63) as f64 / 1e9;

fn arithmetic(op: BinaryOp, lhs: f64, rhs: f64, span: Span) -> Result<f64, QueryError> {
    Ok(match op {
        BinaryOp::Add => lhs + rhs,
        BinaryOp::Sub => lhs - rhs,
        BinaryOp::Mul => lhs * rhs,
        BinaryOp::Pow => lhs.powf(rhs),
        BinaryOp::Div if rhs == 0.0 => return Err(duration_error(span, "division by zero")),
        BinaryOp::Mod if rhs == 0.0 => return Err(duration_error(span, "modulo by zero")),
        BinaryOp::Div => lhs / rhs,
        BinaryOp::Mod => lhs % rhs,
        other => {
            let what = format!("unexpected duration expression operator {:?}", other.as_str());
            return Err(QueryError::BadRequest(what));
        }
    })
}

fn duration_error(span: Span, what: &str) -> QueryError {
    QueryError::BadRequest(format!("{}:{}: {what}", span.start, span.end))
}

/// The expression inside any parentheses.
pub(crate) fn unwrap_parens(expr: &Expr) -> &Expr {
    let mut expr = expr;
    while let Expr::Paren(paren) = expr {
        expr = &paren.expr;
    }
    expr
}
