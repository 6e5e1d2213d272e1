//! The store's handle and its one background thread.
//!
//! Here the parts are held together and nothing else: appending, flushing, recovering, selecting and
//! retention are functions in files of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};

use super::append::Appender;
use super::cache::ReadCache;
use super::control::{Control, Remembered};
use super::data_dir::{DataDir, OpenBackend};
use super::error::StorageError;
use super::flush::FlushState;
use super::head::Head;
use super::journal::{ClosedFile, Journal, JournalMetrics};
use super::metrics::StoreMetrics;
use super::partitions::Partitions;
use super::recover::{RecoveryProgress, recover};
use super::window::Window;
use crate::model::limits::SERIES_MAX;
use crate::model::{Clock, Exemplar, Labels, Matcher, MetricMetadata, SourceError, Timestamp};

/// How long after its end (by the newest sample) a window waits for late samples.
const GRACE_MS: i64 = 5 * 60 * 1000;
/// Late samples, and windows of senders that went away, are flushed this often.
const LATE_FLUSH_MS: i64 = 2 * 60 * 1000;
/// Late samples are flushed at once when the head holds more than this many bytes, and
/// [`LATE_BYTES_PER_SERIES`] for each series: a bulk load must not make the journal long.
const LATE_BYTES: u64 = 16 << 20;
/// What the current windows of a series may take, in bytes.
const LATE_BYTES_PER_SERIES: u64 = 256;
/// Pause between two looks of the background thread.
const TICK: Duration = Duration::from_secs(1);

/// How a store is opened.
pub struct StoreOptions {
    /// The data directory; created when absent.
    pub dir: PathBuf,
    /// Samples older than this are removed, and not accepted, in ms.
    pub retention_ms: i64,
    /// Most series alive at a time.
    pub series_max: usize,
    /// Memory for samples that are not yet on disk, in bytes; beyond it all windows are flushed.
    pub head_bytes_max: u64,
    /// Bytes kept free on the disk; below it nothing is accepted.
    pub disk_free_bytes_min: u64,
    /// Where the present comes from.
    pub clock: Arc<dyn Clock>,
    /// Opens database files; `None` for ordinary files. For crash tests.
    pub open_backend: Option<OpenBackend>,
}

impl StoreOptions {
    /// The defaults for a directory.
    pub fn new(dir: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> StoreOptions {
        StoreOptions {
            dir: dir.into(),
            retention_ms: 15 * 24 * 60 * 60 * 1000,
            series_max: SERIES_MAX,
            head_bytes_max: 512 << 20,
            disk_free_bytes_min: 64 << 20,
            clock,
            open_backend: None,
        }
    }
}

/// The limits that may change while a store is open; as in [`StoreOptions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Most series alive at a time.
    pub series_max: usize,
    /// Memory for samples that are not yet on disk, in bytes.
    pub head_bytes_max: u64,
    /// Bytes kept free on the disk.
    pub disk_free_bytes_min: u64,
}

/// An open store. Dropping it stops it as a crash would, except that what is queued is written;
/// [`Store::close`] leaves a directory that opens at once.
pub struct Store {
    inner: Arc<Inner>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The parts of a store.
pub struct Inner {
    pub(super) dir: Arc<DataDir>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) retention_ms: AtomicU64,
    pub(super) series_max: AtomicUsize,
    pub(super) head_bytes_max: AtomicU64,
    pub(super) disk_free_bytes_min: AtomicU64,
    /// Free bytes when the disk is too full to write, else [`u64::MAX`].
    pub(super) disk_full: AtomicU64,
    pub(super) head: Arc<Head>,
    pub(super) journal: Journal,
    /// Sequence number of the current journal file. Held shared from the lookup of a batch's series
    /// until it is queued, exclusively while the file is changed: so a file's content is exactly
    /// what was appended between two flushes.
    pub(super) epoch: RwLock<u64>,
    /// Held shared while a query notes what it will read, exclusively while windows move.
    pub(super) visibility: RwLock<()>,
    pub(super) flush_state: Mutex<Option<FlushState>>,
    pub(super) closed_files: Mutex<Vec<ClosedFile>>,
    open_windows: Mutex<BTreeSet<Window>>,
    pub(super) partitions: Partitions,
    pub(super) cache: Arc<ReadCache>,
    pub(super) control: Control,
    pub(super) metrics: Arc<StoreMetrics>,
}

