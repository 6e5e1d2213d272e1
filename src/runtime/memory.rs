//! Freed memory goes back to the system, also when nothing happens.
//!
//! In: the order to stop. Out: a smaller process. Never here: an allocation of any size, a limit.
//!
//! The allocator (mimalloc) keeps pages that were freed for a second, in case they are wanted again,
//! and looks through them only when some thread allocates much, or ends. A store that has flushed and
//! gets few requests does neither for minutes. So now and then a thread is started that does nothing
//! but end.

use std::thread;
use std::time::Duration;

use super::Shutdown;

/// Longer than the allocator waits (its `purge_delay` is a second).
const PAUSE: Duration = Duration::from_secs(3);

/// Works until the stop is ordered. Starting and ending the thread takes some 50 us.
pub async fn give_back_memory(shutdown: Shutdown) {
    while tokio::time::timeout(PAUSE, shutdown.requested()).await.is_err() {
        // When there can be no further thread, the next turn tries again.
        drop(thread::Builder::new().name("give memory back".into()).spawn(|| ()));
    }
}
