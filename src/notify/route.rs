//! The routing tree: which groups of which receivers an alert belongs to.
//!
//! In: the tree as it is written. Out: nodes with everything they take over filled in, and for a
//! label set the nodes that want it. Never here: groups, time.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use super::config::{GroupBy, RouteConfig};
use super::matcher::MatcherList;
use crate::model::{Labels, Matcher};

const GROUP_WAIT_MS: i64 = 30_000;
const GROUP_INTERVAL_MS: i64 = 5 * 60_000;
const REPEAT_INTERVAL_MS: i64 = 4 * 3_600_000;

/// How long a group waits, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// Before its first notification.
    pub wait_ms: i64,
    /// Between two notifications.
    pub interval_ms: i64,
    /// Before the same is told again.
    pub repeat_ms: i64,
}

/// A node of the tree.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its matchers and those of its parents, `{}/{a="b"}`; not unique.
    pub key: Arc<str>,
    /// The same, made unique by a number.
    pub id: Arc<str>,
    /// Name of the receiver.
    pub receiver: Arc<str>,
    /// By what it groups.
    pub group_by: GroupBy,
    /// How long its groups wait.
    pub timings: Timings,
    /// Names of intervals in which it is silent.
    pub mute: Vec<Arc<str>>,
    /// Names of intervals outside of which it is silent; always active when empty.
    pub active: Vec<Arc<str>>,
    /// Labels for templates; values are templates themselves.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Its own matchers.
    pub matchers: Vec<Matcher>,
    /// Whether its siblings are tried, too.
    pub continue_matching: bool,
    /// Its children.
    pub children: Vec<usize>,
    /// How deep it lies; the root at 0.
    pub depth: usize,
}

/// The whole tree; the root comes first, children after their parents.
#[derive(Clone, Debug)]
pub struct RouteTree {
    nodes: Vec<Route>,
}

impl RouteTree {
    /// Fills in what nodes take over from their parents.
    pub fn new(root: &RouteConfig) -> RouteTree {
        let defaults = Route {
            key: "".into(),
            id: "".into(),
            receiver: "".into(),
            group_by: GroupBy::Labels(Vec::new()),
            timings: Timings {
                wait_ms: GROUP_WAIT_MS,
                interval_ms: GROUP_INTERVAL_MS,
                repeat_ms: REPEAT_INTERVAL_MS,
            },
            mute: Vec::new(),
            active: Vec::new(),
            labels: Arc::default(),
            matchers: Vec::new(),
            continue_matching: false,
            children: Vec::new(),
            depth: 0,
        };
        let mut tree = RouteTree { nodes: Vec::new() };
        let mut seen = HashMap::new();
        tree.add(root, &defaults, &mut seen);
        tree
    }

    /// Recursion as deep as the configuration allows.
    fn add(
        &mut self,
        own: &RouteConfig,
        parent: &Route,
        seen: &mut HashMap<Arc<str>, usize>,
    ) -> usize {
        let at = self.nodes.len();
        let slash = if at == 0 { "" } else { "/" };
        let key: Arc<str> = format!("{}{slash}{}", parent.key, MatcherList(&own.matchers)).into();
        let same = seen.entry(Arc::clone(&key)).or_insert(0);
        *same += 1;
        let id = if *same == 1 { Arc::clone(&key) } else { format!("{key}#{same}").into() };
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let names = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
        let mut labels = (*parent.labels).clone();
        labels.extend(own.labels.clone());
        let node = Route {
            key,
            id,
            receiver: own.receiver.as_deref().map_or(Arc::clone(&parent.receiver), Arc::from),
            group_by: own.group_by.clone().unwrap_or_else(|| parent.group_by.clone()),
            timings: Timings {
                wait_ms: own.group_wait.map_or(parent.timings.wait_ms, ms),
                interval_ms: own.group_interval.map_or(parent.timings.interval_ms, ms),
                repeat_ms: own.repeat_interval.map_or(parent.timings.repeat_ms, ms),
            },
            mute: names(&own.mute_time_intervals),
            active: names(&own.active_time_intervals),
            labels: Arc::new(labels),
            matchers: own.matchers.clone(),
            continue_matching: own.continue_matching,
            children: Vec::new(),
            depth: if at == 0 { 0 } else { parent.depth + 1 },
        };
        self.nodes.push(node.clone());
        let children = own.routes.iter().map(|child| self.add(child, &node, seen)).collect();
        self.nodes[at].children = children;
        at
    }

    /// The node of that number.
    pub fn node(&self, at: usize) -> &Route {
        &self.nodes[at]
    }

    /// All nodes, the root first.
    pub fn nodes(&self) -> &[Route] {
        &self.nodes
    }

    /// The nodes an alert with these labels belongs to, in the order of the tree; never none.
    pub fn matching(&self, labels: &Labels) -> Vec<usize> {
        let mut found = Vec::with_capacity(1);
        self.descend(0, labels, &mut found);
        found
    }

