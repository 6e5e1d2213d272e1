//! The syntax tree of a PromQL expression. Every node knows its span in the text.
//!
//! Shape and names follow Prometheus' `promql/parser/ast.go`, so that printing, checking and the
//! JSON of `/api/v1/parse_query` can follow it too.

use crate::model::{Matcher, Timestamp};

use super::functions::Function;

mod binary;
#[cfg(test)]
mod tests;

pub use binary::Binary;
pub(super) use binary::nothing;

/// A byte range of the query text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// What an expression evaluates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// One number per step.
    Scalar,
    /// Any number of series, one value each per step.
    Vector,
    /// Any number of series, a range of samples each per step.
    Matrix,
    /// Text.
    String,
}

impl ValueType {
    /// The name in error messages: `instant vector`, `range vector`, ...
    pub const fn documented(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
            ValueType::String => "string",
        }
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `1.5`, `0x1f`, `5m` (as seconds).
    Number(NumberLiteral),
    /// `"text"`.
    String(StringLiteral),
    /// `metric{label="value"}`.
    VectorSelector(VectorSelector),
    /// `metric[5m]`.
    MatrixSelector(MatrixSelector),
    /// `expr[1h:1m]`.
    Subquery(Box<Subquery>),
    /// `rate(...)`.
    Call(Call),
    /// `a + b`.
    Binary(Box<Binary>),
    /// `-a`.
    Unary(Box<Unary>),
    /// `sum by (x) (...)`.
    Aggregate(Box<Aggregate>),
    /// `(...)`.
    Paren(Box<Paren>),
}

/// A number.
#[derive(Clone, Debug)]
pub struct NumberLiteral {
    /// Its value; seconds when written as a duration.
    pub value: f64,
    /// Whether it was written as a duration, and so is printed.
    pub is_duration: bool,
    /// Where it stands.
    pub span: Span,
}

impl PartialEq for NumberLiteral {
    fn eq(&self, other: &NumberLiteral) -> bool {
        self.value.to_bits() == other.value.to_bits() && self.is_duration == other.is_duration
    }
}

/// A text.
#[derive(Clone, Debug, PartialEq)]
pub struct StringLiteral {
    /// The text without quotes and escapes.
    pub value: String,
    /// Its bytes when they are no UTF-8; `value` then has U+FFFD instead of what is none.
    pub not_utf8: Option<Box<[u8]>>,
    /// Where it stands.
    pub span: Span,
}

impl StringLiteral {
    /// The text, or its bytes if they are no text.
    pub fn as_bytes(&self) -> &[u8] {
        self.not_utf8.as_deref().unwrap_or(self.value.as_bytes())
    }
}

/// A fixed duration, or one computed from an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationSpec {
    /// Milliseconds; may be negative for an offset.
    Fixed(i64),
    /// `[5m * 2]`, `[step()]` and the like, evaluated when the query's step and range are known.
    Expr(Box<DurationExpr>),
}

/// A duration expression; its value is in seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    /// A number of seconds or a duration.
    Number(NumberLiteral),
    /// `step()`: the resolution step.
    Step(Span),
    /// `range()`: end minus start of the query.
    Range(Span),
    /// `-x` or `+x`.
    Unary {
        /// Whether the sign is minus.
        negative: bool,
        /// The operand.
        operand: Box<DurationExpr>,
        /// Where it stands.
        span: Span,
    },
    /// `x + y` and the other arithmetic operators.
    Binary {
        /// One of `+ - * / % ^`.
        op: BinaryOp,
        /// Left operand.
        lhs: Box<DurationExpr>,
        /// Right operand.
        rhs: Box<DurationExpr>,
        /// Where it stands.
        span: Span,
    },
    /// `min_of(x, y)` or `max_of(x, y)`.
    Pick {
        /// Whether the larger one is taken.
        max: bool,
        /// First operand.
        lhs: Box<DurationExpr>,
        /// Second operand.
        rhs: Box<DurationExpr>,
        /// Where it stands.
        span: Span,
    },
    /// `( x )`, kept for printing.
    Paren(Box<DurationExpr>, Span),
}

