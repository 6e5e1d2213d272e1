//! Counter resets of native histograms, made explicit where only totals are looked at.
//!
//! Under `histogram_count`, `histogram_sum` and `histogram_avg` Prometheus reads histograms without
//! their buckets, so it notes beforehand where one was reset; aggregations then can tell of resets
//! that contradict each other. Elsewhere resets are found by who needs them.

use std::borrow::Cow;

use crate::model::histogram_reset::is_reset;
use crate::model::{CounterResetHint, FloatHistogram, Histogram, SeriesData};

use super::super::ast::{BinaryOp, Expr, Span};
use super::grid::Reach;

/// Where the selectors stand of which only totals are looked at.
pub(super) fn totals_only(expr: &Expr) -> Vec<Span> {
    let mut found = Vec::new();
    walk(expr, false, &mut found);
    found
}

/// Collects the selectors of `expr`, which stands under a function of totals or not. What needs
/// buckets, or the samples between those it shows, ends the search.
fn walk(expr: &Expr, under_totals: bool, found: &mut Vec<Span>) {
    let mut expr = expr;
    while let Expr::Binary(binary) = expr {
        if matches!(binary.op, BinaryOp::TrimUpper | BinaryOp::TrimLower) {
            return;
        }
        walk(&binary.rhs, under_totals, found);
        expr = &binary.lhs;
    }
    let under_totals = match expr {
        Expr::VectorSelector(selector) if under_totals => {
            found.push(selector.span);
            return;
        }
        Expr::MatrixSelector(selector) if under_totals => {
            found.push(selector.vector.span);
            return;
        }
        Expr::Subquery(_) => return,
        Expr::Call(call) => match call.function.name {
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => return,
            "histogram_count" | "histogram_sum" | "histogram_avg" => true,
            _ => under_totals,
        },
        _ => under_totals,
    };
    expr.children().into_iter().for_each(|child| walk(child, under_totals, found));
}

/// How a selector goes through the samples of a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// The last time of each step.
    pub(super) reach: Reach,
    /// Number of steps.
    pub(super) steps: usize,
    /// How far before the last time of its first step it begins, in ms.
    pub(super) range: i64,
    /// How far before the last time of a further step it goes on; what lies between the steps is
    /// skipped.
    pub(super) further: i64,
}

impl Course {
    /// Which histograms come first after samples that are skipped; floats between them are gone
    /// through too.
    fn landings(&self, data: &SeriesData) -> Vec<usize> {
        let histograms: Vec<i64> = data.histograms.iter().map(|point| point.timestamp).collect();
        let mut times = Cow::Borrowed(&histograms);
        if !data.timestamps.is_empty() {
            times.to_mut().extend(&data.timestamps);
            times.to_mut().sort_unstable();
        }
        let mut landings = Vec::new();
        let mut at = times.partition_point(|t| *t < self.reach.end(0).saturating_sub(self.range));
        for step in 0..self.steps {
            let end = self.reach.end(step);
            let from = end.saturating_sub(self.further);
            if step > 0 && times.get(at).is_some_and(|time| *time < from) {
                at += times[at..].partition_point(|time| *time < from);
                landings.push(histograms.partition_point(|time| *time < from));
            }
            if let Some(rest) = times.get(at..) {
                at += rest.partition_point(|time| *time < end);
            }
        }
        landings
    }
}

/// Leaves of each histogram its totals, and sets the hints of those that have none to what a
/// comparison with the one before says, if that was not skipped.
pub(super) fn keep_totals(data: &mut SeriesData, course: Course) {
    let landings = course.landings(data);
    let mut previous: Option<FloatHistogram> = None;
    for (at, point) in data.histograms.iter_mut().enumerate() {
        if landings.binary_search(&at).is_ok() {
            previous = None;
        }
        if point.histogram.is_stale() {
            continue;
        }
        let mut current = point.histogram.to_float();
        if let (CounterResetHint::Unknown, Some(previous)) = (current.counter_reset_hint, &previous)
        {
            let reset = is_reset(previous, &current);
            let hint = if reset { CounterResetHint::Reset } else { CounterResetHint::NotReset };
            current.counter_reset_hint = hint;
        }
        point.histogram = Histogram::Float(FloatHistogram {
            counter_reset_hint: current.counter_reset_hint,
            schema: current.schema,
            count: current.count,
            sum: current.sum,
            ..FloatHistogram::default()
        });
        previous = Some(current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::source::HistogramPoint;
    use crate::promql::eval::grid::Grid;
    use crate::promql::{Engine, EngineOptions};

    fn found(text: &str) -> usize {
        let expr = Engine::new(EngineOptions::default()).parse(text).expect("valid");
        totals_only(&expr).len()
    }

    #[test]
    fn only_selectors_without_need_of_buckets_are_found() {
        assert_eq!(found("histogram_count(sum(rate(a[5m])) + b)"), 2);
        assert_eq!(found("histogram_count(rate(a[5m:1m]))"), 0);
        assert_eq!(found("histogram_quantile(0.5, a) + b"), 0);
        assert_eq!(found("histogram_sum(a </ 5)"), 0);
    }

    #[test]
    fn hints_are_set_by_comparison() {
        let point = |timestamp: i64, count: f64, hint| HistogramPoint {
            timestamp,
            start_timestamp: 0,
            histogram: Histogram::Float(FloatHistogram {
                count,
                counter_reset_hint: hint,
                ..FloatHistogram::default()
            }),
        };
        use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
        let histograms = vec![
            point(1, 1.0, Unknown),
            point(2, 2.0, Unknown),
            point(3, 1.0, Unknown),
            point(4, 0.0, Gauge),
        ];
        let data = SeriesData { histograms, ..SeriesData::default() };
        let hints = |grid: Grid, further| {
            let mut data = data.clone();
            let (reach, steps) = (Reach::new(grid, 0, None), grid.steps);
            keep_totals(&mut data, Course { reach, steps, range: 3, further });
            let hint = |p: &HistogramPoint| p.histogram.to_float().counter_reset_hint;
            data.histograms.iter().map(hint).collect::<Vec<_>>()
        };
        assert_eq!(hints(Grid::once(4), 3), [Unknown, NotReset, Reset, Gauge]);
        // From 1 on to 3: the one at 2 is skipped.
        assert_eq!(hints(Grid::new(1, 3, 2), 0), [Unknown, NotReset, Unknown, Gauge]);
    }

    #[test]
    fn a_float_is_landed_on_and_skipped_from() {
        let point = |timestamp| HistogramPoint {
            timestamp,
            start_timestamp: 0,
            histogram: Histogram::Float(FloatHistogram { count: 1.0, ..FloatHistogram::default() }),
        };
        let mut data = SeriesData {
            histograms: vec![point(10), point(50)],
            timestamps: vec![25],
            values: vec![1.0],
            ..SeriesData::default()
        };
        let landings = |data: &SeriesData| {
            let reach = Reach::new(Grid::new(20, 60, 40), 0, None);
            Course { reach, steps: 2, range: 15, further: 15 }.landings(data)
        };
        assert_eq!(landings(&data), [1]);
        data.timestamps[0] = 15;
        assert_eq!(landings(&data), [] as [usize; 0]);
    }
}