/// Numbers about the store as it is now.
#[derive(Clone, Copy, Debug)]
pub struct StoreStats {
    /// Live series.
    pub series: u64,
    /// Label pairs of live series.
    pub label_pairs: u64,
    /// Windows of live series that are not yet on disk.
    pub chunks: u64,
    /// First timestamp stored (ms); [`Timestamp::MAX`] when there is none.
    pub min_time: Timestamp,
    /// Last timestamp stored (ms); [`Timestamp::MIN`] when there is none.
    pub max_time: Timestamp,
    /// Memory of samples not yet on disk, in bytes.
    pub head_bytes: u64,
    /// Bytes of all files.
    pub disk_bytes: u64,
}

/// Where the series of the head come from: the largest groups, largest first.
#[derive(Clone, Debug, Default)]
pub struct Cardinality {
    /// Series by metric name.
    pub series_by_metric: Vec<(String, u64)>,
    /// Number of values by label name.
    pub label_values_by_name: Vec<(String, u64)>,
    /// Bytes of label values by label name.
    pub bytes_by_label: Vec<(String, u64)>,
    /// Series by `name=value`.
    pub series_by_pair: Vec<(String, u64)>,
}

impl Store {
    /// Opens the directory and reads the journals of an earlier run back.
    ///
    /// # Errors
    /// The directory is in use, cannot be written, is damaged, or was written by a newer version.
    pub fn open(
        options: StoreOptions,
        progress: &dyn Fn(RecoveryProgress),
    ) -> Result<Store, StorageError> {
        let dir = Arc::new(DataDir::open(&options.dir, options.open_backend)?);
        let control = Control::open(&dir)?;
        let partitions = Partitions::list(Arc::clone(&dir))?;
        let head = Arc::new(Head::new());
        let recovered = recover(&dir, &head, &partitions, progress)?;
        let sequence = recovered.next_sequence;
        let journal = Journal::start(Arc::clone(&dir), sequence, Arc::clone(&head))?;
        let metrics = StoreMetrics::default();
        metrics.recovered_samples.store(recovered.samples, Ordering::Relaxed);
        let open_windows = recovered.files.iter().flat_map(|file| file.windows.clone()).collect();
        let inner = Arc::new(Inner {
            dir,
            clock: options.clock,
            retention_ms: AtomicU64::new(options.retention_ms.unsigned_abs()),
            series_max: AtomicUsize::new(options.series_max),
            head_bytes_max: AtomicU64::new(options.head_bytes_max),
            disk_free_bytes_min: AtomicU64::new(options.disk_free_bytes_min),
            disk_full: AtomicU64::new(u64::MAX),
            head,
            journal,
            epoch: RwLock::new(sequence),
            visibility: RwLock::default(),
            flush_state: Mutex::default(),
            closed_files: Mutex::new(recovered.files),
            open_windows: Mutex::new(open_windows),
            partitions,
            cache: Arc::default(),
            control,
            metrics: Arc::new(metrics),
        });
        inner.check_disk();
        let (stop, stopped) = bounded(1);
        let worker = Background {
            inner: Arc::clone(&inner),
            flushed: Window::default(),
            last_late_flush: inner.clock.now(),
        };
        let thread = std::thread::Builder::new()
            .name("tidewatch-flush".into())
            .spawn(move || worker.run(&stopped))
            .map_err(|e| StorageError::io("starting the flush thread of", &options.dir, &e))?;
        Ok(Store { inner, stop: Some(stop), thread: Some(thread) })
    }

    /// What queries read from.
    pub fn source(&self) -> Arc<dyn crate::model::SeriesSource> {
        Arc::clone(&self.inner) as Arc<dyn crate::model::SeriesSource>
    }

