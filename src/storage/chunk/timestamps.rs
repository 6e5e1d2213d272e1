//! Columns of timestamps.
//!
//! In: strictly ascending milliseconds. Out: bytes; the count is kept by the caller. An exact grid
//! costs about ten bytes; otherwise a column holds which grid points were missed and how far each
//! timestamp lies beside its point. Decoded columns are checked to ascend strictly.

use super::bytes::{ByteReader, put_varint, put_zigzag};
use super::{CodecError, SAMPLES_PER_CHUNK_MAX, ints};

/// First timestamp and step.
const GRID: u8 = 0;
/// First timestamp, step, missed points, residuals.
const GRID_WITH_RESIDUALS: u8 = 1;
/// An integer column.
const PLAIN: u8 = 2;
/// Steps that people configure are multiples of one of these, in ms.
const ROUND_STEPS: [i64; 5] = [10, 100, 500, 1000, 5000];

/// Appends strictly ascending timestamps, at most [`SAMPLES_PER_CHUNK_MAX`]. The caller keeps the
/// count.
pub fn encode(timestamps: &[i64], out: &mut Vec<u8>) {
    debug_assert!(timestamps.is_sorted_by(|a, b| a < b), "BUG: timestamps must ascend");
    let Some(&first) = timestamps.first() else { return };
    if let Some(step) = exact_step(timestamps) {
        out.push(GRID);
        put_zigzag(out, first);
        put_varint(out, step);
        return;
    }
    let start = out.len();
    out.push(PLAIN);
    ints::encode(timestamps, out);
    if let Some(grid) = Grid::choose(timestamps) {
        let plain_len = out.len() - start;
        grid.write(first, out);
        if out.len() - start - plain_len < plain_len {
            out.drain(start..start + plain_len);
        } else {
            out.truncate(start + plain_len);
        }
    }
}

/// The step of an exact grid; 1 for a single timestamp.
fn exact_step(timestamps: &[i64]) -> Option<u64> {
    let &[first, second, ..] = timestamps else { return Some(1) };
    let step = second.wrapping_sub(first);
    let exact = timestamps.windows(2).all(|w| w[1].wrapping_sub(w[0]) == step);
    exact.then_some(step as u64)
}

/// Timestamp i lies at `first + (i + missed[i]) * step + residuals[i]`, in wrapping arithmetic.
struct Grid {
    step: i64,
    /// How many points were missed before the i-th timestamp.
    missed: Vec<i64>,
    residuals: Vec<i64>,
}

impl Grid {
    /// The grid that leaves the smallest residuals; none when time steps do not fit an `i64`.
    fn choose(timestamps: &[i64]) -> Option<Grid> {
        let (first, last) = (timestamps.first()?, timestamps.last()?);
        last.checked_sub(*first)?;
        let mut steps: Vec<i64> = timestamps.windows(2).map(|w| w[1] - w[0]).collect();
        let middle = steps.len() / 2;
        let median = *steps.select_nth_unstable(middle).1;
        let mut best = Grid::with_step(timestamps, median);
        let points = timestamps.len() as i64 + best.missed.last()?;
        let mean = (last - first) / (points - 1).max(1);
        let rounded = ROUND_STEPS.map(|unit| median.saturating_add(unit / 2) / unit * unit);
        for step in rounded.into_iter().chain([mean]).filter(|s| *s > 0) {
            let grid = Grid::with_step(timestamps, step);
            if grid.spread() < best.spread() {
                best = grid;
            }
        }
        Some(best)
    }

    /// Places the timestamps on the grid of this step.
    fn with_step(timestamps: &[i64], step: i64) -> Grid {
        let count = timestamps.len();
        let mut grid =
            Grid { step, missed: Vec::with_capacity(count), residuals: Vec::with_capacity(count) };
        let (mut previous, mut point) = (timestamps[0], timestamps[0]);
        let mut missed = 0i64;
        for (i, &timestamp) in timestamps.iter().enumerate() {
            if i > 0 {
                let steps = ((timestamp - previous).saturating_add(step / 2) / step).max(1);
                point = point.wrapping_add(step.wrapping_mul(steps));
                missed += steps - 1;
            }
            previous = timestamp;
            grid.missed.push(missed);
            grid.residuals.push(timestamp.wrapping_sub(point));
        }
        grid
    }

    /// Difference between the largest and the smallest residual.
    fn spread(&self) -> u64 {
        let (min, max) = self
            .residuals
            .iter()
            .fold((i64::MAX, i64::MIN), |(min, max), r| (min.min(*r), max.max(*r)));
        max.wrapping_sub(min) as u64
    }

    fn write(&self, first: i64, out: &mut Vec<u8>) {
        out.push(GRID_WITH_RESIDUALS);
        put_zigzag(out, first);
        put_varint(out, self.step as u64);
        ints::encode(&self.missed, out);
        ints::encode(&self.residuals, out);
    }
}

