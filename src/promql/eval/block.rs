//! Results of expressions in columns: one row a series, one value a step.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{FloatHistogram, Labels, STALE_NAN_BITS};

use super::super::error::QueryError;

/// Stands for "no float here". The stale marker never is a result: selectors drop it and arithmetic
/// cannot make it, so its bit pattern is free.
pub(crate) const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

/// Whether `value` is [`ABSENT`].
#[inline]
pub(crate) const fn is_absent(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// A histogram in a result.
pub(crate) type SharedHistogram = Arc<FloatHistogram>;

/// One series of a result.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its labels.
    pub(crate) labels: Labels,
    /// Whether the metric name is to be dropped at the end (delayed name removal), or has been.
    pub(crate) drop_name: bool,
    /// A value a step, or [`ABSENT`].
    pub(crate) values: Vec<f64>,
    /// Histograms by step, ascending; `values` is absent at these steps.
    pub(crate) histograms: Vec<(u32, SharedHistogram)>,
}

impl Row {
    /// A row without a point.
    pub(crate) fn new(labels: Labels, steps: usize) -> Row {
        Row { labels, drop_name: false, values: vec![ABSENT; steps], histograms: Vec::new() }
    }

    /// Makes this the row of another series, without a point, keeping its memory.
    pub(crate) fn reset(&mut self, labels: Labels, steps: usize) {
        self.labels = labels;
        self.drop_name = false;
        self.values.clear();
        self.values.resize(steps, ABSENT);
        self.histograms.clear();
    }

    /// Whether there is no point.
    pub(crate) fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.values.iter().all(|value| is_absent(*value))
    }

    /// The histogram at `step`.
    pub(crate) fn histogram(&self, step: usize) -> Option<&SharedHistogram> {
        if self.histograms.is_empty() {
            return None;
        }
        let found = self.histograms.binary_search_by_key(&step, |(at, _)| *at as usize).ok()?;
        Some(&self.histograms[found].1)
    }

    /// Whether there is a point of either kind at `step`.
    #[inline]
    pub(crate) fn has(&self, step: usize) -> bool {
        !is_absent(self.values[step]) || self.histogram(step).is_some()
    }

    /// Puts a histogram at `step`.
    pub(crate) fn put_histogram(&mut self, step: usize, histogram: SharedHistogram) {
        let at = self.histograms.partition_point(|(other, _)| (*other as usize) < step);
        self.histograms.insert(at, (step as u32, histogram));
    }

    /// Removes the point at `step`.
    pub(crate) fn clear_step(&mut self, step: usize) {
        self.values[step] = ABSENT;
        if !self.histograms.is_empty() {
            self.histograms.retain(|(at, _)| *at as usize != step);
        }
    }

    /// The point of a row of one step, repeated `steps` times.
    pub(crate) fn repeat(&mut self, steps: usize) {
        let value = self.values.first().copied().unwrap_or(ABSENT);
        self.values.resize(steps, value);
        if let Some((_, histogram)) = self.histograms.first().cloned() {
            self.histograms = (0..steps as u32).map(|at| (at, Arc::clone(&histogram))).collect();
        }
    }
}

/// The result of a vector expression. Rows without a point are left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    /// The series, each label set once unless names are still to be dropped.
    pub(crate) rows: Vec<Row>,
}

impl Block {
    /// The label set of no label with one value a step.
    pub(crate) fn from_scalar(values: Vec<f64>) -> Block {
        let row = Row { labels: Labels::empty(), drop_name: false, values, histograms: Vec::new() };
        Block { rows: if row.is_empty() { Vec::new() } else { vec![row] } }
    }

    /// Memory held, in samples.
    pub(crate) fn samples(&self) -> u64 {
        self.rows.iter().map(|row| (row.values.len() + row.histograms.len()) as u64).sum()
    }

    /// Leaves out rows without a point.
    pub(crate) fn drop_empty(&mut self) {
        self.rows.retain(|row| !row.is_empty());
    }
}

/// Whether the label goes where the metric name goes.
pub(crate) fn is_metadata(name: impl AsRef<[u8]>) -> bool {
    matches!(name.as_ref(), b"__name__" | b"__type__" | b"__unit__")
}

/// The labels without metric name, type and unit.
pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    labels.filter(|name| !is_metadata(name))
}

/// The error for two series that became one.
pub(crate) fn same_labels() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned())
}

/// Refuses two rows with the same labels.
pub(crate) fn refuse_same_labels(rows: &[Row]) -> Result<(), QueryError> {
    let mut seen = hashbrown::HashSet::with_capacity(rows.len());
    if rows.len() > 1 && !rows.iter().all(|row| seen.insert(&row.labels)) {
        return Err(same_labels());
    }
    Ok(())
}

/// Joins rows with the same labels.
///
/// # Errors
/// Two of them have a point at the same step.
pub(crate) fn merge_same_labels(rows: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    if rows.len() <= 1 || refuse_same_labels(&rows).is_ok() {
        return Ok(rows);
    }
    let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    for row in rows {
        if let Some(&place) = places.get(&row.labels) {
            join(&mut merged[place], row)?;
        } else {
            places.insert(row.labels.clone(), merged.len());
            merged.push(row);
        }
    }
    Ok(merged)
}

fn join(into: &mut Row, from: Row) -> Result<(), QueryError> {
    for (step, value) in from.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
        if into.has(step) {
            return Err(same_labels());
        }
        into.values[step] = *value;
    }
    for (step, histogram) in from.histograms {
        if into.has(step as usize) {
            return Err(same_labels());
        }
        into.histograms.push((step, histogram));
    }
    into.histograms.sort_by_key(|(step, _)| *step);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f64]) -> Row {
        Row { values: values.to_vec(), ..Row::new(Labels::empty(), 0) }
    }

    #[test]
    fn rows_of_one_series_join_unless_they_overlap() {
        let joined = merge_same_labels(vec![row(&[1.0, ABSENT]), row(&[ABSENT, 2.0])]);
        assert_eq!(joined.expect("no overlap")[0].values, [1.0, 2.0]);
        let error = merge_same_labels(vec![row(&[1.0, ABSENT]), row(&[3.0, 2.0])]);
        assert!(error.is_err());
    }

    #[test]
    fn an_ordinary_nan_is_a_point() {
        assert!(!row(&[f64::NAN]).is_empty());
        assert!(row(&[ABSENT]).is_empty());
        assert!(!is_absent(ABSENT + 1.0), "arithmetic turns the mark into an ordinary NaN");
    }
}
