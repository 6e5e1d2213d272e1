//! The wiring of rules: their files read, their samples stored, their state kept, their alerts
//! handed on.

use std::sync::Arc;
use std::time::Duration;

use super::{Base, ServeError, ServeOptions, millis};
use crate::alert_sender::{self, AlertSender};
use crate::alias::AliasSource;
use crate::config::Config;
use crate::http::HttpState;
use crate::ingest::{Ingest, IngestError, WriteMode};
use crate::model::{Alert, Labels, Timestamp, WriteBatch};
use crate::promql::Features;
use crate::rules::file::{ReadOptions, read};
use crate::rules::group::Settings;
use crate::rules::manager::{Manager, Parts};
use crate::rules::seams::Change;
use crate::rules::{AlertSink, Externals, GoTemplates, GroupSpec, SampleSink, StateStore, Written};
use crate::storage::{StateChange, Store};

/// Name under which the state of alerts is kept.
const PART: &str = "rules";
/// How often a write is tried again while the queue to the journal is full.
const WRITE_TRIES: u32 = 50;
/// Pause between two tries.
const WRITE_PAUSE: Duration = Duration::from_millis(20);
/// How long a stop waits for alerts to be delivered.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
/// Most errors of rule files that one message tells.
const ERRORS_TOLD_MAX: usize = 20;

/// The running rules.
pub(super) struct Rules {
    manager: Manager,
    sender: AlertSender,
}

/// Reads all rule files.
///
/// # Errors
/// What is wrong with them, one mistake a line.
pub fn load(config: &Config, features: &Features) -> Result<Vec<GroupSpec>, String> {
    let templates = GoTemplates::default();
    let options = ReadOptions { features, templates: &templates, ignore_unknown_fields: false };
    let (mut groups, mut errors) = (Vec::new(), Vec::new());
    for path in config.rules.find()? {
        match read(&path, options) {
            Ok(read) => groups.extend(read),
            Err(wrong) => errors.extend(wrong.iter().map(ToString::to_string)),
        }
    }
    if errors.is_empty() {
        return Ok(groups);
    }
    let more = errors.len().saturating_sub(ERRORS_TOLD_MAX);
    errors.truncate(ERRORS_TOLD_MAX);
    let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
    Err(format!("{}{more}", errors.join("\n")))
}

fn settings(config: &Config) -> Settings {
    Settings {
        interval_ms: millis(config.rules.interval),
        query_offset_ms: millis(config.rules.query_offset),
        outage_tolerance_ms: millis(config.rules.outage_tolerance),
        grace_period_ms: millis(config.rules.grace_period),
    }
}

fn externals(config: &Config, options: &ServeOptions) -> Externals {
    let url = super::external_url(options, config);
    Externals { labels: config.external_labels.clone(), url: url.into() }
}

impl Rules {
    /// Starts evaluating. `further` takes alerts, too.
    pub(super) fn start(
        base: &Base,
        options: &ServeOptions,
        config: &Config,
        store: &Arc<Store>,
        groups: Vec<GroupSpec>,
        further: Option<Arc<dyn AlertSink>>,
    ) -> Result<Rules, ServeError> {
        let failed = |error| ServeError::io("starting the rules", error);
        let sender = AlertSender::new();
        let set = sender.set(config.alerting.clone());
        set.map_err(|why| failed(std::io::Error::other(why)))?;
        let sinks = Sinks(
            std::iter::once::<Arc<dyn AlertSink>>(Arc::new(sender.clone()))
                .chain(further)
                .collect(),
        );
        let parts = Parts {
            engine: base.state.engine(),
            // as queries see it: a team's rules may use names in circulation
            source: Arc::new(AliasSource::new(store.source(), Arc::clone(base.state.aliases()))),
            samples: Arc::new(Samples(Ingest::new(Arc::clone(store)))),
            alerts: Arc::new(sinks),
            state: Arc::new(State(Arc::clone(store))),
            externals: externals(config, options),
            clock: Arc::clone(&base.clock),
            resend_delay_ms: millis(config.rules.resend_delay),
        };
        let mut manager = Manager::start(parts).map_err(failed)?;
        manager.set(groups, settings(config));
        base.registry.register(manager.families());
        let own = sender.clone();
        base.registry.register(move || alert_sender::families(&own));
        base.state.set_rules(manager.running().clone(), sender.clone());
        Ok(Rules { manager, sender })
    }

    /// Sends as another configuration says.
    ///
    /// # Errors
    /// An Alertmanager cannot be used; nothing has changed.
    pub(super) fn reload_sender(&self, config: &Config) -> Result<(), String> {
        self.sender.set(config.alerting.clone())
    }

    /// Evaluates as another configuration says.
    pub(super) fn reload(
        &mut self,
        state: &HttpState,
        options: &ServeOptions,
        config: &Config,
        groups: Vec<GroupSpec>,
    ) {
        self.manager.update(|parts| {
            parts.engine = state.engine();
            parts.externals = externals(config, options);
            parts.resend_delay_ms = millis(config.rules.resend_delay);
        });
        self.manager.set(groups, settings(config));
    }

    /// Stops evaluating, then delivers what waits.
    pub(super) fn stop(self) {
        self.manager.stop();
        let lost = self.sender.stop(DRAIN_PATIENCE);
        if lost > 0 {
            tracing::warn!("stop: {lost} alerts were not delivered to their Alertmanagers");
        }
    }
}

/// Everybody who takes alerts.
struct Sinks(Vec<Arc<dyn AlertSink>>);

impl AlertSink for Sinks {
    fn send(&self, alerts: &[Alert]) {
        self.0.iter().for_each(|sink| sink.send(alerts));
    }

    fn hold(&self, expected: &[(Labels, Timestamp)]) {
        self.0.iter().for_each(|sink| sink.hold(expected));
    }
}

/// Puts samples into the store.
struct Samples(Ingest);

impl SampleSink for Samples {
    fn submit(&self, batch: &WriteBatch<'_>) -> Result<Written, String> {
        let mut tries = 1;
        let submitted = loop {
            match self.0.submit(batch, WriteMode::Partial) {
                Err(IngestError::Overloaded) if tries < WRITE_TRIES => {
                    tries += 1;
                    std::thread::sleep(WRITE_PAUSE);
                }
                other => break other.map_err(|error| error.to_string())?,
            }
        };
        Ok(Box::new(|| {
            let outcome = submitted.wait().map_err(|error| error.to_string())?;
            match outcome.rejected + outcome.invalid_series {
                0 => Ok(()),
                _ => Err(format!("samples are not stored: {}", outcome.reasons.join("; "))),
            }
        }))
    }
}

/// Keeps the state of alerts in the control file.
struct State(Arc<Store>);

impl StateStore for State {
    fn load(&self, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), String> {
        self.0.each_part_state(PART, prefix, each).map_err(|error| error.to_string())
    }

    fn change(&self, changes: Vec<Change>) -> Result<(), String> {
        let changes = changes.into_iter();
        let mut changes: Vec<StateChange> =
            changes.map(|(key, value)| StateChange { key, value }).collect();
        // In key order: neighbours share pages.
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        self.0.change_part_state(PART, &changes).map_err(|error| error.to_string())
    }
}
