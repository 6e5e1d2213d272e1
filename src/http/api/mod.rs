//! The Prometheus HTTP API, `/api/v1/...`: one file for each group of endpoints.
//!
//! In: parameters. Out: [`super::answer::Answer`]s. Never here: sockets, and CPU work on the async
//! runtime.

use axum::Router;
use axum::routing::{get, post};

use super::state::HttpState;

mod admin;
mod exemplars;
mod features;
mod format;
mod labels;
mod metadata;
mod query;
mod query_explain;
mod rule_filter;
mod rules;
mod scope;
mod series;
mod status;
mod switched_off;
mod targets;
mod tsdb;

/// Endpoints that read series: served once the store is open.
pub fn store_routes() -> Router<HttpState> {
    Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/query_explain", get(query_explain::explain).post(query_explain::explain))
        .route("/api/v1/query_exemplars", get(exemplars::query).post(exemplars::query))
        .route("/api/v1/format_query", get(format::format_query).post(format::format_query))
        .route("/api/v1/parse_query", get(format::parse_query).post(format::parse_query))
        .route("/api/v1/labels", get(labels::names).post(labels::names))
        // POST is not in Prometheus; Grafana sends it for the suggestions of its query builder.
        .route("/api/v1/label/{name}/values", get(labels::values).post(labels::values))
        .route("/api/v1/series", get(series::series).post(series::series))
        .route("/api/v1/scrape_pools", get(targets::scrape_pools))
        .route("/api/v1/scrape_pools/config", get(targets::scrape_pool_config))
        .route("/api/v1/targets", get(targets::targets))
        .route("/api/v1/targets/metadata", get(targets::metadata))
        .route("/api/v1/alertmanagers", get(targets::alertmanagers))
        .route("/api/v1/alerts", get(rules::alerts))
        .route("/api/v1/rules", get(rules::rules))
        .route("/api/v1/features", get(features::features))
        .route("/api/v1/metadata", get(metadata::metadata))
        .route("/api/v1/status/config", get(status::config))
        .route("/api/v1/status/runtimeinfo", get(status::runtime_info))
        .route("/api/v1/status/buildinfo", get(status::build_info))
        .route("/api/v1/status/flags", get(status::flags))
        .route("/api/v1/status/tsdb", get(tsdb::status))
        .route("/api/v1/status/tsdb/blocks", get(tsdb::blocks))
        .route("/api/v1/admin/tsdb/delete_series", admin::route())
        .route("/api/v1/admin/tsdb/clean_tombstones", admin::route())
        .route("/api/v1/admin/tsdb/snapshot", admin::route())
        .route("/api/v1/search/{what}", get(switched_off::search).post(switched_off::search))
}

/// Endpoints that answer while the store is still opening.
pub fn early_routes() -> Router<HttpState> {
    Router::new()
        .route("/api/v1/status/walreplay", get(status::wal_replay))
        .route("/api/v1/notifications", get(status::notifications))
        .route("/api/v1/notifications/live", get(status::notifications_live))
        .route("/api/v1/otlp/v1/metrics", post(switched_off::otlp))
}
