//! The evaluation times of an expression, and which samples each of them looks at.

/// Evenly spaced evaluation times; an instant query has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// First evaluation time in ms.
    pub(crate) start: i64,
    /// Distance of the times in ms; greater than 0.
    pub(crate) step: i64,
    /// Number of times; 0 for an empty range.
    pub(crate) steps: usize,
}

impl Grid {
    /// The times from `start` on that are not after `end`.
    pub(crate) fn new(start: i64, end: i64, step: i64) -> Grid {
        debug_assert!(step > 0, "BUG: a grid needs a positive step");
        let steps = if end < start { 0 } else { (end.saturating_sub(start) / step) as usize + 1 };
        Grid { start, step, steps }
    }

    /// One time only.
    pub(crate) fn once(time: i64) -> Grid {
        Grid { start: time, step: 1, steps: 1 }
    }

    /// Time number `index`.
    #[inline]
    pub(crate) fn time(&self, index: usize) -> i64 {
        self.start + self.step * index as i64
    }

    /// The last time; before `start` when there is none.
    pub(crate) fn end(&self) -> i64 {
        self.start.saturating_add(self.step * (self.steps as i64 - 1))
    }

    /// All times.
    pub(crate) fn times(&self) -> impl Iterator<Item = i64> + use<> {
        let grid = *self;
        (0..grid.steps).map(move |index| grid.time(index))
    }
}

/// Where a selector looks at each step: up to `end(step)` inclusive, after offset and `@`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    first_end: i64,
    advance: i64,
    steps: usize,
}

impl Reach {
    /// The reach on `grid` of a selector with this offset (ms) and `@` time.
    pub(crate) fn new(grid: Grid, offset: i64, at: Option<i64>) -> Reach {
        let (from, advance) = at.map_or((grid.start, grid.step), |time| (time, 0));
        Reach { first_end: from.saturating_sub(offset), advance, steps: grid.steps }
    }

    /// Last timestamp looked at in step `index`.
    #[inline]
    pub(crate) fn end(&self, index: usize) -> i64 {
        self.first_end.saturating_add(self.advance * index as i64)
    }

    /// First and last timestamp looked at in any step, looking back `range` ms (exclusive).
    pub(crate) fn bounds(&self, range: i64) -> (i64, i64) {
        let last = self.end(self.steps.saturating_sub(1));
        (self.first_end.saturating_sub(range).saturating_add(1), last)
    }

    /// As [`Reach::bounds`], widened by margins (ms) before and after.
    pub(crate) fn wide_bounds(&self, range: i64, (before, after): (i64, i64)) -> (i64, i64) {
        let (first, last) = self.bounds(range);
        (first.saturating_sub(before), last.saturating_add(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_need_not_lie_on_the_grid() {
        let grid = Grid::new(0, 25, 10);
        assert_eq!((grid.steps, grid.end()), (3, 20));
        assert_eq!(Grid::new(10, 0, 5).steps, 0);
    }

    #[test]
    fn at_pins_every_step_to_one_time() {
        let grid = Grid::new(100, 300, 100);
        assert_eq!(Reach::new(grid, 50, None).bounds(100), (-49, 250));
        assert_eq!(Reach::new(grid, 50, Some(1000)).bounds(100), (851, 950));
    }
}
