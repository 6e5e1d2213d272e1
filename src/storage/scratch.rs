//! What a thread keeps at hand while it reads one series of a selection after another.
//!
//! In: the stored windows of the selection and the cache all queries share. Out: packs and decoded
//! timestamp columns, mostly without asking that cache: neighbours of a sorted selection mostly lie
//! in one pack, and the series of one target share their timestamps. Never here: which series are
//! wanted; locks.

use std::sync::Arc;

use super::cache::ReadCache;
use super::error::StorageError;
use super::pack::Pack;
use super::partition::tables::WindowInfo;
use super::partition::{Partition, View};
use crate::model::SeriesData;

/// Most places for decoded columns.
const KEPT_COLUMNS_MAX: usize = 8192;
/// Most targets of a selection that have places of their own in each window.
const KEPT_TARGETS_MAX: usize = 512;
/// Memory of the columns a thread keeps, in bytes; usually the cache has them anyway.
const KEPT_BYTES: usize = 8 << 20;

/// One flush of one window that overlaps the time of a selection.
pub(super) struct StoredWindow {
    partition: Arc<Partition>,
    view: Arc<View>,
    /// Where it is in the view.
    position: usize,
}

impl StoredWindow {
    /// The windows of `view` that overlap `start..=end` (ms), ascending.
    pub(super) fn overlapping(
        partition: &Arc<Partition>,
        view: &Arc<View>,
        (start, end): (i64, i64),
    ) -> Vec<StoredWindow> {
        let positions = view.overlapping_positions(start, end);
        let window = |position| StoredWindow {
            partition: Arc::clone(partition),
            view: Arc::clone(view),
            position,
        };
        positions.map(window).collect()
    }

    /// What was flushed.
    pub(super) fn info(&self) -> &WindowInfo {
        &self.view.windows[self.position]
    }

    /// Where it is.
    pub(super) fn partition(&self) -> &Partition {
        &self.partition
    }
}

/// See the module. For the windows of one selection only.
pub(super) struct Scratch {
    /// By number of the window.
    windows: Vec<OpenWindow>,
    /// Decoded columns; each has one place where it may be. The length is a power of two.
    kept: Vec<KeptColumn>,
    /// Memory of those kept since there were none.
    kept_bytes: usize,
    /// For the pieces that cannot be decoded where they belong.
    pub(super) piece: SeriesData,
}

/// What was last used of a window.
#[derive(Default)]
struct OpenWindow {
    pack: Option<(u32, Arc<Pack>)>,
}

#[derive(Clone, Default)]
struct KeptColumn {
    /// Number of the window and of the column.
    of: (usize, u32),
    /// `None` while there is nothing here.
    timestamps: Option<Arc<[i64]>>,
}

impl Scratch {
    /// With places for what a selection of so many windows and series may meet.
    pub(super) fn new(windows: usize, series: usize) -> Scratch {
        let columns = windows.saturating_mul(series.min(KEPT_TARGETS_MAX));
        let places = columns.clamp(1, KEPT_COLUMNS_MAX).next_power_of_two();
        Scratch {
            windows: Vec::new(),
            kept: vec![KeptColumn::default(); places],
            kept_bytes: 0,
            piece: SeriesData::default(),
        }
    }

    fn open_window(&mut self, number: usize) -> &mut OpenWindow {
        if self.windows.len() <= number {
            self.windows.resize_with(number + 1, OpenWindow::default);
        }
        &mut self.windows[number]
    }

    /// The pack of window `number` that starts with series id `first`.
    ///
    /// # Errors
    /// As [`ReadCache::pack`].
    pub(super) fn pack(
        &mut self,
        cache: &ReadCache,
        (number, window): (usize, &StoredWindow),
        first: u32,
    ) -> Result<Arc<Pack>, StorageError> {
        let open = self.open_window(number);
        match &open.pack {
            Some((known, pack)) if *known == first => Ok(Arc::clone(pack)),
            _ => {
                let pack = cache.pack(window.partition(), window.info(), first)?;
                open.pack = Some((first, Arc::clone(&pack)));
                Ok(pack)
            }
        }
    }

    /// The timestamps of column `column` of window `number`; none without a column.
    ///
    /// # Errors
    /// As [`ReadCache::timestamps`].
    pub(super) fn timestamps(
        &mut self,
        cache: &ReadCache,
        (number, window): (usize, &StoredWindow),
        column: Option<u32>,
    ) -> Result<&[i64], StorageError> {
        let Some(column) = column else { return Ok(&[]) };
        if self.kept_bytes > KEPT_BYTES {
            self.kept.fill(KeptColumn::default());
            self.kept_bytes = 0;
        }
        // Odd, so that the columns of different windows do not meet in the same places.
        let place = (column as usize).wrapping_add(number.wrapping_mul(389)) % self.kept.len();
        let kept = &mut self.kept[place];
        if kept.timestamps.is_none() || kept.of != (number, column) {
            let timestamps = cache.timestamps(window.partition(), window.info(), column)?;
            self.kept_bytes += timestamps.len() * size_of::<i64>();
            *kept = KeptColumn { of: (number, column), timestamps: Some(timestamps) };
        }
        Ok(kept.timestamps.as_deref().unwrap_or_default())
    }
}
