//! The tables of a partition file and the rows that are not chunks, packs or columns.

use redb::TableDefinition;

use crate::storage::chunk::CodecError;
use crate::storage::window::Window;

/// Format version of partition files; raised when an older program could not read them.
pub const FORMAT_VERSION: u64 = 1;

/// Single numbers: `format`, `next_symbol`, `next_series`.
pub const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// First symbol number of a block -> the strings, each with its length.
pub const SYMBOLS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("symbols");
/// Series id / [`SERIES_PER_ROW`] -> the series of that row.
pub const SERIES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("series");
/// (label name, value) -> roaring bitmap of series ids; ("", "") -> all series.
pub const POSTINGS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("postings");
/// Metric name -> (next free id, end, size) of its newest extent.
pub const EXTENTS: TableDefinition<'_, &str, (u32, u32, u32)> = TableDefinition::new("extents");
/// (window, generation) -> [`WindowInfo`].
pub const WINDOWS: TableDefinition<'_, (i64, u32), &[u8]> = TableDefinition::new("windows");
/// (window, generation, block) -> timestamp columns.
pub const COLUMNS: TableDefinition<'_, (i64, u32, u32), &[u8]> = TableDefinition::new("columns");
/// (window, generation, first series id) -> pack.
pub const PACKS: TableDefinition<'_, (i64, u32, u32), &[u8]> = TableDefinition::new("packs");
/// (window, generation, series id) -> exemplars.
pub const EXEMPLARS: TableDefinition<'_, (i64, u32, u32), &[u8]> =
    TableDefinition::new("exemplars");

/// Series in one row of [`SERIES`].
pub const SERIES_PER_ROW: u32 = 64;
/// Size of a metric's first extent of series ids; each further one is twice as large.
pub const EXTENT_SIZE_MIN: u32 = 16;
/// Largest size an extent grows to by doubling.
pub const EXTENT_SIZE_MAX: u32 = 4096;

/// What one flush wrote of one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowInfo {
    /// Which window.
    pub window: Window,
    /// Counts the flushes of the window from 0; the higher one wins where both have a sample.
    pub generation: u32,
    /// Everything journaled for the window up to this journal file is in it or an earlier one.
    pub journal_sequence: u64,
    /// Number of samples of either kind.
    pub samples: u64,
    /// First timestamp (ms).
    pub min_time: i64,
    /// Last timestamp (ms).
    pub max_time: i64,
    /// Number of blocks of timestamp columns.
    pub column_blocks: u32,
    /// Whether there are exemplars.
    pub has_exemplars: bool,
    /// (first, last) series id of each pack, ascending.
    pub packs: Vec<(u32, u32)>,
}

impl WindowInfo {
    /// The row's bytes: fixed numbers, then the packs.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(41 + 8 * self.packs.len());
        out.extend_from_slice(&self.journal_sequence.to_le_bytes());
        out.extend_from_slice(&self.samples.to_le_bytes());
        out.extend_from_slice(&self.min_time.to_le_bytes());
        out.extend_from_slice(&self.max_time.to_le_bytes());
        out.extend_from_slice(&self.column_blocks.to_le_bytes());
        out.push(u8::from(self.has_exemplars));
        for (first, last) in &self.packs {
            out.extend_from_slice(&first.to_le_bytes());
            out.extend_from_slice(&last.to_le_bytes());
        }
        out
    }

    /// The row of (window, generation).
    ///
    /// # Errors
    /// The bytes are no such row.
    pub fn decode(window: i64, generation: u32, row: &[u8]) -> Result<WindowInfo, CodecError> {
        let short = || CodecError::Corrupted("window row");
        let (fixed, packs) = row.split_at_checked(37).ok_or_else(short)?;
        if packs.len() % 8 != 0 {
            return Err(short());
        }
        let number = |at: usize| {
            u64::from_le_bytes(fixed[at..at + 8].try_into().expect("BUG: eight bytes were cut"))
        };
        let half =
            |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("BUG: four bytes were cut"));
        Ok(WindowInfo {
            window: Window::from_number(window),
            generation,
            journal_sequence: number(0),
            samples: number(8),
            min_time: number(16) as i64,
            max_time: number(24) as i64,
            column_blocks: half(&fixed[32..36]),
            has_exemplars: fixed[36] != 0,
            packs: packs.chunks_exact(8).map(|p| (half(&p[..4]), half(&p[4..]))).collect(),
        })
    }

    /// Positions of the packs that may hold series `id`; at most one.
    pub fn pack_of(&self, id: u32) -> Option<u32> {
        let after = self.packs.partition_point(|(first, _)| *first <= id);
        let (first, last) = *self.packs.get(after.checked_sub(1)?)?;
        (id <= last).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_rows_come_back_and_find_packs() {
        let info = WindowInfo {
            window: Window::from_number(5),
            generation: 2,
            journal_sequence: 9,
            samples: 1000,
            min_time: -4,
            max_time: 77,
            column_blocks: 1,
            has_exemplars: true,
            packs: vec![(0, 10), (16, 40), (64, 64)],
        };
        let row = info.encode();
        assert_eq!(WindowInfo::decode(5, 2, &row).expect("valid"), info);
        assert!(WindowInfo::decode(5, 2, &row[..row.len() - 1]).is_err());
        assert_eq!(
            [0, 10, 11, 16, 64, 65].map(|id| info.pack_of(id)),
            [Some(0), Some(0), None, Some(16), Some(64), None]
        );
    }
}
