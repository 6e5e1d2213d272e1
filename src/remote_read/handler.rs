//! The HTTP side of remote read: `POST /api/v1/read`.
//!
//! In: requests. Out: answers in the form the client prefers. Reading and encoding happen on the
//! CPU pool, a block at a time and only as fast as the client takes it. Never here: encoding.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::limits::{WRITE_BODY_BYTES_MAX, WRITE_DECODED_BYTES_MAX};
use crate::model::{Clock, Interrupt, SeriesSource, SourceError};
use crate::remote_write::respond::plain;
use crate::remote_write::snappy;
use crate::runtime::{CancelOnDrop, CpuPool, Overloaded};

use super::query::{self, ReadRequest, ResponseType};
use super::sampled::{self, ReadError};
use super::stream::Frames;

/// Most answers being made at a time (Prometheus' `--storage.remote.read-concurrent-limit`); more
/// wait their turn.
const READS_MAX: usize = 10;

/// What the server of remote reads needs; cheap to clone.
#[derive(Clone)]
pub struct RemoteReadState {
    source: Arc<dyn SeriesSource>,
    pool: CpuPool,
    turns: Arc<Semaphore>,
    /// How long an answer, or one block of a streamed one, may take to make.
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl RemoteReadState {
    /// A server that reads from `source` and computes on `pool`, no longer than `timeout` on `clock`
    /// for an answer, or a block of a streamed one.
    pub fn new(
        source: Arc<dyn SeriesSource>,
        pool: CpuPool,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> RemoteReadState {
        let turns = Arc::new(Semaphore::new(READS_MAX));
        RemoteReadState { source, pool, turns, timeout, clock }
    }

    fn interrupt(&self, cancel: &CancelOnDrop) -> Interrupt {
        let timeout_ms = i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX);
        let deadline = self.clock.now().saturating_add(timeout_ms);
        Interrupt::new(Some(cancel.flag()), deadline, Arc::clone(&self.clock))
    }
}

impl fmt::Debug for RemoteReadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteReadState").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// The route of remote read. Methods other than POST are answered with 405.
pub fn router(state: RemoteReadState) -> Router {
    Router::new().route("/api/v1/read", post(read)).with_state(state)
}

async fn read(State(state): State<RemoteReadState>, request: Request) -> Response {
    match answer(state, request).await {
        Ok(response) => response,
        Err((status, why)) => plain(status, &why),
    }
}

type Refusal = (StatusCode, String);

async fn answer(state: RemoteReadState, request: Request) -> Result<Response, Refusal> {
    let body = body_of(request).await?;
    let turn = Arc::clone(&state.turns).acquire_owned().await;
    let turn = turn.expect("BUG: the semaphore of remote reads is never closed");
    let request = state.pool.run(move || decode(&body)).await.map_err(overloaded)??;
    match request.response_type {
        ResponseType::Samples => samples(&state, request).await,
        ResponseType::StreamedXorChunks => streamed(state, request, turn).await,
    }
}

async fn body_of(request: Request) -> Result<Bytes, Refusal> {
    match Limited::new(request.into_body(), WRITE_BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let why = format!("request body has more than {WRITE_BODY_BYTES_MAX} bytes");
            Err((StatusCode::PAYLOAD_TOO_LARGE, why))
        }
        Err(error) => {
            Err((StatusCode::BAD_REQUEST, format!("request body could not be read: {error}")))
        }
    }
}

fn decode(body: &[u8]) -> Result<ReadRequest, Refusal> {
    let bad_request = |why: String| (StatusCode::BAD_REQUEST, why);
    let mut buffer = Vec::new();
    let decoded = snappy::decode(body, WRITE_DECODED_BYTES_MAX, &mut buffer)
        .map_err(|error| bad_request(error.to_string()))?;
    query::parse(decoded).map_err(|error| bad_request(error.to_string()))
}

