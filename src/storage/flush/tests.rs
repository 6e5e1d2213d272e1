//! Flushes of any windows, among writes and crashes, against a plain map.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use crate::model::labels::METRIC_NAME;
use crate::model::{Labels, ManualClock, Sample, Selector, SeriesData, Timestamp, WriteBatch};
use crate::storage::window::{DAY_MS, WINDOW_MS, Window, WindowCut};
use crate::storage::{BatchSeries, Store, StoreOptions};

/// 2026-11-21 00:00 UTC.
const MIDNIGHT: i64 = 1_795_219_200_000;
/// The windows that are written to: on both sides of midnight.
const WINDOWS: i64 = 5;

type Content = BTreeMap<u32, BTreeMap<i64, u64>>;

fn open(dir: &Path) -> Store {
    let clock = Arc::new(ManualClock::new(Timestamp(MIDNIGHT + DAY_MS)));
    let options = StoreOptions { disk_free_bytes_min: 0, ..StoreOptions::new(dir, clock) };
    Store::open(options, &|_| {}).expect("opens")
}

fn labels(series: u32) -> Labels {
    let name = format!("s{series}");
    Labels::from_pairs([(METRIC_NAME, &*name)]).expect("valid")
}

/// Writes samples; they are on disk when this returns.
fn write(store: &Store, samples: &[(u32, i64, f64)]) {
    let appender = store.appender();
    let sets: Vec<Labels> = samples.iter().map(|(series, _, _)| labels(*series)).collect();
    let numbers = appender.get_or_create(&sets);
    let sample = |(_, t, value): &(u32, i64, f64)| Sample::new(Timestamp(*t), *value);
    let samples = samples.iter().map(sample).collect();
    let batch = WriteBatch { samples, ..WriteBatch::default() };
    let series = BatchSeries { samples: numbers, ..BatchSeries::default() };
    let (sender, done) = std::sync::mpsc::sync_channel(1);
    let acknowledge = Box::new(move |written: Result<(), _>| {
        sender.send(written.is_ok()).expect("waited for");
    });
    appender.append(&batch, series, acknowledge).expect("queued");
    assert_eq!(done.recv(), Ok(true));
}

fn read(store: &Store) -> Content {
    let everything = Selector::new(&[], Timestamp::MIN, Timestamp::MAX);
    let set = store.source().select(&everything).expect("selected");
    let (mut content, mut data) = (Content::new(), SeriesData::default());
    for index in 0..set.len() {
        set.read(index, &mut data).expect("read");
        let series = set.labels(index).metric_name()[1..].parse().expect("a number");
        let bits = data.values.iter().map(|value| value.to_bits());
        let samples = data.timestamps.iter().copied().zip(bits).collect();
        assert!(content.insert(series, samples).is_none(), "each series once");
    }
    content.retain(|_, samples| !samples.is_empty());
    content
}

fn journals(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("journal")).expect("listed").count()
}

fn window(number: i64) -> Window {
    Window::from_number(Window::of(MIDNIGHT).number() - 2 + number)
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(u32, i64, u8)>),
    /// Of the windows up to one and from another one on.
    Flush(i64, i64),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let sample = (0u32..5, 0..WINDOWS * WINDOW_MS / 1000, any::<u8>());
    prop_oneof![
        5 => prop::collection::vec(sample, 1..20).prop_map(Step::Write),
        4 => (-1..WINDOWS, 0..WINDOWS + 2).prop_map(|(up_to, from)| Step::Flush(up_to, from)),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_sample_is_lost_or_twice_whatever_windows_are_flushed(
        steps in prop::collection::vec(step(), 1..16)
    ) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut store = open(dir.path());
        let mut written = Content::new();
        for step in steps {
            match step {
                Step::Write(samples) => {
                    let sample = |(series, second, value): (u32, i64, u8)| {
                        (series, window(0).start() + second * 1000, f64::from(value) / 8.0)
                    };
                    let samples: Vec<_> = samples.into_iter().map(sample).collect();
                    write(&store, &samples);
                    for (series, t, value) in samples {
                        written.entry(series).or_default().insert(t, value.to_bits());
                    }
                }
                Step::Flush(up_to, from) => {
                    let cut = WindowCut { up_to: window(up_to), from: window(from) };
                    store.inner.flush(cut).expect("flushed");
                }
                Step::Crash => {
                    drop(store);
                    store = open(dir.path());
                }
            }
            prop_assert_eq!(&read(&store), &written);
        }
        drop(store);
        prop_assert_eq!(read(&open(dir.path())), written);
    }
}

#[test]
fn a_journal_goes_when_the_last_of_its_windows_is_flushed() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    let at = |number: i64| window(number).start() + 1000;
    let flush = |up_to, from| {
        let cut = WindowCut { up_to: window(up_to), from: window(from) };
        store.inner.flush(cut).expect("flushed");
    };
    write(&store, &[(0, at(0), 1.0), (1, at(4), 2.0)]);
    flush(0, 9);
    assert_eq!(journals(dir.path()), 2, "the last window is in the first journal only");
    write(&store, &[(0, at(1), 3.0), (0, at(2), 4.0), (1, at(4) + 1, 5.0)]);
    flush(1, 4);
    assert_eq!(journals(dir.path()), 2, "the second holds what lies between");
    write(&store, &[(0, at(2) + 1, 6.0)]);
    flush(2, 4);
    assert_eq!(journals(dir.path()), 1);
    let samples = |all: &[(i64, f64)]| all.iter().map(|(t, v)| (*t, v.to_bits())).collect();
    let first = [(at(0), 1.0), (at(1), 3.0), (at(2), 4.0), (at(2) + 1, 6.0)];
    let second = [(at(4), 2.0), (at(4) + 1, 5.0)];
    let expected = Content::from([(0, samples(&first)), (1, samples(&second))]);
    assert_eq!(read(&store), expected);
}
