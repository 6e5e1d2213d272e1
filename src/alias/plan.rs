//! Which series an alias has for a selector, and what each is made of.
//!
//! In: an alias, a selector, the stored series. Out: [`Planned`] series with the places of their
//! samples. Never here: samples, except those that tell which of two owners is the present one.

use std::collections::{HashMap, HashSet};

use super::combine::LIVE_MS;
use super::quantile::{QUANTILES, WINDOW_MS};
use super::resolve::{Alias, Mode, Source, table};
use super::table::Shape;
use crate::model::labels::METRIC_NAME;
use crate::model::{Labels, Matcher, Selector, SeriesData, SeriesSet, SeriesSource, SourceError};

/// The metric that tells whose a DAG is.
const DAG_INFO: &str = "airflow_dag_info";
/// Labels by which a DAG is found there.
const DAG_LABELS: [&str; 3] = ["airflow", "instance", "dag_id"];
/// Labels that come from there.
const OWNER_LABELS: [&str; 2] = ["owner", "paused"];

/// Where the samples of one stored series are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Which of the selected sets.
    pub set: usize,
    /// Which of its series.
    pub index: usize,
    /// Which source it comes from: 0 counts before 1.
    pub rank: usize,
    /// What becomes of its values.
    pub shape: Shape,
    /// Its upper bound, when it is a bucket that becomes a quantile.
    pub le: f64,
}

/// One series of an alias.
#[derive(Debug)]
pub(super) struct Planned {
    /// Its labels.
    pub labels: Labels,
    /// How its members become one.
    pub mode: Mode,
    /// What it is made of.
    pub members: Vec<Place>,
    /// What counts before it where both are there.
    pub over: Vec<Place>,
    /// The quantile it is, if it is one.
    pub quantile: Option<f64>,
}

/// What is asked, and what was selected for it so far.
pub(super) struct Planner<'a> {
    inner: &'a dyn SeriesSource,
    selector: &'a Selector<'a>,
    /// Whether labels are all that is wanted: then the sets hold no samples.
    lists: bool,
    sets: Vec<Box<dyn SeriesSet>>,
    owners: Option<HashMap<Labels, Labels>>,
    /// Of the stored series those that have the name of an alias, by that name.
    own: HashMap<&'static str, Vec<usize>>,
}

