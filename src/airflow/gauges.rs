//! What is true now: the samples of states, pools, health and the list of DAGs.
//!
//! In: answers of one pass. Out: gauges, each with its labels beside those of the instance.

use std::collections::BTreeMap;

use super::answer::{
    Dag, DagStats, Health, PartHealth, Pool, Run, RunState, TaskInstance, TaskState,
};
use super::state::State;
use crate::model::Timestamp;

/// One gauge: name, labels, value.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    /// Name of the metric.
    pub name: &'static str,
    /// Labels beside those of the instance.
    pub labels: Vec<(&'static str, String)>,
    /// Value now.
    pub value: f64,
}

/// Names and meanings of the gauges, for the metadata.
pub const HELP: [(&str, &str); 32] = [
    ("airflow_info", "Version of the instance; always 1."),
    ("airflow_healthy", "Whether a part says that it is healthy."),
    ("airflow_heartbeat_age_seconds", "Time since a part's last sign of life."),
    ("airflow_scheduler_heartbeat_age_seconds", "Time since the scheduler's last sign of life."),
    ("airflow_dag_runs", "Queued and running runs now."),
    ("airflow_dag_run_running_age_seconds", "Age of the oldest running run."),
    ("airflow_task_instances", "Active task instances now."),
    ("airflow_queued_tasks", "All queued task instances now."),
    ("airflow_queued_task_instances", "Queued task instances now, by queue and pool."),
    ("airflow_queued_tasks_oldest_age_seconds", "How long the oldest queued one has waited."),
    ("airflow_dag_last_success_timestamp_seconds", "End of the last successful run."),
    ("airflow_dag_last_success_age_seconds", "Time since the last successful run ended."),
    ("airflow_dag_last_run_successful", "Whether the last finished run went well."),
    ("airflow_dag_last_run_state", "Whether this is the state of the last run, active or not."),
    ("airflow_dag_last_run_duration_seconds", "Start to end of the last finished run."),
    ("airflow_dag_last_run_schedule_delay_seconds", "How late the last finished run started."),
    ("airflow_dag_runs_in_database", "All runs Airflow still knows, by state."),
    ("airflow_pool_slots", "All slots of a pool; -1 means no limit."),
    ("airflow_pool_open_slots", "Free slots of a pool; -1 means no limit."),
    ("airflow_pool_running_slots", "Slots of running tasks."),
    ("airflow_pool_queued_slots", "Slots of queued tasks."),
    ("airflow_pool_scheduled_slots", "Slots of scheduled tasks."),
    ("airflow_pool_deferred_slots", "Slots of deferred tasks."),
    ("airflow_import_errors", "DAG files that cannot be read."),
    ("airflow_dags", "Number of DAGs."),
    ("airflow_dag_info", "Owners and tags of a DAG and whether it is paused; always 1."),
    ("airflow_dag_paused", "Whether a DAG is switched off."),
    ("airflow_dag_active", "Whether a DAG is still in the files."),
    ("airflow_dag_import_error", "Whether a DAG's file cannot be read now."),
    ("airflow_dag_last_parsed_timestamp_seconds", "When a DAG's file was last read."),
    ("airflow_dag_last_parse_duration_seconds", "How long reading a DAG's file took."),
    ("airflow_poll_lag_seconds", "How far the reading of changes is behind."),
];

/// A gauge.
pub fn gauge(name: &'static str, labels: &[(&'static str, &str)], value: f64) -> Gauge {
    let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Gauge { name, labels, value }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1e3
}

