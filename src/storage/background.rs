//! The background thread: looks once a second what there is to flush or to remove.
//!
//! In: the state of the head and the clock. Out: calls of the flush and of retention. Never here:
//! how these are done.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crossbeam::channel::RecvTimeoutError;

use super::error::StorageError;
use super::store::Inner;
use super::window::Window;
use crate::model::Timestamp;

/// How long after its end (by the newest sample) a window waits for late samples.
const GRACE_MS: i64 = 5 * 60 * 1000;
/// Late samples, and windows of senders that went away, are flushed this often.
const LATE_FLUSH_MS: i64 = 2 * 60 * 1000;
/// Late samples are flushed at once when the head holds more than this many bytes, and
/// [`LATE_BYTES_PER_SERIES`] for each series: a bulk load must not make the journal long.
const LATE_BYTES: u64 = 16 << 20;
/// What the current windows of a series may take, in bytes.
const LATE_BYTES_PER_SERIES: u64 = 256;
/// After a bulk load, or with late samples, at least this many bytes are flushed when nothing came
/// for [`QUIET_TICKS`]: the load is over, and its journal is not needed any more.
const QUIET_BYTES: u64 = 4 << 20;
/// Looks without a new sample after which a load counts as over.
const QUIET_TICKS: u32 = 2;
/// So many backfilled samples are a bulk load, also when all are of the current window.
const BULK_SAMPLES: u64 = 1_000_000;
/// The cut-off that takes all windows, also those that are not over.
const EVERYTHING: Window = Window::from_number(i64::MAX - 1);
/// Pause between two looks of the background thread.
const TICK: Duration = Duration::from_secs(1);

/// The background thread: looks once a second what there is to do.
pub(super) struct Background {
    inner: Arc<Inner>,
    /// Windows up to this one were flushed because they were over.
    flushed: Window,
    last_late_flush: Timestamp,
    /// Samples appended until the last look.
    appended: u64,
    /// Looks since a sample was appended.
    quiet: u32,
    /// Samples backfilled until everything was last flushed.
    backfilled: u64,
}

impl Background {
    /// The thread's state when a store is opened.
    pub(super) fn new(inner: Arc<Inner>) -> Background {
        let last_late_flush = inner.clock.now();
        let flushed = Window::default();
        Background { inner, flushed, last_late_flush, appended: 0, quiet: 0, backfilled: 0 }
    }

    /// Works until the other end of `stopped` is dropped.
    pub(super) fn run(mut self, stopped: &crossbeam::channel::Receiver<()>) {
        let mut pause = TICK;
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            pause = TICK;
            self.inner.check_disk();
            let flushed = self.due().map(|cutoff| (cutoff, self.inner.flush(cutoff)));
            if let Some((cutoff, Ok(()))) = flushed {
                if cutoff < EVERYTHING {
                    self.flushed = self.flushed.max(cutoff);
                }
                pause = Duration::ZERO; // a bulk load has filled the next one meanwhile
            }
            let done = flushed.map_or(Ok(()), |(_, flushed)| flushed);
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

    /// Up to which window to flush now, if any.
    fn due(&mut self) -> Option<Window> {
        let now = self.inner.clock.now();
        let over_at = |time: i64| Window::from_number(Window::of(time).number() - 1);
        if self.inner.head.heap_bytes() > self.inner.head_bytes_max.load(Ordering::Relaxed) {
            return Some(EVERYTHING);
        }
        let first = *self.inner.open_windows().first()?;
        let over = over_at(self.inner.head.max_time().saturating_sub(GRACE_MS));
        if first <= over && over > self.flushed && first > self.flushed {
            return Some(over);
        }
        let over = over.max(over_at(now.0.saturating_sub(GRACE_MS)));
        let appended = self.inner.metrics.samples.load(Ordering::Relaxed);
        self.quiet = if appended == self.appended { self.quiet.saturating_add(1) } else { 0 };
        self.appended = appended;
        let backfilled = self.inner.metrics.backfilled_samples.load(Ordering::Relaxed);
        let bulk = backfilled - self.backfilled >= BULK_SAMPLES;
        let waited = now.0.saturating_sub(self.last_late_flush.0) >= LATE_FLUSH_MS;
        let quiet = self.quiet >= QUIET_TICKS && self.inner.head.heap_bytes() > QUIET_BYTES;
        if quiet && (bulk || first <= over) {
            // with the current window, or its few samples would keep the load's journal
            self.last_late_flush = now;
            self.backfilled = backfilled;
            return Some(EVERYTHING);
        }
        let bytes_max = LATE_BYTES + LATE_BYTES_PER_SERIES * self.inner.head.len() as u64;
        if first <= over && (waited || self.inner.head.heap_bytes() > bytes_max) {
            self.last_late_flush = now;
            return Some(over);
        }
        None
    }
}
