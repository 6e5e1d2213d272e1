//! Cost of reading remote-write requests: time per series with one sample, parse alone and with
//! decompression; the nanoseconds a series are printed. `cargo bench --bench remote_write`.

use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::{Duration, Instant};

use tidewatch::model::WriteBatch;
use tidewatch::model::labels::push_label;
use tidewatch::remote_write::{snappy, v1, v2};

const SERIES: usize = 10_000;
const NAMES: [&str; 12] = [
    "__name__",
    "cluster",
    "container",
    "endpoint",
    "env",
    "instance",
    "job",
    "mode",
    "namespace",
    "pod",
    "region",
    "service",
];

fn value(series: usize, label: usize) -> String {
    match label {
        0 => format!("node_some_metric_name_{}_total", series % 500),
        5 => format!("10.0.{}.{}:9100", series / 500, series % 7),
        9 => format!("exporter-7f9c6d5b4-{:05x}", series / 500),
        _ => format!("value-of-{}-{}", NAMES[label], series % 3),
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn delimited(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    varint(out, body.len() as u64);
    out.extend_from_slice(body);
}

fn sample(series: usize) -> Vec<u8> {
    let mut sample = vec![0x09];
    sample.extend_from_slice(&(series as f64 * 1.5).to_le_bytes());
    sample.push(0x10);
    varint(&mut sample, 1_700_000_000_000);
    sample
}

fn v1_request() -> Vec<u8> {
    let mut request = Vec::new();
    for series in 0..SERIES {
        let mut body = Vec::new();
        for (label, name) in NAMES.iter().enumerate() {
            push_label(&mut body, name, &value(series, label));
        }
        delimited(&mut body, 0x12, &sample(series));
        delimited(&mut request, 0x0a, &body);
    }
    request
}

fn v2_request() -> Vec<u8> {
    let mut symbols = vec![String::new()];
    let mut series_part = Vec::new();
    for series in 0..SERIES {
        let mut refs = Vec::new();
        for (label, name) in NAMES.iter().enumerate() {
            for text in [(*name).to_owned(), value(series, label)] {
                let at = symbols.iter().position(|s| *s == text).unwrap_or_else(|| {
                    symbols.push(text);
                    symbols.len() - 1
                });
                varint(&mut refs, at as u64);
            }
        }
        let mut body = Vec::new();
        delimited(&mut body, 0x0a, &refs);
        delimited(&mut body, 0x12, &sample(series));
        delimited(&mut series_part, 0x2a, &body);
    }
    let mut request = Vec::new();
    symbols.iter().for_each(|symbol| delimited(&mut request, 0x22, symbol.as_bytes()));
    request.extend_from_slice(&series_part);
    request
}

/// A batch with memory for the whole request, as a thread of the receiver keeps it.
fn warm<'a>() -> WriteBatch<'a> {
    WriteBatch {
        series: Vec::with_capacity(SERIES),
        samples: Vec::with_capacity(SERIES),
        ..WriteBatch::default()
    }
}

/// What requests of [`SERIES`] series took, to say what a series costs.
#[derive(Default)]
struct Tally {
    wall: Duration,
    requests: u64,
}

impl Tally {
    fn measure(&mut self, b: &mut Bencher<'_>, mut work: impl FnMut()) {
        b.iter_custom(|iterations| {
            let began = Instant::now();
            (0..iterations).for_each(|_| work());
            let elapsed = began.elapsed();
            (self.wall, self.requests) = (self.wall + elapsed, self.requests + iterations);
            elapsed
        });
    }

    fn print(&self, what: &str) {
        let nanos = self.wall.as_nanos() as f64 / (self.requests.max(1) * SERIES as u64) as f64;
        println!("{what}: {nanos:.1} ns a series, warm-up included");
    }
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("remote_write");
    group.throughput(Throughput::Elements(SERIES as u64));
    let message = v1_request();
    let mut tally = Tally::default();
    group.bench_function("v1_parse", |b| {
        let mut spill = Vec::new();
        tally.measure(b, || {
            let mut batch = warm();
            v1::parse(black_box(&message), &mut spill, &mut batch).expect("valid");
            black_box(batch.series.len());
        });
    });
    tally.print("v1_parse");
    let message2 = v2_request();
    let mut tally = Tally::default();
    group.bench_function("v2_parse", |b| {
        let mut packed = Vec::new();
        tally.measure(b, || {
            let mut batch = warm();
            v2::parse(black_box(&message2), &mut packed, &mut batch).expect("valid");
            black_box(batch.series.len());
        });
    });
    tally.print("v2_parse");
    let body = snap::raw::Encoder::new().compress_vec(&message).expect("compresses");
    let mut tally = Tally::default();
    group.bench_function("v1_snappy_and_parse", |b| {
        let (mut decoded, mut spill) = (Vec::new(), Vec::new());
        tally.measure(b, || {
            let decoded = snappy::decode(black_box(&body), 32 << 20, &mut decoded).expect("valid");
            let mut batch = warm();
            v1::parse(decoded, &mut spill, &mut batch).expect("valid");
            black_box(batch.samples.len());
        });
    });
    tally.print("v1_snappy_and_parse");
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
