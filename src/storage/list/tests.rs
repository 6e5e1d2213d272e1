//! What is listed of series that begin, end or pause within a window, in the head and on disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use tempfile::TempDir;

use super::PARALLEL_SERIES;
use crate::model::histogram::{Histogram, IntHistogram};
use crate::model::labels::METRIC_NAME;
use crate::model::source::HistogramPoint;
use crate::model::{Labels, ManualClock, Matcher, Sample, Selector, SeriesSource};
use crate::model::{Timestamp, WriteBatch};
use crate::storage::window::{DAY_MS, WINDOW_MS, Window};
use crate::storage::{BatchSeries, Store, StoreOptions};

/// 2026-11-21 00:00 UTC.
const MIDNIGHT: i64 = 1_795_219_200_000;

struct World {
    store: Store,
    source: Arc<dyn SeriesSource>,
    _dir: TempDir,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().expect("temporary directory");
        let clock = Arc::new(ManualClock::new(Timestamp(MIDNIGHT + DAY_MS)));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        let options = StoreOptions {
            disk_free_bytes_min: 0,
            pool: Some(Arc::new(pool)),
            ..StoreOptions::new(dir.path(), clock)
        };
        let store = Store::open(options, &|_| {}).expect("opens");
        World { source: store.source(), store, _dir: dir }
    }

    /// Appends samples at these times, in ms after midnight.
    fn floats(&self, name: &str, times: &[i64]) {
        let sample = |t: &i64| Sample::new(Timestamp(MIDNIGHT + t), *t as f64 * 0.1);
        let samples = times.iter().map(sample).collect();
        self.append(name, WriteBatch { samples, ..WriteBatch::default() });
    }

    /// Appends histograms at these times, in ms after midnight.
    fn histograms(&self, name: &str, times: &[i64]) {
        let point = |t: &i64| HistogramPoint {
            timestamp: MIDNIGHT + t,
            start_timestamp: 0,
            histogram: Histogram::Int(IntHistogram::default()),
        };
        let histograms = times.iter().map(point).collect();
        self.append(name, WriteBatch { histograms, ..WriteBatch::default() });
    }

    fn append(&self, name: &str, batch: WriteBatch<'_>) {
        let appender = self.store.appender();
        let number = appender.get_or_create(&[labels(name)])[0];
        let series = BatchSeries {
            samples: vec![number; batch.samples.len()],
            histograms: vec![number; batch.histograms.len()],
            exemplars: Vec::new(),
        };
        appender.append(&batch, series, Box::new(|_| ())).expect("queued");
    }

    /// The metrics listed of a stretch of time, in ms after midnight. All of them are among the names
    /// and values.
    fn listed(&self, start: i64, end: i64) -> Vec<String> {
        let (start, end) = (start.saturating_add(MIDNIGHT), end.saturating_add(MIDNIGHT));
        let matching = [Matcher::equal("job", "test")];
        let mut answers = BTreeSet::new();
        for matchers in [&[][..], &matching] {
            let selector = Selector::new(matchers, Timestamp(start), Timestamp(end));
            let values = self.source.label_values(METRIC_NAME, &selector).expect("listed");
            let names = self.source.label_names(&selector).expect("listed");
            let series = self.source.series(&selector).expect("listed");
            let metrics: Vec<String> = series.iter().map(|s| s.metric_name().to_owned()).collect();
            for metric in &metrics {
                assert!(values.contains(metric) && names.contains(&format!("of_{metric}")));
            }
            answers.insert(metrics);
        }
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.pop_first().expect("one")
    }

    /// Values of a label from `start` to `end`, in ms after midnight.
    fn values(&self, name: &str, start: i64, end: i64) -> Vec<String> {
        let selector = Selector::new(&[], Timestamp(MIDNIGHT + start), Timestamp(MIDNIGHT + end));
        self.source.label_values(name, &selector).expect("listed")
    }
}

/// A series with a label that no other one has.
fn labels(name: &str) -> Labels {
    let own = format!("of_{name}");
    Labels::from_pairs([("__name__", name), (own.as_str(), "1"), ("job", "test")]).expect("valid")
}

/// Series that begin or end within two windows.
fn filled() -> World {
    let world = World::new();
    world.floats("early", &[100, 200]);
    world.floats("late", &[300, 400]);
    world.floats("disordered", &[500, 450, 550]);
    world.histograms("histograms", &[350, 360, 370]);
    world.floats("kinds", &[250, 260]);
    world.histograms("kinds", &[420, 430]);
    world.floats("next", &[WINDOW_MS + 100, WINDOW_MS + 200]);
    world
}

fn check(world: &World) {
    let none: [&str; 0] = [];
    assert_eq!(world.listed(0, 99), none);
    assert_eq!(world.listed(0, 100), ["early"]);
    assert_eq!(world.listed(201, 249), none);
    assert_eq!(world.listed(0, 299), ["early", "kinds"]);
    assert_eq!(world.listed(355, 358), ["histograms", "late"]);
    assert_eq!(world.listed(401, 419), none);
    assert_eq!(world.listed(425, 480), ["disordered", "kinds"]);
    assert_eq!(world.listed(551, WINDOW_MS + 99), none);
    assert_eq!(world.listed(WINDOW_MS, 2 * WINDOW_MS - 1), ["next"], "a window as a whole");
    assert_eq!(world.listed(550, i64::MAX), ["disordered", "next"]);
    assert_eq!(world.listed(400, 300), none);
    let all = ["disordered", "early", "histograms", "kinds", "late", "next"];
    assert_eq!(world.listed(0, DAY_MS - 1), all);
    assert_eq!(world.listed(-MIDNIGHT, i64::MAX), all);
}

