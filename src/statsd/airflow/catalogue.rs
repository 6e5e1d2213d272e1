//! What Airflow 2.x and 3.x send, name by name.
//!
//! In: nothing. Out: a table of the names that need more than replacing dots: ids in the name, tags
//! under changing names, units that depend on version and backend. Every other `airflow.*` name is
//! taken by the general rule: dots become underscores, counters end in `_total`, timers in
//! `_seconds`.
//!
//! Sources: the metric registry of Airflow 3.3, the emitting calls of 2.11, and recordings of both.

use Unit::{Duration, Last, None, Queued, Timer};

/// Which unit a timer's value has; see [`super::units`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Not a timer.
    None,
    /// How long a task or run took or was late.
    Duration,
    /// How long a task waited.
    Queued,
    /// How long a DAG file took.
    Last,
    /// Anything measured by a timer around code.
    Timer,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The name behind the prefix.
    pub name: &'static str,
    /// The older name with ids in it; empty when there is none. `{dag_id}` and `{task_id}` may
    /// contain dots, and so may a lone placeholder; all others are one part.
    pub dotted: &'static str,
    /// The stored name without prefix and ending.
    pub stored: &'static str,
    /// Unit, when it is a timer.
    pub unit: Unit,
    /// Label that is always there, from the name itself.
    pub fixed: Option<(&'static str, &'static str)>,
    /// Whether the Airflow API tells the same, more reliably.
    pub is_told_by_api: bool,
}

const fn e(name: &'static str, dotted: &'static str, stored: &'static str, unit: Unit) -> Entry {
    Entry { name, dotted, stored, unit, fixed: Option::None, is_told_by_api: false }
}

/// Of tasks, runs and pools.
const fn t(name: &'static str, dotted: &'static str, stored: &'static str, unit: Unit) -> Entry {
    Entry { is_told_by_api: true, ..e(name, dotted, stored, unit) }
}

const fn run(name: &'static str, dotted: &'static str, state: &'static str) -> Entry {
    Entry { fixed: Some(("state", state)), ..t(name, dotted, "dag_run_duration", Duration) }
}

