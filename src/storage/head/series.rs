//! One live series: its labels and its windows that are not yet on disk.

use std::sync::atomic::AtomicU32;

use super::blocks::Blocks;
use super::buffer::{AppendBuffer, EncodedSamples};
use crate::model::histogram_reset::{mark_continuations, unmark_continuations};
use crate::model::source::HistogramPoint;
use crate::model::{Exemplar, Labels, SeriesData};
use crate::storage::window::{Day, Window, WindowCut};

/// "No series": the prediction of a series whose successor is not known yet.
pub const NO_SERIES: u32 = u32::MAX;

/// Memory of a histogram, roughly, in bytes.
pub const HISTOGRAM_BYTES: usize = 256;
/// Memory of a start timestamp, in bytes.
pub const START_TIMESTAMP_BYTES: usize = 16;
/// Memory of an exemplar, roughly, in bytes.
pub const EXEMPLAR_BYTES: usize = 128;

/// A series in the head.
#[derive(Debug)]
pub struct HeadSeries {
    /// Its labels.
    pub labels: Labels,
    /// The series that followed this one in its sender's last request.
    pub next: AtomicU32,
    /// The id it has in the partition of `partition_day`.
    pub partition_id: u32,
    /// Day number the id belongs to; [`i32::MIN`] when it has none yet.
    pub partition_day: i32,
    /// Whether `current` is being flushed: then it does not change any more.
    current_frozen: bool,
    /// Mostly the window of its newest samples; when it is empty, the one it had last.
    current: WindowData,
    /// Other windows, not yet flushed; usually none or one. Of one window only one is not frozen,
    /// and what is frozen stands before it.
    #[expect(clippy::box_collection, reason = "it is mostly absent, and 16 bytes a series count")]
    older: Option<Box<Vec<OlderWindow>>>,
}

/// A window beside the current one.
#[derive(Debug)]
struct OlderWindow {
    data: WindowData,
    /// Being flushed: it does not change any more.
    frozen: bool,
}

/// The samples of one series in one window.
#[derive(Debug, Default)]
pub struct WindowData {
    /// Which window.
    pub window: Window,
    /// Float samples.
    pub floats: AppendBuffer,
    /// What few series have.
    pub rare: Option<Box<RareData>>,
}

/// Histograms, start timestamps and exemplars of one series in one window, in arrival order.
#[derive(Clone, Debug, Default)]
pub struct RareData {
    /// Histogram samples.
    pub histograms: Vec<HistogramPoint>,
    /// (timestamp, start timestamp) of float samples that have one, in ms.
    pub start_timestamps: Vec<(i64, i64)>,
    /// Exemplars.
    pub exemplars: Vec<Exemplar>,
}

impl HeadSeries {
    /// A series without samples.
    pub fn new(labels: Labels) -> HeadSeries {
        HeadSeries {
            labels,
            next: AtomicU32::new(NO_SERIES),
            partition_id: 0,
            partition_day: i32::MIN,
            current_frozen: false,
            current: WindowData::default(),
            older: None,
        }
    }

    /// The data of `window`, created when absent.
    #[inline]
    pub fn window_mut(&mut self, window: Window) -> &mut WindowData {
        if self.current.window == window && !self.current_frozen {
            return &mut self.current;
        }
        self.other_window_mut(window)
    }

    fn other_window_mut(&mut self, window: Window) -> &mut WindowData {
        if self.current.is_empty() && self.older.is_none() {
            self.current = WindowData { window, ..WindowData::default() };
            return &mut self.current;
        }
        let older = self.older.get_or_insert_default();
        if let Some(i) = older.iter().position(|old| old.data.window == window && !old.frozen) {
            return &mut older[i].data;
        }
        let fresh = WindowData { window, ..WindowData::default() };
        if self.current.is_empty() {
            self.current = fresh;
            return &mut self.current;
        }
        if window >= self.current.window {
            let data = std::mem::replace(&mut self.current, fresh);
            let frozen = std::mem::take(&mut self.current_frozen);
            push_exactly(older, OlderWindow { data, frozen });
            return &mut self.current;
        }
        push_exactly(older, OlderWindow { data: fresh, frozen: false });
        &mut older.last_mut().expect("BUG: just pushed").data
    }

