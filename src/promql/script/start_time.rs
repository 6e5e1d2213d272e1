//! `metric@st -1m _x2 0s+5sx3`: start timestamps of the samples on the following line.

use crate::model::Labels;
use crate::model::parse_duration_ms;
use crate::promql::series_desc::{VALUES_MAX, parse_series_desc};

/// For each sample, how far before (negative) or after it the counting behind it began.
#[derive(Debug)]
pub(super) struct StartTimes {
    pub labels: Labels,
    /// In ms; `None` when unknown.
    pub offsets_ms: Vec<Option<i64>>,
}

/// Whether the line gives start timestamps.
pub(super) fn is_start_line(line: &str) -> bool {
    line.split_once([' ', '\t']).is_some_and(|(metric, _)| metric.ends_with("@st"))
}

/// Parses such a line.
pub(super) fn parse_start_line(line: &str) -> Result<StartTimes, String> {
    let (metric, items) = line.split_once([' ', '\t']).ok_or("missing @st values")?;
    let metric = metric.strip_suffix("@st").unwrap_or(metric);
    let labels = parse_series_desc(metric)
        .map_err(|error| format!("invalid @st line metric {metric:?}: {error}"))?
        .labels;
    let mut offsets_ms = Vec::new();
    for item in items.split_whitespace() {
        expand(item, &mut offsets_ms)
            .map_err(|message| format!("invalid @st item {item:?}: {message}"))?;
        if offsets_ms.len() > VALUES_MAX {
            return Err(format!("more than {VALUES_MAX} values on one line"));
        }
    }
    Ok(StartTimes { labels, offsets_ms })
}

fn expand(item: &str, offsets: &mut Vec<Option<i64>>) -> Result<(), String> {
    if let Some(rest) = item.strip_prefix('_') {
        let count = if rest.is_empty() { 1 } else { repetition(rest)? };
        offsets.extend(std::iter::repeat_n(None, count));
        return Ok(());
    }
    let (mut offset, rest) = signed_duration(item)?;
    let (step, rest) =
        if rest.starts_with(['+', '-']) { signed_duration(rest)? } else { (0, rest) };
    let times = if rest.is_empty() { 0 } else { repetition(rest)? };
    for _ in 0..=times {
        offsets.push(Some(offset));
        offset = offset.saturating_add(step);
    }
    Ok(())
}

fn repetition(text: &str) -> Result<usize, String> {
    let digits = text.strip_prefix('x').ok_or("expected a repetition such as x3")?;
    match digits.parse() {
        Ok(count) if count < VALUES_MAX => Ok(count),
        _ => Err("invalid repeat count".to_owned()),
    }
}

/// A duration with an optional sign, in ms, and what follows it.
fn signed_duration(text: &str) -> Result<(i64, &str), String> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() || c == 'x').unwrap_or(rest.len());
    let ms = parse_duration_ms(&rest[..end]).map_err(|error| error.to_string())?;
    Ok((if negative { -ms } else { ms }, &rest[end..]))
}
