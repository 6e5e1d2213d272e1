//! Packs: the chunks of many series side by side, ordered by series id.
//!
//! In: one series after another with its samples of one window. Out: blocks of just under 32 KiB
//! (the store's pages round values up to powers of two), each with a directory and a checksum; and
//! back. Never here: where packs are kept, and the timestamps of floats, which chunks only refer to
//! (see [`super::columns`]).

mod directory;
mod reader;
mod writer;

use super::chunk::sealed::BlockKind;

pub use reader::{ChunkRef, Pack};
pub use writer::{FinishedPack, PackWriter};

/// What a pack begins with.
pub const PACK_BLOCK: BlockKind = BlockKind { name: "pack", magic: *b"TWpk", version: 1 };
/// Packs are closed before they pass this: 32 KiB less what the store adds to a value.
pub const PACK_TARGET_BYTES: usize = 32 * 1024 - 200;
/// Largest pack, which holds a single chunk: enough for [`super::chunk::SAMPLES_PER_CHUNK_MAX`]
/// floats that do not compress, and just under a power of two.
pub const PACK_BYTES_MAX: usize = 32 * 1024 * 1024 - 200;
/// Most chunks in one pack: constant series cost next to nothing, but finding one series means
/// reading the whole directory.
pub const CHUNKS_PER_PACK_MAX: usize = 4096;

#[cfg(test)]
mod tests;