    /// The day in whose partition it was last found, and its id there.
    pub fn stored(&self) -> Option<(Day, u32)> {
        let known = self.partition_day != i32::MIN;
        known.then_some((Day(self.partition_day), self.partition_id))
    }

    /// All windows with samples, and whether they are frozen, in no particular order; of several
    /// parts of one window the one that came first is first.
    pub fn windows(&self) -> impl Iterator<Item = (&WindowData, bool)> {
        let older = self.older.iter().flat_map(|older| older.iter());
        let older = older.map(|old| (&old.data, old.frozen));
        let current = (&self.current, self.current_frozen);
        older.chain(Some(current)).filter(|(data, _)| !data.is_empty())
    }

    /// Freezes the windows of the cut: samples that still come for them go elsewhere. This
    /// allocates nothing: all series are frozen at one moment.
    pub fn freeze(&mut self, cut: WindowCut) {
        for old in self.older.iter_mut().flat_map(|older| older.iter_mut()) {
            old.frozen |= cut.contains(old.data.window);
        }
        self.current_frozen |= !self.current.is_empty() && cut.contains(self.current.window);
    }

    /// The frozen windows, each once.
    pub fn frozen(&self) -> impl Iterator<Item = &WindowData> {
        let older = self.older.iter().flat_map(|older| older.iter());
        let older = older.filter(|old| old.frozen).map(|old| &old.data);
        older.chain(self.current_frozen.then_some(&self.current))
    }

    /// Drops the frozen windows of a day; returns the memory their rare data held, in bytes.
    pub fn drop_frozen(&mut self, day: Day) -> usize {
        let mut bytes = 0;
        let window = self.current.window;
        if self.current_frozen && window.day() == day {
            let fresh = WindowData { window, ..WindowData::default() };
            bytes += std::mem::replace(&mut self.current, fresh).rare_bytes();
            self.current_frozen = false;
        }
        let Some(older) = &mut self.older else { return bytes };
        older.retain(|old| {
            let done = old.frozen && old.data.window.day() == day;
            bytes += if done { old.data.rare_bytes() } else { 0 };
            !done
        });
        if older.is_empty() {
            self.older = None;
        }
        bytes
    }

    /// Whether no window has samples and the last one was before `cutoff`.
    pub fn is_idle(&self, cutoff: Window) -> bool {
        self.current.is_empty() && self.older.is_none() && self.current.window < cutoff
    }
}

/// Adds a window with room for no more: every series gets one at the same time, so three spare
/// places would be most of the head's memory.
fn push_exactly(older: &mut Vec<OlderWindow>, old: OlderWindow) {
    older.reserve_exact(1);
    older.push(old);
}

impl WindowData {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.floats.count() == 0 && self.rare.is_none()
    }

    /// Whether the time from the first to the last sample of either kind overlaps `start..=end`
    /// (ms); `blocks` is where the samples are. Exemplars alone do not count.
    pub fn overlaps(&self, blocks: Option<&Blocks>, start: i64, end: i64) -> bool {
        blocks.is_some_and(|blocks| self.floats.overlaps(blocks, start, end))
            || self.rare.as_ref().is_some_and(|rare| rare.has_histograms(start, end))
    }

    /// Memory of the rare data, in bytes, as it is counted when it is appended.
    fn rare_bytes(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| {
            rare.histograms.len() * HISTOGRAM_BYTES
                + rare.start_timestamps.len() * START_TIMESTAMP_BYTES
                + rare.exemplars.len() * EXEMPLAR_BYTES
        })
    }

    /// A copy that can be read without a lock; `blocks` is where the samples are.
    pub fn copy(&self, blocks: Option<&Blocks>) -> WindowCopy {
        let mut copy = WindowCopy { window: self.window, ..WindowCopy::default() };
        self.copy_into(blocks, &mut copy);
        copy
    }

    /// As [`WindowData::copy`], into memory that is there already.
    pub fn copy_into(&self, blocks: Option<&Blocks>, copy: &mut WindowCopy) {
        copy.window = self.window;
        match blocks {
            Some(blocks) => self.floats.copy(blocks, &mut copy.floats),
            None => copy.floats = EncodedSamples::default(), // it has only rare data
        }
        copy.rare.clone_from(&self.rare);
    }
}

