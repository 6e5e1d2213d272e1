//! One exemplar: a sample that points at a trace.

use super::labels::Labels;
use super::time::Timestamp;

/// An exemplar attached to a series.
#[derive(Clone, Debug)]
pub struct Exemplar {
    /// Its own labels, for example `trace_id`; not those of the series.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// When it was observed.
    pub timestamp: Timestamp,
}

impl PartialEq for Exemplar {
    fn eq(&self, other: &Exemplar) -> bool {
        self.labels == other.labels
            && self.value.to_bits() == other.value.to_bits()
            && self.timestamp == other.timestamp
    }
}
