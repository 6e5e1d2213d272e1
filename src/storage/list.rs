//! Listing: labels of the series that have samples in a time range.
//!
//! In: matchers and a range. Out: label sets, label names, label values. Never here: the samples.
//!
//! A series counts when, in some window, the time from its first to its last sample overlaps the
//! range. What the head has in the range is not looked for in partitions.

use std::collections::BTreeSet;
use std::sync::PoisonError;

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

/// Takes the series found in a part.
type Each<'a> = dyn FnMut(Part<'_>, &RoaringBitmap) -> Result<(), StorageError> + 'a;

impl Inner {
    /// Label sets of the matching series with samples in the range, sorted, each once.
    ///
    /// # Errors
    /// A partition cannot be read, or the selector's interrupt says to stop; so for all here.
    pub fn list_series(&self, selector: &Selector<'_>) -> Result<Vec<Labels>, StorageError> {
        let mut found = Vec::new();
        self.each_part(selector, &mut |part, ids| {
            match part {
                Part::Head(head) => add_labels(head, ids, selector.interrupt, &mut found)?,
                Part::Partition(reader) => {
                    let read = reader.cached_labels(ids, &self.cache, selector.interrupt)?;
                    found.extend(read.into_iter().map(|(_, labels)| labels));
                }
            }
            Ok(())
        })?;
        selector.interrupt.check()?;
        found.sort();
        found.dedup(); // of several days
        Ok(found)
    }

    /// Names of labels on the matching series with samples in the range, sorted, each once.
    ///
    /// # Errors
    /// As [`Inner::list_series`].
    pub fn list_names(&self, selector: &Selector<'_>) -> Result<Vec<String>, StorageError> {
        let mut names = BTreeSet::new();
        self.each_part(selector, &mut |part, ids| {
            names.extend(match part {
                Part::Head(head) => head.index().names(Some(ids)),
                Part::Partition(reader) => reader.names(Some(ids), selector.interrupt)?,
            });
            Ok(())
        })?;
        Ok(names.into_iter().collect())
    }

    /// Values of label `name` on the matching series with samples in the range, sorted, each once.
    ///
    /// # Errors
    /// As [`Inner::list_series`].
    pub fn list_values(
        &self,
        name: &str,
        selector: &Selector<'_>,
    ) -> Result<Vec<String>, StorageError> {
        let mut values = BTreeSet::new();
        self.each_part(selector, &mut |part, ids| {
            match part {
                Part::Head(head) => values.extend(head.index().values(name, Some(ids))),
                Part::Partition(reader) => {
                    add_values(reader, name, ids, selector.interrupt, &mut values)?;
                }
            }
            Ok(())
        })?;
        Ok(values.into_iter().collect())
    }

    /// Hands over the matching series with samples in the range, those of the head first; a series
    /// may come from several partitions.
    fn each_part(&self, selector: &Selector<'_>, each: &mut Each<'_>) -> Result<(), StorageError> {
        let (start, end, interrupt) = (selector.start.0, selector.end.0, selector.interrupt);
        let (mut listed, partitions) = {
            let _no_flush = self.visibility.read().unwrap_or_else(PoisonError::into_inner);
            let partitions = self.views(start, end)?;
            let live = self.head.in_range(selector)?;
            each(Part::Head(&self.head), &live.series)?;
            (live.stored, partitions)
        };
        for (partition, view) in &partitions {
            let reader = partition.reader()?;
            let mut ids = resolve(&reader, selector.matchers, interrupt)?;
            ids -= listed.remove(&partition.day()).unwrap_or_default();
            let range = StoredRange { partition, cache: &self.cache, start, end, interrupt };
            let ids = range.of(view, ids)?;
            if !ids.is_empty() {
                each(Part::Partition(&reader), &ids)?;
            }
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

/// Adds the values of label `name` that any series of `ids` has.
fn add_values(
    reader: &PartitionReader<'_>,
    name: &str,
    ids: &RoaringBitmap,
    interrupt: &Interrupt,
    values: &mut BTreeSet<String>,
) -> Result<(), StorageError> {
    let mut seen = 0;
    reader.for_each_value(name, "", &mut |value, posting| {
        interrupt.check_at(seen)?;
        seen += 1;
        if !values.contains(value) && !posting()?.is_disjoint(ids) {
            values.insert(value.to_owned());
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests;
