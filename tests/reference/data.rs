//! A few series, with everything that can be unusual about samples: gaps, resets, stale markers, NaN
//! and infinities.

use std::collections::BTreeMap;

use super::histogram::Histo;

/// Labels of a series, the metric name among them.
pub type Labels = BTreeMap<String, String>;

/// A number or a histogram.
#[derive(Clone, Debug, PartialEq)]
pub enum Point {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Histo),
    /// The end of a series, until it comes back.
    Stale,
}

impl Point {
    /// The number it is.
    pub fn float(&self) -> Option<f64> {
        match self {
            Point::Float(value) => Some(*value),
            Point::Histogram(_) | Point::Stale => None,
        }
    }
}

/// A series and its samples, (ms, value), ascending.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Its samples.
    pub samples: Vec<(i64, Point)>,
    /// Of samples, by their times, when the counting behind them began; all in ms.
    pub starts: BTreeMap<i64, i64>,
}

/// Milliseconds between two samples.
pub const INTERVAL_MS: i64 = 10_000;
/// Samples of a series, gaps included.
pub const SAMPLES: i64 = 60;

/// The series, their first samples `shift_ms` after `start_ms`; native histograms if asked for.
pub fn series(start_ms: i64, shift_ms: i64, histograms: bool) -> Vec<Series> {
    let mut all = Vec::new();
    let mut add = |name: &str, pairs: &[(&str, &str)], value: &dyn Fn(i64) -> Option<Point>| {
        let mut labels: Labels =
            pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        labels.insert("__name__".to_owned(), name.to_owned());
        let time = |at: i64| start_ms + shift_ms + at * INTERVAL_MS;
        let samples = (0..SAMPLES).filter_map(|at| Some((time(at), value(at)?)));
        all.push(Series { labels, samples: samples.collect(), starts: BTreeMap::new() });
    };
    let float = |value: f64| Some(Point::Float(value));
    for (number, (job, instance)) in
        [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("c", "3")].into_iter().enumerate()
    {
        let n = number as i64;
        let labels = [("job", job), ("instance", instance)];
        // Counters that start anew every 17 + n samples, with gaps.
        add("c_total", &labels, &|at| match at {
            _ if n == 1 && (20..26).contains(&at) => None,
            _ if n == 3 && at == 40 => Some(Point::Stale),
            _ if n == 3 && at > 40 && at < 50 => None,
            _ => float(((at % (17 + n)) * (n + 2)) as f64 + 0.5 * n as f64),
        });
        // Gauges that wander, one of them out of bounds.
        add("g", &labels, &|at| match at {
            _ if n == 2 && at % 9 == 4 => float(f64::NAN),
            _ if n == 4 && at % 11 == 5 => float(f64::INFINITY),
            _ if n == 4 && at % 13 == 7 => float(f64::NEG_INFINITY),
            _ if n == 0 && (30..33).contains(&at) => None,
            _ => float(((at * at * (n + 3) + 5 * n) % 37 - 12) as f64 * 0.75 + n as f64 * 0.125),
        });
        // Info metrics: a version changes, one comes to its end.
        let env = ("env", if n < 3 { "prod" } else { "dev" });
        for (version, times) in [("1", 0..40), ("2", 40..SAMPLES)] {
            let labels = [labels[0], labels[1], ("version", version), env];
            add("target_info", &labels, &|at| {
                let is_there = times.contains(&at) && (n != 4 || at <= 30);
                is_there.then_some(Point::Float(1.0))
            });
        }
        add("build_info", &[labels[0], labels[1], ("build", instance)], &|_| float(1.0));
    }
    for (job, offset) in [("a", 1.0), ("b", 2.0)] {
        add("one", &[("job", job)], &|at| float(offset + (at / 20) as f64));
        for (bucket, le) in ["0.1", "1", "10", "+Inf"].into_iter().enumerate() {
            let labels = [("job", job), ("le", le)];
            add("h_bucket", &labels, &|at| {
                float((at * (bucket as i64 + 1) * (bucket as i64 + 2)) as f64 * offset)
            });
        }
        if histograms {
            let histogram = |at: i64| {
                let at = at % 23;
                Point::Histogram(Histo::new(&[
                    (0, at as f64 * offset),
                    (1, 2.0 * at as f64),
                    (2 + at / 10, at as f64),
                ]))
            };
            add("nh", &[("job", job)], &|at| (at % 31 != 30).then(|| histogram(at)));
            add("mixed", &[("job", job)], &|at| match at % 12 {
                0..6 => Some(histogram(at)),
                _ => float(at as f64),
            });
        }
    }
    all
}

