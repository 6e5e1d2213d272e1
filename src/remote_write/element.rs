//! What both versions of the protocol share: samples, limits, and the list of elements left out.
//!
//! In: message bodies. Out: samples and [`Rejections`]. Never here: labels, histograms.

use crate::ingest::{REASONS_MAX, WriteOutcome};
use crate::model::{Sample, Timestamp, WriteBatch};

use super::wire::{Reader, WireError};

/// Most float samples in one request. A body of the largest size holds fewer (18 bytes each), so
/// this only stops bodies made of empty messages, which would take 24 times their size in memory.
pub const SAMPLES_MAX: usize = 1 << 21;
/// Most histograms in one request: real ones take more than 128 bytes each.
pub const HISTOGRAMS_MAX: usize = 1 << 18;
/// Most exemplars in one request: real ones take more than 64 bytes each.
pub const EXEMPLARS_MAX: usize = 1 << 19;
/// Most metadata entries in one request; Prometheus sends 2000 at a time.
pub const METADATA_MAX: usize = 1 << 17;

/// Elements that were left out while reading, for reasons the store cannot see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// Series whose labels cannot be made out.
    pub series: u64,
    /// Series without sample and histogram (remote write 2.0 forbids them).
    pub empty_series: u64,
    /// Histograms that contradict themselves.
    pub histograms: u64,
    /// Exemplars whose labels are not valid.
    pub exemplars: u64,
    /// The first reasons, as sentences; at most [`REASONS_MAX`].
    pub reasons: Vec<String>,
}

impl Rejections {
    /// Number of elements left out, exemplars not counted.
    pub fn total(&self) -> u64 {
        self.series + self.empty_series + self.histograms
    }

    /// Notes a reason, unless there are enough already; the sentence is only made when needed.
    pub fn explain(&mut self, reason: impl FnOnce() -> String) {
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(reason());
        }
    }

    /// Adds these rejections to what the store said of the rest of the request.
    pub fn merge_into(self, outcome: &mut WriteOutcome) {
        outcome.invalid_series += self.series;
        outcome.rejected += self.total();
        outcome.exemplars_rejected += self.exemplars;
        outcome.reasons.extend(self.reasons);
        outcome.reasons.truncate(REASONS_MAX);
    }
}

/// Reads a `Sample`: value, timestamp, and in remote write 2.0 the start timestamp (a field that
/// remote write 1.0 does not know).
#[inline]
pub fn sample(body: &[u8]) -> Result<Sample, WireError> {
    let mut sample = Sample::new(Timestamp(0), 0.0);
    let mut reader = Reader::new(body);
    while let Some(field) = reader.field()? {
        match field.number {
            1 => sample.value = field.double("Sample")?,
            2 => sample.timestamp = Timestamp(field.int64("Sample")?),
            3 => sample.start_timestamp = field.int64("Sample")?,
            _ => {}
        }
    }
    Ok(sample)
}

/// Adds a sample, within [`SAMPLES_MAX`].
#[inline]
pub fn push_sample(batch: &mut WriteBatch<'_>, sample: Sample) -> Result<(), WireError> {
    within(batch.samples.len(), SAMPLES_MAX, "samples")?;
    batch.samples.push(sample);
    Ok(())
}

/// Checks that one more element is allowed.
#[inline]
pub fn within(len: usize, most: usize, what: &'static str) -> Result<(), WireError> {
    if len < most { Ok(()) } else { Err(WireError::TooMany(what, most)) }
}

/// Lengths of a batch's columns: where the elements of a series begin.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    samples: usize,
    histograms: usize,
    exemplars: usize,
}

impl Mark {
    /// The present lengths.
    pub fn of(batch: &WriteBatch<'_>) -> Mark {
        Mark {
            samples: batch.samples.len(),
            histograms: batch.histograms.len(),
            exemplars: batch.exemplars.len(),
        }
    }

    /// How many samples, histograms and exemplars were added since.
    pub fn added(self, batch: &WriteBatch<'_>) -> (u32, u32, u32) {
        // The limits above keep every count far below 2^32.
        (
            (batch.samples.len() - self.samples) as u32,
            (batch.histograms.len() - self.histograms) as u32,
            (batch.exemplars.len() - self.exemplars) as u32,
        )
    }

    /// Takes back what was added since.
    pub fn rewind(self, batch: &mut WriteBatch<'_>) {
        batch.samples.truncate(self.samples);
        batch.histograms.truncate(self.histograms);
        batch.exemplars.truncate(self.exemplars);
    }
}
