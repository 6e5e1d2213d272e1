//! StatsD receiver: every dialect over UDP, TCP and Unix sockets, mapped and aggregated as
//! statsd_exporter does.
//!
//! In: datagrams and newline-framed streams. Out: every [`Options::flush_interval`] a
//! `WriteBatch` of counters, gauges, summaries, histograms and set sizes, handed to `ingest`. Never
//! here: storage, queries.
//!
//! The way of a line: [`listen`] moves bytes from the sockets into a bounded queue, [`worker`], one
//! thread, takes them out, [`line`] parses them, [`resolve`] says which series a spelling belongs to
//! ([`name`] knows the tag dialects, [`mapping`] the rules, [`airflow`] what Airflow sends), [`aggregate`] holds the state of
//! [`series`]. Parser and state are synchronous and read no clock. [`relay`] hands lines on,
//! [`status`] tells what happened, [`memory`] keeps series over a restart.

pub mod aggregate;
pub mod airflow;
mod families;
pub mod histogram;
pub mod kernel;
mod lifetime;
pub mod line;
pub mod listen;
pub mod mapping;
pub mod memory;
pub mod metrics;
pub mod name;
pub mod notice;
pub mod observer;
mod own;
pub mod quantile;
pub mod relay;
pub mod resolve;
pub mod samples;
pub mod series;
pub mod status;
mod waiting;
pub mod worker;

pub use aggregate::Aggregator;
pub use listen::{Listen, Options, StatsdHandle, StatsdServer};
pub use mapping::Mapper;
pub use memory::Memory;
pub use metrics::StatsdMetrics;
pub use relay::RelayOptions;
pub use resolve::Resolver;

#[cfg(test)]
mod exporter_tests;
#[cfg(test)]
mod replay_tests;
