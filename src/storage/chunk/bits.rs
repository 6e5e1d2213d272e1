//! Bit packing: n unsigned numbers of `width` bits each, little-endian, number i at bit
//! `i * width`. Eight numbers take exactly `width` bytes, so the unpackers work on groups of eight
//! with every shift known at compile time.

use super::CodecError;

/// Widest number.
pub const WIDTH_MAX: u32 = 64;
/// Numbers unpacked at a time.
const GROUP: usize = 8;
/// An unpacker reads whole 8-byte words, so up to this much behind its group.
const OVERREAD: usize = 8;
/// Holds the last groups of a column and what is read behind them.
const TAIL_BYTES: usize = 2 * (WIDTH_MAX as usize + OVERREAD);

/// Number of bits needed for `value`; 0 for 0.
pub const fn width_of(value: u64) -> u32 {
    64 - value.leading_zeros()
}

/// Number of bytes that `count` numbers of `width` bits take.
pub const fn packed_len(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Appends `values`, each less than 2^width (higher bits are cut off).
pub fn pack(values: impl IntoIterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    debug_assert!(width <= WIDTH_MAX);
    if width == 0 {
        return;
    }
    let mask = u64::MAX >> (64 - width);
    let (mut pending, mut pending_bits) = (0u128, 0u32);
    for value in values {
        pending |= u128::from(value & mask) << pending_bits;
        pending_bits += width;
        if pending_bits >= 64 {
            out.extend_from_slice(&(pending as u64).to_le_bytes());
            pending >>= 64;
            pending_bits -= 64;
        }
    }
    let left = (pending as u64).to_le_bytes();
    out.extend_from_slice(&left[..pending_bits.div_ceil(8) as usize]);
}

/// Fills `out` with numbers of `width` bits from `packed`.
///
/// # Errors
/// `width` above 64, or `packed` not exactly as long as [`packed_len`] says.
pub fn unpack(packed: &[u8], width: u32, out: &mut [i64]) -> Result<(), CodecError> {
    if width > WIDTH_MAX || packed.len() != packed_len(out.len(), width) {
        return Err(CodecError::Corrupted("bit-packed column"));
    }
    dispatch(packed, width, out);
    Ok(())
}

/// Calls the unpacker of this width.
fn dispatch(packed: &[u8], width: u32, out: &mut [i64]) {
    macro_rules! widths {
        ($($w:literal)*) => {
            match width {
                $($w => unpack_width::<$w>(packed, out),)*
                _ => out.fill(0),
            }
        };
    }
    widths!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
        33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62
        63 64);
}

/// Unpacks groups in place as long as the words read lie within `packed`, the rest from a padded
/// copy.
fn unpack_width<const W: usize>(packed: &[u8], out: &mut [i64]) {
    let mut groups = out.chunks_exact_mut(GROUP);
    let mut rest = packed;
    while rest.len() >= W + OVERREAD {
        let Some(group) = groups.next() else { break };
        unpack_group::<W>(rest, group);
        rest = &rest[W..];
    }
    let mut padded = [0u8; TAIL_BYTES];
    padded[..rest.len()].copy_from_slice(rest);
    let mut rest = padded.as_slice();
    for group in groups.by_ref() {
        unpack_group::<W>(rest, group);
        rest = &rest[W..];
    }
    let last = groups.into_remainder();
    let mut group = [0; GROUP];
    unpack_group::<W>(rest, &mut group);
    last.copy_from_slice(&group[..last.len()]);
}

/// Unpacks eight numbers from the first W bytes; `bytes` has at least W + 8.
#[inline(always)]
fn unpack_group<const W: usize>(bytes: &[u8], out: &mut [i64]) {
    let bytes = &bytes[..W + OVERREAD];
    let out = &mut out[..GROUP];
    let mask = u64::MAX >> (64 - W);
    for (i, slot) in out.iter_mut().enumerate() {
        let (at, shift) = (i * W / 8, i * W % 8);
        let mut value = word(bytes, at) >> shift;
        if W + shift > 64 {
            value |= u64::from(bytes[at + 8]) << (64 - shift);
        }
        *slot = (value & mask) as i64;
    }
}

/// The eight bytes from `at` on.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_and_length_round_trips() {
        for width in 0..=WIDTH_MAX {
            for count in (0..40).chain([119, 120, 121, 257]) {
                let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
                let values: Vec<i64> = (0..count as u64)
                    .map(|i| ((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask) as i64)
                    .collect();
                let mut packed = Vec::new();
                pack(values.iter().map(|v| *v as u64), width, &mut packed);
                assert_eq!(packed.len(), packed_len(count, width));
                let mut back = vec![-1; count];
                unpack(&packed, width, &mut back).unwrap();
                assert_eq!(back, values, "width {width}, count {count}");
            }
        }
    }

    #[test]
    fn wrong_lengths_and_widths_are_errors() {
        assert!(unpack(&[0; 3], 3, &mut [0; 9]).is_err());
        assert!(unpack(&[0; 5], 3, &mut [0; 9]).is_err());
        assert!(unpack(&[0; 65], 65, &mut [0; 8]).is_err());
    }
}
