//! The directory of a pack: who is in it and where, as five columns of integers.

use super::CHUNKS_PER_PACK_MAX;
use crate::storage::chunk::body::Parts;
use crate::storage::chunk::bytes::{ByteReader, put_varint};
use crate::storage::chunk::{CodecError, SAMPLES_PER_CHUNK_MAX, ints};

/// The directory in the form it is written.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// Ascending strictly.
    pub series_ids: Vec<i64>,
    /// 0 for none, else index + 1.
    pub columns: Vec<i64>,
    /// Number of floats of each chunk.
    pub float_counts: Vec<i64>,
    /// What each chunk holds besides.
    pub parts: Vec<i64>,
    /// Bytes of each chunk.
    pub lengths: Vec<i64>,
}

/// One chunk in the form it is looked up.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Whose samples.
    pub series_id: u32,
    /// 0 for none, else index + 1.
    pub column: u32,
    /// Number of floats.
    pub float_count: u32,
    /// Where the chunk begins behind the directory, in bytes.
    pub start: u32,
    /// Bytes of the chunk.
    pub length: u32,
    /// What it holds besides floats.
    pub parts: Parts,
}

impl Directory {
    /// Appends one chunk.
    pub fn push(&mut self, id: u32, column: Option<u32>, floats: usize, parts: Parts, len: usize) {
        self.series_ids.push(i64::from(id));
        self.columns.push(column.map_or(0, |c| i64::from(c) + 1));
        self.float_counts.push(floats as i64);
        self.parts.push(i64::from(parts.number()));
        self.lengths.push(len as i64);
    }

    /// Takes the last chunk away.
    pub fn pop(&mut self) {
        for column in self.columns_mut() {
            column.pop();
        }
    }

    /// Empties it and keeps the memory.
    pub fn clear(&mut self) {
        for column in self.columns_mut() {
            column.clear();
        }
    }

    fn columns_mut(&mut self) -> [&mut Vec<i64>; 5] {
        [
            &mut self.series_ids,
            &mut self.columns,
            &mut self.float_counts,
            &mut self.parts,
            &mut self.lengths,
        ]
    }

    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.series_ids.len()
    }

    /// Appends the directory to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len() as u64);
        for column in
            [&self.series_ids, &self.columns, &self.float_counts, &self.parts, &self.lengths]
        {
            ints::encode(column, out);
        }
    }

    /// Reads a directory and checks it: ids ascend, numbers are in range.
    ///
    /// # Errors
    /// Bytes that [`Directory::write`] does not write.
    pub fn read(reader: &mut ByteReader<'_>) -> Result<Vec<Entry>, CodecError> {
        let count = reader.count(CHUNKS_PER_PACK_MAX, "chunks in a pack")?;
        let mut directory = Directory::default();
        for column in directory.columns_mut() {
            ints::decode(reader, count, column)?;
        }
        directory.entries()
    }

    fn entries(&self) -> Result<Vec<Entry>, CodecError> {
        let mut start = 0u32;
        let mut entries = Vec::with_capacity(self.len());
        for i in 0..self.len() {
            let length = number(self.lengths[i], "length of a chunk")?;
            let float_count = number(self.float_counts[i], "float count of a chunk")?;
            let floats = u64::from(float_count);
            CodecError::check_limit("samples in a chunk", floats, SAMPLES_PER_CHUNK_MAX)?;
            entries.push(Entry {
                series_id: number(self.series_ids[i], "series id of a chunk")?,
                column: number(self.columns[i], "timestamp column of a chunk")?,
                float_count,
                start,
                length,
                parts: Parts::from_number(self.parts[i])?,
            });
            let end = start.checked_add(length);
            start = end.ok_or(CodecError::Corrupted("length of a chunk"))?;
        }
        match entries.is_sorted_by(|a, b| a.series_id < b.series_id) {
            true => Ok(entries),
            false => Err(CodecError::Corrupted("order of series ids in a pack")),
        }
    }
}

fn number(stored: i64, what: &'static str) -> Result<u32, CodecError> {
    u32::try_from(stored).map_err(|_| CodecError::Corrupted(what))
}
