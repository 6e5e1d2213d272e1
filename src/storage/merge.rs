//! Joining the pieces of one series: chunks of several windows, generations and the head.

use crate::model::histogram_reset::{mark_continuations, unmark_continuations};
use crate::model::source::{HistogramPoint, SeriesData};

/// Adds a newer piece to `out`. Where both have a sample at one time the piece's stays; usually the
/// piece simply follows.
pub fn append_piece(out: &mut SeriesData, piece: &SeriesData) {
    append_floats(out, piece);
    append_histograms(out, &piece.histograms);
    if !out.histograms.is_empty() && !out.timestamps.is_empty() {
        one_kind_per_timestamp(out, piece);
    }
}

fn append_floats(out: &mut SeriesData, piece: &SeriesData) {
    let Some(first) = piece.timestamps.first() else { return };
    let starts = !out.start_timestamps.is_empty() || !piece.start_timestamps.is_empty();
    if out.timestamps.last().is_none_or(|last| last < first) {
        let before = out.timestamps.len();
        out.timestamps.extend_from_slice(&piece.timestamps);
        out.values.extend_from_slice(&piece.values);
        if starts {
            out.start_timestamps.resize(before, 0);
            out.start_timestamps.extend_from_slice(&piece.start_timestamps);
            out.start_timestamps.resize(out.timestamps.len(), 0);
        }
        return;
    }
    let merged = merge_floats(out, piece, starts);
    out.timestamps = merged.timestamps;
    out.values = merged.values;
    out.start_timestamps = merged.start_timestamps;
}

fn merge_floats(older: &SeriesData, newer: &SeriesData, starts: bool) -> SeriesData {
    let mut merged = SeriesData::default();
    let (mut a, mut b) = (0, 0);
    let mut take = |from: &SeriesData, i: usize| {
        merged.timestamps.push(from.timestamps[i]);
        merged.values.push(from.values[i]);
        if starts {
            merged.start_timestamps.push(from.start_timestamps.get(i).copied().unwrap_or(0));
        }
    };
    while a < older.timestamps.len() || b < newer.timestamps.len() {
        match (older.timestamps.get(a), newer.timestamps.get(b)) {
            (Some(x), Some(y)) if x < y => {
                take(older, a);
                a += 1;
            }
            (Some(_), None) => {
                take(older, a);
                a += 1;
            }
            (x, Some(y)) => {
                a += usize::from(x == Some(y));
                take(newer, b);
                b += 1;
            }
            (None, None) => break,
        }
    }
    merged
}

/// Also says of the first histogram of a piece whether it goes on counting; where pieces interleave,
/// of each.
fn append_histograms(out: &mut SeriesData, piece: &[HistogramPoint]) {
    let Some(first) = piece.first() else { return };
    let SeriesData { timestamps, histograms, .. } = out;
    if histograms.last().is_none_or(|last| last.timestamp < first.timestamp) {
        let last = histograms.len().saturating_sub(1);
        histograms.extend_from_slice(piece);
        let seam = (last + 2).min(histograms.len());
        mark_continuations(&mut histograms[last..seam], timestamps);
        return;
    }
    let replaced = |point: &HistogramPoint| {
        piece.binary_search_by_key(&point.timestamp, |newer| newer.timestamp).is_ok()
    };
    histograms.retain(|point| !replaced(point));
    histograms.extend_from_slice(piece);
    histograms.sort_by_key(|point| point.timestamp);
    unmark_continuations(histograms);
    mark_continuations(histograms, timestamps);
}

