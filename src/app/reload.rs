//! Reading the configuration again while the server runs.

use std::sync::{Arc, Weak};

use super::notify::{self, Alerting};
use super::rules::Rules;
use super::{ServeOptions, banner, millis};
use crate::airflow::Pollers;
use crate::config::{self, Config};
use crate::http::{HttpState, LiveConfig};
use crate::model::{Clock, Timestamp};
use crate::rules::GroupSpec;
use crate::statsd::StatsdHandle;
use crate::storage::Store;
use crate::telemetry::{Event, Events, FloatGauge, Gauge, LogLevel, MetricFamily};

/// Reloads on order. A configuration that is wrong leaves the old one in force.
pub(super) struct Reloader {
    options: ServeOptions,
    current: Config,
    state: HttpState,
    store: Weak<Store>,
    events: Events,
    clock: Arc<dyn Clock>,
    parallel: Arc<rayon::ThreadPool>,
    log_level: LogLevel,
    health: Arc<Health>,
    /// Their threads stop when they are dropped.
    airflow: Pollers,
    statsd: Option<StatsdHandle>,
    /// Absent before the start and from the stop on.
    rules: Option<Rules>,
    /// Absent before the start and from the stop on.
    alerting: Option<Alerting>,
}

/// How the last reload went.
#[derive(Debug, Default)]
struct Health {
    successful: Gauge,
    success_seconds: FloatGauge,
}

impl Reloader {
    pub(super) fn new(
        base: &super::Base,
        options: ServeOptions,
        config: &Config,
        store: &Arc<Store>,
        log_level: LogLevel,
    ) -> Reloader {
        let health = Arc::new(Health::default());
        health.succeeded(base.clock.now());
        let mut airflow = Pollers::new(Arc::downgrade(store), Arc::clone(&base.clock));
        airflow.set(&config.airflow);
        let read = Arc::clone(&health);
        base.registry.register(move || read.families());
        Reloader {
            options,
            current: config.clone(),
            state: base.state.clone(),
            store: Arc::downgrade(store),
            events: base.events.clone(),
            clock: Arc::clone(&base.clock),
            parallel: Arc::clone(&base.parallel),
            log_level,
            health,
            airflow,
            statsd: None,
            rules: None,
            alerting: None,
        }
    }

    /// Says which StatsD receiver takes new rules.
    pub(super) fn set_statsd(&mut self, statsd: Option<StatsdHandle>) {
        self.statsd = statsd;
    }

    /// Says which rules are evaluated.
    pub(super) fn set_rules(&mut self, rules: Rules) {
        self.rules = Some(rules);
    }

    /// The rules, to be stopped.
    pub(super) fn take_rules(&mut self) -> Option<Rules> {
        self.rules.take()
    }

    /// Says who is told of alerts.
    pub(super) fn set_alerting(&mut self, alerting: Alerting) {
        self.alerting = Some(alerting);
    }

    /// Alerting, to be stopped.
    pub(super) fn take_alerting(&mut self) -> Option<Alerting> {
        self.alerting.take()
    }

    /// Reads the files again and takes what can change while running. Nothing changes when any of
    /// them is wrong.
    pub(super) fn reload(&mut self) -> Result<(), String> {
        let loaded = config::load(self.options.config_file.as_deref(), &self.options.overrides);
        let loaded = loaded.map_err(|error| error.to_string());
        let checked = loaded.and_then(|config| {
            let resolver = super::statsd::resolver(&config.statsd, &self.current.statsd.sockets)?;
            let groups = super::rules::load(&config, &self.options.features)?;
            let deliver = notify::check(&config, &super::external_url(&self.options, &config))?;
            if let Some(rules) = &self.rules {
                rules.reload_sender(&config)?;
            }
            Ok((resolver, groups, deliver, config))
        });
        match checked {
            Ok((resolver, groups, deliver, config)) => {
                if self.statsd.as_ref().is_some_and(|statsd| !statsd.reload(resolver)) {
                    let warning = "the statsd receiver is too busy to take its rules, reload again";
                    self.events.emit(&Event::ConfigKeyIgnored { warning: warning.to_owned() });
                }
                if let Some(alerting) = &self.alerting {
                    alerting.reload(&config, deliver);
                }
                self.apply(config, groups);
                Ok(())
            }
            Err(reason) => {
                self.events.emit(&Event::ConfigReloadFailed { reason: reason.clone() });
                self.health.successful.set(0);
                let live = LiveConfig { reload_ok: false, ..(*self.state.live_config()).clone() };
                self.state.set_live_config(live);
                Err(reason)
            }
        }
    }

