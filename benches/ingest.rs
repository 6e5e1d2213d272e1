//! Ingest end to end: compressed remote-write requests in, durable acknowledgements out.
//!
//! 100 k series of 12 labels, 2 k samples a request, four senders. Besides the wall time criterion
//! reports, the samples per CPU-second of the whole process and the memory a series are printed.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewatch::ingest::Ingest;
use tidewatch::model::{Clock, Labels, SystemClock};
use tidewatch::remote_write::{Version, request};
use tidewatch::storage::{Store, StoreOptions};

const SERIES: usize = 100_000;
const SERIES_PER_REQUEST: usize = 2_000;
const SENDERS: usize = 4;
const STEP_MS: i64 = 15_000;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn labels(series: usize) -> Labels {
    let text = |what: &str, n: usize| format!("{what}-{n:04}");
    let metric = format!("node_metric_{}_total", series % 500);
    let pod = text("pod", series / 500);
    let instance = format!("host-{:04}.example.internal:9100", series / 500);
    let pairs = [
        ("__name__", metric.as_str()),
        ("cluster", "eu-west-1-production"),
        ("container", "exporter"),
        ("dc", "eu-west-1"),
        ("endpoint", "metrics"),
        ("env", "production"),
        ("instance", &instance),
        ("job", "node-exporter"),
        ("namespace", "monitoring"),
        ("pod", &pod),
        ("service", "node-exporter"),
        ("team", "platform-infrastructure"),
    ];
    Labels::from_pairs(pairs).expect("valid")
}

/// Value of a series at a step: two thirds constant, the rest counters and decimals.
fn value(series: usize, step: i64) -> f64 {
    let seed = (series as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    match series % 6 {
        0 => (seed as i64 + step * (seed as i64 % 97)) as f64,
        1 => (seed as f64 + ((step * 37 + seed as i64) % 1000) as f64).round() / 100.0,
        _ => (seed % 3) as f64,
    }
}

fn request_body(sets: &[Labels], first: usize, step: i64, timestamp: i64) -> Vec<u8> {
    let mut raw = Vec::new();
    for (i, set) in sets.iter().enumerate() {
        let mut tail = vec![0x12, 0, 0x09];
        tail.extend_from_slice(&value(first + i, step).to_le_bytes());
        tail.push(0x10);
        push_varint(&mut tail, timestamp as u64);
        tail[1] = (tail.len() - 2) as u8;
        raw.push(0x0a);
        push_varint(&mut raw, (set.as_packed().len() + tail.len()) as u64);
        raw.extend_from_slice(set.as_packed());
        raw.extend_from_slice(&tail);
    }
    snap::raw::Encoder::new().compress_vec(&raw).expect("compresses")
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks: u64 = [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

/// Sends all requests of one step from [`SENDERS`] threads, each waiting for its acknowledgement.
fn send(ingest: &Ingest, requests: &[Vec<u8>]) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                while let Some(body) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let accepted = request::submit(Version::V1, body, ingest).expect("accepted");
                    let submitted = accepted.submitted.expect("not empty");
                    submitted.wait().expect("durable");
                }
            });
        }
    });
}

fn ingest(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let empty = resident_bytes();
    let options = StoreOptions::new(directory.path(), Arc::new(SystemClock));
    let store = Arc::new(Store::open(options, &|_| {}).expect("opens"));
    let ingest = Ingest::new(Arc::clone(&store));
    let sets: Vec<Labels> = (0..SERIES).map(labels).collect();
    let start = SystemClock.now().0 - 6 * 3_600_000;
    let (mut step, mut cpu) = (0, Duration::ZERO);
    let mut group = c.benchmark_group("ingest");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("remote write 1.0, durable", |b| {
        b.iter_custom(|iterations| {
            let mut wall = Duration::ZERO;
            for _ in 0..iterations {
                step += 1;
                let requests: Vec<Vec<u8>> = sets
                    .chunks(SERIES_PER_REQUEST)
                    .enumerate()
                    .map(|(i, sets)| {
                        request_body(sets, i * SERIES_PER_REQUEST, step, start + step * STEP_MS)
                    })
                    .collect();
                let before = (Instant::now(), cpu_time());
                send(&ingest, &requests);
                wall += before.0.elapsed();
                cpu += cpu_time() - before.1;
            }
            wall
        });
    });
    group.finish();
    let samples = step as f64 * SERIES as f64;
    println!(
        "ingest: {:.2} M samples per CPU-second over {step} steps, durable; \
         {} bytes of resident memory a series, label sets of the senders not counted",
        samples / cpu.as_secs_f64() / 1e6,
        (resident_bytes() - empty)
            .saturating_sub(sets.iter().map(|s| s.as_packed().len() + 32).sum())
            / SERIES,
    );
}

criterion_group!(benches, ingest);
criterion_main!(benches);
