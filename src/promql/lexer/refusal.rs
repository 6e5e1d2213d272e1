//! The error of the lexer's parsers, and the parsers that only raise it.

use nom::error::{ErrorKind, ParseError};
use nom::{IResult, Parser};

use super::text::QuotedChar;

/// What a parser over text gives: the rest and its output.
pub(super) type Read<'a, O> = IResult<&'a str, O, Refusal<'a>>;

/// Text that is not what was expected there.
#[derive(Debug)]
pub(super) struct Refusal<'a> {
    /// Where reading stopped.
    pub rest: &'a str,
    /// Why; empty when another alternative may fit.
    pub message: String,
    /// Whether the error is reported where reading stopped, not where the token begins.
    pub behind: bool,
}

impl<'a> Refusal<'a> {
    pub fn new(rest: &'a str, message: impl Into<String>) -> Refusal<'a> {
        Refusal { rest, message: message.into(), behind: false }
    }

    /// The error reported where reading stopped.
    pub fn behind(rest: &'a str, message: impl Into<String>) -> Refusal<'a> {
        Refusal { behind: true, ..Refusal::new(rest, message) }
    }

    /// No alternative can fit.
    pub fn fatal<O>(self) -> Read<'a, O> {
        Err(nom::Err::Failure(self))
    }

    /// The refusal in nom's error. All parsers here have the whole text: none asks for more.
    pub fn of(error: nom::Err<Refusal<'a>>) -> Refusal<'a> {
        match error {
            nom::Err::Error(refusal) | nom::Err::Failure(refusal) => refusal,
            nom::Err::Incomplete(_) => Refusal::new("", "unexpected end of input"),
        }
    }
}

impl<'a> ParseError<&'a str> for Refusal<'a> {
    fn from_error_kind(input: &'a str, _: ErrorKind) -> Refusal<'a> {
        Refusal { rest: input, message: String::new(), behind: false }
    }

    fn append(_: &'a str, _: ErrorKind, other: Refusal<'a>) -> Refusal<'a> {
        other
    }
}

/// Refuses whatever comes.
pub(super) fn refuse<'a, O>(
    message: &'static str,
) -> impl Parser<&'a str, Output = O, Error = Refusal<'a>> {
    move |input: &'a str| Refusal::new(input, message).fatal()
}

/// Refuses the next character and shows it between `before` and `after`.
pub(super) fn refuse_char<'a, O>(
    before: &'static str,
    after: &'static str,
) -> impl Parser<&'a str, Output = O, Error = Refusal<'a>> {
    move |input: &'a str| {
        let mut chars = input.chars();
        let shown = QuotedChar(chars.next());
        Refusal::new(chars.as_str(), format!("{before}{shown}{after}")).fatal()
    }
}
