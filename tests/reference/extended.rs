//! Functions over extended ranges: anchored ones, which begin with the last sample at or before their
//! start, if there is one; smoothed ones, with the values on the line between samples at both edges.

use tidewatch::promql::ast::EdgeMode;

use super::data::Point;
use super::evaluate::{Range, value_at};
use super::histogram::Histo;
use super::ranges::{changes_of_points, resets_of_points};

/// Which functions an extended range has a meaning for.
pub fn takes_extended(name: &str, edge: EdgeMode) -> bool {
    let of_anchored = matches!(name, "changes" | "resets");
    edge == EdgeMode::Plain
        || matches!(name, "rate" | "increase" | "delta")
        || edge == EdgeMode::Anchored && of_anchored
}

/// What function `name` makes of an extended range. Floats and histograms together have no rate.
pub fn apply(name: &str, range: &Range) -> Option<Point> {
    if let "changes" | "resets" = name {
        range.samples.first()?;
        let anchored = Range { samples: anchored(range), ..range.clone() };
        return Some(Point::Float(match name {
            "changes" => changes_of_points(&anchored),
            _ => resets_of_points(&anchored),
        }));
    }
    let (mut floats, mut histograms) = (Vec::new(), Vec::new());
    for (time, point) in &range.around {
        match point {
            Point::Float(value) => floats.push((*time, *value)),
            Point::Histogram(histogram) => histograms.push((*time, histogram.clone())),
            Point::Stale => {}
        }
    }
    let seconds = if name == "rate" { (range.end - range.start) as f64 / 1000.0 } else { 1.0 };
    match (floats.is_empty(), histograms.is_empty()) {
        (false, true) => Some(Point::Float(of_floats(name, range, &floats)? / seconds)),
        (true, false) => {
            let change = of_histograms(name != "delta", range, &histograms)?;
            Some(Point::Histogram(Histo { is_gauge: true, ..change }.divided(seconds)))
        }
        _ => None,
    }
}

/// The samples of an anchored range, the one it begins with included.
fn anchored(range: &Range) -> Vec<(i64, Point)> {
    let anchor = range.around.iter().rfind(|(at, _)| *at <= range.start);
    anchor.into_iter().chain(&range.samples).cloned().collect()
}

fn of_floats(name: &str, range: &Range, around: &[(i64, f64)]) -> Option<f64> {
    let is_counter = name != "delta";
    let inside: Vec<f64> = around
        .iter()
        .filter(|(at, _)| *at > range.start && *at < range.end)
        .map(|(_, value)| *value)
        .collect();
    let samples = match range.edge {
        EdgeMode::Smoothed => {
            let first = around.first().filter(|(at, _)| *at <= range.end)?;
            around.last().filter(|(at, _)| *at > range.start)?;
            let left = value_at(around, range.start, is_counter).unwrap_or(first.1);
            let right = value_at(around, range.end, is_counter).unwrap_or(first.1);
            [vec![left], inside, vec![right]].concat()
        }
        _ => {
            range.samples.first()?;
            anchored(range).iter().filter_map(|(_, point)| point.float()).collect()
        }
    };
    let (first, last) = (samples.first()?, samples.last()?);
    let fell: f64 = samples.windows(2).filter(|w| w[1] < w[0]).map(|w| w[0]).sum();
    Some(last - first + if is_counter { fell } else { 0.0 })
}

fn of_histograms(is_counter: bool, range: &Range, around: &[(i64, Histo)]) -> Option<Histo> {
    let is_smoothed = range.edge == EdgeMode::Smoothed;
    let end = around.len() - 1;
    let first = around.iter().rposition(|(at, _)| *at <= range.start).unwrap_or(0);
    let behind = around.iter().position(|(at, _)| *at >= range.end);
    let last = behind.filter(|_| is_smoothed).unwrap_or(end);
    if around[last].0 <= range.start || around[first].0 > range.end {
        return None;
    }
    let (from, to) = (&around[first], &around[last]);
    if around[first..=last].iter().any(|(_, histogram)| !histogram.is_like(&from.1)) {
        return None;
    }
    let cuts_left = is_smoothed && from.0 < range.start;
    let left = match cuts_left {
        true => between(from, &around[first + 1], range.start, is_counter)?,
        false => from.1.clone(),
    };
    let right = match is_smoothed && last > 0 && to.0 > range.end {
        true => between(&around[last - 1], to, range.end, is_counter)?,
        false => to.1.clone(),
    };
    let mut change = right.plus(&left, -1.0)?;
    if !is_counter || first == last {
        return Some(change);
    }
    // A reset that the left edge lies in is in its value already.
    let is_in_reset = cuts_left && around[first + 1].1.is_reset_after(&from.1);
    let inner = around[first + 1..last].iter().map(|(_, histogram)| histogram);
    let mut points: Vec<&Histo> =
        if is_in_reset { inner.collect() } else { std::iter::once(&left).chain(inner).collect() };
    points.push(&right);
    for pair in points.windows(2).filter(|pair| pair[1].is_reset_after(pair[0])) {
        change = change.plus(pair[0], 1.0)?;
    }
    Some(change)
}

/// The histogram on the line between two, at a time from that of the first to that of the second. A
/// counter that began anew counts from zero.
pub fn between(
    before: &(i64, Histo),
    behind: &(i64, Histo),
    time: i64,
    is_counter: bool,
) -> Option<Histo> {
    if time == before.0 {
        return Some(before.1.clone());
    }
    if time == behind.0 {
        return Some(behind.1.clone());
    }
    let share = (time - before.0) as f64 / (behind.0 - before.0) as f64;
    if is_counter && behind.1.is_reset_after(&before.1) {
        return Some(behind.1.times(share));
    }
    behind.1.plus(&before.1, -1.0)?.times(share).plus(&before.1, 1.0)
}
