//! The threads: one that lets time pass and stores, some that deliver.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::{Shared, Stored, history, kind_number, row_kind};
use crate::notify::deliver::{Failure, FailureKind, Outcome};
use crate::notify::machine::{Effects, IN_FLIGHT_MAX, Send};
use crate::notify::rows::RowKey;
use crate::storage::NotifyRow;

/// Threads that deliver: each waits for one receiver at a time.
const DELIVERY_THREADS: usize = 16;
/// How long one delivery may take.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest pause between two looks at the clock, which may be set.
const TICK_MAX: Duration = Duration::from_secs(1);
/// Pause after something could not be stored.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Pause between two looks whether threads have ended.
const JOIN_LOOK: Duration = Duration::from_millis(10);

/// Starts all threads.
pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Vec<JoinHandle<()>>> {
    // As many as can be under way: handing one over never waits.
    let (sender, receiver) = bounded::<Send>(IN_FLIGHT_MAX);
    let mut threads = Vec::new();
    for number in 0..DELIVERY_THREADS {
        let (shared, jobs) = (Arc::clone(shared), receiver.clone());
        let named = Builder::new().name(format!("tidewatch-tell-{number}"));
        threads.push(named.spawn(move || deliver(&shared, &jobs))?);
    }
    let shared = Arc::clone(shared);
    let named = Builder::new().name("tidewatch-alerts".into());
    threads.push(named.spawn(move || pass(&shared, sender))?);
    Ok(threads)
}

/// Waits for threads to end, at most `patience`; a delivery that takes longer is left to itself.
pub(super) fn join(threads: Vec<JoinHandle<()>>, patience: Duration) {
    let end = Instant::now() + patience;
    while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < end {
        std::thread::sleep(JOIN_LOOK);
    }
    for thread in threads.into_iter().filter(JoinHandle::is_finished) {
        if thread.join().is_err() {
            tracing::error!("an alerting thread panicked; this is a bug, please report it");
        }
    }
}

/// Lets time pass until the stop.
fn pass(shared: &Shared, mut sender: Sender<Send>) {
    let mut fault_told = false;
    loop {
        let Step { mut effects, version, is_last, stopping, idle } = step(shared);
        match store(shared, &mut effects) {
            Ok(()) => {
                fault_told = false;
                if is_last {
                    shared.stored.send_replace(Stored { version, fault: None });
                }
                if !stopping {
                    effects.sends.into_iter().for_each(|send| drop(sender.send(send)));
                }
            }
            Err(why) => {
                if !std::mem::replace(&mut fault_told, true) {
                    tracing::error!("alerts cannot be stored, nobody is told anything: {why}");
                }
                shared.stored.send_modify(|stored| stored.fault = Some((version, why)));
                shared.lock().machine.return_effects(effects);
                if stopping {
                    return;
                }
                std::thread::sleep(STORE_PAUSE);
            }
        }
        if stopping {
            // No more deliveries begin: the threads that deliver end with their last one.
            sender = bounded(1).0;
            if idle {
                return;
            }
        }
    }
}

/// What has to be stored, and what that means.
struct Step {
    effects: Effects,
    /// The latest change of which it is a part.
    version: u64,
    /// Whether it is the last part of these changes.
    is_last: bool,
    /// Whether this is the stop.
    stopping: bool,
    /// Whether nothing is under way or left to be stored.
    idle: bool,
}

/// Waits for something to do and does it.
fn step(shared: &Shared) -> Step {
    let mut state = shared.lock();
    while !state.rung && state.outcomes.is_empty() {
        let now = shared.clock.now();
        let due = state.machine.next_due();
        if due <= now {
            break;
        }
        let wait = Duration::from_millis(due.0.saturating_sub(now.0).unsigned_abs()).min(TICK_MAX);
        let (woken, timed_out) = shared
            .bell
            .wait_timeout(state, wait)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        state = woken;
        if timed_out.timed_out() {
            break;
        }
    }
    state.rung = false;
    let now = shared.clock.now();
    for (number, outcome) in std::mem::take(&mut state.outcomes) {
        state.machine.outcome(number, outcome, now);
    }
    let stopping = state.stopping;
    if !stopping {
        state.machine.tick(now);
    }
    let effects = state.machine.take_effects();
    let is_last = !state.machine.has_effects();
    state.rung = !is_last;
    let idle = is_last && state.machine.queue_lengths().1 == 0;
    Step { effects, version: state.version, is_last, stopping, idle }
}

/// Stores a part; its rows are used up unless that fails.
fn store(shared: &Shared, effects: &mut Effects) -> Result<(), String> {
    if effects.rows.is_empty() && effects.events.is_empty() {
        return Ok(());
    }
    let store = shared.store.upgrade().ok_or("the store is closed")?;
    let rows = std::mem::take(&mut effects.rows).into_iter();
    let rows: Vec<NotifyRow> =
        rows.map(|(key, row)| (kind_number(key.kind), key.key, row)).collect();
    let keep_after = shared.clock.now().saturating_sub(shared.history_retention_ms);
    let blocks = history::blocks(&effects.events);
    store.change_notify(&rows, &blocks, keep_after.0).map_err(|error| {
        let known = |(kind, key, row)| Some((RowKey { kind: row_kind(kind)?, key }, row));
        effects.rows = rows.into_iter().filter_map(known).collect();
        error.to_string()
    })
}

/// Delivers what comes until nothing comes any more.
fn deliver(shared: &Shared, jobs: &Receiver<Send>) {
    while let Ok(job) = jobs.recv() {
        let deliver = {
            let slot = shared.deliver.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            Arc::clone(&slot)
        };
        let began = Instant::now();
        let call = || deliver.deliver(&job.notification, DELIVERY_TIMEOUT);
        let outcome = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
            Outcome::Failed(Failure {
                kind: FailureKind::Other,
                message: "the delivery panicked; this is a bug, please report it".to_owned(),
                maybe_delivered: true,
            })
        });
        shared.times.delivered(job.notification.integration.kind(), began.elapsed());
        log(&job, &outcome);
        shared.lock().outcomes.push((job.number, outcome));
        shared.bell.notify_all();
    }
}

fn log(job: &Send, outcome: &Outcome) {
    let notification = &job.notification;
    let (receiver, kind) = (&notification.receiver.name, notification.integration.kind());
    let index = notification.integration.index;
    if notification.unlisted > 0 {
        tracing::warn!(
            "a message to {receiver} lists {} alerts of {} and leaves out {}",
            notification.alerts.len(),
            notification.group_key,
            notification.unlisted
        );
    }
    match outcome {
        Outcome::Delivered { .. } => tracing::debug!(
            "told {receiver} through {kind}[{index}]: {} ({})",
            notification.group_key,
            notification.reason.as_str()
        ),
        Outcome::Retry { failure, .. } => {
            tracing::warn!(
                "telling {receiver} through {kind}[{index}] failed, trying again: {failure}"
            );
        }
        Outcome::Failed(failure) => {
            tracing::error!("telling {receiver} through {kind}[{index}] failed: {failure}");
        }
    }
}
