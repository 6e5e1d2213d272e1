//! Appending a batch: its samples go into the head, and encoded into the journal's queue.

use std::sync::atomic::Ordering;
use std::sync::{PoisonError, RwLockReadGuard};

use super::error::StorageError;
use super::head::series::NO_SERIES;
use super::journal::record::{SamplesRef, encode_samples};
use super::journal::{Acknowledge, JournalBatch, QueueError};
use super::store::Inner;
use super::window::Window;
use crate::model::{Labels, SeriesEntry, WriteBatch};

/// A batch this much older than the present is backfill, in ms.
pub const BACKFILL_MS: i64 = 5 * 60 * 1000;

/// A batch being appended: from the lookup of its series until it is queued no flush begins.
pub struct Appender<'a> {
    inner: &'a Inner,
    _epoch: RwLockReadGuard<'a, u64>,
}

/// The series of a batch's samples: one number an entry, [`NO_SERIES`] for what is left out.
#[derive(Debug, Default)]
pub struct BatchSeries {
    /// Series of the float samples.
    pub samples: Vec<u32>,
    /// Series of the histogram samples.
    pub histograms: Vec<u32>,
    /// Series of the exemplars.
    pub exemplars: Vec<u32>,
}

impl<'a> Appender<'a> {
    pub(super) fn begin(inner: &'a Inner) -> Appender<'a> {
        Appender { inner, _epoch: inner.epoch.read().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Oldest timestamp that is accepted (ms).
    pub fn oldest_kept(&self) -> i64 {
        self.inner.oldest_kept()
    }

    /// The present (ms).
    pub fn now(&self) -> i64 {
        self.inner.clock.now().0
    }

    /// Most series that may be alive.
    pub fn series_max(&self) -> usize {
        self.inner.series_max.load(Ordering::Relaxed)
    }

    /// Why writes are refused now, if they are.
    pub fn write_fault(&self) -> Option<StorageError> {
        self.inner.write_fault()
    }

    /// Number of each entry's series, [`NO_SERIES`] for those not known yet.
    pub fn find(&self, entries: &[SeriesEntry<'_>]) -> Vec<u32> {
        let mut found = Vec::with_capacity(entries.len());
        self.inner.head.find(entries, &mut found);
        found
    }

    /// Numbers of the series with these label sets, created when new; [`NO_SERIES`] when there are
    /// too many.
    pub fn get_or_create(&self, wanted: &[Labels]) -> Vec<u32> {
        let done = self.inner.head.get_or_create(wanted, self.series_max());
        self.inner.metrics.created_series.fetch_add(done.created.len() as u64, Ordering::Relaxed);
        done.numbers
    }

    /// Appends the samples and queues them for the journal. `acknowledge` is told when they are on
    /// disk, or that they could not be written; it is not called when this fails.
    ///
    /// # Errors
    /// The queue is full or the journal stopped; the samples may be visible until a restart, but are
    /// not on disk.
    pub fn append(
        self,
        batch: &WriteBatch<'_>,
        series: BatchSeries,
        acknowledge: Acknowledge,
    ) -> Result<(), QueueError> {
        let (inner, now) = (self.inner, self.now());
        let record = SamplesRef {
            series: &series.samples,
            samples: &batch.samples,
            histogram_series: &series.histograms,
            histograms: &batch.histograms,
            exemplar_series: &series.exemplars,
            exemplars: &batch.exemplars,
        };
        let windows = windows_of(&record);
        let mut bytes = Vec::new();
        encode_samples(&record, &windows, &mut bytes)
            .map_err(|e| QueueError::Stopped(StorageError::corrupted(inner.dir.root(), e)))?;
        let mut touched = series.samples.clone();
        touched.dedup();
        touched.extend(series.histograms.iter().chain(&series.exemplars));
        inner.note_windows(&windows);
        let stats = inner.head.append(&series.samples, &batch.samples);
        if !series.histograms.is_empty() {
            inner.head.append_histograms(&series.histograms, &batch.histograms);
        }
        if !series.exemplars.is_empty() {
            inner.head.append_exemplars(&series.exemplars, &batch.exemplars);
        }
        count(inner, &series, stats.replaced);
        let first = batch.samples.first().map_or(i64::MAX, |sample| sample.timestamp.0);
        if first < now.saturating_sub(BACKFILL_MS) {
            let samples = batch.samples.len() as u64;
            inner.metrics.backfilled_samples.fetch_add(samples, Ordering::Relaxed);
        }
        inner.journal.submit(JournalBatch { series: touched, windows, record: bytes, acknowledge })
    }
}

fn count(inner: &Inner, series: &BatchSeries, replaced: u64) {
    let kept = |numbers: &[u32]| numbers.iter().filter(|n| **n != NO_SERIES).count() as u64;
    let metrics = &inner.metrics;
    metrics.samples.fetch_add(kept(&series.samples), Ordering::Relaxed);
    metrics.histograms.fetch_add(kept(&series.histograms), Ordering::Relaxed);
    metrics.exemplars.fetch_add(kept(&series.exemplars), Ordering::Relaxed);
    metrics.replaced_samples.fetch_add(replaced, Ordering::Relaxed);
}

/// The windows a batch touches; neighbours mostly share one.
fn windows_of(record: &SamplesRef<'_>) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    let mut add = |series: &u32, timestamp: i64| {
        let window = Window::of(timestamp);
        if *series != NO_SERIES && windows.last() != Some(&window) {
            windows.push(window);
        }
    };
    record.series.iter().zip(record.samples).for_each(|(s, sample)| add(s, sample.timestamp.0));
    let histograms = record.histogram_series.iter().zip(record.histograms);
    histograms.for_each(|(s, point)| add(s, point.timestamp));
    let exemplars = record.exemplar_series.iter().zip(record.exemplars);
    exemplars.for_each(|(s, exemplar)| add(s, exemplar.timestamp.0));
    windows.sort_unstable();
    windows.dedup();
    windows
}
