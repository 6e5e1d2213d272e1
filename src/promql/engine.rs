//! The door to PromQL: text (or a syntax tree), a time or a range, and a source of series in; a
//! value with annotations and statistics out.
//!
//! Synchronous and deterministic; meant to be called on the CPU pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use crate::model::limits::{QUERY_POINTS_MAX, QUERY_SAMPLES_MAX};
use crate::model::{Clock, SeriesSource, SystemClock, Timestamp};

use super::annotations::Annotations;
use super::ast::{Expr, ValueType};
use super::deep;
use super::error::{ParseError, QueryError};
use super::eval;
use super::eval::explain::{Explainer, Explanation};
use super::features::Features;
use super::parser;
use super::value::Value;

/// How far back an instant selector looks for a sample, in ms (as in Prometheus).
pub const LOOKBACK_MS_DEFAULT: i64 = 5 * 60 * 1000;
/// How long a query may take (as in Prometheus).
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(120);
/// Step of a subquery that names none, in ms: the default evaluation interval of rules.
pub const SUBQUERY_STEP_MS_DEFAULT: i64 = 60 * 1000;

/// What an [`Engine`] is built from.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How far back an instant selector looks, in ms; greater than 0.
    pub lookback_ms: i64,
    /// How long one query may take.
    pub timeout: Duration,
    /// Most samples one query may hold in memory at a time.
    pub samples_max: u64,
    /// Step of a subquery that names none, in ms; greater than 0.
    pub default_subquery_step_ms: i64,
    /// Which optional parts of the language are on.
    pub features: Features,
    /// Where timeouts read the time.
    pub clock: Arc<dyn Clock>,
    /// Where series are spread over threads; `None` keeps a query on the calling thread.
    pub pool: Option<Arc<rayon::ThreadPool>>,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            lookback_ms: LOOKBACK_MS_DEFAULT,
            timeout: TIMEOUT_DEFAULT,
            samples_max: QUERY_SAMPLES_MAX,
            default_subquery_step_ms: SUBQUERY_STEP_MS_DEFAULT,
            features: Features::default(),
            clock: Arc::new(SystemClock),
            pool: None,
        }
    }
}

/// What one query may set differently.
#[derive(Clone, Debug, Default)]
pub struct QueryOptions {
    /// Instead of [`EngineOptions::lookback_ms`].
    pub lookback_ms: Option<i64>,
    /// A shorter limit than [`EngineOptions::timeout`]; a longer one has no effect.
    pub timeout: Option<Duration>,
    /// Set to true by whoever no longer wants the answer.
    pub cancel: Option<Arc<AtomicBool>>,
    /// Where the samples looked at are counted as the query goes on, for whoever wants to know of
    /// a query without a result, too.
    pub looked_at: Option<Arc<AtomicU64>>,
    /// Whether samples are counted by step ([`QueryStats::steps`]), which takes some time.
    pub by_step: bool,
}

/// A query's result.
#[derive(Clone, Debug)]
pub struct QueryOutput {
    /// The value.
    pub value: Value,
    /// What the user should know about it.
    pub annotations: Annotations,
    /// What it cost.
    pub stats: QueryStats,
}

/// What a query cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Samples looked at while evaluating, once for every step and window that looks at them.
    pub samples_total: u64,
    /// Most samples held in memory at a time.
    pub samples_peak: u64,
    /// Time spent evaluating.
    pub eval_time: Duration,
    /// If asked for ([`QueryOptions::by_step`]): time of each step, samples looked at
    /// (`totalQueryableSamples` of Prometheus), and samples read (`samplesRead`).
    pub steps: Vec<(Timestamp, u64, u64)>,
}

/// Evaluates PromQL. Holds options only, so one engine serves all threads.
#[derive(Clone, Debug)]
pub struct Engine {
    options: EngineOptions,
}

impl Engine {
    /// An engine with these options.
    pub fn new(options: EngineOptions) -> Engine {
        Engine { options }
    }

    /// The options it was made with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Parses and type-checks `text` with the engine's features.
    ///
    /// # Errors
    /// The text is not an expression.
    pub fn parse(&self, text: &str) -> Result<Expr, ParseError> {
        parser::parse(text, &self.options.features)
    }

