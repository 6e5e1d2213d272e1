//! Numbers and durations: where they end, and what they mean.

use std::fmt;

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::take_while1;
use nom::character::complete::{anychar, char, digit1, one_of, satisfy};
use nom::combinator::{cond, cut, not, opt, peek, success, value};
use nom::multi::many0_count;
use nom::sequence::preceded;

use crate::model::labels::Quoted;

use super::TokenKind;
use super::piece::{is_alphanumeric, is_digit};
use super::refusal::{Read, Refusal};

/// A number or a duration. Which text is one is decided as Prometheus decides it, by looking for a
/// number first and, where that ended, for units.
pub(super) fn number_or_duration(input: &str) -> Read<'_, TokenKind> {
    peek((opt(char('.')), satisfy(is_digit))).parse(input)?;
    let units = match number(input) {
        Ok((rest, ())) => return Ok((rest, TokenKind::Number)),
        Err(stopped) => Refusal::of(stopped).rest,
    };
    let stopped = match rest_of_duration(units) {
        Ok((rest, ())) => return Ok((rest, TokenKind::Duration)),
        Err(stopped) => Refusal::of(stopped).rest,
    };
    let seen = &input[..input.len() - stopped.len()];
    Refusal::new(stopped, format!("bad number or duration syntax: {}", Quoted(seen))).fatal()
}

/// Characters that no number has behind an exponent, its sign or an underscore.
const MARKS: &str = "._eE";

/// Decimal, hexadecimal and floating-point numbers. What it accepts is not necessarily a number;
/// [`parse_number`] decides. What it refuses may still be the start of a duration.
fn number(input: &str) -> Read<'_, ()> {
    let (rest, prefix) = opt((char('0'), opt(one_of("xX")))).parse(input)?;
    let hexadecimal = matches!(prefix, Some((_, Some(_))));
    let is_digit = move |c: char| is_digit(c) || hexadecimal && c.is_ascii_hexdigit();
    let start = (cond(hexadecimal, opt(char('_'))), opt(char('.')), opt(satisfy(is_digit)));
    let point = (once("."), end_at("_."), cond(hexadecimal, end));
    let exponent = (once("eE"), opt(one_of("+-")), end_at(MARKS), cut(peek(anychar)));
    let underscore = (char('_'), end_at(MARKS), cut(peek(anychar)));
    let part = alt((
        value((), digit1),
        value((), point),
        value((), exponent),
        value((), underscore),
        value((), take_while1(is_digit)),
    ));
    value((), (start, many0_count(part), not(satisfy(is_alphanumeric)))).parse(rest)
}

/// One of `set`, which ends the number when it comes again.
fn once<'a>(set: &'static str) -> impl Parser<&'a str, Output = (), Error = Refusal<'a>> {
    let mut seen = false;
    move |input: &'a str| {
        let (rest, _) = one_of(set).parse(input)?;
        if std::mem::replace(&mut seen, true) { end(rest) } else { Ok((rest, ())) }
    }
}

/// Nothing, unless one of `set` follows: then the number ends behind it.
fn end_at<'a>(set: &'static str) -> impl Parser<&'a str, Output = (), Error = Refusal<'a>> {
    alt((preceded(one_of(set), end), success(())))
}

/// What has been read so far is no number.
fn end(rest: &str) -> Read<'_, ()> {
    Refusal::new(rest, "").fatal()
}

/// Units and further numbers behind the first number of a duration. Whether the units are known
/// and in order is decided by [`parse_duration_ms`](crate::model::parse_duration_ms).
fn rest_of_duration(input: &str) -> Read<'_, ()> {
    let unit = |units: &'static str| (one_of(units), opt(char('s')));
    let more = (digit1, cut(unit("smhdw")));
    let over = preceded(satisfy(is_alphanumeric), end);
    value((), (unit("smhdwy"), many0_count(more), alt((over, success(()))))).parse(input)
}

/// Text that is no number or duration; displays the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberError(String);

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NumberError {}

/// The value of a number: an integer (`0x` hexadecimal, leading `0` octal) if it is one, else a
/// floating-point number. Underscores may separate digits. `Inf` and `NaN` match in any case; a
/// sign may come first.
///
/// # Errors
/// Not a number, or too large for a finite float.
pub fn parse_number(text: &str) -> Result<f64, NumberError> {
    let bad =
        |why: &str| NumberError(format!("strconv.ParseFloat: parsing {}: {why}", Quoted(text)));
    if !underscores_separate_digits(text) {
        return Err(bad("invalid syntax"));
    }
    let plain = text.replace('_', "");
    if let Some(integer) = parse_integer(&plain) {
        return Ok(integer as f64);
    }
    let unsigned = plain.trim_start_matches(['+', '-']);
    let infinite = ["inf", "infinity"].iter().any(|name| unsigned.eq_ignore_ascii_case(name));
    let value: f64 = plain.parse().map_err(|_| bad("invalid syntax"))?;
    if value.is_infinite() && !infinite {
        return Err(bad("value out of range"));
    }
    // The sign of a NaN says nothing; give the one NaN everybody has.
    Ok(if value.is_nan() { f64::NAN } else { value })
}

fn underscores_separate_digits(text: &str) -> bool {
    let prefixed = text.len() >= 2 && matches!(&text.as_bytes()[..2], b"0x" | b"0X");
    let body = if prefixed { &text.as_bytes()[2..] } else { text.as_bytes() };
    let is_digit = |b: u8| b.is_ascii_digit() || prefixed && b.is_ascii_hexdigit();
    let mut after_digit = prefixed;
    let mut after_underscore = false;
    for &b in body {
        if b == b'_' {
            if !after_digit {
                return false;
            }
        } else if after_underscore && !is_digit(b) {
            return false;
        }
        after_underscore = b == b'_';
        after_digit = is_digit(b);
    }
    !after_underscore
}

/// An integer whose base its prefix tells, as Go's `strconv.ParseInt(s, 0, 64)`.
fn parse_integer(text: &str) -> Option<i64> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = body.to_ascii_lowercase();
    let (digits, base) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let signed = if negative { format!("-{digits}") } else { digits.to_owned() };
    i64::from_str_radix(&signed, base).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        let good = [
            ("1", 1.0),
            ("1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("0x1f", 31.0),
            ("0X_1f", 31.0),
            ("010", 8.0),
            ("08", 8.0),
            ("1_000", 1000.0),
            ("1_0.5_0", 10.5),
            ("+7", 7.0),
            ("-0x10", -16.0),
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
        ];
        for (text, value) in good {
            assert_eq!(parse_number(text), Ok(value), "{text}");
        }
        assert!(parse_number("nAn").is_ok_and(f64::is_nan));
        assert_eq!(parse_number("-inf"), Ok(f64::NEG_INFINITY));
        for text in ["", "0x", "1__0", "_1", "1_", "x", "1e999"] {
            assert!(parse_number(text).is_err(), "{text}");
        }
        assert_eq!(
            parse_number("1e999").map_err(|e| e.to_string()),
            Err("strconv.ParseFloat: parsing \"1e999\": value out of range".to_owned())
        );
    }
}
