//! Several stored series become one.
//!
//! In: columns of samples, each series' own. Out: one series' columns. Plain functions of what they
//! are given.

use crate::model::{SeriesData, is_stale_nan, stale_nan};

/// How long a gauge counts after its last sample, in ms: PromQL's own look-back.
pub(super) const LIVE_MS: i64 = 5 * 60 * 1000;

/// The samples of one series, and how it ranks among those that can stand for each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    /// 0 counts before 1.
    pub rank: usize,
    /// Its samples.
    pub data: SeriesData,
}

/// Walks over the samples of several series in the order of time.
struct Walk<'a> {
    series: Vec<&'a SeriesData>,
    next: Vec<usize>,
}

impl<'a> Walk<'a> {
    fn new(series: Vec<&'a SeriesData>) -> Walk<'a> {
        let next = vec![0; series.len()];
        Walk { series, next }
    }

    /// The next time anything has a sample, with all samples of that time as (series, value).
    fn step(&mut self, found: &mut Vec<(usize, f64)>) -> Option<i64> {
        found.clear();
        let due = |(series, next): (&&SeriesData, &usize)| series.timestamps.get(*next).copied();
        let time = self.series.iter().zip(&self.next).filter_map(due).min()?;
        for (index, series) in self.series.iter().enumerate() {
            let next = &mut self.next[index];
            if series.timestamps.get(*next) == Some(&time) {
                found.extend(series.values.get(*next).map(|value| (index, *value)));
                *next += 1;
            }
        }
        Some(time)
    }
}

/// The sum of the members of the best rank that is there at each time. While a series of `over` with
/// a better rank is there, there is none.
pub(super) fn gauge(members: &[Member], over: &[Member], out: &mut SeriesData) {
    out.clear();
    let all: Vec<&Member> = members.iter().chain(over).collect();
    let mut walk = Walk::new(all.iter().map(|member| &member.data).collect());
    let mut newest: Vec<Option<(i64, f64)>> = vec![None; all.len()];
    let mut found = Vec::new();
    let mut is_there = false;
    while let Some(time) = walk.step(&mut found) {
        for (index, value) in &found {
            newest[*index] = (!is_stale_nan(*value)).then_some((time, *value));
        }
        let live = |index: &usize| {
            newest[*index].filter(|(at, _)| time - at <= LIVE_MS).map(|(_, value)| value)
        };
        let best = (0..all.len()).filter(|index| live(index).is_some());
        let best = best.map(|index| all[index].rank).min();
        let mine = (0..members.len()).filter(|index| Some(members[*index].rank) == best);
        let mut values = mine.filter_map(|index| live(&index)).peekable();
        match values.peek() {
            Some(_) => push(out, time, values.sum()),
            None if is_there => push(out, time, stale_nan()),
            None => continue,
        }
        is_there = out.values.last().is_some_and(|value| !is_stale_nan(*value));
    }
}

fn push(out: &mut SeriesData, time: i64, value: f64) {
    out.timestamps.push(time);
    out.values.push(value);
}

/// A counter's samples without resets and stale markers: what it began with plus what it has grown by.
pub(super) fn growth(data: &SeriesData) -> SeriesData {
    let mut out = SeriesData::default();
    let mut last = None;
    let mut total = 0.0;
    for (time, value) in data.timestamps.iter().zip(&data.values) {
        if is_stale_nan(*value) {
            continue;
        }
        total += match last {
            Some(last) if *value >= last => value - last,
            _ => *value, // its first sample, or it was reset
        };
        last = Some(*value);
        push(&mut out, *time, total);
    }
    out
}

/// The sum of counters. One that has no sample yet counts with its first, and one that has no more
/// with its last, so that the sum grows only where one of them did.
pub(super) fn counter(members: &[Member], out: &mut SeriesData) {
    out.clear();
    let grown: Vec<SeriesData> = members.iter().map(|member| growth(&member.data)).collect();
    let mut values: Vec<f64> =
        grown.iter().map(|data| data.values.first().copied().unwrap_or(0.0)).collect();
    let mut walk = Walk::new(grown.iter().collect());
    let mut found = Vec::new();
    while let Some(time) = walk.step(&mut found) {
        for (index, value) in &found {
            values[*index] = *value;
        }
        push(out, time, values.iter().sum());
    }
    let end = |data: &SeriesData| data.values.last().is_some_and(|value| is_stale_nan(*value));
    let last = members.iter().filter_map(|member| member.data.timestamps.last()).max();
    let is_over = members.iter().all(|member| end(&member.data));
    if let Some(last) = last.filter(|last| is_over && out.timestamps.last() < Some(last)) {
        push(out, *last, stale_nan());
    }
}

/// Replaces ages by the times they are counted from, in seconds.
pub(super) fn age_to_time(data: &mut SeriesData) {
    for (time, value) in data.timestamps.iter().zip(&mut data.values) {
        if !is_stale_nan(*value) {
            *value = *time as f64 / 1e3 - *value;
        }
    }
}

/// Cuts off what lies outside of `start` and `end` (ms, inclusive).
pub(super) fn trim(data: &mut SeriesData, start: i64, end: i64) {
    let from = data.timestamps.partition_point(|time| *time < start);
    let to = data.timestamps.partition_point(|time| *time <= end);
    for column in [&mut data.timestamps, &mut data.start_timestamps] {
        column.truncate(to);
        column.drain(..from.min(column.len()));
    }
    data.values.truncate(to);
    data.values.drain(..from.min(data.values.len()));
    data.histograms.retain(|point| (start..=end).contains(&point.timestamp));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(rank: usize, samples: &[(i64, f64)]) -> Member {
        let mut data = SeriesData::default();
        samples.iter().for_each(|(time, value)| push(&mut data, *time, *value));
        Member { rank, data }
    }

    fn shown(data: &SeriesData) -> Vec<(i64, String)> {
        let text =
            |value: &f64| if is_stale_nan(*value) { "-".to_owned() } else { value.to_string() };
        data.timestamps.iter().copied().zip(data.values.iter().map(text)).collect()
    }

    fn expected(samples: &[(i64, &str)]) -> Vec<(i64, String)> {
        samples.iter().map(|(time, value)| (*time, (*value).to_owned())).collect()
    }

    #[test]
    fn gauges_are_added_up_while_they_are_there() {
        let a = member(0, &[(0, 1.0), (10, 2.0), (20, stale_nan())]);
        let b = member(0, &[(10, 5.0), (20, 6.0), (30, stale_nan())]);
        let mut out = SeriesData::default();
        gauge(&[a.clone(), b], &[], &mut out);
        assert_eq!(shown(&out), expected(&[(0, "1"), (10, "7"), (20, "6"), (30, "-")]));
        let late = member(0, &[(11 + LIVE_MS, 3.0)]);
        gauge(&[member(0, &[(0, 1.0), (10, 2.0)]), late], &[], &mut out);
        assert_eq!(shown(&out).last(), expected(&[(11 + LIVE_MS, "3")]).last());
    }

    #[test]
    fn the_first_that_is_there_counts() {
        let first = member(0, &[(10, 1.0), (20, stale_nan())]);
        let second = member(1, &[(0, 0.0), (10, 0.0), (20, 0.0)]);
        let mut out = SeriesData::default();
        gauge(&[first.clone(), second.clone()], &[], &mut out);
        assert_eq!(shown(&out), expected(&[(0, "0"), (10, "1"), (20, "0")]));
        gauge(&[second], &[first], &mut out);
        assert_eq!(shown(&out), expected(&[(0, "0"), (10, "-"), (20, "0")]));
    }

    #[test]
    fn a_sum_of_counters_grows_only_where_one_of_them_does() {
        let a = member(0, &[(0, 100.0), (60, 100.0), (120, 101.0)]);
        let b = member(0, &[(5, 40.0), (65, 41.0), (70, 1.0)]);
        let mut out = SeriesData::default();
        counter(&[a, b], &mut out);
        let values: Vec<f64> = out.values.clone();
        assert_eq!(values, [140.0, 140.0, 140.0, 141.0, 142.0, 143.0]);
        assert_eq!(out.timestamps, [0, 5, 60, 65, 70, 120]);
        counter(&[member(0, &[(0, 1.0), (9, stale_nan())])], &mut out);
        assert_eq!(shown(&out), expected(&[(0, "1"), (9, "-")]));
    }

    #[test]
    fn an_age_becomes_a_time_and_the_range_is_kept() {
        let mut data = member(0, &[(1_000, 0.5), (2_000, stale_nan()), (3_000, 1.0)]).data;
        age_to_time(&mut data);
        trim(&mut data, 1_000, 2_000);
        assert_eq!(shown(&data), expected(&[(1_000, "0.5"), (2_000, "-")]));
    }
}
