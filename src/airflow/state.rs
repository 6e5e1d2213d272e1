//! What is remembered of one instance, and what an observation means in its light.
//!
//! In: runs and task instances in the order they were read. Out: [`Occurrence`]s, each exactly
//! once, however often a thing is seen; and what has to be asked because it was not seen. Never
//! here: requests, clocks, series.
//!
//! What ended before [`State::counted_until`] counts as seen: so the first pass is bounded, and
//! what is long over can be forgotten.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::answer::{Run, RunState, TaskInstance, TaskState};
use super::counters::Occurrence;
use super::family::{self, Family};
use super::options::Sla;
use crate::model::Timestamp;

/// How long finished runs and task instances are remembered after the cursor has passed them.
pub const REMEMBER_MS: i64 = 24 * 60 * 60 * 1000;
/// Pieces of history one pass reads, in ms: the first, and the longest.
const HISTORY_MS: [i64; 2] = [6 * 60 * 60 * 1000, 30 * 24 * 60 * 60 * 1000];
/// Labels of one occurrence.
type LabelValues = Vec<(&'static str, String)>;

/// The cursor and the totals that are no series.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Cursor {
    /// Everything the server changed before this time (its clock) was read.
    pub read_until: i64,
    /// What ended before this time counts as counted.
    pub counted_until: i64,
}

/// A run as last seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct RunRow {
    /// `RunState` by name.
    state: String,
    start: Option<i64>,
    due: Option<i64>,
    /// End that was counted last.
    counted_end: Option<i64>,
    /// Service levels it missed, by name.
    #[serde(default)]
    missed: Vec<String>,
}

/// A task instance as last seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct TaskRow {
    /// Highest attempt that was counted, 0 before the first.
    counted_try: i64,
    /// State it was counted with, by name; empty before the first.
    counted_state: String,
    /// Whether it was seen unfinished since.
    open: bool,
    /// Whether the sweep of active task instances has to show it.
    active: bool,
    /// First time of queueing seen, and for which attempt.
    queued: Option<(i64, i64)>,
    /// When it was counted last.
    end: Option<i64>,
    /// Attempt at which the earlier ones were asked for; not all of them need to exist.
    #[serde(default)]
    asked_at: i64,
    /// Whether Airflow's own missed service level was counted.
    #[serde(default)]
    sla: bool,
}

/// What is remembered of a DAG.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct DagRow {
    /// End of its last successful run.
    pub last_success: Option<i64>,
    /// End of its last run, and whether that was a success.
    pub last_end: Option<(i64, bool)>,
    /// How long that run took, in ms.
    #[serde(default)]
    pub last_duration: Option<i64>,
    /// How late it started, in ms; only scheduled runs are ever late.
    #[serde(default)]
    pub last_delay: Option<i64>,
}

/// Names a run.
pub type RunId = (String, String);

/// Names a task instance whose earlier attempts have to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriesWanted {
    /// The task instance, as it was seen.
    pub task: TaskId,
}

/// Names a task instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskId {
    /// The run.
    pub run: RunId,
    /// The task.
    pub task_id: String,
    /// Its number among mapped ones.
    pub map_index: i64,
}

/// Everything remembered of one instance.
#[derive(Debug, Default)]
pub struct State {
    cursor: Cursor,
    runs: BTreeMap<String, RunRow>,
    tasks: BTreeMap<String, TaskRow>,
    dags: BTreeMap<String, DagRow>,
    dirty: BTreeSet<String>,
    occurrences: Vec<Occurrence>,
    seen: BTreeSet<String>,
    slas: Vec<Sla>,
    /// Doublings of the first piece of history.
    history_doubled: u32,
}

const CURSOR_KEY: &str = "cursor";

impl State {
    /// Nothing remembered yet.
    pub fn new(slas: Vec<Sla>) -> State {
        State { slas, ..State::default() }
    }

