//! Frames of reference with patches: integers as offsets from a base, bit-packed at a width that
//! most of them fit; the others (outliers) are listed as patches.

use super::CodecError;
use super::bits::{self, packed_len, width_of};
use super::bytes::{ByteReader, put_varint, put_zigzag, varint_len, zigzag};

/// Bits charged for the gap in front of a patch.
const GAP_BITS: usize = 8;

/// A base and a width for one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Packed numbers are offsets from this.
    pub base: i64,
    /// Bits a packed number takes.
    pub width: u32,
    /// Number of values outside `base..base + 2^width`.
    pub outliers: usize,
    /// Bits that packed numbers and patches take (an estimate for the patches).
    pub cost_bits: usize,
}

impl Frame {
    /// The cheapest frame for `values`; `sorted` is scratch space.
    pub fn choose(values: &[i64], sorted: &mut Vec<i64>) -> Frame {
        sorted.clear();
        sorted.extend_from_slice(values);
        sorted.sort_unstable();
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else {
            return Frame { base: 0, width: 0, outliers: 0, cost_bits: 0 };
        };
        let full = width_of(max.wrapping_sub(min) as u64);
        let count = values.len();
        let mut best =
            Frame { base: min, width: full, outliers: 0, cost_bits: count * full as usize };
        for width in (0..full).rev() {
            let (start, end) = fullest_window(sorted, width);
            let outliers = count - (end - start);
            if outliers > count / 4 {
                break;
            }
            let base = sorted[start];
            let patches: usize =
                sorted[..start].iter().chain(&sorted[end..]).map(|v| patch_bits(*v, base)).sum();
            let cost_bits = count * width as usize + patches + 8;
            if cost_bits < best.cost_bits {
                best = Frame { base, width, outliers, cost_bits };
            }
        }
        best
    }

    /// Whether `value` is one of the packed numbers.
    fn holds(&self, value: i64) -> bool {
        width_of(value.wrapping_sub(self.base) as u64) <= self.width
    }

    /// Appends width, base, patches if any, and the packed numbers.
    pub fn write(&self, values: &[i64], out: &mut Vec<u8>) {
        out.push(self.width as u8);
        put_zigzag(out, self.base);
        if self.outliers > 0 {
            self.write_patches(values, out);
        }
        let slot = |&v: &i64| if self.holds(v) { v.wrapping_sub(self.base) as u64 } else { 0 };
        bits::pack(values.iter().map(slot), self.width, out);
    }

    /// Appends the number of outliers, then for each how many values lie between it and the outlier
    /// before, and its difference to the base.
    fn write_patches(&self, values: &[i64], out: &mut Vec<u8>) {
        put_varint(out, self.outliers as u64);
        let mut next = 0;
        for (i, &value) in values.iter().enumerate().filter(|(_, v)| !self.holds(**v)) {
            put_varint(out, (i - next) as u64);
            put_zigzag(out, value.wrapping_sub(self.base));
            next = i + 1;
        }
    }
}

/// Bits of a patch of this value.
fn patch_bits(value: i64, base: i64) -> usize {
    GAP_BITS + 8 * varint_len(zigzag(value.wrapping_sub(base)))
}

/// The range of indexes with the most values that lie within 2^width of each other.
fn fullest_window(sorted: &[i64], width: u32) -> (usize, usize) {
    let (mut best, mut end) = ((0, 0), 0);
    for (start, low) in sorted.iter().enumerate() {
        while end < sorted.len() && width_of(sorted[end].wrapping_sub(*low) as u64) <= width {
            end += 1;
        }
        if end - start > best.1 - best.0 {
            best = (start, end);
        }
        if end == sorted.len() {
            break;
        }
    }
    best
}

/// Appends `lead` zeros and `count` offsets from the returned base to `out`.
///
/// # Errors
/// The frame ends early or holds what [`Frame::write`] does not write.
pub fn read(
    reader: &mut ByteReader<'_>,
    count: usize,
    patched: bool,
    lead: usize,
    out: &mut Vec<i64>,
) -> Result<i64, CodecError> {
    let width = u32::from(reader.byte("width of a packed column")?);
    if width > bits::WIDTH_MAX {
        return Err(CodecError::Corrupted("width of a packed column"));
    }
    let base = reader.zigzag("base of a packed column")?;
    let mut behind_patches = reader.clone();
    if patched {
        for_each_patch(&mut behind_patches, count, |_, _| ())?;
    }
    let packed = behind_patches.bytes(packed_len(count, width), "packed column")?;
    let start = out.len() + lead;
    out.resize(start + count, 0);
    bits::unpack(packed, width, &mut out[start..])?;
    if patched {
        for_each_patch(reader, count, |i, offset| out[start + i] = offset)?;
    }
    *reader = behind_patches;
    Ok(base)
}

/// Reads the patches of a frame of `count` values.
fn for_each_patch(
    reader: &mut ByteReader<'_>,
    count: usize,
    mut visit: impl FnMut(usize, i64),
) -> Result<(), CodecError> {
    let patches = reader.count(count, "patches of a packed column")?;
    let mut next = 0usize;
    for _ in 0..patches {
        let gap = reader.count(count, "gap before a patch")?;
        let index = next + gap;
        if index >= count {
            return Err(CodecError::Corrupted("place of a patch"));
        }
        visit(index, reader.zigzag("patch of a packed column")?);
        next = index + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_move_is_a_patch() {
        let mut values = vec![0; 120];
        values[40] = 1;
        values[90] = 3;
        let frame = Frame::choose(&values, &mut Vec::new());
        assert_eq!((frame.base, frame.width, frame.outliers), (0, 0, 2));
    }

    #[test]
    fn extremes_are_one_frame() {
        let frame = Frame::choose(&[i64::MIN, i64::MAX, 0], &mut Vec::new());
        assert_eq!((frame.width, frame.outliers), (64, 0));
    }
}
