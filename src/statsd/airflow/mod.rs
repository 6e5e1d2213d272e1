//! StatsD from Airflow, understood without a mapping file.
//!
//! In: a name with its tags, and who sent it. Out: the series it belongs to under the names this
//! server gives Airflow's metrics, with values in seconds and the label `airflow` naming the
//! instance. Never here: values, the series themselves, the Airflow API.
//!
//! Airflow sends most metrics twice, under a new name with tags and under an old one with ids in it;
//! plain StatsD strips the tags, so that the new name arrives bare. Of the forms of one metric the
//! one that tells most is kept: tagged before dotted before bare. [`catalogue`] lists the names,
//! [`dotted`] takes ids out of them, [`units`] knows what a timer's value is, [`learned`] holds what
//! the traffic has told about its sender.

mod catalogue;
mod dotted;
mod learned;
mod units;

use std::borrow::Cow;

use self::catalogue::{ENTRIES, Entry, STATES_FROM_ZERO, Unit};
use self::dotted::Ids;
use self::learned::Learned;
pub use self::learned::{Form, Version};
use self::units::{Sender, divisor};
use super::line::{Kind, Value};
use super::listen::source::Origin;
use super::name::{Tags, escape, set};
use super::observer::{HistogramOptions, NativeOptions, ObserverOptions};
use super::resolve::{Spec, Treatment, Twin, What};

/// What every name of Airflow begins with here.
const STORED_PREFIX: &str = "airflow_";
/// What names begin with whose metric the Airflow API tells too, when it is asked.
const TWIN_PREFIX: &str = "airflow_statsd_";
/// The label `job` of every series.
const JOB: &str = "airflow";
/// What a DogStatsD client tells about itself; of no use here.
const CLIENT_TELEMETRY: &str = "datadog.dogstatsd.client.";
/// Upper bounds in seconds for tasks and runs, which take from a second to a day: those of what the
/// API tells (`airflow::family`), so that both can be added up.
const LONG_BUCKETS: [f64; 13] =
    [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0];
/// Upper bounds in seconds for what the scheduler does.
const SHORT_BUCKETS: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// Growth of the bounds of native histograms.
const NATIVE_FACTOR: f64 = 1.1;
/// The metric that counts processes up and down: what it is the sum of.
const PROCESSES: &str = "dag_processing.processes";
/// Sent twice for each run by 3.x under its old name.
const SENT_TWICE: &str = "dagrun.first_task_scheduling_delay";

/// One Airflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The value of the label `airflow`.
    pub name: String,
    /// What its names begin with (`[metrics] statsd_prefix`), without the dot.
    pub prefix: String,
    /// The origin its lines have; `None` for any.
    pub origin: Option<Origin>,
    /// Its version; `None` to tell it by what it sends.
    pub version: Option<Version>,
    /// Whether a 2.x is set to send milliseconds throughout (`timer_unit_consistency`).
    pub timer_unit_consistency: bool,
    /// Whether its API is asked too: tasks, runs and slots of pools are then stored under
    /// `airflow_statsd_*`, because the API tells them more reliably.
    pub has_api: bool,
}

impl Instance {
    /// An Airflow with the usual prefix, told apart by nothing.
    pub fn new(name: &str) -> Instance {
        Instance {
            name: name.to_owned(),
            prefix: "airflow".to_owned(),
            origin: None,
            version: None,
            timer_unit_consistency: false,
            has_api: false,
        }
    }
}

/// The built-in mapping.
#[derive(Clone, Debug)]
pub struct Airflow {
    instances: Vec<Instance>,
    long: ObserverOptions,
    short: ObserverOptions,
}

/// What was learned about every instance, and what follows for what was decided before.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    learned: Vec<Learned>,
    /// Decisions made before may have become wrong.
    pub changed: bool,
    /// Forms that a better one has outdone.
    pub outdone: Vec<Twin>,
}

/// What the built-in mapping says.
#[derive(Debug)]
pub enum Answer {
    /// It has this series.
    Series(Box<Spec>),
    /// A better form of the same metric comes too, or the client speaks of itself.
    Duplicate,
    /// This value says nothing; another one of the same name may.
    Nothing,
    /// Whether the value is in seconds is not known yet.
    Waits,
}

impl Airflow {
    /// A mapping for `instances`; names that begin with `airflow.` and belong to none of them are
    /// those of an instance called `other`. With `native` histograms are native ones.
    pub fn new(mut instances: Vec<Instance>, other: &str, native: bool) -> Airflow {
        instances.push(Instance::new(other));
        let options = |buckets: &[f64]| {
            let options = match native {
                true => HistogramOptions::new(Vec::new(), NativeOptions::new(NATIVE_FACTOR, 0)),
                false => HistogramOptions::new(buckets.to_vec(), None),
            };
            ObserverOptions::histogram(options.expect("BUG: valid constants"))
        };
        Airflow { instances, long: options(&LONG_BUCKETS), short: options(&SHORT_BUCKETS) }
    }

