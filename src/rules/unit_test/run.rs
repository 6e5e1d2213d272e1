//! One test: its groups evaluated over time, alerts and expressions compared.

use std::sync::Arc;
use std::time::Duration;

use super::file::{AlertTest, ExpectedAlert, ExprTest, Test, TestFile, yaml_float};
use super::histogram_text::histogram_text;
use super::raw::RawSample;
use super::store::TestStore;
use super::text::{alerts_text, samples_text};
use crate::model::{Clock, DurationMs, Labels, ManualClock, Timestamp};
use crate::promql::engine::{Engine, EngineOptions};
use crate::promql::parser::parse_metric;
use crate::promql::series_desc::{SequenceValue, parse_series_desc};
use crate::promql::{Features, PointValue};
use crate::rules::alert::AlertState;
use crate::rules::group::{Group, Settings};
use crate::rules::metrics::RuleMetrics;
use crate::rules::number_text;
use crate::rules::seams::{Environment, Externals, Nowhere};
use crate::rules::spec::GroupSpec;

/// A sample, expected or found.
#[derive(Clone, Debug)]
pub(super) struct TestSample {
    pub labels: Labels,
    pub value: f64,
    /// A histogram in the test language; empty for a number.
    pub histogram: String,
}

/// What one test found.
pub(super) struct Run {
    pub errors: Vec<Mismatch>,
    /// Every sample at the end, when that was asked for.
    pub dump: Vec<String>,
}

/// Something that is not as expected.
pub(super) struct Mismatch {
    /// In words.
    pub message: String,
    /// What was expected and what was found, as texts of several lines.
    pub sides: Option<(String, String)>,
}

impl Mismatch {
    fn words(message: String) -> Mismatch {
        Mismatch { message, sides: None }
    }
}

/// Runs a test.
pub(super) fn run(
    file: &TestFile,
    test: &Test,
    specs: &[Arc<GroupSpec>],
    features: Features,
    with_dump: bool,
) -> Run {
    let clock = Arc::new(ManualClock::default());
    let own: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let engine = Engine::new(EngineOptions {
        default_subquery_step_ms: file.evaluation_interval_ms,
        features,
        clock: own,
        ..EngineOptions::default()
    });
    let settings = Settings { interval_ms: test.interval_ms, ..Settings::default() };
    let mut groups: Vec<Group> =
        specs.iter().map(|spec| Group::new(Arc::clone(spec), settings, true)).collect();
    let rank = |group: &Group| file.order.get(&*group.spec().name).copied().unwrap_or(0);
    groups.sort_by_key(rank);
    let externals =
        Externals { labels: test.external_labels.clone(), url: test.external_url.as_str().into() };
    let runner = Runner { file, test, engine, groups, externals, metrics: RuleMetrics::default() };
    let mut store = TestStore::default();
    let errors = runner.all(&mut store, &clock);
    Run { errors, dump: if with_dump { store.dump() } else { Vec::new() } }
}

struct Runner<'a> {
    file: &'a TestFile,
    test: &'a Test,
    engine: Engine,
    groups: Vec<Group>,
    externals: Externals,
    metrics: RuleMetrics,
}