/// Appends the `count` timestamps that `reader` comes to next.
///
/// # Errors
/// Bytes that [`encode`] does not write for that count, a column that does not ascend, or more
/// than [`SAMPLES_PER_CHUNK_MAX`] timestamps. `out` may then hold some more than before.
pub fn read(
    reader: &mut ByteReader<'_>,
    count: usize,
    out: &mut Vec<i64>,
) -> Result<(), CodecError> {
    CodecError::check_limit("timestamps in a column", count as u64, SAMPLES_PER_CHUNK_MAX)?;
    if count == 0 {
        return Ok(());
    }
    let start = out.len();
    match reader.byte("timestamp column")? {
        GRID => return read_grid(reader, count, out),
        GRID_WITH_RESIDUALS => read_residuals(reader, count, out)?,
        PLAIN => ints::decode(reader, count, out)?,
        _ => return Err(CodecError::Corrupted("form of a timestamp column")),
    }
    match out[start..].is_sorted_by(|a, b| a < b) {
        true => Ok(()),
        false => Err(CodecError::Corrupted("order of a timestamp column")),
    }
}

/// Appends the `count` timestamps encoded in `bytes`.
///
/// # Errors
/// As [`read`], and when bytes are left over.
pub fn decode(bytes: &[u8], count: usize, out: &mut Vec<i64>) -> Result<(), CodecError> {
    let mut reader = ByteReader::new(bytes);
    read(&mut reader, count, out)?;
    reader.expect_end("end of a timestamp column")
}

fn read_grid(
    reader: &mut ByteReader<'_>,
    count: usize,
    out: &mut Vec<i64>,
) -> Result<(), CodecError> {
    let first = reader.zigzag("first timestamp")?;
    let step = reader.varint("step of a timestamp column")?;
    let last = i128::from(first) + i128::from(step) * (count as i128 - 1);
    if step == 0 || last > i128::from(i64::MAX) {
        return Err(CodecError::Corrupted("step of a timestamp column"));
    }
    out.extend((0..count as i64).map(|i| first.wrapping_add((step as i64).wrapping_mul(i))));
    Ok(())
}

fn read_residuals(
    reader: &mut ByteReader<'_>,
    count: usize,
    out: &mut Vec<i64>,
) -> Result<(), CodecError> {
    let first = reader.zigzag("first timestamp")?;
    let step = reader.varint("step of a timestamp column")? as i64;
    let mut missed = Vec::with_capacity(count);
    ints::decode(reader, count, &mut missed)?;
    let start = out.len();
    ints::decode(reader, count, out)?;
    for (i, (slot, missed)) in out[start..].iter_mut().zip(&missed).enumerate() {
        let point = (i as i64).wrapping_add(*missed).wrapping_mul(step).wrapping_add(first);
        *slot = slot.wrapping_add(point);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOON: i64 = 1_795_262_400_000;

    fn check(timestamps: &[i64]) -> usize {
        let mut bytes = Vec::new();
        encode(timestamps, &mut bytes);
        let mut out = vec![-5];
        decode(&bytes, timestamps.len(), &mut out).unwrap();
        assert_eq!(&out[1..], timestamps);
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end], timestamps.len(), &mut out).is_err(), "prefix {end}");
        }
        bytes.len()
    }

    fn grid(count: usize) -> Vec<i64> {
        (0..count as i64).map(|i| NOON + 15_000 * i).collect()
    }

    #[test]
    fn an_exact_grid_costs_ten_bytes() {
        assert!(check(&grid(120)) <= 10);
        assert!(check(&[NOON]) <= 10);
        assert_eq!(check(&[]), 0);
    }

    #[test]
    fn jitter_costs_its_bits() {
        let jittered: Vec<i64> =
            grid(120).iter().enumerate().map(|(i, t)| t + (i as i64 * 7919) % 6).collect();
        assert!(check(&jittered) <= 48 + 20, "{}", check(&jittered));
    }

    #[test]
    fn missed_scrapes_cost_a_few_bytes() {
        let mut gappy = grid(120);
        gappy.drain(40..43);
        gappy.remove(90);
        assert!(check(&gappy) <= 30, "{}", check(&gappy));
    }

    #[test]
    fn the_whole_range_of_time_fits() {
        check(&[i64::MIN, -1, 0, i64::MAX - 1, i64::MAX]);
        check(&[i64::MIN, i64::MIN + 1, i64::MAX]);
        check(&[i64::MIN, i64::MAX]);
        check(&[0, 1, i64::MAX]);
        check(&[i64::MIN, i64::MIN + 3, -1]);
    }

    #[test]
    fn descending_columns_are_refused() {
        let mut bytes = vec![PLAIN];
        ints::encode(&[1, 5, 5, 9], &mut bytes);
        let error = decode(&bytes, 4, &mut Vec::new()).unwrap_err();
        assert_eq!(error, CodecError::Corrupted("order of a timestamp column"));
        assert!(decode(&[GRID, 0, 0], 2, &mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn any_ascending_column_comes_back(
            mut timestamps in prop::collection::vec(any::<i64>(), 0..200)
        ) {
            timestamps.sort_unstable();
            timestamps.dedup();
            check(&timestamps);
        }

        #[test]
        fn scrapes_come_back(
            first in any::<i32>(), step in 1i64..100_000,
            moves in prop::collection::vec((0i64..20, 0u8..30), 1..200),
        ) {
            let mut next = NOON + i64::from(first);
            let mut timestamps: Vec<i64> = moves.iter().map(|(jitter, gap)| {
                next += step * if *gap == 0 { 5 } else { 1 };
                next + jitter
            }).collect();
            timestamps.sort_unstable();
            timestamps.dedup();
            check(&timestamps);
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100), n in 0usize..300) {
            let _ = decode(&bytes, n, &mut Vec::new());
        }
    }
}
