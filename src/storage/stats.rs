//! Numbers about the store as it is now.
//!
//! In: the parts of a store. Out: counts and sizes. Never here: counters of what happened, which are
//! in `metrics`.

use std::collections::BTreeMap;

use super::store::Inner;
use crate::model::Timestamp;

/// Numbers about the store as it is now.
#[derive(Clone, Copy, Debug)]
pub struct StoreStats {
    /// Live series.
    pub series: u64,
    /// Label pairs of live series.
    pub label_pairs: u64,
    /// Windows of live series that are not yet on disk.
    pub chunks: u64,
    /// First timestamp stored (ms); [`Timestamp::MAX`] when there is none.
    pub min_time: Timestamp,
    /// Last timestamp stored (ms); [`Timestamp::MIN`] when there is none.
    pub max_time: Timestamp,
    /// Memory of samples not yet on disk, in bytes.
    pub head_bytes: u64,
    /// Bytes of all files.
    pub disk_bytes: u64,
}

/// Where the series of the head come from: the largest groups, largest first.
#[derive(Clone, Debug, Default)]
pub struct Cardinality {
    /// Series by metric name.
    pub series_by_metric: Vec<(String, u64)>,
    /// Number of values by label name.
    pub label_values_by_name: Vec<(String, u64)>,
    /// Bytes of label values by label name.
    pub bytes_by_label: Vec<(String, u64)>,
    /// Series by `name=value`.
    pub series_by_pair: Vec<(String, u64)>,
}

impl Inner {
    /// Numbers about the store as it is now.
    pub(super) fn stats(&self) -> StoreStats {
        let days = self.partitions.days();
        let edge = |day: Option<&super::window::Day>| {
            let partition = self.partitions.get(*day?).ok()??;
            Some(partition.view())
        };
        let first = edge(days.first());
        let last = edge(days.last());
        let open = self.open_windows();
        let min_stored = first.iter().flat_map(|v| v.windows.iter()).map(|i| i.min_time).min();
        let max_stored = last.iter().flat_map(|v| v.windows.iter()).map(|i| i.max_time).max();
        let min_open = open.keys().next().map(|window| window.start());
        StoreStats {
            series: self.head.len() as u64,
            label_pairs: self.head.index().pairs().count() as u64,
            chunks: self.head.len() as u64,
            min_time: Timestamp(min_stored.into_iter().chain(min_open).min().unwrap_or(i64::MAX)),
            max_time: Timestamp(self.head.max_time().max(max_stored.unwrap_or(i64::MIN))),
            head_bytes: self.head.heap_bytes(),
            disk_bytes: directory_bytes(self.dir.root()),
        }
    }

    /// The largest groups of series in the head, at most `limit` of each kind.
    pub(super) fn cardinality(&self, limit: usize) -> Cardinality {
        let index = self.head.index();
        let mut cardinality = Cardinality::default();
        let mut values: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (name, value, series) in index.pairs() {
            let (count, bytes) = values.entry(name).or_default();
            *count += 1;
            *bytes += value.len() as u64;
            if name == crate::model::labels::METRIC_NAME {
                cardinality.series_by_metric.push((value.to_owned(), series));
            }
            cardinality.series_by_pair.push((format!("{name}={value}"), series));
        }
        for (name, (count, bytes)) in values {
            cardinality.label_values_by_name.push((name.to_owned(), count));
            cardinality.bytes_by_label.push((name.to_owned(), bytes));
        }
        for groups in [
            &mut cardinality.series_by_metric,
            &mut cardinality.label_values_by_name,
            &mut cardinality.bytes_by_label,
            &mut cardinality.series_by_pair,
        ] {
            groups.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            groups.truncate(limit);
        }
        cardinality
    }
}

/// Bytes of all files below a directory; what cannot be read counts nothing.
fn directory_bytes(directory: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => directory_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
