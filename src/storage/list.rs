//! Listing: label sets, label names, label values.
//!
//! In: matchers and a range. Out: what there is. Never here: the samples.
//!
//! A series is listed when, in some window, the time from its first to its last sample overlaps the
//! range; what the head has in the range is not looked for in partitions. Names and values are those
//! in the indexes of the head and of each partition that have samples in the range, as in Prometheus:
//! they are asked for with every look at a dashboard, and no series is looked at for them.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::error::StorageError;
use super::head::Head;
use super::index::resolve;
use super::partition::PartitionReader;
use super::store::Inner;
use super::stored_range::StoredRange;
use crate::model::{Interrupt, Labels, Selector};

/// Where series were found.
enum Part<'a> {
    /// Their numbers are those of the head.
    Head(&'a Head),
    /// Their ids are those of a partition.
    Partition(&'a PartitionReader<'a>),
}

/// The number of a partition, and which of its series are listed.
type Stored<'p> = (u64, RoaringBitmap, PartitionReader<'p>);

/// From how many label sets on reading them is spread over threads: waking those takes as long as
/// reading some hundred.
const PARALLEL_SERIES: u64 = 1024;

/// Takes a part, and which of its series are meant: all when `None`.
type Each<'a> = dyn FnMut(Part<'_>, Option<&RoaringBitmap>) -> Result<(), StorageError> + 'a;

impl Inner {
    /// Label sets of the matching series with samples in the range, sorted, each once.
    ///
    /// # Errors
    /// A partition cannot be read, or the selector's interrupt says to stop; so for all here.
    pub fn list_series(&self, selector: &Selector<'_>) -> Result<Vec<Labels>, StorageError> {
        let (start, end, interrupt) = (selector.start.0, selector.end.0, selector.interrupt);
        let mut live_sets = Vec::new();
        let (listed, partitions) = {
            let _no_flush = self.visibility.read().unwrap_or_else(PoisonError::into_inner);
            let partitions = self.views(start, end)?;
            let live = self.head.in_range(selector)?;
            add_labels(&self.head, &live.series, interrupt, &mut live_sets)?;
            (live.stored, partitions)
        };
        live_sets.sort_unstable();
        let mut stored = Vec::with_capacity(partitions.len());
        for (partition, view) in &partitions {
            let reader = partition.reader()?;
            let mut ids = resolve(&reader, selector.matchers, interrupt)?;
            if let Some(listed) = listed.get(&partition.day()) {
                ids -= listed;
            }
            let range = StoredRange { partition, cache: &self.cache, start, end, interrupt };
            stored.push((partition.number(), range.of(view, ids)?, reader));
        }
        let lists = self.stored_sets(&stored, interrupt)?;
        let lists = lists.iter().map(|list| &**list).chain([&*live_sets]);
        let merged = merge_all(lists.map(|list| list.iter().collect()).collect(), interrupt)?;
        Ok(merged.into_iter().cloned().collect())
    }

    /// The label sets of the series of each partition, sorted; of many series on all threads.
    fn stored_sets(
        &self,
        stored: &[Stored<'_>],
        interrupt: &Interrupt,
    ) -> Result<Vec<Arc<[Labels]>>, StorageError> {
        let read = |(number, ids, reader): &Stored<'_>| {
            self.cache.list(*number, ids, || {
                let read = reader.cached_labels(ids, &self.cache, interrupt)?;
                let mut list: Vec<Labels> = read.into_iter().map(|(_, labels)| labels).collect();
                list.sort(); // mostly it is: ids ascend with the labels of what came together
                Ok(list)
            })
        };
        let series: u64 = stored.iter().map(|(_, ids, _)| ids.len()).sum();
        match &self.pool {
            Some(pool) if stored.len() > 1 && series >= PARALLEL_SERIES => {
                pool.install(|| stored.par_iter().map(read).collect())
            }
            _ => stored.iter().map(read).collect(),
        }
    }

    /// Names of labels on matching series of the head and the partitions with samples in the range,
    /// sorted, each once.
    ///
    /// # Errors
    /// As [`Inner::list_series`].
    pub fn list_names(&self, selector: &Selector<'_>) -> Result<Vec<String>, StorageError> {
        let mut names = BTreeSet::new();
        self.each_index(selector, &mut |part, within| {
            names.extend(match part {
                Part::Head(head) => head.index().names(within),
                Part::Partition(reader) => reader.names(within, selector.interrupt)?,
            });
            Ok(())
        })?;
        Ok(names.into_iter().collect())
    }

