//! The background thread: looks four times a second what there is to flush or to remove.
//!
//! In: the state of the head and the clock. Out: calls of the flush and of retention. Never here:
//! how these are done.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crossbeam::channel::RecvTimeoutError;

use super::error::StorageError;
use super::store::Inner;
use super::window::{Window, WindowCut};
use crate::model::Timestamp;

/// How long after its end (by the newest sample or the clock) a window waits for late samples.
const GRACE_MS: i64 = 5 * 60 * 1000;
/// Windows that are over are flushed this often, whatever else holds.
const LATE_FLUSH_MS: i64 = 2 * 60 * 1000;
/// Windows that are over are flushed at once when the head holds more than this many bytes, and
/// [`LATE_BYTES_PER_SERIES`] for each series: a bulk load must not make the journal long.
const LATE_BYTES: u64 = 16 << 20;
/// What the current windows of a series may take, in bytes.
const LATE_BYTES_PER_SERIES: u64 = 256;
/// Pause between two looks of the background thread.
const TICK: Duration = Duration::from_millis(250);
/// Pause after a flush that failed.
const RETRY: Duration = Duration::from_secs(5);
/// Looks without a new sample after which a window that is over counts as complete: the senders of
/// a bulk load went on to the next one.
const COMPLETE_TICKS: u32 = 2;
/// Complete windows are flushed when they have this many bytes together.
const COMPLETE_BYTES: u64 = 8 << 20;
/// Looks without any new sample after which a load counts as over.
const QUIET_TICKS: u32 = 8;
/// Late samples of more than this many bytes are flushed when their sender is quiet.
const QUIET_BYTES: u64 = 4 << 20;
/// So many backfilled samples are a bulk load, also when all are of the current window.
const BULK_SAMPLES: u64 = 1_000_000;
/// When the journal's closed files are longer than this, windows of less than [`SMALL_BYTES`] after
/// the complete ones are flushed with these: files that hold nothing else are not needed any more.
const JOURNAL_BYTES: u64 = 64 << 20;
/// What the windows may have together that are flushed for the journal's sake.
const SMALL_BYTES: u64 = 1 << 20;
/// When the closed files are longer than this, and [`JOURNAL_BYTES_PER_SERIES`] for each series,
/// everything is flushed.
const JOURNAL_BYTES_MAX: u64 = 1 << 30;
/// More than a whole window of a series takes in the journal, in bytes.
const JOURNAL_BYTES_PER_SERIES: u64 = 1024;

/// The background thread: looks four times a second what there is to do.
pub(super) struct Background {
    inner: Arc<Inner>,
    last_late_flush: Timestamp,
    /// What was added to the windows in the head until the last look.
    windows: BTreeMap<Window, Additions>,
    /// Samples appended until the last look.
    appended: u64,
    /// Looks since a sample was appended.
    quiet: u32,
    /// Samples backfilled until everything was last flushed.
    backfilled: u64,
}

/// What was added to a window.
struct Additions {
    /// Batches in all.
    batches: u64,
    /// Looks since the last one.
    quiet: u32,
}

impl Background {
    /// The thread's state when a store is opened.
    pub(super) fn new(inner: Arc<Inner>) -> Background {
        let last_late_flush = inner.clock.now();
        let windows = BTreeMap::new();
        Background { inner, last_late_flush, windows, appended: 0, quiet: 0, backfilled: 0 }
    }

