//! The timestamp columns of one window and generation, each distinct one stored once.
//!
//! In: the float timestamps of one series after another. Out: an index per series, and blocks of
//! just under 32 KiB that hold the columns. All series of one scrape share their timestamps, so
//! this is a small part of a window. Never here: where the blocks are kept.

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use super::chunk::bytes::{ByteReader, put_varint, varint_len};
use super::chunk::sealed::{self, BlockKind, TRAILER_BYTES};
use super::chunk::{CodecError, SAMPLES_PER_CHUNK_MAX, timestamps};
use super::pack::PACK_TARGET_BYTES;

/// A block of columns: the columns from index `first` on, each with count, length and body.
pub const COLUMNS_BLOCK: BlockKind =
    BlockKind { name: "block of timestamp columns", magic: *b"TWtc", version: 1 };
/// Blocks are closed before they pass this.
pub const BLOCK_TARGET_BYTES: usize = PACK_TARGET_BYTES;
/// Largest block: one column of [`SAMPLES_PER_CHUNK_MAX`] timestamps of ten bytes each fits.
pub const BLOCK_BYTES_MAX: usize = 32 << 20;
/// Room for the varints in front of the columns.
const BLOCK_HEADER_BYTES: usize = 24;

/// Collects the distinct columns of a window.
#[derive(Debug, Default)]
pub struct ColumnsBuilder {
    /// All distinct columns, end to end.
    timestamps: Vec<i64>,
    /// Where column i ends in `timestamps`.
    ends: Vec<usize>,
    /// Column indexes by content.
    by_content: HashTable<u32>,
    hasher: FixedState,
    /// The answer to the previous call.
    last: Option<u32>,
}

impl ColumnsBuilder {
    /// An empty collection.
    pub fn new() -> ColumnsBuilder {
        ColumnsBuilder::default()
    }

    /// Number of distinct columns.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The index of this column, which is added if new. Timestamps ascend strictly and are at most
    /// [`SAMPLES_PER_CHUNK_MAX`].
    pub fn push(&mut self, column: &[i64]) -> u32 {
        if let Some(last) = self.last
            && self.column(last) == column
        {
            return last;
        }
        let hash = self.hasher.hash_one(column);
        let found = self.by_content.find(hash, |index| self.column(*index) == column).copied();
        let index = found.unwrap_or_else(|| self.add(column, hash));
        self.last = Some(index);
        index
    }

    fn add(&mut self, column: &[i64], hash: u64) -> u32 {
        let index = u32::try_from(self.ends.len()).expect("BUG: more columns than series ids");
        self.timestamps.extend_from_slice(column);
        self.ends.push(self.timestamps.len());
        let (timestamps, ends, hasher) = (&self.timestamps, &self.ends, &self.hasher);
        let rehash = |i: &u32| hasher.hash_one(column_of(timestamps, ends, *i));
        self.by_content.insert_unique(hash, index, rehash);
        index
    }

    fn column(&self, index: u32) -> &[i64] {
        column_of(&self.timestamps, &self.ends, index)
    }

    /// Encodes all columns into blocks of at most [`BLOCK_TARGET_BYTES`]; a column that is larger
    /// has a block of its own. To be opened in the same order.
    pub fn finish(self) -> Vec<Vec<u8>> {
        let mut blocks = Vec::new();
        let mut block = OpenBlock::starting_at(0);
        let mut body = Vec::new();
        for index in 0..self.ends.len() as u32 {
            let column = self.column(index);
            body.clear();
            timestamps::encode(column, &mut body);
            if !block.has_room_for(column.len(), body.len()) {
                let full = std::mem::replace(&mut block, OpenBlock::starting_at(index));
                blocks.push(full.finish());
            }
            block.push(column.len(), &body);
        }
        if block.count > 0 {
            blocks.push(block.finish());
        }
        blocks
    }
}

/// Column `index` of columns laid end to end.
fn column_of<'a>(timestamps: &'a [i64], ends: &[usize], index: u32) -> &'a [i64] {
    let index = index as usize;
    let start = if index == 0 { 0 } else { ends[index - 1] };
    &timestamps[start..ends[index]]
}