/// The table. An entry is known by its position.
pub(super) const ENTRIES: &[Entry] = &[
    // Tasks and runs.
    t("ti.start", "ti.start.{dag_id}.{task_id}", "task_start", None),
    t("ti.finish", "ti.finish.{dag_id}.{task_id}.{state}", "task_finish", None),
    t("ti_failures", "", "ti_failures", None),
    t("ti_successes", "", "ti_successes", None),
    e("operator_failures", "operator_failures_{operator}", "operator_failures", None),
    e("operator_successes", "operator_successes_{operator}", "operator_successes", None),
    e("task_instance_created", "task_instance_created_{operator}", "task_instance_created", None),
    e(
        "local_task_job.task_exit",
        "local_task_job.task_exit.{job_id}.{dag_id}.{task_id}.{return_code}",
        "local_task_job_task_exit",
        None,
    ),
    e("task_removed_from_dag", "task_removed_from_dag.{dag_id}", "task_removed_from_dag", None),
    e("task_restored_to_dag", "task_restored_to_dag.{dag_id}", "task_restored_to_dag", None),
    t("task.duration", "dag.{dag_id}.{task_id}.duration", "task_duration", Duration),
    t("task.queued_duration", "dag.{dag_id}.{task_id}.queued_duration", "task_queue", Queued),
    e(
        "task.scheduled_duration",
        "dag.{dag_id}.{task_id}.scheduled_duration",
        "task_scheduled",
        Queued,
    ),
    run("dagrun.duration.success", "dagrun.duration.success.{dag_id}", "success"),
    run("dagrun.duration.failed", "dagrun.duration.failed.{dag_id}", "failed"),
    t(
        "dagrun.schedule_delay",
        "dagrun.schedule_delay.{dag_id}",
        "dag_run_schedule_delay",
        Duration,
    ),
    e(
        "dagrun.first_task_scheduling_delay",
        "dagrun.{dag_id}.first_task_scheduling_delay",
        "dag_run_first_task_scheduling_delay",
        Duration,
    ),
    e("dagrun.first_task_start_delay", "", "dag_run_first_task_start_delay", Duration),
    e(
        "dagrun.dependency-check",
        "dagrun.dependency-check.{dag_id}",
        "dag_run_dependency_check",
        Timer,
    ),
    e("ti.scheduled", "ti.scheduled.{queue}.{dag_id}.{task_id}", "ti_scheduled", None),
    e("ti.queued", "ti.queued.{queue}.{dag_id}.{task_id}", "ti_queued", None),
    e("ti.running", "ti.running.{queue}.{dag_id}.{task_id}", "ti_running", None),
    e("ti.deferred", "ti.deferred.{queue}.{dag_id}.{task_id}", "ti_deferred", None),
    e("task.cpu_usage", "task.cpu_usage.{dag_id}.{task_id}", "task_cpu_usage", None),
    e("task.mem_usage", "task.mem_usage.{dag_id}.{task_id}", "task_mem_usage", None),
    // Pools, executors, triggers.
    t("pool.open_slots", "pool.open_slots.{pool_name}", "pool_open_slots", None),
    t("pool.queued_slots", "pool.queued_slots.{pool_name}", "pool_queued_slots", None),
    t("pool.running_slots", "pool.running_slots.{pool_name}", "pool_running_slots", None),
    t("pool.deferred_slots", "pool.deferred_slots.{pool_name}", "pool_deferred_slots", None),
    t("pool.scheduled_slots", "pool.scheduled_slots.{pool_name}", "pool_scheduled_slots", None),
    e("pool.starving_tasks", "pool.starving_tasks.{pool_name}", "pool_starving_tasks", None),
    e("executor.open_slots", "executor.open_slots.{executor}", "executor_open_slots", None),
    e("executor.queued_tasks", "executor.queued_tasks.{executor}", "executor_queued_tasks", None),
    e(
        "executor.running_tasks",
        "executor.running_tasks.{executor}",
        "executor_running_tasks",
        None,
    ),
    e("triggers.running", "triggers.running.{hostname}", "triggers_running", None),
    e(
        "triggerer.capacity_left",
        "triggerer.capacity_left.{hostname}",
        "triggerer_capacity_left",
        None,
    ),
    // DAG files.
    e(
        "dag_processing.last_duration",
        "dag_processing.last_duration.{bundle_name}.{dag_file}",
        "dag_processing_last_duration",
        Last,
    ),
    e(
        "dag_processing.last_run.seconds_ago",
        "dag_processing.last_run.seconds_ago.{dag_file}",
        "dag_processing_last_run_seconds_ago",
        None,
    ),
    e(
        "dag_processing.last_num_of_db_queries",
        "dag_processing.last_num_of_db_queries.{dag_file}",
        "dag_processing_last_num_of_db_queries",
        None,
    ),
    e("dag_processing.processes", "", "dag_processing_processes", None),
    // Names of 2.x for what 3.x calls otherwise.
    e("zombies_killed", "", "task_instances_without_heartbeats_killed", None),
    e("dataset.updates", "", "asset_updates", None),
    e("dataset.triggered_dagruns", "", "asset_triggered_dagruns", None),
    e("dataset.orphaned", "", "asset_orphaned", None),
    // Edge workers and OpenLineage.
    e(
        "edge_worker.ti.start",
        "edge_worker.ti.start.{queue}.{dag_id}.{task_id}",
        "edge_worker_ti_start",
        None,
    ),
    e(
        "edge_worker.ti.finish",
        "edge_worker.ti.finish.{queue}.{state}.{dag_id}.{task_id}",
        "edge_worker_ti_finish",
        None,
    ),
    e(
        "edge_worker.heartbeat_count",
        "edge_worker.heartbeat_count.{worker_name}",
        "edge_worker_heartbeat",
        None,
    ),
    e("edge_worker.status", "edge_worker.status.{worker_name}", "edge_worker_status", None),
    e(
        "edge_worker.connected",
        "edge_worker.connected.{worker_name}",
        "edge_worker_connected",
        None,
    ),
    e(
        "edge_worker.maintenance",
        "edge_worker.maintenance.{worker_name}",
        "edge_worker_maintenance",
        None,
    ),
    e(
        "edge_worker.jobs_active",
        "edge_worker.jobs_active.{worker_name}",
        "edge_worker_jobs_active",
        None,
    ),
    e(
        "edge_worker.concurrency",
        "edge_worker.concurrency.{worker_name}",
        "edge_worker_concurrency",
        None,
    ),
    e(
        "edge_worker.free_concurrency",
        "edge_worker.free_concurrency.{worker_name}",
        "edge_worker_free_concurrency",
        None,
    ),
    e(
        "edge_worker.num_queues",
        "edge_worker.num_queues.{worker_name}",
        "edge_worker_num_queues",
        None,
    ),
    e("ol.emit.attempts", "ol.emit.attempts.{event_type}.{transport_type}", "ol_emit", Timer),
    e("ol.extract", "ol.extract.{event_type}.{operator}", "ol_extract", Timer),
    e("ol.event.size", "ol.event.size.{event_type}.{operator}", "ol_event_size_bytes", None),
];