    /// Adds the matches below and at `at`; whether it matched at all.
    fn descend(&self, at: usize, labels: &Labels, found: &mut Vec<usize>) -> bool {
        let node = &self.nodes[at];
        if !node.matchers.iter().all(|matcher| matcher.matches_labels(labels)) {
            return false;
        }
        let before = found.len();
        for child in &node.children {
            if self.descend(*child, labels, found) && !self.nodes[*child].continue_matching {
                break;
            }
        }
        if found.len() == before {
            found.push(at);
        }
        true
    }
}

impl Route {
    /// The labels by which an alert is grouped here.
    pub fn group_labels(&self, labels: &Labels) -> Labels {
        match &self.group_by {
            GroupBy::All => labels.clone(),
            GroupBy::Labels(names) => {
                labels.filter(|name| names.binary_search_by(|own| own.as_str().cmp(name)).is_ok())
            }
        }
    }

    /// The name of the group with these labels, as Alertmanager forms it.
    pub fn group_key(&self, group_labels: &Labels) -> String {
        format!("{}:{}", self.key, LabelSetText(group_labels))
    }
}

/// Displays labels as Go's `LabelSet`: names never in quotes.
pub struct LabelSetText<'a>(pub &'a Labels);

impl std::fmt::Display for LabelSetText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use crate::model::labels::Quoted;
        f.write_char('{')?;
        for (i, (name, value)) in self.0.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{name}={}", Quoted(value))?;
        }
        f.write_char('}')
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::config;
    use super::*;

    fn tree(routes: &str) -> RouteTree {
        let text = format!(
            "route:\n  receiver: root\n  group_by: [alertname]\n  group_wait: 10s\n  labels: {{a: '1', b: '2'}}\n  routes:\n{routes}\n\
             receivers: [{{name: root}}, {{name: x}}, {{name: y}}]\n\
             time_intervals: [{{name: night, time_intervals: []}}]\n"
        );
        let config = config::parse(Path::new("f"), &text).expect("valid");
        RouteTree::new(&config.route)
    }

    fn receivers(tree: &RouteTree, pairs: &[(&str, &str)]) -> Vec<String> {
        let labels = Labels::from_pairs(pairs.iter().copied()).expect("valid");
        tree.matching(&labels).iter().map(|at| tree.node(*at).receiver.to_string()).collect()
    }

    const ROUTES: &str = "
  - matchers: [team=x]
    receiver: x
    mute_time_intervals: [night]
    labels: {b: '3'}
    routes:
    - matchers: [severity=page]
      receiver: y
      continue: true
      group_by: []
    - matchers: ['severity=~\"page|warn\"']
      repeat_interval: 1h
  - matchers: [env=test]
    receiver: y
    continue: true
  - matchers: [env=test]
    receiver: x
    group_by: ['...']";

    #[test]
    fn the_first_child_that_matches_wins_unless_it_continues() {
        let tree = tree(ROUTES);
        for (labels, expected) in [
            (&[("team", "x")][..], &["x"][..]),
            (&[("team", "x"), ("severity", "page")], &["y", "x"]),
            (&[("team", "x"), ("severity", "warn")], &["x"]),
            (&[("env", "test")], &["y", "x"]),
            (&[("env", "test"), ("team", "x")], &["x"]),
            (&[("env", "prod")], &["root"]),
        ] {
            assert_eq!(receivers(&tree, labels), expected, "{labels:?}");
        }
    }

    #[test]
    fn nodes_take_over_all_but_intervals_and_continue() {
        let tree = tree(ROUTES);
        let [_, team, page, warn, test, again] = tree.nodes() else { panic!("six nodes") };
        assert_eq!(&*page.key, r#"{}/{team="x"}/{severity="page"}"#);
        assert_eq!((&*test.key, &*again.id), (r#"{}/{env="test"}"#, r#"{}/{env="test"}#2"#));
        assert_eq!(team.mute.len(), 1);
        assert!(page.mute.is_empty() && page.active.is_empty());
        assert_eq!(page.group_by, GroupBy::Labels(Vec::new()));
        assert_eq!(warn.group_by, GroupBy::Labels(vec!["alertname".to_owned()]));
        assert_eq!(warn.timings.wait_ms, 10_000);
        assert_eq!((warn.timings.repeat_ms, page.timings.repeat_ms), (3_600_000, 4 * 3_600_000));
        assert_eq!((warn.labels["a"].as_str(), warn.labels["b"].as_str()), ("1", "3"));
    }

    #[test]
    fn groups_are_named_as_in_alertmanager() {
        let tree = tree(ROUTES);
        let labels = Labels::from_pairs([("alertname", "A\"b"), ("x", "1")]).expect("valid");
        let root = tree.node(0);
        assert_eq!(root.group_key(&root.group_labels(&labels)), r#"{}:{alertname="A\"b"}"#);
        let every = tree.node(5);
        assert_eq!(
            every.group_key(&every.group_labels(&labels)),
            r#"{}/{env="test"}:{alertname="A\"b", x="1"}"#
        );
    }
}
