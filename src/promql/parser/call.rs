//! Function calls and aggregations.

use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, map, opt, value};
use nom::error::context;
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded};

use super::binary::expression;
use super::literal::{string, word};
use super::tokens::{
    Parsed, Tokens, expect, keyword, list, nested, satisfy, select, spanned, token,
};
use super::{Node, selector};
use crate::model::labels::{Quoted, QuotedBytes};
use crate::promql::ast::{Aggregate, AggregateOp, BinaryOp, Call, Expr, Span, StringLiteral};
use crate::promql::functions::{self, Function};
use crate::promql::lexer::{Keyword, Token, TokenKind};

/// `rate(a[5m])`
pub(super) fn call(input: Tokens<'_>) -> Parsed<'_, Node> {
    let parts = (satisfy(is_function_name), cut(args));
    let (rest, ((name, nodes), span)) = spanned(parts).parse(input)?;
    build_call(rest, name, nodes, span)
}

fn build_call(rest: Tokens<'_>, name: Token, nodes: Vec<Node>, span: Span) -> Parsed<'_, Node> {
    let (_, function) = function(rest, name)?;
    let (args, depth) = Node::split(nodes);
    Node::around(rest, Expr::Call(Call { function, args, span }), depth)
}

/// Whether the token can be a function's name.
pub(super) fn is_function_name(kind: TokenKind) -> bool {
    match kind {
        TokenKind::Identifier => true,
        TokenKind::Keyword(keyword) => keyword.is_preprocessor(),
        _ => false,
    }
}

/// The function of that name.
fn function<'a>(input: Tokens<'a>, token: Token) -> Parsed<'a, &'static Function> {
    let name = input.slice(token);
    let Some(function) = functions::find(name) else {
        return input.fail(token.span, format!("unknown function with name {}", Quoted(name)));
    };
    if function.experimental && !input.query.features.experimental_functions {
        return input.fail(token.span, format!("function {} is not enabled", Quoted(name)));
    }
    Ok((input, function))
}

/// `(a, b)`; no trailing comma.
fn args(input: Tokens<'_>) -> Parsed<'_, Vec<Node>> {
    let (open, close) = (token(TokenKind::LeftParen), token(TokenKind::RightParen));
    delimited(open, arg_list, close).parse(input)
}

fn arg_list(input: Tokens<'_>) -> Parsed<'_, Vec<Node>> {
    match input.first().kind {
        TokenKind::RightParen => Ok((input, Vec::new())),
        _ => separated_list1(argument_comma, arg).parse(input),
    }
}

fn arg(input: Tokens<'_>) -> Parsed<'_, Node> {
    cut(nested(expression)).parse(input)
}

/// A comma between two arguments; one behind the last has an error of its own.
fn argument_comma(input: Tokens<'_>) -> Parsed<'_, Token> {
    let (rest, comma) = token(TokenKind::Comma).parse(input)?;
    let next = rest.first().kind;
    if next != TokenKind::Error && !starts_expression(next) {
        return input.fail(comma.span, "trailing commas not allowed in function call args");
    }
    Ok((rest, comma))
}

/// Whether an expression can begin with that token.
pub(super) fn starts_expression(kind: TokenKind) -> bool {
    match kind {
        TokenKind::Number
        | TokenKind::Duration
        | TokenKind::String
        | TokenKind::LeftParen
        | TokenKind::LeftBrace
        | TokenKind::Operator(BinaryOp::Add | BinaryOp::Sub) => true,
        kind => selector::is_metric_name(kind),
    }
}

/// A function's or preprocessor's empty parentheses.
pub(super) fn empty_parens(input: Tokens<'_>) -> Parsed<'_, ()> {
    value((), (token(TokenKind::LeftParen), token(TokenKind::RightParen))).parse(input)
}

/// `sum by (a) (b)` or `sum(b) by (a)`.
pub(super) fn aggregation(input: Tokens<'_>) -> Parsed<'_, Node> {
    let parts = context("aggregation", aggregation_parts);
    let (rest, ((op, (grouping, nodes)), span)) = spanned((aggregator, cut(parts))).parse(input)?;
    build_aggregate(rest, op, grouping, nodes, span)
}

/// The labels to group by may stand before the arguments or behind them.
fn aggregation_parts(input: Tokens<'_>) -> Parsed<'_, (Grouping, Vec<Node>)> {
    alt((grouping_then_args, args_then_grouping)).parse(input)
}

fn grouping_then_args(input: Tokens<'_>) -> Parsed<'_, (Grouping, Vec<Node>)> {
    (grouping, cut(args)).parse(input)
}

fn args_then_grouping(input: Tokens<'_>) -> Parsed<'_, (Grouping, Vec<Node>)> {
    let (rest, args) = args(input)?;
    let (rest, grouping) = opt(grouping).parse(rest)?;
    // Whether a grouping follows is known only when the next token is.
    if grouping.is_none() && rest.first().kind == TokenKind::Error {
        return rest.unexpected();
    }
    Ok((rest, (grouping.unwrap_or_default(), args)))
}

fn build_aggregate(
    rest: Tokens<'_>,
    op: AggregateOp,
    grouping: Grouping,
    nodes: Vec<Node>,
    span: Span,
) -> Parsed<'_, Node> {
    let (args, depth) = Node::split(nodes);
    let (_, (param, expr)) = aggregate_args(rest, op, args, span)?;
    let Grouping { labels, without } = grouping;
    let aggregate = Aggregate { op, expr, param, grouping: labels, without, span };
    Node::around(rest, Expr::Aggregate(Box::new(aggregate)), depth)
}

fn aggregator(input: Tokens<'_>) -> Parsed<'_, AggregateOp> {
    let op = |kind| match kind {
        TokenKind::Aggregator(op) => Some(op),
        _ => None,
    };
    select(op).parse(input)
}

/// Whether an aggregator before that token aggregates.
pub(super) fn starts_aggregation(next: TokenKind) -> bool {
    matches!(next, TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without))
}

/// `by (...)` or `without (...)`.
#[derive(Default)]
struct Grouping {
    labels: Vec<String>,
    without: bool,
}

fn grouping(input: Tokens<'_>) -> Parsed<'_, Grouping> {
    let without = alt((value(false, keyword(Keyword::By)), value(true, keyword(Keyword::Without))));
    let grouping = |(without, labels)| Grouping { labels, without };
    map((without, cut(grouping_labels)), grouping).parse(input)
}

/// `(a, "b", c)`, a trailing comma allowed.
pub(super) fn grouping_labels(input: Tokens<'_>) -> Parsed<'_, Vec<String>> {
    let open = expect("\"(\"", token(TokenKind::LeftParen));
    let label = expect("label", grouping_label);
    let labels = list(label, TokenKind::RightParen, "\",\" or \")\"");
    context("grouping opts", preceded(open, cut(labels))).parse(input)
}

fn grouping_label(input: Tokens<'_>) -> Parsed<'_, String> {
    let (rest, (label, span)) =
        spanned(alt((string, map(word(satisfy(is_grouping_label)), unquoted)))).parse(input)?;
    if label.value.is_empty() || label.not_utf8.is_some() {
        let shown = QuotedBytes(label.as_bytes());
        return input.fail(span, format!("invalid label name for grouping: {shown}"));
    }
    Ok((rest, label.value))
}

fn unquoted(value: String) -> StringLiteral {
    StringLiteral { value, not_utf8: None, span: Span::default() }
}

/// Whether the token can be a label in `by (...)` without quotes.
fn is_grouping_label(kind: TokenKind) -> bool {
    use BinaryOp::{And, Atan2, Or, Unless};
    match kind {
        TokenKind::Identifier
        | TokenKind::MetricIdentifier
        | TokenKind::Aggregator(_)
        | TokenKind::Operator(And | Or | Unless | Atan2) => true,
        TokenKind::Keyword(keyword) => keyword != Keyword::Without,
        _ => false,
    }
}

/// Parameter and vector of an aggregation.
fn aggregate_args(
    input: Tokens<'_>,
    op: AggregateOp,
    args: Vec<Expr>,
    span: Span,
) -> Parsed<'_, (Option<Expr>, Expr)> {
    if args.is_empty() {
        return input.fail(span, "no arguments for aggregate expression provided");
    }
    let experimental = matches!(op, AggregateOp::Limitk | AggregateOp::LimitRatio);
    if experimental && !input.query.features.experimental_functions {
        let message = format!(
            "{}() is experimental and must be enabled with \
             --enable-feature=promql-experimental-functions",
            op.as_str()
        );
        return input.fail(span, message);
    }
    let (wanted, got) = (1 + usize::from(op.has_parameter()), args.len());
    let mut args = args.into_iter();
    match (args.next(), args.next(), args.next()) {
        (param, Some(expr), None) if wanted == 2 => Ok((input, (param, expr))),
        (Some(expr), None, None) if wanted == 1 => Ok((input, (None, expr))),
        _ => {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, \
                 expected {wanted}, got {got}"
            );
            input.fail(span, message)
        }
    }
}
