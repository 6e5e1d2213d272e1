//! One pass over one instance: what is asked, in which order, and what becomes of the answers.
//!
//! In: a [`Client`], the remembered [`State`] and the time. Out: [`Points`] to be written. Never
//! here: threads, the store.
//!
//! The order matters: what is active is read before what changed, so that of two looks at one thing
//! the later one counts.

use std::collections::HashSet;

use serde::de::DeserializeOwned;

use super::answer::{ACTIVE_TASK_STATES, Dag, DagStats, Health, Page, Pool, Run, TaskInstance};
use super::client::{Api, Client, PAGE_ENTRIES};
use super::error::PollError;
use super::gauges::{self, Gauge};
use super::options::DagFilter;
use super::state::{RunId, State, TriesWanted};
use crate::model::Timestamp;
use crate::url_text::segment;

/// What is read again of the time before the cursor: transactions that were open then.
const OVERLAP_MS: i64 = 120_000;
/// Pages of changes after which the next pass reads a shorter piece of history.
const PAGES_MANY: u64 = 40;
/// Pages of changes up to which the next pass reads a longer one: one of runs, one of tasks.
const PAGES_FEW: u64 = 2;
/// Shortest window that is halved because it holds more than a page.
const HALVED_MS_MIN: i64 = 1_000;
/// Most pages of one list; beyond it the list is not complete and the pass says so.
const PAGES_MAX: usize = 100;
/// DAGs named in one request; ids have up to 250 characters and an address about 8000.
const DAGS_NAMED_MAX: usize = 25;
/// Most requests for single runs and earlier attempts in one pass; the next one goes on.
const DETAILS_MAX: usize = 100;

/// What one pass found out.
#[derive(Debug, Default)]
pub struct Points {
    /// Gauges read in this pass.
    pub gauges: Vec<Gauge>,
    /// Gauges that are read more rarely; `None` when it was not their turn.
    pub inventory: Option<Vec<Gauge>>,
    /// Whether the cursor has reached the present.
    pub is_caught_up: bool,
    /// What was not read though it should have been, and why; the pass went on without.
    pub warnings: Vec<String>,
}

/// One pass over one instance.
pub struct Poll<'a> {
    /// Asks the instance.
    pub client: &'a mut Client,
    /// What is remembered of it.
    pub state: &'a mut State,
    /// Which DAGs count.
    pub dags: &'a DagFilter,
    /// The time now.
    pub now: Timestamp,
    /// Whether it is the turn of pools, import errors and the list of DAGs.
    pub with_inventory: bool,
    /// How far back the very first pass looks, in ms.
    pub backfill_ms: i64,
    /// Asked before each request: whether to give up.
    pub is_stopped: &'a dyn Fn() -> bool,
    /// Requests for details still allowed.
    details: usize,
    /// Pages of changes read so far.
    pages_read: u64,
}

