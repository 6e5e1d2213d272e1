//! The store as a whole, against a plain map.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use tidewatch::ingest::{Ingest, WriteMode};
use tidewatch::model::histogram_reset::mark_continuations;
use tidewatch::model::source::HistogramPoint;
use tidewatch::model::{
    Exemplar, FloatHistogram, Histogram, Interrupt, Interrupted, Labels, ManualClock, MatchOp,
    Matcher, Sample, Selector, SeriesData, SeriesEntry, SourceError, Timestamp, WriteBatch,
};
use tidewatch::storage::window::WINDOW_MS;
use tidewatch::storage::{Store, StoreOptions};

/// 2026-11-21 00:00 UTC.
const MIDNIGHT: i64 = 1_795_219_200_000;

fn open(dir: &Path) -> Arc<Store> {
    let clock = Arc::new(ManualClock::new(Timestamp(MIDNIGHT + 86_400_000)));
    let options = StoreOptions { disk_free_bytes_min: 0, ..StoreOptions::new(dir, clock) };
    Arc::new(Store::open(options, &|_| {}).expect("opens"))
}

fn close(store: Arc<Store>) {
    Arc::into_inner(store).expect("only user").close().expect("closes");
}

fn labels(host: u32) -> Labels {
    let host = format!("host-{host}");
    let metric = if host.ends_with('1') { "down" } else { "up" };
    Labels::from_pairs([("__name__", metric), ("host", host.as_str()), ("job", "test")])
        .expect("valid")
}

fn write(store: &Arc<Store>, samples: &[(u32, i64, f64)]) {
    let sets: Vec<Labels> = samples.iter().map(|(host, _, _)| labels(*host)).collect();
    let mut batch = WriteBatch::default();
    for (set, (_, timestamp, value)) in sets.iter().zip(samples) {
        batch.push_sample(set, Sample::new(Timestamp(*timestamp), *value));
    }
    let ingest = Ingest::new(Arc::clone(store));
    let outcome =
        ingest.submit(&batch, WriteMode::Partial).expect("taken").wait().expect("durable");
    assert_eq!((outcome.samples, outcome.rejected), (samples.len() as u64, 0));
}

type Content = BTreeMap<String, BTreeMap<i64, u64>>;

fn read(store: &Store, matchers: &[Matcher], start: i64, end: i64) -> Content {
    let (start, end) = (Timestamp(start), Timestamp(end));
    let set = store.source().select(&Selector::new(matchers, start, end)).expect("selected");
    let mut content = Content::new();
    let mut data = SeriesData::default();
    for index in 0..set.len() {
        set.read(index, &mut data).expect("read");
        assert!(data.timestamps.windows(2).all(|w| w[0] < w[1]), "ascending");
        let bits = data.values.iter().map(|value| value.to_bits());
        let samples: BTreeMap<i64, u64> = data.timestamps.iter().copied().zip(bits).collect();
        if !samples.is_empty() {
            content.insert(set.labels(index).to_string(), samples);
        }
    }
    content
}

fn read_all(store: &Store) -> Content {
    read(store, &[], i64::MIN, i64::MAX)
}

fn expected(samples: &[(u32, i64, f64)]) -> Content {
    let mut content = Content::new();
    for (host, timestamp, value) in samples {
        let series = content.entry(labels(*host).to_string()).or_default();
        series.insert(*timestamp, value.to_bits());
    }
    content
}

#[test]
fn samples_are_there_before_and_after_a_flush_and_a_restart() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let samples: Vec<(u32, i64, f64)> = (0..40)
        .flat_map(|i| (0..20).map(move |host| (host, MIDNIGHT + i * 300_000, f64::from(host))))
        .collect();
    let store = open(dir.path());
    write(&store, &samples);
    assert_eq!(read_all(&store), expected(&samples));
    store.flush().expect("flushed");
    assert_eq!(read_all(&store), expected(&samples));
    let more: Vec<_> = (0..20).map(|host| (host, MIDNIGHT + 3 * WINDOW_MS + 7, 0.5)).collect();
    write(&store, &more);
    drop(store);
    let all: Vec<_> = samples.iter().chain(&more).copied().collect();
    let store = open(dir.path());
    assert_eq!(read_all(&store), expected(&all));
    close(store);
    let store = open(dir.path());
    assert_eq!(read_all(&store), expected(&all));
    assert_eq!(store.metrics().recovered_samples.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn a_flush_leaves_nothing_in_the_journal() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    for round in 0..3 {
        write(&store, &[(1, MIDNIGHT + round, 1.0), (2, MIDNIGHT + WINDOW_MS + round, 2.0)]);
        store.flush().expect("flushed");
    }
    let journals = std::fs::read_dir(dir.path().join("journal")).expect("listed").count();
    assert_eq!(journals, 1, "only the current file is left");
    assert_eq!(read_all(&store).values().map(BTreeMap::len).sum::<usize>(), 6);
}

