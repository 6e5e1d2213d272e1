//! Sums of native histograms: addition, subtraction, multiplication and division, with
//! compensation for rounding where Prometheus compensates.
//!
//! In: histograms as stored. Out: histograms without empty buckets. Histograms of different
//! resolution meet at the coarser one, different zero buckets at one that holds both, different
//! custom bounds at those they share. The rules are those of Prometheus'
//! `model/histogram/float_histogram.go`, the order of additions too: what is left of equal buckets
//! is nothing there, and must not be the rounding of another order here. Never here: annotations;
//! callers get facts to tell.

use std::fmt;

use super::buckets::{
    Cell, Resolution, all_cells, cells, merge_custom, reduce, renumber_custom, spans_of,
};
use super::histogram::{CounterResetHint, FloatHistogram};

/// Compensated addition after Kahan and Neumaier: adds `inc` to the running (sum, compensation).
#[inline]
pub fn kahan_add(inc: f64, sum: f64, compensation: f64) -> (f64, f64) {
    let total = sum + inc;
    let compensation = if total.is_infinite() {
        0.0
    } else if sum.abs() >= inc.abs() {
        compensation + ((sum - total) + inc)
    } else {
        compensation + ((inc - total) + sum)
    };
    (total, compensation)
}

/// A number being summed up, with what rounding took from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Compensated {
    /// The sum so far.
    pub sum: f64,
    /// What it lacks.
    pub compensation: f64,
}

impl Compensated {
    /// The number `value`.
    pub const fn new(value: f64) -> Compensated {
        Compensated { sum: value, compensation: 0.0 }
    }

    /// Adds a number.
    #[inline]
    pub fn add(&mut self, value: f64) {
        (self.sum, self.compensation) = kahan_add(value, self.sum, self.compensation);
    }

    /// Adds what another sum holds.
    #[inline]
    pub fn merge(&mut self, other: Compensated) {
        self.add(other.sum);
        if other.compensation != 0.0 {
            self.add(other.compensation);
        }
    }

    /// The result.
    #[inline]
    pub fn total(self) -> f64 {
        self.sum + self.compensation
    }

    /// The result; -0 from which nothing was lost stays -0.
    fn signed_total(self) -> f64 {
        if self.compensation == 0.0 { self.sum } else { self.total() }
    }

    /// Lets go of what rounding took.
    fn settle(&mut self) {
        self.compensation = 0.0;
    }

    /// Nothing lost stays nothing lost, even where `f` makes something else of zero.
    fn map(&mut self, f: impl Fn(f64) -> f64) {
        self.sum = f(self.sum);
        if self.compensation != 0.0 {
            self.compensation = f(self.compensation);
        }
    }
}

/// One histogram has exponential buckets, the other custom ones: they have no sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncompatibleBuckets;

impl fmt::Display for IncompatibleBuckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot add histograms with exponential and with custom buckets")
    }
}

impl std::error::Error for IncompatibleBuckets {}

/// What the user may want to know of an addition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Custom bounds differed; only those of both are left.
    pub bounds_reconciled: bool,
    /// One histogram says "reset", the other "no reset".
    pub resets_conflict: bool,
}

/// A sum of histograms.
#[derive(Clone, Debug)]
pub struct HistogramSum {
    hint: CounterResetHint,
    resolution: Resolution,
    zero_threshold: f64,
    zero_count: Compensated,
    count: Compensated,
    sum: Compensated,
    positive: Vec<Cell>,
    negative: Vec<Cell>,
    custom_values: Vec<f64>,
    /// Whether what rounding takes is kept and comes back in the end.
    compensates: bool,
}

impl HistogramSum {
    /// The sum of one histogram. Rounding takes what it takes, as in Prometheus' `Add` and `Sub`.
    pub fn new(first: &FloatHistogram) -> HistogramSum {
        HistogramSum {
            compensates: false,
            hint: first.counter_reset_hint,
            resolution: Resolution(first.schema),
            zero_threshold: first.zero_threshold,
            zero_count: Compensated::new(first.zero_count),
            count: Compensated::new(first.count),
            sum: Compensated::new(first.sum),
            positive: cells(&first.positive_spans, &first.positive_buckets),
            negative: cells(&first.negative_spans, &first.negative_buckets),
            custom_values: first.custom_values.clone(),
        }
    }

