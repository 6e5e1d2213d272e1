//! Snappy block decoding with a bound that is checked before any memory is taken.
//!
//! In: a compressed body. Out: the decoded bytes in a buffer that is used again and again.
//! Never here: the framed snappy format, other compressions.

use std::fmt;

/// Why a body could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnappyError {
    /// Not a snappy block; says what is wrong with it.
    Corrupted(String),
    /// The block says it holds more than allowed: (bytes, most bytes).
    TooLarge(usize, usize),
}

impl fmt::Display for SnappyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnappyError::Corrupted(why) => {
                write!(f, "request body is not a valid snappy block: {why}")
            }
            SnappyError::TooLarge(bytes, most) => write!(
                f,
                "request body has {bytes} bytes when decompressed, at most {most} are accepted"
            ),
        }
    }
}

impl std::error::Error for SnappyError {}

/// Decompresses `body` and returns the decoded bytes, which live in `buffer`. The buffer only
/// grows, so that a used one costs no allocation and no clearing.
///
/// # Errors
/// The block is damaged, or announces more than `bytes_max`; then nothing was allocated.
pub fn decode<'b>(
    body: &[u8],
    bytes_max: usize,
    buffer: &'b mut Vec<u8>,
) -> Result<&'b [u8], SnappyError> {
    let corrupted = |error: snap::Error| SnappyError::Corrupted(error.to_string());
    if body.is_empty() {
        return Err(SnappyError::Corrupted("it is empty".into()));
    }
    let len = snap::raw::decompress_len(body).map_err(corrupted)?;
    if len > bytes_max {
        return Err(SnappyError::TooLarge(len, bytes_max));
    }
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    let written = snap::raw::Decoder::new().decompress(body, &mut buffer[..len]);
    Ok(&buffer[..written.map_err(corrupted)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_decoded_into_the_same_buffer() {
        let mut buffer = Vec::new();
        for text in [b"a longer text, a longer text".as_slice(), b"short", b""] {
            let body = snap::raw::Encoder::new().compress_vec(text).expect("compresses");
            assert_eq!(decode(&body, 100, &mut buffer), Ok(text));
        }
    }

    #[test]
    fn a_bomb_is_refused_by_its_header() {
        let mut buffer = Vec::new();
        let four_gib = b"\xff\xff\xff\xff\x0f";
        let refused = decode(four_gib, 1000, &mut buffer);
        assert_eq!(refused, Err(SnappyError::TooLarge(u32::MAX as usize, 1000)));
        assert_eq!(buffer.capacity(), 0);
    }

    #[test]
    fn damaged_blocks_are_errors() {
        let body = snap::raw::Encoder::new().compress_vec(&[7; 100]).expect("compresses");
        let mut buffer = Vec::new();
        for cut in 0..body.len() {
            let result = decode(&body[..cut], 1000, &mut buffer);
            assert!(matches!(result, Err(SnappyError::Corrupted(_))), "cut at {cut}");
        }
    }
}
