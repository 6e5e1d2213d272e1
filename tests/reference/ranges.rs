//! Functions over the samples of a range.

use tidewatch::promql::ast::EdgeMode;

use super::data::Point;
use super::evaluate::{Query, Range};
use super::extended;
use super::histogram::Histo;

/// The floats of a range, (ms, value).
pub fn floats(range: &Range) -> Vec<(i64, f64)> {
    let float = |(time, point): &(i64, Point)| match point {
        Point::Float(value) => Some((*time, *value)),
        _ => None,
    };
    range.samples.iter().filter_map(float).collect()
}

fn histograms(range: &Range) -> Vec<(i64, Histo)> {
    let histogram = |(time, point): &(i64, Point)| match point {
        Point::Histogram(histogram) => Some((*time, histogram.clone())),
        _ => None,
    };
    range.samples.iter().filter_map(histogram).collect()
}

/// Functions that do not look at histograms.
const ONLY_FLOATS: &[&str] = &[
    "min_over_time",
    "max_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "quantile_over_time",
    "mad_over_time",
    "ts_of_min_over_time",
    "ts_of_max_over_time",
    "deriv",
    "predict_linear",
    "double_exponential_smoothing",
];

/// What function `name` makes of a range that is not empty; `time` is the evaluation time, `params`
/// its scalar arguments. Floats and histograms together mostly give nothing.
pub fn apply(
    query: &Query<'_>,
    name: &str,
    range: &Range,
    params: &[f64],
    time: i64,
) -> Option<Point> {
    if range.edge != EdgeMode::Plain {
        return extended::apply(name, range);
    }
    if range.samples.is_empty() {
        return None;
    }
    let (floats, histograms) = (floats(range), histograms(range));
    let values: Vec<f64> = floats.iter().map(|(_, value)| *value).collect();
    let seconds = |ms: i64| ms as f64 / 1000.0;
    match name {
        "count_over_time" => return Some(Point::Float(range.samples.len() as f64)),
        "present_over_time" => return Some(Point::Float(1.0)),
        "last_over_time" => return range.samples.last().map(|(_, point)| point.clone()),
        "first_over_time" => return range.samples.first().map(|(_, point)| point.clone()),
        "ts_of_last_over_time" => {
            return range.samples.last().map(|(at, _)| Point::Float(seconds(*at)));
        }
        "ts_of_first_over_time" => {
            return range.samples.first().map(|(at, _)| Point::Float(seconds(*at)));
        }
        _ => {}
    }
    if !histograms.is_empty() && !ONLY_FLOATS.contains(&name) {
        return with_histograms(query, name, range, &floats, &histograms);
    }
    if floats.is_empty() {
        return None;
    }
    if matches!(name, "rate" | "increase" | "irate" | "changes" | "resets") {
        // What rounding does to a value looks like a change, or like a reset.
        let rounded = |w: &[f64]| w[0] != w[1] && (w[0] - w[1]).abs() <= 1e-9 * w[0].abs();
        query.is_open_if(values.windows(2).any(rounded), "rounding looks like a change");
    }
    let count = values.len() as f64;
    let result = match name {
        "sum_over_time" => sum(&values),
        "avg_over_time" => mean(&values),
        "min_over_time" => least(&values),
        "max_over_time" => -least(&negative(&values)),
        "stdvar_over_time" => variance(&values),
        "stddev_over_time" => variance(&values).sqrt(),
        "quantile_over_time" => quantile(params[0], &values),
        "mad_over_time" => {
            if values.iter().any(|value| value.is_nan()) {
                return Some(Point::Float(f64::NAN));
            }
            let median = quantile(0.5, &values);
            let distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
            quantile(0.5, &distances)
        }
        "ts_of_min_over_time" => seconds(time_of_least(query, &floats)),
        "ts_of_max_over_time" => {
            let negative: Vec<_> = floats.iter().map(|(at, value)| (*at, -value)).collect();
            seconds(time_of_least(query, &negative))
        }
        "changes" => changes_of_points(range),
        "resets" => resets_of_points(range),
        _ if count < 2.0 && !(is_rate(name) && began_within(range, floats[0].0).is_some()) => {
            return None;
        }
        "rate" => extrapolated(range, &floats, true)? / seconds(range.end - range.start),
        "increase" => extrapolated(range, &floats, true)?,
        "delta" => extrapolated(range, &floats, false)?,
        "irate" | "idelta" => last_two(range, &floats, name == "irate"),
        "deriv" => regression(&floats, floats[0].0).0,
        "predict_linear" => {
            let (slope, intercept) = regression(&floats, time);
            slope * params[0] + intercept
        }
        "double_exponential_smoothing" => smoothed(&values, params[0], params[1]),
        other => panic!("the reference does not know {other}"),
    };
    Some(Point::Float(result))
}

