//! The thread that owns the StatsD state.
//!
//! In: chunks of lines and orders, in the order they came, through one bounded queue. Out: batches
//! to `ingest`. Never here: sockets, timers, waiting: while a flush goes to disk lines are taken.
//!
//! A failed flush loses nothing but set sizes and past values of that interval: counters and sums
//! are cumulative, gauges keep their value, and the next flush writes them all again.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::aggregate::{Aggregator, split_lines};
use super::listen::{Lines, Options};
use super::memory::{Memory, NOTE_EVERY_MS};
use super::metrics::{Counts, Meter, StatsdMetrics};
use super::relay::Relay;
use super::resolve::Resolver;
use super::series::{Point, PointValue};
use super::status::{self, Report};
use crate::ingest::{Ingest, IngestError, Submitted, WriteMode};
use crate::model::source::HistogramPoint;
use crate::model::{Clock, Sample, SeriesEntry, Timestamp, WriteBatch};

/// Most chunks waiting for the thread. A chunk is at most 4 MiB, but nearly always about 64 KiB.
pub const QUEUE_CHUNKS_MAX: usize = 256;
/// Most stored series handed to `ingest` at a time, so that a flush of many does not hold up other
/// writers for long.
const BATCH_SERIES_MAX: usize = 10_000;

/// A message to the thread.
#[derive(Debug)]
pub enum Message {
    /// Lines of one origin.
    Lines(Lines),
    /// Hand everything to the store now; the answer says how to wait for the disk.
    Flush(oneshot::Sender<Flushed>),
    /// How the last flush ended.
    Written(Written),
    /// Take new rules.
    Reload(Box<Resolver>),
    /// Send what is packed for the relay target.
    Relay,
    /// Tell what is held; with a line, also what would become of it.
    Report(Option<String>, oneshot::Sender<Report>),
}

/// A flush on its way to disk.
#[derive(Debug, Default)]
pub struct Flushed {
    submitted: Vec<Submitted>,
    failed: Option<IngestError>,
    /// Families whose metadata went with it.
    declared: usize,
}

/// How a flush ended.
#[derive(Debug, Default)]
pub struct Written {
    failed: Option<IngestError>,
    rejected: u64,
    declared: usize,
}

impl Flushed {
    /// Waits until it is on disk or failed, and counts that.
    pub async fn written(self, metrics: &StatsdMetrics) -> Written {
        let nothing = self.submitted.is_empty() && self.failed.is_none();
        let mut written = Written { failed: self.failed, rejected: 0, declared: self.declared };
        for part in self.submitted {
            match part.durable().await {
                Ok(outcome) => written.rejected += outcome.rejected,
                Err(error) => written.failed = written.failed.or(Some(error)),
            }
        }
        match &written.failed {
            Some(_) => metrics.count(Meter::FlushErrors, 1),
            None if nothing => {}
            None => metrics.count(Meter::Flushes, 1),
        }
        written
    }
}

/// What the thread works with.
#[derive(Debug)]
pub struct Worker {
    aggregator: Aggregator,
    ingest: Ingest,
    clock: Arc<dyn Clock>,
    metrics: Arc<StatsdMetrics>,
    relay: Option<Relay>,
    /// What is kept over a restart; `None` when nothing is.
    memory: Option<Memory>,
    /// When that was told last.
    noted: Timestamp,
    failing: bool,
}

impl Worker {
    /// A worker with empty state.
    ///
    /// # Errors
    /// The relay cannot be started.
    pub fn new(
        options: &Options,
        resolver: Resolver,
        ingest: Ingest,
        clock: Arc<dyn Clock>,
        metrics: Arc<StatsdMetrics>,
        memory: Option<Memory>,
    ) -> io::Result<Worker> {
        let relay = options.relay.as_ref();
        let relay = relay.map(|relay| Relay::start(relay, Arc::clone(&metrics))).transpose()?;
        let mut aggregator = Aggregator::new(options.series_max);
        metrics.set(Meter::Mappings, resolver.mapper.rules().len() as u64);
        aggregator.set_resolver(resolver);
        let noted = Timestamp::MIN;
        Ok(Worker { aggregator, ingest, clock, metrics, relay, memory, noted, failing: false })
    }

