//! An Airflow watched by the binary: its series, their other names, and the panels of the shipped
//! dashboards, asked over HTTP as Grafana asks.

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch::promql::{Features, parse};

use super::shipped;
use super::support::airflow::FakeAirflow;
use super::support::{Client, Server, now_ms, wait_for};

/// Time within which a pass must be seen; one is made every second.
const PASS_MAX: Duration = Duration::from_secs(20);
/// StatsD values are written every second here; generous, for a busy machine.
const FLUSH_MAX: Duration = Duration::from_secs(20);

struct Watched {
    airflow: FakeAirflow,
    server: Server,
    temp: TempDir,
}

impl Watched {
    fn start() -> Watched {
        let temp = TempDir::new().expect("a temporary directory");
        let file = temp.path().join("tidewatch.yml");
        let args = ["--web.enable-lifecycle", "--config", file.to_str().expect("UTF-8")];
        let server = Server::new(temp.path(), &args);
        let mut watched = Watched { airflow: FakeAirflow::start(), server, temp };
        watched.configure("");
        watched.server.restart();
        watched
    }

    fn configure(&self, more: &str) {
        let url = &self.airflow.url;
        let text = format!(
            "statsd:\n  flush_interval: 1s\n  airflow: {{instances: [{{name: prod, has_api: true}}]}}\n\
             airflow:\n  {more}\n  instances:\n  - {{name: prod, url: '{url}', poll_interval: 1s, \
             inventory_interval: 1s, labels: {{env: test}}}}\n"
        );
        fs::write(self.temp.path().join("tidewatch.yml"), text).expect("written");
    }

    fn client(&self) -> Client {
        self.server.client()
    }

    fn wait_for_value(&self, query: &str, expected: f64) {
        let client = self.client();
        wait_for(&format!("{query} to be {expected}"), PASS_MAX, || {
            client.single(query, now_ms()).filter(|value| *value == expected)
        });
    }
}

/// A time before the tests began: a run that is shown again must not have ended anew.
fn time(seconds_ago: i64) -> String {
    static BEGIN_MS: LazyLock<i64> = LazyLock::new(now_ms);
    let at = jiff::Timestamp::from_millisecond(*BEGIN_MS - seconds_ago * 1000);
    at.expect("a time").to_string()
}

fn run(id: &str, state: &str, start: i64, end: Option<i64>) -> Value {
    json!({"dag_id": "etl", "dag_run_id": id, "state": state, "run_type": "scheduled",
        "queued_at": time(start + 1), "start_date": time(start), "end_date": end.map(time),
        "run_after": time(start + 2)})
}

fn task(id: &str, state: &str, start: i64, end: Option<i64>) -> Value {
    json!({"dag_id": "etl", "dag_run_id": "r1", "task_id": id, "map_index": -1, "state": state,
        "try_number": 1, "max_tries": 0, "queued_when": time(start + 3), "start_date": time(start),
        "end_date": end.map(time), "operator": "PythonOperator", "pool": "default_pool",
        "queue": "default"})
}

/// A finished run, a failed one and one that has been running for three hours.
fn fill(airflow: &FakeAirflow) {
    fill_with(airflow, run("r3", "running", 10_800, None));
}

/// A finished run, a failed one and `third`.
fn fill_with(airflow: &FakeAirflow, third: Value) {
    let runs =
        vec![run("r1", "success", 400, Some(340)), run("r2", "failed", 300, Some(200)), third];
    airflow.set_list("/dags/~/dagRuns", "dag_runs", runs);
    let tasks = vec![
        task("extract", "success", 400, Some(350)),
        task("load", "failed", 290, Some(210)),
        task("wait", "queued", 60, None),
    ];
    airflow.set_list("/dags/~/dagRuns/~/taskInstances", "task_instances", tasks);
    let dag =
        json!({"dag_id": "etl", "is_paused": false, "owners": ["ann"], "tags": [{"name": "x"}]});
    airflow.set_list("/dags", "dags", vec![dag]);
    let count = |state: &str, count: u64| json!({"state": state, "count": count});
    let stats = json!({"dag_id": "etl", "stats": [count("success", 40), count("failed", 2)]});
    airflow.set_list("/dagStats", "dags", vec![stats]);
    let pool = json!({"name": "default_pool", "slots": 128, "open_slots": 120, "queued_slots": 1});
    airflow.set_list("/pools", "pools", vec![pool]);
}