/// The functions that histograms, or histograms among floats, have a meaning for.
fn with_histograms(
    query: &Query<'_>,
    name: &str,
    range: &Range,
    floats: &[(i64, f64)],
    histograms: &[(i64, Histo)],
) -> Option<Point> {
    if matches!(name, "rate" | "increase" | "irate" | "changes" | "resets") {
        let rounded = |pair: &[(i64, Histo)]| pair[0].1.is_rounded(&pair[1].1);
        query.is_open_if(histograms.windows(2).any(rounded), "rounding looks like a change");
    }
    match name {
        "irate" | "idelta" => last_two_points(name, range),
        "changes" => Some(Point::Float(changes_of_points(range))),
        "resets" => Some(Point::Float(resets_of_points(range))),
        "sum_over_time" | "avg_over_time" | "rate" | "increase" | "delta" if !floats.is_empty() => {
            None
        }
        "sum_over_time" => Some(Point::Histogram(total(histograms)?)),
        "avg_over_time" => {
            Some(Point::Histogram(total(histograms)?.divided(histograms.len() as f64)))
        }
        "delta" => Some(Point::Histogram(delta_of_histograms(range, histograms)?)),
        "rate" | "increase"
            if histograms.len() < 2 && began_within(range, histograms[0].0).is_none() =>
        {
            None
        }
        "rate" | "increase" => {
            let increase = increase_of_histograms(range, histograms)?;
            let seconds =
                if name == "rate" { (range.end - range.start) as f64 / 1000.0 } else { 1.0 };
            Some(Point::Histogram(increase.divided(seconds)))
        }
        _ => {
            query.is_open_if(true, "a function of histograms");
            None
        }
    }
}

fn total(histograms: &[(i64, Histo)]) -> Option<Histo> {
    let histograms: Vec<&Histo> = histograms.iter().map(|(_, histogram)| histogram).collect();
    Histo::total(&histograms)
}

/// The increase of a counter; a first histogram that is forgotten at once may be of another kind.
fn increase_of_histograms(range: &Range, histograms: &[(i64, Histo)]) -> Option<Histo> {
    let (first, last) = (&histograms[0], &histograms[histograms.len() - 1]);
    let fell = resets(range, histograms, |a, b| b.is_reset_after(a));
    let is_forgotten = fell.first() == Some(&0);
    let start = if is_forgotten { histograms[1].1.emptied() } else { first.1.clone() };
    if histograms[1..].iter().any(|(_, histogram)| !histogram.is_like(&start)) {
        return None;
    }
    let mut increase = last.1.plus(&start, -1.0)?;
    for after in fell.into_iter().filter(|after| *after > 0) {
        increase = increase.plus(&histograms[after].1, 1.0)?;
    }
    // That of a single one is the histogram itself.
    increase.is_gauge = histograms.len() > 1 || last.1.is_gauge;
    if let Some(began) = began_within(range, first.0) {
        let stretched = stretch_from(range, histograms.len(), began, (first.0, last.0));
        return Some(increase.plus(&first.1, 1.0)?.times(stretched));
    }
    let zero =
        (increase.count > 0.0 && first.1.count >= 0.0).then(|| first.1.count / increase.count);
    Some(increase.times(stretch(range, histograms.len(), first.0, last.0, zero)))
}

/// The change of a gauge between the first and the last.
fn delta_of_histograms(range: &Range, histograms: &[(i64, Histo)]) -> Option<Histo> {
    let [first, .., last] = histograms else { return None };
    let mut change = last.1.plus(&first.1, -1.0)?;
    change.is_gauge = true;
    Some(change.times(stretch(range, histograms.len(), first.0, last.0, None)))
}

