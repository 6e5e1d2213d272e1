//! `admin/tsdb/...`: off unless enabled, as in Prometheus.

use axum::extract::State;
use axum::routing::{MethodRouter, post};

use super::super::error::{ApiError, ErrorKind};
use super::super::state::HttpState;

/// The route of an admin endpoint.
pub fn route() -> MethodRouter<HttpState> {
    post(refuse).put(refuse)
}

/// Refuses, whether the endpoints are enabled or not: the store has nothing to delete or to copy
/// with yet, and an order that is not carried out must not look like one that was.
async fn refuse(State(state): State<HttpState>) -> ApiError {
    let why = if state.options().admin_enabled {
        "admin APIs are enabled, but deleting series and taking snapshots is not supported yet"
    } else {
        "admin APIs disabled"
    };
    ApiError::new(ErrorKind::Unavailable, why)
}
