//! The classic grammar: a label name of the old charset, an operator, and the rest as value, with
//! or without double quotes.

use super::{MatcherError, build};
use crate::model::{MatchOp, Matcher};

/// A list; braces are optional and need not be paired.
pub(super) fn matchers(text: &str) -> Result<Vec<Matcher>, MatcherError> {
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    split(text).into_iter().map(matcher).collect()
}

/// The pieces between commas that stand outside of double quotes; an empty last piece is dropped.
fn split(text: &str) -> Vec<&str> {
    let (mut pieces, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            ',' if !quoted => {
                pieces.push(&text[start..at]);
                start = at + 1;
            }
            '"' if escaped => escaped = false,
            '"' => quoted = !quoted,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        pieces.push(last);
    }
    pieces
}

/// One matcher.
pub(super) fn matcher(text: &str) -> Result<Matcher, MatcherError> {
    let bad = || MatcherError(format!("bad matcher format: {text}"));
    let rest = text.trim_start_matches(is_space);
    let is_name = |c: char| c == '_' || c == ':' || c.is_ascii_alphanumeric();
    let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad());
    }
    let (op, value) = operator(rest.trim_start_matches(is_space)).ok_or_else(bad)?;
    let value = unescaped(value.trim_matches(is_space))?;
    build(op, name.to_owned(), value)
}

/// What `\s` means in the grammar's regular expression.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

fn operator(text: &str) -> Option<(MatchOp, &str)> {
    let all = [
        ("=~", MatchOp::Regex),
        ("=", MatchOp::Equal),
        ("!=", MatchOp::NotEqual),
        ("!~", MatchOp::NotRegex),
    ];
    all.into_iter().find_map(|(written, op)| Some((op, text.strip_prefix(written)?)))
}

/// The value without its quotes and escapes; a backslash before any other character stands for
/// itself.
fn unescaped(raw: &str) -> Result<String, MatcherError> {
    let stray = || MatcherError(format!("matcher value contains unescaped double quote: {raw}"));
    let (body, mut wants_quote) = match raw.strip_prefix('"') {
        Some(body) => (body, true),
        None => (raw, false),
    };
    let mut value = String::with_capacity(body.len());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some(c @ ('"' | '\\')) => value.push(c),
                Some(other) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            '"' if wants_quote && chars.as_str().is_empty() => wants_quote = false,
            '"' => return Err(stray()),
            c => value.push(c),
        }
    }
    if wants_quote { Err(stray()) } else { Ok(value) }
}
