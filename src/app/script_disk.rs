//! The series of a PromQL test script in a real store, in a temporary directory.
//!
//! In: what a script loads. Out: a source that reads journal, head and partitions as a server's
//! queries do. Never here: what a script means.
//!
//! Scripts count time from the epoch. The store keeps everything, however old, when its retention
//! is longer than time itself; its clock stands at the end of the calendar, so that no sample is in
//! the future.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use crate::ingest::{Ingest, WriteMode};
use crate::model::source::HistogramPoint;
use crate::model::{
    Histogram, ManualClock, Sample, SeriesEntry, SeriesSource, Timestamp, WriteBatch,
};
use crate::promql::memory::MemoryValue;
use crate::promql::script::{Load, LoadedSeries, ScriptStore};
use crate::storage::{Store, StoreOptions};

/// 9999-12-31 in ms: the last day that has a file name.
const END_OF_CALENDAR_MS: i64 = 253_402_214_400_000;
/// Most samples written at once.
const BATCH_SAMPLES_MAX: usize = 10_000;

/// Counts the directories of this process.
static DIRECTORIES: AtomicU32 = AtomicU32::new(0);

/// Where samples lie when a script asks about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In the head and the journal, as the newest ones of a server.
    Head,
    /// In partition files.
    Partitions,
    /// The earlier half of what is loaded in partitions, the later one in the head.
    Both,
}

/// A store for scripts; its directory is removed when it is dropped.
pub struct ScriptDisk {
    dir: PathBuf,
    placement: Placement,
    /// Absent only between two stores.
    open: Option<Open>,
}

/// An open store and what queries read from.
struct Open {
    store: Arc<Store>,
    source: Arc<dyn SeriesSource>,
}

impl ScriptDisk {
    /// An empty store in a directory of its own.
    ///
    /// # Errors
    /// The directory or the store cannot be opened.
    pub fn new(placement: Placement) -> Result<ScriptDisk, String> {
        let number = DIRECTORIES.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("tidewatch-script-{}-{number}", process::id()));
        let mut disk = ScriptDisk { dir, placement, open: None };
        disk.clear()?;
        Ok(disk)
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(Open { store, source }) = self.open.take() else { return Ok(()) };
        drop(source);
        match Arc::into_inner(store) {
            Some(store) => store.close().map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }
}

fn open(dir: &Path) -> Result<Open, String> {
    let clock = Arc::new(ManualClock::new(Timestamp(END_OF_CALENDAR_MS)));
    let options = StoreOptions { retention_ms: i64::MAX / 4, ..StoreOptions::new(dir, clock) };
    let store = Store::open(options, &|_| {}).map_err(|error| error.to_string())?;
    let source = store.source();
    Ok(Open { store: Arc::new(store), source })
}

impl ScriptStore for ScriptDisk {
    fn clear(&mut self) -> Result<(), String> {
        self.close()?;
        remove(&self.dir)?;
        self.open = Some(open(&self.dir)?);
        Ok(())
    }

    /// Writes as a receiver does, and flushes what is to lie in partitions: what is loaded next comes
    /// late for them.
    fn load(&mut self, load: &Load) -> Result<(), String> {
        let Some(Open { store, .. }) = &self.open else { return Err("store is closed".to_owned()) };
        let flush = || store.flush().map_err(|error| error.to_string());
        match self.placement {
            Placement::Head => write_between(store, load, i64::MIN, i64::MAX),
            Placement::Partitions => {
                write_between(store, load, i64::MIN, i64::MAX)?;
                flush()
            }
            Placement::Both => {
                let middle = middle(load);
                write_between(store, load, i64::MIN, middle)?;
                flush()?;
                write_between(store, load, middle, i64::MAX)
            }
        }
    }

    fn source(&self) -> &dyn SeriesSource {
        &*self.open.as_ref().expect("BUG: a store is open unless `clear` failed").source
    }
}

/// The time in the middle of all that is loaded.
fn middle(load: &Load) -> i64 {
    let times = || load.series.iter().flat_map(|series| &series.samples).map(|s| s.timestamp);
    let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    first.midpoint(last)
}

/// Writes the samples at `from` and later, but before `to`.
fn write_between(store: &Arc<Store>, load: &Load, from: i64, to: i64) -> Result<(), String> {
    let ingest = Ingest::new(Arc::clone(store));
    let mut batch = WriteBatch::default();
    for series in &load.series {
        add(&mut batch, series, (from, to));
        if batch.samples.len() + batch.histograms.len() >= BATCH_SAMPLES_MAX {
            write(&ingest, &std::mem::take(&mut batch))?;
        }
    }
    write(&ingest, &batch)
}

fn add<'a>(batch: &mut WriteBatch<'a>, series: &'a LoadedSeries, (from, to): (i64, i64)) {
    let (samples, histograms) = (batch.samples.len(), batch.histograms.len());
    let wanted = |time: i64| from <= time && time < to;
    for sample in series.samples.iter().filter(|sample| wanted(sample.timestamp)) {
        let (timestamp, start_timestamp) = (sample.timestamp, sample.start_timestamp);
        match &sample.value {
            MemoryValue::Float(value) => {
                let timestamp = Timestamp(timestamp);
                batch.samples.push(Sample { start_timestamp, ..Sample::new(timestamp, *value) });
            }
            MemoryValue::Histogram(histogram) => batch.histograms.push(HistogramPoint {
                timestamp,
                start_timestamp,
                histogram: Histogram::Float((**histogram).clone()),
            }),
        }
    }
    let added = |now: usize, before| u32::try_from(now - before).expect("BUG: values are bounded");
    batch.series.push(SeriesEntry {
        labels: series.labels.as_packed(),
        samples: added(batch.samples.len(), samples),
        histograms: added(batch.histograms.len(), histograms),
        exemplars: 0,
    });
}

fn write(ingest: &Ingest, batch: &WriteBatch<'_>) -> Result<(), String> {
    let submitted = ingest.submit(batch, WriteMode::Whole);
    submitted.and_then(|submitted| submitted.wait()).map(|_| ()).map_err(|error| error.to_string())
}

fn remove(dir: &Path) -> Result<(), String> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {error}", dir.display()))
        }
        _ => Ok(()),
    }
}

impl Drop for ScriptDisk {
    fn drop(&mut self) {
        // What is left over is in the system's temporary directory.
        let _ = self.close().and_then(|()| remove(&self.dir));
    }
}
