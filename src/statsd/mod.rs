//! StatsD receiver: plain StatsD lines over UDP and TCP, aggregated as statsd_exporter does.
//!
//! In: datagrams and newline-framed streams. Out: every [`Options::flush_interval`] one
//! `WriteBatch` of counters, gauges, summaries and set sizes, handed to `ingest`. Never here:
//! storage, queries, HTTP.
//!
//! The way of a line: [`listen`] moves bytes from the sockets into a bounded queue, one thread
//! takes them out, [`line`] parses them, [`aggregate`] holds the state. Parser and state are
//! synchronous and read no clock. Tag dialects inside the metric name, mapping files and relaying
//! have their place between [`line`] and [`aggregate`].

pub mod aggregate;
pub mod kernel;
pub mod line;
pub mod listen;
pub mod metrics;
pub mod quantile;
pub mod worker;

pub use aggregate::Aggregator;
pub use listen::{Options, StatsdServer};
pub use metrics::StatsdMetrics;

#[cfg(test)]
mod replay_tests;
