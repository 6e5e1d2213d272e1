//! Binary operators on two numbers, and on operands of which one is a native histogram.

use std::sync::Arc;

use crate::model::histogram_sum::HistogramSum;
use crate::model::histogram_trim::{Keep, trim};
use crate::model::{CounterResetHint, FloatHistogram};

use super::super::annotations::{
    Notes, conflicting_resets, incompatible_layout, reconciled_bounds,
};
use super::super::ast::{BinaryOp, Span};
use super::super::functions::rate::same_histogram;
use super::block::SharedHistogram;

/// One operand at one step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operand<'a> {
    /// A number.
    Float(f64),
    /// A histogram.
    Histogram(&'a SharedHistogram),
}

/// The result of an operator at one step.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// A number.
    Float(f64),
    /// A histogram.
    Histogram(SharedHistogram),
}

impl Operand<'_> {
    /// The word for it in annotations.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Operand::Float(_) => "float",
            Operand::Histogram(_) => "histogram",
        }
    }
}

/// The result of an operator and whether to keep it; `None` when the operands do not fit, which is
/// told for this step. Like [`with_float_operator`], a comparison gives its left operand.
#[inline]
pub(crate) fn operands(
    op: BinaryOp,
    lhs: Operand<'_>,
    rhs: Operand<'_>,
    (span, step): (Span, usize),
    notes: &mut Notes,
) -> Option<(Outcome, bool)> {
    let trims = matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
    match (lhs, rhs) {
        (Operand::Float(a), Operand::Float(b)) if !trims => {
            let (value, keep) = with_float_operator(op, |f| f(a, b));
            return Some((Outcome::Float(value), keep));
        }
        (Operand::Histogram(a), Operand::Histogram(b)) => match op {
            BinaryOp::Add | BinaryOp::Sub => {
                return sum(op, a, b, (span, step), notes).map(|h| (Outcome::Histogram(h), true));
            }
            BinaryOp::Eq => return Some((Outcome::Histogram(Arc::clone(a)), same_histogram(a, b))),
            BinaryOp::Ne => {
                return Some((Outcome::Histogram(Arc::clone(a)), !same_histogram(a, b)));
            }
            _ => {}
        },
        (Operand::Histogram(histogram), Operand::Float(scalar))
        | (Operand::Float(scalar), Operand::Histogram(histogram)) => {
            let left = matches!(lhs, Operand::Float(_));
            if let Some(scaled) = with_scalar(op, histogram, scalar, left) {
                return Some((Outcome::Histogram(Arc::new(scaled)), true));
            }
        }
        (Operand::Float(_), Operand::Float(_)) => {}
    }
    notes.of_operator(span, step, false, incompatible(lhs.kind(), op, rhs.kind()));
    None
}

/// A histogram and a number, which stands on the left if `left`; `None` when they do not fit.
pub(crate) fn with_scalar(
    op: BinaryOp,
    histogram: &FloatHistogram,
    scalar: f64,
    left: bool,
) -> Option<FloatHistogram> {
    match op {
        BinaryOp::TrimUpper if !left => return Some(trim(histogram, scalar, Keep::Below)),
        BinaryOp::TrimLower if !left => return Some(trim(histogram, scalar, Keep::Above)),
        _ => {}
    }
    let mut result = match scalar.is_finite() {
        true => HistogramSum::new(histogram),
        false => HistogramSum::with_empty_buckets(histogram),
    };
    match op {
        BinaryOp::Mul => result.multiply(scalar),
        BinaryOp::Div if !left => result.divide(scalar),
        _ => return None,
    }
    Some(result.finish())
}

/// Every number with the other sign, which makes a gauge. Buckets that hold nothing stay, as in
/// Prometheus: quantiles of negative counts find them.
pub(crate) fn negated(histogram: &FloatHistogram) -> FloatHistogram {
    let negated = |values: &[f64]| values.iter().map(|value| -value).collect();
    FloatHistogram {
        counter_reset_hint: CounterResetHint::Gauge,
        zero_count: -histogram.zero_count,
        count: -histogram.count,
        sum: -histogram.sum,
        positive_buckets: negated(&histogram.positive_buckets),
        negative_buckets: negated(&histogram.negative_buckets),
        ..histogram.clone()
    }
}

/// The sum or difference of two histograms; `None` with a warning when there is none.
fn sum(
    op: BinaryOp,
    lhs: &FloatHistogram,
    rhs: &FloatHistogram,
    (span, step): (Span, usize),
    notes: &mut Notes,
) -> Option<SharedHistogram> {
    let mut result = HistogramSum::new(lhs);
    let (added, what) = if op == BinaryOp::Add {
        (result.add(rhs), "addition")
    } else {
        let added = result.subtract(rhs);
        result.set_hint(CounterResetHint::Gauge);
        (added, "subtraction")
    };
    let Ok(added) = added else {
        notes.of_operator(span, step, true, incompatible_layout(op.as_str()));
        return None;
    };
    if added.resets_conflict {
        notes.of_operator(span, step, true, conflicting_resets(what));
        return None;
    }
    if added.bounds_reconciled {
        notes.of_operator(span, step, false, reconciled_bounds(what));
    }
    Some(Arc::new(result.finish()))
}

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
