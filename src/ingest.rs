//! The one door to the store: every receiver hands its [`WriteBatch`] in here.
//!
//! In: batches. Out: what was accepted and what was rejected, and, once it is on disk, the
//! acknowledgement. Never here: protocols, sockets, decoding.

use std::fmt;

use crate::model::WriteBatch;

/// How a batch with elements that cannot be accepted is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// Nothing of the batch is written when any sample is rejected (remote write 1.0). Series with
    /// labels that are not valid are left out all the same, as Prometheus does.
    Whole,
    /// What can be written is written (remote write 2.0, StatsD, own metrics).
    Partial,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOutcome {
    /// Float samples written.
    pub samples: u64,
    /// Histogram samples written.
    pub histograms: u64,
    /// Exemplars written.
    pub exemplars: u64,
    /// Series left out because their labels are not valid.
    pub invalid_series: u64,
    /// Elements rejected for any reason, invalid series included.
    pub rejected: u64,
    /// The first reasons, as sentences; at most [`REASONS_MAX`].
    pub reasons: Vec<String>,
}

/// Most rejection reasons one answer spells out.
pub const REASONS_MAX: usize = 10;

/// A batch that was taken but is not yet on disk.
#[must_use = "a batch is acknowledged only after `durable` or `wait` returned Ok"]
#[derive(Debug)]
pub struct Submitted {
    outcome: WriteOutcome,
}

impl Submitted {
    /// Waits, without blocking the thread, until the batch is on disk.
    ///
    /// # Errors
    /// The commit failed: nothing may be acknowledged.
    pub async fn durable(self) -> Result<WriteOutcome, IngestError> {
        Ok(self.outcome)
    }

    /// Blocks the thread until the batch is on disk. For threads outside the runtime.
    ///
    /// # Errors
    /// The commit failed: nothing may be acknowledged.
    pub fn wait(self) -> Result<WriteOutcome, IngestError> {
        Ok(self.outcome)
    }
}

/// Why a batch could not be taken at all.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum IngestError {
    /// [`WriteMode::Whole`]: the batch was rolled back; holds what was wrong. A client error.
    Rejected(WriteOutcome),
    /// The queue to the journal is full: try again. Back-pressure, not a fault.
    Overloaded,
    /// The store cannot write (full disk, failed commit, shutting down); says what to do.
    Unavailable(String),
}

impl fmt::Display for IngestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IngestError::Rejected(outcome) => f.write_str(&outcome.reasons.join("\n")),
            IngestError::Overloaded => f.write_str("write queue is full, try again later"),
            IngestError::Unavailable(why) => write!(f, "store does not accept writes: {why}"),
        }
    }
}

impl std::error::Error for IngestError {}

/// The handle receivers hold; cheap to clone.
#[derive(Clone, Debug)]
pub struct Ingest {}

impl Ingest {
    /// Looks up the batch's series, checks every element and puts what is accepted into the head
    /// and the journal's queue. CPU work: call it on the CPU pool, not on the runtime.
    ///
    /// # Errors
    /// See [`IngestError`].
    pub fn submit(
        &self,
        _batch: &WriteBatch<'_>,
        _mode: WriteMode,
    ) -> Result<Submitted, IngestError> {
        Err(IngestError::Unavailable("not opened".into()))
    }
}
