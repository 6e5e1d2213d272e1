//! Literals: numbers, strings, words, and the sign before a number.

use nom::Parser;
use nom::combinator::{map, opt};

use super::tokens::{Failure, Parsed, Tokens, satisfy, select, token};
use crate::model::labels::Quoted;
use crate::model::parse_duration_ms;
use crate::promql::ast::{BinaryOp, NumberLiteral, StringLiteral};
use crate::promql::lexer::{Token, TokenKind, parse_number, text_of, unquote_bytes};

/// A number or a duration.
pub(super) fn number(input: Tokens<'_>) -> Parsed<'_, NumberLiteral> {
    let is_number = |kind| matches!(kind, TokenKind::Number | TokenKind::Duration);
    let (rest, token) = satisfy(is_number).parse(input)?;
    let (text, span) = (input.slice(token), token.span);
    let is_duration = token.kind == TokenKind::Duration;
    let value = if is_duration {
        parse_duration_ms(text)
            .map(|ms| (ms / 1000) as f64 + (ms % 1000) as f64 / 1000.0)
            .map_err(|error| error.to_string())
    } else {
        parse_number(text).map_err(|error| format!("error parsing number: {error}"))
    };
    match value {
        Ok(value) => Ok((rest, NumberLiteral { value, is_duration, span })),
        Err(message) => input.fail(span, message),
    }
}

/// A number, a duration, or one of them behind a sign.
pub(super) fn signed_number(input: Tokens<'_>) -> Parsed<'_, f64> {
    let value = |(sign, number): (Option<Sign>, NumberLiteral)| match sign {
        Some(Sign::Minus) => -number.value,
        _ => number.value,
    };
    map((opt(sign), number), value).parse(input)
}

/// `+` or `-` before something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Plus,
    Minus,
}

pub(super) fn sign(input: Tokens<'_>) -> Parsed<'_, Sign> {
    let sign = |kind| match kind {
        TokenKind::Operator(BinaryOp::Add) => Some(Sign::Plus),
        TokenKind::Operator(BinaryOp::Sub) => Some(Sign::Minus),
        _ => None,
    };
    select(sign).parse(input)
}

/// A string.
pub(super) fn string(input: Tokens<'_>) -> Parsed<'_, StringLiteral> {
    let (rest, token) = token(TokenKind::String).parse(input)?;
    let quoted = input.slice(token);
    match unquote_bytes(quoted) {
        Ok(bytes) => {
            let not_utf8 = std::str::from_utf8(&bytes).is_err().then(|| bytes.as_slice().into());
            Ok((rest, StringLiteral { value: text_of(bytes), not_utf8, span: token.span }))
        }
        Err(error) => {
            let message = format!("error unquoting string {}: {error}", Quoted(quoted));
            input.fail(token.span, message)
        }
    }
}

/// What a string says.
pub(super) fn quoted(input: Tokens<'_>) -> Parsed<'_, String> {
    map(string, |string| string.value).parse(input)
}

/// The text of the token `parser` reads.
pub(super) fn word<'a>(
    mut parser: impl Parser<Tokens<'a>, Output = Token, Error = Failure>,
) -> impl Parser<Tokens<'a>, Output = String, Error = Failure> {
    move |input: Tokens<'a>| {
        let (rest, token) = parser.parse(input)?;
        Ok((rest, input.slice(token).to_owned()))
    }
}
