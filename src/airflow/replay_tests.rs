//! Recordings of real servers, played to the poller as they happened; the counts are compared with
//! what was counted from the same recordings by hand-made rules (`tests/fixtures/airflow`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::client::Api;
use super::super::test_data::{captured, ms};
use super::tests::{NEVER, Watch, catch_up};
use crate::model::Timestamp;
use crate::url_text::segment;

/// Pause between two passes, in ms: some states pass unseen in between.
const POLL_MS: i64 = 10_000;

struct Recording {
    api: Api,
    changes: Vec<Value>,
    truth: &'static str,
}

impl Recording {
    fn new(api: Api, text: &str, truth: &'static str) -> Recording {
        let parse = |line| serde_json::from_str(line).expect("JSON");
        Recording { api, changes: text.lines().map(parse).collect(), truth }
    }

    fn at(change: &Value) -> i64 {
        (change["t"].as_f64().expect("a time") * 1e3) as i64
    }

    /// Plays everything; in the middle the poller ends without notice and another begins.
    fn play(&self) -> Watch {
        let begin = Recording::at(&self.changes[0]) - POLL_MS;
        let watch = Watch::at(self.api, (begin - ms(0)) / 1000);
        let mut worker = watch.worker();
        catch_up(&mut worker);
        let mut tries: BTreeMap<String, BTreeMap<i64, Value>> = BTreeMap::new();
        let mut due = begin + POLL_MS;
        for (number, change) in self.changes.iter().enumerate() {
            let now = Recording::at(change);
            while due <= now {
                watch.set(Timestamp(due));
                worker.pass(NEVER);
                due += POLL_MS;
            }
            if number == self.changes.len() / 2 {
                worker = watch.worker();
            }
            watch.set(Timestamp(now));
            apply(&watch, change, now, &mut tries);
        }
        for _ in 0..3 {
            watch.advance(10);
            worker.pass(NEVER);
        }
        watch
    }

