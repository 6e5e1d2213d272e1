//! `rate`, `increase`, `delta`, `irate`, `idelta`, `resets` and `changes`.

use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::labels::Quoted;
use crate::model::{FloatHistogram, SeriesData};

use super::super::annotations::{Detail, mixed_range, overlapping_start};
use super::super::ast::EdgeMode;
use super::super::error::QueryError;
use super::super::eval::alignment::{Alignment, Edges};
use super::super::eval::window::{Point, RangeRow, Window};
use super::histogram_rate::{Histograms, Told};
use super::{extended, histogram_rate};

/// `rate(v[r])`
pub(super) fn rate(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    extrapolated(row, Kind { counter: true, per_second: true })?;
    note_odd_counter(row);
    Ok(())
}

/// `increase(v[r])`
pub(super) fn increase(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    extrapolated(row, Kind { counter: true, per_second: false })?;
    note_odd_counter(row);
    Ok(())
}

/// `delta(v[r])`
pub(super) fn delta(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    extrapolated(row, Kind { counter: false, per_second: false })
}

/// `irate(v[r])`
pub(super) fn irate(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    last_two(row, true)
}

/// `idelta(v[r])`
pub(super) fn idelta(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    last_two(row, false)
}

/// What is wanted of a range.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    /// Whether resets are corrected for and nothing lies below zero.
    pub(super) counter: bool,
    /// Whether the change is divided by the length of the range.
    pub(super) per_second: bool,
}

fn extrapolated(row: &mut RangeRow<'_>, kind: Kind) -> Result<(), QueryError> {
    if row.call.edge != EdgeMode::Plain {
        return extended::rate(row, kind.counter, kind.per_second);
    }
    let (data, call) = (row.data, row.call);
    let name = row.metric_name().to_owned();
    let use_starts = row.features.use_start_timestamps && kind.counter;
    let starts: &[i64] = if use_starts { &data.start_timestamps } else { &[] };
    let resets = if kind.counter { resets_of(data, starts) } else { Vec::new() };
    let range_seconds = call.range as f64 / 1000.0;
    if starts.is_empty() && data.histograms.is_empty() {
        aligned(row, &resets, kind, range_seconds);
        return Ok(());
    }
    let overlaps = overlaps_of(data, starts);
    let mut next_reset = 0;
    let mut histograms = None;
    row.each(|window, notes| {
        if !window.histograms.is_empty() {
            if !window.values.is_empty() {
                notes.warn(call.first_arg, mixed_range(&name));
                return Ok(Point::Absent);
            }
            let told = Told { name: &name, span: call.first_arg, notes };
            let histograms =
                histograms.get_or_insert_with(|| Histograms::with_resets(data, use_starts));
            let how = (use_starts, range_seconds);
            return Ok(histogram_rate::extrapolated(histograms, window, kind, how, told));
        }
        while next_reset < resets.len() && resets[next_reset] <= window.first {
            next_reset += 1;
        }
        let last = window.first + window.values.len() - 1;
        if overlaps.iter().any(|at| *at > window.first && *at <= last) {
            let text = overlapping_start(&name);
            notes.add(true, call.first_arg, text, Detail::Count(1));
        }
        let within = resets[next_reset..].iter().take_while(|at| **at <= last);
        let corrections = within.map(|at| data.values[*at - 1]);
        let start_timestamp = starts.get(window.first).copied().unwrap_or(0);
        Ok(Point::from(extrapolate(window, corrections, start_timestamp, kind, range_seconds)))
    })
}

/// The change over the window, corrected for resets and stretched. Prometheus' order of operations,
/// so that results agree bit for bit (`promql/functions.go`, `extrapolatedRate`).
#[inline]
fn extrapolate(
    window: &Window<'_>,
    corrections: impl Iterator<Item = f64>,
    start_timestamp: i64,
    kind: Kind,
    range_seconds: f64,
) -> Option<f64> {
    let count = window.values.len();
    let (first, last) = (window.values[0], window.values[count - 1]);
    let (first_time, last_time) = (window.timestamps[0], window.timestamps[count - 1]);
    let mut change = corrections.fold(last - first, |change, before| change + before);
    let zero_ratio = (kind.counter && change > 0.0 && first >= 0.0).then(|| first / change);
    let samples = Samples { count, first_time, last_time, start_timestamp };
    if samples.started_within(window, kind) {
        change += first;
    }
    Some(change * stretch(window, samples, zero_ratio, kind, range_seconds)?)
}

