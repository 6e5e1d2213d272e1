//! Reading a partition: postings, label sets, packs, columns, exemplars.

use std::sync::Arc;

use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition};
use roaring::RoaringBitmap;

use super::Partition;
use super::rows;
use super::symbols::Symbols;
use super::tables::{COLUMNS, EXEMPLARS, PACKS, POSTINGS, SERIES, SERIES_PER_ROW, WindowInfo};
use crate::model::{Exemplar, Interrupt, Labels};
use crate::storage::cache::ReadCache;
use crate::storage::chunk;
use crate::storage::error::StorageError;
use crate::storage::index::Postings;

/// The label sets of one row: (position in the row, labels), ascending.
pub type LabelRow = Vec<(u8, Labels)>;

/// Reading a row takes as long as so many elements of a list.
const ROW_ELEMENTS: usize = 16;

/// The label set at a position of a row. Most rows have no gaps.
pub fn find_in_row(row: &LabelRow, position: u8) -> Option<&Labels> {
    let index = match row.get(usize::from(position)) {
        Some((at, _)) if *at == position => usize::from(position),
        _ => row.binary_search_by_key(&position, |(at, _)| *at).ok()?,
    };
    row.get(index).map(|(_, labels)| labels)
}

type PostingsTable = ReadOnlyTable<(&'static str, &'static str), &'static [u8]>;

/// A short read transaction on a partition's index.
pub struct PartitionReader<'p> {
    partition: &'p Partition,
    transaction: ReadTransaction,
    postings: Option<PostingsTable>,
    /// Dropped last.
    _database: Arc<Database>,
}

impl Partition {
    /// Begins to read the index. Keep it only for the time of looking something up: an open
    /// transaction keeps the pages of removed rows alive.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn reader(&self) -> Result<PartitionReader<'_>, StorageError> {
        let database = self.database()?;
        let transaction = database.begin_read().map_err(|e| self.error("reading partition", e))?;
        let postings = match transaction.open_table(POSTINGS) {
            Ok(table) => Some(table),
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(self.error("reading postings of partition", error)),
        };
        Ok(PartitionReader { partition: self, transaction, postings, _database: database })
    }

    /// The bytes of a pack.
    ///
    /// # Errors
    /// The file cannot be read, or the pack is missing.
    pub fn read_pack(&self, info: &WindowInfo, first: u32) -> Result<Vec<u8>, StorageError> {
        let key = (info.window.number(), info.generation, first);
        let missing = || StorageError::corrupted(&self.path, "a pack is missing");
        self.read_value(PACKS, key)?.ok_or_else(missing)
    }

    /// The blocks of a window's timestamp columns, in order.
    ///
    /// # Errors
    /// The file cannot be read, or a block is missing.
    pub fn read_columns(&self, info: &WindowInfo) -> Result<Vec<Vec<u8>>, StorageError> {
        let missing = || StorageError::corrupted(&self.path, "timestamp columns are missing");
        (0..info.column_blocks)
            .map(|block| {
                let key = (info.window.number(), info.generation, block);
                self.read_value(COLUMNS, key)?.ok_or_else(missing)
            })
            .collect()
    }

    /// The exemplars of a series in a window.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn read_exemplars(
        &self,
        info: &WindowInfo,
        id: u32,
    ) -> Result<Vec<Exemplar>, StorageError> {
        let mut exemplars = Vec::new();
        let key = (info.window.number(), info.generation, id);
        if let Some(bytes) = self.read_value(EXEMPLARS, key)? {
            chunk::exemplars::decode(&bytes, &mut exemplars)
                .map_err(|e| StorageError::corrupted(&self.path, e))?;
        }
        Ok(exemplars)
    }

    fn read_value(
        &self,
        table: TableDefinition<'_, (i64, u32, u32), &'static [u8]>,
        key: (i64, u32, u32),
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let fail = |error: redb::Error| self.error("reading partition", error);
        let database = self.database()?;
        let transaction = database.begin_read().map_err(|e| fail(e.into()))?;
        let table = match transaction.open_table(table) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(fail(error.into())),
        };
        let value = table.get(key).map_err(|e| fail(e.into()))?;
        Ok(value.map(|value| value.value().to_vec()))
    }
}

