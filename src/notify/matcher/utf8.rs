//! The UTF-8 grammar: names and values are bare words without reserved characters, or strings in
//! double quotes with the escapes of Go.

use super::{MatcherError, build, is_reserved};
use crate::model::{MatchOp, Matcher};
use crate::promql::lexer::unquote;

/// A list; braces are optional but paired, and a comma at the end is fine.
pub(super) fn matchers(text: &str) -> Result<Vec<Matcher>, MatcherError> {
    let mut tokens = Tokens { text, at: 0 };
    let braced = tokens.take('{');
    let mut found = Vec::new();
    while !matches!(tokens.peek(), None | Some('}')) {
        found.push(matcher(&mut tokens)?);
        match tokens.peek() {
            Some(',') => drop(tokens.take(',')),
            None | Some('}') => break,
            Some(_) => return Err(tokens.unexpected("expected a comma or close brace")),
        }
    }
    match (braced, tokens.peek()) {
        (true, Some('}')) => drop(tokens.take('}')),
        (true, _) => return Err(tokens.unexpected("expected close brace")),
        (false, Some('}')) => return Err(tokens.unexpected("expected opening brace")),
        (false, _) => {}
    }
    match tokens.peek() {
        None => Ok(found),
        Some(_) => Err(tokens.unexpected("expected end of input")),
    }
}

fn matcher(tokens: &mut Tokens<'_>) -> Result<Matcher, MatcherError> {
    let name = tokens.word("expected label name")?;
    let op = tokens.operator()?;
    let value = tokens.word("expected label value")?;
    build(op, name, value)
        .map_err(|error| MatcherError(format!("failed to create matcher: {error}")))
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The next character that is no white space.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.rest().chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn operator(&mut self) -> Result<MatchOp, MatcherError> {
        self.peek();
        for (written, op) in [
            ("=~", MatchOp::Regex),
            ("=", MatchOp::Equal),
            ("!=", MatchOp::NotEqual),
            ("!~", MatchOp::NotRegex),
        ] {
            if self.rest().starts_with(written) {
                self.at += written.len();
                return Ok(op);
            }
        }
        Err(self.unexpected("expected an operator such as '=', '!=', '=~' or '!~'"))
    }

    /// A bare word or a quoted string.
    fn word(&mut self, wanted: &str) -> Result<String, MatcherError> {
        match self.peek() {
            Some('"') => self.quoted(),
            Some(c) if !is_reserved(c) => {
                let rest = self.rest();
                let end = rest.find(is_reserved).unwrap_or(rest.len());
                self.at += end;
                Ok(rest[..end].to_owned())
            }
            _ => Err(self.unexpected(wanted)),
        }
    }

    fn quoted(&mut self) -> Result<String, MatcherError> {
        let rest = self.rest();
        let mut escaped = true; // the opening quote does not close
        for (at, c) in rest.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let body = &rest[..=at];
                    let text = unquote(body).map_err(|_| self.unexpected("invalid input"))?;
                    self.at += at + 1;
                    return Ok(text);
                }
                _ => {}
            }
        }
        Err(self.unexpected("missing end \""))
    }

    /// An error that shows where the reading stands.
    fn unexpected(&self, why: &str) -> MatcherError {
        let column = self.text[..self.at].chars().count();
        let found: String = self.rest().chars().take(20).collect();
        match found.is_empty() {
            true => MatcherError(format!("end of input: {why}")),
            false => MatcherError(format!("column {}: {found}: {why}", column + 1)),
        }
    }
}
