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
use super::partition::{Partition, PartitionReader, View};
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

/// Takes a part, and which of its series are meant: all when `None`.
type Each<'a> = dyn FnMut(Part<'_>, Option<&RoaringBitmap>) -> Result<(), StorageError> + 'a;

impl Inner {
    /// Label sets of the matching series with samples in the range, sorted, each once.
    ///
    /// # Errors
    /// A partition cannot be read, or the selector's interrupt says to stop; so for all here.
    pub fn list_series(&self, selector: &Selector<'_>) -> Result<Vec<Labels>, StorageError> {
        let (start, end, interrupt) = (selector.start.0, selector.end.0, selector.interrupt);
        let mut found = Vec::new();
        let (listed, partitions) = {
            let _no_flush = self.visibility.read().unwrap_or_else(PoisonError::into_inner);
            let partitions = self.views(start, end)?;
            let live = self.head.in_range(selector)?;
            add_labels(&self.head, &live.series, interrupt, &mut found)?;
            (live.stored, partitions)
        };
        let of_partition = |(partition, view): &(Arc<Partition>, Arc<View>)| {
            let reader = partition.reader()?;
            let mut ids = resolve(&reader, selector.matchers, interrupt)?;
            if let Some(listed) = listed.get(&partition.day()) {
                ids -= listed;
            }
            let range = StoredRange { partition, cache: &self.cache, start, end, interrupt };
            let ids = range.of(view, ids)?;
            let mut read = reader.cached_labels(&ids, &self.cache, interrupt)?;
            read.sort_by(|(_, a), (_, b)| a.cmp(b));
            Ok(read)
        };
        let read: Result<Vec<_>, StorageError> = partitions.par_iter().map(of_partition).collect();
        found.extend(read?.into_iter().flatten().map(|(_, labels)| labels));
        interrupt.check()?;
        found.sort(); // of several days, each of which is sorted
        found.dedup();
        Ok(found)
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
