//! The one error of the codecs.

use std::fmt;

/// Why bytes could not be decoded, or data not be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecError {
    /// The input ends inside the named part.
    TooShort(&'static str),
    /// The named part holds something no encoder writes.
    Corrupted(&'static str),
    /// The stored checksum of the named block differs from that of its bytes.
    Checksum {
        /// What the checksum covers.
        what: &'static str,
        /// Checksum found in the block.
        stored: u32,
        /// Checksum of the bytes as they are.
        computed: u32,
    },
    /// The named block has a format version this program does not know.
    UnknownVersion {
        /// What carries the version.
        what: &'static str,
        /// The version found.
        version: u8,
    },
    /// More of something than one chunk, pack or column may have.
    LimitExceeded {
        /// What there is too much of.
        what: &'static str,
        /// How many were found or announced.
        found: u64,
        /// How many are allowed.
        max: u64,
    },
}

impl CodecError {
    /// Checks a count or size against a limit.
    ///
    /// # Errors
    /// [`CodecError::LimitExceeded`] when `found > max`.
    pub fn check_limit(what: &'static str, found: u64, max: usize) -> Result<(), CodecError> {
        let max = max as u64;
        if found <= max { Ok(()) } else { Err(CodecError::LimitExceeded { what, found, max }) }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodecError::TooShort(what) => write!(f, "stored data end inside the {what}"),
            CodecError::Corrupted(what) => write!(f, "stored data are damaged: bad {what}"),
            CodecError::Checksum { what, stored, computed } => write!(
                f,
                "stored data are damaged: the {what} has checksum {computed:08x} but was written with {stored:08x}"
            ),
            CodecError::UnknownVersion { what, version } => write!(
                f,
                "the {what} has format version {version}, which this program cannot read; was it written by a newer one?"
            ),
            CodecError::LimitExceeded { what, found, max } => {
                write!(f, "too many {what}: {found}, at most {max} are possible")
            }
        }
    }
}

impl std::error::Error for CodecError {}
