//! The vocabulary every other part speaks: timestamps, labels, matchers, samples, histograms,
//! write batches and the read seam.
//!
//! In: nothing. Out: plain types. Never here: I/O, threads, async, locks; the only clock is behind
//! the [`Clock`] trait.

pub mod alert;
pub mod buckets;
pub mod decimal;
pub mod duration;
pub mod exemplar;
pub mod histogram;
pub mod histogram_reset;
pub mod histogram_sum;
pub mod histogram_trim;
pub mod interrupt;
pub mod labels;
pub mod limits;
pub mod matcher;
pub mod metadata;
pub mod pattern;
pub mod sample;
pub mod source;
pub mod time;
pub mod write;

pub use alert::{Alert, Annotations, CommonTexts};
pub use duration::{DurationError, DurationMs, parse_duration_ms};
pub use exemplar::Exemplar;
pub use histogram::{BucketSpan, CounterResetHint, FloatHistogram, Histogram};
pub use interrupt::{Interrupt, Interrupted};
pub use labels::{LabelError, Labels, LabelsBuilder};
pub use matcher::{MatchOp, Matcher};
pub use metadata::{MetricMetadata, MetricType};
pub use sample::{STALE_NAN_BITS, Sample, is_stale_nan, stale_nan};
pub use source::{Selector, SeriesData, SeriesSet, SeriesSource, SourceError};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
pub use write::{SeriesEntry, WriteBatch};
