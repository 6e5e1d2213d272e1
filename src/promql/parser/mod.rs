//! Query text to syntax tree.
//!
//! In: the text of an expression and the features that are on. Out: a tree whose types are
//! checked, or the first error with its position. Never here: evaluation, series.
//!
//! Recursive descent over the tokens, precedence climbing for operators. The language is that of
//! Prometheus' `promql/parser/generated_parser.y`; where that grammar names the construct an
//! unexpected token was found in, the function for that construct names it too.

mod binary;
mod call;
mod duration;
mod metric;
mod modifier;
mod selector;
#[cfg(test)]
mod tests;

pub use metric::parse_metric;

use crate::model::Matcher;
use crate::model::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX};

use super::ast::{BinaryOp, Expr, NumberLiteral, Paren, Span, StringLiteral, Unary};
use super::check;
use super::error::ParseError;
use super::features::Features;
use super::lexer::{
    Described, Keyword, Token, TokenKind, lex, parse_duration, parse_number, unquote,
};

/// Parses and checks an expression.
///
/// # Errors
/// The first thing that is wrong with it, as Prometheus words it.
pub fn parse(text: &str, features: &Features) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text, features)?;
    if parser.kind() == TokenKind::End {
        return Err(error_at(text, Span::default(), "no expression found in input"));
    }
    let node = parser.finish(Parser::expression)?;
    let mut expr = node.expr;
    check::check(text, &mut expr)?;
    Ok(expr)
}

/// Parses the value of a `match[]` parameter: an instant vector selector without modifiers. The
/// matchers may all accept the empty string; the caller decides whether that is too much.
///
/// # Errors
/// The text is not a selector.
pub fn parse_metric_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let features = Features::default();
    let mut parser = Parser::new(text, &features)?;
    Ok(parser.finish(Parser::vector_selector)?.matchers)
}

/// An error about `span` of `text`.
pub(super) fn error_at(text: &str, span: Span, message: impl Into<String>) -> ParseError {
    let before = text.get(..span.start as usize).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    ParseError {
        message: message.into(),
        span,
        line: if text.is_empty() { 0 } else { count(line) },
        column: count(before.len() - line_start + 1),
    }
}

/// Why a construct could not be read.
enum Failure {
    /// The current token does not fit; nobody has said yet into what.
    Unexpected,
    /// Anything that has a text already.
    Error(Box<ParseError>),
}

type Parsed<T> = Result<T, Failure>;

/// An expression and how deeply nested it is.
struct Node {
    expr: Expr,
    depth: usize,
}

impl Node {
    fn leaf(expr: Expr) -> Node {
        Node { expr, depth: 1 }
    }
}

