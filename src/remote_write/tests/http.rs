//! The route as a client sees it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use hyper::body::Frame;
use prost::Message;
use tower::ServiceExt;

use crate::ingest::Ingest;
use crate::model::limits::{WRITE_BODY_BYTES_MAX, WRITE_DECODED_BYTES_MAX};
use crate::model::source::SeriesData;
use crate::model::{ManualClock, MatchOp, Matcher, Selector, Timestamp, stale_nan};
use crate::remote_write::{RemoteWriteMetrics, RemoteWriteState, router};
use crate::runtime::CpuPool;
use crate::storage::{Store, StoreOptions};

use super::proto::{Count, Histogram, ZeroCount, v1, v2};

const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
const SAMPLES_WRITTEN: &str = "x-prometheus-remote-write-samples-written";

/// 2026-11-21 00:00 UTC, the present of these tests.
const NOW: i64 = 1_795_219_200_000;

/// A receiver and its store, which lives as long as the directory.
struct Receiver {
    state: RemoteWriteState,
    store: Arc<Store>,
    _dir: tempfile::TempDir,
}

impl Receiver {
    fn new() -> Receiver {
        Receiver::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut StoreOptions)) -> Receiver {
        let dir = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
        let mut options = StoreOptions::new(dir.path(), clock);
        options.disk_free_bytes_min = 0;
        change(&mut options);
        let store = Arc::new(Store::open(options, &|_| {}).expect("opens"));
        let pool = CpuPool::new("test", 1, 8).expect("a thread");
        let ingest = Ingest::new(Arc::clone(&store));
        let state = RemoteWriteState::new(ingest, pool, Arc::new(RemoteWriteMetrics::default()));
        Receiver { state, store, _dir: dir }
    }

    async fn send(&self, request: Request<Body>) -> Response {
        router(self.state.clone()).oneshot(request).await.expect("infallible")
    }

    async fn send_v1(&self, timeseries: Vec<v1::TimeSeries>) -> (u16, String) {
        let message = v1::WriteRequest { timeseries, metadata: Vec::new() };
        status_and_text(self.send(post("", snappy(&message.encode_to_vec()))).await).await
    }

    /// Everything in the store: labels and samples.
    fn content(&self) -> Vec<(String, SeriesData)> {
        let matchers = [Matcher::new(MatchOp::NotEqual, "__name__", "").expect("valid")];
        let (start, end) = (Timestamp::MIN, Timestamp::MAX);
        let selector = Selector::new(&matchers, start, end);
        let set = self.store.source().select(&selector).expect("selected");
        let one = |index: usize| {
            let mut data = SeriesData::default();
            set.read(index, &mut data).expect("read");
            (set.labels(index).to_string(), data)
        };
        (0..set.len()).map(one).collect()
    }

    /// Times of float samples by series.
    fn times(&self) -> Vec<(String, Vec<i64>)> {
        self.content().into_iter().map(|(labels, data)| (labels, data.timestamps)).collect()
    }
}

fn label(name: &str, value: &str) -> v1::Label {
    v1::Label { name: name.into(), value: value.into() }
}

/// A series with the value 1 at the given times.
fn up(job: &str, times: &[i64]) -> v1::TimeSeries {
    let sample = |timestamp: &i64| v1::Sample { value: 1.0, timestamp: *timestamp };
    v1::TimeSeries {
        labels: vec![label("__name__", "up"), label("job", job)],
        samples: times.iter().map(sample).collect(),
        ..Default::default()
    }
}

fn up_v2(times: &[i64]) -> v2::TimeSeries {
    let sample = |timestamp: &i64| v2::Sample {
        value: 1.0,
        timestamp: *timestamp,
        start_timestamp: NOW - 3_600_000,
    };
    v2::TimeSeries {
        labels_refs: vec![1, 2],
        samples: times.iter().map(sample).collect(),
        ..Default::default()
    }
}

fn v2_body(timeseries: Vec<v2::TimeSeries>) -> Vec<u8> {
    let symbols = ["", "__name__", "up", "trace_id", "abc", "Is it up?"];
    let symbols = symbols.iter().map(|s| (*s).to_owned()).collect();
    snappy(&v2::Request { symbols, timeseries }.encode_to_vec())
}

fn written(response: &Response) -> [String; 3] {
    ["samples", "histograms", "exemplars"].map(|what| {
        let header = format!("x-prometheus-remote-write-{what}-written");
        response.headers()[header].to_str().expect("ASCII").to_owned()
    })
}

