//! Alertmanager's API, version 2, and the history of alerts.
//!
//! In: requests of amtool, Grafana, karma and everybody who sends alerts. Out: answers in their
//! shapes, errors included: a bare JSON string for most, an object with a code for what the API's
//! description forbids. Never here: what alerts mean; [`Notifier`] is asked and told.

mod alerts;
mod answer;
mod body;
mod filter;
mod history;
mod silences;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get};
use tower_http::compression::{CompressionLayer, CompressionLevel};

use super::state::BuildInfo;
use crate::model::limits::WRITE_BODY_BYTES_MAX;
use crate::model::{Clock, Timestamp};
use crate::notify::service::Notifier;
use crate::runtime::CpuPool;

/// What the handlers work with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AlertmanagerState {
    /// Who knows and does everything.
    pub notifier: Notifier,
    /// Where answers are made up.
    pub pool: CpuPool,
    /// What was built.
    pub build: Arc<BuildInfo>,
    /// When the process started.
    pub started_at: Timestamp,
    /// Where the present comes from.
    pub clock: Arc<dyn Clock>,
}

/// All routes.
pub fn router(state: AlertmanagerState) -> Router {
    let compression =
        CompressionLayer::new().gzip(true).deflate(true).quality(CompressionLevel::Fastest);
    Router::new()
        .route("/api/v2/status", only(get(status::status)))
        .route("/api/v2/receivers", only(get(status::receivers)))
        .route("/api/v2/alerts", only(get(alerts::alerts).post(alerts::post)))
        .route("/api/v2/alerts/groups", only(get(alerts::groups)))
        .route("/api/v2/silences", only(get(silences::silences).post(silences::post)))
        .route("/api/v2/silence/{id}", only(get(silences::silence).delete(silences::delete)))
        .route("/api/v1/alerts/history", get(history::history))
        .layer(DefaultBodyLimit::max(WRITE_BODY_BYTES_MAX))
        .layer(compression)
        .with_state(state)
}

/// Other methods are refused as Alertmanager refuses them.
fn only(handlers: MethodRouter<AlertmanagerState>) -> MethodRouter<AlertmanagerState> {
    handlers.fallback(answer::method_not_allowed)
}

#[cfg(test)]
mod tests;