/// What only 3.x sends: the start of a name.
pub(super) const ONLY_3: &[&str] = &[
    "asset.",
    "dag_processor_heartbeat",
    "connection_test.",
    "scheduler.dagruns.",
    "scheduler.executor_heartbeat_duration",
    "scheduler.dag_bag.",
    "api_server.",
    "deadline_alerts.",
    "task_instances_without_heartbeats_killed",
    "ti.running",
    "ti.queued",
    "ti.scheduled",
    "ti.deferred",
];

/// What only 2.x sends: the start of a name.
pub(super) const ONLY_2: &[&str] = &[
    "dataset.",
    "zombies_killed",
    "sla_",
    "local_task_job",
    "task.cpu_usage",
    "task.mem_usage",
    "collect_db_dags",
    "dag_processing.sla_callback_count",
    "dag_processing.last_num_of_db_queries",
];

/// Tags under which versions send what is one label here.
pub(super) fn label_of(stored: &str, tag: &str) -> Option<&'static str> {
    let about_operators = stored.starts_with("operator_") || stored.starts_with("task_instance_");
    match tag {
        "operator_name" | "task_type" if about_operators => Some("operator"),
        "name" | "executor_class_name" if stored.starts_with("executor_") => Some("executor"),
        "file_name" if stored.starts_with("dag_processing_") => Some("dag_file"),
        _ => Option::None,
    }
}

/// Tags that would make a series of every run or job, or break what is summed up.
pub(super) fn is_dropped(stored: &str, tag: &str) -> bool {
    match tag {
        "job_id" | "run_id" | "dagrun_id" => true,
        "file_path" => stored.starts_with("dag_processing_"),
        "action" => stored == "dag_processing_processes",
        "status" => stored.starts_with("executor_"),
        _ => false,
    }
}

/// States a task that is about to start gets a zero for; the others appear when they happen.
pub(super) const STATES_FROM_ZERO: &[&str] = &["success", "failed", "up_for_retry"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once() {
        for (i, entry) in ENTRIES.iter().enumerate() {
            assert!(ENTRIES[..i].iter().all(|other| other.name != entry.name), "{}", entry.name);
            let dotted = entry.dotted.is_empty() || entry.dotted.contains('{');
            assert!(dotted && !entry.stored.contains('.'), "{entry:?}");
        }
    }
}
