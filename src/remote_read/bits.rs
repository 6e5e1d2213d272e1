//! Writes single bits, most significant first, as Prometheus' chunks have them.
//!
//! In: numbers and widths. Out: bytes. Never here: what the numbers mean.

/// Bits being put into bytes.
#[derive(Debug, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte still free.
    free: u32,
}

impl BitWriter {
    /// A writer that goes on after `header`.
    pub fn after(header: &[u8]) -> BitWriter {
        BitWriter { bytes: header.to_vec(), free: 0 }
    }

    /// The bytes; the last one is filled up with zeros.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends the lowest `width` (0..=64) bits of `value`.
    #[inline]
    pub fn push(&mut self, value: u64, width: u32) {
        let mut left = width;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let take = left.min(self.free);
            let part = (value >> (left - take)) as u8 & (0xff >> (8 - take));
            if let Some(last) = self.bytes.last_mut() {
                *last |= part << (self.free - take);
            }
            self.free -= take;
            left -= take;
        }
    }

    /// Appends one bit.
    #[inline]
    pub fn push_bit(&mut self, bit: bool) {
        self.push(u64::from(bit), 1);
    }

    /// Appends a little-endian base-128 integer, byte by byte.
    pub fn push_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.push(value, 8);
    }

    /// Appends a signed number in the variable number of bits of `chunkenc/varbit.go`.
    pub fn push_varbit(&mut self, value: i64) {
        let fits = |width: u32| {
            let most = 1i64 << (width - 1);
            (1 - most..=most).contains(&value)
        };
        self.push_bucket(value.cast_unsigned(), value == 0, fits);
    }

    /// Appends an unsigned number in the variable number of bits of `chunkenc/varbit.go`.
    pub fn push_varbit_unsigned(&mut self, value: u64) {
        self.push_bucket(value, value == 0, |width| value >> width == 0);
    }

    /// A prefix of ones names the width; zero is a single bit.
    fn push_bucket(&mut self, value: u64, is_zero: bool, fits: impl Fn(u32) -> bool) {
        const WIDTHS: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];
        if is_zero {
            return self.push_bit(false);
        }
        for (ones, width) in (1..).zip(WIDTHS) {
            if fits(width) {
                self.push((1 << (ones + 1)) - 2, ones + 1);
                return self.push(value, width);
            }
        }
        self.push(0xff, 8);
        self.push(value, 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_fill_bytes_from_the_top() {
        let mut bits = BitWriter::after(&[0xaa]);
        bits.push(0b101, 3);
        bits.push(0xfff, 8);
        bits.push_bit(true);
        bits.push(0, 0);
        assert_eq!(bits.into_bytes(), [0xaa, 0b1011_1111, 0b1111_0000]);
    }

    #[test]
    fn variable_widths_follow_their_prefix() {
        let signed = |value| {
            let mut bits = BitWriter::default();
            bits.push_varbit(value);
            bits.into_bytes()
        };
        assert_eq!(signed(0), [0]);
        assert_eq!(signed(4), [0b1010_0000]);
        assert_eq!(signed(-3), [0b1010_1000]);
        assert_eq!(signed(5), [0b1100_0010, 0b1000_0000]);
        assert_eq!(signed(-4), [0b1101_1110, 0]);
        assert_eq!(signed(i64::MIN), [0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]);
        let mut bits = BitWriter::default();
        bits.push_varbit_unsigned(7);
        bits.push_varbit_unsigned(8);
        assert_eq!(bits.into_bytes(), [0b1011_1110, 0b0010_0000]);
    }
}
