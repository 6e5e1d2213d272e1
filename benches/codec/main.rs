//! Bytes per sample and nanoseconds per sample of the chunk, column and pack codecs.
//!
//! `cargo bench --bench codec` prints one table for the value codec by shape of data, and one line
//! for a whole window (packs, directories, timestamp columns and checksums included) by number of
//! samples in a chunk. Times are CPU times of this thread where the system tells them.

mod generate;

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use generate::{Random, metrics, timestamps, values};
use tidewatch::model::SeriesData;
use tidewatch::storage::chunk;
use tidewatch::storage::columns::{Columns, ColumnsBuilder};
use tidewatch::storage::pack::{Pack, PackWriter};

/// Each measurement is the best of so many.
const REPEATS: usize = 7;
/// Hosts in a window.
const HOSTS: usize = 20;

fn main() {
    by_shape(120);
    println!();
    for count in [16, 32, 60, 120, 240, 480] {
        whole_window(count);
    }
}

/// The value codec alone, one line a shape.
fn by_shape(count: usize) {
    println!("{:<20} {:>8} {:>10} {:>10}", "120 values of", "B/sample", "encode ns", "decode ns");
    for metric in metrics() {
        let mut random = Random::new(metric.share as u64);
        let series: Vec<_> = (0..200).map(|_| values(metric.kind, count, &mut random)).collect();
        let samples = (series.len() * count) as f64;
        let mut chunks = Vec::new();
        let encode = best(|| {
            chunks.clear();
            for values in &series {
                let mut chunk = Vec::with_capacity(64);
                chunk::values::encode(values, &mut chunk);
                chunks.push(chunk);
            }
        });
        let mut out = Vec::new();
        let decode = best(|| {
            for chunk in &chunks {
                out.clear();
                chunk::values::decode(chunk, count, &mut out).expect("own chunk");
                black_box(&out);
            }
        });
        let bytes = chunks.iter().map(Vec::len).sum::<usize>() as f64 / samples;
        println!(
            "{:<20} {bytes:>8.3} {:>10.2} {:>10.2}",
            metric.name,
            encode / samples,
            decode / samples
        );
    }
}

/// All series of a window in the order of their ids: metric by metric, host by host.
fn window(count: usize) -> Vec<SeriesData> {
    let mut random = Random::new(42);
    let columns: Vec<_> = (0..HOSTS).map(|h| timestamps(h, count, &mut random)).collect();
    let mut series = Vec::new();
    for metric in metrics() {
        for _ in 0..metric.share {
            series.extend(columns.iter().map(|column| SeriesData {
                timestamps: column.clone(),
                values: values(metric.kind, count, &mut random),
                ..SeriesData::default()
            }));
        }
    }
    series
}

/// Everything that is stored for a window.
#[derive(Default)]
struct Stored {
    packs: Vec<Bytes>,
    columns: Vec<Bytes>,
}

fn store(series: &[SeriesData]) -> Stored {
    let (mut columns, mut writer) = (ColumnsBuilder::new(), PackWriter::new());
    let mut packs = Vec::new();
    for (id, data) in series.iter().enumerate() {
        let column = columns.push(&data.timestamps);
        packs.extend(writer.push(id as u32, Some(column), data).expect("within limits"));
    }
    packs.extend(writer.finish());
    Stored {
        packs: packs.into_iter().map(|p| Bytes::from(p.bytes)).collect(),
        columns: columns.finish().into_iter().map(Bytes::from).collect(),
    }
}

/// Opens everything and decodes all samples.
fn load(stored: &Stored, out: &mut SeriesData) -> usize {
    let columns = Columns::open(stored.columns.iter().cloned()).expect("own columns");
    let mut decoded = vec![Vec::new(); columns.len()];
    for (index, column) in decoded.iter_mut().enumerate() {
        columns.decode(index as u32, column).expect("own column");
    }
    let mut samples = 0;
    for bytes in &stored.packs {
        let pack = Pack::open(bytes.clone()).expect("own pack");
        for chunk in pack.iter() {
            out.clear();
            let column = chunk.column.map_or(&[][..], |c| decoded[c as usize].as_slice());
            chunk.decode_into(column, out).expect("own chunk");
            samples += out.len();
        }
    }
    samples
}

fn whole_window(count: usize) {
    let series = window(count);
    let samples = (series.len() * count) as f64;
    let mut stored = Stored::default();
    let encode = best(|| stored = store(&series));
    let mut out = SeriesData::default();
    let decode = best(|| assert_eq!(load(&stored, &mut out), series.len() * count));
    let size = |blocks: &[Bytes]| blocks.iter().map(Bytes::len).sum::<usize>() as f64 / samples;
    let largest = stored.packs.iter().map(Bytes::len).max().unwrap_or(0);
    println!(
        "window of {count:>3} samples a series: {:.3} B/sample ({:.4} of it timestamps), {} packs \
         of up to {largest} bytes, encode {:.1} ns/sample, decode {:.2} ns/sample",
        size(&stored.packs) + size(&stored.columns),
        size(&stored.columns),
        stored.packs.len(),
        encode / samples,
        decode / samples
    );
    let middle = Bytes::clone(&stored.packs[stored.packs.len() / 2]);
    let open = best(|| {
        black_box(Pack::open(middle.clone()).expect("own pack"));
    });
    println!("    opening one pack: {:.1} us", open / 1e3);
}

/// Nanoseconds of the fastest run.
fn best(mut run: impl FnMut()) -> f64 {
    let mut fastest = f64::INFINITY;
    for _ in 0..REPEATS {
        let clock = CpuClock::start();
        run();
        fastest = fastest.min(clock.elapsed_ns());
    }
    fastest
}

/// CPU time of this thread, or wall time where there is none to read.
struct CpuClock {
    cpu_ns: Option<u64>,
    wall: Instant,
}

impl CpuClock {
    fn start() -> CpuClock {
        CpuClock { cpu_ns: thread_cpu_ns(), wall: Instant::now() }
    }

    fn elapsed_ns(&self) -> f64 {
        match (self.cpu_ns, thread_cpu_ns()) {
            (Some(start), Some(end)) if end > start => (end - start) as f64,
            _ => self.wall.elapsed().as_nanos() as f64,
        }
    }
}

fn thread_cpu_ns() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split_ascii_whitespace().next()?.parse().ok()
}
