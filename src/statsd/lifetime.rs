//! From the making of a series to its end, and over a restart.
//!
//! A part of [`Aggregator`]: what every flush writes, which series have ended, which make room, and
//! which there were before.

use super::aggregate::Aggregator;
use super::memory::{Change, Definition, LastValues};
use super::resolve::Twin;
use super::series::{Point, Series};
use crate::model::Timestamp;
use crate::model::labels::METRIC_NAME;

/// Most cells the quantiles of all summaries hold; 16 to 32 bytes each. Beyond it observations go
/// into sum and count only.
const SKETCH_CELLS_MAX: usize = 16 << 20;
/// Changes per allowed series that wait when they cannot be kept.
const CHANGES_PER_SERIES: usize = 4;
/// Sleeping series make room when there are this many percent of the allowed series.
const CROWDED_PERCENT: usize = 80;

impl Aggregator {
    /// Every stored series and its value as of `now`: present values, past values of gauges, and
    /// the ends of series that have passed their lifetime. Sets keep their members until
    /// [`Aggregator::start_interval`].
    pub fn points(&mut self, now: Timestamp) -> Vec<Point<'_>> {
        let mut out = Vec::with_capacity(self.stored + self.past.len());
        let mut past: Vec<(u32, i64, f64)> = self.past.iter().copied().collect();
        past.sort_unstable_by_key(|(slot, at, _)| (*slot, *at));
        let mut past = past.into_iter().peekable();
        let mut cells = 0;
        for (slot, series) in self.series.iter_mut().enumerate() {
            cells += series.sketch_cells();
            let expired = series.is_expired(now);
            if expired && series.asleep || now.as_millis() < series.held_until {
                continue;
            }
            series.asleep = expired;
            let own_past = std::iter::from_fn(|| past.next_if(|(of, ..)| *of as usize == slot));
            let own_past: Vec<(i64, f64)> = own_past.map(|(_, at, value)| (at, value)).collect();
            if expired {
                if series.written {
                    series.ends(now, &mut out);
                }
            } else {
                series.written = true;
                series.points_with_past(now, &own_past, &mut out);
            }
        }
        self.sketch_full = cells >= SKETCH_CELLS_MAX;
        out
    }

    /// Begins a new flush interval: sets are empty again, the past is written, and sleeping series
    /// make room when it is crowded.
    pub fn start_interval(&mut self) {
        self.past.clear();
        self.set_members = 0;
        self.series.iter_mut().for_each(Series::start_interval);
        if self.stored >= self.series_max / 100 * CROWDED_PERCENT {
            self.retain(|series| !series.asleep);
        }
    }

    /// Ends series that hold a worse form of a metric than the given one.
    pub(super) fn retire(&mut self, better: Twin) {
        let is_worse = |series: &Series| {
            series.twin.is_some_and(|twin| {
                (twin.instance, twin.metric) == (better.instance, better.metric)
                    && twin.form < better.form
            })
        };
        if !self.series.iter().any(is_worse) {
            return;
        }
        self.retain(|series| series.written || !is_worse(series));
        for series in self.series.iter_mut().filter(|series| is_worse(series)) {
            // Past its lifetime at once: the next flush marks its end.
            (series.ttl_ms, series.touched) = (1, 0);
        }
        self.by_spelling.clear();
    }

    /// Forgets a family whose kind has changed with the rules. What was stored stays as it is and
    /// simply ends.
    pub(super) fn forget_family(&mut self, family: &str) {
        self.retain(|series| series.base.metric_name() != family);
        self.families.remove(family);
    }

    /// Keeps some series; spellings and numbers of all are made anew.
    fn retain(&mut self, keep: impl Fn(&Series) -> bool) {
        let before = self.series.len();
        let changes = &mut self.changes;
        self.series.retain(|series| {
            let keeps = keep(series);
            if !keeps {
                changes.push(Change::Gone(series.base.clone()));
            }
            keeps
        });
        if self.series.len() == before {
            return;
        }
        self.by_spelling.clear();
        self.repeats.clear();
        self.past.clear();
        self.stored = self.series.iter().map(Series::stored).sum();
        let numbered = self.series.iter().enumerate();
        self.by_labels =
            numbered.map(|(slot, series)| (series.base.clone(), slot as u32)).collect();
    }

    /// Makes the series there were before a restart, with the values they had last. One without a
    /// value is forgotten.
    pub fn restore(&mut self, definitions: Vec<Definition>, last: &LastValues, now: Timestamp) {
        for definition in definitions {
            let base = definition.base.clone();
            if !self.restore_one(&definition, last, now) {
                self.changes.push(Change::Gone(base));
            }
        }
    }

    fn restore_one(&mut self, definition: &Definition, last: &LastValues, now: Timestamp) -> bool {
        let Definition { base, what, ttl_ms } = definition;
        let family = base.metric_name();
        let tags = base.iter().filter(|(name, _)| *name != METRIC_NAME);
        let tags: Vec<(String, String)> =
            tags.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let Ok(mut series) = Series::new(family, &tags, what, *ttl_ms, now) else { return false };
        let stored = self.stored + series.stored();
        let free = stored <= self.series_max
            && !self.by_labels.contains_key(base)
            && self.families.check(family, what).is_ok();
        if !free || !series.restore(&|labels| last.get(labels).cloned()) {
            return false;
        }
        series.written = true;
        self.families.add(family, what, "");
        self.push(series, stored);
        true
    }

    /// Series that were made and forgotten since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Takes changes back that could not be kept; they are taken again the next time.
    pub fn give_changes_back(&mut self, mut earlier: Vec<Change>) {
        earlier.append(&mut self.changes);
        earlier.truncate(self.series_max.saturating_mul(CHANGES_PER_SERIES));
        self.changes = earlier;
    }
}