fn get(client: &Client, path: &str) -> Value {
    let answer = client.get(path).expect("an answer");
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).expect("JSON")
}

fn texts(value: &Value) -> Vec<&str> {
    value["data"].as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

#[test]
fn names_in_circulation_answer_and_can_be_switched_off() {
    let watched = Watched::start();
    fill(&watched.airflow);
    let client = watched.client();
    watched.wait_for_value("airflow_dag_success_total", 1.0);
    watched.wait_for_value("airflow_dag_failure_total{dag_id=\"etl\"}", 1.0);
    watched.wait_for_value("airflow_dag_run_duration > bool 7200", 1.0);
    watched.wait_for_value("airflow_dag_status_count{status=\"success\"}", 1.0);
    watched.wait_for_value(
        "airflow_dag_status{status=\"success\",owner=\"ann\",paused=\"false\"}",
        40.0,
    );
    watched.wait_for_value("airflow_num_queued_tasks", 1.0);
    watched.wait_for_value("airflow_pool_slots_available{pool_name=\"default_pool\"}", 120.0);
    watched.wait_for_value("airflow_dag_processing_import_errors", 3.0);
    watched.wait_for_value("up{job=\"airflow-scheduler\"}", 1.0);
    watched.wait_for_value("airflow_dag_last_status{status=\"running\"}", 1.0);
    watched.wait_for_value("airflow_dag_duration_seconds_sum", 160.0);

    let names = get(&client, "/api/v1/label/__name__/values");
    assert!(texts(&names).contains(&"airflow_dag_success_total"), "{names}");
    let values = get(&client, "/api/v1/label/status/values?match[]=airflow_dag_status_count");
    assert_eq!(texts(&values), ["failed", "queued", "running", "success"]);
    let series = get(&client, "/api/v1/series?match[]=airflow_ti_failures&match[]=airflow_dags");
    assert_eq!(series["data"].as_array().map(Vec::len), Some(3), "{series}");
    let path = "/api/v1/metadata?metric=airflow_dag_success_total";
    let metadata = get(&client, path)["data"]["airflow_dag_success_total"][0].take();
    assert_eq!(metadata["type"], "counter");
    let help = metadata["help"].as_str().expect("a help");
    assert!(help.starts_with("Alias of airflow_dag_runs_total: "), "{help}");
    // Who copies everything gets each thing once.
    let federated =
        client.get("/federate?match[]=%7B__name__=~%22airflow_.*%22%7D").expect("an answer");
    assert!(federated.body.contains("airflow_dag_runs_total{"), "{}", federated.body);
    assert!(!federated.body.contains("airflow_dag_success_total"), "{}", federated.body);

    watched.configure("aliases: false");
    let reloaded = client.post("/-/reload", &[], b"").expect("an answer");
    assert_eq!(reloaded.status, 200, "{}", reloaded.body);
    assert_eq!(client.single("airflow_dag_success_total", now_ms()), None);
    assert_eq!(client.single("count(airflow_dag_runs_total)", now_ms()), Some(2.0));
    let names = get(&client, "/api/v1/label/__name__/values");
    assert!(!texts(&names).contains(&"airflow_dag_success_total"), "{names}");
    let metadata = get(&client, path);
    assert_eq!(metadata["data"], json!({}));
}

#[test]
fn gauges_of_before_a_crash_end_with_the_first_pass_after_it() {
    let mut watched = Watched::start();
    fill(&watched.airflow);
    watched.wait_for_value("airflow_dag_runs{state=\"running\"}", 1.0);
    watched.server.kill();
    fill_with(&watched.airflow, run("r3", "success", 10_800, Some(1)));
    watched.server.restart();
    let client = watched.client();
    wait_for("the running run to be gone", PASS_MAX, || {
        client.single("airflow_dag_runs{state=\"running\"}", now_ms()).is_none().then_some(())
    });
    watched.wait_for_value("sum(airflow_dag_runs_total)", 3.0);
}

#[test]
fn every_panel_is_answered_as_grafana_asks() {
    let watched = Watched::start();
    fill(&watched.airflow);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for line in shipped::STATSD.lines() {
        let target = ("127.0.0.1", watched.server.statsd_port());
        socket.send_to(line.as_bytes(), target).expect("sent");
    }
    let client = watched.client();
    watched.wait_for_value("airflow_dag_success_total", 1.0);
    wait_for("the StatsD series", FLUSH_MAX, || {
        client.single("count(airflow_executor_open_slots)", now_ms())
    });
    // Rates need samples of a minute; the rest is about what did not happen: reruns, a second
    // environment.
    wait_for("most panels to show something", FLUSH_MAX * 6, || {
        let (asked, answered) = ask_all(&client);
        assert!(asked > 60, "{asked} panels");
        (answered * 5 > asked * 4).then_some(())
    });
}

/// What the dashboards of others ask for and only StatsD tells, beside [`shipped::STATSD`].
const MORE_STATSD: &str = "airflow.operator_successes_BashOperator:1|c
airflow.operator_failures_BashOperator:1|c
airflow.job_start:1|c
airflow.job_end:1|c
airflow.dagrun.dependency-check.etl:3|ms
airflow.scheduler.tasks.executable:1|g
airflow.zombies_killed:1|c
";

/// The metric names in the queries of a dashboard made for another exporter.
fn foreign_names(text: &str) -> BTreeSet<String> {
    let dashboard: Value = serde_json::from_str(text).expect("JSON");
    let mut exprs = Vec::new();
    collect_exprs(&dashboard, &mut exprs);
    let mut names = BTreeSet::new();
    for expr in exprs {
        let plain = expr.replace("$__interval:]", "5m:1m]").replace("offset -$__interval", "");
        let parsed = parse(&plain, &Features::all());
        shipped::names(&parsed.unwrap_or_else(|error| panic!("{plain}: {error}")), &mut names);
    }
    names
}

fn collect_exprs(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            out.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| collect_exprs(field, out));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_exprs(item, out)),
        _ => {}
    }
}