/// Counters that tell when their counting began: before all samples, anew each time they fall or at
/// each sample, at or behind the sample itself, before a sample that counts on, or not at all times.
pub fn started(start_ms: i64) -> Vec<Series> {
    let mut all = Vec::new();
    for n in 0..STARTED {
        let (mut samples, mut starts) = (Vec::new(), BTreeMap::new());
        let mut histograms = Vec::new();
        for at in (0..SAMPLES).filter(|at| n != 3 || at % 8 != 5) {
            let time = start_ms + at * INTERVAL_MS;
            let count = (at % (11 + n)) as f64;
            let before = match n {
                0 => (at % 11) * INTERVAL_MS + 4_000,
                1 => INTERVAL_MS,
                2 => INTERVAL_MS - 3_000,
                3 if at % 5 == 0 => 2_000,
                3 => INTERVAL_MS + 2_000,
                4 => -((at % 3) * 1_000),
                _ => (at % 7) * 2_500,
            };
            if n != 5 || at % 4 != 3 {
                starts.insert(time, time - before);
            }
            samples.push((time, Point::Float(2.0 * count + 1.0)));
            let buckets = [(0, count), (1, 2.0 * count + 1.0)];
            histograms.push((time, Point::Histogram(Histo::new(&buckets))));
        }
        for (name, samples) in [("started_total", samples), ("started_nh", histograms)] {
            let pairs = [("__name__", name), ("job", if n < 3 { "a" } else { "b" })];
            let instance = ("instance".to_owned(), n.to_string());
            let pairs = pairs.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned()));
            let labels = pairs.chain([instance]).collect();
            all.push(Series { labels, samples, starts: starts.clone() });
        }
    }
    all
}

/// Custom bounds: some equal, some with bounds in common, some without, one not above zero.
const BOUNDS: [&[f64]; 6] =
    [&[1.0, 2.0, 5.0], &[1.0, 2.0, 5.0], &[2.0, 5.0, 10.0], &[1.0, 5.0], &[0.5, 3.0], &[-1.0, 2.0]];

/// Histograms of custom buckets, one of which changes its bounds; gauges; and series whose samples
/// are of all kinds in turn.
pub fn kinds(start_ms: i64) -> Vec<Series> {
    let custom = |at: i64, n: usize| {
        let bounds = BOUNDS[if n == 2 && at > 33 { 3 } else { n }];
        let count = (at % (21 + n as i64)) as f64;
        let counts: Vec<f64> = (0..=bounds.len())
            .map(|i| if i == 1 && n == 3 { 0.0 } else { count * i as f64 + 1.0 })
            .collect();
        Histo::custom(bounds, &counts, count * 11.5)
    };
    let gauge = |at: i64, n: usize| {
        let count = ((at * 7 + 3 * n as i64) % 11) as f64;
        Histo { is_gauge: true, ..Histo::new(&[(-1, count + 0.5), (0, count), (1, 1.0)]) }
    };
    let kind = |at: i64, n: usize| match (at / 7 + n as i64) % 4 {
        0 => Point::Histogram(Histo::new(&[(0, (at % 13) as f64), (1, 2.0)])),
        1 => Point::Histogram(custom(at, n)),
        2 => Point::Histogram(gauge(at, n)),
        _ => Point::Float((at % 9) as f64),
    };
    let mut all = Vec::new();
    for (n, (job, instance)) in
        [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("c", "3"), ("c", "4")]
            .into_iter()
            .enumerate()
    {
        let mut add = |name: &str, point: &dyn Fn(i64) -> Point| {
            let pairs = [("__name__", name), ("job", job), ("instance", instance)];
            let labels = pairs.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            let there = (0..SAMPLES).filter(|at| n != 1 || at % 10 != 6);
            let samples = there.map(|at| (start_ms + at * INTERVAL_MS, point(at))).collect();
            all.push(Series { labels, samples, starts: BTreeMap::new() });
        };
        add("nhcb", &|at| Point::Histogram(custom(at, n)));
        add("gauges", &|at| Point::Histogram(gauge(at, n)));
        add("kinds", &|at| kind(at, n));
    }
    all
}

/// How many kinds of start timestamps there are.
const STARTED: i64 = 6;