impl DurationExpr {
    /// Where the expression stands in the text.
    pub fn span(&self) -> Span {
        match self {
            DurationExpr::Number(number) => number.span,
            DurationExpr::Step(span)
            | DurationExpr::Range(span)
            | DurationExpr::Paren(_, span)
            | DurationExpr::Unary { span, .. }
            | DurationExpr::Binary { span, .. }
            | DurationExpr::Pick { span, .. } => *span,
        }
    }

    /// From its first to its last operand, as errors name it: parentheses do not count, but for the
    /// one before a number alone.
    pub fn inner_span(&self) -> Span {
        match self {
            DurationExpr::Paren(inner, span) => match &**inner {
                DurationExpr::Number(number) => Span { end: number.span.end, ..*span },
                inner => inner.inner_span(),
            },
            DurationExpr::Pick { lhs, rhs, .. } => {
                Span { start: lhs.inner_span().start, end: rhs.inner_span().end }
            }
            DurationExpr::Unary { operand, span, .. } => {
                Span { end: operand.inner_span().end, ..*span }
            }
            other => other.span(),
        }
    }
}

/// The time an `@` modifier names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtModifier {
    /// `@ 1609746000`.
    Time(Timestamp),
    /// `@ start()`.
    Start,
    /// `@ end()`.
    End,
}

/// How the window's edges are treated (extended range selectors).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EdgeMode {
    /// As ever.
    #[default]
    Plain,
    /// `anchored`.
    Anchored,
    /// `smoothed`.
    Smoothed,
}

/// An instant vector selector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSelector {
    /// The metric name as written before the braces; empty when only matchers are given.
    /// The matching `__name__` matcher is in `matchers` as well.
    pub name: String,
    /// All matchers.
    pub matchers: Vec<Matcher>,
    /// `offset`; 0 when absent.
    pub offset: DurationSpec,
    /// `@`.
    pub at: Option<AtModifier>,
    /// `anchored` or `smoothed`.
    pub edge: EdgeMode,
    /// Where it stands, modifiers included.
    pub span: Span,
}

/// A range vector selector.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    /// The series and modifiers.
    pub vector: VectorSelector,
    /// Length of the range.
    pub range: DurationSpec,
    /// Where it stands.
    pub span: Span,
}

/// A subquery.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated at each step; of type vector.
    pub expr: Expr,
    /// Length of the range.
    pub range: DurationSpec,
    /// Distance of the steps; `None` for the default step.
    pub step: Option<DurationSpec>,
    /// `offset`.
    pub offset: DurationSpec,
    /// `@`.
    pub at: Option<AtModifier>,
    /// Where it stands.
    pub span: Span,
}

/// A function call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function.
    pub function: &'static Function,
    /// Its arguments, types checked.
    pub args: Vec<Expr>,
    /// Where it stands.
    pub span: Span,
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Unless,
    /// `</`: drop observations above.
    TrimUpper,
    /// `>/`: drop observations below.
    TrimLower,
}

impl BinaryOp {
    /// Every operator, in the order of the type.
    pub const ALL: [BinaryOp; 18] = {
        use BinaryOp::*;
        [
            Add, Sub, Mul, Div, Mod, Pow, Atan2, Eq, Ne, Lt, Le, Gt, Ge, And, Or, Unless,
            TrimUpper, TrimLower,
        ]
    };

    /// The operator as written.
    pub const fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
        }
    }

    /// `== != < <= > >=`.
    pub const fn is_comparison(self) -> bool {
        use BinaryOp::{Eq, Ge, Gt, Le, Lt, Ne};
        matches!(self, Eq | Ne | Lt | Le | Gt | Ge)
    }

    /// `and or unless`.
    pub const fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }
}

/// How many series of one side may match one of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cardinality {
    /// One to one.
    #[default]
    OneToOne,
    /// `group_left`.
    ManyToOne,
    /// `group_right`.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// Vector matching modifiers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorMatching {
    /// One to one, many to one, ...
    pub card: Cardinality,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Whether `labels` came with `on`.
    pub on: bool,
    /// Labels of `group_left` / `group_right`.
    pub include: Vec<String>,
    /// `fill` / `fill_left`: value for a missing left series.
    pub fill_left: Option<f64>,
    /// `fill` / `fill_right`: value for a missing right series.
    pub fill_right: Option<f64>,
}

/// A sign before an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    /// Whether the sign is minus.
    pub negative: bool,
    /// The operand.
    pub expr: Expr,
    /// Where it stands.
    pub span: Span,
}

