//! The names in circulation for Airflow's metrics, and what each is made of.
//!
//! In: nothing. Out: a table. The names are those of monitoring guides, the Helm chart's mapping for
//! statsd_exporter, Grafana's mixin, databand's dashboards and the exporters of epoch8 and robinhood.
//! A name with several sources takes, for each of its series, the first that is there.

/// How the stored values become those of the alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As they are.
    Value,
    /// An age becomes the time it is counted from, in seconds since 1970.
    AgeToTime,
    /// Buckets become the quantiles of the last ten minutes.
    Quantiles,
}

/// What an alias is for those who query it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Several stored series become one: the sum of what they have grown by.
    Counter,
    /// Several stored series become one: the sum of what is there.
    Gauge,
    /// `_bucket`, `_sum` and `_count`, and the native histogram.
    Histogram,
    /// Quantiles, `_sum` and `_count`; `_bucket` as well, which some rules ask for.
    Summary,
}

/// One source of an alias: stored series and what becomes of their labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct From {
    /// Name of the stored metric; of a histogram without ending.
    pub metric: &'static str,
    /// Labels it must have.
    pub wanted: &'static [(&'static str, &'static str)],
    /// Labels the alias does not have.
    pub dropped: &'static [&'static str],
    /// Stored label, label of the alias.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Labels the alias has beside them.
    pub fixed: &'static [(&'static str, &'static str)],
    /// What becomes of the values.
    pub shape: Shape,
    /// Whether the alias names the DAG's owner and says whether it is paused.
    pub owned: bool,
}

/// Aliases with the same sources.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The aliases.
    pub names: &'static [&'static str],
    /// What they are.
    pub kind: Kind,
    /// The first that is there counts.
    pub from: &'static [From],
    /// Labels that do not tell two series of one thing apart: where one source has them and another
    /// has not, it is the same thing still.
    pub beside: &'static [&'static str],
}

const fn of(metric: &'static str) -> From {
    let (wanted, dropped, renamed, fixed) = (&[], &[], &[], &[]);
    From { metric, wanted, dropped, renamed, fixed, shape: Shape::Value, owned: false }
}

impl From {
    const fn with(self, wanted: &'static [(&'static str, &'static str)]) -> From {
        From { wanted, ..self }
    }

    const fn without(self, dropped: &'static [&'static str]) -> From {
        From { dropped, ..self }
    }

    const fn renamed(self, renamed: &'static [(&'static str, &'static str)]) -> From {
        From { renamed, ..self }
    }

    const fn fixed(self, fixed: &'static [(&'static str, &'static str)]) -> From {
        From { fixed, ..self }
    }

    const fn age_to_time(self) -> From {
        From { shape: Shape::AgeToTime, ..self }
    }

    const fn owned(self) -> From {
        From { owned: true, ..self }
    }
}

const fn entry(names: &'static [&'static str], kind: Kind, from: &'static [From]) -> Entry {
    Entry { names, kind, from, beside: &["job", "instance"] }
}

const fn counter(names: &'static [&'static str], from: &'static [From]) -> Entry {
    entry(names, Kind::Counter, from)
}

const fn gauge(names: &'static [&'static str], from: &'static [From]) -> Entry {
    entry(names, Kind::Gauge, from)
}

const fn histogram(names: &'static [&'static str], from: &'static [From]) -> Entry {
    entry(names, Kind::Histogram, from)
}

const fn summary(names: &'static [&'static str], from: &'static [From]) -> Entry {
    entry(names, Kind::Summary, from)
}

impl Entry {
    const fn beside(self, beside: &'static [&'static str]) -> Entry {
        Entry { beside, ..self }
    }
}

