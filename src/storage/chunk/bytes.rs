//! Reading and writing the small parts: bytes, varints, fixed words.
//!
//! A varint is LEB128 (7 bits a byte, lowest first, at most 10 bytes); signed numbers are zigzag
//! coded first (0, -1, 1, -2 ... become 0, 1, 2, 3 ...).

use super::CodecError;

/// A cursor over untrusted bytes; every read names what it wanted in case of failure.
#[derive(Clone, Debug)]
pub struct ByteReader<'a> {
    rest: &'a [u8],
}

impl<'a> ByteReader<'a> {
    /// Starts at the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> ByteReader<'a> {
        ByteReader { rest: bytes }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`CodecError::TooShort`] when there are fewer; so for all methods here.
    pub fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(CodecError::TooShort(what))?;
        self.rest = rest;
        Ok(head)
    }

    /// The next byte.
    pub fn byte(&mut self, what: &'static str) -> Result<u8, CodecError> {
        let (first, rest) = self.rest.split_first().ok_or(CodecError::TooShort(what))?;
        self.rest = rest;
        Ok(*first)
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, CodecError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(CodecError::TooShort(what))?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*head))
    }

    /// An unsigned varint; too long or too large ones are [`CodecError::Corrupted`].
    #[inline]
    pub fn varint(&mut self, what: &'static str) -> Result<u64, CodecError> {
        let mut value = 0u64;
        for (i, byte) in self.rest.iter().take(VARINT_BYTES_MAX).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if i == VARINT_BYTES_MAX - 1 && bits > 1 {
                return Err(CodecError::Corrupted(what));
            }
            value |= bits << (7 * i);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        match self.rest.len() < VARINT_BYTES_MAX {
            true => Err(CodecError::TooShort(what)),
            false => Err(CodecError::Corrupted(what)),
        }
    }

    /// A zigzag varint.
    pub fn zigzag(&mut self, what: &'static str) -> Result<i64, CodecError> {
        self.varint(what).map(unzigzag)
    }

    /// A varint that counts something of which at most `max` are possible.
    ///
    /// # Errors
    /// Also [`CodecError::LimitExceeded`].
    pub fn count(&mut self, max: usize, what: &'static str) -> Result<usize, CodecError> {
        let found = self.varint(what)?;
        CodecError::check_limit(what, found, max)?;
        Ok(found as usize)
    }

    /// Says that nothing may follow.
    ///
    /// # Errors
    /// [`CodecError::Corrupted`] when something does.
    pub fn expect_end(&self, what: &'static str) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CodecError::Corrupted(what)) }
    }
}

/// Longest varint of a u64.
const VARINT_BYTES_MAX: usize = 10;

/// Appends an unsigned varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a zigzag varint.
pub fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

/// Number of bytes [`put_varint`] writes.
pub fn varint_len(value: u64) -> usize {
    ((64 - (value | 1).leading_zeros()) as usize).div_ceil(7)
}

/// Maps small magnitudes of either sign to small numbers.
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Undoes [`zigzag`].
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back_and_have_the_announced_length() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value));
                assert_eq!(ByteReader::new(&out).varint("x"), Ok(value));
                assert_eq!(unzigzag(zigzag(value as i64)), value as i64);
                let cut = &out[..out.len() - 1];
                assert_eq!(ByteReader::new(cut).varint("x"), Err(CodecError::TooShort("x")));
            }
        }
    }

    #[test]
    fn a_varint_beyond_64_bits_is_corrupted() {
        let mut long = vec![0xff; 9];
        long.push(2);
        assert_eq!(ByteReader::new(&long).varint("x"), Err(CodecError::Corrupted("x")));
        assert_eq!(ByteReader::new(&[0x80; 11]).varint("x"), Err(CodecError::Corrupted("x")));
    }
}
