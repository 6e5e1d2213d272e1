//! What the HTTP part counts about itself, and `/metrics`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;

use crate::telemetry::{
    Counter, CounterVec, Exposition, Gauge, Histogram, HistogramVec, MetricFamily, Registry,
    write_exposition,
};

use super::state::{HttpState, Readiness};

/// Most label sets of one family: about fifty handlers, a handful of codes each.
const SERIES_MAX: usize = 512;

/// Counters of the HTTP part; the names are those dashboards for Prometheus know.
#[derive(Debug)]
pub struct HttpMetrics {
    requests: CounterVec<2>,
    durations: HistogramVec<1>,
    response_sizes: HistogramVec<1>,
    /// Federation requests that could not be answered.
    pub federation_errors: Counter,
    /// Queries that wait for a place among the concurrent ones.
    pub queries_waiting: Gauge,
    /// Queries being evaluated.
    pub queries_running: Gauge,
    /// Queries and other requests that were stopped because their client had gone away.
    pub queries_canceled: Counter,
    /// Samples that queries looked at, those without a result included.
    pub samples_looked_at: Counter,
}

impl Default for HttpMetrics {
    fn default() -> HttpMetrics {
        HttpMetrics {
            requests: CounterVec::new(["handler", "code"], SERIES_MAX),
            durations: HistogramVec::new(["handler"], SERIES_MAX, || {
                Histogram::new(Histogram::SECONDS)
            }),
            response_sizes: HistogramVec::new(["handler"], SERIES_MAX, || {
                Histogram::new(Histogram::BYTES)
            }),
            federation_errors: Counter::new(),
            queries_waiting: Gauge::default(),
            queries_running: Gauge::default(),
            queries_canceled: Counter::new(),
            samples_looked_at: Counter::new(),
        }
    }
}

impl HttpMetrics {
    fn families(&self, readiness: Readiness, queries_max: usize) -> Vec<MetricFamily> {
        let ready = if readiness == Readiness::Ready { 1.0 } else { 0.0 };
        let mut families = self.queries(queries_max);
        families.extend([
            self.requests.family(
                "prometheus_http_requests_total",
                "HTTP requests by handler and status code.",
            ),
            self.durations.family(
                "prometheus_http_request_duration_seconds",
                "Time from a request's head to its answer's head.",
            ),
            self.response_sizes.family(
                "prometheus_http_response_size_bytes",
                "Size of answers whose length is known in advance, before compression.",
            ),
            MetricFamily::counter(
                "prometheus_web_federation_errors_total",
                "Federation requests that could not be answered.",
            )
            .value(self.federation_errors.get() as f64),
            MetricFamily::gauge("prometheus_ready", "Whether the store is open.").value(ready),
        ]);
        families
    }

    fn queries(&self, queries_max: usize) -> Vec<MetricFamily> {
        let (running, waiting) = (self.queries_running.get(), self.queries_waiting.get());
        vec![
            MetricFamily::gauge(
                "prometheus_engine_queries",
                "Queries being evaluated or waiting for their turn.",
            )
            .value((running + waiting) as f64),
            MetricFamily::gauge(
                "prometheus_engine_queries_concurrent_max",
                "Most queries evaluated at a time.",
            )
            .value(queries_max as f64),
            MetricFamily::gauge("tidewatch_queries", "Queries, by what they are doing.")
                .with(&[("state", "running")], running as f64)
                .with(&[("state", "waiting")], waiting as f64),
            MetricFamily::counter(
                "tidewatch_queries_canceled_total",
                "Requests that were stopped while they read series because their client had gone away.",
            )
            .value(self.queries_canceled.get() as f64),
            MetricFamily::counter(
                "prometheus_engine_query_samples_total",
                "Samples that queries of the HTTP API looked at.",
            )
            .value(self.samples_looked_at.get() as f64),
        ]
    }
}

/// Hands the metrics of `state` to the registry.
pub fn register(registry: &Registry, state: &HttpState) {
    let state = state.downgrade();
    registry.register(move || {
        state.upgrade().map_or_else(Vec::new, |state| {
            state.metrics().families(state.readiness(), state.queries_max())
        })
    });
}

/// Counts requests that have a handler.
pub async fn layer(
    State(metrics): State<Arc<HttpMetrics>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let began = Instant::now();
    let response = next.run(request).await;
    let Some(path) = path else { return response };
    // Prometheus writes a parameter as `:name`.
    let handler = path.as_str().replace('{', ":").replace('}', "");
    metrics.requests.with([&handler, response.status().as_str()]).inc();
    metrics.durations.with([&handler]).observe_duration(began.elapsed());
    if let Some(bytes) = response.body().size_hint().exact() {
        metrics.response_sizes.with([&handler]).observe(bytes as f64);
    }
    response
}

/// `/metrics`: everything the process says about itself. Not on the queries' pool: it has to
/// answer while long queries keep that busy.
pub async fn expose(State(state): State<HttpState>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Exposition::negotiate(accept);
    let write = move || write_exposition(format, &state.registry().gather());
    match tokio::task::spawn_blocking(write).await {
        Ok(text) => {
            (StatusCode::OK, [(header::CONTENT_TYPE, format.content_type())], text).into_response()
        }
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
