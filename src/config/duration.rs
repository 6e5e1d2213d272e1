//! Durations in the configuration: read as Prometheus reads them, with errors that show how.

use std::fmt;
use std::time::Duration;

use crate::model::{self, DurationMs, parse_duration_ms};

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// Not of the form `1h30m`, units from large to small; holds the text.
    Malformed(String),
    /// Longer than 292 years; holds the text.
    TooLong(String),
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DurationError::Malformed(text) => write!(
                f,
                "not a valid duration: {text:?}, expected a number with a unit of ms, s, m, h, d, \
                 w or y, such as 15d or 1h30m"
            ),
            DurationError::TooLong(text) => write!(f, "duration {text:?} is too long"),
        }
    }
}

impl std::error::Error for DurationError {}

/// Reads a duration: numbers with units, each unit at most once and from large to small, or a bare
/// `0` (`model.ParseDuration` of Prometheus).
///
/// # Errors
/// See [`DurationError`].
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    match parse_duration_ms(text) {
        Ok(ms) => Ok(Duration::from_millis(ms.unsigned_abs())),
        Err(model::DurationError::TooLong) => Err(DurationError::TooLong(text.to_owned())),
        Err(_) => Err(DurationError::Malformed(text.to_owned())),
    }
}

/// Writes a duration as [`parse_duration`] reads it, rounded down to milliseconds.
pub fn format_duration(duration: Duration) -> String {
    DurationMs(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_prometheus_reads() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("100ms", 100),
            ("15d", 15 * 86_400_000),
            ("1h30m", 5_400_000),
            ("10y", 10 * 365 * 86_400_000),
            ("1y2w3d4h5m6s7ms", 33_019_506_007),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn refuses_what_prometheus_refuses() {
        for text in [
            "",
            "1",
            "-1s",
            "1.5h",
            "1m1h",
            "1h1h",
            "d",
            "1x",
            " 1s",
            "1s ",
            "1S",
            "\u{e9}",
            "99999999999999999999s",
        ] {
            let error = parse_duration(text).expect_err(text);
            assert_eq!(error, DurationError::Malformed(text.to_owned()));
        }
        for text in ["300y", "18446744073709551615y"] {
            let error = parse_duration(text).expect_err(text);
            assert_eq!(error, DurationError::TooLong(text.to_owned()));
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["0s", "15d", "1h30m", "10y", "2w", "1d12h", "250ms", "1m1s1ms"] {
            assert_eq!(format_duration(parse_duration(text).expect(text)), text);
        }
    }
}
