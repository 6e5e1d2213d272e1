//! Numbers for people: `humanize`, `humanizeDuration` and their like, and what counts as a number.

use crate::model::Timestamp;
use crate::template::float_text;
use crate::template::format::{self, quote};
use crate::template::limits::BoundedText;
use crate::template::literal::parse_float;
use crate::template::time::GoTime;
use crate::template::value::Value;

/// The number that `value` is or spells; of a duration its seconds.
pub fn to_float(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Int(number) => Ok(*number as f64),
        Value::Duration(ns) => Ok(*ns as f64 / 1e9),
        Value::Text(text) => parse_float(text)
            .ok_or_else(|| format!("strconv.ParseFloat: parsing {}: invalid syntax", quote(text))),
        Value::Nil => Err("can't convert <nil> to float".to_owned()),
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

/// `%.4g`
pub fn four_digits(number: f64) -> String {
    match number {
        n if n.is_nan() => "NaN".to_owned(),
        n if n.is_infinite() => (if n > 0.0 { "+Inf" } else { "-Inf" }).to_owned(),
        n => {
            let sign = if n.is_sign_negative() { "-" } else { "" };
            format!("{sign}{}", float_text::general(n.abs(), Some(4)))
        }
    }
}

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];
const LARGE_1024: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];

/// The number divided by `step` until it is below it, and the prefix for that.
fn scaled_down(mut number: f64, step: f64, prefixes: &[&'static str]) -> (f64, &'static str) {
    let mut prefix = "";
    for next in prefixes {
        if number.abs() < step {
            break;
        }
        (prefix, number) = (next, number / step);
    }
    (number, prefix)
}

/// The number multiplied by 1000 until it is at least 1, and the prefix for that.
fn scaled_up(mut number: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in SMALL {
        if number.abs() >= 1.0 {
            break;
        }
        (prefix, number) = (next, number * 1000.0);
    }
    (number, prefix)
}

/// `1.235M`: with prefixes of the powers of 1000.
pub fn humanize(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return four_digits(number);
    }
    let (number, prefix) = match number.abs() >= 1.0 {
        true => scaled_down(number, 1000.0, &LARGE),
        false => scaled_up(number),
    };
    four_digits(number) + prefix
}

/// `1.178Mi`: with prefixes of the powers of 1024.
pub fn humanize_1024(number: f64) -> String {
    if number.abs() <= 1.0 || !number.is_finite() {
        return four_digits(number);
    }
    let (number, prefix) = scaled_down(number, 1024.0, &LARGE_1024);
    four_digits(number) + prefix
}

/// Seconds as `1d 2h 3m 4s`, or with a prefix below a second.
pub fn humanize_duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return four_digits(seconds);
    }
    if seconds == 0.0 {
        return four_digits(seconds) + "s";
    }
    if seconds.abs() < 1.0 {
        let (number, prefix) = scaled_up(seconds);
        return format!("{}{prefix}s", four_digits(number));
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    // What does not fit ends at the largest whole number.
    let whole = seconds.abs() as i64;
    let (days, hours) = (whole / 86_400, whole / 3600 % 24);
    let (minutes, rest) = (whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", four_digits(seconds.abs())),
        (0, 0, _) => format!("{sign}{minutes}m {rest}s"),
        (0, _, _) => format!("{sign}{hours}h {minutes}m {rest}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {rest}s"),
    }
}

/// The time that Unix seconds stand for, in UTC with milliseconds.
pub fn to_time(seconds: f64) -> Result<GoTime, String> {
    let ns = seconds * 1e9;
    let fits = ns.is_finite() && ns.abs() < i64::MAX as f64;
    let ms = fits.then_some((ns as i64) / 1_000_000);
    ms.and_then(|ms| GoTime::utc(Timestamp(ms))).ok_or_else(|| not_a_time(seconds))
}

fn not_a_time(seconds: f64) -> String {
    let mut text = BoundedText::new(64);
    let number = match format::print(&mut text, &Value::Float(seconds)) {
        Ok(()) => text.into_string(),
        Err(limit) => limit.to_string(),
    };
    format!("{number} cannot be represented as a nanoseconds timestamp since it overflows int64")
}

/// Unix seconds as Go prints a time.
pub fn humanize_timestamp(seconds: f64) -> Result<String, String> {
    match seconds.is_finite() {
        true => to_time(seconds).map(|time| time.to_string()),
        false => Ok(four_digits(seconds)),
    }
}
