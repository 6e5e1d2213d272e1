//! Selection: the series a selector matches, from the head and all partitions, as one sorted set.
//!
//! In: matchers and a time range. Out: a [`SeriesSet`] whose samples are decoded series by series as
//! the query asks for them. What a query sees is fixed when it starts; no database transaction is
//! held while it runs.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use roaring::RoaringBitmap;

use super::cache::ReadCache;
use super::error::StorageError;
use super::head::series::WindowCopy;
use super::index::resolve;
use super::merge::append_piece;
use super::partition::{Partition, View};
use super::store::Inner;
use crate::model::source::{Selector, SeriesData, SeriesSet, SeriesSource, SourceError};
use crate::model::{Exemplar, Interrupt, Labels};

/// The series of one selection.
pub struct SelectedSet {
    series: Vec<SelectedSeries>,
    partitions: Vec<(Arc<Partition>, Arc<View>)>,
    cache: Arc<ReadCache>,
    start: i64,
    end: i64,
    /// Asked once for every window that is decoded. Without the deadline of the search: whoever
    /// reads series has one.
    interrupt: Interrupt,
}

struct SelectedSeries {
    labels: Labels,
    /// Windows from the head, ascending.
    head: Vec<WindowCopy>,
    /// (index of the partition, series id in it), ascending by day.
    stored: Vec<(u32, u32)>,
}

impl Inner {
    /// The series that match and may have samples in the range.
    ///
    /// # Errors
    /// A partition cannot be read, or the selector's interrupt says to stop.
    pub fn select(&self, selector: &Selector<'_>) -> Result<SelectedSet, StorageError> {
        let (start, end, interrupt) = (selector.start.0, selector.end.0, selector.interrupt);
        let (mut series, partitions) = {
            let _no_flush = self.visibility.read().unwrap_or_else(PoisonError::into_inner);
            let views = self.views(start, end)?;
            (self.select_head(selector)?, views)
        };
        let mut by_labels: HashMap<Labels, usize, foldhash::fast::RandomState> = HashMap::default();
        if !partitions.is_empty() {
            by_labels.extend(series.iter().enumerate().map(|(i, s)| (s.labels.clone(), i)));
        }
        for (number, (partition, _)) in partitions.iter().enumerate() {
            let reader = partition.reader()?;
            let found = resolve(&reader, selector.matchers, interrupt)?;
            for (at, (id, labels)) in reader.labels(&found, interrupt)?.into_iter().enumerate() {
                interrupt.check_at(at)?;
                let index = *by_labels.entry(labels).or_insert_with_key(|labels| {
                    let labels = labels.clone();
                    series.push(SelectedSeries { labels, head: Vec::new(), stored: Vec::new() });
                    series.len() - 1
                });
                series[index].stored.push((number as u32, id));
            }
        }
        series.retain(|s| !s.head.is_empty() || !s.stored.is_empty());
        interrupt.check()?;
        series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        let (cache, interrupt) = (Arc::clone(&self.cache), interrupt.without_deadline());
        Ok(SelectedSet { series, partitions, cache, start, end, interrupt })
    }

    fn select_head(&self, selector: &Selector<'_>) -> Result<Vec<SelectedSeries>, StorageError> {
        let snapshots = self.head.snapshot(selector)?;
        let selected = snapshots.into_iter().map(|snapshot| {
            let mut head = snapshot.windows;
            head.sort_by_key(|data| data.window);
            SelectedSeries { labels: snapshot.labels, head, stored: Vec::new() }
        });
        Ok(selected.collect())
    }

    /// The partitions with flushed windows in the range, and what of them is visible now.
    fn views(
        &self,
        start: i64,
        end: i64,
    ) -> Result<Vec<(Arc<Partition>, Arc<View>)>, StorageError> {
        let overlapping = self.partitions.overlapping(start, end)?;
        let views = overlapping.into_iter().map(|partition| {
            let view = partition.view();
            (partition, view)
        });
        Ok(views.filter(|(_, view)| !view.overlapping(start, end).is_empty()).collect())
    }