#[test]
fn dashboards_made_for_others_find_their_names() {
    let roots = ["../shared/data", "../../shared/data"].map(|beside| {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(beside).join("dashboards")
    });
    let Some(root) = roots.into_iter().find(|root| root.is_dir()) else {
        println!("skipped: no dashboards beside the repository");
        return;
    };
    let watched = Watched::start();
    fill(&watched.airflow);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for line in shipped::STATSD.lines().chain(MORE_STATSD.lines()) {
        let target = ("127.0.0.1", watched.server.statsd_port());
        socket.send_to(line.as_bytes(), target).expect("sent");
    }
    let client = watched.client();
    watched.wait_for_value("airflow_dag_success_total", 1.0);
    for file in [
        "databand-cluster-dashboard.json",
        "databand-dag-dashboard.json",
        "mixin-apache-airflow-overview.json",
    ] {
        let names = foreign_names(&fs::read_to_string(root.join(file)).expect("a dashboard"));
        assert!(names.len() > 4, "{file}: {names:?}");
        for name in names {
            // 2.x tells its missed service levels by StatsD; nothing was missed here.
            if name != "airflow_sla_missed" {
                wait_for(&format!("{file}: {name}"), FLUSH_MAX * 6, || {
                    client.single(&format!("count({name})"), now_ms())
                });
            }
        }
    }
}

/// Asks for the last hour of every panel and for the values of every variable; how many panels there
/// are and how many had series.
fn ask_all(client: &Client) -> (usize, usize) {
    let end = now_ms() / 1000;
    let (start, end) = ((end - 3600).to_string(), end.to_string());
    let (mut asked, mut answered) = (0, 0);
    for (file, dashboard) in shipped::dashboards() {
        for expr in shipped::panel_expressions(&dashboard) {
            let form = [("query", expr.as_str()), ("start", &start), ("end", &end), ("step", "15")];
            let data = client.try_data("/api/v1/query_range", &form);
            let data = data.unwrap_or_else(|why| panic!("{file}: {expr}: {why}"));
            assert_eq!(data["resultType"], "matrix", "{file}: {expr}");
            asked += 1;
            answered += usize::from(data["result"].as_array().is_some_and(|all| !all.is_empty()));
        }
        for (selector, label) in shipped::variables(&dashboard) {
            let values = client.try_data(
                &format!("/api/v1/label/{label}/values"),
                &[("match[]", selector.as_str()), ("start", &start), ("end", &end)],
            );
            let values = values.unwrap_or_else(|why| panic!("{file}: {selector}: {why}"));
            assert!(values.as_array().is_some_and(|all| !all.is_empty()), "{file}: {selector}");
        }
    }
    (asked, answered)
}
