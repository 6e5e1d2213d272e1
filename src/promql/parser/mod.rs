//! Query text to syntax tree.
//!
//! In: the text of an expression and the features that are on. Out: a tree whose types are
//! checked, or the first error with its position. Never here: evaluation, series.
//!
//! The grammar is written with nom, over the tokens of the lexer (`tokens` makes them nom's input).
//! One token decides which construct it is; behind it the parser is committed (`cut`), so that the
//! error is the one of that construct. Operators are read by precedence climbing. The language is
//! that of Prometheus' `promql/parser/generated_parser.y`; where that grammar names the construct
//! an unexpected token was found in (`context`) and what was expected, the parser does too.

mod binary;
mod call;
mod duration;
mod literal;
mod metric;
mod modifier;
mod selector;
#[cfg(test)]
mod tests;
mod tokens;

pub use metric::parse_metric;

use nom::Parser;
use nom::combinator::{cut, map};
use nom::sequence::{preceded, terminated};

use crate::model::Matcher;
use crate::model::limits::EXPRESSION_DEPTH_MAX;

use super::ast::{BinaryOp, Expr, Paren, Span, Unary};
use super::check;
use super::deep::{self, DEPTH_SHALLOW};
use super::error::ParseError;
use super::features::Features;
use super::lexer::TokenKind;
use literal::Sign;
use tokens::{Parsed, Query, Tokens, nested, spanned, token};

/// Parses and checks an expression.
///
/// # Errors
/// The first thing that is wrong with it, as Prometheus words it.
pub fn parse(text: &str, features: &Features) -> Result<Expr, ParseError> {
    let (shallow, too_deep) = parse_within(text, features, DEPTH_SHALLOW);
    if !too_deep {
        return shallow;
    }
    let parse_deep = || parse_within(text, features, EXPRESSION_DEPTH_MAX).0;
    deep::run(parse_deep).unwrap_or(shallow)
}

/// Parses and checks an expression of at most so many levels; whether it has more comes with it.
fn parse_within(
    text: &str,
    features: &Features,
    depth_max: usize,
) -> (Result<Expr, ParseError>, bool) {
    match Query::new(text, features, depth_max) {
        Ok(query) => (parse_query(text, &query), query.is_too_deep()),
        Err(error) => (Err(error), false),
    }
}

fn parse_query(text: &str, query: &Query<'_>) -> Result<Expr, ParseError> {
    if query.tokens().first().kind == TokenKind::End {
        return Err(error_at(text, Span::default(), "no expression found in input"));
    }
    let mut expr = *query.read(binary::expression)?.expr;
    check::check(text, &mut expr)?;
    Ok(expr)
}

/// Parses the value of a `match[]` parameter: an instant vector selector without modifiers. The
/// matchers may all accept the empty string; the caller decides whether that is too much.
///
/// # Errors
/// The text is not a selector.
pub fn parse_metric_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let features = Features::default();
    let query = Query::new(text, &features, DEPTH_SHALLOW)?;
    Ok(query.read(selector::vector_selector)?.matchers)
}

/// An error about `span` of `text`.
pub(super) fn error_at(text: &str, span: Span, message: impl Into<String>) -> ParseError {
    let before = text.get(..span.start as usize).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    ParseError {
        message: message.into(),
        span,
        line: if text.is_empty() { 0 } else { count(line) },
        column: count(before.len() - line_start + 1),
    }
}

/// An expression and how deeply nested it is. Boxed, because every parser on the way out of a
/// deeply nested expression has one on its stack.
struct Node {
    expr: Box<Expr>,
    depth: u32,
}

impl Node {
    fn leaf(expr: Expr) -> Node {
        Node { expr: Box::new(expr), depth: 1 }
    }

    /// The node around something of `inner` levels; `rest` follows it.
    fn around(rest: Tokens<'_>, expr: Expr, inner: u32) -> Parsed<'_, Node> {
        Ok((rest, Node { depth: rest.deeper(inner)?, expr: Box::new(expr) }))
    }

    /// The expressions, and the depth of the deepest.
    fn split(nodes: Vec<Node>) -> (Vec<Expr>, u32) {
        let depth = nodes.iter().map(|node| node.depth).max().unwrap_or(0);
        (nodes.into_iter().map(|node| *node.expr).collect(), depth)
    }
}

/// Anything but a binary expression, modifiers not included. Aggregators and functions are names
/// of metrics, too: what follows decides.
fn primary(input: Tokens<'_>) -> Parsed<'_, Node> {
    match input.kinds() {
        (TokenKind::Aggregator(_), next) if call::starts_aggregation(next) => {
            call::aggregation(input)
        }
        (name, TokenKind::LeftParen) if call::is_function_name(name) => call::call(input),
        (TokenKind::Number | TokenKind::Duration, _) => {
            map(literal::number, |number| Node::leaf(Expr::Number(number))).parse(input)
        }
        (TokenKind::String, _) => {
            map(literal::string, |string| Node::leaf(Expr::String(string))).parse(input)
        }
        (TokenKind::LeftParen, _) => paren(input),
        (TokenKind::Operator(BinaryOp::Add | BinaryOp::Sub), _) => unary(input),
        _ => map(selector::vector_selector, |v| Node::leaf(Expr::VectorSelector(v))).parse(input),
    }
}

/// `( a )`
fn paren(input: Tokens<'_>) -> Parsed<'_, Node> {
    let inner = cut(terminated(nested(binary::expression), token(TokenKind::RightParen)));
    let (rest, (inner, span)) =
        spanned(preceded(token(TokenKind::LeftParen), inner)).parse(input)?;
    Node::around(rest, Expr::Paren(Box::new(Paren { expr: *inner.expr, span })), inner.depth)
}

/// A sign binds as tightly as `*`: only `^` comes first. Before a number it becomes part of it.
fn unary(input: Tokens<'_>) -> Parsed<'_, Node> {
    let (rest, (sign, operand)) =
        (literal::sign, cut(nested(binary::binary(binary::POWER)))).parse(input)?;
    build_unary(rest, input.start(), sign == Sign::Minus, operand)
}

fn build_unary(rest: Tokens<'_>, start: u32, negative: bool, operand: Node) -> Parsed<'_, Node> {
    if let Expr::Number(mut number) = *operand.expr {
        number.value = if negative { -number.value } else { number.value };
        number.span.start = start;
        return Ok((rest, Node::leaf(Expr::Number(number))));
    }
    let span = Span { start, end: operand.expr.span().end };
    let unary = Unary { negative, expr: *operand.expr, span };
    Node::around(rest, Expr::Unary(Box::new(unary)), operand.depth)
}
