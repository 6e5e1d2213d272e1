//! Counter resets of native histograms, made explicit where only totals are looked at.
//!
//! Under `histogram_count`, `histogram_sum` and `histogram_avg` Prometheus reads histograms without
//! their buckets, so it notes beforehand where one was reset; aggregations then can tell of resets
//! that contradict each other. Elsewhere resets are found by who needs them.

use crate::model::histogram_reset::is_reset;
use crate::model::{CounterResetHint, FloatHistogram, Histogram, SeriesData};

use super::super::ast::{BinaryOp, Expr, Span};

/// Where the selectors stand of which only totals are looked at.
pub(super) fn totals_only(expr: &Expr) -> Vec<Span> {
    let mut found = Vec::new();
    walk(expr, false, &mut found);
    found
}

/// Collects the selectors of `expr`, which stands under a function of totals or not. What needs
/// buckets, or the samples between those it shows, ends the search.
fn walk(expr: &Expr, under_totals: bool, found: &mut Vec<Span>) {
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
        Expr::Binary(b) if matches!(b.op, BinaryOp::TrimUpper | BinaryOp::TrimLower) => return,
        Expr::Call(call) => match call.function.name {
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => return,
            "histogram_count" | "histogram_sum" | "histogram_avg" => true,
            _ => under_totals,
        },
        _ => under_totals,
    };
    expr.children().into_iter().for_each(|child| walk(child, under_totals, found));
}

/// Sets the hints of histograms that have none to what a comparison with the one before says.
pub(super) fn detect_resets(data: &mut SeriesData) {
    let mut previous: Option<FloatHistogram> = None;
    for point in data.histograms.iter_mut().filter(|point| !point.histogram.is_stale()) {
        let mut current = point.histogram.to_float();
        if let (CounterResetHint::Unknown, Some(previous)) = (current.counter_reset_hint, &previous)
        {
            let reset = is_reset(previous, &current);
            let hint = if reset { CounterResetHint::Reset } else { CounterResetHint::NotReset };
            current.counter_reset_hint = hint;
            match &mut point.histogram {
                Histogram::Int(histogram) => histogram.counter_reset_hint = hint,
                Histogram::Float(histogram) => histogram.counter_reset_hint = hint,
            }
        }
        previous = Some(current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::source::HistogramPoint;
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
        let point = |count: f64, hint| HistogramPoint {
            timestamp: 0,
            start_timestamp: 0,
            histogram: Histogram::Float(FloatHistogram {
                count,
                counter_reset_hint: hint,
                ..FloatHistogram::default()
            }),
        };
        use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
        let histograms =
            vec![point(1.0, Unknown), point(2.0, Unknown), point(1.0, Unknown), point(0.0, Gauge)];
        let mut data = SeriesData { histograms, ..SeriesData::default() };
        detect_resets(&mut data);
        let hints = data.histograms.iter().map(|p| p.histogram.to_float().counter_reset_hint);
        assert_eq!(hints.collect::<Vec<_>>(), [Unknown, NotReset, Reset, Gauge]);
    }
}
