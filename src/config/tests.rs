//! Files as users have them, and the mistakes they make.

use std::path::Path;
use std::time::Duration;

use super::{Config, ConfigError, Overrides, parse};

fn config(text: &str) -> Result<Config, ConfigError> {
    parse(Path::new("tidewatch.yml"), text, &Overrides::default())
}

fn refused(text: &str) -> String {
    config(text).expect_err(text).to_string()
}

/// The file that comes with Prometheus, in shape: nulls behind comments included.
const STOCK: &str = "\
global:
  scrape_interval: 15s
  evaluation_interval: 30s
alerting:
  alertmanagers:
    - static_configs:
        - targets:
          # - alertmanager:9093
rule_files:
  # - \"first_rules.yml\"
scrape_configs:
  - job_name: \"prometheus\"
    static_configs:
      - targets: [\"localhost:9090\"]
        labels:
          app: \"prometheus\"
    relabel_configs:
      - source_labels: [__address__]
        regex: '(.*):\\d+'
        target_label: host
";

#[test]
fn the_defaults_are_the_documented_ones() {
    for text in ["", "# only a comment\n", "{}"] {
        let config = config(text).expect(text);
        assert_eq!(config.listen.to_string(), "127.0.0.1:9090");
        assert_eq!(config.statsd.listen.expect("on").to_string(), "127.0.0.1:8125");
        assert_eq!(config.data_dir, Path::new("tidewatch-data"));
        assert_eq!(config.retention, Duration::from_secs(15 * 86_400));
        assert!(config.warnings.is_empty());
    }
}

#[test]
fn a_stock_prometheus_yml_loads_with_named_warnings() {
    let config = config(STOCK).expect("loads");
    assert_eq!(config.query.subquery_step, Duration::from_secs(30));
    let keys: Vec<&str> =
        config.warnings.iter().filter_map(|warning| warning.split(' ').nth(1)).collect();
    assert_eq!(keys, ["scrape_configs"]);
    assert!(config.warnings[0].ends_with("scrape_configs is read but not acted on yet"));
    assert!(config.warnings[0].starts_with("tidewatch.yml:1"), "{:?}", config.warnings);
}

#[test]
fn own_keys_sit_beside_those_of_prometheus() {
    let text = "listen: 0.0.0.0:1234\ndata_dir: /var/lib/x\nstatsd: {listen: off}\n\
        query: {timeout: 1m, max_concurrency: 3}\nlimits: {series: 10}\n\
        global:\n  external_labels: {zone: eu, empty: $$}\n\
        storage:\n  tsdb:\n    out_of_order_time_window: 30m\n    retention: {time: 30d}\n";
    let config = config(text).expect("loads");
    assert_eq!(config.listen.to_string(), "0.0.0.0:1234");
    assert!(config.statsd.listen.is_none());
    assert_eq!(config.retention, Duration::from_secs(30 * 86_400));
    assert_eq!(config.query.timeout, Duration::from_secs(60));
    assert_eq!(config.query.concurrency_max, 3);
    assert_eq!(config.limits.series_max, 10);
    assert_eq!(config.external_labels.value("zone"), "eu");
    assert_eq!(config.external_labels.value("empty"), "$");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn flags_beat_the_file() {
    let overrides = Overrides {
        listen: Some("127.0.0.1:1".to_owned()),
        statsd_listen: Some("off".to_owned()),
        retention: Some("1d".to_owned()),
        ..Overrides::default()
    };
    let text = "listen: 127.0.0.1:2\nretention: 2d\n";
    let config = parse(Path::new("f"), text, &overrides).expect("loads");
    assert_eq!(config.listen.port(), 1);
    assert_eq!(config.retention, Duration::from_secs(86_400));
    assert!(config.statsd.listen.is_none());
}

#[test]
fn mistakes_name_file_line_and_column() {
    for (text, place, hint) in [
        ("global:\n  scrape_intervall: 15s\n", "tidewatch.yml:2:3: ", "scrape_intervall"),
        ("retention: 15 days\n", "tidewatch.yml:1:", "15 days"),
        ("scrape_configs:\n- job_name: a\n  scheme: ftp\n", "tidewatch.yml:3:", "ftp"),
        ("a: [1\n", "tidewatch.yml:", ""),
        (
            "scrape_configs:\n- job_name: a\n  relabel_configs:\n  - regex: '('\n",
            "tidewatch.yml:4:",
            "not a valid regular expression",
        ),
    ] {
        let message = refused(text);
        assert!(message.starts_with(place), "{message}");
        assert!(message.contains(hint), "{message}");
        assert!(!message.contains('\n'), "one line: {message}");
    }
}

#[test]
fn values_that_cannot_be_used_are_refused() {
    for (text, expected) in [
        ("retention: 0s\n", "retention: must be more than 0"),
        ("query: {max_samples: 0}\n", "query.max-samples: must be at least 1"),
        (
            "scrape_configs: [{job_name: a}, {job_name: a}]\n",
            "scrape_configs: found multiple scrape configs with job name \"a\"",
        ),
        (
            "scrape_configs: [{job_name: a, scrape_timeout: 2m}]\n",
            "scrape_configs: scrape timeout above the interval in job \"a\"",
        ),
    ] {
        assert_eq!(refused(text), expected);
    }
    assert!(refused("listen: nowhere\n").contains("\"nowhere\" is not an address"));
}

#[test]
fn statsd_is_configured_in_full() {
    let text = "statsd:\n  listen: ':9125'\n  listen_unixgram: /run/a\n  listen_unix: /run/b\n  \
        unix_socket_mode: '660'\n  read_buffer_bytes: 100\n  flush_interval: 5s\n  \
        mapping_config: rules/m.yml\n  relay: {address: 'old:8125', packet_bytes: 500}\n  \
        parse: {influxdb_tags: false, container_id: true, signed_gauges: relative}\n  \
        labels: {job: statsd}\n  airflow:\n    mapping: on\n    name: rest\n    instances:\n    \
        - {name: port, listen: '127.0.0.1:9126', version: '2.11'}\n    \
        - {name: net, sources: [10.1.0.0/16], has_api: true}\n    \
        - {name: prefix, prefix: team.airflow, timer_unit_consistency: true}\n";
    let statsd = config(text).expect("loads").statsd;
    assert_eq!(statsd.listen.expect("on").to_string(), "0.0.0.0:9125");
    assert_eq!(statsd.mapping_config.as_deref(), Some(Path::new("rules/m.yml")));
    assert!(!statsd.dialects.influxdb && statsd.dialects.container_id);
    assert_eq!(statsd.signed_gauges, crate::statsd::resolve::SignedGauges::Relative);
    assert_eq!(statsd.labels, [("job".to_owned(), "statsd".to_owned())]);
    assert_eq!(statsd.airflow.expect("on").name, "rest");
    let sockets = statsd.sockets;
    assert_eq!((sockets.unix_mode, sockets.read_buffer_bytes), (0o660, 100));
    assert_eq!(sockets.flush_interval, Duration::from_secs(5));
    assert_eq!(sockets.relay.expect("on").packet_bytes, 500);
    let origins: Vec<Option<u16>> =
        sockets.airflow.instances.iter().map(|i| i.origin.map(|origin| origin.0)).collect();
    assert_eq!(origins, [Some(1), Some(2), None]);
    assert_eq!(sockets.airflow.listens[0].address.port(), 9126);
    assert_eq!(sockets.airflow.ranges[0].1.0, 2);
}

#[test]
fn the_airflow_mapping_yields_to_a_mapping_file() {
    let mapping = |text: &str| config(text).expect(text).statsd.airflow.is_some();
    assert!(mapping(""));
    assert!(!mapping("statsd: {mapping_config: m.yml}\n"));
    assert!(mapping("statsd: {mapping_config: m.yml, airflow: {mapping: on}}\n"));
    assert!(!mapping("statsd: {airflow: {mapping: off}}\n"));
}

#[test]
fn statsd_values_that_cannot_be_used_are_refused() {
    for (text, expected) in [
        ("{unix_socket_mode: '999'}", "statsd.unix_socket_mode: \"999\" is not octal such as 755"),
        ("{relay: {address: host}}", "statsd.relay.address: \"host\" is not HOST:PORT"),
        (
            "{relay: {address: 'h:1', packet_bytes: 1}}",
            "statsd.relay.packet_bytes: 1 is not from 64 to 65507",
        ),
        ("{flush_interval: 0s}", "statsd.flush_interval: must be more than 0"),
        ("{labels: {__name__: x}}", "statsd.labels: \"__name__\" is not a label name"),
        (
            "{airflow: {instances: [{name: a}, {name: a}]}}",
            "statsd.airflow: two instances have the name \"a\"",
        ),
        (
            "{airflow: {instances: [{name: a, version: '1'}]}}",
            "statsd.airflow: version \"1\" is none of auto, 2 and 3",
        ),
        (
            "{airflow: {instances: [{name: a, sources: [here]}]}}",
            "statsd.airflow: \"here\" is not an address or range such as 10.1.0.0/16",
        ),
    ] {
        assert_eq!(refused(&format!("statsd: {text}\n")), expected);
    }
}
