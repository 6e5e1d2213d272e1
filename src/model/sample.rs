//! One float sample, and the stale marker.

use super::time::Timestamp;

/// The bit pattern of the NaN which says "this series ended here"
/// (Prometheus `model/value/value.go`, `StaleNaN`). It must survive storage bit for bit.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The stale marker as a float.
pub const fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether `value` is the stale marker; an ordinary NaN is not.
#[inline]
pub const fn is_stale_nan(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// One float sample of a series.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When the value was taken.
    pub timestamp: Timestamp,
    /// The value; any bit pattern is legal.
    pub value: f64,
    /// When the counting behind the value began (remote write 2.0 `start_timestamp`), in
    /// milliseconds since the epoch; 0 when unknown.
    pub start_timestamp: i64,
}

impl Sample {
    /// A sample without a known start timestamp.
    pub const fn new(timestamp: Timestamp, value: f64) -> Sample {
        Sample { timestamp, value, start_timestamp: 0 }
    }
}

impl PartialEq for Sample {
    /// Bit-exact comparison: two NaNs are equal when their bits are.
    fn eq(&self, other: &Sample) -> bool {
        self.timestamp == other.timestamp
            && self.value.to_bits() == other.value.to_bits()
            && self.start_timestamp == other.start_timestamp
    }
}
