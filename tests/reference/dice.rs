//! Where random choices come from.

/// A source of choices: bytes first, if there are any, then a generator of random numbers, if there
/// is one, then always the first choice.
pub struct Dice<'a> {
    bytes: &'a [u8],
    state: Option<u64>,
}

impl Dice<'_> {
    /// Choices that `bytes` make, as those of a fuzzer, and behind them those that follow from a seed,
    /// if there is one.
    pub fn new(bytes: &[u8], seed: Option<u64>) -> Dice<'_> {
        let state = seed.map(|seed| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Dice { bytes, state }
    }

    /// A number below `limit`, which is at most 256.
    pub fn below(&mut self, limit: usize) -> usize {
        if let Some((first, rest)) = self.bytes.split_first() {
            self.bytes = rest;
            return usize::from(*first) % limit;
        }
        let Some(state) = &mut self.state else { return 0 };
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    /// One of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }
}
