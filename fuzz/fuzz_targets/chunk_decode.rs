//! Every chunk decoder answers any bytes with samples or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch::model::SeriesData;
use tidewatch::storage::chunk::body::{self, Parts};
use tidewatch::storage::chunk::{exemplars, histograms, timestamps, values};

/// Enough to meet every code path, few enough for many runs a second.
const COUNT_MAX: usize = 1024;

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (kind, count, bytes) = input;
    let count = usize::from(count) % COUNT_MAX;
    match kind % 5 {
        0 => drop(values::decode(bytes, count, &mut Vec::new())),
        1 => drop(timestamps::decode(bytes, count, &mut Vec::new())),
        2 => drop(histograms::decode(bytes, &mut Vec::new())),
        3 => drop(exemplars::decode(bytes, &mut Vec::new())),
        _ => {
            let times: Vec<i64> = (0..count as i64).collect();
            let parts = Parts::from_number(i64::from(kind >> 6)).expect("four kinds of parts");
            drop(body::decode(bytes, parts, &times, &mut SeriesData::default()));
        }
    }
});
