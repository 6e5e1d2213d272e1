//! The one door to the store: every receiver hands its [`WriteBatch`] in here.
//!
//! In: batches. Out: what was accepted and what was rejected, and, once it is on disk, the
//! acknowledgement. Never here: protocols, sockets, decoding.

use std::fmt;
use std::sync::Arc;

use crate::model::labels::decode_pairs;
use crate::model::limits::{
    EXEMPLAR_LABELS_BYTES_MAX, HISTOGRAM_BUCKETS_MAX, SAMPLE_FUTURE_MS_MAX,
};
use crate::model::{Exemplar, Histogram, LabelError, Labels, SeriesEntry, Timestamp, WriteBatch};
use crate::storage::journal::QueueError;
use crate::storage::{Appender, BatchSeries, StorageError, Store};

/// How a batch with elements that cannot be accepted is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// Nothing of the batch is written when any sample is rejected (remote write 1.0). Series with
    /// labels that are not valid are left out all the same, as Prometheus does.
    Whole,
    /// What can be written is written (remote write 2.0, StatsD, own metrics).
    Partial,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOutcome {
    /// Float samples written.
    pub samples: u64,
    /// Histogram samples written.
    pub histograms: u64,
    /// Exemplars written.
    pub exemplars: u64,
    /// Series left out because their labels are not valid.
    pub invalid_series: u64,
    /// Series, samples and histograms rejected for any reason.
    pub rejected: u64,
    /// Exemplars rejected for any reason. Apart, because they do not fail the samples beside them,
    /// in neither mode.
    pub exemplars_rejected: u64,
    /// The first reasons, those of exemplars among them, as sentences; at most [`REASONS_MAX`].
    pub reasons: Vec<String>,
}

/// Most rejection reasons one answer spells out.
pub const REASONS_MAX: usize = 10;

impl WriteOutcome {
    fn reject(&mut self, reason: impl FnOnce() -> String) {
        self.rejected += 1;
        self.explain(reason);
    }

    fn reject_exemplar(&mut self, reason: impl FnOnce() -> String) {
        self.exemplars_rejected += 1;
        self.explain(reason);
    }

    /// The sentence is only made when there are not enough already.
    fn explain(&mut self, reason: impl FnOnce() -> String) {
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(reason());
        }
    }
}

/// A batch that was taken but is not yet on disk.
#[must_use = "a batch is acknowledged only after `durable` or `wait` returned Ok"]
#[derive(Debug)]
pub struct Submitted {
    outcome: WriteOutcome,
    /// Absent when nothing had to be written.
    acknowledged: Option<tokio::sync::oneshot::Receiver<Result<(), StorageError>>>,
}

impl Submitted {
    /// Waits, without blocking the thread, until the batch is on disk.
    ///
    /// # Errors
    /// The commit failed: nothing may be acknowledged.
    pub async fn durable(self) -> Result<WriteOutcome, IngestError> {
        match self.acknowledged {
            Some(acknowledged) => finish(self.outcome, acknowledged.await.ok()),
            None => Ok(self.outcome),
        }
    }

    /// Blocks the thread until the batch is on disk. For threads outside the runtime.
    ///
    /// # Errors
    /// The commit failed: nothing may be acknowledged.
    pub fn wait(self) -> Result<WriteOutcome, IngestError> {
        match self.acknowledged {
            Some(acknowledged) => finish(self.outcome, acknowledged.blocking_recv().ok()),
            None => Ok(self.outcome),
        }
    }
}

fn finish(
    outcome: WriteOutcome,
    answer: Option<Result<(), StorageError>>,
) -> Result<WriteOutcome, IngestError> {
    match answer.unwrap_or(Err(StorageError::Closed)) {
        Ok(()) => Ok(outcome),
        Err(error) => Err(IngestError::Unavailable(error.to_string())),
    }
}

/// Why a batch could not be taken at all.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum IngestError {
    /// [`WriteMode::Whole`]: the batch was rolled back; holds what was wrong. A client error.
    Rejected(WriteOutcome),
    /// The queue to the journal is full: try again. Back-pressure, not a fault.
    Overloaded,
    /// The store cannot write (full disk, failed commit, shutting down); says what to do.
    Unavailable(String),
}

