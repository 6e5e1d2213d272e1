//! Syntax tree to query text.
//!
//! In: a tree. Out: canonical text on one line (`Display`), or split over lines where one would
//! be long ([`pretty`]). Never here: changes of meaning: the text parses to the same tree.

use std::fmt::{self, Display, Formatter, Write as _};

use super::ast::{
    Aggregate, AtModifier, Binary, Call, Cardinality, DurationExpr, DurationSpec, EdgeMode, Expr,
    MatrixSelector, NumberLiteral, Subquery, VectorMatching, VectorSelector,
};
use super::functions::number::go_general;
use crate::model::labels::{Quoted, QuotedBytes, is_legacy_name};
use crate::model::{DurationMs, MatchOp};

/// Longest line in bytes that [`pretty`] leaves alone.
const LINE_BYTES_MAX: usize = 100;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Number(number) => number.fmt(f),
            Expr::String(string) => write_string(f, string.as_bytes()),
            Expr::VectorSelector(vector) => vector.fmt(f),
            Expr::MatrixSelector(matrix) => matrix.fmt(f),
            Expr::Subquery(subquery) => write!(f, "{}{}", subquery.expr, Brackets(subquery)),
            Expr::Call(call) => write!(f, "{}({})", call.function.name, Args(call)),
            Expr::Binary(_) => {
                let (first, operations) = self.left_side();
                first.fmt(f)?;
                operations
                    .into_iter()
                    .try_for_each(|binary| write!(f, " {} {}", Operator(binary), binary.rhs))
            }
            Expr::Unary(unary) => write!(f, "{}{}", sign(unary.negative), unary.expr),
            Expr::Paren(paren) => write!(f, "({})", paren.expr),
            Expr::Aggregate(aggregate) => {
                write!(f, "{}(", Head(aggregate))?;
                if let Some(param) = &aggregate.param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{})", aggregate.expr)
            }
        }
    }
}

/// A quoted text. The replacement character is escaped: the lexer takes it for broken text.
fn write_string(f: &mut Formatter<'_>, text: &[u8]) -> fmt::Result {
    f.write_str(&QuotedBytes(text).to_string().replace('\u{fffd}', "\\ufffd"))
}

const fn sign(negative: bool) -> char {
    if negative { '-' } else { '+' }
}

impl Display for NumberLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            if self.value < 0.0 {
                f.write_char('-')?;
            }
            // Parts of a nanosecond, then of a millisecond, are cut off.
            return DurationMs((self.value.abs() * 1e9) as i64 / 1_000_000).fmt(f);
        }
        match self.value {
            value if value == f64::INFINITY => f.write_str("+Inf"),
            value if value == f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

impl Display for DurationSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            DurationSpec::Fixed(ms) if *ms < 0 => {
                write!(f, "-{}", DurationMs(ms.saturating_neg()))
            }
            DurationSpec::Fixed(ms) => DurationMs(*ms).fmt(f),
            DurationSpec::Expr(expr) => expr.fmt(f),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            DurationExpr::Number(number) => number.fmt(f),
            DurationExpr::Step(_) => f.write_str("step()"),
            DurationExpr::Range(_) => f.write_str("range()"),
            DurationExpr::Unary { negative: true, operand, .. } => write!(f, "-{operand}"),
            DurationExpr::Unary { operand, .. } => operand.fmt(f),
            DurationExpr::Binary { op, lhs, rhs, .. } => {
                write!(f, "{lhs} {} {rhs}", op.as_str())
            }
            DurationExpr::Pick { max, lhs, rhs, .. } => {
                write!(f, "{}({lhs}, {rhs})", if *max { "max_of" } else { "min_of" })
            }
            // As in Prometheus, parentheses around parentheses are those.
            DurationExpr::Paren(inner, _) => match **inner {
                DurationExpr::Paren(..) => inner.fmt(f),
                _ => write!(f, "({inner})"),
            },
        }
    }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_series(f, self)?;
        write_at(f, self.at)?;
        write_edge(f, self.edge)?;
        write_offset(f, &self.offset)
    }
}

