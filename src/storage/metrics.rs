//! Counters of the store.

use std::sync::atomic::AtomicU64;

/// What the store counts about itself; all since the start of the process.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    /// Float samples appended.
    pub samples: AtomicU64,
    /// Histogram samples appended.
    pub histograms: AtomicU64,
    /// Exemplars appended.
    pub exemplars: AtomicU64,
    /// Samples that replaced one with the same timestamp and another value.
    pub replaced_samples: AtomicU64,
    /// Float samples of batches that came more than
    /// [`BACKFILL_MS`](super::append::BACKFILL_MS) late, judged by the first of each.
    pub backfilled_samples: AtomicU64,
    /// Series created.
    pub created_series: AtomicU64,
    /// Flushes completed.
    pub flushes: AtomicU64,
    /// Flushes that failed and are tried again.
    pub failed_flushes: AtomicU64,
    /// Samples written to partitions.
    pub flushed_samples: AtomicU64,
    /// Samples put back from journals at start.
    pub recovered_samples: AtomicU64,
    /// Partitions removed because they passed the retention.
    pub removed_partitions: AtomicU64,
}
