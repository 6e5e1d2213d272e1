//! Quoted text: where it ends, and what it means without quotes and escapes.

use std::fmt;

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{take_till, take_while1};
use nom::character::complete::{anychar, char, one_of};
use nom::combinator::{all_consuming, cut, map, map_opt, peek, value};
use nom::multi::{fold_many_m_n, fold_many0, many0_count};
use nom::sequence::preceded;

use super::TokenKind;
use super::refusal::{Read, Refusal, refuse};

/// What an invalid character in a text looks like to a decoder; refused as Prometheus refuses it.
const INVALID: char = '\u{fffd}';

/// A string with its quotes: `"a\n"`, `'a'` or, without escapes, in backquotes.
pub(super) fn string(input: &str) -> Read<'_, TokenKind> {
    value(TokenKind::String, alt((raw, quoted('"'), quoted('\'')))).parse(input)
}

fn raw(input: &str) -> Read<'_, ()> {
    let body = take_till(|c| c == '`' || c == INVALID);
    value((), (char('`'), body, close('`', "unterminated raw string"))).parse(input)
}

fn quoted<'a>(quote: char) -> impl Parser<&'a str, Output = (), Error = Refusal<'a>> {
    let plain = take_while1(move |c| c != quote && !matches!(c, '\\' | '\n' | INVALID));
    let piece = alt((value((), plain), value((), escape(quote))));
    value((), (char(quote), many0_count(piece), close(quote, "unterminated quoted string")))
}

fn close<'a>(
    quote: char,
    unterminated: &'static str,
) -> impl Parser<&'a str, Output = (), Error = Refusal<'a>> {
    alt((
        value((), char(quote)),
        preceded(char(INVALID), refuse("invalid UTF-8 rune")),
        refuse(unterminated),
    ))
}

/// What an escape sequence stands for.
#[derive(Clone, Copy)]
enum Escaped {
    Char(char),
    Byte(u8),
}

/// A backslash and what belongs to it. The escapes are those of Go.
fn escape<'a>(quote: char) -> impl Parser<&'a str, Output = Escaped, Error = Refusal<'a>> {
    let sequence = alt((
        map(char(quote), Escaped::Char),
        map_opt(anychar, control),
        preceded(peek(one_of("01234567")), byte(3, 8)),
        preceded(char('x'), byte(2, 16)),
        preceded(char('u'), code_point(4)),
        preceded(char('U'), code_point(8)),
        unknown_escape,
    ));
    preceded(char('\\'), cut(sequence))
}

/// What a single letter, or a backslash, stands for.
fn control(letter: char) -> Option<Escaped> {
    let byte = match letter {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        _ => return None,
    };
    Some(Escaped::Byte(byte))
}

fn byte<'a>(
    count: usize,
    base: u32,
) -> impl Parser<&'a str, Output = Escaped, Error = Refusal<'a>> {
    coded(count, base, |number| u8::try_from(number).ok().map(Escaped::Byte))
}

fn code_point<'a>(count: usize) -> impl Parser<&'a str, Output = Escaped, Error = Refusal<'a>> {
    coded(count, 16, |number| char::from_u32(number).map(Escaped::Char))
}

/// `count` digits and what their number stands for.
fn coded<'a>(
    count: usize,
    base: u32,
    meaning: fn(u32) -> Option<Escaped>,
) -> impl Parser<&'a str, Output = Escaped, Error = Refusal<'a>> {
    let add = move |number: u32, digit| number.wrapping_mul(base).wrapping_add(digit);
    let digits = fold_many_m_n(count, count, digit(base), || 0, add);
    alt((map_opt(digits, meaning), refuse("escape sequence is an invalid Unicode code point")))
}

fn digit<'a>(base: u32) -> impl Parser<&'a str, Output = u32, Error = Refusal<'a>> {
    move |input: &'a str| {
        let Ok((rest, c)) = anychar::<_, Refusal<'a>>(input) else { return not_terminated(input) };
        match c.to_digit(base) {
            Some(digit) => Ok((rest, digit)),
            None => {
                Refusal::new(rest, format!("illegal character {} in escape sequence", CodePoint(c)))
                    .fatal()
            }
        }
    }
}

fn unknown_escape(input: &str) -> Read<'_, Escaped> {
    match anychar::<_, Refusal<'_>>(input) {
        Ok((rest, c)) => {
            Refusal::new(rest, format!("unknown escape sequence {}", CodePoint(c))).fatal()
        }
        Err(_) => not_terminated(input),
    }
}

