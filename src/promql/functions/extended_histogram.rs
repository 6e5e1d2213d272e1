//! Native histograms in extended ranges: see [`super::extended`].

use std::sync::Arc;

use crate::model::histogram_reset::is_reset;
use crate::model::histogram_sum::{HistogramSum, IncompatibleBuckets};
use crate::model::{CounterResetHint, FloatHistogram};

use super::super::eval::window::{Point, Window};
use super::extended::Extended;
use super::histogram_rate::{Histograms, Told, is_custom};

/// A histogram between two others, each with its time, at a time between theirs. A counter that was
/// reset between them counts from zero. Gives whether custom bounds were reconciled, too.
///
/// # Errors
/// One has exponential buckets, the other custom ones.
pub(crate) fn interpolate(
    (from_time, from): (i64, &FloatHistogram),
    (to_time, to): (i64, &FloatHistogram),
    time: i64,
    counter: bool,
) -> Result<(FloatHistogram, bool), IncompatibleBuckets> {
    if time == from_time {
        return Ok((from.clone(), false));
    }
    if time == to_time {
        return Ok((to.clone(), false));
    }
    let fraction = (time - from_time) as f64 / (to_time - from_time) as f64;
    let mut result = HistogramSum::new(to);
    if counter && is_reset(from, to) {
        result.multiply(fraction);
        return Ok((result.finish(), false));
    }
    let reconciled = result.subtract(from)?.bounds_reconciled;
    result.multiply(fraction);
    result.add(from)?;
    Ok((result.finish(), reconciled))
}

/// The histograms of an extended window and its edges.
struct Range<'a> {
    points: &'a [FloatHistogram],
    edges: Extended<'a>,
    counter: bool,
    told: Told<'a>,
}

/// `rate`, `increase` and `delta` of an extended window of histograms only; divided by
/// `per_seconds` if given.
pub(super) fn rate(
    histograms: &Histograms,
    window: &Window<'_>,
    (smoothed, counter): (bool, bool),
    per_seconds: Option<f64>,
    told: Told<'_>,
) -> Point {
    let timestamps: Vec<i64> = window.histograms.iter().map(|point| point.timestamp).collect();
    let (start, end) = (window.start, window.end);
    let edges = Extended { timestamps: &timestamps, values: &[], start, end, smoothed };
    let mut range = Range { points: histograms.within(window), edges, counter, told };
    let Some(mut change) = range.change() else { return Point::Absent };
    if let Some(seconds) = per_seconds {
        change.divide(seconds);
    }
    change.set_hint(CounterResetHint::Gauge);
    Point::Histogram(Arc::new(change.finish()))
}

impl Range<'_> {
    fn change(&mut self) -> Option<HistogramSum> {
        let (first, last) = self.edges.ends()?;
        let points = self.points;
        let looked_at = &points[first..=last];
        let same_kind = self.told.same_kind(looked_at);
        if self.counter {
            let alike = |h: &&FloatHistogram| is_custom(h) == is_custom(&looked_at[0]);
            let alike = looked_at.iter().take_while(alike).count();
            self.told.counters(&looked_at[..alike]);
        }
        if !same_kind {
            return None;
        }
        let cuts_left = self.edges.smoothed && self.edges.timestamps[first] < self.edges.start;
        let left = match cuts_left {
            true => self.between(first, self.edges.start)?,
            false => points[first].clone(),
        };
        let cuts_right =
            self.edges.smoothed && last > 0 && self.edges.timestamps[last] > self.edges.end;
        let right = match cuts_right {
            true => self.between(last - 1, self.edges.end)?,
            false => points[last].clone(),
        };
        if !self.counter {
            self.told.gauges(&left, &right);
        }
        let mut change = HistogramSum::new(&right);
        if !self.told.added(change.subtract(&left), "subtraction") {
            return None;
        }
        if self.counter {
            let corrections = corrections(points, (first, last), (&left, &right), cuts_left);
            let mut corrections = corrections.into_iter();
            if let Some(first) = corrections.next() {
                let mut correction = HistogramSum::new(first);
                for before_reset in corrections {
                    if !self.told.added(correction.add(before_reset), "addition") {
                        return None;
                    }
                }
                if !self.told.added(change.merge(correction), "addition") {
                    return None;
                }
            }
        }
        Some(change)
    }

    /// The histogram between `at` and the next one at `time`.
    fn between(&mut self, at: usize, time: i64) -> Option<FloatHistogram> {
        let times = self.edges.timestamps;
        let [from, to] = [at, at + 1].map(|at| (times[at], &self.points[at]));
        match interpolate(from, to, time, self.counter) {
            Ok((histogram, reconciled)) => {
                if reconciled {
                    self.told.reconciled("subtraction");
                    self.told.reconciled("addition");
                }
                Some(histogram)
            }
            Err(error) => {
                self.told.added(Err(error), "subtraction");
                None
            }
        }
    }
}

/// The histograms before which a reset happened within the range. A reset that the
/// interpolation at the left edge spans is accounted for there.
fn corrections<'h>(
    points: &'h [FloatHistogram],
    (first, last): (usize, usize),
    (left, right): (&'h FloatHistogram, &'h FloatHistogram),
    cuts_left: bool,
) -> Vec<&'h FloatHistogram> {
    let (mut from, mut before) = (first + 1, left);
    if cuts_left && is_reset(&points[first], &points[first + 1]) {
        before = &points[first + 1];
        from += 1;
    }
    let mut corrections = Vec::new();
    if from > last {
        return corrections;
    }
    for point in points[from..last].iter().chain(std::iter::once(right)) {
        if is_reset(before, point) {
            corrections.push(before);
        }
        before = point;
    }
    corrections
}
