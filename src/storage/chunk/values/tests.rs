use proptest::prelude::*;

use super::*;
use crate::model::STALE_NAN_BITS;

fn encoded(values: &[f64]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(values, &mut out);
    out
}

fn decoded(bytes: &[u8], count: usize) -> Result<Vec<u64>, CodecError> {
    let mut out = vec![1.5];
    decode(bytes, count, &mut out)?;
    Ok(out[1..].iter().map(|v| v.to_bits()).collect())
}

fn check(values: &[f64]) {
    let bytes = encoded(values);
    let bits: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
    assert_eq!(decoded(&bytes, values.len()).unwrap(), bits, "{values:?}");
    for end in 0..bytes.len() {
        assert!(decoded(&bytes[..end], values.len()).is_err(), "prefix of {end} bytes");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(decoded(&longer, values.len()).is_err());
}

const SPECIAL: [u64; 12] = [
    STALE_NAN_BITS,
    0x7ff8_0000_0000_0001,
    0xfff0_0000_dead_beef,
    0x8000_0000_0000_0000,
    0,
    1,
    0x8000_0000_0000_0001,
    0x000f_ffff_ffff_ffff,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x7fef_ffff_ffff_ffff,
    0x43e0_0000_0000_0000,
];

#[test]
fn constants_cost_one_to_nine_bytes() {
    for (value, len) in [(0.0, 1), (1.0, 1), (127.0, 1), (128.0, 3), (0.25, 2), (-1.0, 2)] {
        assert_eq!(encoded(&[value; 120]).len(), len, "{value}");
        check(&[value; 120]);
    }
    for bits in SPECIAL {
        check(&[f64::from_bits(bits); 3]);
        assert!(encoded(&[f64::from_bits(bits); 3]).len() <= 9);
    }
}

#[test]
fn special_patterns_survive_in_every_place() {
    for bits in SPECIAL {
        for at in [0, 1, 59, 119] {
            let mut counter: Vec<f64> = (0..120).map(|i| f64::from(i * i) / 100.0).collect();
            counter[at] = f64::from_bits(bits);
            check(&counter);
        }
    }
    let all: Vec<f64> = SPECIAL.iter().map(|b| f64::from_bits(*b)).collect();
    check(&all);
}

#[test]
fn a_stale_marker_at_the_end_costs_a_few_bytes() {
    let mut values: Vec<f64> = (0..120).map(|i| f64::from(i * 7 % 90)).collect();
    let before = encoded(&values).len();
    values[119] = f64::from_bits(STALE_NAN_BITS);
    assert!(encoded(&values).len() <= before + 16);
}

#[test]
fn nanoseconds_times_a_billionth_are_decimals() {
    let values: Vec<f64> =
        (0..120u32).map(|i| f64::from(i.wrapping_mul(2_654_435_761) >> 12) * 1e-9).collect();
    assert!(encoded(&values).len() < 120 * 4);
    check(&values);
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => any::<i32>().prop_map(f64::from),
        4 => (any::<i32>(), 0usize..13).prop_map(|(m, e)| f64::from(m) / POWERS[e]),
        2 => (any::<i32>(), 0usize..13).prop_map(|(m, e)| f64::from(m) * (1.0 / POWERS[e])),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => (0..SPECIAL.len()).prop_map(|i| f64::from_bits(SPECIAL[i])),
        1 => any::<i64>().prop_map(|m| m as f64),
    ]
}

proptest! {
    #[test]
    fn any_bits_come_back(values in prop::collection::vec(any::<u64>().prop_map(f64::from_bits), 0..200)) {
        check(&values);
    }

    #[test]
    fn mixtures_come_back(values in prop::collection::vec(value(), 0..200)) {
        check(&values);
    }

    #[test]
    fn decimals_with_a_few_oddities_come_back(
        steps in prop::collection::vec(0u32..5000, 1..200),
        exponent in 0usize..13,
        oddities in prop::collection::vec((0usize..200, any::<u64>()), 0..6),
    ) {
        let mut sum = 0u64;
        let mut values: Vec<f64> = steps.iter().map(|s| {
            sum += u64::from(*s);
            sum as f64 / POWERS[exponent]
        }).collect();
        for (at, bits) in oddities {
            let len = values.len();
            values[at % len] = f64::from_bits(bits);
        }
        check(&values);
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100), n in 0usize..300) {
        let _ = decoded(&bytes, n);
    }
}
