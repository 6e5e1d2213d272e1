//! What the benches on a real store share: a store with generated series in a temporary directory.

use std::sync::Arc;

use tempfile::TempDir;
use tidewatch::ingest::{Ingest, WriteMode};
use tidewatch::model::{Labels, ManualClock, Sample, SeriesEntry, Timestamp, WriteBatch};
use tidewatch::storage::{Store, StoreOptions};

/// Time between two samples of a series.
pub const STEP_MS: i64 = 15_000;
pub const HOUR_MS: i64 = 3_600_000;
/// Noon of a day, so that no bench crosses midnight: 2025-11-21 12:00:00 UTC.
pub const NOON: i64 = 1_763_726_400_000;
/// Series of one batch.
const SERIES_PER_BATCH: usize = 1000;

/// A store whose clock the bench moves.
pub struct Filled {
    pub store: Arc<Store>,
    pub clock: Arc<ManualClock>,
    ingest: Ingest,
    _dir: TempDir,
}

impl Filled {
    /// An empty store whose present is `now` (ms).
    pub fn new(now: i64) -> Filled {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let clock = Arc::new(ManualClock::new(Timestamp(now)));
        let options = StoreOptions::new(dir.path(), clock.clone());
        let store = Arc::new(Store::open(options, &|_| ()).expect("the store opens"));
        Filled { ingest: Ingest::new(Arc::clone(&store)), store, clock, _dir: dir }
    }

    /// Writes the samples of every set at `start`, `start + STEP_MS`, ... before `end`, durably.
    pub fn write(&self, sets: &[Labels], start: i64, end: i64) {
        let times = || (start..end).step_by(STEP_MS as usize);
        for (chunk, sets) in sets.chunks(SERIES_PER_BATCH).enumerate() {
            let mut batch = WriteBatch::default();
            for (i, set) in sets.iter().enumerate() {
                let labels = set.as_packed();
                let samples = times().count() as u32;
                batch.series.push(SeriesEntry { labels, samples, histograms: 0, exemplars: 0 });
                let number = chunk * SERIES_PER_BATCH + i;
                let sample = |at: i64| Sample::new(Timestamp(at), value(number, at / STEP_MS));
                batch.samples.extend(times().map(sample));
            }
            let submitted = self.ingest.submit(&batch, WriteMode::Whole).expect("accepted");
            submitted.wait().expect("durable");
        }
    }
}

/// Value of a series at a step: counters, decimals, and two thirds constants.
fn value(series: usize, step: i64) -> f64 {
    let seed = (series as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    match series % 6 {
        0 => (seed as i64 + (step % 100_000) * (seed as i64 % 97)) as f64,
        1 => (seed as f64 + ((step * 37 + seed as i64) % 1000) as f64).round() / 100.0,
        _ => (seed % 3) as f64,
    }
}

/// Series `number` of a metric that has one for each of eight modes on each host.
pub fn cpu_series(number: usize) -> Labels {
    let (instance, mode) = (format!("host-{:04}", number / 8), format!("mode-{}", number % 8));
    labels(&[
        ("__name__", "node_cpu_seconds_total"),
        ("instance", &instance),
        ("job", "node"),
        ("mode", &mode),
    ])
}

/// Series `number` of `metrics` metrics that every host has.
pub fn host_series(number: usize, metrics: usize) -> Labels {
    let (metric, instance) = (
        format!("node_metric_{}_total", number % metrics),
        format!("host-{:04}", number / metrics),
    );
    labels(&[
        ("__name__", &metric),
        ("cluster", "eu-west-1-production"),
        ("env", "production"),
        ("instance", &instance),
        ("job", "node"),
        ("namespace", "monitoring"),
    ])
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).expect("valid labels")
}
