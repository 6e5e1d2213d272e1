//! Quantiles over a sliding window with bounded memory: the biased-quantile summary of Cormode,
//! Korn, Muthukrishnan and Srivastava (ICDE 2005), one per age slice.
//!
//! In: weighted observations and the time. Out: quantiles of the window that [`SummaryOptions`]
//! names. Never here: clocks, label sets.
//!
//! Instead of inserting every observation into all slices and reading the oldest one, as the client
//! library of Prometheus does, each observation goes into the present slice and the slices are
//! merged on reading: the same window (by default 8 to 10 minutes) at a fifth of the work.

use std::sync::Arc;

use super::observer::SummaryOptions;
use crate::model::Timestamp;

/// Most entries of one slice's summary. The targets need about 200 at a million observations; the
/// limit holds for any input, at the price of accuracy. 32 bytes each.
pub const ENTRIES_MAX: usize = 1024;
/// Observations gathered before they are sorted into the summary. 16 bytes each.
const BUFFER_MAX: usize = 256;

/// The observations of the last minutes.
#[derive(Clone, Debug)]
pub struct Window {
    options: Arc<SummaryOptions>,
    slices: Vec<Sketch>,
    /// Number of the present slice since the epoch.
    present: i64,
}

impl Window {
    /// An empty window.
    pub fn new(options: Arc<SummaryOptions>) -> Window {
        let slices = vec![Sketch::default(); options.slices()];
        Window { options, slices, present: 0 }
    }

    /// Adds `weight` observations of `value` made at `now`.
    pub fn observe(&mut self, value: f64, weight: u64, now: Timestamp) {
        self.forget_old(now);
        let slot = self.slot(self.present);
        self.slices[slot].insert(value, weight, self.options.targets());
    }

    /// Empties the slices that are older than the window. A clock that steps back changes nothing.
    #[inline]
    pub fn forget_old(&mut self, now: Timestamp) {
        let slice = now.as_millis().div_euclid(self.options.slice_ms());
        let passed = slice.saturating_sub(self.present);
        for step in 1..=passed.clamp(0, self.slices.len() as i64) {
            let slot = self.slot(slice.saturating_sub(step - 1));
            self.slices[slot] = Sketch::default();
        }
        self.present = self.present.max(slice);
    }

    /// Entries and buffered observations held.
    pub fn cells(&self) -> usize {
        self.slices.iter().map(|slice| slice.entries.len() + slice.buffer.len()).sum()
    }

    /// The target quantiles, NaN when there was no observation in the window.
    pub fn quantiles(&self) -> impl Iterator<Item = f64> {
        let mut entries: Vec<Entry> = Vec::new();
        for slice in &self.slices {
            entries.extend_from_slice(&slice.entries);
            entries.extend(slice.buffer.iter().map(|&(value, width)| Entry::exact(value, width)));
        }
        entries.sort_unstable_by(|a, b| a.value.total_cmp(&b.value));
        let total = entries.iter().fold(0u64, |sum, e| sum.saturating_add(e.width()));
        let targets = self.options.targets().iter();
        targets.map(move |(quantile, _)| value_at(&entries, *quantile, total))
    }

    fn slot(&self, slice: i64) -> usize {
        slice.rem_euclid(self.slices.len() as i64) as usize
    }
}

/// The value whose estimated rank is nearest to the wanted one.
fn value_at(entries: &[Entry], quantile: f64, total: u64) -> f64 {
    let rank = (quantile * total as f64).ceil();
    let mut seen = 0.0;
    let mut left = None;
    for entry in entries {
        seen += entry.width() as f64;
        let last = seen + (entry.slack / 2) as f64;
        let first = last - entry.own as f64 + 1.0;
        if last >= rank {
            let nearer = left.filter(|(left_last, _)| rank - left_last < first - rank);
            return nearer.map_or(entry.value, |(_, left_value)| left_value);
        }
        left = Some((last, entry.value));
    }
    left.map_or(f64::NAN, |(_, value)| value)
}

