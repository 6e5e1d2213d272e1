//! Files written by format version 1 must decode to this content for ever.
//!
//! The files lie in `tests/fixtures/format-v1`. A change of the format adds a directory and leaves
//! this one alone. To write them anew (only before a release that carries them):
//! `TIDEWATCH_WRITE_FIXTURES=1 cargo test --lib fixtures`.

use std::path::PathBuf;

use ::bytes::Bytes;

use super::exemplars;
use crate::model::histogram::{
    BucketSpan, CounterResetHint, FloatHistogram, Histogram, IntHistogram,
};
use crate::model::source::HistogramPoint;
use crate::model::{Exemplar, Labels, STALE_NAN_BITS, SeriesData, Timestamp};
use crate::storage::columns::{Columns, ColumnsBuilder};
use crate::storage::pack::{Pack, PackWriter};

const NOON: i64 = 1_795_262_400_000;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-v1").join(name)
}

/// The stored file; written first when that is asked for.
fn fixture(name: &str, write: impl FnOnce() -> Vec<u8>) -> Bytes {
    if std::env::var_os("TIDEWATCH_WRITE_FIXTURES").is_some() {
        std::fs::write(path(name), write()).expect("write the fixture");
    }
    Bytes::from(std::fs::read(path(name)).expect("read the fixture"))
}

