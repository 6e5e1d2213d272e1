//! Running a script: every evaluation as it is written, and then again in ways that must give the
//! same result: pinned to its time and evaluated at others, and as the middle of a range.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use regex::Regex;

use crate::model::{ManualClock, SeriesSource, Timestamp};
use crate::promql::engine::{Engine, EngineOptions, QueryOptions, QueryOutput};
use crate::promql::features::Features;
use crate::promql::memory::MemorySource;
use crate::promql::value::{MatrixSeries, PointValue, Value, VectorSample};

use super::at_modifier::{other_times, pin};
use super::compare::{assert_sorted, compare};
use super::load::Load;
use super::parse::pattern;
use super::{Command, Eval, Script, When};

/// Functions whose result depends on the extent of a range query.
static RANGE_DEPENDENT: LazyLock<Regex> = LazyLock::new(|| pattern(r"(start|end|range|step)\(\)"));

/// How far the range around an instant reaches to either side, and its step, in ms.
const RANGE_STEP_MS: i64 = 60_000;

/// Most samples an evaluation of a script may hold. Far more than the 10,000 of Prometheus' own
/// runs, which counts others: a script that fits there must not fail here.
const SAMPLES_MAX: u64 = 1_000_000;

/// Where a script puts its series.
pub trait ScriptStore {
    /// Forgets everything.
    ///
    /// # Errors
    /// A sentence about what failed.
    fn clear(&mut self) -> Result<(), String>;

    /// Adds series.
    ///
    /// # Errors
    /// A sentence about what failed.
    fn load(&mut self, load: &Load) -> Result<(), String>;

    /// What queries read from.
    fn source(&self) -> &dyn SeriesSource;
}

impl ScriptStore for MemorySource {
    fn clear(&mut self) -> Result<(), String> {
        MemorySource::clear(self);
        Ok(())
    }

    fn load(&mut self, load: &Load) -> Result<(), String> {
        for series in &load.series {
            self.append(&series.labels, series.samples.iter().cloned());
        }
        Ok(())
    }

    fn source(&self) -> &dyn SeriesSource {
        self
    }
}

/// What a run found.
#[derive(Debug, Default)]
pub struct Report {
    /// Evaluations that gave what was expected.
    pub passed: usize,
    /// The others.
    pub failures: Vec<Failure>,
}

/// An evaluation that gave something else.
#[derive(Debug)]
pub struct Failure {
    /// Line of the command, from 1.
    pub line: usize,
    /// `expected ..., got ...`.
    pub message: String,
}

/// The engine Prometheus runs its own scripts with: every feature on, 1 minute subquery step.
pub fn engine() -> Engine {
    Engine::new(EngineOptions {
        timeout: Duration::from_secs(100),
        samples_max: SAMPLES_MAX,
        default_subquery_step_ms: 60_000,
        features: Features { type_and_unit_labels: false, ..Features::all() },
        clock: Arc::new(ManualClock::default()),
        ..EngineOptions::default()
    })
}

/// Runs the whole script; a failed evaluation does not stop it.
pub fn run(script: &Script, engine: &Engine, store: &mut dyn ScriptStore) -> Report {
    let mut report = Report::default();
    for command in &script.commands {
        let (line, outcome) = match command {
            Command::Clear => (0, store.clear()),
            Command::Load(load) => (load.line, store.load(load)),
            Command::Eval(eval) => {
                let outcome = evaluate(eval, engine, store.source());
                report.passed += usize::from(outcome.is_ok());
                (eval.line, outcome)
            }
        };
        if let Err(message) = outcome {
            report.failures.push(Failure { line, message });
        }
    }
    report
}

/// An engine, a source, and what an evaluation must give.
struct Run<'a> {
    eval: &'a Eval,
    engine: &'a Engine,
    source: &'a dyn SeriesSource,
}

