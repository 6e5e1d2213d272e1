use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::model::SeriesData;
use crate::model::histogram::{Histogram, IntHistogram};
use crate::model::source::HistogramPoint;
use crate::storage::chunk::CodecError;

fn floats(values: &[f64]) -> SeriesData {
    SeriesData {
        timestamps: (0..values.len() as i64).map(|i| 1000 + i * 15).collect(),
        values: values.to_vec(),
        ..SeriesData::default()
    }
}

fn histogram(timestamp: i64) -> HistogramPoint {
    let h = IntHistogram { count: timestamp as u64, sum: 0.5, ..IntHistogram::default() };
    HistogramPoint { timestamp, start_timestamp: 3, histogram: Histogram::Int(h) }
}

fn write(series: &[(u32, SeriesData)]) -> Vec<FinishedPack> {
    let mut writer = PackWriter::new();
    let mut packs = Vec::new();
    for (id, data) in series {
        let column = (!data.values.is_empty()).then_some(*id % 3);
        packs.extend(writer.push(*id, column, data).unwrap());
    }
    packs.extend(writer.finish());
    packs
}

fn same(a: &SeriesData, b: &SeriesData) -> bool {
    let bits = |d: &SeriesData| d.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    a.timestamps == b.timestamps
        && bits(a) == bits(b)
        && a.start_timestamps == b.start_timestamps
        && a.histograms == b.histograms
}

/// Checks that the packs hold exactly `series`, and their sizes.
fn check(series: &[(u32, SeriesData)], packs: &[FinishedPack]) {
    let mut expected = series.iter();
    for finished in packs {
        let pack = Pack::open(Bytes::from(finished.bytes.clone())).unwrap();
        assert!(pack.len() == 1 || finished.bytes.len() <= PACK_TARGET_BYTES);
        assert_eq!(pack.series_ids().next(), Some(finished.first_series_id));
        assert_eq!(pack.series_ids().last(), Some(finished.last_series_id));
        for chunk in pack.iter() {
            let (id, data) = expected.next().unwrap();
            assert_eq!(chunk.series_id, *id);
            assert_eq!(chunk.column, (!data.values.is_empty()).then_some(*id % 3));
            let mut out = SeriesData::default();
            let found = pack.find(*id).unwrap();
            found.decode_into(&data.timestamps, &mut out).unwrap();
            assert!(same(&out, data), "series {id}");
        }
        assert!(pack.find(finished.last_series_id + 1).is_none());
    }
    assert!(expected.next().is_none());
}

#[test]
fn nothing_makes_no_pack() {
    assert_eq!(PackWriter::new().finish(), None);
}

#[test]
fn constant_series_cost_almost_nothing_but_are_limited() {
    let series: Vec<_> = (0..10_000).map(|id| (id, floats(&[0.0; 120]))).collect();
    let packs = write(&series);
    assert_eq!(packs.len(), 3);
    assert!(packs[0].bytes.len() < 4096 / 2, "{}", packs[0].bytes.len());
    check(&series, &packs);
}

#[test]
fn packs_are_closed_just_under_the_target() {
    let series: Vec<_> = (0..4000u32)
        .map(|id| {
            let step = id.wrapping_mul(2_654_435_761) >> 20;
            let values: Vec<f64> =
                (0..120u32).map(|i| f64::from(i * step + (i * i * 31 + id) % 57)).collect();
            (id * 2, floats(&values))
        })
        .collect();
    let packs = write(&series);
    assert!(packs.len() > 5);
    for pack in &packs[..packs.len() - 1] {
        assert!(pack.bytes.len() > PACK_TARGET_BYTES - 300, "{}", pack.bytes.len());
    }
    check(&series, &packs);
}

#[test]
fn a_chunk_larger_than_the_target_has_its_own_pack() {
    let mut state = 1u64;
    let noise: Vec<f64> = (0..20_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            f64::from_bits(state)
        })
        .collect();
    let series = [(1, floats(&[1.0])), (2, floats(&noise)), (3, floats(&[2.0]))];
    let packs = write(&series);
    assert_eq!(packs.len(), 3);
    check(&series, &packs);
}

#[test]
fn too_many_samples_are_refused_and_the_writer_goes_on() {
    let mut writer = PackWriter::new();
    assert_eq!(writer.push(1, Some(0), &floats(&[4.0])), Ok(None));
    let error = writer.push(2, Some(0), &floats(&vec![0.0; (1 << 21) + 1])).unwrap_err();
    assert!(matches!(error, CodecError::LimitExceeded { .. }));
    assert_eq!(writer.push(3, Some(0), &floats(&[5.0])), Ok(None));
    let pack = Pack::open(writer.finish().unwrap().bytes.into()).unwrap();
    assert_eq!(pack.series_ids().collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn histograms_and_starts_travel_with_floats_or_alone() {
    let mut both = floats(&[1.5, 2.5]);
    both.histograms = vec![histogram(1001), histogram(1002)];
    both.start_timestamps = vec![7, 0];
    let alone = SeriesData { histograms: vec![histogram(5)], ..SeriesData::default() };
    let series = [(4, both), (9, alone), (10, floats(&[0.0, 0.0])), (11, SeriesData::default())];
    check(&series, &write(&series));
}

#[test]
fn a_wrong_timestamp_column_is_refused() {
    let pack = write(&[(1, floats(&[0.0, 0.0]))]).remove(0);
    let pack = Pack::open(pack.bytes.into()).unwrap();
    let mut out = SeriesData::default();
    assert!(pack.find(1).unwrap().decode_into(&[1], &mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn every_prefix_is_an_error() {
    let series: Vec<_> =
        (0..20u32).map(|id| (id * id, floats(&[0.5, f64::from(id), 7.25, 9.0]))).collect();
    let bytes = write(&series).remove(0).bytes;
    for end in 0..bytes.len() {
        assert!(Pack::open(Bytes::copy_from_slice(&bytes[..end])).is_err(), "prefix of {end}");
    }
}

fn series() -> impl Strategy<Value = Vec<(u32, SeriesData)>> {
    let value = prop_oneof![
        3 => Just(0.0),
        2 => (0i32..2000).prop_map(|v| f64::from(v) / 4.0),
        1 => any::<u64>().prop_map(f64::from_bits),
    ];
    let values = prop_oneof![
        (value.clone(), 0usize..200).prop_map(|(v, n)| vec![v; n]),
        prop::collection::vec(value, 0..300),
    ];
    prop::collection::vec((1u32..50, values), 0..120).prop_map(|list| {
        let mut id = 0;
        list.iter()
            .map(|(gap, values)| {
                id += gap;
                (id, floats(values))
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_series_come_back(series in series()) {
        check(&series, &write(&series));
    }

    #[test]
    fn flips_are_detected(series in series(), at in any::<usize>(), bit in 0u8..8) {
        for pack in write(&series) {
            let mut bytes = pack.bytes;
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(Pack::open(bytes.into()).is_err());
        }
    }
}
