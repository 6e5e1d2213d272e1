//! Durations as Prometheus writes them: `15d`, `1h30m`, `100ms`.

use std::fmt;
use std::time::Duration;

/// The units, largest first, in milliseconds. A day has 24 hours, a week 7 days, a year 365 days.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// Not of the form `1h30m`, units from large to small; holds the text.
    Malformed(String),
    /// Longer than can be counted in milliseconds; holds the text.
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
    let malformed = || DurationError::Malformed(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut units, mut total_ms) = (text, &UNITS[..], 0u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_lowercase).count();
        let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
        let place = units.iter().position(|(name, _)| *name == unit).ok_or_else(malformed)?;
        if number.is_empty() {
            return Err(malformed());
        }
        let count: u64 = number.parse().map_err(|_| too_long())?;
        let part = count.checked_mul(units[place].1).ok_or_else(too_long)?;
        total_ms = total_ms.checked_add(part).ok_or_else(too_long)?;
        (rest, units) = (&rest[digits + letters..], &units[place + 1..]);
    }
    // As in Prometheus, which counts nanoseconds in 63 bits.
    let fits = !text.is_empty() && total_ms <= i64::MAX as u64 / 1_000_000;
    match (text.is_empty(), fits) {
        (true, _) => Err(malformed()),
        (_, false) => Err(too_long()),
        _ => Ok(Duration::from_millis(total_ms)),
    }
}

/// Writes a duration as [`parse_duration`] reads it, rounded down to milliseconds.
pub fn format_duration(duration: Duration) -> String {
    let mut ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, unit_ms) in UNITS {
        // As Prometheus writes them: weeks and years only when nothing is left over.
        let whole_only = matches!(unit, "y" | "w");
        if ms >= unit_ms && (!whole_only || ms.is_multiple_of(unit_ms)) {
            out += &format!("{}{unit}", ms / unit_ms);
            ms %= unit_ms;
        }
    }
    out
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
        for text in
            ["", "1", "-1s", "1.5h", "1m1h", "1h1h", "d", "1x", " 1s", "1s ", "1S", "\u{e9}"]
        {
            let error = parse_duration(text).expect_err(text);
            assert_eq!(error, DurationError::Malformed(text.to_owned()));
        }
        for text in ["300y", "99999999999999999999s", "18446744073709551615y"] {
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
