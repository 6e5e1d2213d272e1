//! The append buffer: one window of one series' float samples while it is still growing.
//!
//! In: samples in the order they arrive, usually ascending. Out: the same samples, sorted, each
//! timestamp once (the latest arrival wins). Never here: anything that outlives the process; the
//! encoding is private to the head and may change at will.
//!
//! Most samples take one byte: a run of unchanged values on an even grid costs a byte per 128
//! samples, a small change of an integer or short decimal one to three.
//!
//! ```text
//! 1nnnnnnn                 n+1 samples: even step, same value
//! 01dddddd                 even step, decimal value changed by d - 32
//! 00000tvv [step] [value]  t: a zigzag varint changes the step
//!                          v: 0 same value | 1 decimal, zigzag varint change
//!                             2 decimal with a new exponent byte and value | 3 raw, 8 bytes
//! ```

use super::blocks::{Blocks, Chain};
use crate::model::source::SeriesData;
use crate::storage::chunk::bytes::{unzigzag, zigzag};

const RUN: u8 = 0x80;
/// Most samples of a run.
const RUN_MAX: u8 = 0x80;
const SMALL: u8 = 0x40;
const SMALL_BIAS: i64 = 32;
const STEP_CHANGES: u8 = 0x04;
const SAME: u8 = 0;
const DECIMAL: u8 = 1;
const NEW_EXPONENT: u8 = 2;
const RAW: u8 = 3;

/// Largest power of ten tried as the scale of a decimal value.
const EXPONENT_MAX: u8 = 9;
/// After this many values in a row that are no short decimals, a new scale is looked for only now
/// and then.
const MISSES_MAX: u8 = 3;
/// Bound of scaled values: up to here every integer is exact in a float.
const SCALED_MAX: f64 = 9_007_199_254_740_992.0;
const POWERS: [f64; EXPONENT_MAX as usize + 1] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Float samples of one series in one window; their bytes are in the window's [`Blocks`].
#[derive(Debug, Default)]
pub struct AppendBuffer {
    chain: Chain,
    count: u32,
    last_timestamp: i64,
    last_step: i64,
    last_value: f64,
    /// The last decimal value, scaled by `POWERS[exponent]`.
    scaled: i64,
    exponent: u8,
    misses: u8,
    /// Repetitions of the last sample's step and value that are not in the chain yet, up to
    /// [`RUN_MAX`]: so they touch no block.
    run: u8,
    /// Whether samples arrived out of order or twice.
    disordered: bool,
}

impl AppendBuffer {
    /// Number of samples appended; more than are read back when timestamps repeat.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether samples arrived out of order or twice, so that reading has to sort.
    pub fn is_disordered(&self) -> bool {
        self.disordered
    }

    /// Timestamp and value of the last sample appended; `None` when empty.
    pub fn last(&self) -> Option<(i64, f64)> {
        (self.count > 0).then_some((self.last_timestamp, self.last_value))
    }

    /// Whether the time from the first to the last sample overlaps `start..=end` (ms). Mostly the
    /// last timestamp tells; only a disordered buffer is decoded.
    pub fn overlaps(&self, blocks: &Blocks, start: i64, end: i64) -> bool {
        if self.count == 0 || start > end {
            return false;
        }
        if (start..=end).contains(&self.last_timestamp) {
            return true;
        }
        if self.disordered {
            let (first, last) = self.decoded_bounds(blocks);
            return first <= end && last >= start;
        }
        self.last_timestamp > end && self.first_timestamp(blocks) <= end
    }

    /// Timestamp of the sample that came first: a step from 0.
    fn first_timestamp(&self, blocks: &Blocks) -> i64 {
        match blocks.first_bytes(&self.chain) {
            [tag, step @ ..] if tag & (RUN | SMALL | STEP_CHANGES) == STEP_CHANGES => {
                unzigzag(take_varint(&mut &*step))
            }
            _ => 0,
        }
    }

    /// Lowest and highest timestamp; the buffer is not empty.
    fn decoded_bounds(&self, blocks: &Blocks) -> (i64, i64) {
        let (mut copy, mut timestamps) = (EncodedSamples::default(), Vec::new());
        self.copy(blocks, &mut copy);
        copy.decode(&mut timestamps, &mut Vec::new());
        let bounds = |(low, high): (i64, i64), t: &i64| (low.min(*t), high.max(*t));
        timestamps.iter().fold((i64::MAX, i64::MIN), bounds)
    }

