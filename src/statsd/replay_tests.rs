//! Recorded Airflow traffic, replayed; the expected figures are computed from the raw text in
//! another way than the parser does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::aggregate::Aggregator;
use super::line::{Kind, Reason};
use super::listen::source::Origin;
use super::metrics::Counts;
use super::series::PointValue;
use crate::model::Timestamp;

pub(super) fn recording(name: &str) -> Option<String> {
    let shared = std::env::var_os("TIDEWATCH_SHARED_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")),
        PathBuf::from,
    );
    let found =
        [shared.clone(), PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data")]
            .into_iter()
            .find_map(|root| std::fs::read_to_string(root.join("airflow").join(name)).ok());
    if found.is_none() {
        println!("skipped: recording airflow/{name} is not in {}", shared.display());
    }
    found
}

/// The datagrams of a recording, each with its time in seconds.
pub(super) fn datagrams(recording: &str) -> impl Iterator<Item = (f64, String)> {
    recording.lines().map(|record| {
        let record: serde_json::Value = serde_json::from_str(record).expect("JSON");
        let at = record["t"].as_f64().expect("a time");
        (at, record["data"].as_str().expect("text").to_owned())
    })
}

/// The lines of all datagrams of a recording.
fn lines(recording: &str) -> Vec<String> {
    let all: Vec<String> = datagrams(recording).map(|(_, datagram)| datagram).collect();
    all.iter().flat_map(|d| d.lines()).filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

/// What the independent count expects.
#[derive(Default)]
struct Expected {
    counters: BTreeMap<String, f64>,
    gauges: BTreeMap<String, f64>,
    timers: BTreeMap<String, (f64, f64)>,
    negative: u64,
}

fn expect(lines: &[String]) -> Expected {
    let mut out = Expected::default();
    for line in lines {
        let (name, rest) = line.rsplit_once(':').expect("colon");
        let mut fields = rest.split('|');
        let value: f64 = fields.next().expect("value").parse().expect("number");
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        match fields.next() {
            Some("c") if value < 0.0 => out.negative += 1,
            Some("c") => *out.counters.entry(name).or_default() += value,
            Some("g") => drop(out.gauges.insert(name, value)),
            Some("ms") => {
                let (count, sum) = out.timers.entry(name).or_default();
                *count += 1.0;
                *sum += value / 1000.0;
            }
            other => panic!("unexpected type {other:?} in {line}"),
        }
    }
    out
}

fn replay(name: &str) {
    let Some(recording) = recording(name) else { return };
    let lines = lines(&recording);
    let expected = expect(&lines);
    let mut aggregator = Aggregator::new(100_000);
    let mut counts = Counts::default();
    let now = Timestamp(1_795_225_822_000);
    aggregator.take_lines(Origin::default(), lines.join("\n").as_bytes(), now, &mut counts);

    assert_eq!(counts.lines, lines.len() as u64);
    assert_eq!(counts.refused_for(Reason::IllegalNegativeCounter), expected.negative);
    assert_eq!(counts.samples + expected.negative, lines.len() as u64, "every line parses");
    assert_eq!(counts.conflicts_of(Kind::Counter) + counts.conflicts_of(Kind::Observer), 0);
    let stored: BTreeMap<String, f64> = aggregator
        .points(now)
        .into_iter()
        .filter(|point| point.labels.len() == 1)
        .filter_map(|point| match point.value {
            PointValue::Float(value) => Some((point.labels.metric_name().to_owned(), value)),
            PointValue::Histogram(_) => None,
        })
        .collect();
    let mut wanted = expected.counters;
    wanted.extend(expected.gauges);
    for (name, (count, sum)) in expected.timers {
        wanted.insert(format!("{name}_count"), count);
        wanted.insert(format!("{name}_sum"), sum);
    }
    assert!(wanted.len() > 50, "the recording has many names");
    assert_eq!(stored.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (name, value) in wanted {
        let close = (stored[&name] - value).abs() <= 1e-9 * value.abs();
        assert!(close, "{name}: stored {}, expected {value}", stored[&name]);
    }
}

#[test]
fn airflow_2_11_replays_without_a_refusal() {
    replay("statsd-2.11.jsonl");
}

#[test]
fn airflow_3_3_replays_without_a_refusal() {
    replay("statsd-3.3.jsonl");
}

#[test]
fn airflow_2_11_with_tags_replays_without_a_refusal() {
    let Some(recording) = recording("statsd-2.11-dogstatsd.jsonl") else { return };
    let lines = lines(&recording);
    let mut aggregator = Aggregator::new(100_000);
    let mut counts = Counts::default();
    aggregator.take_lines(
        Origin::default(),
        lines.join("\n").as_bytes(),
        Timestamp(0),
        &mut counts,
    );
    let tagged = lines.iter().filter(|line| line.contains("|#")).count() as u64;
    let negative = lines.iter().filter(|line| line.contains(":-1|c")).count() as u64;
    assert_eq!(counts.samples + negative, lines.len() as u64);
    assert_eq!(counts.refused_for(Reason::IllegalNegativeCounter), negative);
    assert_eq!(counts.tags, tagged);
    let points = aggregator.points(Timestamp(0));
    let with_env = points.iter().filter(|point| point.labels.value("env") == "test").count();
    assert!(with_env > 50);
}