impl RareData {
    /// Whether the time from the first to the last histogram overlaps `start..=end` (ms).
    fn has_histograms(&self, start: i64, end: i64) -> bool {
        let times = || self.histograms.iter().map(|point| point.timestamp);
        start <= end && times().any(|t| t <= end) && times().any(|t| t >= start)
    }
}

/// The windows of one series, copied out of the head. One is in its place: selections have a
/// hundred thousand series, and nearly always one window of each.
#[derive(Clone, Debug)]
pub enum WindowCopies {
    /// The only one.
    One(WindowCopy),
    /// Any number.
    Several(Vec<WindowCopy>),
}

impl Default for WindowCopies {
    fn default() -> WindowCopies {
        WindowCopies::Several(Vec::new())
    }
}

impl FromIterator<WindowCopy> for WindowCopies {
    fn from_iter<I: IntoIterator<Item = WindowCopy>>(copies: I) -> WindowCopies {
        let mut copies = copies.into_iter();
        match (copies.next(), copies.next()) {
            (Some(only), None) => WindowCopies::One(only),
            (first, second) => {
                WindowCopies::Several(first.into_iter().chain(second).chain(copies).collect())
            }
        }
    }
}

impl std::ops::Deref for WindowCopies {
    type Target = [WindowCopy];

    fn deref(&self) -> &[WindowCopy] {
        match self {
            WindowCopies::One(only) => std::slice::from_ref(only),
            WindowCopies::Several(all) => all,
        }
    }
}

impl std::ops::DerefMut for WindowCopies {
    fn deref_mut(&mut self) -> &mut [WindowCopy] {
        match self {
            WindowCopies::One(only) => std::slice::from_mut(only),
            WindowCopies::Several(all) => all,
        }
    }
}

/// The samples of one series in one window, copied out of the head.
#[derive(Clone, Debug, Default)]
pub struct WindowCopy {
    /// Which window.
    pub window: Window,
    /// What few series have.
    pub rare: Option<Box<RareData>>,
    floats: EncodedSamples,
}

impl WindowCopy {
    /// Replaces `out` by the samples, ascending, each timestamp once.
    pub fn read(&self, out: &mut SeriesData) {
        out.clear();
        self.floats.read(out);
        if let Some(rare) = &self.rare {
            read_start_timestamps(&rare.start_timestamps, out);
            read_histograms(&rare.histograms, out);
        }
    }
}

fn read_start_timestamps(starts: &[(i64, i64)], out: &mut SeriesData) {
    if starts.is_empty() {
        return;
    }
    out.start_timestamps.resize(out.timestamps.len(), 0);
    for (timestamp, start) in starts {
        if let Ok(index) = out.timestamps.binary_search(timestamp) {
            out.start_timestamps[index] = *start;
        }
    }
}

