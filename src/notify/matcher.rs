//! Matchers as Alertmanager's configuration, API and command line write them: `foo="bar"`,
//! `{foo=~"a|b", bar!=baz}`.
//!
//! In: text. Out: [`Matcher`]s, and a warning where the two grammars disagree. There are two: the
//! classic one knows only old label names and takes nearly anything as value; the UTF-8 one takes
//! any label name and wants reserved characters quoted. Both are tried; what only the classic one
//! understands is taken with a warning, and where both understand something else the classic one
//! wins, as in Alertmanager.

use std::fmt;

mod classic;
mod utf8;

use crate::model::{MatchOp, Matcher, pattern};

/// Longest text of matchers in bytes; longer is an accident.
pub const MATCHERS_BYTES_MAX: usize = 64 << 10;

/// Why a text is no matcher: a sentence with its place where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatcherError(pub String);

impl fmt::Display for MatcherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MatcherError {}

impl From<regex::Error> for MatcherError {
    fn from(error: regex::Error) -> MatcherError {
        MatcherError(pattern::reason(&error))
    }
}

/// Matchers that were read, and what the user should know about their text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// In the order of the text.
    pub matchers: Vec<Matcher>,
    /// Why the text should be written otherwise.
    pub warning: Option<String>,
}

/// Which grammars are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grammar {
    /// Both, the classic one where they differ.
    #[default]
    Fallback,
    /// Only the UTF-8 one.
    Utf8,
    /// Only the classic one.
    Classic,
}

/// Reads a comma-separated list, in braces or not.
///
/// # Errors
/// No grammar in use understands it, or a regular expression is wrong.
pub fn parse_matchers(text: &str, grammar: Grammar) -> Result<Parsed, MatcherError> {
    check_length(text)?;
    let quiet = |matchers| Parsed { matchers, warning: None };
    match grammar {
        Grammar::Utf8 => return utf8::matchers(text).map(quiet),
        Grammar::Classic => return classic::matchers(text).map(quiet),
        Grammar::Fallback => {}
    }
    match (utf8::matchers(text), classic::matchers(text)) {
        (Err(_), Err(classic)) => Err(classic),
        (Err(error), Ok(matchers)) => {
            let better = MatcherList(&matchers).to_string();
            let warning = format!(
                "matcher {text:?} is written in the classic grammar ({error}); write {better} instead"
            );
            Ok(Parsed { matchers, warning: Some(warning) })
        }
        (Ok(utf8), Ok(classic)) if utf8 != classic => {
            let warning = format!(
                "matcher {text:?} means {} in the classic grammar, which is used, and {} in the \
                 UTF-8 grammar; quote its value",
                MatcherList(&classic),
                MatcherList(&utf8)
            );
            Ok(Parsed { matchers: classic, warning: Some(warning) })
        }
        (Ok(matchers), _) => Ok(quiet(matchers)),
    }
}

/// Reads exactly one matcher, without braces, as filters of the API and arguments of the command
/// line are.
///
/// # Errors
/// As [`parse_matchers`]; also when there is not exactly one.
pub fn parse_matcher(text: &str, grammar: Grammar) -> Result<Matcher, MatcherError> {
    check_length(text)?;
    if text.starts_with('{') || text.ends_with('}') {
        return Err(MatcherError(format!("unexpected open or close brace: {text}")));
    }
    let (utf8, classic) = (|| one(utf8::matchers(text)?), || classic::matcher(text));
    match grammar {
        Grammar::Utf8 => utf8(),
        Grammar::Classic => classic(),
        Grammar::Fallback => match (utf8(), classic()) {
            (_, Ok(classic)) => Ok(classic),
            (Ok(utf8), Err(_)) => Ok(utf8),
            (Err(_), Err(error)) => Err(error),
        },
    }
}

fn one(mut matchers: Vec<Matcher>) -> Result<Matcher, MatcherError> {
    match (matchers.pop(), matchers.len()) {
        (Some(matcher), 0) => Ok(matcher),
        (None, _) => Err(MatcherError("no matchers".to_owned())),
        (Some(_), more) => Err(MatcherError(format!("expected 1 matcher, found {}", more + 1))),
    }
}

fn check_length(text: &str) -> Result<(), MatcherError> {
    if text.len() > MATCHERS_BYTES_MAX {
        let why = format!("matchers have {} bytes, more than {MATCHERS_BYTES_MAX}", text.len());
        return Err(MatcherError(why));
    }
    Ok(())
}

fn build(op: MatchOp, name: String, value: String) -> Result<Matcher, MatcherError> {
    Ok(Matcher::of_alerts(op, name, value)?)
}

/// A matcher from its parts, as the API hands them over.
///
/// # Errors
/// The value is not a valid regular expression.
pub fn matcher_of(
    name: &str,
    value: &str,
    is_regex: bool,
    is_equal: bool,
) -> Result<Matcher, MatcherError> {
    let op = match (is_regex, is_equal) {
        (false, true) => MatchOp::Equal,
        (false, false) => MatchOp::NotEqual,
        (true, true) => MatchOp::Regex,
        (true, false) => MatchOp::NotRegex,
    };
    build(op, name.to_owned(), value.to_owned())
}

/// Sorts as Alertmanager does, which decides how a route's key reads.
pub fn sort_matchers(matchers: &mut [Matcher]) {
    let rank = |op| match op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    };
    matchers.sort_by(|a, b| {
        (a.name(), a.value(), rank(a.op())).cmp(&(b.name(), b.value(), rank(b.op())))
    });
}

/// Characters that have to be quoted in the UTF-8 grammar.
fn is_reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

/// Displays a matcher as Alertmanager does.
#[derive(Clone, Copy)]
pub struct MatcherText<'a>(pub &'a Matcher);

impl fmt::Display for MatcherText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::template::go_quote;
        let (name, op, value) = (self.0.name(), self.0.op().as_str(), self.0.value());
        if name.is_empty() || name.contains(is_reserved) {
            return write!(f, "{}{op}{}", go_quote(name), go_quote(value));
        }
        let value = value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        write!(f, "{name}{op}\"{value}\"")
    }
}

/// Displays `{a="b",c="d"}`.
#[derive(Clone, Copy)]
pub struct MatcherList<'a>(pub &'a [Matcher]);

impl fmt::Display for MatcherList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, matcher) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{}", MatcherText(matcher))?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests;
