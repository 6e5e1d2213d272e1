//! Aggregations that keep a few numbers per group and step: `sum`, `avg`, `count`, `min`, `max`,
//! `group`, `stddev`, `stdvar`, and `quantile`, which keeps all values.
//!
//! Values are added in the order of the series, with Prometheus' order of float operations, so
//! results agree bit for bit and never depend on threads.

use std::sync::Arc;

use crate::model::{FloatHistogram, Labels};

use super::super::super::annotations::{
    Notes, ignored_in_aggregation, invalid_quantile, mixed_schemas,
};
use super::super::super::ast::{AggregateOp, Span};
use super::super::super::error::QueryError;
use super::super::super::functions::number::{self, kahan_add};
use super::super::accumulate::Accumulator;
use super::super::block::{ABSENT, Block, Row, SharedHistogram, is_absent};
use super::super::not_supported;

/// A float was seen.
const FLOAT: u8 = 1;
/// A histogram was seen.
const HISTOGRAM: u8 = 2;
/// The mean is computed incrementally, since the compensated sum would overflow.
const RUNNING_MEAN: u8 = 4;
/// Histograms with exponential and with custom buckets were seen.
const INCOMPATIBLE: u8 = 8;

/// The state of an aggregation.
pub(super) struct Fold {
    op: AggregateOp,
    quantiles: Vec<f64>,
    span: Span,
    steps: usize,
    groups: Vec<Group>,
}

/// One group: columns with a value a step, as many as the operator needs.
#[derive(Default)]
struct Group {
    /// Sum, minimum, maximum, squared distances...
    values: Vec<f64>,
    /// Compensation of the sum.
    compensation: Vec<f64>,
    /// Mean.
    means: Vec<f64>,
    /// Number of values.
    counts: Vec<f64>,
    /// What was seen.
    seen: Vec<u8>,
    /// All values, for quantiles.
    all: Vec<Vec<f64>>,
    /// Sums of histograms; empty until there is one.
    histograms: Vec<Option<Accumulator>>,
    drop_name: bool,
}

impl Fold {
    /// An aggregation of what stands at `span`; `quantiles` has a value a step for `quantile`.
    pub(super) fn new(op: AggregateOp, quantiles: &[f64], span: Span, steps: usize) -> Fold {
        Fold { op, quantiles: quantiles.to_vec(), span, steps, groups: Vec::new() }
    }

    /// Adds a group; gives the number of values it holds.
    pub(super) fn add_group(&mut self) -> u64 {
        use AggregateOp::{Avg, Count, Quantile, Stddev, Stdvar, Sum};
        let column = |wanted: bool| vec![0.0; if wanted { self.steps } else { 0 }];
        let op = self.op;
        self.groups.push(Group {
            values: vec![ABSENT; self.steps],
            compensation: column(matches!(op, Sum | Avg)),
            means: column(matches!(op, Avg | Stddev | Stdvar)),
            counts: column(matches!(op, Avg | Count | Stddev | Stdvar)),
            seen: vec![0; self.steps],
            all: vec![Vec::new(); if op == Quantile { self.steps } else { 0 }],
            histograms: Vec::new(),
            drop_name: false,
        });
        self.steps as u64
    }

    /// Whether every value added is held until the end.
    pub(super) fn keeps_values(&self) -> bool {
        self.op == AggregateOp::Quantile
    }

    /// Adds a row to group number `group`; `name` is that of its metric, for annotations.
    pub(super) fn add(
        &mut self,
        group: usize,
        row: &Row,
        name: &str,
        notes: &mut Notes,
    ) -> Result<(), QueryError> {
        let state = &mut self.groups[group];
        state.drop_name |= row.drop_name;
        if !row.histograms.is_empty() {
            state.add_histograms(self.op, self.span, row, name, notes);
        }
        match self.op {
            AggregateOp::Sum => state.sum(&row.values),
            AggregateOp::Avg => state.avg(&row.values),
            AggregateOp::Count => state.count(&row.values),
            AggregateOp::Group => state.each(&row.values, |_, _| 1.0),
            AggregateOp::Min => state
                .each(&row.values, |old, new| if old > new || old.is_nan() { new } else { old }),
            AggregateOp::Max => state
                .each(&row.values, |old, new| if old < new || old.is_nan() { new } else { old }),
            AggregateOp::Stddev | AggregateOp::Stdvar => state.deviation(&row.values),
            AggregateOp::Quantile => state.collect(&row.values),
            other => return Err(not_supported(other.as_str())),
        }
        Ok(())
    }

    /// The result, groups labelled in order.
    pub(super) fn finish(
        self,
        labels: Vec<Labels>,
        notes: &mut Notes,
    ) -> Result<Block, QueryError> {
        let mut rows = Vec::with_capacity(labels.len());
        for (mut group, labels) in self.groups.into_iter().zip(labels) {
            let histograms = group.finish(self.op, self.span, &self.quantiles, notes);
            let drop_name = group.drop_name;
            let row = Row { labels, drop_name, values: group.values, histograms };
            if !row.is_empty() {
                rows.push(row);
            }
        }
        Ok(Block { rows })
    }
}