impl fmt::Display for IngestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IngestError::Rejected(outcome) => f.write_str(&outcome.reasons.join("\n")),
            IngestError::Overloaded => f.write_str("write queue is full, try again later"),
            IngestError::Unavailable(why) => write!(f, "store does not accept writes: {why}"),
        }
    }
}

impl std::error::Error for IngestError {}

/// The handle receivers hold; cheap to clone.
#[derive(Clone, Debug)]
pub struct Ingest {
    store: Arc<Store>,
}

impl Ingest {
    /// The door to `store`.
    pub fn new(store: Arc<Store>) -> Ingest {
        Ingest { store }
    }

    /// Looks up the batch's series, checks every element and puts what is accepted into the head
    /// and the journal's queue. CPU work: call it on the CPU pool, not on the runtime.
    ///
    /// # Errors
    /// See [`IngestError`].
    pub fn submit(
        &self,
        batch: &WriteBatch<'_>,
        mode: WriteMode,
    ) -> Result<Submitted, IngestError> {
        let appender = self.store.appender();
        if let Some(fault) = appender.write_fault() {
            return Err(IngestError::Unavailable(fault.to_string()));
        }
        let mut check = Check::new(batch, &appender);
        check.elements();
        if mode == WriteMode::Whole && check.outcome.rejected > 0 {
            return Err(IngestError::Rejected(check.rolled_back()));
        }
        check.series();
        let Check { series, outcome, .. } = check;
        if !batch.metadata.is_empty() {
            let added = self.store.add_metadata(&batch.metadata);
            added.map_err(|error| IngestError::Unavailable(error.to_string()))?;
        }
        if outcome.samples + outcome.histograms + outcome.exemplars == 0 {
            return Ok(Submitted { outcome, acknowledged: None });
        }
        let (acknowledge, acknowledged) = tokio::sync::oneshot::channel();
        let acknowledge = Box::new(move |result| {
            let _ = acknowledge.send(result); // the sender of the batch may have gone away
        });
        match appender.append(batch, series, acknowledge) {
            Ok(()) => Ok(Submitted { outcome, acknowledged: Some(acknowledged) }),
            Err(QueueError::Full) => Err(IngestError::Overloaded),
            Err(QueueError::Stopped(error)) => Err(IngestError::Unavailable(error.to_string())),
        }
    }
}

/// "Left out", as the store wants it.
const LEFT_OUT: u32 = u32::MAX;
/// "Accepted so far"; replaced by the series' number.
const ACCEPTED: u32 = 0;

/// The checks of one batch.
struct Check<'a, 'b> {
    batch: &'a WriteBatch<'b>,
    appender: &'a Appender<'a>,
    oldest: i64,
    newest: i64,
    series: BatchSeries,
    outcome: WriteOutcome,
}

impl<'a, 'b> Check<'a, 'b> {
    fn new(batch: &'a WriteBatch<'b>, appender: &'a Appender<'a>) -> Check<'a, 'b> {
        let series = BatchSeries {
            samples: vec![ACCEPTED; batch.samples.len()],
            histograms: vec![ACCEPTED; batch.histograms.len()],
            exemplars: vec![ACCEPTED; batch.exemplars.len()],
        };
        let oldest = appender.oldest_kept();
        let newest = appender.now().saturating_add(SAMPLE_FUTURE_MS_MAX);
        Check { batch, appender, oldest, newest, series, outcome: WriteOutcome::default() }
    }

    /// Checks every sample, histogram and exemplar by itself.
    fn elements(&mut self) {
        let range = self.oldest..=self.newest;
        let batch = self.batch;
        for (i, sample) in self.batch.samples.iter().enumerate() {
            if !range.contains(&sample.timestamp.0) {
                self.series.samples[i] = LEFT_OUT;
                let (oldest, newest) = (self.oldest, self.newest);
                self.outcome.reject(|| {
                    let series = series_of(batch, i, |entry| entry.samples);
                    let reason = out_of_range("sample", sample.timestamp, oldest, newest);
                    format!("{reason}; series {series}")
                });
            }
        }
        for (i, point) in self.batch.histograms.iter().enumerate() {
            if let Err(reason) = self.check_histogram(point.timestamp, &point.histogram) {
                self.series.histograms[i] = LEFT_OUT;
                self.outcome.reject(|| {
                    let series = series_of(batch, i, |entry| entry.histograms);
                    format!("{reason}; series {series}")
                });
            }
        }
        for (i, exemplar) in self.batch.exemplars.iter().enumerate() {
            if let Err(reason) = self.check_exemplar(exemplar) {
                self.series.exemplars[i] = LEFT_OUT;
                self.outcome.reject_exemplar(|| {
                    let series = series_of(batch, i, |entry| entry.exemplars);
                    format!("{reason}; series {series}")
                });
            }
        }
    }

