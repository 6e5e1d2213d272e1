//! Where the windows of all steps lie in a column of timestamps, and how far the change between the
//! samples of each reaches to its edges.
//!
//! In: a column of timestamps. Out: the same for every series that has this column. The series of
//! one target share theirs, so this is found once a target and not once a series: most of what a
//! `rate` costs are the divisions here. Never here: values.

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashTable;
use thread_local::ThreadLocal;

use super::window::{RangeCall, Slider};

/// Memory kept for one call, in bytes: some 700 targets of 240 steps.
const KEPT_BYTES: usize = 8 << 20;

/// How far the samples of a window are from its edges, as far as a change is stretched to them.
/// In seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Edges {
    /// From the start of the window to the first sample.
    pub(crate) to_start: f64,
    /// From the last sample to the end of the window.
    pub(crate) to_end: f64,
    /// From the first sample to the last.
    pub(crate) sampled: f64,
}

impl Edges {
    /// Of a window from `start` to `end` whose `count` samples begin at `first` and end at `last`
    /// (ms): the whole way to an edge when the samples come close enough (at most 110 % of their
    /// average distance), else half that distance.
    #[inline]
    pub(crate) fn new((start, end): (i64, i64), (first, last): (i64, i64), count: usize) -> Edges {
        let mut to_start = (first - start) as f64 / 1000.0;
        let mut to_end = (end - last) as f64 / 1000.0;
        let sampled = (last - first) as f64 / 1000.0;
        let average = if count > 1 { sampled / (count - 1) as f64 } else { 0.0 };
        let threshold = average * 1.1;
        if to_start >= threshold {
            to_start = average / 2.0;
        }
        if to_end >= threshold {
            to_end = average / 2.0;
        }
        Edges { to_start, to_end, sampled }
    }

    /// Not beyond the point where a counter was zero, if it rose as it did between the samples:
    /// `zero_ratio` is its first value divided by the change.
    #[inline]
    pub(crate) fn not_below_zero(mut self, zero_ratio: f64) -> Edges {
        let to_zero = self.sampled * zero_ratio;
        if to_zero < self.to_start {
            self.to_start = to_zero;
        }
        self
    }

    /// What the change between the samples is multiplied by; divided by `range_seconds`, if given.
    #[inline]
    pub(crate) fn factor(self, range_seconds: Option<f64>) -> f64 {
        let mut factor = 1.0;
        if self.sampled != 0.0 {
            factor = (self.sampled + self.to_start + self.to_end) / self.sampled;
        }
        range_seconds.map_or(factor, |seconds| factor / seconds)
    }
}

/// The window of one step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AlignedStep {
    /// Index of the first sample.
    pub(crate) from: u32,
    /// Index of the last sample; the same as `from` when there are fewer than two.
    pub(crate) last: u32,
    /// The factor of the window's [`Edges`].
    pub(crate) factor: f64,
}

/// The windows of all steps in one column.
#[derive(Debug)]
pub(crate) struct Alignment {
    timestamps: Vec<i64>,
    /// One entry a step.
    pub(crate) steps: Vec<AlignedStep>,
    /// How far to stretch a change, one entry a step. Rarely looked at, so kept apart.
    pub(crate) edges: Vec<Edges>,
    /// Whether no window's first sample is farther from its start than from its last sample.
    pub(crate) starts_near: bool,
    /// Samples in all windows together.
    pub(crate) samples: u64,
}

impl Alignment {
    fn new(timestamps: &[i64], call: &RangeCall, range_seconds: Option<f64>) -> Alignment {
        let mut steps = vec![AlignedStep::default(); call.grid.steps];
        let mut all_edges = vec![Edges::default(); call.grid.steps];
        let mut slider = Slider::default();
        let mut samples = 0;
        for (step, (aligned, edges)) in steps.iter_mut().zip(&mut all_edges).enumerate() {
            let end = call.reach.end(step);
            let start = end.saturating_sub(call.range);
            slider.slide(start, end, timestamps.len(), |i| timestamps[i]);
            samples += slider.len() as u64;
            if slider.len() < 2 {
                continue;
            }
            let (from, last) = (slider.from, slider.to - 1);
            let times = (timestamps[from], timestamps[last]);
            *edges = Edges::new((start, end), times, slider.len());
            let factor = edges.factor(range_seconds);
            *aligned = AlignedStep { from: from as u32, last: last as u32, factor };
        }
        let starts_near = all_edges.iter().all(|edges| edges.to_start <= edges.sampled);
        let timestamps = timestamps.to_vec();
        Alignment { timestamps, steps, edges: all_edges, starts_near, samples }
    }

    fn bytes(&self) -> usize {
        self.timestamps.len() * size_of::<i64>()
            + self.steps.len() * (size_of::<AlignedStep>() + size_of::<Edges>())
    }
}

/// The alignments met in one call.
#[derive(Debug, Default)]
pub(crate) struct Alignments {
    /// What any thread found.
    shared: Mutex<Kept>,
    /// What this thread met, so that it need not ask the others for every series.
    local: ThreadLocal<RefCell<Kept>>,
}

impl Alignments {
    /// Calls `f` with the alignment of a column for `call`, whose factors are divided by
    /// `range_seconds`, if given.
    pub(crate) fn with<T>(
        &self,
        timestamps: &[i64],
        call: &RangeCall,
        range_seconds: Option<f64>,
        f: impl FnOnce(&Alignment) -> T,
    ) -> T {
        let mut local = self.local.get_or_default().borrow_mut();
        if let Some(known) = local.find(timestamps) {
            return f(known);
        }
        let shared = || self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shared().find(timestamps).cloned();
        let alignment = known.unwrap_or_else(|| {
            let fresh = Arc::new(Alignment::new(timestamps, call, range_seconds));
            shared().keep(Arc::clone(&fresh));
            fresh
        });
        local.keep(Arc::clone(&alignment));
        f(&alignment)
    }
}

/// Alignments by their timestamps.
#[derive(Debug, Default)]
struct Kept {
    by_column: HashTable<Arc<Alignment>>,
    hasher: foldhash::fast::FixedState,
    bytes: usize,
}

impl Kept {
    /// By both ends and the length: columns of one selection hardly ever differ in between only.
    fn hash(hasher: &foldhash::fast::FixedState, column: &[i64]) -> u64 {
        hasher.hash_one((column.first().copied(), column.last().copied(), column.len()))
    }

    fn find(&self, timestamps: &[i64]) -> Option<&Arc<Alignment>> {
        let hash = Kept::hash(&self.hasher, timestamps);
        self.by_column.find(hash, |known| known.timestamps == timestamps)
    }

    fn keep(&mut self, alignment: Arc<Alignment>) {
        if self.bytes > KEPT_BYTES {
            *self = Kept::default();
        }
        self.bytes += alignment.bytes();
        let hasher = self.hasher.clone();
        let hash = |known: &Arc<Alignment>| Kept::hash(&hasher, &known.timestamps);
        self.by_column.insert_unique(hash(&alignment), alignment, hash);
    }
}