    /// The rows of the truth about recorded DAGs: labels, number and seconds.
    fn rows(&self, what: &str) -> Vec<([&'static str; 3], f64, f64)> {
        let dag = |change: &Value| ["ti", "run"].map(|key| change[key]["dag_id"].clone());
        let dags: BTreeSet<String> = self.changes.iter().flat_map(dag).map(text).collect();
        let rows = self.truth.lines().filter(|line| !line.starts_with('#'));
        let rows = rows.map(|line| line.split('\t').collect::<Vec<_>>());
        rows.filter(|row| row[0] == what && dags.contains(row[1]))
            .map(|row| {
                let number = |text: &str| text.parse::<f64>().expect("a number");
                ([row[1], row[2], row[3]], number(row[4]), number(row[5]))
            })
            .collect()
    }
}

fn text(value: Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Makes one change on the server.
fn apply(
    watch: &Watch,
    change: &Value,
    now: i64,
    tries: &mut BTreeMap<String, BTreeMap<i64, Value>>,
) {
    let mut world = watch.server.world();
    let mut put = |key: &str, names: &[&str]| {
        let mut entry = change[key].clone();
        entry["_updated"] = json!(now);
        let entries = if key == "run" { &mut world.runs } else { &mut world.tasks };
        entries.retain(|other| names.iter().any(|name| other[*name] != entry[*name]));
        entries.push(entry);
    };
    if change["run"].is_object() {
        return put("run", &["dag_id", "dag_run_id"]);
    }
    put("ti", &["dag_id", "dag_run_id", "task_id", "map_index"]);
    let task = &change["ti"];
    let part = |name: &str| segment(task[name].as_str().expect("a name")).to_string();
    let mapped = match task["map_index"].as_i64() {
        Some(index) if index >= 0 => format!("/{index}"),
        _ => String::new(),
    };
    let (dag, run, id) = (part("dag_id"), part("dag_run_id"), part("task_id"));
    let path = format!("/dags/{dag}/dagRuns/{run}/taskInstances/{id}{mapped}/tries");
    let attempts = tries.entry(path.clone()).or_default();
    attempts.insert(task["try_number"].as_i64().unwrap_or(0), task.clone());
    let mut attempts: Vec<Value> = attempts.values().cloned().collect();
    for attempt in &mut attempts {
        // An attempt that was followed by another is kept as failed.
        if attempt["state"] == "up_for_retry" {
            attempt["state"] = json!("failed");
        }
        // Not recorded: two retries, and after the clear two more.
        let round = (attempt["try_number"].as_i64().unwrap_or(0) - 1).max(0) / 3;
        attempt["max_tries"] = json!(2 + 3 * round);
    }
    let total = attempts.len();
    world.other.insert(path, json!({"task_instances": attempts, "total_entries": total}));
}

fn positive(found: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    found.into_iter().filter(|(_, value)| *value != 0.0).collect()
}

fn check(recording: &Recording) {
    let watch = recording.play();
    // The labels of a series, in the order of their names.
    for (what, metric) in [
        ("run", "airflow_dag_runs_total"),
        ("attempt", "airflow_task_attempts_total"),
        ("finish", "airflow_task_finish_total"),
    ] {
        let key = |[dag, other, state]: [&str; 3]| match what {
            "run" => format!("{dag} {other} {state}"),
            _ => format!("{dag} {state} {other}"),
        };
        let rows = recording.rows(what);
        let expected: BTreeMap<String, f64> =
            rows.iter().map(|(labels, number, _)| (key(*labels), *number)).collect();
        assert!(expected.len() > 5, "{what}: {expected:?}");
        assert_eq!(positive(watch.newest(metric)), expected, "{metric}");
    }
    check_durations(recording, &watch);
}

/// Sums of durations: of runs by DAG, type and state, of attempts by DAG and task.
fn check_durations(recording: &Recording, watch: &Watch) {
    for (what, metric) in [
        ("run", "airflow_dag_run_duration_seconds_sum"),
        ("attempt", "airflow_task_duration_seconds_sum"),
    ] {
        let mut expected: BTreeMap<String, f64> = BTreeMap::new();
        for ([dag, other, state], _, seconds) in recording.rows(what) {
            let state = if what == "run" { state } else { "" };
            *expected.entry(format!("{dag} {other} {state}")).or_default() += seconds;
        }
        let mut found: BTreeMap<String, f64> = BTreeMap::new();
        for (labels, seconds) in watch.newest(metric) {
            let parts: Vec<&str> = labels.split(' ').collect();
            let key = match what {
                "run" => labels.clone(),
                _ => format!("{} {} ", parts[0], parts[2]), // between them the operator
            };
            *found.entry(key).or_default() += seconds;
        }
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>(),
            "{metric}"
        );
        for (key, seconds) in expected {
            let differs = (found[&key] - seconds).abs();
            assert!(differs < 0.02, "{metric} {key}: {} is not {seconds}", found[&key]);
        }
    }
}

const TRUTH_2: &str = include_str!("../../tests/fixtures/airflow/truth-2.11.tsv");
const TRUTH_3: &str = include_str!("../../tests/fixtures/airflow/truth-3.3.tsv");

#[test]
fn what_airflow_2_did_is_counted() {
    let text = include_str!("../../tests/fixtures/airflow/transitions-2.11.jsonl");
    check(&Recording::new(Api::V1, text, TRUTH_2));
}

#[test]
fn what_airflow_3_did_is_counted() {
    let text = include_str!("../../tests/fixtures/airflow/transitions-3.3.jsonl");
    check(&Recording::new(Api::V2, text, TRUTH_3));
}

#[test]
fn whole_recordings_are_counted() {
    for (api, path, truth) in [
        (Api::V1, "api-2.11/transitions.jsonl", TRUTH_2),
        (Api::V2, "api-3.3/transitions.jsonl", TRUTH_3),
    ] {
        let Some(text) = captured(path) else { return };
        check(&Recording::new(api, &text, truth));
    }
}
