//! Selection: the series a selector matches, from the head and all partitions, as one sorted set.
//!
//! In: matchers and a time range. Out: a [`SeriesSet`] whose samples are decoded series by series as
//! the query asks for them. What a query sees is fixed when it starts; no database transaction is
//! held while it runs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use roaring::RoaringBitmap;
use thread_local::ThreadLocal;

use super::cache::ReadCache;
use super::chunk::CodecError;
use super::error::StorageError;
use super::head::series::WindowCopies;
use super::index::resolve;
use super::merge::append_piece;
use super::pack::ChunkRef;
use super::partition::{Partition, View};
use super::scratch::{Scratch, StoredWindow};
use super::store::Inner;
use super::window::Day;
use crate::model::histogram_reset::forget_resets;
use crate::model::source::{Selector, SeriesData, SeriesSet, SeriesSource, SourceError};
use crate::model::{Exemplar, Interrupt, Labels};

/// The series of one selection.
pub struct SelectedSet {
    series: Vec<SelectedSeries>,
    /// The flushed windows, by number of the partition and ascending in time.
    stored: Vec<StoredWindow>,
    /// Where each partition's windows begin in `stored`; one more than there are partitions.
    starts: Vec<usize>,
    cache: Arc<ReadCache>,
    scratch: ThreadLocal<RefCell<Scratch>>,
    start: i64,
    end: i64,
    /// Asked once for every window that is decoded. Without the deadline of the search: whoever
    /// reads series has one.
    interrupt: Interrupt,
}

struct SelectedSeries {
    labels: Labels,
    /// Windows from the head, ascending.
    head: WindowCopies,
    /// (index of the partition, series id in it), ascending by day.
    stored: Vec<(u32, u32)>,
    /// A partition in which the head knows it, and its id there.
    known: Option<(Day, u32)>,
}

impl SelectedSeries {
    fn new(labels: Labels) -> SelectedSeries {
        SelectedSeries { labels, head: WindowCopies::default(), stored: Vec::new(), known: None }
    }
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
        let joins = !series.is_empty() || partitions.len() > 1;
        let mut by_labels: HashMap<Labels, usize, foldhash::fast::RandomState> = HashMap::default();
        if !partitions.is_empty() {
            by_labels.extend(series.iter().enumerate().map(|(i, s)| (s.labels.clone(), i)));
        }
        for (number, (partition, _)) in partitions.iter().enumerate() {
            let reader = partition.reader()?;
            let mut ids = resolve(&reader, selector.matchers, interrupt)?;
            ids -= note_known(&mut series, number as u32, partition.day(), &ids);
            let labels = reader.cached_labels(&ids, &self.cache, interrupt)?;
            for (at, (id, labels)) in labels.into_iter().enumerate() {
                interrupt.check_at(at)?;
                let fresh = series.len();
                let index = match joins {
                    true => *by_labels.entry(labels.clone()).or_insert(fresh),
                    false => fresh,
                };
                if index == fresh {
                    series.push(SelectedSeries::new(labels));
                }
                series[index].stored.push((number as u32, id));
            }
        }
        series.retain(|s| !s.head.is_empty() || !s.stored.is_empty());
        interrupt.check()?;
        sort_by_labels(&mut series);
        let (cache, interrupt) = (Arc::clone(&self.cache), interrupt.without_deadline());
        Ok(SelectedSet::new(series, &partitions, cache, (start, end), interrupt))
    }

    fn select_head(&self, selector: &Selector<'_>) -> Result<Vec<SelectedSeries>, StorageError> {
        self.head.snapshot(selector, |snapshot| {
            let mut head = snapshot.windows;
            head.sort_by_key(|data| data.window);
            let known = snapshot.stored;
            SelectedSeries { head, known, ..SelectedSeries::new(snapshot.labels) }
        })
    }

    /// The partitions with flushed windows in the range, and what of them is visible now.
    pub(super) fn views(
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
}

impl SeriesSource for Inner {
    fn select(&self, selector: &Selector<'_>) -> Result<Box<dyn SeriesSet>, SourceError> {
        Ok(Box::new(Inner::select(self, selector)?))
    }

    fn series(&self, selector: &Selector<'_>) -> Result<Vec<Labels>, SourceError> {
        Ok(self.list_series(selector)?)
    }

    fn label_names(&self, selector: &Selector<'_>) -> Result<Vec<String>, SourceError> {
        Ok(self.list_names(selector)?)
    }

    fn label_values(
        &self,
        name: &str,
        selector: &Selector<'_>,
    ) -> Result<Vec<String>, SourceError> {
        Ok(self.list_values(name, selector)?)
    }
}

/// Sorts series by their labels; each set is there once. Numbers are sorted and then each series is
/// moved once: as many series again would be memory that nothing else of a query needs.
fn sort_by_labels(series: &mut [SelectedSeries]) {
    let count = u32::try_from(series.len()).expect("BUG: series have numbers of four bytes");
    // mostly sorted already: a partition numbers the series of a metric by their labels
    let mut from: Vec<u32> = (0..count).collect();
    from.sort_by(|a, b| series[*a as usize].labels.cmp(&series[*b as usize].labels));
    for start in 0..series.len() {
        let mut at = start;
        loop {
            let next = std::mem::replace(&mut from[at], at as u32) as usize;
            if next == start {
                break;
            }
            series.swap(at, next);
            at = next;
        }
    }
}

