//! Retention: partitions that are too old are removed whole.

use std::sync::atomic::Ordering;

use super::error::StorageError;
use super::store::Inner;

impl Inner {
    /// Removes the partitions whose last moment passed the retention.
    ///
    /// # Errors
    /// A file cannot be removed; the next call tries again.
    pub fn remove_expired(&self) -> Result<(), StorageError> {
        let oldest = self.oldest_kept();
        for day in self.partitions.days().into_iter().take_while(|day| day.last() < oldest) {
            let _no_flush =
                self.flush_state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            self.partitions.remove(day)?;
            self.metrics.removed_partitions.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