    /// As [`HistogramSum::new`], with compensation for rounding, as in Prometheus' `KahanAdd`.
    pub fn compensated(first: &FloatHistogram) -> HistogramSum {
        HistogramSum { compensates: true, ..HistogramSum::new(first) }
    }

    /// As [`HistogramSum::new`], with the buckets that hold nothing: for factors that make
    /// something of nothing, as NaN and infinity do.
    pub fn with_empty_buckets(first: &FloatHistogram) -> HistogramSum {
        HistogramSum {
            positive: all_cells(&first.positive_spans, &first.positive_buckets),
            negative: all_cells(&first.negative_spans, &first.negative_buckets),
            ..HistogramSum::new(first)
        }
    }

    /// Adds a histogram.
    ///
    /// # Errors
    /// [`IncompatibleBuckets`]; the sum is as before.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<Added, IncompatibleBuckets> {
        self.merge(HistogramSum::new(other))
    }

    /// Subtracts a histogram.
    ///
    /// # Errors
    /// [`IncompatibleBuckets`]; the sum is as before.
    pub fn subtract(&mut self, other: &FloatHistogram) -> Result<Added, IncompatibleBuckets> {
        let mut other = HistogramSum::new(other);
        other.each(|value| -value);
        self.merge(other)
    }

    /// Adds another sum, with compensation if this one has it.
    ///
    /// # Errors
    /// [`IncompatibleBuckets`]; the sum is as before.
    pub fn merge(&mut self, mut other: HistogramSum) -> Result<Added, IncompatibleBuckets> {
        if self.resolution.is_custom() != other.resolution.is_custom() {
            return Err(IncompatibleBuckets);
        }
        let (hint, resets_conflict) = joint_hint(self.hint, other.hint);
        self.hint = hint;
        other.compensates = self.compensates;
        let mut bounds_reconciled = false;
        if !self.resolution.is_custom() {
            // Of the other one Prometheus leaves out later what lies within the zero bucket: a bucket
            // that then is part of a coarser one beyond it counts in both.
            if self.zero_threshold != other.zero_threshold {
                let whole = (other.positive.clone(), other.negative.clone());
                self.reconcile_zero_buckets(&mut other);
                (other.positive, other.negative) = whole;
            }
            let coarser = self.resolution.min(other.resolution);
            self.reduce_to(coarser);
            other.reduce_to(coarser);
        } else if self.custom_values != other.custom_values {
            bounds_reconciled = true;
            let shared = shared_bounds(&self.custom_values, &other.custom_values);
            self.move_to_bounds(&shared);
            renumber_custom(&mut other.positive, &other.custom_values, &shared);
        }
        self.zero_count.merge(other.zero_count);
        self.count.merge(other.count);
        self.sum.merge(other.sum);
        other.drop_within_zero_bucket(self.zero_threshold);
        add_cells(&mut self.positive, &other.positive);
        add_cells(&mut self.negative, &other.negative);
        self.settle();
        Ok(Added { bounds_reconciled, resets_conflict })
    }

    /// Unless it compensates, lets go of what rounding took.
    fn settle(&mut self) {
        if self.compensates {
            return;
        }
        let totals = [&mut self.zero_count, &mut self.count, &mut self.sum];
        totals.into_iter().for_each(Compensated::settle);
        let cells = self.positive.iter_mut().chain(&mut self.negative);
        cells.for_each(|cell| cell.count.settle());
    }

    /// Takes away the first buckets as long as they lie within the zero bucket, where a sound histogram
    /// has none: Prometheus leaves them out when it adds.
    fn drop_within_zero_bucket(&mut self, threshold: f64) {
        let resolution = self.resolution;
        if resolution.is_custom() || threshold == 0.0 {
            return;
        }
        for cells in [&mut self.positive, &mut self.negative] {
            let outside = |cell: &Cell| resolution.exponential_bound(cell.index) > threshold;
            let within = cells.iter().position(outside).unwrap_or(cells.len());
            cells.drain(..within);
        }
    }

    /// Multiplies by a number. A negative one makes a gauge of the histogram.
    pub fn multiply(&mut self, factor: f64) {
        self.each(|value| value * factor);
        if factor < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
    }

    /// Divides by a number. Zero takes all buckets away; a negative one makes a gauge.
    pub fn divide(&mut self, divisor: f64) {
        self.each(|value| value / divisor);
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
        } else if divisor < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
    }

    /// Whether a number in it grew beyond all bounds.
    pub fn has_overflow(&self) -> bool {
        let cells = self.positive.iter().chain(&self.negative).map(|cell| cell.count);
        let totals = [self.zero_count, self.count, self.sum];
        totals.into_iter().chain(cells).any(|value| value.sum.is_infinite())
    }

    /// Merges buckets into those of a coarser exponential schema.
    pub fn reduce_resolution(&mut self, schema: i32) {
        if !self.resolution.is_custom() && schema < self.resolution.0 {
            self.reduce_to(Resolution(schema));
        }
    }

    /// What is known of a reset before it.
    pub fn set_hint(&mut self, hint: CounterResetHint) {
        self.hint = hint;
    }

    /// Number of observations.
    pub fn count(&self) -> f64 {
        self.count.total()
    }

    /// The result, without empty buckets.
    pub fn finish(self) -> FloatHistogram {
        let (positive_spans, positive_buckets) = spans_of(&self.positive);
        let (negative_spans, negative_buckets) = spans_of(&self.negative);
        FloatHistogram {
            counter_reset_hint: self.hint,
            schema: self.resolution.0,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count.signed_total(),
            count: self.count.signed_total(),
            sum: self.sum.signed_total(),
            positive_spans,
            negative_spans,
            positive_buckets,
            negative_buckets,
            custom_values: self.custom_values,
        }
    }

    fn each(&mut self, f: impl Fn(f64) -> f64) {
        self.zero_count.map(&f);
        self.count.map(&f);
        self.sum.map(&f);
        let cells = self.positive.iter_mut().chain(&mut self.negative);
        cells.for_each(|cell| cell.count.map(&f));
    }

    fn reduce_to(&mut self, coarser: Resolution) {
        reduce(&mut self.positive, self.resolution, coarser);
        reduce(&mut self.negative, self.resolution, coarser);
        self.resolution = coarser;
        self.settle();
    }

    fn move_to_bounds(&mut self, bounds: &[f64]) {
        merge_custom(&mut self.positive, &self.custom_values, bounds);
        self.custom_values = bounds.to_vec();
        self.settle();
    }

    /// Widens the zero buckets of both until they are the same.
    fn reconcile_zero_buckets(&mut self, other: &mut HistogramSum) {
        while self.zero_threshold != other.zero_threshold {
            if self.zero_threshold.is_nan() || other.zero_threshold.is_nan() {
                return;
            }
            let (narrow, wide) = if self.zero_threshold < other.zero_threshold {
                (&mut *self, other.zero_threshold)
            } else {
                (&mut *other, self.zero_threshold)
            };
            narrow.widen_zero_bucket(wide);
        }
    }

    /// Moves all buckets that begin within `threshold` into the zero bucket, and the threshold to
    /// the end of the widest of them.
    fn widen_zero_bucket(&mut self, threshold: f64) {
        let mut threshold = threshold;
        for cells in [&mut self.positive, &mut self.negative] {
            cells.retain(|cell| cell.count.total() != 0.0);
        }
        loop {
            let resolution = self.resolution;
            let within = |cell: &&Cell| resolution.exponential_bound(cell.index - 1) < threshold;
            let inner =
                [&self.positive, &self.negative].map(|c| c.iter().take_while(within).count());
            let reach = [&self.positive, &self.negative]
                .into_iter()
                .zip(inner)
                .filter_map(|(cells, count)| cells[..count].last())
                .map(|cell| resolution.exponential_bound(cell.index))
                .fold(threshold, f64::max);
            if reach == threshold {
                let [positive, negative] = inner;
                let moved = self.positive.drain(..positive).chain(self.negative.drain(..negative));
                moved.for_each(|cell| self.zero_count.merge(cell.count));
                self.zero_threshold = threshold;
                return;
            }
            threshold = reach;
        }
    }
}

