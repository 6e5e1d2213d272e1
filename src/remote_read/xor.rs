//! Chunks of float samples in Prometheus' XOR encoding (`tsdb/chunkenc/xor.go`, after Facebook's
//! Gorilla): what the streamed form of remote read carries.
//!
//! In: timestamps and values. Out: the bytes of one chunk. Never here: our own storage's chunks.

use super::bits::BitWriter;

/// Most samples in one chunk, as Prometheus writes them.
pub const SAMPLES_MAX: usize = 120;

/// Encodes at most [`SAMPLES_MAX`] samples; both slices have the same length.
pub fn encode(timestamps: &[i64], values: &[f64]) -> Vec<u8> {
    debug_assert!(timestamps.len() == values.len() && values.len() <= SAMPLES_MAX);
    let mut bits = BitWriter::after(&(timestamps.len() as u16).to_be_bytes());
    let mut previous = 0i64;
    let mut delta = 0i64;
    let mut xor = Xor::default();
    for (i, (&timestamp, value)) in timestamps.iter().zip(values).enumerate() {
        let new_delta = timestamp.wrapping_sub(previous);
        match i {
            0 => bits.push_varint(super::writer::zigzag(timestamp)),
            1 => bits.push_varint(new_delta.cast_unsigned()),
            _ => push_time(&mut bits, new_delta.wrapping_sub(delta)),
        }
        if i == 0 {
            bits.push(value.to_bits(), 64);
            xor.previous = value.to_bits();
        } else {
            xor.push(&mut bits, value.to_bits());
        }
        delta = new_delta;
        previous = timestamp;
    }
    bits.into_bytes()
}

/// Appends the change of the time step.
fn push_time(bits: &mut BitWriter, change: i64) {
    let fits = |width: u32| {
        let most = 1i64 << (width - 1);
        (1 - most..=most).contains(&change)
    };
    let (prefix, prefix_width, width) = match change {
        0 => return bits.push_bit(false),
        _ if fits(14) => (0b10, 2, 14),
        _ if fits(17) => (0b110, 3, 17),
        _ if fits(20) => (0b1110, 4, 20),
        _ => (0b1111, 4, 64),
    };
    bits.push(prefix, prefix_width);
    bits.push(change.cast_unsigned(), width);
}

/// What is known of the values before: the last one, and which of its bits changed.
#[derive(Default)]
struct Xor {
    previous: u64,
    /// Leading and trailing zeros of the window in use.
    window: Option<(u32, u32)>,
}

impl Xor {
    fn push(&mut self, bits: &mut BitWriter, value: u64) {
        let change = value ^ self.previous;
        self.previous = value;
        if change == 0 {
            return bits.push_bit(false);
        }
        bits.push_bit(true);
        let leading = change.leading_zeros().min(31);
        let trailing = change.trailing_zeros();
        if let Some((l, t)) = self.window.filter(|(l, t)| leading >= *l && trailing >= *t) {
            bits.push_bit(false);
            return bits.push(change >> t, 64 - l - t);
        }
        self.window = Some((leading, trailing));
        let width = 64 - leading - trailing;
        bits.push_bit(true);
        bits.push(u64::from(leading), 5);
        bits.push(u64::from(width & 63), 6); // 64 is written as 0
        bits.push(change >> trailing, width);
    }
}
