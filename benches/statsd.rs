//! Lines per second through parser and aggregation, one thread, as the receiver's worker does it.

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tidewatch::model::Timestamp;
use tidewatch::statsd::line::parse_line;
use tidewatch::statsd::listen::source::Origin;
use tidewatch::statsd::metrics::Counts;
use tidewatch::statsd::{Aggregator, Mapper, Resolver};

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

/// Counters only, each name sent four times: the plainest traffic.
fn counter_lines() -> String {
    (0..LINES).map(|i| format!("app.requests.handler_{}.count:1|c\n", i % 2500)).collect()
}

/// Names that the first 50 of [`rules`] match, all different.
fn fresh_lines(round: usize) -> String {
    (0..LINES).map(|i| format!("svc{}.n{i}x{round}.time:1|c\n", i % 50)).collect()
}

/// As many mapping rules, three in four globs.
fn rules(count: usize) -> Resolver {
    let mut text = "mappings:\n".to_owned();
    for i in 0..count {
        match i % 4 {
            3 => writeln!(text, "- {{match: 'svc{i}\\.(.*)\\.time', match_type: regex, name: r{i}, labels: {{id: $1}}}}"),
            _ => writeln!(text, "- {{match: 'svc{i}.*.time', name: g{i}, labels: {{id: $1}}}}"),
        }
        .expect("BUG: writing to a string cannot fail");
    }
    let mapper = Mapper::parse(Path::new("rules"), &text).expect("valid rules");
    Resolver { mapper, ..Resolver::default() }
}

fn aggregate(state: &mut Aggregator, text: &str, counts: &mut Counts) {
    state.take_lines(Origin::default(), black_box(text.as_bytes()), Timestamp(0), counts);
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("statsd");
    group.throughput(Throughput::Elements(LINES as u64));
    let (plain, tagged, counters) = (plain_lines(), tagged_lines(), counter_lines());
    group.bench_function("parse", |b| {
        b.iter(|| {
            for line in plain.lines() {
                parse_line(line.as_bytes(), |item| {
                    black_box(&item).as_ref().expect("valid");
                });
            }
        });
    });
    let mapped = fresh_lines(0);
    for (name, text, rule_count) in [
        ("aggregate_counters", &counters, 0),
        ("aggregate_mixed", &plain, 0),
        ("aggregate_tagged", &tagged, 0),
        ("aggregate_mapped_50", &mapped, 50),
        ("aggregate_mapped_1000", &mapped, 1000),
    ] {
        group.bench_function(name, |b| {
            let mut state = Aggregator::new(10 * LINES);
            state.set_resolver(rules(rule_count));
            let mut counts = Counts::default();
            b.iter(|| aggregate(&mut state, text, &mut counts));
            assert_eq!(counts.lines, counts.samples, "every line parses");
        });
    }
    // Each name is seen for the first time: rules are matched and series made.
    for rule_count in [0, 50, 1000] {
        group.bench_function(format!("fresh_names_{rule_count}"), |b| {
            let text = fresh_lines(1);
            let mut counts = Counts::default();
            let fresh = || {
                let mut state = Aggregator::new(10 * LINES);
                state.set_resolver(rules(rule_count));
                state
            };
            b.iter_batched(
                fresh,
                |mut state| {
                    aggregate(&mut state, &text, &mut counts);
                    state
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
