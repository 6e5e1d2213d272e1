//! A real Prometheus scrapes node_exporter and itself, writes everything to us by remote write, and
//! both are asked the same questions.
//!
//! Debian's Prometheus is 2.42, our definition is 3.14. They differ by design where a sample lies
//! exactly at the left end of a range or lookback window, which is open since 3.0. So the questions
//! are asked at times whose millisecond part keeps away from the scrapes' (a scrape interval of 1 s
//! keeps each target at a fixed one), and all ranges, offsets and steps are whole seconds. Floats
//! are compared with a relative tolerance of 1e-9: newer versions sum with compensation. `atan2`
//! keeps the metric name in 2.42, so it is asked on aggregates only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::support::server::free_port;
use super::support::{Client, Series, Server, wait_for};

/// How long Prometheus collects before the questions are asked.
const COLLECT: Duration = Duration::from_secs(65);
/// The evaluation times lie so many seconds before the newest common sample.
const AGES_S: [i64; 3] = [4, 11, 20];
/// Relative tolerance of the comparison.
const TOLERANCE: f64 = 1e-9;

/// Processes that end with the test.
struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself; then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn spawn(program: &Path, args: &[String], log: &Path) -> Child {
    let log = fs::File::create(log).expect("a log file");
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle of the log"))
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()))
}

fn prometheus_config(prometheus: u16, node: u16, tidewatch: u16) -> String {
    format!(
        "\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: prometheus
    static_configs: [{{targets: ['127.0.0.1:{prometheus}'], labels: {{role: 'self'}}}}]
  - job_name: node
    static_configs: [{{targets: ['127.0.0.1:{node}']}}]
remote_write:
  - url: http://127.0.0.1:{tidewatch}/api/v1/write
    queue_config: {{batch_send_deadline: 1s, max_shards: 4}}
    metadata_config: {{send_interval: 5s}}
"
    )
}

/// Both servers, and times at which to ask them.
struct Peers {
    theirs: Client,
    ours: Client,
    /// Milliseconds since the epoch.
    times: Vec<i64>,
    asked: usize,
    failures: Vec<String>,
}

/// Timestamps in ms of the newest sample per job: the oldest of many series', for each shard of the
/// remote-write queue takes its own time.
fn newest(client: &Client) -> Option<Vec<(String, i64)>> {
    let query = "min by (job) (timestamp(up{job=~'node|prometheus'}) \
                 or timestamp(node_cpu_seconds_total) or timestamp(node_scrape_collector_success) \
                 or timestamp(prometheus_engine_query_duration_seconds))";
    let now = super::support::now_ms();
    let found = client.instant(query, &(now / 1000).to_string()).ok()?;
    let mut newest: Vec<(String, i64)> = found
        .iter()
        .map(|s| (s.labels["job"].clone(), (s.points[0].1 * 1000.0).round() as i64))
        .collect();
    newest.sort();
    (newest.len() == 2).then_some(newest)
}

/// The millisecond within the second that is furthest from all of `offsets` and from 0, where the
/// steps of subqueries lie.
fn quiet_millisecond(offsets: &[i64]) -> i64 {
    let distance = |a: i64, b: i64| ((a - b).rem_euclid(1000)).min((b - a).rem_euclid(1000));
    let quietness = |ms: &i64| offsets.iter().map(|o| distance(*ms, *o)).min();
    (100..900).max_by_key(quietness).expect("a non-empty range")
}

/// Waits until we have what Prometheus had, and returns the times to ask at.
fn agree_on_times(theirs: &Client, ours: &Client) -> Vec<i64> {
    let target = wait_for("Prometheus to have scraped", Duration::from_secs(20), || newest(theirs));
    wait_for("remote write to catch up", Duration::from_secs(30), || {
        newest(ours).filter(|ours| ours.iter().zip(&target).all(|(o, t)| o.1 >= t.1))
    });
    let offsets: Vec<i64> = target.iter().map(|(_, t)| t.rem_euclid(1000)).collect();
    let oldest = target.iter().map(|(_, t)| *t).min().expect("two jobs");
    let base = oldest.div_euclid(1000) * 1000 + quiet_millisecond(&offsets);
    AGES_S.iter().map(|age| base - age * 1000).collect()
}

