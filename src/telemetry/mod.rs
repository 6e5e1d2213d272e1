//! What Tidewatch says about itself: its own metrics as types, and its log.
//!
//! In: each part's own metric struct (counters and gauges of this module), registered once with a
//! [`Registry`]; events. Out: text for `/metrics`, a write batch for the own store, log lines on
//! stderr. Never here: anything per sample; parts count per batch.

mod collect;
mod event;
mod exposition;
mod family;
mod logging;
mod metric;
mod process;
mod registry;
mod runtime;
mod summary;

pub use collect::{COLLECT_INTERVAL, SelfCollector, run as run_self_collection};
pub use event::{Event, Events};
pub use exposition::{Exposition, write_exposition};
pub use family::{MetricFamily, MetricSample};
pub use logging::{
    LogFormat, LogLevel, LogOptions, check_level as check_log_level, init as init_logging,
};
pub use metric::{Counter, CounterVec, FloatCounter, FloatGauge, Gauge, Histogram, HistogramVec};
pub use process::{build_info, process_metrics};
pub use registry::Registry;
pub use runtime::cpu_pool_metrics;
pub use summary::Summary;