    /// Takes back one remembered row; what is not understood is left out.
    pub fn restore(&mut self, key: &str, bytes: &[u8]) {
        fn put<T: for<'de> Deserialize<'de>>(
            rows: &mut BTreeMap<String, T>,
            key: &str,
            bytes: &[u8],
        ) {
            if let Ok(row) = serde_json::from_slice(bytes) {
                rows.insert(key.to_owned(), row);
            }
        }
        match key.split('\0').next() {
            Some("r") => put(&mut self.runs, key, bytes),
            Some("t") => put(&mut self.tasks, key, bytes),
            Some("d") => put(&mut self.dags, key, bytes),
            Some(CURSOR_KEY) => {
                self.cursor = serde_json::from_slice(bytes).unwrap_or_default();
            }
            _ => {}
        }
    }

    /// What changed since the last call, to be remembered; `None` is to be forgotten.
    pub fn changes(&mut self) -> Vec<(String, Option<Vec<u8>>)> {
        fn row<T: Serialize>(row: Option<&T>) -> Option<Vec<u8>> {
            row.map(|row| serde_json::to_vec(row).expect("BUG: rows are plain JSON"))
        }
        let bytes = |key: &str| match key.split('\0').next() {
            Some("r") => row(self.runs.get(key)),
            Some("t") => row(self.tasks.get(key)),
            Some("d") => row(self.dags.get(key)),
            _ => row(Some(&self.cursor)),
        };
        let dirty = std::mem::take(&mut self.dirty);
        dirty
            .into_iter()
            .map(|key| {
                let bytes = bytes(&key);
                (key, bytes)
            })
            .collect()
    }

    /// The cursor.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Sets where the first pass begins (ms).
    pub fn begin_at(&mut self, from: i64) {
        self.cursor = Cursor { read_until: from, counted_until: from };
        self.dirty.insert(CURSOR_KEY.to_owned());
    }

    /// Everything changed before `until` (ms, the server's clock) was read: forgets what is long
    /// over.
    pub fn advance(&mut self, until: i64) {
        self.cursor.read_until = self.cursor.read_until.max(until);
        let keep = self.cursor.read_until.saturating_sub(REMEMBER_MS);
        self.dirty.insert(CURSOR_KEY.to_owned());
        if keep <= self.cursor.counted_until {
            return;
        }
        self.cursor.counted_until = keep;
        let dirty = &mut self.dirty;
        let mut old = |key: &String, over: bool| {
            if over {
                dirty.insert(key.clone());
            }
            !over
        };
        let is_over = |end: Option<i64>| end.is_some_and(|end| end < keep);
        self.runs.retain(|key, run| old(key, is_over(run.counted_end) && run.is_final()));
        self.tasks.retain(|key, task| old(key, is_over(task.end) && !task.active));
    }

    /// How much history the next pass reads, in ms: longer ones are caught up with pass by pass.
    pub fn history_ms(&self) -> i64 {
        HISTORY_MS[0].saturating_mul(1 << self.history_doubled.min(16)).min(HISTORY_MS[1])
    }

    /// There was little in the last piece.
    pub fn lengthen_history(&mut self) {
        self.history_doubled = (self.history_doubled + 2).min(7);
    }

    /// There was much in the last piece.
    pub fn shorten_history(&mut self) {
        self.history_doubled = self.history_doubled.saturating_sub(1);
    }

    /// What happened since the last call.
    pub fn take_occurrences(&mut self) -> Vec<Occurrence> {
        std::mem::take(&mut self.occurrences)
    }

    /// What is remembered of every DAG.
    pub fn dags(&self) -> impl Iterator<Item = (&str, &DagRow)> {
        self.dags.iter().map(|(key, row)| (key.trim_start_matches("d\0"), row))
    }

    /// DAGs with an active run, and its state; one entry a run.
    pub fn active_runs(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let states = [RunState::Running, RunState::Queued];
        self.runs.iter().filter_map(move |(key, run)| {
            let state = states.into_iter().find(|state| state.name() == run.state)?;
            Some((key.split('\0').nth(1)?, state.name()))
        })
    }