type Wanted = &'static [(&'static str, &'static str)];
const SUCCESS: Wanted = &[("state", "success")];
const FAILED: Wanted = &[("state", "failed")];
const RUNNING: Wanted = &[("state", "running")];
const SCHEDULER: Wanted = &[("component", "scheduler")];
const TRIGGERER: Wanted = &[("component", "triggerer")];
const PROCESSOR: Wanted = &[("component", "dag_processor")];
const OF_A_RUN: &[&str] = &["run_type", "state"];
const STATE_IS_STATUS: &[(&str, &str)] = &[("state", "status")];

const RUNS: From = of("airflow_dag_runs_total").without(OF_A_RUN);
/// What StatsD alone tells of finished runs.
const RUN_COUNT: From = of("airflow_dag_run_duration_seconds_count").without(OF_A_RUN);
const RUN_DURATION: From = of("airflow_dag_run_duration_seconds").without(OF_A_RUN);
const TASK_DURATION: From = of("airflow_task_duration_seconds");
const FINISHES: From = of("airflow_task_finish_total").without(&["state"]);
const FAILED_ATTEMPTS: &[From] = &[
    of("airflow_task_attempts_total").with(FAILED).without(&["state"]),
    of("airflow_ti_failures_total"),
];
const SUCCESSFUL_TASKS: &[From] = &[FINISHES.with(SUCCESS), of("airflow_ti_successes_total")];
const QUEUED: From = of("airflow_queued_tasks");
const QUEUED_AT_EXECUTOR: From = of("airflow_executor_queued_tasks").without(&["executor"]);
const HEARTBEAT_AGE: From =
    of("airflow_heartbeat_age_seconds").without(&["component"]).age_to_time();
const SLA: From = of("airflow_sla_missed_total").without(&["sla"]);
const DEADLINES: From = of("airflow_deadline_alerts_deadline_missed_total");
const ZOMBIES: From = of("airflow_task_instances_without_heartbeats_killed_total");
const UP: From = of("up").with(&[("job", "airflow")]);
const HEALTHY: From = of("airflow_healthy").without(&["component"]);
const LAST_SUCCESS: From = of("airflow_dag_last_success_timestamp_seconds");

