//! Our readers against prost's: the same content from any request either of them can read.

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use crate::model::histogram::{FloatHistogram, Histogram, IntHistogram};
use crate::model::labels::decode_pairs;
use crate::model::source::HistogramPoint;
use crate::model::{BucketSpan, CounterResetHint, Labels, Sample, Timestamp, WriteBatch};
use crate::remote_write::wire::WireError;
use crate::remote_write::{Version, histogram};

use super::parsed;
use super::proto::{self, v1, v2};

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("__name__".to_owned()), "[a-e]{1,3}", "[\\PC]{0,8}"]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z0-9:/.-]{1,20}", "[\\PC]{0,12}", "x{120,300}"]
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        Just(0.0),
        Just(-0.0),
        Just(crate::model::stale_nan()),
        any::<u64>().prop_map(f64::from_bits),
    ]
}

fn time() -> impl Strategy<Value = i64> {
    // Now, year 57000 (seconds taken for milliseconds), the ends, before 1970.
    prop_oneof![
        1_700_000_000_000..1_800_000_000_000i64,
        Just(1_735_689_600_000_000),
        Just(0),
        any::<i64>(),
    ]
}

fn v1_labels() -> impl Strategy<Value = Vec<v1::Label>> {
    let label = (name(), value()).prop_map(|(name, value)| v1::Label { name, value });
    vec(label, 0..6)
}

fn v1_series() -> impl Strategy<Value = v1::TimeSeries> {
    let sample =
        (float(), time()).prop_map(|(value, timestamp)| v1::Sample { value, timestamp }).boxed();
    let samples = prop_oneof![4 => vec(sample.clone(), 1), 1 => vec(sample, 0..4)];
    let exemplar = (v1_labels(), float(), time())
        .prop_map(|(labels, value, timestamp)| v1::Exemplar { labels, value, timestamp });
    (v1_labels(), samples, vec(exemplar, 0..2)).prop_map(|(labels, samples, exemplars)| {
        v1::TimeSeries { labels, samples, exemplars, histograms: Vec::new() }
    })
}

