//! `scrape_configs`: read and checked, so that an unchanged `prometheus.yml` loads and its mistakes
//! are found; nothing is scraped yet.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::discovery::with_unused_discovery;
use super::raw::PromDuration;
use super::relabel::Relabel;

/// Defines a section with further keys of which only the names are known.
macro_rules! section {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident { $($own_vis:vis $own:ident: $type:ty,)* }
        unused { $($unused:ident,)* }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $($own_vis $own: $type,)*
            $($unused: Option<IgnoredAny>,)*
        }
    };
}

with_unused_discovery! { section! {
    /// One entry of `scrape_configs`. Keys whose content is another system's matter (service discovery,
    /// authentication) are accepted unseen.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)] // fields exist so that the file is checked
    pub(super) struct ScrapeConfig {
        pub job_name: String,
        pub scrape_interval: Option<PromDuration>,
        pub scrape_timeout: Option<PromDuration>,
        metrics_path: Option<String>,
        scheme: Option<Scheme>,
        params: Option<IgnoredAny>,
        honor_labels: Option<bool>,
        honor_timestamps: Option<bool>,
        track_timestamps_staleness: Option<bool>,
        enable_compression: Option<bool>,
        scrape_protocols: Option<Vec<String>>,
        fallback_scrape_protocol: Option<String>,
        scrape_native_histograms: Option<bool>,
        scrape_classic_histograms: Option<bool>,
        always_scrape_classic_histograms: Option<bool>,
        convert_classic_histograms_to_nhcb: Option<bool>,
        extra_scrape_metrics: Option<bool>,
        scrape_failure_log_file: Option<String>,
        relabel_configs: Option<Vec<Relabel>>,
        metric_relabel_configs: Option<Vec<Relabel>>,
        body_size_limit: Option<IgnoredAny>,
        sample_limit: Option<u64>,
        target_limit: Option<u64>,
        label_limit: Option<u64>,
        label_name_length_limit: Option<u64>,
        label_value_length_limit: Option<u64>,
        keep_dropped_targets: Option<u64>,
        native_histogram_bucket_limit: Option<u64>,
        native_histogram_min_bucket_factor: Option<f64>,
        metric_name_validation_scheme: Option<String>,
        metric_name_escaping_scheme: Option<String>,
        basic_auth: Option<IgnoredAny>,
        authorization: Option<IgnoredAny>,
        bearer_token: Option<IgnoredAny>,
        bearer_token_file: Option<IgnoredAny>,
        oauth2: Option<IgnoredAny>,
        tls_config: Option<IgnoredAny>,
        proxy_url: Option<IgnoredAny>,
        no_proxy: Option<IgnoredAny>,
        proxy_from_environment: Option<IgnoredAny>,
        proxy_connect_header: Option<IgnoredAny>,
        http_headers: Option<IgnoredAny>,
        follow_redirects: Option<bool>,
        enable_http2: Option<bool>,
        static_configs: Option<Vec<StaticConfig>>,
        dns_sd_configs: Option<IgnoredAny>,
        file_sd_configs: Option<IgnoredAny>,
        http_sd_configs: Option<IgnoredAny>,
    }
} }

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scheme {
    Http,
    Https,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // fields exist so that the file is checked
struct StaticConfig {
    targets: Option<Vec<String>>,
    labels: Option<std::collections::BTreeMap<String, String>>,
}
