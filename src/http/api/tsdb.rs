//! `status/tsdb`: what is in memory, and which labels make it large.

use axum::extract::State;

use super::super::answer::Answer;
use super::super::error::ApiError;
use super::super::json::JsonWriter;
use super::super::params::{Params, parse_integer};
use super::super::state::HttpState;

/// Longest list that may be asked for (as in Prometheus).
const LIMIT_MAX: i64 = 10_000;
const LIMIT_DEFAULT: usize = 10;

/// Numbers about the series in memory.
pub async fn status(State(state): State<HttpState>, params: Params) -> Result<Answer, ApiError> {
    let limit = parse_limit(params.value("limit"))?;
    state
        .run(move |state| {
            let stats = state.store().stats();
            let largest = state.store().cardinality(limit);
            Ok(Answer::new(|out| {
                out.begin_object();
                out.key("headStats");
                out.begin_object();
                for (key, count) in [
                    ("numSeries", stats.series),
                    ("numLabelPairs", stats.label_pairs),
                    ("chunkCount", stats.chunks),
                ] {
                    out.key(key);
                    out.unsigned(count);
                }
                for (key, time) in [("minTime", stats.min_time), ("maxTime", stats.max_time)] {
                    out.key(key);
                    out.integer(time.0);
                }
                out.end_object();
                write_counts(out, "seriesCountByMetricName", &largest.series_by_metric);
                write_counts(out, "labelValueCountByLabelName", &largest.label_values_by_name);
                write_counts(out, "memoryInBytesByLabelName", &largest.bytes_by_label);
                write_counts(out, "seriesCountByLabelValuePair", &largest.series_by_pair);
                out.end_object();
            }))
        })
        .await
}

/// Partition files are no blocks of Prometheus, so none is listed.
pub async fn blocks() -> Answer {
    Answer::new(|out| {
        out.begin_object();
        super::targets::write_empty_array(out, "blocks");
        out.end_object();
    })
}

fn write_counts(out: &mut JsonWriter, key: &str, counts: &[(String, u64)]) {
    out.key(key);
    out.begin_array();
    for (name, count) in counts {
        out.begin_object();
        out.string_field("name", name);
        out.key("value");
        out.unsigned(*count);
        out.end_object();
    }
    out.end_array();
}

fn parse_limit(text: &str) -> Result<usize, ApiError> {
    if text.is_empty() {
        return Ok(LIMIT_DEFAULT);
    }
    let positive = || ApiError::bad_data("limit must be a positive number");
    let limit = parse_integer(text, "Atoi").map_err(|_| positive())?;
    if limit > LIMIT_MAX {
        return Err(ApiError::bad_data(format!("limit must not exceed {LIMIT_MAX}")));
    }
    usize::try_from(limit).ok().filter(|limit| *limit > 0).ok_or_else(positive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked() {
        assert_eq!(parse_limit(""), Ok(10));
        assert_eq!(parse_limit("10000"), Ok(10_000));
        for (text, message) in [
            ("0", "limit must be a positive number"),
            ("-1", "limit must be a positive number"),
            ("x", "limit must be a positive number"),
            ("10001", "limit must not exceed 10000"),
        ] {
            assert_eq!(parse_limit(text).expect_err("refused").message, message);
        }
    }
}