/// When the samples of a window were taken, in ms.
#[derive(Clone, Copy)]
pub(super) struct Samples {
    /// How many there are.
    pub(super) count: usize,
    /// Time of the first.
    pub(super) first_time: i64,
    /// Time of the last.
    pub(super) last_time: i64,
    /// When the counting behind the first began; 0 when unknown.
    pub(super) start_timestamp: i64,
}

impl Samples {
    /// Whether the counting began within the window, at zero.
    #[inline]
    pub(super) fn started_within(&self, window: &Window<'_>, kind: Kind) -> bool {
        kind.counter
            && self.start_timestamp != 0
            && self.start_timestamp > window.start
            && self.start_timestamp < self.first_time
    }
}

/// The factor that stretches a change between the samples to the window's edges (see [`Edges`]), for
/// a counter never below the point where it was zero: `zero_ratio` of the sampled time before the
/// first sample. `None` when there is one sample only.
#[inline]
pub(super) fn stretch(
    window: &Window<'_>,
    samples: Samples,
    zero_ratio: Option<f64>,
    kind: Kind,
    range_seconds: f64,
) -> Option<f64> {
    let Samples { count, first_time, last_time, start_timestamp } = samples;
    let mut edges = Edges::new((window.start, window.end), (first_time, last_time), count);
    if samples.started_within(window, kind) {
        edges.to_start = 0.0;
        edges.sampled = (last_time - start_timestamp) as f64 / 1000.0;
    } else if count == 1 {
        return None;
    } else if let (true, Some(ratio)) = (kind.counter, zero_ratio) {
        edges = edges.not_below_zero(ratio);
    }
    Some(edges.factor(kind.per_second.then_some(range_seconds)))
}

/// As [`extrapolate`] for all windows of a series of floats without start timestamps: everything that
/// depends on timestamps only is found once for all series that have the same ones.
fn aligned(row: &mut RangeRow<'_>, resets: &[usize], kind: Kind, range_seconds: f64) {
    let (data, call) = (row.data, row.call);
    let per_second = kind.per_second.then_some(range_seconds);
    call.alignments.with(&data.timestamps, call, per_second, |alignment| {
        row.looked_at += alignment.samples;
        let out = &mut row.out.values;
        if resets.is_empty() {
            each_change(data, alignment, out, |_, _, change| change, (kind.counter, per_second));
            return;
        }
        let mut resets = resets;
        let corrected = |from: usize, last: usize, change: f64| {
            let before = resets.iter().take_while(|at| **at <= from).count();
            resets = &resets[before..];
            let within = resets.iter().take_while(|at| **at <= last);
            within.fold(change, |change, at| change + data.values[*at - 1])
        };
        each_change(data, alignment, out, corrected, (kind.counter, per_second));
    });
}

/// Fills `out` with the stretched change of each window, as `corrected` makes it from the indices of
/// the first and the last sample and their difference.
#[inline]
fn each_change(
    data: &SeriesData,
    alignment: &Alignment,
    out: &mut [f64],
    mut corrected: impl FnMut(usize, usize, f64) -> f64,
    (counter, per_second): (bool, Option<f64>),
) {
    for (at, (step, out)) in alignment.steps.iter().zip(out).enumerate() {
        let (from, last) = (step.from as usize, step.last as usize);
        if from == last {
            continue;
        }
        let first_value = data.values[from];
        let change = corrected(from, last, data.values[last] - first_value);
        let mut factor = step.factor;
        // Counted back at this rate, a counter that began with the change or more was zero no later
        // than the sampled time before the first sample.
        let far_from_zero = alignment.starts_near && first_value >= change;
        if counter && change > 0.0 && first_value >= 0.0 && !far_from_zero {
            let zero_ratio = first_value / change;
            factor = alignment.edges[at].not_below_zero(zero_ratio).factor(per_second);
        }
        *out = change * factor;
    }
}

/// Indices of samples before which the counter was reset.
fn resets_of(data: &SeriesData, starts: &[i64]) -> Vec<usize> {
    let mut resets = Vec::new();
    for (at, pair) in data.values.windows(2).enumerate() {
        if pair[1] < pair[0] || started_anew(data, starts, at + 1) {
            resets.push(at + 1);
        }
    }
    resets
}

