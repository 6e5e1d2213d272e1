use super::*;
use crate::model::{ManualClock, Matcher, MetricType, Selector, SeriesData, Timestamp};
use crate::storage::{Store, StoreOptions};

/// 2026-11-21 00:00 UTC.
const NOW: i64 = 1_795_219_200_000;

fn open(dir: &std::path::Path, clock: &Arc<ManualClock>) -> Arc<Store> {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
    let options = StoreOptions { disk_free_bytes_min: 0, ..StoreOptions::new(dir, clock) };
    Arc::new(Store::open(options, &|_| {}).expect("opens"))
}

/// The values of one metric in the store, by time.
fn stored(store: &Store, name: &str) -> Vec<(i64, f64)> {
    let matchers = [Matcher::equal("__name__", name)];
    let selector = Selector::new(&matchers, Timestamp::MIN, Timestamp::MAX);
    let set = store.source().select(&selector).expect("selected");
    let mut points = Vec::new();
    let mut data = SeriesData::default();
    for index in 0..set.len() {
        set.read(index, &mut data).expect("read");
        points.extend(data.timestamps.iter().copied().zip(data.values.iter().copied()));
    }
    points
}

fn worker(
    series_max: usize,
    ingest: Ingest,
    clock: Arc<dyn Clock>,
    metrics: &Arc<StatsdMetrics>,
) -> Worker {
    let options = Options { series_max, ..Options::default() };
    let metrics = Arc::clone(metrics);
    Worker::new(&options, Resolver::default(), ingest, clock, metrics, None)
        .expect("no relay to start")
}

fn take(worker: &mut Worker, lines: &str) {
    let lines = Lines { origin: Default::default(), lines: lines.as_bytes().to_vec() };
    worker.handle(Message::Lines(lines));
}

fn flush(worker: &mut Worker) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let flushed = worker.flush();
    let written = runtime.block_on(flushed.written(&worker.metrics));
    worker.handle(Message::Written(written));
}

#[test]
fn every_flush_writes_all_series_and_each_type_once() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
    let store = open(dir.path(), &clock);
    let metrics = Arc::new(StatsdMetrics::default());
    let ingest = Ingest::new(Arc::clone(&store));
    let as_clock: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let mut worker = worker(100, ingest, as_clock, &metrics);
    flush(&mut worker);
    assert_eq!(metrics.get(Meter::Flushes), 0, "nothing to write yet");

    take(&mut worker, "jobs:2|c\nusers:ann|s\ntook:500|ms");
    flush(&mut worker);
    clock.advance_ms(10_000);
    take(&mut worker, "jobs:3|c");
    flush(&mut worker);
    assert_eq!(stored(&store, "jobs"), [(NOW, 2.0), (NOW + 10_000, 5.0)]);
    assert_eq!(stored(&store, "users"), [(NOW, 1.0), (NOW + 10_000, 0.0)]);
    assert_eq!(stored(&store, "took_sum"), [(NOW, 0.5), (NOW + 10_000, 0.5)]);
    assert_eq!(metrics.get(Meter::Flushes), 2);
    let (_, took) = &store.metadata(Some("took"))[0];
    assert_eq!(took[0].metric_type, MetricType::Summary);
}

#[test]
fn more_series_than_one_batch_takes_are_all_written() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
    let store = open(dir.path(), &clock);
    let metrics = Arc::new(StatsdMetrics::default());
    let ingest = Ingest::new(Arc::clone(&store));
    let count = BATCH_SERIES_MAX + 1;
    let mut worker = worker(count, ingest, clock, &metrics);
    let lines: String = (0..count).map(|i| format!("many:{i}|g|#i:{i}\n")).collect();
    take(&mut worker, &lines);
    flush(&mut worker);
    assert_eq!(stored(&store, "many").len(), count);
}

#[test]
fn counts_go_on_after_a_restart() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
    let rules = "mappings:\n\
        - {match: b, name: b, observer_type: histogram, buckets: [1]}\n\
        - {match: n, name: n, observer_type: histogram, \
           histogram_options: {native_histogram_bucket_factor: 2}}\n\
        - {match: old, name: old, ttl: 1m}\n";
    let lines = "c:5|c\ng:7|g\nt:500|ms\nb:0.5|h\nn:3|h\nold:1|c\nu:x|s";
    for run in 1..=3i64 {
        let store = open(dir.path(), &clock);
        let metrics = Arc::new(StatsdMetrics::default());
        let ingest = Ingest::new(Arc::clone(&store));
        let mapper = crate::statsd::Mapper::parse(std::path::Path::new("m"), rules);
        let mapper = mapper.expect("valid rules");
        let resolver = Resolver { mapper, ..Resolver::default() };
        let options = Options { series_max: 100, ..Options::default() };
        let memory = Some(Memory::new(Arc::clone(&store)));
        let as_clock: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let worker = Worker::new(&options, resolver, ingest, as_clock, metrics, memory);
        let mut worker = worker.expect("no relay to start");
        worker.recall();
        match run {
            1 => take(&mut worker, lines),
            // The first thing after the restart: what was there goes on by itself.
            2 => assert_eq!(worker.aggregator.len(), 7),
            _ => take(&mut worker, lines),
        }
        flush(&mut worker);
        let now = clock.now().as_millis();
        let last = |name| *stored(&store, name).last().expect("stored");
        let twice = if run == 3 { 2.0 } else { 1.0 };
        assert_eq!(last("c"), (now, 5.0 * twice));
        assert_eq!(last("g"), (now, 7.0));
        assert_eq!(last("t_sum"), (now, 0.5 * twice));
        assert_eq!(last("t_count"), (now, twice));
        assert_eq!(last("b_sum"), (now, 0.5 * twice));
        assert_eq!(stored(&store, "b_bucket").len(), 2 * run as usize);
        assert_eq!(last_native(&store, "n"), 3.0 * twice);
        assert_eq!(last("old").1, twice);
        drop(worker);
        Arc::try_unwrap(store).expect("the last").close().expect("closed");
        clock.advance_ms(30_000);
    }
}

fn last_native(store: &Store, name: &str) -> f64 {
    let matchers = [Matcher::equal("__name__", name)];
    let selector = Selector::new(&matchers, Timestamp::MIN, Timestamp::MAX);
    let set = store.source().select(&selector).expect("selected");
    let mut data = SeriesData::default();
    set.read(0, &mut data).expect("read");
    data.histograms.last().expect("a histogram").histogram.sum()
}
