//! What observations (`ms`, `h`, `d`) become: a summary, a histogram with buckets, or a native
//! histogram.
//!
//! In: what a mapping file says. Out: checked options, shared by all series of a rule. Defaults and
//! checks are those of statsd_exporter and the client library beneath it.

use std::sync::Arc;

/// Most quantiles of one summary.
const QUANTILES_MAX: usize = 100;
/// Most slices of a summary's window; each keeps a sketch of its own.
const SLICES_MAX: u32 = 60;
/// Most classic buckets of one histogram; each is a stored series.
const BUCKETS_MAX: usize = 1000;
/// Most buckets of one native histogram that can be asked for.
const NATIVE_BUCKETS_MAX: u32 = 5000;

/// What a rule's observations become.
#[derive(Clone, Debug, PartialEq)]
pub enum ObserverOptions {
    /// Quantiles, sum and count.
    Summary(Arc<SummaryOptions>),
    /// Buckets, sum and count.
    Histogram(Arc<HistogramOptions>),
}

impl Default for ObserverOptions {
    fn default() -> ObserverOptions {
        ObserverOptions::summary(SummaryOptions::default())
    }
}

impl ObserverOptions {
    /// A summary.
    pub fn summary(options: SummaryOptions) -> ObserverOptions {
        ObserverOptions::Summary(Arc::new(options))
    }

    /// A histogram.
    pub fn histogram(options: HistogramOptions) -> ObserverOptions {
        ObserverOptions::Histogram(Arc::new(options))
    }
}

/// The quantiles of a summary and the window they look at.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryOptions {
    targets: Vec<(f64, f64)>,
    max_age_ms: i64,
    slices: u32,
}

impl SummaryOptions {
    /// Quantiles and rank errors when none are given.
    pub const TARGETS: [(f64, f64); 3] = [(0.5, 0.05), (0.9, 0.01), (0.99, 0.001)];
    /// How old an observation can be and still count, in ms, when not given.
    pub const MAX_AGE_MS: i64 = 10 * 60 * 1000;
    /// Number of slices of the window when not given; whole slices are forgotten.
    pub const SLICES: u32 = 5;

    /// Checks quantiles with their errors; an age or number of slices of 0 means the default.
    ///
    /// # Errors
    /// A quantile or its error is not from 0 to 1, or there are too many of something.
    pub fn new(
        targets: Vec<(f64, f64)>,
        max_age_ms: i64,
        slices: u32,
    ) -> Result<SummaryOptions, String> {
        let unit = |value: f64| (0.0..=1.0).contains(&value);
        if let Some((quantile, error)) = targets.iter().find(|(q, e)| !unit(*q) || !unit(*e)) {
            return Err(format!("quantile {quantile} with error {error} is not from 0 to 1"));
        }
        if targets.len() > QUANTILES_MAX || slices > SLICES_MAX {
            return Err(format!(
                "more than {QUANTILES_MAX} quantiles or {SLICES_MAX} age_buckets in a summary"
            ));
        }
        let slices = if slices == 0 { SummaryOptions::SLICES } else { slices };
        let max_age_ms = if max_age_ms <= 0 { SummaryOptions::MAX_AGE_MS } else { max_age_ms };
        Ok(SummaryOptions { targets, max_age_ms: max_age_ms.max(i64::from(slices)), slices })
    }

    /// Quantiles and their rank errors, each from 0 to 1.
    pub fn targets(&self) -> &[(f64, f64)] {
        &self.targets
    }

    /// How old an observation can be and still count, in ms.
    pub fn max_age_ms(&self) -> i64 {
        self.max_age_ms
    }

    /// Length of one slice of the window in ms; at least 1.
    pub fn slice_ms(&self) -> i64 {
        (self.max_age_ms / i64::from(self.slices)).max(1)
    }

    /// Number of slices; at least 1.
    pub fn slices(&self) -> usize {
        self.slices as usize
    }
}

impl Default for SummaryOptions {
    fn default() -> SummaryOptions {
        SummaryOptions::new(SummaryOptions::TARGETS.to_vec(), 0, 0).expect("BUG: valid constants")
    }
}

/// The buckets of a histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramOptions {
    buckets: Vec<f64>,
    native: Option<NativeOptions>,
}

impl HistogramOptions {
    /// Upper bounds when none are given.
    pub const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

    /// Checks upper bounds, `+Inf` needing not to be among them.
    ///
    /// # Errors
    /// The bounds do not ascend or are too many.
    pub fn new(
        mut buckets: Vec<f64>,
        native: Option<NativeOptions>,
    ) -> Result<HistogramOptions, String> {
        if buckets.last() == Some(&f64::INFINITY) {
            buckets.pop();
        }
        let ascending = buckets.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || buckets.iter().any(|bound| !bound.is_finite()) {
            return Err(format!("histogram buckets do not ascend: {buckets:?}"));
        }
        if buckets.len() > BUCKETS_MAX {
            return Err(format!("more than {BUCKETS_MAX} histogram buckets"));
        }
        Ok(HistogramOptions { buckets, native })
    }

    /// Upper bounds, ascending, without `+Inf`; empty for a native histogram alone.
    pub fn buckets(&self) -> &[f64] {
        &self.buckets
    }

    /// How to make a native histogram, when there is to be one.
    pub fn native(&self) -> Option<NativeOptions> {
        self.native
    }
}

/// The resolution of a native histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NativeOptions {
    /// Initial resolution: bounds grow by 2^(2^-schema).
    pub schema: i32,
    /// Most buckets; beyond it the resolution is halved.
    pub buckets_max: u32,
}

impl NativeOptions {
    /// Most buckets when not given.
    pub const BUCKETS_MAX: u32 = 256;

    /// The coarsest resolution whose bounds grow by at most `factor`; `None` when the factor is not
    /// above 1, which asks for no native histogram.
    pub fn new(factor: f64, buckets_max: u32) -> Option<NativeOptions> {
        if !(factor > 1.0) {
            return None;
        }
        let wanted = -factor.log2().log2().floor();
        let buckets_max = if buckets_max == 0 { NativeOptions::BUCKETS_MAX } else { buckets_max };
        Some(NativeOptions {
            schema: wanted.clamp(-4.0, 8.0) as i32,
            buckets_max: buckets_max.min(NATIVE_BUCKETS_MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_picks_the_coarsest_schema_that_is_fine_enough() {
        let schema = |factor| NativeOptions::new(factor, 0).map(|options| options.schema);
        assert_eq!(schema(1.1), Some(3));
        assert_eq!(schema(2.0), Some(0));
        assert_eq!(schema(4.0), Some(-1));
        assert_eq!(schema(1e9), Some(-4));
        assert_eq!(schema(1.000_001), Some(8));
        assert_eq!(schema(1.0), None);
        assert_eq!(schema(f64::NAN), None);
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        assert!(HistogramOptions::new(vec![1.0, 1.0], None).is_err());
        assert!(HistogramOptions::new(vec![2.0, 1.0], None).is_err());
        assert!(HistogramOptions::new(vec![f64::NAN], None).is_err());
        let infinite = HistogramOptions::new(vec![1.0, f64::INFINITY], None).expect("valid");
        assert_eq!(infinite.buckets(), [1.0]);
        assert!(SummaryOptions::new(vec![(1.5, 0.1)], 0, 0).is_err());
        assert!(SummaryOptions::new(vec![(0.5, f64::NAN)], 0, 0).is_err());
        let tiny = SummaryOptions::new(vec![], 1, 7).expect("valid");
        assert_eq!((tiny.slice_ms(), tiny.slices()), (1, 7));
    }
}