    /// Forgets the DAGs that `is_there` does not accept.
    pub fn keep_dags(&mut self, is_there: impl Fn(&str) -> bool) {
        let dirty = &mut self.dirty;
        self.dags.retain(|key, _| {
            let keeps = is_there(key.trim_start_matches("d\0"));
            if !keeps {
                dirty.insert(key.clone());
            }
            keeps
        });
    }

    /// Counts something that no run or task did.
    pub fn count(&mut self, family: &'static Family, labels: LabelValues, at: Timestamp) {
        self.occurrences.push(Occurrence { at, family, labels, value: 1.0 });
    }

    fn observe(
        &mut self,
        family: &'static Family,
        labels: &LabelValues,
        at: i64,
        value: Option<f64>,
    ) {
        // A clock that jumps makes negative times: better none than those.
        if let Some(value) = value.filter(|value| value.is_finite() && *value >= 0.0) {
            let (at, labels) = (Timestamp(at), labels.clone());
            self.occurrences.push(Occurrence { at, family, labels, value });
        }
    }

    /// Begins a pass: forgets what was seen in the one before.
    pub fn begin_pass(&mut self) {
        self.seen.clear();
    }

    /// A run as the server shows it now.
    pub fn see_run(&mut self, run: &Run, now: Timestamp) {
        let key = run_key(&run.dag_id, &run.dag_run_id);
        self.seen.insert(key.clone());
        let known = self.runs.get(&key).cloned();
        let mut row = known.clone().unwrap_or_default();
        row.start = run.start_date.map(|time| time.0);
        row.due = run.due().map(|time| time.0);
        row.state = run.state.name().to_owned();
        if run.state.is_final() {
            self.see_finished_run(run, &mut row, known.is_none(), now);
        }
        if known.as_ref() != Some(&row) {
            self.dirty.insert(key.clone());
            self.runs.insert(key, row);
        }
    }

    fn see_finished_run(&mut self, run: &Run, row: &mut RunRow, is_new: bool, now: Timestamp) {
        let end = match (run.end_date, row.counted_end) {
            (Some(end), _) => end.0,
            (None, Some(end)) => end,
            (None, None) => now.0,
        };
        if row.counted_end == Some(end) {
            return;
        }
        let is_rerun = row.counted_end.replace(end).is_some();
        if is_new && end <= self.cursor.counted_until {
            return;
        }
        self.count_run(run, end, is_rerun);
        self.check_run(&run.dag_id, row, end);
        let dag = format!("d\0{}", run.dag_id);
        let is_success = run.state == RunState::Success;
        let last = self.dags.entry(dag.clone()).or_default();
        if is_success {
            last.last_success = last.last_success.max(Some(end));
        }
        if last.last_end.is_none_or(|(known, _)| known <= end) {
            last.last_end = Some((end, is_success));
            let start = run.start_date.map(|time| time.0);
            let since = |from: Option<i64>, to: i64| Some((to - from?).max(0));
            last.last_duration = since(start, end);
            let due = run.due().filter(|_| run.run_type == "scheduled").map(|time| time.0);
            last.last_delay = start.and_then(|start| since(due, start)).or(last.last_delay);
        }
        self.dirty.insert(dag);
    }

    fn count_run(&mut self, run: &Run, end: i64, is_rerun: bool) {
        let dag = ("dag_id", run.dag_id.clone());
        let run_type = ("run_type", run.run_type.clone());
        let state = ("state", run.state.name().to_owned());
        let labels = vec![dag.clone(), run_type.clone(), state.clone()];
        let seconds = |from: Option<i64>, to: Option<i64>| Some((to? - from?) as f64 / 1e3);
        let start = run.start_date.map(|time| time.0);
        self.count(&family::RUNS, labels.clone(), Timestamp(end));
        self.observe(&family::RUN_DURATION, &labels, end, seconds(start, Some(end)));
        if is_rerun {
            return self.count(&family::RERUNS, vec![dag, state], Timestamp(end));
        }
        let queued = run.queued_at.map(|time| time.0);
        let labels = vec![dag.clone(), run_type];
        self.observe(&family::RUN_QUEUE, &labels, start.unwrap_or(end), seconds(queued, start));
        if run.run_type == "scheduled" {
            let due = run.due().map(|time| time.0);
            let late = seconds(due, start);
            self.observe(&family::RUN_DELAY, &vec![dag], start.unwrap_or(end), late);
        }
    }