    fn check_exemplar(&self, exemplar: &Exemplar) -> Result<(), String> {
        let (at, bytes) = (exemplar.timestamp, exemplar.labels.as_packed().len());
        if !(self.oldest..=self.newest).contains(&at.0) {
            return Err(out_of_range("exemplar", at, self.oldest, self.newest));
        }
        if bytes > EXEMPLAR_LABELS_BYTES_MAX {
            return Err(format!(
                "exemplar has labels of {bytes} bytes, at most {EXEMPLAR_LABELS_BYTES_MAX} are accepted"
            ));
        }
        Ok(())
    }

    fn check_histogram(&self, timestamp: i64, histogram: &Histogram) -> Result<(), String> {
        if !(self.oldest..=self.newest).contains(&timestamp) {
            return Err(out_of_range("histogram", Timestamp(timestamp), self.oldest, self.newest));
        }
        let buckets = match histogram {
            Histogram::Int(h) => h.positive_deltas.len() + h.negative_deltas.len(),
            Histogram::Float(h) => h.positive_buckets.len() + h.negative_buckets.len(),
        };
        if buckets > HISTOGRAM_BUCKETS_MAX {
            return Err(format!(
                "histogram has {buckets} buckets, at most {HISTOGRAM_BUCKETS_MAX} are accepted"
            ));
        }
        Ok(())
    }

    /// Finds or creates the series and gives their numbers to what was accepted of them.
    fn series(&mut self) {
        let mut numbers = self.appender.find(&self.batch.series);
        self.create(&mut numbers);
        let mut ranges = Ranges::default();
        for (entry, number) in self.batch.series.iter().zip(numbers) {
            let [samples, histograms, exemplars] = ranges.next(entry);
            let outcome = &mut self.outcome;
            outcome.samples += set_numbers(&mut self.series.samples[samples], number);
            outcome.histograms += set_numbers(&mut self.series.histograms[histograms], number);
            outcome.exemplars += set_numbers(&mut self.series.exemplars[exemplars], number);
        }
    }

    /// Creates, all at once, the series that are not known and of which something was accepted.
    fn create(&mut self, numbers: &mut [u32]) {
        let (mut wanted, mut positions) = (Vec::new(), Vec::new());
        let mut ranges = Ranges::default();
        for (i, entry) in self.batch.series.iter().enumerate() {
            let [samples, histograms, exemplars] = ranges.next(entry);
            let accepted = |series: &[u32]| series.iter().any(|number| *number != LEFT_OUT);
            let any = accepted(&self.series.samples[samples])
                || accepted(&self.series.histograms[histograms])
                || accepted(&self.series.exemplars[exemplars]);
            if numbers[i] == LEFT_OUT && any {
                match validate(entry.labels) {
                    Ok(labels) => {
                        wanted.push(labels);
                        positions.push(i);
                    }
                    Err(error) => {
                        self.outcome.invalid_series += 1;
                        self.outcome.reject(|| format!("series is not valid: {error}"));
                    }
                }
            }
        }
        if wanted.is_empty() {
            return;
        }
        let created = self.appender.get_or_create(&wanted);
        for ((position, number), labels) in positions.into_iter().zip(created).zip(&wanted) {
            numbers[position] = number;
            if number == LEFT_OUT {
                let max = self.appender.series_max();
                self.outcome.reject(|| {
                    format!(
                        "series {labels} not created: the limit of {max} active series is reached"
                    )
                });
            }
        }
    }

    /// What is reported when nothing is written.
    fn rolled_back(self) -> WriteOutcome {
        WriteOutcome { samples: 0, histograms: 0, exemplars: 0, ..self.outcome }
    }
}

/// Walks the columns of a batch: where the elements of each series are.
#[derive(Default)]
struct Ranges {
    ends: [usize; 3],
}

