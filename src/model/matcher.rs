//! Label matchers, as between the braces of a selector.

use std::fmt;

use regex::Regex;

use super::labels::{Labels, Quoted, is_legacy_name};
use super::pattern;

/// Largest compiled size of one regular expression in bytes; beyond it the pattern is an attack or
/// an accident.
const REGEX_BYTES_MAX: usize = 10 << 20;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The operator as written.
    pub const fn as_str(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }
}

/// One label matcher. Regular expressions are anchored at both ends, and `.` matches a newline
/// (Prometheus `model/labels/regexp.go`) unless it is one of Alertmanager's.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Regex>,
    literals: Option<Vec<String>>,
}

impl Matcher {
    /// A matcher on label `name`.
    ///
    /// # Errors
    /// The pattern is not a valid regular expression, or too large when compiled.
    pub fn new(
        op: MatchOp,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Matcher, regex::Error> {
        Matcher::with(pattern::anchored, op, name.into(), value.into())
    }

    /// A matcher of Alertmanager's on label `name`: `.` matches no newline.
    ///
    /// # Errors
    /// As [`Matcher::new`].
    pub fn of_alerts(
        op: MatchOp,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Matcher, regex::Error> {
        Matcher::with(pattern::anchored_line, op, name.into(), value.into())
    }

    fn with(
        compile: impl Fn(&str, usize) -> Result<Regex, regex::Error>,
        op: MatchOp,
        name: String,
        value: String,
    ) -> Result<Matcher, regex::Error> {
        let is_regex = matches!(op, MatchOp::Regex | MatchOp::NotRegex);
        let regex = if is_regex { Some(compile(&value, REGEX_BYTES_MAX)?) } else { None };
        let literals = if is_regex { alternatives(&value) } else { None };
        Ok(Matcher { name, op, value, regex, literals })
    }

    /// `name="value"`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Matcher {
        let (name, value) = (name.into(), value.into());
        Matcher { name, op: MatchOp::Equal, value, regex: None, literals: None }
    }

    /// The same matcher on another label.
    #[must_use]
    pub fn with_name(&self, name: impl Into<String>) -> Matcher {
        Matcher { name: name.into(), ..self.clone() }
    }

    /// Name of the label it looks at.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or pattern as written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether `value` is accepted; an absent label counts as the empty string.
    pub fn matches(&self, value: &str) -> bool {
        match self.op {
            MatchOp::Equal => self.value == value,
            MatchOp::NotEqual => self.value != value,
            MatchOp::Regex => self.regex_matches(value),
            MatchOp::NotRegex => !self.regex_matches(value),
        }
    }

    /// Whether the label set is accepted.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.value(&self.name))
    }

    /// For `=~` with a plain alternation such as `a|b|c`: its alternatives, so an index can look
    /// them up instead of testing every value.
    pub fn literals(&self) -> Option<&[String]> {
        self.literals.as_deref()
    }

    /// The literal text every value accepted by `=~` must begin with; may be empty.
    pub fn literal_prefix(&self) -> &str {
        let end = self.value.find(is_regex_meta).unwrap_or(self.value.len());
        let prefix = &self.value[..end];
        let followed_by_repeat = self.value[end..].starts_with(['*', '?', '+', '{']);
        if self.value.contains('|') {
            ""
        } else if followed_by_repeat {
            prefix.char_indices().next_back().map_or("", |(last, _)| &prefix[..last])
        } else {
            prefix
        }
    }

    fn regex_matches(&self, value: &str) -> bool {
        match (&self.literals, &self.regex) {
            (Some(literals), _) => literals.iter().any(|literal| literal == value),
            (None, Some(regex)) => regex.is_match(value),
            (None, None) => false,
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        self.name == other.name && self.op == other.op && self.value == other.value
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    /// As in a selector, the label name quoted when PromQL needs it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_legacy_name(&self.name) {
            write!(f, "{}{}{}", self.name, self.op.as_str(), Quoted(&self.value))
        } else {
            write!(f, "{}{}{}", Quoted(&self.name), self.op.as_str(), Quoted(&self.value))
        }
    }
}

fn is_regex_meta(c: char) -> bool {
    matches!(c, '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' | '\\')
}

/// The alternatives of a pattern that is nothing but literals joined by `|`.
fn alternatives(pattern: &str) -> Option<Vec<String>> {
    let plain = |part: &str| !part.contains(is_regex_meta);
    pattern.split('|').all(plain).then(|| pattern.split('|').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str) -> Matcher {
        Matcher::new(MatchOp::Regex, "l", pattern).expect("valid pattern")
    }

    #[test]
    fn regexes_are_anchored_and_dot_matches_newline() {
        assert!(regex("a.c").matches("a\nc"));
        assert!(!regex("b").matches("abc"));
        assert!(regex("a|bc").matches("bc"));
        assert!(!regex("a|bc").matches("abc"));
        assert!(regex("").matches(""));
        assert!(regex("(?i)ABC").matches("abc"));
    }

    #[test]
    fn absent_labels_count_as_empty() {
        let labels = Labels::from_pairs([("x", "1")]).expect("valid");
        assert!(Matcher::equal("y", "").matches_labels(&labels));
        assert!(Matcher::new(MatchOp::NotRegex, "y", ".+").expect("valid").matches_labels(&labels));
    }

    #[test]
    fn literal_prefix_is_never_too_long() {
        assert_eq!(regex("host-00.*").literal_prefix(), "host-00");
        assert_eq!(regex("ab*").literal_prefix(), "a");
        assert_eq!(regex("ab?c").literal_prefix(), "a");
        assert_eq!(regex("ab|cd").literal_prefix(), "");
        assert_eq!(regex("(ab)").literal_prefix(), "");
        assert_eq!(regex("abc").literals(), Some(["abc".to_owned()].as_slice()));
    }

    #[test]
    fn displays_as_in_a_selector() {
        assert_eq!(Matcher::equal("a", "b\"c").to_string(), r#"a="b\"c""#);
        assert_eq!(Matcher::equal("a.b", "c").to_string(), r#""a.b"="c""#);
    }
}
