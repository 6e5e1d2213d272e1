//! Partitions: one database file a UTC day with everything of that day: symbols, series, postings,
//! packs. A copy of the file is a backup; retention is an unlink.
//!
//! In: whole windows from the flush. Out: postings, label sets and packs for queries. Never here:
//! which window is flushed when; merging with other partitions or the head.
//!
//! Written data never changes (until the day is removed): a query keeps the [`View`] it started
//! with, a list of the flushes it may see, and reads packs in short transactions of their own.

mod reader;
mod rows;
mod symbols;
pub mod tables;
mod writer;

use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redb::{Database, ReadableDatabase, ReadableTable};

use self::symbols::Symbols;
use self::tables::{FORMAT_VERSION, META, SYMBOLS, WINDOWS, WindowInfo};
use super::data_dir::{DataDir, PARTITION_CACHE_BYTES};
use super::error::StorageError;
use super::window::{Day, Window};
pub use reader::{LabelRow, PartitionReader, find_in_row};
pub use writer::{Written, flushed_up_to};

/// A hole of so many bytes is left where it is.
const TRIM_BYTES: u64 = 256 << 10;

/// An open partition.
#[derive(Debug)]
pub struct Partition {
    day: Day,
    /// Distinguishes partitions in caches, also from an earlier one of the same day.
    number: u64,
    path: PathBuf,
    dir: Arc<DataDir>,
    /// Every transaction holds it, too; absent only where it could not be opened again.
    database: RwLock<Option<Arc<Database>>>,
    view: RwLock<Arc<View>>,
    symbols: Mutex<Arc<Symbols>>,
}

/// The flushes a query sees, ascending by (window, generation).
#[derive(Debug, Default)]
pub struct View {
    /// One entry a flush of a window.
    pub windows: Vec<WindowInfo>,
}

impl View {
    /// The flushes of windows that overlap `start..=end` (ms).
    pub fn overlapping(&self, start: i64, end: i64) -> &[WindowInfo] {
        &self.windows[self.overlapping_positions(start, end)]
    }

    /// Where the flushes of windows that overlap `start..=end` (ms) are in the view.
    pub fn overlapping_positions(&self, start: i64, end: i64) -> Range<usize> {
        let from = self.windows.partition_point(|info| info.window.last() < start);
        let rest = &self.windows[from..];
        from..from + rest.partition_point(|info| info.window.start() <= end)
    }

    /// The generation the next flush of `window` gets.
    pub fn next_generation(&self, window: Window) -> u32 {
        let same = self.windows.iter().filter(|info| info.window == window);
        same.map(|info| info.generation + 1).max().unwrap_or(0)
    }
}

static NUMBERS: AtomicU64 = AtomicU64::new(0);

impl Partition {
    /// Opens the partition of a day, created when absent.
    ///
    /// # Errors
    /// The file cannot be opened, is damaged, or was written by a newer version.
    pub fn open(dir: &Arc<DataDir>, day: Day) -> Result<Partition, StorageError> {
        let path = dir.partition_path(day);
        let database = dir.open_database(&path, PARTITION_CACHE_BYTES)?;
        let mut partition = Partition {
            day,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            path,
            dir: Arc::clone(dir),
            database: RwLock::new(Some(Arc::new(database))),
            view: RwLock::default(),
            symbols: Mutex::default(),
        };
        let view = partition.read_view()?;
        partition.view = RwLock::new(Arc::new(view));
        Ok(partition)
    }

