//! The control file: what is small and precious. Today the format version of the directory and the
//! metadata of metrics; alert state, silences and poll cursors get their place here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::data_dir::{DataDir, SMALL_CACHE_BYTES};
use super::error::StorageError;
use crate::model::{MetricMetadata, MetricType};

/// Version of the layout of the data directory.
pub const FORMAT_VERSION: u32 = 1;
/// Most metadata entries kept for one metric name: senders disagree rarely, and a sender that
/// changes its help text all the time must not fill the file.
const METADATA_PER_METRIC_MAX: usize = 10;
/// Most metric names with metadata.
const METADATA_METRICS_MAX: usize = 200_000;

const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
/// (metric name, position) -> (type, help, unit); position 0 is the newest.
const METADATA: TableDefinition<'_, (&str, u32), (u8, &str, &str)> =
    TableDefinition::new("metadata");

/// The open control file.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    pub(super) database: Database,
    metadata: Mutex<BTreeMap<String, Vec<MetricMetadata>>>,
}

impl Control {
    /// Opens the file, created when absent.
    ///
    /// # Errors
    /// It cannot be opened, is damaged, or the directory was written by a newer version.
    pub fn open(dir: &DataDir) -> Result<Control, StorageError> {
        let path = dir.control_path();
        let database = dir.open_database(&path, SMALL_CACHE_BYTES)?;
        let control = Control { path, database, metadata: Mutex::default() };
        let found = control.read_version()?;
        match found {
            None => control.write_version()?,
            Some(version) if version > FORMAT_VERSION => {
                return Err(StorageError::NewerFormat(version, FORMAT_VERSION));
            }
            Some(_) => {}
        }
        *control.lock() = control.read_metadata()?;
        Ok(control)
    }

    /// Metadata by metric name, ascending; the newest entry of each first.
    pub fn metadata(&self, metric: Option<&str>) -> Vec<(String, Vec<MetricMetadata>)> {
        let metadata = self.lock();
        match metric {
            None => metadata.iter().map(|(name, all)| (name.clone(), all.clone())).collect(),
            Some(name) => {
                metadata.get(name).map(|all| (name.to_owned(), all.clone())).into_iter().collect()
            }
        }
    }

    /// Adds metadata; what is known already costs nothing. It is on disk when this returns.
    ///
    /// # Errors
    /// The commit failed; nothing was added.
    pub fn add_metadata(&self, entries: &[(String, MetricMetadata)]) -> Result<(), StorageError> {
        let mut metadata = self.lock();
        let mut changed: BTreeMap<&str, Vec<MetricMetadata>> = BTreeMap::new();
        for (name, entry) in entries {
            let known = changed.get(name.as_str()).or_else(|| metadata.get(name));
            if known.is_some_and(|all| all.first() == Some(entry)) {
                continue;
            }
            if known.is_none() && metadata.len() + changed.len() >= METADATA_METRICS_MAX {
                continue;
            }
            let mut all = known.cloned().unwrap_or_default();
            all.retain(|other| other != entry);
            all.insert(0, entry.clone());
            all.truncate(METADATA_PER_METRIC_MAX);
            changed.insert(name, all);
        }
        if changed.is_empty() {
            return Ok(());
        }
        self.write_metadata(&changed)?;
        metadata.extend(changed.into_iter().map(|(name, all)| (name.to_owned(), all)));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<MetricMetadata>>> {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn error(
        &self,
        operation: &'static str,
        error: impl Into<redb::Error>,
    ) -> StorageError {
        StorageError::database(operation, &self.path, error)
    }

    fn read_version(&self) -> Result<Option<u32>, StorageError> {
        let fail = |error: redb::Error| self.error("reading control file", error);
        let transaction = self.database.begin_read().map_err(|e| fail(e.into()))?;
        match transaction.open_table(META) {
            Ok(meta) => {
                let version = meta.get("format").map_err(|e| fail(e.into()))?;
                Ok(version.map(|version| version.value()))
            }
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(fail(error.into())),
        }
    }

    fn write_version(&self) -> Result<(), StorageError> {
        self.commit(|transaction| {
            transaction.open_table(META)?.insert("format", FORMAT_VERSION)?;
            Ok(())
        })
    }

    fn read_metadata(&self) -> Result<BTreeMap<String, Vec<MetricMetadata>>, StorageError> {
        let fail = |error: redb::Error| self.error("reading control file", error);
        let transaction = self.database.begin_read().map_err(|e| fail(e.into()))?;
        let table = match transaction.open_table(METADATA) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
            Err(error) => return Err(fail(error.into())),
        };
        let mut metadata: BTreeMap<String, Vec<MetricMetadata>> = BTreeMap::new();
        for entry in table.iter().map_err(|e| fail(e.into()))? {
            let (key, value) = entry.map_err(|e| fail(e.into()))?;
            let (metric_type, help, unit) = value.value();
            metadata.entry(key.value().0.to_owned()).or_default().push(MetricMetadata {
                metric_type: MetricType::from_number(i64::from(metric_type)),
                help: help.to_owned(),
                unit: unit.to_owned(),
            });
        }
        Ok(metadata)
    }

    fn write_metadata(
        &self,
        changed: &BTreeMap<&str, Vec<MetricMetadata>>,
    ) -> Result<(), StorageError> {
        self.commit(|transaction| {
            let mut table = transaction.open_table(METADATA)?;
            for (name, all) in changed {
                for (position, entry) in all.iter().enumerate() {
                    let row = (entry.metric_type as u8, entry.help.as_str(), entry.unit.as_str());
                    table.insert((*name, position as u32), row)?;
                }
            }
            Ok(())
        })
    }

    pub(super) fn commit(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StorageError> {
        let run = || -> Result<(), redb::Error> {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            transaction.set_quick_repair(true);
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        run().map_err(|error| self.error("writing control file", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_survives_and_the_newest_comes_first() {
        let root = tempfile::tempdir().expect("temporary directory");
        let entry = |help: &str| {
            let help = help.to_owned();
            (
                "up".to_owned(),
                MetricMetadata { metric_type: MetricType::Gauge, help, ..Default::default() },
            )
        };
        {
            let dir = DataDir::open(root.path(), None).expect("opens");
            let control = Control::open(&dir).expect("opens");
            control.add_metadata(&[entry("old"), entry("new")]).expect("written");
            control.add_metadata(&[entry("new")]).expect("nothing to do");
        }
        let dir = DataDir::open(root.path(), None).expect("opens");
        let control = Control::open(&dir).expect("opens");
        let all = control.metadata(Some("up"));
        let helps: Vec<&str> = all[0].1.iter().map(|entry| entry.help.as_str()).collect();
        assert_eq!(helps, ["new", "old"]);
        assert!(control.metadata(Some("down")).is_empty());
    }
}