impl Peers {
    fn compare<T>(
        &mut self,
        what: &str,
        ask: impl Fn(&Client) -> Result<T, String>,
        differ: impl Fn(&T, &T) -> Option<String>,
    ) {
        self.asked += 1;
        match (ask(&self.theirs), ask(&self.ours)) {
            (Ok(theirs), Ok(ours)) => {
                if let Some(how) = differ(&theirs, &ours) {
                    self.failures.push(format!("{what}: {how}"));
                }
            }
            (Err(why), _) => self.failures.push(format!("{what}: Prometheus refuses it: {why}")),
            (_, Err(why)) => self.failures.push(format!("{what}: we refuse it: {why}")),
        }
    }

    /// The same instant query at all times.
    fn instant(&mut self, query: &str) {
        let ordered = query.starts_with("sort");
        for time in self.times.clone() {
            let time = seconds(time);
            let ask = |client: &Client| client.instant(query, &time).map(|s| arrange(s, ordered));
            self.compare(&format!("{query} at {time}"), ask, |a, b| difference(a, b));
        }
    }

    /// The same query as a range query over the last 25 seconds, with two steps.
    fn range(&mut self, query: &str) {
        let end = self.times[0];
        for step in ["1", "7"] {
            let (start, end) = (seconds(end - 25_000), seconds(end));
            let ask = |client: &Client| {
                client.range(query, &start, &end, step).map(|s| arrange(s, false))
            };
            let what = format!("{query} from {start} to {end} step {step}");
            self.compare(&what, ask, |a, b| difference(a, b));
        }
    }

    /// The same listing (labels, label values, series); order does not matter.
    fn listing(&mut self, path: &str, matcher: &str) {
        let (start, end) = (seconds(self.times[2] - 5_000), seconds(self.times[0]));
        let form = format!("match[]={}&start={start}&end={end}", encoded(matcher));
        let ask = |client: &Client| {
            let answer = client.get(&format!("{path}?{form}")).map_err(|e| e.to_string())?;
            let mut json: Value = serde_json::from_str(&answer.body)
                .map_err(|error| format!("status {}, {error}", answer.status))?;
            let mut items: Vec<String> = json["data"]
                .as_array_mut()
                .ok_or_else(|| answer.body.clone())?
                .iter()
                .map(Value::to_string)
                .collect();
            items.sort();
            Ok(items)
        };
        self.compare(&format!("{path} of {matcher}"), ask, |theirs, ours| {
            let missing: Vec<_> =
                theirs.iter().filter(|item| !ours.contains(item)).take(3).collect();
            let extra: Vec<_> = ours.iter().filter(|item| !theirs.contains(item)).take(3).collect();
            (theirs != ours || theirs.is_empty()).then(|| {
                format!(
                    "{} against {} items; missing {missing:?}, extra {extra:?}",
                    theirs.len(),
                    ours.len()
                )
            })
        });
    }
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn arrange(mut series: Vec<Series>, ordered: bool) -> Vec<Series> {
    if !ordered {
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
    }
    series
}

fn difference(theirs: &[Series], ours: &[Series]) -> Option<String> {
    if theirs.len() != ours.len() {
        let labels =
            |s: &[Series]| s.iter().take(3).map(|s| format!("{:?}", s.labels)).collect::<Vec<_>>();
        let (t, o) = (labels(theirs), labels(ours));
        return Some(format!(
            "{} series expected, {} found; {t:?} / {o:?}",
            theirs.len(),
            ours.len()
        ));
    }
    theirs.iter().zip(ours).find_map(|(theirs, ours)| {
        if theirs.labels != ours.labels {
            return Some(format!("expected {:?}, found {:?}", theirs.labels, ours.labels));
        }
        if theirs.points.len() != ours.points.len() {
            let (t, o) = (theirs.points.len(), ours.points.len());
            return Some(format!("{:?}: {t} points expected, {o} found", theirs.labels));
        }
        let unequal = theirs.points.iter().zip(&ours.points).find(|(t, o)| !same(**t, **o));
        unequal.map(|(t, o)| format!("{:?}: expected {t:?}, found {o:?}", theirs.labels))
    })
}

fn same(theirs: (f64, f64), ours: (f64, f64)) -> bool {
    let close = (theirs.1 - ours.1).abs() <= TOLERANCE * theirs.1.abs().max(ours.1.abs());
    let equal = theirs.1 == ours.1 || theirs.1.is_nan() && ours.1.is_nan();
    (theirs.0 - ours.0).abs() < 0.0005 && (equal || close)
}

#[test]
fn every_kind_of_query_agrees_with_prometheus() {
    let programs = (program("prometheus"), program("prometheus-node-exporter"));
    let (Some(prometheus), Some(node_exporter)) = programs else {
        assert!(std::env::var_os("CI").is_none(), "prometheus and node_exporter must be installed");
        println!("skipped: prometheus or prometheus-node-exporter is not installed");
        return;
    };
    let mut server = Server::start();
    let dir = TempDir::new().expect("a temporary directory");
    let (prometheus_port, node_port) = (free_port(), free_port());
    let config = dir.path().join("prometheus.yml");
    let text = prometheus_config(prometheus_port, node_port, server.http_port());
    fs::write(&config, text).expect("written");
    let node_args = [
        format!("--web.listen-address=127.0.0.1:{node_port}"),
        // Slow or noisy collectors would only cost scrapes.
        "--no-collector.systemd".into(),
        "--no-collector.thermal_zone".into(),
    ];
    let prometheus_args = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", dir.path().join("tsdb").display()),
        format!("--web.listen-address=127.0.0.1:{prometheus_port}"),
    ];
    let _running = Running(vec![
        spawn(&node_exporter, &node_args, &dir.path().join("node.log")),
        spawn(&prometheus, &prometheus_args, &dir.path().join("prometheus.log")),
    ]);
    let (theirs, ours) = (Client::new(prometheus_port), server.client());
    let started = Instant::now();
    wait_for("Prometheus to be ready", Duration::from_secs(30), || newest(&theirs));
    std::thread::sleep(COLLECT.saturating_sub(started.elapsed()));

