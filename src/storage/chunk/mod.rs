//! Chunk codecs: columns of numbers to bytes and back.
//!
//! In: the samples of one series in one window (values, timestamps, start timestamps, histograms,
//! exemplars) as slices. Out: bytes as `docs/format.md` describes them. Every codec is bit-exact
//! for every input, and every decoder answers garbage with a [`CodecError`]: no panic, no
//! allocation beyond the limits below. Never here: files, checksums (see [`super::pack`]), clocks,
//! threads.

pub mod bits;
pub mod body;
pub mod bytes;
mod decimal;
pub mod error;
pub mod exemplars;
mod frame;
pub mod histograms;
pub mod ints;
pub mod sealed;
pub mod timestamps;
pub mod values;

pub use error::CodecError;

/// Most float samples in one chunk: one every millisecond fits a window of half an hour.
pub const SAMPLES_PER_CHUNK_MAX: usize = 1 << 21;
/// Most histograms in one chunk: 36 a second for half an hour. Each takes about 300 bytes of
/// memory when decoded, so damaged counts cannot ask for more than 20 MB.
pub const HISTOGRAMS_PER_CHUNK_MAX: usize = 1 << 16;
/// Most bucket counts in all histograms of one chunk (64 MB decoded).
pub const HISTOGRAM_CELLS_PER_CHUNK_MAX: usize = 1 << 23;
/// Most exemplars in one chunk.
pub const EXEMPLARS_PER_CHUNK_MAX: usize = 1 << 16;
/// Most bytes of packed exemplar labels in one chunk: what a decoder may be asked to decompress.
pub const EXEMPLAR_LABEL_BYTES_PER_CHUNK_MAX: usize = 4 << 20;

#[cfg(test)]
mod fixtures;
