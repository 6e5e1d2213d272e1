//! Captured answers of real servers, and the text of made-up ones.

use std::path::PathBuf;

use serde_json::Value;

use super::answer::{Run, TaskInstance};

/// The captured answers, when they are there; says so otherwise.
pub fn captured(path: &str) -> Option<String> {
    let shared = std::env::var_os("TIDEWATCH_SHARED_DATA").map(PathBuf::from);
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data"));
    let above = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    let roots = shared.into_iter().chain([beside, above]);
    let text = roots
        .map(|root| root.join("airflow").join(path))
        .find_map(|file| std::fs::read_to_string(file).ok());
    if text.is_none() {
        eprintln!("skipped: no captured answers airflow/{path}");
    }
    text
}

/// A run; `start` and `end` are seconds after 02:00.
pub fn run(id: &str, state: &str, start: Option<u32>, end: Option<u32>) -> Run {
    let value = serde_json::json!({
        "dag_id": "etl", "dag_run_id": id, "state": state, "run_type": "scheduled",
        "start_date": start.map(clock), "end_date": end.map(clock),
        "run_after": clock(0),
    });
    serde_json::from_value(value).expect("a run")
}

/// A task instance of run `r1`.
pub fn task(id: &str, state: &str, attempt: i64, start: Option<u32>, end: Option<u32>) -> Value {
    serde_json::json!({
        "dag_id": "etl", "dag_run_id": "r1", "task_id": id, "map_index": -1, "state": state,
        "try_number": attempt, "max_tries": 2, "start_date": start.map(clock),
        "end_date": end.map(clock), "operator": "PythonOperator", "pool": "default_pool",
        "queue": "default", "queued_when": start.map(|s| clock(s.saturating_sub(2))),
    })
}

/// The same, decoded.
pub fn task_instance(
    id: &str,
    state: &str,
    attempt: i64,
    start: Option<u32>,
    end: Option<u32>,
) -> TaskInstance {
    serde_json::from_value(task(id, state, attempt, start, end)).expect("a task instance")
}

/// `seconds` after 02:00 of the day of the captures.
pub fn clock(seconds: u32) -> String {
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!("2026-11-21T{:02}:{:02}:{seconds:02}Z", 2 + minutes / 60, minutes % 60)
}

/// The same in milliseconds.
pub fn ms(seconds: i64) -> i64 {
    1_795_226_400_000 + seconds * 1000
}
