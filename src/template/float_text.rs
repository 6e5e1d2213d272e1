//! Floating-point numbers as Go's `strconv.FormatFloat` writes them.
//!
//! In: numbers without sign, finite. Out: their digits.

use crate::model::decimal::{self, Shortest};

/// `1.5e+06`: with `precision` digits behind the point, or the fewest that tell it apart.
pub fn exponent(number: f64, precision: Option<usize>) -> String {
    let Some(digits) = precision else { return decimal::exponent(number) };
    let text = format!("{number:.digits$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, magnitude) = match exponent.strip_prefix('-') {
        Some(magnitude) => ('-', magnitude),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{magnitude:0>2}")
}

/// `1500000.0`: with `precision` digits behind the point, or the fewest that tell it apart.
pub fn fixed(number: f64, precision: Option<usize>) -> String {
    match precision {
        Some(digits) => format!("{number:.digits$}"),
        None => decimal::plain(number),
    }
}

/// The exponent of ten of the first digit when written with `digits` significant ones.
fn decimal_exponent(number: f64, digits: Option<usize>) -> i32 {
    let Some(digits) = digits else { return Shortest::of(number).exponent() };
    let text = format!("{number:.*e}", digits.saturating_sub(1));
    text.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0)
}

/// The shorter of both: with exponent if that is below -4, or not below the number of digits
/// (6 when the fewest digits are asked for). Without zeros at the end.
pub fn general(number: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else {
        let at = decimal_exponent(number, None);
        return match (-4..6).contains(&at) {
            true => fixed(number, None),
            false => exponent(number, None),
        };
    };
    let precision = precision.max(1);
    let at = decimal_exponent(number, Some(precision));
    let digits = i32::try_from(precision).unwrap_or(i32::MAX);
    if at < -4 || at >= digits {
        let text = exponent(number, Some(precision - 1));
        let (mantissa, power) = text.split_once('e').unwrap_or((&text, ""));
        return format!("{}e{power}", without_zeros(mantissa));
    }
    let behind = usize::try_from(digits - 1 - at).unwrap_or(0);
    without_zeros(&fixed(number, Some(behind))).to_owned()
}

/// As [`general`] with zeros at the end up to `precision` digits, six unless told otherwise.
pub fn general_with_zeros(number: f64, precision: Option<usize>) -> String {
    let text = general(number, precision);
    let (mantissa, power) = match text.split_once('e') {
        Some((mantissa, power)) => (mantissa, format!("e{power}")),
        None => (text.as_str(), String::new()),
    };
    let digits = mantissa.trim_start_matches(['0', '.']).bytes().filter(u8::is_ascii_digit);
    let missing = precision.unwrap_or(6).max(1).saturating_sub(digits.count().max(1));
    let point = if mantissa.contains('.') { "" } else { "." };
    format!("{mantissa}{point}{}{power}", "0".repeat(missing))
}

fn without_zeros(text: &str) -> &str {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    }
}

/// `0x1.8p+01`: the exact value.
pub fn hex(number: f64) -> String {
    if number == 0.0 {
        return "0x0p+00".to_owned();
    }
    let bits = number.to_bits();
    let (mut power, mut mantissa) = ((bits >> 52) as i32 & 0x7ff, bits & ((1 << 52) - 1));
    if power == 0 {
        let shift = mantissa.leading_zeros() as i32 - 11;
        (power, mantissa) = (1 - shift, (mantissa << shift) & ((1 << 52) - 1));
    }
    let digits = format!("{mantissa:013x}");
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    let power = power - 1023;
    format!("0x1{point}{digits}p{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

/// `6755399441055744p-52`: the exact value as a whole number times a power of two.
pub fn binary(number: f64) -> String {
    let bits = number.to_bits();
    let (power, mantissa) = ((bits >> 52) as i32 & 0x7ff, bits & ((1 << 52) - 1));
    match power {
        0 => format!("{mantissa}p-1074"),
        _ => format!("{}p{:+}", mantissa | 1 << 52, power - 1075),
    }
}
