//! What the grammar is made of: tokens as nom's input, its error, and the smallest parsers.

use std::cell::Cell;
use std::{iter, slice};

use nom::branch::alt;
use nom::combinator::peek;
use nom::error::{ContextError, ErrorKind, ParseError as NomError};
use nom::multi::many_till;
use nom::sequence::terminated;
use nom::{IResult, Input, Needed, Parser};

use super::error_at;
use crate::model::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX};
use crate::promql::ast::Span;
use crate::promql::error::ParseError;
use crate::promql::features::Features;
use crate::promql::lexer::{Described, Keyword, Lexed, Token, TokenKind, lex};

/// A text, its tokens and what may occur in it.
pub(super) struct Query<'a> {
    text: &'a str,
    lexed: Lexed,
    pub features: &'a Features,
    /// Most levels it may be nested.
    depth_max: usize,
    /// Whether it turned out to be nested more deeply.
    too_deep: Cell<bool>,
}

impl<'a> Query<'a> {
    /// Splits the text into tokens. It may be nested at most `depth_max` levels.
    ///
    /// # Errors
    /// The text is too long.
    pub fn new(
        text: &'a str,
        features: &'a Features,
        depth_max: usize,
    ) -> Result<Query<'a>, ParseError> {
        if text.len() > EXPRESSION_BYTES_MAX {
            let bytes = text.len();
            let message = format!(
                "expression has {bytes} bytes, at most {EXPRESSION_BYTES_MAX} are accepted"
            );
            return Err(error_at(text, Span::default(), message));
        }
        let too_deep = Cell::new(false);
        Ok(Query { text, lexed: lex(text), features, depth_max, too_deep })
    }

    /// Whether it was refused because it is nested too deeply.
    pub fn is_too_deep(&self) -> bool {
        self.too_deep.get()
    }

    /// All its tokens.
    pub fn tokens(&self) -> Tokens<'_> {
        let end = u32::try_from(self.lexed.tokens.len()).expect("BUG: tokens are counted by bytes");
        Tokens { query: self, position: 0, end, depth: 0 }
    }

    /// Runs `parser`, which must read the whole text.
    pub fn read<'q, O>(
        &'q self,
        parser: impl Parser<Tokens<'q>, Output = O, Error = Failure>,
    ) -> Result<O, ParseError> {
        let failure = match terminated(parser, token(TokenKind::End)).parse(self.tokens()) {
            Ok((_, output)) => return Ok(output),
            Err(nom::Err::Error(failure) | nom::Err::Failure(failure)) => failure,
            // Not from parsers that have all tokens.
            Err(nom::Err::Incomplete(_)) => Failure::Unexpected(0),
        };
        Err(match failure {
            Failure::Unexpected(position) => self.unexpected(position, "", ""),
            Failure::Named(named) => self.unexpected(named.position, named.context, named.expected),
            Failure::Other(error) => *error,
        })
    }

    /// The token at that position, `End` past the last one.
    fn token(&self, position: u32) -> Token {
        let end = self.lexed.tokens.last().map_or(0, |token| token.span.end);
        let past = Token { kind: TokenKind::End, span: Span { start: end, end } };
        self.lexed.tokens.get(position as usize).copied().unwrap_or(past)
    }

    fn unexpected(&self, position: u32, context: &str, expected: &str) -> ParseError {
        let token = self.token(position);
        if token.kind == TokenKind::Error {
            return error_at(self.text, token.span, self.lexed.error.clone());
        }
        let described = Described { kind: token.kind, text: self.slice(token.span) };
        let mut message = format!("unexpected {described}");
        if !context.is_empty() {
            message = format!("{message} in {context}");
        }
        if !expected.is_empty() {
            message = format!("{message}, expected {expected}");
        }
        error_at(self.text, token.span, message)
    }

    fn slice(&self, span: Span) -> &str {
        &self.text[span.start as usize..span.end as usize]
    }
}

/// The tokens that have not been read: what the grammar's parsers take. Small, as is the error:
/// every parser on the way into a deeply nested expression has some of them on its stack.
#[derive(Clone, Copy)]
pub(super) struct Tokens<'a> {
    pub query: &'a Query<'a>,
    /// The next token.
    position: u32,
    /// One past the last token.
    end: u32,
    /// How many constructs are open.
    depth: u32,
}

/// What a parser over tokens gives: the rest and its output.
pub(super) type Parsed<'a, O> = IResult<Tokens<'a>, O, Failure>;

/// Why a construct could not be read.
pub(super) enum Failure {
    /// The token at this position does not fit.
    Unexpected(u32),
    /// Likewise, and more is known.
    Named(Box<Named>),
    /// Anything that has a text already.
    Other(Box<ParseError>),
}

