//! Caches of what was read from partitions: packs and timestamp columns, checked and opened, decoded
//! columns, label sets, and sorted lists of them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use roaring::RoaringBitmap;

use super::columns::Columns;
use super::error::StorageError;
use super::pack::Pack;
use super::partition::tables::WindowInfo;
use super::partition::{LabelRow, Partition, find_in_row};
use crate::model::Labels;

/// Memory for opened packs in bytes: the packs of an hour of 100 k series at 15 s fit.
const PACK_CACHE_BYTES: u64 = 48 << 20;
/// Memory for timestamp columns in bytes.
const COLUMNS_CACHE_BYTES: u64 = 8 << 20;
/// Memory for decoded timestamp columns in bytes: those of a day of 80 targets at 15 s.
const TIMESTAMPS_CACHE_BYTES: u64 = 4 << 20;
/// Memory for label sets in bytes: those of 100 k series fit.
const LABELS_CACHE_BYTES: u64 = 32 << 20;
/// Memory for sorted lists of label sets in bytes, with their text: lists as one host has them are
/// asked for with every look at a dashboard with variables.
const LISTS_CACHE_BYTES: u64 = 8 << 20;
/// Expected size of such a list in bytes.
const LIST_BYTES: usize = 64 << 10;
/// Expected size of a row of label sets in bytes.
const LABELS_ROW_BYTES: usize = 16 << 10;
/// Expected size of an opened pack in bytes.
const PACK_BYTES: usize = 48 << 10;

/// Partition number, window, generation and, for packs, first series id, for timestamps the column.
type Key = (u64, i64, u32, u32);

/// The caches all queries share.
#[derive(Debug)]
pub struct ReadCache {
    packs: Cache<Key, Arc<Pack>, PackBytes>,
    columns: Cache<Key, Arc<Columns>, ColumnsBytes>,
    timestamps: Cache<Key, Arc<[i64]>, TimestampsBytes>,
    labels: Cache<(u64, u32), Arc<LabelRow>, LabelsBytes>,
    lists: Cache<ListKey, Arc<[Labels]>, ListBytes>,
}

/// Partition number, series ids. A series keeps its id and its labels, so no list becomes outdated.
#[derive(Clone, Debug, PartialEq)]
struct ListKey(u64, RoaringBitmap);

impl Eq for ListKey {}

impl Hash for ListKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ids = &self.1;
        (self.0, ids.len(), ids.min(), ids.max(), ids.select(ids.len() as u32 / 2)).hash(state);
    }
}

#[derive(Clone, Debug)]
struct PackBytes;

impl Weighter<Key, Arc<Pack>> for PackBytes {
    fn weight(&self, _: &Key, pack: &Arc<Pack>) -> u64 {
        pack.memory_bytes() as u64
    }
}

#[derive(Clone, Debug)]
struct ColumnsBytes;

impl Weighter<Key, Arc<Columns>> for ColumnsBytes {
    fn weight(&self, _: &Key, columns: &Arc<Columns>) -> u64 {
        columns.memory_bytes() as u64 + 64
    }
}

#[derive(Clone, Debug)]
struct TimestampsBytes;

impl Weighter<Key, Arc<[i64]>> for TimestampsBytes {
    fn weight(&self, _: &Key, column: &Arc<[i64]>) -> u64 {
        size_of_val(&column[..]) as u64 + 64
    }
}

#[derive(Clone, Debug)]
struct ListBytes;

impl Weighter<ListKey, Arc<[Labels]>> for ListBytes {
    fn weight(&self, key: &ListKey, list: &Arc<[Labels]>) -> u64 {
        let text: usize = list.iter().map(|labels| labels.as_packed().len() + SET_BYTES).sum();
        text as u64 + key.1.serialized_size() as u64 + 64
    }
}

#[derive(Clone, Debug)]
struct LabelsBytes;

impl Weighter<(u64, u32), Arc<LabelRow>> for LabelsBytes {
    fn weight(&self, _: &(u64, u32), row: &Arc<LabelRow>) -> u64 {
        let set = |(_, labels): &(u8, Labels)| labels.as_packed().len() + SET_BYTES;
        row.iter().map(set).sum::<usize>() as u64 + 64
    }
}

