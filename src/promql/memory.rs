//! Series held in memory: the source that scripts and engine tests query.
//!
//! In: samples, in any order. Out: what a [`SeriesSource`] answers. Never here: disk, limits,
//! staleness handling; a store in the small, without a store's guarantees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::histogram_reset::{forget_resets, mark_continuations, unmark_continuations};
use crate::model::source::HistogramPoint;
use crate::model::{
    FloatHistogram, Histogram, Labels, Selector, SeriesData, SeriesSet, SeriesSource, SourceError,
};

/// One sample of either kind.
#[derive(Clone, Debug, PartialEq)]
pub struct MemorySample {
    /// When it was taken, in ms.
    pub timestamp: i64,
    /// When the counting behind it began, in ms; 0 when unknown.
    pub start_timestamp: i64,
    /// Number or histogram.
    pub value: MemoryValue,
}

/// What a sample holds.
#[derive(Clone, Debug, PartialEq)]
pub enum MemoryValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Box<FloatHistogram>),
}

type Samples = BTreeMap<i64, MemorySample>;

/// The series, sorted by labels.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    series: BTreeMap<Labels, Arc<Samples>>,
}

impl MemorySource {
    /// An empty source.
    pub fn new() -> MemorySource {
        MemorySource::default()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.series.clear();
    }

    /// Adds samples to the series with these labels; a sample replaces an older one of its time.
    pub fn append(&mut self, labels: &Labels, samples: impl IntoIterator<Item = MemorySample>) {
        let series = self.series.entry(labels.clone()).or_default();
        let series = Arc::make_mut(series);
        series.extend(samples.into_iter().map(|sample| (sample.timestamp, sample)));
    }

    /// Series that match and have a sample in the range.
    fn matching<'a>(
        &'a self,
        selector: &'a Selector<'_>,
    ) -> impl Iterator<Item = (&'a Labels, &'a Arc<Samples>)> {
        let range = selector.start.as_millis()..=selector.end.as_millis();
        self.series.iter().filter(move |(labels, samples)| {
            let has_samples = !range.is_empty() && samples.range(range.clone()).next().is_some();
            has_samples && selector.matchers.iter().all(|matcher| matcher.matches_labels(labels))
        })
    }
}

impl SeriesSource for MemorySource {
    fn select(&self, selector: &Selector<'_>) -> Result<Box<dyn SeriesSet>, SourceError> {
        let series =
            self.matching(selector).map(|(l, samples)| (l.clone(), Arc::clone(samples))).collect();
        let (start, end) = (selector.start.as_millis(), selector.end.as_millis());
        Ok(Box::new(MemorySet { series, start, end }))
    }

    fn series(&self, selector: &Selector<'_>) -> Result<Vec<Labels>, SourceError> {
        Ok(self.matching(selector).map(|(labels, _)| labels.clone()).collect())
    }

    fn label_names(&self, selector: &Selector<'_>) -> Result<Vec<String>, SourceError> {
        let names: BTreeSet<&str> =
            self.matching(selector).flat_map(|(labels, _)| labels.iter().map(|(n, _)| n)).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn label_values(
        &self,
        name: &str,
        selector: &Selector<'_>,
    ) -> Result<Vec<String>, SourceError> {
        let values: BTreeSet<&str> =
            self.matching(selector).filter_map(|(labels, _)| labels.get(name)).collect();
        Ok(values.into_iter().map(str::to_owned).collect())
    }
}

/// The answer to a selector.
struct MemorySet {
    series: Vec<(Labels, Arc<Samples>)>,
    start: i64,
    end: i64,
}

impl SeriesSet for MemorySet {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.series[index].0
    }

    fn read(&self, index: usize, out: &mut SeriesData) -> Result<(), SourceError> {
        out.clear();
        let samples = &self.series[index].1;
        // One more before the range: hints tell of the step from it.
        let first = samples.range(..self.start).next_back().map_or(self.start, |(time, _)| *time);
        for sample in samples.range(first..=self.end).map(|(_, sample)| sample) {
            match &sample.value {
                MemoryValue::Float(value) => {
                    out.timestamps.push(sample.timestamp);
                    out.values.push(*value);
                    out.start_timestamps.push(sample.start_timestamp);
                }
                MemoryValue::Histogram(histogram) => out.histograms.push(HistogramPoint {
                    timestamp: sample.timestamp,
                    start_timestamp: sample.start_timestamp,
                    histogram: Histogram::Float((**histogram).clone()),
                }),
            }
        }
        if out.start_timestamps.iter().all(|start| *start == 0) {
            out.start_timestamps.clear();
        }
        unmark_continuations(&mut out.histograms);
        mark_continuations(&mut out.histograms, &out.timestamps);
        forget_resets(&mut out.histograms);
        drop_before(out, self.start);
        Ok(())
    }
}

/// Drops the samples before `start`; there is one at most.
fn drop_before(data: &mut SeriesData, start: i64) {
    let floats = data.timestamps.partition_point(|time| *time < start);
    data.timestamps.drain(..floats);
    data.values.drain(..floats);
    data.start_timestamps.drain(..floats.min(data.start_timestamps.len()));
    data.histograms.retain(|point| point.timestamp >= start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Matcher, Timestamp};

    fn float(timestamp: i64, value: f64) -> MemorySample {
        MemorySample { timestamp, start_timestamp: 0, value: MemoryValue::Float(value) }
    }

    #[test]
    fn answers_in_label_order_within_the_range() {
        let mut source = MemorySource::new();
        for name in ["b", "a"] {
            let labels = Labels::from_pairs([("__name__", "m"), ("x", name)]).expect("valid");
            source.append(&labels, [float(2000, 2.0), float(1000, 1.0), float(1000, 1.5)]);
        }
        let matchers = [Matcher::equal("__name__", "m")];
        let selector = Selector::new(&matchers, Timestamp(1000), Timestamp(1999));
        let set = source.select(&selector).expect("memory does not fail");
        assert_eq!(set.len(), 2);
        assert_eq!(set.labels(0).value("x"), "a");
        let mut data = SeriesData::default();
        set.read(1, &mut data).expect("memory does not fail");
        assert_eq!((data.timestamps, data.values), (vec![1000], vec![1.5]));
        assert_eq!(source.label_values("x", &selector).expect("answers"), ["a", "b"]);
        let late = Selector { start: Timestamp(3000), end: Timestamp::MAX, ..selector };
        assert!(source.select(&late).expect("answers").is_empty());
        assert!(source.series(&late).expect("answers").is_empty());
        assert_eq!(source.series(&selector).expect("answers").len(), 2);
    }
}
