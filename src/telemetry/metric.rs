//! The metric types parts keep as fields of their own metric structs; all lock-free to update.

use std::array;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use super::family::MetricFamily;

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter at zero.
    pub const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A whole number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// A gauge at zero.
    pub const fn new() -> Gauge {
        Gauge(AtomicI64::new(0))
    }

    /// Shows `value` from now on.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A sum of floats that only grows, such as seconds spent.
#[derive(Debug, Default)]
pub struct FloatCounter(AtomicF64);

impl FloatCounter {
    /// A counter at zero.
    pub const fn new() -> FloatCounter {
        FloatCounter(AtomicF64::new())
    }

    /// Adds `x`, which must not be negative.
    pub fn add(&self, x: f64) {
        debug_assert!(x >= 0.0, "a counter only grows");
        self.0.add(x);
    }

    /// The sum so far.
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

/// A float that goes up and down.
#[derive(Debug, Default)]
pub struct FloatGauge(AtomicF64);

impl FloatGauge {
    /// A gauge at zero.
    pub const fn new() -> FloatGauge {
        FloatGauge(AtomicF64::new())
    }

    /// Shows `value` from now on.
    pub fn set(&self, value: f64) {
        self.0.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

/// A float behind an atomic word.
#[derive(Debug, Default)]
struct AtomicF64(AtomicU64);

impl AtomicF64 {
    const fn new() -> AtomicF64 {
        AtomicF64(AtomicU64::new(0))
    }

    fn add(&self, x: f64) {
        let sum = |bits| Some((f64::from_bits(bits) + x).to_bits());
        // The closure never gives `None`, so the update cannot fail.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// A classic histogram with bounds fixed at compile time.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One more than `bounds`: the last counts what lies above them all. Not cumulative.
    counts: Box<[AtomicU64]>,
    sum: AtomicF64,
}

impl Histogram {
    /// Bounds in seconds for what a user waits for: 1 ms to 10 s.
    pub const SECONDS: &'static [f64] =
        &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    /// Bounds in bytes for bodies: 256 B to 64 MiB.
    pub const BYTES: &'static [f64] = &[
        256.0,
        1024.0,
        4096.0,
        16_384.0,
        65_536.0,
        262_144.0,
        1_048_576.0,
        4_194_304.0,
        16_777_216.0,
        67_108_864.0,
    ];

    /// An empty histogram; `bounds` are the inclusive upper bounds, in ascending order, without
    /// infinity.
    pub fn new(bounds: &'static [f64]) -> Histogram {
        debug_assert!(bounds.windows(2).all(|w| w[0] < w[1]), "bounds ascend");
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, counts, sum: AtomicF64::new() }
    }

    /// Counts one observation.
    pub fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.add(value);
    }

    /// Counts one duration, in seconds.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(duration.as_secs_f64());
    }

    /// The inclusive upper bounds with their cumulative counts, the last one at infinity.
    pub fn cumulative(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = self.counts.iter().scan(0u64, |sum, count| {
            *sum = sum.saturating_add(count.load(Ordering::Relaxed));
            Some(*sum)
        });
        bounds.zip(counts).collect()
    }

    /// The sum of all observations.
    pub fn sum(&self) -> f64 {
        self.sum.get()
    }
}

/// The value every label takes in the one series that collects what is above a family's limit.
const OVERFLOW_LABEL: &str = "other";