    /// Counts the service levels that runs have missed by `now`, finished or not.
    pub fn check_slas(&mut self, now: Timestamp) {
        if self.slas.is_empty() {
            return;
        }
        let active: Vec<String> =
            self.runs.iter().filter(|(_, run)| !run.is_final()).map(|(k, _)| k.clone()).collect();
        for key in active {
            let dag = key.split('\0').nth(1).unwrap_or_default().to_owned();
            let Some(mut row) = self.runs.get(&key).cloned() else { continue };
            if self.check_run(&dag, &mut row, now.0) {
                self.runs.insert(key.clone(), row);
                self.dirty.insert(key);
            }
        }
    }

    /// Counts what a run has missed by `at`, at the moment it did; true when there was something.
    fn check_run(&mut self, dag: &str, row: &mut RunRow, at: i64) -> bool {
        let mut found = Vec::new();
        for sla in self.slas.iter().filter(|sla| sla.dags.matches(dag)) {
            let deadline =
                |from: Option<i64>, limit: Option<i64>| Some(from?.saturating_add(limit?));
            let deadlines =
                [deadline(row.start, sla.duration_ms), deadline(row.due, sla.after_due_ms)];
            let missed = deadlines.into_iter().flatten().filter(|deadline| *deadline < at).min();
            if let Some(deadline) = missed.filter(|_| !row.missed.contains(&sla.name)) {
                found.push((sla.name.clone(), deadline));
            }
        }
        for (name, deadline) in &found {
            row.missed.push(name.clone());
            let labels = vec![("dag_id", dag.to_owned()), ("sla", name.clone())];
            self.count(&family::SLA_MISSES, labels, Timestamp(*deadline));
        }
        !found.is_empty()
    }

    /// A task instance as the server shows it now. Counts nothing and asks for its earlier attempts
    /// when some were not seen: show them to [`State::see_tries`] and then it again, with
    /// `may_ask` off.
    pub fn see_task(
        &mut self,
        task: &TaskInstance,
        now: Timestamp,
        may_ask: bool,
    ) -> Option<TriesWanted> {
        let key = task_key(task);
        self.seen.insert(key.clone());
        let known = self.tasks.get(&key).cloned();
        let is_old = self.is_old(task, known.is_none());
        let mut row = known.clone().unwrap_or_default();
        let expected = row.counted_try.max(row.asked_at.saturating_sub(1)).saturating_add(1);
        if may_ask && !is_old && task.try_number > expected {
            return Some(TriesWanted { task: id_of(task) });
        }
        if !may_ask {
            row.asked_at = task.try_number;
        }
        if !is_old {
            self.see_missed_sla(task, &mut row, now);
        }
        if task.state.ends_attempt() {
            self.see_ended(task, &mut row, is_old, now);
        } else if task.state.is_active() || known.is_some() {
            row.open = true;
            row.note_queued(task);
        }
        row.active = task.state.is_active();
        let is_worth_a_row = row != TaskRow::default();
        if known.as_ref() != Some(&row) && is_worth_a_row {
            self.dirty.insert(key.clone());
            self.tasks.insert(key, row);
        }
        None
    }

    fn is_old(&self, task: &TaskInstance, is_new: bool) -> bool {
        let end = task.end_date.map(|time| time.0);
        is_new && task.state.is_final() && end.is_some_and(|end| end <= self.cursor.counted_until)
    }

