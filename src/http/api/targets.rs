//! Endpoints about scraping and about Alertmanagers. Nothing is scraped by this process, so the
//! former answer as a Prometheus without scrape jobs does.

use super::super::answer::Answer;
use super::super::error::ApiError;
use super::super::json::JsonWriter;
use super::super::params::{Params, parse_integer};
use super::super::state::HttpState;
use crate::promql::parse_metric_selector;
use axum::extract::State;

/// Names of the scrape jobs.
pub async fn scrape_pools() -> Answer {
    Answer::new(|out| {
        out.begin_object();
        write_empty_array(out, "scrapePools");
        out.end_object();
    })
}

/// The configuration of one scrape job.
pub async fn scrape_pool_config(params: Params) -> Result<Answer, ApiError> {
    let name = params.value("scrapePool");
    if name.is_empty() {
        return Err(ApiError::bad_data("no scrapePool parameter provided"));
    }
    Err(ApiError::bad_data(format!(
        "error retrieving scrape config: scrape pool not found: {name}"
    )))
}

/// Targets that are scraped, and targets that were dropped.
pub async fn targets(params: Params) -> Answer {
    let state = params.url_value("state").to_ascii_lowercase();
    let with_dropped = matches!(state.as_str(), "" | "any" | "dropped");
    Answer::new(|out| {
        out.begin_object();
        write_empty_array(out, "activeTargets");
        write_empty_array(out, "droppedTargets");
        out.key("droppedTargetCounts");
        if with_dropped {
            out.begin_object();
            out.end_object();
        } else {
            out.null();
        }
        out.end_object();
    })
}

/// Metadata by target.
pub async fn metadata(params: Params) -> Result<Answer, ApiError> {
    if !params.value("limit").is_empty() {
        parse_integer(params.value("limit"), "Atoi")
            .map_err(|_| ApiError::bad_data("limit must be a number"))?;
    }
    let target = params.value("match_target");
    if !target.is_empty() {
        parse_metric_selector(target)
            .map_err(|error| ApiError::parameter("match_target", error))?;
    }
    Ok(Answer::new(|out| {
        out.begin_array();
        out.end_array();
    }))
}

/// Alertmanagers that alerts are sent to.
pub async fn alertmanagers(State(state): State<HttpState>) -> Answer {
    let (active, dropped) = state.alertmanagers();
    Answer::new(|out| {
        out.begin_object();
        for (key, urls) in [("activeAlertmanagers", active), ("droppedAlertmanagers", dropped)] {
            out.key(key);
            out.begin_array();
            for url in urls {
                out.begin_object();
                out.string_field("url", &url);
                out.end_object();
            }
            out.end_array();
        }
        out.end_object();
    })
}

/// A key with an empty array.
pub fn write_empty_array(out: &mut JsonWriter, key: &str) {
    out.key(key);
    out.begin_array();
    out.end_array();
}