    /// Exemplars of the series that match any of the selectors, ascending in time.
    ///
    /// # Errors
    /// A partition cannot be read, or an interrupt says to stop.
    pub fn exemplars(
        &self,
        selectors: &[Selector<'_>],
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        let mut found: std::collections::BTreeMap<Labels, Vec<Exemplar>> = Default::default();
        for selector in selectors {
            let set = self.select(selector)?;
            for (index, series) in set.series.iter().enumerate() {
                selector.interrupt.check_at(index)?;
                if !found.contains_key(&series.labels) {
                    let exemplars = set.read_exemplars(series)?;
                    found.insert(series.labels.clone(), exemplars);
                }
            }
        }
        Ok(found.into_iter().filter(|(_, exemplars)| !exemplars.is_empty()).collect())
    }

    fn names(&self, selector: &Selector<'_>) -> Result<BTreeSet<String>, StorageError> {
        let all = selector.matchers.is_empty();
        let live = self.head.matching(selector)?;
        let mut names: BTreeSet<String> =
            self.head.index().names((!all).then_some(&live)).into_iter().collect();
        for (partition, _) in self.views(selector.start.0, selector.end.0)? {
            let reader = partition.reader()?;
            if all {
                names.extend(reader.names(None, selector.interrupt)?);
            } else {
                let within = resolve(&reader, selector.matchers, selector.interrupt)?;
                names.extend(reader.names(Some(&within), selector.interrupt)?);
            }
        }
        Ok(names)
    }

    fn values(
        &self,
        name: &str,
        selector: &Selector<'_>,
    ) -> Result<BTreeSet<String>, StorageError> {
        let all = selector.matchers.is_empty();
        let live = self.head.matching(selector)?;
        let mut values: BTreeSet<String> =
            self.head.index().values(name, (!all).then_some(&live)).into_iter().collect();
        for (partition, _) in self.views(selector.start.0, selector.end.0)? {
            let reader = partition.reader()?;
            let within = match all {
                true => RoaringBitmap::new(),
                false => resolve(&reader, selector.matchers, selector.interrupt)?,
            };
            let mut seen = 0;
            reader.for_each_value(name, "", &mut |value, posting| {
                selector.interrupt.check_at(seen)?;
                seen += 1;
                if all || !posting()?.is_disjoint(&within) {
                    values.insert(value.to_owned());
                }
                Ok(())
            })?;
        }
        Ok(values)
    }
}

impl SeriesSource for Inner {
    fn select(&self, selector: &Selector<'_>) -> Result<Box<dyn SeriesSet>, SourceError> {
        Ok(Box::new(Inner::select(self, selector)?))
    }

    fn label_names(&self, selector: &Selector<'_>) -> Result<Vec<String>, SourceError> {
        Ok(self.names(selector)?.into_iter().collect())
    }

    fn label_values(
        &self,
        name: &str,
        selector: &Selector<'_>,
    ) -> Result<Vec<String>, SourceError> {
        Ok(self.values(name, selector)?.into_iter().collect())
    }
}

/// Buffers that reading a series needs; one set a thread.
#[derive(Default)]
struct Scratch {
    column: Vec<i64>,
    piece: SeriesData,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl SelectedSet {
    fn read_series(
        &self,
        series: &SelectedSeries,
        scratch: &mut Scratch,
        out: &mut SeriesData,
    ) -> Result<(), StorageError> {
        for (number, id) in &series.stored {
            let (partition, view) = &self.partitions[*number as usize];
            for info in view.overlapping(self.start, self.end) {
                self.interrupt.check()?;
                let Some(first) = info.pack_of(*id) else { continue };
                let pack = self.cache.pack(partition, info, first)?;
                let Some(chunk) = pack.find(*id) else { continue };
                let corrupted = |e| StorageError::corrupted(partition.path(), e);
                scratch.column.clear();
                if let Some(column) = chunk.column {
                    let columns = self.cache.columns(partition, info)?;
                    columns.decode(column, &mut scratch.column).map_err(corrupted)?;
                }
                scratch.piece.clear();
                chunk.decode_into(&scratch.column, &mut scratch.piece).map_err(corrupted)?;
                append_piece(out, &scratch.piece);
            }
        }
        for window in &series.head {
            window.read(&mut scratch.piece);
            append_piece(out, &scratch.piece);
        }
        out.keep_range(self.start, self.end);
        Ok(())
    }

    fn read_exemplars(&self, series: &SelectedSeries) -> Result<Vec<Exemplar>, StorageError> {
        let mut exemplars = Vec::new();
        for (number, id) in &series.stored {
            let (partition, view) = &self.partitions[*number as usize];
            let infos = view.overlapping(self.start, self.end).iter();
            for info in infos.filter(|info| info.has_exemplars) {
                exemplars.extend(partition.read_exemplars(info, *id)?);
            }
        }
        let rare = series.head.iter().filter_map(|window| window.rare.as_ref());
        exemplars.extend(rare.flat_map(|rare| rare.exemplars.iter().cloned()));
        exemplars.retain(|e| (self.start..=self.end).contains(&e.timestamp.0));
        exemplars.sort_by_key(|exemplar| exemplar.timestamp);
        exemplars.dedup();
        Ok(exemplars)
    }
}

impl SeriesSet for SelectedSet {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.series[index].labels
    }

    fn read(&self, index: usize, out: &mut SeriesData) -> Result<(), SourceError> {
        out.clear();
        SCRATCH.with_borrow_mut(|scratch| {
            self.read_series(&self.series[index], scratch, out).map_err(SourceError::from)
        })
    }
}
