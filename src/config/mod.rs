//! The configuration: a superset of `prometheus.yml`.
//!
//! In: the text of a file and the command line's overrides. Out: a validated [`Config`] of built
//! values, plus a named warning for every key that is known but not acted on. Never here: parts of
//! the server; they get the values they need, never the whole [`Config`].
//!
//! [`raw`] and [`scrape`] say what a file may hold, [`build`] turns it into values, [`mask`] hides
//! secrets before the text is shown.

mod airflow;
mod alerting;
mod build;
mod discovery;
mod duration;
mod env;
mod error;
mod glob;
mod mask;
mod raw;
mod relabel;
mod rules;
mod scrape;
mod statsd;
mod statsd_airflow;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use build::{Overrides, load, parse};
pub use duration::{DurationError, format_duration, parse_duration};
pub use error::ConfigError;
pub use glob::{glob, glob_all};
pub use rules::RulesConfig;
pub use statsd::{AirflowMapping, StatsdConfig, StatsdSockets};
pub use statsd_airflow::AirflowSenders;

use crate::airflow::InstanceOptions;
use crate::alert_sender::SenderOptions;
use crate::model::Labels;
use crate::notify::config::AlertConfig;
use crate::telemetry::LogOptions;

/// Everything the server is told, checked and with defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of the HTTP server.
    pub listen: SocketAddr,
    /// The StatsD receiver.
    pub statsd: StatsdConfig,
    /// Where the data lies.
    pub data_dir: PathBuf,
    /// How long samples are kept; more than zero.
    pub retention: Duration,
    /// What is logged and how.
    pub log: LogOptions,
    /// Limits of the HTTP server.
    pub http: HttpConfig,
    /// Limits and defaults of queries.
    pub query: QueryConfig,
    /// Limits of the store.
    pub limits: LimitsConfig,
    /// Labels attached to what leaves for other servers (`global.external_labels`).
    pub external_labels: Labels,
    /// Rules and when they are evaluated.
    pub rules: RulesConfig,
    /// The Alertmanagers that alerts are sent to.
    pub alerting: SenderOptions,
    /// Who is told of alerts, when and how; `None` when nobody is.
    pub alertmanager: Option<Arc<AlertConfig>>,
    /// Airflow instances to watch.
    pub airflow: Vec<InstanceOptions>,
    /// Whether queries find Airflow's series under the names in circulation too.
    pub airflow_aliases: bool,
    /// The file as YAML with secrets masked; empty without a file.
    pub yaml: String,
    /// Keys that are known but not acted on, each with its place in the file.
    pub warnings: Vec<String>,
}

/// Limits of the HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// How long reading a request may take, and how long a connection may be idle.
    pub read_timeout: Duration,
    /// Most connections open at a time.
    pub connections_max: usize,
}

/// Limits and defaults of queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryConfig {
    /// How far back an instant selector looks for a sample.
    pub lookback_delta: Duration,
    /// How long one query may take.
    pub timeout: Duration,
    /// Most queries evaluated at a time.
    pub concurrency_max: usize,
    /// Most samples one query may hold in memory.
    pub samples_max: u64,
    /// Step of a subquery that names none (`global.evaluation_interval`).
    pub subquery_step: Duration,
}

/// Limits of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Most live series.
    pub series_max: usize,
    /// Memory for samples that are not yet in day files, in bytes.
    pub head_bytes_max: u64,
    /// Bytes kept free on the disk.
    pub disk_free_bytes_min: u64,
    /// Most StatsD series.
    pub statsd_series_max: usize,
}
