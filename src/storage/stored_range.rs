//! Which series of a partition have samples in a time range.
//!
//! In: series ids and a range. Out: those of the ids that have samples. Of a window that the range
//! covers the directories of the packs tell; of one at its edge the timestamps of each chunk do, as
//! far as they are not those of another one. Never here: values, label sets.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use super::cache::ReadCache;
use super::chunk::CodecError;
use super::error::StorageError;
use super::pack::ChunkRef;
use super::partition::tables::WindowInfo;
use super::partition::{Partition, View};
use crate::model::Interrupt;

/// A time range, asked about in one partition.
pub(super) struct StoredRange<'a> {
    pub(super) partition: &'a Partition,
    pub(super) cache: &'a ReadCache,
    /// First timestamp (ms).
    pub(super) start: i64,
    /// Last timestamp (ms).
    pub(super) end: i64,
    /// Asked once a pack.
    pub(super) interrupt: &'a Interrupt,
}

/// Of a pack in the range, as many series as this part of all are looked up one by one; of more, all
/// ids are taken.
const LOOKUPS_MAX_PART: u64 = 4;

/// Timestamp columns of a window that were looked at: whether they overlap the range.
type Overlaps = HashMap<u32, bool, foldhash::fast::RandomState>;

impl StoredRange<'_> {
    /// Those of `ids` with samples in the range. Windows are looked at, the newest first, until all
    /// were found; those the range covers come before those it does not.
    ///
    /// # Errors
    /// The partition cannot be read or is damaged, or the search is interrupted.
    pub(super) fn of(
        &self,
        view: &View,
        ids: RoaringBitmap,
    ) -> Result<RoaringBitmap, StorageError> {
        let day = self.partition.day();
        if self.start <= day.start() && day.last() <= self.end {
            return Ok(ids);
        }
        let windows = view.overlapping(self.start, self.end).iter().rev();
        let (covered, edges): (Vec<_>, Vec<_>) = windows.partition(|info| self.covers(info));
        let mut missing = ids.clone();
        for info in covered.into_iter().chain(edges) {
            if missing.is_empty() {
                break;
            }
            let found = self.of_window(info, &missing)?;
            missing -= found;
        }
        Ok(ids - missing)
    }

    /// Whether all samples of a window lie in the range.
    fn covers(&self, info: &WindowInfo) -> bool {
        self.start <= info.min_time && info.max_time <= self.end
    }

    /// Those of `wanted` with samples in the range in this window; others may be among them.
    fn of_window(
        &self,
        info: &WindowInfo,
        wanted: &RoaringBitmap,
    ) -> Result<RoaringBitmap, StorageError> {
        let mut found = RoaringBitmap::new();
        if info.max_time < self.start || info.min_time > self.end {
            return Ok(found);
        }
        let covered = self.covers(info);
        let mut columns = Overlaps::default();
        for (first, last) in &info.packs {
            let count = wanted.range_cardinality(*first..=*last);
            if count == 0 {
                continue;
            }
            self.interrupt.check()?;
            let pack = self.cache.pack(self.partition, info, *first)?;
            if covered && count >= pack.len() as u64 / LOOKUPS_MAX_PART {
                pack.add_ids(&mut found);
                continue;
            }
            for chunk in wanted.range(*first..=*last).filter_map(|id| pack.find(id)) {
                if covered || self.overlaps(info, &chunk, &mut columns)? {
                    found.insert(chunk.series_id);
                }
            }
        }
        Ok(found)
    }

    fn overlaps(
        &self,
        info: &WindowInfo,
        chunk: &ChunkRef<'_>,
        columns: &mut Overlaps,
    ) -> Result<bool, StorageError> {
        if let Some(column) = chunk.column {
            let overlaps = match columns.get(&column) {
                Some(known) => *known,
                None => {
                    let overlaps = self.column_overlaps(info, column)?;
                    columns.insert(column, overlaps);
                    overlaps
                }
            };
            if overlaps {
                return Ok(true);
            }
        }
        let times = chunk.histogram_times().map_err(|e| self.corrupted(e))?;
        Ok(self.overlaps_times(&times))
    }

    fn column_overlaps(&self, info: &WindowInfo, column: u32) -> Result<bool, StorageError> {
        let mut times = Vec::new();
        let columns = self.cache.columns(self.partition, info)?;
        columns.decode(column, &mut times).map_err(|e| self.corrupted(e))?;
        Ok(self.overlaps_times(&times))
    }

    /// Whether the time from the first to the last of these overlaps the range.
    fn overlaps_times(&self, times: &[i64]) -> bool {
        let (Some(first), Some(last)) = (times.first(), times.last()) else { return false };
        *first <= self.end && *last >= self.start
    }

    fn corrupted(&self, error: CodecError) -> StorageError {
        StorageError::corrupted(self.partition.path(), error)
    }
}