/// What a label set takes besides its text: its place in the row and the two counts of its `Arc`.
const SET_BYTES: usize = size_of::<(u8, Labels)>() + 16;

impl Default for ReadCache {
    fn default() -> ReadCache {
        let packs = PACK_CACHE_BYTES as usize / PACK_BYTES;
        ReadCache {
            packs: Cache::with_weighter(packs, PACK_CACHE_BYTES, PackBytes),
            columns: Cache::with_weighter(256, COLUMNS_CACHE_BYTES, ColumnsBytes),
            timestamps: Cache::with_weighter(1024, TIMESTAMPS_CACHE_BYTES, TimestampsBytes),
            labels: Cache::with_weighter(
                LABELS_CACHE_BYTES as usize / LABELS_ROW_BYTES,
                LABELS_CACHE_BYTES,
                LabelsBytes,
            ),
            lists: Cache::with_weighter(
                LISTS_CACHE_BYTES as usize / LIST_BYTES,
                LISTS_CACHE_BYTES,
                ListBytes,
            ),
        }
    }
}

impl ReadCache {
    /// The pack that starts with series id `first`.
    ///
    /// # Errors
    /// The partition cannot be read, or the pack is damaged.
    pub fn pack(
        &self,
        partition: &Partition,
        info: &WindowInfo,
        first: u32,
    ) -> Result<Arc<Pack>, StorageError> {
        let key = (partition.number(), info.window.number(), info.generation, first);
        self.packs.get_or_insert_with(&key, || {
            let bytes = Bytes::from(partition.read_pack(info, first)?);
            let pack = Pack::open(bytes);
            pack.map(Arc::new).map_err(|e| StorageError::corrupted(partition.path(), e))
        })
    }

    /// The timestamp columns of a flushed window.
    ///
    /// # Errors
    /// The partition cannot be read, or the columns are damaged.
    pub fn columns(
        &self,
        partition: &Partition,
        info: &WindowInfo,
    ) -> Result<Arc<Columns>, StorageError> {
        let key = (partition.number(), info.window.number(), info.generation, 0);
        self.columns.get_or_insert_with(&key, || {
            let blocks = partition.read_columns(info)?;
            let columns = Columns::open(blocks.into_iter().map(Bytes::from));
            columns.map(Arc::new).map_err(|e| StorageError::corrupted(partition.path(), e))
        })
    }

    /// The timestamps of one column of a flushed window: strictly ascending ms.
    ///
    /// # Errors
    /// As [`ReadCache::columns`], and a damaged column.
    pub fn timestamps(
        &self,
        partition: &Partition,
        info: &WindowInfo,
        column: u32,
    ) -> Result<Arc<[i64]>, StorageError> {
        let key = (partition.number(), info.window.number(), info.generation, column);
        self.timestamps.get_or_insert_with(&key, || {
            let mut timestamps = Vec::new();
            let decoded = self.columns(partition, info)?.decode(column, &mut timestamps);
            decoded.map_err(|e| StorageError::corrupted(partition.path(), e))?;
            Ok(timestamps.into())
        })
    }

    /// The label sets of these series of partition number `partition`, sorted, as `read` gives them.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn list(
        &self,
        partition: u64,
        ids: &RoaringBitmap,
        read: impl FnOnce() -> Result<Vec<Labels>, StorageError>,
    ) -> Result<Arc<[Labels]>, StorageError> {
        let key = ListKey(partition, ids.clone());
        self.lists.get_or_insert_with(&key, || read().map(Arc::from))
    }

    /// The label sets of row `row` of partition number `partition`, which `read` reads. A row gets
    /// further series: when it has none at one of the wanted positions it is read again.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn labels(
        &self,
        (partition, row): (u64, u32),
        wanted: &[u8],
        read: impl Fn() -> Result<LabelRow, StorageError>,
    ) -> Result<Arc<LabelRow>, StorageError> {
        let key = (partition, row);
        let known = self.labels.get_or_insert_with(&key, || read().map(Arc::new))?;
        if wanted.iter().all(|position| find_in_row(&known, *position).is_some()) {
            return Ok(known);
        }
        let fresh = Arc::new(read()?);
        self.labels.insert(key, Arc::clone(&fresh));
        Ok(fresh)
    }
}
