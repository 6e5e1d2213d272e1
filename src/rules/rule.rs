//! One rule with its state: evaluated by its group, looked at by the API.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rayon::prelude::*;

use super::alert::{AlertSet, Candidate, Known, Timing};
use super::label_merge::merge;
use super::output::{Output, push_alert_series};
use super::recording::{SeriesLabels, record};
use super::seams::{Environment, vector};
use super::spec::{RuleKind, RuleSpec, Texts};
use super::templates::{TemplateInput, Text};
use crate::model::labels::METRIC_NAME;
use crate::model::{Annotations, CommonTexts, Labels, LabelsBuilder, Timestamp};
use crate::promql::{PointValue, VectorSample};
use crate::template::Needs;
use crate::url_text::query_escape;

/// Elements of a result from which on their texts are expanded by several threads.
const PARALLEL_MIN: usize = 512;
/// Elements whose texts are made before those are dropped that their alerts have already.
const CANDIDATES_PART: usize = 8192;
/// Alerts handed on at a time.
const SEND_ALERTS_MAX: usize = 1000;

/// How the latest evaluation went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether there was an evaluation.
    pub is_known: bool,
    /// Why it failed, if it did.
    pub last_error: Option<String>,
    /// When it began; `None` before the first.
    pub evaluated_at: Option<Timestamp>,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// `ok`, `err` or `unknown`.
    pub const fn health(&self) -> &'static str {
        match (self.is_known, &self.last_error) {
            (false, _) => "unknown",
            (true, None) => "ok",
            (true, Some(_)) => "err",
        }
    }
}

/// Counts of template expansions.
#[derive(Debug, Default)]
pub struct Expansions {
    /// Expanded texts, those that failed among them.
    pub total: crate::telemetry::Counter,
    /// Those that failed.
    pub failed: crate::telemetry::Counter,
}

/// A rule of a running group.
#[derive(Debug)]
pub struct Rule {
    spec: Arc<RuleSpec>,
    /// Position among the rules of the group with the same name and labels.
    twin: usize,
    /// Written at the end of each evaluation, read by the API.
    outcome: Mutex<Outcome>,
    /// Held while alerts change state, not while the expression is evaluated.
    alerts: Mutex<AlertSet>,
    /// Whether series may tell of the alerts: not before their state is restored.
    is_restored: AtomicBool,
    /// Series of the latest evaluation, for a recording rule. Only its group's evaluation locks it.
    series: Mutex<SeriesLabels>,
    /// Its texts that are the same for every alert.
    common: Option<Arc<CommonTexts>>,
    /// Counts of its template expansions.
    pub expansions: Expansions,
    /// The first failure of an expansion in this evaluation.
    failure: Mutex<Option<Arc<str>>>,
    /// Whether expansions failed in the evaluation before: it is logged once.
    is_failing: AtomicBool,
}

/// What an evaluation is told by the group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// Time of the evaluation.
    pub ts: Timestamp,
    /// Time of query and samples.
    pub shifted: Timestamp,
    /// Most series or alerts; 0 for no limit.
    pub limit: usize,
    /// Time between two evaluations in ms.
    pub interval_ms: i64,
    /// Whether it is the first evaluation after an outage.
    pub is_after_outage: bool,
}

impl Rule {
    /// A rule without state. `is_restored`: whether there is nothing to restore.
    pub(super) fn new(spec: Arc<RuleSpec>, twin: usize, is_restored: bool) -> Rule {
        let common = match &spec.kind {
            RuleKind::Alerting { annotations, .. } => {
                let plain = annotations.iter().filter(|(_, text)| text.is_plain());
                CommonTexts::new(plain.map(|(name, text)| (&**name, text.source())))
            }
            RuleKind::Recording => None,
        };
        Rule {
            common,
            spec,
            twin,
            outcome: Mutex::default(),
            alerts: Mutex::default(),
            is_restored: AtomicBool::new(is_restored),
            series: Mutex::default(),
            expansions: Expansions::default(),
            failure: Mutex::default(),
            is_failing: AtomicBool::new(false),
        }
    }

    /// What it says.
    pub fn spec(&self) -> &Arc<RuleSpec> {
        &self.spec
    }

    /// How the latest evaluation went.
    pub fn outcome(&self) -> Outcome {
        lock(&self.outcome).clone()
    }