    fn apply(&mut self, mut config: Config, groups: Vec<GroupSpec>) {
        for warning in &config.warnings {
            self.events.emit(&Event::ConfigKeyIgnored { warning: warning.clone() });
        }
        for key in keep_until_restart(&self.current, &mut config) {
            let warning = format!("{key} has changed, which needs a restart to take effect");
            self.events.emit(&Event::ConfigKeyIgnored { warning });
        }
        if let Some(store) = self.store.upgrade() {
            store.set_retention(millis(config.retention));
            store.set_limits(super::store_limits(&config));
        }
        if config.query != self.current.query {
            let features = self.options.features;
            let engine = super::engine(features, &config, &self.clock, &self.parallel);
            self.state.set_engine(Arc::new(engine), config.query.concurrency_max);
        }
        if config.log.level != self.current.log.level {
            self.log_level.set(&config.log.level).expect("BUG: the configuration was checked");
        }
        if let Some(rules) = &mut self.rules {
            rules.reload(&self.state, &self.options, &config, groups);
        }
        self.airflow.set(&config.airflow);
        self.state.aliases().set(config.airflow_aliases);
        let now = self.clock.now();
        self.state.set_live_config(live_config(&self.options, &config, now));
        self.health.succeeded(now);
        self.events.emit(&Event::ConfigReloaded);
        self.current = config;
    }
}

/// Gives back to `new` the values of `old` that cannot change while running, and names those that
/// were to change. Each is named at every reload until the restart.
fn keep_until_restart(old: &Config, new: &mut Config) -> Vec<&'static str> {
    let mut kept = Vec::new();
    let mut keep = |key, changed| {
        if changed {
            kept.push(key);
        }
    };
    keep("listen", replace(&mut new.listen, &old.listen));
    keep("statsd.listen", replace(&mut new.statsd.listen, &old.statsd.listen));
    keep("statsd", replace(&mut new.statsd.sockets, &old.statsd.sockets));
    keep("data_dir", replace(&mut new.data_dir, &old.data_dir));
    keep("log_format", replace(&mut new.log.format, &old.log.format));
    keep("http", replace(&mut new.http, &old.http));
    let (new_limit, old_limit) = (&mut new.limits.statsd_series_max, old.limits.statsd_series_max);
    keep("limits.statsd_series", replace(new_limit, &old_limit));
    kept
}

/// Puts `old` in place of `new`; whether they differed.
fn replace<T: Clone + PartialEq>(new: &mut T, old: &T) -> bool {
    let changed = new != old;
    new.clone_from(old);
    changed
}

/// What the HTTP part shows of a configuration in force.
pub(super) fn live_config(
    options: &ServeOptions,
    config: &Config,
    loaded_at: Timestamp,
) -> LiveConfig {
    LiveConfig {
        yaml: config.yaml.clone(),
        flags: banner::flags(options, config),
        retention: config::format_duration(config.retention),
        external_labels: config.external_labels.clone(),
        reload_ok: true,
        loaded_at,
    }
}

impl Health {
    fn succeeded(&self, now: Timestamp) {
        self.successful.set(1);
        self.success_seconds.set(now.as_secs_f64());
    }

    /// Under Prometheus' and Alertmanager's names, which dashboards know, and under our own: one
    /// reload reads all of them.
    fn families(&self) -> Vec<MetricFamily> {
        let successful = self.successful.get() as f64;
        let seconds = self.success_seconds.get();
        let successful_help = "Whether the last reload of the configuration was successful.";
        let seconds_help = "Time of the last successful reload of the configuration.";
        [
            ("prometheus_config_last_reload_successful", successful_help, successful),
            ("prometheus_config_last_reload_success_timestamp_seconds", seconds_help, seconds),
            ("alertmanager_config_last_reload_successful", successful_help, successful),
            ("alertmanager_config_last_reload_success_timestamp_seconds", seconds_help, seconds),
            ("tidewatch_config_last_reload_successful", successful_help, successful),
            ("tidewatch_config_last_reload_success_timestamp_seconds", seconds_help, seconds),
        ]
        .into_iter()
        .map(|(name, help, value)| MetricFamily::gauge(name, help).value(value))
        .collect()
    }
}
