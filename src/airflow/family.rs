//! The metrics that are counted here, as a table.

/// What a family's series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One growing number.
    Counter,
    /// A classic histogram over [`BUCKETS`].
    Histogram,
}

/// One counted metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Name of the metric; histograms add `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// How.
    pub kind: Kind,
    /// States of which all have a series as soon as one has: rates of failures are 0 then, and not
    /// missing, until the first failure.
    pub states: &'static [&'static str],
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Counter, states: &[] }
}

/// With a label `state` that is at least `success` or `failed`.
const fn of_ends(name: &'static str, help: &'static str) -> Family {
    Family { states: &["success", "failed"], ..counter(name, help) }
}

const fn histogram(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Histogram, states: &[] }
}

/// Upper bounds of all histograms in seconds and as label values: a second to a day, as far apart
/// as people's questions ("a minute or five?") are.
pub const BUCKETS: [(f64, &str); 14] = [
    (1.0, "1.0"),
    (5.0, "5.0"),
    (15.0, "15.0"),
    (30.0, "30.0"),
    (60.0, "60.0"),
    (120.0, "120.0"),
    (300.0, "300.0"),
    (600.0, "600.0"),
    (1_800.0, "1800.0"),
    (3_600.0, "3600.0"),
    (7_200.0, "7200.0"),
    (21_600.0, "21600.0"),
    (86_400.0, "86400.0"),
    (f64::INFINITY, "+Inf"),
];

/// Finished runs.
pub const RUNS: Family = of_ends(
    "airflow_dag_runs_total",
    "Finished runs; one that is cleared and ends again counts again.",
);
/// Runs that ended again.
pub const RERUNS: Family =
    counter("airflow_dag_reruns_total", "Runs that ended again after somebody cleared them.");
/// How long runs took.
pub const RUN_DURATION: Family =
    histogram("airflow_dag_run_duration_seconds", "Start to end of a run.");
/// How long runs waited.
pub const RUN_QUEUE: Family =
    histogram("airflow_dag_run_queue_seconds", "Creation to start of a run (Airflow 3).");
/// How late runs started.
pub const RUN_DELAY: Family = histogram(
    "airflow_dag_run_schedule_delay_seconds",
    "From the moment a scheduled run was due to its start.",
);
/// Attempts of tasks.
pub const ATTEMPTS: Family = of_ends(
    "airflow_task_attempts_total",
    "Attempts of tasks that are over, retried ones included.",
);
/// Attempts that are tried again.
pub const RETRIES: Family =
    counter("airflow_task_retries_total", "Failed attempts that Airflow tries again by itself.");
/// Task instances with a final state.
pub const FINISHES: Family =
    of_ends("airflow_task_finish_total", "Task instances that reached a final state.");
/// How long attempts took.
pub const TASK_DURATION: Family =
    histogram("airflow_task_duration_seconds", "Start to end of an attempt.");
/// How long attempts waited.
pub const TASK_QUEUE: Family =
    histogram("airflow_task_queue_seconds", "From queued to started of an attempt.");
/// Missed service levels.
pub const SLA_MISSES: Family = counter(
    "airflow_sla_missed_total",
    "Missed service levels: own ones by their name, Airflow 2's as sla=\"airflow\".",
);
/// Runs that were deleted.
pub const DELETIONS: Family =
    counter("airflow_dag_runs_deleted_total", "Runs deleted while they were active.");
/// Passes that failed.
pub const POLL_FAILURES: Family =
    counter("airflow_poll_failures_total", "Passes over this instance that failed.");

/// All of them.
pub static FAMILIES: [&Family; 13] = [
    &RUNS,
    &RERUNS,
    &RUN_DURATION,
    &RUN_QUEUE,
    &RUN_DELAY,
    &ATTEMPTS,
    &RETRIES,
    &FINISHES,
    &TASK_DURATION,
    &TASK_QUEUE,
    &SLA_MISSES,
    &DELETIONS,
    &POLL_FAILURES,
];

/// The family of that name.
pub fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().copied().find(|family| family.name == name)
}
