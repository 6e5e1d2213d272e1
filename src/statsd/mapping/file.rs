//! What a mapping file may hold, key by key. Unknown keys are errors, as in statsd_exporter; the
//! keys of its older versions are understood too.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::MappingError;

/// A whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    pub defaults: Option<RawDefaults>,
    pub mappings: Option<Vec<RawRule>>,
}

/// `defaults`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDefaults {
    #[serde(alias = "timer_type")]
    pub observer_type: Option<RawObserver>,
    pub match_type: Option<RawMatchType>,
    pub glob_disable_ordering: Option<bool>,
    pub ttl: Option<GoDuration>,
    pub summary_options: Option<RawSummary>,
    pub histogram_options: Option<RawHistogram>,
    /// Before version 0.20.
    pub buckets: Option<Vec<f64>>,
    /// Before version 0.20.
    pub quantiles: Option<Vec<RawQuantile>>,
}

/// One entry of `mappings`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    #[serde(rename = "match")]
    pub pattern: Option<Text>,
    pub name: Option<Text>,
    pub labels: Option<BTreeMap<String, Option<Text>>>,
    pub honor_labels: Option<bool>,
    #[serde(alias = "timer_type")]
    pub observer_type: Option<RawObserver>,
    pub match_type: Option<RawMatchType>,
    pub help: Option<Text>,
    pub action: Option<RawAction>,
    pub match_metric_type: Option<RawKind>,
    pub ttl: Option<GoDuration>,
    pub scale: Option<f64>,
    pub summary_options: Option<RawSummary>,
    pub histogram_options: Option<RawHistogram>,
    /// Before version 0.20.
    pub buckets: Option<Vec<f64>>,
    /// Before version 0.20.
    pub quantiles: Option<Vec<RawQuantile>>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawObserver {
    Histogram,
    Summary,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawMatchType {
    Glob,
    Regex,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawAction {
    Map,
    Drop,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawKind {
    Counter,
    Gauge,
    #[serde(alias = "timer")]
    Observer,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSummary {
    pub quantiles: Option<Vec<RawQuantile>>,
    pub max_age: Option<GoDuration>,
    pub age_buckets: Option<u32>,
    /// Observations sorted at a time: a matter of speed in the original, and fixed here.
    #[serde(rename = "buf_cap")]
    _buf_cap: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQuantile {
    pub quantile: f64,
    #[serde(default)]
    pub error: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHistogram {
    pub buckets: Option<Vec<f64>>,
    pub native_histogram_bucket_factor: Option<f64>,
    pub native_histogram_max_buckets: Option<u32>,
}

/// Text that may be written like a number or a boolean, as in `labels: {code: 200}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
        }
        // As text: left to guess, a reader of YAML takes `n` for a boolean.
        deserializer.deserialize_str(Scalar)
    }
}

/// A duration as Go writes it, in whole milliseconds: `1m30s`, `1.5h`, `0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GoDuration(pub i64);

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<GoDuration, D::Error> {
        let text = Text::deserialize(deserializer)?.0;
        parse_duration(&text).map(GoDuration).ok_or_else(|| {
            de::Error::custom(format!("not a duration: {text:?}, expected one such as 1m30s"))
        })
    }
}

/// `time.ParseDuration` without signs; a bare number is nanoseconds, as Go's YAML reads it.
fn parse_duration(text: &str) -> Option<i64> {
    const UNITS_MS: [(&str, f64); 7] = [
        ("ns", 1e-6),
        ("us", 1e-3),
        ("\u{b5}s", 1e-3),
        ("ms", 1.0),
        ("s", 1e3),
        ("m", 60e3),
        ("h", 3_600e3),
    ];
    if let Ok(nanoseconds) = text.parse::<u64>() {
        return i64::try_from(nanoseconds / 1_000_000).ok();
    }
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (_, unit) = UNITS_MS.iter().find(|(name, _)| *name == &tail[..letters])?;
        total += number.parse::<f64>().ok()? * unit;
        rest = &tail[letters..];
    }
    // A hundred years are no lifetime of a series but a typing error; this also keeps sums small.
    (!text.is_empty() && total <= 3.2e12).then_some(total as i64)
}

/// Reads the YAML.
pub(super) fn parse(path: &Path, text: &str) -> Result<RawFile, MappingError> {
    let parsed: Result<Option<RawFile>, _> = serde_saphyr::from_str(text);
    parsed.map(Option::unwrap_or_default).map_err(|error| {
        let place = error.location().map(|place| (place.line(), place.column()));
        let message = error.without_snippet().to_string();
        // The place stands in front of our message already.
        let message = match message.rfind(" at line ") {
            Some(end) if place.is_some() => message[..end].to_owned(),
            _ => message,
        };
        MappingError::new(path, place, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("250ms", 250),
            ("1000000", 1),
            ("10us", 0),
        ] {
            assert_eq!(parse_duration(text), Some(ms), "{text}");
        }
        for text in ["", "s", "1", "1d", "m1", "1m2", "-1s", "1..2s", "99999999999h"] {
            let bare = text == "1"; // one nanosecond
            assert_eq!(parse_duration(text), bare.then_some(0), "{text}");
        }
    }
}