/// Health of the parts; a part that does not exist has none.
pub fn health(health: &Health, now: Timestamp, out: &mut Vec<Gauge>) {
    let parts = [
        ("metadatabase", &health.metadatabase),
        ("scheduler", &health.scheduler),
        ("triggerer", &health.triggerer),
        ("dag_processor", &health.dag_processor),
    ];
    for (component, part) in parts {
        let Some(PartHealth { status: Some(status), heartbeat }) = part else { continue };
        let labels = [("component", component)];
        out.push(gauge("airflow_healthy", &labels, f64::from(u8::from(status == "healthy"))));
        let Some(heartbeat) = heartbeat else { continue };
        let age = seconds(now.0.saturating_sub(heartbeat.0)).max(0.0);
        out.push(gauge("airflow_heartbeat_age_seconds", &labels, age));
        if component == "scheduler" {
            out.push(gauge("airflow_scheduler_heartbeat_age_seconds", &[], age));
        }
    }
}

/// Runs by state, and the age of the oldest running one, per DAG.
pub fn runs(active: &[Run], now: Timestamp, out: &mut Vec<Gauge>) {
    let mut counts: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    let mut oldest: BTreeMap<&str, i64> = BTreeMap::new();
    for run in active {
        for state in [RunState::Queued, RunState::Running] {
            let count = counts.entry((&run.dag_id, state.name())).or_default();
            *count += f64::from(u8::from(run.state == state));
        }
        if let Some(start) = run.start_date.filter(|_| run.state == RunState::Running) {
            let age = now.0.saturating_sub(start.0);
            let known = oldest.entry(&run.dag_id).or_default();
            *known = age.max(*known);
        }
    }
    for ((dag, state), count) in counts {
        out.push(gauge("airflow_dag_runs", &[("dag_id", dag), ("state", state)], count));
    }
    for (dag, age) in oldest {
        let name = "airflow_dag_run_running_age_seconds";
        out.push(gauge(name, &[("dag_id", dag)], seconds(age)));
    }
}

/// Task instances by state, and how many wait in which queue and for how long.
pub fn tasks(active: &[TaskInstance], now: Timestamp, out: &mut Vec<Gauge>) {
    let mut counts: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    let mut queues: BTreeMap<(&str, &str), (f64, i64)> = BTreeMap::new();
    for task in active {
        *counts.entry((&task.dag_id, task.state.name())).or_default() += 1.0;
        if task.state == TaskState::Queued {
            let queue = task.queue.as_deref().unwrap_or_default();
            let pool = task.pool.as_deref().unwrap_or_default();
            let waiting = queues.entry((queue, pool)).or_default();
            waiting.0 += 1.0;
            let age = task.queued_when.map_or(0, |time| now.0.saturating_sub(time.0));
            waiting.1 = waiting.1.max(age);
        }
    }
    for ((dag, state), count) in counts {
        out.push(gauge("airflow_task_instances", &[("dag_id", dag), ("state", state)], count));
    }
    for ((queue, pool), (count, age)) in queues {
        let labels = [("queue", queue), ("pool_name", pool)];
        out.push(gauge("airflow_queued_task_instances", &labels, count));
        out.push(gauge("airflow_queued_tasks_oldest_age_seconds", &labels, seconds(age)));
    }
    let total = active.iter().filter(|task| task.state == TaskState::Queued).count();
    out.push(gauge("airflow_queued_tasks", &[], total as f64));
}

/// How the last run of each DAG is or went: the one that is active now, or the one that ended last.
pub fn last_runs(state: &State, out: &mut Vec<Gauge>) {
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    for (dag, row) in state.dags() {
        let Some((_, is_success)) = row.last_end else { continue };
        let name = if is_success { RunState::Success.name() } else { RunState::Failed.name() };
        last.insert(dag, name);
        if let Some(ms) = row.last_duration {
            let labels = [("dag_id", dag), ("state", name)];
            out.push(gauge("airflow_dag_last_run_duration_seconds", &labels, seconds(ms)));
        }
        if let Some(ms) = row.last_delay {
            let name = "airflow_dag_last_run_schedule_delay_seconds";
            out.push(gauge(name, &[("dag_id", dag)], seconds(ms)));
        }
    }
    // A running one beats a queued one, whatever their order.
    for (dag, active) in state.active_runs() {
        let known = last.entry(dag).or_insert(active);
        if *known != RunState::Running.name() {
            *known = active;
        }
    }
    for (dag, now) in last {
        for state in [RunState::Queued, RunState::Running, RunState::Success, RunState::Failed] {
            let labels = [("dag_id", dag), ("state", state.name())];
            let value = f64::from(u8::from(state.name() == now));
            out.push(gauge("airflow_dag_last_run_state", &labels, value));
        }
    }
}