    /// Appends a sample. Returns whether its timestamp was the last one's with another value; the
    /// exact repetition of the last sample is dropped.
    #[inline]
    pub fn push(&mut self, blocks: &mut Blocks, timestamp: i64, value: f64) -> bool {
        let step = timestamp.wrapping_sub(self.last_timestamp);
        let same_value = value.to_bits() == self.last_value.to_bits();
        let mut replaced = false;
        if self.count > 0 && step <= 0 {
            if step == 0 && same_value {
                return false;
            }
            self.disordered = true;
            replaced = step == 0;
        }
        if same_value && step == self.last_step && self.count > 0 {
            self.push_repeat(blocks);
        } else {
            self.push_change(blocks, step, value, same_value && self.count > 0);
        }
        self.last_timestamp = timestamp;
        self.last_step = step;
        self.last_value = value;
        self.count += 1;
        replaced
    }

    #[inline]
    fn push_repeat(&mut self, blocks: &mut Blocks) {
        if self.run == RUN_MAX {
            self.end_run(blocks);
        }
        self.run += 1;
    }

    /// Puts the run, if there is one, into the chain.
    #[inline]
    fn end_run(&mut self, blocks: &mut Blocks) {
        if let Some(byte) = self.run_byte() {
            blocks.push_byte(&mut self.chain, byte);
            self.run = 0;
        }
    }

    /// The run that is not in the chain yet.
    fn run_byte(&self) -> Option<u8> {
        Some(RUN | self.run.checked_sub(1)?)
    }

    fn push_change(&mut self, blocks: &mut Blocks, step: i64, value: f64, same_value: bool) {
        self.end_run(blocks);
        let step_change = step.wrapping_sub(self.last_step);
        let mut encoded = Bytes::default();
        let tag = if same_value {
            SAME
        } else if let Some(scaled) = scale(value, self.exponent) {
            self.misses = 0;
            let change = scaled.wrapping_sub(self.scaled);
            self.scaled = scaled;
            if step_change == 0 && (-SMALL_BIAS..SMALL_BIAS).contains(&change) {
                blocks.push_byte(&mut self.chain, SMALL | (change + SMALL_BIAS) as u8);
                return;
            }
            encoded.varint(zigzag(change));
            DECIMAL
        } else if let Some((exponent, scaled)) = self.find_scale(value) {
            self.exponent = exponent;
            self.scaled = scaled;
            encoded.byte(exponent);
            encoded.varint(zigzag(scaled));
            NEW_EXPONENT
        } else {
            encoded = Bytes { word: u128::from(value.to_bits()), len: 8 };
            RAW
        };
        let mut start = Bytes::default();
        if step_change == 0 {
            start.byte(tag);
            blocks.push_word(&mut self.chain, start.word | encoded.word << 8, 1 + encoded.len);
        } else {
            start.byte(tag | STEP_CHANGES);
            start.varint(zigzag(step_change));
            blocks.push_word(&mut self.chain, start.word, start.len);
            blocks.push_word(&mut self.chain, encoded.word, encoded.len);
        }
    }

    fn find_scale(&mut self, value: f64) -> Option<(u8, i64)> {
        if self.misses > MISSES_MAX && !self.count.is_multiple_of(16) {
            return None;
        }
        let found = (0..=EXPONENT_MAX).find_map(|e| scale(value, e).map(|scaled| (e, scaled)));
        self.misses = if found.is_some() { 0 } else { self.misses.saturating_add(1) };
        found
    }

    /// Replaces `out` by a copy of the samples, for a reader that holds no lock.
    pub fn copy(&self, blocks: &Blocks, out: &mut EncodedSamples) {
        out.bytes.clear();
        out.bytes.reserve_exact(self.chain.len() + 1);
        blocks.read(&self.chain, &mut out.bytes);
        out.bytes.extend(self.run_byte());
        out.count = self.count;
        out.disordered = self.disordered;
    }
}

/// The samples of a buffer, copied.
#[derive(Clone, Debug, Default)]
pub struct EncodedSamples {
    bytes: Vec<u8>,
    count: u32,
    disordered: bool,
}

impl EncodedSamples {
    /// Appends the samples in arrival order to `timestamps` and `values`.
    pub fn decode(&self, timestamps: &mut Vec<i64>, values: &mut Vec<f64>) {
        timestamps.reserve(self.count as usize);
        values.reserve(self.count as usize);
        let mut state = Decoder::default();
        let mut input = self.bytes.as_slice();
        while let [tag, rest @ ..] = input {
            input = rest;
            if *tag & RUN != 0 {
                state.repeat(usize::from(tag & !RUN) + 1, timestamps, values);
                continue;
            }
            if *tag & SMALL != 0 {
                state.change_scaled(i64::from(tag & !SMALL) - SMALL_BIAS);
            } else {
                input = state.record(*tag, input);
            }
            state.step_once(timestamps, values);
        }
        debug_assert_eq!(timestamps.len(), values.len());
    }

