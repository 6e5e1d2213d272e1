//! The labels of a series as text: `name{label="value"}`, as in series descriptions.

use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, map, not, opt};
use nom::error::context;
use nom::sequence::{preceded, separated_pair, terminated};

use super::error_at;
use super::literal::quoted;
use super::selector::{label_name, metric_name};
use super::tokens::{Parsed, Query, Tokens, expect, list, token};
use crate::model::{Labels, LabelsBuilder};
use crate::promql::ast::Span;
use crate::promql::deep::DEPTH_SHALLOW;
use crate::promql::error::ParseError;
use crate::promql::features::Features;
use crate::promql::lexer::TokenKind;

/// Parses the labels of one series. Without a name and without braces it has none.
///
/// # Errors
/// The text is no label set, or one that no series may have.
pub fn parse_metric(text: &str) -> Result<Labels, ParseError> {
    let features = Features::default();
    let pairs = Query::new(text, &features, DEPTH_SHALLOW)?.read(metric)?;
    let mut labels = LabelsBuilder::new();
    for (name, value) in &pairs {
        labels.set(name, value);
    }
    labels.build().map_err(|error| error_at(text, Span::default(), error.to_string()))
}

/// A name and what it is set to.
type Pair = (String, String);

/// The pairs in the order in which they replace each other: the name before the braces comes last.
fn metric(input: Tokens<'_>) -> Parsed<'_, Vec<Pair>> {
    let (rest, (name, label_set)) = (opt(metric_name), opt(label_set)).parse(input)?;
    let mut pairs = label_set.unwrap_or_default();
    pairs.extend(name.map(named));
    Ok((rest, pairs))
}

/// `{a="b", ...}`
fn label_set(input: Tokens<'_>) -> Parsed<'_, Vec<Pair>> {
    let all = list(label, TokenKind::RightBrace, "\",\" or \"}\"");
    preceded(token(TokenKind::LeftBrace), cut(context("label set", all))).parse(input)
}

/// `label="value"`, `"label"="value"` or `"metric"`.
fn label(input: Tokens<'_>) -> Parsed<'_, Pair> {
    let metric = map(terminated(quoted, not(token(TokenKind::Equal))), named);
    let pair = separated_pair(
        expect("identifier or \"}\"", label_name),
        expect("\"=\"", token(TokenKind::Equal)),
        expect("string", quoted),
    );
    alt((metric, pair)).parse(input)
}

fn named(metric: String) -> Pair {
    ("__name__".to_owned(), metric)
}
