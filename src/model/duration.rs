//! Durations as Prometheus writes them: `15d`, `1h30m`, `100ms` (`model.ParseDuration` and
//! `Duration.String` of its `common/model`).

use std::fmt;

use super::labels::Quoted;

/// The units, largest first, in milliseconds. A day has 24 hours, a week 7 days, a year 365 days.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Longest duration in ms: what 63 bits of nanoseconds hold (about 292 years).
const DURATION_MS_MAX: i64 = i64::MAX / 1_000_000;

/// Why a text is no duration; displays the reason as Prometheus words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// There is no text.
    Empty,
    /// Not of the form `1h30m`, units from large to small; holds the text.
    Malformed(String),
    /// A unit that there is not, and the text.
    UnknownUnit(String, String),
    /// Longer than 292 years.
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DurationError::Empty => f.write_str("empty duration string"),
            DurationError::Malformed(text) => {
                write!(f, "not a valid duration string: {}", Quoted(text))
            }
            DurationError::UnknownUnit(unit, text) => {
                write!(f, "unknown unit {} in duration {}", Quoted(unit), Quoted(text))
            }
            DurationError::TooLong => f.write_str("duration out of range"),
        }
    }
}

impl std::error::Error for DurationError {}

/// The length of a duration such as `1h30m` in milliseconds: whole numbers with units, the units
/// descending, each at most once. A bare `0` is allowed.
///
/// # Errors
/// See [`DurationError`].
pub fn parse_duration_ms(text: &str) -> Result<i64, DurationError> {
    let malformed = || DurationError::Malformed(text.to_owned());
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(0),
        _ => {}
    }
    let is_digit = |c: char| c.is_ascii_digit();
    let (mut rest, mut units, mut total) = (text, &UNITS[..], 0i64);
    while !rest.is_empty() {
        let (number, behind) = split_at_first(rest, |c| !is_digit(c));
        let (unit, behind) = split_at_first(behind, is_digit);
        let number: u64 = number.parse().map_err(|_| malformed())?;
        if unit.is_empty() {
            return Err(malformed());
        }
        if !UNITS.iter().any(|(name, _)| *name == unit) {
            return Err(DurationError::UnknownUnit(unit.to_owned(), text.to_owned()));
        }
        let place = units.iter().position(|(name, _)| *name == unit).ok_or_else(malformed)?;
        total = i64::try_from(number)
            .ok()
            .and_then(|n| n.checked_mul(units[place].1))
            .and_then(|ms| ms.checked_add(total))
            .filter(|ms| *ms <= DURATION_MS_MAX)
            .ok_or(DurationError::TooLong)?;
        (rest, units) = (behind, &units[place + 1..]);
    }
    Ok(total)
}

/// What comes before the first such character, and the rest.
fn split_at_first(text: &str, test: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(test).unwrap_or(text.len()))
}

/// A duration of at least 0 ms; displays as [`parse_duration_ms`] reads it: `1h30m`, years and
/// weeks only when they come out even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationMs(pub i64);

impl fmt::Display for DurationMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in UNITS {
            let only_even = matches!(unit, "y" | "w");
            if rest >= length && (!only_even || rest % length == 0) {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_descend_and_are_bounded() {
        assert_eq!(parse_duration_ms("1h30m"), Ok(5_400_000));
        assert_eq!(parse_duration_ms("1y2w3d4h5m6s7ms"), Ok(33_019_506_007));
        assert_eq!(parse_duration_ms("0"), Ok(0));
        let error = |text| parse_duration_ms(text).map_err(|e| e.to_string());
        let invalid = |text: &str| Err(format!("not a valid duration string: \"{text}\""));
        for text in ["1m1h", "1m1m", "5", "h", "-1s", "99999999999999999999s"] {
            assert_eq!(error(text), invalid(text));
        }
        assert_eq!(error("1hs"), Err("unknown unit \"hs\" in duration \"1hs\"".to_owned()));
        assert_eq!(error("1000y"), Err("duration out of range".to_owned()));
        assert_eq!(error(""), Err("empty duration string".to_owned()));
    }

    #[test]
    fn what_is_written_can_be_read() {
        for text in ["0s", "15d", "1h30m", "10y", "2w", "1d12h", "250ms", "1m1s1ms"] {
            assert_eq!(
                parse_duration_ms(text).map(|ms| DurationMs(ms).to_string()),
                Ok(text.into())
            );
        }
    }
}
