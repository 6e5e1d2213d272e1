//! `tidewatch serve`: from flags to a running server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::CliError;
use crate::app::{self, ServeError, ServeOptions};
use crate::config::Overrides;
use crate::http::CorsOrigin;
use crate::promql::Features;

/// The server's flags; each beats the configuration file.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Configuration file; an unchanged prometheus.yml loads
    #[arg(long, visible_alias = "config.file", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the data lies [default: ./tidewatch-data]
    #[arg(long, visible_alias = "storage.tsdb.path", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address of the HTTP server [default: 127.0.0.1:9090]
    #[arg(long, visible_alias = "web.listen-address", value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Address of the StatsD receiver, UDP and TCP, or "off" [default: 127.0.0.1:8125]
    #[arg(long, value_name = "ADDR:PORT|off")]
    statsd_listen: Option<String>,
    /// Path of a Unix datagram socket that receives StatsD
    #[arg(long = "statsd.listen-unixgram", value_name = "PATH")]
    statsd_unixgram: Option<PathBuf>,
    /// statsd_exporter's mapping file
    #[arg(long = "statsd.mapping-config", value_name = "FILE")]
    statsd_mapping: Option<PathBuf>,
    /// Another StatsD that every line is handed on to
    #[arg(long = "statsd.relay.address", value_name = "HOST:PORT")]
    statsd_relay: Option<String>,
    /// How long samples are kept, such as 15d or 1y [default: 15d]
    #[arg(long, visible_alias = "storage.tsdb.retention.time", value_name = "DURATION")]
    retention: Option<String>,
    /// error, warn, info, debug, trace, or a list such as info,tidewatch::statsd=debug
    #[arg(long, visible_alias = "log.level", value_name = "LEVEL")]
    log_level: Option<String>,
    /// text (colour on a terminal) or plain
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// How long reading a request may take, and a connection be idle [default: 90s]
    #[arg(long = "web.read-timeout", value_name = "DURATION")]
    read_timeout: Option<String>,
    /// Most HTTP connections open at a time [default: 512]
    #[arg(long = "web.max-connections", value_name = "N")]
    connections: Option<usize>,
    /// How far back an instant query looks for a sample [default: 5m]
    #[arg(long = "query.lookback-delta", value_name = "DURATION")]
    lookback_delta: Option<String>,
    /// How long one query may take [default: 2m]
    #[arg(long = "query.timeout", value_name = "DURATION")]
    query_timeout: Option<String>,
    /// Most queries evaluated at a time [default: 20]
    #[arg(long = "query.max-concurrency", value_name = "N")]
    query_concurrency: Option<usize>,
    /// Most samples one query may hold in memory [default: 50000000]
    #[arg(long = "query.max-samples", value_name = "N")]
    query_samples: Option<u64>,
    /// Time after which a firing alert is sent again [default: 1m]
    #[arg(long = "rules.alert.resend-delay", value_name = "DURATION")]
    resend_delay: Option<String>,
    /// Longest outage after which the state of alerts is restored from series [default: 1h]
    #[arg(long = "rules.alert.for-outage-tolerance", value_name = "DURATION")]
    outage_tolerance: Option<String>,
    /// Least time from such a restoration to firing [default: 10m]
    #[arg(long = "rules.alert.for-grace-period", value_name = "DURATION")]
    grace_period: Option<String>,
    /// Most alerts waiting for one Alertmanager [default: 10000]
    #[arg(long = "alertmanager.notification-queue-capacity", value_name = "N")]
    notification_queue: Option<usize>,
    /// Most alerts in one request to an Alertmanager [default: 256]
    #[arg(long = "alertmanager.notification-batch-size", value_name = "N")]
    notification_batch: Option<usize>,
    /// Let POST /-/reload and /-/quit work
    #[arg(long = "web.enable-lifecycle")]
    lifecycle: bool,
    /// Enable the admin endpoints; deleting series and snapshots are not supported yet
    #[arg(long = "web.enable-admin-api")]
    admin: bool,
    /// Pages that may call the API from a browser, as a regular expression on their origin
    #[arg(long = "web.cors.origin", value_name = "REGEX", default_value = ".*")]
    cors_origin: String,
    /// URL under which users reach this server, for links
    #[arg(long = "web.external-url", value_name = "URL")]
    external_url: Option<String>,
    /// Alertmanager's configuration file; an unchanged alertmanager.yml loads
    #[arg(
        long = "alertmanager.config",
        visible_alias = "alertmanager-config",
        value_name = "FILE"
    )]
    alertmanager_config: Option<PathBuf>,
    /// Optional parts of PromQL, comma-separated: promql-experimental-functions,
    /// promql-extended-range-selectors, promql-binop-fill-modifiers, promql-delayed-name-removal,
    /// use-start-timestamps, type-and-unit-labels
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    enable_feature: Vec<String>,
}

/// Runs the server until it is told to stop.
pub(super) fn run(args: ServeArgs) -> Result<ExitCode, CliError> {
    let options = ServeOptions {
        features: features(&args.enable_feature)?,
        cors_origin: CorsOrigin::matching(&args.cors_origin)
            .map_err(|error| CliError::Usage(format!("--web.cors.origin: {error}")))?,
        config_file: args.config,
        lifecycle_enabled: args.lifecycle,
        admin_enabled: args.admin,
        external_url: external_url(args.external_url)?,
        overrides: Overrides {
            listen: args.listen,
            statsd_listen: args.statsd_listen,
            statsd_unixgram: args.statsd_unixgram,
            statsd_mapping: args.statsd_mapping,
            statsd_relay: args.statsd_relay,
            data_dir: args.data_dir,
            retention: args.retention,
            log_level: args.log_level,
            log_format: args.log_format,
            read_timeout: args.read_timeout,
            connections: args.connections,
            lookback_delta: args.lookback_delta,
            query_timeout: args.query_timeout,
            query_concurrency: args.query_concurrency,
            query_samples: args.query_samples,
            alertmanager_config: args.alertmanager_config,
            resend_delay: args.resend_delay,
            outage_tolerance: args.outage_tolerance,
            grace_period: args.grace_period,
            notification_queue: args.notification_queue,
            notification_batch: args.notification_batch,
        },
    };
    match app::serve(options) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error @ (ServeError::Config(_) | ServeError::Rules(_))) => {
            Err(CliError::Usage(error.to_string()))
        }
        Err(error) => Err(CliError::Failed(error.to_string())),
    }
}

fn external_url(text: Option<String>) -> Result<String, CliError> {
    let Some(text) = text else {
        return Ok(String::new());
    };
    match url::Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(text),
        _ => Err(CliError::Usage(format!("--web.external-url: {text:?} is not an http(s) URL"))),
    }
}

pub(super) fn features(names: &[String]) -> Result<Features, CliError> {
    let mut features = Features::default();
    for name in names {
        let feature = match name.as_str() {
            "promql-experimental-functions" => &mut features.experimental_functions,
            "promql-extended-range-selectors" => &mut features.extended_range_selectors,
            "promql-binop-fill-modifiers" => &mut features.binop_fill_modifiers,
            "promql-delayed-name-removal" => &mut features.delayed_name_removal,
            "use-start-timestamps" => &mut features.use_start_timestamps,
            "type-and-unit-labels" => &mut features.type_and_unit_labels,
            // Flags of Prometheus for what is always on here.
            "promql-duration-expr" | "promql-per-step-stats" => continue,
            other => {
                return Err(CliError::Usage(format!(
                    "--enable-feature: unknown feature {other:?}"
                )));
            }
        };
        *feature = true;
    }
    Ok(features)
}