impl<'a> Planner<'a> {
    /// A planner; `stored` is what the selector finds without aliases and becomes set 0.
    pub(super) fn new(
        inner: &'a dyn SeriesSource,
        selector: &'a Selector<'a>,
        stored: Box<dyn SeriesSet>,
    ) -> Planner<'a> {
        let mut own: HashMap<&'static str, Vec<usize>> = HashMap::new();
        for index in 0..stored.len() {
            let name = stored.labels(index).metric_name();
            if let Some((name, _)) = table().names.get_key_value(name) {
                own.entry(name.as_str()).or_default().push(index);
            }
        }
        Planner { inner, selector, lists: false, sets: vec![stored], owners: None, own }
    }

    /// A planner for what only lists series; `stored` are the labels of what the selector lists
    /// without aliases.
    pub(super) fn listing(
        inner: &'a dyn SeriesSource,
        selector: &'a Selector<'a>,
        stored: Vec<Labels>,
    ) -> Planner<'a> {
        Planner { lists: true, ..Planner::new(inner, selector, Box::new(Listed(stored))) }
    }

    fn find(&self, selector: &Selector<'_>) -> Result<Box<dyn SeriesSet>, SourceError> {
        match self.lists {
            true => Ok(Box::new(Listed(self.inner.series(selector)?))),
            false => self.inner.select(selector),
        }
    }

    /// The selected sets.
    pub(super) fn into_sets(self) -> Vec<Box<dyn SeriesSet>> {
        self.sets
    }

    /// The stored series the selector finds by itself.
    pub(super) fn stored(&self) -> &dyn SeriesSet {
        &*self.sets[0]
    }

    /// The series of one alias, without those that are stored under its name already.
    pub(super) fn plan(&mut self, alias: &Alias) -> Result<Vec<Planned>, SourceError> {
        let mut found = Vec::new();
        let mut places: HashMap<Labels, usize> = HashMap::new();
        for (rank, source) in alias.sources.iter().enumerate() {
            self.take(alias, rank, source, &mut found, &mut places)?;
        }
        if found.is_empty() {
            return Ok(found);
        }
        let own = self.own.get(alias.name.as_str()).into_iter().flatten();
        let stored: HashSet<Labels> =
            own.map(|index| key(alias, self.stored().labels(*index))).collect();
        found.retain(|planned| !stored.contains(&key(alias, &planned.labels)));
        settle_ranks(alias, &mut found);
        let is_wanted =
            |labels: &Labels| self.selector.matchers.iter().all(|m| m.matches_labels(labels));
        found.retain(|planned| is_wanted(&planned.labels));
        Ok(found)
    }

    /// Adds what one source has.
    fn take(
        &mut self,
        alias: &Alias,
        rank: usize,
        source: &Source,
        found: &mut Vec<Planned>,
        places: &mut HashMap<Labels, usize>,
    ) -> Result<(), SourceError> {
        let Some(matchers) = pushed_down(alias, source, self.selector.matchers) else {
            return Ok(());
        };
        let start = self.selector.start.saturating_sub(extension(alias, source));
        let set = self.find(&Selector { matchers: &matchers, start, ..*self.selector })?;
        if set.is_empty() {
            return Ok(());
        }
        if source.owned && self.owners.is_none() {
            self.owners = Some(owners(self.inner, self.selector)?);
        }
        let place = Place { set: self.sets.len(), index: 0, rank, shape: source.shape, le: 0.0 };
        let quantiles = match source.shape {
            Shape::Quantiles => QUANTILES.map(|(q, text)| (Some(q), text)).to_vec(),
            _ => vec![(None, "")],
        };
        for index in 0..set.len() {
            let stored = set.labels(index);
            let Ok(le) = stored.value("le").parse().or_else(|error| match source.shape {
                Shape::Quantiles => Err(error),
                _ => Ok(0.0),
            }) else {
                continue;
            };
            for (quantile, text) in &quantiles {
                let Some(labels) = self.shown(alias, source, stored, text) else { continue };
                let position = *places.entry(labels.clone()).or_insert_with(|| {
                    let (members, over) = (Vec::new(), Vec::new());
                    found.push(Planned {
                        labels,
                        mode: alias.mode,
                        members,
                        over,
                        quantile: *quantile,
                    });
                    found.len() - 1
                });
                found[position].members.push(Place { index, le, ..place });
            }
        }
        self.sets.push(set);
        Ok(())
    }

    /// The labels of the alias series a stored one becomes part of.
    fn shown(
        &self,
        alias: &Alias,
        source: &Source,
        stored: &Labels,
        quantile: &str,
    ) -> Option<Labels> {
        let shown_name = |name| {
            let renamed = source.renamed.iter().find(|(from, _)| *from == name);
            renamed.map_or(name, |(_, to)| *to)
        };
        let kept = stored
            .iter()
            .filter(|(name, _)| *name != METRIC_NAME && !source.dropped.contains(name))
            .map(|(name, value)| (shown_name(name), value))
            .filter(|(name, _)| source.fixed.iter().all(|(fixed, _)| fixed != name));
        let owner = self.owners.as_ref().filter(|_| source.owned);
        let owner = owner.and_then(|owners| owners.get(&dag_key(stored)));
        let pairs = kept
            .chain(source.fixed.iter().copied())
            .chain(owner.into_iter().flat_map(Labels::iter))
            .chain([(METRIC_NAME, alias.name.as_str()), ("quantile", quantile)]);
        Labels::from_pairs(pairs).ok()
    }
}

/// Series of which only the labels are known.
struct Listed(Vec<Labels>);

impl SeriesSet for Listed {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.0[index]
    }

    fn read(&self, _index: usize, _out: &mut SeriesData) -> Result<(), SourceError> {
        Err(SourceError::Unavailable("a list of series holds no samples".to_owned()))
    }
}

