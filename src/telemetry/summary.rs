//! Summaries: quantiles of what was observed lately, under the names of Prometheus that are
//! summaries and not histograms.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::metric::{Counter, FloatCounter};

/// How long an observation counts for the quantiles, as in Prometheus.
const AGE_MAX: Duration = Duration::from_secs(10 * 60);
/// Most observations that count for the quantiles: the latest. They are sorted at each collection.
const VALUES_MAX: usize = 1024;

/// Quantiles of the latest observations, with sum and count of all.
#[derive(Debug)]
pub struct Summary {
    quantiles: &'static [f64],
    count: Counter,
    sum: FloatCounter,
    /// The latest ones with their times; held for an insertion or a copy.
    latest: Mutex<VecDeque<(Instant, f64)>>,
}

impl Summary {
    /// The quantiles most summaries of Prometheus have.
    pub const USUAL: &'static [f64] = &[0.5, 0.9, 0.99];

    /// An empty summary; `quantiles` are from 0 to 1, ascending.
    pub fn new(quantiles: &'static [f64]) -> Summary {
        debug_assert!(quantiles.windows(2).all(|w| w[0] < w[1]), "quantiles ascend");
        Summary {
            quantiles,
            count: Counter::new(),
            sum: FloatCounter::new(),
            latest: Mutex::default(),
        }
    }

    /// Counts one duration, in seconds.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe_at(Instant::now(), duration.as_secs_f64());
    }

    fn observe_at(&self, now: Instant, value: f64) {
        self.count.inc();
        self.sum.add(value);
        let mut latest = self.lock();
        if latest.len() == VALUES_MAX {
            latest.pop_front();
        }
        latest.push_back((now, value));
    }

    /// Each quantile with its value; not a number when nothing was observed lately.
    pub fn quantiles(&self) -> Vec<(f64, f64)> {
        self.quantiles_at(Instant::now())
    }

    fn quantiles_at(&self, now: Instant) -> Vec<(f64, f64)> {
        let mut values: Vec<f64> = {
            let mut latest = self.lock();
            while latest.front().is_some_and(|(at, _)| now.duration_since(*at) > AGE_MAX) {
                latest.pop_front();
            }
            latest.iter().map(|(_, value)| *value).collect()
        };
        values.sort_unstable_by(f64::total_cmp);
        // The smallest value that at least the wanted part of all is not above.
        let rank = |quantile: f64| ((quantile * values.len() as f64).ceil() as usize).max(1) - 1;
        let value = |quantile: f64| values.get(rank(quantile)).copied().unwrap_or(f64::NAN);
        self.quantiles.iter().map(|quantile| (*quantile, value(*quantile))).collect()
    }

    /// The sum of all observations, and how many there were.
    pub fn sum_and_count(&self) -> (f64, u64) {
        (self.sum.get(), self.count.get())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Instant, f64)>> {
        // The queue is whole after any panic: every change is a single push or pop.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_latest_and_sums_of_all() {
        let (summary, start) = (Summary::new(Summary::USUAL), Instant::now());
        assert!(summary.quantiles_at(start).iter().all(|(_, value)| value.is_nan()));
        for value in 1..=100 {
            summary.observe_at(start, f64::from(value));
        }
        assert_eq!(summary.quantiles_at(start), [(0.5, 50.0), (0.9, 90.0), (0.99, 99.0)]);
        let later = start + AGE_MAX + Duration::from_secs(1);
        summary.observe_at(later, 7.0);
        assert_eq!(summary.quantiles_at(later), [(0.5, 7.0), (0.9, 7.0), (0.99, 7.0)]);
        assert_eq!(summary.sum_and_count(), (5057.0, 101));
    }

    #[test]
    fn the_memory_is_bounded() {
        let (summary, now) = (Summary::new(&[1.0]), Instant::now());
        (0..3000).for_each(|value| summary.observe_at(now, f64::from(value)));
        assert_eq!(summary.lock().len(), VALUES_MAX);
        assert_eq!(summary.quantiles_at(now), [(1.0, 2999.0)]);
    }
}
