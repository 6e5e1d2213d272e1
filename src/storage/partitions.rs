//! The partitions there are, opened when first needed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::data_dir::DataDir;
use super::error::StorageError;
use super::partition::Partition;
use super::window::Day;

/// All partitions of a data directory.
#[derive(Debug)]
pub struct Partitions {
    dir: Arc<DataDir>,
    /// By day; `None` when not open yet.
    days: Mutex<BTreeMap<Day, Option<Arc<Partition>>>>,
}

impl Partitions {
    /// Lists the partitions of the directory; opens none.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn list(dir: Arc<DataDir>) -> Result<Partitions, StorageError> {
        let days = dir.partitions()?.into_iter().map(|day| (day, None)).collect();
        Ok(Partitions { dir, days: Mutex::new(days) })
    }

    /// The partition of a day, created when absent.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open_or_create(&self, day: Day) -> Result<Arc<Partition>, StorageError> {
        let mut days = self.lock();
        if let Some(Some(partition)) = days.get(&day) {
            return Ok(Arc::clone(partition));
        }
        let partition = Arc::new(Partition::open(&self.dir, day)?);
        days.insert(day, Some(Arc::clone(&partition)));
        Ok(partition)
    }

    /// The partition of a day, if there is one.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn get(&self, day: Day) -> Result<Option<Arc<Partition>>, StorageError> {
        if self.lock().contains_key(&day) { self.open_or_create(day).map(Some) } else { Ok(None) }
    }

    /// The partitions of the days that overlap `start..=end` (ms), ascending.
    ///
    /// # Errors
    /// One cannot be opened.
    pub fn overlapping(&self, start: i64, end: i64) -> Result<Vec<Arc<Partition>>, StorageError> {
        if start > end {
            return Ok(Vec::new());
        }
        let days: Vec<Day> =
            self.lock().range(Day::of(start)..=Day::of(end)).map(|(day, _)| *day).collect();
        days.into_iter().map(|day| self.open_or_create(day)).collect()
    }

    /// The days there are partitions of, ascending.
    pub fn days(&self) -> Vec<Day> {
        self.lock().keys().copied().collect()
    }

    /// Removes the partition of a day. Queries that read it go on reading the unlinked file.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove(&self, day: Day) -> Result<(), StorageError> {
        self.lock().remove(&day);
        self.dir.remove(&self.dir.partition_path(day))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Day, Option<Arc<Partition>>>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
