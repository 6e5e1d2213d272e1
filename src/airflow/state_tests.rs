//! Sequences of events, captured and made up: everything is counted once.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::options::{Patterns, Sla};
use super::super::test_data::{captured, ms, run, task_instance};
use super::*;

/// What was counted, by family and labels.
fn totals(occurrences: &[Occurrence]) -> BTreeMap<String, f64> {
    let mut totals = BTreeMap::new();
    for occurrence in occurrences {
        let values: Vec<&str> = occurrence.labels.iter().map(|(_, value)| value.as_str()).collect();
        let key = format!("{} {}", occurrence.family.name, values.join(" "));
        let number =
            if occurrence.family.kind == family::Kind::Counter { occurrence.value } else { 1.0 };
        *totals.entry(key).or_default() += number;
    }
    totals
}

fn state() -> State {
    let mut state = State::new(Vec::new());
    state.begin_at(ms(0));
    state
}

const NOW: Timestamp = Timestamp(1_795_230_000_000);

/// Shows a task that needs nothing asked.
fn show(state: &mut State, id: &str, name: &str, attempt: i64, end: Option<u32>) {
    let start = end.map(|end| end - 10);
    let wanted = state.see_task(&task_instance(id, name, attempt, start, end), NOW, true);
    assert_eq!(wanted, None, "{id} {name} {attempt}");
}

/// Writes what changed and reads it back.
fn restarted(state: &mut State) -> State {
    let mut again = State::new(Vec::new());
    for (key, bytes) in state.changes() {
        again.restore(&key, &bytes.expect("nothing was forgotten"));
    }
    again
}

/// Everything two servers did while they were watched, each with retries, a deferral, skipped and
/// mapped tasks, and a cleared run.
#[test]
fn captured_transitions_are_counted_once() {
    for version in ["api-2.11", "api-3.3"] {
        let Some(text) = captured(&format!("{version}/transitions.jsonl")) else { return };
        let mut state = state();
        state.begin_at(0);
        let replay = |state: &mut State| {
            for line in text.lines() {
                let mut value: Value = serde_json::from_str(line).expect("JSON");
                let now = Timestamp((value["t"].as_f64().expect("a time") * 1e3) as i64);
                if value["ti"].is_object() {
                    let task = serde_json::from_value(value["ti"].take()).expect("a task instance");
                    // What the capture was too slow to see is asked for; here nobody answers.
                    if state.see_task(&task, now, true).is_some() {
                        state.see_task(&task, now, false);
                    }
                } else if value["run"].is_object() {
                    let run = serde_json::from_value(value["run"].take()).expect("a run");
                    state.see_run(&run, now);
                }
            }
        };
        replay(&mut state);
        let totals = totals(&state.take_occurrences());
        let total = |key: &str| totals.get(key).copied().unwrap_or(0.0);
        assert_eq!(total("airflow_task_attempts_total fail_dag boom failed"), 6.0, "{version}");
        assert_eq!(total("airflow_task_retries_total fail_dag boom"), 4.0, "{version}");
        assert_eq!(total("airflow_task_finish_total fail_dag boom failed"), 2.0, "{version}");
        assert_eq!(total("airflow_task_finish_total fail_dag after upstream_failed"), 2.0);
        assert_eq!(total("airflow_task_attempts_total defer.dag-1 wait_async success"), 1.0);
        assert_eq!(total("airflow_task_finish_total skip_dag y skipped"), 1.0, "{version}");
        assert_eq!(total("airflow_dag_runs_total fail_dag manual failed"), 2.0, "{version}");
        assert_eq!(total("airflow_dag_reruns_total fail_dag failed"), 1.0, "{version}");
        assert_eq!(total("airflow_dag_run_duration_seconds fail_dag manual failed"), 2.0);
    }
}

