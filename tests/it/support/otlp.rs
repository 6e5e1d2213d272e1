//! OTLP metrics, as far as counters with start timestamps need them: the way by which a Prometheus
//! server of 3.14 takes start timestamps. Declared by hand from the protocol's definition.

use prost::Message;

use super::remote_write::{self, TimeSeries};

/// Headers of a request.
pub const HEADERS: [(&str, &str); 1] = [("Content-Type", "application/x-protobuf")];
/// Cumulative temporality.
const CUMULATIVE: i32 = 2;
/// Nanoseconds of a millisecond.
const NANOS: i64 = 1_000_000;

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<Resource>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<Scope>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "7")]
    sum: Option<Sum>,
    #[prost(message, optional, tag = "10")]
    exponential: Option<Exponential>,
}

#[derive(Clone, PartialEq, Message)]
struct Sum {
    #[prost(message, repeated, tag = "1")]
    points: Vec<Number>,
    #[prost(int32, tag = "2")]
    temporality: i32,
    #[prost(bool, tag = "3")]
    is_monotonic: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(message, repeated, tag = "7")]
    attributes: Vec<Attribute>,
    #[prost(fixed64, tag = "2")]
    start: u64,
    #[prost(fixed64, tag = "3")]
    time: u64,
    /// Written even when it is 0: that it is there tells the kind.
    #[prost(double, optional, tag = "4")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Exponential {
    #[prost(message, repeated, tag = "1")]
    points: Vec<ExponentialPoint>,
    #[prost(int32, tag = "2")]
    temporality: i32,
}

#[derive(Clone, PartialEq, Message)]
struct ExponentialPoint {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<Attribute>,
    #[prost(fixed64, tag = "2")]
    start: u64,
    #[prost(fixed64, tag = "3")]
    time: u64,
    #[prost(fixed64, tag = "4")]
    count: u64,
    #[prost(double, optional, tag = "5")]
    sum: Option<f64>,
    #[prost(sint32, tag = "6")]
    scale: i32,
    #[prost(fixed64, tag = "7")]
    zero_count: u64,
    #[prost(message, optional, tag = "8")]
    positive: Option<Buckets>,
    #[prost(message, optional, tag = "9")]
    negative: Option<Buckets>,
}

#[derive(Clone, PartialEq, Message)]
struct Buckets {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint64, repeated, tag = "2")]
    counts: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
}

/// The message that says the same as series of remote write: counters, and histograms of integers.
pub fn encode(series: &[TimeSeries]) -> Vec<u8> {
    let metrics = series.iter().map(metric).collect();
    let scopes = vec![Scope { metrics }];
    Request { resources: vec![Resource { scopes }] }.encode_to_vec()
}

fn metric(series: &TimeSeries) -> Metric {
    let name = series.labels.iter().find(|label| label.name == "__name__");
    let name = name.expect("a metric has a name").value.clone();
    let attribute = |label: &remote_write::Label| Attribute {
        key: label.name.clone(),
        value: Some(AnyValue { text: Some(label.value.clone()) }),
    };
    let own = series.labels.iter().filter(|label| label.name != "__name__");
    let attributes: Vec<Attribute> = own.map(attribute).collect();
    let number = |sample: &remote_write::Sample| Number {
        attributes: attributes.clone(),
        start: nanos(sample.start_timestamp),
        time: nanos(sample.timestamp),
        value: Some(sample.value),
    };
    let exponential = |histogram: &remote_write::Histogram| ExponentialPoint {
        attributes: attributes.clone(),
        start: nanos(histogram.start_timestamp),
        time: nanos(histogram.timestamp),
        count: histogram.count_int.expect("a histogram of integers"),
        sum: Some(histogram.sum),
        scale: histogram.schema,
        zero_count: histogram.zero_count_int.unwrap_or(0),
        positive: Some(buckets(&histogram.positive_spans, &histogram.positive_deltas)),
        negative: Some(buckets(&histogram.negative_spans, &histogram.negative_deltas)),
    };
    let points: Vec<Number> = series.samples.iter().map(number).collect();
    let sum = Sum { points, temporality: CUMULATIVE, is_monotonic: true };
    let points: Vec<ExponentialPoint> = series.histograms.iter().map(exponential).collect();
    let histograms = Exponential { points, temporality: CUMULATIVE };
    Metric {
        name,
        sum: (!sum.points.is_empty()).then_some(sum),
        exponential: (!histograms.points.is_empty()).then_some(histograms),
    }
}

fn nanos(ms: i64) -> u64 {
    u64::try_from(ms * NANOS).expect("a time after 1970")
}

/// Counts one after the other; those between the spans are 0.
fn buckets(spans: &[remote_write::BucketSpan], deltas: &[i64]) -> Buckets {
    let (mut counts, mut deltas, mut count) = (Vec::new(), deltas.iter(), 0);
    for (at, span) in spans.iter().enumerate() {
        let gap = if at == 0 { 0 } else { span.offset };
        counts.extend((0..gap).map(|_| 0));
        for delta in deltas.by_ref().take(span.length as usize) {
            count += delta;
            counts.push(u64::try_from(count).expect("no count below 0"));
        }
    }
    // A bucket of OTLP has the number of its lower bound, one less than here.
    Buckets { offset: spans.first().map_or(0, |span| span.offset) - 1, counts }
}
