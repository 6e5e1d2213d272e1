//! `/-/healthy`, `/-/ready`, `/-/reload` and `/-/quit`.

use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::state::{HttpState, LifecycleOrder, Readiness};

const STOPPING: HeaderName = HeaderName::from_static("x-prometheus-stopping");

/// The process runs.
pub async fn healthy() -> &'static str {
    "Tidewatch is Healthy.\n"
}

/// The store is open; [`gate`] answers while it is not.
pub async fn ready() -> &'static str {
    "Tidewatch is Ready.\n"
}

/// Lets requests through once the store is open, and no longer when the process stops.
pub async fn gate(State(state): State<HttpState>, request: Request, next: Next) -> Response {
    let stopping = match state.readiness() {
        Readiness::Ready => return next.run(request).await,
        Readiness::Starting => "false",
        Readiness::Stopping => "true",
    };
    let unavailable = (StatusCode::SERVICE_UNAVAILABLE, [(STOPPING, stopping)]);
    (unavailable.0, unavailable.1, "Service Unavailable").into_response()
}

/// Loads the configuration again and answers when that is done.
pub async fn reload(State(state): State<HttpState>) -> Response {
    let (reply, outcome) = oneshot::channel();
    if let Err(refused) = order(&state, LifecycleOrder::Reload(reply)).await {
        return refused;
    }
    match outcome.await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(why)) => internal(format!("failed to reload config: {why}\n")),
        Err(_) => internal("failed to reload config: the process is shutting down\n".into()),
    }
}

/// Shuts the process down.
pub async fn quit(State(state): State<HttpState>) -> Response {
    match order(&state, LifecycleOrder::Quit).await {
        Ok(()) => "Requesting termination... Goodbye!\n".into_response(),
        Err(refused) => refused,
    }
}

/// Answers GET on the two orders.
pub async fn only_post() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed").into_response()
}

async fn order(state: &HttpState, order: LifecycleOrder) -> Result<(), Response> {
    if !state.options().lifecycle_enabled {
        let refusal = (StatusCode::FORBIDDEN, "Lifecycle API is not enabled.");
        return Err(refusal.into_response());
    }
    let gone = || internal("the process does not take orders, it may be shutting down\n".into());
    let sender = state.lifecycle().ok_or_else(gone)?;
    sender.send(order).await.map_err(|_| gone())
}

fn internal(why: String) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, why).into_response()
}