    /// The instances, the one for everything else last.
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// What becomes of a sample; `None` when it is none of Airflow's.
    pub fn resolve(
        &self,
        origin: Origin,
        name: &str,
        tags: &Tags<'_>,
        value: &Value<'_>,
        dogstatsd: bool,
        knowledge: &mut Knowledge,
    ) -> Option<Answer> {
        if name.starts_with(CLIENT_TELEMETRY) {
            return Some(Answer::Duplicate);
        }
        let (index, name) = self.instance_of(origin, name)?;
        let instance = &self.instances[index];
        knowledge.learned.resize_with(self.instances.len(), Learned::default);
        let learned = &mut knowledge.learned[index];
        if instance.version.is_some() {
            learned.version = instance.version;
        }
        knowledge.changed |= learned.learn(name, dogstatsd);
        let Some(found) = find(name, tags, learned) else {
            return Some(self.general(instance, name, tags, value, learned));
        };
        if let Some((_, dag)) = found.lone_dag() {
            knowledge.changed |= learned.learn_dag(dag);
        }
        learned.tagged |= found.form == Form::Tagged;
        let twin = Twin { instance: index as u16, metric: found.metric, form: found.form };
        if !found.entry.dotted.is_empty() {
            match learned.forms.get(&found.metric) {
                Some(best) if *best > found.form => return Some(Answer::Duplicate),
                Some(best) if *best == found.form => {}
                _ => {
                    learned.forms.insert(found.metric, found.form);
                    knowledge.outdone.push(twin);
                }
            }
        }
        Some(self.known(instance, &found, tags, value, learned, twin))
    }

    /// Takes 2.x for the version of instances that have not told theirs; true when that decides
    /// anything. Every 3.x tells its own within seconds.
    pub fn settle(&self, knowledge: &mut Knowledge) -> bool {
        let unknown = knowledge.learned.iter_mut().filter(|learned| learned.version.is_none());
        let settled = unknown.map(|learned| learned.version = Some(Version::V2)).count();
        knowledge.changed |= settled > 0;
        settled > 0
    }

    fn instance_of<'n>(&self, origin: Origin, name: &'n str) -> Option<(usize, &'n str)> {
        self.instances.iter().enumerate().find_map(|(index, instance)| {
            let here = instance.origin.is_none_or(|own| own == origin);
            let rest = name.strip_prefix(instance.prefix.as_str()).filter(|_| here)?;
            let rest = match instance.prefix.is_empty() {
                true => rest,
                false => rest.strip_prefix('.')?,
            };
            (!rest.is_empty()).then_some((index, rest))
        })
    }

    /// A metric of the catalogue.
    fn known(
        &self,
        instance: &Instance,
        found: &Found<'_>,
        tags: &Tags<'_>,
        value: &Value<'_>,
        learned: &Learned,
        twin: Twin,
    ) -> Answer {
        let entry = found.entry;
        let sender = sender(instance, learned);
        let Some(timer_divisor) = divisor(entry.unit, sender) else { return Answer::Waits };
        let mut labels = labels(entry.stored, tags);
        for (key, id) in &found.ids {
            set(&mut labels, key, Cow::Borrowed(id));
        }
        if let Some((key, value)) = entry.fixed {
            set(&mut labels, key, Cow::Borrowed(value));
        }
        if is_empty_state(entry, &labels, value) {
            return Answer::Nothing;
        }
        if let Some(pool) = label(&labels, "pool_name").map(str::to_owned) {
            set(&mut labels, "pool", Cow::Owned(pool));
        }
        let processes = entry.name == PROCESSES;
        let twice = entry.name == SENT_TWICE && found.form == Form::Dotted;
        let dotted_among_tagged = found.form == Form::Dotted && learned.tagged;
        let twofold = !entry.dotted.is_empty();
        let treatment = Treatment {
            signed: processes,
            floor: processes,
            drop_repeats: twice,
            hold: twofold && (found.form == Form::Bare || dotted_among_tagged),
            twin: twofold.then_some(twin),
        };
        let own = instance.has_api && entry.is_told_by_api;
        let prefix = if own { TWIN_PREFIX } else { STORED_PREFIX };
        let kind = if processes { Kind::Gauge } else { value.kind() };
        let stored = format!("{prefix}{}", entry.stored);
        let mut spec = self.spec(instance, &stored, kind, entry.unit, labels);
        spec.timer_divisor = timer_divisor;
        spec.treatment = treatment;
        Answer::Series(Box::new(spec))
    }

    /// Any other metric.
    fn general(
        &self,
        instance: &Instance,
        name: &str,
        tags: &Tags<'_>,
        value: &Value<'_>,
        learned: &Learned,
    ) -> Answer {
        let (name, job) = match job_event(name) {
            Some((job, event)) => (event, Some(job)),
            None => (name, None),
        };
        let bare = escape(name);
        let mut labels = labels(&bare, tags);
        if let Some(job) = job {
            set(&mut labels, "job_name", Cow::Owned(job.to_owned()));
        }
        let stored = format!("{STORED_PREFIX}{bare}");
        let mut spec = self.spec(instance, &stored, value.kind(), Unit::Timer, labels);
        let sender = sender(instance, learned);
        spec.timer_divisor = divisor(Unit::Timer, sender).unwrap_or(spec.timer_divisor);
        Answer::Series(Box::new(spec))
    }

    fn spec(
        &self,
        instance: &Instance,
        stored: &str,
        kind: Kind,
        unit: Unit,
        mut labels: Tags<'_>,
    ) -> Spec {
        let (what, ending) = match (kind, unit) {
            (Kind::Counter, _) => (What::Counter, "_total"),
            (Kind::Gauge, _) => (What::Gauge, ""),
            (Kind::Set, _) => (What::Set, ""),
            (Kind::Observer, Unit::Duration | Unit::Queued) => {
                (What::Observer(self.long.clone()), "_seconds")
            }
            (Kind::Observer, _) => (What::Observer(self.short.clone()), "_seconds"),
        };
        set(&mut labels, "airflow", Cow::Owned(instance.name.clone()));
        // As what the API tells has them; dashboards ask for these two. What is configured stays.
        for (key, value) in [("job", JOB), ("instance", instance.name.as_str())] {
            if label(&labels, key).is_none() {
                set(&mut labels, key, Cow::Owned(value.to_owned()));
            }
        }
        let mut spec = Spec::new(format!("{stored}{ending}"), what);
        spec.tags = labels
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key, value.into_owned()))
            .collect();
        spec
    }
}

