//! Sums and means of native histograms, for aggregations and for functions over time.

use crate::model::histogram_sum::{HistogramSum, IncompatibleBuckets};
use crate::model::{CounterResetHint, FloatHistogram};

use super::super::annotations::{Notes, conflicting_resets, reconciled_bounds};
use super::super::ast::Span;

/// What annotations call it.
const WHAT: &str = "aggregation";

/// Histograms being added up.
#[derive(Clone, Debug)]
pub(crate) struct Accumulator {
    /// The sum, or the mean once the sum would overflow.
    state: HistogramSum,
    is_mean: bool,
    count: f64,
    reset_seen: bool,
    no_reset_seen: bool,
    bounds_reconciled: bool,
}

impl Accumulator {
    /// The sum of one histogram.
    pub(crate) fn new(first: &FloatHistogram) -> Accumulator {
        let mut new = Accumulator {
            state: HistogramSum::compensated(first),
            is_mean: false,
            count: 1.0,
            reset_seen: false,
            no_reset_seen: false,
            bounds_reconciled: false,
        };
        new.see_hint(first.counter_reset_hint);
        new
    }

    fn see_hint(&mut self, hint: CounterResetHint) {
        self.reset_seen |= hint == CounterResetHint::Reset;
        self.no_reset_seen |= hint == CounterResetHint::NotReset;
    }

    /// Adds a histogram to a sum.
    pub(crate) fn add(&mut self, histogram: &FloatHistogram) -> Result<(), IncompatibleBuckets> {
        self.count += 1.0;
        self.see_hint(histogram.counter_reset_hint);
        let added = self.state.add(histogram)?;
        self.bounds_reconciled |= added.bounds_reconciled;
        Ok(())
    }

    /// Adds a histogram to what becomes a mean: a sum as long as it does not overflow, then a
    /// running mean.
    pub(crate) fn add_to_mean(
        &mut self,
        histogram: &FloatHistogram,
    ) -> Result<(), IncompatibleBuckets> {
        if !self.is_mean {
            let before = self.state.clone();
            self.add(histogram)?;
            if !self.state.has_overflow() {
                return Ok(());
            }
            self.is_mean = true;
            self.count -= 1.0;
            self.state = before;
            self.state.divide(self.count);
        }
        self.count += 1.0;
        self.see_hint(histogram.counter_reset_hint);
        self.state.multiply((self.count - 1.0) / self.count);
        let mut share = HistogramSum::new(histogram);
        share.divide(self.count);
        let added = self.state.merge(share)?;
        self.bounds_reconciled |= added.bounds_reconciled;
        Ok(())
    }

    /// Tells what the user should know of the histograms' hints and bounds.
    pub(crate) fn note(&self, span: Span, notes: &mut Notes) {
        self.note_resets(span, notes);
        self.note_bounds(span, notes);
    }

    /// Tells of hints that contradict each other.
    pub(crate) fn note_resets(&self, span: Span, notes: &mut Notes) {
        if self.reset_seen && self.no_reset_seen {
            notes.warn(span, conflicting_resets(WHAT));
        }
    }

    /// Tells of custom bounds that were not the same.
    pub(crate) fn note_bounds(&self, span: Span, notes: &mut Notes) {
        if self.bounds_reconciled {
            notes.info(span, reconciled_bounds(WHAT));
        }
    }

    /// The sum.
    pub(crate) fn sum(self) -> FloatHistogram {
        self.state.finish()
    }

    /// The mean, of what was added with [`Accumulator::add_to_mean`].
    pub(crate) fn mean(mut self) -> FloatHistogram {
        if !self.is_mean {
            self.state.divide(self.count);
        }
        self.state.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BucketSpan;

    fn histogram(count: f64) -> FloatHistogram {
        FloatHistogram {
            count,
            sum: count,
            positive_spans: vec![BucketSpan { offset: 0, length: 1 }],
            positive_buckets: vec![count],
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn the_mean_survives_a_sum_that_overflows() {
        let mut mean = Accumulator::new(&histogram(f64::MAX));
        mean.add_to_mean(&histogram(f64::MAX)).expect("compatible");
        mean.add_to_mean(&histogram(f64::MAX)).expect("compatible");
        let mean = mean.mean();
        assert!(mean.count.is_finite() && mean.positive_buckets[0] > f64::MAX * 0.999_999);
    }

    #[test]
    fn contradicting_hints_are_told_once() {
        let mut sum = Accumulator::new(&histogram(1.0));
        for hint in [CounterResetHint::Reset, CounterResetHint::NotReset] {
            let other = FloatHistogram { counter_reset_hint: hint, ..histogram(2.0) };
            sum.add(&other).expect("compatible");
        }
        let mut notes = Notes::default();
        sum.note(Span::default(), &mut notes);
        assert_eq!(notes.render("").warnings.len(), 1);
        assert_eq!(sum.sum().count, 5.0);
    }
}