#[inline]
fn started_anew(data: &SeriesData, starts: &[i64], at: usize) -> bool {
    !starts.is_empty()
        && is_start_reset(
            (starts[at - 1], data.timestamps[at - 1]),
            (starts[at], data.timestamps[at]),
        )
}

/// Whether the start timestamps of two samples, each (start, timestamp), tell of a reset between
/// them. A start equal to the previous timestamp is one only when the previous start was known,
/// since senders that do not know it write the timestamp.
pub(super) fn is_start_reset(previous: (i64, i64), current: (i64, i64)) -> bool {
    let ((previous_start, previous_time), (start, time)) = (previous, current);
    if start == 0 || start >= time || start < previous_time {
        return false;
    }
    start > previous_time || (previous_start != 0 && previous_start < previous_time)
}

/// Indices of samples whose counting began before the previous sample although it began anew.
fn overlaps_of(data: &SeriesData, starts: &[i64]) -> Vec<usize> {
    let overlaps = |at: &usize| {
        let start = starts[*at];
        start != 0 && start < data.timestamps[*at - 1] && start != starts[*at - 1]
    };
    (1..starts.len()).filter(overlaps).collect()
}

/// Tells the user when the name does not promise a counter.
fn note_odd_counter(row: &mut RangeRow<'_>) {
    let name = row.labels.metric_name();
    let has_floats = || row.out.values.iter().any(|v| !super::super::eval::block::is_absent(*v));
    if name.is_empty() || !has_floats() {
        return;
    }
    if row.features.type_and_unit_labels {
        let declared = row.labels.value("__type__");
        if declared != "counter" && declared != "histogram" {
            let text = format!(
                "metric might not be a counter, __type__ label is not set to \"counter\" or \
                 \"histogram\", got {}: {}",
                Quoted(declared),
                Quoted(name)
            );
            row.notes.info(row.call.first_arg, text);
        }
    } else if !["_total", "_sum", "_count", "_bucket"].iter().any(|end| name.ends_with(end)) {
        let text = format!(
            "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
            Quoted(name)
        );
        row.notes.info(row.call.first_arg, text);
    }
}

/// Difference (or rate) of the last two samples of a window.
fn last_two(row: &mut RangeRow<'_>, is_rate: bool) -> Result<(), QueryError> {
    let (data, call) = (row.data, row.call);
    let name = row.metric_name().to_owned();
    let use_starts = row.features.use_start_timestamps && is_rate;
    let starts: &[i64] = if use_starts { &data.start_timestamps } else { &[] };
    let mut histograms = None;
    row.each(|window, notes| {
        let count = window.values.len();
        if !window.histograms.is_empty() && count + window.histograms.len() >= 2 {
            match histograms_among_last_two(window) {
                0 => {}
                1 => {
                    notes.warn(call.first_arg, mixed_range(&name));
                    return Ok(Point::Absent);
                }
                _ => {
                    let told = Told { name: &name, span: call.first_arg, notes };
                    let histograms =
                        histograms.get_or_insert_with(|| Histograms::with_resets(data, use_starts));
                    return Ok(histogram_rate::last_two(histograms, window, is_rate, told));
                }
            }
        }
        if count < 2 {
            return Ok(Point::Absent);
        }
        let (before, last) = (window.values[count - 2], window.values[count - 1]);
        let milliseconds = window.timestamps[count - 1] - window.timestamps[count - 2];
        let at = window.first + count - 1;
        let reset = is_rate && (last < before || started_anew(data, starts, at));
        let change = if reset { last } else { last - before };
        let change = if is_rate { change / (milliseconds as f64 / 1000.0) } else { change };
        Ok(Point::Float(change))
    })
}

fn histograms_among_last_two(window: &Window<'_>) -> usize {
    let floats = window.timestamps.iter().rev().take(2).map(|time| (*time, 0));
    let histograms = window.histograms.iter().rev().take(2).map(|point| (point.timestamp, 1));
    let mut newest: Vec<(i64, usize)> = floats.chain(histograms).collect();
    newest.sort_unstable_by(|a, b| b.cmp(a));
    newest.iter().take(2).map(|(_, histogram)| histogram).sum()
}

/// `resets(v[r])`
pub(super) fn resets(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    let (data, use_starts) = (row.data, row.features.use_start_timestamps);
    let starts: &[i64] = if use_starts { &data.start_timestamps } else { &[] };
    let resets = resets_of(data, starts);
    count_events(row, &resets, |data| Histograms::with_resets(data, use_starts))
}

