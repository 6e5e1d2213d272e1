//! Durations behind `offset` and in brackets: numbers, and arithmetic with them.

use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, flat_map, map, peek, success, value};
use nom::sequence::{delimited, preceded, separated_pair, terminated};

use super::binary::POWER;
use super::call::empty_parens;
use super::literal::{Sign, number, sign};
use super::tokens::{Failure, Parsed, Tokens, chain, keyword, nested, select, spanned, token};
use crate::promql::ast::{BinaryOp, DurationExpr, DurationSpec, Span};
use crate::promql::lexer::{Keyword, Token, TokenKind};

/// Longest duration in seconds: what 64 bits of nanoseconds hold (about 292 years).
const SECONDS_MAX: f64 = i64::MAX as f64 / 1e9;

/// The weakest precedence, that of `+`; precedences are those of expressions.
const WEAKEST: u8 = 4;

const fn precedence(op: BinaryOp) -> Option<u8> {
    match op {
        BinaryOp::Add | BinaryOp::Sub => Some(WEAKEST),
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod => Some(5),
        BinaryOp::Pow => Some(POWER),
        _ => None,
    }
}

/// A duration expression and how deeply nested it is.
struct Part {
    expr: DurationExpr,
    depth: u32,
}

impl Part {
    fn leaf(expr: DurationExpr) -> Part {
        Part { expr, depth: 1 }
    }

    /// The part around something of `inner` levels; `rest` follows it.
    fn around(rest: Tokens<'_>, expr: DurationExpr, inner: u32) -> Parsed<'_, Part> {
        Ok((rest, Part { expr, depth: rest.deeper(inner)? }))
    }
}

/// The length of a range or a step; a plain number must be positive.
pub(super) fn positive_duration(input: Tokens<'_>) -> Parsed<'_, DurationSpec> {
    let (rest, part) = duration(input)?;
    match part.expr {
        DurationExpr::Number(number) if number.value <= 0.0 => {
            rest.fail_behind(number.span, "duration must be greater than 0")
        }
        expr => Ok((rest, fixed_if_number(expr))),
    }
}

/// What follows `offset`. Operators belong to the expression around it, unless the duration
/// starts with a parenthesis or two signs: `a offset 5m - b` is a difference of two vectors.
pub(super) fn offset_duration(input: Tokens<'_>) -> Parsed<'_, DurationSpec> {
    let parenthesized = preceded(peek(token(TokenKind::LeftParen)), duration);
    let doubly_signed = preceded(peek((sign, sign)), duration);
    map(alt((parenthesized, operand, doubly_signed, signed(operand))), |part| {
        fixed_if_number(part.expr)
    })
    .parse(input)
}

/// Any duration expression.
fn duration(input: Tokens<'_>) -> Parsed<'_, Part> {
    binary(WEAKEST).parse(input)
}

/// A duration whose operators bind at least as strongly as `weakest`.
fn binary<'a>(weakest: u8) -> impl Parser<Tokens<'a>, Output = Part, Error = Failure> {
    chain(alt((operand, signed_power)), operation(weakest), join)
}

/// A sign binds less strongly than `^`.
fn signed_power(input: Tokens<'_>) -> Parsed<'_, Part> {
    signed(nested(binary(POWER))).parse(input)
}

/// An operator, its token and its right operand.
type Operation = (BinaryOp, Token, Part);

fn operation<'a>(weakest: u8) -> impl Parser<Tokens<'a>, Output = Operation, Error = Failure> {
    let operator = move |input: Tokens<'a>| {
        let token = input.first();
        let strong = |kind| match kind {
            TokenKind::Operator(op) => {
                precedence(op).filter(|strength| *strength >= weakest).map(|at| (op, token, at))
            }
            _ => None,
        };
        select(strong).parse(input)
    };
    flat_map(operator, |(op, token, strength)| {
        let right = move |input| binary(POWER.min(strength + 1)).parse(input);
        cut((success(op), success(token), nested(right)))
    })
}

fn join<'a>(rest: Tokens<'a>, lhs: Part, (op, operator, rhs): Operation) -> Parsed<'a, Part> {
    let zero = matches!(&rhs.expr, DurationExpr::Number(number) if number.value == 0.0);
    match op {
        BinaryOp::Div if zero => return rest.fail_behind(operator.span, "division by zero"),
        BinaryOp::Mod if zero => return rest.fail_behind(operator.span, "modulo by zero"),
        _ => {}
    }
    // As in Prometheus, for which an operand in parentheses is what they hold.
    let span = Span { start: lhs.expr.inner_span().start, end: rhs.expr.inner_span().end };
    let depth = lhs.depth.max(rhs.depth);
    let (lhs, rhs) = (Box::new(lhs.expr), Box::new(rhs.expr));
    Part::around(rest, DurationExpr::Binary { op, lhs, rhs, span }, depth)
}

/// A sign and what it applies to: a number takes it in, a plus before anything else says nothing.
fn signed<'a>(
    operand: impl Parser<Tokens<'a>, Output = Part, Error = Failure>,
) -> impl Parser<Tokens<'a>, Output = Part, Error = Failure> {
    let mut parts = (sign, cut(operand));
    move |input: Tokens<'a>| {
        let (rest, (sign, operand)) = parts.parse(input)?;
        let span = Span { start: input.start(), end: operand.expr.span().end };
        let negative = sign == Sign::Minus;
        match operand.expr {
            DurationExpr::Number(mut number) => {
                number.value = if negative { -number.value } else { number.value };
                number.span = span;
                Ok((rest, Part { expr: DurationExpr::Number(number), depth: operand.depth }))
            }
            expr if !negative => Ok((rest, Part { expr, depth: operand.depth })),
            expr => {
                let unary = DurationExpr::Unary { negative, operand: Box::new(expr), span };
                Part::around(rest, unary, operand.depth)
            }
        }
    }
}