    /// Values of label `name` on matching series of the head and the partitions with samples in the
    /// range, sorted, each once.
    ///
    /// # Errors
    /// As [`Inner::list_series`].
    pub fn list_values(
        &self,
        name: &str,
        selector: &Selector<'_>,
    ) -> Result<Vec<String>, StorageError> {
        let mut values = BTreeSet::new();
        self.each_index(selector, &mut |part, within| {
            match part {
                Part::Head(head) => values.extend(head.index().values(name, within)),
                Part::Partition(reader) => {
                    add_values(reader, name, within, selector.interrupt, &mut values)?;
                }
            }
            Ok(())
        })?;
        Ok(values.into_iter().collect())
    }

    /// Hands over the head and the partitions with samples in the range.
    fn each_index(&self, selector: &Selector<'_>, each: &mut Each<'_>) -> Result<(), StorageError> {
        let (start, end, interrupt) = (selector.start.0, selector.end.0, selector.interrupt);
        let some = !selector.matchers.is_empty();
        let (live, partitions) = {
            let _no_flush = self.visibility.read().unwrap_or_else(PoisonError::into_inner);
            let live = self.open_windows().keys().any(|window| window.overlaps(start, end));
            (live, self.views(start, end)?)
        };
        if live {
            let matching = some.then(|| self.head.matching(selector)).transpose()?;
            each(Part::Head(&self.head), matching.as_ref())?;
        }
        for (partition, _) in &partitions {
            let reader = partition.reader()?;
            let resolved = || resolve(&reader, selector.matchers, interrupt);
            let matching = some.then(resolved).transpose()?;
            each(Part::Partition(&reader), matching.as_ref())?;
        }
        Ok(())
    }
}

/// The label sets of sorted lists, each once, sorted.
fn merge_all<'a>(
    mut lists: Vec<Vec<&'a Labels>>,
    interrupt: &Interrupt,
) -> Result<Vec<&'a Labels>, StorageError> {
    while lists.len() > 1 {
        let mut merged = Vec::with_capacity(lists.len().div_ceil(2));
        let mut left = lists.into_iter();
        while let Some(list) = left.next() {
            interrupt.check()?;
            merged.push(match left.next() {
                Some(other) => merge(list, other),
                None => list,
            });
        }
        lists = merged;
    }
    Ok(lists.pop().unwrap_or_default())
}

/// Merges two sorted lists; what is in both is in the result once.
fn merge<'a>(a: Vec<&'a Labels>, b: Vec<&'a Labels>) -> Vec<&'a Labels> {
    if a.is_empty() || b.is_empty() {
        return if a.is_empty() { b } else { a };
    }
    let mut merged = Vec::with_capacity(a.len().max(b.len()));
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    while let (Some(first), Some(second)) = (a.peek(), b.peek()) {
        let order = first.cmp(second);
        if order.is_eq() {
            b.next();
        }
        merged.extend(if order.is_gt() { b.next() } else { a.next() });
    }
    merged.extend(a.chain(b));
    merged
}

fn add_labels(
    head: &Head,
    numbers: &RoaringBitmap,
    interrupt: &Interrupt,
    found: &mut Vec<Labels>,
) -> Result<(), StorageError> {
    found.reserve(usize::try_from(numbers.len()).unwrap_or(0));
    for (index, number) in numbers.iter().enumerate() {
        interrupt.check_at(index)?;
        found.extend(head.labels(number));
    }
    Ok(())
}

/// Adds the values of label `name` that any series of `within` has.
fn add_values(
    reader: &PartitionReader<'_>,
    name: &str,
    within: Option<&RoaringBitmap>,
    interrupt: &Interrupt,
    values: &mut BTreeSet<String>,
) -> Result<(), StorageError> {
    let mut seen = 0;
    reader.for_each_value(name, "", &mut |value, posting| {
        interrupt.check_at(seen)?;
        seen += 1;
        let occurs = match within {
            Some(ids) => !values.contains(value) && !posting()?.is_disjoint(ids),
            None => true,
        };
        if occurs {
            values.insert(value.to_owned());
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests;
