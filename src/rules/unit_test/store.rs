//! Where a test's samples are: in memory, appended as time goes on, by the input and by the rules.

use std::sync::{PoisonError, RwLock};

use super::file::Test;
use crate::model::{
    Histogram, Labels, Selector, SeriesSet, SeriesSource, SourceError, Timestamp, WriteBatch,
};
use crate::promql::memory::{MemorySample, MemorySource, MemoryValue};
use crate::promql::series_desc::SequenceValue;
use crate::rules::seams::{SampleSink, Written};

/// The samples of a test so far.
#[derive(Default)]
pub(super) struct TestStore {
    /// Read by queries, written between them.
    memory: RwLock<MemorySource>,
    /// Input of each series that is appended already.
    done: Vec<usize>,
}

impl TestStore {
    /// Appends the input up to and including `until` (ms).
    pub fn load_until(&mut self, test: &Test, until: i64) {
        self.done.resize(test.series.len(), 0);
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
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
            memory.append(&series.labels, samples);
        }
    }

    /// Every sample, one a line.
    pub fn dump(&self) -> Vec<String> {
        let everything = Selector { matchers: &[], start: Timestamp::MIN, end: Timestamp::MAX };
        let Ok(found) = self.select(&everything) else { return Vec::new() };
        let mut data = crate::model::SeriesData::default();
        let mut lines = Vec::new();
        for index in 0..found.len() {
            if found.read(index, &mut data).is_ok() {
                let labels = found.labels(index);
                let points = data.timestamps.iter().zip(&data.values);
                lines.extend(points.map(|(at, value)| format!("{labels} {value} @{at}")));
                let histograms = data.histograms.iter();
                lines.extend(histograms.map(|h| format!("{labels} {:?} @{}", h.histogram, h.timestamp)));
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
        self.memory.read().unwrap_or_else(PoisonError::into_inner).select(selector)
    }

    fn label_names(&self, selector: &Selector<'_>) -> Result<Vec<String>, SourceError> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner).label_names(selector)
    }

    fn label_values(
        &self,
        name: &str,
        selector: &Selector<'_>,
    ) -> Result<Vec<String>, SourceError> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner).label_values(name, selector)
    }
}

impl SampleSink for TestStore {
    fn submit(&self, batch: &WriteBatch<'_>) -> Result<Written, String> {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
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
