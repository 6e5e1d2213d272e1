//! What receivers hand to `ingest`: samples in columns, series by their packed labels.

use super::exemplar::Exemplar;
use super::labels::Labels;
use super::metadata::MetricMetadata;
use super::sample::Sample;
use super::source::HistogramPoint;

/// One delivery of one receiver. Label sets are borrowed from the receiver's buffer, so a batch
/// costs no allocation per series.
#[derive(Debug, Default)]
pub struct WriteBatch<'a> {
    /// The series, in the order they came; the same series may occur more than once.
    pub series: Vec<SeriesEntry<'a>>,
    /// Float samples, addressed by [`SeriesEntry::samples`].
    pub samples: Vec<Sample>,
    /// Histogram samples, addressed by [`SeriesEntry::histograms`].
    pub histograms: Vec<HistogramPoint>,
    /// Exemplars, addressed by [`SeriesEntry::exemplars`].
    pub exemplars: Vec<Exemplar>,
    /// Metadata by metric family name.
    pub metadata: Vec<(String, MetricMetadata)>,
}

/// One series of a batch. The three counts say how many entries of each column of the batch belong
/// to it: columns are filled series by series, so the next series' entries follow.
#[derive(Clone, Copy, Debug)]
pub struct SeriesEntry<'a> {
    /// The label set in packed form (see [`Labels`]), **not yet validated**: only a lookup that
    /// finds these very bytes, or [`Labels::from_packed`], makes them trustworthy.
    pub labels: &'a [u8],
    /// Number of float samples.
    pub samples: u32,
    /// Number of histogram samples.
    pub histograms: u32,
    /// Number of exemplars.
    pub exemplars: u32,
}

impl<'a> SeriesEntry<'a> {
    /// A series without samples, to be looked up.
    pub fn of(labels: &'a [u8]) -> SeriesEntry<'a> {
        SeriesEntry { labels, samples: 0, histograms: 0, exemplars: 0 }
    }
}

impl<'a> WriteBatch<'a> {
    /// Adds a series with one float sample; the usual case.
    pub fn push_sample(&mut self, labels: &'a Labels, sample: Sample) {
        self.push_packed_sample(labels.as_packed(), sample);
    }

    /// Adds a series given by its packed labels with one float sample.
    #[inline]
    pub fn push_packed_sample(&mut self, labels: &'a [u8], sample: Sample) {
        self.series.push(SeriesEntry { labels, samples: 1, histograms: 0, exemplars: 0 });
        self.samples.push(sample);
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty() && self.metadata.is_empty()
    }
}
