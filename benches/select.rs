//! Selecting and reading on the real store, from day files: matchers over an index of 100,000
//! series, the list of these series, and the samples of 1,600 series over an hour at 15 s.

#[allow(dead_code)] // each bench uses its part
mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewatch::model::{Labels, MatchOp, Matcher, Selector, SeriesData, Timestamp};

use support::{Filled, HOUR_MS, NOON, STEP_MS, cpu_series, host_series};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CPU_SERIES: usize = 1_600;
const OTHER_SERIES: usize = 98_400;
const METRICS: usize = 492;

fn filled() -> Filled {
    let filled = Filled::new(NOON);
    let cpu: Vec<Labels> = (0..CPU_SERIES).map(cpu_series).collect();
    let others: Vec<Labels> = (0..OTHER_SERIES).map(|n| host_series(n, METRICS)).collect();
    filled.write(&cpu, NOON - HOUR_MS, NOON);
    filled.write(&others, NOON - STEP_MS, NOON);
    filled.store.flush().expect("flushed");
    filled
}

fn matcher(name: &str, op: MatchOp, value: &str) -> Matcher {
    Matcher::new(op, name, value).expect("a valid matcher")
}

fn select(c: &mut Criterion) {
    use MatchOp::{Equal, NotEqual, Regex};
    let filled = filled();
    let source = filled.store.source();
    let name = || matcher("__name__", Equal, "node_cpu_seconds_total");
    let cases = [
        ("one metric", vec![name()], 1600),
        ("one metric, one mode", vec![name(), matcher("mode", Equal, "mode-3")], 200),
        ("one metric, not one mode", vec![name(), matcher("mode", NotEqual, "mode-3")], 1400),
        ("one metric, hosts by prefix", vec![name(), matcher("instance", Regex, "host-001.*")], 80),
        ("one host", vec![matcher("instance", Equal, "host-0042")], 500),
        ("metrics by pattern", vec![matcher("__name__", Regex, ".*metric_1[0-9]_total")], 2000),
        ("everything", vec![matcher("job", Equal, "node")], 100_000),
    ];
    let mut group = c.benchmark_group("select");
    for (what, matchers, series) in cases {
        let (start, end) = (Timestamp(NOON - HOUR_MS), Timestamp(NOON));
        let selector = Selector::new(&matchers, start, end);
        assert_eq!(source.select(&selector).expect("selected").len(), series, "{what}");
        group.throughput(Throughput::Elements(series as u64));
        group.bench_function(what, |b| {
            b.iter(|| black_box(source.select(black_box(&selector)).expect("selected").len()));
        });
    }
    group.finish();
    list(c, &filled);

    let matchers = [name()];
    let (start, end) = (Timestamp(NOON - HOUR_MS), Timestamp(NOON));
    let set = source.select(&Selector::new(&matchers, start, end)).expect("selected");
    let samples = CPU_SERIES as u64 * (HOUR_MS / STEP_MS) as u64;
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Elements(samples));
    group.bench_function("1600 series, 1 h at 15 s, one thread", |b| {
        let mut data = SeriesData::default();
        b.iter(|| {
            let mut read = 0;
            for index in 0..set.len() {
                set.read(index, &mut data).expect("read");
                read += data.len() as u64;
            }
            assert_eq!(read, samples);
        });
    });
    group.finish();
}

/// Lists all series over ranges that cover their window or begin or end in it: from day files, and
/// from the head once each has a further sample there.
fn list(c: &mut Criterion, filled: &Filled) {
    let source = filled.store.source();
    let all: Vec<Labels> = (0..CPU_SERIES)
        .map(cpu_series)
        .chain((0..OTHER_SERIES).map(|n| host_series(n, METRICS)))
        .collect();
    let mut group = c.benchmark_group("list");
    group.throughput(Throughput::Elements(all.len() as u64));
    let matchers = [matcher("job", MatchOp::Equal, "node")];
    let mut case = |what: &str, start: i64, end: i64, series: usize| {
        let selector = Selector::new(&matchers, Timestamp(start), Timestamp(end));
        let listed = || source.series(black_box(&selector)).expect("listed").len();
        assert_eq!(listed(), series, "{what}");
        group.bench_function(what, |b| b.iter(|| black_box(listed())));
        group.bench_function(format!("{what}, names"), |b| {
            b.iter(|| black_box(source.label_values("__name__", &selector).expect("listed").len()));
        });
    };
    case("window covered", NOON - HOUR_MS, NOON, all.len());
    case("window in part", NOON - 2 * STEP_MS, NOON, all.len());
    case("window in part, few series", NOON - HOUR_MS, NOON - STEP_MS - 1, CPU_SERIES);
    filled.write(&all, NOON, NOON + STEP_MS);
    case("head", NOON - 2 * STEP_MS, NOON, all.len());
    group.finish();
}

criterion_group!(benches, select);
criterion_main!(benches);
