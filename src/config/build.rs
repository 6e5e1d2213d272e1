//! From a file's raw content and the command line to a validated [`Config`].

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_saphyr::Spanned;

use super::duration::{format_duration, parse_duration};
use super::error::ConfigError;
use super::raw::{PromDuration, RawConfig, RawGlobal};
use super::scrape::ScrapeConfig;
use super::{
    Config, HttpConfig, LimitsConfig, QueryConfig, airflow, alerting, env, mask, rules, statsd,
};
use crate::model::Labels;
use crate::model::limits::{
    HTTP_CONNECTIONS_MAX, HTTP_READ_TIMEOUT, QUERY_SAMPLES_MAX, SERIES_MAX,
};
use crate::notify::config::{self as notify_config, AlertConfig, AlertFile};
use crate::telemetry::{LogFormat, LogOptions, check_log_level};

const LISTEN: &str = "127.0.0.1:9090";
const DATA_DIR: &str = "tidewatch-data";
const RETENTION: Duration = Duration::from_secs(15 * 24 * 60 * 60);
const LOOKBACK_DELTA: Duration = Duration::from_secs(5 * 60);
const QUERY_TIMEOUT: Duration = Duration::from_secs(2 * 60);
const QUERY_CONCURRENCY: usize = 20;
pub(super) const EVALUATION_INTERVAL: Duration = Duration::from_secs(60);
const SCRAPE_INTERVAL: Duration = Duration::from_secs(60);
const HEAD_BYTES: u64 = 512 << 20;
const DISK_FREE_BYTES: u64 = 64 << 20;
const STATSD_SERIES: usize = 100_000;
/// Largest configuration file; larger is not a configuration but a mistake.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What the command line sets; it beats the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--listen`.
    pub listen: Option<String>,
    /// `--statsd-listen`: an address or `off`.
    pub statsd_listen: Option<String>,
    /// `--statsd.listen-unixgram`.
    pub statsd_unixgram: Option<PathBuf>,
    /// `--statsd.mapping-config`.
    pub statsd_mapping: Option<PathBuf>,
    /// `--statsd.relay.address`.
    pub statsd_relay: Option<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--retention`.
    pub retention: Option<String>,
    /// `--log-level`.
    pub log_level: Option<String>,
    /// `--log-format`.
    pub log_format: Option<String>,
    /// `--web.read-timeout`.
    pub read_timeout: Option<String>,
    /// `--web.max-connections`.
    pub connections: Option<usize>,
    /// `--query.lookback-delta`.
    pub lookback_delta: Option<String>,
    /// `--query.timeout`.
    pub query_timeout: Option<String>,
    /// `--query.max-concurrency`.
    pub query_concurrency: Option<usize>,
    /// `--query.max-samples`.
    pub query_samples: Option<u64>,
    /// `--alertmanager.config`.
    pub alertmanager_config: Option<PathBuf>,
    /// `--rules.alert.resend-delay`.
    pub resend_delay: Option<String>,
    /// `--rules.alert.for-outage-tolerance`.
    pub outage_tolerance: Option<String>,
    /// `--rules.alert.for-grace-period`.
    pub grace_period: Option<String>,
    /// `--alertmanager.notification-queue-capacity`.
    pub notification_queue: Option<usize>,
    /// `--alertmanager.notification-batch-size`.
    pub notification_batch: Option<usize>,
}

/// Reads the file, if there is one, and puts the overrides over it.
///
/// # Errors
/// The file cannot be read or a value of either is wrong.
pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
    let Some(path) = path else {
        return parse(Path::new("(defaults)"), "", overrides);
    };
    let read = |error| ConfigError::Read { path: path.to_owned(), error };
    let bytes = fs::metadata(path).map_err(read)?.len();
    if bytes > FILE_BYTES_MAX {
        let message = format!("has {bytes} bytes, more than {FILE_BYTES_MAX}");
        return Err(ConfigError::Parse { path: path.to_owned(), place: None, message });
    }
    parse(path, &fs::read_to_string(path).map_err(read)?, overrides)
}

/// Like [`load`], from the text of a file; `path` is only named in messages.
///
/// # Errors
/// A value is wrong.
pub fn parse(path: &Path, text: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
    let raw: Option<RawConfig> =
        serde_saphyr::from_str(text).map_err(|error| parse_error(path, &error))?;
    let mut raw = raw.unwrap_or_default();
    check_scrapes(&raw)?;
    let global = raw.global.take().unwrap_or_default();
    let base = path.parent().unwrap_or(Path::new(""));
    let external_labels = external_labels(&global)?;
    let own_alerting = raw.alerting.as_ref().map(|alerting| &alerting.value);
    let mut alerting = alerting::build(own_alerting, &external_labels, base)?;
    let queue = overrides.notification_queue;
    alerting.queue_alerts_max = at_least_one(
        "alertmanager.notification-queue-capacity",
        queue.map(|n| n as u64),
        alerting.queue_alerts_max as u64,
    )? as usize;
    let batch = overrides.notification_batch;
    alerting.batch_alerts_max = at_least_one(
        "alertmanager.notification-batch-size",
        batch.map(|n| n as u64),
        alerting.batch_alerts_max as u64,
    )? as usize;
    let alertmanager = alertmanager(path, raw.alertmanager.take(), text, overrides)?;
    let mut warnings = warnings(path, &raw, &global);
    warnings.extend(alertmanager.iter().flat_map(|own| own.warnings.clone()));
    Ok(Config {
        listen: listen(raw.listen.take(), overrides)?,
        statsd: statsd::build(path, &mut raw, overrides)?,
        data_dir: data_dir(raw.data_dir.take(), overrides),
        retention: retention(&raw, overrides)?,
        log: log(&raw, overrides)?,
        http: http(&raw, overrides)?,
        query: query(&raw, &global, overrides)?,
        limits: limits(&raw),
        external_labels,
        rules: rules::build(&raw, &global, overrides, base)?,
        alerting,
        alertmanager,
        airflow_aliases: airflow::aliases(raw.airflow.as_ref()),
        airflow: airflow::build(path, raw.airflow.take())?,
        yaml: mask::masked_yaml(text),
        warnings,
    })
}

/// The section of the file, or a file of its own.
fn alertmanager(
    path: &Path,
    section: Option<AlertFile>,
    text: &str,
    overrides: &Overrides,
) -> Result<Option<Arc<AlertConfig>>, ConfigError> {
    let config = match (section, &overrides.alertmanager_config) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let message = "the configuration has a section alertmanager already".to_owned();
            return Err(ConfigError::Invalid { key: "alertmanager.config", message });
        }
        (None, Some(file)) => notify_config::load(file),
        (Some(section), None) => notify_config::build(path, section).map(|config| {
            let yaml = notify_config::mask::masked_section(text, "alertmanager");
            AlertConfig { yaml, ..config }
        }),
    };
    Ok(Some(Arc::new(config.map_err(ConfigError::Alertmanager)?)))
}

fn parse_error(path: &Path, error: &serde_saphyr::Error) -> ConfigError {
    let place = error.location().map(|place| (place.line(), place.column()));
    let message = error.without_snippet().to_string();
    // The place stands in front of our message already.
    let message = match message.rfind(" at line ") {
        Some(end) if place.is_some() => message[..end].to_owned(),
        _ => message,
    };
    ConfigError::Parse { path: path.to_owned(), place, message }
}

fn listen(file: Option<String>, overrides: &Overrides) -> Result<SocketAddr, ConfigError> {
    let text = overrides.listen.clone().or(file).unwrap_or_else(|| LISTEN.to_owned());
    address("listen", &text)
}

pub(super) fn address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    let full = match text.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => text.replace("localhost:", "127.0.0.1:"),
    };
    full.parse().map_err(|_| ConfigError::Invalid {
        key,
        message: format!("{text:?} is not an address, expected IP:PORT such as {LISTEN}"),
    })
}

fn data_dir(file: Option<String>, overrides: &Overrides) -> PathBuf {
    overrides.data_dir.clone().or(file.map(PathBuf::from)).unwrap_or_else(|| DATA_DIR.into())
}

fn retention(raw: &RawConfig, overrides: &Overrides) -> Result<Duration, ConfigError> {
    let tsdb = raw.storage.as_ref().and_then(|storage| storage.tsdb.as_ref());
    let prometheus = tsdb.and_then(|tsdb| tsdb.retention.as_ref()).and_then(|r| r.time);
    let file = raw.retention.or(prometheus);
    positive("retention", overrides.retention.as_deref(), file, RETENTION)
}

/// The flag's duration, else the file's, else the default; never zero.
pub(super) fn positive(
    key: &'static str,
    flag: Option<&str>,
    file: Option<PromDuration>,
    default: Duration,
) -> Result<Duration, ConfigError> {
    let invalid = |message: String| ConfigError::Invalid { key, message };
    let duration = match flag {
        Some(text) => parse_duration(text).map_err(|error| invalid(error.to_string()))?,
        None => file.map_or(default, |duration| duration.0),
    };
    if duration.is_zero() {
        return Err(invalid("must be more than 0".to_owned()));
    }
    Ok(duration)
}

fn log(raw: &RawConfig, overrides: &Overrides) -> Result<LogOptions, ConfigError> {
    let level = overrides.log_level.clone().or_else(|| raw.log_level.clone());
    let format = overrides.log_format.clone().or_else(|| raw.log_format.clone());
    let format = match format {
        Some(text) => {
            text.parse().map_err(|message| ConfigError::Invalid { key: "log format", message })?
        }
        None => LogFormat::default(),
    };
    let level = level.unwrap_or_else(|| LogOptions::default().level);
    check_log_level(&level)
        .map_err(|message| ConfigError::Invalid { key: "log level", message })?;
    Ok(LogOptions { level, format })
}

fn http(raw: &RawConfig, overrides: &Overrides) -> Result<HttpConfig, ConfigError> {
    let file = raw.http.as_ref();
    let connections = overrides.connections.or(file.and_then(|h| h.max_connections));
    Ok(HttpConfig {
        read_timeout: positive(
            "web.read-timeout",
            overrides.read_timeout.as_deref(),
            file.and_then(|h| h.read_timeout),
            HTTP_READ_TIMEOUT,
        )?,
        connections_max: at_least_one("web.max-connections", connections, HTTP_CONNECTIONS_MAX)?,
    })
}

fn query(
    raw: &RawConfig,
    global: &RawGlobal,
    overrides: &Overrides,
) -> Result<QueryConfig, ConfigError> {
    let file = raw.query.as_ref();
    let concurrency = overrides.query_concurrency.or(file.and_then(|q| q.max_concurrency));
    let samples = overrides.query_samples.or(file.and_then(|q| q.max_samples));
    let interval = global.evaluation_interval;
    Ok(QueryConfig {
        lookback_delta: positive(
            "query.lookback-delta",
            overrides.lookback_delta.as_deref(),
            file.and_then(|q| q.lookback_delta),
            LOOKBACK_DELTA,
        )?,
        timeout: positive(
            "query.timeout",
            overrides.query_timeout.as_deref(),
            file.and_then(|q| q.timeout),
            QUERY_TIMEOUT,
        )?,
        concurrency_max: at_least_one("query.max-concurrency", concurrency, QUERY_CONCURRENCY)?,
        samples_max: at_least_one("query.max-samples", samples, QUERY_SAMPLES_MAX)?,
        subquery_step: positive("evaluation_interval", None, interval, EVALUATION_INTERVAL)?,
    })
}

fn at_least_one<N: PartialOrd + From<u8>>(
    key: &'static str,
    value: Option<N>,
    default: N,
) -> Result<N, ConfigError> {
    match value {
        Some(n) if n < N::from(1) => {
            Err(ConfigError::Invalid { key, message: "must be at least 1".to_owned() })
        }
        Some(n) => Ok(n),
        None => Ok(default),
    }
}

fn limits(raw: &RawConfig) -> LimitsConfig {
    let limits = raw.limits.as_ref();
    LimitsConfig {
        series_max: limits.and_then(|l| l.series).unwrap_or(SERIES_MAX),
        head_bytes_max: limits.and_then(|l| l.head_bytes).unwrap_or(HEAD_BYTES),
        disk_free_bytes_min: limits.and_then(|l| l.disk_free_bytes).unwrap_or(DISK_FREE_BYTES),
        statsd_series_max: limits.and_then(|l| l.statsd_series).unwrap_or(STATSD_SERIES),
    }
}

fn external_labels(global: &RawGlobal) -> Result<Labels, ConfigError> {
    let Some(labels) = &global.external_labels else {
        return Ok(Labels::empty());
    };
    let lookup = |name: &str| std::env::var(name).ok();
    let expanded: Vec<(&str, String)> =
        labels.iter().map(|(n, v)| (n.as_str(), env::expand(v, lookup))).collect();
    Labels::from_pairs(expanded.iter().map(|(n, v)| (*n, v.as_str()))).map_err(|error| {
        ConfigError::Invalid { key: "global.external_labels", message: error.to_string() }
    })
}

/// Rules of Prometheus that no single value shows: job names are unique, and a timeout does not
/// outlast its interval.
fn check_scrapes(raw: &RawConfig) -> Result<(), ConfigError> {
    let invalid = |message| ConfigError::Invalid { key: "scrape_configs", message };
    let jobs: &[ScrapeConfig] = raw.scrape_configs.as_ref().map_or(&[], |jobs| &jobs.value);
    let global = raw.global.as_ref();
    let default = global.and_then(|g| g.scrape_interval).map_or(SCRAPE_INTERVAL, |d| d.0);
    if let Some(timeout) = global.and_then(|g| g.scrape_timeout).filter(|t| t.0 > default) {
        let timeout = format_duration(timeout.0);
        return Err(invalid(format!("global scrape_timeout {timeout} is above the interval")));
    }
    let mut names = HashSet::new();
    for job in jobs {
        let name = &job.job_name;
        if name.is_empty() {
            return Err(invalid("job_name must not be empty".to_owned()));
        }
        if !names.insert(name) {
            return Err(invalid(format!("found multiple scrape configs with job name {name:?}")));
        }
        let interval = job.scrape_interval.map_or(default, |d| d.0);
        if job.scrape_timeout.is_some_and(|timeout| timeout.0 > interval) {
            return Err(invalid(format!("scrape timeout above the interval in job {name:?}")));
        }
    }
    Ok(())
}

/// One sentence for each key that is known but not acted on.
fn warnings(path: &Path, raw: &RawConfig, global: &RawGlobal) -> Vec<String> {
    let tsdb = raw.storage.as_ref().and_then(|storage| storage.tsdb.as_ref());
    let retention = tsdb.and_then(|tsdb| tsdb.retention.as_ref());
    let keys = [
        ("scrape_config_files", line(raw.scrape_config_files.as_ref())),
        ("scrape_configs", line(raw.scrape_configs.as_ref())),
        ("remote_write", line(raw.remote_write.as_ref())),
        ("remote_read", line(raw.remote_read.as_ref())),
        ("otlp", line(raw.otlp.as_ref())),
        ("tracing", line(raw.tracing.as_ref())),
        ("runtime", line(raw.runtime.as_ref())),
        ("global.query_log_file", line(global.query_log_file.as_ref())),
        ("storage.exemplars", line(raw.storage.as_ref().and_then(|s| s.exemplars.as_ref()))),
        (
            "storage.tsdb.stale_series_compaction_threshold",
            line(tsdb.and_then(|tsdb| tsdb.stale_series_compaction_threshold.as_ref())),
        ),
        ("storage.tsdb.chunk_encoding", line(tsdb.and_then(|tsdb| tsdb.chunk_encoding.as_ref()))),
        ("storage.tsdb.retention.size", line(retention.and_then(|r| r.size.as_ref()))),
        ("storage.tsdb.retention.percentage", line(retention.and_then(|r| r.percentage.as_ref()))),
    ];
    let alerting = raw.alerting.iter().flat_map(|own| {
        let line = own.defined.line();
        let keys = alerting::unused(&own.value).into_iter();
        keys.map(move |key| (format!("{key} of alerting.alertmanagers"), Some(line)))
    });
    keys.into_iter()
        .map(|(key, line)| (key.to_owned(), line))
        .chain(alerting)
        .filter_map(|(key, line)| Some((key, line?)))
        .map(|(key, line)| format!("{}:{line}: {key} is read but not acted on yet", path.display()))
        .collect()
}

fn line<T>(key: Option<&Spanned<T>>) -> Option<u64> {
    key.map(|spanned| spanned.defined.line())
}
