//! Numbers and durations as Go's standard library writes them, where users compare texts.

use crate::model::decimal;

/// As `strconv.FormatFloat(value, 'e', -1, 64)`: `1e+00`, `1.5e-07`.
pub fn exponent(value: f64) -> String {
    if let Some(special) = special(value) {
        return special.to_owned();
    }
    decimal::exponent(value)
}

/// As `fmt`'s `%v`: an exponent only below 1e-04 and from 1e+21 on.
pub fn plain(value: f64) -> String {
    let size = value.abs();
    match special(value) {
        Some(special) => special.to_owned(),
        None if value != 0.0 && !(1e-4..1e21).contains(&size) => exponent(value),
        None => decimal::plain(value),
    }
}

fn special(value: f64) -> Option<&'static str> {
    match value {
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        value if value.is_nan() => Some("NaN"),
        _ => None,
    }
}

/// As `time.Duration.String`, of milliseconds: `0s`, `5m0s`, `1h0m1.5s`, `250ms`.
pub fn duration(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    if ms > 0 && ms < 1000 {
        return format!("{sign}{ms}ms");
    }
    let (hours, minutes, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    let seconds = rest as f64 / 1000.0;
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_go() {
        for (value, text, plain_text) in [
            (1.0, "1e+00", "1"),
            (0.0, "0e+00", "0"),
            (-1.5e-7, "-1.5e-07", "-1.5e-07"),
            (1e21, "1e+21", "1e+21"),
            (123456789.0, "1.23456789e+08", "123456789"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NAN, "NaN", "NaN"),
        ] {
            assert_eq!((exponent(value).as_str(), plain(value).as_str()), (text, plain_text));
        }
        for (ms, text) in [
            (0, "0s"),
            (250, "250ms"),
            (300_000, "5m0s"),
            (3_601_500, "1h0m1.5s"),
            (-1000, "-1s"),
            (86_400_000, "24h0m0s"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }
}
