//! How far reading the journals back is: written by whoever recovers, read by `status/walreplay`.

use std::sync::atomic::{AtomicU64, Ordering};

/// The journal files of a recovery, by number. All zero when there was nothing to recover.
#[derive(Debug, Default)]
pub struct RecoveryProgress {
    first: AtomicU64,
    last: AtomicU64,
    current: AtomicU64,
}

/// [`RecoveryProgress`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoveryState {
    /// Number of the first file.
    pub first: u64,
    /// Number of the last file.
    pub last: u64,
    /// Number of the file that was read last; equal to `last` when everything is read.
    pub current: u64,
}

impl RecoveryProgress {
    /// Notes that files `first` to `last` are to be read, and that `current` was read last.
    pub fn report(&self, first: u64, last: u64, current: u64) {
        self.first.store(first, Ordering::Relaxed);
        self.last.store(last, Ordering::Relaxed);
        self.current.store(current, Ordering::Relaxed);
    }

    /// How far it is. The three numbers are read one after the other: a reader may see the files
    /// of one report with the position of the next, which a progress line survives.
    pub fn now(&self) -> RecoveryState {
        RecoveryState {
            first: self.first.load(Ordering::Relaxed),
            last: self.last.load(Ordering::Relaxed),
            current: self.current.load(Ordering::Relaxed),
        }
    }
}
