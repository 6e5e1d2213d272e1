//! Where a test's samples are: in memory, appended as time goes on, by the input and by the rules.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::file::Test;
use crate::model::histogram_reset::is_reset;
use crate::model::{
    CounterResetHint, FloatHistogram, Histogram, Labels, Selector, SeriesSet, SeriesSource,
    SourceError, Timestamp, WriteBatch,
};
use crate::promql::memory::{MemorySample, MemorySource, MemoryValue};
use crate::promql::series_desc::SequenceValue;
use crate::rules::seams::{SampleSink, Written};

/// The samples of a test so far.
#[derive(Default)]
pub(in crate::rules) struct TestStore {
    /// Read by queries, written between them.
    kept: RwLock<Kept>,
    /// Input of each series that is appended already.
    done: Vec<usize>,
}

#[derive(Default)]
struct Kept {
    memory: MemorySource,
    /// The latest sample of each series whose latest sample is a histogram.
    latest: HashMap<Labels, FloatHistogram>,
}

impl Kept {
    fn append(&mut self, labels: &Labels, samples: impl Iterator<Item = MemorySample>) {
        let samples = samples.map(|sample| MemorySample {
            value: match sample.value {
                MemoryValue::Histogram(histogram) => {
                    MemoryValue::Histogram(with_hint(&mut self.latest, labels, *histogram).into())
                }
                value => {
                    self.latest.remove(labels);
                    value
                }
            },
            ..sample
        });
        self.memory.append(labels, samples);
    }
}

/// What a Prometheus knows of counter resets when it reads its own samples: nothing of the first of
/// a chunk, and of the others that they follow without one; a reset begins a chunk.
fn with_hint(
    latest: &mut HashMap<Labels, FloatHistogram>,
    labels: &Labels,
    mut histogram: FloatHistogram,
) -> FloatHistogram {
    if histogram.counter_reset_hint != CounterResetHint::Gauge {
        let previous = latest.get(labels);
        let reset = previous.map(|previous| is_reset(previous, &histogram));
        histogram.counter_reset_hint = match reset {
            None => CounterResetHint::Unknown,
            Some(true) => CounterResetHint::Reset,
            Some(false) => CounterResetHint::NotReset,
        };
    }
    latest.insert(labels.clone(), histogram.clone());
    histogram
}

impl TestStore {
    fn read(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Kept> {
        self.kept.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends the input up to and including `until` (ms).
    pub fn load_until(&mut self, test: &Test, until: i64) {
        self.done.resize(test.series.len(), 0);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for (series, done) in test.series.iter().zip(&mut self.done) {
            let at = |index: usize| {
                let index = i64::try_from(index).unwrap_or(i64::MAX);
                index.saturating_mul(test.interval_ms).saturating_add(test.start_ms)
            };
            let first = *done;
            while *done < series.values.len() && at(*done) <= until {
                *done += 1;
            }
            let values = series.values[first..*done].iter().enumerate();
            let samples = values.filter_map(|(index, value)| sample(at(first + index), value));
            kept.append(&series.labels, samples);
        }
    }

    /// Every sample, one a line.
    pub fn dump(&self) -> Vec<String> {
        let everything = Selector::new(&[], Timestamp::MIN, Timestamp::MAX);
        let Ok(found) = self.select(&everything) else { return Vec::new() };
        let mut data = crate::model::SeriesData::default();
        let mut lines = Vec::new();
        for index in 0..found.len() {
            if found.read(index, &mut data).is_ok() {
                let labels = found.labels(index);
                let points = data.timestamps.iter().zip(&data.values);
                lines.extend(points.map(|(at, value)| format!("{labels} {value} @{at}")));
                let histograms = data.histograms.iter();
                lines.extend(
                    histograms.map(|h| format!("{labels} {:?} @{}", h.histogram, h.timestamp)),
                );
            }
        }
        lines
    }
}

fn sample(timestamp: i64, value: &SequenceValue) -> Option<MemorySample> {
    let value = match value {
        SequenceValue::Omitted => return None,
        SequenceValue::Float(value) => MemoryValue::Float(*value),
        SequenceValue::Histogram { histogram, .. } => MemoryValue::Histogram(histogram.clone()),
    };
    Some(MemorySample { timestamp, start_timestamp: 0, value })
}

impl SeriesSource for TestStore {
    fn select(&self, selector: &Selector<'_>) -> Result<Box<dyn SeriesSet>, SourceError> {
        self.read().memory.select(selector)
    }

    fn series(&self, selector: &Selector<'_>) -> Result<Vec<Labels>, SourceError> {
        self.read().memory.series(selector)
    }

    fn label_names(&self, selector: &Selector<'_>) -> Result<Vec<String>, SourceError> {
        self.read().memory.label_names(selector)
    }

    fn label_values(
        &self,
        name: &str,
        selector: &Selector<'_>,
    ) -> Result<Vec<String>, SourceError> {
        self.read().memory.label_values(name, selector)
    }
}

impl SampleSink for TestStore {
    fn submit(&self, batch: &WriteBatch<'_>) -> Result<Written, String> {
        let mut memory = self.write();
        let (mut samples, mut histograms) = (batch.samples.iter(), batch.histograms.iter());
        for entry in &batch.series {
            let labels = Labels::from_packed(entry.labels).map_err(|error| error.to_string())?;
            let floats = samples.by_ref().take(entry.samples as usize).map(|sample| MemorySample {
                timestamp: sample.timestamp.0,
                start_timestamp: 0,
                value: MemoryValue::Float(sample.value),
            });
            memory.append(&labels, floats);
            let points = histograms.by_ref().take(entry.histograms as usize);
            memory.append(&labels, points.filter_map(histogram));
        }
        Ok(Box::new(|| Ok(())))
    }
}

fn histogram(point: &crate::model::source::HistogramPoint) -> Option<MemorySample> {
    let Histogram::Float(histogram) = &point.histogram else { return None };
    let value = MemoryValue::Histogram(Box::new(histogram.clone()));
    Some(MemorySample { timestamp: point.timestamp, start_timestamp: 0, value })
}