    fn see_ended(&mut self, task: &TaskInstance, row: &mut TaskRow, is_old: bool, now: Timestamp) {
        let is_counted = !row.counted_state.is_empty() && task.try_number <= row.counted_try;
        let state = task.state.name();
        // The server sets no end for some states; then it was just now.
        let end = task.end_date.map_or(now.0, |time| time.0);
        if !is_counted || row.open {
            // A task that is never queued keeps its times and attempt when it is cleared.
            if !is_old {
                let is_same_attempt = is_counted && task.try_number > 0;
                self.count_ended(task, row, end, !is_same_attempt);
            }
        } else if row.counted_state == TaskState::UpForRetry.name() && task.state.is_final() {
            self.count_finish(task, end);
        } else {
            return;
        }
        row.counted_try = row.counted_try.max(task.try_number);
        row.counted_state = state.to_owned();
        row.open = false;
        row.end = Some(end);
    }

    /// Airflow 2 notes a missed service level when it next looks at the DAG, while the task runs or
    /// some time after its end.
    fn see_missed_sla(&mut self, task: &TaskInstance, row: &mut TaskRow, now: Timestamp) {
        let Some(missed) = task.sla_miss.as_ref().filter(|_| !row.sla) else { return };
        row.sla = true;
        let labels = task_labels(task).into_iter().chain([("sla", "airflow".to_owned())]);
        let at = missed.timestamp.map_or(now, Timestamp::from);
        self.count(&family::SLA_MISSES, labels.collect(), at);
    }

    fn count_ended(&mut self, task: &TaskInstance, row: &TaskRow, end: i64, is_attempt: bool) {
        if is_attempt {
            self.count_attempt(task, row.queued_for(task.try_number), end);
        }
        if task.state == TaskState::UpForRetry {
            self.count(&family::RETRIES, task_labels(task), Timestamp(end));
        } else {
            self.count_finish(task, end);
        }
    }

    fn count_finish(&mut self, task: &TaskInstance, end: i64) {
        let mut labels = task_labels(task);
        labels.push(("state", task.state.name().to_owned()));
        self.count(&family::FINISHES, labels, Timestamp(end));
    }

    fn count_attempt(&mut self, task: &TaskInstance, queued: Option<i64>, end: i64) {
        let state = match task.state {
            TaskState::UpstreamFailed | TaskState::Removed => return,
            TaskState::UpForRetry | TaskState::Failed => "failed",
            other => other.name(),
        };
        let start = task.start_date.map(|time| time.0);
        if task.try_number < 1 || (start.is_none() && state != "failed") {
            return;
        }
        let mut labels = task_labels(task);
        labels.push(("state", state.to_owned()));
        self.count(&family::ATTEMPTS, labels, Timestamp(end));
        let Some(start) = start else { return };
        let mut labels = task_labels(task);
        let queued = queued.or(task.queued_when.map(|time| time.0));
        let waited = queued.map(|queued| (start - queued) as f64 / 1e3);
        self.observe(&family::TASK_QUEUE, &labels, start, waited);
        labels.push(("operator", task.operator.clone().unwrap_or_default()));
        let took = task.duration.unwrap_or((end - start) as f64 / 1e3);
        self.observe(&family::TASK_DURATION, &labels, end, Some(took));
    }

    /// All attempts of a task instance: counts those before `now_at` (its present one) that were
    /// not seen.
    pub fn see_tries(&mut self, tries: &[TaskInstance], now_at: i64) {
        let mut tries: Vec<&TaskInstance> = tries.iter().collect();
        tries.sort_by_key(|task| task.try_number);
        for task in tries {
            let key = task_key(task);
            let known = self.tasks.get(&key).cloned();
            let row = known.clone().unwrap_or_default();
            let is_missing = task.try_number > row.counted_try && task.try_number < now_at;
            let Some(end) = task.end_date.filter(|_| is_missing && task.state.ends_attempt())
            else {
                continue;
            };
            let mut row = row;
            if known.is_some() || end.0 > self.cursor.counted_until {
                self.count_try(task, &row, end.0);
            }
            row.counted_try = task.try_number;
            row.counted_state = task.state.name().to_owned();
            row.end = Some(end.0);
            row.open = true; // another attempt follows
            self.dirty.insert(key.clone());
            self.tasks.insert(key, row);
        }
    }

