//! Damaged, hostile and absurd messages: an error or a shorter read, never a panic.

use prost::Message;

use crate::model::Timestamp;
use crate::remote_write::element::{HISTOGRAMS_MAX, SAMPLES_MAX};
use crate::remote_write::wire::WireError;
use crate::remote_write::{Version, v2 as reader_v2};

use super::proto::{Count, Histogram, ZeroCount, v1, v2};
use super::{Rejections, parsed};

fn label(name: &str, value: &str) -> v1::Label {
    v1::Label { name: name.into(), value: value.into() }
}

fn histogram() -> Histogram {
    Histogram {
        count: Some(Count::Int(3)),
        zero_count: Some(ZeroCount::Int(3)),
        timestamp: 1_700_000_000_000,
        ..Histogram::default()
    }
}

fn v1_message() -> Vec<u8> {
    let sample = v1::Sample { value: 1.5, timestamp: 1_700_000_000_000 };
    let series = |samples, histograms| v1::TimeSeries {
        labels: vec![label("__name__", "up"), label("job", "a")],
        samples,
        histograms,
        exemplars: vec![v1::Exemplar { labels: vec![label("t", "1")], value: 1.0, timestamp: 1 }],
    };
    let mut plain = series(vec![sample], Vec::new());
    plain.exemplars.clear();
    let timeseries = vec![plain, series(vec![sample, sample], vec![histogram()])];
    let metadata = v1::MetricMetadata { metric_family_name: "up".into(), ..Default::default() };
    v1::WriteRequest { timeseries, metadata: vec![metadata] }.encode_to_vec()
}

