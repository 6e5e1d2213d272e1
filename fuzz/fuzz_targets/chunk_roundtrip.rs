//! What the chunk encoders write comes back bit for bit, for any input.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch::storage::chunk::bytes::ByteReader;
use tidewatch::storage::chunk::{ints, timestamps, values};

/// 8-byte words scaled in ways that reach the decimal, divided and linear forms.
fn numbers(shape: u8, bytes: &[u8]) -> Vec<i64> {
    let width = 1 + usize::from(shape % 8);
    let signed = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        i64::from_le_bytes(word)
    };
    let mut sum = 0i64;
    let all = bytes.chunks(width).map(signed);
    match shape >> 6 {
        0 => all.collect(),
        1 => all.map(|v| v.wrapping_mul(4096)).collect(),
        _ => all
            .map(|v| {
                sum = sum.wrapping_add(v);
                sum
            })
            .collect(),
    }
}

fn check_ints(numbers: &[i64]) {
    let (mut bytes, mut out) = (Vec::new(), Vec::new());
    ints::encode(numbers, &mut bytes);
    let mut reader = ByteReader::new(&bytes);
    ints::decode(&mut reader, numbers.len(), &mut out).expect("own column");
    assert!(reader.is_empty());
    assert_eq!(out, numbers);
}

fn check_values(numbers: &[i64], scale: u8) {
    let power = 10f64.powi(i32::from(scale % 14));
    let number = |v: &i64| match scale >> 6 {
        0 => f64::from_bits(*v as u64),
        1 => *v as f64 / power,
        2 => *v as f64 * (1.0 / power),
        _ if v % 17 == 3 => f64::from_bits(*v as u64),
        _ => *v as f64 / power,
    };
    let floats: Vec<f64> = numbers.iter().map(number).collect();
    let (mut bytes, mut out) = (Vec::new(), Vec::new());
    values::encode(&floats, &mut bytes);
    values::decode(&bytes, floats.len(), &mut out).expect("own column");
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&out), bits(&floats));
}

fn check_timestamps(mut numbers: Vec<i64>) {
    numbers.sort_unstable();
    numbers.dedup();
    let (mut bytes, mut out) = (Vec::new(), Vec::new());
    timestamps::encode(&numbers, &mut bytes);
    timestamps::decode(&bytes, numbers.len(), &mut out).expect("own column");
    assert_eq!(out, numbers);
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (shape, scale, bytes) = input;
    let numbers = numbers(shape, bytes);
    check_ints(&numbers);
    check_values(&numbers, scale);
    check_timestamps(numbers);
});
