//! What a query may use: samples in memory, time, and the patience of who asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{Interrupt, Timestamp};

use super::super::engine::{EngineOptions, QueryOptions};
use super::super::error::QueryError;
use super::tally::Tally;

/// The budget of one query. Counters are atomic because batches of series are evaluated in
/// parallel; they are touched once a batch.
#[derive(Debug)]
pub(crate) struct Budget {
    samples_max: u64,
    held: AtomicU64,
    peak: AtomicU64,
    total: Arc<AtomicU64>,
    started: Timestamp,
    interrupt: Interrupt,
    /// Samples by step of the evaluation under way, if they are asked for. Locked once a batch.
    tally: Option<Mutex<Tally>>,
}

impl Budget {
    /// A fresh budget; time runs from now on.
    pub(crate) fn new(engine: &EngineOptions, options: &QueryOptions, steps: usize) -> Budget {
        let timeout = options.timeout.map_or(engine.timeout, |t| t.min(engine.timeout));
        let timeout_ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        let started = engine.clock.now();
        let deadline = started.saturating_add(timeout_ms);
        let cancel = options.cancel.clone();
        Budget {
            samples_max: engine.samples_max,
            held: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            total: options.looked_at.clone().unwrap_or_default(),
            started,
            interrupt: Interrupt::new(cancel, deadline, Arc::clone(&engine.clock)),
            tally: options.by_step.then(|| Mutex::new(Tally::new(steps))),
        }
    }

    /// Fails when the query took too long or nobody waits for it.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        self.interrupt.check().map_err(QueryError::from)
    }

    /// What says that the query took too long or nobody waits for it.
    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Counts `samples` as held in memory.
    pub(crate) fn hold(&self, samples: u64) -> Result<(), QueryError> {
        let held = self.held.fetch_add(samples, Ordering::Relaxed) + samples;
        self.peak.fetch_max(held, Ordering::Relaxed);
        if held > self.samples_max {
            return Err(QueryError::TooManySamples { needed: held, allowed: self.samples_max });
        }
        Ok(())
    }

    /// Counts `samples` as no longer held.
    pub(crate) fn release(&self, samples: u64) {
        let all = |held: u64| Some(held.saturating_sub(samples));
        let _ = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, all);
    }

    /// Counts `samples` as looked at.
    pub(crate) fn looked_at(&self, samples: u64) {
        self.total.fetch_add(samples, Ordering::Relaxed);
    }

    /// Whether samples are counted by step.
    pub(crate) fn tallies(&self) -> bool {
        self.tally.is_some()
    }

    /// The samples by step of the evaluation under way.
    pub(crate) fn tally(&self) -> Option<MutexGuard<'_, Tally>> {
        self.tally.as_ref().map(|tally| tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `evaluate` on another grid of `steps`; gives what was counted on it, too.
    pub(crate) fn apart<T>(&self, steps: usize, evaluate: impl FnOnce() -> T) -> (T, Tally) {
        let swap = |new| self.tally().map(|mut tally| std::mem::replace(&mut *tally, new));
        let outer = swap(Tally::new(if self.tallies() { steps } else { 0 }));
        let result = evaluate();
        let inner = outer.and_then(swap).unwrap_or_default();
        (result, inner)
    }

    /// When the query began.
    pub(crate) fn started(&self) -> Timestamp {
        self.started
    }

    /// Samples looked at so far.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Most samples held at a time so far.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ManualClock;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    #[test]
    fn samples_time_and_patience_run_out() {
        let clock = Arc::new(ManualClock::new(Timestamp(0)));
        let cancel = Arc::new(AtomicBool::new(false));
        let engine =
            EngineOptions { samples_max: 10, clock: clock.clone(), ..EngineOptions::default() };
        let options = QueryOptions {
            timeout: Some(Duration::from_millis(5)),
            cancel: Some(cancel.clone()),
            ..QueryOptions::default()
        };
        let budget = Budget::new(&engine, &options, 1);
        assert!(budget.hold(10).is_ok() && budget.check().is_ok());
        assert!(matches!(
            budget.hold(1),
            Err(QueryError::TooManySamples { needed: 11, allowed: 10 })
        ));
        budget.release(5);
        assert_eq!(budget.peak(), 11);
        clock.advance_ms(6);
        assert!(matches!(budget.check(), Err(QueryError::Timeout(_))));
        cancel.store(true, Ordering::Relaxed);
        assert!(matches!(budget.check(), Err(QueryError::Canceled(_))));
    }
}