    /// Its alerts.
    pub fn alerts(&self) -> MutexGuard<'_, AlertSet> {
        lock(&self.alerts)
    }

    /// What it is kept under, within its group.
    pub(super) fn key(&self) -> String {
        format!("{}\0\0{}", self.spec.identity(), self.twin)
    }

    /// Whether series tell of its alerts.
    pub fn is_restored(&self) -> bool {
        self.is_restored.load(Ordering::Relaxed)
    }

    /// Lets series tell of its alerts.
    pub fn set_restored(&self) {
        self.is_restored.store(true, Ordering::Relaxed);
    }

    /// Evaluates the rule, sends its alerts and writes its series; the number of samples written.
    pub(super) fn evaluate(&self, environment: &Environment<'_>, order: Order) -> usize {
        let (began, start) = (environment.clock.now(), (environment.elapsed)());
        let result = match &self.spec.kind {
            RuleKind::Recording => self.record(environment, order),
            RuleKind::Alerting { hold_ms, keep_firing_ms, annotations } => {
                let (hold_ms, keep_firing_ms) = (*hold_ms, *keep_firing_ms);
                let (limit, nothing_ends) = (order.limit, order.is_after_outage);
                let timing = Timing { hold_ms, keep_firing_ms, limit, nothing_ends };
                self.alert(environment, order, &timing, annotations)
            }
        };
        let written = *result.as_ref().unwrap_or(&0);
        let took = (environment.elapsed)().saturating_sub(start);
        let last_error = result.err();
        environment.metrics.rule_took(took);
        let is_canceled = last_error.is_some() && environment.is_canceled();
        if !is_canceled {
            let evaluated_at = Some(began);
            self.set_outcome(Outcome { is_known: true, last_error, evaluated_at, took });
        }
        written
    }

    /// Notes how an evaluation went. An error is logged when it is a new one.
    fn set_outcome(&self, outcome: Outcome) {
        let mut own = lock(&self.outcome);
        if let Some(error) =
            outcome.last_error.as_ref().filter(|e| own.last_error.as_ref() != Some(*e))
        {
            tracing::warn!("rule {}: {error}", self.spec);
        }
        *own = outcome;
    }

    /// Notes that the state of its alerts could not be kept.
    pub(super) fn set_error(&self, error: String) {
        let outcome = Outcome { last_error: Some(error), ..self.outcome() };
        self.set_outcome(outcome);
    }

    fn query(
        &self,
        environment: &Environment<'_>,
        at: Timestamp,
    ) -> Result<Vec<VectorSample>, String> {
        let (engine, spec) = (environment.engine, &self.spec);
        let options = environment.query_options();
        let output =
            engine.instant_expr(environment.source, &spec.expr, &spec.source, at, &options);
        vector(output.map_err(|error| error.to_string())?.value)
    }

    fn record(&self, environment: &Environment<'_>, order: Order) -> Result<usize, String> {
        let mut result = self.query(environment, order.shifted)?;
        let series = record(&self.spec, order.limit, &mut result)?;
        let mut before = lock(&self.series);
        let mut output = Output::new(environment.samples, order.shifted);
        for sample in &result {
            match &sample.value {
                PointValue::Float(value) => output.float(&sample.labels, *value),
                PointValue::Histogram(histogram) => output.histogram(&sample.labels, histogram),
            }
        }
        before.iter().filter(|old| !series.contains(*old)).for_each(|old| output.stale(old));
        let written = output.finish()?;
        *before = series;
        Ok(written)
    }

    fn alert(
        &self,
        environment: &Environment<'_>,
        order: Order,
        timing: &Timing,
        annotations: &Texts,
    ) -> Result<usize, String> {
        let result = self.query(environment, order.shifted)?;
        let candidates = self.candidates(environment, order.ts, &result, annotations)?;
        drop(result);
        self.log_failure();
        lock(&self.alerts).evaluate(order.ts, candidates, timing)?;
        self.send(environment, order);
        self.tell(environment, order.shifted)
    }

    /// The elements of a result with labels and annotations of their alerts.
    fn candidates(
        &self,
        environment: &Environment<'_>,
        ts: Timestamp,
        result: &[VectorSample],
        annotations: &Texts,
    ) -> Result<Vec<Candidate>, String> {
        let texts = AlertTexts::new(&self.spec.labels, annotations);
        let make = |(sample, known): (&VectorSample, &Option<Known>)| {
            self.candidate(environment, ts, sample, known.as_ref(), &texts)
        };
        let mut all = Vec::with_capacity(result.len());
        for part in result.chunks(CANDIDATES_PART) {
            let known: Vec<Option<Known>> = {
                let own = lock(&self.alerts);
                part.iter().map(|sample| own.known(&sample.labels)).collect()
            };
            let mut made: Vec<Candidate> = match &environment.engine.options().pool {
                Some(pool) if part.len() >= PARALLEL_MIN => pool
                    .install(|| part.par_iter().zip(&known).map(make).collect::<Result<_, _>>())?,
                _ => part.iter().zip(&known).map(make).collect::<Result<_, _>>()?,
            };
            let own = lock(&self.alerts);
            let new = made.iter_mut().filter(|candidate| candidate.known.is_none());
            new.for_each(|candidate| own.share(candidate));
            all.append(&mut made);
        }
        Ok(all)
    }

    /// The alert of a sample; `known` is what the sample gave before, which is used again as far as
    /// it cannot be other now.
    fn candidate(
        &self,
        environment: &Environment<'_>,
        ts: Timestamp,
        sample: &VectorSample,
        known: Option<&Known>,
        texts: &AlertTexts<'_>,
    ) -> Result<Candidate, String> {
        let input = TemplateInput {
            labels: &sample.labels,
            value: &sample.value,
            at: ts,
            externals: environment.externals,
            query: &|text| environment.query_text(text, ts),
            data: OnceCell::new(),
        };
        let (value, is_number) = match sample.value {
            PointValue::Float(value) => (value, true),
            PointValue::Histogram(_) => (0.0, false),
        };
        let is_same = known.is_some_and(|known| known.value.to_bits() == value.to_bits());
        let again = |needs: Needs| known.filter(|_| !needs.others && (!needs.value || is_same));
        let mut expanding = Expanding { rule: self, input: &input, has_failed: false };
        let known = again(texts.labels_need);
        let labels = match known {
            Some(known) => known.labels.clone(),
            None => expanding.labels(&sample.labels)?,
        };
        let annotations = match again(texts.annotations_need) {
            Some(known) => known.annotations.clone(),
            None => expanding.annotations(texts.annotations, again),
        };
        // A failure is to be noticed in the next evaluation, too.
        let is_kept = is_number && !expanding.has_failed;
        let sample = is_kept.then(|| sample.labels.clone());
        Ok(Candidate { labels, annotations, value, sample, known: known.map(|known| known.place) })
    }

    fn log_failure(&self) {
        let failure = lock(&self.failure).take();
        let was_failing = self.is_failing.swap(failure.is_some(), Ordering::Relaxed);
        if let Some(failure) = failure.filter(|_| !was_failing) {
            tracing::warn!("a template of alert {} fails: {failure}", self.spec.name);
        }
    }

    fn send(&self, environment: &Environment<'_>, order: Order) {
        let due = lock(&self.alerts).take_due(order.ts, environment.resend_delay_ms);
        if due.is_empty() {
            return;
        }
        let valid_ms = valid_ms(order.interval_ms, environment.resend_delay_ms);
        let url: Arc<str> = self.generator_url(&environment.externals.url).into();
        for part in due.chunks(SEND_ALERTS_MAX) {
            let alerts: Vec<_> = {
                let own = lock(&self.alerts);
                part.iter().filter_map(|at| own.to_send(*at, valid_ms, &url)).collect()
            };
            environment.alerts.send(&alerts);
        }
    }

    /// Labels that each of its alerts has: the name, and those that are no templates.
    pub(super) fn fixed_labels(&self) -> Option<Labels> {
        let mut fixed = LabelsBuilder::new();
        for (name, text) in self.spec.labels.iter().filter(|(_, text)| text.is_plain()) {
            fixed.set(name, text.source());
        }
        fixed.set("alertname", &self.spec.name);
        fixed.build().ok().filter(|_| self.spec.is_alerting())
    }

    /// Where the rule's expression can be seen.
    pub fn generator_url(&self, external_url: &str) -> String {
        format!("{external_url}/graph?g0.expr={}&g0.tab=1", query_escape(&self.spec.query))
    }

    /// Writes the series that tell of the alerts.
    fn tell(&self, environment: &Environment<'_>, at: Timestamp) -> Result<usize, String> {
        let is_restored = self.is_restored();
        let mut output = Output::new(environment.samples, at);
        {
            let alerts = lock(&self.alerts);
            if is_restored {
                alerts.tell(|labels, state, active_at| {
                    output.alert(labels, Some(state), 1.0);
                    // Whole seconds, as Prometheus writes and reads them.
                    output.alert(labels, None, active_at.div_euclid(1000) as f64);
                });
            }
            let shared = shared_series(&alerts, is_restored);
            let mut packed = Vec::new();
            alerts.end(|(labels, state)| {
                packed.clear();
                push_alert_series(&mut packed, labels, state);
                if !shared.contains(&packed) {
                    output.alert(labels, state, crate::model::stale_nan());
                }
            });
        }
        let written = output.finish()?;
        lock(&self.alerts).told(is_restored);
        Ok(written)
    }

    /// Writes the mark that its series have ended, for a rule that is no more. `is_live` names
    /// series that another rule has taken over.
    pub(super) fn end_series(&self, output: &mut Output<'_>, is_live: &dyn Fn(&Labels) -> bool) {
        for labels in self.told_series() {
            if !is_live(&labels) {
                output.stale(&labels);
            }
        }
    }

    /// The series it has written last.
    pub(super) fn told_series(&self) -> Vec<Labels> {
        let mut told: Vec<Labels> = lock(&self.series).iter().cloned().collect();
        let mut packed = Vec::new();
        lock(&self.alerts).all_told(|(labels, state)| {
            packed.clear();
            push_alert_series(&mut packed, labels, state);
            told.extend(Labels::from_packed(&packed));
        });
        told
    }

    /// Takes over the state of the rule it replaces.
    pub(super) fn take_over(&self, before: &Rule) {
        lock(&self.alerts).take_over(&mut lock(&before.alerts));
        *lock(&self.series) = std::mem::take(&mut *lock(&before.series));
        *lock(&self.outcome) = before.outcome();
        self.is_restored.store(before.is_restored(), Ordering::Relaxed);
    }
}