/// A token that does not fit.
pub(super) struct Named {
    position: u32,
    /// What it was found in; empty when nobody has said so.
    context: &'static str,
    /// What might stand there; empty when nobody has said so.
    expected: &'static str,
}

impl<'a> NomError<Tokens<'a>> for Failure {
    fn from_error_kind(input: Tokens<'a>, _: ErrorKind) -> Failure {
        Failure::Unexpected(input.position)
    }

    fn append(_: Tokens<'a>, _: ErrorKind, other: Failure) -> Failure {
        other
    }

    /// Of two alternatives, the one that came further knows better.
    fn or(self, other: Failure) -> Failure {
        match (self.position(), other.position()) {
            (Some(earlier), Some(later)) if earlier > later => self,
            _ => other,
        }
    }
}

impl Failure {
    /// Which token does not fit.
    fn position(&self) -> Option<u32> {
        match self {
            Failure::Unexpected(position) => Some(*position),
            Failure::Named(named) => Some(named.position),
            Failure::Other(_) => None,
        }
    }
}

/// `context("label matching", parser)` names the construct an unexpected token was found in; the
/// innermost construct counts.
impl<'a> ContextError<Tokens<'a>> for Failure {
    fn add_context(_: Tokens<'a>, name: &'static str, other: Failure) -> Failure {
        match other {
            Failure::Unexpected(position) => {
                Failure::Named(Box::new(Named { position, context: name, expected: "" }))
            }
            Failure::Named(mut named) => {
                named.context = if named.context.is_empty() { name } else { named.context };
                Failure::Named(named)
            }
            Failure::Other(error) => Failure::Other(error),
        }
    }
}

impl<'a> Tokens<'a> {
    /// The next token.
    pub fn first(&self) -> Token {
        self.query.token(self.position)
    }

    /// What the next token is, and the one behind it.
    pub fn kinds(&self) -> (TokenKind, TokenKind) {
        (self.first().kind, self.query.token(self.position + 1).kind)
    }

    /// Where the last token that has been read ends.
    pub fn read_to(&self) -> u32 {
        self.position.checked_sub(1).map_or(0, |last| self.query.token(last).span.end)
    }

    /// The next token does not fit; another alternative may.
    pub fn unexpected<O>(&self) -> Parsed<'a, O> {
        Err(nom::Err::Error(Failure::Unexpected(self.position)))
    }

    fn as_slice(&self) -> &'a [Token] {
        &self.query.lexed.tokens[self.position as usize..self.end as usize]
    }

    /// Where the next token starts.
    pub fn start(&self) -> u32 {
        self.first().span.start
    }

    /// The text of a token.
    pub fn slice(&self, token: Token) -> &'a str {
        self.query.slice(token.span)
    }

    /// An error about `span` after which no alternative is tried.
    pub fn fail<O>(&self, span: Span, message: impl Into<String>) -> Parsed<'a, O> {
        let error = error_at(self.query.text, span, message);
        Err(nom::Err::Failure(Failure::Other(Box::new(error))))
    }

    /// Likewise, about something that is complete only when the token behind it has been seen, which
    /// is the next one: what the lexer has to say about that comes first.
    pub fn fail_behind<O>(&self, span: Span, message: impl Into<String>) -> Parsed<'a, O> {
        match self.first().kind {
            TokenKind::Error => Err(nom::Err::Failure(Failure::Unexpected(self.position))),
            _ => self.fail(span, message),
        }
    }

    /// One level more around something of `depth` levels.
    pub fn deeper(&self, depth: u32) -> Result<u32, nom::Err<Failure>> {
        if (depth as usize) < self.query.depth_max {
            return Ok(depth + 1);
        }
        self.query.too_deep.set(true);
        let message = format!("expression is nested more than {EXPRESSION_DEPTH_MAX} levels deep");
        let error = error_at(self.query.text, self.first().span, message);
        Err(nom::Err::Failure(Failure::Other(Box::new(error))))
    }
}

impl<'a> Input for Tokens<'a> {
    type Item = Token;
    type Iter = iter::Copied<slice::Iter<'a, Token>>;
    type IterIndices = iter::Enumerate<Self::Iter>;

    fn input_len(&self) -> usize {
        self.end.saturating_sub(self.position) as usize
    }

    fn take(&self, index: usize) -> Self {
        let end = self.position + self.as_slice()[..index].len() as u32;
        Tokens { end, ..*self }
    }

    fn take_from(&self, index: usize) -> Self {
        let position = self.end - self.as_slice()[index..].len() as u32;
        Tokens { position, ..*self }
    }

    fn take_split(&self, index: usize) -> (Self, Self) {
        (self.take_from(index), self.take(index))
    }

