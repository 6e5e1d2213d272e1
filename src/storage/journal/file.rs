//! One journal file: a database with one table of blocks, written in order and read once.

use std::path::{Path, PathBuf};

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::storage::data_dir::{DataDir, SMALL_CACHE_BYTES};
use crate::storage::error::StorageError;

/// Largest block in bytes: values of this size fill their page to 99.6 %, one more byte and the
/// page doubles.
pub const BLOCK_BYTES_MAX: usize = 65_280;

const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");

/// An open journal file.
#[derive(Debug)]
pub struct JournalFile {
    sequence: u64,
    path: PathBuf,
    database: Database,
    next_block: u64,
    bytes: u64,
}

impl JournalFile {
    /// Opens the file with this sequence number, created when absent.
    ///
    /// # Errors
    /// The file cannot be opened or is damaged.
    pub fn open(dir: &DataDir, sequence: u64) -> Result<JournalFile, StorageError> {
        let path = dir.journal_path(sequence);
        let database = dir.open_database(&path, SMALL_CACHE_BYTES)?;
        let mut file = JournalFile { sequence, path, database, next_block: 0, bytes: 0 };
        file.next_block = file.read_last_block()?.map_or(0, |last| last + 1);
        Ok(file)
    }

    /// Its sequence number.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes appended since it was opened.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends `stream` in one commit; it is on disk when this returns.
    ///
    /// # Errors
    /// The commit failed: what is on disk is what was there before.
    pub fn append(&mut self, stream: &[u8]) -> Result<(), StorageError> {
        let fail =
            |error: redb::Error| StorageError::database("writing journal", &self.path, error);
        let mut transaction = self.database.begin_write().map_err(|e| fail(e.into()))?;
        transaction.set_durability(Durability::Immediate).map_err(|e| fail(e.into()))?;
        transaction.set_quick_repair(true);
        let mut next_block = self.next_block;
        {
            let mut blocks = transaction.open_table(BLOCKS).map_err(|e| fail(e.into()))?;
            for block in stream.chunks(BLOCK_BYTES_MAX) {
                blocks.insert(next_block, block).map_err(|e| fail(e.into()))?;
                next_block += 1;
            }
        }
        transaction.commit().map_err(|e| fail(e.into()))?;
        self.next_block = next_block;
        self.bytes += stream.len() as u64;
        Ok(())
    }

    /// Calls `each` with every block in order.
    ///
    /// # Errors
    /// The file cannot be read, or `each` failed.
    pub fn for_each_block(
        &self,
        mut each: impl FnMut(&[u8]) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let fail =
            |error: redb::Error| StorageError::database("reading journal", &self.path, error);
        let transaction = self.database.begin_read().map_err(|e| fail(e.into()))?;
        let blocks = match transaction.open_table(BLOCKS) {
            Ok(blocks) => blocks,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(fail(error.into())),
        };
        for entry in blocks.iter().map_err(|e| fail(e.into()))? {
            let (_, block) = entry.map_err(|e| fail(e.into()))?;
            each(block.value())?;
        }
        Ok(())
    }

    fn read_last_block(&self) -> Result<Option<u64>, StorageError> {
        let fail =
            |error: redb::Error| StorageError::database("reading journal", &self.path, error);
        let transaction = self.database.begin_read().map_err(|e| fail(e.into()))?;
        match transaction.open_table(BLOCKS) {
            Ok(blocks) => {
                let last = blocks.last().map_err(|e| fail(e.into()))?;
                Ok(last.map(|(number, _)| number.value()))
            }
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(fail(error.into())),
        }
    }
}
