//! `rate`, `increase`, `delta`, `irate` and `idelta` of native histograms.
//!
//! The histograms of a series are made float and compared with their neighbours once, not once a
//! window.

use std::sync::Arc;

use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::histogram_reset::is_reset;
use crate::model::histogram_sum::{Added, HistogramSum, IncompatibleBuckets};
use crate::model::{CounterResetHint, FloatHistogram, SeriesData};

use super::super::annotations::{
    Detail, Notes, mixed_schemas, not_a_counter, not_a_gauge, overlapping_start, reconciled_bounds,
};
use super::super::ast::Span;
use super::super::eval::window::{Point, Window};
use super::rate::{Kind, Samples, is_start_reset, stretch};

/// The histograms of one series.
pub(super) struct Histograms {
    points: Vec<FloatHistogram>,
    /// Whether something happened between a histogram and the one before it.
    events: Vec<bool>,
}

impl Histograms {
    /// The histograms and between which of them a counter was reset; start timestamps tell of
    /// resets, too, if `use_starts`.
    pub(super) fn with_resets(data: &SeriesData, use_starts: bool) -> Histograms {
        let mut histograms = Histograms::with_events(data, is_reset);
        if use_starts {
            for (at, pair) in data.histograms.windows(2).enumerate() {
                let [before, point] = pair else { continue };
                let times =
                    |p: &crate::model::source::HistogramPoint| (p.start_timestamp, p.timestamp);
                histograms.events[at + 1] |= is_start_reset(times(before), times(point));
            }
        }
        histograms
    }

    /// The histograms, and for which of them and the one before `event` is true.
    pub(super) fn with_events(
        data: &SeriesData,
        event: impl Fn(&FloatHistogram, &FloatHistogram) -> bool,
    ) -> Histograms {
        let points: Vec<_> = data.histograms.iter().map(|p| p.histogram.to_float()).collect();
        let mut events = vec![false; points.len()];
        for (at, pair) in points.windows(2).enumerate() {
            events[at + 1] = event(&pair[0], &pair[1]);
        }
        Histograms { points, events }
    }

    /// Whether something happened between histogram `at` of the series and the one before.
    pub(super) fn event(&self, at: usize) -> bool {
        self.events[at]
    }

    /// The histograms of a window.
    pub(super) fn within(&self, window: &Window<'_>) -> &[FloatHistogram] {
        &self.points[window.first_histogram..][..window.histograms.len()]
    }
}

/// Whose histograms are computed with, for annotations.
pub(crate) struct Told<'a> {
    /// Name of the metric.
    pub(crate) name: &'a str,
    /// Where the argument stands.
    pub(crate) span: Span,
    /// Where annotations go.
    pub(crate) notes: &'a mut Notes,
}

impl Told<'_> {
    /// Tells of an addition or subtraction (`what`); false when there was none.
    pub(crate) fn added(&mut self, added: Result<Added, IncompatibleBuckets>, what: &str) -> bool {
        match added {
            Err(IncompatibleBuckets) => self.notes.warn(self.span, mixed_schemas(self.name)),
            Ok(added) if added.bounds_reconciled => self.reconciled(what),
            Ok(_) => {}
        }
        added.is_ok()
    }

    /// Tells that custom bounds were not the same.
    pub(crate) fn reconciled(&mut self, what: &str) {
        self.notes.info(self.span, reconciled_bounds(what));
    }

    /// Whether all histograms have the same kind of buckets; tells if not.
    pub(crate) fn same_kind<'h>(
        &mut self,
        histograms: impl IntoIterator<Item = &'h FloatHistogram>,
    ) -> bool {
        let mut kinds = histograms.into_iter().map(is_custom);
        let first = kinds.next();
        let same = kinds.all(|kind| Some(kind) == first);
        if !same {
            self.notes.warn(self.span, mixed_schemas(self.name));
        }
        same
    }

    /// Tells of gauges where counters are needed.
    pub(super) fn counters(&mut self, histograms: &[FloatHistogram]) {
        if histograms.iter().any(is_gauge) {
            self.notes.warn(self.span, not_a_counter(self.name));
        }
    }

    /// Tells of counters where gauges are needed.
    pub(super) fn gauges(&mut self, first: &FloatHistogram, last: &FloatHistogram) {
        if !is_gauge(first) || !is_gauge(last) {
            self.notes.warn(self.span, not_a_gauge(self.name));
        }
    }
}

/// Whether its buckets have custom bounds.
pub(super) fn is_custom(histogram: &FloatHistogram) -> bool {
    histogram.schema == CUSTOM_BUCKETS_SCHEMA
}

fn is_gauge(histogram: &FloatHistogram) -> bool {
    histogram.counter_reset_hint == CounterResetHint::Gauge
}

