//! Caches of what was read from partitions: packs and timestamp columns, checked and opened.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::columns::Columns;
use super::error::StorageError;
use super::pack::Pack;
use super::partition::Partition;
use super::partition::tables::WindowInfo;

/// Memory for opened packs in bytes: the packs of an hour of 100 k series at 15 s fit.
const PACK_CACHE_BYTES: u64 = 48 << 20;
/// Memory for timestamp columns in bytes.
const COLUMNS_CACHE_BYTES: u64 = 8 << 20;
/// Expected size of an opened pack in bytes.
const PACK_BYTES: usize = 48 << 10;

/// Partition number, window, generation and, for packs, first series id.
type Key = (u64, i64, u32, u32);

/// The caches all queries share.
#[derive(Debug)]
pub struct ReadCache {
    packs: Cache<Key, Arc<Pack>, PackBytes>,
    columns: Cache<Key, Arc<Columns>, ColumnsBytes>,
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

impl Default for ReadCache {
    fn default() -> ReadCache {
        let packs = PACK_CACHE_BYTES as usize / PACK_BYTES;
        ReadCache {
            packs: Cache::with_weighter(packs, PACK_CACHE_BYTES, PackBytes),
            columns: Cache::with_weighter(256, COLUMNS_CACHE_BYTES, ColumnsBytes),
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
}