impl Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_series(f, &self.vector)?;
        write!(f, "[{}]", self.range)?;
        write_edge(f, self.vector.edge)?;
        write_at(f, self.vector.at)?;
        write_offset(f, &self.vector.offset)
    }
}

/// Name and sorted matchers.
fn write_series(f: &mut Formatter<'_>, vector: &VectorSelector) -> fmt::Result {
    let mut matchers: Vec<String> = vector
        .matchers
        .iter()
        .filter(|matcher| {
            let names = matcher.name() == "__name__" && matcher.op() == MatchOp::Equal;
            !names || matcher.value().is_empty() || matcher.value() != vector.name
        })
        .map(ToString::to_string)
        .collect();
    matchers.sort_unstable();
    f.write_str(&vector.name)?;
    if matchers.is_empty() && !vector.name.is_empty() {
        return Ok(());
    }
    write!(f, "{{{}}}", matchers.join(","))
}

fn write_at(f: &mut Formatter<'_>, at: Option<AtModifier>) -> fmt::Result {
    match at {
        None => Ok(()),
        Some(AtModifier::Start) => f.write_str(" @ start()"),
        Some(AtModifier::End) => f.write_str(" @ end()"),
        Some(AtModifier::Time(time)) => write!(f, " @ {:.3}", time.as_secs_f64()),
    }
}

fn write_edge(f: &mut Formatter<'_>, edge: EdgeMode) -> fmt::Result {
    f.write_str(match edge {
        EdgeMode::Plain => "",
        EdgeMode::Anchored => " anchored",
        EdgeMode::Smoothed => " smoothed",
    })
}

fn write_offset(f: &mut Formatter<'_>, offset: &DurationSpec) -> fmt::Result {
    match offset {
        DurationSpec::Fixed(0) => Ok(()),
        DurationSpec::Expr(expr) => write!(f, " offset {}{expr}", sign_before(expr)),
        offset => write!(f, " offset {offset}"),
    }
}

/// What must stand before the offset so that all of it is the offset when it is read again: operators
/// belong to it behind a parenthesis or two signs alone.
fn sign_before(offset: &DurationExpr) -> &'static str {
    let mut leftmost = offset;
    while let DurationExpr::Binary { lhs, .. } = leftmost {
        leftmost = lhs;
    }
    let is_whole = std::ptr::eq(leftmost, offset);
    match leftmost {
        DurationExpr::Paren(..) => "",
        DurationExpr::Unary { operand, .. } => match **operand {
            DurationExpr::Unary { .. } => "",
            DurationExpr::Binary { .. } => "+",
            _ if is_whole => "",
            _ => "+",
        },
        _ if is_whole => "",
        DurationExpr::Number(number) if number.value.is_sign_negative() => "+",
        _ => "++",
    }
}

/// Range, step and modifiers of a subquery.
struct Brackets<'a>(&'a Subquery);

impl Display for Brackets<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Brackets(subquery) = self;
        write!(f, "[{}:", subquery.range)?;
        if let Some(step) = &subquery.step {
            step.fmt(f)?;
        }
        f.write_char(']')?;
        write_at(f, subquery.at)?;
        write_offset(f, &subquery.offset)
    }
}

/// The arguments of a call.
struct Args<'a>(&'a Call);

impl Display for Args<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, arg) in self.0.args.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{arg}")?;
        }
        Ok(())
    }
}

/// Aggregation operator and grouping.
struct Head<'a>(&'a Aggregate);

impl Display for Head<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Head(aggregate) = self;
        f.write_str(aggregate.op.as_str())?;
        if aggregate.without {
            write!(f, " without ({}) ", Names(&aggregate.grouping))
        } else if aggregate.grouping.is_empty() {
            Ok(())
        } else {
            write!(f, " by ({}) ", Names(&aggregate.grouping))
        }
    }
}

/// Label names, quoted where they must be.
struct Names<'a>(&'a [String]);

impl Display for Names<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { ", " } else { "" })?;
            if is_legacy_name(name) {
                f.write_str(name)?;
            } else {
                Quoted(name).fmt(f)?;
            }
        }
        Ok(())
    }
}

/// A binary operator and its modifiers.
struct Operator<'a>(&'a Binary);

