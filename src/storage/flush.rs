//! The flush: whole windows go from the head to their partitions.
//!
//! In: a cut-off. Out: packs on disk, journal files removed. A query sees every sample exactly once
//! throughout: windows taken out of the head stay readable in [`Flushing`] until the commit is
//! published, and taking and publishing happen while no query starts.
//!
//! When a partition cannot be written its windows stay in [`Flushing`], readable, and the next call
//! tries again; the journal keeps them safe.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::error::StorageError;
use super::head::TakenWindow;
use super::head::series::WindowData;
use super::store::Inner;
use super::window::{Day, Window};

/// Windows on their way to disk, each day's ascending by series number.
#[derive(Clone, Debug, Default)]
pub struct Flushing {
    days: BTreeMap<Day, Arc<Vec<TakenWindow>>>,
}

impl Flushing {
    /// Adds to `out` the windows of a series that overlap `start..=end` (ms).
    pub fn collect(&self, series: u32, start: i64, end: i64, out: &mut Vec<WindowData>) {
        for windows in self.days.values() {
            let from = windows.partition_point(|taken| taken.series < series);
            let same = windows[from..].iter().take_while(|taken| taken.series == series);
            let wanted = same.filter(|taken| taken.data.window.overlaps(start, end));
            out.extend(wanted.map(|taken| taken.data.clone()));
        }
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }
}

/// A flush that has begun.
#[derive(Clone, Copy, Debug)]
pub struct FlushState {
    /// Windows up to this one were taken.
    cutoff: Window,
    /// Journal files up to this one hold nothing else of these windows.
    boundary: u64,
}

impl Inner {
    /// Writes every window up to `cutoff` to its partition and removes the journal files that are
    /// no longer needed. Only one flush runs at a time.
    ///
    /// # Errors
    /// A partition or the journal cannot be written; nothing is lost, and the next call tries again.
    pub fn flush(&self, cutoff: Window) -> Result<(), StorageError> {
        let mut state = self.flush_state.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = match *state {
            Some(begun) => begun,
            None => *state.insert(self.begin_flush(cutoff)?),
        };
        let days: Vec<Day> = self.flushing().days.keys().copied().collect();
        for day in days {
            self.flush_day(day, begun.boundary)?;
        }
        *state = None;
        self.metrics.flushes.fetch_add(1, Ordering::Relaxed);
        self.remove_journals(begun)
    }

    /// What is on its way to disk.
    pub(super) fn flushing(&self) -> Arc<Flushing> {
        Arc::clone(&self.flushing.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Rotates the journal and takes the windows out of the head, with appends and queries kept
    /// out, so that the old journal files hold exactly what was taken or stays in the head.
    fn begin_flush(&self, cutoff: Window) -> Result<FlushState, StorageError> {
        let (boundary, closed) = {
            let mut epoch = self.epoch.write().unwrap_or_else(PoisonError::into_inner);
            let _no_queries = self.visibility.write().unwrap_or_else(PoisonError::into_inner);
            let closed = self.journal.rotate(*epoch + 1)?;
            let boundary = *epoch;
            *epoch += 1;
            let mut days: BTreeMap<Day, Vec<TakenWindow>> = BTreeMap::new();
            for taken in self.head.take_windows(|window| window <= cutoff) {
                days.entry(taken.data.window.day()).or_default().push(taken);
            }
            let days = days.into_iter().map(|(day, taken)| (day, Arc::new(taken))).collect();
            *self.flushing.write().unwrap_or_else(PoisonError::into_inner) =
                Arc::new(Flushing { days });
            self.open_windows().retain(|window| *window > cutoff);
            (boundary, closed)
        };
        // without an answer the journal is poisoned and its file stays where it is, which is safe
        let mut files = self.closed_files.lock().unwrap_or_else(PoisonError::into_inner);
        files.extend(closed.recv().ok());
        Ok(FlushState { cutoff, boundary })
    }

    fn flush_day(&self, day: Day, boundary: u64) -> Result<(), StorageError> {
        let Some(taken) = self.flushing().days.get(&day).cloned() else { return Ok(()) };
        let partition = self.partitions.open_or_create(day)?;
        let written = partition.write(&taken, boundary)?;
        let samples: u64 = written.windows.iter().map(|info| info.samples).sum();
        self.metrics.flushed_samples.fetch_add(samples, Ordering::Relaxed);
        self.head.set_partition_ids(day.0, &written.ids);
        let _no_queries = self.visibility.write().unwrap_or_else(PoisonError::into_inner);
        partition.publish(written.windows);
        let mut flushing = self.flushing.write().unwrap_or_else(PoisonError::into_inner);
        let mut rest = Flushing::clone(&flushing);
        rest.days.remove(&day);
        *flushing = Arc::new(rest);
        Ok(())
    }

    /// Removes the journal files all of whose windows are in partitions now.
    fn remove_journals(&self, flushed: FlushState) -> Result<(), StorageError> {
        let mut files = self.closed_files.lock().unwrap_or_else(PoisonError::into_inner);
        for file in files.iter_mut().filter(|file| file.sequence <= flushed.boundary) {
            file.windows.retain(|window| *window > flushed.cutoff);
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
