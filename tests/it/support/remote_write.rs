//! Remote write messages, declared here by hand from the specification and encoded by prost, so
//! that the server's own decoder is tested against somebody else's encoder.

use prost::Message;

/// Headers of a remote write 1.0 request.
pub const HEADERS: [(&str, &str); 3] = [
    ("Content-Type", "application/x-protobuf"),
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

/// Headers of a remote write 2.0 request.
pub const HEADERS_2: [(&str, &str); 3] = [
    ("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "2.0.0"),
];

#[derive(Clone, PartialEq, Message)]
pub struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    pub histograms: Vec<Histogram>,
}

/// A native histogram, of floats or of integers.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// Written even when it is 0: that it is there tells the kind.
    #[prost(uint64, optional, tag = "1")]
    pub count_int: Option<u64>,
    /// See `count_int`.
    #[prost(double, optional, tag = "2")]
    pub count_float: Option<f64>,
    #[prost(double, tag = "3")]
    pub sum: f64,
    #[prost(sint32, tag = "4")]
    pub schema: i32,
    #[prost(double, tag = "5")]
    pub zero_threshold: f64,
    #[prost(uint64, optional, tag = "6")]
    pub zero_count_int: Option<u64>,
    #[prost(double, optional, tag = "7")]
    pub zero_count_float: Option<f64>,
    #[prost(message, repeated, tag = "8")]
    pub negative_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "9")]
    pub negative_deltas: Vec<i64>,
    #[prost(message, repeated, tag = "11")]
    pub positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "12")]
    pub positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    pub positive_counts: Vec<f64>,
    /// 3 is a gauge.
    #[prost(int32, tag = "14")]
    pub reset_hint: i32,
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    pub custom_values: Vec<f64>,
    /// Only of remote write 2.0; 0 if unknown.
    #[prost(int64, tag = "17")]
    pub start_timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct BucketSpan {
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    #[prost(uint32, tag = "2")]
    pub length: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Label {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    #[prost(double, tag = "1")]
    pub value: f64,
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
    /// Only of remote write 2.0; 0 if unknown.
    #[prost(int64, tag = "3")]
    pub start_timestamp: i64,
}

/// Remote write 2.0: labels are numbers of symbols.
#[derive(Clone, PartialEq, Message)]
pub struct Request2 {
    #[prost(string, repeated, tag = "4")]
    pub symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    pub timeseries: Vec<TimeSeries2>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries2 {
    #[prost(uint32, repeated, tag = "1")]
    pub labels: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub histograms: Vec<Histogram>,
}

/// A series with its labels in the order given; samples are (milliseconds, value).
pub fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> TimeSeries {
    TimeSeries {
        labels: labels
            .iter()
            .map(|(n, v)| Label { name: (*n).into(), value: (*v).into() })
            .collect(),
        samples: samples.iter().map(|&(timestamp, value)| sample(timestamp, value)).collect(),
        histograms: Vec::new(),
    }
}

/// A sample without start timestamp.
pub fn sample(timestamp: i64, value: f64) -> Sample {
    Sample { value, timestamp, start_timestamp: 0 }
}

/// The protobuf message of remote write 2.0; series without samples may not be in it.
pub fn encode_2(series: &[TimeSeries]) -> Vec<u8> {
    let mut symbols = vec![String::new()];
    let mut symbol = |text: &str| {
        let known = symbols.iter().position(|symbol| symbol == text);
        known.unwrap_or_else(|| {
            symbols.push(text.to_owned());
            symbols.len() - 1
        }) as u32
    };
    let mut timeseries = Vec::new();
    for TimeSeries { labels, samples, histograms } in series.iter().cloned() {
        if samples.is_empty() && histograms.is_empty() {
            continue;
        }
        let labels = labels.iter().flat_map(|label| [symbol(&label.name), symbol(&label.value)]);
        timeseries.push(TimeSeries2 { labels: labels.collect(), samples, histograms });
    }
    Request2 { symbols, timeseries }.encode_to_vec()
}

/// The protobuf message.
pub fn encode(series: &[TimeSeries]) -> Vec<u8> {
    WriteRequest { timeseries: series.to_vec() }.encode_to_vec()
}

/// Snappy block format.
pub fn compress(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).expect("a message below 4 GiB")
}