#[test]
fn a_retry_is_an_attempt_and_no_finish() {
    let mut state = state();
    show(&mut state, "t", "running", 1, None);
    show(&mut state, "t", "up_for_retry", 1, Some(20));
    show(&mut state, "t", "up_for_retry", 1, Some(20)); // the overlap of two passes
    show(&mut state, "t", "scheduled", 2, Some(20)); // times of the attempt before
    let mut state = restarted_with(&mut state);
    show(&mut state, "t", "success", 2, Some(60));
    show(&mut state, "t", "success", 2, Some(60));
    let totals = totals(&state.take_occurrences());
    assert_eq!(totals["airflow_task_attempts_total etl t failed"], 1.0);
    assert_eq!(totals["airflow_task_attempts_total etl t success"], 1.0);
    assert_eq!(totals["airflow_task_retries_total etl t"], 1.0);
    assert_eq!(totals["airflow_task_finish_total etl t success"], 1.0);
    assert_eq!(totals["airflow_task_queue_seconds etl t"], 2.0);
    assert!(!totals.contains_key("airflow_task_finish_total etl t up_for_retry"));
}

/// A restart that keeps what was counted before it, to be added up.
fn restarted_with(state: &mut State) -> State {
    let occurrences = state.take_occurrences();
    let mut again = restarted(state);
    again.occurrences = occurrences;
    again
}

#[test]
fn attempts_that_nobody_saw_are_asked_for() {
    let mut state = state();
    show(&mut state, "t", "up_for_retry", 1, Some(20));
    let last = task_instance("t", "failed", 3, Some(90), Some(95));
    let wanted = state.see_task(&last, NOW, true).expect("attempt 2 is missing");
    assert_eq!((wanted.task.task_id.as_str(), wanted.task.map_index), ("t", -1));
    let tries: Vec<TaskInstance> = [(1, 20), (2, 60), (3, 95)]
        .into_iter()
        .map(|(attempt, end)| task_instance("t", "failed", attempt, Some(end - 5), Some(end)))
        .collect();
    state.see_tries(&tries, 3);
    assert_eq!(state.see_task(&last, NOW, false), None);
    assert_eq!(state.see_task(&last, NOW, true), None, "all are known now");
    let totals = totals(&state.take_occurrences());
    assert_eq!(totals["airflow_task_attempts_total etl t failed"], 3.0);
    assert_eq!(totals["airflow_task_retries_total etl t"], 2.0);
    assert_eq!(totals["airflow_task_finish_total etl t failed"], 1.0);
}

#[test]
fn a_cleared_run_counts_again_and_once() {
    let mut state = state();
    let first = run("r1", "failed", Some(10), Some(50));
    state.see_run(&first, NOW);
    state.see_run(&first, NOW);
    show(&mut state, "after", "upstream_failed", 0, Some(50));
    state.see_run(&run("r1", "queued", None, None), NOW);
    let mut state = restarted_with(&mut state);
    show(&mut state, "after", "none", 0, Some(50));
    let second = run("r1", "success", Some(100), Some(150));
    state.see_run(&second, NOW);
    state.see_run(&second, NOW);
    show(&mut state, "after", "success", 1, Some(140));
    let totals = totals(&state.take_occurrences());
    assert_eq!(totals["airflow_dag_runs_total etl scheduled failed"], 1.0);
    assert_eq!(totals["airflow_dag_runs_total etl scheduled success"], 1.0);
    assert_eq!(totals["airflow_dag_reruns_total etl success"], 1.0);
    assert_eq!(totals["airflow_dag_run_schedule_delay_seconds etl"], 1.0, "not of the second");
    assert_eq!(totals["airflow_task_finish_total etl after upstream_failed"], 1.0);
    assert_eq!(totals["airflow_task_finish_total etl after success"], 1.0);
    let (dag, row) = state.dags().next().expect("a DAG");
    assert_eq!((dag, row.last_success), ("etl", Some(ms(150))));
}

#[test]
fn a_deleted_run_is_missed_and_forgotten() {
    let mut state = state();
    state.begin_pass();
    state.see_run(&run("r1", "running", Some(10), None), NOW);
    show(&mut state, "t", "running", 1, None);
    assert!(state.lost().is_empty(), "all was seen");
    state.begin_pass();
    let lost = state.lost();
    assert_eq!(lost, [("etl".to_owned(), "r1".to_owned())]);
    state.forget_run(&lost[0], NOW);
    assert!(state.lost().is_empty());
    let totals = totals(&state.take_occurrences());
    assert_eq!(totals["airflow_dag_runs_deleted_total etl"], 1.0);
    let forgotten = state.changes().iter().filter(|(_, bytes)| bytes.is_none()).count();
    assert_eq!(forgotten, 2, "the run and its task instance");
}