fn native_histogram(timestamp: i64, schema: i32) -> Histogram {
    Histogram {
        count: Some(Count::Int(3)),
        zero_count: Some(ZeroCount::Int(3)),
        schema,
        timestamp,
        start_timestamp: NOW - 3_600_000,
        ..Histogram::default()
    }
}

fn post(content_type: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post("/api/v1/write").header("content-type", content_type);
    request.header("content-encoding", "snappy").body(body.into()).expect("a request")
}

fn snappy(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).expect("compresses")
}

async fn status_and_text(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.expect("a body");
    (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
}

#[tokio::test]
async fn only_post_is_allowed() {
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let request = Request::builder().method(method).uri("/api/v1/write");
        let response = Receiver::new().send(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn unknown_media_types_and_encodings_are_415() {
    let receiver = Receiver::new();
    let (status, text) = status_and_text(receiver.send(post("text/plain", "x")).await).await;
    assert_eq!(status, 415);
    assert!(text.contains("application/x-protobuf"), "{text}");
    let mut gzip = post(V2, "x");
    gzip.headers_mut().insert("content-encoding", "gzip".parse().expect("a value"));
    let response = receiver.send(gzip).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(response.headers()[SAMPLES_WRITTEN], "0");
    assert_eq!(receiver.state.metrics().requests_unknown.refused.get(), 1);
    assert_eq!(receiver.state.metrics().requests_v2.refused.get(), 1);
}

#[tokio::test]
async fn bodies_beyond_the_limits_are_refused() {
    let receiver = Receiver::new();
    let large = receiver.send(post("", vec![0; WRITE_BODY_BYTES_MAX + 1])).await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let large = receiver.send(post("", Body::new(Chunks(40)))).await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let bomb = snappy(&vec![0; WRITE_DECODED_BYTES_MAX + 1]);
    let (status, text) = status_and_text(receiver.send(post("", bomb)).await).await;
    assert_eq!(status, 400);
    assert!(text.contains("when decompressed"), "{text}");
}

/// So many chunks of 1 MiB, without a length announced before.
struct Chunks(usize);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.0.checked_sub(1) else { return Poll::Ready(None) };
        self.0 = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; 1 << 20])))))
    }
}

#[tokio::test]
async fn damaged_bodies_are_400() {
    let receiver = Receiver::new();
    for body in [Vec::new(), b"not snappy".to_vec(), snappy(b"\x0a\x05abc")] {
        let (status, text) = status_and_text(receiver.send(post("", body)).await).await;
        assert_eq!(status, 400, "{text}");
        assert!(text.ends_with('\n'));
    }
    assert_eq!(receiver.state.metrics().requests_v1.refused.get(), 3);
}

#[tokio::test]
async fn requests_without_content_are_written_at_once() {
    let receiver = Receiver::new();
    let response = receiver.send(post("", snappy(b""))).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let empty = v2::Request { symbols: vec![String::new()], timeseries: Vec::new() };
    let response = receiver.send(post(V2, snappy(&empty.encode_to_vec()))).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.headers()[SAMPLES_WRITTEN], "0");
    assert_eq!(receiver.state.metrics().requests_v2.written.get(), 1);
}

#[tokio::test]
async fn an_invalid_histogram_rolls_back_v1_before_the_store_sees_it() {
    let label = v1::Label { name: "__name__".into(), value: "h".into() };
    let histogram = super::proto::Histogram { schema: 99, ..Default::default() };
    let series = v1::TimeSeries {
        labels: vec![label],
        samples: vec![v1::Sample { value: 1.0, timestamp: 1 }],
        histograms: vec![histogram],
        ..Default::default()
    };
    let message = v1::WriteRequest { timeseries: vec![series], ..Default::default() };
    let response = Receiver::new().send(post("", snappy(&message.encode_to_vec()))).await;
    let (status, text) = status_and_text(response).await;
    assert_eq!((status, text.as_str()), (400, "histogram at 0 ms: schema 99 is not known\n"));
}

#[tokio::test]
async fn only_invalid_elements_in_v2_are_400_with_counts() {
    let series = v2::TimeSeries { labels_refs: vec![9, 9], ..Default::default() };
    let message = v2::Request { symbols: vec![String::new()], timeseries: vec![series] };
    let receiver = Receiver::new();
    let response = receiver.send(post(V2, snappy(&message.encode_to_vec()))).await;
    assert_eq!(response.headers()[SAMPLES_WRITTEN], "0");
    let (status, text) = status_and_text(response).await;
    assert_eq!(status, 400);
    assert_eq!(text, "series: label reference 9 is out of range, there are 1 symbols\n");
    assert_eq!(receiver.state.metrics().invalid_labels_samples.get(), 1);
}

