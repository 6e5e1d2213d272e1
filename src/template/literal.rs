//! Constants of a template as Go writes them: quoted texts, characters, numbers.

use super::ast::Number;
use super::format::quote;

/// The reason Go gives when a quoted text is none.
const BAD_SYNTAX: &str = "invalid syntax";

/// What a text in double quotes or backquotes means.
pub fn unquote(source: &str) -> Result<String, String> {
    if let Some(raw) = source.strip_prefix('`').and_then(|s| s.strip_suffix('`')) {
        return Ok(raw.replace('\r', ""));
    }
    let inner = source.strip_prefix('"').and_then(|s| s.strip_suffix('"')).ok_or(BAD_SYNTAX)?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        let (unit, behind) = unquote_char(rest, '"')?;
        match unit {
            Unit::Byte(b) => bytes.push(b),
            Unit::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = behind;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A character, or a byte given as `\x41` or `\101`.
enum Unit {
    Char(char),
    Byte(u8),
}

/// The first character of `text`, escapes resolved, and what follows.
fn unquote_char(text: &str, quote: char) -> Result<(Unit, &str), String> {
    let mut chars = text.chars();
    let bad = || BAD_SYNTAX.to_owned();
    let first = chars.next().ok_or_else(bad)?;
    if first == quote {
        return Err(bad());
    }
    if first != '\\' {
        return Ok((Unit::Char(first), chars.as_str()));
    }
    let kind = chars.next().ok_or_else(bad)?;
    let rest = chars.as_str();
    let plain = |c| Ok((Unit::Char(c), rest));
    match kind {
        'a' => plain('\x07'),
        'b' => plain('\x08'),
        'f' => plain('\x0c'),
        'n' => plain('\n'),
        'r' => plain('\r'),
        't' => plain('\t'),
        'v' => plain('\x0b'),
        '\\' => plain('\\'),
        c @ ('\'' | '"') if c == quote => plain(c),
        'x' => {
            let (value, behind) = digits(rest, 2, 16)?;
            Ok((Unit::Byte(u8::try_from(value).map_err(|_| bad())?), behind))
        }
        '0'..='7' => {
            let (value, behind) = digits(&text[1..], 3, 8)?;
            Ok((Unit::Byte(u8::try_from(value).map_err(|_| bad())?), behind))
        }
        'u' | 'U' => {
            let (value, behind) = digits(rest, if kind == 'u' { 4 } else { 8 }, 16)?;
            Ok((Unit::Char(char::from_u32(value).ok_or_else(bad)?), behind))
        }
        _ => Err(bad()),
    }
}

fn digits(text: &str, count: usize, radix: u32) -> Result<(u32, &str), String> {
    let number = text.get(..count).filter(|n| n.chars().all(|c| c.is_digit(radix)));
    let value = number.and_then(|n| u32::from_str_radix(n, radix).ok());
    value.map(|v| (v, &text[count..])).ok_or_else(|| BAD_SYNTAX.to_owned())
}

/// The number that a character constant such as `'a'` is.
pub fn character(source: &str) -> Result<Number, String> {
    let inner = source.strip_prefix('\'').ok_or(BAD_SYNTAX)?;
    let (unit, rest) = unquote_char(inner, '\'')?;
    if rest != "'" {
        return Err(format!("malformed character constant: {source}"));
    }
    let value = match unit {
        Unit::Byte(b) => i64::from(b),
        Unit::Char(c) => i64::from(u32::from(c)),
    };
    let float = Some(value as f64);
    Ok(Number { source: source.to_owned(), int: Some(value), float })
}

/// The number that `source` is: an integer if it is written as one or is one, and a float.
pub fn number(source: &str) -> Result<Number, String> {
    let whole = |int, float| Number { source: source.to_owned(), int, float };
    match integer(source) {
        Some(Integer::Fits(int)) => return Ok(whole(Some(int), Some(int as f64))),
        Some(Integer::Huge(float)) => return Ok(whole(None, Some(float))),
        None => {}
    }
    let looks_whole = !source.contains(['.', 'e', 'E', 'p', 'P']);
    match parse_float(source) {
        Some(_) if looks_whole => Err(format!("integer overflow: {}", quote(source))),
        Some(float) => {
            let is_whole = float.trunc() == float && float.abs() < 9.2e18;
            Ok(whole(is_whole.then_some(float as i64), Some(float)))
        }
        None => Err(format!("illegal number syntax: {}", quote(source))),
    }
}

enum Integer {
    Fits(i64),
    /// More than an `i64` and at most a `u64` holds.
    Huge(f64),
}

/// An integer with an optional base prefix and underscores, as Go's `ParseInt` with base 0.
fn integer(source: &str) -> Option<Integer> {
    let (is_negative, unsigned) = match source.as_bytes().first()? {
        b'-' => (true, &source[1..]),
        b'+' => (false, &source[1..]),
        _ => (false, source),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    if !underscores_fit(&lower) {
        return None;
    }
    let magnitude = u64::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    let signed = i128::from(magnitude) * if is_negative { -1 } else { 1 };
    match i64::try_from(signed) {
        Ok(value) => Some(Integer::Fits(value)),
        Err(_) if source.starts_with(['-', '+']) => None,
        Err(_) => Some(Integer::Huge(magnitude as f64)),
    }
}

/// Whether every underscore stands between digits, or between a base prefix and a digit.
fn underscores_fit(number: &str) -> bool {
    let bytes = number.as_bytes();
    let has_base = number.len() > 1 && bytes[0] == b'0' && bytes[1].is_ascii_alphabetic();
    let is_digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_hexdigit);
    bytes
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'_')
        .all(|(i, _)| i > 0 && is_digit(i + 1) && (is_digit(i - 1) || (has_base && i == 2)))
}

/// A floating-point number as Go's `ParseFloat` reads it: decimal or hexadecimal, `Inf`, `NaN`.
pub fn parse_float(text: &str) -> Option<f64> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let lower = unsigned.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" if unsigned.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    if let Some(digits) = lower.strip_prefix("0x") {
        return hex_float(digits).map(|v| sign * v);
    }
    let is_plain = lower.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let value: f64 = is_plain.then(|| lower.parse().ok()).flatten()?;
    value.is_finite().then_some(sign * value)
}

/// `1.8p3`: hexadecimal digits and a binary exponent, which has to be there.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let is_good = !digits.is_empty() && digits.len() <= 13;
    let value = u64::from_str_radix(is_good.then_some(digits.as_str())?, 16).ok()?;
    let shift = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    let exponent: i32 = exponent.parse().ok().filter(|e: &i32| e.abs() < 2000)?;
    Some(value as f64 * 2f64.powi(exponent.checked_sub(shift)?)).filter(|v| v.is_finite())
}