/// The aliases that need more than another ending.
pub(super) const ENTRIES: &[Entry] = &[
    // Runs.
    gauge(
        &["airflow_dag_run_duration"],
        &[of("airflow_dag_run_running_age_seconds"), of("airflow_dag_last_run_duration_seconds")],
    )
    .beside(&["job", "instance", "state"]),
    gauge(
        &["airflow_dag_run_duration_seconds"],
        &[of("airflow_dag_run_running_age_seconds").fixed(RUNNING)],
    ),
    counter(
        &["airflow_dag_run_success", "airflow_dag_run_success_total", "airflow_dag_success_total"],
        &[RUNS.with(SUCCESS), RUN_COUNT.with(SUCCESS)],
    ),
    counter(
        &["airflow_dag_run_failed", "airflow_dag_run_failed_total", "airflow_dag_failure_total"],
        &[RUNS.with(FAILED), RUN_COUNT.with(FAILED)],
    ),
    gauge(
        &["airflow_dag_run_running"],
        &[of("airflow_dag_runs").with(RUNNING).without(&["state"])],
    ),
    gauge(&["airflow_active_dag_runs"], &[of("airflow_dag_runs").without(&["state"])]),
    histogram(&["airflow_dag_duration_seconds"], &[RUN_DURATION]),
    summary(
        &["airflow_dagrun_duration", "airflow_dagrun_duration_success"],
        &[RUN_DURATION.with(SUCCESS)],
    ),
    summary(
        &["airflow_dagrun_failed", "airflow_dagrun_duration_failed"],
        &[RUN_DURATION.with(FAILED)],
    ),
    summary(&["airflow_dagrun_schedule_delay"], &[of("airflow_dag_run_schedule_delay_seconds")]),
    gauge(&["airflow_dag_scheduler_delay"], &[of("airflow_dag_last_run_schedule_delay_seconds")]),
    gauge(
        &["airflow_dag_last_success_timestamp", "airflow_dag_run_last_success_timestamp"],
        &[LAST_SUCCESS],
    ),
    counter(
        &["airflow_dag_status_count"],
        &[
            of("airflow_dag_runs_total").without(&["run_type"]).renamed(STATE_IS_STATUS),
            of("airflow_dag_run_duration_seconds_count")
                .without(&["run_type"])
                .renamed(STATE_IS_STATUS),
            of("airflow_dag_runs").renamed(STATE_IS_STATUS),
        ],
    ),
    gauge(
        &["airflow_dag_status"],
        &[of("airflow_dag_runs_in_database").renamed(STATE_IS_STATUS).owned()],
    ),
    gauge(
        &["airflow_dag_last_status"],
        &[of("airflow_dag_last_run_state").renamed(STATE_IS_STATUS).owned()],
    ),
    // Tasks.
    histogram(
        &["airflow_task_instance_duration", "airflow_task_instance_duration_seconds"],
        &[TASK_DURATION],
    ),
    summary(
        &["airflow_task_duration", "airflow_dag_task_duration"],
        &[TASK_DURATION.without(&["operator"])],
    ),
    counter(
        &[
            "airflow_task_instance_failures",
            "airflow_task_instance_failures_total",
            "airflow_task_fail_count",
            "airflow_ti_failures",
            "airflow_ti_failures_total",
        ],
        FAILED_ATTEMPTS,
    ),
    counter(
        &["airflow_task_success_total", "airflow_ti_successes", "airflow_ti_successes_total"],
        SUCCESSFUL_TASKS,
    ),
    counter(
        &["airflow_task_failure_total", "airflow_task_failed_total"],
        &[FINISHES.with(FAILED), of("airflow_ti_failures_total")],
    ),
    counter(
        &["airflow_task_status_count"],
        &[
            of("airflow_task_finish_total").renamed(STATE_IS_STATUS),
            of("airflow_task_instances").renamed(STATE_IS_STATUS),
        ],
    ),
    gauge(
        &["airflow_task_status"],
        &[
            of("airflow_task_finish_total").renamed(STATE_IS_STATUS).owned(),
            of("airflow_task_instances").renamed(STATE_IS_STATUS).owned(),
        ],
    ),
    counter(&["airflow_sla_missed", "airflow_sla_misses"], &[SLA, DEADLINES]),
    counter(&["airflow_sla_missed_total"], &[DEADLINES]).beside(&["job", "instance", "sla"]),
    // Queues, executors, pools.
    gauge(
        &["airflow_queued_tasks", "airflow_num_queued_tasks", "airflow_task_queue_length"],
        &[QUEUED, QUEUED_AT_EXECUTOR],
    ),
    gauge(&["airflow_executor_queue_size"], &[QUEUED_AT_EXECUTOR, QUEUED]),
    gauge(
        &["airflow_task_queue_size"],
        &[of("airflow_queued_task_instances")
            .without(&["pool_name"])
            .renamed(&[("queue", "queue_name")])],
    ),
    gauge(&["airflow_executor_queued_tasks"], &[QUEUED]).beside(&["job", "instance", "executor"]),
    gauge(
        &["airflow_executor_running_tasks"],
        &[of("airflow_task_instances").with(RUNNING).without(&["state", "dag_id"])],
    )
    .beside(&["job", "instance", "executor"]),
    gauge(&["airflow_pool_slots_available"], &[of("airflow_pool_open_slots")]),
    // The scheduler and its companions.
    counter(
        &["airflow_scheduler_heartbeat"],
        &[
            of("airflow_scheduler_heartbeat_total").fixed(&[("type", "counter")]),
            HEARTBEAT_AGE.with(SCHEDULER).fixed(&[("type", "counter")]),
        ],
    ),
    counter(&["airflow_scheduler_heartbeat_total"], &[HEARTBEAT_AGE.with(SCHEDULER)]),
    counter(
        &["airflow_triggerer_heartbeat", "airflow_triggerer_heartbeat_total"],
        &[of("airflow_triggerer_heartbeat_total"), HEARTBEAT_AGE.with(TRIGGERER)],
    ),
    counter(
        &["airflow_dag_processor_heartbeat", "airflow_dag_processor_heartbeat_total"],
        &[of("airflow_dag_processor_heartbeat_total"), HEARTBEAT_AGE.with(PROCESSOR)],
    ),
    gauge(
        &["up"],
        &[
            HEALTHY.with(SCHEDULER).fixed(&[("job", "airflow-scheduler")]),
            UP.fixed(&[("job", "airflow-scheduler")]),
            UP.fixed(&[("job", "airflow-webserver")]),
            HEALTHY.with(TRIGGERER).fixed(&[("job", "airflow-triggerer")]),
            HEALTHY.with(PROCESSOR).fixed(&[("job", "airflow-dag-processor")]),
        ],
    )
    .beside(&["instance"]),
    counter(&["airflow_zombies_killed", "airflow_zombie_tasks_killed"], &[ZOMBIES]),
    // DAG files.
    gauge(
        &[
            "airflow_dag_processing_import_errors",
            "airflow_dag_import_errors",
            "airflow_dagbag_import_errors",
        ],
        &[of("airflow_dag_processing_import_errors"), of("airflow_import_errors")],
    ),
    gauge(&["airflow_dagbag_size"], &[of("airflow_dags")]),
    histogram(
        &["airflow_dag_processing_duration_seconds"],
        &[of("airflow_dag_processing_last_duration_seconds")],
    ),
    summary(
        &["airflow_dag_processing_duration"],
        &[of("airflow_dag_processing_last_duration_seconds")],
    ),
];

