//! The route as a client sees it, in both forms of an answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use prost::Message;
use tower::ServiceExt;

use crate::model::histogram::{Histogram, IntHistogram};
use crate::model::source::{HistogramPoint, SeriesData};
use crate::model::{SystemClock, stale_nan};
use crate::remote_read::{RemoteReadState, crc32c, router};
use crate::runtime::CpuPool;

use super::chunks::decode_xor;
use super::proto::{ChunkedReadResponse, LabelMatcher, Query, ReadRequest, ReadResponse};
use super::{Source, floats};

fn state(source: Source) -> RemoteReadState {
    let pool = CpuPool::new("test", 1, 8).expect("a thread");
    RemoteReadState::new(Arc::new(source), pool, Duration::MAX, Arc::new(SystemClock))
}

fn query(name: &str, start: i64, end: i64) -> Query {
    let matcher = LabelMatcher { r#type: 0, name: "__name__".into(), value: name.into() };
    Query { start_timestamp_ms: start, end_timestamp_ms: end, matchers: vec![matcher], hints: None }
}

async fn send(source: Source, queries: Vec<Query>, accepted: Vec<i32>) -> Response {
    let message = ReadRequest { queries, accepted_response_types: accepted }.encode_to_vec();
    let body = snap::raw::Encoder::new().compress_vec(&message).expect("compresses");
    let request = Request::post("/api/v1/read").body(Body::from(body)).expect("a request");
    router(state(source)).oneshot(request).await.expect("infallible")
}

async fn body_of(response: Response) -> Vec<u8> {
    axum::body::to_bytes(response.into_body(), 64 << 20).await.expect("a body").to_vec()
}

fn mixed() -> SeriesData {
    let mut data = floats((0..300).map(|i| i * 10));
    data.values[7] = stale_nan();
    let h = IntHistogram { count: 3, zero_count: 3, sum: 1.5, ..IntHistogram::default() };
    let histogram = Histogram::Int(h);
    data.histograms = vec![HistogramPoint { timestamp: 1005, start_timestamp: 0, histogram }];
    data
}

#[tokio::test]
async fn samples_come_in_one_message() {
    let source = Source::default().with("a", mixed()).with("b", floats([1, 2]));
    let queries = vec![query("b", 2, 9), query("nothing", 0, 9), query("a", 0, 5000)];
    let response = send(source, queries, vec![0, 1]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/x-protobuf");
    assert_eq!(response.headers()["content-encoding"], "snappy");
    let body = body_of(response).await;
    let message = snap::raw::Decoder::new().decompress_vec(&body).expect("snappy");
    let results = ReadResponse::decode(message.as_slice()).expect("a message").results;
    assert_eq!(results.len(), 3);
    let b = &results[0].timeseries[0];
    assert_eq!((b.samples.len(), b.samples[0].timestamp), (1, 2));
    let name = (b.labels[0].name.as_str(), b.labels[0].value.as_str());
    assert_eq!(name, ("__name__", "b"));
    assert!(results[1].timeseries.is_empty());
    let a = &results[2].timeseries[0];
    assert_eq!((a.samples.len(), a.histograms.len()), (300, 1));
    assert_eq!(a.samples[7].value.to_bits(), stale_nan().to_bits());
    assert_eq!((a.histograms[0].timestamp, a.histograms[0].sum), (1005, 1.5));
}

/// Takes a stream apart as a client does, checksums included.
fn frames_of(mut stream: &[u8]) -> Vec<ChunkedReadResponse> {
    let mut frames = Vec::new();
    while !stream.is_empty() {
        let len = prost::encoding::decode_varint(&mut stream).expect("a length") as usize;
        let (checksum, rest) = stream.split_at(4);
        let (content, rest) = rest.split_at(len);
        assert_eq!(checksum, crc32c::checksum(content).to_be_bytes());
        frames.push(ChunkedReadResponse::decode(content).expect("a message"));
        stream = rest;
    }
    frames
}

#[tokio::test]
async fn chunks_come_as_a_stream() {
    let source = Source::default().with("a", mixed()).with("b", floats([1, 2]));
    let queries = vec![query("nothing", 0, 9), query("b", 0, 9), query("a", 0, 5000)];
    let response = send(source, queries, vec![1]).await;
    assert_eq!(response.status(), StatusCode::OK);
    let content_type = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    assert_eq!(response.headers()["content-type"], content_type);
    let frames = frames_of(&body_of(response).await);
    assert_eq!(frames.iter().map(|f| f.query_index).collect::<Vec<_>>(), [1, 2]);
    let a = &frames[1].chunked_series[0];
    assert_eq!(a.labels[0].value, "a");
    let times: Vec<_> = a.chunks.iter().map(|c| (c.r#type, c.min_time_ms, c.max_time_ms)).collect();
    // 101 floats up to the histogram, then 120 and 79.
    assert_eq!(times, [(1, 0, 1000), (2, 1005, 1005), (1, 1010, 2200), (1, 2210, 2990)]);
    let expected = mixed();
    let samples = a.chunks.iter().filter(|c| c.r#type == 1).flat_map(|c| decode_xor(&c.data));
    let expected = expected.timestamps.iter().zip(&expected.values);
    assert!(samples.eq(expected.map(|(t, v)| (*t, v.to_bits()))));
}

#[tokio::test]
async fn a_long_answer_takes_several_frames_and_blocks() {
    let noise = |t: &i64| f64::from_bits((*t as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut data = floats(0..400_000);
    data.values = data.timestamps.iter().map(noise).collect();
    let source = Source::default().with("a", data.clone());
    let body = body_of(send(source, vec![query("a", 0, i64::MAX)], vec![1]).await).await;
    let frames = frames_of(&body);
    assert!(frames.len() > 2, "{} frames", frames.len());
    let chunks = frames.iter().flat_map(|f| &f.chunked_series[0].chunks);
    let samples = chunks.flat_map(|c| decode_xor(&c.data));
    let expected = data.timestamps.iter().zip(&data.values);
    assert!(samples.eq(expected.map(|(t, v)| (*t, v.to_bits()))));
}

#[tokio::test]
async fn an_empty_answer_is_an_answer() {
    let response = send(Source::default(), vec![query("a", 0, 9)], vec![1]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(body_of(response).await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let mut broken = query("a", 0, 9);
    broken.matchers[0].name = "broken".into();
    for accepted in [vec![0], vec![1]] {
        let response = send(Source::default(), vec![broken.clone()], accepted).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body_of(response).await, b"store is closed\n");
    }
    let response = send(Source::default(), vec![], vec![9]).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let app = router(state(Source::default()));
    let get = Request::get("/api/v1/read").body(Body::empty()).expect("a request");
    let response = app.clone().oneshot(get).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    let damaged = Request::post("/api/v1/read").body(Body::from("not snappy")).expect("a request");
    let response = app.oneshot(damaged).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}