/// Warns of quantiles outside 0..=1.
pub(super) fn note_quantiles(param: &[f64], span: Span, notes: &mut Notes) {
    for q in param.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
        notes.warn(span, invalid_quantile(*q));
    }
}

impl Group {
    /// Replaces each value by `f(old, new)`; the first one stands for both.
    #[inline]
    fn each(&mut self, values: &[f64], f: impl Fn(f64, f64) -> f64) {
        for (old, new) in self.values.iter_mut().zip(values) {
            if !is_absent(*new) {
                *old = f(if is_absent(*old) { *new } else { *old }, *new);
            }
        }
    }

    fn sum(&mut self, values: &[f64]) {
        let state = self.values.iter_mut().zip(&mut self.compensation).zip(&mut self.seen);
        for (((sum, compensation), seen), value) in state.zip(values) {
            if is_absent(*value) || *seen & INCOMPATIBLE != 0 {
                continue;
            }
            if *seen & FLOAT == 0 {
                (*sum, *compensation) = (*value, 0.0);
                *seen |= FLOAT;
            } else {
                (*sum, *compensation) = kahan_add(*value, *sum, *compensation);
            }
        }
    }

    fn avg(&mut self, values: &[f64]) {
        let sums = self.values.iter_mut().zip(&mut self.compensation).zip(&mut self.seen);
        let state = sums.zip(self.counts.iter_mut().zip(&mut self.means));
        for ((((sum, compensation), seen), (count, mean)), value) in state.zip(values) {
            if is_absent(*value) || *seen & INCOMPATIBLE != 0 {
                continue;
            }
            *count += 1.0;
            if *seen & FLOAT == 0 {
                *seen |= FLOAT;
                *sum = *value;
                continue;
            }
            if *seen & RUNNING_MEAN == 0 {
                let added = kahan_add(*value, *sum, *compensation);
                if !added.0.is_infinite() {
                    (*sum, *compensation) = added;
                    continue;
                }
                *seen |= RUNNING_MEAN;
                let before = *count - 1.0;
                (*mean, *compensation) = (*sum / before, *compensation / before);
            }
            let weight = (*count - 1.0) / *count;
            (*mean, *compensation) =
                kahan_add(*value / *count, weight * *mean, weight * *compensation);
        }
    }

    fn count(&mut self, values: &[f64]) {
        for (count, value) in self.counts.iter_mut().zip(values) {
            *count += f64::from(u8::from(!is_absent(*value)));
        }
    }

