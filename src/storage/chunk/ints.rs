//! Columns of integers: the workhorse under all other codecs.
//!
//! In: any `i64`s. Out: a self-delimiting column (the count is kept by the caller). A column that
//! is constant or linear costs a few bytes; any other is written as differences of order 0, 1 or 2,
//! divided by their greatest common divisor, in frames of reference (see [`super::frame`]).
//! All arithmetic wraps, so every input comes back exactly; dividing is done only where nothing
//! can wrap.

use super::CodecError;
use super::bytes::{ByteReader, put_varint, put_zigzag};
use super::frame::{self, Frame};

/// All values are the first.
const CONSTANT: u8 = 0;
/// First value and step.
const LINEAR: u8 = 1;
/// Differences to the first value.
const RAW: u8 = 2;
/// Differences to the previous value.
const DELTA: u8 = 3;
/// Differences of those differences.
const DELTA_OF_DELTA: u8 = 4;
/// Mask of the kinds above in the tag byte.
const KIND_MASK: u8 = 0x07;
/// Flag in the tag byte: differences are divided by a divisor, which follows.
const HAS_DIVISOR: u8 = 0x08;
/// Flag in the tag byte: the frame has patches.
const HAS_PATCHES: u8 = 0x10;

/// Largest spread of a column whose differences are divided: a second difference of values that
/// far apart still fits an `i64`.
const DIVISIBLE_SPREAD_MAX: u64 = 1 << 61;
/// What a decoder of a column may be asked to produce; callers have tighter limits.
const COLUMN_VALUES_MAX: usize = 1 << 24;

/// Appends the column to `out`. The caller keeps the number of values.
pub fn encode(values: &[i64], out: &mut Vec<u8>) {
    let Some(&first) = values.first() else { return };
    match common_step(values) {
        Some(0) => {
            out.push(CONSTANT);
            put_zigzag(out, first);
        }
        Some(step) => {
            out.push(LINEAR);
            put_zigzag(out, first);
            put_zigzag(out, step);
        }
        None => encode_differences(values, out),
    }
}

/// The difference between any two neighbours when it is always the same (0 for one value).
fn common_step(values: &[i64]) -> Option<i64> {
    let &[first, second, ..] = values else { return Some(0) };
    let step = second.wrapping_sub(first);
    values.windows(2).all(|w| w[1].wrapping_sub(w[0]) == step).then_some(step)
}

/// Writes the cheapest of the three orders of differences. There are at least three values, as two
/// are linear.
fn encode_differences(values: &[i64], out: &mut Vec<u8>) {
    let divisor = common_divisor(values);
    let raw = divided(values[1..].iter().map(|v| v.wrapping_sub(values[0])), divisor);
    let delta = divided(values.windows(2).map(|w| w[1].wrapping_sub(w[0])), divisor);
    let second = divided(
        values.windows(3).map(|w| {
            let (left, right) = (w[1].wrapping_sub(w[0]), w[2].wrapping_sub(w[1]));
            right.wrapping_sub(left)
        }),
        divisor,
    );
    let mut sorted = Vec::with_capacity(values.len());
    let frames = [&raw, &delta, &second].map(|column| Frame::choose(column, &mut sorted));
    let costs = [frames[0].cost_bits, frames[1].cost_bits, frames[2].cost_bits + 8];
    let best =
        if costs[0] <= costs[1].min(costs[2]) { 0 } else { 1 + usize::from(costs[2] < costs[1]) };
    let (kind, column, frame) = match best {
        0 => (RAW, &raw, &frames[0]),
        1 => (DELTA, &delta, &frames[1]),
        _ => (DELTA_OF_DELTA, &second, &frames[2]),
    };
    let divisor_flag = if divisor == 1 { 0 } else { HAS_DIVISOR };
    let patches_flag = if frame.outliers == 0 { 0 } else { HAS_PATCHES };
    out.push(kind | divisor_flag | patches_flag);
    put_zigzag(out, values[0]);
    if divisor != 1 {
        put_varint(out, divisor as u64);
    }
    if kind == DELTA_OF_DELTA {
        put_zigzag(out, delta[0]);
    }
    frame.write(column, out);
}

/// The differences divided by `divisor`, which divides them all.
fn divided(differences: impl Iterator<Item = i64>, divisor: i64) -> Vec<i64> {
    if divisor == 1 { differences.collect() } else { differences.map(|d| d / divisor).collect() }
}

/// The greatest common divisor of all differences; 1 when a difference may not fit an `i64`.
fn common_divisor(values: &[i64]) -> i64 {
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    for &value in values {
        min = min.min(value);
        max = max.max(value);
    }
    if max.wrapping_sub(min) as u64 > DIVISIBLE_SPREAD_MAX {
        return 1;
    }
    let mut divisor = 0;
    for pair in values.windows(2) {
        divisor = greatest_common_divisor(divisor, (pair[1] - pair[0]).unsigned_abs());
        if divisor == 1 {
            break;
        }
    }
    divisor as i64
}

/// Euclid's algorithm; 0 stands for "any number divides it".
fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Appends the `count` values of a column to `out`.
///
/// # Errors
/// The column ends early or holds what no encoder writes.
pub fn decode(
    reader: &mut ByteReader<'_>,
    count: usize,
    out: &mut Vec<i64>,
) -> Result<(), CodecError> {
    if count == 0 {
        return Ok(());
    }
    CodecError::check_limit("values in a column", count as u64, COLUMN_VALUES_MAX)?;
    let tag = reader.byte("integer column")?;
    let first = reader.zigzag("first value of an integer column")?;
    match tag {
        CONSTANT => out.resize(out.len() + count, first),
        LINEAR => {
            let step = reader.zigzag("step of an integer column")?;
            let mut next = first;
            out.extend((0..count).map(|_| {
                let value = next;
                next = next.wrapping_add(step);
                value
            }));
        }
        _ => decode_differences(reader, tag, first, count, out)?,
    }
    Ok(())
}