/// Notes those of `ids` which the head knows to be its series, and returns them: their labels need
/// not be read.
fn note_known(
    series: &mut [SelectedSeries],
    partition: u32,
    day: Day,
    ids: &RoaringBitmap,
) -> RoaringBitmap {
    let mut noted = RoaringBitmap::new();
    for series in series {
        let id = series.known.filter(|(known, _)| *known == day).map(|(_, id)| id);
        if let Some(id) = id.filter(|id| ids.contains(*id)) {
            series.stored.push((partition, id));
            noted.insert(id);
        }
    }
    noted
}

impl SelectedSet {
    fn new(
        series: Vec<SelectedSeries>,
        partitions: &[(Arc<Partition>, Arc<View>)],
        cache: Arc<ReadCache>,
        (start, end): (i64, i64),
        interrupt: Interrupt,
    ) -> SelectedSet {
        let (mut stored, mut starts) = (Vec::new(), vec![0]);
        for (partition, view) in partitions {
            stored.extend(StoredWindow::overlapping(partition, view, (start, end)));
            starts.push(stored.len());
        }
        let scratch = ThreadLocal::new();
        SelectedSet { series, stored, starts, cache, scratch, start, end, interrupt }
    }

    /// The flushed windows of a partition with their numbers.
    fn windows_of(&self, partition: u32) -> impl Iterator<Item = (usize, &StoredWindow)> {
        let number = partition as usize;
        let range = self.starts[number]..self.starts[number + 1];
        range.clone().zip(&self.stored[range])
    }

    fn read_series(
        &self,
        series: &SelectedSeries,
        scratch: &mut Scratch,
        out: &mut SeriesData,
    ) -> Result<(), StorageError> {
        for (number, id) in &series.stored {
            self.interrupt.check()?;
            for window in self.windows_of(*number) {
                let Some(first) = window.1.info().pack_of(*id) else { continue };
                let pack = scratch.pack(&self.cache, window, first)?;
                let Some(chunk) = pack.find(*id) else { continue };
                let timestamps = scratch.timestamps(&self.cache, window, chunk.column)?;
                read_chunk(&chunk, timestamps, out)
                    .map_err(|e| StorageError::corrupted(window.1.partition().path(), e))?;
            }
        }
        for window in series.head.iter() {
            window.read(&mut scratch.piece);
            append_piece(out, &scratch.piece);
        }
        out.keep_range(self.start, self.end);
        Ok(())
    }

    fn read_exemplars(&self, series: &SelectedSeries) -> Result<Vec<Exemplar>, StorageError> {
        let mut exemplars = Vec::new();
        for (number, id) in &series.stored {
            let windows = self.windows_of(*number).map(|(_, window)| window);
            for window in windows.filter(|window| window.info().has_exemplars) {
                exemplars.extend(window.partition().read_exemplars(window.info(), *id)?);
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

/// Adds a chunk to `out`, directly when its samples simply follow.
fn read_chunk(
    chunk: &ChunkRef<'_>,
    timestamps: &[i64],
    out: &mut SeriesData,
) -> Result<(), CodecError> {
    let follows = match (out.timestamps.last(), timestamps.first()) {
        (Some(last), Some(first)) => last < first,
        _ => true,
    };
    if follows && out.histograms.is_empty() && !chunk.has_histograms {
        return chunk.decode_into(timestamps, out);
    }
    let mut piece = SeriesData::default();
    chunk.decode_into(timestamps, &mut piece)?;
    append_piece(out, &piece);
    Ok(())
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
        let fresh = || RefCell::new(Scratch::new(self.stored.len(), self.series.len()));
        let mut scratch = self.scratch.get_or(fresh).borrow_mut();
        self.read_series(&self.series[index], &mut scratch, out).map_err(SourceError::from)?;
        forget_resets(&mut out.histograms);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_sorted_by_labels_whatever_their_order() {
        let count = 200u32;
        let name = |number: u32| format!("{number:03}");
        let series = |number: u32| {
            let name = name(number);
            let labels = Labels::from_pairs([("n", &*name)]).expect("valid labels");
            SelectedSeries { stored: vec![(0, number)], ..SelectedSeries::new(labels) }
        };
        let orders: [&dyn Fn(u32) -> u32; 5] = [
            &|n| n,
            &|n| count - 1 - n,
            &|n| (n + 1) % count,
            &|n| (n + count - 1) % count,
            &|n| n * 77 % count,
        ];
        for order in orders {
            let mut all: Vec<SelectedSeries> = (0..count).map(|n| series(order(n))).collect();
            sort_by_labels(&mut all);
            for (number, one) in (0..count).zip(&all) {
                assert_eq!((one.labels.value("n"), one.stored[0].1), (&*name(number), number));
            }
        }
        sort_by_labels(&mut []);
    }
}