#[test]
fn mapped_task_instances_are_apart() {
    let mut state = state();
    for index in 0..3 {
        let mut task = task_instance("m", "success", 1, Some(10), Some(20));
        task.map_index = index;
        assert_eq!(state.see_task(&task, NOW, true), None);
        assert_eq!(state.see_task(&task, NOW, true), None);
    }
    let totals = totals(&state.take_occurrences());
    assert_eq!(totals["airflow_task_finish_total etl m success"], 3.0);
}

#[test]
fn what_is_long_over_is_forgotten_and_not_counted_again() {
    let mut state = state();
    let old = run("r1", "success", Some(10), Some(50));
    state.see_run(&old, NOW);
    show(&mut state, "t", "success", 1, Some(40));
    state.take_occurrences();
    state.changes();
    state.advance(ms(60) + REMEMBER_MS);
    assert_eq!(state.changes().iter().filter(|(_, bytes)| bytes.is_none()).count(), 2);
    state.see_run(&old, NOW);
    show(&mut state, "t", "success", 1, Some(40));
    assert!(state.take_occurrences().is_empty(), "a note was edited, say");
    // A clear brings attempts of which only the new one counts.
    let cleared = task_instance("u", "success", 2, Some(70_000), Some(70_010));
    assert!(state.see_task(&cleared, Timestamp(ms(90_000)), true).is_some());
    state.see_tries(&[task_instance("u", "success", 1, Some(20), Some(30))], 2);
    state.see_task(&cleared, Timestamp(ms(90_000)), false);
    let totals = totals(&state.take_occurrences());
    assert_eq!(totals["airflow_task_attempts_total etl u success"], 1.0);
}

#[test]
fn a_service_level_is_missed_once_and_at_its_moment() {
    let dags = Patterns::new(&["et?".to_owned()]).expect("valid");
    let sla =
        Sla { name: "minute".to_owned(), dags, duration_ms: Some(60_000), after_due_ms: None };
    let mut state = State::new(vec![sla]);
    state.begin_at(ms(0));
    state.see_run(&run("r1", "running", Some(10), None), Timestamp(ms(65)));
    state.check_slas(Timestamp(ms(65)));
    assert!(state.take_occurrences().is_empty());
    state.check_slas(Timestamp(ms(80)));
    state.check_slas(Timestamp(ms(90)));
    state.see_run(&run("r1", "success", Some(10), Some(100)), Timestamp(ms(110)));
    let missed: Vec<Occurrence> = state
        .take_occurrences()
        .into_iter()
        .filter(|occurrence| occurrence.family == &family::SLA_MISSES)
        .collect();
    assert_eq!(missed.len(), 1);
    assert_eq!(missed[0].at, Timestamp(ms(70)));
}

#[test]
fn airflows_own_service_level_is_counted_when_it_is_noted_late() {
    let mut state = state();
    let mut task = task_instance("t", "success", 1, Some(10), Some(20));
    assert_eq!(state.see_task(&task, NOW, true), None);
    let noted = serde_json::json!({"timestamp": "2026-11-21T02:01:00Z"});
    task.sla_miss = Some(serde_json::from_value(noted).expect("a record"));
    let mut state = restarted_with(&mut state);
    assert_eq!(state.see_task(&task, NOW, true), None);
    assert_eq!(state.see_task(&task, NOW, true), None);
    let occurrences = state.take_occurrences();
    let totals = totals(&occurrences);
    assert_eq!(totals["airflow_sla_missed_total etl t airflow"], 1.0);
    assert_eq!(totals["airflow_task_finish_total etl t success"], 1.0);
    let missed = occurrences.iter().find(|o| o.family == &family::SLA_MISSES).expect("counted");
    assert_eq!(missed.at, Timestamp(ms(60)));
}
