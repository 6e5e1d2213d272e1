//! Watching the store: that it refuses writes, or accepts them again, or cannot flush, is said once,
//! and not with every write.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::interval;

use crate::runtime::Shutdown;
use crate::storage::Store;
use crate::telemetry::{Event, Events};

/// How often the store is looked at, as often as it looks at the disk itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Says when `store` stops or resumes accepting writes, until `shutdown`.
pub(super) async fn run(store: Weak<Store>, events: Events, shutdown: Shutdown) {
    let mut ticks = interval(LOOK_EVERY);
    let (mut refused, mut stuck) = (false, false);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.requested() => return,
        }
        let faults = |store: Arc<Store>| (store.write_fault(), store.flush_fault());
        let Some((fault, flush)) = store.upgrade().map(faults) else { return };
        match &fault {
            Some(fault) if !refused => {
                events.emit(&Event::WritesRefused { reason: fault.to_string() });
            }
            None if refused => events.emit(&Event::WritesAccepted),
            _ => {}
        }
        refused = fault.is_some();
        if let Some(fault) = flush.as_ref().filter(|_| !stuck) {
            events.emit(&Event::FlushFails { reason: fault.to_string() });
        }
        stuck = flush.is_some();
    }
}