impl Display for Operator<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.op.as_str())?;
        f.write_str(if self.0.return_bool { " bool" } else { "" })?;
        self.0.matching.as_ref().map_or(Ok(()), |matching| write_matching(f, matching))
    }
}

fn write_matching(f: &mut Formatter<'_>, matching: &VectorMatching) -> fmt::Result {
    let group = match matching.card {
        Cardinality::ManyToOne => Some("group_left"),
        Cardinality::OneToMany => Some("group_right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if !matching.labels.is_empty() || matching.on || group.is_some() {
        let word = if matching.on { "on" } else { "ignoring" };
        write!(f, " {word} ({})", Names(&matching.labels))?;
    }
    if let Some(group) = group {
        write!(f, " {group} ({})", Names(&matching.include))?;
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if left == right => {
            write!(f, " fill ({})", go_general(left))
        }
        (left, right) => {
            for (word, value) in [("fill_left", left), ("fill_right", right)] {
                if let Some(value) = value {
                    write!(f, " {word} ({})", go_general(value))?;
                }
            }
            Ok(())
        }
    }
}

/// The expression over several lines: parts longer than 100 bytes are split, indented by two
/// spaces a level (Prometheus `promql/parser/prettier.go`).
pub fn pretty(expr: &Expr) -> String {
    pretty_at(expr, 0)
}

fn pretty_at(expr: &Expr, level: usize) -> String {
    let indent = indentation(level);
    let line = expr.to_string();
    let long = line.len() > LINE_BYTES_MAX;
    match expr {
        Expr::Unary(unary) => {
            let inner = pretty_at(&unary.expr, level);
            format!("{indent}{}{}", sign(unary.negative), inner.trim())
        }
        // A subquery is not indented by itself: its expression is.
        Expr::Subquery(subquery) if long => {
            format!("{}{}", pretty_at(&subquery.expr, level), Brackets(subquery))
        }
        Expr::Subquery(_) => line,
        Expr::Binary(_) if long => pretty_chain(expr, level),
        Expr::Paren(paren) if long => {
            format!("{indent}(\n{}\n{indent})", pretty_at(&paren.expr, level + 1))
        }
        Expr::Call(call) if long => {
            let args: Vec<String> = call.args.iter().map(|arg| pretty_at(arg, level + 1)).collect();
            format!("{indent}{}(\n{}\n{indent})", call.function.name, args.join(",\n"))
        }
        Expr::Aggregate(aggregate) if long => {
            let param = aggregate
                .param
                .as_ref()
                .map_or(String::new(), |param| format!("{},\n", pretty_at(param, level + 1)));
            let inner = pretty_at(&aggregate.expr, level + 1);
            format!("{indent}{}(\n{param}{inner}\n{indent})", Head(aggregate))
        }
        _ => format!("{indent}{line}"),
    }
}

/// Most levels of indentation: a chain of many operands has as many, and would take their square
/// in spaces.
const INDENTATION_MAX: usize = 128;

fn indentation(level: usize) -> String {
    "  ".repeat(level.min(INDENTATION_MAX))
}

/// A chain of operations over several lines: every operation is one level further out than what
/// stands to its left. The text of that is how the chain's text begins.
fn pretty_chain(expr: &Expr, level: usize) -> String {
    let (first, operations) = expr.left_side();
    let mut level = level + operations.len();
    let (mut line, mut lines) = (Some(first.to_string()), String::new());
    for binary in operations {
        let (operator, level_of_rhs) = (Operator(binary), level);
        level -= 1;
        if let Some(short) = &mut line {
            let longer = format!("{short} {operator} {}", binary.rhs);
            if longer.len() <= LINE_BYTES_MAX {
                *short = longer;
                continue;
            }
            lines = match short.len() <= LINE_BYTES_MAX {
                true => format!("{}{short}", indentation(level_of_rhs)),
                false => pretty_at(first, level_of_rhs),
            };
            line = None;
        }
        let indent = indentation(level);
        // Writing to a string does not fail.
        let _ = write!(lines, "\n{indent}{operator}\n{}", pretty_at(&binary.rhs, level_of_rhs));
    }
    lines
}