#[tokio::test]
async fn v1_writes_what_it_acknowledges() {
    let receiver = Receiver::new();
    let mut series = up("a", &[NOW - 30_000, NOW - 15_000]);
    series.samples[1].value = stale_nan();
    series.histograms = vec![native_histogram(NOW, 9)];
    let labels = vec![label("trace_id", "abc")];
    series.exemplars = vec![v1::Exemplar { labels, value: 0.5, timestamp: NOW }];
    // The labels of this one are not sorted.
    let mut unsorted = up("b", &[NOW]);
    unsorted.labels.reverse();
    assert_eq!(receiver.send_v1(vec![series, unsorted]).await, (204, String::new()));
    let content = receiver.content();
    let names: Vec<&str> = content.iter().map(|(labels, _)| labels.as_str()).collect();
    assert_eq!(names, [r#"{__name__="up", job="a"}"#, r#"{__name__="up", job="b"}"#]);
    let data = &content[0].1;
    assert_eq!(data.timestamps, [NOW - 30_000, NOW - 15_000]);
    assert_eq!(data.values[1].to_bits(), stale_nan().to_bits());
    assert_eq!(data.histograms.len(), 1);
    assert_eq!(data.histograms[0].histogram.to_float().schema, 8);
    let metrics = receiver.state.metrics();
    let counts = [&metrics.samples, &metrics.histograms, &metrics.exemplars].map(|c| c.get());
    assert_eq!(counts, [3, 1, 1]);
}

#[tokio::test]
async fn v1_keeps_metadata() {
    let receiver = Receiver::new();
    let metadata = v1::MetricMetadata {
        r#type: 2,
        metric_family_name: "up".into(),
        help: "Is it up?".into(),
        unit: String::new(),
    };
    let message = v1::WriteRequest { timeseries: Vec::new(), metadata: vec![metadata] };
    let response = receiver.send(post("", snappy(&message.encode_to_vec()))).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let kept = receiver.store.metadata(Some("up"));
    assert_eq!(kept[0].1[0].help, "Is it up?");
}

#[tokio::test]
async fn old_repeated_and_disordered_samples_are_welcome() {
    let receiver = Receiver::new();
    for times in [&[NOW][..], &[NOW], &[NOW - 86_400_000], &[NOW - 10, NOW - 20]] {
        assert_eq!(receiver.send_v1(vec![up("a", times)]).await.0, 204, "{times:?}");
    }
    let expected = vec![NOW - 86_400_000, NOW - 20, NOW - 10, NOW];
    assert_eq!(receiver.times()[0].1, expected);
}

#[tokio::test]
async fn v1_leaves_out_series_with_invalid_labels_and_says_so() {
    let receiver = Receiver::new();
    let mut nameless = up("b", &[NOW]);
    nameless.labels.remove(0);
    let mut twice = up("c", &[NOW]);
    twice.labels.push(label("job", "d"));
    let (status, text) = receiver.send_v1(vec![up("a", &[NOW]), nameless, twice]).await;
    assert_eq!(status, 400);
    assert!(text.contains("no metric name") && text.contains("occurs twice"), "{text}");
    assert_eq!(receiver.times(), [(r#"{__name__="up", job="a"}"#.to_owned(), vec![NOW])]);
    assert_eq!(receiver.state.metrics().invalid_labels_samples.get(), 2);
}

#[tokio::test]
async fn v1_writes_nothing_when_a_sample_is_out_of_bounds() {
    for time in [NOW * 1000, NOW + 11 * 60_000, NOW - 16 * 86_400_000, i64::MIN] {
        let receiver = Receiver::new();
        let (status, text) = receiver.send_v1(vec![up("a", &[NOW]), up("b", &[time])]).await;
        assert_eq!(status, 400);
        assert!(text.starts_with("out of bounds: "), "{text}");
        assert_eq!(receiver.times(), []);
        assert_eq!(receiver.state.metrics().samples.get(), 0);
    }
}

#[tokio::test]
async fn a_series_beyond_the_limit_is_never_acknowledged() {
    let receiver = Receiver::with(|options| options.series_max = 1);
    let (status, text) = receiver.send_v1(vec![up("a", &[NOW]), up("b", &[NOW])]).await;
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("limit of 1 active series"), "{text}");
}

#[tokio::test]
async fn an_invalid_exemplar_does_not_matter_to_v1() {
    let mut series = up("a", &[NOW]);
    let labels = vec![label("", "nameless")];
    series.exemplars = vec![v1::Exemplar { labels, value: 0.5, timestamp: NOW }];
    let receiver = Receiver::new();
    assert_eq!(receiver.send_v1(vec![series]).await, (204, String::new()));
    let metrics = receiver.state.metrics();
    assert_eq!((metrics.rejected.get(), metrics.exemplars_rejected.get()), (0, 1));
}

#[tokio::test]
async fn an_exemplar_out_of_range_is_counted_in_both_versions() {
    let receiver = Receiver::new();
    let mut series = up("a", &[NOW]);
    let labels = vec![label("trace_id", "abc")];
    series.exemplars = vec![v1::Exemplar { labels, value: 0.5, timestamp: NOW * 2 }];
    assert_eq!(receiver.send_v1(vec![series]).await, (204, String::new()));
    let mut series = up_v2(&[NOW]);
    let labels_refs = vec![3, 4];
    series.exemplars = vec![v2::Exemplar { labels_refs, value: 0.5, timestamp: NOW * 2 }];
    let response = receiver.send(post(V2, v2_body(vec![series]))).await;
    assert_eq!(written(&response), ["1", "0", "0"]);
    let (status, text) = status_and_text(response).await;
    assert_eq!(status, 400);
    assert!(text.contains("exemplar") && text.contains("in the future"), "{text}");
    assert_eq!(receiver.state.metrics().exemplars_rejected.get(), 2);
}

#[tokio::test]
async fn what_a_refused_request_holds_is_counted() {
    let receiver = Receiver::new();
    let (status, _) = receiver.send_v1(vec![up("a", &[NOW, NOW * 2]), up("b", &[0])]).await;
    assert_eq!(status, 400);
    let metrics = receiver.state.metrics();
    assert_eq!((metrics.samples.get(), metrics.rejected.get()), (0, 2));
}

#[tokio::test]
async fn v2_writes_and_counts() {
    let receiver = Receiver::new();
    let mut series = up_v2(&[NOW - 15_000, NOW]);
    series.metadata = Some(v2::Metadata { r#type: 2, help_ref: 5, unit_ref: 0 });
    let labels_refs = vec![3, 4];
    series.exemplars = vec![v2::Exemplar { labels_refs, value: 0.5, timestamp: NOW }];
    let mut histograms = up_v2(&[]);
    histograms.labels_refs.extend([3, 4]);
    histograms.histograms = vec![native_histogram(NOW, 3)];
    let response = receiver.send(post(V2, v2_body(vec![series, histograms]))).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(written(&response), ["2", "1", "1"]);
    let content = receiver.content();
    assert_eq!(content[0].1.start_timestamps, [NOW - 3_600_000; 2]);
    assert_eq!(content[1].1.histograms[0].start_timestamp, NOW - 3_600_000);
    assert_eq!(receiver.store.metadata(Some("up"))[0].1[0].help, "Is it up?");
}

#[tokio::test]
async fn v2_writes_what_it_can() {
    let receiver = Receiver::new();
    let mut bad_histogram = up_v2(&[NOW]);
    bad_histogram.labels_refs.extend([3, 4]);
    bad_histogram.histograms = vec![native_histogram(NOW, 99)];
    let mut nameless = up_v2(&[NOW]);
    nameless.labels_refs = vec![3, 4];
    let series = vec![up_v2(&[NOW, NOW * 1000]), bad_histogram, up_v2(&[]), nameless];
    let response = receiver.send(post(V2, v2_body(series))).await;
    assert_eq!(written(&response), ["2", "0", "0"]);
    let (status, text) = status_and_text(response).await;
    assert_eq!(status, 400);
    for reason in ["out of bounds", "schema 99", "at least one sample", "no metric name"] {
        assert!(text.contains(reason), "{reason} in {text}");
    }
    assert_eq!(receiver.times().len(), 2);
    assert_eq!(receiver.state.metrics().rejected.get(), 4);
}

#[tokio::test]
async fn a_store_that_cannot_write_is_500_without_counts() {
    let receiver = Receiver::with(|options| options.disk_free_bytes_min = u64::MAX);
    let (status, text) = receiver.send_v1(vec![up("a", &[NOW])]).await;
    assert_eq!(status, 500, "{text}");
    let response = receiver.send(post(V2, v2_body(vec![up_v2(&[NOW])]))).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(written(&response), ["0", "0", "0"]);
    assert_eq!(receiver.state.metrics().requests_v2.failed.get(), 1);
}
