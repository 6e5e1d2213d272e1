//! Answers of Airflow's REST API as types: what Airflow 2 (`/api/v1`) and 3 (`/api/v2`) say alike.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::model::Timestamp;

/// A time in an answer, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(Time(time.as_millisecond()))
    }
}

impl From<Time> for Timestamp {
    fn from(time: Time) -> Timestamp {
        Timestamp(time.0)
    }
}

/// State of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunState {
    /// Waits for a slot.
    Queued,
    /// Is being worked on.
    Running,
    /// All went well.
    Success,
    /// It did not.
    Failed,
    /// One this version does not know.
    #[default]
    Other,
}

impl RunState {
    /// As Airflow spells it.
    pub const fn name(self) -> &'static str {
        match self {
            RunState::Queued => "queued",
            RunState::Running => "running",
            RunState::Success => "success",
            RunState::Failed => "failed",
            RunState::Other => "other",
        }
    }

    /// Whether nothing more happens unless somebody clears the run.
    pub const fn is_final(self) -> bool {
        matches!(self, RunState::Success | RunState::Failed)
    }
}

impl<'de> Deserialize<'de> for RunState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RunState, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        let known = [RunState::Queued, RunState::Running, RunState::Success, RunState::Failed];
        Ok(known.into_iter().find(|state| state.name() == text).unwrap_or_default())
    }
}

/// State of a task instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaskState {
    /// None yet, or one this version does not know.
    #[default]
    None,
    /// Its turn has come.
    Scheduled,
    /// Handed to the executor.
    Queued,
    /// Runs.
    Running,
    /// Went well.
    Success,
    /// Failed for good.
    Failed,
    /// This attempt failed, another follows.
    UpForRetry,
    /// A sensor that sleeps.
    UpForReschedule,
    /// Not tried because something before it failed.
    UpstreamFailed,
    /// Not tried, or it asked to be skipped.
    Skipped,
    /// Waits in the triggerer.
    Deferred,
    /// Its task is no longer in the DAG.
    Removed,
    /// Cleared while it ran.
    Restarting,
    /// Waits for a person.
    AwaitingInput,
}

/// States in which something is still going to happen by itself, as a filter names them.
pub const ACTIVE_TASK_STATES: [TaskState; 7] = [
    TaskState::Scheduled,
    TaskState::Queued,
    TaskState::Running,
    TaskState::UpForRetry,
    TaskState::UpForReschedule,
    TaskState::Deferred,
    TaskState::Restarting,
];

const TASK_STATES: [TaskState; 13] = [
    TaskState::Scheduled,
    TaskState::Queued,
    TaskState::Running,
    TaskState::Success,
    TaskState::Failed,
    TaskState::UpForRetry,
    TaskState::UpForReschedule,
    TaskState::UpstreamFailed,
    TaskState::Skipped,
    TaskState::Deferred,
    TaskState::Removed,
    TaskState::Restarting,
    TaskState::AwaitingInput,
];

impl TaskState {
    /// As Airflow spells it.
    pub const fn name(self) -> &'static str {
        match self {
            TaskState::None => "none",
            TaskState::Scheduled => "scheduled",
            TaskState::Queued => "queued",
            TaskState::Running => "running",
            TaskState::Success => "success",
            TaskState::Failed => "failed",
            TaskState::UpForRetry => "up_for_retry",
            TaskState::UpForReschedule => "up_for_reschedule",
            TaskState::UpstreamFailed => "upstream_failed",
            TaskState::Skipped => "skipped",
            TaskState::Deferred => "deferred",
            TaskState::Removed => "removed",
            TaskState::Restarting => "restarting",
            TaskState::AwaitingInput => "awaiting_input",
        }
    }

    /// The state Airflow spells so.
    pub fn from_name(name: &str) -> TaskState {
        TASK_STATES.into_iter().find(|state| state.name() == name).unwrap_or_default()
    }

    /// Whether the present attempt is over.
    pub const fn ends_attempt(self) -> bool {
        matches!(self, TaskState::UpForRetry) || self.is_final()
    }

    /// Whether nothing more happens unless somebody clears the task instance.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            TaskState::Success
                | TaskState::Failed
                | TaskState::UpstreamFailed
                | TaskState::Skipped
                | TaskState::Removed
        )
    }

    /// Whether the sweep of what is active shows it.
    pub fn is_active(self) -> bool {
        ACTIVE_TASK_STATES.contains(&self)
    }
}

impl<'de> Deserialize<'de> for TaskState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TaskState, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(text.as_deref().map_or(TaskState::None, TaskState::from_name))
    }
}

/// A run.
#[derive(Clone, Debug, Deserialize)]
pub struct Run {
    /// The DAG.
    pub dag_id: String,
    /// Its name within the DAG.
    pub dag_run_id: String,
    /// State now.
    #[serde(default)]
    pub state: RunState,
    /// `scheduled`, `manual`, ...
    #[serde(default)]
    pub run_type: String,
    /// When it was created (Airflow 3).
    pub queued_at: Option<Time>,
    /// When it started; after a clear, when it started again.
    pub start_date: Option<Time>,
    /// When it ended.
    pub end_date: Option<Time>,
    /// End of the interval it is about.
    pub data_interval_end: Option<Time>,
    /// When it was due (Airflow 3).
    pub run_after: Option<Time>,
}