/// A metric of the catalogue, found in a name.
struct Found<'a> {
    metric: u16,
    entry: &'static Entry,
    form: Form,
    ids: Ids<'a>,
}

impl Found<'_> {
    /// The DAG's id when the name says for certain where it ends.
    fn lone_dag(&self) -> Option<(&'static str, &str)> {
        match self.ids.as_slice() {
            [only @ ("dag_id", _)] => Some(*only),
            _ => None,
        }
    }
}

fn find<'a>(name: &'a str, tags: &Tags<'_>, learned: &Learned) -> Option<Found<'a>> {
    if let Some(at) = ENTRIES.iter().position(|entry| entry.name == name) {
        let entry = &ENTRIES[at];
        let form = if is_tagged(entry, tags) { Form::Tagged } else { Form::Bare };
        return Some(Found { metric: at as u16, entry, form, ids: Ids::new() });
    }
    ENTRIES.iter().enumerate().find_map(|(at, entry)| {
        let mut ids = dotted::ids(entry.dotted, name, &learned.dags)?;
        if learned.version == Some(Version::V2)
            && let [("bundle_name", first), ("dag_file", _)] = ids.as_slice()
        {
            // 2.x knows no bundles: the dot is the file's.
            let start = name.len() - first.len() - 1 - ids[1].1.len();
            ids = vec![("dag_file", &name[start..])];
        }
        ids.retain(|(key, _)| *key != "job_id");
        Some(Found { metric: at as u16, entry, form: Form::Dotted, ids })
    })
}

/// Whether the tags hold what the old name would have held.
fn is_tagged(entry: &Entry, tags: &Tags<'_>) -> bool {
    let has = |wanted: &str| {
        tags.iter()
            .any(|(key, _)| key == wanted || catalogue::label_of(entry.stored, key) == Some(wanted))
    };
    let wanted = entry.dotted.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let mut wanted = wanted.filter(|key| !matches!(*key, "job_id" | "bundle_name" | "queue"));
    match wanted.next() {
        Some(first) => has(first) && wanted.all(has),
        None => has("dag_id"),
    }
}

/// `scheduler_job_start` and the like: the job and what happened to it.
fn job_event(name: &str) -> Option<(&str, &'static str)> {
    const EVENTS: [(&str, &str); 3] = [
        ("_heartbeat_failure", "job_heartbeat_failure"),
        ("_start", "job_start"),
        ("_end", "job_end"),
    ];
    let lone = !name.contains('.');
    EVENTS.into_iter().filter(|_| lone).find_map(|(ending, event)| {
        let job = name.strip_suffix(ending)?;
        (!job.is_empty()).then_some((job, event))
    })
}

fn sender(instance: &Instance, learned: &Learned) -> Sender {
    Sender {
        version: learned.version,
        dogstatsd: learned.dogstatsd,
        consistent: instance.timer_unit_consistency,
    }
}

/// The tags as labels: under one name in all versions, without what has no end.
fn labels<'a>(stored: &str, tags: &Tags<'a>) -> Tags<'a> {
    let mut labels = Tags::new();
    for (key, value) in tags.iter().filter(|(key, _)| !catalogue::is_dropped(stored, key)) {
        set(&mut labels, catalogue::label_of(stored, key).unwrap_or(key), value.clone());
    }
    labels
}

fn label<'a>(labels: &'a Tags<'_>, key: &str) -> Option<&'a str> {
    labels.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_ref())
}

/// Whether this is a zero that 2.x sends for each state a task might end in, and the state is one
/// that seldom comes: a series for each would be many.
fn is_empty_state(entry: &Entry, labels: &Tags<'_>, value: &Value<'_>) -> bool {
    let rare = |state: &str| !STATES_FROM_ZERO.contains(&state);
    entry.name == "ti.finish"
        && *value == Value::Count(0.0)
        && label(labels, "state").is_some_and(rare)
}

#[cfg(test)]
mod tests;