/// How much of the time before the selector's is read, in ms: what a sum there is made of.
fn extension(alias: &Alias, source: &Source) -> i64 {
    match source.shape {
        Shape::Quantiles => WINDOW_MS + LIVE_MS,
        _ if alias.sources.len() > 1 || !source.dropped.is_empty() => LIVE_MS,
        _ => 0,
    }
}

/// The matchers for the stored series of a source; `None` when nothing of it can be wanted.
fn pushed_down(alias: &Alias, source: &Source, matchers: &[Matcher]) -> Option<Vec<Matcher>> {
    let mut out = source.matchers.clone();
    for matcher in matchers.iter().filter(|matcher| matcher.name() != METRIC_NAME) {
        let name = matcher.name();
        // What has another value of such a label may count before what is wanted.
        let is_beside = alias.beside.contains(&name) && !["job", "instance"].contains(&name);
        let is_computed = is_beside
            || (source.owned && OWNER_LABELS.contains(&name))
            || (source.shape == Shape::Quantiles && name == "quantile");
        let is_gone =
            source.dropped.contains(&name) || source.renamed.iter().any(|(from, _)| *from == name);
        if let Some((_, value)) = source.fixed.iter().find(|(fixed, _)| *fixed == name) {
            matcher.matches(value).then_some(())?;
        } else if let Some((from, _)) = source.renamed.iter().find(|(_, to)| *to == name) {
            out.push(matcher.with_name(*from));
        } else if is_gone {
            matcher.matches("").then_some(())?;
        } else if !is_computed {
            out.push(matcher.clone());
        }
    }
    Some(out)
}

/// What tells the things apart that an alias is about.
fn key(alias: &Alias, labels: &Labels) -> Labels {
    labels.filter(|name| name != METRIC_NAME && !alias.beside.contains(&name))
}

/// Leaves of each thing what counts: of counters the best source alone, because changing from one to
/// another would look like growth; of gauges all, and what counts before them.
fn settle_ranks(alias: &Alias, found: &mut Vec<Planned>) {
    if alias.sources.len() < 2 {
        return;
    }
    let mut groups: HashMap<Labels, Vec<Place>> = HashMap::new();
    for planned in found.iter() {
        groups.entry(key(alias, &planned.labels)).or_default().extend(&planned.members);
    }
    for planned in found.iter_mut() {
        let group = &groups[&key(alias, &planned.labels)];
        let best = group.iter().map(|place| place.rank).min().unwrap_or_default();
        let own = planned.members.iter().map(|place| place.rank).min().unwrap_or_default();
        match planned.mode {
            Mode::Counter => planned.members.retain(|place| place.rank == best),
            Mode::Gauge => planned.over.extend(group.iter().filter(|place| place.rank < own)),
        }
    }
    found.retain(|planned| !planned.members.is_empty());
}

fn dag_key(labels: &Labels) -> Labels {
    labels.filter(|name| DAG_LABELS.contains(&name))
}

/// Owner and pause of every DAG, as of the end of the range.
fn owners(
    inner: &dyn SeriesSource,
    selector: &Selector<'_>,
) -> Result<HashMap<Labels, Labels>, SourceError> {
    let matchers = [Matcher::equal(METRIC_NAME, DAG_INFO)];
    let start = selector.start.saturating_sub(LIVE_MS);
    let set = inner.select(&Selector { matchers: &matchers, start, ..*selector })?;
    let mut newest: HashMap<Labels, (i64, usize)> = HashMap::new();
    let mut data = SeriesData::default();
    for index in 0..set.len() {
        set.read(index, &mut data)?;
        let last = data.timestamps.last().copied().unwrap_or(i64::MIN);
        let is_there = data.values.last().is_some_and(|value| !crate::model::is_stale_nan(*value));
        // A series that ended says less than one that goes on.
        let at = if is_there { last } else { last.saturating_sub(1) };
        let entry = newest.entry(dag_key(set.labels(index))).or_insert((at, index));
        *entry = (*entry).max((at, index));
    }
    let labels = |(key, (_, index)): (Labels, (i64, usize))| {
        let owner = set.labels(index).filter(|name| OWNER_LABELS.contains(&name));
        (key, owner)
    };
    Ok(newest.into_iter().map(labels).collect())
}
