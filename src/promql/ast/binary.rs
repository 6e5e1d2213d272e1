//! Binary operations.
//!
//! `a + b + c + ...` nests to the left, one operation in the other, and may have as many operands as
//! fit into a text. So nothing recurses into a left operand: whatever goes through a tree goes down
//! its left side in a loop, and so do copying, comparing, showing and dropping it here.

use std::{fmt, mem};

use super::{BinaryOp, Expr, NumberLiteral, Span, ValueType, VectorMatching};

/// A binary operation.
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Left operand.
    pub lhs: Expr,
    /// Right operand.
    pub rhs: Expr,
    /// Whether a comparison gives 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How series of two vectors find each other; `None` when an operand is a scalar.
    pub matching: Option<VectorMatching>,
    /// Where it stands.
    pub span: Span,
    /// Remembered, because the types of all operands say it.
    value_type: ValueType,
}

impl Binary {
    /// An operation whose result is as `matching` says.
    pub fn new(
        op: BinaryOp,
        (lhs, rhs): (Expr, Expr),
        return_bool: bool,
        matching: Option<VectorMatching>,
        span: Span,
    ) -> Binary {
        let scalars = (ValueType::Scalar, ValueType::Scalar);
        let value_type = match (lhs.value_type(), rhs.value_type()) == scalars {
            true => ValueType::Scalar,
            false => ValueType::Vector,
        };
        Binary { op, lhs, rhs, return_bool, matching, span, value_type }
    }

    /// What it evaluates to: a scalar if both operands are, else a vector.
    pub fn value_type(&self) -> ValueType {
        self.value_type
    }

    /// A copy with another left operand of the same type.
    fn with_lhs(&self, lhs: Expr) -> Binary {
        Binary {
            op: self.op,
            lhs,
            rhs: self.rhs.clone(),
            return_bool: self.return_bool,
            matching: self.matching.clone(),
            span: self.span,
            value_type: self.value_type,
        }
    }

    /// Whether all but the left operands are equal.
    fn is_like(&self, other: &Binary) -> bool {
        (self.op, self.return_bool, self.span) == (other.op, other.return_bool, other.span)
            && self.matching == other.matching
            && self.rhs == other.rhs
    }
}

impl Expr {
    /// The leftmost operand of a chain of operations, and the operations from the innermost to this
    /// one; of any other expression, itself and none.
    pub fn left_side(&self) -> (&Expr, Vec<&Binary>) {
        let (mut first, mut operations) = (self, Vec::new());
        while let Expr::Binary(binary) = first {
            operations.push(&**binary);
            first = &binary.lhs;
        }
        operations.reverse();
        (first, operations)
    }

    /// Takes a chain apart: its leftmost operand, and the operations from this one to the innermost,
    /// with nothing of meaning to their left.
    #[allow(clippy::vec_box)] // the boxes are those of the tree, and go back there
    pub(in super::super) fn into_left_side(self) -> (Expr, Vec<Box<Binary>>) {
        let (mut first, mut operations) = (self, Vec::new());
        while let Expr::Binary(mut binary) = first {
            first = mem::replace(&mut binary.lhs, nothing());
            operations.push(binary);
        }
        (first, operations)
    }
}

/// What stands where an operand was taken away.
pub(in super::super) fn nothing() -> Expr {
    Expr::Number(NumberLiteral { value: 0.0, is_duration: false, span: Span::default() })
}

impl Drop for Binary {
    fn drop(&mut self) {
        let mut lhs = mem::replace(&mut self.lhs, nothing());
        while let Expr::Binary(mut inner) = lhs {
            lhs = mem::replace(&mut inner.lhs, nothing());
        }
    }
}

impl Clone for Binary {
    fn clone(&self) -> Binary {
        let (first, operations) = self.lhs.left_side();
        let around = |lhs, inner: &Binary| Expr::Binary(Box::new(inner.with_lhs(lhs)));
        self.with_lhs(operations.into_iter().fold(first.clone(), around))
    }
}

impl PartialEq for Binary {
    fn eq(&self, other: &Binary) -> bool {
        let (mut a, mut b) = (self, other);
        while a.is_like(b) {
            match (&a.lhs, &b.lhs) {
                (Expr::Binary(left), Expr::Binary(right)) => (a, b) = (left, right),
                (left, right) => return left == right,
            }
        }
        false
    }
}

/// The leftmost operand, then each operation without its left one.
impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, operations) = self.lhs.left_side();
        let mut list = f.debug_list();
        list.entry(first);
        for binary in operations.into_iter().chain([self]) {
            let Binary { op, return_bool, matching, rhs, span, .. } = binary;
            list.entry(&(op, return_bool, matching, rhs, span));
        }
        list.finish()
    }
}
