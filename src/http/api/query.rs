//! `query` and `query_range`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;

use rayon::ThreadPool;

use crate::model::Timestamp;
use crate::model::limits::QUERY_POINTS_MAX;
use crate::promql::{Annotations, QueryOptions, QueryOutput, QueryStats, Value};

use super::super::answer::{Answer, TRUNCATED};
use super::super::error::ApiError;
use super::super::json::{JsonWriter, results};
use super::super::params::Params;
use super::super::state::{Asked, HttpState};

/// Evaluates `query` at `time` (now when absent).
pub async fn instant(State(state): State<HttpState>, params: Params) -> Result<Answer, ApiError> {
    let common = Common::parse(&params)?;
    let time = params.time_or("time", state.now())?;
    let text = params.value("query").to_owned();
    let asked_at = Instant::now();
    let patience = common.patience(&state);
    state
        .run_query(patience, move |state, asked| {
            let options = common.options(patience.saturating_sub(asked_at.elapsed()), asked);
            let engine = state.engine();
            let output = engine.instant(state.source(), &text, time, &options)?;
            common.answer(output, asked_at, asked, engine.options().pool.as_deref())
        })
        .await
}

/// Evaluates `query` at `start`, `start + step`, ... up to and including `end`.
pub async fn range(State(state): State<HttpState>, params: Params) -> Result<Answer, ApiError> {
    let (start, end, step_ms) = parse_range(&params)?;
    let common = Common::parse(&params)?;
    let text = params.value("query").to_owned();
    let asked_at = Instant::now();
    let patience = common.patience(&state);
    state
        .run_query(patience, move |state, asked| {
            let options = common.options(patience.saturating_sub(asked_at.elapsed()), asked);
            let engine = state.engine();
            let output = engine.range(state.source(), &text, start, end, step_ms, &options)?;
            common.answer(output, asked_at, asked, engine.options().pool.as_deref())
        })
        .await
}

pub(super) fn parse_range(params: &Params) -> Result<(Timestamp, Timestamp, i64), ApiError> {
    params.limit()?;
    let start = params.required_time("start")?;
    let end = params.required_time("end")?;
    if end < start {
        let why = "end timestamp must not be before start time";
        return Err(ApiError::parameter("end", why));
    }
    // Shorter than a millisecond is no step: samples have millisecond timestamps.
    let step_ms = params.required_duration_ns("step")? / 1_000_000;
    if step_ms <= 0 {
        let why = "zero or negative query resolution step widths are not accepted. \
                   Try a positive integer";
        return Err(ApiError::parameter("step", why));
    }
    let points = end.0.saturating_sub(start.0) / step_ms;
    if points > QUERY_POINTS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. \
             Try decreasing the query resolution (?step=XX)",
        ));
    }
    Ok((start, end, step_ms))
}

/// The parameters both kinds of query share.
pub(super) struct Common {
    limit: Option<usize>,
    timeout: Option<Duration>,
    lookback_ms: Option<i64>,
    stats: String,
}

impl Common {
    pub(super) fn parse(params: &Params) -> Result<Common, ApiError> {
        let timeout_ns = params.duration_ns("timeout")?;
        let lookback_ns = params.duration_ns("lookback_delta").map_err(|_| {
            ApiError::bad_data(format!(
                "error parsing lookback delta duration: cannot parse {} to a valid duration",
                crate::model::labels::Quoted(params.value("lookback_delta"))
            ))
        })?;
        Ok(Common {
            limit: params.limit()?,
            timeout: timeout_ns.map(|ns| Duration::from_nanos(u64::try_from(ns).unwrap_or(0))),
            lookback_ms: lookback_ns.map(|ns| ns / 1_000_000).filter(|ms| *ms > 0),
            stats: params.value("stats").to_owned(),
        })
    }

    /// How long the query may take in all, its wait for a place included.
    pub(super) fn patience(&self, state: &HttpState) -> Duration {
        let most = state.engine().options().timeout;
        self.timeout.map_or(most, |timeout| timeout.min(most))
    }