/// Counters that statsd_exporter stores without the ending `_total`, and their names here.
pub(super) const COUNTERS: &[(&str, &str)] = &[
    ("airflow_asset_updates", "airflow_asset_updates_total"),
    ("airflow_celery_execute_command_failure", "airflow_celery_execute_command_failure_total"),
    ("airflow_celery_task_timeout_error", "airflow_celery_task_timeout_error_total"),
    ("airflow_dag_callback_exceptions", "airflow_dag_callback_exceptions_total"),
    ("airflow_dag_file_refresh_error", "airflow_dag_file_refresh_error_total"),
    (
        "airflow_dag_processing_processor_timeouts",
        "airflow_dag_processing_processor_timeouts_total",
    ),
    ("airflow_deadline_alerts_deadline_missed", "airflow_deadline_alerts_deadline_missed_total"),
    ("airflow_job_end", "airflow_job_end_total"),
    ("airflow_job_start", "airflow_job_start_total"),
    (
        "airflow_kubernetes_executor_pod_creation_status",
        "airflow_kubernetes_executor_pod_creation_status_total",
    ),
    ("airflow_operator_failures", "airflow_operator_failures_total"),
    ("airflow_operator_successes", "airflow_operator_successes_total"),
    ("airflow_previously_succeeded", "airflow_previously_succeeded_total"),
    ("airflow_scheduler_critical_section_busy", "airflow_scheduler_critical_section_busy_total"),
    ("airflow_scheduler_orphaned_tasks_adopted", "airflow_scheduler_orphaned_tasks_adopted_total"),
    ("airflow_scheduler_orphaned_tasks_cleared", "airflow_scheduler_orphaned_tasks_cleared_total"),
    (
        "airflow_scheduler_tasks_killed_externally",
        "airflow_scheduler_tasks_killed_externally_total",
    ),
    ("airflow_task_instance_created", "airflow_task_instance_created_total"),
    (
        "airflow_task_instances_without_heartbeats_killed",
        "airflow_task_instances_without_heartbeats_killed_total",
    ),
    ("airflow_triggers_blocked_main_thread", "airflow_triggers_blocked_main_thread_total"),
    ("airflow_triggers_failed", "airflow_triggers_failed_total"),
    ("airflow_triggers_succeeded", "airflow_triggers_succeeded_total"),
];

