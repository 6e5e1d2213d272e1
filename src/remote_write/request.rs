//! One request from its compressed body to the store's queue: the CPU work, in one place.
//!
//! In: body and version. Out: what ingest took, and what was left out before. Never here: HTTP,
//! waiting for the disk.

use std::cell::RefCell;
use std::mem;

use crate::ingest::{Ingest, IngestError, Submitted, WriteMode, WriteOutcome};
use crate::model::limits::WRITE_DECODED_BYTES_MAX;
use crate::model::{SeriesEntry, WriteBatch};

use super::element::Rejections;
use super::negotiation::Version;
use super::respond::WriteError;
use super::{snappy, v1, v2};

/// Most bytes each buffer of a thread keeps between requests: usual requests decode to less than a
/// few MiB, and one large one must not hold its memory for ever.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// The buffers of one thread, used for one request after the other.
#[derive(Default)]
struct Scratch {
    decoded: Vec<u8>,
    labels: Vec<u8>,
    batch: WriteBatch<'static>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
}

/// A request that was read and handed to the store.
#[derive(Debug)]
pub struct Accepted {
    /// What the store took; `None` when there was nothing for it.
    pub submitted: Option<Submitted>,
    /// What was left out before.
    pub rejections: Rejections,
    /// Size of the body after decompression.
    pub decoded_bytes: usize,
}

impl Accepted {
    /// Waits until all that was taken is on disk.
    ///
    /// # Errors
    /// The commit failed: nothing may be acknowledged.
    pub async fn durable(self) -> Result<WriteOutcome, WriteError> {
        let mut outcome = match self.submitted {
            Some(submitted) => submitted.durable().await?,
            None => WriteOutcome::default(),
        };
        self.rejections.merge_into(&mut outcome);
        Ok(outcome)
    }
}

/// Decompresses and reads `body` and hands its content to `ingest`. CPU work: for a pool thread,
/// whose buffers it uses again.
///
/// # Errors
/// Nothing was taken; see [`WriteError`].
pub fn submit(version: Version, body: &[u8], ingest: &Ingest) -> Result<Accepted, WriteError> {
    let mut scratch = SCRATCH.take();
    let result = submit_with(&mut scratch, version, body, ingest);
    scratch.shrink();
    SCRATCH.set(scratch);
    result
}

fn submit_with(
    scratch: &mut Scratch,
    version: Version,
    body: &[u8],
    ingest: &Ingest,
) -> Result<Accepted, WriteError> {
    let decoded = snappy::decode(body, WRITE_DECODED_BYTES_MAX, &mut scratch.decoded)?;
    let mut batch = recycled(mem::take(&mut scratch.batch));
    let result = parse_and_submit(version, decoded, &mut scratch.labels, &mut batch, ingest);
    scratch.batch = recycled(batch);
    let (submitted, rejections) = result?;
    Ok(Accepted { submitted, rejections, decoded_bytes: decoded.len() })
}

fn parse_and_submit<'a>(
    version: Version,
    decoded: &'a [u8],
    labels: &'a mut Vec<u8>,
    batch: &mut WriteBatch<'a>,
    ingest: &Ingest,
) -> Result<(Option<Submitted>, Rejections), WriteError> {
    let (rejections, mode) = match version {
        Version::V1 => (v1::parse(decoded, labels, batch)?, WriteMode::Whole),
        Version::V2 => (v2::parse(decoded, labels, batch)?, WriteMode::Partial),
    };
    if version == Version::V1 && rejections.histograms > 0 {
        return Err(IngestError::Rejected(whole(rejections)).into());
    }
    if batch.is_empty() {
        return Ok((None, rejections));
    }
    Ok((Some(ingest.submit(batch, mode)?), rejections))
}

/// The outcome of a request of which nothing is written.
fn whole(rejections: Rejections) -> WriteOutcome {
    let mut outcome = WriteOutcome::default();
    rejections.merge_into(&mut outcome);
    outcome
}

/// An empty batch with the memory of a used one. Collecting nothing from the old list keeps its
/// allocation and lets the new one borrow from elsewhere.
fn recycled<'b>(mut used: WriteBatch<'_>) -> WriteBatch<'b> {
    used.samples.clear();
    used.histograms.clear();
    used.exemplars.clear();
    used.metadata.clear();
    used.series.clear();
    #[expect(clippy::unnecessary_filter_map, reason = "it changes the lifetime in the type")]
    let series: Vec<SeriesEntry<'b>> = used.series.into_iter().filter_map(|_| None).collect();
    WriteBatch {
        series,
        samples: used.samples,
        histograms: used.histograms,
        exemplars: used.exemplars,
        metadata: used.metadata,
    }
}

impl Scratch {
    /// Gives back what is larger than [`KEPT_BYTES_MAX`].
    fn shrink(&mut self) {
        limit(&mut self.decoded);
        limit(&mut self.labels);
        limit(&mut self.batch.series);
        limit(&mut self.batch.samples);
        limit(&mut self.batch.histograms);
        limit(&mut self.batch.exemplars);
        limit(&mut self.batch.metadata);
    }
}

fn limit<T>(buffer: &mut Vec<T>) {
    if buffer.capacity() * size_of::<T>() > KEPT_BYTES_MAX {
        *buffer = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Sample, Timestamp};

    #[test]
    fn a_recycled_batch_is_empty_and_keeps_its_memory() {
        let mut batch = WriteBatch::default();
        for i in 0..1000 {
            batch.push_packed_sample(b"labels", Sample::new(Timestamp(i), 1.0));
        }
        let (series, samples) = (batch.series.capacity(), batch.samples.capacity());
        let batch = recycled(batch);
        assert!(batch.is_empty() && batch.samples.is_empty());
        assert_eq!((batch.series.capacity(), batch.samples.capacity()), (series, samples));
    }

    #[test]
    fn large_buffers_are_given_back() {
        let mut scratch = Scratch { decoded: vec![0; KEPT_BYTES_MAX + 1], ..Scratch::default() };
        scratch.labels.reserve(100);
        scratch.shrink();
        assert_eq!(scratch.decoded.capacity(), 0);
        assert!(scratch.labels.capacity() >= 100);
    }
}
