//! `metadata`: type, help and unit of metrics.

use axum::extract::State;

use crate::model::MetricMetadata;

use super::super::answer::Answer;
use super::super::error::ApiError;
use super::super::json::JsonWriter;
use super::super::params::{Params, parse_integer};
use super::super::state::HttpState;

/// Metadata of `metric`, or of all metrics. Negative limits, and a missing one, mean "all"; a
/// `limit` of 0 means none, but a `limit_per_metric` of 0 all: so it is in Prometheus.
pub async fn metadata(State(state): State<HttpState>, params: Params) -> Result<Answer, ApiError> {
    let limit = optional_limit(&params, "limit")?.unwrap_or(usize::MAX);
    let per_metric = optional_limit(&params, "limit_per_metric")?;
    let per_metric = per_metric.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    state
        .run(move |state| {
            let metric = Some(params.value("metric")).filter(|metric| !metric.is_empty());
            let all = with_aliases(state, metric);
            Ok(Answer::new(|out| write_all(out, &all, limit, per_metric)))
        })
        .await
}

/// Metadata of what is stored, and of the other names it is known by.
fn with_aliases(state: &HttpState, metric: Option<&str>) -> Vec<(String, Vec<MetricMetadata>)> {
    let mut all = state.store().metadata(metric);
    let stored = |name: &str| {
        let mut found = state.store().metadata(Some(name));
        found.pop().and_then(|(_, entries)| entries.into_iter().next())
    };
    let aliases = state.aliases().metadata(metric, &stored);
    all.extend(aliases.into_iter().map(|(name, entry)| (name, vec![entry])));
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn optional_limit(params: &Params, name: &str) -> Result<Option<usize>, ApiError> {
    let text = params.value(name);
    if text.is_empty() {
        return Ok(None);
    }
    let number = parse_integer(text, "Atoi")
        .map_err(|_| ApiError::bad_data(format!("{name} must be a number")))?;
    Ok(usize::try_from(number).ok())
}

fn write_all(
    out: &mut JsonWriter,
    all: &[(String, Vec<MetricMetadata>)],
    limit: usize,
    per_metric: usize,
) {
    out.begin_object();
    for (name, entries) in all.iter().take(limit) {
        out.key(name);
        out.begin_array();
        for entry in entries.iter().take(per_metric) {
            out.begin_object();
            out.string_field("type", entry.metric_type.as_str());
            out.string_field("unit", &entry.unit);
            out.string_field("help", &entry.help);
            out.end_object();
        }
        out.end_array();
    }
    out.end_object();
}
