//! Messages written by hand, byte for byte, and what they mean.

use crate::model::histogram::Histogram;
use crate::model::{
    BucketSpan, CounterResetHint, Labels, MetricType, Sample, Timestamp, WriteBatch, stale_nan,
};
use crate::remote_write::Version;

use super::parsed;

/// The bytes of a fixture: hexadecimal, `#` starts a comment, `"text"` stands for its characters.
fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/remote_write/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("fixture exists");
    text.lines().flat_map(|line| bytes_of(line.split('#').next().unwrap_or(""))).collect()
}

fn bytes_of(line: &str) -> Vec<u8> {
    let token = |token: &str| match token.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(text) => text.as_bytes().to_vec(),
        None => vec![u8::from_str_radix(token, 16).expect("two hexadecimal digits")],
    };
    line.split_ascii_whitespace().flat_map(token).collect()
}

fn labels_of(batch: &WriteBatch<'_>, index: usize) -> String {
    Labels::from_packed(batch.series[index].labels).expect("canonical labels").to_string()
}

#[test]
fn v1_usual_request() {
    let bytes = fixture("v1-usual.hex");
    parsed(Version::V1, &bytes, |batch, rejections| {
        assert_eq!(rejections.total(), 0);
        assert_eq!(batch.series.len(), 2);
        assert_eq!(labels_of(batch, 0), r#"{__name__="up", job="a"}"#);
        assert_eq!(batch.samples[0], Sample::new(Timestamp(1_700_000_000_000), 1.0));
        assert_eq!(labels_of(batch, 1), r#"{__name__="up", job="b"}"#);
        assert_eq!(batch.samples[1], Sample::new(Timestamp(1_700_000_015_000), stale_nan()));
        // The fast way borrows labels from the message itself.
        let message = bytes.as_ptr_range();
        assert!(batch.series.iter().all(|entry| message.contains(&entry.labels.as_ptr())));
        assert_eq!(batch.metadata[0].0, "up");
        assert_eq!(batch.metadata[0].1.metric_type, MetricType::Gauge);
        assert_eq!(batch.metadata[0].1.help, "Is it?");
    })
    .expect("valid");
}

#[test]
fn v1_unusual_but_legal_encodings() {
    parsed(Version::V1, &fixture("v1-unusual.hex"), |batch, rejections| {
        assert_eq!(rejections.total(), 0);
        assert_eq!(batch.series.len(), 3);
        // Labels before and after the sample.
        assert_eq!(labels_of(batch, 0), r#"{__name__="up", job="a"}"#);
        assert_eq!(batch.samples[0], Sample::new(Timestamp(1_700_000_000_000), 1.0));
        // Two samples, of which the second looks like the usual tail.
        assert_eq!(labels_of(batch, 1), r#"{__name__="up"}"#);
        assert_eq!(batch.series[1].samples, 2);
        assert_eq!(batch.samples[1], Sample::new(Timestamp(-1), 0.0));
        assert_eq!(batch.samples[2], Sample::new(Timestamp(1_700_000_000_000), 1.0));
        // An unknown field, a sample in reverse order, an exemplar.
        assert_eq!(batch.samples[3], Sample::new(Timestamp(2), 1.5));
        assert_eq!(batch.exemplars[0].labels.to_string(), r#"{trace_id="t"}"#);
        assert_eq!(batch.exemplars[0].timestamp, Timestamp(3));
    })
    .expect("valid");
}

#[test]
fn v2_usual_request() {
    parsed(Version::V2, &fixture("v2-usual.hex"), |batch, rejections| {
        assert_eq!(rejections.total(), 0, "{rejections:?}");
        assert_eq!(batch.series.len(), 2);
        assert_eq!(labels_of(batch, 0), r#"{__name__="up", job="a"}"#);
        let expected = Sample { start_timestamp: 1_600_000_000_000, ..batch.samples[0] };
        assert_eq!(batch.samples[0], expected);
        assert_eq!(batch.samples[0].timestamp, Timestamp(1_700_000_000_000));
        assert_eq!(batch.exemplars[0].labels.to_string(), r#"{job="a"}"#);
        let (family, metadata) = &batch.metadata[0];
        assert_eq!((family.as_str(), metadata.help.as_str()), ("up", "Is it?"));
        let point = &batch.histograms[0];
        assert_eq!((point.timestamp, point.start_timestamp), (1_700_000_000_000, 1));
        let Histogram::Int(h) = &point.histogram else { panic!("integer histogram") };
        assert_eq!((h.count, h.sum, h.schema, h.zero_count), (8, 2.5, 3, 1));
        assert_eq!(h.positive_spans, [BucketSpan { offset: -1, length: 2 }]);
        assert_eq!(h.positive_deltas, [3, 1]);
        assert_eq!(h.counter_reset_hint, CounterResetHint::NotReset);
    })
    .expect("valid");
}