/// Histograms in order, the latest arrival of each timestamp; a float at the same time wins. What is
/// flushed is read this way, too, so that hints are stored.
fn read_histograms(arrived: &[HistogramPoint], out: &mut SeriesData) {
    let mut points: Vec<&HistogramPoint> = arrived.iter().collect();
    points.sort_by_key(|point| point.timestamp);
    for (i, point) in points.iter().enumerate() {
        let repeated = points.get(i + 1).is_some_and(|next| next.timestamp == point.timestamp);
        if !repeated && out.timestamps.binary_search(&point.timestamp).is_err() {
            out.histograms.push((*point).clone());
        }
    }
    unmark_continuations(&mut out.histograms);
    mark_continuations(&mut out.histograms, &out.timestamps);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::window::WINDOW_MS;

    #[test]
    fn the_only_window_of_a_copy_needs_no_memory_of_its_own() {
        let copies = |count: i64| -> WindowCopies {
            let copy =
                |n: i64| WindowCopy { window: Window::of(n * WINDOW_MS), ..Default::default() };
            (0..count).map(copy).collect()
        };
        assert!(matches!(copies(1), WindowCopies::One(_)));
        for count in 0..4 {
            let windows: Vec<i64> = copies(count).iter().map(|w| w.window.number()).collect();
            let first = Window::of(0).number();
            assert_eq!(windows, (first..first + count).collect::<Vec<_>>());
        }
        assert_eq!(size_of::<WindowCopies>(), size_of::<WindowCopy>());
    }

    /// The windows with samples: which, how many samples, whether frozen.
    fn state(series: &HeadSeries) -> Vec<(i64, u32, bool)> {
        let all = series
            .windows()
            .map(|(data, frozen)| (data.window.number(), data.floats.count(), frozen));
        all.collect()
    }

    #[test]
    fn what_is_frozen_stays_as_it_is() {
        let mut series = HeadSeries::new(Labels::empty());
        let mut blocks = Blocks::default();
        let mut push = |series: &mut HeadSeries, window: i64| {
            let data = series.window_mut(Window::from_number(window));
            data.floats.push(&mut blocks, window * WINDOW_MS, 1.0);
        };
        push(&mut series, 1);
        series.freeze(WindowCut::up_to(Window::from_number(1)));
        assert_eq!(state(&series), [(1, 1, true)]);
        assert!(series.older.is_none(), "freezing allocates nothing");
        push(&mut series, 0);
        push(&mut series, 1);
        push(&mut series, 2);
        assert_eq!(state(&series), [(0, 1, false), (1, 1, true), (1, 1, false), (2, 1, false)]);
        series.freeze(WindowCut::up_to(Window::from_number(0)));
        assert_eq!(series.frozen().count(), 2);
        series.drop_frozen(Window::from_number(0).day());
        assert_eq!(state(&series), [(1, 1, false), (2, 1, false)]);
        series.freeze(WindowCut::up_to(Window::from_number(2)));
        assert_eq!(series.frozen().count(), 2);
        series.drop_frozen(Window::from_number(48).day());
        assert_eq!(series.frozen().count(), 2, "another day");
        series.drop_frozen(Window::from_number(0).day());
        assert_eq!(state(&series), []);
        assert!(series.is_idle(Window::from_number(3)) && !series.is_idle(Window::from_number(2)));
    }

    #[test]
    fn a_window_is_there_once_though_a_later_one_was_flushed_before_it() {
        let mut series = HeadSeries::new(Labels::empty());
        let mut blocks = Blocks::default();
        let mut push = |series: &mut HeadSeries, window: i64| {
            let data = series.window_mut(Window::from_number(window));
            data.floats.push(&mut blocks, window * WINDOW_MS, 1.0);
        };
        for window in [4, 3, 2] {
            push(&mut series, window);
        }
        let (last, none) = (Window::from_number(4), Window::from_number(0));
        series.freeze(WindowCut { up_to: none, from: last });
        series.drop_frozen(last.day());
        assert_eq!(state(&series), [(3, 1, false), (2, 1, false)]);
        for window in [2, 1, 3, 4, 2] {
            push(&mut series, window);
        }
        let all = [(3, 1, false), (2, 1, false), (1, 1, false), (4, 1, false)];
        assert_eq!(state(&series), all, "a sample that is there already is replaced");
    }
}