/// The change between the last two samples, of whatever kind.
fn last_two_points(name: &str, range: &Range) -> Option<Point> {
    let [.., before, last] = &range.samples[..] else { return None };
    let is_rate = name == "irate";
    match (&before.1, &last.1) {
        (Point::Float(a), Point::Float(b)) => {
            Some(Point::Float(last_two(range, &[(before.0, *a), (last.0, *b)], is_rate)))
        }
        (Point::Histogram(a), Point::Histogram(b)) => {
            let pair = [(before.0, a.clone()), (last.0, b.clone())];
            let began = is_rate && !resets(range, &pair, |a, b| b.is_reset_after(a)).is_empty();
            let mut change = if began { b.clone() } else { b.plus(a, -1.0)? };
            change.is_gauge = true;
            let seconds = if is_rate { (last.0 - before.0) as f64 / 1000.0 } else { 1.0 };
            Some(Point::Histogram(change.divided(seconds)))
        }
        _ => None,
    }
}

/// How often a sample is unlike the one before it, of whatever kind they are.
pub fn changes_of_points(range: &Range) -> f64 {
    let changed = |a: &Point, b: &Point| match (a, b) {
        (Point::Float(a), Point::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
        (Point::Histogram(a), Point::Histogram(b)) => !a.equals(b),
        _ => true,
    };
    range.samples.windows(2).filter(|pair| changed(&pair[0].1, &pair[1].1)).count() as f64
}

/// How often a counter began anew, of whatever kind its samples are; another kind is a new counter.
pub fn resets_of_points(range: &Range) -> f64 {
    let fell = |a: &Point, b: &Point| match (a, b) {
        (Point::Float(a), Point::Float(b)) => b < a,
        (Point::Histogram(a), Point::Histogram(b)) => b.is_reset_after(a),
        _ => true,
    };
    resets(range, &range.samples, fell).len() as f64
}

/// The sum, with what rounding loses added in the end (Neumaier).
pub fn sum(values: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0f64);
    for value in values {
        let next = sum + value;
        if next.is_finite() {
            lost +=
                if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        } else {
            lost = 0.0;
        }
        sum = next;
    }
    sum + lost
}

/// The arithmetic mean.
pub fn mean(values: &[f64]) -> f64 {
    sum(values) / values.len() as f64
}

/// The least value; NaN only when there is nothing else.
pub fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::min)
}

fn negative(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| -value).collect()
}

/// The time of the least value, of equals the last; NaN only when there is nothing else.
fn time_of_least(query: &Query<'_>, floats: &[(i64, f64)]) -> i64 {
    let least = floats.iter().fold(floats[0], |least, sample| {
        if sample.1 <= least.1 || least.1.is_nan() { *sample } else { least }
    });
    let rounded =
        |(_, v): &(i64, f64)| *v != least.1 && (v - least.1).abs() <= 1e-9 * least.1.abs();
    query.is_open_if(floats.iter().any(rounded), "rounding chooses among equals");
    least.0
}

/// The mean square of the distances from the mean.
pub fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: Vec<f64> = values.iter().map(|value| (value - mean) * (value - mean)).collect();
    self::mean(&squares)
}

/// The value below which a share `phi` lies, between neighbours in proportion; NaN is the least.
pub fn quantile(phi: f64, values: &[f64]) -> f64 {
    if values.is_empty() || phi.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&phi) {
        return if phi < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(b),
        (a, b) => b.cmp(&a),
    });
    let rank = phi * (sorted.len() - 1) as f64;
    let (lower, weight) = (rank.floor() as usize, rank - rank.floor());
    let upper = (lower + 1).min(sorted.len() - 1);
    sorted[lower] * (1.0 - weight) + sorted[upper] * weight
}

/// The change over the whole range, of which the samples show a part. A counter only grows: where
/// it fell it began anew, and it began at zero.
fn extrapolated(range: &Range, floats: &[(i64, f64)], is_counter: bool) -> Option<f64> {
    let (first, last) = (floats.first()?, floats.last()?);
    let mut change = last.1 - first.1;
    if is_counter {
        for after in resets(range, floats, |a, b| b < a) {
            change += floats[after].1;
        }
    }
    if let Some(began) = began_within(range, first.0).filter(|_| is_counter) {
        return Some(
            (change + first.1) * stretch_from(range, floats.len(), began, (first.0, last.0)),
        );
    }
    let zero = (is_counter && change > 0.0 && first.1 >= 0.0).then(|| first.1 / change);
    Some(change * stretch(range, floats.len(), first.0, last.0, zero))
}

