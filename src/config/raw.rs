//! What a configuration file may hold, key by key. Unknown keys are errors.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny};
use serde_saphyr::Spanned;

use super::airflow::RawAirflow;
use super::alerting::RawAlerting;
use super::duration::parse_duration;
use super::relabel::Relabel;
use super::scrape::ScrapeConfig;
use super::statsd::RawStatsd;
use crate::notify::config::AlertFile;

/// A duration in Prometheus' form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PromDuration(pub Duration);

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PromDuration, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(PromDuration).map_err(de::Error::custom)
    }
}

/// A whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    // Our own keys.
    pub listen: Option<String>,
    pub data_dir: Option<String>,
    pub retention: Option<PromDuration>,
    pub log_level: Option<String>,
    pub log_format: Option<String>,
    pub statsd: Option<RawStatsd>,
    pub http: Option<RawHttp>,
    pub query: Option<RawQuery>,
    pub limits: Option<RawLimits>,
    pub airflow: Option<RawAirflow>,
    pub alertmanager: Option<AlertFile>,
    // Those of prometheus.yml.
    pub global: Option<RawGlobal>,
    pub rule_files: Option<Spanned<Option<Vec<String>>>>,
    pub scrape_config_files: Option<Spanned<Vec<String>>>,
    pub scrape_configs: Option<Spanned<Vec<ScrapeConfig>>>,
    pub alerting: Option<Spanned<RawAlerting>>,
    pub remote_write: Option<Spanned<Vec<RemoteWrite>>>,
    pub remote_read: Option<Spanned<Vec<IgnoredAny>>>,
    pub otlp: Option<Spanned<IgnoredAny>>,
    pub storage: Option<RawStorage>,
    pub tracing: Option<Spanned<IgnoredAny>>,
    pub runtime: Option<Spanned<IgnoredAny>>,
}

/// `http`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    pub read_timeout: Option<PromDuration>,
    pub max_connections: Option<usize>,
}

/// `query`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQuery {
    pub lookback_delta: Option<PromDuration>,
    pub timeout: Option<PromDuration>,
    pub max_concurrency: Option<usize>,
    pub max_samples: Option<u64>,
}

/// `limits`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub series: Option<usize>,
    pub head_bytes: Option<u64>,
    pub disk_free_bytes: Option<u64>,
    pub statsd_series: Option<usize>,
}

/// `global`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGlobal {
    pub scrape_interval: Option<PromDuration>,
    pub scrape_timeout: Option<PromDuration>,
    pub evaluation_interval: Option<PromDuration>,
    pub external_labels: Option<BTreeMap<String, String>>,
    pub rule_query_offset: Option<PromDuration>,
    pub query_log_file: Option<Spanned<String>>,
    // Defaults for scraping.
    #[serde(rename = "scrape_protocols")]
    _scrape_protocols: Option<Vec<String>>,
    #[serde(rename = "body_size_limit")]
    _body_size_limit: Option<IgnoredAny>,
    #[serde(rename = "sample_limit")]
    _sample_limit: Option<u64>,
    #[serde(rename = "target_limit")]
    _target_limit: Option<u64>,
    #[serde(rename = "label_limit")]
    _label_limit: Option<u64>,
    #[serde(rename = "label_name_length_limit")]
    _label_name_length_limit: Option<u64>,
    #[serde(rename = "label_value_length_limit")]
    _label_value_length_limit: Option<u64>,
    #[serde(rename = "keep_dropped_targets")]
    _keep_dropped_targets: Option<u64>,
    #[serde(rename = "metric_name_validation_scheme")]
    _metric_name_validation_scheme: Option<String>,
    #[serde(rename = "metric_name_escaping_scheme")]
    _metric_name_escaping_scheme: Option<String>,
    #[serde(rename = "scrape_native_histograms")]
    _scrape_native_histograms: Option<bool>,
    #[serde(rename = "convert_classic_histograms_to_nhcb")]
    _convert_classic_histograms_to_nhcb: Option<bool>,
    #[serde(rename = "always_scrape_classic_histograms")]
    _always_scrape_classic_histograms: Option<bool>,
    #[serde(rename = "extra_scrape_metrics")]
    _extra_scrape_metrics: Option<bool>,
    #[serde(rename = "scrape_failure_log_file")]
    _scrape_failure_log_file: Option<String>,
}

/// One entry of `remote_write`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // fields exist so that the file is checked
pub(super) struct RemoteWrite {
    url: String,
    name: Option<String>,
    protobuf_message: Option<String>,
    remote_timeout: Option<PromDuration>,
    headers: Option<BTreeMap<String, String>>,
    write_relabel_configs: Option<Vec<Relabel>>,
    send_exemplars: Option<bool>,
    send_native_histograms: Option<bool>,
    round_robin_dns: Option<bool>,
    queue_config: Option<IgnoredAny>,
    metadata_config: Option<IgnoredAny>,
    basic_auth: Option<IgnoredAny>,
    authorization: Option<IgnoredAny>,
    bearer_token: Option<IgnoredAny>,
    bearer_token_file: Option<IgnoredAny>,
    sigv4: Option<IgnoredAny>,
    azuread: Option<IgnoredAny>,
    google_iam: Option<IgnoredAny>,
    oauth2: Option<IgnoredAny>,
    tls_config: Option<IgnoredAny>,
    proxy_url: Option<IgnoredAny>,
    no_proxy: Option<IgnoredAny>,
    proxy_from_environment: Option<IgnoredAny>,
    proxy_connect_header: Option<IgnoredAny>,
    http_headers: Option<IgnoredAny>,
    follow_redirects: Option<bool>,
    enable_http2: Option<bool>,
}

/// `storage`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStorage {
    pub tsdb: Option<RawTsdb>,
    pub exemplars: Option<Spanned<IgnoredAny>>,
}

/// `storage.tsdb`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTsdb {
    /// Accepted and met: late samples within the retention are always taken.
    #[serde(rename = "out_of_order_time_window")]
    _out_of_order_time_window: Option<PromDuration>,
    pub stale_series_compaction_threshold: Option<Spanned<IgnoredAny>>,
    pub chunk_encoding: Option<Spanned<IgnoredAny>>,
    pub retention: Option<RawRetention>,
}

/// `storage.tsdb.retention`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetention {
    pub time: Option<PromDuration>,
    pub size: Option<Spanned<IgnoredAny>>,
    pub percentage: Option<Spanned<IgnoredAny>>,
}
