//! Filling packs.

use super::directory::Directory;
use super::{CHUNKS_PER_PACK_MAX, PACK_BLOCK, PACK_BYTES_MAX, PACK_TARGET_BYTES};
use crate::model::SeriesData;
use crate::storage::chunk::sealed::{self, HEADER_BYTES, TRAILER_BYTES};
use crate::storage::chunk::{CodecError, body};

/// A chunk of float values which is the constant +0: by far the most frequent one, stored as no
/// bytes at all.
pub(super) const ZERO_CHUNK: [u8; 1] = [0x80];
/// What one more chunk adds to a directory at most: a few bits in each of the five columns, or a
/// patch in each.
const ENTRY_BYTES_MAX: usize = 40;

/// A pack ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedPack {
    /// Id of its first series: the key it is found by.
    pub first_series_id: u32,
    /// Id of its last series.
    pub last_series_id: u32,
    /// What to store; at most [`PACK_TARGET_BYTES`] unless it holds a single chunk.
    pub bytes: Vec<u8>,
}

/// Turns series, in the order of their ids, into packs.
#[derive(Debug, Default)]
pub struct PackWriter {
    directory: Directory,
    bodies: Vec<u8>,
    /// The next chunk.
    scratch: Vec<u8>,
    /// No less than the size of the pack as it is.
    size_max: usize,
}

impl PackWriter {
    /// A writer that begins a new pack.
    pub fn new() -> PackWriter {
        PackWriter::default()
    }

    /// Adds the samples of one series. `column` is the index of `data.timestamps` among the
    /// columns of the window; none when there are no floats. Returns the pack before when this
    /// series did not fit it any more.
    ///
    /// # Errors
    /// [`CodecError::LimitExceeded`]: more samples, histogram buckets or bytes than one chunk may
    /// have. The series was not added, the writer is as before; its samples can be split over two
    /// generations of the window.
    ///
    /// # Panics
    /// When series ids do not ascend, or the columns of `data` differ in length: our bug.
    pub fn push(
        &mut self,
        series_id: u32,
        column: Option<u32>,
        data: &SeriesData,
    ) -> Result<Option<FinishedPack>, CodecError> {
        self.check_input(series_id, column, data);
        let mut chunk = std::mem::take(&mut self.scratch);
        chunk.clear();
        let result = body::encode(data, &mut chunk).and_then(|parts| {
            if parts == body::Parts::FLOATS && chunk == ZERO_CHUNK {
                chunk.clear();
            }
            let size = chunk.len() + HEADER_BYTES + TRAILER_BYTES + 2 * ENTRY_BYTES_MAX;
            CodecError::check_limit("bytes in a chunk", size as u64, PACK_BYTES_MAX)?;
            let floats = data.values.len();
            Ok(self.place(&chunk, |d, len| d.push(series_id, column, floats, parts, len)))
        });
        self.scratch = chunk;
        result
    }

    /// Asserts what callers promise.
    fn check_input(&self, series_id: u32, column: Option<u32>, data: &SeriesData) {
        let last = self.directory.series_ids.last();
        assert!(last.is_none_or(|l| *l < i64::from(series_id)), "BUG: series ids must ascend");
        let (floats, starts) = (data.values.len(), data.start_timestamps.len());
        assert_eq!(data.timestamps.len(), floats, "BUG: a timestamp for every value");
        assert!(starts == 0 || starts == floats, "BUG: all or no start timestamps");
        assert!(column.is_some() || floats == 0, "BUG: floats without a timestamp column");
    }

    /// Puts an encoded chunk into this pack or, when it has no room, into the next.
    fn place(
        &mut self,
        chunk: &[u8],
        enter: impl Fn(&mut Directory, usize),
    ) -> Option<FinishedPack> {
        enter(&mut self.directory, chunk.len());
        if self.directory.len() > 1 && !self.has_room(chunk.len()) {
            self.directory.pop();
            let full = self.take();
            enter(&mut self.directory, chunk.len());
            self.begin(chunk);
            return full;
        }
        if self.directory.len() == 1 {
            self.begin(chunk)
        } else {
            self.append(chunk)
        }
        None
    }

    fn begin(&mut self, chunk: &[u8]) {
        self.bodies.clear();
        self.size_max = HEADER_BYTES + TRAILER_BYTES + ENTRY_BYTES_MAX;
        self.append(chunk);
    }

    fn append(&mut self, chunk: &[u8]) {
        self.bodies.extend_from_slice(chunk);
        self.size_max += chunk.len() + ENTRY_BYTES_MAX;
    }

    /// Whether a chunk of this length, already in the directory, fits too. The size is bounded
    /// from above; only when the bound passes the target is the directory encoded to see how large
    /// it really is.
    fn has_room(&mut self, chunk_len: usize) -> bool {
        if self.directory.len() > CHUNKS_PER_PACK_MAX {
            return false;
        }
        if self.size_max + chunk_len + ENTRY_BYTES_MAX <= PACK_TARGET_BYTES {
            return true;
        }
        let mut encoded = Vec::new();
        self.directory.write(&mut encoded);
        let size = HEADER_BYTES + encoded.len() + self.bodies.len() + chunk_len + TRAILER_BYTES;
        if size > PACK_TARGET_BYTES {
            return false;
        }
        self.size_max = size.saturating_sub(chunk_len + ENTRY_BYTES_MAX);
        true
    }

    /// The last pack, unless nothing was pushed since the one before.
    pub fn finish(mut self) -> Option<FinishedPack> {
        self.take()
    }

    /// Closes the pack and leaves an empty one.
    fn take(&mut self) -> Option<FinishedPack> {
        let (first, last) =
            (*self.directory.series_ids.first()?, *self.directory.series_ids.last()?);
        let mut block = sealed::begin(PACK_BLOCK);
        self.directory.write(&mut block);
        block.extend_from_slice(&self.bodies);
        self.directory.clear();
        self.bodies.clear();
        Some(FinishedPack {
            first_series_id: first as u32,
            last_series_id: last as u32,
            bytes: sealed::seal(block),
        })
    }
}