/// Aggregation operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    Quantile,
    CountValues,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    /// Every operator, in the order of the type.
    pub const ALL: [AggregateOp; 14] = {
        use AggregateOp::*;
        [
            Sum,
            Avg,
            Count,
            Min,
            Max,
            Group,
            Stddev,
            Stdvar,
            Topk,
            Bottomk,
            Quantile,
            CountValues,
            Limitk,
            LimitRatio,
        ]
    };

    /// Whether the operator is refused unless experimental functions are enabled.
    pub const fn is_experimental(self) -> bool {
        matches!(self, AggregateOp::Limitk | AggregateOp::LimitRatio)
    }

    /// The operator as written.
    pub const fn as_str(self) -> &'static str {
        match self {
            AggregateOp::Sum => "sum",
            AggregateOp::Avg => "avg",
            AggregateOp::Count => "count",
            AggregateOp::Min => "min",
            AggregateOp::Max => "max",
            AggregateOp::Group => "group",
            AggregateOp::Stddev => "stddev",
            AggregateOp::Stdvar => "stdvar",
            AggregateOp::Topk => "topk",
            AggregateOp::Bottomk => "bottomk",
            AggregateOp::Quantile => "quantile",
            AggregateOp::CountValues => "count_values",
            AggregateOp::Limitk => "limitk",
            AggregateOp::LimitRatio => "limit_ratio",
        }
    }

    /// Whether the operator takes a parameter before the vector.
    pub const fn has_parameter(self) -> bool {
        use AggregateOp::{Bottomk, CountValues, LimitRatio, Limitk, Quantile, Topk};
        matches!(self, Topk | Bottomk | Quantile | CountValues | Limitk | LimitRatio)
    }
}

/// An aggregation.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated; of type vector.
    pub expr: Expr,
    /// The parameter of `topk` and the like.
    pub param: Option<Expr>,
    /// Labels of `by` or `without`.
    pub grouping: Vec<String>,
    /// Whether `grouping` came with `without`.
    pub without: bool,
    /// Where it stands.
    pub span: Span,
}

/// An expression in parentheses.
#[derive(Clone, Debug, PartialEq)]
pub struct Paren {
    /// The inner expression.
    pub expr: Expr,
    /// Where it stands.
    pub span: Span,
}

impl Expr {
    /// What the expression evaluates to.
    pub fn value_type(&self) -> ValueType {
        match self {
            Expr::Number(_) => ValueType::Scalar,
            Expr::String(_) => ValueType::String,
            Expr::VectorSelector(_) | Expr::Aggregate(_) => ValueType::Vector,
            Expr::MatrixSelector(_) | Expr::Subquery(_) => ValueType::Matrix,
            Expr::Call(call) => call.function.returns,
            Expr::Unary(unary) => unary.expr.value_type(),
            Expr::Paren(paren) => paren.expr.value_type(),
            Expr::Binary(binary) => binary.value_type(),
        }
    }

    /// The expressions it is made of, an aggregation's parameter last; a selector has none.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Number(_)
            | Expr::String(_)
            | Expr::VectorSelector(_)
            | Expr::MatrixSelector(_) => Vec::new(),
            Expr::Subquery(subquery) => vec![&subquery.expr],
            Expr::Call(call) => call.args.iter().collect(),
            Expr::Binary(binary) => vec![&binary.lhs, &binary.rhs],
            Expr::Unary(unary) => vec![&unary.expr],
            Expr::Aggregate(aggregate) => {
                std::iter::once(&aggregate.expr).chain(aggregate.param.as_ref()).collect()
            }
            Expr::Paren(paren) => vec![&paren.expr],
        }
    }

    /// Where the expression stands in the text.
    pub fn span(&self) -> Span {
        match self {
            Expr::Number(e) => e.span,
            Expr::String(e) => e.span,
            Expr::VectorSelector(e) => e.span,
            Expr::MatrixSelector(e) => e.span,
            Expr::Subquery(e) => e.span,
            Expr::Call(e) => e.span,
            Expr::Binary(e) => e.span,
            Expr::Unary(e) => e.span,
            Expr::Aggregate(e) => e.span,
            Expr::Paren(e) => e.span,
        }
    }
}
