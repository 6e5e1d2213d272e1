//! All groups at their times: one thread says what is due, a few evaluate.
//!
//! In: the groups that are to run. Out: their evaluations, at most [`GROUPS_AT_ONCE_MAX`] at a time.
//! Never here: what an evaluation does. Everything runs on threads of its own, because evaluations
//! wait for disks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};

use super::group::{Group, Settings};
use super::metrics::{RuleMetrics, families};
use super::reload::change;
use super::seams::{AlertSink, Environment, Externals, SampleSink, StateStore};
use super::slot::Slots;
use super::spec::GroupSpec;
use crate::model::{Clock, Labels, SeriesSource, Timestamp};
use crate::promql::Engine;
use crate::telemetry::MetricFamily;

/// Groups evaluated at a time. Their queries share the query threads; more groups at a time let
/// their writes share commits.
pub const GROUPS_AT_ONCE_MAX: usize = 8;
/// Messages to the scheduler that wait; who sends more waits.
const MESSAGES_MAX: usize = 64;
/// Longest sleep of the scheduler: after it, a clock that was set is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// Stack of an evaluating thread in bytes: as those of queries.
const STACK_BYTES: usize = 8 << 20;

/// What evaluations work with.
#[derive(Clone)]
pub struct Parts {
    /// Evaluates expressions.
    pub engine: Arc<Engine>,
    /// What they read.
    pub source: Arc<dyn SeriesSource>,
    /// Takes what they give.
    pub samples: Arc<dyn SampleSink>,
    /// Takes alerts.
    pub alerts: Arc<dyn AlertSink>,
    /// Keeps state.
    pub state: Arc<dyn StateStore>,
    /// What texts and links show of this server.
    pub externals: Externals,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Time after which a firing alert is sent again, in ms (`--rules.alert.resend-delay`).
    pub resend_delay_ms: i64,
}

/// The groups that run, for whoever looks; cheap to clone.
#[derive(Clone, Default)]
pub struct Running(Arc<RwLock<Arc<[Arc<Group>]>>>);

impl Running {
    /// The groups, ascending by file and name.
    pub fn groups(&self) -> Arc<[Arc<Group>]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, groups: Vec<Arc<Group>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = groups.into();
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.groups().iter().map(|group| group.spec().key())).finish()
    }
}

/// Evaluates groups until it is stopped.
pub struct Manager {
    shared: Arc<Shared>,
    messages: Sender<Message>,
    threads: Vec<JoinHandle<()>>,
    /// Whether the groups of the process's start are still to come.
    is_start: bool,
}

struct Shared {
    running: Running,
    /// Replaced by a reload; held for one clone.
    parts: Mutex<Parts>,
    metrics: Arc<RuleMetrics>,
    cancel: Arc<AtomicBool>,
}

enum Message {
    /// The groups have changed; these are no more.
    Changed(Vec<Arc<Group>>),
    /// A job is done.
    Done(Arc<Group>),
    Stop,
}

enum Job {
    Evaluate(Arc<Group>, Timestamp),
    /// Mark the ends of the series of a group that was removed at that time.
    End(Arc<Group>, Timestamp),
}

impl Manager {
    /// Starts the threads, without groups.
    ///
    /// # Errors
    /// The system refused a thread.
    pub fn start(parts: Parts) -> std::io::Result<Manager> {
        let (messages, inbox) = bounded(MESSAGES_MAX);
        let (jobs, work) = bounded(GROUPS_AT_ONCE_MAX);
        let shared = Arc::new(Shared {
            running: Running::default(),
            parts: Mutex::new(parts),
            metrics: Arc::default(),
            cancel: Arc::default(),
        });
        let mut threads = Vec::new();
        for _ in 0..GROUPS_AT_ONCE_MAX {
            let (shared, work, done) = (Arc::clone(&shared), work.clone(), messages.clone());
            let run = move || shared.work(&work, &done);
            threads.push(thread("tidewatch-rules", run)?);
        }
        let own = Arc::clone(&shared);
        let schedule = move || Scheduler { shared: own, jobs, items: Vec::new() }.run(&inbox);
        threads.push(thread("tidewatch-rules-when", schedule)?);
        Ok(Manager { shared, messages, threads, is_start: true })
    }

    /// The groups that run.
    pub fn running(&self) -> &Running {
        &self.shared.running
    }

