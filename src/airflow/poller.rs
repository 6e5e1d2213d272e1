//! The threads: one an instance, so that a slow or broken one disturbs no other.
//!
//! In: the instances to watch. Out: samples through `ingest`, and after each pass what has to be
//! remembered. A pass that is cut off at any point is repeated from what was remembered last:
//! counters come from remembered totals, so samples that are written again are the same.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::client::Client;
use super::counters::{self, Counters, Point};
use super::error::PollError;
use super::family::{self, FAMILIES, Kind};
use super::gauges::{self, Gauge};
use super::options::InstanceOptions;
use super::poll::{Points, Poll};
use super::state::State;
use crate::ingest::{Ingest, WriteMode};
use crate::model::labels::METRIC_NAME;
use crate::model::{
    Clock, Labels, MatchOp, Matcher, MetricMetadata, MetricType, Sample, Selector, SeriesData,
    SourceError, Timestamp, WriteBatch, is_stale_nan, stale_nan,
};
use crate::storage::Store;

/// Longest pause after failures: a request a minute costs nobody anything, and who comes back wants
/// to be seen.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// Samples handed over at a time.
const BATCH_SAMPLES_MAX: usize = 10_000;
/// How often unchanged counters are written: often enough for a look-back of five minutes.
const UNCHANGED_INTERVAL_MS: i64 = 60_000;
/// How long a query may still find a gauge that nobody ended: PromQL's look-back, and some more.
const GAUGES_LIVE_MS: i64 = 10 * 60 * 1000;
/// Key of the time until which all counters were written.
const WRITTEN_KEY: &str = "written";
/// What becomes the label `job`.
const JOB: &str = "airflow";

/// The running pollers.
#[derive(Debug)]
pub struct Pollers {
    store: Weak<Store>,
    clock: Arc<dyn Clock>,
    running: HashMap<String, Running>,
}

#[derive(Debug)]
struct Running {
    options: InstanceOptions,
    stop: Stop,
    thread: JoinHandle<()>,
}

/// Tells a thread to stop, also when dropped.
#[derive(Debug)]
struct Stop {
    flag: Arc<AtomicBool>,
    _wake: Sender<()>,
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.flag.store(true, Ordering::Relaxed);
    }
}

impl Pollers {
    /// No pollers yet. They do not keep the store open.
    pub fn new(store: Weak<Store>, clock: Arc<dyn Clock>) -> Pollers {
        Pollers { store, clock, running: HashMap::new() }
    }

    /// Watches exactly `instances` from now on; those that did not change are left alone.
    pub fn set(&mut self, instances: &[InstanceOptions]) {
        let mut before = std::mem::take(&mut self.running);
        for options in instances {
            let old = before.remove(&options.name);
            let running = match old {
                Some(old) if old.options == *options && !old.thread.is_finished() => Some(old),
                // The new one begins when the old one has put down what they both remember.
                old => self.start(options, old.map(Running::stop)),
            };
            if let Some(running) = running {
                self.running.insert(options.name.clone(), running);
            }
        }
    }

    /// Number of pollers.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    fn start(&self, options: &InstanceOptions, before: Option<JoinHandle<()>>) -> Option<Running> {
        let (wake, sleep) = bounded(0);
        let flag = Arc::new(AtomicBool::new(false));
        let stop = Stop { flag: Arc::clone(&flag), _wake: wake };
        let (store, clock) = (Weak::clone(&self.store), Arc::clone(&self.clock));
        let own = options.clone();
        let run = move || {
            if let Some(before) = before {
                drop(before.join()); // a panic was its own
            }
            watch(&own, &store, &clock, &Signal { flag, sleep });
        };
        let thread = std::thread::Builder::new().name("tidewatch-airflow".to_owned()).spawn(run);
        match thread {
            Ok(thread) => Some(Running { options: options.clone(), stop, thread }),
            Err(error) => {
                tracing::error!("airflow {} is not watched: {error}", options.name);
                None
            }
        }
    }
}

impl Running {
    fn stop(self) -> JoinHandle<()> {
        drop(self.stop);
        self.thread
    }
}

/// The thread's side of [`Stop`].
struct Signal {
    flag: Arc<AtomicBool>,
    sleep: Receiver<()>,
}

impl Signal {
    fn is_stopped(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    fn sleep(&self, pause: Duration) {
        if self.sleep.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
            self.flag.store(true, Ordering::Relaxed);
        }
    }
}