    /// Works until the other end of `stopped` is dropped.
    pub(super) fn run(mut self, stopped: &crossbeam::channel::Receiver<()>) {
        let mut pause = TICK;
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            self.inner.check_disk();
            let due = self.due().or(self.inner.unfinished_flush());
            let done = due.map_or(Ok(()), |cut| self.inner.flush(cut));
            pause = if done.is_ok() { TICK } else { RETRY };
            self.note(done.and(self.inner.remove_expired()));
        }
    }

    /// Counts a failure, and keeps its reason until something succeeds.
    fn note(&self, done: Result<(), StorageError>) {
        if done.is_err() {
            self.inner.metrics.failed_flushes.fetch_add(1, Ordering::Relaxed);
        }
        let mut fault = self.inner.flush_fault.lock().unwrap_or_else(PoisonError::into_inner);
        *fault = done.err();
    }

    /// Which windows to flush now, if any.
    fn due(&mut self) -> Option<WindowCut> {
        self.look();
        let now = self.inner.clock.now();
        let heap_bytes = self.inner.head.heap_bytes();
        let journal_bytes = self.inner.closed_bytes();
        let series = self.inner.head.len() as u64;
        let journal_bytes_max = JOURNAL_BYTES_MAX + JOURNAL_BYTES_PER_SERIES * series;
        let bytes_max = self.inner.head_bytes_max.load(Ordering::Relaxed);
        if heap_bytes > bytes_max || journal_bytes > journal_bytes_max {
            return Some(WindowCut::EVERYTHING);
        }
        let newest = self.inner.head.max_time().max(now.0).saturating_sub(GRACE_MS);
        let over = Window::from_number(Window::of(newest).number() - 1);
        let late = *self.windows.first_key_value()?.0 <= over;
        let backfilled = self.inner.metrics.backfilled_samples.load(Ordering::Relaxed);
        let bulk = backfilled - self.backfilled >= BULK_SAMPLES;
        if self.quiet >= QUIET_TICKS && (bulk || late && heap_bytes > QUIET_BYTES) {
            // with the current window, or its few samples would keep the load's journal
            self.last_late_flush = now;
            self.backfilled = backfilled;
            return Some(WindowCut::EVERYTHING);
        }
        let bytes_max = LATE_BYTES + LATE_BYTES_PER_SERIES * series;
        let waited = now.0.saturating_sub(self.last_late_flush.0) >= LATE_FLUSH_MS;
        if late && (waited || heap_bytes > bytes_max) {
            self.last_late_flush = now;
            return Some(WindowCut::up_to(over));
        }
        let complete = last_complete(&self.windows, over)?;
        let enough = self.inner.head.window_bytes(..=complete) > COMPLETE_BYTES;
        let from =
            if journal_bytes > JOURNAL_BYTES { self.small(complete) } else { WindowCut::NONE };
        enough.then_some(WindowCut { up_to: complete, from })
    }

    /// The first window behind `complete` from which on there is little.
    fn small(&self, complete: Window) -> Window {
        let later = self.windows.keys().rev().take_while(|window| **window > complete);
        let little = |window: &&Window| self.inner.head.window_bytes(**window..) <= SMALL_BYTES;
        later.take_while(little).last().copied().unwrap_or(WindowCut::NONE)
    }

    /// Notes what was added since the last look.
    fn look(&mut self) {
        let appended = self.inner.metrics.samples.load(Ordering::Relaxed);
        self.quiet = if appended == self.appended { self.quiet.saturating_add(1) } else { 0 };
        self.appended = appended;
        let noted = std::mem::take(&mut self.windows);
        let look = |(window, batches): (&Window, &u64)| {
            let before = noted.get(window).filter(|before| before.batches == *batches);
            let quiet = before.map_or(0, |before| before.quiet.saturating_add(1));
            (*window, Additions { batches: *batches, quiet })
        };
        self.windows = self.inner.open_windows().iter().map(look).collect();
    }
}

/// The last window up to `over` that is complete, as are all before it.
fn last_complete(windows: &BTreeMap<Window, Additions>, over: Window) -> Option<Window> {
    let complete =
        |(window, added): &(&Window, &Additions)| **window <= over && added.quiet >= COMPLETE_TICKS;
    windows.iter().take_while(complete).last().map(|(window, _)| *window)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(all: &[(i64, u32)]) -> BTreeMap<Window, Additions> {
        let window = |(number, quiet): &(i64, u32)| {
            (Window::from_number(*number), Additions { batches: 1, quiet: *quiet })
        };
        all.iter().map(window).collect()
    }

    #[test]
    fn complete_windows_are_over_and_quiet_and_so_are_all_before_them() {
        let last = |all: &[(i64, u32)], over| {
            last_complete(&windows(all), Window::from_number(over)).map(Window::number)
        };
        assert_eq!(last(&[], 9), None);
        assert_eq!(last(&[(1, 2), (2, 7), (4, 2), (5, 1), (6, 9)], 9), Some(4));
        assert_eq!(last(&[(1, 2), (2, 7), (4, 2)], 2), Some(2), "the last is not over");
        assert_eq!(last(&[(1, 1), (2, 7)], 9), None, "one still grows");
    }
}