/// All runs the server knows, by DAG and state.
pub fn all_runs(stats: &[DagStats], out: &mut Vec<Gauge>) {
    for dag in stats {
        for state in &dag.stats {
            let labels = [("dag_id", dag.dag_id.as_str()), ("state", state.state.name())];
            out.push(gauge("airflow_dag_runs_in_database", &labels, state.count as f64));
        }
    }
}

/// When each DAG last did what it should.
pub fn freshness(state: &State, now: Timestamp, out: &mut Vec<Gauge>) {
    for (dag, row) in state.dags() {
        let labels = [("dag_id", dag)];
        if let Some(at) = row.last_success {
            out.push(gauge("airflow_dag_last_success_timestamp_seconds", &labels, seconds(at)));
            let age = seconds(now.0.saturating_sub(at)).max(0.0);
            out.push(gauge("airflow_dag_last_success_age_seconds", &labels, age));
        }
        if let Some((_, is_success)) = row.last_end {
            let value = f64::from(u8::from(is_success));
            out.push(gauge("airflow_dag_last_run_successful", &labels, value));
        }
    }
}

/// Slots of the pools.
pub fn pools(pools: &[Pool], out: &mut Vec<Gauge>) {
    for pool in pools {
        let labels = [("pool_name", pool.name.as_str()), ("pool", pool.name.as_str())];
        for (name, slots) in [
            ("airflow_pool_slots", pool.slots),
            ("airflow_pool_open_slots", pool.open_slots),
            ("airflow_pool_running_slots", pool.running_slots),
            ("airflow_pool_queued_slots", pool.queued_slots),
            ("airflow_pool_scheduled_slots", pool.scheduled_slots),
            ("airflow_pool_deferred_slots", pool.deferred_slots),
        ] {
            out.push(gauge(name, &labels, slots as f64));
        }
    }
}

/// The list of DAGs: who is responsible, what is paused, what cannot be read.
pub fn dags(dags: &[Dag], out: &mut Vec<Gauge>) {
    for dag in dags {
        let id = dag.dag_id.as_str();
        let mut tags: Vec<&str> = dag.tags.iter().flatten().map(|tag| tag.name.as_str()).collect();
        tags.sort_unstable();
        let (owners, tags) = (dag.owners.join(","), tags.join(","));
        let paused = if dag.is_paused.unwrap_or(false) { "true" } else { "false" };
        let (owner, tags) = (("owner", owners.as_str()), ("tags", tags.as_str()));
        let labels = [("dag_id", id), owner, ("paused", paused), tags];
        out.push(gauge("airflow_dag_info", &labels, 1.0));
        let flag = |flag: Option<bool>| f64::from(u8::from(flag.unwrap_or(false)));
        let labels = [("dag_id", id)];
        out.push(gauge("airflow_dag_paused", &labels, flag(dag.is_paused)));
        out.push(gauge("airflow_dag_import_error", &labels, flag(dag.has_import_errors)));
        let is_active = dag.is_active.unwrap_or(!dag.is_stale.unwrap_or(false));
        out.push(gauge("airflow_dag_active", &labels, flag(Some(is_active))));
        if let Some(time) = dag.last_parsed_time {
            let name = "airflow_dag_last_parsed_timestamp_seconds";
            out.push(gauge(name, &labels, seconds(time.0)));
        }
        if let Some(duration) = dag.last_parse_duration {
            out.push(gauge("airflow_dag_last_parse_duration_seconds", &labels, duration));
        }
    }
    out.push(gauge("airflow_dags", &[], dags.len() as f64));
}