impl Runner<'_> {
    fn all(&self, store: &mut TestStore, clock: &ManualClock) -> Vec<Mismatch> {
        let mut errors = Vec::new();
        let times = self.test.alerts.iter().map(|test| test.at_ms);
        let end = times.chain(self.test.exprs.iter().map(|test| test.at_ms)).max().unwrap_or(0);
        let interval = self.file.evaluation_interval_ms;
        let mut since = 0;
        while since <= end {
            let ts = self.test.start_ms.saturating_add(since);
            clock.set(Timestamp(ts));
            store.load_until(self.test, ts);
            let failures = self.evaluate(store, clock, Timestamp(ts), since);
            if !failures.is_empty() {
                errors.extend(failures);
                return errors;
            }
            let mut due: Vec<&AlertTest> = self.test.alerts.iter().collect();
            due.retain(|test| (since..since.saturating_add(interval)).contains(&test.at_ms));
            due.sort_by_key(|test| test.at_ms);
            errors.extend(due.into_iter().filter_map(|test| self.alert(test)));
            since = since.saturating_add(interval);
        }
        errors.extend(self.test.exprs.iter().filter_map(|test| self.expr(test, store)));
        errors
    }

    fn environment<'a>(&'a self, store: &'a TestStore, clock: &'a ManualClock) -> Environment<'a> {
        Environment {
            engine: &self.engine,
            source: store,
            samples: store,
            alerts: &Nowhere,
            state: &Nowhere,
            externals: &self.externals,
            clock,
            elapsed: &|| Duration::ZERO,
            resend_delay_ms: 60_000,
            metrics: &self.metrics,
            cancel: None,
        }
    }

    fn evaluate(
        &self,
        store: &TestStore,
        clock: &ManualClock,
        ts: Timestamp,
        since: i64,
    ) -> Vec<Mismatch> {
        let environment = self.environment(store, clock);
        let mut failures = Vec::new();
        for group in &self.groups {
            group.evaluate(&environment, ts);
            for rule in group.rules() {
                let Some(error) = rule.outcome().last_error else { continue };
                let (name, time) = (&rule.spec().name, number_text::duration(since));
                let message = format!("    rule: {name}, time: {time}, err: {error}");
                failures.push(Mismatch::words(message));
            }
        }
        failures
    }

    /// Compares what fires now.
    fn alert(&self, test: &AlertTest) -> Option<Mismatch> {
        let mut got = self.firing(&test.alertname, test.group.as_deref());
        let mut expected = test.expected.clone();
        got.sort();
        expected.sort();
        if got == expected {
            return None;
        }
        let (name, time) = (&test.alertname, DurationMs(test.at_ms));
        let (exp, got) = (alerts_text(&expected), alerts_text(&got));
        let indented = |text: &str| text.replace('\n', "\n            ");
        let message = format!(
            "{}    alertname: {name}, time: {time}, \n        exp:{}, \n        got:{}",
            self.name(),
            indented(&exp),
            indented(&got)
        );
        Some(Mismatch { message, sides: Some((exp, got)) })
    }

    fn name(&self) -> String {
        match self.test.name.as_str() {
            "" => String::new(),
            name => format!("    name: {name},\n"),
        }
    }

    fn firing(&self, alertname: &str, group: Option<&str>) -> Vec<ExpectedAlert> {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let groups = self.groups.iter();
        let groups = groups.filter(|own| group.is_none_or(|wanted| *own.spec().name == *wanted));
        let rules = groups.flat_map(|group| group.rules());
        let rules =
            rules.filter(|rule| rule.spec().is_alerting() && *rule.spec().name == *alertname);
        rules
            .flat_map(|rule| {
                let alerts = rule.alerts();
                let firing = alerts.active().filter(|(_, alert)| alert.state == AlertState::Firing);
                let firing = firing.map(|(labels, alert)| ExpectedAlert {
                    labels: labels.iter().map(owned).collect(),
                    annotations: alert.annotations.iter().map(owned).collect(),
                });
                firing.collect::<Vec<_>>()
            })
            .collect()
    }

    /// Compares what an expression gives.
    fn expr(&self, test: &ExprTest, store: &TestStore) -> Option<Mismatch> {
        let (expr, time) = (format!("{:?}", test.expr), DurationMs(test.at_ms));
        let start = format!("{}    expr: {expr}, time: {time},", self.name());
        let failed = |why: String| Some(Mismatch::words(format!("{start} err: {why}")));
        let at = Timestamp(self.test.start_ms.saturating_add(test.at_ms));
        let clock = ManualClock::new(at);
        let mut got = match self.environment(store, &clock).query_text(&test.expr, at) {
            Ok(samples) => samples.into_iter().map(found_sample).collect::<Vec<_>>(),
            Err(why) => return failed(why),
        };
        let mut expected = match test.expected.iter().map(expected_sample).collect() {
            Ok::<Vec<TestSample>, String>(expected) => expected,
            Err(why) => return failed(why),
        };
        expected.sort_by(|a, b| a.labels.cmp(&b.labels));
        got.sort_by(|a, b| a.labels.cmp(&b.labels));
        let fuzzy = self.file.fuzzy_compare;
        let same = expected.len() == got.len()
            && expected.iter().zip(&got).all(|(a, b)| is_same(a, b, fuzzy));
        if same {
            return None;
        }
        let (exp, got) = (samples_text(&expected), samples_text(&got));
        let message = format!("{start}\n        exp: {exp}\n        got: {got}");
        Some(Mismatch { message, sides: Some((exp, got)) })
    }
}

fn expected_sample(raw: &RawSample) -> Result<TestSample, String> {
    let text = raw.labels.as_ref().map_or("", |labels| labels.value.trim());
    let labels = match text {
        "" => Labels::empty(),
        text => parse_metric(text).map_err(|error| format!("labels {text:?}: {error}"))?,
    };
    let value = raw.value.as_ref().and_then(|text| yaml_float(&text.value)).unwrap_or(0.0);
    let Some(text) = raw.histogram.as_ref().filter(|text| !text.value.is_empty()) else {
        return Ok(TestSample { labels, value, histogram: String::new() });
    };
    let text = &text.value;
    let desc = parse_series_desc(&format!("{{}} {text}"));
    match desc.map_err(|error| format!("histogram {text:?}: {error}"))?.values.as_slice() {
        [SequenceValue::Histogram { histogram, .. }] => {
            Ok(TestSample { labels, value, histogram: histogram_text(histogram) })
        }
        _ => Err(format!("expected exactly one histogram, got {text:?}")),
    }
}

fn found_sample(sample: crate::promql::VectorSample) -> TestSample {
    let labels = sample.labels;
    match sample.value {
        PointValue::Float(value) => TestSample { labels, value, histogram: String::new() },
        PointValue::Histogram(histogram) => {
            TestSample { labels, value: 0.0, histogram: histogram_text(&histogram) }
        }
    }
}

/// As promtool compares: NaN equals nothing, and a number beside a histogram counts.
fn is_same(a: &TestSample, b: &TestSample, fuzzy: bool) -> bool {
    let same_value = a.value == b.value
        || (fuzzy && [a.value.next_up(), a.value.next_down()].contains(&b.value));
    a.labels == b.labels && a.histogram == b.histogram && same_value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(value: f64, histogram: &str) -> TestSample {
        TestSample { labels: Labels::empty(), value, histogram: histogram.to_owned() }
    }

    #[test]
    fn samples_are_compared_as_promtool_does() {
        let same = |a: f64, b: f64, fuzzy| is_same(&sample(a, ""), &sample(b, ""), fuzzy);
        let sum = 0.1 + 0.2;
        assert!(!same(0.3, sum, false) && same(0.3, sum, true) && same(sum, 0.3, true));
        assert!(!same(f64::NAN, f64::NAN, false) && !same(f64::NAN, f64::NAN, true));
        assert!(same(0.0, -0.0, false) && same(f64::INFINITY, f64::INFINITY, true));
        assert!(is_same(&sample(0.0, "{{sum:1}}"), &sample(0.0, "{{sum:1}}"), false));
        assert!(!is_same(&sample(1.0, "{{sum:1}}"), &sample(0.0, "{{sum:1}}"), false));
    }
}
