//! The same expression pinned to one time: every selector gets `@ time`, so that the result must
//! not depend on when the expression is evaluated.

use crate::model::Timestamp;
use crate::promql::ast::{AtModifier, Expr};

/// Functions whose result depends on the evaluation time although their arguments are pinned.
const TIME_DEPENDENT: &[&str] = &[
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "end",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
    "year",
];

/// Pins all selectors and subqueries outside subqueries to `time`, except those pinned already.
/// Returns whether the result no longer depends on the evaluation time.
pub(super) fn pin(expr: &mut Expr, time: Timestamp) -> bool {
    let (mut expr, mut pinned) = (expr, true);
    while let Expr::Binary(binary) = expr {
        pinned &= pin(&mut binary.rhs, time);
        expr = &mut binary.lhs;
    }
    pin_operand(expr, time) && pinned
}

/// The same of what is no binary operation.
fn pin_operand(expr: &mut Expr, time: Timestamp) -> bool {
    let set = |at: &mut Option<AtModifier>| {
        if !matches!(at, Some(AtModifier::Time(_))) {
            *at = Some(AtModifier::Time(time));
        }
    };
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::VectorSelector(vector) => {
            set(&mut vector.at);
            true
        }
        Expr::MatrixSelector(matrix) => {
            set(&mut matrix.vector.at);
            true
        }
        Expr::Subquery(subquery) => {
            set(&mut subquery.at);
            true
        }
        Expr::Paren(paren) => pin(&mut paren.expr, time),
        Expr::Unary(unary) => pin(&mut unary.expr, time),
        Expr::Binary(_) => pin(expr, time),
        Expr::Aggregate(aggregate) => {
            let expr = pin(&mut aggregate.expr, time);
            aggregate.param.as_mut().is_none_or(|param| pin(param, time)) && expr
        }
        Expr::Call(call) => {
            let mut pinned = !TIME_DEPENDENT.contains(&call.function.name);
            for arg in &mut call.args {
                pinned &= pin(arg, time);
            }
            pinned
        }
    }
}

/// Other times at which a pinned expression must give the result of `time`.
pub(super) fn other_times(time: Timestamp) -> Vec<Timestamp> {
    let ms = time.as_millis();
    let times = if ms == 0 {
        vec![-1000, 0, 1000]
    } else {
        vec![ms.saturating_mul(-10), 0, ms / 5, ms, ms.saturating_mul(10)]
    };
    times.into_iter().map(Timestamp).collect()
}