    /// Counts one attempt of the past: a failed one was tried again by Airflow as long as tries were
    /// left, otherwise it was final and somebody cleared it.
    fn count_try(&mut self, task: &TaskInstance, row: &TaskRow, end: i64) {
        let is_retried = task.state == TaskState::Failed && task.try_number <= task.max_tries;
        let state = if is_retried { TaskState::UpForRetry } else { task.state };
        let task = TaskInstance { state, ..task.clone() };
        self.count_ended(&task, row, end, true);
    }

    /// Runs and runs of task instances that should have been shown in this pass and were not: they
    /// were deleted, or moved on in between.
    pub fn lost(&self) -> Vec<RunId> {
        let runs = self.runs.iter().filter(|(_, run)| !run.is_final()).map(|(key, _)| key);
        let tasks = self.tasks.iter().filter(|(_, task)| task.active).map(|(key, _)| key);
        let lost = runs.chain(tasks).filter(|key| !self.seen.contains(*key));
        let ids: BTreeSet<RunId> = lost.map(|key| run_id(key)).collect();
        ids.into_iter().collect()
    }

    /// A lost run is really gone: forgets it and its task instances.
    pub fn forget_run(&mut self, run: &RunId, now: Timestamp) {
        let key = run_key(&run.0, &run.1);
        if self.runs.remove(&key).is_some_and(|row| !row.is_final()) {
            self.count(&family::DELETIONS, vec![("dag_id", run.0.clone())], now);
        }
        self.dirty.insert(key);
        let prefix = format!("t\0{}\0{}\0", run.0, run.1);
        let tasks: Vec<String> =
            self.tasks.range(prefix.clone()..).map(|(k, _)| k.clone()).collect();
        for key in tasks.into_iter().take_while(|key| key.starts_with(&prefix)) {
            self.tasks.remove(&key);
            self.dirty.insert(key);
        }
    }

    /// A lost run exists, but this of its task instances that should be active was not shown: they
    /// are no longer waited for.
    pub fn settle_run(&mut self, run: &RunId) {
        let prefix = format!("t\0{}\0{}\0", run.0, run.1);
        for (key, task) in self.tasks.range_mut(prefix.clone()..) {
            if !key.starts_with(&prefix) {
                break;
            }
            if task.active && !self.seen.contains(key) {
                task.active = false;
                self.dirty.insert(key.clone());
            }
        }
    }
}

impl RunRow {
    fn is_final(&self) -> bool {
        self.state == RunState::Success.name() || self.state == RunState::Failed.name()
    }
}

impl TaskRow {
    /// Keeps the first time of queueing of each attempt: deferrals overwrite it, and a scheduled
    /// retry still shows the one of the attempt before.
    fn note_queued(&mut self, task: &TaskInstance) {
        let has_own =
            matches!(task.state, TaskState::Queued | TaskState::Running | TaskState::Deferred);
        let is_noted = self.queued.is_some_and(|(attempt, _)| attempt == task.try_number);
        if let Some(time) = task.queued_when.filter(|_| has_own && !is_noted) {
            self.queued = Some((task.try_number, time.0));
        }
    }

    fn queued_for(&self, attempt: i64) -> Option<i64> {
        self.queued.filter(|(noted, _)| *noted == attempt).map(|(_, time)| time)
    }
}

fn run_key(dag: &str, run: &str) -> String {
    format!("r\0{dag}\0{run}")
}

fn task_key(task: &TaskInstance) -> String {
    let TaskInstance { dag_id, dag_run_id, task_id, map_index, .. } = task;
    format!("t\0{dag_id}\0{dag_run_id}\0{task_id}\0{map_index}")
}

fn run_id(key: &str) -> RunId {
    let mut parts = key.split('\0').skip(1).map(str::to_owned);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn id_of(task: &TaskInstance) -> TaskId {
    TaskId {
        run: (task.dag_id.clone(), task.dag_run_id.clone()),
        task_id: task.task_id.clone(),
        map_index: task.map_index,
    }
}

fn task_labels(task: &TaskInstance) -> LabelValues {
    vec![("dag_id", task.dag_id.clone()), ("task_id", task.task_id.clone())]
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
