//! A configuration that changes while the server runs: what takes effect at once does, what does not
//! is named, and a wrong file changes nothing.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::support::client::Answer;
use super::support::remote_write::series;
use super::support::{Client, Server, now_ms, wait_for};

/// A server with a configuration file that can be written anew.
struct Configured {
    server: Server,
    temp: TempDir,
}

impl Configured {
    fn start(config: &str) -> Configured {
        let temp = TempDir::new().expect("a temporary directory");
        let file = temp.path().join("tidewatch.yml");
        fs::write(&file, config).expect("written");
        let file = file.to_str().expect("UTF-8");
        let mut server = Server::new(temp.path(), &["--web.enable-lifecycle", "--config", file]);
        server.restart();
        Configured { server, temp }
    }

    fn reload(&self, config: &str) -> Answer {
        fs::write(self.temp.path().join("tidewatch.yml"), config).expect("written");
        self.server.client().post("/-/reload", &[], b"").expect("an answer")
    }

    fn reload_ok(&self, config: &str) {
        let answer = self.reload(config);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

fn data(client: &Client, path: &str) -> Value {
    let answer = client.get(path).expect("an answer");
    let mut json: Value = serde_json::from_str(&answer.body).expect("JSON");
    json["data"].take()
}

fn flag(client: &Client, name: &str) -> String {
    let flags = data(client, "/api/v1/status/flags");
    flags[name].as_str().unwrap_or_else(|| panic!("no flag {name}")).to_owned()
}

#[test]
fn limits_of_queries_change_at_once() {
    let configured = Configured::start("query: {max_concurrency: 3}\n");
    let client = configured.server.client();
    let now = now_ms();
    let samples: Vec<(i64, f64)> = (0..600).map(|i| (now - 600_000 + i * 100, 1.0)).collect();
    client.write_ok(&[series(&[("__name__", "reloaded")], &samples)]);
    assert_eq!(client.query_at("reloaded", now - 300_000).len(), 1);
    assert_eq!(client.query_at("reloaded[20m]", now).len(), 1);
    assert_eq!(client.metric("prometheus_engine_queries_concurrent_max"), Some(3.0));

    configured.reload_ok(
        "query: {max_concurrency: 5, lookback_delta: 1m, max_samples: 100, timeout: 7s}\n",
    );
    assert_eq!(client.query_at("reloaded", now - 300_000).len(), 0, "a lookback of one minute");
    let too_many = client.form("/api/v1/query", &[("query", "reloaded[20m]")]).expect("an answer");
    assert_eq!(too_many.status, 422, "{}", too_many.body);
    let why = "too many samples into memory in query execution: it needed ";
    assert!(too_many.body.contains(why), "{}", too_many.body);
    assert!(too_many.body.contains(" or more, 100 are allowed"), "{}", too_many.body);
    assert_eq!(client.metric("prometheus_engine_queries_concurrent_max"), Some(5.0));
    assert_eq!(flag(&client, "query.timeout"), "7s");
}

#[test]
fn limits_of_the_store_change_at_once() {
    let configured = Configured::start("");
    let client = configured.server.client();
    let now = now_ms();
    let write = |name: &str, at: i64| {
        client.write(&[series(&[("__name__", name)], &[(at, 1.0)])]).expect("an answer")
    };
    assert_eq!(write("first", now - 3 * 3_600_000).status, 204);

    configured.reload_ok("retention: 2h\nglobal: {external_labels: {zone: eu}}\n");
    let late = write("first", now - 3 * 3_600_000);
    assert_eq!(late.status, 400, "{}", late.body);
    assert!(late.body.contains("older than the retention"), "{}", late.body);
    let runtime = data(&client, "/api/v1/status/runtimeinfo");
    assert_eq!(runtime["storageRetention"], "2h");
    assert_eq!(write("first", now).status, 204);
    let federated = client.get("/federate?match[]=first").expect("an answer").body;
    assert!(federated.contains(r#"zone="eu""#), "{federated}");

    configured.reload_ok("limits: {series: 1}\n");
    let refused = write("second", now);
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(refused.body.contains("limit of 1 active series"), "{}", refused.body);

    configured.reload_ok("limits: {disk_free_bytes: 9000000000000000000}\n");
    let full = write("first", now);
    assert_eq!(full.status, 500, "{}", full.body);
    configured.reload_ok("");
    assert_eq!(write("second", now).status, 204);
}

#[test]
fn a_hang_up_reloads() {
    let configured = Configured::start("");
    let client = configured.server.client();
    let file = configured.temp.path().join("tidewatch.yml");
    fs::write(file, "query: {timeout: 11s}\n").expect("written");
    configured.server.signal("HUP");
    wait_for("the new timeout", Duration::from_secs(20), || {
        (flag(&client, "query.timeout") == "11s").then_some(())
    });
}

#[test]
fn the_log_level_changes_at_once() {
    let configured = Configured::start("log_level: warn\n");
    configured.reload_ok("log_level: warn\nretention: 20d\n");
    assert!(!configured.server.log().contains("configuration reloaded"));
    configured.reload_ok("log_level: info\n");
    assert!(configured.server.log().contains("configuration reloaded"));
}

#[test]
fn what_needs_a_restart_is_named_and_stays() {
    let configured = Configured::start("statsd: {listen: \"off\"}\n");
    let client = configured.server.client();
    // The flags of the test's server beat the file for addresses and the data directory.
    configured.reload_ok(
        "log_format: plain\nhttp: {read_timeout: 5s}\nlimits: {statsd_series: 7}\n\
         listen: 127.0.0.1:1\n",
    );
    let log = configured.server.log();
    for key in ["log_format", "http", "limits.statsd_series"] {
        let warning = format!("{key} has changed, which needs a restart");
        assert!(log.contains(&warning), "{key} is not named in {log}");
    }
    assert!(!log.contains("listen has changed"), "{log}");
    assert_eq!(flag(&client, "web.read-timeout"), "1m30s");
    // It is named again until the restart, and not once the file is as it was.
    let before = configured.server.log().len();
    configured.reload_ok("http: {read_timeout: 5s}\n");
    let log = configured.server.log()[before..].to_owned();
    assert!(log.contains("http has changed") && !log.contains("log_format has"), "{log}");
}

#[test]
fn a_wrong_file_changes_nothing() {
    let configured = Configured::start("query: {timeout: 9s}\n");
    let client = configured.server.client();
    for (wrong, named) in [
        ("query: {timeout: 8s, no_such_key: 1}\n", "no_such_key"),
        ("query: {timeout: 8s}\nlog_level: tidewatch=loud\n", "tidewatch=loud"),
        ("query: {timeout: 0s}\n", "must be more than 0"),
    ] {
        let answer = configured.reload(wrong);
        assert_eq!(answer.status, 500, "{}", answer.body);
        assert!(answer.body.contains(named), "{}", answer.body);
        assert_eq!(flag(&client, "query.timeout"), "9s");
        let runtime = data(&client, "/api/v1/status/runtimeinfo");
        assert_eq!(runtime["reloadConfigSuccess"], false);
    }
    configured.reload_ok("query: {timeout: 8s}\n");
    assert_eq!(flag(&client, "query.timeout"), "8s");
    let runtime = data(&client, "/api/v1/status/runtimeinfo");
    assert_eq!(runtime["reloadConfigSuccess"], true);
}