    /// Reads the metrics; does not keep the manager alive.
    pub fn families(&self) -> impl Fn() -> Vec<MetricFamily> + Send + Sync + 'static {
        let (running, metrics) = (self.shared.running.clone(), Arc::clone(&self.shared.metrics));
        move || families(&metrics, &running.groups())
    }

    /// Changes what evaluations work with from now on.
    pub fn update(&self, update: impl FnOnce(&mut Parts)) {
        update(&mut self.shared.parts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Runs exactly these groups from now on. Unchanged ones go on untouched, changed ones keep
    /// their alerts. Waits for the present evaluations of changed groups.
    pub fn set(&mut self, specs: Vec<GroupSpec>, settings: Settings) {
        let parts = self.shared.parts();
        let is_start = std::mem::take(&mut self.is_start);
        let before = self.shared.running.groups();
        let changed = change(&before, specs, settings, &*parts.state, is_start);
        let now = parts.clock.now();
        let is_new = |group: &&Arc<Group>| !before.iter().any(|other| Arc::ptr_eq(other, group));
        let expected = changed.groups.iter().filter(is_new);
        let expected: Vec<(Labels, Timestamp)> =
            expected.flat_map(|group| group.expected(now, parts.resend_delay_ms)).collect();
        parts.alerts.hold(&expected);
        self.shared.running.set(changed.groups);
        // The scheduler ends only after the manager.
        let _ = self.messages.send(Message::Changed(changed.removed));
    }

    /// Stops: evaluations end with what they have written. Returns when all threads have ended.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.cancel.store(true, Ordering::Relaxed);
        let _ = self.messages.send(Message::Stop);
        for thread in self.threads.drain(..) {
            drop(thread.join()); // a panic was logged
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.end();
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(run)
}

impl Shared {
    fn parts(&self) -> Parts {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The life of a thread that evaluates.
    fn work(&self, work: &Receiver<Job>, done: &Sender<Message>) {
        let born = Instant::now();
        while let Ok(job) = work.recv() {
            let run = || self.run(&job, &move || born.elapsed());
            // Locks are taken over after a panic; the next evaluation sets state right.
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                tracing::error!("an evaluation of rules panicked; this is a bug, please report it");
            }
            if let Job::Evaluate(group, _) = job {
                let _ = done.send(Message::Done(group)); // nobody waits during the stop
            }
        }
    }

    fn run(&self, job: &Job, elapsed: &(dyn Fn() -> Duration + Sync)) {
        let parts = self.parts();
        let environment = Environment {
            engine: &parts.engine,
            source: &*parts.source,
            samples: &*parts.samples,
            alerts: &*parts.alerts,
            state: &*parts.state,
            externals: &parts.externals,
            clock: &*parts.clock,
            elapsed,
            resend_delay_ms: parts.resend_delay_ms,
            metrics: &self.metrics,
            cancel: Some(&self.cancel),
        };
        match job {
            Job::Evaluate(group, ts) => group.evaluate(&environment, *ts),
            Job::End(group, removed_at) => group.end_series(&environment, *removed_at),
        }
    }
}

/// Says what is due.
struct Scheduler {
    shared: Arc<Shared>,
    jobs: Sender<Job>,
    items: Vec<Item>,
}

struct Item {
    group: Arc<Group>,
    slots: Slots,
    /// When it is due.
    next: Timestamp,
    is_running: bool,
    /// For a group that is removed: when that was.
    removed_at: Option<Timestamp>,
}

impl Scheduler {
    fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let now = self.shared.parts().clock.now();
            let sleep = self.dispatch(now);
            match inbox.recv_timeout(sleep) {
                Ok(Message::Changed(removed)) => {
                    let now = self.shared.parts().clock.now();
                    self.change(&removed, now);
                }
                Ok(Message::Done(group)) => {
                    let done = self.items.iter_mut().find(|item| Arc::ptr_eq(&item.group, &group));
                    if let Some(item) = done {
                        item.is_running = false;
                    }
                }
                Ok(Message::Stop) => return,
                Err(_) => {} // time has passed
            }
        }
    }

    /// Hands out what is due; how long nothing else is.
    fn dispatch(&mut self, now: Timestamp) -> Duration {
        let mut sleep = SLEEP_MAX;
        let mut ended = Vec::new();
        for (index, item) in self.items.iter_mut().enumerate().filter(|(_, item)| !item.is_running)
        {
            if item.removed_at.is_none() && item.slots.is_lost(item.next, now) {
                item.next = item.slots.next_after(now);
            }
            let Some((ts, missed)) = item.slots.due(item.next, now) else {
                let wait = Duration::from_millis(item.next.0.abs_diff(now.0));
                sleep = sleep.min(wait);
                continue;
            };
            let job = match item.removed_at {
                Some(at) => Job::End(Arc::clone(&item.group), at),
                None => Job::Evaluate(Arc::clone(&item.group), ts),
            };
            match self.jobs.try_send(job) {
                Ok(()) if item.removed_at.is_some() => ended.push(index),
                Ok(()) => {
                    let metrics = &item.group.metrics;
                    metrics.iterations.add(missed.saturating_add(1));
                    metrics.missed.add(missed);
                    item.is_running = true;
                    item.next = ts.saturating_add(item.slots.interval_ms());
                }
                // All threads are busy: one of them will say that it is done.
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => break,
            }
        }
        ended.into_iter().rev().for_each(|index| drop(self.items.remove(index)));
        sleep
    }

    fn change(&mut self, removed: &[Arc<Group>], now: Timestamp) {
        let groups = self.shared.running.groups();
        let is_in = |all: &[Arc<Group>], group: &Arc<Group>| {
            all.iter().any(|other| Arc::ptr_eq(other, group))
        };
        self.items.retain_mut(|item| {
            if is_in(removed, &item.group) {
                // Whoever takes its series over has written them by then.
                item.removed_at = Some(now);
                item.is_running = false;
                item.next = now.saturating_add(item.slots.interval_ms().saturating_mul(2));
            }
            item.removed_at.is_some() || is_in(&groups, &item.group)
        });
        for group in groups.iter() {
            if !self.items.iter().any(|item| Arc::ptr_eq(&item.group, group)) {
                let slots = group.slots();
                let group = Arc::clone(group);
                let next = slots.next_after(now);
                self.items.push(Item { group, slots, next, is_running: false, removed_at: None });
            }
        }
    }
}
