//! The read seam: what a query engine asks of a store.
//!
//! `promql` and `storage` meet only here. A source answers a selector with a set of series whose
//! samples are then read one series at a time, by as many threads as the engine likes.

use std::fmt;

use super::histogram::Histogram;
use super::interrupt::{Interrupt, Interrupted};
use super::labels::Labels;
use super::matcher::Matcher;
use super::time::Timestamp;

/// Which series, and which stretch of time: both bounds inclusive.
#[derive(Clone, Debug)]
pub struct Selector<'a> {
    /// All must match. A matcher that accepts the empty string also accepts an absent label.
    pub matchers: &'a [Matcher],
    /// First wanted timestamp.
    pub start: Timestamp,
    /// Last wanted timestamp.
    pub end: Timestamp,
    /// When to stop looking; asked while series are found and read.
    pub interrupt: &'a Interrupt,
}

impl<'a> Selector<'a> {
    /// What matches from `start` to `end` (inclusive), however long it takes to find.
    pub fn new(matchers: &'a [Matcher], start: Timestamp, end: Timestamp) -> Selector<'a> {
        Selector { matchers, start, end, interrupt: Interrupt::never() }
    }
}

/// The samples of one series, in columns. A reusable buffer: `read` clears it first.
#[derive(Clone, Debug, Default)]
pub struct SeriesData {
    /// Timestamps of the float samples in ms, strictly ascending.
    pub timestamps: Vec<i64>,
    /// Values, as many as `timestamps`; stale markers included.
    pub values: Vec<f64>,
    /// Start timestamps in ms (0 = unknown): empty when no sample has one, else as many as
    /// `timestamps`.
    pub start_timestamps: Vec<i64>,
    /// Histogram samples, strictly ascending in time; no timestamp occurs in both columns.
    pub histograms: Vec<HistogramPoint>,
}

/// One histogram sample.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramPoint {
    /// When it was taken, in ms.
    pub timestamp: i64,
    /// When the counting behind it began, in ms; 0 when unknown.
    pub start_timestamp: i64,
    /// The histogram; a stale one included.
    pub histogram: Histogram,
}

impl SeriesData {
    /// Empties all columns and keeps their memory.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.start_timestamps.clear();
        self.histograms.clear();
    }

    /// Number of samples of either kind.
    pub fn len(&self) -> usize {
        self.timestamps.len() + self.histograms.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty() && self.histograms.is_empty()
    }
}

/// The series a selector matched: a stable snapshot, sorted by labels
/// (as Prometheus' `labels.Compare`), each label set once.
pub trait SeriesSet: Send + Sync {
    /// Number of series.
    fn len(&self) -> usize;

    /// Whether nothing matched.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Labels of series `index` (< `len`).
    fn labels(&self, index: usize) -> &Labels;

    /// Replaces the content of `out` by the samples of series `index` within the selector's time
    /// range. May be called from several threads at once; ascending indexes are the fast order.
    fn read(&self, index: usize, out: &mut SeriesData) -> Result<(), SourceError>;
}

/// A store that can be queried.
pub trait SeriesSource: Send + Sync {
    /// The series that match and may have samples in the range.
    fn select(&self, selector: &Selector<'_>) -> Result<Box<dyn SeriesSet>, SourceError>;

    /// Labels of the matching series with samples in the range, sorted as in a [`SeriesSet`], each
    /// once. For this and the next two a source that keeps samples in pieces may count a piece whole,
    /// from its first to its last sample.
    fn series(&self, selector: &Selector<'_>) -> Result<Vec<Labels>, SourceError>;

    /// Names of labels on matching series with samples in the range, sorted, each once.
    fn label_names(&self, selector: &Selector<'_>) -> Result<Vec<String>, SourceError>;

    /// Values of label `name` on matching series with samples in the range, sorted, each once.
    fn label_values(&self, name: &str, selector: &Selector<'_>)
    -> Result<Vec<String>, SourceError>;
}

/// Why a source could not answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SourceError {
    /// Stored data cannot be read; names the file and what is wrong with it.
    Corrupted(String),
    /// The operating system refused; names the operation and the object.
    Io(String),
    /// The store is closed or still opening.
    Unavailable(String),
    /// A limit of the store was reached; names the limit and the number needed.
    LimitReached(String),
    /// The selector's [`Interrupt`] said so.
    Interrupted(Interrupted),
}

impl From<Interrupted> for SourceError {
    fn from(why: Interrupted) -> SourceError {
        SourceError::Interrupted(why)
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceError::Corrupted(message)
            | SourceError::Io(message)
            | SourceError::Unavailable(message)
            | SourceError::LimitReached(message) => f.write_str(message),
            SourceError::Interrupted(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for SourceError {}
