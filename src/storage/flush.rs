//! The flush: whole windows go from the head to their partitions.
//!
//! In: which windows. Out: packs on disk, journal files removed. A query sees every sample exactly
//! once throughout: windows stay in the head, frozen, until the commit is published; dropping them and
//! publishing happen while no query starts.
//!
//! When a partition cannot be written its windows stay frozen, readable, and the next call tries
//! again; the journal keeps them safe.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::error::StorageError;
use super::store::Inner;
use super::window::{Day, WindowCut};

/// A flush that has begun.
#[derive(Clone, Copy, Debug)]
pub struct FlushState {
    /// The windows that were frozen.
    cut: WindowCut,
    /// Journal files up to this one hold nothing else of these windows.
    boundary: u64,
}

impl Inner {
    /// Writes the windows of the cut to their partitions and removes the journal files that are
    /// no longer needed. Only one flush runs at a time.
    ///
    /// # Errors
    /// A partition or the journal cannot be written; nothing is lost, and the next call tries again.
    pub fn flush(&self, cut: WindowCut) -> Result<(), StorageError> {
        let mut state = self.flush_state.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = match *state {
            Some(begun) => begun,
            None => *state.insert(self.begin_flush(cut)?),
        };
        for day in self.head.frozen_days() {
            self.flush_day(day, begun.boundary)?;
        }
        *state = None;
        self.metrics.flushes.fetch_add(1, Ordering::Relaxed);
        self.remove_journals(begun)
    }

    /// The windows of a flush that began and failed.
    pub fn unfinished_flush(&self) -> Option<WindowCut> {
        let state = self.flush_state.lock().unwrap_or_else(PoisonError::into_inner);
        state.map(|begun| begun.cut)
    }

    /// Bytes in the journal's closed files.
    pub fn closed_bytes(&self) -> u64 {
        let files = self.closed_files.lock().unwrap_or_else(PoisonError::into_inner);
        files.iter().map(|file| file.bytes).sum()
    }

    /// Rotates the journal and freezes the windows in the head, with appends and queries kept out,
    /// so that the old journal files hold exactly what is frozen or stays in the head.
    fn begin_flush(&self, cut: WindowCut) -> Result<FlushState, StorageError> {
        let (boundary, closed) = {
            let mut epoch = self.epoch.write().unwrap_or_else(PoisonError::into_inner);
            let _no_queries = self.visibility.write().unwrap_or_else(PoisonError::into_inner);
            let closed = self.journal.rotate(*epoch + 1)?;
            let boundary = *epoch;
            *epoch += 1;
            self.head.freeze(cut);
            self.open_windows().retain(|window, _| !cut.contains(*window));
            (boundary, closed)
        };
        // without an answer the journal is poisoned and its file stays where it is, which is safe
        let mut files = self.closed_files.lock().unwrap_or_else(PoisonError::into_inner);
        files.extend(closed.recv().ok());
        Ok(FlushState { cut, boundary })
    }

    fn flush_day(&self, day: Day, boundary: u64) -> Result<(), StorageError> {
        let partition = self.partitions.open_or_create(day)?;
        let written = partition.write(&self.head, &self.head.frozen(day), boundary)?;
        let samples: u64 = written.windows.iter().map(|info| info.samples).sum();
        self.metrics.flushed_samples.fetch_add(samples, Ordering::Relaxed);
        self.head.set_partition_ids(day.0, &written.ids);
        {
            let _no_queries = self.visibility.write().unwrap_or_else(PoisonError::into_inner);
            partition.publish(written.windows);
            self.head.drop_frozen(day);
        }
        partition.trim()
    }

    /// Removes the journal files all of whose windows are in partitions now.
    fn remove_journals(&self, flushed: FlushState) -> Result<(), StorageError> {
        let mut files = self.closed_files.lock().unwrap_or_else(PoisonError::into_inner);
        for file in files.iter_mut().filter(|file| file.sequence <= flushed.boundary) {
            file.windows.retain(|window| !flushed.cut.contains(*window));
        }
        let done: Vec<u64> =
            files.iter().filter(|file| file.windows.is_empty()).map(|file| file.sequence).collect();
        for sequence in &done {
            self.dir.remove(&self.dir.journal_path(*sequence))?;
            files.retain(|file| file.sequence != *sequence);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