    /// Starts the thread; it ends when every sender of `inbox` is gone.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn spawn(mut self, mut inbox: mpsc::Receiver<Message>) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("statsd".into()).spawn(move || {
            self.recall();
            while let Some(message) = inbox.blocking_recv() {
                self.handle(message);
            }
        })
    }

    /// Goes on where the last run ended.
    fn recall(&mut self) {
        let Some(memory) = &self.memory else { return };
        let now = self.clock.now();
        match memory.recall(now) {
            Ok((definitions, values)) => {
                self.aggregator.restore(definitions, &values, now);
                let series = self.aggregator.len();
                tracing::debug!(series, "statsd series of the last run go on");
            }
            Err(error) => {
                tracing::warn!(error, "statsd counts start anew: what was kept cannot be read");
            }
        }
    }

    /// Keeps what there is for the next run; before its values are written, so that there is no
    /// value without a series to go on from it.
    fn remember(&mut self, now: Timestamp) {
        let changes = self.aggregator.take_changes();
        let Some(memory) = &self.memory else { return };
        let due = now.as_millis() >= self.noted.saturating_add(NOTE_EVERY_MS).as_millis();
        if changes.is_empty() && !due {
            return;
        }
        match memory.keep(&changes, now) {
            Ok(()) => self.noted = now,
            Err(error) => {
                self.aggregator.give_changes_back(changes);
                tracing::debug!(%error, "cannot keep statsd series for the next start");
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Lines(lines) => self.take(&lines),
            Message::Flush(answer) => {
                let flushed = self.flush();
                // Nobody waits for the answer any more: nothing to tell.
                let _ = answer.send(flushed);
            }
            Message::Written(written) => self.report(&written),
            Message::Reload(resolver) => {
                self.metrics.count(Meter::Reloads, 1);
                self.metrics.set(Meter::Mappings, resolver.mapper.rules().len() as u64);
                self.aggregator.set_resolver(*resolver);
            }
            Message::Relay => {
                if let Some(relay) = &mut self.relay {
                    relay.flush();
                }
            }
            Message::Report(explain, answer) => {
                let report = status::report(&self.aggregator, &self.metrics, explain.as_deref());
                let _ = answer.send(report);
            }
        }
    }

    fn take(&mut self, lines: &Lines) {
        let mut counts = Counts::default();
        self.aggregator.take_lines(lines.origin, &lines.lines, self.clock.now(), &mut counts);
        self.metrics.add(&counts);
        self.metrics.set(Meter::Series, self.aggregator.len() as u64);
        self.metrics.set(Meter::StoredSeries, self.aggregator.stored() as u64);
        if let Some(relay) = &mut self.relay {
            split_lines(&lines.lines).for_each(|line| relay.push(line));
        }
    }

    /// Hands everything to the store; the caller waits for the disk.
    fn flush(&mut self) -> Flushed {
        let mut flushed = Flushed::default();
        if self.aggregator.is_empty() {
            return flushed;
        }
        let now = self.clock.now();
        let mut counts = Counts::default();
        self.aggregator.settle(now, &mut counts);
        self.metrics.add(&counts);
        self.remember(now);
        let mut metadata = self.aggregator.undeclared().to_vec();
        flushed.declared = metadata.len();
        let points = self.aggregator.points(now);
        for points in points.chunks(BATCH_SERIES_MAX) {
            let mut batch = batch(points);
            batch.metadata = std::mem::take(&mut metadata);
            match self.ingest.submit(&batch, WriteMode::Partial) {
                Ok(submitted) => flushed.submitted.push(submitted),
                Err(error) => {
                    flushed.failed = Some(error);
                    break;
                }
            }
        }
        self.aggregator.start_interval();
        flushed
    }

    /// Logs the first failure of a row only: the metric counts all.
    fn report(&mut self, written: &Written) {
        if let Some(error) = &written.failed {
            if !std::mem::replace(&mut self.failing, true) {
                tracing::warn!(%error, "cannot write statsd values, they are kept and tried again");
            }
            return;
        }
        self.aggregator.declared(written.declared);
        if std::mem::take(&mut self.failing) {
            tracing::info!("statsd values are written again");
        }
        if written.rejected > 0 {
            tracing::warn!(rejected = written.rejected, "the store rejected some statsd samples");
        }
    }
}

fn batch<'a>(points: &'a [Point<'a>]) -> WriteBatch<'a> {
    let mut batch = WriteBatch::default();
    for point in points {
        match &point.value {
            PointValue::Float(value) => {
                batch.push_sample(point.labels, Sample::new(point.timestamp, *value));
            }
            PointValue::Histogram(histogram) => {
                let labels = point.labels.as_packed();
                batch.series.push(SeriesEntry { labels, samples: 0, histograms: 1, exemplars: 0 });
                batch.histograms.push(HistogramPoint {
                    timestamp: point.timestamp.as_millis(),
                    start_timestamp: 0,
                    histogram: (**histogram).clone(),
                });
            }
        }
    }
    batch
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