impl PartitionReader<'_> {
    /// Label sets of the given series, ascending by id; ids that do not exist are left out.
    ///
    /// # Errors
    /// The file cannot be read or is damaged, or the reading is interrupted.
    pub fn labels(
        &self,
        ids: &RoaringBitmap,
        interrupt: &Interrupt,
    ) -> Result<Vec<(u32, Labels)>, StorageError> {
        self.labels_by_row(ids, interrupt, |_, _, read| read().map(Arc::new))
    }

    /// As [`PartitionReader::labels`], from the cache where it has them.
    ///
    /// # Errors
    /// As [`PartitionReader::labels`].
    pub fn cached_labels(
        &self,
        ids: &RoaringBitmap,
        cache: &ReadCache,
        interrupt: &Interrupt,
    ) -> Result<Vec<(u32, Labels)>, StorageError> {
        let number = self.partition.number();
        self.labels_by_row(ids, interrupt, |row, wanted, read| {
            cache.labels((number, row), wanted, read)
        })
    }

    /// `row` gives the row of a number with what is at these positions; the function it is handed
    /// reads it.
    fn labels_by_row(
        &self,
        ids: &RoaringBitmap,
        interrupt: &Interrupt,
        row: impl Fn(
            u32,
            &[u8],
            &dyn Fn() -> Result<LabelRow, StorageError>,
        ) -> Result<Arc<LabelRow>, StorageError>,
    ) -> Result<Vec<(u32, Labels)>, StorageError> {
        let mut labels = Vec::with_capacity(ids.len() as usize);
        if ids.is_empty() {
            return Ok(labels);
        }
        let symbols = self.symbols()?;
        let table = self
            .transaction
            .open_table(SERIES)
            .map_err(|e| self.partition.error("reading series of partition", e))?;
        let mut ids = ids.iter().peekable();
        let (mut read, mut positions) = (0, Vec::with_capacity(SERIES_PER_ROW as usize));
        while let Some(first) = ids.peek().copied() {
            interrupt.check_at(read)?;
            read += ROW_ELEMENTS;
            let number = first / SERIES_PER_ROW;
            positions.clear();
            while let Some(id) = ids.next_if(|id| *id / SERIES_PER_ROW == number) {
                positions.push((id % SERIES_PER_ROW) as u8);
            }
            let entries = row(number, &positions, &|| self.label_row(&table, number, &symbols))?;
            labels.extend(positions.iter().filter_map(|position| {
                let set = find_in_row(&entries, *position)?;
                Some((number * SERIES_PER_ROW + u32::from(*position), set.clone()))
            }));
        }
        Ok(labels)
    }

    fn label_row(
        &self,
        table: &ReadOnlyTable<u32, &'static [u8]>,
        number: u32,
        symbols: &Symbols,
    ) -> Result<LabelRow, StorageError> {
        let fail = |e| self.partition.error("reading series of partition", e);
        let Some(value) = table.get(number).map_err(fail)? else { return Ok(Vec::new()) };
        let row = rows::decode(value.value()).map_err(|e| self.corrupted(e))?;
        let mut packed = Vec::new();
        let mut set = |pairs: &rows::SymbolPairs| {
            rows::labels(pairs, symbols, &mut packed).map_err(|e| self.corrupted(e))
        };
        row.iter().map(|(position, pairs)| Ok((*position, set(pairs)?))).collect()
    }

    pub(super) fn symbols(&self) -> Result<Arc<Symbols>, StorageError> {
        self.partition.symbols(&self.transaction)
    }

    /// Calls `each` with every value of label `name` that starts with `prefix` and its posting.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn for_each_value(
        &self,
        name: &str,
        prefix: &str,
        each: &mut dyn FnMut(
            &str,
            &dyn Fn() -> Result<RoaringBitmap, StorageError>,
        ) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let Some(postings) = &self.postings else { return Ok(()) };
        let fail = |e: redb::StorageError| self.partition.error("reading postings of partition", e);
        for entry in postings.range((name, prefix)..).map_err(fail)? {
            let (key, posting) = entry.map_err(fail)?;
            let (found, value) = key.value();
            if found != name || !value.starts_with(prefix) {
                break;
            }
            each(value, &|| self.decode_posting(posting.value()))?;
        }
        Ok(())
    }

    /// The label names that occur, ascending, on any series of `within` (any at all when `None`).
    ///
    /// # Errors
    /// The file cannot be read or is damaged, or the reading is interrupted.
    pub fn names(
        &self,
        within: Option<&RoaringBitmap>,
        interrupt: &Interrupt,
    ) -> Result<Vec<String>, StorageError> {
        let Some(postings) = &self.postings else { return Ok(Vec::new()) };
        let fail = |e: redb::StorageError| self.partition.error("reading postings of partition", e);
        let mut names: Vec<String> = Vec::new();
        let (mut last, mut seen) = (String::new(), 0);
        loop {
            last.push('\0'); // the least name that comes behind it
            let mut found: Option<(String, bool)> = None;
            for entry in postings.range((last.as_str(), "")..).map_err(fail)? {
                interrupt.check_at(seen)?;
                seen += 1;
                let (key, posting) = entry.map_err(fail)?;
                let (name, _) = key.value();
                let (known, occurs) = found.get_or_insert_with(|| (name.to_owned(), false));
                if known != name {
                    break;
                }
                *occurs = match within {
                    Some(ids) => !self.decode_posting(posting.value())?.is_disjoint(ids),
                    None => true,
                };
                if *occurs {
                    break; // its other values need not be looked at
                }
            }
            let Some((name, occurs)) = found else { return Ok(names) };
            names.extend(occurs.then(|| name.clone()));
            last = name;
        }
    }

    fn decode_posting(&self, bytes: &[u8]) -> Result<RoaringBitmap, StorageError> {
        RoaringBitmap::deserialize_from(bytes).map_err(|e| self.corrupted(e))
    }

    fn corrupted(&self, what: impl std::fmt::Display) -> StorageError {
        StorageError::corrupted(&self.partition.path, what)
    }
}

impl Postings for PartitionReader<'_> {
    fn all(&self) -> Result<RoaringBitmap, StorageError> {
        self.get("", "")
    }

    fn get(&self, name: &str, value: &str) -> Result<RoaringBitmap, StorageError> {
        let Some(postings) = &self.postings else { return Ok(RoaringBitmap::new()) };
        let fail = |e: redb::StorageError| self.partition.error("reading postings of partition", e);
        match postings.get((name, value)).map_err(fail)? {
            Some(posting) => self.decode_posting(posting.value()),
            None => Ok(RoaringBitmap::new()),
        }
    }

    fn union(
        &self,
        name: &str,
        prefix: &str,
        accept: &mut dyn FnMut(&str) -> Result<bool, StorageError>,
    ) -> Result<RoaringBitmap, StorageError> {
        let mut union = RoaringBitmap::new();
        self.for_each_value(name, prefix, &mut |value, posting| {
            if accept(value)? {
                union |= posting()?;
            }
            Ok(())
        })?;
        Ok(union)
    }
}