/// A number, `step()`, `range()`, `min_of(...)`, `max_of(...)` or a parenthesis.
fn operand(input: Tokens<'_>) -> Parsed<'_, Part> {
    let called = |word| terminated(keyword(word), cut(empty_parens));
    alt((
        duration_literal,
        map(spanned(called(Keyword::Step)), |(_, span)| Part::leaf(DurationExpr::Step(span))),
        map(spanned(called(Keyword::Range)), |(_, span)| Part::leaf(DurationExpr::Range(span))),
        pick,
        paren,
    ))
    .parse(input)
}

fn duration_literal(input: Tokens<'_>) -> Parsed<'_, Part> {
    let (rest, number) = number(input)?;
    if number.value.abs() > SECONDS_MAX {
        return input.fail(number.span, "duration out of range");
    }
    Ok((rest, Part::leaf(DurationExpr::Number(number))))
}

/// `min_of(5m, step())` or `max_of(5m, step())`.
fn pick(input: Tokens<'_>) -> Parsed<'_, Part> {
    let max = alt((value(true, keyword(Keyword::MaxOf)), value(false, keyword(Keyword::MinOf))));
    let both = separated_pair(nested(duration), token(TokenKind::Comma), nested(duration));
    let args = delimited(token(TokenKind::LeftParen), both, token(TokenKind::RightParen));
    let (rest, ((max, (lhs, rhs)), span)) = spanned((max, cut(args))).parse(input)?;
    let depth = lhs.depth.max(rhs.depth);
    let (lhs, rhs) = (Box::new(lhs.expr), Box::new(rhs.expr));
    Part::around(rest, DurationExpr::Pick { max, lhs, rhs, span }, depth)
}

fn paren(input: Tokens<'_>) -> Parsed<'_, Part> {
    let inner = cut(terminated(nested(duration), token(TokenKind::RightParen)));
    let (rest, (inner, span)) =
        spanned(preceded(token(TokenKind::LeftParen), inner)).parse(input)?;
    Part::around(rest, DurationExpr::Paren(Box::new(inner.expr), span), inner.depth)
}

/// A plain number becomes fixed milliseconds, parts of a millisecond cut off.
fn fixed_if_number(expr: DurationExpr) -> DurationSpec {
    match expr {
        DurationExpr::Number(number) => {
            let nanoseconds = (number.value * 1e9).round();
            DurationSpec::Fixed((nanoseconds / 1e6) as i64)
        }
        other => DurationSpec::Expr(Box::new(other)),
    }
}