/// A block being filled.
struct OpenBlock {
    first: u32,
    count: u64,
    columns: Vec<u8>,
}

impl OpenBlock {
    fn starting_at(first: u32) -> OpenBlock {
        OpenBlock { first, count: 0, columns: Vec::new() }
    }

    fn has_room_for(&self, samples: usize, body: usize) -> bool {
        let entry = varint_len(samples as u64) + varint_len(body as u64) + body;
        let total = BLOCK_HEADER_BYTES + self.columns.len() + entry + TRAILER_BYTES;
        self.count == 0 || total <= BLOCK_TARGET_BYTES
    }

    fn push(&mut self, samples: usize, body: &[u8]) {
        put_varint(&mut self.columns, samples as u64);
        put_varint(&mut self.columns, body.len() as u64);
        self.columns.extend_from_slice(body);
        self.count += 1;
    }

    fn finish(self) -> Vec<u8> {
        let mut block = sealed::begin(COLUMNS_BLOCK);
        put_varint(&mut block, u64::from(self.first));
        put_varint(&mut block, self.count);
        block.extend_from_slice(&self.columns);
        sealed::seal(block)
    }
}

/// The columns of a window, opened for reading. Cheap to clone only by `Arc`.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    blocks: Vec<Bytes>,
    entries: Vec<Entry>,
}

/// Where a column is.
#[derive(Clone, Copy, Debug)]
struct Entry {
    block: u32,
    start: u32,
    length: u32,
    samples: u32,
}

impl Columns {
    /// Opens all blocks of a window in the order they were written; checks checksums and
    /// structure.
    ///
    /// # Errors
    /// A damaged block, one of another version, or blocks missing at the front or in between.
    pub fn open(blocks: impl IntoIterator<Item = Bytes>) -> Result<Columns, CodecError> {
        let mut columns = Columns::default();
        for block in blocks {
            columns.add_block(block)?;
        }
        Ok(columns)
    }

    fn add_block(&mut self, block: Bytes) -> Result<(), CodecError> {
        let size = block.len() as u64;
        CodecError::check_limit("bytes in a block of timestamp columns", size, BLOCK_BYTES_MAX)?;
        let mut reader = ByteReader::new(sealed::open(&block, COLUMNS_BLOCK)?);
        let first = reader.varint("first column of a block")?;
        if first != self.entries.len() as u64 {
            return Err(CodecError::Corrupted("order of blocks of timestamp columns"));
        }
        let count = reader.count(BLOCK_BYTES_MAX, "columns in a block")?;
        for _ in 0..count {
            let samples = reader.count(SAMPLES_PER_CHUNK_MAX, "timestamps in a column")?;
            let length = reader.count(BLOCK_BYTES_MAX, "bytes of a timestamp column")?;
            let start = block.len() - TRAILER_BYTES - reader.rest().len();
            reader.bytes(length, "timestamp column")?;
            self.entries.push(Entry {
                block: self.blocks.len() as u32,
                start: start as u32,
                length: length as u32,
                samples: samples as u32,
            });
        }
        reader.expect_end("end of a block of timestamp columns")?;
        self.blocks.push(block);
        Ok(())
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of timestamps in column `index`.
    pub fn count(&self, index: u32) -> Option<usize> {
        self.entries.get(index as usize).map(|entry| entry.samples as usize)
    }

    /// Appends the timestamps of column `index` to `out`: strictly ascending ms.
    ///
    /// # Errors
    /// No such column, or one that no encoder wrote.
    pub fn decode(&self, index: u32, out: &mut Vec<i64>) -> Result<(), CodecError> {
        let missing = CodecError::Corrupted("reference to a timestamp column");
        let entry = self.entries.get(index as usize).ok_or(missing)?;
        let start = entry.start as usize;
        let body = &self.blocks[entry.block as usize][start..start + entry.length as usize];
        timestamps::decode(body, entry.samples as usize, out)
    }

    /// Bytes of memory behind this, for cache accounting.
    pub fn memory_bytes(&self) -> usize {
        self.blocks.iter().map(Bytes::len).sum::<usize>() + self.entries.len() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests;