    /// Evaluates `text` at one time.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn instant(
        &self,
        source: &dyn SeriesSource,
        text: &str,
        time: Timestamp,
        options: &QueryOptions,
    ) -> Result<QueryOutput, QueryError> {
        let expr = self.parse(text).map_err(QueryError::Parse)?;
        self.instant_expr(source, &expr, text, time, options)
    }

    /// Evaluates a parsed expression at one time. `text` is what it was parsed from: positions in
    /// annotations are counted in it.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn instant_expr(
        &self,
        source: &dyn SeriesSource,
        expr: &Expr,
        text: &str,
        time: Timestamp,
        options: &QueryOptions,
    ) -> Result<QueryOutput, QueryError> {
        self.with_stack(expr, |engine| eval::instant(engine, options, source, expr, text, time))
    }

    /// Evaluates `text` at `start`, `start + step_ms`, ... up to and including `end`.
    ///
    /// # Errors
    /// See [`QueryError`]; [`QueryError::BadRequest`] for a range that makes no sense.
    pub fn range(
        &self,
        source: &dyn SeriesSource,
        text: &str,
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryOutput, QueryError> {
        let expr = self.parse(text).map_err(QueryError::Parse)?;
        self.range_expr(source, &expr, text, (start, end, step_ms), options)
    }

    /// Evaluates a parsed expression over `(start, end, step_ms)`; `text` as in
    /// [`Engine::instant_expr`].
    ///
    /// # Errors
    /// See [`QueryError`]; [`QueryError::BadRequest`] for a range that makes no sense.
    pub fn range_expr(
        &self,
        source: &dyn SeriesSource,
        expr: &Expr,
        text: &str,
        (start, end, step_ms): (Timestamp, Timestamp, i64),
        options: &QueryOptions,
    ) -> Result<QueryOutput, QueryError> {
        check_range(expr.value_type(), start, end, step_ms)?;
        let times = (start, end, step_ms);
        self.with_stack(expr, |engine| eval::range(engine, options, source, expr, text, times))
    }

    /// Evaluates `expr` with `evaluate`: here, or if it is nested deeply, on a thread with stack for
    /// it and on no other.
    fn with_stack<T: Send>(
        &self,
        expr: &Expr,
        evaluate: impl FnOnce(&EngineOptions) -> Result<T, QueryError> + Send,
    ) -> Result<T, QueryError> {
        if !deep::is_deep(expr) {
            return evaluate(&self.options);
        }
        let alone = EngineOptions { pool: None, ..self.options.clone() };
        deep::run(|| evaluate(&alone)).unwrap_or_else(|| {
            let message = "cannot start the thread a deeply nested expression is evaluated on";
            Err(QueryError::Execution(message.to_owned()))
        })
    }
}

impl Engine {
    /// What each part of `text` gives and costs over `(start, end, step_ms)`; a step of 0 is an
    /// instant query at `start`. Every part is evaluated by itself. `stopwatch` tells the time since
    /// some moment.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn explain(
        &self,
        source: &dyn SeriesSource,
        text: &str,
        (start, end, step_ms): (Timestamp, Timestamp, i64),
        options: &QueryOptions,
        stopwatch: &(dyn Fn() -> Duration + Sync),
    ) -> Result<Explanation, QueryError> {
        let expr = self.parse(text).map_err(QueryError::Parse)?;
        if step_ms != 0 {
            check_range(expr.value_type(), start, end, step_ms)?;
        }
        let times = (start.0, end.0, step_ms);
        // Each part counts for itself.
        let options = &QueryOptions { looked_at: None, ..options.clone() };
        self.with_stack(&expr, |engine| {
            Explainer { engine, options, source, times, stopwatch }.explain(&expr)
        })
    }
}

/// Refuses a range query whose parameters make no sense. The limit on points per series is the
/// HTTP API's to enforce ([`QUERY_POINTS_MAX`]); here only what would overflow is refused.
fn check_range(
    value_type: ValueType,
    start: Timestamp,
    end: Timestamp,
    step_ms: i64,
) -> Result<(), QueryError> {
    if !matches!(value_type, ValueType::Scalar | ValueType::Vector) {
        return Err(QueryError::BadRequest(format!(
            "invalid expression type {:?} for range query, must be Scalar or instant Vector",
            value_type.documented()
        )));
    }
    if step_ms <= 0 {
        return Err(QueryError::BadRequest(
            "zero or negative query resolution step widths are not accepted. Try a positive integer"
                .to_owned(),
        ));
    }
    if end < start {
        return Err(QueryError::BadRequest("end timestamp must not be before start time".into()));
    }
    let steps = end.0.checked_sub(start.0).map_or(i64::MAX, |span| span / step_ms);
    if steps >= STEPS_MAX {
        return Err(QueryError::BadRequest(format!(
            "range query has {steps} steps, at most {STEPS_MAX} are evaluated"
        )));
    }
    Ok(())
}

/// Most steps of one evaluation, subqueries included: a column of this many values takes 80 MB.
/// Far beyond [`QUERY_POINTS_MAX`], which callers on the network enforce.
pub const STEPS_MAX: i64 = 10_000_000;
const _: () = assert!(STEPS_MAX > QUERY_POINTS_MAX);