/// By how much the change between the first and last sample is stretched to the edges of the range:
/// up to an edge that is near, else half the distance between samples; and not below zero, which
/// was `zero` times the sampled stretch before the first sample.
fn stretch(range: &Range, count: usize, first: i64, last: i64, zero: Option<f64>) -> f64 {
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let sampled = seconds(last - first);
    let between = sampled / (count - 1) as f64;
    let within_reach =
        |distance: f64| if distance >= between * 1.1 { between / 2.0 } else { distance };
    let mut before = within_reach(seconds(first - range.start));
    let after = within_reach(seconds(range.end - last));
    if let Some(zero) = zero {
        before = before.min(sampled * zero);
    }
    (sampled + before + after) / sampled
}

/// Which functions know when the counting began.
fn is_rate(name: &str) -> bool {
    matches!(name, "rate" | "increase")
}

/// After which samples a counter began anew: it went down, or it says so itself.
fn resets<T>(range: &Range, samples: &[(i64, T)], fell: impl Fn(&T, &T) -> bool) -> Vec<usize> {
    let began_anew = |(a, b): (&(i64, T), &(i64, T))| {
        let start = |time: i64| range.starts.get(&time).copied().unwrap_or(0);
        fell(&a.1, &b.1) || says_reset((start(a.0), a.0), (start(b.0), b.0))
    };
    (1..samples.len())
        .filter(|at| began_anew((&samples[at - 1], &samples[*at])))
        .map(|at| at - 1)
        .collect()
}

/// Whether the counting behind the second of two samples, (start, time), began after the first was
/// taken; or right then, if of the first it is known that it did not begin there, too.
fn says_reset(before: (i64, i64), sample: (i64, i64)) -> bool {
    let (start, time) = sample;
    match start {
        0 => false,
        start if start >= time => false,
        start if start == before.1 => before.0 != 0 && before.0 < before.1,
        start => start > before.1,
    }
}

/// When the counting behind the first sample began, if that was in the range and before the sample.
fn began_within(range: &Range, first: i64) -> Option<i64> {
    let began = range.starts.get(&first).copied().unwrap_or(0);
    (began != 0 && began > range.start && began < first).then_some(began)
}

/// As [`stretch`], where it is known that the counting began in the range: nothing lies before that.
fn stretch_from(range: &Range, count: usize, began: i64, (first, last): (i64, i64)) -> f64 {
    let sampled = (last - began) as f64;
    let between = if count > 1 { (last - first) as f64 / (count - 1) as f64 } else { 0.0 };
    let to_end = (range.end - last) as f64;
    let after = if to_end >= between * 1.1 { between / 2.0 } else { to_end };
    (sampled + after) / sampled
}

fn last_two(range: &Range, floats: &[(i64, f64)], is_rate: bool) -> f64 {
    let [.., before, last] = floats else { panic!("two samples at least") };
    if !is_rate {
        return last.1 - before.1;
    }
    let reset = !resets(range, &[*before, *last], |a, b| b < a).is_empty();
    let change = if reset { last.1 } else { last.1 - before.1 };
    change / ((last.0 - before.0) as f64 / 1000.0)
}

/// Slope and value at `at` of the line that fits best.
fn regression(floats: &[(i64, f64)], at: i64) -> (f64, f64) {
    let first = floats[0].1;
    if floats.iter().all(|(_, value)| *value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let xs: Vec<f64> = floats.iter().map(|(time, _)| (time - at) as f64 / 1000.0).collect();
    let ys: Vec<f64> = floats.iter().map(|(_, value)| *value).collect();
    let products = |a: &[f64], b: &[f64]| {
        let products: Vec<f64> = a.iter().zip(b).map(|(a, b)| a * b).collect();
        sum(&products)
    };
    let count = xs.len() as f64;
    let covariance = products(&xs, &ys) - sum(&xs) * sum(&ys) / count;
    let variance = products(&xs, &xs) - sum(&xs) * sum(&xs) / count;
    let slope = covariance / variance;
    (slope, sum(&ys) / count - slope * sum(&xs) / count)
}

/// Double exponential smoothing: a level and a trend, each a mixture of new and old.
fn smoothed(values: &[f64], level_factor: f64, trend_factor: f64) -> f64 {
    let (mut level, mut trend) = (values[0], values[1] - values[0]);
    let mut before = 0.0;
    for (at, value) in values.iter().enumerate().skip(1) {
        if at > 1 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        before = level;
        level = level_factor * value + (1.0 - level_factor) * (level + trend);
    }
    level
}
