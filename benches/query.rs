//! The questions of a dashboard on one busy metric: `sum by (x) (rate(...))` over an hour at 15 s.
//!
//! Twice: over series in memory, already decoded, which shows the engine's own share; and over the
//! real store, from day files, as users meet it. The bar of the latter, warm, on two threads: 60 ms
//! for 1,600 series.

#[allow(dead_code)] // each bench uses its part
mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewatch::model::{
    Labels, Selector, SeriesData, SeriesSet, SeriesSource, SourceError, Timestamp,
};
use tidewatch::promql::{Engine, EngineOptions, QueryOptions};

use support::{Filled, HOUR_MS, NOON, STEP_MS, cpu_series};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Counters of one metric, an hour and a bit of them.
#[derive(Clone)]
struct Counters(Arc<Vec<(Labels, SeriesData)>>);

impl Counters {
    fn new(series: usize) -> Counters {
        Counters(Arc::new((0..series).map(counter).collect()))
    }
}

fn counter(number: usize) -> (Labels, SeriesData) {
    let (instance, mode) = (format!("host-{:04}", number / 8), format!("mode-{}", number % 8));
    let labels = Labels::from_pairs([
        ("__name__", "node_cpu_seconds_total"),
        ("instance", &instance),
        ("job", "node"),
        ("mode", &mode),
    ]);
    let mut data = SeriesData::default();
    let mut value = number as f64;
    for at in 0..(HOUR_MS / STEP_MS + 30) {
        value += ((number as i64 * 7 + at * 13) % 100) as f64 * 0.01;
        if (at + number as i64) % 200 == 0 {
            value = 0.0;
        }
        data.timestamps.push((at - 30) * STEP_MS + (number % 15) as i64 * 1000);
        data.values.push(value);
    }
    (labels.expect("valid labels"), data)
}

impl SeriesSource for Counters {
    fn select(&self, _: &Selector<'_>) -> Result<Box<dyn SeriesSet>, SourceError> {
        Ok(Box::new(self.clone()))
    }

    fn series(&self, _: &Selector<'_>) -> Result<Vec<Labels>, SourceError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &Selector<'_>) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    fn label_values(&self, _: &str, _: &Selector<'_>) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }
}

impl SeriesSet for Counters {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.0[index].0
    }

    fn read(&self, index: usize, out: &mut SeriesData) -> Result<(), SourceError> {
        out.clear();
        let data = &self.0[index].1;
        out.timestamps.extend_from_slice(&data.timestamps);
        out.values.extend_from_slice(&data.values);
        Ok(())
    }
}

fn engine(threads: usize) -> Engine {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    Engine::new(EngineOptions {
        pool: (threads > 1).then(|| Arc::new(pool)),
        ..EngineOptions::default()
    })
}

fn queries(c: &mut Criterion) {
    let cases = [
        ("sum by rate, 1600 series", 1600, "sum by (mode) (rate(node_cpu_seconds_total[5m]))"),
        ("rate, 1600 series", 1600, "rate(node_cpu_seconds_total[5m])"),
        ("selector, 1600 series", 1600, "node_cpu_seconds_total"),
        (
            "ratio, 1600 series",
            1600,
            "node_cpu_seconds_total / on (instance, mode) node_cpu_seconds_total",
        ),
        ("topk, 1600 series", 1600, "topk(5, rate(node_cpu_seconds_total[5m]))"),
        ("avg_over_time, 1600 series", 1600, "sum(avg_over_time(node_cpu_seconds_total[5m]))"),
        ("sum rate, 12800 series", 12_800, "sum(rate(node_cpu_seconds_total[5m]))"),
    ];
    for threads in [1, 2] {
        let mut group = c.benchmark_group(format!("query, {threads} threads"));
        group.sample_size(10).measurement_time(Duration::from_secs(2));
        group.warm_up_time(Duration::from_millis(300));
        for (name, series, text) in cases {
            let (source, engine) = (Counters::new(series), engine(threads));
            group.throughput(Throughput::Elements(series as u64 * 240));
            group.bench_function(name, |b| {
                b.iter(|| {
                    let (start, end) = (Timestamp(0), Timestamp(HOUR_MS - STEP_MS));
                    let options = QueryOptions::default();
                    let result = engine.range(&source, text, start, end, STEP_MS, &options);
                    black_box(result.expect("a result"))
                });
            });
        }
        group.finish();
    }
}

fn on_the_store(c: &mut Criterion) {
    const SERIES: usize = 1600;
    let sets: Vec<Labels> = (0..SERIES).map(cpu_series).collect();
    let filled = Filled::new(NOON);
    filled.write(&sets, NOON - HOUR_MS - 600_000, NOON);
    filled.store.flush().expect("flushed");
    let source = filled.store.source();
    let cases = [
        ("sum by rate", "sum by (mode) (rate(node_cpu_seconds_total[5m]))"),
        ("rate", "rate(node_cpu_seconds_total[5m])"),
        ("one mode", "sum(rate(node_cpu_seconds_total{mode=\"mode-3\"}[5m]))"),
    ];
    for threads in [1, 2] {
        let mut group = c.benchmark_group(format!("query on the store, {threads} threads"));
        group.sample_size(10);
        for (name, text) in cases {
            let engine = engine(threads);
            group.bench_function(format!("{name}, {SERIES} series"), |b| {
                b.iter(|| {
                    let (start, end) = (Timestamp(NOON - HOUR_MS), Timestamp(NOON - STEP_MS));
                    let options = QueryOptions::default();
                    let result = engine.range(&*source, text, start, end, STEP_MS, &options);
                    black_box(result.expect("a result"))
                });
            });
        }
        group.finish();
    }
}

/// The same question of 1, 4 and 16 times as many series, and of a time 1, 4 and 16 times as long:
/// the cost has to grow as the samples do.
fn growth(c: &mut Criterion) {
    const SERIES: usize = 800;
    const QUARTER_MS: i64 = HOUR_MS / 4;
    let sets: Vec<Labels> = (0..16 * SERIES).map(cpu_series).collect();
    let filled = Filled::new(NOON);
    filled.write(&sets[..SERIES], NOON - 17 * QUARTER_MS, NOON - 2 * QUARTER_MS);
    filled.write(&sets, NOON - 2 * QUARTER_MS, NOON);
    filled.store.flush().expect("flushed");
    let (source, engine) = (filled.store.source(), engine(2));
    let mut group = c.benchmark_group("growth, 2 threads");
    group.sample_size(10);
    let cases = [
        ("1x", "host-00..", SERIES, QUARTER_MS),
        ("4x series", "host-0[0-3]..", 4 * SERIES, QUARTER_MS),
        ("16x series", "host-....", 16 * SERIES, QUARTER_MS),
        ("4x time", "host-00..", SERIES, 4 * QUARTER_MS),
        ("16x time", "host-00..", SERIES, 16 * QUARTER_MS),
    ];
    for (name, instances, series, span) in cases {
        let metric = format!("node_cpu_seconds_total{{instance=~\"{instances}\"}}");
        let text = format!("sum(rate({metric}[5m]))");
        group.throughput(Throughput::Elements(series as u64 * (span / STEP_MS) as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let (start, end) = (Timestamp(NOON - span), Timestamp(NOON - STEP_MS));
                let options = QueryOptions::default();
                let result = engine.range(&*source, &text, start, end, STEP_MS, &options);
                black_box(result.expect("a result"))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, queries, on_the_store, growth);
criterion_main!(benches);
