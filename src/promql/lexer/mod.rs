//! Query text to tokens.
//!
//! In: the text of an expression. Out: its tokens, ended by `End` or by `Error` with a message.
//! Never here: grammar. What a character means depends on where it stands (inside braces every
//! word is a label name, inside brackets only durations occur): `piece` has a parser for each such
//! place, and what is open decides which of them reads the next token. The places are the states
//! of Prometheus' `promql/parser/lex.go`, because its error texts depend on them.

mod number;
mod piece;
mod refusal;
mod text;
pub mod token;

pub use number::{NumberError, parse_number};
pub use text::{UnquoteError, text_of, unquote, unquote_bytes};
pub use token::{Described, Keyword, Token, TokenKind};

use super::ast::Span;
use refusal::{Read, Refusal};

/// The tokens of a text.
#[derive(Debug)]
pub struct Lexed {
    /// All tokens; the last one is `End` or `Error`.
    pub tokens: Vec<Token>,
    /// Why the last token is `Error`.
    pub error: String,
}

/// Splits `text` into tokens, up to the first thing that is none.
pub fn lex(text: &str) -> Lexed {
    let offset = |rest: &str| {
        u32::try_from(text.len() - rest.len()).expect("BUG: the parser refuses texts of 4 GiB")
    };
    let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
    let (mut rest, mut open) = (text, Open::default());
    loop {
        match open.next_token(rest) {
            Ok((after, (start, kind))) => {
                tokens
                    .push(Token { kind, span: Span { start: offset(start), end: offset(after) } });
                if kind == TokenKind::End {
                    return Lexed { tokens, error: String::new() };
                }
                rest = after;
            }
            Err(error) => {
                let Refusal { rest: end, message, behind } = Refusal::of(error);
                let start = if behind { end } else { open.skip_blank(rest) };
                let span = Span { start: offset(start), end: offset(end) };
                tokens.push(Token { kind: TokenKind::Error, span });
                return Lexed { tokens, error: message };
            }
        }
    }
}

/// What has been opened and not closed.
#[derive(Default)]
struct Open {
    parens: u32,
    braces: bool,
    bracket: Option<Bracket>,
    /// Whether there has been a number in brackets, these or earlier ones.
    duration_seen: bool,
}

/// An open `[`.
#[derive(Default)]
struct Bracket {
    /// Whether its first number has been read.
    has_number: bool,
    /// Whether its colon has been read.
    has_colon: bool,
}

/// The places in which characters have different meanings.
enum Place {
    Statement,
    Braces,
    /// In brackets, before the first number.
    Duration,
    /// In brackets, behind the first number.
    BehindDuration,
}

impl Open {
    fn place(&self) -> Place {
        match &self.bracket {
            _ if self.braces => Place::Braces,
            None => Place::Statement,
            Some(bracket) if bracket.has_number => Place::BehindDuration,
            Some(_) => Place::Duration,
        }
    }

    /// The next token, the text from its start on, and what follows it.
    fn next_token<'a>(&mut self, input: &'a str) -> Read<'a, (&'a str, TokenKind)> {
        let start = self.skip_blank(input);
        if start.is_empty() {
            return self.end_of_text(start);
        }
        let (rest, kind) = match self.place() {
            Place::Statement => piece::statement(start),
            Place::Braces => piece::matcher(start),
            Place::Duration => piece::duration(start),
            Place::BehindDuration => piece::behind_duration(start),
        }?;
        self.follow(kind, rest)?;
        Ok((rest, (start, kind)))
    }

    /// Where the next token begins. Where a duration is expected, there are no comments.
    fn skip_blank<'a>(&self, input: &'a str) -> &'a str {
        let blank = match self.place() {
            Place::Duration => piece::space(input),
            _ => piece::space_and_comments(input),
        };
        blank.map_or(input, |(rest, ())| rest)
    }

    fn end_of_text<'a>(&self, end: &'a str) -> Read<'a, (&'a str, TokenKind)> {
        let unclosed = match self.place() {
            Place::Braces => "unexpected end of input inside braces",
            Place::Duration => "unexpected end of input in duration expression",
            _ if self.parens != 0 => "unclosed left parenthesis",
            Place::BehindDuration => "unclosed left bracket",
            Place::Statement => return Ok((end, (end, TokenKind::End))),
        };
        Refusal::new(end, unclosed).fatal()
    }

    /// Opens or closes what the token opens or closes; `rest` follows it.
    fn follow<'a>(&mut self, kind: TokenKind, rest: &'a str) -> Result<(), nom::Err<Refusal<'a>>> {
        let refused = |refusal| Err(nom::Err::Failure(refusal));
        match (kind, &mut self.bracket) {
            (TokenKind::LeftBrace, _) => self.braces = true,
            (TokenKind::RightBrace, _) => self.braces = false,
            (TokenKind::LeftParen, _) => self.parens += 1,
            (TokenKind::RightParen, _) => match self.parens.checked_sub(1) {
                Some(parens) => self.parens = parens,
                None => return refused(Refusal::behind(rest, "unexpected right parenthesis ')'")),
            },
            (TokenKind::LeftBracket, None) => self.bracket = Some(Bracket::default()),
            (TokenKind::LeftBracket, Some(_)) => {
                return refused(Refusal::new(rest, "unexpected left bracket '['"));
            }
            (TokenKind::RightBracket, None) => {
                return refused(Refusal::new(rest, "unexpected right bracket ']'"));
            }
            (TokenKind::RightBracket, Some(_)) => self.bracket = None,
            (TokenKind::Colon, Some(bracket)) => {
                if let Some(refusal) = bracket.refused_colon(self.duration_seen, rest) {
                    return refused(refusal);
                }
                bracket.has_colon = true;
            }
            (TokenKind::Number | TokenKind::Duration, Some(bracket)) => {
                bracket.has_number = true;
                self.duration_seen = true;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Bracket {
    /// Why there may be no colon here.
    fn refused_colon<'a>(&self, duration_seen: bool, rest: &'a str) -> Option<Refusal<'a>> {
        if self.has_number {
            return self.has_colon.then(|| Refusal::new(rest, "unexpected colon ':'"));
        }
        let what = match (duration_seen, self.has_colon) {
            (false, _) => "unexpected colon before duration in duration expression",
            (true, true) => "unexpected repeated colon in duration expression",
            (true, false) => return None,
        };
        Some(Refusal::behind(rest, what))
    }
}
