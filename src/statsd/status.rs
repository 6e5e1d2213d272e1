//! What the receiver tells about itself at `/api/v1/status/statsd`.
//!
//! In: the state. Out: counts, the mapping rules with their hits, lines that came, lines that were
//! refused by reason, DogStatsD events, and on request what would become of a given line. Never
//! here: changes of state.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};

use super::aggregate::Aggregator;
use super::line::{Item, Reason, parse_line};
use super::listen::StatsdHandle;
use super::listen::source::Origin;
use super::mapping::Action;
use super::metrics::{Counts, StatsdMetrics};
use super::resolve::{Resolution, What};
use super::samples::Kept;
use super::series::metric_type;

/// Path of the page.
pub const PATH: &str = "/api/v1/status/statsd";
/// Longest line that is explained, in bytes.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Everything the page shows.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    series: usize,
    stored_series: usize,
    counters: Vec<Counted>,
    refused: Vec<Refused>,
    recent_lines: Vec<SeenLine>,
    events: Vec<SeenEvent>,
    mappings: Vec<Mapping>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explained: Option<Vec<Explained>>,
}

#[derive(Clone, Debug, Serialize)]
struct Counted {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'static str>,
    value: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Refused {
    reason: &'static str,
    count: u64,
    lines: Vec<SeenLine>,
}

#[derive(Clone, Debug, Serialize)]
struct SeenLine {
    time: String,
    line: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SeenEvent {
    time: String,
    title: String,
    text: String,
    alert_type: String,
    tags: String,
}

#[derive(Clone, Debug, Serialize)]
struct Mapping {
    rule: usize,
    #[serde(rename = "match")]
    pattern: String,
    action: &'static str,
    samples: u64,
}

/// What would become of one sample of a line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// `series`, `dropped`, `duplicate`, `nothing`, `waits`, `refused`, `event` or `serviceCheck`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The series, as a selector.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    metric_type: Option<&'static str>,
    /// The mapping rule, by position in the file from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<u32>,
}

/// Looks at the state.
pub fn report(state: &Aggregator, metrics: &StatsdMetrics, explain: Option<&str>) -> Report {
    let samples = state.samples();
    let refused = Reason::ALL.into_iter().map(|reason| Refused {
        reason: reason.as_str(),
        count: metrics.refused_for(reason),
        lines: samples.refused_for(reason).map(seen).collect(),
    });
    let counters = metrics.expose().into_iter().filter(|exposed| exposed.value > 0);
    let rules = state.resolver().mapper.rules().iter().zip(state.rule_hits()).enumerate();
    Report {
        series: state.len(),
        stored_series: state.stored(),
        counters: counters
            .map(|e| Counted { name: e.name, label: e.label.map(|l| l.1), value: e.value })
            .collect(),
        refused: refused.filter(|refused| refused.count > 0).collect(),
        recent_lines: samples.lines().map(seen).collect(),
        events: samples
            .notices()
            .map(|notice| SeenEvent {
                time: notice.at.to_string(),
                title: notice.title.clone(),
                text: notice.text.clone(),
                alert_type: notice.alert_type.clone(),
                tags: notice.tags.clone(),
            })
            .collect(),
        mappings: rules
            .map(|(index, (rule, samples))| Mapping {
                rule: index,
                pattern: rule.pattern.clone(),
                action: if rule.action == Action::Drop { "drop" } else { "map" },
                samples: *samples,
            })
            .collect(),
        explained: explain.map(|line| explained(state, line)),
    }
}

fn seen(kept: &Kept) -> SeenLine {
    SeenLine { time: kept.at.to_string(), line: kept.line.clone() }
}

/// What would become of each sample of `line`.
pub fn explained(state: &Aggregator, line: &str) -> Vec<Explained> {
    // Looking at a line teaches nothing about its sender.
    let mut knowledge = state.knowledge().clone();
    let mut out = Vec::new();
    parse_line(line.trim_end().as_bytes(), |item| {
        out.push(match item {
            Ok(Item::Sample(event)) => {
                let (origin, mut counts) = (Origin::default(), Counts::default());
                described(state.resolver().resolve(origin, &event, &mut knowledge, &mut counts))
            }
            Ok(Item::Notice(_)) => outcome("event"),
            Ok(Item::Check(_)) => outcome("serviceCheck"),
            Err(reason) => Explained { reason: Some(reason.as_str()), ..outcome("refused") },
        });
    });
    out
}

fn described(resolution: Resolution) -> Explained {
    match resolution {
        Resolution::Series(spec) => {
            let tags: Vec<String> =
                spec.tags.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
            let metric_type = match &spec.what {
                What::Set => "set",
                what => metric_type(what).as_str(),
            };
            Explained {
                series: Some(format!("{}{{{}}}", spec.family, tags.join(","))),
                metric_type: Some(metric_type),
                rule: spec.rule,
                ..outcome("series")
            }
        }
        Resolution::Duplicate => outcome("duplicate"),
        Resolution::Nothing => outcome("nothing"),
        Resolution::Waits => outcome("waits"),
        Resolution::Dropped(rule) => Explained { rule: Some(rule), ..outcome("dropped") },
        Resolution::Refused(reason) => {
            Explained { reason: Some(reason.as_str()), ..outcome("refused") }
        }
    }
}

fn outcome(outcome: &'static str) -> Explained {
    Explained { outcome, reason: None, series: None, metric_type: None, rule: None }
}

/// The page's route.
pub fn router(handle: StatsdHandle) -> Router {
    Router::new().route(PATH, get(show)).with_state(handle)
}

#[derive(Debug, Deserialize)]
struct Params {
    /// A line to explain.
    line: Option<String>,
}

async fn show(State(handle): State<StatsdHandle>, Query(params): Query<Params>) -> Response {
    if params.line.as_ref().is_some_and(|line| line.len() > LINE_BYTES_MAX) {
        return answer(StatusCode::BAD_REQUEST, &failure("bad_data", "line is too long"));
    }
    match handle.report(params.line).await {
        Some(report) => {
            answer(StatusCode::OK, &serde_json::json!({"status": "success", "data": report}))
        }
        None => {
            let why = "the StatsD receiver does not run";
            answer(StatusCode::SERVICE_UNAVAILABLE, &failure("unavailable", why))
        }
    }
}

fn failure(kind: &str, why: &str) -> serde_json::Value {
    serde_json::json!({"status": "error", "errorType": kind, "error": why})
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