fn not_terminated<O>(input: &str) -> Read<'_, O> {
    Refusal::new(input, "escape sequence not terminated").fatal()
}

/// A quoted text that does not follow the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnquoteError;

impl fmt::Display for UnquoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid syntax")
    }
}

impl std::error::Error for UnquoteError {}

/// The text between the quotes, escapes resolved. Bytes given by number (`\xff`) that are not
/// UTF-8 together become U+FFFD.
///
/// # Errors
/// As [`unquote_bytes`].
pub fn unquote(quoted: &str) -> Result<String, UnquoteError> {
    unquote_bytes(quoted).map(text_of)
}

/// Bytes as text; what is not UTF-8 becomes U+FFFD.
pub fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The bytes between the quotes, escapes resolved; not UTF-8 when some were given by number.
///
/// # Errors
/// The quotes do not match, or an escape is not one of PromQL's.
pub fn unquote_bytes(quoted: &str) -> Result<Vec<u8>, UnquoteError> {
    let quote = quoted.chars().next().ok_or(UnquoteError)?;
    let inner = quoted
        .strip_prefix(['"', '\'', '`'])
        .and_then(|rest| rest.strip_suffix(quote))
        .ok_or(UnquoteError)?;
    if quote == '`' {
        return if inner.contains('`') { Err(UnquoteError) } else { Ok(inner.into()) };
    }
    let (_, bytes) = all_consuming(content(quote)).parse(inner).map_err(|_| UnquoteError)?;
    Ok(bytes)
}

/// Everything between two quotes.
fn content<'a>(quote: char) -> impl Parser<&'a str, Output = Vec<u8>, Error = Refusal<'a>> {
    let plain = take_while1(move |c| c != quote && !matches!(c, '\\' | '\n'));
    let piece = alt((map(plain, Piece::Plain), map(escape(quote), Piece::Escaped)));
    fold_many0(piece, Vec::new, |mut bytes, piece| {
        match piece {
            Piece::Plain(text) => bytes.extend_from_slice(text.as_bytes()),
            Piece::Escaped(Escaped::Byte(byte)) => bytes.push(byte),
            Piece::Escaped(Escaped::Char(c)) => {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        bytes
    })
}

/// A part of a quoted text.
enum Piece<'a> {
    Plain(&'a str),
    Escaped(Escaped),
}

/// A character in single quotes, as error messages show it; `None` is the end of the text.
pub(super) struct QuotedChar(pub Option<char>);

impl fmt::Display for QuotedChar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => write!(f, "'{INVALID}'"),
            Some('\'') => f.write_str(r"'\''"),
            Some('"') => f.write_str("'\"'"),
            Some('\x07') => f.write_str(r"'\a'"),
            Some('\x08') => f.write_str(r"'\b'"),
            Some('\x0b') => f.write_str(r"'\v'"),
            Some('\x0c') => f.write_str(r"'\f'"),
            Some(c) if c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t') => {
                write!(f, "'\\x{:02x}'", c as u32)
            }
            Some(c) => match c.escape_debug().to_string() {
                escaped if escaped.starts_with("\\u{") => go_escape(f, c),
                escaped => write!(f, "'{escaped}'"),
            },
        }
    }
}

fn go_escape(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c as u32 {
        code @ 0..=0xffff => write!(f, "'\\u{code:04x}'"),
        code => write!(f, "'\\U{code:08x}'"),
    }
}

/// A character with its number: `U+0071 'q'`.
struct CodePoint(char);

impl fmt::Display for CodePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "U+{:04X}", self.0 as u32)?;
        if self.0.is_control() { Ok(()) } else { write!(f, " '{}'", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_go() {
        assert_eq!(unquote(r#""a\n\t\\\"b""#), Ok("a\n\t\\\"b".to_owned()));
        assert_eq!(unquote(r"'\x41\101\u00e9\U0001F30A'"), Ok("AA\u{e9}\u{1f30a}".to_owned()));
        assert_eq!(unquote("`a\\n`"), Ok("a\\n".to_owned()));
        assert_eq!(unquote(r#""\xc3\xa9""#), Ok("\u{e9}".to_owned()));
        assert_eq!(unquote_bytes(r#""\xff""#), Ok(vec![0xff]));
        assert_eq!(unquote(r#""\xff""#), Ok("\u{fffd}".to_owned()));
        assert_eq!(unquote(r#""\'""#), Err(UnquoteError));
        assert_eq!(unquote(r#""\400""#), Err(UnquoteError));
        assert_eq!(unquote("\""), Err(UnquoteError));
        assert_eq!(unquote("\"a'"), Err(UnquoteError));
    }
}
