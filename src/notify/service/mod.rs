//! Alerting at work: the state machine with its clock, its place on the disk and its threads.
//!
//! In: alerts, silences and configurations from any thread. Out: notifications through a
//! [`Deliver`], answers to questions. Never here: what is told when (that is [`super::machine`]) and
//! how (that is the [`Deliver`]).
//!
//! One thread lets time pass: it takes what has changed, stores it in one commit, and only then
//! hands notifications to a few threads that deliver them. Whoever changes something may wait until
//! it is stored.

mod history;
mod run;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use history::{HISTORY_LINES_MAX, HistoryPage, HistoryQuery, Place};

use super::config::AlertConfig;
use super::deliver::{Deliver, Outcome};
use super::machine::{Incoming, Machine, Refusal};
use super::metrics::NotifyTimes;
use super::rows::{RowKey, RowKind};
use super::silence::{SilenceDraft, SilenceError};
use crate::model::{Clock, Labels, Timestamp};
use crate::storage::{StorageError, Store};

/// How long the history is kept by default.
pub const HISTORY_RETENTION: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// What alerting is built from.
pub struct NotifierOptions {
    /// The configuration.
    pub config: Arc<AlertConfig>,
    /// Who tells receivers.
    pub deliver: Arc<dyn Deliver>,
    /// Where the present comes from.
    pub clock: Arc<dyn Clock>,
    /// Where everything is kept.
    pub store: Arc<Store>,
    /// How long the history is kept.
    pub history_retention: Duration,
    /// Any number; other names for silences come of another one.
    pub id_seed: u64,
}

/// Alerting. Cheap to clone; it works until [`Notifier::stop`].
#[derive(Clone)]
pub struct Notifier(Arc<Shared>);

struct Shared {
    /// Held for a change or a question, never while something is stored or delivered.
    state: Mutex<State>,
    /// Rings when there is something to do before its time.
    bell: Condvar,
    clock: Arc<dyn Clock>,
    deliver: RwLock<Arc<dyn Deliver>>,
    store: std::sync::Weak<Store>,
    stored: watch::Sender<Stored>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    history_retention_ms: i64,
    times: NotifyTimes,
}

struct State {
    machine: Machine,
    /// Outcomes of deliveries that nobody has looked at yet; no more than are under way.
    outcomes: Vec<(u64, Outcome)>,
    /// Number of the latest change.
    version: u64,
    /// Whether there is something to do now.
    rung: bool,
    stopping: bool,
}

/// How far what was changed is stored.
#[derive(Clone, Debug, Default)]
struct Stored {
    version: u64,
    /// The change that could not be stored last, and why.
    fault: Option<(u64, String)>,
}

/// A change that is made and perhaps not yet stored.
#[must_use = "whoever acknowledges a change waits until it is stored"]
#[derive(Debug)]
pub struct Pending {
    version: u64,
    stored: watch::Receiver<Stored>,
}

/// A change could not be stored: why. It is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStored(pub String);

impl fmt::Display for NotStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the change is made and could not be stored yet: {}", self.0)
    }
}

impl std::error::Error for NotStored {}

impl Pending {
    /// Waits until the change is on disk.
    ///
    /// # Errors
    /// It could not be stored; it is tried again, but nobody should be told that it is safe.
    pub async fn stored(mut self) -> Result<(), NotStored> {
        let version = self.version;
        let failed = |stored: &Stored| {
            stored.fault.as_ref().filter(|(of, _)| *of >= version).map(|(_, why)| why.clone())
        };
        let done = |stored: &Stored| stored.version >= version || failed(stored).is_some();
        let stored = self.stored.wait_for(done).await;
        match stored {
            Ok(stored) if stored.version >= version => Ok(()),
            Ok(stored) => Err(NotStored(failed(&stored).unwrap_or_default())),
            Err(_) => Err(NotStored("alerting has stopped".to_owned())),
        }
    }
}