/// Of a float and a histogram at one time the newer piece's stays.
fn one_kind_per_timestamp(out: &mut SeriesData, piece: &SeriesData) {
    let SeriesData { timestamps, values, start_timestamps, histograms } = out;
    let is_newer_float = |timestamp: i64| piece.timestamps.binary_search(&timestamp).is_ok();
    histograms.retain(|point| {
        timestamps.binary_search(&point.timestamp).is_err() || !is_newer_float(point.timestamp)
    });
    let clash = |timestamp: i64| {
        histograms.binary_search_by_key(&timestamp, |point| point.timestamp).is_ok()
    };
    let keep: Vec<bool> = timestamps.iter().map(|timestamp| !clash(*timestamp)).collect();
    if keep.iter().all(|keep| *keep) {
        return;
    }
    retain_by(timestamps, &keep);
    retain_by(values, &keep);
    if !start_timestamps.is_empty() {
        retain_by(start_timestamps, &keep);
    }
}

fn retain_by<T>(column: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    column.retain(|_| keep.next().copied().unwrap_or(true));
}

impl SeriesData {
    /// Drops what lies outside `start..=end` (ms).
    pub fn keep_range(&mut self, start: i64, end: i64) {
        let to = self.timestamps.partition_point(|timestamp| *timestamp <= end);
        let from = self.timestamps.partition_point(|timestamp| *timestamp < start).min(to);
        if from > 0 || to < self.timestamps.len() {
            cut(&mut self.timestamps, from, to);
            cut(&mut self.values, from, to);
            if !self.start_timestamps.is_empty() {
                cut(&mut self.start_timestamps, from, to);
            }
        }
        if !self.histograms.is_empty() {
            self.histograms.retain(|point| (start..=end).contains(&point.timestamp));
        }
    }
}

fn cut<T>(column: &mut Vec<T>, from: usize, to: usize) {
    column.truncate(to);
    column.drain(..from);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FloatHistogram, Histogram};

    fn floats(samples: &[(i64, f64)]) -> SeriesData {
        SeriesData {
            timestamps: samples.iter().map(|(t, _)| *t).collect(),
            values: samples.iter().map(|(_, v)| *v).collect(),
            ..SeriesData::default()
        }
    }

    fn histogram(timestamp: i64) -> HistogramPoint {
        let histogram = Histogram::Float(FloatHistogram::default());
        HistogramPoint { timestamp, start_timestamp: 0, histogram }
    }

    #[test]
    fn pieces_follow_or_interleave_and_the_newer_wins() {
        let mut out = floats(&[(1, 1.0), (5, 5.0)]);
        append_piece(&mut out, &floats(&[(7, 7.0)]));
        append_piece(&mut out, &floats(&[(0, 0.0), (5, 50.0), (6, 6.0)]));
        assert_eq!(out.timestamps, [0, 1, 5, 6, 7]);
        assert_eq!(out.values, [0.0, 1.0, 50.0, 6.0, 7.0]);
    }

    #[test]
    fn start_timestamps_stay_aligned() {
        let mut out = floats(&[(1, 1.0)]);
        let mut piece = floats(&[(2, 2.0), (3, 3.0)]);
        piece.start_timestamps = vec![9, 8];
        append_piece(&mut out, &piece);
        append_piece(&mut out, &floats(&[(2, 20.0), (4, 4.0)]));
        assert_eq!(out.start_timestamps, [0, 0, 8, 0]);
    }

    #[test]
    fn no_time_has_both_a_float_and_a_histogram() {
        let mut out = floats(&[(1, 1.0), (2, 2.0)]);
        let piece =
            SeriesData { histograms: vec![histogram(2), histogram(3)], ..Default::default() };
        append_piece(&mut out, &piece);
        assert_eq!((out.timestamps.as_slice(), out.histograms.len()), ([1].as_slice(), 2));
        append_piece(&mut out, &floats(&[(3, 3.0)]));
        assert_eq!((out.timestamps.as_slice(), out.histograms.len()), ([1, 3].as_slice(), 1));
    }

    #[test]
    fn ranges_cut_both_ends() {
        let mut data = floats(&[(1, 1.0), (2, 2.0), (3, 3.0)]);
        data.histograms = vec![histogram(0), histogram(4)];
        data.keep_range(2, 3);
        assert_eq!(data.timestamps, [2, 3]);
        assert!(data.histograms.is_empty());
        data.keep_range(9, 1);
        assert!(data.is_empty());
    }
}