/// `changes(v[r])`
pub(super) fn changes(row: &mut RangeRow<'_>) -> Result<(), QueryError> {
    let changed = |a: f64, b: f64| b != a && !(a.is_nan() && b.is_nan());
    let values = &row.data.values;
    let changes: Vec<usize> =
        (1..values.len()).filter(|at| changed(values[*at - 1], values[*at])).collect();
    count_events(row, &changes, |data| Histograms::with_events(data, |a, b| !same_histogram(a, b)))
}

/// Counts events between neighbours in each window. `events` has the indices of the floats after
/// which one happened; `histograms` finds those between histograms. A float beside a histogram is
/// one.
fn count_events(
    row: &mut RangeRow<'_>,
    events: &[usize],
    histograms: impl Fn(&SeriesData) -> Histograms,
) -> Result<(), QueryError> {
    let (data, is_anchored) = (row.data, row.call.edge == EdgeMode::Anchored);
    let (mut next, mut known) = (0, None);
    row.each(|window, _| {
        let Some(window) = anchor(window, is_anchored) else { return Ok(Point::Absent) };
        while next < events.len() && events[next] <= window.first {
            next += 1;
        }
        if !window.histograms.is_empty() {
            let known = known.get_or_insert_with(|| histograms(data));
            return Ok(Point::Float(count_mixed(&window, &events[next..], known)));
        }
        let last = window.first + window.values.len() - 1;
        let count = events[next..].iter().take_while(|at| **at <= last).count();
        Ok(Point::Float(count as f64))
    })
}

#[inline]
fn anchor<'a>(window: &Window<'a>, is_anchored: bool) -> Option<Window<'a>> {
    if is_anchored { extended::anchored(window) } else { Some(*window) }
}

/// Counts events between neighbours in a window that holds histograms.
fn count_mixed(window: &Window<'_>, events: &[usize], histograms: &Histograms) -> f64 {
    let floats = window.timestamps.iter().enumerate();
    let floats = floats.map(|(at, time)| (*time, false, window.first + at));
    let points = window.histograms.iter().enumerate();
    let points = points.map(|(at, p)| (p.timestamp, true, window.first_histogram + at));
    let mut order: Vec<(i64, bool, usize)> = floats.chain(points).collect();
    order.sort_by_key(|(time, ..)| *time);
    let happened = |pair: &&[(i64, bool, usize)]| match (pair[0], pair[1]) {
        ((_, true, _), (_, true, at)) => histograms.event(at),
        ((_, false, _), (_, false, at)) => events.contains(&at),
        _ => true,
    };
    order.windows(2).filter(happened).count() as f64
}

/// Whether two histograms count the same, bit for bit, whatever is known of resets.
pub(crate) fn same_histogram(a: &FloatHistogram, b: &FloatHistogram) -> bool {
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let totals = |h: &FloatHistogram| bits(&[h.count, h.sum, h.zero_count]);
    let custom = a.schema == CUSTOM_BUCKETS_SCHEMA;
    a.schema == b.schema
        && a.zero_threshold == b.zero_threshold
        && (!custom || a.custom_values == b.custom_values)
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && totals(a) == totals(b)
        && bits(&a.positive_buckets) == bits(&b.positive_buckets)
        && bits(&a.negative_buckets) == bits(&b.negative_buckets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_timestamps_tell_of_resets() {
        assert!(!is_start_reset((0, 10), (0, 20)), "unknown");
        assert!(is_start_reset((0, 10), (15, 20)), "began between the samples");
        assert!(!is_start_reset((5, 10), (5, 20)), "still the same count");
        assert!(is_start_reset((5, 10), (10, 20)), "delta");
        assert!(!is_start_reset((10, 10), (10, 20)), "unknown start written as timestamp");
        assert!(!is_start_reset((0, 10), (20, 20)), "begins where it is taken");
    }

    #[test]
    fn counters_do_not_extrapolate_below_zero() {
        let window = Window {
            timestamps: &[10_000, 20_000],
            values: &[1.0, 11.0],
            histograms: &[],
            first: 0,
            first_histogram: 0,
            start: 0,
            end: 20_000,
            step: 0,
        };
        let kind = Kind { counter: true, per_second: false };
        let increase = extrapolate(&window, std::iter::empty(), 0, kind, 20.0);
        assert_eq!(increase, Some(10.0 * (10.0 + 10.0 * (1.0 / 10.0)) / 10.0));
    }
}