#[test]
fn the_newest_write_wins_across_head_and_partitions() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    for value in [1.0, 2.0, 3.0] {
        write(&store, &[(5, MIDNIGHT, value)]);
        assert_eq!(read_all(&store), expected(&[(5, MIDNIGHT, value)]));
        store.flush().expect("flushed");
        assert_eq!(read_all(&store), expected(&[(5, MIDNIGHT, value)]));
    }
    write(&store, &[(5, MIDNIGHT, 4.0)]);
    assert_eq!(read_all(&store), expected(&[(5, MIDNIGHT, 4.0)]));
}

#[test]
fn ranges_matchers_and_days_select() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    let day = 86_400_000;
    let samples: Vec<_> =
        (0..3).flat_map(|d| (0..12).map(move |h| (h, MIDNIGHT - d * day + 5, 1.0))).collect();
    write(&store, &samples);
    store.flush().expect("flushed");
    let yesterday = read(&store, &[], MIDNIGHT - day, MIDNIGHT - 1);
    assert_eq!(yesterday.len(), 12);
    assert!(yesterday.values().all(|samples| samples.len() == 1));
    let down = read(&store, &[Matcher::equal("__name__", "down")], i64::MIN, i64::MAX);
    assert_eq!(down.len(), 2);
    assert!(down.values().all(|samples| samples.len() == 3));
    let everything = Selector::new(&[], Timestamp::MIN, Timestamp::MAX);
    let source = store.source();
    assert_eq!(source.label_names(&everything).expect("names"), ["__name__", "host", "job"]);
    assert_eq!(source.label_values("__name__", &everything).expect("values"), ["down", "up"]);
    let only_down = [Matcher::equal("__name__", "down")];
    let selector = Selector { matchers: &only_down, ..everything };
    let hosts = source.label_values("host", &selector).expect("values");
    assert_eq!(hosts, ["host-1", "host-11"]);
}

#[test]
fn rejected_samples_are_named_and_whole_batches_rolled_back() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    let ingest = Ingest::new(Arc::clone(&store));
    let set = labels(0);
    let mut batch = WriteBatch::default();
    batch.push_sample(&set, Sample::new(Timestamp(MIDNIGHT), 1.0));
    batch.push_sample(&set, Sample::new(Timestamp(1_737_000_000_000_000), 1.0));
    batch.push_packed_sample(b"garbage", Sample::new(Timestamp(MIDNIGHT), 1.0));
    let error = ingest.submit(&batch, WriteMode::Whole).expect_err("rolled back").to_string();
    assert!(error.contains("in the future"), "{error}");
    assert!(read_all(&store).is_empty());
    let outcome =
        ingest.submit(&batch, WriteMode::Partial).expect("taken").wait().expect("durable");
    assert_eq!((outcome.samples, outcome.rejected, outcome.invalid_series), (1, 2, 1));
    assert_eq!(read_all(&store), expected(&[(0, MIDNIGHT, 1.0)]));
}

#[test]
fn rare_kinds_survive_flush_and_restart() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let set = labels(3);
    let histogram = Histogram::Float(FloatHistogram { count: 3.0, sum: 1.5, ..Default::default() });
    let point = HistogramPoint { timestamp: MIDNIGHT + 9, start_timestamp: 4, histogram };
    let exemplar = Exemplar { labels: labels(9), value: 0.25, timestamp: Timestamp(MIDNIGHT) };
    let batch = WriteBatch {
        series: vec![SeriesEntry {
            labels: set.as_packed(),
            samples: 1,
            histograms: 1,
            exemplars: 1,
        }],
        samples: vec![Sample { timestamp: Timestamp(MIDNIGHT), value: 1.0, start_timestamp: 7 }],
        histograms: vec![point.clone()],
        exemplars: vec![exemplar.clone()],
        metadata: Vec::new(),
    };
    let check = |store: &Store| {
        let (start, end) = (Timestamp::MIN, Timestamp::MAX);
        let source = store.source();
        let found = source.select(&Selector::new(&[], start, end)).expect("selected");
        let mut data = SeriesData::default();
        found.read(0, &mut data).expect("read");
        assert_eq!(data.start_timestamps, [7]);
        assert_eq!(data.histograms, std::slice::from_ref(&point));
        let exemplars = store.exemplars(&[Selector::new(&[], start, end)]).expect("read");
        assert_eq!(exemplars, [(set.clone(), vec![exemplar.clone()])]);
    };
    let store = open(dir.path());
    let ingest = Ingest::new(Arc::clone(&store));
    ingest.submit(&batch, WriteMode::Whole).expect("taken").wait().expect("durable");
    check(&store);
    drop((store, ingest));
    let store = open(dir.path());
    check(&store);
    store.flush().expect("flushed");
    check(&store);
}

