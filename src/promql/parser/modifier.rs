//! What may follow an expression: `[5m]`, `[1h:1m]`, `offset`, `@`, `anchored`, `smoothed`.

use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, map, value};
use nom::error::context;
use nom::sequence::{preceded, terminated};

use super::call::empty_parens;
use super::duration::{offset_duration, positive_duration};
use super::literal::signed_number;
use super::tokens::{Parsed, Tokens, chain, expect, keyword, spanned, token};
use super::{Node, primary};
use crate::model::Timestamp;
use crate::promql::ast::{
    AtModifier, DurationSpec, EdgeMode, Expr, MatrixSelector, Span, Subquery,
};
use crate::promql::lexer::{Keyword, TokenKind};

/// What errors call a duration.
const DURATION: &str = "number, duration, step(), or range()";

/// Something that follows an expression.
#[derive(Clone)]
enum Modifier {
    /// `[5m]`, and where the brackets stand.
    Range(DurationSpec, Span),
    /// `[1h:1m]`: range and step.
    Subquery(DurationSpec, Option<DurationSpec>),
    Offset(DurationSpec),
    /// `@ 5`, in seconds.
    AtSeconds(f64),
    /// `@ start()` and `@ end()`.
    At(AtModifier),
    Edge(EdgeMode),
}

/// An operand of binary operators: an expression with all modifiers that follow it.
pub(super) fn operand(input: Tokens<'_>) -> Parsed<'_, Node> {
    chain(primary, modifier, apply).parse(input)
}

fn modifier(input: Tokens<'_>) -> Parsed<'_, Modifier> {
    match input.first().kind {
        TokenKind::LeftBracket => brackets(input),
        TokenKind::Keyword(Keyword::Offset) => offset(input),
        TokenKind::At => at(input),
        TokenKind::Keyword(Keyword::Anchored | Keyword::Smoothed) => edge(input),
        _ => input.unexpected(),
    }
}

fn edge(input: Tokens<'_>) -> Parsed<'_, Modifier> {
    let anchored = value(Modifier::Edge(EdgeMode::Anchored), keyword(Keyword::Anchored));
    let smoothed = value(Modifier::Edge(EdgeMode::Smoothed), keyword(Keyword::Smoothed));
    alt((anchored, smoothed)).parse(input)
}

/// `[5m]` or `[1h:1m]`.
fn brackets(input: Tokens<'_>) -> Parsed<'_, Modifier> {
    let range = context("subquery or range selector", expect(DURATION, positive_duration));
    let end = alt((value(None, token(TokenKind::RightBracket)), map(subquery_step, Some)));
    let end = context("subquery or range", expect("\":\" or \"]\"", end));
    let parts = preceded(token(TokenKind::LeftBracket), cut((range, end)));
    let modifier = |((range, end), span)| match end {
        None => Modifier::Range(range, span),
        Some(step) => Modifier::Subquery(range, step),
    };
    map(spanned(parts), modifier).parse(input)
}

/// `:1m]` or `:]`.
fn subquery_step(input: Tokens<'_>) -> Parsed<'_, Option<DurationSpec>> {
    let step = expect("number, duration, step(), range(), or \"]\"", positive_duration);
    let close = || token(TokenKind::RightBracket);
    let end =
        alt((value(None, close()), map(terminated(step, cut(expect("\"]\"", close()))), Some)));
    preceded(token(TokenKind::Colon), cut(context("subquery selector", end))).parse(input)
}

/// `offset 5m`.
fn offset(input: Tokens<'_>) -> Parsed<'_, Modifier> {
    let duration = cut(context("offset", expect(DURATION, offset_duration)));
    map(preceded(keyword(Keyword::Offset), duration), Modifier::Offset).parse(input)
}

/// `@ 5`, `@ start()` or `@ end()`.
fn at(input: Tokens<'_>) -> Parsed<'_, Modifier> {
    let preprocessor = alt((
        value(Modifier::At(AtModifier::Start), keyword(Keyword::Start)),
        value(Modifier::At(AtModifier::End), keyword(Keyword::End)),
    ));
    let time =
        alt((terminated(preprocessor, cut(empty_parens)), map(signed_number, Modifier::AtSeconds)));
    preceded(token(TokenKind::At), cut(context("@", expect("timestamp", time)))).parse(input)
}

/// The node with the modifier that was found behind it; `rest` follows both.
fn apply<'a>(rest: Tokens<'a>, node: Node, modifier: Modifier) -> Parsed<'a, Node> {
    match modifier {
        Modifier::Range(range, brackets) => matrix_selector(rest, node, range, brackets),
        Modifier::Subquery(range, step) => {
            let span = Span { start: node.expr.span().start, end: rest.read_to() };
            let offset = DurationSpec::Fixed(0);
            let subquery = Subquery { expr: *node.expr, range, step, offset, at: None, span };
            Node::around(rest, Expr::Subquery(Box::new(subquery)), node.depth)
        }
        Modifier::Offset(duration) => apply_offset(rest, node, duration),
        Modifier::At(time) => apply_at(rest, node, time),
        Modifier::AtSeconds(seconds) => {
            let outside = seconds >= i64::MAX as f64 || seconds <= i64::MIN as f64;
            if outside || seconds.is_nan() {
                let shown = go_fixed(seconds);
                let message = format!("timestamp out of bounds for @ modifier: {shown}");
                return rest.fail(node.expr.span(), message);
            }
            let time = Timestamp((seconds * 1000.0).round() as i64);
            apply_at(rest, node, AtModifier::Time(time))
        }
        Modifier::Edge(edge) => apply_edge(rest, node, edge),
    }
}

fn matrix_selector<'a>(
    rest: Tokens<'a>,
    node: Node,
    range: DurationSpec,
    brackets: Span,
) -> Parsed<'a, Node> {
    let Expr::VectorSelector(vector) = *node.expr else {
        return rest.fail(brackets, "ranges only allowed for vector selectors");
    };
    if vector.offset != DurationSpec::Fixed(0) {
        return rest.fail(brackets, "no offset modifiers allowed before range");
    }
    if vector.at.is_some() {
        return rest.fail(brackets, "no @ modifiers allowed before range");
    }
    let span = Span { start: vector.span.start, end: rest.read_to() };
    Ok((rest, Node::leaf(Expr::MatrixSelector(MatrixSelector { vector, range, span }))))
}

fn apply_offset<'a>(rest: Tokens<'a>, mut node: Node, offset: DurationSpec) -> Parsed<'a, Node> {
    let before = node.expr.span();
    let Some(target) = target(&mut node.expr) else {
        let message = "offset modifier must be preceded by an instant vector selector or \
                       range vector selector or a subquery";
        return rest.fail(before, message);
    };
    if *target.offset != DurationSpec::Fixed(0) {
        return rest.fail(before, "offset may not be set multiple times");
    }
    *target.offset = offset;
    target.span.end = rest.read_to();
    Ok((rest, node))
}

fn apply_at<'a>(rest: Tokens<'a>, mut node: Node, time: AtModifier) -> Parsed<'a, Node> {
    let before = node.expr.span();
    let Some(target) = target(&mut node.expr) else {
        let message = "@ modifier must be preceded by an instant vector selector or \
                       range vector selector or a subquery";
        return rest.fail(before, message);
    };
    if target.at.is_some() {
        return rest.fail(before, "@ <timestamp> may not be set multiple times");
    }
    *target.at = Some(time);
    target.span.end = rest.read_to();
    Ok((rest, node))
}

