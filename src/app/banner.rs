//! What the server says when it starts, and what it says about itself over HTTP.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::ServeOptions;
use crate::config::{Config, format_duration};
use crate::http::BuildInfo;
use crate::telemetry::{Event, Events};

/// Logs what stands out in the configuration.
pub(super) fn warn_of(config: &Config, events: &Events) {
    for warning in &config.warnings {
        events.emit(&Event::ConfigKeyIgnored { warning: warning.clone() });
    }
    if !config.listen.ip().is_loopback() {
        tracing::warn!(
            "listening on {} without authentication: everybody who reaches it can read and write",
            config.listen
        );
    }
}

/// The start's summary, as one log line.
pub(super) fn print(config: &Config, http: SocketAddr, statsd: Option<SocketAddr>) {
    let data_dir = std::path::absolute(&config.data_dir).unwrap_or(config.data_dir.clone());
    let statsd = statsd.map_or_else(|| "off".to_owned(), |address| address.to_string());
    tracing::info!(
        "tidewatch {} is ready: http://{http}/ statsd {statsd} data {} retention {}",
        env!("CARGO_PKG_VERSION"),
        data_dir.display(),
        format_duration(config.retention),
    );
}

/// What was built.
pub(super) fn build() -> BuildInfo {
    BuildInfo { version: env!("CARGO_PKG_VERSION").to_owned(), ..BuildInfo::default() }
}

/// The values in force, under the names Prometheus' flags have.
pub(super) fn flags(options: &ServeOptions, config: &Config) -> BTreeMap<String, String> {
    let file = options.config_file.as_ref().map(|path| path.display().to_string());
    let statsd = config.statsd.listen.map(|address| address.to_string());
    let flags = [
        ("config.file", file.unwrap_or_default()),
        ("log.level", config.log.level.clone()),
        ("query.lookback-delta", format_duration(config.query.lookback_delta)),
        ("query.max-concurrency", config.query.concurrency_max.to_string()),
        ("query.max-samples", config.query.samples_max.to_string()),
        ("query.timeout", format_duration(config.query.timeout)),
        ("alertmanager.notification-batch-size", config.alerting.batch_alerts_max.to_string()),
        ("alertmanager.notification-queue-capacity", config.alerting.queue_alerts_max.to_string()),
        ("rules.alert.for-grace-period", format_duration(config.rules.grace_period)),
        ("rules.alert.for-outage-tolerance", format_duration(config.rules.outage_tolerance)),
        ("rules.alert.resend-delay", format_duration(config.rules.resend_delay)),
        ("statsd-listen", statsd.unwrap_or_else(|| "off".to_owned())),
        ("storage.tsdb.path", config.data_dir.display().to_string()),
        ("storage.tsdb.retention.time", format_duration(config.retention)),
        ("web.enable-admin-api", options.admin_enabled.to_string()),
        ("web.enable-lifecycle", options.lifecycle_enabled.to_string()),
        ("web.external-url", options.external_url.clone()),
        ("web.max-connections", config.http.connections_max.to_string()),
        ("web.read-timeout", format_duration(config.http.read_timeout)),
        ("web.listen-address", config.listen.to_string()),
    ];
    flags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
