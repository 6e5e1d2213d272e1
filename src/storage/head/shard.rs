//! A shard: a part of the series, their samples, and how samples get there.
//!
//! In: samples of a batch with the numbers of their series. Out: chains of blocks, one a series and
//! window. Never here: locks, the lookup of series by labels.

use super::blocks::Blocks;
use super::series::{HeadSeries, NO_SERIES, START_TIMESTAMP_BYTES};
use super::slots::Slots;
use crate::model::Sample;
use crate::storage::window::Window;

/// A part of the series, behind one lock.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// The series, by slot.
    pub(super) series: Slots,
    /// The samples of their windows.
    pub(super) windows: Vec<WindowBlocks>,
}

/// The memory of one window's samples; a frozen one has its own, dropped when it is flushed.
#[derive(Debug)]
pub(super) struct WindowBlocks {
    pub(super) window: Window,
    pub(super) frozen: bool,
    pub(super) blocks: Blocks,
}

/// Shards of the series; a power of two. So many that what appending to the series of one changes
/// fits a core's cache at a hundred thousand series: recovery fills shard by shard.
pub(super) const SHARDS: usize = 64;
/// Series with neighbouring numbers that share a shard: those of one sender mostly, whose samples
/// lie side by side in its requests.
pub(super) const NEIGHBOURS: usize = 64;

impl Shard {
    #[inline]
    pub(super) fn get(&self, slot: usize) -> Option<&HeadSeries> {
        self.series.get(slot)
    }

    /// Where the samples of a window are; `None` when it has none.
    pub(super) fn blocks(&self, window: Window, frozen: bool) -> Option<&Blocks> {
        let mut windows = self.windows.iter();
        windows.find(|w| w.window == window && w.frozen == frozen).map(|w| &w.blocks)
    }
}

/// The blocks for new samples of a window.
#[inline]
fn growing(windows: &mut Vec<WindowBlocks>, window: Window) -> &mut Blocks {
    let position = windows.iter().rposition(|w| w.window == window && !w.frozen);
    let position = position.unwrap_or_else(|| {
        windows.push(WindowBlocks { window, frozen: false, blocks: Blocks::default() });
        windows.len() - 1
    });
    &mut windows[position].blocks
}

/// What appending samples came to.
pub(super) struct Appended {
    /// Memory it took, in bytes.
    pub(super) grown: i64,
    /// Newest timestamp (ms).
    pub(super) newest: i64,
    /// Samples that replaced another one.
    pub(super) replaced: u64,
}

impl Default for Appended {
    fn default() -> Appended {
        Appended { grown: 0, newest: i64::MIN, replaced: 0 }
    }
}

impl Appended {
    /// Appends the samples at `indexes`, whose series are all of this shard.
    pub(super) fn append_all(
        &mut self,
        shard: &mut Shard,
        indexes: &[u32],
        series: &[u32],
        samples: &[Sample],
    ) {
        for i in indexes {
            let i = *i as usize;
            self.append(shard, slot_of(series[i]), samples[i]);
        }
    }

    #[inline]
    fn append(&mut self, shard: &mut Shard, slot: usize, sample: Sample) {
        let Some(live) = shard.series.get_mut(slot) else { return };
        let Sample { timestamp, value, start_timestamp } = sample;
        let window = Window::of(timestamp.0);
        let data = live.window_mut(window);
        let blocks = growing(&mut shard.windows, window);
        let before = blocks.heap_bytes();
        self.replaced += u64::from(data.floats.push(blocks, timestamp.0, value));
        self.grown += (blocks.heap_bytes() - before) as i64;
        self.newest = self.newest.max(timestamp.0);
        if start_timestamp != 0 {
            let rare = data.rare.get_or_insert_default();
            rare.start_timestamps.push((timestamp.0, start_timestamp));
            self.grown += START_TIMESTAMP_BYTES as i64;
        }
    }
}

/// The indexes of a batch's entries, grouped by shard; those of [`NO_SERIES`] are left out.
pub(super) struct ByShard {
    starts: [u32; SHARDS + 1],
    order: Vec<u32>,
}

impl ByShard {
    pub(super) fn of(series: &[u32]) -> ByShard {
        let mut starts = [0u32; SHARDS + 1];
        for number in series.iter().filter(|number| **number != NO_SERIES) {
            starts[shard_of(*number) + 1] += 1;
        }
        for shard in 0..SHARDS {
            starts[shard + 1] += starts[shard];
        }
        let mut order = vec![0u32; starts[SHARDS] as usize];
        let mut next = starts;
        for (i, number) in series.iter().enumerate().filter(|(_, n)| **n != NO_SERIES) {
            let position = &mut next[shard_of(*number)];
            order[*position as usize] = i as u32;
            *position += 1;
        }
        ByShard { starts, order }
    }

    pub(super) fn indexes(&self, shard: usize) -> &[u32] {
        &self.order[self.starts[shard] as usize..self.starts[shard + 1] as usize]
    }
}

pub(super) const fn shard_of(series: u32) -> usize {
    series as usize / NEIGHBOURS % SHARDS
}

pub(super) const fn slot_of(series: u32) -> usize {
    series as usize / (NEIGHBOURS * SHARDS) * NEIGHBOURS + series as usize % NEIGHBOURS
}

pub(super) const fn number_of(shard: usize, slot: usize) -> u32 {
    ((slot / NEIGHBOURS * SHARDS + shard) * NEIGHBOURS + slot % NEIGHBOURS) as u32
}
