//! What waits for one Alertmanager: bounded, the oldest goes first when there is too much.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::model::Alert;

/// The queue of one Alertmanager. Locked for pushing and taking, never while something is sent.
#[derive(Debug)]
pub(super) struct Queue {
    alerts_max: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    alerts: VecDeque<Arc<Alert>>,
    is_closed: bool,
    is_cut: bool,
}

impl Queue {
    /// An empty queue of at most `alerts_max`.
    pub fn new(alerts_max: usize) -> Queue {
        Queue { alerts_max: alerts_max.max(1), state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends; how many of the oldest had to go.
    pub fn push(&self, alerts: Vec<Arc<Alert>>) -> usize {
        let mut state = self.lock();
        state.alerts.extend(alerts);
        let over = state.alerts.len().saturating_sub(self.alerts_max);
        state.alerts.drain(..over);
        self.changed.notify_one();
        over
    }

    /// Waits for alerts and takes at most `max`; `None` when there will be no more.
    pub fn take(&self, max: usize) -> Option<Vec<Arc<Alert>>> {
        let mut state = self.lock();
        while state.alerts.is_empty() && !state.is_closed && !state.is_cut {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.alerts.is_empty() || state.is_cut {
            return None;
        }
        let count = state.alerts.len().min(max.max(1));
        Some(state.alerts.drain(..count).collect())
    }

    /// Ends when everything is taken.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Ends at once; how many are left.
    pub fn cut(&self) -> usize {
        let mut state = self.lock();
        state.is_cut = true;
        self.changed.notify_all();
        state.alerts.len()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.lock().alerts.len()
    }
}
