//! The store's handle.
//!
//! Here the parts are held together and nothing else: appending, flushing, recovering, selecting,
//! retention, statistics and the background thread are in files of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use crossbeam::channel::{Sender, bounded};

use super::append::Appender;
use super::background::Background;
use super::cache::ReadCache;
use super::control::{Control, Remembered};
use super::data_dir::{DataDir, OpenBackend};
use super::error::StorageError;
use super::flush::FlushState;
use super::head::Head;
use super::journal::{ClosedFile, Journal, JournalMetrics};
use super::metrics::StoreMetrics;
use super::notify_state::{HistoryBlock, NotifyRow};
use super::part_state::StateChange;
use super::partitions::Partitions;
use super::recover::{RecoveryProgress, recover};
use super::stats::{Cardinality, StoreStats};
use super::window::{Window, WindowCut};
use crate::model::limits::SERIES_MAX;
use crate::model::{Clock, Exemplar, Labels, MetricMetadata, Selector, SourceError};

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
    /// Where long listings are spread over threads; `None` keeps them on the calling thread.
    pub pool: Option<Arc<rayon::ThreadPool>>,
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
            pool: None,
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
    pub(super) inner: Arc<Inner>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The parts of a store.
pub struct Inner {
    pub(super) dir: Arc<DataDir>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) pool: Option<Arc<rayon::ThreadPool>>,
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
    /// Why the last flush or removal failed, if it did.
    pub(super) flush_fault: Mutex<Option<StorageError>>,
    pub(super) closed_files: Mutex<Vec<ClosedFile>>,
    open_windows: Mutex<BTreeMap<Window, u64>>,
    pub(super) partitions: Partitions,
    pub(super) cache: Arc<ReadCache>,
    pub(super) control: Control,
    pub(super) metrics: Arc<StoreMetrics>,
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
        let recovered_windows = recovered.files.iter().flat_map(|file| file.windows.iter());
        let open_windows = recovered_windows.map(|window| (*window, 0)).collect();
        let inner = Arc::new(Inner {
            dir,
            clock: options.clock,
            pool: options.pool,
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
            flush_fault: Mutex::default(),
            closed_files: Mutex::new(recovered.files),
            open_windows: Mutex::new(open_windows),
            partitions,
            cache: Arc::default(),
            control,
            metrics: Arc::new(metrics),
        });
        inner.check_disk();
        let (stop, stopped) = bounded(1);
        let worker = Background::new(Arc::clone(&inner));
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

    /// What a part kept over the restart: all its keys and values, ascending by key.
    ///
    /// # Errors
    /// The control file cannot be read.
    pub fn part_state(&self, part: &str) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StorageError> {
        self.inner.control.part_state(part)
    }

    /// Hands over what a part kept under keys that begin with `prefix`, ascending by key.
    ///
    /// # Errors
    /// The control file cannot be read.
    pub fn each_part_state(
        &self,
        part: &str,
        prefix: &[u8],
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), StorageError> {
        self.inner.control.each_part_state(part, prefix, each)
    }

    /// Changes what a part keeps over a restart; it is on disk when this returns.
    ///
    /// # Errors
    /// The commit failed; nothing was changed.
    pub fn change_part_state(
        &self,
        part: &str,
        changes: &[StateChange],
    ) -> Result<(), StorageError> {
        self.inner.control.change_part_state(part, changes)
    }

    /// Every row that alerting has stored: (kind, key, content), ascending.
    ///
    /// # Errors
    /// The control file cannot be read.
    pub fn notify_rows(&self) -> Result<Vec<(u8, Vec<u8>, Vec<u8>)>, StorageError> {
        self.inner.control.notify_rows()
    }

    /// Changes alerting's rows and adds blocks to its history, all or nothing; blocks before
    /// `keep_after` (ms) may go. It is on disk when this returns.
    ///
    /// # Errors
    /// The commit failed; nothing was changed.
    pub fn change_notify(
        &self,
        rows: &[NotifyRow],
        blocks: &[HistoryBlock],
        keep_after: i64,
    ) -> Result<(), StorageError> {
        self.inner.control.change_notify(rows, blocks, keep_after)
    }

    /// Hands over the blocks of alerting's history that begin within the time (ms), the newest
    /// first, until `each` has enough.
    ///
    /// # Errors
    /// The control file cannot be read.
    pub fn notify_history(
        &self,
        from: i64,
        until: i64,
        each: &mut dyn FnMut(i64, &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        self.inner.control.notify_history(from, until, each)
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

    /// Exemplars of the series that match any of the selectors, each series' ascending in time.
    ///
    /// # Errors
    /// A partition cannot be read, or an interrupt says to stop.
    pub fn exemplars(
        &self,
        selectors: &[Selector<'_>],
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, SourceError> {
        Ok(self.inner.exemplars(selectors)?)
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

    /// Why flushing to partitions, or removing expired ones, fails now, if it does. Nothing is
    /// lost: the journal keeps what is not flushed, and it is tried again every second.
    pub fn flush_fault(&self) -> Option<StorageError> {
        self.inner.flush_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        self.inner.flush(WindowCut::EVERYTHING)
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
    /// The windows with samples in the head, and how many batches added to each.
    pub(super) fn open_windows(&self) -> MutexGuard<'_, BTreeMap<Window, u64>> {
        self.open_windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a batch adds to these windows.
    pub(super) fn note_windows(&self, windows: &[Window]) {
        let mut open = self.open_windows();
        for window in windows {
            *open.entry(*window).or_default() += 1;
        }
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
    pub(super) fn check_disk(&self) {
        let free = match rustix::fs::statvfs(self.dir.root()) {
            Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
            Err(_) => return, // what cannot be measured is found out by writing
        };
        let kept = self.disk_free_bytes_min.load(Ordering::Relaxed);
        let full = if free < kept { free } else { u64::MAX };
        self.disk_full.store(full, Ordering::Relaxed);
    }
}