    /// Welford's algorithm; a first value that is not finite makes the result NaN.
    fn deviation(&mut self, values: &[f64]) {
        for (step, value) in values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
            self.counts[step] += 1.0;
            if is_absent(self.values[step]) {
                self.means[step] = *value;
                self.values[step] = if value.is_finite() { 0.0 } else { f64::NAN };
                continue;
            }
            let delta = value - self.means[step];
            self.means[step] += delta / self.counts[step];
            self.values[step] += delta * (value - self.means[step]);
        }
    }

    fn collect(&mut self, values: &[f64]) {
        for (all, value) in self.all.iter_mut().zip(values) {
            if !is_absent(*value) {
                all.push(*value);
            }
        }
    }

    fn add_histograms(
        &mut self,
        op: AggregateOp,
        span: Span,
        row: &Row,
        name: &str,
        notes: &mut Notes,
    ) {
        for (step, histogram) in &row.histograms {
            let step = *step as usize;
            match op {
                AggregateOp::Sum | AggregateOp::Avg => {
                    if !self.accumulate(op, step, histogram) {
                        notes.warn(span, mixed_schemas(name));
                    }
                }
                AggregateOp::Count => self.counts[step] += 1.0,
                AggregateOp::Group => self.values[step] = 1.0,
                _ => notes.info(span, ignored_in_aggregation(op.as_str())),
            }
        }
    }

    /// Adds a histogram unless the step's result is lost already; false when it has other buckets
    /// than those before. Nothing that comes after such a one is looked at.
    fn accumulate(&mut self, op: AggregateOp, step: usize, histogram: &FloatHistogram) -> bool {
        if self.seen[step] & INCOMPATIBLE != 0 {
            return true;
        }
        self.seen[step] |= HISTOGRAM;
        let has_sum = self.histograms.get(step).is_some_and(Option::is_some);
        if self.seen[step] & FLOAT != 0 && !has_sum {
            return true; // a float came first: there is no sum of histograms
        }
        if self.histograms.is_empty() {
            self.histograms.resize_with(self.values.len(), || None);
        }
        let added = match &mut self.histograms[step] {
            Some(state) if op == AggregateOp::Avg => state.add_to_mean(histogram),
            Some(state) => state.add(histogram),
            none => {
                *none = Some(Accumulator::new(histogram));
                Ok(())
            }
        };
        if added.is_err() {
            self.seen[step] |= INCOMPATIBLE;
        }
        added.is_ok()
    }

    /// Turns the state into the result: floats in `values`, histograms given back.
    fn finish(
        &mut self,
        op: AggregateOp,
        span: Span,
        quantiles: &[f64],
        notes: &mut Notes,
    ) -> Vec<(u32, SharedHistogram)> {
        for step in 0..self.values.len() {
            self.values[step] = match op {
                AggregateOp::Sum | AggregateOp::Avg if self.seen[step] & HISTOGRAM != 0 => {
                    if self.seen[step] & FLOAT != 0 {
                        let text = "encountered a mix of histograms and floats for aggregation";
                        notes.warn(span, text);
                    }
                    ABSENT
                }
                AggregateOp::Sum if self.seen[step] & FLOAT != 0 => {
                    self.values[step] + self.compensation[step]
                }
                AggregateOp::Avg if self.seen[step] & RUNNING_MEAN != 0 => {
                    self.means[step] + self.compensation[step]
                }
                AggregateOp::Avg if self.seen[step] & FLOAT != 0 => {
                    let count = self.counts[step];
                    self.values[step] / count + self.compensation[step] / count
                }
                AggregateOp::Count if self.counts[step] > 0.0 => self.counts[step],
                AggregateOp::Stdvar if self.counts[step] > 0.0 => {
                    self.values[step] / self.counts[step]
                }
                AggregateOp::Stddev if self.counts[step] > 0.0 => {
                    (self.values[step] / self.counts[step]).sqrt()
                }
                AggregateOp::Quantile if !self.all[step].is_empty() => {
                    number::quantile(quantiles[step], &mut self.all[step])
                }
                _ => self.values[step],
            };
        }
        self.finish_histograms(op, span, notes)
    }

    fn finish_histograms(
        &mut self,
        op: AggregateOp,
        span: Span,
        notes: &mut Notes,
    ) -> Vec<(u32, SharedHistogram)> {
        let mut finished = Vec::new();
        for (step, state) in std::mem::take(&mut self.histograms).into_iter().enumerate() {
            let Some(state) = state else { continue };
            state.note_bounds(span, notes);
            if self.seen[step] & (FLOAT | INCOMPATIBLE) != 0 {
                continue;
            }
            state.note_resets(span, notes);
            let result = if op == AggregateOp::Avg { state.mean() } else { state.sum() };
            finished.push((step as u32, Arc::new(result)));
        }
        finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(op: AggregateOp, rows: &[[f64; 2]]) -> Vec<f64> {
        let mut fold = Fold::new(op, &[0.5, 0.5], Span::default(), 2);
        fold.add_group();
        let mut notes = Notes::default();
        for values in rows {
            let row = Row { values: values.to_vec(), ..Row::new(Labels::empty(), 0) };
            fold.add(0, &row, "", &mut notes).expect("supported");
        }
        let block = fold.finish(vec![Labels::empty()], &mut notes).expect("supported");
        block.rows[0].values.clone()
    }

    #[test]
    fn steps_without_a_value_stay_absent() {
        for op in [AggregateOp::Sum, AggregateOp::Avg, AggregateOp::Count, AggregateOp::Max] {
            let values = fold(op, &[[2.0, ABSENT], [2.0, ABSENT]]);
            assert!(!is_absent(values[0]) && is_absent(values[1]), "{op:?}");
        }
    }

    #[test]
    fn sums_are_compensated_and_means_do_not_overflow() {
        let rows = [[1.0, f64::MAX], [1e100, f64::MAX], [1.0, f64::MAX], [-1e100, f64::MAX]];
        assert_eq!(fold(AggregateOp::Sum, &rows)[0], 2.0);
        let means = fold(AggregateOp::Avg, &rows);
        assert_eq!(means[0], 0.5);
        assert!(means[1].is_finite() && means[1] > f64::MAX * 0.999_999);
    }

    #[test]
    fn nan_gives_way_to_any_number_in_min_and_max() {
        let rows = [[f64::NAN, f64::NAN], [1.0, f64::NAN]];
        assert_eq!(fold(AggregateOp::Max, &rows)[0], 1.0);
        assert!(fold(AggregateOp::Min, &rows)[1].is_nan());
        assert_eq!(fold(AggregateOp::Quantile, &[[1.0, 4.0], [3.0, 8.0]]), [2.0, 6.0]);
        assert_eq!(fold(AggregateOp::Stddev, &[[1.0, 4.0], [3.0, 8.0]]), [1.0, 2.0]);
    }
}
