//! The flush: a whole window of 20,000 series with 120 samples each goes from the head to a
//! partition.

#[allow(dead_code)] // each bench uses its part
mod support;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewatch::model::{Labels, Timestamp};
use tidewatch::storage::window::WINDOW_MS;

use support::{Filled, NOON, STEP_MS, host_series};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERIES: usize = 20_000;
const METRICS: usize = 200;
const SAMPLES: u64 = SERIES as u64 * (WINDOW_MS / STEP_MS) as u64;

fn flush(c: &mut Criterion) {
    let sets: Vec<Labels> = (0..SERIES).map(|n| host_series(n, METRICS)).collect();
    let filled = Filled::new(NOON);
    let mut windows = 0;
    let mut group = c.benchmark_group("flush");
    group.sample_size(10).throughput(Throughput::Elements(SAMPLES));
    group.bench_function("20k series x 120 samples", |b| {
        b.iter_custom(|iterations| {
            let mut wall = Duration::ZERO;
            for _ in 0..iterations {
                let start = NOON + windows * WINDOW_MS;
                // The present is within the window, so that only the bench flushes it.
                filled.clock.set(Timestamp(start + WINDOW_MS - 1));
                filled.write(&sets, start, start + WINDOW_MS);
                let began = Instant::now();
                filled.store.flush().expect("flushed");
                wall += began.elapsed();
                windows += 1;
            }
            wall
        });
    });
    group.finish();
}

criterion_group!(benches, flush);
criterion_main!(benches);