    /// Begins to append a batch.
    pub fn appender(&self) -> Appender<'_> {
        Appender::begin(&self.inner)
    }

    /// Adds metadata of metrics; it is on disk when this returns.
    ///
    /// # Errors
    /// The commit failed; nothing was added.
    pub fn add_metadata(&self, entries: &[(String, MetricMetadata)]) -> Result<(), StorageError> {
        self.inner.control.add_metadata(entries)
    }

    /// Metadata by metric name, ascending; the newest entry of each first.
    pub fn metadata(&self, metric: Option<&str>) -> Vec<(String, Vec<MetricMetadata>)> {
        self.inner.control.metadata(metric)
    }

    /// Everything `owner` (a poller) remembers, ascending by key.
    ///
    /// # Errors
    /// The control file cannot be read.
    pub fn remembered(&self, owner: &str) -> Result<Vec<(String, Vec<u8>)>, StorageError> {
        self.inner.control.remembered(owner)
    }

    /// Changes what `owner` remembers, all or nothing (`None` forgets a key); it is on disk when
    /// this returns.
    ///
    /// # Errors
    /// The commit failed; nothing was changed.
    pub fn remember(&self, owner: &str, changes: &[Remembered]) -> Result<(), StorageError> {
        self.inner.control.remember(owner, changes)
    }

    /// Exemplars of the series that match any of the matcher sets, each series' ascending in time.
    ///
    /// # Errors
    /// A partition cannot be read.
    pub fn exemplars(
        &self,
        matcher_sets: &[Vec<Matcher>],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, SourceError> {
        Ok(self.inner.exemplars(matcher_sets, start, end)?)
    }

    /// Numbers about the store as it is now.
    pub fn stats(&self) -> StoreStats {
        self.inner.stats()
    }

    /// The largest groups of series in the head, at most `limit` of each kind.
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        self.inner.cardinality(limit)
    }

    /// The store's counters.
    pub fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.inner.metrics
    }

    /// The journal's counters.
    pub fn journal_metrics(&self) -> &Arc<JournalMetrics> {
        self.inner.journal.metrics()
    }

    /// Why writes are refused now, if they are.
    pub fn write_fault(&self) -> Option<StorageError> {
        self.inner.write_fault()
    }

    /// Changes the retention (ms).
    pub fn set_retention(&self, retention_ms: i64) {
        self.inner.retention_ms.store(retention_ms.unsigned_abs(), Ordering::Relaxed);
    }

    /// Changes the limits.
    pub fn set_limits(&self, limits: StoreLimits) {
        let inner = &self.inner;
        inner.series_max.store(limits.series_max, Ordering::Relaxed);
        inner.head_bytes_max.store(limits.head_bytes_max, Ordering::Relaxed);
        inner.disk_free_bytes_min.store(limits.disk_free_bytes_min, Ordering::Relaxed);
        inner.check_disk();
    }

    /// Writes everything to partitions now.
    ///
    /// # Errors
    /// A partition cannot be written; nothing is lost.
    pub fn flush(&self) -> Result<(), StorageError> {
        self.inner.flush(Window::from_number(i64::MAX))
    }

    /// Writes everything to partitions and stops. The next start has nothing to recover.
    ///
    /// # Errors
    /// A partition cannot be written; nothing is lost, the next start recovers it.
    pub fn close(mut self) -> Result<(), StorageError> {
        self.stop_thread();
        self.flush()
    }

    fn stop_thread(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it only works for us; what it left undone is done later
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop_thread();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.inner.dir.root()).finish_non_exhaustive()
    }
}

impl Inner {
    /// The windows with samples in the head.
    pub(super) fn open_windows(&self) -> MutexGuard<'_, BTreeSet<Window>> {
        self.open_windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why writes are refused now, if they are.
    pub(super) fn write_fault(&self) -> Option<StorageError> {
        let free = self.disk_full.load(Ordering::Relaxed);
        let kept = self.disk_free_bytes_min.load(Ordering::Relaxed);
        let full = StorageError::DiskFull(free, kept);
        self.journal.poisoned().or((free != u64::MAX).then_some(full))
    }

    /// The oldest timestamp kept (ms).
    pub(super) fn oldest_kept(&self) -> i64 {
        let retention = self.retention_ms.load(Ordering::Relaxed);
        self.clock.now().0.saturating_sub(i64::try_from(retention).unwrap_or(i64::MAX))
    }

    /// Notes whether there is room on the disk.
    fn check_disk(&self) {
        let free = match rustix::fs::statvfs(self.dir.root()) {
            Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
            Err(_) => return, // what cannot be measured is found out by writing
        };
        let kept = self.disk_free_bytes_min.load(Ordering::Relaxed);
        let full = if free < kept { free } else { u64::MAX };
        self.disk_full.store(full, Ordering::Relaxed);
    }

