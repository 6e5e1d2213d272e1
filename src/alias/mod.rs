//! Other names for stored series.
//!
//! In: selectors. Out: the stored series, and beside them those of the aliases they name, made from
//! stored ones while they are read. Nothing is stored twice, and a name that is stored is stored:
//! an alias never hides or doubles it. Never here: PromQL, the storage's insides.
//!
//! An alias answers when a matcher asks for its name (`=` or `=~`). A selector by other labels alone
//! finds what is stored, each thing once.

mod combine;
mod describe;
mod plan;
mod quantile;
mod resolve;
mod table;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use self::combine::Member;
use self::plan::{Place, Planned, Planner};
use self::quantile::Bucket;
use self::resolve::{Alias, Mode, table};
use self::table::Shape;
use crate::model::labels::METRIC_NAME;
use crate::model::{
    Labels, Matcher, MetricMetadata, Selector, SeriesData, SeriesSet, SeriesSource, SourceError,
};

/// Whether aliases are answered; shared by all who ask.
#[derive(Debug)]
pub struct AliasSwitch(AtomicBool);

impl AliasSwitch {
    /// A switch.
    pub fn new(on: bool) -> Arc<AliasSwitch> {
        Arc::new(AliasSwitch(AtomicBool::new(on)))
    }

    /// Switches for the queries that come from now on.
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }

    /// Whether aliases are answered.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Metadata of the aliases that have any, or of the one called `metric`: type, and a help that
    /// says what it is an alias of. `stored` gives the metadata of a stored metric.
    pub fn metadata(
        &self,
        metric: Option<&str>,
        stored: &dyn Fn(&str) -> Option<MetricMetadata>,
    ) -> Vec<(String, MetricMetadata)> {
        if self.is_on() { describe::metadata(metric, stored) } else { Vec::new() }
    }
}

/// A source of series that also answers aliases.
pub struct AliasSource {
    inner: Arc<dyn SeriesSource>,
    switch: Arc<AliasSwitch>,
}

impl AliasSource {
    /// Answers aliases from the series of `inner` while `switch` is on.
    pub fn new(inner: Arc<dyn SeriesSource>, switch: Arc<AliasSwitch>) -> AliasSource {
        AliasSource { inner, switch }
    }

    fn asked(&self, matchers: &[Matcher]) -> Vec<&'static Alias> {
        if self.switch.is_on() { table().asked(matchers) } else { Vec::new() }
    }

    /// The aliases a list of names may hold: without a matcher on names, all.
    fn named(&self, matchers: &[Matcher]) -> Vec<&'static Alias> {
        let is_about_names = matchers.iter().any(|matcher| matcher.name() == METRIC_NAME);
        match self.switch.is_on() && !is_about_names {
            true => table().names.values().collect(),
            false => self.asked(matchers),
        }
    }

    /// Names of aliases that have series.
    fn alias_names(&self, selector: &Selector<'_>) -> Result<Vec<String>, SourceError> {
        let named = self.named(selector.matchers);
        if selector.matchers.is_empty() {
            // What browsers of metrics ask all the time: names that are stored are enough to know.
            let stored = self.inner.label_values(METRIC_NAME, selector)?;
            let is_stored = |metric: &String| stored.binary_search(metric).is_ok();
            let has = |alias: &&&Alias| alias.sources.iter().any(|s| is_stored(&s.metric));
            return Ok(named.iter().filter(has).map(|alias| alias.name.clone()).collect());
        }
        let mut names = Vec::new();
        let mut planner = Planner::listing(&*self.inner, selector, Vec::new());
        for alias in named {
            if !planner.plan(alias)?.is_empty() {
                names.push(alias.name.clone());
            }
        }
        Ok(names)
    }

    /// Labels of the alias series a selector names.
    fn alias_labels(&self, selector: &Selector<'_>) -> Result<Vec<Labels>, SourceError> {
        let mut found = Vec::new();
        let mut planner = Planner::listing(&*self.inner, selector, Vec::new());
        for alias in self.asked(selector.matchers) {
            found.extend(planner.plan(alias)?.into_iter().map(|planned| planned.labels));
        }
        Ok(found)
    }
}