    fn position<P: Fn(Token) -> bool>(&self, predicate: P) -> Option<usize> {
        self.as_slice().iter().position(|token| predicate(*token))
    }

    fn iter_elements(&self) -> Self::Iter {
        self.as_slice().iter().copied()
    }

    fn iter_indices(&self) -> Self::IterIndices {
        self.iter_elements().enumerate()
    }

    fn slice_index(&self, count: usize) -> Result<usize, Needed> {
        let missing = count.saturating_sub(self.input_len());
        if missing == 0 { Ok(count) } else { Err(Needed::new(missing)) }
    }
}

/// A token that `pick` makes something of.
pub(super) fn select<'a, O>(
    pick: impl Fn(TokenKind) -> Option<O>,
) -> impl Parser<Tokens<'a>, Output = O, Error = Failure> {
    move |input: Tokens<'a>| match pick(input.first().kind) {
        Some(output) => Ok((Tokens { position: input.position + 1, ..input }, output)),
        None => input.unexpected(),
    }
}

/// A token of one of the kinds `test` accepts.
pub(super) fn satisfy<'a>(
    test: impl Fn(TokenKind) -> bool,
) -> impl Parser<Tokens<'a>, Output = Token, Error = Failure> {
    move |input: Tokens<'a>| {
        let token = input.first();
        select(|kind| test(kind).then_some(token)).parse(input)
    }
}

/// A token of this kind.
pub(super) fn token<'a>(
    kind: TokenKind,
) -> impl Parser<Tokens<'a>, Output = Token, Error = Failure> {
    satisfy(move |found| found == kind)
}

/// This word.
pub(super) fn keyword<'a>(
    word: Keyword,
) -> impl Parser<Tokens<'a>, Output = Token, Error = Failure> {
    token(TokenKind::Keyword(word))
}

/// Says what might have stood there when `parser` meets an unexpected token, unless a parser
/// inside it has said so.
pub(super) fn expect<'a, O>(
    what: &'static str,
    mut parser: impl Parser<Tokens<'a>, Output = O, Error = Failure>,
) -> impl Parser<Tokens<'a>, Output = O, Error = Failure> {
    let name = move |failure| match failure {
        Failure::Unexpected(position) => {
            Failure::Named(Box::new(Named { position, context: "", expected: what }))
        }
        named => named,
    };
    move |input| parser.parse(input).map_err(|error: nom::Err<Failure>| error.map(name))
}

/// What `parser` reads and where it stands, from its first token to its last.
pub(super) fn spanned<'a, O>(
    mut parser: impl Parser<Tokens<'a>, Output = O, Error = Failure>,
) -> impl Parser<Tokens<'a>, Output = (O, Span), Error = Failure> {
    move |input: Tokens<'a>| {
        let (rest, output) = parser.parse(input)?;
        Ok((rest, (output, Span { start: input.start(), end: rest.read_to() })))
    }
}

/// What `parser` reads, one level deeper.
pub(super) fn nested<'a, O>(
    mut parser: impl Parser<Tokens<'a>, Output = O, Error = Failure>,
) -> impl Parser<Tokens<'a>, Output = O, Error = Failure> {
    move |input: Tokens<'a>| {
        let inside = Tokens { depth: input.deeper(input.depth)?, ..input };
        let (rest, output) = parser.parse(inside)?;
        Ok((Tokens { depth: input.depth, ..rest }, output))
    }
}

/// A `first` and any number of `next`, each joined to all that stands before it.
pub(super) fn chain<'a, T, N>(
    mut first: impl Parser<Tokens<'a>, Output = T, Error = Failure>,
    mut next: impl Parser<Tokens<'a>, Output = N, Error = Failure>,
    join: impl Fn(Tokens<'a>, T, N) -> Parsed<'a, T>,
) -> impl Parser<Tokens<'a>, Output = T, Error = Failure> {
    move |input| {
        let (mut rest, mut whole) = first.parse(input)?;
        loop {
            match next.parse(rest) {
                Ok((after, part)) => (rest, whole) = join(after, whole, part)?,
                Err(nom::Err::Error(_)) => return Ok((rest, whole)),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Items up to `close`, with commas between them and perhaps one behind the last; `expected` says
/// what may follow an item.
pub(super) fn list<'a, O>(
    item: impl Parser<Tokens<'a>, Output = O, Error = Failure>,
    close: TokenKind,
    expected: &'static str,
) -> impl Parser<Tokens<'a>, Output = Vec<O>, Error = Failure> {
    let separator = alt((token(TokenKind::Comma), peek(token(close))));
    many_till(terminated(item, expect(expected, separator)), token(close)).map(|(items, _)| items)
}
