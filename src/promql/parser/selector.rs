//! Vector selectors: a metric name, matchers in braces, or both.

use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, map, not, opt, success};
use nom::error::context;
use nom::sequence::{preceded, terminated};

use super::literal::{quoted, word};
use super::tokens::{Parsed, Tokens, expect, list, satisfy, select, spanned, token};
use crate::model::{MatchOp, Matcher, pattern};
use crate::promql::ast::{BinaryOp, DurationSpec, EdgeMode, VectorSelector};
use crate::promql::lexer::{Keyword, TokenKind};

/// The label that holds the metric name.
const METRIC_NAME: &str = "__name__";

/// Whether the token can be a metric's name outside braces.
pub(super) fn is_metric_name(kind: TokenKind) -> bool {
    use Keyword::{Bool, GroupLeft, GroupRight, Ignoring, On};
    match kind {
        TokenKind::Identifier | TokenKind::MetricIdentifier | TokenKind::Aggregator(_) => true,
        TokenKind::Operator(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) => true,
        TokenKind::Keyword(word) => !matches!(word, Bool | On | Ignoring | GroupLeft | GroupRight),
        _ => false,
    }
}

/// `name`, `name{...}` or `{...}`.
pub(super) fn vector_selector(input: Tokens<'_>) -> Parsed<'_, VectorSelector> {
    let named = (map(metric_name, Some), map(opt(matchers), Option::unwrap_or_default));
    let nameless = (success(None), matchers);
    let (rest, ((name, mut matchers), span)) = spanned(alt((named, nameless))).parse(input)?;
    if let Some(name) = &name {
        matchers.push(Matcher::equal(METRIC_NAME, name));
    }
    let (name, offset) = (name.unwrap_or_default(), DurationSpec::Fixed(0));
    Ok((rest, VectorSelector { name, matchers, offset, at: None, edge: EdgeMode::Plain, span }))
}

/// A metric's name outside braces.
pub(super) fn metric_name(input: Tokens<'_>) -> Parsed<'_, String> {
    word(satisfy(is_metric_name)).parse(input)
}

/// `{a="b", ...}`
fn matchers(input: Tokens<'_>) -> Parsed<'_, Vec<Matcher>> {
    let all = list(matcher, TokenKind::RightBrace, "\",\" or \"}\"");
    preceded(token(TokenKind::LeftBrace), cut(context("label matching", all))).parse(input)
}

/// `label="value"`, `"label"=~"value"` or `"metric"`.
fn matcher(input: Tokens<'_>) -> Parsed<'_, Matcher> {
    let metric = map(terminated(quoted, not(match_op)), |name| Matcher::equal(METRIC_NAME, name));
    alt((metric, label_matcher)).parse(input)
}

fn label_matcher(input: Tokens<'_>) -> Parsed<'_, Matcher> {
    let parts = (
        expect("identifier or \"}\"", label_name),
        expect("label matching operator", match_op),
        expect("string", quoted),
    );
    let (rest, ((name, op, value), span)) = spanned(parts).parse(input)?;
    match Matcher::new(op, name, value) {
        Ok(matcher) => Ok((rest, matcher)),
        Err(error) => input.fail(span, pattern::reason(&error)),
    }
}

/// A label's name in braces, quoted or not.
pub(super) fn label_name(input: Tokens<'_>) -> Parsed<'_, String> {
    alt((quoted, word(token(TokenKind::Identifier)))).parse(input)
}

fn match_op(input: Tokens<'_>) -> Parsed<'_, MatchOp> {
    let op = |kind| match kind {
        TokenKind::Equal => Some(MatchOp::Equal),
        TokenKind::Operator(BinaryOp::Ne) => Some(MatchOp::NotEqual),
        TokenKind::RegexMatch => Some(MatchOp::Regex),
        TokenKind::RegexNotMatch => Some(MatchOp::NotRegex),
        _ => None,
    };
    select(op).parse(input)
}
