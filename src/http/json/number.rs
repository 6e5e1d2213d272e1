//! Numbers as Prometheus writes them: values, times, and the `%g` of the text format.

use crate::model::decimal;

/// Appends a sample value: the shortest decimal that reads back the same, with an exponent only
/// below 1e-6 and from 1e21 on; `NaN`, `+Inf`, `-Inf`.
#[inline]
pub fn push_value(out: &mut Vec<u8>, value: f64) {
    let magnitude = value.abs();
    let integer = value as i64; // not rounded: that is a call on old processors
    if magnitude < INTEGER_EXACT_MAX && value == integer as f64 && !is_negative_zero(value) {
        push_integer(out, integer);
    } else if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        push_exponent(out, value);
    } else {
        push_plain(out, value);
    }
}

/// Below this magnitude an integral float converts to i64 without loss.
const INTEGER_EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Appends a value as the text exposition format writes it (`%g`, shortest): with an exponent below
/// 1e-4 and from 1e6 on.
pub fn push_general(out: &mut Vec<u8>, value: f64) {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e6).contains(&magnitude) {
        push_exponent(out, value);
    } else {
        push_plain(out, value);
    }
}

/// Appends the shortest decimal that reads back the same, never with an exponent.
pub fn push_plain(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() { decimal::push_plain(out, value) } else { push_special(out, value) }
}

/// Appends `d.ddde+XX` with at least two digits of exponent.
pub fn push_exponent(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() { decimal::push_exponent(out, value) } else { push_special(out, value) }
}

/// Appends a time in ms as seconds: the fraction has three digits or is absent.
#[inline]
pub fn push_timestamp(out: &mut Vec<u8>, ms: i64) {
    if ms < 0 {
        out.push(b'-');
    }
    let magnitude = ms.unsigned_abs();
    push_unsigned(out, magnitude / 1000);
    let fraction = (magnitude % 1000) as u16;
    if fraction != 0 {
        let digit = |n: u16| b'0' + (n % 10) as u8;
        out.extend_from_slice(&[
            b'.',
            digit(fraction / 100),
            digit(fraction / 10),
            digit(fraction),
        ]);
    }
}

/// Appends an integer.
#[inline]
pub fn push_integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends an integer without a sign.
#[inline]
pub fn push_unsigned(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn is_negative_zero(value: f64) -> bool {
    value == 0.0 && value.is_sign_negative()
}

fn push_special(out: &mut Vec<u8>, value: f64) {
    let text: &[u8] = if value.is_nan() {
        b"NaN"
    } else if value > 0.0 {
        b"+Inf"
    } else {
        b"-Inf"
    };
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn values_are_shortest_decimals() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (1e-6, "0.000001"),
            (9.99e-7, "9.99e-07"),
            (5e-324, "5e-324"),
            (123_456_789.0, "123456789"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.7976931348623157e308, "-1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(|out| push_value(out, value)), expected);
        }
    }

    #[test]
    fn general_format_switches_to_exponents_like_go() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (123_456.0, "123456"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (999_999.5, "999999.5"),
            (1e6, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(|out| push_general(out, value)), expected);
        }
    }

    #[test]
    fn timestamps_have_three_digits_of_fraction_or_none() {
        let cases = [
            (0, "0"),
            (1, "0.001"),
            (10, "0.010"),
            (100, "0.100"),
            (1001, "1.001"),
            (1000, "1"),
            (-1, "-0.001"),
            (1_435_781_451_781, "1435781451.781"),
            (i64::MIN, "-9223372036854775.808"),
        ];
        for (ms, expected) in cases {
            assert_eq!(text(|out| push_timestamp(out, ms)), expected);
        }
    }
}
