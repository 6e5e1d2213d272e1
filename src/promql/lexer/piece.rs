//! The tokens by themselves: what a text may begin with, in each of the places that differ.

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while, take_while1};
use nom::character::complete::{anychar, char, multispace0, multispace1, satisfy};
use nom::combinator::{map, map_opt, peek, recognize, success, value};
use nom::multi::many0_count;
use nom::sequence::preceded;

use super::number::number_or_duration;
use super::refusal::{Read, refuse_char};
use super::text::string;
use super::token::{duration_word_kind, word_kind};
use super::{Keyword, TokenKind};
use crate::promql::ast::BinaryOp;

/// White space.
pub(super) fn space(input: &str) -> Read<'_, ()> {
    value((), multispace0).parse(input)
}

/// White space and comments up to the end of their line.
pub(super) fn space_and_comments(input: &str) -> Read<'_, ()> {
    let comment = recognize((char('#'), take_till(|c| c == '\n' || c == '\r')));
    value((), many0_count(alt((multispace1, comment)))).parse(input)
}

/// A token outside braces and brackets.
pub(super) fn statement(input: &str) -> Read<'_, TokenKind> {
    alt((word, sign, number_or_duration, string, refuse_char("unexpected character: ", "")))
        .parse(input)
}

/// A token between `[` and `]`, once there has been a number.
pub(super) fn behind_duration(input: &str) -> Read<'_, TokenKind> {
    let other_word =
        preceded(peek(satisfy(is_alpha)), refuse_char("unexpected character: ", ", expected ':'"));
    alt((colon, duration_word, other_word, sign, number_or_duration, string))
        .or(refuse_char("unexpected character: ", ""))
        .parse(input)
}

/// A token between `[` and `]`, as long as there has been no number.
pub(super) fn duration(input: &str) -> Read<'_, TokenKind> {
    let bracket = map_opt(anychar, |c| match c {
        ']' => Some(TokenKind::RightBracket),
        '(' => Some(TokenKind::LeftParen),
        ')' => Some(TokenKind::RightParen),
        ',' => Some(TokenKind::Comma),
        c => arithmetic(c),
    });
    let refused = refuse_char("unexpected character in duration expression: ", "");
    alt((bracket, colon, number_or_duration, duration_word, refused)).parse(input)
}

/// A token between `{` and `}`.
pub(super) fn matcher(input: &str) -> Read<'_, TokenKind> {
    let name = (satisfy(is_alpha), take_while(is_alphanumeric));
    alt((
        value(TokenKind::Identifier, name),
        value(TokenKind::RegexMatch, tag("=~")),
        value(TokenKind::RegexNotMatch, tag("!~")),
        value(TokenKind::Operator(BinaryOp::Ne), tag("!=")),
        preceded(tag("!"), refuse_char("unexpected character after '!' inside braces: ", "")),
        value(TokenKind::Equal, tag("=")),
        string,
        value(TokenKind::Comma, tag(",")),
        value(TokenKind::RightBrace, tag("}")),
        preceded(peek(tag("{")), refuse_char("unexpected left brace ", "")),
        refuse_char("unexpected character inside braces: ", ""),
    ))
    .parse(input)
}

/// A name or a word with a meaning of its own.
fn word(input: &str) -> Read<'_, TokenKind> {
    let starts = |c| is_alpha(c) || c == ':';
    let goes_on = |c| is_alphanumeric(c) || c == ':';
    let (rest, word) = recognize((satisfy(starts), take_while(goes_on))).parse(input)?;
    let plain =
        if word.contains(':') { TokenKind::MetricIdentifier } else { TokenKind::Identifier };
    match word_kind(word).unwrap_or(plain) {
        TokenKind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight) => {
            let fills = map(peek((multispace0, char('('))), |_| word_kind(word).unwrap_or(plain));
            alt((fills, success(TokenKind::Identifier))).parse(rest)
        }
        kind => Ok((rest, kind)),
    }
}

/// `step`, `range`, `max_of` or `min_of`.
fn duration_word(input: &str) -> Read<'_, TokenKind> {
    map_opt(take_while1(is_alpha), duration_word_kind).parse(input)
}

fn colon(input: &str) -> Read<'_, TokenKind> {
    value(TokenKind::Colon, char(':')).parse(input)
}

/// Punctuation and operators.
fn sign(input: &str) -> Read<'_, TokenKind> {
    alt((map_opt(anychar, punctuation), comparison)).parse(input)
}

fn punctuation(c: char) -> Option<TokenKind> {
    match c {
        ',' => Some(TokenKind::Comma),
        '@' => Some(TokenKind::At),
        '(' => Some(TokenKind::LeftParen),
        ')' => Some(TokenKind::RightParen),
        '{' => Some(TokenKind::LeftBrace),
        '[' => Some(TokenKind::LeftBracket),
        ']' => Some(TokenKind::RightBracket),
        c => arithmetic(c),
    }
}

fn arithmetic(c: char) -> Option<TokenKind> {
    let op = match c {
        '*' => BinaryOp::Mul,
        '/' => BinaryOp::Div,
        '%' => BinaryOp::Mod,
        '+' => BinaryOp::Add,
        '-' => BinaryOp::Sub,
        '^' => BinaryOp::Pow,
        _ => return None,
    };
    Some(TokenKind::Operator(op))
}

fn comparison(input: &str) -> Read<'_, TokenKind> {
    let operator = alt((
        value(BinaryOp::Eq, tag("==")),
        value(BinaryOp::Ne, tag("!=")),
        value(BinaryOp::Le, tag("<=")),
        value(BinaryOp::TrimUpper, tag("</")),
        value(BinaryOp::Lt, tag("<")),
        value(BinaryOp::Ge, tag(">=")),
        value(BinaryOp::TrimLower, tag(">/")),
        value(BinaryOp::Gt, tag(">")),
    ));
    alt((
        map(operator, TokenKind::Operator),
        preceded(tag("!"), refuse_char("unexpected character after '!': ", "")),
        preceded((tag("="), peek(tag("~"))), refuse_char("unexpected character after '=': ", "")),
        value(TokenKind::Equal, tag("=")),
    ))
    .parse(input)
}

pub(super) fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

pub(super) fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || is_digit(c)
}
