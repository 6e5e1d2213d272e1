//! Durations as Go reads them (`time.ParseDuration`), which some keys of receivers use: `1m30s`,
//! `1.5s`, `300ms`.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::model::parse_duration_ms;

/// The units in nanoseconds; those that begin alike are longest first.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
];

/// Reads a duration that is not negative.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is not a duration such as 30s or 1m30s");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut nanos) = (text, 0.0);
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let end = rest.find(|c| !is_number(c)).ok_or_else(bad)?;
        let number: f64 = rest[..end].parse().map_err(|_| bad())?;
        rest = &rest[end..];
        let (unit, factor) =
            UNITS.into_iter().find(|(unit, _)| rest.starts_with(unit)).ok_or_else(bad)?;
        nanos += number * factor;
        rest = &rest[unit.len()..];
    }
    if nanos > i64::MAX as f64 {
        return Err(format!("duration {text:?} is too long"));
    }
    Ok(Duration::from_nanos(nanos as u64))
}

/// For `#[serde(deserialize_with)]`.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// A duration in Prometheus' form, `5m` or `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PromDuration(pub Duration);

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PromDuration, D::Error> {
        let text = String::deserialize(deserializer)?;
        let ms = parse_duration_ms(&text).map_err(de::Error::custom)?;
        Ok(PromDuration(Duration::from_millis(ms.unsigned_abs())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, ms) in
            [("0", 0), ("30s", 30_000), ("1m30s", 90_000), ("1.5h", 5_400_000), ("300ms", 300)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "1d", "s", "1x", "-5s", "1.2.3s", "999999999h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
