//! A shard: a part of the series, their samples, and how samples get there.
//!
//! In: samples of a batch with the numbers of their series. Out: chains of blocks, one a series and
//! window. Never here: locks, the lookup of series by labels.

use std::ops::Range;

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

    /// Memory held by the samples of all windows, in bytes.
    fn heap_bytes(&self) -> usize {
        self.windows.iter().map(|window| window.blocks.heap_bytes()).sum()
    }

    /// Where the samples of a window are; `None` when it has none.
    pub(super) fn blocks(&self, window: Window, frozen: bool) -> Option<&Blocks> {
        let mut windows = self.windows.iter();
        windows.find(|w| w.window == window && w.frozen == frozen).map(|w| &w.blocks)
    }
}

/// Where the blocks for new samples of a window are.
fn growing(windows: &mut Vec<WindowBlocks>, window: Window) -> usize {
    let position = windows.iter().rposition(|w| w.window == window && !w.frozen);
    position.unwrap_or_else(|| {
        windows.push(WindowBlocks { window, frozen: false, blocks: Blocks::default() });
        windows.len() - 1
    })
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
    /// Appends the samples of the runs, whose series are all of this shard.
    pub(super) fn append_all(
        &mut self,
        shard: &mut Shard,
        runs: &[Run],
        series: &[u32],
        samples: &[Sample],
    ) {
        let before = shard.heap_bytes();
        for run in runs {
            self.append(shard, &series[run.indexes()], &samples[run.indexes()]);
        }
        self.grown += shard.heap_bytes() as i64 - before as i64;
    }

    fn append(&mut self, shard: &mut Shard, series: &[u32], samples: &[Sample]) {
        let (mut window, mut position) = (Window::default(), 0); // no timestamp falls into it
        for (number, sample) in series.iter().zip(samples) {
            let Some(live) = shard.series.get_mut(slot_of(*number)) else { continue };
            let Sample { timestamp, value, start_timestamp } = *sample;
            if Window::of(timestamp.0) != window {
                window = Window::of(timestamp.0);
                position = growing(&mut shard.windows, window);
            }
            let data = live.window_mut(window);
            let blocks = &mut shard.windows[position].blocks;
            self.replaced += u64::from(data.floats.push(blocks, timestamp.0, value));
            self.newest = self.newest.max(timestamp.0);
            if start_timestamp != 0 {
                let rare = data.rare.get_or_insert_default();
                rare.start_timestamps.push((timestamp.0, start_timestamp));
                self.grown += START_TIMESTAMP_BYTES as i64;
            }
        }
    }
}

/// Neighbouring entries of a batch whose series are of one shard: mostly those of one sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    start: u32,
    end: u32,
}

impl Run {
    /// Where in the batch they are.
    pub(super) fn indexes(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A batch's entries as runs, by shard; those of [`NO_SERIES`] are left out.
pub(super) struct ByShard {
    starts: [u32; SHARDS + 1],
    runs: Vec<Run>,
}

impl ByShard {
    pub(super) fn of(series: &[u32]) -> ByShard {
        let found = runs(series);
        let mut starts = [0u32; SHARDS + 1];
        for (shard, _) in &found {
            starts[shard + 1] += 1;
        }
        for shard in 0..SHARDS {
            starts[shard + 1] += starts[shard];
        }
        let mut runs = vec![Run { start: 0, end: 0 }; found.len()];
        let mut next = starts;
        for (shard, run) in found {
            runs[next[shard] as usize] = run;
            next[shard] += 1;
        }
        ByShard { starts, runs }
    }

    pub(super) fn runs(&self, shard: usize) -> &[Run] {
        &self.runs[self.starts[shard] as usize..self.starts[shard + 1] as usize]
    }
}

/// Runs in the order of the batch, with their shards.
fn runs(series: &[u32]) -> Vec<(usize, Run)> {
    let mut found: Vec<(usize, Run)> = Vec::with_capacity(series.len() / NEIGHBOURS + 1);
    let mut left = series;
    while let Some(first) = left.first() {
        let start = (series.len() - left.len()) as u32;
        let same = |number: &&u32| match *first {
            NO_SERIES => **number == NO_SERIES,
            first => **number != NO_SERIES && shard_of(**number) == shard_of(first),
        };
        let length = left.iter().take_while(same).count();
        if *first != NO_SERIES {
            found.push((shard_of(*first), Run { start, end: start + length as u32 }));
        }
        left = &left[length..];
    }
    found
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
