//! What the traffic of an Airflow has told about it.
//!
//! In: names as they are met for the first time. Out: its version, its backend, its DAG ids, and in
//! which form each metric comes. All of it is small and bounded; nothing is ever unlearned but by a
//! newer version.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::{ONLY_2, ONLY_3};

/// Most DAG ids remembered for one instance; beyond it ids with dots are split at the first dot.
const DAGS_MAX: usize = 50_000;

/// The major version of an Airflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 2.x.
    V2,
    /// 3.x.
    V3,
}

/// In which form a metric comes; of two forms the higher one tells more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// The new name without tags: plain StatsD strips them.
    Bare,
    /// The old name with ids in it.
    Dotted,
    /// The new name with tags.
    Tagged,
}

/// What is known of one instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Learned {
    pub version: Option<Version>,
    pub dogstatsd: bool,
    /// Whether any metric came with its tags.
    pub tagged: bool,
    pub dags: BTreeSet<String>,
    /// The best form of each metric, by its number.
    pub forms: BTreeMap<u16, Form>,
}

impl Learned {
    /// Learns from a name behind the prefix; true when what was decided before may change.
    pub(super) fn learn(&mut self, name: &str, dogstatsd: bool) -> bool {
        let before = (self.version, self.dogstatsd);
        self.dogstatsd |= dogstatsd;
        let starts = |all: &[&str]| all.iter().any(|start| name.starts_with(start));
        if starts(ONLY_3) {
            self.version = Some(Version::V3);
        } else if self.version.is_none() && (starts(ONLY_2) || is_finish_of_2(name)) {
            self.version = Some(Version::V2);
        }
        before != (self.version, self.dogstatsd)
    }

    /// Learns a DAG's id; true when names with that id were split otherwise before.
    pub(super) fn learn_dag(&mut self, dag: &str) -> bool {
        let room = self.dags.len() < DAGS_MAX;
        room && dag.contains('.') && self.dags.insert(dag.to_owned())
    }
}

/// 2.x sends a zero for each state a task could end in, some of which 3.x has no more.
fn is_finish_of_2(name: &str) -> bool {
    name.starts_with("ti.finish.") && (name.ends_with(".None") || name.ends_with(".shutdown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_show_in_names() {
        let mut learned = Learned::default();
        assert!(!learned.learn("scheduler_heartbeat", false));
        assert!(learned.learn("ti.finish.a.b.None", false));
        assert_eq!(learned.version, Some(Version::V2));
        assert!(!learned.learn("dataset.updates", false));
        assert!(learned.learn("dag_processor_heartbeat", true), "an upgrade");
        assert_eq!((learned.version, learned.dogstatsd), (Some(Version::V3), true));
        assert!(!learned.learn("dataset.updates", false), "never back");
    }

    #[test]
    fn only_ids_with_dots_are_worth_remembering() {
        let mut learned = Learned::default();
        assert!(!learned.learn_dag("plain"));
        assert!(learned.learn_dag("with.dot"));
        assert!(!learned.learn_dag("with.dot"));
    }
}
