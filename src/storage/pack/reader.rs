//! Reading packs.

use bytes::Bytes;
use roaring::RoaringBitmap;

use super::directory::{Directory, Entry};
use super::writer::ZERO_CHUNK;
use super::{PACK_BLOCK, PACK_BYTES_MAX};
use crate::model::SeriesData;
use crate::storage::chunk::body::{self, Parts};
use crate::storage::chunk::bytes::ByteReader;
use crate::storage::chunk::{CodecError, sealed};

/// An opened pack: checksum and directory were checked. Meant to be shared in an `Arc`.
#[derive(Clone, Debug)]
pub struct Pack {
    bytes: Bytes,
    /// Where the chunks begin in `bytes`.
    bodies: usize,
    /// The first and the last series id; where most look-ups need not look at the entries.
    ids: (u32, u32),
    entries: Vec<Entry>,
}

/// One chunk of a pack.
#[derive(Clone, Copy, Debug)]
pub struct ChunkRef<'a> {
    /// Whose samples these are.
    pub series_id: u32,
    /// Which timestamp column of the window belongs to the floats; none without floats.
    pub column: Option<u32>,
    /// Number of float samples; as many as the column has timestamps.
    pub float_count: usize,
    /// Whether there are histograms too; they know their own timestamps.
    pub has_histograms: bool,
    parts: Parts,
    body: &'a [u8],
}

impl Pack {
    /// Checks the checksum and the directory of a stored pack.
    ///
    /// # Errors
    /// Any damage, or a format version this program does not know.
    pub fn open(bytes: Bytes) -> Result<Pack, CodecError> {
        CodecError::check_limit("bytes in a pack", bytes.len() as u64, PACK_BYTES_MAX)?;
        let content = sealed::open(&bytes, PACK_BLOCK)?;
        let mut reader = ByteReader::new(content);
        let entries = Directory::read(&mut reader)?;
        let bodies_len = entries.last().map_or(0, |e| e.start as usize + e.length as usize);
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Err(CodecError::Corrupted("directory of a pack"));
        };
        if reader.rest().len() != bodies_len {
            return Err(CodecError::Corrupted("directory of a pack"));
        }
        let ids = (first.series_id, last.series_id);
        let bodies = sealed::HEADER_BYTES + content.len() - bodies_len;
        Ok(Pack { bytes, bodies, ids, entries })
    }

    /// Number of chunks; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a pack is never empty")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The ids of the series in this pack, ascending.
    pub fn series_ids(&self) -> impl ExactSizeIterator<Item = u32> {
        self.entries.iter().map(|e| e.series_id)
    }

    /// Adds the ids of the series in this pack.
    pub fn add_ids(&self, ids: &mut RoaringBitmap) {
        let (first, last) = self.ids;
        if (last - first) as usize + 1 == self.len() {
            ids.insert_range(first..=last);
        } else {
            ids.extend(self.series_ids());
        }
    }

    /// The chunk of a series, if it is here.
    pub fn find(&self, series_id: u32) -> Option<ChunkRef<'_>> {
        // With an entry for every id its place is known; with gaps it is by so many before that.
        let (first, last) = self.ids;
        if !(first..=last).contains(&series_id) {
            return None;
        }
        let gaps = (last - first) as usize + 1 - self.len();
        let latest = ((series_id - first) as usize).min(self.len() - 1);
        let earliest = latest.saturating_sub(gaps);
        let near = &self.entries[earliest..=latest];
        let index = near.binary_search_by_key(&series_id, |e| e.series_id).ok()?;
        Some(self.chunk(&near[index]))
    }

    /// All chunks in the order of their series ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ChunkRef<'_>> {
        self.entries.iter().map(|entry| self.chunk(entry))
    }

    fn chunk(&self, entry: &Entry) -> ChunkRef<'_> {
        let start = self.bodies + entry.start as usize;
        let stored = &self.bytes[start..start + entry.length as usize];
        let zero = stored.is_empty() && entry.parts == Parts::FLOATS && entry.float_count > 0;
        ChunkRef {
            series_id: entry.series_id,
            column: entry.column.checked_sub(1),
            float_count: entry.float_count as usize,
            has_histograms: entry.parts.has_histograms(),
            parts: entry.parts,
            body: if zero { &ZERO_CHUNK } else { stored },
        }
    }

    /// Bytes of memory behind this, for cache accounting.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }
}

impl ChunkRef<'_> {
    /// Appends the samples to `out`. `column_timestamps` are those of [`ChunkRef::column`] (none
    /// without floats); they are copied.
    ///
    /// # Errors
    /// A column of another length, or bytes that no encoder wrote; `out` is then as before.
    pub fn decode_into(
        &self,
        column_timestamps: &[i64],
        out: &mut SeriesData,
    ) -> Result<(), CodecError> {
        if column_timestamps.len() != self.float_count {
            return Err(CodecError::Corrupted("length of a chunk's timestamp column"));
        }
        body::decode(self.body, self.parts, column_timestamps, out)
    }

    /// The timestamps of the histograms: strictly ascending ms; none without histograms.
    ///
    /// # Errors
    /// Bytes that no encoder wrote.
    pub fn histogram_times(&self) -> Result<Vec<i64>, CodecError> {
        body::histogram_times(self.body, self.parts, self.float_count)
    }

    /// Bytes the chunk takes in its pack, directory excluded.
    pub fn encoded_len(&self) -> usize {
        self.body.len()
    }
}