impl Notifier {
    /// Brings back what was known when the last process ended, and starts.
    ///
    /// # Errors
    /// The control file cannot be read, or threads cannot be started.
    pub fn start(options: NotifierOptions) -> Result<Notifier, StorageError> {
        let rows = options.store.notify_rows()?;
        let rows = rows
            .into_iter()
            .filter_map(|(kind, key, row)| Some((RowKey { kind: row_kind(kind)?, key }, row)));
        let now = options.clock.now();
        let (machine, faults) = Machine::restore(options.config, options.id_seed, now, rows);
        for fault in faults {
            tracing::error!("alerting goes on without a part of what it knew: {fault}");
        }
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                machine,
                outcomes: Vec::new(),
                version: 0,
                rung: true,
                stopping: false,
            }),
            bell: Condvar::new(),
            clock: options.clock,
            deliver: RwLock::new(options.deliver),
            store: Arc::downgrade(&options.store),
            stored: watch::Sender::new(Stored::default()),
            threads: Mutex::default(),
            history_retention_ms: millis(options.history_retention),
            times: NotifyTimes::default(),
        });
        let threads = run::start(&shared).map_err(|error| {
            StorageError::io("starting the alerting threads of", std::path::Path::new(""), &error)
        })?;
        *shared.threads.lock().unwrap_or_else(PoisonError::into_inner) = threads;
        Ok(Notifier(shared))
    }

    /// Takes alerts in; those that are refused are named by their place.
    pub fn receive(
        &self,
        alerts: impl IntoIterator<Item = Incoming>,
    ) -> (Vec<(usize, Refusal)>, Pending) {
        self.change(|machine, now| {
            let (began, mut count) = (Instant::now(), 0);
            let each = alerts.into_iter().inspect(|_| count += 1).enumerate();
            let refused = each
                .filter_map(|(at, alert)| Some((at, machine.receive(alert, now).err()?)))
                .collect();
            self.0.times.received(count, began.elapsed());
            refused
        })
    }

    /// Keeps alerts from ending before their rules can repeat them; see [`Machine::hold`].
    pub fn hold(&self, expected: &[(Labels, Timestamp)]) {
        let ((), _) = self.change(|machine, now| machine.hold(expected, now));
    }

    /// Creates or changes a silence; returns its name.
    ///
    /// # Errors
    /// See [`SilenceError`]; nothing has changed.
    pub fn set_silence(&self, draft: SilenceDraft) -> Result<(Arc<str>, Pending), SilenceError> {
        let (id, pending) = self.change(|machine, now| machine.set_silence(draft, now));
        Ok((id?, pending))
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn expire_silence(&self, id: &str) -> Result<Pending, SilenceError> {
        let (done, pending) = self.change(|machine, now| machine.expire_silence(id, now));
        done.map(|()| pending)
    }

    /// Goes on with another configuration and with who delivers under it.
    pub fn reload(&self, config: Arc<AlertConfig>, deliver: Arc<dyn Deliver>) {
        *self.0.deliver.write().unwrap_or_else(PoisonError::into_inner) = deliver;
        let ((), _) = self.change(|machine, now| machine.reload(config, now));
    }

    /// How long things take.
    pub(super) fn times(&self) -> &NotifyTimes {
        &self.0.times
    }

    /// Answers a question about the present.
    pub fn ask<T>(&self, question: impl FnOnce(&Machine, Timestamp) -> T) -> T {
        question(&self.0.lock().machine, self.0.clock.now())
    }

    /// Answers a question about the past.
    ///
    /// # Errors
    /// The control file cannot be read.
    pub fn history(&self, query: &HistoryQuery) -> Result<HistoryPage, StorageError> {
        let store = self.0.store.upgrade().ok_or(StorageError::Closed)?;
        history::read(&store, query)
    }

    /// Stops: what is under way may end within `patience`; what is not told is told by the next
    /// process.
    pub fn stop(&self, patience: Duration) {
        {
            let mut state = self.0.lock();
            state.stopping = true;
            state.rung = true;
        }
        self.0.bell.notify_all();
        let threads =
            std::mem::take(&mut *self.0.threads.lock().unwrap_or_else(PoisonError::into_inner));
        run::join(threads, patience);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Machine, Timestamp) -> T) -> (T, Pending) {
        let now = self.0.clock.now();
        let mut state = self.0.lock();
        let done = change(&mut state.machine, now);
        state.version += 1;
        state.rung = true;
        let pending = Pending { version: state.version, stored: self.0.stored.subscribe() };
        drop(state);
        self.0.bell.notify_one();
        (done, pending)
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier").finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number under which rows of a kind are stored; never changed.
fn kind_number(kind: RowKind) -> u8 {
    match kind {
        RowKind::Alert => 1,
        RowKind::Group => 2,
        RowKind::Log => 3,
        RowKind::Silence => 4,
    }
}

fn row_kind(number: u8) -> Option<RowKind> {
    let all = [RowKind::Alert, RowKind::Group, RowKind::Log, RowKind::Silence];
    all.into_iter().find(|kind| kind_number(*kind) == number)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Says what a delivery leaves behind when there is nothing.
pub fn delivered(note: impl Into<String>) -> Outcome {
    Outcome::Delivered { data: None::<BTreeMap<String, String>>, note: note.into() }
}