impl SeriesSource for AliasSource {
    fn select(&self, selector: &Selector<'_>) -> Result<Box<dyn SeriesSet>, SourceError> {
        let stored = self.inner.select(selector)?;
        let asked = self.asked(selector.matchers);
        if asked.is_empty() {
            return Ok(stored);
        }
        let mut planner = Planner::new(&*self.inner, selector, stored);
        let mut entries = Vec::new();
        for alias in asked {
            let planned = planner.plan(alias)?;
            entries.extend(planned.into_iter().map(|p| (p.labels.clone(), Entry::Made(p))));
        }
        let stored = planner.stored();
        let own = (0..stored.len()).map(|i| (stored.labels(i).clone(), Entry::Stored(i)));
        entries.extend(own.collect::<Vec<_>>());
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let (start, end) = (selector.start.as_millis(), selector.end.as_millis());
        Ok(Box::new(AliasSet { sets: planner.into_sets(), entries, start, end }))
    }

    fn series(&self, selector: &Selector<'_>) -> Result<Vec<Labels>, SourceError> {
        let mut found = self.inner.series(selector)?;
        let asked = self.asked(selector.matchers);
        if asked.is_empty() {
            return Ok(found);
        }
        let mut planner = Planner::listing(&*self.inner, selector, found.clone());
        for alias in asked {
            found.extend(planner.plan(alias)?.into_iter().map(|planned| planned.labels));
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn label_names(&self, selector: &Selector<'_>) -> Result<Vec<String>, SourceError> {
        let stored = self.inner.label_names(selector)?;
        let labels = self.alias_labels(selector)?;
        let of_aliases = labels.iter().flat_map(Labels::iter).map(|(name, _)| name.to_owned());
        Ok(united(stored, of_aliases))
    }

    fn label_values(
        &self,
        name: &str,
        selector: &Selector<'_>,
    ) -> Result<Vec<String>, SourceError> {
        let stored = self.inner.label_values(name, selector)?;
        if name == METRIC_NAME {
            return Ok(united(stored, self.alias_names(selector)?.into_iter()));
        }
        let labels = self.alias_labels(selector)?;
        let of_aliases = labels.iter().filter_map(|labels| labels.get(name)).map(str::to_owned);
        Ok(united(stored, of_aliases))
    }
}

fn united(stored: Vec<String>, more: impl Iterator<Item = String>) -> Vec<String> {
    let mut more = more.peekable();
    if more.peek().is_none() {
        return stored;
    }
    let all: BTreeSet<String> = stored.into_iter().chain(more).collect();
    all.into_iter().collect()
}

/// Stored series and those of aliases, sorted by labels.
struct AliasSet {
    sets: Vec<Box<dyn SeriesSet>>,
    entries: Vec<(Labels, Entry)>,
    start: i64,
    end: i64,
}

enum Entry {
    /// Series of that number in the first set.
    Stored(usize),
    /// Made of others.
    Made(Planned),
}

impl SeriesSet for AliasSet {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.entries[index].0
    }

    fn read(&self, index: usize, out: &mut SeriesData) -> Result<(), SourceError> {
        match &self.entries[index].1 {
            Entry::Stored(index) => self.sets[0].read(*index, out),
            Entry::Made(planned) => {
                self.make(planned, out)?;
                combine::trim(out, self.start, self.end);
                Ok(())
            }
        }
    }
}

impl AliasSet {
    fn make(&self, planned: &Planned, out: &mut SeriesData) -> Result<(), SourceError> {
        if let Some(q) = planned.quantile {
            let bucket =
                |place: &Place| Ok(Bucket { le: place.le, data: self.member(place)?.data });
            let buckets: Result<Vec<Bucket>, SourceError> =
                planned.members.iter().map(bucket).collect();
            quantile::quantile(q, &buckets?, out);
            return Ok(());
        }
        if let ([place], []) = (planned.members.as_slice(), planned.over.as_slice()) {
            return self.read_place(place, out);
        }
        let members = self.members(&planned.members)?;
        match planned.mode {
            Mode::Counter => combine::counter(&members, out),
            Mode::Gauge => combine::gauge(&members, &self.members(&planned.over)?, out),
        }
        Ok(())
    }

    fn members(&self, places: &[Place]) -> Result<Vec<Member>, SourceError> {
        places.iter().map(|place| self.member(place)).collect()
    }

    fn member(&self, place: &Place) -> Result<Member, SourceError> {
        let mut member = Member { rank: place.rank, ..Member::default() };
        self.read_place(place, &mut member.data)?;
        Ok(member)
    }

    fn read_place(&self, place: &Place, out: &mut SeriesData) -> Result<(), SourceError> {
        self.sets[place.set].read(place.index, out)?;
        if place.shape == Shape::AgeToTime {
            combine::age_to_time(out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
