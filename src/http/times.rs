//! Times and durations as the API accepts them in parameters.

use std::fmt;

use crate::model::labels::Quoted;
use crate::model::{Timestamp, parse_duration_ms};

/// The earliest time of requests that name no start (Prometheus' `MinTime`).
pub const TIME_MIN: Timestamp = Timestamp((i64::MIN / 1000 + YEAR_ONE_TO_EPOCH_SECS) * 1000);
/// The latest time of requests that name no end (Prometheus' `MaxTime`).
pub const TIME_MAX: Timestamp = Timestamp((i64::MAX / 1000 - YEAR_ONE_TO_EPOCH_SECS) * 1000 + 999);

/// Seconds from the first second of year 1 to the epoch, and one more; Prometheus keeps this
/// distance from the ends of its range.
const YEAR_ONE_TO_EPOCH_SECS: i64 = 62_135_596_801;
const TIME_MIN_TEXT: &str = "-292273086-05-16T16:47:06Z";
const TIME_MAX_TEXT: &str = "292277025-08-18T07:12:54.999999999Z";

/// Why a text is no time or duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeError {
    text: String,
    what: &'static str,
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot parse {} to a valid {}", Quoted(&self.text), self.what)
    }
}

impl std::error::Error for TimeError {}

/// Seconds since the epoch, perhaps with a fraction, or RFC 3339. Times past the range of
/// [`Timestamp`] become its ends.
///
/// # Errors
/// Neither of them.
pub fn parse_time(text: &str) -> Result<Timestamp, TimeError> {
    let seconds = parse_float(text).map(|seconds| {
        let (whole, fraction) = (seconds.trunc(), seconds.fract());
        // The conversion saturates, so a time in the year 57000, or 10^300, is a time like others.
        let ms = (fraction * 1000.0).round() as i64;
        Timestamp((whole as i64).saturating_mul(1000).saturating_add(ms))
    });
    let calendar = || {
        let time = text.parse::<jiff::Timestamp>().ok()?;
        let ms = time.as_nanosecond().div_euclid(1_000_000);
        i64::try_from(ms).ok().map(Timestamp)
    };
    let end_of_time = || match text {
        TIME_MIN_TEXT => Some(TIME_MIN),
        TIME_MAX_TEXT => Some(TIME_MAX),
        _ => None,
    };
    seconds
        .or_else(calendar)
        .or_else(end_of_time)
        .ok_or_else(|| TimeError { text: text.to_owned(), what: "timestamp" })
}

/// Seconds, perhaps with a fraction, or a PromQL duration such as `1h30m`; in nanoseconds.
///
/// # Errors
/// Neither of them, or too long for 64 bits of nanoseconds.
pub fn parse_duration_ns(text: &str) -> Result<i64, TimeError> {
    let error = |what| TimeError { text: text.to_owned(), what };
    if let Some(seconds) = parse_float(text) {
        let ns = seconds * 1e9;
        if ns.abs() > i64::MAX as f64 {
            return Err(error("duration. It overflows int64"));
        }
        return Ok(ns as i64);
    }
    // The longest duration there is fits as nanoseconds.
    parse_duration_ms(text).map(|ms| ms * 1_000_000).map_err(|_| error("duration"))
}

/// A number as the API accepts it; infinities and NaN are no times.
fn parse_float(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|seconds| seconds.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        let cases = [
            ("0", 0),
            ("4", 4000),
            ("1435781451.781", 1_435_781_451_781),
            ("-1.5", -1500),
            ("1.0006", 1001),
            ("1e3", 1_000_000),
            ("2015-07-01T20:10:51.781Z", 1_435_781_451_781),
            ("2015-07-01T22:10:51.781999+02:00", 1_435_781_451_781),
            ("-292273086-05-16T16:47:06Z", TIME_MIN.0),
            ("292277025-08-18T07:12:54.999999999Z", TIME_MAX.0),
        ];
        for (text, ms) in cases {
            assert_eq!(parse_time(text), Ok(Timestamp(ms)), "{text}");
        }
    }

    #[test]
    fn milliseconds_taken_for_seconds_are_far_in_the_future_but_no_error() {
        assert_eq!(parse_time("1763697600000"), Ok(Timestamp(1_763_697_600_000_000)));
        assert_eq!(parse_time("1e300"), Ok(Timestamp::MAX));
        assert_eq!(parse_time("-1e300"), Ok(Timestamp::MIN));
    }

    #[test]
    fn what_is_no_time_is_quoted() {
        for text in ["", "abc", "NaN", "inf", "2015-07-01", "1h"] {
            let message = parse_time(text).expect_err("no time").to_string();
            assert_eq!(message, format!("cannot parse {text:?} to a valid timestamp"));
        }
    }

    #[test]
    fn durations_are_seconds_or_units() {
        const SECOND: i64 = 1_000_000_000;
        let cases = [
            ("15", 15 * SECOND),
            ("0.5", SECOND / 2),
            ("-1", -SECOND),
            ("5m", 300 * SECOND),
            ("1h30m", 5400 * SECOND),
            ("1d2ms", 86_400 * SECOND + 2_000_000),
            ("0", 0),
        ];
        for (text, ns) in cases {
            assert_eq!(parse_duration_ns(text), Ok(ns), "{text}");
        }
        for text in ["", "m", "5x", "5m1h", "5m5m", "1.5h", "300000000y", "NaN"] {
            let message = parse_duration_ns(text).expect_err("no duration").to_string();
            assert_eq!(message, format!("cannot parse {text:?} to a valid duration"));
        }
        let message = parse_duration_ns("1e12").expect_err("too long").to_string();
        assert!(message.ends_with("valid duration. It overflows int64"), "{message}");
    }
}