fn evaluate(eval: &Eval, engine: &Engine, source: &dyn SeriesSource) -> Result<(), String> {
    let run = Run { eval, engine, source };
    let (start, end, step_ms) = match eval.when {
        When::Range { start, end, step_ms } => (start, end, step_ms),
        When::Instant(time) => return run.instants(time),
    };
    match run.range(&eval.text, start, end, step_ms) {
        Err(error) => eval.expectations.check_error(&error),
        Ok(output) => run.check(&output),
    }
}

impl Run<'_> {
    fn instants(&self, time: Timestamp) -> Result<(), String> {
        // With an explicit range the evaluation time is its end.
        let time = match self.eval.expectations.range_vector {
            Some(When::Range { end, .. }) => end,
            _ => time,
        };
        let text = &self.eval.text;
        self.instant(text, time)?;
        let mut expr = self.engine.parse(text).map_err(|error| error.to_string())?;
        if !pin(&mut expr, time) {
            return Ok(());
        }
        let pinned = expr.to_string();
        for other in other_times(time) {
            self.instant(&pinned, other).map_err(|message| {
                format!("{message} (evaluating {pinned} at {} ms)", other.as_millis())
            })?;
        }
        Ok(())
    }

    fn instant(&self, text: &str, time: Timestamp) -> Result<(), String> {
        let options = QueryOptions::default();
        let output = match self.engine.instant(self.source, text, time, &options) {
            Ok(output) => output,
            Err(error) => return self.eval.expectations.check_error(&error.to_string()),
        };
        self.check(&output)?;
        let expected = &self.eval.expectations;
        let single = expected.range_vector.is_none() && expected.string.is_none();
        if !single || RANGE_DEPENDENT.is_match(text) {
            return Ok(());
        }
        let scalar = matches!(output.value, Value::Scalar { .. });
        self.middle_of_range(text, time, scalar)
            .map_err(|message| format!("{message} (in the middle of a range)"))
    }

    fn range(
        &self,
        text: &str,
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
    ) -> Result<QueryOutput, String> {
        let options = QueryOptions::default();
        let output = self.engine.range(self.source, text, start, end, step_ms, &options);
        output.map_err(|error| error.to_string())
    }

    fn check(&self, output: &QueryOutput) -> Result<(), String> {
        let expected = &self.eval.expectations;
        if expected.fail.is_some() {
            return Err(format!("expected an error, got {:?}", output.value));
        }
        expected.check_annotations(&output.annotations)?;
        compare(expected, expected.range_vector.as_ref().unwrap_or(&self.eval.when), &output.value)
    }

    /// Evaluates a range around `time` and compares the step at `time`.
    fn middle_of_range(&self, text: &str, time: Timestamp, scalar: bool) -> Result<(), String> {
        let start = time.saturating_sub(RANGE_STEP_MS);
        let end = time.saturating_add(RANGE_STEP_MS);
        let output = self.range(text, start, end, RANGE_STEP_MS)?;
        let expected = &self.eval.expectations;
        if expected.ordered {
            return Ok(());
        }
        let Value::Matrix(series) = &output.value else {
            return Err(format!("expected a range vector, got {:?}", output.value));
        };
        assert_sorted(series)?;
        let middle: Vec<VectorSample> =
            series.iter().filter_map(|one| point_at(one, time.as_millis())).collect();
        if !scalar {
            return compare(expected, &self.eval.when, &Value::Vector(middle));
        }
        match middle.first().map(|sample| &sample.value) {
            Some(PointValue::Float(value)) => {
                let value = Value::Scalar { timestamp: time.as_millis(), value: *value };
                compare(expected, &self.eval.when, &value)
            }
            other => Err(format!("expected a scalar, got {other:?}")),
        }
    }
}

/// The series' point at this time.
fn point_at(series: &MatrixSeries, timestamp: i64) -> Option<VectorSample> {
    let float = series.floats.iter().find(|(t, _)| *t == timestamp);
    let value = match float {
        Some((_, value)) => PointValue::Float(*value),
        None => {
            let (_, histogram) = series.histograms.iter().find(|(t, _)| *t == timestamp)?;
            PointValue::Histogram(Box::new(histogram.clone()))
        }
    };
    Some(VectorSample { labels: series.labels.clone(), timestamp, value })
}
