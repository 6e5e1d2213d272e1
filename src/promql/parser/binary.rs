//! Binary expressions and their modifiers: precedence climbing.

use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, flat_map, map, opt, success, value};
use nom::sequence::{delimited, preceded};

use super::Node;
use super::call::{grouping_labels, starts_expression};
use super::literal::signed_number;
use super::modifier::operand;
use super::tokens::{Failure, Parsed, Tokens, chain, keyword, nested, select, token};
use crate::promql::ast::{Binary, BinaryOp, Cardinality, Expr, Span, VectorMatching};
use crate::promql::lexer::{Keyword, TokenKind};

/// The weakest precedence, that of `or`.
const WEAKEST: u8 = 1;
/// The precedence of `^`, the strongest and the only one that groups to the right.
pub(super) const POWER: u8 = 6;

/// How strongly an operator binds.
const fn precedence(op: BinaryOp) -> u8 {
    use BinaryOp::{
        Add, And, Atan2, Div, Eq, Ge, Gt, Le, Lt, Mod, Mul, Ne, Or, Pow, Sub, TrimLower, TrimUpper,
        Unless,
    };
    match op {
        Or => WEAKEST,
        And | Unless => 2,
        Eq | Ne | Lt | Le | Gt | Ge | TrimUpper | TrimLower => 3,
        Add | Sub => 4,
        Mul | Div | Mod | Atan2 => 5,
        Pow => POWER,
    }
}

/// How strongly the operators in the right operand of `op` must bind.
const fn right_precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Pow => POWER,
        op => precedence(op) + 1,
    }
}

/// Any expression.
pub(super) fn expression(input: Tokens<'_>) -> Parsed<'_, Node> {
    binary(WEAKEST).parse(input)
}

/// An expression whose operators bind at least as strongly as `weakest`.
pub(super) fn binary<'a>(weakest: u8) -> impl Parser<Tokens<'a>, Output = Node, Error = Failure> {
    chain(operand, operation(weakest), join)
}

/// An operator, its modifiers and its right operand.
type Operation = (BinaryOp, Box<Modifiers>, Node);

fn operation<'a>(weakest: u8) -> impl Parser<Tokens<'a>, Output = Operation, Error = Failure> {
    let operator = select(move |kind| match kind {
        TokenKind::Operator(op) if precedence(op) >= weakest => Some(op),
        _ => None,
    });
    flat_map(operator, |op| {
        // The closure keeps the type of `binary` out of its own.
        let right = move |input| binary(right_precedence(op)).parse(input);
        cut((success(op), map(modifiers, Box::new), nested(right)))
    })
}

fn join<'a>(rest: Tokens<'a>, lhs: Node, (op, modifiers, rhs): Operation) -> Parsed<'a, Node> {
    let span = Span { start: lhs.expr.span().start, end: rhs.expr.span().end };
    let Modifiers { return_bool, matching } = *modifiers;
    let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
    if fills && !rest.query.features.binop_fill_modifiers {
        return rest.fail_behind(span, "binop fill modifiers are experimental and not enabled");
    }
    // An operation on the left is no level of its own: chains are gone through in loops.
    let continued = matches!(*lhs.expr, Expr::Binary(_));
    let depth = if continued { lhs.depth } else { rest.deeper(lhs.depth)? };
    let depth = depth.max(rest.deeper(rhs.depth)?);
    let sides = (*lhs.expr, *rhs.expr);
    let binary = Binary::new(op, sides, return_bool, Some(matching), span);
    Ok((rest, Node { expr: Box::new(Expr::Binary(Box::new(binary))), depth }))
}

/// What stands between an operator and its right operand.
struct Modifiers {
    return_bool: bool,
    matching: VectorMatching,
}

/// `bool`, `on` or `ignoring`, `group_left` or `group_right`, `fill...`: all optional.
fn modifiers(input: Tokens<'_>) -> Parsed<'_, Modifiers> {
    let parts = (opt(keyword(Keyword::Bool)), opt(matching), fills);
    let modifiers = |(word, matching, (fill_left, fill_right)): (_, Option<VectorMatching>, _)| {
        let matching = matching.unwrap_or_default();
        let matching = VectorMatching { fill_left, fill_right, ..matching };
        Modifiers { return_bool: Option::is_some(&word), matching }
    };
    map(parts, modifiers).parse(input)
}

/// `on (a, b)` or `ignoring (a, b)`, then perhaps a group.
fn matching(input: Tokens<'_>) -> Parsed<'_, VectorMatching> {
    let on = alt((value(true, keyword(Keyword::On)), value(false, keyword(Keyword::Ignoring))));
    let matching = |(on, labels, group): (bool, Vec<String>, Option<Group>)| {
        let (card, include) = group.unwrap_or_default();
        VectorMatching { card, labels, on, include, ..VectorMatching::default() }
    };
    map((on, cut(grouping_labels), opt(group)), matching).parse(input)
}

/// Which side is many, and the labels that are copied from the other.
type Group = (Cardinality, Vec<String>);

/// `group_left (c)` or `group_right`.
fn group(input: Tokens<'_>) -> Parsed<'_, Group> {
    let card = alt((
        value(Cardinality::ManyToOne, keyword(Keyword::GroupLeft)),
        value(Cardinality::OneToMany, keyword(Keyword::GroupRight)),
    ));
    (card, group_labels).parse(input)
}

/// Labels in parentheses, or none where the right operand or what fills in for it begins.
fn group_labels(input: Tokens<'_>) -> Parsed<'_, Vec<String>> {
    use Keyword::{Fill, FillLeft, FillRight};
    match input.first().kind {
        TokenKind::LeftParen => grouping_labels(input),
        TokenKind::Keyword(Fill | FillLeft | FillRight) => Ok((input, Vec::new())),
        next if starts_expression(next) => Ok((input, Vec::new())),
        _ => cut(grouping_labels).parse(input),
    }
}

/// `fill (1)`, or `fill_left (1)` and `fill_right (2)` in any order; what missing series of the
/// left and the right side count as.
fn fills(input: Tokens<'_>) -> Parsed<'_, (Option<f64>, Option<f64>)> {
    let fill = |word| preceded(keyword(word), cut(fill_value));
    let (left, right) = (Keyword::FillLeft, Keyword::FillRight);
    alt((
        map(fill(Keyword::Fill), |both| (Some(both), Some(both))),
        map((fill(left), opt(fill(right))), |(left, right)| (Some(left), right)),
        map((fill(right), opt(fill(left))), |(right, left)| (left, Some(right))),
        success((None, None)),
    ))
    .parse(input)
}

fn fill_value(input: Tokens<'_>) -> Parsed<'_, f64> {
    delimited(token(TokenKind::LeftParen), signed_number, token(TokenKind::RightParen)).parse(input)
}
