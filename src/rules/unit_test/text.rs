//! Alerts and samples as promtool prints them.

use std::fmt::Write as _;

use super::file::ExpectedAlert;
use super::run::TestSample;
use crate::model::labels::{Quoted, is_legacy_name};
use crate::rules::number_text::exponent;

/// A list of alerts over several lines.
pub(super) fn alerts_text(alerts: &[ExpectedAlert]) -> String {
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let mut out = "[".to_owned();
    for (index, alert) in alerts.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let (labels, annotations) = (pairs_text(&alert.labels), pairs_text(&alert.annotations));
        let _ = write!(out, "{comma}\n{index}:\n  Labels:{labels}\n  Annotations:{annotations}"); // writing to a string does not fail
    }
    out.push_str("\n]");
    out
}

fn pairs_text(pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| match is_legacy_name(name) {
        true => format!("{name}={}", Quoted(value)),
        false => format!("{}={}", Quoted(name), Quoted(value)),
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

/// Samples on one line; `nil` for none.
pub(super) fn samples_text(samples: &[TestSample]) -> String {
    if samples.is_empty() {
        return "nil".to_owned();
    }
    let texts = samples.iter().map(|sample| match sample.histogram.as_str() {
        "" => format!("{} {}", sample.labels, exponent(sample.value).replace('e', "E")),
        histogram => format!("{} {histogram}", sample.labels),
    });
    texts.collect::<Vec<_>>().join(", ")
}
