//! Endpoints of Prometheus that exist behind a flag there and answer here as if it were not set.

use axum::http::StatusCode;

use super::super::error::{ApiError, ErrorKind};

/// `search/...`
pub async fn search() -> ApiError {
    ApiError::new(ErrorKind::Unavailable, "search API disabled")
}

/// `otlp/v1/metrics`
pub async fn otlp() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "otlp write receiver needs to be enabled with --web.enable-otlp-receiver\n",
    )
}