/// Timers under the names statsd_exporter stores them by, and under ours.
pub(super) const TIMERS: &[(&str, &str)] = &[
    ("airflow_collect_db_dags", "airflow_collect_db_dags_seconds"),
    ("airflow_dag_processing_last_duration", "airflow_dag_processing_last_duration_seconds"),
    ("airflow_dag_processing_last_runtime", "airflow_dag_processing_last_duration_seconds"),
    ("airflow_dagrun_dependency_check", "airflow_dag_run_dependency_check_seconds"),
    (
        "airflow_dagrun_first_task_scheduling_delay",
        "airflow_dag_run_first_task_scheduling_delay_seconds",
    ),
    (
        "airflow_kubernetes_executor_adopt_task_instances_duration",
        "airflow_kubernetes_executor_adopt_task_instances_duration_seconds",
    ),
    (
        "airflow_kubernetes_executor_clear_not_launched_queued_tasks_duration",
        "airflow_kubernetes_executor_clear_not_launched_queued_tasks_duration_seconds",
    ),
    (
        "airflow_scheduler_critical_section_duration",
        "airflow_scheduler_critical_section_duration_seconds",
    ),
    (
        "airflow_scheduler_executor_heartbeat_duration",
        "airflow_scheduler_executor_heartbeat_duration_seconds",
    ),
    (
        "airflow_scheduler_scheduler_loop_duration",
        "airflow_scheduler_scheduler_loop_duration_seconds",
    ),
    ("airflow_task_queued_duration", "airflow_task_queue_seconds"),
    ("airflow_task_scheduled_duration", "airflow_task_scheduled_seconds"),
];

/// What databand's mapping calls `af_agg_...`: gauges that are stored under the second name, or
/// aliases of this table.
pub(super) const DATABAND: &[(&str, &str)] = &[
    ("af_agg_dag_processing_import_errors", "airflow_dag_processing_import_errors"),
    ("af_agg_dag_processing_total_parse_time", "airflow_dag_processing_total_parse_time"),
    ("af_agg_dag_task_duration", "airflow_dag_task_duration"),
    ("af_agg_dagbag_size", "airflow_dagbag_size"),
    ("af_agg_dagrun_dependency_check", "airflow_dagrun_dependency_check"),
    ("af_agg_dagrun_duration_failed", "airflow_dagrun_duration_failed"),
    ("af_agg_dagrun_duration_success", "airflow_dagrun_duration_success"),
    ("af_agg_dagrun_schedule_delay", "airflow_dagrun_schedule_delay"),
    ("af_agg_executor_open_slots", "airflow_executor_open_slots"),
    ("af_agg_executor_queued_tasks", "airflow_executor_queued_tasks"),
    ("af_agg_executor_running_tasks", "airflow_executor_running_tasks"),
    ("af_agg_job_end", "airflow_job_end"),
    ("af_agg_job_start", "airflow_job_start"),
    ("af_agg_operator_failures", "airflow_operator_failures"),
    ("af_agg_operator_successes", "airflow_operator_successes"),
    ("af_agg_pool_open_slots", "airflow_pool_open_slots"),
    ("af_agg_pool_queued_slots", "airflow_pool_queued_slots"),
    ("af_agg_pool_running_slots", "airflow_pool_running_slots"),
    ("af_agg_pool_starving_tasks", "airflow_pool_starving_tasks"),
    ("af_agg_scheduler_heartbeat", "airflow_scheduler_heartbeat"),
    ("af_agg_ti_failures", "airflow_ti_failures"),
    ("af_agg_ti_successes", "airflow_ti_successes"),
    ("af_agg_zombies_killed", "airflow_zombies_killed"),
];

/// Labels that databand's mapping calls otherwise.
pub(super) const DATABAND_LABELS: &[(&str, &str)] =
    &[("airflow", "airflow_id"), ("operator", "operator_name")];
