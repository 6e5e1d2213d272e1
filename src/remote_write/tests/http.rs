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
use crate::remote_write::{RemoteWriteMetrics, RemoteWriteState, router};
use crate::runtime::CpuPool;

use super::proto::{v1, v2};

const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
const SAMPLES_WRITTEN: &str = "x-prometheus-remote-write-samples-written";

fn state() -> RemoteWriteState {
    let pool = CpuPool::new("test", 1, 8).expect("a thread");
    RemoteWriteState::new(Ingest {}, pool, Arc::new(RemoteWriteMetrics::default()))
}

fn post(content_type: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post("/api/v1/write").header("content-type", content_type);
    request.header("content-encoding", "snappy").body(body.into()).expect("a request")
}

fn snappy(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).expect("compresses")
}

async fn send(state: &RemoteWriteState, request: Request<Body>) -> Response {
    router(state.clone()).oneshot(request).await.expect("infallible")
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
        let response = send(&state(), request.body(Body::empty()).expect("a request")).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn unknown_media_types_and_encodings_are_415() {
    let state = state();
    let (status, text) = status_and_text(send(&state, post("text/plain", "x")).await).await;
    assert_eq!(status, 415);
    assert!(text.contains("application/x-protobuf"), "{text}");
    let mut gzip = post(V2, "x");
    gzip.headers_mut().insert("content-encoding", "gzip".parse().expect("a value"));
    let response = send(&state, gzip).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(response.headers()[SAMPLES_WRITTEN], "0");
    assert_eq!(state.metrics().requests_unknown.refused.get(), 1);
    assert_eq!(state.metrics().requests_v2.refused.get(), 1);
}

#[tokio::test]
async fn bodies_beyond_the_limits_are_refused() {
    let state = state();
    let large = send(&state, post("", vec![0; WRITE_BODY_BYTES_MAX + 1])).await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let large = send(&state, post("", Body::new(Chunks(40)))).await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let bomb = snappy(&vec![0; WRITE_DECODED_BYTES_MAX + 1]);
    let (status, text) = status_and_text(send(&state, post("", bomb)).await).await;
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
    let state = state();
    for body in [Vec::new(), b"not snappy".to_vec(), snappy(b"\x0a\x05abc")] {
        let (status, text) = status_and_text(send(&state, post("", body)).await).await;
        assert_eq!(status, 400, "{text}");
        assert!(text.ends_with('\n'));
    }
    assert_eq!(state.metrics().requests_v1.refused.get(), 3);
}

#[tokio::test]
async fn requests_without_content_are_written_at_once() {
    let state = state();
    let response = send(&state, post("", snappy(b""))).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let empty = v2::Request { symbols: vec![String::new()], timeseries: Vec::new() };
    let response = send(&state, post(V2, snappy(&empty.encode_to_vec()))).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.headers()[SAMPLES_WRITTEN], "0");
    assert_eq!(state.metrics().requests_v2.written.get(), 1);
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
    let response = send(&state(), post("", snappy(&message.encode_to_vec()))).await;
    let (status, text) = status_and_text(response).await;
    assert_eq!((status, text.as_str()), (400, "histogram at 0 ms: schema 99 is not known\n"));
}

#[tokio::test]
async fn only_invalid_elements_in_v2_are_400_with_counts() {
    let series = v2::TimeSeries { labels_refs: vec![9, 9], ..Default::default() };
    let message = v2::Request { symbols: vec![String::new()], timeseries: vec![series] };
    let state = state();
    let response = send(&state, post(V2, snappy(&message.encode_to_vec()))).await;
    assert_eq!(response.headers()[SAMPLES_WRITTEN], "0");
    let (status, text) = status_and_text(response).await;
    assert_eq!(status, 400);
    assert_eq!(text, "series: label reference 9 is out of range, there are 1 symbols\n");
    assert_eq!(state.metrics().invalid_labels_samples.get(), 1);
}
