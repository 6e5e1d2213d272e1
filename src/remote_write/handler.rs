//! The HTTP side of remote write: `POST /api/v1/write`.
//!
//! In: requests. Out: answers as [`respond`] has them. The body is read here, within bounds; all
//! else happens on the CPU pool. Never here: decoding, storage.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::{Semaphore, TryAcquireError};

use crate::ingest::{Ingest, IngestError, WriteOutcome};
use crate::model::limits::WRITE_BODY_BYTES_MAX;
use crate::runtime::CpuPool;

use super::metrics::RemoteWriteMetrics;
use super::negotiation::{self, Version};
use super::request;
use super::respond::{WriteError, respond};

/// Most bytes of request bodies held at a time, in KiB; a body of unknown size counts as the
/// largest. Beyond it senders are asked to come back, so that many of them at once cannot exhaust
/// memory.
const BODIES_KIB_MAX: usize = 256 << 10;

/// How long a body may take to arrive; Prometheus gives up sending after 30 s by default. A sender
/// that stalls must not hold its room for ever.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// What the receiver needs; cheap to clone.
#[derive(Clone, Debug)]
pub struct RemoteWriteState {
    ingest: Ingest,
    pool: CpuPool,
    metrics: Arc<RemoteWriteMetrics>,
    bodies: Arc<Semaphore>,
}

impl RemoteWriteState {
    /// A receiver that writes to `ingest` and computes on `pool`.
    pub fn new(
        ingest: Ingest,
        pool: CpuPool,
        metrics: Arc<RemoteWriteMetrics>,
    ) -> RemoteWriteState {
        RemoteWriteState { ingest, pool, metrics, bodies: Arc::new(Semaphore::new(BODIES_KIB_MAX)) }
    }

    /// Its counters.
    pub fn metrics(&self) -> &Arc<RemoteWriteMetrics> {
        &self.metrics
    }
}

/// The route of the remote-write receiver. Methods other than POST are answered with 405.
pub fn router(state: RemoteWriteState) -> Router {
    Router::new().route("/api/v1/write", post(write)).with_state(state)
}

async fn write(State(state): State<RemoteWriteState>, request: Request) -> Response {
    let version = negotiation::version(request.headers());
    let known = version.as_ref().ok().copied();
    let result = match version {
        Ok(version) => handle(&state, version, request).await,
        Err(why) => Err(WriteError::UnsupportedMedia(why)),
    };
    let response = respond(known, &result);
    count(&state.metrics, known, &result, &response);
    response
}

async fn handle(
    state: &RemoteWriteState,
    version: Version,
    request: Request,
) -> Result<WriteOutcome, WriteError> {
    negotiation::check_encoding(request.headers()).map_err(WriteError::UnsupportedMedia)?;
    let _held = reserve(&state.bodies, request.headers(), request.body())?;
    let body = read(request.into_body()).await?;
    state.metrics.body_bytes.add(body.len() as u64);
    let ingest = state.ingest.clone();
    let job = move || request::submit(version, &body, &ingest);
    let accepted = state.pool.run(job).await.map_err(|_| WriteError::Overloaded)??;
    state.metrics.decoded_bytes.add(accepted.decoded_bytes as u64);
    accepted.durable().await
}

/// Sets aside room for the body before a byte of it is read.
fn reserve<'s>(
    bodies: &'s Semaphore,
    headers: &HeaderMap,
    body: &Body,
) -> Result<tokio::sync::SemaphorePermit<'s>, WriteError> {
    let announced = headers.get(axum::http::header::CONTENT_LENGTH).and_then(|value| {
        let length = value.to_str().ok()?;
        length.parse::<usize>().ok()
    });
    let exact = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = announced.or(exact).unwrap_or(WRITE_BODY_BYTES_MAX);
    if bytes > WRITE_BODY_BYTES_MAX {
        return Err(WriteError::BodyTooLarge);
    }
    let kib = (bytes / 1024 + 1) as u32; // at most 32 Mi / 1 Ki + 1
    bodies.try_acquire_many(kib).map_err(|error| match error {
        TryAcquireError::NoPermits | TryAcquireError::Closed => WriteError::Overloaded,
    })
}

async fn read(body: Body) -> Result<Bytes, WriteError> {
    let read = Limited::new(body, WRITE_BODY_BYTES_MAX).collect();
    let in_time = tokio::time::timeout(BODY_TIMEOUT, read).await;
    match in_time.map_err(|_| WriteError::BodyTimeout)? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(WriteError::BodyTooLarge),
        Err(error) if timed_out(&*error) => Err(WriteError::BodyTimeout),
        Err(error) => Err(WriteError::Body(error.to_string())),
    }
}

/// Whether the server gave up waiting for the body, before we did.
fn timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(this) = error {
        if this.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        error = this.source();
    }
    false
}

fn count(
    metrics: &RemoteWriteMetrics,
    version: Option<Version>,
    result: &Result<WriteOutcome, WriteError>,
    response: &Response,
) {
    let requests = metrics.requests(version);
    let status = response.status();
    if status.is_success() {
        requests.written.add(1);
    } else if status.is_client_error() {
        requests.refused.add(1);
    } else {
        requests.failed.add(1);
    }
    match result {
        Ok(outcome) | Err(WriteError::Ingest(IngestError::Rejected(outcome))) => {
            metrics.add_outcome(outcome);
        }
        Err(_) => {}
    }
}
