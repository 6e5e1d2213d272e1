//! The frame around every stored block: four bytes that say what it is, a version, and a checksum.
//!
//! ```text
//! +-------+---------+----------------+------------------------+
//! | magic | version | content        | crc32 of all before    |
//! | 4     | 1       | any            | 4, little-endian       |
//! +-------+---------+----------------+------------------------+
//! ```

use super::CodecError;

/// Bytes in front of the content.
pub const HEADER_BYTES: usize = 5;
/// Bytes behind the content.
pub const TRAILER_BYTES: usize = 4;

/// What a block is.
#[derive(Clone, Copy, Debug)]
pub struct BlockKind {
    /// For error messages, for example `pack`.
    pub name: &'static str,
    /// First four bytes.
    pub magic: [u8; 4],
    /// Version written, and the only one read.
    pub version: u8,
}

/// Starts a block.
pub fn begin(kind: BlockKind) -> Vec<u8> {
    let mut block = kind.magic.to_vec();
    block.push(kind.version);
    block
}

/// Appends the checksum.
pub fn seal(mut block: Vec<u8>) -> Vec<u8> {
    let checksum = crc32fast::hash(&block);
    block.extend_from_slice(&checksum.to_le_bytes());
    block
}

/// Checks a block and returns its content.
///
/// # Errors
/// Too short, another magic or version, or a checksum that does not fit.
pub fn open(block: &[u8], kind: BlockKind) -> Result<&[u8], CodecError> {
    let (sealed, checksum) =
        block.split_last_chunk::<TRAILER_BYTES>().ok_or(CodecError::TooShort(kind.name))?;
    let (header, content) =
        sealed.split_first_chunk::<HEADER_BYTES>().ok_or(CodecError::TooShort(kind.name))?;
    if header[..4] != kind.magic {
        return Err(CodecError::Corrupted(kind.name));
    }
    let (stored, computed) = (u32::from_le_bytes(*checksum), crc32fast::hash(sealed));
    if stored != computed {
        return Err(CodecError::Checksum { what: kind.name, stored, computed });
    }
    match header[4] == kind.version {
        true => Ok(content),
        false => Err(CodecError::UnknownVersion { what: kind.name, version: header[4] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: BlockKind = BlockKind { name: "thing", magic: *b"TWxx", version: 1 };

    #[test]
    fn any_changed_byte_is_noticed() {
        let mut block = begin(KIND);
        block.extend_from_slice(b"content");
        let block = seal(block);
        assert_eq!(open(&block, KIND), Ok(b"content".as_slice()));
        for at in 0..block.len() {
            let mut damaged = block.clone();
            damaged[at] ^= 0x10;
            assert!(open(&damaged, KIND).is_err());
            assert!(open(&block[..at], KIND).is_err());
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let block = seal(begin(BlockKind { version: 2, ..KIND }));
        let error = open(&block, KIND).unwrap_err();
        assert_eq!(error, CodecError::UnknownVersion { what: "thing", version: 2 });
    }
}