async fn samples(state: &RemoteReadState, request: ReadRequest) -> Result<Response, Refusal> {
    let source = Arc::clone(&state.source);
    let cancel = CancelOnDrop::default();
    let interrupt = state.interrupt(&cancel);
    let job = move || sampled::respond(&*source, &request.queries, &interrupt);
    let body = state.pool.run(job).await.map_err(overloaded)?.map_err(|error| {
        let status = match error {
            ReadError::Source(SourceError::Interrupted(_)) => StatusCode::SERVICE_UNAVAILABLE,
            ReadError::Source(_) => StatusCode::INTERNAL_SERVER_ERROR,
            ReadError::TooManySamples | ReadError::TooLarge => StatusCode::BAD_REQUEST,
        };
        (status, error.to_string())
    })?;
    const TYPE: HeaderValue = HeaderValue::from_static("application/x-protobuf");
    const ENCODING: HeaderValue = HeaderValue::from_static("snappy");
    Ok(([(CONTENT_TYPE, TYPE), (CONTENT_ENCODING, ENCODING)], body).into_response())
}

/// The first block is made before the answer begins, so that a store which cannot be read is
/// answered with 500.
async fn streamed(
    state: RemoteReadState,
    request: ReadRequest,
    turn: OwnedSemaphorePermit,
) -> Result<Response, Refusal> {
    const TYPE: HeaderValue = HeaderValue::from_static(
        "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse",
    );
    let frames = Frames::new(Arc::clone(&state.source), request.queries);
    let cancel = CancelOnDrop::default();
    let made = next_block(state.pool.clone(), frames, state.interrupt(&cancel)).await;
    let (frames, first) = made.map_err(overloaded)?;
    let first = first.map_err(|e| (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    let body = BlockBody { state, first, frames: Next::Idle(frames), cancel, _turn: turn };
    Ok(([(CONTENT_TYPE, TYPE)], Body::new(body)).into_response())
}

fn overloaded(error: Overloaded) -> Refusal {
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

/// A block of frames, and the rest of the answer.
type Made = (Frames, Result<Option<Vec<u8>>, SourceError>);

async fn next_block(
    pool: CpuPool,
    mut frames: Frames,
    interrupt: Interrupt,
) -> Result<Made, Overloaded> {
    let job = move || {
        let block = frames.next_block(&interrupt);
        (frames, block)
    };
    pool.run(job).await
}

/// An answer that makes its next block when the client is ready for it.
struct BlockBody {
    state: RemoteReadState,
    first: Option<Vec<u8>>,
    frames: Next,
    /// Ends the work on the next block when the client goes away.
    cancel: CancelOnDrop,
    /// Held until the answer is over.
    _turn: OwnedSemaphorePermit,
}

enum Next {
    Idle(Frames),
    Making(Pin<Box<dyn Future<Output = Result<Made, Overloaded>> + Send>>),
    Over,
}

impl hyper::body::Body for BlockBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first.into()))));
        }
        loop {
            match std::mem::replace(&mut self.frames, Next::Over) {
                Next::Over => return Poll::Ready(None),
                Next::Idle(frames) => {
                    let interrupt = self.state.interrupt(&self.cancel);
                    let making = next_block(self.state.pool.clone(), frames, interrupt);
                    self.frames = Next::Making(Box::pin(making));
                }
                Next::Making(mut making) => match making.as_mut().poll(context) {
                    Poll::Pending => {
                        self.frames = Next::Making(making);
                        return Poll::Pending;
                    }
                    Poll::Ready(made) => return Poll::Ready(self.take(made)),
                },
            }
        }
    }
}

impl BlockBody {
    fn take(&mut self, made: Result<Made, Overloaded>) -> Option<Result<Frame<Bytes>, io::Error>> {
        match made {
            Ok((frames, Ok(Some(block)))) => {
                self.frames = Next::Idle(frames);
                Some(Ok(Frame::data(block.into())))
            }
            Ok((_, Ok(None))) => None,
            Ok((_, Err(error))) => Some(Err(io::Error::other(error.to_string()))),
            Err(error) => Some(Err(io::Error::other(error))),
        }
    }
}
