//! What each part of an expression gives and costs, for people who ask why a query is slow.
//!
//! Evaluation hands series through chains of operations without keeping what lies between, so that
//! parts cannot be counted on the way. Here every part is evaluated by itself instead, at the times
//! at which its parent needs it: numbers include what lies below, and the whole takes as long as
//! all parts together. Limits on time, samples and patience hold for each part.

use std::time::Duration;

use crate::model::{SeriesData, SeriesSource};

use super::super::annotations::Notes;
use super::super::ast::{Expr, MatrixSelector, ValueType};
use super::super::engine::{EngineOptions, QueryOptions};
use super::super::error::QueryError;
use super::block::{Row, is_absent};
use super::context::Context;
use super::grid::{Grid, Reach};
use super::{scalar, vector};

/// Most parts within each other that are explained: a chain of many operands has as many.
const LEVELS_MAX: usize = 128;

/// A part of an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The part as text.
    pub text: String,
    /// What it evaluates to.
    pub value_type: ValueType,
    /// Series it gives; of a scalar or text, 1.
    pub series: u64,
    /// Values it gives, at all times and in all series; of a range vector, its samples.
    pub points: u64,
    /// Samples looked at, as in [`super::super::QueryStats::samples_total`].
    pub samples: u64,
    /// Time spent on it alone, what lies below included.
    pub time: Duration,
    /// Its parts; of those within more than 128 others none.
    pub children: Vec<Explanation>,
}

/// Who explains what.
pub(in super::super) struct Explainer<'a> {
    pub(in super::super) engine: &'a EngineOptions,
    pub(in super::super) options: &'a QueryOptions,
    pub(in super::super) source: &'a dyn SeriesSource,
    /// First and last time and step of the query in ms; the step of an instant query is 0.
    pub(in super::super) times: (i64, i64, i64),
    /// Tells the time since some moment.
    pub(in super::super) stopwatch: &'a dyn Fn() -> Duration,
}

impl Explainer<'_> {
    /// The expression's parts, evaluated at the query's times.
    pub(in super::super) fn explain(&self, expr: &Expr) -> Result<Explanation, QueryError> {
        let (start, end, step) = self.times;
        let grid = if step == 0 { Grid::once(start) } else { Grid::new(start, end, step) };
        self.part(expr, grid, 0)
    }

    /// `level` is how many parts are around this one.
    fn part(&self, expr: &Expr, grid: Grid, level: usize) -> Result<Explanation, QueryError> {
        let context = Context::new(self.engine, self.options, self.source, expr, self.times);
        let before = (self.stopwatch)();
        let (series, points) = self.evaluate(&context, expr, grid)?;
        let time = (self.stopwatch)().saturating_sub(before);
        let below = match expr {
            Expr::Subquery(subquery) => context.subquery_grid(subquery, grid)?,
            _ => grid,
        };
        let children = if level < LEVELS_MAX { expr.children() } else { Vec::new() };
        let children = children.into_iter().map(|child| self.part(child, below, level + 1));
        Ok(Explanation {
            text: expr.to_string(),
            value_type: expr.value_type(),
            series,
            points,
            samples: context.budget.total(),
            time,
            children: children.collect::<Result<_, _>>()?,
        })
    }

    /// Series and points of the part's value.
    fn evaluate(
        &self,
        context: &Context<'_>,
        expr: &Expr,
        grid: Grid,
    ) -> Result<(u64, u64), QueryError> {
        let mut notes = Notes::default();
        match (expr, expr.value_type()) {
            (Expr::MatrixSelector(selector), _) => raw(context, selector, grid),
            (Expr::Paren(paren), ValueType::Matrix) => self.evaluate(context, &paren.expr, grid),
            (Expr::Subquery(subquery), _) => {
                let inner = context.subquery_grid(subquery, grid)?;
                Ok(size(&vector(context, &subquery.expr, inner, &mut notes)?.rows))
            }
            (_, ValueType::String | ValueType::Matrix) => Ok((1, 1)),
            (_, ValueType::Scalar) => {
                Ok((1, scalar(context, expr, grid, &mut notes)?.len() as u64))
            }
            (_, ValueType::Vector) => Ok(size(&vector(context, expr, grid, &mut notes)?.rows)),
        }
    }
}

fn size(rows: &[Row]) -> (u64, u64) {
    let filled = rows.iter().filter(|row| !row.is_empty());
    let points = |row: &Row| {
        let floats = row.values.iter().filter(|value| !is_absent(**value)).count();
        (floats + row.histograms.len()) as u64
    };
    filled.fold((0, 0), |(series, sum), row| (series + 1, sum + points(row)))
}

/// The samples of all ranges together, each once.
fn raw(
    context: &Context<'_>,
    selector: &MatrixSelector,
    grid: Grid,
) -> Result<(u64, u64), QueryError> {
    if grid.steps == 0 {
        return Ok((0, 0));
    }
    let shift = context.shift(&selector.vector)?;
    let range = context.range_ms(&selector.range)?;
    let reach = Reach::new(grid, shift.offset, shift.at);
    let set = context.select(&selector.vector.matchers, reach.wide_bounds(range, (0, 0)))?;
    let (mut series, mut points) = (0, 0);
    let mut data = SeriesData::default();
    for index in 0..set.len() {
        context.budget.check()?;
        set.read(index, &mut data)?;
        context.budget.looked_at(data.len() as u64);
        series += u64::from(!data.is_empty());
        points += data.len() as u64;
    }
    Ok((series, points))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, Timestamp};
    use crate::promql::Engine;
    use crate::promql::memory::{MemorySample, MemorySource, MemoryValue};

    #[test]
    fn every_part_tells_what_it_gives() {
        let mut source = MemorySource::new();
        for x in ["a", "b"] {
            let labels = Labels::from_pairs([("__name__", "c_total"), ("x", x)]).expect("valid");
            let sample = |at: i64| MemorySample {
                timestamp: at * 10_000,
                start_timestamp: 0,
                value: MemoryValue::Float(at as f64),
            };
            source.append(&labels, (0..=6).map(sample));
        }
        let engine = Engine::new(EngineOptions::default());
        let ticks = std::sync::atomic::AtomicU64::new(1);
        let stopwatch =
            || Duration::from_secs(ticks.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let text = "sum(rate(c_total[20s])) * 2";
        let times = (Timestamp(20_000), Timestamp(60_000), 20_000);
        let options = QueryOptions::default();
        let found = engine.explain(&source, text, times, &options, &stopwatch).expect("explained");
        let mut lines = Vec::new();
        flatten(&found, &mut lines);
        assert_eq!(
            lines,
            [
                "sum(rate(c_total[20s])) * 2: 1 series, 3 points, 12 samples",
                "sum(rate(c_total[20s])): 1 series, 3 points, 12 samples",
                "rate(c_total[20s]): 2 series, 6 points, 12 samples",
                "c_total[20s]: 2 series, 12 points, 12 samples",
                "2: 1 series, 3 points, 0 samples",
            ]
        );
        assert!(found.time > Duration::ZERO);
        let inner =
            engine.explain(&source, "max_over_time(c_total[40s:10s])", times, &options, &stopwatch);
        let subquery = &inner.expect("explained").children[0];
        assert_eq!((subquery.series, subquery.points), (2, 14));
        assert_eq!(subquery.children[0].text, "c_total");
    }

    fn flatten(part: &Explanation, lines: &mut Vec<String>) {
        let Explanation { text, series, points, samples, .. } = part;
        lines.push(format!("{text}: {series} series, {points} points, {samples} samples"));
        part.children.iter().for_each(|child| flatten(child, lines));
    }
}