    /// Replaces the float columns of `out` by the samples, ascending, each timestamp once.
    pub fn read(&self, out: &mut SeriesData) {
        out.timestamps.clear();
        out.values.clear();
        self.decode(&mut out.timestamps, &mut out.values);
        if self.disordered {
            sort_keep_latest(&mut out.timestamps, &mut out.values);
        }
    }
}

/// Sorts samples by timestamp; of several with one timestamp the one that came last stays.
pub fn sort_keep_latest(timestamps: &mut Vec<i64>, values: &mut Vec<f64>) {
    let mut samples: Vec<(i64, f64)> =
        timestamps.iter().copied().zip(values.iter().copied()).collect();
    samples.sort_by_key(|(timestamp, _)| *timestamp);
    timestamps.clear();
    values.clear();
    for (timestamp, value) in samples {
        if timestamps.last() == Some(&timestamp) {
            timestamps.pop();
            values.pop();
        }
        timestamps.push(timestamp);
        values.push(value);
    }
}

#[derive(Default)]
struct Decoder {
    timestamp: i64,
    step: i64,
    value: f64,
    scaled: i64,
    exponent: u8,
}

impl Decoder {
    fn repeat(&mut self, count: usize, timestamps: &mut Vec<i64>, values: &mut Vec<f64>) {
        for _ in 0..count {
            self.step_once(timestamps, values);
        }
    }

    #[inline]
    fn step_once(&mut self, timestamps: &mut Vec<i64>, values: &mut Vec<f64>) {
        self.timestamp = self.timestamp.wrapping_add(self.step);
        timestamps.push(self.timestamp);
        values.push(self.value);
    }

    #[inline]
    fn change_scaled(&mut self, change: i64) {
        self.scaled = self.scaled.wrapping_add(change);
        self.value = self.scaled as f64 / POWERS[usize::from(self.exponent)];
    }

    fn record<'a>(&mut self, tag: u8, mut input: &'a [u8]) -> &'a [u8] {
        if tag & STEP_CHANGES != 0 {
            self.step = self.step.wrapping_add(unzigzag(take_varint(&mut input)));
        }
        match tag & RAW {
            SAME => {}
            DECIMAL => self.change_scaled(unzigzag(take_varint(&mut input))),
            NEW_EXPONENT => {
                self.exponent = input[0];
                input = &input[1..];
                self.scaled = unzigzag(take_varint(&mut input));
                self.change_scaled(0);
            }
            _ => {
                let (raw, rest) = input.split_at(8);
                self.value = f64::from_bits(u64::from_le_bytes(
                    raw.try_into().expect("BUG: split at 8 gives 8 bytes"),
                ));
                input = rest;
            }
        }
        input
    }
}

/// Bytes being put together in a register, the first one lowest: what is written to memory byte by
/// byte and read back as words waits until it has left the core's store buffer.
#[derive(Default)]
struct Bytes {
    word: u128,
    /// At most 11: a byte and a varint.
    len: u32,
}

impl Bytes {
    #[inline]
    fn byte(&mut self, byte: u8) {
        self.word |= u128::from(byte) << (8 * self.len);
        self.len += 1;
    }

    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }
}

/// `value` as an integer multiple of 10^-exponent, when that gives back the same bits.
#[inline]
fn scale(value: f64, exponent: u8) -> Option<i64> {
    let power = POWERS[usize::from(exponent)];
    let product = value * power;
    if !(product.abs() < SCALED_MAX) {
        return None;
    }
    let scaled = (product + 0.5f64.copysign(product)) as i64; // rounding is a call on old processors
    (((scaled as f64) / power).to_bits() == value.to_bits()).then_some(scaled)
}

