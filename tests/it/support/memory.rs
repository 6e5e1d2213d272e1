//! Series in memory that rules read and write, and alerts they hand on.

use std::sync::{Mutex, RwLock};
use std::time::Duration;

use tidewatch::model::{
    Alert, Labels, ManualClock, Sample, Selector, SeriesSet, SeriesSource, SourceError, Timestamp,
    WriteBatch,
};
use tidewatch::promql::memory::{MemorySample, MemorySource, MemoryValue};
use tidewatch::promql::{Engine, EngineOptions, QueryOptions, Value};
use tidewatch::rules::file::{ReadOptions, read};
use tidewatch::rules::metrics::RuleMetrics;
use tidewatch::rules::seams::Nowhere;
use tidewatch::rules::{
    AlertSink, Environment, Externals, GoTemplates, Group, GroupSpec, SampleSink, Settings, Written,
};

/// The rule groups of a file; panics with its mistakes.
pub fn rule_groups(path: &std::path::Path) -> Vec<GroupSpec> {
    let (features, templates) = (tidewatch::promql::Features::default(), GoTemplates::default());
    let options =
        ReadOptions { features: &features, templates: &templates, ignore_unknown_fields: false };
    read(path, options).unwrap_or_else(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{}", errors.join("\n"))
    })
}

/// A world of rules with a clock that is set.
pub struct RuleWorld {
    pub memory: RwLock<MemorySource>,
    pub sent: Mutex<Vec<Alert>>,
    pub groups: Vec<Group>,
    engine: Engine,
    externals: Externals,
    metrics: RuleMetrics,
    clock: ManualClock,
}

impl RuleWorld {
    pub fn new(specs: Vec<GroupSpec>, memory: MemorySource) -> RuleWorld {
        let group = |spec| Group::new(std::sync::Arc::new(spec), Settings::default(), true);
        RuleWorld {
            memory: RwLock::new(memory),
            sent: Mutex::default(),
            groups: specs.into_iter().map(group).collect(),
            engine: Engine::new(EngineOptions::default()),
            externals: Externals::default(),
            metrics: RuleMetrics::default(),
            clock: ManualClock::default(),
        }
    }

    fn environment(&self) -> Environment<'_> {
        Environment {
            engine: &self.engine,
            source: self,
            samples: self,
            alerts: self,
            state: &Nowhere,
            externals: &self.externals,
            clock: &self.clock,
            elapsed: &|| Duration::ZERO,
            resend_delay_ms: 60_000,
            metrics: &self.metrics,
            cancel: None,
        }
    }

    /// Evaluates all groups for `ts`; panics when a rule fails.
    pub fn evaluate(&self, ts: i64) {
        self.clock.set(Timestamp(ts));
        for group in &self.groups {
            group.evaluate(&self.environment(), Timestamp(ts));
            for rule in group.rules() {
                assert_eq!(rule.outcome().last_error, None, "{} at {ts}", rule.spec());
            }
        }
    }

    pub fn write(&self, labels: &Labels, ts: i64, value: f64) {
        let mut batch = WriteBatch::default();
        batch.push_sample(labels, Sample::new(Timestamp(ts), value));
        drop(self.submit(&batch).expect("written"));
    }

    /// Labels and values of a query's result.
    pub fn query(&self, text: &str, ts: i64) -> Vec<(Labels, f64)> {
        let at = Timestamp(ts);
        let output = self.engine.instant(self, text, at, &QueryOptions::default());
        let Value::Vector(samples) = output.expect("a result").value else { panic!("no vector") };
        let value = |value| match value {
            tidewatch::promql::PointValue::Float(value) => value,
            other => panic!("{other:?} is no number"),
        };
        samples.into_iter().map(|sample| (sample.labels, value(sample.value))).collect()
    }
}

impl SampleSink for RuleWorld {
    fn submit(&self, batch: &WriteBatch<'_>) -> Result<Written, String> {
        let mut memory = self.memory.write().expect("no panic before");
        let mut samples = batch.samples.iter();
        for entry in &batch.series {
            let labels = Labels::from_packed(entry.labels).map_err(|error| error.to_string())?;
            let own = samples.by_ref().take(entry.samples as usize).map(|sample| MemorySample {
                timestamp: sample.timestamp.0,
                start_timestamp: 0,
                value: MemoryValue::Float(sample.value),
            });
            memory.append(&labels, own);
        }
        Ok(Box::new(|| Ok(())))
    }
}

impl AlertSink for RuleWorld {
    fn send(&self, alerts: &[Alert]) {
        self.sent.lock().expect("no panic before").extend_from_slice(alerts);
    }
}

impl SeriesSource for RuleWorld {
    fn select(&self, selector: &Selector<'_>) -> Result<Box<dyn SeriesSet>, SourceError> {
        self.memory.read().expect("no panic before").select(selector)
    }

    fn series(&self, selector: &Selector<'_>) -> Result<Vec<Labels>, SourceError> {
        self.memory.read().expect("no panic before").series(selector)
    }

    fn label_names(&self, selector: &Selector<'_>) -> Result<Vec<String>, SourceError> {
        self.memory.read().expect("no panic before").label_names(selector)
    }

    fn label_values(
        &self,
        name: &str,
        selector: &Selector<'_>,
    ) -> Result<Vec<String>, SourceError> {
        self.memory.read().expect("no panic before").label_values(name, selector)
    }
}