    fn stats(&self) -> StoreStats {
        let days = self.partitions.days();
        let edge = |day: Option<&super::window::Day>| {
            let partition = self.partitions.get(*day?).ok()??;
            Some(partition.view())
        };
        let first = edge(days.first());
        let last = edge(days.last());
        let open = self.open_windows();
        let min_stored = first.iter().flat_map(|v| v.windows.iter()).map(|i| i.min_time).min();
        let max_stored = last.iter().flat_map(|v| v.windows.iter()).map(|i| i.max_time).max();
        let min_open = open.first().map(|window| window.start());
        StoreStats {
            series: self.head.len() as u64,
            label_pairs: self.head.index().pairs().count() as u64,
            chunks: self.head.len() as u64,
            min_time: Timestamp(min_stored.into_iter().chain(min_open).min().unwrap_or(i64::MAX)),
            max_time: Timestamp(self.head.max_time().max(max_stored.unwrap_or(i64::MIN))),
            head_bytes: self.head.heap_bytes(),
            disk_bytes: directory_bytes(self.dir.root()),
        }
    }

    fn cardinality(&self, limit: usize) -> Cardinality {
        let index = self.head.index();
        let mut cardinality = Cardinality::default();
        let mut values: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (name, value, series) in index.pairs() {
            let (count, bytes) = values.entry(name).or_default();
            *count += 1;
            *bytes += value.len() as u64;
            if name == crate::model::labels::METRIC_NAME {
                cardinality.series_by_metric.push((value.to_owned(), series));
            }
            cardinality.series_by_pair.push((format!("{name}={value}"), series));
        }
        for (name, (count, bytes)) in values {
            cardinality.label_values_by_name.push((name.to_owned(), count));
            cardinality.bytes_by_label.push((name.to_owned(), bytes));
        }
        for groups in [
            &mut cardinality.series_by_metric,
            &mut cardinality.label_values_by_name,
            &mut cardinality.bytes_by_label,
            &mut cardinality.series_by_pair,
        ] {
            groups.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            groups.truncate(limit);
        }
        cardinality
    }
}

/// Bytes of all files below a directory; what cannot be read counts nothing.
fn directory_bytes(directory: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => directory_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// The background thread: looks once a second what there is to do.
struct Background {
    inner: Arc<Inner>,
    /// Windows up to this one were flushed because they were over.
    flushed: Window,
    last_late_flush: Timestamp,
}

impl Background {
    fn run(mut self, stopped: &crossbeam::channel::Receiver<()>) {
        let mut pause = TICK;
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            pause = TICK;
            self.inner.check_disk();
            if let Some(cutoff) = self.due() {
                match self.inner.flush(cutoff) {
                    Ok(()) => {
                        self.flushed = self.flushed.max(cutoff);
                        pause = Duration::ZERO; // a bulk load has filled the next one meanwhile
                    }
                    Err(_) => {
                        self.inner.metrics.failed_flushes.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            if self.inner.remove_expired().is_err() {
                self.inner.metrics.failed_flushes.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Up to which window to flush now, if any.
    fn due(&mut self) -> Option<Window> {
        let now = self.inner.clock.now();
        let over_at = |time: i64| Window::from_number(Window::of(time).number() - 1);
        if self.inner.head.heap_bytes() > self.inner.head_bytes_max.load(Ordering::Relaxed) {
            return Some(Window::from_number(i64::MAX - 1));
        }
        let first = *self.inner.open_windows().first()?;
        let over = over_at(self.inner.head.max_time().saturating_sub(GRACE_MS));
        if first <= over && over > self.flushed && first > self.flushed {
            return Some(over);
        }
        let over = over.max(over_at(now.0.saturating_sub(GRACE_MS)));
        let waited = now.0.saturating_sub(self.last_late_flush.0) >= LATE_FLUSH_MS;
        let bytes_max = LATE_BYTES + LATE_BYTES_PER_SERIES * self.inner.head.len() as u64;
        if first <= over && (waited || self.inner.head.heap_bytes() > bytes_max) {
            self.last_late_flush = now;
            return Some(over);
        }
        None
    }
}
