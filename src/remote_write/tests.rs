//! Tests across the modules: golden messages, the comparison with prost, damaged input, HTTP.

mod golden;
mod histograms;
mod http;
pub(crate) mod proto;
mod robust;
mod twin;

use crate::model::WriteBatch;

use super::element::Rejections;
use super::wire::WireError;
use super::{Version, v1, v2};

/// Reads a message and hands the batch to `look`.
fn parsed<T>(
    version: Version,
    decoded: &[u8],
    look: impl FnOnce(&WriteBatch<'_>, &Rejections) -> T,
) -> Result<T, WireError> {
    let mut labels = Vec::new();
    let mut batch = WriteBatch::default();
    let rejections = match version {
        Version::V1 => v1::parse(decoded, &mut labels, &mut batch)?,
        Version::V2 => v2::parse(decoded, &mut labels, &mut batch)?,
    };
    check_counts(&batch);
    Ok(look(&batch, &rejections))
}

/// The columns hold exactly what the series say.
fn check_counts(batch: &WriteBatch<'_>) {
    let sum = |count: fn(&crate::model::SeriesEntry<'_>) -> u32| {
        batch.series.iter().map(|entry| count(entry) as usize).sum::<usize>()
    };
    assert_eq!(sum(|entry| entry.samples), batch.samples.len());
    assert_eq!(sum(|entry| entry.histograms), batch.histograms.len());
    assert_eq!(sum(|entry| entry.exemplars), batch.exemplars.len());
}
