//! The series of a shard, by slot.
//!
//! Slots lie in blocks that never move: growing copies nothing and frees nothing, so that the memory
//! of many new series is taken once. Slots are most of a quiet head's memory.

use super::series::HeadSeries;
use super::shard::NEIGHBOURS;

/// Slots of a block: those of neighbouring series.
const BLOCK_SLOTS: usize = NEIGHBOURS;

/// Places for series; empty ones among them.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Each has room for [`BLOCK_SLOTS`]; all but the last are full.
    blocks: Vec<Vec<Option<HeadSeries>>>,
}

impl Slots {
    /// The series in a slot.
    #[inline]
    pub(super) fn get(&self, slot: usize) -> Option<&HeadSeries> {
        self.blocks.get(slot / BLOCK_SLOTS)?.get(slot % BLOCK_SLOTS)?.as_ref()
    }

    /// The series in a slot.
    #[inline]
    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut HeadSeries> {
        self.blocks.get_mut(slot / BLOCK_SLOTS)?.get_mut(slot % BLOCK_SLOTS)?.as_mut()
    }

    /// Puts a series into a slot; slots before it that are new stay empty.
    pub(super) fn put(&mut self, slot: usize, series: HeadSeries) {
        let (block, within) = (slot / BLOCK_SLOTS, slot % BLOCK_SLOTS);
        while self.blocks.len() <= block {
            if let Some(last) = self.blocks.last_mut() {
                last.resize_with(BLOCK_SLOTS, || None);
            }
            self.blocks.push(Vec::with_capacity(BLOCK_SLOTS));
        }
        let block = &mut self.blocks[block];
        if block.len() <= within {
            block.resize_with(within + 1, || None);
        }
        block[within] = Some(series);
    }

    /// All slots, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Option<HeadSeries>> {
        self.blocks.iter().flatten()
    }

    /// All slots, in order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Option<HeadSeries>> {
        self.blocks.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    #[test]
    fn slots_are_found_again_across_blocks() {
        let mut slots = Slots::default();
        let far = 2 * BLOCK_SLOTS + 3;
        for slot in [1, BLOCK_SLOTS - 1, far] {
            let labels = Labels::from_pairs([("slot", &*slot.to_string())]).expect("valid");
            slots.put(slot, HeadSeries::new(labels));
        }
        let name = |series: &HeadSeries| series.labels.value("slot").to_owned();
        assert_eq!(slots.get(far).map(name).as_deref(), Some("131"));
        assert!(slots.get(0).is_none() && slots.get(BLOCK_SLOTS).is_none());
        assert!(slots.get(far + 1).is_none() && slots.get_mut(usize::MAX).is_none());
        let full: Vec<usize> =
            slots.iter().enumerate().filter(|(_, slot)| slot.is_some()).map(|(at, _)| at).collect();
        assert_eq!(full, [1, BLOCK_SLOTS - 1, far]);
        slots.iter_mut().for_each(|slot| *slot = None);
        assert!(slots.get(1).is_none());
        slots.put(0, HeadSeries::new(Labels::empty()));
        assert_eq!(slots.iter().count(), far + 1);
        assert!(slots.get_mut(0).is_some());
    }
}
