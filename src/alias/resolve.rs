//! The table of aliases, spelled out: one entry for each name a query can use.
//!
//! In: [`super::table`]. Out: [`Table`], built once. Endings of histograms and summaries are names of
//! their own here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::table::{COUNTERS, DATABAND, DATABAND_LABELS, ENTRIES, From, Kind, Shape, TIMERS};
use crate::model::labels::METRIC_NAME;
use crate::model::{MatchOp, Matcher, MetricType};

/// How several stored series become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// What they have grown by is added up; resets do not show.
    Counter,
    /// What is there is added up.
    Gauge,
}

/// One name.
#[derive(Clone, Debug)]
pub(super) struct Alias {
    /// The name.
    pub name: String,
    /// How its series are put together.
    pub mode: Mode,
    /// The first that is there counts.
    pub sources: Vec<Source>,
    /// Labels that do not tell two series of one thing apart.
    pub beside: Vec<&'static str>,
}

/// One source of a name; as [`From`], with the ending of the stored name.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Name of the stored metric.
    pub metric: String,
    /// Finds its series: the name, and the labels it must have.
    pub matchers: Vec<Matcher>,
    /// Labels the alias does not have.
    pub dropped: Vec<&'static str>,
    /// Stored label, label of the alias.
    pub renamed: Vec<(&'static str, &'static str)>,
    /// Labels the alias has beside them.
    pub fixed: Vec<(&'static str, &'static str)>,
    /// What becomes of the values.
    pub shape: Shape,
    /// As in [`From`].
    pub owned: bool,
}

/// What the metadata says of an alias family.
#[derive(Clone, Debug)]
pub(super) struct Family {
    /// Type of the alias.
    pub metric_type: MetricType,
    /// Stored families it is made of; the first one's help says what it is.
    pub stored: Vec<&'static str>,
}

/// All aliases.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By the name a query uses.
    pub names: BTreeMap<String, Alias>,
    /// By the name of the family.
    pub families: BTreeMap<String, Family>,
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::build);

/// The table.
pub(super) fn table() -> &'static Table {
    &TABLE
}

impl Table {
    fn build() -> Table {
        let mut table = Table::default();
        for entry in ENTRIES {
            for name in entry.names {
                table.add(name, entry.kind, entry.from, entry.beside);
            }
        }
        for (list, kind) in [(COUNTERS, Kind::Counter), (TIMERS, Kind::Summary)] {
            for (name, stored) in list {
                table.add(name, kind, &[From::plain(stored)], &["job", "instance"]);
            }
        }
        table.add_databand();
        table
    }

    fn add(&mut self, name: &str, kind: Kind, from: &[From], beside: &[&'static str]) {
        let stored: Vec<&'static str> = from.iter().map(|source| source.family()).collect();
        let family = Family { metric_type: metric_type(kind), stored };
        self.families.entry(name.to_owned()).or_insert(family);
        for (ending, mode, sources) in endings(kind, from) {
            let name = format!("{name}{ending}");
            let is_itself = |source: &Source| source.metric == name && source.is_plain();
            let sources: Vec<Source> = sources.into_iter().filter(|s| !is_itself(s)).collect();
            let alias = Alias { name: name.clone(), mode, sources, beside: beside.to_vec() };
            let before = self.names.insert(name, alias);
            debug_assert!(before.is_none(), "BUG: {:?} is there twice", before.map(|a| a.name));
        }
    }

    fn add_databand(&mut self) {
        for (name, base) in DATABAND {
            let family = self.families.get(*base).cloned();
            let stored = Family { metric_type: MetricType::Gauge, stored: vec![*base] };
            self.families.insert((*name).to_owned(), family.unwrap_or(stored));
            for ending in ["", "_bucket", "_sum", "_count"] {
                let full = format!("{base}{ending}");
                let known = self.names.get(&full).cloned();
                // A gauge that is stored under that name counts before the alias of that name.
                let is_gauge = known.as_ref().is_none_or(|alias| alias.mode == Mode::Gauge);
                let itself = (ending.is_empty() && is_gauge).then(|| From::plain(base));
                let itself = itself.map(|from| source(&from, "", from.shape));
                let before = known.iter().flat_map(|alias| alias.sources.iter().cloned());
                let mut sources: Vec<Source> = itself.into_iter().chain(before).collect();
                sources.iter_mut().for_each(|source| source.renamed.extend(DATABAND_LABELS));
                if sources.is_empty() {
                    continue;
                }
                let mode = known.as_ref().map_or(Mode::Gauge, |alias| alias.mode);
                let beside = vec!["job", "instance", "executor"];
                let alias = Alias { name: format!("{name}{ending}"), mode, sources, beside };
                self.names.insert(alias.name.clone(), alias);
            }
        }
    }
}

impl From {
    const fn plain(metric: &'static str) -> From {
        let (wanted, dropped, renamed, fixed) = (&[], &[], &[], &[]);
        From { metric, wanted, dropped, renamed, fixed, shape: Shape::Value, owned: false }
    }

