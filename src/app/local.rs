//! Asking the data directory of a stopped server: the same routes, without a socket.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::{QUERY_JOBS_MAX, ServeError};
use crate::http::{self, HttpOptions, HttpState};
use crate::model::{Clock, SystemClock};
use crate::promql::{Engine, EngineOptions};
use crate::runtime::{CpuPool, cores, parallel_pool};
use crate::storage::{Store, StoreOptions};
use crate::telemetry::Registry;

/// The body of the API's answer to a GET of `path` (with its query), from the data in `dir`.
///
/// # Errors
/// There is no such directory, a server uses it, or it cannot be opened.
pub fn ask_data_dir(dir: &Path, path: &str) -> Result<Vec<u8>, ServeError> {
    // Opening would create what is missing: a typing error must not.
    if !dir.is_dir() {
        let error = io::Error::new(io::ErrorKind::NotFound, dir.display().to_string());
        return Err(ServeError::io("opening the data directory", error));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // Nothing may be removed by a look: keep everything.
    let options =
        StoreOptions { retention_ms: i64::MAX / 4, ..StoreOptions::new(dir, Arc::clone(&clock)) };
    let store = Arc::new(Store::open(options, &|_| {})?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| ServeError::io("starting the runtime", error))?;
    let body = runtime.block_on(ask(Arc::clone(&store), clock, path))?;
    drop(runtime);
    if let Ok(store) = Arc::try_unwrap(store) {
        store.close()?;
    }
    Ok(body)
}

async fn ask(store: Arc<Store>, clock: Arc<dyn Clock>, path: &str) -> Result<Vec<u8>, ServeError> {
    let fail = |error| ServeError::io("starting the CPU pool", error);
    let pool = CpuPool::new("query", cores(), QUERY_JOBS_MAX).map_err(fail)?;
    let engine = Engine::new(EngineOptions {
        clock: Arc::clone(&clock),
        pool: Some(parallel_pool().map_err(fail)?),
        ..EngineOptions::default()
    });
    let state = HttpState::new(
        Arc::new(engine),
        pool,
        clock,
        Registry::new(),
        HttpOptions::default(),
        None,
    );
    state.open(store);
    let request = Request::get(path).body(Body::empty()).map_err(|error| {
        ServeError::io("making the request", io::Error::other(error.to_string()))
    })?;
    let Ok(response) = http::router(state, Router::new()).oneshot(request).await;
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|error| ServeError::io("reading the answer", io::Error::other(error)))?;
    Ok(body.to_bytes().to_vec())
}
