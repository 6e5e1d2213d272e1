//! Quoted text: scanning it, and what it means without quotes and escapes.

use std::fmt;

use super::{Kind, Lexer, TokenKind};

/// What an invalid character in a text looks like to a decoder; refused as Prometheus refuses it.
const INVALID: char = '\u{fffd}';

impl Lexer<'_> {
    /// A string whose opening `quote` has been read.
    pub(super) fn string(&mut self, quote: char) -> Kind {
        let raw = quote == '`';
        loop {
            match self.next() {
                Some('\\') if !raw => self.escape(quote)?,
                Some(INVALID) => return Err("invalid UTF-8 rune".to_owned()),
                None if raw => return Err("unterminated raw string".to_owned()),
                None => return Err("unterminated quoted string".to_owned()),
                Some('\n') if !raw => return Err("unterminated quoted string".to_owned()),
                Some(c) if c == quote => return Ok(TokenKind::String),
                Some(_) => {}
            }
        }
    }

    /// An escape sequence whose backslash has been read.
    fn escape(&mut self, quote: char) -> Result<(), String> {
        const NOT_TERMINATED: &str = "escape sequence not terminated";
        let Some(c) = self.next() else { return Err(NOT_TERMINATED.to_owned()) };
        let (digits, base, max) = match c {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            c if c == quote => return Ok(()),
            '0'..='7' => {
                self.pos -= 1;
                (3, 8, 255)
            }
            'x' => (2, 16, 255),
            'u' => (4, 16, char::MAX as u32),
            'U' => (8, 16, char::MAX as u32),
            c => return Err(format!("unknown escape sequence {}", CodePoint(c))),
        };
        let mut value = 0u32;
        for _ in 0..digits {
            let Some(c) = self.next() else { return Err(NOT_TERMINATED.to_owned()) };
            let Some(digit) = c.to_digit(base) else {
                return Err(format!("illegal character {} in escape sequence", CodePoint(c)));
            };
            value = value.wrapping_mul(base).wrapping_add(digit);
        }
        if value > max || (0xd800..0xe000).contains(&value) {
            return Err("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }
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
/// The quotes do not match, or an escape is not one of PromQL's.
pub fn unquote(quoted: &str) -> Result<String, UnquoteError> {
    let quote = quoted.chars().next().ok_or(UnquoteError)?;
    let inner = quoted
        .strip_prefix(['"', '\'', '`'])
        .and_then(|rest| rest.strip_suffix(quote))
        .ok_or(UnquoteError)?;
    if quote == '`' {
        return if inner.contains('`') { Err(UnquoteError) } else { Ok(inner.to_owned()) };
    }
    if inner.contains('\n') {
        return Err(UnquoteError);
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => unescape(&mut chars, quote, &mut bytes)?,
            c if c == quote => return Err(UnquoteError),
            c => push_char(&mut bytes, c),
        }
    }
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn unescape(
    chars: &mut std::str::Chars<'_>,
    quote: char,
    bytes: &mut Vec<u8>,
) -> Result<(), UnquoteError> {
    let c = chars.next().ok_or(UnquoteError)?;
    match c {
        'a' => bytes.push(0x07),
        'b' => bytes.push(0x08),
        'f' => bytes.push(0x0c),
        'n' => bytes.push(b'\n'),
        'r' => bytes.push(b'\r'),
        't' => bytes.push(b'\t'),
        'v' => bytes.push(0x0b),
        '\\' => bytes.push(b'\\'),
        c if c == quote => push_char(bytes, c),
        'x' => bytes.push(byte(digits(chars, 0, 2, 16)?)?),
        'u' => push_char(bytes, char::from_u32(digits(chars, 0, 4, 16)?).ok_or(UnquoteError)?),
        'U' => push_char(bytes, char::from_u32(digits(chars, 0, 8, 16)?).ok_or(UnquoteError)?),
        '0'..='7' => {
            let first = c.to_digit(8).ok_or(UnquoteError)?;
            bytes.push(byte(digits(chars, first, 2, 8)?)?);
        }
        _ => return Err(UnquoteError),
    }
    Ok(())
}

fn digits(
    chars: &mut std::str::Chars<'_>,
    first: u32,
    count: usize,
    base: u32,
) -> Result<u32, UnquoteError> {
    let mut value = first;
    for _ in 0..count {
        let digit = chars.next().and_then(|c| c.to_digit(base)).ok_or(UnquoteError)?;
        value = value.checked_mul(base).and_then(|v| v.checked_add(digit)).ok_or(UnquoteError)?;
    }
    Ok(value)
}

fn byte(value: u32) -> Result<u8, UnquoteError> {
    u8::try_from(value).map_err(|_| UnquoteError)
}

fn push_char(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
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
        assert_eq!(unquote(r#""\'""#), Err(UnquoteError));
        assert_eq!(unquote(r#""\400""#), Err(UnquoteError));
        assert_eq!(unquote("\""), Err(UnquoteError));
        assert_eq!(unquote("\"a'"), Err(UnquoteError));
    }
}