    /// The stored family: a source may be a single series of a histogram.
    fn family(&self) -> &'static str {
        self.metric.strip_suffix("_count").unwrap_or(self.metric)
    }
}

impl Source {
    /// Whether nothing becomes of labels and values.
    fn is_plain(&self) -> bool {
        self.matchers.len() == 1
            && self.dropped.is_empty()
            && self.renamed.is_empty()
            && self.fixed.is_empty()
            && self.shape == Shape::Value
    }
}

const fn metric_type(kind: Kind) -> MetricType {
    match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
        Kind::Summary => MetricType::Summary,
    }
}

/// The names of one alias: ending, how series are put together, sources.
fn endings(kind: Kind, from: &[From]) -> Vec<(&'static str, Mode, Vec<Source>)> {
    let sources = |ending: &str| from.iter().map(|f| source(f, ending, f.shape)).collect();
    let parts =
        ["_bucket", "_sum", "_count"].map(|ending| (ending, Mode::Counter, sources(ending)));
    let base = match kind {
        Kind::Counter => return vec![("", Mode::Counter, sources(""))],
        Kind::Gauge => return vec![("", Mode::Gauge, sources(""))],
        // Native histograms keep the labels that tell them apart: they are not added up here.
        Kind::Histogram => from.iter().map(|f| source(&From { dropped: &[], ..*f }, "", f.shape)),
        Kind::Summary => {
            let quantiles = |f: &From| {
                let mut source = source(f, "_bucket", Shape::Quantiles);
                source.dropped.push("le");
                source
            };
            return [("", Mode::Gauge, from.iter().map(quantiles).collect())]
                .into_iter()
                .chain(parts)
                .collect();
        }
    };
    [("", Mode::Gauge, base.collect())].into_iter().chain(parts).collect()
}

fn source(from: &From, ending: &str, shape: Shape) -> Source {
    let metric = format!("{}{ending}", from.metric);
    let wanted = from.wanted.iter().map(|(name, value)| Matcher::equal(*name, *value));
    Source {
        matchers: [Matcher::equal(METRIC_NAME, metric.as_str())]
            .into_iter()
            .chain(wanted)
            .collect(),
        metric,
        dropped: from.dropped.to_vec(),
        renamed: from.renamed.to_vec(),
        fixed: from.fixed.to_vec(),
        shape,
        owned: from.owned,
    }
}

impl Table {
    /// The aliases whose name the matchers ask for. Without a matcher that asks for names there are
    /// none: whoever selects by other labels only wants each thing once.
    pub(super) fn asked<'t>(&'t self, matchers: &[Matcher]) -> Vec<&'t Alias> {
        let about_names = || matchers.iter().filter(|matcher| matcher.name() == METRIC_NAME);
        let asks = |matcher: &&Matcher| {
            matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex) && !matcher.matches("")
        };
        let Some(first) = about_names().find(asks) else { return Vec::new() };
        let accepted = |alias: &&Alias| about_names().all(|matcher| matcher.matches(&alias.name));
        match (first.op(), first.literals()) {
            (MatchOp::Equal, _) => {
                self.names.get(first.value()).into_iter().filter(accepted).collect()
            }
            (_, Some(names)) => {
                let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
                let known = distinct.into_iter().filter_map(|name| self.names.get(name));
                known.filter(accepted).collect()
            }
            _ => self.names.values().filter(accepted).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(op: MatchOp, value: &str) -> Vec<&'static str> {
        let matcher = Matcher::new(op, METRIC_NAME, value).expect("valid");
        table().asked(&[matcher]).into_iter().map(|alias| alias.name.as_str()).collect()
    }

    #[test]
    fn names_are_found_by_every_kind_of_matcher() {
        assert_eq!(
            asked(MatchOp::Equal, "airflow_dag_success_total"),
            ["airflow_dag_success_total"]
        );
        assert!(asked(MatchOp::Equal, "airflow_dag_runs_total").is_empty());
        assert_eq!(
            asked(MatchOp::Regex, "airflow_dag_failure_total|nothing|airflow_dag_success_total"),
            ["airflow_dag_failure_total", "airflow_dag_success_total"]
        );
        assert!(asked(MatchOp::Regex, "af_agg_.+").len() > 30);
        assert!(asked(MatchOp::Regex, ".*").is_empty(), "asks for no name");
        assert!(asked(MatchOp::NotEqual, "x").is_empty());
        assert!(table().asked(&[Matcher::equal("job", "airflow")]).is_empty());
    }

    #[test]
    fn no_alias_is_made_of_aliases_and_none_has_the_name_of_its_source() {
        for alias in table().names.values() {
            assert!(!alias.sources.is_empty(), "{}", alias.name);
            for source in &alias.sources {
                let is_up = alias.name == "up";
                assert!(is_up || source.metric != alias.name, "{}", alias.name);
            }
        }
        assert!(table().names.len() > 200, "{}", table().names.len());
    }
}