/// Numbers without a pattern, from 0 to 2^31 - 1.
fn scattered(i: usize) -> i64 {
    ((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as i64
}

/// One timestamp column of every form.
fn timestamp_columns() -> Vec<Vec<i64>> {
    let grid = |i: usize| NOON + 15_000 * i as i64;
    let late = |i: usize| grid(i) + scattered(i) % 6;
    vec![
        (0..60).map(grid).collect(),
        (0..60).map(late).collect(),
        (0..63).filter(|i| !(20..23).contains(i)).map(late).collect(),
        (0..60).map(|i| NOON + (i as i64).pow(4)).collect(),
        vec![i64::MIN, -1, i64::MAX],
        vec![NOON],
    ]
}

/// Value columns of every form, each as long as the timestamp column of that index.
fn value_columns() -> Vec<(u32, Vec<f64>)> {
    let column = |f: &dyn Fn(usize) -> f64| (0..60).map(f).collect::<Vec<_>>();
    let count = |i: usize| (0..=i).map(|j| scattered(j) % 900).sum::<i64>();
    let mut stale = column(&|i| count(i) as f64 / 100.0);
    stale[59] = f64::from_bits(STALE_NAN_BITS);
    let mut odd = column(&|i| count(i) as f64);
    (odd[7], odd[30]) = (-0.0, f64::NEG_INFINITY);
    vec![
        (0, vec![0.0; 60]),
        (1, vec![1.0; 60]),
        (0, vec![-12.5; 60]),
        (2, vec![f64::from_bits(0x7ff8_dead_beef_0001); 60]),
        (0, column(&|i| 5.0 + 3.0 * i as f64)),
        (3, column(&|i| (scattered(i) % 1000) as f64)),
        (1, column(&|i| (count(i) * 4096) as f64)),
        (0, column(&|i| (i * i * 50 + i % 3) as f64)),
        (0, column(&|i| if i % 23 == 5 { 1e9 } else { 7.0 + (i % 2) as f64 })),
        (1, column(&|i| scattered(i) as f64 * 1e-9)),
        (0, stale),
        (0, odd),
        (3, column(&|i| f64::from_bits(scattered(i) as u64 * 0x1_0000_0001))),
        (4, vec![1.0, f64::MAX, 5e-324]),
        (5, vec![f64::NAN]),
    ]
}

fn histogram_points() -> Vec<HistogramPoint> {
    let int = |i: usize| IntHistogram {
        counter_reset_hint: CounterResetHint::from_number(i as i64 / 3),
        schema: 3,
        zero_threshold: 1e-128,
        zero_count: i as u64,
        count: 100 + 12 * i as u64,
        sum: 2.5 * i as f64,
        positive_spans: vec![BucketSpan { offset: -2, length: 3 }],
        positive_deltas: vec![10 + i as i64, -3, 4 * i as i64],
        negative_spans: vec![BucketSpan { offset: 1, length: 1 }],
        negative_deltas: vec![i as i64],
        custom_values: Vec::new(),
    };
    let custom = |i: usize| FloatHistogram {
        schema: -53,
        count: 10.5 * i as f64,
        sum: -0.0,
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
        positive_buckets: vec![0.25, i as f64],
        custom_values: vec![0.1, 2.5],
        ..FloatHistogram::default()
    };
    (0..12)
        .map(|i| HistogramPoint {
            timestamp: NOON + 7 + 15_000 * i as i64,
            start_timestamp: if i < 6 { 0 } else { NOON },
            histogram: match i < 8 {
                true => Histogram::Int(int(i)),
                false => Histogram::Float(custom(i)),
            },
        })
        .collect()
}

/// Series ids, timestamp columns and samples of the pack.
fn series() -> Vec<(u32, Option<u32>, SeriesData)> {
    let columns = timestamp_columns();
    let mut series: Vec<_> = value_columns()
        .into_iter()
        .enumerate()
        .map(|(i, (column, values))| {
            let timestamps = columns[column as usize].clone();
            let data = SeriesData { timestamps, values, ..SeriesData::default() };
            (i as u32 * i as u32, Some(column), data)
        })
        .collect();
    series[1].2.start_timestamps = (0..60).map(|i| NOON * i64::from(i > 20)).collect();
    series[2].2.histograms = histogram_points();
    let alone = SeriesData { histograms: histogram_points(), ..SeriesData::default() };
    series.push((u32::MAX, None, alone));
    series
}

fn exemplar_list() -> Vec<Exemplar> {
    (0..20)
        .map(|i| {
            let id = format!("{:016x}", scattered(i));
            Exemplar {
                labels: Labels::from_pairs([("trace_id", id.as_str())]).expect("valid labels"),
                value: scattered(i) as f64 / 1000.0,
                timestamp: Timestamp(NOON + 500 * i as i64),
            }
        })
        .collect()
}

#[test]
fn columns_of_version_1_decode() {
    let block = fixture("columns.bin", || {
        let mut builder = ColumnsBuilder::new();
        for column in timestamp_columns() {
            builder.push(&column);
        }
        builder.finish().remove(0)
    });
    let columns = Columns::open([block]).expect("open the fixture");
    assert_eq!(columns.len(), timestamp_columns().len());
    for (index, expected) in timestamp_columns().iter().enumerate() {
        let mut out = Vec::new();
        columns.decode(index as u32, &mut out).expect("decode the column");
        assert_eq!(&out, expected);
    }
}

#[test]
fn packs_of_version_1_decode() {
    let bytes = fixture("pack.bin", || {
        let mut writer = PackWriter::new();
        for (id, column, data) in series() {
            assert_eq!(writer.push(id, column, &data), Ok(None));
        }
        writer.finish().expect("a pack").bytes
    });
    let pack = Pack::open(bytes).expect("open the fixture");
    assert_eq!(pack.len(), series().len());
    for (chunk, (id, column, data)) in pack.iter().zip(series()) {
        assert_eq!((chunk.series_id, chunk.column), (id, column));
        let mut out = SeriesData::default();
        chunk.decode_into(&data.timestamps, &mut out).expect("decode the chunk");
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&out.values), bits(&data.values), "series {id}");
        assert_eq!(out.timestamps, data.timestamps);
        assert_eq!(out.start_timestamps, data.start_timestamps);
        assert_eq!(format!("{:?}", out.histograms), format!("{:?}", data.histograms));
    }
}

#[test]
fn exemplars_of_version_1_decode() {
    for (name, count) in [("exemplars.bin", 20), ("exemplars-few.bin", 1)] {
        let bytes = fixture(name, || {
            let mut out = Vec::new();
            exemplars::encode(&exemplar_list()[..count], &mut out).expect("within limits");
            out
        });
        let mut out = Vec::new();
        exemplars::decode(&bytes, &mut out).expect("decode the fixture");
        assert_eq!(out, exemplar_list()[..count]);
    }
}