/// Decodes what [`encode_differences`] wrote behind the first value.
fn decode_differences(
    reader: &mut ByteReader<'_>,
    tag: u8,
    first: i64,
    count: usize,
    out: &mut Vec<i64>,
) -> Result<(), CodecError> {
    let kind = tag & KIND_MASK;
    let known = tag & !(KIND_MASK | HAS_DIVISOR | HAS_PATCHES) == 0;
    if !known || !(RAW..=DELTA_OF_DELTA).contains(&kind) || count < 3 {
        return Err(CodecError::Corrupted("tag of an integer column"));
    }
    let divisor = match tag & HAS_DIVISOR {
        0 => 1,
        _ => reader.varint("divisor of an integer column")? as i64,
    };
    let step = match kind {
        DELTA_OF_DELTA => reader.zigzag("first difference of an integer column")?,
        _ => 0,
    };
    let patched = tag & HAS_PATCHES != 0;
    let start = out.len();
    let lead = if kind == DELTA_OF_DELTA { 2 } else { 1 };
    let base = frame::read(reader, count - lead, patched, lead, out)?;
    let column = &mut out[start..];
    column[0] = first;
    match kind {
        RAW => restore_raw(&mut column[1..], first, base, divisor),
        DELTA => sum_up(column, base, divisor),
        _ => {
            column[1] = step;
            sum_up(&mut column[1..], base, 1);
            sum_up(column, 0, divisor);
        }
    }
    Ok(())
}

/// `first + (slot + base) * divisor` for each slot.
fn restore_raw(slots: &mut [i64], first: i64, base: i64, divisor: i64) {
    let offset = first.wrapping_add(base.wrapping_mul(divisor));
    if divisor == 1 {
        slots.iter_mut().for_each(|slot| *slot = slot.wrapping_add(offset));
    } else {
        slots.iter_mut().for_each(|slot| *slot = slot.wrapping_mul(divisor).wrapping_add(offset));
    }
}

/// Replaces differences by values: each is the one before plus `(slot + base) * divisor`.
fn sum_up(column: &mut [i64], base: i64, divisor: i64) {
    let Some((first, slots)) = column.split_first_mut() else { return };
    let mut value = *first;
    if divisor == 1 {
        for slot in slots {
            value = value.wrapping_add(slot.wrapping_add(base));
            *slot = value;
        }
    } else {
        for slot in slots {
            value = value.wrapping_add(slot.wrapping_add(base).wrapping_mul(divisor));
            *slot = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(values: &[i64]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(values, &mut out);
        out
    }

    fn decoded(bytes: &[u8], count: usize) -> Result<Vec<i64>, CodecError> {
        let mut reader = ByteReader::new(bytes);
        let mut out = vec![7];
        decode(&mut reader, count, &mut out)?;
        reader.expect_end("rest")?;
        Ok(out.split_off(1))
    }

    fn check(values: &[i64]) {
        let bytes = encoded(values);
        assert_eq!(decoded(&bytes, values.len()).unwrap(), values);
        for end in 0..bytes.len() {
            assert!(decoded(&bytes[..end], values.len()).is_err(), "prefix of {end} bytes");
        }
    }

    #[test]
    fn simple_shapes_cost_a_few_bytes() {
        assert!(encoded(&[]).is_empty());
        assert_eq!(encoded(&[5; 100]), [CONSTANT, 10]);
        let linear: Vec<i64> = (0..100).map(|i| 3 + i * 15_000).collect();
        assert_eq!(encoded(&linear).len(), 5);
        check(&linear);
        check(&[i64::MIN, i64::MAX, i64::MIN + 1]);
    }

    #[test]
    fn multiples_cost_as_much_as_their_quotients() {
        let small: Vec<i64> = (0..120).map(|i| i * i * 7 % 64).collect();
        let large: Vec<i64> = small.iter().map(|v| v * 4096 + 17).collect();
        assert!(encoded(&large).len() <= encoded(&small).len() + 4);
        check(&large);
    }

    #[test]
    fn wide_columns_are_not_divided() {
        check(&[i64::MIN, 0, i64::MAX - 1, 2, i64::MIN + 2, 4]);
        check(&[0, 1 << 61, 0, -(1 << 61), 1 << 61]);
    }

    fn column() -> impl Strategy<Value = Vec<i64>> {
        let width = prop_oneof![0u32..12, 0u32..64];
        let item = (width, any::<i64>(), 0u8..12).prop_map(|(width, bits, pick)| match pick {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => bits,
            _ => bits & (1i64 << width).wrapping_sub(1),
        });
        (prop::collection::vec(item, 0..300), 0u8..4, 1i64..5000).prop_map(|(mut v, sums, g)| {
            v.iter_mut().for_each(|v| *v = v.wrapping_mul(g));
            for _ in 0..sums.min(2) {
                let mut sum = 0i64;
                for v in &mut v {
                    sum = sum.wrapping_add(*v);
                    *v = sum;
                }
            }
            v
        })
    }

    proptest! {
        #[test]
        fn any_column_comes_back(values in column()) {
            check(&values);
        }

        #[test]
        fn small_numbers_come_back(values in prop::collection::vec(-3i64..200, 0..200)) {
            check(&values);
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100), n in 0usize..300) {
            let _ = decoded(&bytes, n);
        }
    }
}
