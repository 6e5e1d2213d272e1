//! `query_explain`, which Prometheus does not have: the parts of an expression with what each gives
//! and costs.
//!
//! Takes the parameters of `query_range` when there is a `step`, else those of `query`.

use std::time::Instant;

use axum::extract::State;

use crate::promql::Explanation;

use super::super::answer::Answer;
use super::super::error::ApiError;
use super::super::json::JsonWriter;
use super::super::params::Params;
use super::super::state::HttpState;
use super::query::{Common, parse_range};

/// Explains `query`, over a range or at one time.
pub async fn explain(State(state): State<HttpState>, params: Params) -> Result<Answer, ApiError> {
    let times = match params.value("step") {
        "" => {
            let time = params.time_or("time", state.now())?;
            (time, time, 0)
        }
        _ => parse_range(&params)?,
    };
    let common = Common::parse(&params)?;
    let text = params.value("query").to_owned();
    let asked_at = Instant::now();
    let patience = common.patience(&state);
    state
        .run_query(patience, move |state, asked| {
            let options = common.options(patience.saturating_sub(asked_at.elapsed()), asked);
            let stopwatch = || asked_at.elapsed();
            let tree =
                state.engine().explain(state.source(), &text, times, &options, &stopwatch)?;
            Ok(Answer::new(|out| write(out, &tree)))
        })
        .await
}

/// Recursion ends: a parsed expression is no deeper than the parser allows.
fn write(out: &mut JsonWriter, part: &Explanation) {
    out.begin_object();
    out.string_field("expression", &part.text);
    out.string_field("type", part.value_type.documented());
    for (name, count) in
        [("series", part.series), ("points", part.points), ("samples", part.samples)]
    {
        out.key(name);
        out.unsigned(count);
    }
    out.key("evalTime");
    out.float(part.time.as_secs_f64());
    out.key("children");
    out.begin_array();
    part.children.iter().for_each(|child| write(out, child));
    out.end_array();
    out.end_object();
}