fn apply_edge<'a>(rest: Tokens<'a>, mut node: Node, edge: EdgeMode) -> Parsed<'a, Node> {
    let word = if edge == EdgeMode::Anchored { "anchored" } else { "smoothed" };
    let before = node.expr.span();
    let fail = |what: &str| rest.fail(before, format!("{word} {what}"));
    if !rest.query.features.extended_range_selectors {
        return fail("modifier is experimental and not enabled");
    }
    let vector = match &mut *node.expr {
        Expr::VectorSelector(vector) => vector,
        Expr::MatrixSelector(matrix) => &mut matrix.vector,
        Expr::Subquery(_) => return fail("modifier is not supported for subqueries"),
        _ => return fail("modifier not implemented"),
    };
    if vector.edge != EdgeMode::Plain && vector.edge != edge {
        return rest.fail(before, "anchored and smoothed modifiers cannot be used together");
    }
    vector.edge = edge;
    Ok((rest, node))
}

/// The parts of a selector or subquery that `offset` and `@` set.
struct Target<'a> {
    offset: &'a mut DurationSpec,
    at: &'a mut Option<AtModifier>,
    span: &'a mut Span,
}

fn target(expr: &mut Expr) -> Option<Target<'_>> {
    match expr {
        Expr::VectorSelector(vector) => {
            Some(Target { offset: &mut vector.offset, at: &mut vector.at, span: &mut vector.span })
        }
        Expr::MatrixSelector(matrix) => Some(Target {
            offset: &mut matrix.vector.offset,
            at: &mut matrix.vector.at,
            span: &mut matrix.span,
        }),
        Expr::Subquery(subquery) => Some(Target {
            offset: &mut subquery.offset,
            at: &mut subquery.at,
            span: &mut subquery.span,
        }),
        _ => None,
    }
}

/// A float with six decimals, infinities signed.
fn go_fixed(value: f64) -> String {
    if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        format!("{value:.6}")
    }
}
