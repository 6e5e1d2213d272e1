//! Native histograms as senders write them and as storage keeps them.
//!
//! Layout and meaning follow remote write (`prompb/types.proto`, `Histogram`) and Prometheus'
//! `model/histogram`: spans say which buckets exist, a parallel list holds their counts.

/// The schema number of histograms with custom bucket bounds ("NHCB").
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;
/// The finest exponential schema (bucket growth factor 2^(2^-8)).
pub const EXPONENTIAL_SCHEMA_MAX: i32 = 8;
/// The coarsest exponential schema (bucket growth factor 2^16).
pub const EXPONENTIAL_SCHEMA_MIN: i32 = -4;

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BucketSpan {
    /// Gap to the previous span in buckets; for the first span the index of its first bucket.
    pub offset: i32,
    /// Number of consecutive buckets.
    pub length: u32,
}

/// What the sender knew about a counter reset before this histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CounterResetHint {
    /// Has to be found by comparison.
    #[default]
    Unknown = 0,
    /// A reset happened.
    Reset = 1,
    /// No reset happened.
    NotReset = 2,
    /// A gauge histogram: resets have no meaning.
    Gauge = 3,
}

impl CounterResetHint {
    /// The hint with this remote-write number; `Unknown` for any other.
    pub const fn from_number(number: i64) -> CounterResetHint {
        match number {
            1 => CounterResetHint::Reset,
            2 => CounterResetHint::NotReset,
            3 => CounterResetHint::Gauge,
            _ => CounterResetHint::Unknown,
        }
    }
}

/// A native histogram with float counts; the form PromQL computes with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FloatHistogram {
    /// What is known of a reset before it.
    pub counter_reset_hint: CounterResetHint,
    /// Resolution: -4..=8, or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    /// Width of the zero bucket: observations with |x| <= this are in it.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of observations; the stale marker's bits here make the whole histogram a stale marker.
    pub sum: f64,
    /// Which positive buckets exist.
    pub positive_spans: Vec<BucketSpan>,
    /// Which negative buckets exist.
    pub negative_spans: Vec<BucketSpan>,
    /// Absolute count of each positive bucket.
    pub positive_buckets: Vec<f64>,
    /// Absolute count of each negative bucket.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of custom buckets, ascending, without +Inf; only with the custom schema.
    pub custom_values: Vec<f64>,
}

/// A native histogram with integer counts, as most senders write it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IntHistogram {
    /// What is known of a reset before it.
    pub counter_reset_hint: CounterResetHint,
    /// Resolution: -4..=8, or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: u64,
    /// All observations.
    pub count: u64,
    /// Sum of observations; the stale marker's bits here make the whole histogram a stale marker.
    pub sum: f64,
    /// Which positive buckets exist.
    pub positive_spans: Vec<BucketSpan>,
    /// Which negative buckets exist.
    pub negative_spans: Vec<BucketSpan>,
    /// Count of each positive bucket as difference to the bucket before it.
    pub positive_deltas: Vec<i64>,
    /// Count of each negative bucket as difference to the bucket before it.
    pub negative_deltas: Vec<i64>,
    /// Upper bounds of custom buckets, ascending, without +Inf; only with the custom schema.
    pub custom_values: Vec<f64>,
}

/// A native histogram in the form its sender chose; storage keeps that form exactly.
#[derive(Clone, Debug, PartialEq)]
pub enum Histogram {
    /// Integer counts.
    Int(IntHistogram),
    /// Float counts.
    Float(FloatHistogram),
}

impl Histogram {
    /// Sum of observations.
    pub fn sum(&self) -> f64 {
        match self {
            Histogram::Int(h) => h.sum,
            Histogram::Float(h) => h.sum,
        }
    }

    /// Whether this is the stale marker in histogram form.
    pub fn is_stale(&self) -> bool {
        super::sample::is_stale_nan(self.sum())
    }

    /// The same histogram with float counts.
    pub fn to_float(&self) -> FloatHistogram {
        match self {
            Histogram::Float(h) => h.clone(),
            Histogram::Int(h) => h.to_float(),
        }
    }
}

impl IntHistogram {
    /// The same histogram with absolute float counts.
    pub fn to_float(&self) -> FloatHistogram {
        FloatHistogram {
            counter_reset_hint: self.counter_reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count as f64,
            count: self.count as f64,
            sum: self.sum,
            positive_spans: self.positive_spans.clone(),
            negative_spans: self.negative_spans.clone(),
            positive_buckets: absolute(&self.positive_deltas),
            negative_buckets: absolute(&self.negative_deltas),
            custom_values: self.custom_values.clone(),
        }
    }
}

/// Running sums of bucket deltas. Wraps like the sender's arithmetic would: what a delta list means
/// is validated on receipt, not here.
fn absolute(deltas: &[i64]) -> Vec<f64> {
    let mut count = 0i64;
    deltas
        .iter()
        .map(|delta| {
            count = count.wrapping_add(*delta);
            count as f64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_deltas_become_absolute_counts() {
        let h = IntHistogram { positive_deltas: vec![3, -1, 0, 5], ..IntHistogram::default() };
        assert_eq!(h.to_float().positive_buckets, [3.0, 2.0, 2.0, 7.0]);
    }
}