/// A sender of more histograms in half an hour than one chunk takes once made every flush fail.
#[test]
fn more_histograms_than_a_chunk_takes_are_flushed_all_the_same() {
    const HISTOGRAMS: i64 = 70_000;
    let dir = tempfile::tempdir().expect("temporary directory");
    let set = labels(3);
    let point = |i: i64| HistogramPoint {
        timestamp: MIDNIGHT + i * 25,
        start_timestamp: 0,
        histogram: Histogram::Float(FloatHistogram { count: i as f64, ..Default::default() }),
    };
    let batch = WriteBatch {
        series: vec![SeriesEntry {
            labels: set.as_packed(),
            samples: 0,
            histograms: HISTOGRAMS as u32,
            exemplars: 0,
        }],
        histograms: (0..HISTOGRAMS).map(point).collect(),
        ..WriteBatch::default()
    };
    let store = open(dir.path());
    let ingest = Ingest::new(Arc::clone(&store));
    ingest.submit(&batch, WriteMode::Whole).expect("taken").wait().expect("durable");
    store.flush().expect("flushed");
    let selector = Selector::new(&[], Timestamp::MIN, Timestamp::MAX);
    let found = store.source().select(&selector).expect("selected");
    let mut data = SeriesData::default();
    found.read(0, &mut data).expect("read");
    assert_eq!(data.histograms.len(), HISTOGRAMS as usize);
    let mut wanted = batch.histograms;
    mark_continuations(&mut wanted, &[]);
    assert!(data.histograms == wanted, "every histogram is as it was, and goes on counting");
}

/// Samples that a bulk load has of one window.
const LOADED: i64 = 1_100_000;

/// A store at two hours past midnight, into which a window was loaded that begins at `start`.
fn loaded(dir: &Path, start: i64) -> Arc<Store> {
    let clock = Arc::new(ManualClock::new(Timestamp(MIDNIGHT + 7_000_000)));
    let options = StoreOptions { disk_free_bytes_min: 0, ..StoreOptions::new(dir, clock) };
    let store = Arc::new(Store::open(options, &|_| {}).expect("opens"));
    let set = labels(1);
    let mut batch = WriteBatch::default();
    for i in 0..LOADED {
        // values without a pattern, so that they fill the head
        let value = (i as f64 * 0.7).sin();
        batch.push_sample(&set, Sample::new(Timestamp(start + i), value));
    }
    let ingest = Ingest::new(Arc::clone(&store));
    ingest.submit(&batch, WriteMode::Whole).expect("taken").wait().expect("durable");
    store
}

/// Calls `meanwhile` now and then until the store has flushed; whether it did within half a minute.
fn is_flushed(store: &Arc<Store>, mut meanwhile: impl FnMut(i64)) -> bool {
    (0..600).any(|turn| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        meanwhile(turn);
        store.metrics().flushes.load(Ordering::Relaxed) > 0
    })
}

#[test]
fn a_bulk_load_of_the_present_window_is_flushed_when_it_is_over() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = loaded(dir.path(), MIDNIGHT);
    assert!(is_flushed(&store, |_| {}), "its window is not over, but the load is");
    assert_eq!(read_all(&store).values().map(BTreeMap::len).sum::<usize>(), LOADED as usize);
}

#[test]
fn a_window_of_a_bulk_load_is_flushed_when_the_load_went_on_to_the_next() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = loaded(dir.path(), MIDNIGHT - 20 * WINDOW_MS);
    let next = |turn| write(&store, &[(1, MIDNIGHT - 19 * WINDOW_MS + turn, 0.5)]);
    assert!(is_flushed(&store, next), "the load goes on, but its first window is complete");
    let kept = |part| std::fs::metadata(dir.path().join(part)).map_or(0, |file| file.len());
    assert!(kept("partitions/2026-11-20.redb") > 8 * LOADED as u64, "raw values take 8 bytes");
    assert!(read_all(&store).values().map(BTreeMap::len).sum::<usize>() > LOADED as usize);
}

