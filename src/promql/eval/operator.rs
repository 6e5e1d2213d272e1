//! Binary operators on two numbers.

use super::super::ast::BinaryOp;

/// Whether the operator makes another metric of its operand, so the name goes.
pub(crate) fn changes_metric(op: BinaryOp) -> bool {
    use BinaryOp::{Add, Atan2, Div, Mod, Mul, Pow, Sub};
    matches!(op, Add | Sub | Mul | Div | Pow | Mod | Atan2)
}

/// The info about operands that do not fit.
pub(crate) fn incompatible(lhs: &str, op: BinaryOp, rhs: &str) -> String {
    let op = op.as_str();
    format!("incompatible sample types encountered for binary operator \"{op}\": {lhs} {op} {rhs}")
}

/// Calls `use_it` with the operator as a function of two numbers to (result, whether to keep it).
/// A comparison's result is its left operand. One call per row and operator: the compiler makes a
/// loop for each.
#[inline]
pub(crate) fn with_float_operator<R>(
    op: BinaryOp,
    use_it: impl FnOnce(&dyn Fn(f64, f64) -> (f64, bool)) -> R,
) -> R {
    match op {
        BinaryOp::Add => use_it(&|a, b| (a + b, true)),
        BinaryOp::Sub => use_it(&|a, b| (a - b, true)),
        BinaryOp::Mul => use_it(&|a, b| (a * b, true)),
        BinaryOp::Div => use_it(&|a, b| (a / b, true)),
        BinaryOp::Mod => use_it(&|a, b| (a % b, true)),
        BinaryOp::Pow => use_it(&|a: f64, b| (a.powf(b), true)),
        BinaryOp::Atan2 => use_it(&|a: f64, b| (a.atan2(b), true)),
        BinaryOp::Eq => use_it(&|a, b| (a, a == b)),
        BinaryOp::Ne => use_it(&|a, b| (a, a != b)),
        BinaryOp::Lt => use_it(&|a, b| (a, a < b)),
        BinaryOp::Le => use_it(&|a, b| (a, a <= b)),
        BinaryOp::Gt => use_it(&|a, b| (a, a > b)),
        BinaryOp::Ge => use_it(&|a, b| (a, a >= b)),
        BinaryOp::And
        | BinaryOp::Or
        | BinaryOp::Unless
        | BinaryOp::TrimUpper
        | BinaryOp::TrimLower => use_it(&|_, _| (0.0, false)),
    }
}

/// The operator between two scalars: comparisons give 0 or 1.
pub(crate) fn scalars(op: BinaryOp, lhs: &[f64], rhs: &[f64]) -> Vec<f64> {
    with_float_operator(op, |compute| {
        let one = |(a, b): (&f64, &f64)| {
            let (value, keep) = compute(*a, *b);
            if op.is_comparison() { f64::from(u8::from(keep)) } else { value }
        };
        lhs.iter().zip(rhs).map(one).collect()
    })
}