impl Ranges {
    /// Samples, histograms and exemplars of the next series.
    fn next(&mut self, entry: &SeriesEntry<'_>) -> [std::ops::Range<usize>; 3] {
        let counts = [entry.samples, entry.histograms, entry.exemplars];
        std::array::from_fn(|column| {
            let start = self.ends[column];
            self.ends[column] += counts[column] as usize;
            start..self.ends[column]
        })
    }
}

fn set_numbers(series: &mut [u32], number: u32) -> u64 {
    let mut set = 0;
    for slot in series.iter_mut().filter(|slot| **slot != LEFT_OUT) {
        *slot = number;
        set += u64::from(number != LEFT_OUT);
    }
    set
}

/// The series that element `index` of a column belongs to, for a message; `count` gives the elements
/// of one series in that column.
fn series_of(
    batch: &WriteBatch<'_>,
    index: usize,
    count: impl Fn(&SeriesEntry<'_>) -> u32,
) -> String {
    let mut passed = 0;
    let entry = batch.series.iter().find(|entry| {
        passed += count(entry) as usize;
        passed > index
    });
    let labels = entry.and_then(|entry| validate(entry.labels).ok());
    labels.map_or_else(|| "with labels that are not valid".to_owned(), |labels| labels.to_string())
}

fn out_of_range(what: &str, timestamp: Timestamp, oldest: i64, newest: i64) -> String {
    if timestamp.0 > newest {
        format!("out of bounds: {what} at {timestamp} is more than 10 minutes in the future")
    } else {
        let oldest = Timestamp(oldest);
        format!(
            "out of bounds: {what} at {timestamp} is older than the retention, which begins at {oldest}"
        )
    }
}

/// A label set with a metric name from the bytes a sender gave.
fn validate(packed: &[u8]) -> Result<Labels, String> {
    let labels = match Labels::from_packed(packed) {
        Err(LabelError::NotCanonical) => decode_pairs(packed).and_then(Labels::from_pairs),
        other => other,
    };
    let labels = labels.map_err(|error| error.to_string())?;
    if labels.metric_name().is_empty() {
        return Err(format!("{labels} has no metric name"));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ManualClock, Sample};
    use crate::storage::StoreOptions;

    const NOW: i64 = 1_763_697_600_000;

    fn exemplar(time: i64, value: &str) -> Exemplar {
        let labels = Labels::from_pairs([("trace_id", value)]).expect("valid labels");
        Exemplar { labels, value: 1.0, timestamp: Timestamp(time) }
    }

    #[test]
    fn bad_exemplars_are_counted_with_their_reason_and_fail_nothing() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
        let store = Store::open(StoreOptions::new(dir.path(), clock), &|_| ()).expect("opens");
        let ingest = Ingest::new(Arc::new(store));
        let labels = Labels::from_pairs([("__name__", "m")]).expect("valid labels");
        let large = "x".repeat(EXEMPLAR_LABELS_BYTES_MAX);
        for (mode, more) in [(WriteMode::Whole, 0), (WriteMode::Partial, 1)] {
            let batch = WriteBatch {
                series: vec![SeriesEntry {
                    labels: labels.as_packed(),
                    samples: 1,
                    histograms: 0,
                    exemplars: 4,
                }],
                samples: vec![Sample::new(Timestamp(NOW + more), 1.0)],
                exemplars: vec![
                    exemplar(NOW + more, "fine"),
                    exemplar(NOW + SAMPLE_FUTURE_MS_MAX + 1, "early"),
                    exemplar(0, "late"),
                    exemplar(NOW + more, &large),
                ],
                ..WriteBatch::default()
            };
            let outcome = ingest.submit(&batch, mode).expect("taken").wait().expect("durable");
            assert_eq!((outcome.samples, outcome.exemplars), (1, 1), "{outcome:?}");
            assert_eq!((outcome.rejected, outcome.exemplars_rejected), (0, 3), "{outcome:?}");
            let reasons = ["in the future", "older than the retention", "at most 1024"];
            assert_eq!(outcome.reasons.len(), reasons.len(), "{outcome:?}");
            for (said, reason) in outcome.reasons.iter().zip(reasons) {
                assert!(said.contains(reason) && said.contains("exemplar"), "{said}");
                assert!(said.ends_with(r#"series {__name__="m"}"#), "{said}");
            }
        }
    }
}