/// The hint of a sum, and whether the hints contradict each other.
fn joint_hint(a: CounterResetHint, b: CounterResetHint) -> (CounterResetHint, bool) {
    use CounterResetHint::{Gauge, Unknown};
    match (a, b) {
        (a, b) if a == b => (a, false),
        (Gauge, _) | (_, Gauge) => (Gauge, false),
        (Unknown, _) | (_, Unknown) => (Unknown, false),
        _ => (Unknown, true),
    }
}

/// The bounds that both ascending lists have.
pub(super) fn shared_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut rest = b.iter().peekable();
    let mut shared = Vec::new();
    for bound in a {
        while rest.next_if(|other| **other < *bound).is_some() {}
        if rest.next_if(|other| **other == *bound).is_some() {
            shared.push(*bound);
        }
    }
    shared
}

/// Adds `more` to `cells`, both ascending by index; of `more` several may have the same one.
fn add_cells(cells: &mut Vec<Cell>, more: &[Cell]) {
    if more.is_empty() {
        return;
    }
    let same = cells.len() == more.len() && cells.iter().zip(more).all(|(a, b)| a.index == b.index);
    if same {
        cells.iter_mut().zip(more).for_each(|(a, b)| a.count.merge(b.count));
        return;
    }
    let mut merged: Vec<Cell> = Vec::with_capacity(cells.len() + more.len());
    let mut put = |cell: Cell| match merged.last_mut() {
        Some(last) if last.index == cell.index => last.count.merge(cell.count),
        _ => merged.push(cell),
    };
    let mut rest = more.iter().peekable();
    for cell in cells.drain(..) {
        while let Some(before) = rest.next_if(|other| other.index < cell.index) {
            put(*before);
        }
        put(cell);
    }
    rest.for_each(|cell| put(*cell));
    *cells = merged;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::{BucketSpan, CUSTOM_BUCKETS_SCHEMA};

    fn span(offset: i32, length: u32) -> BucketSpan {
        BucketSpan { offset, length }
    }

    fn exponential(schema: i32, offset: i32, buckets: &[f64]) -> FloatHistogram {
        FloatHistogram {
            schema,
            count: buckets.iter().sum(),
            positive_spans: vec![span(offset, buckets.len() as u32)],
            positive_buckets: buckets.to_vec(),
            ..FloatHistogram::default()
        }
    }

    fn custom(bounds: &[f64], buckets: &[f64]) -> FloatHistogram {
        FloatHistogram {
            custom_values: bounds.to_vec(),
            ..exponential(CUSTOM_BUCKETS_SCHEMA, 0, buckets)
        }
    }

    #[test]
    fn the_sign_of_nothing_stays() {
        let mut negative = HistogramSum::new(&FloatHistogram::default());
        negative.multiply(-1.0);
        let FloatHistogram { count, sum, zero_count, .. } = negative.finish();
        assert!([count, sum, zero_count].iter().all(|value| value.is_sign_negative()));
    }

    fn sum(a: &FloatHistogram, b: &FloatHistogram) -> (FloatHistogram, Added) {
        let mut sum = HistogramSum::new(a);
        let added = sum.add(b).expect("compatible");
        (sum.finish(), added)
    }

    #[test]
    fn the_coarser_resolution_wins() {
        let (h, _) = sum(&exponential(1, 1, &[1.0, 2.0, 3.0]), &exponential(0, 1, &[10.0, 20.0]));
        assert_eq!((h.schema, h.count), (0, 36.0));
        assert_eq!(h.positive_buckets, [13.0, 23.0]);
        assert_eq!(h.positive_spans, [span(1, 2)]);
    }

    #[test]
    fn zero_buckets_meet_beyond_the_buckets_they_cut() {
        let wide = FloatHistogram {
            zero_threshold: 3.0,
            zero_count: 5.0,
            count: 5.0,
            ..exponential(0, 5, &[])
        };
        let (h, _) = sum(&exponential(0, 1, &[1.0, 2.0, 3.0]), &wide);
        assert_eq!((h.zero_threshold, h.zero_count), (4.0, 8.0));
        assert_eq!((h.positive_spans, h.positive_buckets), (vec![span(3, 1)], vec![3.0]));
    }

    #[test]
    fn a_bucket_that_becomes_part_of_one_beyond_the_zero_bucket_counts_in_both() {
        let wide = FloatHistogram {
            zero_threshold: 2.3,
            zero_count: 1.0,
            count: 1.0,
            ..exponential(1, 5, &[])
        };
        // From 2 to 2.38 in schema 3, part of what goes to 2.83 in schema 1.
        let (h, _) = sum(&wide, &exponential(3, 9, &[5.0, 7.0]));
        assert_eq!((h.zero_count, h.count), (13.0, 13.0));
        assert_eq!((h.positive_spans, h.positive_buckets), (vec![span(3, 1)], vec![12.0]));
    }

    #[test]
    fn custom_bounds_meet_at_those_of_both() {
        let a = custom(&[1.0, 2.0, 4.0], &[1.0, 1.0, 1.0, 1.0]);
        let b = custom(&[2.0, 3.0, 4.0], &[1.0, 1.0, 1.0, 1.0]);
        let (h, added) = sum(&a, &b);
        assert!(added.bounds_reconciled);
        assert_eq!((h.custom_values, h.positive_buckets), (vec![2.0, 4.0], vec![3.0, 3.0, 2.0]));
        assert_eq!(HistogramSum::new(&a).add(&exponential(0, 0, &[1.0])), Err(IncompatibleBuckets));
    }

    #[test]
    fn a_difference_leaves_no_empty_buckets() {
        let a = exponential(0, 0, &[1.0, 2.0, 3.0]);
        let mut difference = HistogramSum::new(&a);
        difference.subtract(&exponential(0, 1, &[2.0])).expect("compatible");
        let h = difference.finish();
        assert_eq!(h.positive_spans, [span(0, 1), span(1, 1)]);
        assert_eq!((h.positive_buckets, h.count), (vec![1.0, 3.0], 4.0));
    }

    #[test]
    fn contradicting_hints_are_told() {
        use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
        assert_eq!(joint_hint(Reset, NotReset), (Unknown, true));
        assert_eq!(joint_hint(Reset, Unknown), (Unknown, false));
        assert_eq!(joint_hint(Unknown, Gauge), (Gauge, false));
    }

    #[test]
    fn sums_are_compensated() {
        let mut sum = HistogramSum::compensated(&exponential(0, 0, &[1.0]));
        for value in [1e100, 1.0, -1e100] {
            sum.add(&exponential(0, 0, &[value])).expect("compatible");
        }
        assert_eq!(sum.finish().positive_buckets, [2.0]);
    }

    #[test]
    fn a_plain_difference_of_equal_buckets_is_nothing() {
        let fine = exponential(1, 1, &[1.0, 0.23]);
        let mut difference = HistogramSum::new(&exponential(0, 1, &[1.23]));
        difference.subtract(&fine).expect("compatible");
        assert_eq!(difference.finish().positive_buckets, [0.0; 0]);
        // Custom buckets are taken one after the other.
        let mut sum = HistogramSum::new(&custom(&[2.0], &[1e16]));
        sum.add(&custom(&[1.0, 2.0], &[1.0, 1.0])).expect("compatible");
        assert_eq!(sum.finish().positive_buckets, [1e16]);
        let mut sum = HistogramSum::compensated(&custom(&[2.0], &[1e16]));
        sum.add(&custom(&[1.0, 2.0], &[1.0, 1.0])).expect("compatible");
        assert_eq!(sum.finish().positive_buckets, [1e16 + 2.0]);
    }

    #[test]
    fn division_by_zero_takes_the_buckets() {
        let mut sum = HistogramSum::new(&exponential(0, 0, &[1.0]));
        sum.divide(0.0);
        let h = sum.finish();
        assert_eq!((h.count, h.positive_spans.len()), (f64::INFINITY, 0));
    }
}
