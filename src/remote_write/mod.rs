//! The remote-write receiver: Prometheus' protocol for sending samples, versions 1.0 and 2.0.
//!
//! In: HTTP requests with a snappy-compressed protobuf message. Out: [`crate::model::WriteBatch`]es
//! for [`crate::ingest`], and the answers the specifications ask for. Never here: validation of
//! labels and times (ingest's), storage.
//!
//! The way of a request: [`handler`] reads the body, [`negotiation`] finds the version, [`request`]
//! runs on the CPU pool through [`snappy`] and [`v1`] or [`v2`], [`respond`] answers. The messages
//! are read in place by [`wire`]; label sets stay slices of the request wherever possible.

pub mod element;
pub mod handler;
pub mod histogram;
pub mod metrics;
pub mod negotiation;
pub mod request;
pub mod respond;
pub mod snappy;
pub mod v1;
pub mod v2;
pub mod validate;
pub mod wire;

pub use handler::{RemoteWriteState, router};
pub use metrics::RemoteWriteMetrics;
pub use negotiation::Version;

#[cfg(test)]
pub(crate) mod tests;