fn v2_message() -> Vec<u8> {
    let sample = v2::Sample { value: 1.0, timestamp: 1_700_000_000_000, start_timestamp: 7 };
    let series = v2::TimeSeries {
        labels_refs: vec![1, 2],
        samples: vec![sample],
        histograms: vec![histogram()],
        exemplars: vec![v2::Exemplar { labels_refs: vec![1, 2], value: 1.0, timestamp: 1 }],
        metadata: Some(v2::Metadata { r#type: 1, help_ref: 2, unit_ref: 0 }),
    };
    request(&["", "__name__", "up"], vec![series.clone(), series])
}

fn request(symbols: &[&str], timeseries: Vec<v2::TimeSeries>) -> Vec<u8> {
    let symbols = symbols.iter().map(|s| (*s).to_owned()).collect();
    v2::Request { symbols, timeseries }.encode_to_vec()
}

#[test]
fn a_key_may_be_written_longer_than_it_has_to_be() {
    let mut message = v1_message();
    assert_eq!(message[0], 0x0a);
    message.splice(..1, [0x8a, 0x00]);
    let series = parsed(Version::V1, &message, |batch, _| batch.series.len());
    assert_eq!(series, Ok(2));
}

#[test]
fn every_prefix_and_every_changed_byte_is_survived() {
    for (version, message) in [(Version::V1, v1_message()), (Version::V2, v2_message())] {
        let whole = parsed(version, &message, |batch, _| batch.series.len()).expect("valid");
        assert_eq!(whole, 2);
        for cut in 0..message.len() {
            if let Ok(series) = parsed(version, &message[..cut], |batch, _| batch.series.len()) {
                assert!(series <= whole, "{version:?} cut at {cut}");
            }
        }
        let mut changed = message.clone();
        for at in 0..message.len() {
            for byte in [0x00, 0x7f, 0x80, 0xff, message[at] ^ 1, message[at] ^ 0x80] {
                changed[at] = byte;
                let _ = parsed(version, &changed, |_, _| ());
            }
            changed[at] = message[at];
        }
    }
}

#[test]
fn a_cut_inside_a_series_is_an_error() {
    let message = v1_message();
    let result = parsed(Version::V1, &message[..10], |_, _| ());
    assert_eq!(result, Err(WireError::Truncated));
}

#[test]
fn absurd_times_are_read_as_they_are() {
    let year_57000 = 1_735_689_600_000_000;
    for timestamp in [year_57000, i64::MAX, i64::MIN, -1, 0, (1 << 42) - 1, 1 << 42, 1 << 35] {
        let series = v1::TimeSeries {
            labels: vec![label("__name__", "up")],
            samples: vec![v1::Sample { value: 1.0, timestamp }],
            ..Default::default()
        };
        let message = v1::WriteRequest { timeseries: vec![series], ..Default::default() };
        let read = parsed(Version::V1, &message.encode_to_vec(), |batch, _| {
            (batch.samples[0].timestamp, batch.samples.len())
        });
        assert_eq!(read, Ok((Timestamp(timestamp), 1)));
    }
}

#[test]
fn bodies_of_empty_messages_meet_a_limit() {
    let wrap = |inner: &[u8]| {
        let mut message = vec![0x0a];
        prost::encoding::encode_varint(inner.len() as u64, &mut message);
        message.extend_from_slice(inner);
        message
    };
    let samples = wrap(&b"\x12\x00".repeat(SAMPLES_MAX + 1));
    let refused = parsed(Version::V1, &samples, |_, _| ());
    assert_eq!(refused, Err(WireError::TooMany("samples", SAMPLES_MAX)));
    let histograms = wrap(&b"\x22\x00".repeat(HISTOGRAMS_MAX + 1));
    let refused = parsed(Version::V1, &histograms, |_, _| ());
    assert_eq!(refused, Err(WireError::TooMany("histograms", HISTOGRAMS_MAX)));
}

#[test]
fn a_few_references_cannot_fill_the_memory() {
    let value = "v".repeat(8000);
    let sample = v2::Sample { value: 1.0, timestamp: 1, start_timestamp: 0 };
    let series = v2::TimeSeries {
        labels_refs: [1, 2].repeat(64),
        samples: vec![sample],
        ..Default::default()
    };
    let message = request(&["", "name", &value], vec![series; 300]);
    let refused = parsed(Version::V2, &message, |_, _| ());
    assert_eq!(refused, Err(WireError::LabelsTooLarge(reader_v2::LABELS_BYTES_MAX)));
}

#[test]
fn a_help_text_referred_to_often_meets_a_limit() {
    let help = "h".repeat(1 << 20);
    let names: Vec<String> = (0..20).map(|i| format!("m{i}")).collect();
    let mut symbols = vec!["", "__name__", &help];
    symbols.extend(names.iter().map(String::as_str));
    let sample = v2::Sample { value: 1.0, timestamp: 1, start_timestamp: 0 };
    let series = (0..20).map(|i| v2::TimeSeries {
        labels_refs: vec![1, 3 + i],
        samples: vec![sample],
        metadata: Some(v2::Metadata { r#type: 1, help_ref: 2, unit_ref: 0 }),
        ..Default::default()
    });
    let message = request(&symbols, series.collect());
    let most = reader_v2::METADATA_BYTES_MAX;
    let refused = parsed(Version::V2, &message, |_, _| ());
    assert_eq!(refused, Err(WireError::TooMany("bytes of metadata", most)));
}

fn rejections_of(labels_refs: Vec<u32>, samples: usize) -> (Rejections, usize) {
    let sample = v2::Sample { value: 1.0, timestamp: 1, start_timestamp: 0 };
    let good =
        v2::TimeSeries { labels_refs: vec![1, 2], samples: vec![sample], ..Default::default() };
    let bad = v2::TimeSeries { labels_refs, samples: vec![sample; samples], ..good.clone() };
    let message = request(&["", "__name__", "up", "job", "a"], vec![good.clone(), bad, good]);
    parsed(Version::V2, &message, |batch, rejections| (rejections.clone(), batch.series.len()))
        .expect("valid")
}

#[test]
fn series_with_bad_references_are_left_out_and_named() {
    let cases = [
        (vec![1, 2, 3], "series: number of label references, 3, is odd"),
        (vec![1, 5], "series: label reference 5 is out of range, there are 5 symbols"),
        ([1, 2].repeat(129), "series: there are more than 128 labels"),
    ];
    for (refs, reason) in cases {
        let (rejections, series) = rejections_of(refs, 2);
        assert_eq!((rejections.series, rejections.total(), series), (1, 1, 2));
        assert_eq!(rejections.reasons, [reason]);
    }
}

#[test]
fn series_without_samples_are_left_out_and_named() {
    let (rejections, series) = rejections_of(vec![1, 2, 3, 4], 0);
    assert_eq!((rejections.empty_series, rejections.total(), series), (1, 1, 2));
    let reason = r#"series {__name__="up", job="a"} must contain at least one sample or histogram"#;
    assert_eq!(rejections.reasons, [reason]);
}

#[test]
fn the_first_symbol_is_empty() {
    let refused = parsed(Version::V2, &request(&["a"], Vec::new()), |_, _| ());
    assert_eq!(refused, Err(WireError::FirstSymbol));
}

#[test]
fn a_message_of_the_other_version_is_not_swallowed() {
    let as_v2 = parsed(Version::V2, &v1_message(), |_, _| ());
    assert_eq!(as_v2, Err(WireError::OtherVersion(Version::V2.message())));
    let as_v1 = parsed(Version::V1, &v2_message(), |_, _| ());
    assert_eq!(as_v1, Err(WireError::OtherVersion(Version::V1.message())));
}