#[test]
fn a_flush_leaves_no_hole_in_a_file() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    let mut bits = 1u64;
    let mut noise = || {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from_bits(bits >> 2 | 1 << 61)
    };
    let mut all = Content::new();
    for part in 0..3 {
        let start = MIDNIGHT + part * WINDOW_MS;
        let samples: Vec<(u32, i64, f64)> = (0..1500)
            .flat_map(|i| (0..64).map(move |host| (host, start + i * 4000)))
            .map(|(host, at)| (host, at, noise()))
            .collect();
        write(&store, &samples);
        for (series, samples) in expected(&samples) {
            all.entry(series).or_default().extend(samples);
        }
        store.flush().expect("flushed");
        let partition = std::fs::read_dir(dir.path().join("partitions")).expect("listed").next();
        let file = partition.expect("one day").expect("its file").metadata().expect("metadata");
        let hole = file.len().saturating_sub(file.blocks() * 512);
        assert!(hole <= 256 << 10, "{hole} of {}", file.len());
        assert_eq!(read_all(&store), all);
    }
    close(store);
    assert_eq!(read_all(&open(dir.path())), all);
}

#[test]
fn expired_days_are_removed() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let clock = Arc::new(ManualClock::new(Timestamp(MIDNIGHT + 1000)));
    let options = StoreOptions {
        retention_ms: 2 * 86_400_000,
        disk_free_bytes_min: 0,
        ..StoreOptions::new(dir.path(), clock.clone())
    };
    let store = Arc::new(Store::open(options, &|_| {}).expect("opens"));
    write(&store, &[(1, MIDNIGHT - 86_400_000, 1.0), (1, MIDNIGHT, 2.0)]);
    store.flush().expect("flushed");
    clock.set(Timestamp(MIDNIGHT + 2 * 86_400_000 + 1));
    let expired = dir.path().join("partitions/2026-11-20.redb");
    for _ in 0..200 {
        if !expired.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(read_all(&store), expected(&[(1, MIDNIGHT, 2.0)]));
    assert!(!expired.exists());
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(u32, i64, u8)>),
    Flush,
    Restart,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let sample = (0u32..6, 0i64..4 * WINDOW_MS, any::<u8>());
    prop_oneof![
        6 => prop::collection::vec(sample, 1..40).prop_map(Step::Write),
        2 => Just(Step::Flush),
        1 => Just(Step::Restart),
        1 => Just(Step::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_order_of_writes_flushes_and_restarts_is_like_a_map(
        steps in prop::collection::vec(step(), 1..14)
    ) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut store = open(dir.path());
        let mut written = Vec::new();
        for step in steps {
            match step {
                Step::Write(samples) => {
                    let samples: Vec<_> = samples
                        .into_iter()
                        .map(|(host, t, v)| (host, MIDNIGHT + t / 1000 * 1000, f64::from(v) / 8.0))
                        .collect();
                    write(&store, &samples);
                    written.extend(samples);
                }
                Step::Flush => store.flush().expect("flushed"),
                Step::Restart => {
                    drop(store);
                    store = open(dir.path());
                }
                Step::Close => {
                    close(store);
                    store = open(dir.path());
                }
            }
            prop_assert_eq!(read_all(&store), expected(&written));
        }
    }
}

#[test]
fn a_store_stops_looking_when_nobody_waits() {
    let dir = tempfile::tempdir().expect("a directory");
    let samples: Vec<(u32, i64, f64)> =
        (0..600).map(|host| (host, MIDNIGHT + i64::from(host), 1.0)).collect();
    let store = open(dir.path());
    write(&store, &samples);
    let check = |store: &Store, place: &str| {
        let source = store.source();
        let cancel = Arc::new(AtomicBool::new(false));
        let interrupt = Interrupt::on(Arc::clone(&cancel));
        let any = |name| Matcher::new(MatchOp::Regex, name, "..*").expect("valid");
        let not = Matcher::new(MatchOp::NotRegex, "host", "host-.7").expect("valid");
        let matchers = [any("host"), any("job"), not];
        let whole = Selector::new(&matchers, Timestamp::MIN, Timestamp::MAX);
        let selector = Selector { interrupt: &interrupt, ..whole };
        let everything = Selector { matchers: &[], ..selector.clone() };
        let set = source.select(&selector).expect("selected");
        assert!(set.len() > 500, "{place}");
        cancel.store(true, Ordering::Relaxed);
        let canceled = |error| matches!(error, SourceError::Interrupted(Interrupted::Canceled));
        for selector in [&selector, &everything] {
            assert!(source.select(selector).is_err_and(canceled), "{place}");
            assert!(store.exemplars(std::slice::from_ref(selector)).is_err_and(canceled));
        }
        assert!(source.label_names(&selector).is_err_and(canceled), "{place}");
        assert!(source.label_values("host", &selector).is_err_and(canceled), "{place}");
        let read = set.read(0, &mut SeriesData::default());
        // What is in memory needs no decoding.
        assert_eq!(read.is_err_and(canceled), place == "partition", "{place}");
    };
    check(&store, "head");
    close(store);
    let store = open(dir.path());
    check(&store, "partition");
}
