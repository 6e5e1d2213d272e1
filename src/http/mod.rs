//! The HTTP server: the Prometheus API, federation, own metrics, health and lifecycle.
//!
//! In: connections and requests. Out: answers, byte for byte what clients of Prometheus expect.
//! Never here: evaluation, storage, and CPU work on the async runtime; handlers parse parameters,
//! hand the work to the CPU pool and write the answer there.
//!
//! The way of a request: [`server`] accepts and bounds it, [`router`] finds its handler, [`params`]
//! reads it, a file in `api/` answers with [`answer`] or [`error`] through [`json`].

pub mod alertmanager;
pub mod answer;
mod api;
pub mod cors;
mod deadline;
pub mod error;
pub mod escaping;
mod federate;
mod health;
pub mod json;
pub mod metrics;
pub mod params;
pub mod recovery;
mod root;
pub mod server;
pub mod state;
pub mod times;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::{CompressionLayer, CompressionLevel};

pub use cors::CorsOrigin;
pub use state::{BuildInfo, HttpOptions, HttpState, LifecycleOrder, LiveConfig, Readiness};

/// Every route, as (method, path). A path with braces has parameters.
pub const ROUTES: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/-/healthy"),
    ("GET", "/-/ready"),
    ("POST", "/-/quit"),
    ("POST", "/-/reload"),
    ("GET", "/api/v1/alertmanagers"),
    ("GET", "/api/v1/alerts"),
    ("GET", "/api/v1/alerts/history"),
    ("POST", "/api/v1/admin/tsdb/clean_tombstones"),
    ("POST", "/api/v1/admin/tsdb/delete_series"),
    ("POST", "/api/v1/admin/tsdb/snapshot"),
    ("GET", "/api/v1/features"),
    ("GET", "/api/v1/format_query"),
    ("POST", "/api/v1/format_query"),
    ("GET", "/api/v1/label/{name}/values"),
    ("POST", "/api/v1/label/{name}/values"),
    ("GET", "/api/v1/labels"),
    ("POST", "/api/v1/labels"),
    ("GET", "/api/v1/metadata"),
    ("GET", "/api/v1/notifications"),
    ("GET", "/api/v1/notifications/live"),
    ("POST", "/api/v1/otlp/v1/metrics"),
    ("GET", "/api/v1/parse_query"),
    ("POST", "/api/v1/parse_query"),
    ("GET", "/api/v1/query"),
    ("POST", "/api/v1/query"),
    ("GET", "/api/v1/query_exemplars"),
    ("POST", "/api/v1/query_exemplars"),
    ("GET", "/api/v1/query_explain"),
    ("POST", "/api/v1/query_explain"),
    ("GET", "/api/v1/query_range"),
    ("POST", "/api/v1/query_range"),
    ("GET", "/api/v1/rules"),
    ("GET", "/api/v1/scrape_pools"),
    ("GET", "/api/v1/scrape_pools/config"),
    ("GET", "/api/v1/search/{what}"),
    ("POST", "/api/v1/search/{what}"),
    ("GET", "/api/v1/series"),
    ("POST", "/api/v1/series"),
    ("GET", "/api/v1/status/buildinfo"),
    ("GET", "/api/v1/status/config"),
    ("GET", "/api/v1/status/flags"),
    ("GET", "/api/v1/status/runtimeinfo"),
    ("GET", "/api/v1/status/tsdb"),
    ("GET", "/api/v1/status/tsdb/blocks"),
    ("GET", "/api/v1/status/walreplay"),
    ("GET", "/api/v1/targets"),
    ("GET", "/api/v1/targets/metadata"),
    ("GET", "/api/v2/alerts"),
    ("POST", "/api/v2/alerts"),
    ("GET", "/api/v2/alerts/groups"),
    ("GET", "/api/v2/receivers"),
    ("GET", "/api/v2/silence/{id}"),
    ("DELETE", "/api/v2/silence/{id}"),
    ("GET", "/api/v2/silences"),
    ("POST", "/api/v2/silences"),
    ("GET", "/api/v2/status"),
    ("GET", "/federate"),
    ("GET", "/graph"),
    ("GET", "/metrics"),
    ("GET", "/query"),
    ("GET", "/version"),
];

/// All routes. `receivers` are the routers of parts that take data in, such as remote write; they
/// are served as they are, without compression.
pub fn router(state: HttpState, receivers: Router) -> Router {
    let gated = api::store_routes()
        .route("/federate", get(federate::federate))
        .layer(compression())
        .route("/-/ready", get(health::ready))
        .route_layer(from_fn_with_state(state.clone(), health::gate));
    let open = api::early_routes()
        .layer(compression())
        .route("/-/healthy", get(health::healthy))
        .route("/-/reload", get(health::only_post).post(health::reload).put(health::reload))
        .route("/-/quit", get(health::only_post).post(health::quit).put(health::quit))
        .route("/", get(root::index))
        .route("/graph", get(root::to_index))
        .route("/query", get(root::to_index))
        .route("/version", get(root::version))
        .route("/metrics", get(metrics::expose).layer(compression()));
    let allowed = state.options().cors_origin.clone();
    let counters = Arc::clone(state.metrics());
    // `layer` and not `route_layer`, which refuses a router without routes.
    let receivers = receivers.layer(from_fn_with_state(state.clone(), health::gate));
    gated
        .merge(open)
        .with_state(state)
        .merge(receivers)
        .route_layer(from_fn_with_state(counters, metrics::layer))
        .fallback(root::not_found)
        .method_not_allowed_fallback(root::method_not_allowed)
        .layer(from_fn_with_state(allowed, cors::layer))
        .layer(CatchPanicLayer::custom(panic_answer))
}

/// Gzip or deflate, whichever the client names. Fast: answers are text that shrinks well at any
/// level, and the work is done between reads of other clients' requests.
fn compression() -> CompressionLayer {
    CompressionLayer::new().gzip(true).deflate(true).quality(CompressionLevel::Fastest)
}

/// The answer to a request whose handler panicked: our bug, and not the client's business.
fn panic_answer(_: Box<dyn std::any::Any + Send>) -> axum::response::Response {
    use axum::response::IntoResponse;
    let why = "the server failed to handle the request, its log has details";
    error::ApiError::new(error::ErrorKind::Internal, why).into_response()
}