    let times = agree_on_times(&theirs, &ours);
    let mut peers = Peers { theirs, ours, times, asked: 0, failures: Vec::new() };
    INSTANT.iter().for_each(|query| peers.instant(query));
    RANGE.iter().for_each(|query| peers.range(query));
    for matcher in [r#"{job="node"}"#, r#"{job=~"prom.*",__name__!~"go_.*"}"#, "node_load1"] {
        for path in ["/api/v1/series", "/api/v1/labels", "/api/v1/label/__name__/values"] {
            peers.listing(path, matcher);
        }
    }
    peers.listing("/api/v1/label/mode/values", "node_cpu_seconds_total");
    server.assert_alive();
    let (asked, failed) = (peers.asked, peers.failures.len());
    let queries = INSTANT.len() + RANGE.len();
    println!("{queries} queries, {asked} comparisons, {failed} differ");
    assert!(
        peers.failures.is_empty(),
        "{failed} of {asked} differ:\n{}",
        peers.failures.join("\n")
    );
}

/// Asked at single points in time. Names that we also collect about ourselves carry a job matcher.
const INSTANT: &[&str] = &[
    // selectors
    "node_load1",
    r#"up{job="node"}"#,
    r#"up{job!="prometheus",job!="tidewatch"}"#,
    r#"node_cpu_seconds_total{mode=~"user|sys.*",cpu!~"1"}"#,
    r#"{job="node",__name__=~"node_memory_Mem.*_bytes"}"#,
    r#"{__name__=~"prometheus_tsdb_.*_total",role="self"}"#,
    r#"node_cpu_seconds_total{nosuch=""}"#,
    r#"node_cpu_seconds_total{mode="nosuch"}"#,
    "node_memory_MemFree_bytes offset 5s",
    "node_memory_MemFree_bytes offset -3s",
    r#"node_cpu_seconds_total{mode="user"}[10s]"#,
    r#"node_cpu_seconds_total{mode="idle"}[10s] offset 4s"#,
    // literals and scalars
    "42",
    "-1.5e3 + 0x10",
    "time()",
    "scalar(node_load1)",
    "vector(7)",
    "pi()",
    "-node_load1",
    // arithmetic
    "node_memory_MemFree_bytes / node_memory_MemTotal_bytes",
    "node_memory_MemTotal_bytes - node_memory_MemFree_bytes - node_memory_Cached_bytes",
    "node_load1 + node_load5 * 2",
    "node_cpu_seconds_total % 7",
    "2 ^ node_load1",
    "sum(node_load1) atan2 sum(node_load5)",
    "node_load1 / 0",
    // matching
    r#"node_cpu_seconds_total{mode="user"} / on(cpu) node_cpu_seconds_total{mode="idle"}"#,
    r#"node_cpu_seconds_total{mode="user"} / ignoring(mode) node_cpu_seconds_total{mode="idle"}"#,
    r#"node_cpu_seconds_total / on(cpu) group_left() sum by (cpu) (node_cpu_seconds_total)"#,
    r#"node_cpu_seconds_total / ignoring(mode) group_left sum without (mode) (node_cpu_seconds_total)"#,
    r#"up{job="node"} * on(instance) group_left(machine) node_uname_info"#,
    r#"node_uname_info * on(instance) group_right(release) node_cpu_seconds_total"#,
    // comparison and sets
    "node_cpu_seconds_total > 1",
    "node_cpu_seconds_total > bool 1",
    "node_load1 == node_load1",
    "node_load1 != bool node_load5",
    "node_cpu_seconds_total >= on(cpu) group_left() avg by (cpu) (node_cpu_seconds_total)",
    "node_load1 <= 1000 < 2000",
    "1 > bool 2",
    r#"node_cpu_seconds_total{mode="user"} or node_cpu_seconds_total{mode="idle"}"#,
    r#"node_cpu_seconds_total and on(mode) node_cpu_seconds_total{mode=~"user|nice"}"#,
    r#"node_cpu_seconds_total unless ignoring(mode) node_cpu_seconds_total{cpu="0"}"#,
    // aggregations
    "sum(node_cpu_seconds_total)",
    "sum by (mode) (node_cpu_seconds_total)",
    "avg without (cpu) (node_cpu_seconds_total)",
    "min by (job) (node_memory_MemFree_bytes)",
    "max(node_filesystem_size_bytes)",
    r#"count by (job) ({job=~"node|prometheus"})"#,
    r#"group by (job, instance) (up{job=~"node|prometheus"})"#,
    "stddev by (mode) (node_cpu_seconds_total)",
    "stdvar(node_cpu_seconds_total)",
    r#"topk(3, node_cpu_seconds_total{mode=~"user|idle|system"})"#,
    r#"bottomk by (mode) (1, node_cpu_seconds_total{mode=~"user|idle|system"})"#,
    "quantile(0.9, node_cpu_seconds_total)",
    "quantile by (cpu) (0.25, node_cpu_seconds_total)",
    r#"count_values("version", up{job=~"node|prometheus"})"#,
    // rate family
    "rate(node_cpu_seconds_total[20s])",
    "irate(node_cpu_seconds_total[20s])",
    r#"increase(prometheus_http_requests_total{job="prometheus"}[30s])"#,
    r#"sum by (handler) (rate(prometheus_http_requests_total{job="prometheus",code="200"}[15s]))"#,
    "delta(node_memory_MemFree_bytes[20s])",
    "idelta(node_memory_MemFree_bytes[20s])",
    "deriv(node_memory_MemFree_bytes[25s])",
    "predict_linear(node_memory_MemFree_bytes[25s], 3600)",
    "changes(node_memory_MemFree_bytes[30s])",
    "resets(node_memory_MemFree_bytes[30s])",
    // over time
    "avg_over_time(node_load1[20s])",
    "min_over_time(node_memory_MemFree_bytes[20s])",
    "max_over_time(node_memory_MemFree_bytes[20s])",
    "sum_over_time(node_load1[20s])",
    "count_over_time(node_cpu_seconds_total[20s])",
    "quantile_over_time(0.7, node_memory_MemFree_bytes[20s])",
    "stddev_over_time(node_memory_MemFree_bytes[20s])",
    "stdvar_over_time(node_memory_MemFree_bytes[20s])",
    "last_over_time(node_memory_MemFree_bytes[20s])",
    "present_over_time(node_load1[20s])",
    // subqueries and @
    "max_over_time(rate(node_cpu_seconds_total[10s])[20s:5s])",
    "avg_over_time(node_memory_MemFree_bytes[20s:3s] offset 5s)",
    "sum_over_time((node_load1 > 0)[15s:1s])",
    "rate(sum by (mode) (node_cpu_seconds_total)[20s:2s])",
    // histograms
    r#"histogram_quantile(0.9, prometheus_http_request_duration_seconds_bucket{job="prometheus"})"#,
    r#"histogram_quantile(0.5, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket{job="prometheus"}[30s])))"#,
    r#"histogram_quantile(0.99, sum by (le, handler) (increase(prometheus_http_response_size_bytes_bucket{job="prometheus"}[30s])))"#,
    // labels
    r#"label_replace(node_cpu_seconds_total, "core", "c$1", "cpu", "(.*)")"#,
    r#"label_replace(up{job="node"}, "host", "$1", "instance", "([^:]+):.*")"#,
    r#"label_join(node_cpu_seconds_total{cpu="0"}, "both", "-", "mode", "cpu")"#,
    // math
    "abs(node_load1 - node_load5)",
    "ceil(node_load1)",
    "floor(node_load1)",
    "round(node_cpu_seconds_total, 0.1)",
    "round(node_load1)",
    "exp(node_load1)",
    "ln(node_memory_MemFree_bytes)",
    "log2(node_memory_MemFree_bytes)",
    "log10(node_memory_MemFree_bytes)",
    "sqrt(node_cpu_seconds_total)",
    "sgn(node_load1 - 1)",
    "clamp(node_cpu_seconds_total, 1, 5)",
    "clamp_min(node_cpu_seconds_total, 2)",
    "clamp_max(node_cpu_seconds_total, 2)",
    "sin(node_load1) + cos(node_load1) + tan(node_load1)",
    "deg(atan(node_load1)) + rad(node_load5)",
    "sinh(node_load1) - cosh(node_load1)",
    // time
    "timestamp(node_load1)",
    "hour() + minute()",
    "day_of_week(node_boot_time_seconds)",
    "day_of_month() + day_of_year() + days_in_month() + month() + year()",
    // sorting
    r#"sort(node_cpu_seconds_total{mode=~"user|idle|system"})"#,
    r#"sort_desc(node_cpu_seconds_total{mode=~"user|idle|system"})"#,
    // absence
    "absent(nosuch_metric)",
    r#"absent(up{job="nosuch",instance=~".+"})"#,
    r#"absent(up{job="node"})"#,
    "absent_over_time(nosuch_metric[10s])",
];

/// Asked over a time range.
const RANGE: &[&str] = &[
    "node_memory_MemFree_bytes",
    "rate(node_cpu_seconds_total[10s])",
    "sum by (mode) (rate(node_cpu_seconds_total[15s]))",
    "1 - avg by (instance) (irate(node_cpu_seconds_total{mode=\"idle\"}[10s]))",
    r#"histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket{job="prometheus"}[20s])))"#,
    "topk(2, node_cpu_seconds_total{mode=~\"user|idle|system\"})",
    "max_over_time(node_load1[10s:2s])",
    r#"increase(prometheus_http_requests_total{job="prometheus"}[10s]) > 0"#,
    "node_memory_MemFree_bytes @ end() - node_memory_MemFree_bytes @ start()",
    "node_memory_MemFree_bytes / on(instance) group_left() sum by (instance) (node_memory_MemTotal_bytes)",
    "avg_over_time(node_load1[15s]) or vector(1)",
    "deriv(node_memory_MemFree_bytes[10s])",
    "absent(node_load1 > 1000000)",
    "count_over_time(node_load1[5s] offset 3s)",
    "time() - node_boot_time_seconds",
    "42",
];