fn v1_request() -> impl Strategy<Value = v1::WriteRequest> {
    let metadata = (0..9i32, "[a-z]{0,4}", value(), value()).prop_map(|(t, name, help, unit)| {
        v1::MetricMetadata { r#type: t, metric_family_name: name, help, unit }
    });
    (vec(v1_series(), 0..6), vec(metadata, 0..3))
        .prop_map(|(timeseries, metadata)| v1::WriteRequest { timeseries, metadata })
}

/// A series as both readers see it: labels as sent, sample bits.
type Seen = (Vec<(String, String)>, Vec<(i64, u64, i64)>);

fn bits(sample: &Sample) -> (i64, u64, i64) {
    (sample.timestamp.0, sample.value.to_bits(), sample.start_timestamp)
}

fn seen(batch: &WriteBatch<'_>) -> Vec<Seen> {
    let mut samples = batch.samples.iter();
    batch
        .series
        .iter()
        .map(|entry| {
            let pairs = decode_pairs(entry.labels).expect("labels decode");
            let pairs = pairs.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            (pairs, samples.by_ref().take(entry.samples as usize).map(bits).collect())
        })
        .collect()
}

fn v1_expected(request: &v1::WriteRequest) -> Vec<Seen> {
    let kept = |series: &&v1::TimeSeries| {
        !series.samples.is_empty()
            || !series.histograms.is_empty()
            || series.exemplars.iter().any(|e| v1_exemplar(e).is_some())
    };
    let one = |series: &v1::TimeSeries| {
        let labels = series.labels.iter().map(|l| (l.name.clone(), l.value.clone())).collect();
        let sample = |s: &v1::Sample| (s.timestamp, s.value.to_bits(), 0);
        (labels, series.samples.iter().map(sample).collect())
    };
    request.timeseries.iter().filter(kept).map(one).collect()
}

fn v1_exemplar(exemplar: &v1::Exemplar) -> Option<Labels> {
    let pairs = exemplar.labels.iter().map(|l| (l.name.as_str(), l.value.as_str()));
    Labels::from_pairs(pairs).ok().filter(|labels| labels.as_packed().len() <= 1024)
}

fn v2_request() -> impl Strategy<Value = v2::Request> {
    let sample = (float(), time(), prop_oneof![Just(0), time()]).prop_map(
        |(value, timestamp, start_timestamp)| v2::Sample { value, timestamp, start_timestamp },
    );
    let refs = || vec(0..14u32, 0..8);
    let exemplar = (refs(), float(), time())
        .prop_map(|(labels_refs, value, timestamp)| v2::Exemplar { labels_refs, value, timestamp });
    let metadata = (0..9i32, 0..14u32, 0..14u32).prop_map(|(t, help_ref, unit_ref)| v2::Metadata {
        r#type: t,
        help_ref,
        unit_ref,
    });
    let series = (refs(), vec(sample, 0..3), vec(exemplar, 0..2), proptest::option::of(metadata))
        .prop_map(|(labels_refs, samples, exemplars, metadata)| v2::TimeSeries {
            labels_refs,
            samples,
            histograms: Vec::new(),
            exemplars,
            metadata,
        });
    let symbols = vec(prop_oneof![name(), value()], 5..12);
    (symbols, vec(series, 0..6)).prop_map(|(mut symbols, timeseries)| {
        symbols.insert(0, String::new());
        v2::Request { symbols, timeseries }
    })
}

/// Labels in the order of their names without empty values; `None` when references are bad.
fn v2_labels(request: &v2::Request, refs: &[u32]) -> Option<Vec<(String, String)>> {
    let symbol = |r: u32| request.symbols.get(r as usize).cloned();
    if !refs.len().is_multiple_of(2) {
        return None;
    }
    let pairs: Option<Vec<_>> =
        refs.chunks(2).map(|pair| Some((symbol(pair[0])?, symbol(pair[1])?))).collect();
    let mut pairs = pairs?;
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs.retain(|(_, value)| !value.is_empty());
    Some(pairs)
}

fn v2_expected(request: &v2::Request) -> Vec<Seen> {
    let one = |series: &v2::TimeSeries| {
        let labels = v2_labels(request, &series.labels_refs)?;
        let sample = |s: &v2::Sample| (s.timestamp, s.value.to_bits(), s.start_timestamp);
        let samples: Vec<_> = series.samples.iter().map(sample).collect();
        (!samples.is_empty()).then_some((labels, samples))
    };
    request.timeseries.iter().filter_map(one).collect()
}

fn arbitrary_histogram() -> impl Strategy<Value = proto::Histogram> {
    let span = (any::<i32>(), any::<u32>())
        .prop_map(|(offset, length)| proto::BucketSpan { offset, length });
    let count = prop_oneof![
        any::<u64>().prop_map(|n| (proto::Count::Int(n), proto::ZeroCount::Int(n / 3))),
        float().prop_map(|n| (proto::Count::Float(n), proto::ZeroCount::Float(n / 3.0))),
    ];
    let sides = (
        (vec(span.clone(), 0..3), vec(any::<i64>(), 0..5), vec(float(), 0..5)),
        (vec(span, 0..3), vec(any::<i64>(), 0..5), vec(float(), 0..5)),
    );
    let rest = (any::<i32>(), 0..5i32, vec(float(), 0..3), time(), time());
    (count, float(), float(), sides, rest).prop_map(|(count, sum, zero_threshold, sides, rest)| {
        let ((negative_spans, negative_deltas, negative_counts), positive) = sides;
        let (positive_spans, positive_deltas, positive_counts) = positive;
        let (schema, reset_hint, custom_values, timestamp, start_timestamp) = rest;
        proto::Histogram {
            count: Some(count.0),
            zero_count: Some(count.1),
            sum,
            schema,
            zero_threshold,
            negative_spans,
            negative_deltas,
            negative_counts,
            positive_spans,
            positive_deltas,
            positive_counts,
            reset_hint,
            timestamp,
            custom_values,
            start_timestamp,
        }
    })
}

fn spans(spans: &[proto::BucketSpan]) -> Vec<BucketSpan> {
    spans.iter().map(|s| BucketSpan { offset: s.offset, length: s.length }).collect()
}

fn point_of(h: &proto::Histogram) -> HistogramPoint {
    let counter_reset_hint = CounterResetHint::from_number(i64::from(h.reset_hint));
    let histogram = match (h.count, h.zero_count) {
        (Some(proto::Count::Int(count)), Some(proto::ZeroCount::Int(zero_count))) => {
            Histogram::Int(IntHistogram {
                counter_reset_hint,
                schema: h.schema,
                zero_threshold: h.zero_threshold,
                zero_count,
                count,
                sum: h.sum,
                positive_spans: spans(&h.positive_spans),
                negative_spans: spans(&h.negative_spans),
                positive_deltas: h.positive_deltas.clone(),
                negative_deltas: h.negative_deltas.clone(),
                custom_values: h.custom_values.clone(),
            })
        }
        (Some(proto::Count::Float(count)), Some(proto::ZeroCount::Float(zero_count))) => {
            Histogram::Float(FloatHistogram {
                counter_reset_hint,
                schema: h.schema,
                zero_threshold: h.zero_threshold,
                zero_count,
                count,
                sum: h.sum,
                positive_spans: spans(&h.positive_spans),
                negative_spans: spans(&h.negative_spans),
                positive_buckets: h.positive_counts.clone(),
                negative_buckets: h.negative_counts.clone(),
                custom_values: h.custom_values.clone(),
            })
        }
        other => unreachable!("not generated: {other:?}"),
    };
    HistogramPoint { timestamp: h.timestamp, start_timestamp: h.start_timestamp, histogram }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn v1_requests_read_the_same(request in v1_request()) {
        let encoded = request.encode_to_vec();
        // What prost reads, not what it was given: it does not write -0.
        let request = v1::WriteRequest::decode(encoded.as_slice()).expect("valid");
        parsed(Version::V1, &encoded, |batch, _| {
            assert_eq!(seen(batch), v1_expected(&request));
            let exemplars = request.timeseries.iter().flat_map(|s| &s.exemplars);
            let expected = exemplars.filter_map(|e| {
                Some((v1_exemplar(e)?, e.value.to_bits(), Timestamp(e.timestamp)))
            });
            let found = batch.exemplars.iter();
            let found = found.map(|e| (e.labels.clone(), e.value.to_bits(), e.timestamp));
            assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
            let named = request.metadata.iter().filter(|m| !m.metric_family_name.is_empty());
            let expected: Vec<_> = named
                .map(|m| (m.metric_family_name.clone(), m.help.clone(), m.unit.clone()))
                .collect();
            let found = batch.metadata.iter();
            let found = found.map(|(name, m)| (name.clone(), m.help.clone(), m.unit.clone()));
            assert_eq!(found.collect::<Vec<_>>(), expected);
        }).expect("valid");
    }

    #[test]
    fn v2_requests_read_the_same(request in v2_request()) {
        let encoded = request.encode_to_vec();
        // What prost reads, not what it was given: it does not write -0.
        let request = v2::Request::decode(encoded.as_slice()).expect("valid");
        parsed(Version::V2, &encoded, |batch, rejections| {
            assert_eq!(seen(batch), v2_expected(&request));
            let bad = |s: &&v2::TimeSeries| v2_labels(&request, &s.labels_refs).is_none();
            assert_eq!(rejections.series as usize, request.timeseries.iter().filter(bad).count());
            let empty = |s: &&v2::TimeSeries| !bad(s) && s.samples.is_empty();
            assert_eq!(
                rejections.empty_series as usize,
                request.timeseries.iter().filter(empty).count()
            );
        }).expect("valid");
    }

    #[test]
    fn histograms_read_the_same(message in arbitrary_histogram()) {
        let encoded = message.encode_to_vec();
        let message = proto::Histogram::decode(encoded.as_slice()).expect("valid");
        let point = histogram::decode(&encoded).expect("valid");
        // NaN differs from itself: compare what is printed.
        assert_eq!(format!("{point:?}"), format!("{:?}", point_of(&message)));
    }

    #[test]
    fn what_prost_reads_of_damaged_requests_we_read_the_same(
        request in v1_request(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = request.encode_to_vec();
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        agree(&bytes);
    }
}

/// Whatever prost can read of `bytes` we read the same, but for what we refuse on purpose: groups,
/// requests of the other version.
fn agree(bytes: &[u8]) {
    let ours =
        parsed(Version::V1, bytes, |batch, _| batch.samples.iter().map(bits).collect::<Vec<_>>());
    let Ok(theirs) = v1::WriteRequest::decode(bytes) else { return };
    match ours {
        Err(WireError::UnknownWireType(_) | WireError::OtherVersion(_)) => {}
        Err(error) => panic!("prost reads what we do not: {error}"),
        Ok(ours) => {
            let theirs = theirs.timeseries.iter().flat_map(|series| &series.samples);
            let theirs = theirs.map(|s| (s.timestamp, s.value.to_bits(), 0));
            assert_eq!(ours, theirs.collect::<Vec<_>>());
        }
    }
}
