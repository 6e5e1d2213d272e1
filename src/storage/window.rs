//! Windows and days: how time is cut.

use crate::model::Timestamp;

/// Length of a window in milliseconds: long enough for a chunk of 120 samples at 15 s, short enough
/// that a journal is replayed quickly.
pub const WINDOW_MS: i64 = 30 * 60 * 1000;
/// Length of a partition's day in milliseconds.
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// One window of event time, counted from the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window(i64);

impl Default for Window {
    /// A window no timestamp falls into.
    fn default() -> Window {
        Window(i64::MIN)
    }
}

impl Window {
    /// The window that holds `timestamp` (ms).
    #[inline]
    pub const fn of(timestamp: i64) -> Window {
        Window(timestamp.div_euclid(WINDOW_MS))
    }

    /// The window with this number.
    pub const fn from_number(number: i64) -> Window {
        Window(number)
    }

    /// Its number, counted from the epoch.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// First timestamp in it (ms).
    pub const fn start(self) -> i64 {
        self.0.saturating_mul(WINDOW_MS)
    }

    /// Last timestamp in it (ms).
    pub const fn last(self) -> i64 {
        self.start().saturating_add(WINDOW_MS - 1)
    }

    /// Whether any timestamp of `start..=end` (ms) falls into it.
    pub const fn overlaps(self, start: i64, end: i64) -> bool {
        self.start() <= end && self.last() >= start
    }

    /// The day that holds it.
    pub const fn day(self) -> Day {
        Day::of(self.start())
    }
}

/// Windows that are flushed together: all up to one, and all from a later one on.
#[derive(Clone, Copy, Debug)]
pub struct WindowCut {
    /// The last of the earlier ones.
    pub up_to: Window,
    /// The first of the later ones; [`WindowCut::NONE`] when there are none.
    pub from: Window,
}

impl WindowCut {
    /// Later than every window.
    pub const NONE: Window = Window(i64::MAX);
    /// All windows.
    pub const EVERYTHING: WindowCut = WindowCut::up_to(Window(i64::MAX - 1));

    /// All windows up to this one.
    pub const fn up_to(up_to: Window) -> WindowCut {
        WindowCut { up_to, from: WindowCut::NONE }
    }

    /// Whether the window is one of them.
    pub fn contains(self, window: Window) -> bool {
        window <= self.up_to || window >= self.from
    }
}

/// One UTC day, counted from the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// The day that holds `timestamp` (ms); saturates at the ends of the range.
    pub const fn of(timestamp: i64) -> Day {
        let day = timestamp.div_euclid(DAY_MS);
        if day > i32::MAX as i64 {
            Day(i32::MAX)
        } else if day < i32::MIN as i64 {
            Day(i32::MIN)
        } else {
            Day(day as i32)
        }
    }

    /// First timestamp of the day (ms).
    pub const fn start(self) -> i64 {
        self.0 as i64 * DAY_MS
    }

    /// Last timestamp of the day (ms).
    pub const fn last(self) -> i64 {
        self.start() + DAY_MS - 1
    }

    /// The calendar date, as in a partition's file name: `2026-11-21`.
    pub fn date(self) -> String {
        let text = Timestamp(self.start()).to_string();
        text.split('T').next().unwrap_or_default().to_owned()
    }

    /// The day a partition's file name (without extension) gives.
    pub fn parse(date: &str) -> Option<Day> {
        let start: jiff::Timestamp = format!("{date}T00:00:00Z").parse().ok()?;
        let day = Day::of(start.as_millisecond());
        (day.date() == date).then_some(day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_has_the_earlier_and_the_later_windows() {
        let cut = WindowCut { up_to: Window(2), from: Window(5) };
        let within =
            |cut: WindowCut| (0..8).filter(|n| cut.contains(Window(*n))).collect::<Vec<_>>();
        assert_eq!(within(cut), [0, 1, 2, 5, 6, 7]);
        assert_eq!(within(WindowCut::up_to(Window(2))), [0, 1, 2]);
        assert_eq!(within(WindowCut::EVERYTHING).len(), 8);
    }

    #[test]
    fn windows_and_days_cut_time_without_gaps() {
        assert_eq!(Window::of(-1).last(), -1);
        assert_eq!(Window::of(0).start(), 0);
        assert_eq!(Window::of(WINDOW_MS).number(), 1);
        assert!(Window::of(0).overlaps(WINDOW_MS - 1, WINDOW_MS));
        assert!(!Window::of(0).overlaps(WINDOW_MS, WINDOW_MS));
        assert_eq!(Window::of(DAY_MS - 1).day(), Day(0));
        assert_eq!(DAY_MS % WINDOW_MS, 0);
    }

    #[test]
    fn days_have_dates() {
        let day = Day::of(1_795_219_200_000);
        assert_eq!(day.date(), "2026-11-21");
        assert_eq!(Day::parse("2026-11-21"), Some(day));
        assert_eq!(Day::parse("2026-11-31"), None);
        assert_eq!(Day::parse("notes"), None);
        assert_eq!(Window::of(i64::MAX).day().0, Day::of(i64::MAX).0);
    }
}
