//! Numbers the way Go computes and prints them, where the IEEE operations of Rust differ.

use crate::model::decimal::{self, Shortest};
pub(crate) use crate::model::histogram_sum::kahan_add;

/// The larger one; NaN unless the other is +Inf.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

/// The smaller one; NaN unless the other is -Inf.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { a } else { b }
    } else if a < b {
        a
    } else {
        b
    }
}

/// The quantile of `values` (NaN are the least), by linear interpolation; their order is changed.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let order = |a: &f64, b: &f64| {
        b.is_nan().cmp(&a.is_nan()).then(a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))
    };
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = (rank.floor().max(0.0) as usize).min(last);
    let weight = rank - rank.floor();
    let (_, low, above) = values.select_nth_unstable_by(lower, order);
    let low = *low;
    let high = above.iter().copied().min_by(order).unwrap_or(low);
    low * (1.0 - weight) + high * weight
}

/// Digits without trailing zeros and the decimal exponent of the first one.
fn digits(formatted: &str) -> (String, i32) {
    let (mantissa, exponent) = formatted.split_once('e').unwrap_or((formatted, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    (digits.to_owned(), exponent.parse().unwrap_or(0))
}

fn special(value: f64) -> Option<String> {
    if value.is_nan() {
        Some("NaN".to_owned())
    } else if value.is_infinite() {
        Some(if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned())
    } else {
        None
    }
}

fn layout(negative: bool, digits: &str, exponent: i32, precision: i32) -> String {
    let sign = if negative { "-" } else { "" };
    if exponent < -4 || exponent >= precision {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{exponent_sign}{:02}", exponent.abs());
    }
    if exponent < 0 {
        let zeros = "0".repeat((-exponent - 1) as usize);
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        format!("{sign}{digits}{}", "0".repeat(whole - digits.len()))
    } else {
        format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
    }
}

/// From this decimal exponent on Go's `%g` writes an exponent.
const GENERAL_EXPONENT_MIN: i32 = 6;

/// As Go's `%g`: the shortest digits that come back, with an exponent from 1e+06 on.
pub(crate) fn go_general(value: f64) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let shortest = Shortest::of(value);
    layout(value.is_sign_negative(), shortest.digits(), shortest.exponent(), GENERAL_EXPONENT_MIN)
}

/// As Go's `%.2g`.
pub(crate) fn go_general_2(value: f64) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let (digits, exponent) = digits(&format!("{value:.1e}"));
    layout(value.is_sign_negative(), &digits, exponent, 2)
}

/// As Go's `strconv.FormatFloat(value, 'f', -1, 64)`: never an exponent.
pub(crate) fn go_fixed(value: f64) -> String {
    special(value).unwrap_or_else(|| decimal::plain(value))
}

/// As OpenMetrics writes a float: `1.0`, not `1`.
pub(crate) fn open_metrics(value: f64) -> String {
    let text = go_general(value);
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if plain { format!("{text}.0") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compensated_sum_keeps_what_plain_addition_loses() {
        let add = |(sum, c), value| kahan_add(value, sum, c);
        let (sum, c) = [1.0, 1e100, 1.0, -1e100].into_iter().fold((0.0, 0.0), add);
        assert_eq!(sum + c, 2.0);
        assert_eq!([f64::INFINITY, 1.0].into_iter().fold((0.0, 0.0), add), (f64::INFINITY, 0.0));
    }

    #[test]
    fn quantile_interpolates_and_has_ends() {
        let mut values = [3.0, 1.0, 2.0];
        assert_eq!(quantile(0.5, &mut values), 2.0);
        assert_eq!(quantile(0.25, &mut values), 1.5);
        assert_eq!([0.0, 0.75, 1.0].map(|q| quantile(q, &mut values)), [1.0, 2.5, 3.0]);
        assert_eq!(quantile(-0.1, &mut values), f64::NEG_INFINITY);
        assert!(quantile(f64::NAN, &mut values).is_nan());
    }

    #[test]
    fn nan_loses_only_against_the_extreme() {
        assert!(max(f64::NAN, 1.0).is_nan());
        assert_eq!(max(f64::NAN, f64::INFINITY), f64::INFINITY);
        assert_eq!(min(f64::NEG_INFINITY, f64::NAN), f64::NEG_INFINITY);
    }
}
