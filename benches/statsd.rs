//! Lines per second through parser and aggregation, one thread, as the receiver's worker does it.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewatch::model::Timestamp;
use tidewatch::statsd::Aggregator;
use tidewatch::statsd::line::parse_line;
use tidewatch::statsd::metrics::Counts;

const LINES: usize = 10_000;

/// Counters, gauges and timers as Airflow sends them, over 2500 names.
fn plain_lines() -> String {
    let mut text = String::new();
    for i in 0..LINES {
        let (dag, kind) = (i % 2500, ["c", "g", "ms", "c"][i % 4]);
        writeln!(text, "airflow.dag.example_{dag}.task_{kind}.duration:{}.5|{kind}", i % 97)
            .expect("BUG: writing to a string cannot fail");
    }
    text
}

fn tagged_lines() -> String {
    plain_lines().lines().map(|line| format!("{line}|#env:prod,team:data\n")).collect()
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("statsd");
    group.throughput(Throughput::Elements(LINES as u64));
    let (plain, tagged) = (plain_lines(), tagged_lines());
    group.bench_function("parse", |b| {
        b.iter(|| {
            for line in plain.lines() {
                parse_line(line.as_bytes(), |event| {
                    black_box(&event).as_ref().expect("valid");
                });
            }
        });
    });
    for (name, text) in [("aggregate", &plain), ("aggregate_tagged", &tagged)] {
        group.bench_function(name, |b| {
            let mut aggregator = Aggregator::new(LINES);
            let mut counts = Counts::default();
            b.iter(|| aggregator.take_lines(black_box(text.as_bytes()), Timestamp(0), &mut counts));
            assert_eq!(counts.lines, counts.samples, "every line parses");
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