#[inline]
fn take_varint(input: &mut &[u8]) -> u64 {
    let mut value = 0;
    let mut shift = 0;
    loop {
        let byte = input[0];
        *input = &input[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::stale_nan;

    /// The buffer after these samples, and what is read back.
    fn read(samples: &[(i64, f64)]) -> (AppendBuffer, Vec<(i64, u64)>) {
        let mut buffer = AppendBuffer::default();
        let mut blocks = Blocks::default();
        for (timestamp, value) in samples {
            buffer.push(&mut blocks, *timestamp, *value);
        }
        let (mut copy, mut data) = (EncodedSamples::default(), SeriesData::default());
        buffer.copy(&blocks, &mut copy);
        copy.read(&mut data);
        let bits = data.values.iter().map(|v| v.to_bits());
        (buffer, data.timestamps.iter().copied().zip(bits).collect())
    }

    #[test]
    fn a_constant_on_a_grid_takes_a_few_bytes() {
        let samples: Vec<_> = (0..120).map(|i| (1_700_000_000_000 + i * 15_000, 1.0)).collect();
        let (buffer, back) = read(&samples);
        assert_eq!(back.len(), 120);
        assert!(buffer.chain.len() <= 16, "{} bytes", buffer.chain.len());
    }

    #[test]
    fn small_decimal_changes_take_one_byte() {
        let samples: Vec<_> = (0..120).map(|i| (i * 15_000, (i * 7) as f64 / 100.0)).collect();
        let (buffer, back) = read(&samples);
        assert_eq!(back[119], (119 * 15_000, 8.33f64.to_bits()));
        assert!(buffer.chain.len() < 140, "{} bytes", buffer.chain.len());
    }

    #[test]
    fn special_values_keep_their_bits() {
        let values =
            [stale_nan(), f64::NAN, -0.0, 0.0, f64::INFINITY, f64::MIN_POSITIVE / 3.0, 1e300];
        let samples: Vec<_> = values.iter().enumerate().map(|(i, v)| (i as i64, *v)).collect();
        let expected: Vec<_> = samples.iter().map(|(t, v)| (*t, v.to_bits())).collect();
        assert_eq!(read(&samples).1, expected);
    }

    /// Whether a buffer of these samples overlaps the range.
    fn overlaps(samples: &[(i64, f64)], start: i64, end: i64) -> bool {
        let (mut buffer, mut blocks) = (AppendBuffer::default(), Blocks::default());
        for (timestamp, value) in samples {
            buffer.push(&mut blocks, *timestamp, *value);
        }
        buffer.overlaps(&blocks, start, end)
    }

    #[test]
    fn a_buffer_overlaps_what_lies_between_its_first_and_last_sample() {
        let ordered: Vec<_> = (0..120).map(|i| (1000 + i * 15, i as f64 * 0.1)).collect();
        let disordered = [(1900, 1.0), (1000, 2.0), (2785, 3.0), (1500, 4.0)];
        for samples in [&ordered[..], &disordered] {
            assert!(!overlaps(samples, 0, 999));
            assert!(overlaps(samples, 0, 1000));
            assert!(overlaps(samples, 1003, 1004), "a gap between two samples");
            assert!(overlaps(samples, 2785, i64::MAX));
            assert!(!overlaps(samples, 2786, i64::MAX));
            assert!(!overlaps(samples, 2000, 1999), "no time at all");
        }
        assert!(!overlaps(&[], i64::MIN, i64::MAX));
        assert!(overlaps(&[(0, 1.0), (9, 1.0)], -5, 0) && !overlaps(&[(0, 1.0), (9, 1.0)], -5, -1));
    }

    #[test]
    fn late_and_repeated_samples_are_sorted_and_the_latest_wins() {
        let (buffer, back) = read(&[(10, 1.0), (30, 3.0), (20, 2.0), (30, 4.0), (30, 4.0)]);
        assert!(buffer.is_disordered());
        assert_eq!(back, [(10, 1f64.to_bits()), (20, 2f64.to_bits()), (30, 4f64.to_bits())]);
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            samples in prop::collection::vec(
                (-100i64..100_000, prop_oneof![any::<u64>().prop_map(f64::from_bits),
                 (-1000i64..1000).prop_map(|m| m as f64 / 10.0), Just(5.0)]), 0..200),
            start in any::<i64>(),
        ) {
            let mut expected = std::collections::BTreeMap::new();
            let mut timestamp = start / 2;
            let mut pushed = Vec::new();
            for (step, value) in samples {
                timestamp += step;
                pushed.push((timestamp, value));
                expected.insert(timestamp, value.to_bits());
            }
            if let Some((first, last)) = expected.keys().next().zip(expected.keys().next_back()) {
                prop_assert!(overlaps(&pushed, *first, *first) && overlaps(&pushed, *last, *last));
                prop_assert!(!overlaps(&pushed, i64::MIN, first - 1));
                prop_assert!(!overlaps(&pushed, last + 1, i64::MAX));
            }
            prop_assert_eq!(read(&pushed).1, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
