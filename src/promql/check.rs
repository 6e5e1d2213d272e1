//! Whether the types of an expression fit.
//!
//! In: a tree as the parser built it. Out: the same tree with vector matching settled, or the
//! first error. Never here: evaluation. Rules and texts are those of `checkAST` in Prometheus'
//! `promql/parser/parse.go`.

use crate::model::labels::Quoted;

use super::ast::{
    Aggregate, AggregateOp, Binary, Call, Cardinality, Expr, Span, ValueType, VectorMatching,
    VectorSelector, nothing,
};
use super::error::ParseError;
use super::parser::error_at;

type Checked = Result<(), ParseError>;

/// Checks `expr`, parsed from `text`. Drops the matching of operations that have a scalar side
/// and makes set operations many-to-many.
///
/// # Errors
/// The first part of a wrong type.
pub fn check(text: &str, expr: &mut Expr) -> Checked {
    Checker { text }.expr(expr)
}

struct Checker<'a> {
    text: &'a str,
}

impl Checker<'_> {
    fn fail(&self, span: Span, message: impl Into<String>) -> Checked {
        Err(error_at(self.text, span, message))
    }

    fn expr(&self, expr: &mut Expr) -> Checked {
        match expr {
            Expr::Number(_) | Expr::String(_) => Ok(()),
            Expr::VectorSelector(vector) => self.selector(vector, false),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vector, false),
            Expr::Paren(paren) => self.expr(&mut paren.expr),
            Expr::Call(call) => self.call(call),
            Expr::Binary(_) => self.chain(expr),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Unary(unary) => {
                self.expr(&mut unary.expr)?;
                match unary.expr.value_type() {
                    ValueType::Scalar | ValueType::Vector => Ok(()),
                    other => self.fail(
                        unary.span,
                        format!(
                            "unary expression only allowed on expressions of type scalar or \
                             instant vector, got \"{}\"",
                            other.documented()
                        ),
                    ),
                }
            }
            Expr::Subquery(subquery) => {
                self.expr(&mut subquery.expr)?;
                match subquery.expr.value_type() {
                    ValueType::Vector => Ok(()),
                    other => {
                        let got = short_name(other);
                        let message = format!(
                            "subquery is only allowed on instant vector, got {got} instead"
                        );
                        self.fail(subquery.span, message)
                    }
                }
            }
        }
    }

    fn selector(&self, vector: &VectorSelector, may_match_all: bool) -> Checked {
        if vector.name.is_empty() {
            let picky = vector.matchers.iter().any(|matcher| !matcher.matches(""));
            if picky || may_match_all {
                return Ok(());
            }
            let message = "vector selector must contain at least one non-empty matcher";
            return self.fail(vector.span, message);
        }
        // The last matcher is the one of the name before the braces.
        let inside = vector.matchers.split_last().map_or(&[][..], |(_, inside)| inside);
        match inside.iter().find(|matcher| matcher.name() == "__name__") {
            None => Ok(()),
            Some(second) => self.fail(
                vector.span,
                format!(
                    "metric name must not be set twice: {} or {}",
                    Quoted(&vector.name),
                    Quoted(second.value())
                ),
            ),
        }
    }

    fn expect_type(&self, expr: &mut Expr, wanted: ValueType, context: &str) -> Checked {
        self.expr(expr)?;
        self.require(expr, wanted, context)
    }

    fn require(&self, expr: &Expr, wanted: ValueType, context: &str) -> Checked {
        let got = expr.value_type();
        if got == wanted {
            return Ok(());
        }
        let (wanted, got) = (wanted.documented(), got.documented());
        self.fail(expr.span(), format!("expected type {wanted} in {context}, got {got}"))
    }

    fn aggregate(&self, aggregate: &mut Aggregate) -> Checked {
        self.expect_type(&mut aggregate.expr, ValueType::Vector, "aggregation expression")?;
        let wanted = match aggregate.op {
            AggregateOp::CountValues => ValueType::String,
            _ => ValueType::Scalar,
        };
        match &mut aggregate.param {
            Some(param) => self.expect_type(param, wanted, "aggregation parameter"),
            None => Ok(()),
        }
    }

    fn call(&self, call: &mut Call) -> Checked {
        self.arg_count(call)?;
        let function = call.function;
        let context = format!("call to function {}", Quoted(function.name));
        let is_info = function.name == "info";
        if is_info && call.args.len() > 1 {
            self.info_selector(call, &context)?;
        }
        for (index, arg) in call.args.iter_mut().enumerate() {
            let Some(wanted) = function.args.get(index).or(function.args.last()) else { break };
            match *arg {
                Expr::VectorSelector(ref vector) if is_info && index == 1 => {
                    self.selector(vector, true)?;
                }
                ref mut arg => self.expr(arg)?,
            }
            self.require(arg, *wanted, &context)?;
        }
        Ok(())
    }

    fn arg_count(&self, call: &Call) -> Checked {
        let (function, got) = (call.function, call.args.len());
        let (min, max, name) = (function.args_min, function.args_max, Quoted(function.name));
        let message = if min == max && got != min {
            format!("expected {min} argument(s) in call to {name}, got {got}")
        } else if got < min {
            format!("expected at least {min} argument(s) in call to {name}, got {got}")
        } else if got > max {
            format!("expected at most {max} argument(s) in call to {name}, got {got}")
        } else {
            return Ok(());
        };
        self.fail(call.span, message)
    }

    /// The second argument of `info`: matchers alone.
    fn info_selector(&self, call: &Call, context: &str) -> Checked {
        let selector = &call.args[1];
        if selector.value_type() != ValueType::Vector {
            let (wanted, got) =
                (ValueType::Vector.documented(), selector.value_type().documented());
            let message = format!("expected type {wanted} in {context}, got {got}");
            return self.fail(call.span, message);
        }
        match selector {
            Expr::VectorSelector(vector) if vector.name.is_empty() => Ok(()),
            Expr::VectorSelector(vector) => {
                self.fail(vector.span, "expected label selectors only, got vector selector instead")
            }
            other => self.fail(other.span(), "expected label selectors only"),
        }
    }

    /// A chain of operations from the innermost on.
    fn chain(&self, expr: &mut Expr) -> Checked {
        let (mut first, mut operations) = std::mem::replace(expr, nothing()).into_left_side();
        self.expr(&mut first)?;
        while let Some(mut binary) = operations.pop() {
            binary.lhs = first;
            self.binary(&mut binary)?;
            first = Expr::Binary(binary);
        }
        *expr = first;
        Ok(())
    }

    /// An operation whose left operand is checked.
    fn binary(&self, binary: &mut Binary) -> Checked {
        self.expr(&mut binary.rhs)?;
        let sides = (binary.lhs.value_type(), binary.rhs.value_type());
        let mut matching = binary.matching.take().unwrap_or_default();
        self.operator(binary, &matching, sides)?;
        for side in [&binary.lhs, &binary.rhs] {
            if !matches!(side.value_type(), ValueType::Scalar | ValueType::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return self.fail(side.span(), message);
            }
        }
        if sides != (ValueType::Vector, ValueType::Vector) {
            return self.scalar_side(binary, &matching);
        }
        if binary.op.is_set() {
            self.set_operation(binary, &mut matching)?;
        }
        binary.matching = Some(matching);
        Ok(())
    }

    fn operator(
        &self,
        binary: &Binary,
        matching: &VectorMatching,
        sides: (ValueType, ValueType),
    ) -> Checked {
        let span = self.operator_span(binary);
        let comparison = binary.op.is_comparison();
        if binary.return_bool && !comparison {
            return self.fail(span, "bool modifier can only be used on comparison operators");
        }
        let scalars = sides == (ValueType::Scalar, ValueType::Scalar);
        if comparison && !binary.return_bool && scalars {
            return self.fail(span, "comparisons between scalars must use BOOL modifier");
        }
        let both = matching.labels.iter().find(|label| matching.include.contains(label));
        match both.filter(|_| matching.on) {
            None => Ok(()),
            Some(label) => {
                let label = Quoted(label);
                let message =
                    format!("label {label} must not occur in ON and GROUP clause at once");
                self.fail(span, message)
            }
        }
    }

    /// From the first character behind the left operand to the right operand.
    fn operator_span(&self, binary: &Binary) -> Span {
        let (end, next) = (binary.lhs.span().end, binary.rhs.span().start);
        let between = self.text.get(end as usize..next as usize).unwrap_or_default();
        let blank = between.len() - between.trim_start_matches([' ', '\t', '\n', '\r']).len();
        Span { start: end + u32::try_from(blank).unwrap_or(0), end: next }
    }

    fn scalar_side(&self, binary: &Binary, matching: &VectorMatching) -> Checked {
        if !matching.labels.is_empty() {
            return self.fail(binary.span, "vector matching only allowed between instant vectors");
        }
        if matching.fill_left.is_some() || matching.fill_right.is_some() {
            let message = "filling in missing series only allowed between instant vectors";
            return self.fail(binary.span, message);
        }
        if binary.op.is_set() {
            let op = binary.op.as_str();
            let message = format!("set operator \"{op}\" not allowed in binary scalar expression");
            return self.fail(binary.span, message);
        }
        Ok(())
    }

    fn set_operation(&self, binary: &Binary, matching: &mut VectorMatching) -> Checked {
        if matches!(matching.card, Cardinality::OneToMany | Cardinality::ManyToOne) {
            let op = binary.op.as_str();
            return self.fail(binary.span, format!("no grouping allowed for \"{op}\" operation"));
        }
        matching.card = Cardinality::ManyToMany;
        if matching.fill_left.is_some() || matching.fill_right.is_some() {
            let message = "filling in missing series not allowed for set operators";
            return self.fail(binary.span, message);
        }
        Ok(())
    }
}

/// The type's short name, as in results.
const fn short_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Scalar => "scalar",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
        ValueType::String => "string",
    }
}