/// A thread's life. Options that cannot be used now (a certificate that is not there yet) are tried
/// again.
fn watch(options: &InstanceOptions, store: &Weak<Store>, clock: &Arc<dyn Clock>, signal: &Signal) {
    let mut is_logged = false;
    while !signal.is_stopped() {
        match Worker::new(options.clone(), Weak::clone(store), Arc::clone(clock)) {
            Ok(worker) => return worker.run(signal),
            Err(PollError::Stopped) => return,
            Err(error) if !std::mem::replace(&mut is_logged, true) => {
                tracing::error!("airflow {} is not watched: {error}", options.name);
            }
            Err(_) => {}
        }
        write_down(options, store, clock.now());
        signal.sleep(options.inventory_interval);
    }
}

/// `up` of an instance that cannot even be asked.
fn write_down(options: &InstanceOptions, store: &Weak<Store>, now: Timestamp) {
    let common = common_labels(options);
    let pairs = common.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let labels = Labels::from_pairs(pairs.chain([(METRIC_NAME, "up")]));
    let (Ok(labels), Some(store)) = (labels, store.upgrade()) else { return };
    let mut batch = WriteBatch::default();
    batch.push_sample(&labels, Sample::new(now, 0.0));
    let written = Ingest::new(store).submit(&batch, WriteMode::Partial);
    if let Err(error) = written.and_then(|submitted| submitted.wait()) {
        tracing::debug!("airflow {}: {error}", options.name);
    }
}

/// The labels of every series of an instance.
fn common_labels(options: &InstanceOptions) -> Vec<(String, String)> {
    let mut labels = vec![
        ("job".to_owned(), JOB.to_owned()),
        ("instance".to_owned(), options.name.clone()),
        ("airflow".to_owned(), options.name.clone()),
    ];
    labels.extend(options.labels.iter().cloned());
    labels
}

/// One instance's thread.
pub(super) struct Worker {
    options: InstanceOptions,
    store: Weak<Store>,
    clock: Arc<dyn Clock>,
    client: Client,
    state: State,
    counters: Counters,
    common: Vec<(String, String)>,
    written: HashMap<Labels, bool>,
    inventory_at: Option<Timestamp>,
    all_at: Timestamp,
    /// What could not be remembered yet.
    unsaved: Vec<(String, Option<Vec<u8>>)>,
    is_declared: bool,
    failures: u32,
    last_warning: String,
}