/// Metrics of one family by the values of its `N` labels, at most `series_max` of them: what comes
/// beyond is counted under the label value `other`, so outsiders cannot grow it without end.
#[derive(Debug)]
struct Family<M, const N: usize> {
    names: [&'static str; N],
    series_max: usize,
    make: fn() -> M,
    // Read at each update, written only when a label set is seen for the first time.
    series: RwLock<HashMap<[String; N], Arc<M>>>,
}

impl<M, const N: usize> Family<M, N> {
    fn new(names: [&'static str; N], series_max: usize, make: fn() -> M) -> Family<M, N> {
        Family { names, series_max, make, series: RwLock::new(HashMap::new()) }
    }

    fn with(&self, values: [&str; N]) -> Arc<M> {
        let key = values.map(str::to_owned);
        if let Some(metric) = self.read().get(&key) {
            return Arc::clone(metric);
        }
        let mut series = self.series.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let full = series.len() >= self.series_max && !series.contains_key(&key);
        let key = if full { array::from_fn(|_| OVERFLOW_LABEL.to_owned()) } else { key };
        Arc::clone(series.entry(key).or_insert_with(|| Arc::new((self.make)())))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<[String; N], Arc<M>>> {
        // The map is whole after any panic: every change is a single insert.
        self.series.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn collect(&self, family: MetricFamily, add: Add<M>) -> MetricFamily {
        let mut family = family;
        for (values, metric) in self.read().iter() {
            let labels: Vec<(&str, &str)> =
                self.names.iter().copied().zip(values.iter().map(String::as_str)).collect();
            family = add(family, &labels, metric);
        }
        family
    }
}

/// How one metric of a family is written into a [`MetricFamily`].
type Add<M> = fn(MetricFamily, &[(&str, &str)], &M) -> MetricFamily;

/// Counters by the values of `N` labels; bounded.
#[derive(Debug)]
pub struct CounterVec<const N: usize>(Family<Counter, N>);

impl<const N: usize> CounterVec<N> {
    /// A family with these label names and at most `series_max` label sets.
    pub fn new(names: [&'static str; N], series_max: usize) -> CounterVec<N> {
        CounterVec(Family::new(names, series_max, Counter::new))
    }

    /// The counter with these label values. Keep it when it is used often.
    pub fn with(&self, values: [&str; N]) -> Arc<Counter> {
        self.0.with(values)
    }

    /// All counters as a family.
    pub fn family(&self, name: &'static str, help: &'static str) -> MetricFamily {
        self.0.collect(MetricFamily::counter(name, help), |family, labels, counter| {
            family.with(labels, counter.get() as f64)
        })
    }
}

/// Histograms by the values of `N` labels; bounded.
#[derive(Debug)]
pub struct HistogramVec<const N: usize>(Family<Histogram, N>);

impl<const N: usize> HistogramVec<N> {
    /// A family with these label names and at most `series_max` label sets; `make` gives an empty
    /// histogram, for example `|| Histogram::new(Histogram::SECONDS)`.
    pub fn new(
        names: [&'static str; N],
        series_max: usize,
        make: fn() -> Histogram,
    ) -> HistogramVec<N> {
        HistogramVec(Family::new(names, series_max, make))
    }

    /// The histogram with these label values. Keep it when it is used often.
    pub fn with(&self, values: [&str; N]) -> Arc<Histogram> {
        self.0.with(values)
    }

    /// All histograms as a family.
    pub fn family(&self, name: &'static str, help: &'static str) -> MetricFamily {
        self.0.collect(MetricFamily::histogram(name, help), |family, labels, histogram| {
            family.with_histogram(labels, histogram)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_bounds_inclusively_and_cumulates() {
        let histogram = Histogram::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 9.0] {
            histogram.observe(value);
        }
        assert_eq!(histogram.cumulative(), [(1.0, 2), (2.0, 3), (f64::INFINITY, 4)]);
        assert_eq!(histogram.sum(), 12.0);
    }

    #[test]
    fn a_family_is_bounded() {
        let family = CounterVec::new(["code"], 2);
        for code in ["200", "404", "500", "501", "200"] {
            family.with([code]).inc();
        }
        let mut samples: Vec<(String, f64)> = family
            .family("requests_total", "Requests.")
            .samples
            .into_iter()
            .map(|s| (s.labels[0].1.clone(), s.value))
            .collect();
        samples.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [("200", 2.0), ("404", 1.0), ("other", 2.0)];
        assert_eq!(samples, expected.map(|(code, n)| (code.to_owned(), n)));
    }

    #[test]
    fn float_metrics_add_up() {
        let seconds = FloatCounter::new();
        seconds.add(0.25);
        seconds.add(0.5);
        assert_eq!(seconds.get(), 0.75);
        let gauge = FloatGauge::new();
        gauge.set(-1.5);
        assert_eq!(gauge.get(), -1.5);
    }
}