struct Parser<'a> {
    text: &'a str,
    features: &'a Features,
    tokens: Vec<Token>,
    lex_error: String,
    /// Index of the current token; never past the last one, which is `End` or `Error`.
    position: usize,
    /// How many constructs are open.
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, features: &'a Features) -> Result<Parser<'a>, ParseError> {
        if text.len() > EXPRESSION_BYTES_MAX {
            let bytes = text.len();
            let message = format!(
                "expression has {bytes} bytes, at most {EXPRESSION_BYTES_MAX} are accepted"
            );
            return Err(error_at(text, Span::default(), message));
        }
        let lexed = lex(text);
        let (tokens, lex_error) = (lexed.tokens, lexed.error);
        Ok(Parser { text, features, tokens, lex_error, position: 0, depth: 0 })
    }

    /// Runs `parse`, which must read the whole text.
    fn finish<T>(
        &mut self,
        parse: impl FnOnce(&mut Parser<'a>) -> Parsed<T>,
    ) -> Result<T, ParseError> {
        let parsed = parse(self).and_then(|value| match self.kind() {
            TokenKind::End => Ok(value),
            _ => Err(Failure::Unexpected),
        });
        parsed.map_err(|failure| match failure {
            Failure::Unexpected => self.unexpected("", ""),
            Failure::Error(error) => *error,
        })
    }

    fn token(&self) -> Token {
        self.tokens[self.position]
    }

    fn kind(&self) -> TokenKind {
        self.token().kind
    }

    fn next_kind(&self) -> TokenKind {
        self.tokens.get(self.position + 1).map_or(TokenKind::End, |token| token.kind)
    }

    fn advance(&mut self) -> Token {
        let token = self.token();
        self.position = (self.position + 1).min(self.tokens.len() - 1);
        token
    }

    /// End of the token before the current one.
    fn last_end(&self) -> u32 {
        self.position.checked_sub(1).map_or(0, |last| self.tokens[last].span.end)
    }

    /// From `start` to the end of the token before the current one.
    fn span_from(&self, start: u32) -> Span {
        Span { start, end: self.last_end() }
    }

    fn slice(&self, token: Token) -> &'a str {
        &self.text[token.span.start as usize..token.span.end as usize]
    }

    fn eat(&mut self, kind: TokenKind) -> bool {
        let found = self.kind() == kind;
        if found {
            self.advance();
        }
        found
    }

    fn eat_keyword(&mut self, keyword: Keyword) -> bool {
        self.eat(TokenKind::Keyword(keyword))
    }

    fn expect(&mut self, kind: TokenKind) -> Parsed<Token> {
        if self.kind() == kind { Ok(self.advance()) } else { Err(Failure::Unexpected) }
    }

    fn error<T>(&self, span: Span, message: impl Into<String>) -> Parsed<T> {
        Err(Failure::Error(Box::new(error_at(self.text, span, message))))
    }

    /// The error that the current token does not fit.
    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let token = self.token();
        if token.kind == TokenKind::Error {
            return error_at(self.text, token.span, self.lex_error.clone());
        }
        let described = Described { kind: token.kind, text: self.slice(token) };
        let mut message = format!("unexpected {described}");
        if !context.is_empty() {
            message = format!("{message} in {context}");
        }
        if !expected.is_empty() {
            message = format!("{message}, expected {expected}");
        }
        error_at(self.text, token.span, message)
    }

    /// Names the construct in which an unexpected token was found, unless an inner one did.
    fn within<T>(&self, context: &str, expected: &str, parsed: Parsed<T>) -> Parsed<T> {
        parsed.map_err(|failure| match failure {
            Failure::Unexpected => Failure::Error(Box::new(self.unexpected(context, expected))),
            error @ Failure::Error(_) => error,
        })
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Parser<'a>) -> Parsed<T>) -> Parsed<T> {
        self.check_depth(self.depth)?;
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn check_depth(&self, depth: usize) -> Parsed<()> {
        if depth < EXPRESSION_DEPTH_MAX {
            return Ok(());
        }
        let message = format!("expression is nested more than {EXPRESSION_DEPTH_MAX} levels deep");
        self.error(self.token().span, message)
    }

    /// The node around `inner` of that depth.
    fn around(&self, expr: Expr, inner: usize) -> Parsed<Node> {
        self.check_depth(inner)?;
        Ok(Node { expr, depth: inner + 1 })
    }

    /// Anything but a binary expression, modifiers not included.
    fn primary(&mut self) -> Parsed<Node> {
        match self.kind() {
            TokenKind::Number | TokenKind::Duration => {
                Ok(Node::leaf(Expr::Number(self.number_literal()?)))
            }
            TokenKind::String => Ok(Node::leaf(Expr::String(self.string_literal()?))),
            TokenKind::LeftParen => self.paren(),
            TokenKind::Operator(BinaryOp::Add | BinaryOp::Sub) => self.unary(),
            TokenKind::Aggregator(op) if self.aggregation_follows() => self.aggregate(op),
            TokenKind::Identifier | TokenKind::Keyword(_) if self.call_follows() => self.call(),
            _ => Ok(Node::leaf(Expr::VectorSelector(self.vector_selector()?))),
        }
    }

    fn paren(&mut self) -> Parsed<Node> {
        let start = self.advance().span.start;
        let inner = self.nested(Parser::expression)?;
        self.expect(TokenKind::RightParen)?;
        let paren = Paren { expr: inner.expr, span: self.span_from(start) };
        self.around(Expr::Paren(Box::new(paren)), inner.depth)
    }

    /// A sign binds as tightly as `*`: only `^` comes first. Before a number it becomes part of it.
    fn unary(&mut self) -> Parsed<Node> {
        let sign = self.advance();
        let negative = sign.kind == TokenKind::Operator(BinaryOp::Sub);
        let operand = self.nested(|parser| parser.binary(binary::POWER))?;
        if let Expr::Number(mut number) = operand.expr {
            number.value = if negative { -number.value } else { number.value };
            number.span.start = sign.span.start;
            return Ok(Node::leaf(Expr::Number(number)));
        }
        let span = Span { start: sign.span.start, end: operand.expr.span().end };
        let unary = Unary { negative, expr: operand.expr, span };
        self.around(Expr::Unary(Box::new(unary)), operand.depth)
    }

    /// A number or a duration.
    fn number_literal(&mut self) -> Parsed<NumberLiteral> {
        let token = self.token();
        let text = self.slice(token);
        let (value, is_duration) = match token.kind {
            TokenKind::Number => match parse_number(text) {
                Ok(value) => (value, false),
                Err(error) => {
                    return self.error(token.span, format!("error parsing number: {error}"));
                }
            },
            TokenKind::Duration => match parse_duration(text) {
                Ok(ms) => ((ms / 1000) as f64 + (ms % 1000) as f64 / 1000.0, true),
                Err(error) => return self.error(token.span, error.to_string()),
            },
            _ => return Err(Failure::Unexpected),
        };
        self.advance();
        Ok(NumberLiteral { value, is_duration, span: token.span })
    }

    fn string_literal(&mut self) -> Parsed<StringLiteral> {
        let token = self.expect(TokenKind::String)?;
        Ok(StringLiteral { value: self.unquoted(token)?, span: token.span })
    }

    /// The meaning of a string token.
    fn unquoted(&self, token: Token) -> Parsed<String> {
        let quoted = self.slice(token);
        unquote(quoted).or_else(|error| {
            use crate::model::labels::Quoted;
            self.error(token.span, format!("error unquoting string {}: {error}", Quoted(quoted)))
        })
    }

    /// Whether an expression can begin with the current token.
    fn starts_expression(&self) -> bool {
        match self.kind() {
            TokenKind::Number
            | TokenKind::Duration
            | TokenKind::String
            | TokenKind::LeftParen
            | TokenKind::LeftBrace
            | TokenKind::Operator(BinaryOp::Add | BinaryOp::Sub) => true,
            kind => selector::is_metric_name(kind),
        }
    }
}
