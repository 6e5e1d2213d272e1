//! What a rule writes: samples in columns, handed over in batches of a bounded size.

use super::alert::AlertState;
use super::label_merge::merge;
use super::seams::{SampleSink, Written};
use crate::model::labels::METRIC_NAME;
use crate::model::source::HistogramPoint;
use crate::model::{
    FloatHistogram, Histogram, Labels, Sample, SeriesEntry, Timestamp, WriteBatch, stale_nan,
};

/// Most samples handed over at a time: what a batch takes on its way is needed once.
const BATCH_SAMPLES_MAX: usize = 2_500;

/// The samples of one rule at one time.
pub(super) struct Output<'a> {
    sink: &'a dyn SampleSink,
    timestamp: Timestamp,
    /// Packed labels of the series of the batch, one after the other.
    packed: Vec<u8>,
    /// Where each series' labels end, and whether its value is a histogram.
    ends: Vec<(usize, bool)>,
    samples: Vec<Sample>,
    histograms: Vec<HistogramPoint>,
    waiting: Vec<Written>,
    total: usize,
    failure: Option<String>,
}

impl<'a> Output<'a> {
    /// Nothing yet; samples get the time `timestamp`.
    pub fn new(sink: &'a dyn SampleSink, timestamp: Timestamp) -> Output<'a> {
        Output {
            sink,
            timestamp,
            packed: Vec::new(),
            ends: Vec::new(),
            samples: Vec::new(),
            histograms: Vec::new(),
            waiting: Vec::new(),
            total: 0,
            failure: None,
        }
    }

    /// Adds a number.
    pub fn float(&mut self, labels: &Labels, value: f64) {
        self.packed.extend_from_slice(labels.as_packed());
        self.push_float(value);
    }

    /// Adds a native histogram.
    pub fn histogram(&mut self, labels: &Labels, histogram: &FloatHistogram) {
        self.packed.extend_from_slice(labels.as_packed());
        self.ends.push((self.packed.len(), true));
        self.histograms.push(HistogramPoint {
            timestamp: self.timestamp.0,
            start_timestamp: 0,
            histogram: Histogram::Float(histogram.clone()),
        });
        self.flush_when_full();
    }

    /// Adds the mark that a series has ended.
    pub fn stale(&mut self, labels: &Labels) {
        self.float(labels, stale_nan());
    }

    /// Adds a value of the series that tells of an alert: `ALERTS` with a state,
    /// `ALERTS_FOR_STATE` without.
    pub fn alert(&mut self, labels: &Labels, state: Option<AlertState>, value: f64) {
        push_alert_series(&mut self.packed, labels, state);
        self.push_float(value);
    }

    fn push_float(&mut self, value: f64) {
        self.ends.push((self.packed.len(), false));
        self.samples.push(Sample::new(self.timestamp, value));
        self.flush_when_full();
    }

    fn flush_when_full(&mut self) {
        if self.ends.len() >= BATCH_SAMPLES_MAX {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.ends.is_empty() {
            return;
        }
        let mut start = 0;
        let series = self.ends.iter().map(|(end, is_histogram)| {
            let labels = &self.packed[std::mem::replace(&mut start, *end)..*end];
            let (samples, histograms) = (u32::from(!is_histogram), u32::from(*is_histogram));
            SeriesEntry { labels, samples, histograms, exemplars: 0 }
        });
        let batch = WriteBatch {
            series: series.collect(),
            samples: std::mem::take(&mut self.samples),
            histograms: std::mem::take(&mut self.histograms),
            ..WriteBatch::default()
        };
        match self.sink.submit(&batch) {
            Ok(written) => self.waiting.push(written),
            Err(why) => self.failure = self.failure.take().or(Some(why)),
        }
        self.total += self.ends.len();
        self.packed.clear();
        self.ends.clear();
    }

    /// Waits until everything is on disk; the number of samples.
    ///
    /// # Errors
    /// Something was not written; says why.
    pub fn finish(mut self) -> Result<usize, String> {
        self.flush();
        let mut failure = self.failure.take();
        for written in self.waiting {
            failure = written().err().or(failure);
        }
        failure.map_or(Ok(self.total), Err)
    }
}

/// Appends the packed labels of a series that tells of an alert.
pub(super) fn push_alert_series(out: &mut Vec<u8>, labels: &Labels, state: Option<AlertState>) {
    match state {
        Some(state) => {
            let over = [(METRIC_NAME, "ALERTS"), ("alertstate", state.as_str())];
            merge(out, labels, "", &over);
        }
        None => merge(out, labels, "", &[(METRIC_NAME, "ALERTS_FOR_STATE")]),
    }
}