impl Worker {
    pub(super) fn new(
        options: InstanceOptions,
        store: Weak<Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Worker, PollError> {
        let common = common_labels(&options);
        let mut worker = Worker {
            client: Client::new(options.clone())?,
            state: State::new(options.slas.clone()),
            counters: Counters::new(common.clone()),
            store,
            clock,
            common,
            written: HashMap::new(),
            inventory_at: None,
            all_at: Timestamp::MIN,
            unsaved: Vec::new(),
            is_declared: false,
            failures: 0,
            last_warning: String::new(),
            options,
        };
        worker.recall()?;
        worker.recall_gauges()?;
        Ok(worker)
    }

    fn owner(&self) -> String {
        format!("airflow/{}", self.options.name)
    }

    fn recall(&mut self) -> Result<(), PollError> {
        let Some(store) = self.store.upgrade() else { return Err(PollError::Stopped) };
        let rows = store.remembered(&self.owner());
        for (key, bytes) in rows.map_err(|error| PollError::Store(error.to_string()))? {
            match key.split('\0').next() {
                Some(counters::KEY) => self.counters.restore(&key, &bytes),
                Some(WRITTEN_KEY) => {
                    let at = serde_json::from_slice(&bytes).unwrap_or_default();
                    self.counters.written_until(Timestamp(at));
                }
                _ => self.state.restore(&key, &bytes),
            }
        }
        Ok(())
    }

    /// Finds the gauges that an earlier process wrote last and had no time to end: those that are
    /// not there any more get their stale markers with the first pass.
    fn recall_gauges(&mut self) -> Result<(), PollError> {
        let Some(store) = self.store.upgrade() else { return Err(PollError::Stopped) };
        let failed = |error: SourceError| PollError::Store(error.to_string());
        let names: Vec<&str> = gauges::HELP.iter().map(|(name, _)| *name).collect();
        let named = Matcher::new(MatchOp::Regex, METRIC_NAME, names.join("|"));
        let named = named.map_err(|error| PollError::Options(error.to_string()))?;
        let own = self.common.iter().map(|(name, value)| Matcher::equal(name, value));
        let matchers: Vec<Matcher> = own.chain([named]).collect();
        let end = self.clock.now();
        let start = end.saturating_sub(GAUGES_LIVE_MS);
        let set = store.source().select(&Selector::new(&matchers, start, end));
        let set = set.map_err(failed)?;
        let mut data = SeriesData::default();
        for index in 0..set.len() {
            set.read(index, &mut data).map_err(failed)?;
            if data.values.last().is_some_and(|value| !is_stale_nan(*value)) {
                self.written.insert(set.labels(index).clone(), false);
            }
        }
        Ok(())
    }

    fn run(mut self, signal: &Signal) {
        while !signal.is_stopped() {
            let begin = Instant::now();
            let is_caught_up = self.pass(&|| signal.is_stopped());
            if !signal.is_stopped() {
                signal.sleep(self.pause(begin.elapsed(), is_caught_up));
            }
        }
        let now = self.clock.now();
        let gone =
            self.written.keys().map(|labels| (labels.clone(), Sample::new(now, stale_nan())));
        let gone: Vec<Point> = gone.collect();
        if let Err(error) = self.write(gone) {
            tracing::debug!("airflow {}: no stale markers: {error}", self.options.name);
        }
    }

    /// At least as long as the pass took: at most half of an instance's time is ours.
    fn pause(&self, took: Duration, is_caught_up: bool) -> Duration {
        let interval = self.options.poll_interval;
        if self.failures > 0 {
            let doubled = interval.saturating_mul(1 << (self.failures - 1).min(10));
            return doubled.min(BACK_OFF_MAX.max(interval));
        }
        match is_caught_up {
            true => interval.saturating_sub(took).max(took),
            false => took,
        }
    }

    /// One pass, with everything that follows from it; whether the cursor has reached the present.
    pub(super) fn pass(&mut self, is_stopped: &dyn Fn() -> bool) -> bool {
        let begin = Instant::now();
        let now = self.clock.now();
        let due = self.options.inventory_interval.as_millis() as i64;
        let with_inventory = self.inventory_at.is_none_or(|at| now.0 - at.0 >= due);
        let mut points = Points::default();
        let mut poll =
            Poll::new(&mut self.client, &mut self.state, &self.options.dags, now, is_stopped);
        poll.with_inventory = with_inventory;
        poll.backfill_ms = i64::try_from(self.options.backfill.as_millis()).unwrap_or(i64::MAX);
        let result = poll.run(&mut points);
        if let Err(PollError::Stopped) = result {
            return true;
        }
        if result.is_ok() && with_inventory {
            self.inventory_at = Some(now);
        }
        self.report(&result, &points.warnings);
        let is_up = result.is_ok();
        if !is_up {
            let at = now;
            self.state.count(&family::POLL_FAILURES, Vec::new(), at);
            self.client.forget_version();
        }
        points.gauges.extend(self.own(is_up, begin.elapsed()));
        let is_caught_up = points.is_caught_up;
        if let Err(error) = self.hand_over(points, is_up, now) {
            tracing::warn!("airflow {}: {error}", self.options.name);
        }
        is_caught_up
    }

    fn own(&self, is_up: bool, took: Duration) -> [Gauge; 4] {
        let lag = self.clock.now().0.saturating_sub(self.state.cursor().read_until).max(0);
        [
            gauges::gauge("up", &[], f64::from(u8::from(is_up))),
            gauges::gauge("scrape_duration_seconds", &[], took.as_secs_f64()),
            gauges::gauge("airflow_poll_lag_seconds", &[], lag as f64 / 1e3),
            gauges::gauge("airflow_poll_requests", &[], self.client.requests() as f64),
        ]
    }

    /// Logs the first failure of a row, and each warning when it changes.
    fn report(&mut self, result: &Result<(), PollError>, warnings: &[String]) {
        let name = &self.options.name;
        match result {
            Ok(()) if self.failures > 0 => tracing::info!("airflow {name} answers again"),
            Err(error) if self.failures == 0 => tracing::warn!("airflow {name}: {error}"),
            _ => {}
        }
        self.failures = match result {
            Ok(()) => 0,
            Err(_) => self.failures.saturating_add(1),
        };
        let warning = warnings.join("; ");
        if result.is_ok() && warning != self.last_warning {
            if !warning.is_empty() {
                tracing::warn!("airflow {name}: {warning}");
            }
            self.last_warning = warning;
        }
    }

    /// Writes the samples, and when they are on disk what has to be remembered.
    fn hand_over(&mut self, points: Points, is_up: bool, now: Timestamp) -> Result<(), PollError> {
        let mut out = Vec::new();
        let occurrences = self.state.take_occurrences();
        self.counters.apply(occurrences, now, &mut out);
        let is_due = now.0.saturating_sub(self.all_at.0) >= UNCHANGED_INTERVAL_MS;
        if is_up && points.is_caught_up && (is_due || !out.is_empty()) {
            let at = now.0.to_string().into_bytes();
            self.remember(vec![(WRITTEN_KEY.to_owned(), Some(at))])?;
            self.counters.all(now, &mut out);
            self.all_at = now;
        }
        self.gauge_points(points, is_up, now, &mut out);
        self.write(out)?;
        let mut changes = self.state.changes();
        changes.extend(self.counters.changes());
        self.remember(changes)
    }

    /// Keeps what cannot be remembered now for the next time.
    fn remember(&mut self, changes: Vec<(String, Option<Vec<u8>>)>) -> Result<(), PollError> {
        self.unsaved.extend(changes);
        let Some(store) = self.store.upgrade() else { return Err(PollError::Stopped) };
        let remembered = store.remember(&self.owner(), &self.unsaved);
        remembered.map_err(|error| PollError::Store(error.to_string()))?;
        self.unsaved.clear();
        Ok(())
    }

    /// Gauges as samples; those that were there before and are gone get a stale marker. The rarely
    /// read ones are judged only when they were read.
    fn gauge_points(&mut self, points: Points, is_up: bool, now: Timestamp, out: &mut Vec<Point>) {
        let with_inventory = points.inventory.is_some();
        let mut present = HashMap::new();
        let inventory = points.inventory.unwrap_or_default();
        let groups = [(points.gauges, false), (inventory, true)];
        for (gauges, is_rare) in groups {
            for gauge in gauges {
                match self.labels(&gauge) {
                    Ok(labels) => {
                        out.push((labels.clone(), Sample::new(now, gauge.value)));
                        present.insert(labels, is_rare);
                    }
                    Err(error) => tracing::debug!("gauge {} left out: {error}", gauge.name),
                }
            }
        }
        for (labels, is_rare) in std::mem::take(&mut self.written) {
            if present.contains_key(&labels) {
                continue;
            }
            if is_rare && is_up && !with_inventory {
                present.insert(labels, is_rare);
            } else {
                out.push((labels, Sample::new(now, stale_nan())));
            }
        }
        self.written = present;
        if !is_up {
            self.inventory_at = None;
        }
    }

    fn labels(&self, gauge: &Gauge) -> Result<Labels, crate::model::LabelError> {
        let common = self.common.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let own = gauge.labels.iter().map(|(name, value)| (*name, value.as_str()));
        Labels::from_pairs(common.chain(own).chain([(METRIC_NAME, gauge.name)]))
    }

    fn write(&mut self, points: Vec<Point>) -> Result<(), PollError> {
        let Some(store) = self.store.upgrade() else { return Err(PollError::Stopped) };
        let ingest = Ingest::new(store);
        let failed = |error: crate::ingest::IngestError| PollError::Store(error.to_string());
        for part in points.chunks(BATCH_SAMPLES_MAX) {
            let mut batch = WriteBatch::default();
            for (labels, sample) in part {
                batch.push_sample(labels, *sample);
            }
            if !self.is_declared {
                batch.metadata = metadata();
            }
            let submitted = ingest.submit(&batch, WriteMode::Partial).map_err(failed)?;
            let outcome = submitted.wait().map_err(failed)?;
            self.is_declared = true;
            if let Some(reason) = outcome.reasons.first() {
                let rejected = outcome.rejected;
                tracing::debug!("airflow {}: {rejected} rejected: {reason}", self.options.name);
            }
        }
        Ok(())
    }
}

fn metadata() -> Vec<(String, MetricMetadata)> {
    let entry = |family: &&'static family::Family| {
        let metric_type = match family.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Histogram => MetricType::Histogram,
        };
        let help = family.help.to_owned();
        (family.name.to_owned(), MetricMetadata { metric_type, help, ..MetricMetadata::default() })
    };
    let gauge = |(name, help): &(&str, &str)| {
        let (metric_type, help) = (MetricType::Gauge, (*help).to_owned());
        ((*name).to_owned(), MetricMetadata { metric_type, help, ..MetricMetadata::default() })
    };
    FAMILIES.iter().map(entry).chain(gauges::HELP.iter().map(gauge)).collect()
}

#[cfg(test)]
#[path = "poller_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "replay_tests.rs"]
mod replay;