/// The texts of an alerting rule, and what they depend on.
struct AlertTexts<'a> {
    annotations: &'a Texts,
    labels_need: Needs,
    annotations_need: Needs,
}

impl<'a> AlertTexts<'a> {
    fn new(labels: &Texts, annotations: &'a Texts) -> AlertTexts<'a> {
        let needs = |texts: &Texts| {
            texts.iter().fold(Needs::default(), |all, (_, text)| all.and(text.needs()))
        };
        let (labels_need, annotations_need) = (needs(labels), needs(annotations));
        AlertTexts { annotations, labels_need, annotations_need }
    }
}

/// The making of one alert's labels and texts.
struct Expanding<'a> {
    rule: &'a Rule,
    input: &'a TemplateInput<'a>,
    has_failed: bool,
}

impl<'a> Expanding<'a> {
    fn text(&mut self, name: &str, text: &'a Text) -> Cow<'a, str> {
        if !text.is_plain() {
            self.rule.expansions.total.inc();
        }
        text.expand(self.input).unwrap_or_else(|instead| {
            self.has_failed = true;
            self.rule.expansions.failed.inc();
            let failure = || format!("{name}: {instead}").into();
            lock(&self.rule.failure).get_or_insert_with(failure);
            instead.into()
        })
    }

    /// The labels of the rule over those of the sample.
    fn labels(&mut self, sample: &Labels) -> Result<Labels, String> {
        let spec: &'a RuleSpec = &self.rule.spec;
        let own = spec.labels.iter().map(|(name, text)| (&**name, self.text(name, text)));
        let own: Vec<(&str, Cow<'_, str>)> = own.collect();
        let own = own.iter().map(|(name, text)| (*name, &**text));
        let mut overrides: Vec<(&str, &str)> =
            own.filter(|(name, _)| *name != "alertname").collect();
        overrides.push(("alertname", &spec.name));
        overrides.sort_unstable();
        let mut packed = Vec::with_capacity(sample.as_packed().len() + 128);
        merge(&mut packed, sample, METRIC_NAME, &overrides);
        Labels::from_packed(&packed).map_err(|error| error.to_string())
    }

    /// The texts that describe the alert; `again` gives those of before for a text that depends on
    /// nothing that has changed.
    fn annotations(
        &mut self,
        texts: &'a Texts,
        again: impl Fn(Needs) -> Option<&'a Known>,
    ) -> Annotations {
        let common = self.rule.common.as_ref();
        let text = |(name, text): &'a (Box<str>, Text)| {
            let before = again(text.needs()).and_then(|known| known.annotations.get(name));
            (&**name, before.map_or_else(|| self.text(name, text), Cow::Borrowed))
        };
        let made = texts.iter().filter(|(_, text)| !text.is_plain()).map(text);
        let annotations = Annotations::beside(common, made);
        match again(Needs::default()) {
            Some(known) if known.annotations.is_kept_as(&annotations) => known.annotations.clone(),
            _ => annotations,
        }
    }
}

/// How long an alert counts as firing unless it is repeated: two evaluations or deliveries may fail.
pub(super) fn valid_ms(interval_ms: i64, resend_delay_ms: i64) -> i64 {
    interval_ms.max(resend_delay_ms).saturating_mul(4)
}

/// Packed labels of the series that tell of active alerts, when some of them may be shared.
fn shared_series(alerts: &AlertSet, is_restored: bool) -> hashbrown::HashSet<Vec<u8>> {
    let mut shared = hashbrown::HashSet::new();
    if is_restored && alerts.has_own_state_label() {
        alerts.tell(|labels, state, _| {
            for state in [Some(state), None] {
                let mut packed = Vec::new();
                push_alert_series(&mut packed, labels, state);
                shared.insert(packed);
            }
        });
    }
    shared
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked left a state that the next evaluation sets right.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