impl Run {
    /// When it was due.
    pub fn due(&self) -> Option<Time> {
        self.run_after.or(self.data_interval_end)
    }
}

/// A task instance, or one of its attempts.
#[derive(Clone, Debug, Deserialize)]
pub struct TaskInstance {
    /// The DAG.
    pub dag_id: String,
    /// The run.
    pub dag_run_id: String,
    /// The task.
    pub task_id: String,
    /// Its number among mapped ones; -1 without mapping.
    #[serde(default = "unmapped")]
    pub map_index: i64,
    /// State now.
    #[serde(default)]
    pub state: TaskState,
    /// Attempt, counted from 1; 0 before it was first queued.
    #[serde(default)]
    pub try_number: i64,
    /// Attempts after which a failure is final.
    #[serde(default)]
    pub max_tries: i64,
    /// When the attempt was queued. Deferrals overwrite it.
    pub queued_when: Option<Time>,
    /// When the attempt started; the one before it while this one waits.
    pub start_date: Option<Time>,
    /// When the attempt ended; the one before it while this one is not over.
    pub end_date: Option<Time>,
    /// Seconds it took.
    pub duration: Option<f64>,
    /// Class of its operator.
    pub operator: Option<String>,
    /// Pool it takes slots of.
    pub pool: Option<String>,
    /// Queue of the executor.
    pub queue: Option<String>,
    /// Airflow 2's own record of a missed service level.
    pub sla_miss: Option<SlaMiss>,
}

/// Airflow 2's record of a missed service level.
#[derive(Clone, Debug, Deserialize)]
pub struct SlaMiss {
    /// When it was noted.
    pub timestamp: Option<Time>,
}

const fn unmapped() -> i64 {
    -1
}

/// Health of the parts.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Health {
    /// The database.
    pub metadatabase: Option<PartHealth>,
    /// The scheduler.
    pub scheduler: Option<PartHealth>,
    /// The triggerer.
    pub triggerer: Option<PartHealth>,
    /// The DAG processor, where it runs apart.
    pub dag_processor: Option<PartHealth>,
}

/// Health of one part.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PartHealth {
    /// `healthy`, `unhealthy`, or nothing when there is no such part.
    pub status: Option<String>,
    /// Its last sign of life.
    #[serde(
        alias = "latest_scheduler_heartbeat",
        alias = "latest_triggerer_heartbeat",
        alias = "latest_dag_processor_heartbeat"
    )]
    pub heartbeat: Option<Time>,
}

/// A pool.
#[derive(Clone, Debug, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// All slots; -1 means no limit.
    #[serde(default)]
    pub slots: i64,
    /// Free slots; -1 means no limit.
    #[serde(default)]
    pub open_slots: i64,
    /// Slots of running tasks.
    #[serde(default)]
    pub running_slots: i64,
    /// Slots of queued tasks.
    #[serde(default)]
    pub queued_slots: i64,
    /// Slots of scheduled tasks.
    #[serde(default)]
    pub scheduled_slots: i64,
    /// Slots of deferred tasks.
    #[serde(default)]
    pub deferred_slots: i64,
}

/// A DAG.
#[derive(Clone, Debug, Deserialize)]
pub struct Dag {
    /// Its name.
    pub dag_id: String,
    /// Whether it is switched off.
    pub is_paused: Option<bool>,
    /// Whether it is still in the files (Airflow 2).
    pub is_active: Option<bool>,
    /// Whether it is no longer in the files (Airflow 3).
    pub is_stale: Option<bool>,
    /// Whether its file cannot be read now.
    pub has_import_errors: Option<bool>,
    /// Who is responsible.
    #[serde(default)]
    pub owners: Vec<String>,
    /// Its tags.
    pub tags: Option<Vec<Tag>>,
    /// When it was last read.
    pub last_parsed_time: Option<Time>,
    /// How long reading its file took, in seconds (Airflow 3).
    pub last_parse_duration: Option<f64>,
}

/// How many runs of a DAG the server knows.
#[derive(Clone, Debug, Deserialize)]
pub struct DagStats {
    /// The DAG.
    pub dag_id: String,
    /// By state.
    pub stats: Vec<StateCount>,
}

/// How many runs are in a state.
#[derive(Clone, Debug, Deserialize)]
pub struct StateCount {
    /// The state.
    pub state: RunState,
    /// Its runs.
    pub count: u64,
}

/// A tag of a DAG.
#[derive(Clone, Debug, Deserialize)]
pub struct Tag {
    /// The tag.
    pub name: String,
}

/// One page of a list.
#[derive(Clone, Debug, Deserialize)]
pub struct Page<T> {
    /// What is on it.
    #[serde(
        alias = "dag_runs",
        alias = "task_instances",
        alias = "pools",
        alias = "dags",
        alias = "import_errors"
    )]
    pub items: Vec<T>,
    /// How many there are on all pages.
    #[serde(default)]
    pub total_entries: usize,
}

/// What the version endpoint says.
#[derive(Clone, Debug, Deserialize)]
pub struct Version {
    /// Such as `2.11.2`.
    pub version: String,
}

/// A login.
#[derive(Clone, Deserialize)]
pub struct Login {
    /// The bearer token.
    pub access_token: String,
}