/// A group of neighbouring observations, all but the largest value forgotten.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The largest value of the group.
    value: f64,
    /// Observations of exactly this value.
    own: u64,
    /// Observations of smaller values in the group.
    below: u64,
    /// By how much the rank may be higher than the widths up to here say.
    slack: u64,
}

impl Entry {
    const fn exact(value: f64, own: u64) -> Entry {
        Entry { value, own, below: 0, slack: 0 }
    }

    const fn width(&self) -> u64 {
        self.own.saturating_add(self.below)
    }

    /// Takes in the group to the left.
    fn join(&mut self, left: &Entry) {
        if left.value == self.value {
            self.own = self.own.saturating_add(left.own);
            self.below = self.below.saturating_add(left.below);
        } else {
            self.below = self.below.saturating_add(left.width());
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Sketch {
    /// Ascending by value.
    entries: Vec<Entry>,
    buffer: Vec<(f64, u64)>,
    /// Observations in `entries`.
    total: u64,
}

impl Sketch {
    fn insert(&mut self, value: f64, weight: u64, targets: &[(f64, f64)]) {
        self.buffer.push((value, weight));
        if self.buffer.len() >= BUFFER_MAX {
            self.absorb();
            self.compress(targets);
        }
    }

    /// Merges the buffer into the entries. A new entry is as uncertain as its successor is wide.
    fn absorb(&mut self) {
        self.buffer.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut merged = Vec::with_capacity(self.entries.len() + self.buffer.len());
        let mut old = self.entries.iter().copied().peekable();
        for (value, width) in self.buffer.drain(..) {
            while let Some(entry) = old.next_if(|entry| entry.value <= value) {
                merged.push(entry);
            }
            let slack = match old.peek() {
                Some(next) if !merged.is_empty() => {
                    next.width().saturating_add(next.slack).saturating_sub(1)
                }
                _ => 0,
            };
            merged.push(Entry { slack, ..Entry::exact(value, width) });
            self.total = self.total.saturating_add(width);
        }
        merged.extend(old);
        self.entries = merged;
    }

    /// Joins neighbours as far as the targets allow, and further while there are too many.
    fn compress(&mut self, targets: &[(f64, f64)]) {
        let mut widen = 1.0;
        self.join(widen, targets);
        while self.entries.len() > ENTRIES_MAX {
            widen *= 2.0;
            self.join(widen, targets);
        }
    }

    fn join(&mut self, widen: f64, targets: &[(f64, f64)]) {
        // Targets without error allow nothing: the limit on entries must hold all the same.
        let floor = (widen - 1.0) * self.total as f64 / ENTRIES_MAX as f64;
        let mut kept: Vec<Entry> = Vec::with_capacity(self.entries.len());
        let mut rank = self.total;
        for (i, entry) in self.entries.iter().enumerate().rev() {
            rank = rank.saturating_sub(entry.width());
            let allowed = widen * allowed_width(rank as f64, self.total as f64, targets);
            let allowed = allowed.max(floor);
            match kept.last_mut() {
                // The smallest value always stays, so that low quantiles are not drawn upwards.
                Some(right) if i > 0 && joined(entry, right) <= allowed => {
                    right.join(entry);
                }
                _ => kept.push(*entry),
            }
        }
        kept.reverse();
        self.entries = kept;
    }
}

fn joined(left: &Entry, right: &Entry) -> f64 {
    left.width() as f64 + right.width() as f64 + right.slack as f64
}

/// How many observations one entry may stand for at `rank` without breaking a target.
fn allowed_width(rank: f64, total: f64, targets: &[(f64, f64)]) -> f64 {
    targets
        .iter()
        .map(|&(quantile, error)| {
            if rank >= quantile * total {
                2.0 * error * rank / quantile
            } else {
                2.0 * error * (total - rank) / (1.0 - quantile)
            }
        })
        .fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixed pseudo-random permutation of `0..n` (n a power of two).
    fn shuffled(n: u64) -> impl Iterator<Item = u64> {
        (0..n).map(move |i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (i >> 3)) % n)
    }

    const AGE_MAX_MS: i64 = SummaryOptions::MAX_AGE_MS;
    const SLICE_MS: i64 = AGE_MAX_MS / 5;

    fn window() -> Window {
        Window::new(Arc::new(SummaryOptions::default()))
    }

    fn quantiles(window: &Window) -> Vec<f64> {
        window.quantiles().collect()
    }

    fn assert_ranks(mut values: Vec<f64>, quantiles: Vec<f64>) {
        values.sort_unstable_by(f64::total_cmp);
        for ((quantile, error), found) in SummaryOptions::TARGETS.into_iter().zip(quantiles) {
            let n = values.len() as f64;
            let low = values.partition_point(|v| *v < found) as f64 / n;
            let high = values.partition_point(|v| *v <= found) as f64 / n;
            let close = low - error <= quantile && quantile <= high + error;
            assert!(close, "quantile {quantile}: found {found} at rank {low}..{high}");
        }
    }

    #[test]
    fn ranks_stay_within_the_targets_over_many_observations() {
        let values: Vec<f64> = shuffled(1 << 17).map(|v| (v as f64).sqrt()).collect();
        let mut window = window();
        for (i, value) in values.iter().enumerate() {
            window.observe(*value, 1, Timestamp(i as i64 * 4));
        }
        assert!(window.slices.iter().all(|s| s.entries.len() <= ENTRIES_MAX));
        assert_ranks(values, quantiles(&window));
    }

    #[test]
    fn sorted_input_is_no_worse() {
        for values in [
            (0..50_000).map(f64::from).collect::<Vec<_>>(),
            (0..50_000).rev().map(f64::from).collect(),
        ] {
            let mut window = window();
            values.iter().for_each(|v| window.observe(*v, 1, Timestamp(0)));
            assert_ranks(values, quantiles(&window));
        }
    }

    #[test]
    fn few_observations_are_exact_and_weights_count() {
        let mut window = window();
        assert!(window.quantiles().all(f64::is_nan));
        (1..=100).for_each(|v| window.observe(f64::from(v), 1, Timestamp(0)));
        assert_eq!(quantiles(&window), [50.0, 90.0, 99.0]);
        window.observe(1000.0, 1_000_000, Timestamp(0));
        assert_eq!(quantiles(&window), [1000.0; 3]);
    }

    #[test]
    fn targets_without_error_stay_bounded() {
        let options = SummaryOptions::new(vec![(0.5, 0.0)], 0, 1).expect("valid");
        let mut window = Window::new(Arc::new(options));
        shuffled(1 << 14).for_each(|v| window.observe(v as f64, 1, Timestamp(0)));
        assert!(window.cells() <= ENTRIES_MAX + BUFFER_MAX);
        assert!((quantiles(&window)[0] - 8192.0).abs() < 100.0);
    }

    #[test]
    fn observations_leave_the_window_slice_by_slice() {
        let mut window = window();
        window.observe(1.0, 1, Timestamp(0));
        window.observe(2.0, 1, Timestamp(SLICE_MS));
        window.forget_old(Timestamp(AGE_MAX_MS - 1));
        assert_eq!(quantiles(&window)[0], 1.0);
        window.forget_old(Timestamp(AGE_MAX_MS));
        assert_eq!(quantiles(&window)[0], 2.0);
        window.forget_old(Timestamp(5 * AGE_MAX_MS));
        assert!(quantiles(&window)[0].is_nan());
        window.observe(3.0, 1, Timestamp(0)); // the clock stepped back
        assert_eq!(quantiles(&window)[0], 3.0);
    }
}