impl<'a> Poll<'a> {
    /// A pass that is about to begin.
    pub fn new(
        client: &'a mut Client,
        state: &'a mut State,
        dags: &'a DagFilter,
        now: Timestamp,
        is_stopped: &'a dyn Fn() -> bool,
    ) -> Poll<'a> {
        let (with_inventory, backfill_ms) = (true, 0);
        let (details, pages_read) = (DETAILS_MAX, 0);
        Poll {
            client,
            state,
            dags,
            now,
            with_inventory,
            backfill_ms,
            is_stopped,
            details,
            pages_read,
        }
    }

    /// Does the pass. What was seen before an error is in the state: nothing has to be undone, the
    /// cursor just stays where it was.
    ///
    /// # Errors
    /// The instance does not answer as it should.
    pub fn run(mut self, points: &mut Points) -> Result<(), PollError> {
        let (api, version) = self.client.version()?;
        let (health, server_ms): (Health, _) = self.get(api.health())?;
        let server_now = server_ms.unwrap_or(self.now.0);
        gauges::health(&health, self.now, &mut points.gauges);
        points.gauges.push(gauges::gauge("airflow_info", &[("version", &version)], 1.0));
        if self.state.cursor().read_until == 0 {
            self.state.begin_at(server_now.saturating_sub(self.backfill_ms));
        }
        self.state.begin_pass();
        self.sweep(points)?;
        let from = self.state.cursor().read_until.saturating_sub(OVERLAP_MS);
        let piece = self.state.history_ms();
        let until = server_now.min(self.state.cursor().read_until.saturating_add(piece));
        points.is_caught_up = until == server_now;
        let end = (!points.is_caught_up).then_some(until);
        self.pages_read = 0;
        let mut is_complete = self.changed_runs(from, end, server_now)?;
        is_complete &= self.changed_tasks(from, end, server_now)?;
        match self.pages_read {
            0..=PAGES_FEW => self.state.lengthen_history(),
            PAGES_MANY.. => self.state.shorten_history(),
            _ => {}
        }
        is_complete &= self.look_for_lost(points)?;
        self.state.check_slas(self.now);
        if is_complete {
            self.state.advance(until);
        } else {
            points.warnings.push("more changed than one pass reads; the next goes on".to_owned());
        }
        gauges::freshness(self.state, self.now, &mut points.gauges);
        gauges::last_runs(self.state, &mut points.gauges);
        if self.with_inventory {
            points.inventory = Some(self.inventory(&mut points.warnings)?);
        }
        Ok(())
    }

    fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<(T, Option<i64>), PollError> {
        match (self.is_stopped)() {
            true => Err(PollError::Stopped),
            false => self.client.get(path),
        }
    }

    /// Everything active now.
    fn sweep(&mut self, points: &mut Points) -> Result<(), PollError> {
        let path = "/dags/~/dagRuns?state=running&state=queued";
        let (mut runs, all_runs) = self.pages::<Run>(path)?;
        runs.retain(|run| self.dags.accepts(&run.dag_id));
        for run in &runs {
            self.state.see_run(run, self.now);
        }
        let states: Vec<String> =
            ACTIVE_TASK_STATES.iter().map(|state| format!("state={}", state.name())).collect();
        let path = format!("/dags/~/dagRuns/~/taskInstances?{}", states.join("&"));
        let (mut tasks, all_tasks) = self.pages::<TaskInstance>(&path)?;
        tasks.retain(|task| self.dags.accepts(&task.dag_id));
        for task in &tasks {
            self.see_task(task)?;
        }
        if !all_runs || !all_tasks {
            points.warnings.push(format!("more than {PAGES_MAX} pages are active"));
        }
        gauges::runs(&runs, self.now, &mut points.gauges);
        gauges::tasks(&tasks, self.now, &mut points.gauges);
        Ok(())
    }

    /// A whole list, and whether it is complete. Entries that move between the pages meanwhile are
    /// found by the next pass.
    fn pages<T: DeserializeOwned>(&mut self, path: &str) -> Result<(Vec<T>, bool), PollError> {
        let mut items = Vec::new();
        let mark = if path.contains('?') { '&' } else { '?' };
        for number in 0..PAGES_MAX {
            let offset = number * PAGE_ENTRIES;
            let path = format!("{path}{mark}limit={PAGE_ENTRIES}&offset={offset}");
            let (page, _): (Page<T>, _) = self.get(&path)?;
            let is_last =
                page.items.len() < PAGE_ENTRIES || offset + page.items.len() >= page.total_entries;
            items.extend(page.items);
            if is_last {
                return Ok((items, true));
            }
        }
        Ok((items, false))
    }

    /// What `list` holds of the time from `from` to `until` (open without one), in windows of at
    /// most one page: neither version sorts task instances in a way that makes pages reliable.
    /// False when a second alone holds more and its pages did not add up.
    fn changed<T: DeserializeOwned>(
        &mut self,
        list: &str,
        from: i64,
        until: Option<i64>,
        server_now: i64,
        identity: fn(&T) -> String,
    ) -> Result<(Vec<T>, bool), PollError> {
        let mut found = Vec::new();
        let mut is_complete = true;
        let mut windows = vec![(from, until)];
        while let Some((from, until)) = windows.pop() {
            let filter = window_filter(from, until);
            let path = format!("{list}?{filter}&limit={PAGE_ENTRIES}");
            let (page, _): (Page<T>, _) = self.get(&path)?;
            self.pages_read += 1;
            let end = until.unwrap_or(server_now);
            if page.total_entries <= page.items.len() {
                found.extend(page.items);
            } else if end.saturating_sub(from) > HALVED_MS_MIN {
                let middle = from + (end - from) / 2;
                // The later half comes later; the bound itself is in both.
                windows.extend([(middle, until), (from, Some(middle))]);
            } else {
                let (items, _) = self.pages::<T>(&format!("{list}?{filter}"))?;
                let distinct: HashSet<String> = items.iter().map(identity).collect();
                is_complete &= distinct.len() >= page.total_entries;
                found.extend(items);
            }
        }
        Ok((found, is_complete))
    }

    fn changed_runs(
        &mut self,
        from: i64,
        until: Option<i64>,
        server_now: i64,
    ) -> Result<bool, PollError> {
        let list = "/dags/~/dagRuns";
        let identity = |run: &Run| format!("{}\0{}", run.dag_id, run.dag_run_id);
        let (runs, is_complete) = self.changed(list, from, until, server_now, identity)?;
        for run in runs.iter().filter(|run| self.dags.accepts(&run.dag_id)) {
            self.state.see_run(run, self.now);
        }
        Ok(is_complete)
    }

    fn changed_tasks(
        &mut self,
        from: i64,
        until: Option<i64>,
        server_now: i64,
    ) -> Result<bool, PollError> {
        let list = "/dags/~/dagRuns/~/taskInstances";
        let identity = |t: &TaskInstance| {
            format!("{}\0{}\0{}\0{}", t.dag_id, t.dag_run_id, t.task_id, t.map_index)
        };
        let (tasks, mut is_complete) = self.changed(list, from, until, server_now, identity)?;
        for task in tasks.iter().filter(|task| self.dags.accepts(&task.dag_id)) {
            is_complete &= self.see_task(task)?;
        }
        Ok(is_complete)
    }

    /// Shows a task instance to the state, after its earlier attempts where those are missing. False
    /// when there was no room for asking.
    fn see_task(&mut self, task: &TaskInstance) -> Result<bool, PollError> {
        let Some(wanted) = self.state.see_task(task, self.now, true) else {
            return Ok(true);
        };
        if self.details == 0 {
            return Ok(false);
        }
        self.details -= 1;
        let tries: Option<Page<TaskInstance>> = self.optional(&tries_path(&wanted))?;
        if let Some(tries) = tries {
            self.state.see_tries(&tries.items, task.try_number);
        }
        self.state.see_task(task, self.now, false);
        Ok(true)
    }

    /// An answer, or `None` when there is no such thing (any more).
    fn optional<T: DeserializeOwned>(&mut self, path: &str) -> Result<Option<T>, PollError> {
        match self.get(path) {
            Ok((value, _)) => Ok(Some(value)),
            Err(PollError::Status { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for runs that should have been seen: a deleted one is forgotten, of another everything
    /// is read once.
    fn look_for_lost(&mut self, points: &mut Points) -> Result<bool, PollError> {
        // While old changes are read, what is active now cannot be compared with them.
        if !points.is_caught_up {
            return Ok(true);
        }
        for id in self.state.lost() {
            if self.details == 0 {
                return Ok(false);
            }
            self.details -= 1;
            self.look_for(&id)?;
        }
        Ok(true)
    }

    fn look_for(&mut self, id: &RunId) -> Result<(), PollError> {
        let path = format!("/dags/{}/dagRuns/{}", segment(&id.0), segment(&id.1));
        let Some(run) = self.optional::<Run>(&path)? else {
            self.state.forget_run(id, self.now);
            return Ok(());
        };
        self.state.see_run(&run, self.now);
        let (tasks, _) = self.pages::<TaskInstance>(&format!("{path}/taskInstances"))?;
        for task in &tasks {
            self.see_task(task)?;
        }
        self.state.settle_run(id);
        Ok(())
    }

    /// Pools, import errors and the list of DAGs. A user may lack the permission for some of them.
    fn inventory(&mut self, warnings: &mut Vec<String>) -> Result<Vec<Gauge>, PollError> {
        let mut out = Vec::new();
        let dags = self.permitted::<Dag>("/dags", warnings)?;
        if let Some(mut dags) = dags {
            dags.retain(|dag| self.dags.accepts(&dag.dag_id));
            let ids: HashSet<&str> = dags.iter().map(|dag| dag.dag_id.as_str()).collect();
            self.state.keep_dags(|id| ids.contains(id));
            gauges::dags(&dags, &mut out);
            self.all_runs(&dags, &mut out)?;
        }
        if let Some(pools) = self.permitted::<Pool>("/pools", warnings)? {
            gauges::pools(&pools, &mut out);
        }
        let path = "/importErrors?limit=1";
        match self.get::<Page<serde_json::Value>>(path) {
            Ok((page, _)) => {
                let count = page.total_entries as f64;
                out.push(gauges::gauge("airflow_import_errors", &[], count));
            }
            Err(error @ PollError::Refused { .. }) => warnings.push(error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(out)
    }

    /// How many runs the server knows of each DAG. Airflow 2 wants the DAGs to be named.
    fn all_runs(&mut self, dags: &[Dag], out: &mut Vec<Gauge>) -> Result<(), PollError> {
        for some in dags.chunks(DAGS_NAMED_MAX) {
            let (api, _) = self.client.version()?;
            let ids: Vec<String> =
                some.iter().map(|dag| segment(&dag.dag_id).to_string()).collect();
            let filter = match api {
                Api::V1 => format!("dag_ids={}", ids.join(",")),
                Api::V2 => format!("dag_ids={}", ids.join("&dag_ids=")),
            };
            // Older versions do not have it.
            if let Some(stats) = self.optional::<Page<DagStats>>(&format!("/dagStats?{filter}"))? {
                gauges::all_runs(&stats.items, out);
            }
        }
        Ok(())
    }

    fn permitted<T: DeserializeOwned>(
        &mut self,
        path: &str,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Vec<T>>, PollError> {
        match self.pages(path) {
            Ok((items, _)) => Ok(Some(items)),
            Err(error @ PollError::Refused { .. }) => {
                warnings.push(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn window_filter(from: i64, until: Option<i64>) -> String {
    let from = Timestamp(from);
    match until {
        None => format!("updated_at_gte={from}"),
        Some(until) => format!("updated_at_gte={from}&updated_at_lte={}", Timestamp(until)),
    }
}

fn tries_path(wanted: &TriesWanted) -> String {
    let task = &wanted.task;
    let mapped = match task.map_index {
        -1 => String::new(),
        index => format!("/{index}"),
    };
    format!(
        "/dags/{}/dagRuns/{}/taskInstances/{}{mapped}/tries",
        segment(&task.run.0),
        segment(&task.run.1),
        segment(&task.task_id),
    )
}
