//! Operations that change one row at a time: functions of one number and vector-scalar operators.

use std::sync::Arc;

use super::super::annotations::Notes;
use super::super::ast::{BinaryOp, Span};
use super::super::error::QueryError;
use super::super::functions::number;
use super::block::{ABSENT, Row, is_absent};
use super::operator;

/// A change of one row.
#[derive(Debug)]
pub(crate) enum RowMap {
    /// `-x`.
    Negate,
    /// A function of one number; histograms are dropped.
    Math(fn(f64) -> f64),
    /// `clamp`: the lower and upper bounds, a value a step.
    Clamp(Vec<f64>, Vec<f64>),
    /// `round`: the multiples rounded to, a value a step.
    Round(Vec<f64>),
    /// `timestamp` of anything but a selector: the evaluation times in seconds.
    Times(Vec<f64>),
    /// A function of one histogram; floats are dropped.
    Histogram(fn(&crate::model::FloatHistogram) -> f64),
    /// An operator between the row and a scalar.
    Scalar(ScalarOperand),
}

/// The scalar side of an operator.
#[derive(Debug)]
pub(crate) struct ScalarOperand {
    /// The operator.
    pub(crate) op: BinaryOp,
    /// The scalar, a value a step.
    pub(crate) values: Vec<f64>,
    /// Whether the scalar stands on the left.
    pub(crate) left: bool,
    /// Whether a comparison gives 0 or 1 instead of filtering.
    pub(crate) return_bool: bool,
    /// Where the operation stands.
    pub(crate) span: Span,
}

impl RowMap {
    /// Whether the result is another metric, so the name goes.
    pub(crate) fn drops_name(&self) -> bool {
        match self {
            RowMap::Scalar(operand) => operand.return_bool || operator::changes_metric(operand.op),
            _ => true,
        }
    }

    /// Changes `row`.
    pub(crate) fn apply(&self, row: &mut Row, notes: &mut Notes) -> Result<(), QueryError> {
        match self {
            RowMap::Negate => {
                for (_, histogram) in &mut row.histograms {
                    *histogram = Arc::new(operator::negated(histogram));
                }
                each(&mut row.values, |_, value| -value);
            }
            RowMap::Math(f) => {
                row.histograms.clear();
                each(&mut row.values, |_, value| f(value));
            }
            RowMap::Clamp(low, high) => {
                row.histograms.clear();
                each(&mut row.values, |step, value| clamp(value, low[step], high[step]));
            }
            RowMap::Round(to) => {
                row.histograms.clear();
                each(&mut row.values, |step, value| {
                    let inverse = 1.0 / to[step];
                    (value * inverse + 0.5).floor() / inverse
                });
            }
            RowMap::Times(times) => {
                for (step, _) in std::mem::take(&mut row.histograms) {
                    row.values[step as usize] = 0.0;
                }
                each(&mut row.values, |step, _| times[step]);
            }
            RowMap::Histogram(f) => {
                row.values.fill(ABSENT);
                for (step, histogram) in std::mem::take(&mut row.histograms) {
                    row.values[step as usize] = f(&histogram);
                }
            }
            RowMap::Scalar(operand) => operand.apply(row, notes)?,
        }
        if self.drops_name() {
            row.drop_name = true;
        }
        Ok(())
    }
}

#[inline]
fn each(values: &mut [f64], mut f: impl FnMut(usize, f64) -> f64) {
    for (step, value) in values.iter_mut().enumerate() {
        if !is_absent(*value) {
            *value = f(step, *value);
        }
    }
}

fn clamp(value: f64, low: f64, high: f64) -> f64 {
    if high < low { ABSENT } else { number::max(low, number::min(high, value)) }
}

impl ScalarOperand {
    fn apply(&self, row: &mut Row, notes: &mut Notes) -> Result<(), QueryError> {
        self.apply_histograms(row, notes);
        let float_only = matches!(self.op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
        if float_only {
            for step in (0..row.values.len()).filter(|step| !is_absent(row.values[*step])) {
                let text = operator::incompatible("float", self.op, "float");
                notes.of_operator(self.span, step, false, text);
            }
        }
        let scalars = &self.values;
        let (left, return_bool) = (self.left, self.return_bool);
        operator::with_float_operator(self.op, |compute| {
            each(&mut row.values, |step, value| {
                let scalar = scalars[step];
                let (lhs, rhs) = if left { (scalar, value) } else { (value, scalar) };
                let (result, keep) = compute(lhs, rhs);
                if return_bool {
                    return if keep { 1.0 } else { 0.0 };
                }
                match (keep, self.op.is_comparison()) {
                    (false, _) => ABSENT,
                    (true, true) => value,
                    (true, false) => result,
                }
            });
        });
        Ok(())
    }

    fn apply_histograms(&self, row: &mut Row, notes: &mut Notes) {
        for (step, histogram) in std::mem::take(&mut row.histograms) {
            let scalar = self.values[step as usize];
            if let Some(h) = operator::with_scalar(self.op, &histogram, scalar, self.left) {
                row.histograms.push((step, Arc::new(h)));
            } else {
                let (lhs, rhs) =
                    if self.left { ("float", "histogram") } else { ("histogram", "float") };
                let text = operator::incompatible(lhs, self.op, rhs);
                notes.of_operator(self.span, step as usize, false, text);
            }
        }
    }
}
