//! What the remote-write receiver counts about itself; telemetry gathers it.
//!
//! In: one call per request. Out: counters. Never here: names and formats of metrics pages.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ingest::WriteOutcome;

use super::negotiation::Version;

/// A counter that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The present count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Requests of one kind, by how they were answered.
#[derive(Debug, Default)]
pub struct Requests {
    /// Everything was written: 204.
    pub written: Counter,
    /// Some or all of it was not acceptable: 4xx.
    pub refused: Counter,
    /// We could not write it: 5xx.
    pub failed: Counter,
}

/// Counters of the remote-write receiver since the start of the process.
#[derive(Debug, Default)]
pub struct RemoteWriteMetrics {
    /// Requests of remote write 1.0.
    pub requests_v1: Requests,
    /// Requests of remote write 2.0.
    pub requests_v2: Requests,
    /// Requests whose headers name no version we know.
    pub requests_unknown: Requests,
    /// Float samples written.
    pub samples: Counter,
    /// Histograms written.
    pub histograms: Counter,
    /// Exemplars written.
    pub exemplars: Counter,
    /// Elements that were not written because they are not acceptable.
    pub rejected: Counter,
    /// Series left out because their labels are not valid: what Prometheus calls
    /// `prometheus_api_remote_write_invalid_labels_samples_total`.
    pub invalid_labels_samples: Counter,
    /// Bytes of request bodies as received, compressed.
    pub body_bytes: Counter,
    /// Bytes of request bodies after decompression.
    pub decoded_bytes: Counter,
}

impl RemoteWriteMetrics {
    /// The request counters of a version; `None` is a version we do not know.
    pub fn requests(&self, version: Option<Version>) -> &Requests {
        match version {
            Some(Version::V1) => &self.requests_v1,
            Some(Version::V2) => &self.requests_v2,
            None => &self.requests_unknown,
        }
    }

    /// Counts what became of one request's content.
    pub fn add_outcome(&self, outcome: &WriteOutcome) {
        self.samples.add(outcome.samples);
        self.histograms.add(outcome.histograms);
        self.exemplars.add(outcome.exemplars);
        self.rejected.add(outcome.rejected);
        self.invalid_labels_samples.add(outcome.invalid_series);
    }
}
