//! Vector selectors: a metric name, matchers in braces, or both.

use super::{Failure, Parsed, Parser};
use crate::model::{MatchOp, Matcher};
use crate::promql::ast::{BinaryOp, DurationSpec, EdgeMode, Span, VectorSelector};
use crate::promql::lexer::{Keyword, Token, TokenKind};

/// The label that holds the metric name.
const METRIC_NAME: &str = "__name__";
/// What errors call the part in braces.
const CONTEXT: &str = "label matching";

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

impl Parser<'_> {
    /// `name`, `name{...}` or `{...}`.
    pub(super) fn vector_selector(&mut self) -> Parsed<VectorSelector> {
        let first = self.token();
        let named = is_metric_name(first.kind);
        let name = if named { self.slice(first).to_owned() } else { String::new() };
        if named {
            self.advance();
        }
        let mut matchers = match self.kind() {
            TokenKind::LeftBrace => self.matchers()?,
            _ if named => Vec::new(),
            _ => return Err(Failure::Unexpected),
        };
        if named {
            matchers.push(Matcher::equal(METRIC_NAME, name.clone()));
        }
        Ok(VectorSelector {
            name,
            matchers,
            offset: DurationSpec::Fixed(0),
            at: None,
            edge: EdgeMode::Plain,
            span: self.span_from(first.span.start),
        })
    }

    fn matchers(&mut self) -> Parsed<Vec<Matcher>> {
        self.advance();
        let mut matchers = Vec::new();
        while !self.eat(TokenKind::RightBrace) {
            matchers.push(self.matcher()?);
            if !self.eat(TokenKind::Comma) {
                let close = self.expect(TokenKind::RightBrace);
                self.within(CONTEXT, "\",\" or \"}\"", close)?;
                break;
            }
        }
        Ok(matchers)
    }

    /// `label="value"`, `"label"=~"value"` or `"metric"`.
    fn matcher(&mut self) -> Parsed<Matcher> {
        let token = self.token();
        let quoted = token.kind == TokenKind::String;
        if !quoted && token.kind != TokenKind::Identifier {
            return self.within(CONTEXT, "identifier or \"}\"", Err(Failure::Unexpected));
        }
        let name = if quoted { self.unquoted(token)? } else { self.slice(token).to_owned() };
        self.advance();
        let Some(op) = match_op(self.kind()) else {
            if quoted {
                return Ok(Matcher::equal(METRIC_NAME, name));
            }
            return self.within(CONTEXT, "label matching operator", Err(Failure::Unexpected));
        };
        self.advance();
        let value = self.expect(TokenKind::String);
        let value = self.within(CONTEXT, "string", value)?;
        self.build_matcher(token, op, name, value)
    }

    fn build_matcher(
        &self,
        label: Token,
        op: MatchOp,
        name: String,
        value: Token,
    ) -> Parsed<Matcher> {
        let pattern = self.unquoted(value)?;
        Matcher::new(op, name, pattern).or_else(|error| {
            let span = Span { start: label.span.start, end: value.span.end };
            self.error(span, format!("error parsing regexp: {}", regex_reason(&error)))
        })
    }
}

fn match_op(kind: TokenKind) -> Option<MatchOp> {
    match kind {
        TokenKind::Equal => Some(MatchOp::Equal),
        TokenKind::Operator(BinaryOp::Ne) => Some(MatchOp::NotEqual),
        TokenKind::RegexMatch => Some(MatchOp::Regex),
        TokenKind::RegexNotMatch => Some(MatchOp::NotRegex),
        _ => None,
    }
}

/// The sentence in an error of the regular expression library, without its drawing.
fn regex_reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