/// The change over a window of histograms only, stretched to its edges as for floats.
pub(super) fn extrapolated(
    histograms: &Histograms,
    window: &Window<'_>,
    kind: Kind,
    (use_starts, range_seconds): (bool, f64),
    mut told: Told<'_>,
) -> Point {
    let points = histograms.within(window);
    let (first, count) = (&points[0], points.len());
    let mut change = None;
    if count > 1 {
        change = difference(histograms, window, kind, use_starts, &mut told);
        if change.is_none() {
            return Point::Absent;
        }
    }
    let zero_ratio = change
        .as_ref()
        .filter(|change| change.count() > 0.0 && first.count >= 0.0)
        .map(|change| first.count / change.count());
    let samples = Samples {
        count,
        first_time: window.histograms[0].timestamp,
        last_time: window.histograms[count - 1].timestamp,
        start_timestamp: if use_starts { window.histograms[0].start_timestamp } else { 0 },
    };
    let started = samples.started_within(window, kind);
    let Some(factor) = stretch(window, samples, zero_ratio, kind, range_seconds) else {
        return Point::Absent;
    };
    let mut change = match change {
        None => HistogramSum::new(first),
        Some(mut change) => {
            if started && !told.added(change.add(first), "addition") {
                return Point::Absent;
            }
            change
        }
    };
    change.multiply(factor);
    Point::Histogram(Arc::new(change.finish()))
}

/// The last histogram of a window less the first, corrected for resets between them.
fn difference(
    histograms: &Histograms,
    window: &Window<'_>,
    kind: Kind,
    use_starts: bool,
    told: &mut Told<'_>,
) -> Option<HistogramSum> {
    let points = histograms.within(window);
    let (first, last) = (&points[0], &points[points.len() - 1]);
    let reset_after_first = kind.counter && histograms.event(window.first_histogram + 1);
    // What was reset at once is not looked at: it may have other buckets.
    let from = if reset_after_first { blank_like(&points[1]) } else { first.clone() };
    let others = if kind.counter { &points[1..] } else { &points[points.len() - 1..] };
    if !told.same_kind(std::iter::once(&from).chain(others)) {
        // The ends are looked at first; what is between them forgets what was told of them.
        if kind.counter && is_custom(last) != is_custom(&from) {
            told.counters(&points[..1]);
            told.counters(&points[points.len() - 1..]);
        }
        return None;
    }
    let mut change = HistogramSum::new(last);
    let coarsest = others.iter().map(|h| h.schema).min().unwrap_or(last.schema);
    change.reduce_resolution(coarsest.min(from.schema));
    if !told.added(change.subtract(&from), "subtraction") {
        return None;
    }
    if kind.counter {
        told.counters(points);
        if use_starts {
            note_overlap(window, told);
        }
        for at in 2..points.len() {
            let reset = histograms.event(window.first_histogram + at);
            if reset && !told.added(change.add(&points[at - 1]), "addition") {
                return None;
            }
        }
    } else {
        told.gauges(first, last);
    }
    change.set_hint(CounterResetHint::Gauge);
    Some(change)
}

/// A histogram of no observation with the buckets of another.
fn blank_like(other: &FloatHistogram) -> FloatHistogram {
    FloatHistogram {
        schema: other.schema,
        custom_values: other.custom_values.clone(),
        ..FloatHistogram::default()
    }
}

fn note_overlap(window: &Window<'_>, told: &mut Told<'_>) {
    let overlaps = window.histograms.windows(2).any(|pair| {
        let start = pair[1].start_timestamp;
        start != 0 && start < pair[0].timestamp && start != pair[0].start_timestamp
    });
    if overlaps {
        told.notes.add(true, told.span, overlapping_start(told.name), Detail::Count(1));
    }
}

/// The difference (or rate) of the last two samples of a window, which are histograms.
pub(super) fn last_two(
    histograms: &Histograms,
    window: &Window<'_>,
    is_rate: bool,
    mut told: Told<'_>,
) -> Point {
    let points = histograms.within(window);
    let at = points.len() - 1;
    let (before, last) = (&points[at - 1], &points[at]);
    if is_rate {
        told.counters(&points[at - 1..]);
    } else {
        told.gauges(before, last);
    }
    let mut change = HistogramSum::new(last);
    let reset = is_rate && histograms.event(window.first_histogram + at);
    if !reset && !told.added(change.subtract(before), "subtraction") {
        return Point::Absent;
    }
    change.set_hint(CounterResetHint::Gauge);
    if is_rate {
        let ms = window.histograms[at].timestamp - window.histograms[at - 1].timestamp;
        change.divide(ms as f64 / 1000.0);
    }
    Point::Histogram(Arc::new(change.finish()))
}