    pub(super) fn options(&self, left: Duration, asked: &Asked) -> QueryOptions {
        let (lookback_ms, timeout, cancel) =
            (self.lookback_ms, Some(left), asked.interrupt.cancel());
        let looked_at = Some(Arc::clone(&asked.looked_at));
        QueryOptions { lookback_ms, timeout, cancel, looked_at, by_step: !self.stats.is_empty() }
    }

    /// The answer with `resultType` first: Grafana's streaming parser has to buffer otherwise.
    fn answer(
        &self,
        mut output: QueryOutput,
        asked_at: Instant,
        asked: &Asked,
        pool: Option<&ThreadPool>,
    ) -> Result<Answer, ApiError> {
        self.truncate(&mut output);
        self.warn_of_stats(&mut output.annotations);
        let mut written = Ok(());
        let answer = Answer::annotated(&output.annotations, |out| {
            out.begin_object();
            out.string_field("resultType", results::result_type(&output.value));
            out.key("result");
            written = results::write_value(out, &output.value, pool, &asked.interrupt);
            if !self.stats.is_empty() {
                out.key("stats");
                write_stats(out, &output.stats, asked_at.elapsed(), self.stats == "all");
            }
            out.end_object();
        });
        written?;
        Ok(answer)
    }

    fn truncate(&self, output: &mut QueryOutput) {
        let Some(limit) = self.limit else { return };
        let length = match &mut output.value {
            Value::Vector(samples) => truncate(samples, limit),
            Value::Matrix(series) => truncate(series, limit),
            Value::Scalar { .. } | Value::String { .. } => return,
        };
        if length > limit {
            output.annotations.warnings.push(TRUNCATED.to_owned());
        }
    }

    fn warn_of_stats(&self, notes: &mut Annotations) {
        if !matches!(self.stats.as_str(), "" | "true" | "all") {
            notes.warnings.push(format!(
                "value {} for parameter \"stats\" is deprecated and will be rejected in the next \
                 major release, use \"true\" or \"all\"",
                crate::model::labels::Quoted(&self.stats)
            ));
        }
    }
}

/// Cuts `list` to `limit` and returns how long it was.
fn truncate<T>(list: &mut Vec<T>, limit: usize) -> usize {
    let length = list.len();
    list.truncate(limit);
    length
}

/// What the query cost, in seconds and samples; by step, too, when `all` is asked for. Everything
/// but the evaluation itself counts as waiting in the queue.
fn write_stats(out: &mut JsonWriter, stats: &QueryStats, total: Duration, all: bool) {
    let eval = stats.eval_time.as_secs_f64();
    let total = total.as_secs_f64().max(eval);
    let timings = [
        ("evalTotalTime", eval),
        ("resultSortTime", 0.0),
        ("queryPreparationTime", 0.0),
        ("innerEvalTime", eval),
        ("execQueueTime", total - eval),
        ("execTotalTime", total),
    ];
    out.begin_object();
    out.key("timings");
    out.begin_object();
    for (name, seconds) in timings {
        out.key(name);
        out.float(seconds);
    }
    out.end_object();
    out.key("samples");
    out.begin_object();
    let looked_at = stats.steps.iter().map(|(time, looked_at, _)| (*time, *looked_at));
    write_counts(out, "totalQueryableSamples", looked_at, all);
    let read = stats.steps.iter().map(|(time, _, read)| (*time, *read));
    write_counts(out, "samplesRead", read, all);
    out.key("peakSamples");
    out.unsigned(stats.samples_peak);
    out.end_object();
    out.end_object();
}

/// Samples by step, if `all` is wanted, and their sum.
fn write_counts(
    out: &mut JsonWriter,
    name: &str,
    steps: impl Iterator<Item = (Timestamp, u64)> + Clone,
    all: bool,
) {
    if all {
        out.key(&format!("{name}PerStep"));
        out.begin_array();
        for (time, count) in steps.clone() {
            out.begin_array();
            out.float(time.0 as f64 / 1000.0);
            out.unsigned(count);
            out.end_array();
        }
        out.end_array();
    }
    out.key(name);
    out.unsigned(steps.map(|(_, count)| count).sum());
}