#[test]
fn a_series_is_listed_while_it_has_samples_in_the_head() {
    check(&filled());
}

#[test]
fn a_series_is_listed_while_it_has_samples_in_a_partition() {
    let world = filled();
    world.store.flush().expect("flushed");
    check(&world);
}

#[test]
fn a_series_of_the_head_is_listed_by_its_flushed_samples() {
    let world = filled();
    world.store.flush().expect("flushed");
    for name in ["early", "late", "next"] {
        world.floats(name, &[5 * WINDOW_MS + 7]);
    }
    assert_eq!(world.listed(0, 299), ["early", "kinds"]);
    assert_eq!(world.listed(0, 5 * WINDOW_MS), all_names(&world));
    assert_eq!(world.listed(WINDOW_MS, 5 * WINDOW_MS + 6), ["next"]);
    assert_eq!(world.listed(WINDOW_MS, 5 * WINDOW_MS + 7), ["early", "late", "next"]);
    world.store.flush().expect("flushed");
    assert_eq!(world.listed(300, 310), ["late"]);
    assert_eq!(world.listed(5 * WINDOW_MS, 6 * WINDOW_MS), ["early", "late", "next"]);
}

#[test]
fn names_and_values_are_those_of_the_windows_in_the_head_and_of_the_days_on_disk() {
    let world = World::new();
    world.floats("today", &[WINDOW_MS + 100]);
    assert_eq!(world.values("of_today", WINDOW_MS, WINDOW_MS + 50), ["1"]);
    assert_eq!(world.values(METRIC_NAME, 0, WINDOW_MS - 1), [] as [&str; 0]);
    world.floats("yesterday", &[-DAY_MS + 100]);
    world.store.flush().expect("flushed");
    assert_eq!(world.values(METRIC_NAME, WINDOW_MS, WINDOW_MS + 50), ["today"]);
    assert_eq!(world.values(METRIC_NAME, -DAY_MS, -DAY_MS + 99), ["yesterday"]);
    assert_eq!(world.values("job", -DAY_MS, DAY_MS), ["test"]);
}

#[test]
fn many_series_of_several_days_are_listed_once_and_in_order() {
    let world = World::new();
    let names: Vec<String> =
        (0..PARALLEL_SERIES / 2 + 10).map(|n| format!("s{:04}", n * 7919 % 9973)).collect();
    for (position, name) in names.iter().enumerate() {
        match position % 3 {
            0 => world.floats(name, &[100]),
            1 => world.floats(name, &[-DAY_MS + 100]),
            _ => world.floats(name, &[-DAY_MS + 100, 100, WINDOW_MS + 100]),
        }
    }
    for name in names.iter().rev().step_by(2) {
        world.floats(name, &[-2 * DAY_MS + 100, 2 * WINDOW_MS]);
    }
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(world.listed(-3 * DAY_MS, DAY_MS), sorted);
    world.store.flush().expect("flushed");
    world.floats(&names[3], &[3 * WINDOW_MS]);
    assert_eq!(world.listed(-3 * DAY_MS, DAY_MS), sorted);
}

fn all_names(world: &World) -> Vec<String> {
    let everything = Selector::new(&[], Timestamp::MIN, Timestamp::MAX);
    world.source.label_values("__name__", &everything).expect("listed")
}

#[test]
fn random_series_are_listed_by_their_samples() {
    let world = World::new();
    let mut state = 7u64;
    let mut below = |limit: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((state >> 33) as i64) % limit
    };
    let mut samples: Vec<(String, BTreeSet<i64>)> =
        (0..40).map(|n| (format!("s{n:02}"), BTreeSet::new())).collect();
    for round in 0..4 {
        for (name, all) in &mut samples {
            let from = below(2 * DAY_MS) - DAY_MS;
            let count = below(5);
            let times: Vec<i64> = (0..count).map(|_| from + below(2 * WINDOW_MS)).collect();
            all.extend(&times);
            world.floats(name, &times);
        }
        if round < 3 {
            world.store.flush().expect("flushed");
        }
    }
    for _ in 0..60 {
        let start = below(2 * DAY_MS + WINDOW_MS) - DAY_MS;
        let length = 1 << (10 + below(17)); // 1 s to more than a day
        let end = start + below(length);
        let listed: BTreeSet<String> = world.listed(start, end).into_iter().collect();
        for (name, all) in &samples {
            let has_sample = all.range(start..=end).next().is_some();
            assert!(!has_sample || listed.contains(name), "{name} from {start} to {end}");
            let may_be = spans(all).any(|(first, last)| first <= end && last >= start);
            assert!(may_be || !listed.contains(name), "{name} from {start} to {end}");
        }
    }
}

/// First and last time of each window.
fn spans(times: &BTreeSet<i64>) -> impl Iterator<Item = (i64, i64)> {
    let windows: BTreeSet<Window> = times.iter().map(|t| Window::of(*t)).collect();
    windows.into_iter().map(|window| {
        let within = || times.range(window.start()..=window.last());
        let first = within().next().expect("a window of its samples");
        (*first, *within().next_back().expect("a window of its samples"))
    })
}