    /// The open file. To be held for as long as a transaction on it.
    fn database(&self) -> Result<Arc<Database>, StorageError> {
        let open = self.database.read().unwrap_or_else(PoisonError::into_inner).clone();
        match open {
            Some(database) => Ok(database),
            None => self.reopen(&mut self.database.write().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn reopen(&self, slot: &mut Option<Arc<Database>>) -> Result<Arc<Database>, StorageError> {
        if let Some(database) = slot {
            return Ok(Arc::clone(database));
        }
        let database = Arc::new(self.dir.open_database(&self.path, PARTITION_CACHE_BYTES)?);
        *slot = Some(Arc::clone(&database));
        Ok(database)
    }

    /// Gives back what the file is longer than it needs: redb doubles a file ahead of use and cuts
    /// it when it is closed, but only behind the last page in use, and that may be the very last one
    /// of the file; so the pages behind the hole are moved first. Closing also writes down which
    /// pages are free, without which a start after a crash would have to read the whole file. Does
    /// nothing while somebody reads, or when that is little. Queries that come meanwhile wait.
    ///
    /// # Errors
    /// The pages cannot be moved, which loses nothing; or the file cannot be opened again, which the
    /// next one who needs it tries anew.
    pub fn trim(&self) -> Result<(), StorageError> {
        if !self.has_hole() {
            return Ok(());
        }
        let mut slot = self.database.write().unwrap_or_else(PoisonError::into_inner);
        match slot.take().map(Arc::try_unwrap) {
            Some(Err(in_use)) => *slot = Some(in_use),
            Some(Ok(mut database)) => {
                let compacted = database.compact();
                drop(database);
                self.reopen(&mut slot)?;
                compacted.map_err(|e| self.error("compacting partition", e))?;
            }
            None => {}
        }
        Ok(())
    }

    /// Whether more than [`TRIM_BYTES`] of the file were never written.
    fn has_hole(&self) -> bool {
        let Ok(metadata) = std::fs::metadata(&self.path) else { return false };
        metadata.len().saturating_sub(metadata.blocks() * 512) > TRIM_BYTES
    }

    /// The day it covers.
    pub fn day(&self) -> Day {
        self.day
    }

    /// Its number in caches.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a query that starts now sees.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes flushes visible to the queries that start from now on.
    pub fn publish(&self, infos: Vec<WindowInfo>) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let mut windows = view.windows.clone();
        windows.extend(infos);
        windows.sort_by_key(|info| (info.window, info.generation));
        *view = Arc::new(View { windows });
    }

    fn error(&self, operation: &'static str, error: impl Into<redb::Error>) -> StorageError {
        StorageError::database(operation, &self.path, error)
    }

    fn read_view(&self) -> Result<View, StorageError> {
        let fail = |error: redb::Error| self.error("reading partition", error);
        let database = self.database()?;
        let transaction = database.begin_read().map_err(|e| fail(e.into()))?;
        let meta = match transaction.open_table(META) {
            Ok(meta) => meta,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(View::default()),
            Err(error) => return Err(fail(error.into())),
        };
        let version = meta.get("format").map_err(|e| fail(e.into()))?.map_or(0, |v| v.value());
        if version > FORMAT_VERSION {
            let known = FORMAT_VERSION as u32;
            return Err(StorageError::NewerFormat(version.try_into().unwrap_or(u32::MAX), known));
        }
        let table = transaction.open_table(WINDOWS).map_err(|e| fail(e.into()))?;
        let mut windows = Vec::new();
        for entry in table.iter().map_err(|e| fail(e.into()))? {
            let (key, row) = entry.map_err(|e| fail(e.into()))?;
            let (window, generation) = key.value();
            let info = WindowInfo::decode(window, generation, row.value());
            windows.push(info.map_err(|e| StorageError::corrupted(&self.path, e))?);
        }
        Ok(View { windows })
    }

    /// The symbols, read from the file when more were written since the last call.
    fn symbols(&self, transaction: &redb::ReadTransaction) -> Result<Arc<Symbols>, StorageError> {
        let fail = |error: redb::Error| self.error("reading symbols of partition", error);
        let meta = transaction.open_table(META).map_err(|e| fail(e.into()))?;
        let count = meta.get("next_symbol").map_err(|e| fail(e.into()))?.map_or(0, |v| v.value());
        let mut cached = self.symbols.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.len() as u64 >= count {
            return Ok(Arc::clone(&cached));
        }
        let mut symbols = Symbols::default();
        let table = transaction.open_table(SYMBOLS).map_err(|e| fail(e.into()))?;
        for entry in table.iter().map_err(|e| fail(e.into()))? {
            let (_, block) = entry.map_err(|e| fail(e.into()))?;
            symbols
                .push_block(block.value())
                .map_err(|e| StorageError::corrupted(&self.path, e))?;
        }
        *cached = Arc::new(symbols);
        Ok(Arc::clone(&cached))
    }
}
