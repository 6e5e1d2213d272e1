//! Reading the configuration again while the server runs.

use std::sync::{Arc, Weak};

use super::{ServeOptions, millis};
use crate::config::{self, Config};
use crate::http::{HttpState, LiveConfig};
use crate::model::{Clock, Timestamp};
use crate::statsd::StatsdHandle;
use crate::storage::Store;
use crate::telemetry::{Event, Events, FloatGauge, Gauge, MetricFamily};

/// Reloads on order. A configuration that is wrong leaves the old one in force.
pub(super) struct Reloader {
    options: ServeOptions,
    current: Config,
    state: HttpState,
    store: Weak<Store>,
    events: Events,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    statsd: Option<StatsdHandle>,
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
        store: Arc<Store>,
    ) -> Reloader {
        let health = Arc::new(Health::default());
        health.succeeded(base.clock.now());
        let read = Arc::clone(&health);
        base.registry.register(move || read.families());
        Reloader {
            options,
            current: config.clone(),
            state: base.state.clone(),
            store: Arc::downgrade(&store),
            events: base.events.clone(),
            clock: Arc::clone(&base.clock),
            health,
            statsd: None,
        }
    }

    /// Says which StatsD receiver takes new rules.
    pub(super) fn set_statsd(&mut self, statsd: Option<StatsdHandle>) {
        self.statsd = statsd;
    }

    /// Reads the files again and takes what can change while running. Nothing changes when any of
    /// them is wrong.
    pub(super) fn reload(&mut self) -> Result<(), String> {
        let loaded = config::load(self.options.config_file.as_deref(), &self.options.overrides);
        let loaded = loaded.map_err(|error| error.to_string());
        let checked =
            loaded.and_then(|config| Ok((super::statsd::resolver(&config.statsd)?, config)));
        match checked {
            Ok((resolver, config)) => {
                if self.statsd.as_ref().is_some_and(|statsd| !statsd.reload(resolver)) {
                    let warning = "the statsd receiver is too busy to take its rules, reload again";
                    self.events.emit(&Event::ConfigKeyIgnored { warning: warning.to_owned() });
                }
                self.apply(config);
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

    fn apply(&mut self, config: Config) {
        for warning in &config.warnings {
            self.events.emit(&Event::ConfigKeyIgnored { warning: warning.clone() });
        }
        for key in needs_restart(&self.current, &config) {
            let warning = format!("{key} has changed and takes effect at the next start");
            self.events.emit(&Event::ConfigKeyIgnored { warning });
        }
        if let Some(store) = self.store.upgrade() {
            store.set_retention(millis(config.retention));
        }
        let now = self.clock.now();
        self.state.set_live_config(live_config(&config, now));
        self.health.succeeded(now);
        self.events.emit(&Event::ConfigReloaded);
        self.current = config;
    }
}

/// Keys whose new value is not taken while running.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("listen", old.listen != new.listen),
        ("statsd.listen", old.statsd.listen != new.statsd.listen),
        ("statsd", old.statsd.sockets != new.statsd.sockets),
        ("data_dir", old.data_dir != new.data_dir),
        ("log_level or log_format", old.log != new.log),
        ("query", old.query != new.query),
        ("limits", old.limits != new.limits),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
}

/// What the HTTP part shows of a configuration.
pub(super) fn live_config(config: &Config, loaded_at: Timestamp) -> LiveConfig {
    LiveConfig {
        yaml: config.yaml.clone(),
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

    /// Under Prometheus' names, which dashboards know, and under our own.
    fn families(&self) -> Vec<MetricFamily> {
        let successful = self.successful.get() as f64;
        let seconds = self.success_seconds.get();
        let successful_help = "Whether the last reload of the configuration was successful.";
        let seconds_help = "Time of the last successful reload of the configuration.";
        [
            ("prometheus_config_last_reload_successful", successful_help, successful),
            ("prometheus_config_last_reload_success_timestamp_seconds", seconds_help, seconds),
            ("tidewatch_config_last_reload_successful", successful_help, successful),
            ("tidewatch_config_last_reload_success_timestamp_seconds", seconds_help, seconds),
        ]
        .into_iter()
        .map(|(name, help, value)| MetricFamily::gauge(name, help).value(value))
        .collect()
    }
}
