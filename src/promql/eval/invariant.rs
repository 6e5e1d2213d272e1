//! Which expressions have the same value at every step, so that one evaluation is enough.

use super::super::ast::Expr;
use super::context::unwrap_parens;

/// Functions whose value changes with the evaluation time although their arguments do not.
const TIME_DEPENDENT: &[&str] = &[
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "timestamp",
];

/// Whether `expr` has the same value at every step.
pub(crate) fn is_invariant(expr: &Expr) -> bool {
    let mut expr = expr;
    while let Expr::Binary(binary) = expr {
        if !is_invariant(&binary.rhs) {
            return false;
        }
        expr = &binary.lhs;
    }
    is_invariant_operand(expr)
}

/// The largest part of a chain of operations, from its leftmost operand on, that has the same value
/// at every step.
pub(super) fn invariant_part(expr: &Expr) -> Option<&Expr> {
    let (first, operations) = expr.left_side();
    if !is_invariant_operand(first) {
        return None;
    }
    let varying = operations.into_iter().find(|binary| !is_invariant(&binary.rhs));
    Some(varying.map_or(expr, |binary| &binary.lhs))
}

/// The same of what is no operation.
fn is_invariant_operand(expr: &Expr) -> bool {
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::VectorSelector(selector) => selector.at.is_some(),
        Expr::MatrixSelector(selector) => selector.vector.at.is_some(),
        Expr::Subquery(subquery) => subquery.at.is_some(),
        Expr::Aggregate(aggregate) => is_invariant(&aggregate.expr),
        Expr::Binary(_) => is_invariant(expr),
        Expr::Paren(paren) => is_invariant(&paren.expr),
        Expr::Unary(unary) => is_invariant(&unary.expr),
        Expr::Call(call) => {
            let of_selector = call.function.name == "timestamp"
                && matches!(call.args.first().map(unwrap_parens), Some(Expr::VectorSelector(_)));
            (of_selector || !TIME_DEPENDENT.contains(&call.function.name))
                && call.args.iter().all(is_invariant)
        }
    }
}
