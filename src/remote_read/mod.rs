//! Remote read: other servers fetch our raw samples (Prometheus' `POST /api/v1/read`).
//!
//! In: HTTP requests with a snappy-compressed `prometheus.ReadRequest`. Out: samples, either as one
//! compressed `ReadResponse` ([`sampled`]) or as a stream of checksummed frames with compressed
//! chunks ([`stream`]); the client names what it takes. Never here: evaluation, storage.

pub mod bits;
pub mod crc32c;
pub mod handler;
pub mod histogram_chunk;
pub mod query;
pub mod sampled;
pub mod stream;
pub mod writer;
pub mod xor;

pub use handler::{RemoteReadState, router};

#[cfg(test)]
mod tests;
