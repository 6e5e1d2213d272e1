//! The thread that owns the StatsD state.
//!
//! In: chunks of lines and flush requests, in the order they came, through one bounded queue. Out:
//! batches to `ingest`. Never here: sockets, timers.
//!
//! A failed flush loses nothing but set sizes of that interval: counters and summaries are
//! cumulative, gauges keep their value, and the next flush writes them all again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::aggregate::Aggregator;
use super::metrics::{Counts, StatsdMetrics};
use crate::ingest::{Ingest, IngestError, WriteMode};
use crate::model::{Clock, Labels, MetricMetadata, MetricType, Sample, Timestamp, WriteBatch};

/// Most chunks waiting for the thread. A chunk is at most 64 KiB plus one datagram, so 32 MiB.
pub const QUEUE_CHUNKS_MAX: usize = 256;
/// Most samples handed to `ingest` at a time, so that a flush of many series does not hold up other
/// writers for long.
const BATCH_SAMPLES_MAX: usize = 10_000;

/// A message to the thread.
#[derive(Debug)]
pub enum Message {
    /// Lines separated by line feeds.
    Lines(Vec<u8>),
    /// Write everything now; the answer comes when it is on disk or failed.
    Flush(oneshot::Sender<()>),
}

/// What the thread works with.
#[derive(Debug)]
pub struct Worker {
    aggregator: Aggregator,
    ingest: Ingest,
    clock: Arc<dyn Clock>,
    metrics: Arc<StatsdMetrics>,
    failing: bool,
}

impl Worker {
    /// A worker with empty state.
    pub fn new(
        series_max: usize,
        ingest: Ingest,
        clock: Arc<dyn Clock>,
        metrics: Arc<StatsdMetrics>,
    ) -> Worker {
        Worker { aggregator: Aggregator::new(series_max), ingest, clock, metrics, failing: false }
    }

    /// Starts the thread; it ends when every sender of `inbox` is gone.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn spawn(mut self, mut inbox: mpsc::Receiver<Message>) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("statsd".into()).spawn(move || {
            while let Some(message) = inbox.blocking_recv() {
                self.handle(message);
            }
        })
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Lines(lines) => {
                let mut counts = Counts::default();
                self.aggregator.take_lines(&lines, self.clock.now(), &mut counts);
                self.metrics.add(&counts);
                self.metrics.series.store(self.aggregator.len() as u64, Ordering::Relaxed);
            }
            Message::Flush(answer) => {
                self.flush();
                // Nobody waits for the answer any more: nothing to tell.
                let _ = answer.send(());
            }
        }
    }

    fn flush(&mut self) {
        if self.aggregator.is_empty() {
            return;
        }
        match write(&mut self.aggregator, &self.ingest, self.clock.now()) {
            Ok(rejected) => self.report_success(rejected),
            Err(error) => self.report_failure(&error),
        }
        self.aggregator.start_interval();
    }

    fn report_success(&mut self, rejected: u64) {
        self.metrics.flushes.fetch_add(1, Ordering::Relaxed);
        if std::mem::take(&mut self.failing) {
            tracing::info!("statsd values are written again");
        }
        if rejected > 0 {
            tracing::warn!(rejected, "the store rejected some statsd samples");
        }
    }

    /// Logs the first failure of a row only: the metric counts all.
    fn report_failure(&mut self, error: &IngestError) {
        self.metrics.flush_errors.fetch_add(1, Ordering::Relaxed);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(%error, "cannot write statsd values, they are kept and tried again");
        }
    }
}

/// Hands all values to `ingest` and waits until they are on disk; returns how many were rejected.
fn write(aggregator: &mut Aggregator, ingest: &Ingest, now: Timestamp) -> Result<u64, IngestError> {
    let mut metadata = metadata(aggregator.undeclared());
    let mut submitted = Vec::new();
    for values in aggregator.values(now).chunks(BATCH_SAMPLES_MAX) {
        let mut batch = batch(values, now);
        batch.metadata = std::mem::take(&mut metadata);
        submitted.push(ingest.submit(&batch, WriteMode::Partial)?);
    }
    let mut rejected = 0;
    for part in submitted {
        rejected += part.wait()?.rejected;
    }
    aggregator.declared();
    Ok(rejected)
}

fn batch<'a>(values: &[(&'a Labels, f64)], now: Timestamp) -> WriteBatch<'a> {
    let mut batch = WriteBatch::default();
    for (labels, value) in values {
        batch.push_sample(labels, Sample::new(now, *value));
    }
    batch
}

fn metadata(families: &[(String, MetricType)]) -> Vec<(String, MetricMetadata)> {
    let declare = |metric_type| MetricMetadata { metric_type, ..MetricMetadata::default() };
    families.iter().map(|(name, metric_type)| (name.clone(), declare(*metric_type))).collect()
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
