//! `load`: series and their samples, one each interval from the epoch on.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::model::Labels;
use crate::promql::memory::{MemorySample, MemoryValue};
use crate::promql::series_desc::{SequenceValue, SeriesDesc, parse_series_desc};

use super::nhcb;
use super::parse::{Lines, Parsed, duration, pattern};
use super::start_time::{StartTimes, is_start_line, parse_start_line};

static LOAD: LazyLock<Regex> = LazyLock::new(|| pattern(r"^load(?:_(with_nhcb))?\s+(.+?)$"));

/// Series to be added.
#[derive(Debug)]
pub struct Load {
    /// Line of the command, from 1.
    pub line: usize,
    /// The series, classic histograms converted when the command says so.
    pub series: Vec<LoadedSeries>,
}

/// One series to be added.
#[derive(Debug)]
pub struct LoadedSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its samples, ascending in time.
    pub samples: Vec<MemorySample>,
}

/// Parses a `load` block; the same labels again replace what was said before.
pub(super) fn parse_load(line: &str, lines: &mut Lines<'_>) -> Parsed<Load> {
    let Some(parts) = LOAD.captures(line) else {
        return lines.fail("invalid load command, must be 'load[_with_nhcb] <step>'");
    };
    let step_ms = duration(&parts[2], lines)?;
    let at = lines.line();
    let mut series: BTreeMap<Labels, Vec<MemorySample>> = BTreeMap::new();
    let mut starts: Option<StartTimes> = None;
    while let Some(body) = lines.read_in_block() {
        if is_start_line(body) {
            if starts.is_some() {
                return lines.fail("two @st lines without a sample line between them");
            }
            starts = Some(parse_start_line(body).or_else(|message| lines.fail(message))?);
            continue;
        }
        let desc = parse_series_desc(body).or_else(|error| lines.fail(error.to_string()))?;
        let found = starts.take();
        check_starts(&desc, found.as_ref()).or_else(|message| lines.fail(message))?;
        let samples = samples(&desc, found.as_ref(), step_ms);
        series.insert(desc.labels, samples);
    }
    if starts.is_some() {
        return lines.fail("@st line has no following sample line");
    }
    let mut series: Vec<LoadedSeries> =
        series.into_iter().map(|(labels, samples)| LoadedSeries { labels, samples }).collect();
    if parts.get(1).is_some() {
        series.extend(nhcb::convert(&series).or_else(|message| lines.fail(message))?);
    }
    Ok(Load { line: at, series })
}

fn check_starts(desc: &SeriesDesc, starts: Option<&StartTimes>) -> Result<(), String> {
    let Some(starts) = starts else { return Ok(()) };
    if starts.labels != desc.labels {
        return Err("@st metric does not match the following sample line".to_owned());
    }
    if starts.offsets_ms.len() != desc.values.len() {
        return Err(format!(
            "@st line has {} values but the sample line has {}",
            starts.offsets_ms.len(),
            desc.values.len()
        ));
    }
    Ok(())
}

fn samples(desc: &SeriesDesc, starts: Option<&StartTimes>, step_ms: i64) -> Vec<MemorySample> {
    let mut samples = Vec::with_capacity(desc.values.len());
    let mut timestamp = 0i64;
    for (index, value) in desc.values.iter().enumerate() {
        let value = match value {
            SequenceValue::Omitted => None,
            SequenceValue::Float(value) => Some(MemoryValue::Float(*value)),
            SequenceValue::Histogram { histogram, .. } => {
                Some(MemoryValue::Histogram(histogram.clone()))
            }
        };
        let offset = starts.and_then(|starts| starts.offsets_ms[index]);
        let start_timestamp = offset.map_or(0, |offset| timestamp.saturating_add(offset));
        samples.extend(value.map(|value| MemorySample { timestamp, start_timestamp, value }));
        timestamp = timestamp.saturating_add(step_ms);
    }
    samples
}
