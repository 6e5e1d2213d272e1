//! Decimal form of floats: a value as `m / 10^e` with integer m, plus a few units in the last place.

/// Largest exponent.
pub const EXPONENT_MAX: u8 = 12;
/// 10^0 to 10^12, all exact.
pub const POWERS: [f64; EXPONENT_MAX as usize + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];

/// Adding and subtracting 1.5 * 2^52 rounds to an integer, ties to even.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// Below this magnitude `ROUNDER` works.
const ROUNDED_MAX: f64 = 2_251_799_813_685_248.0;
/// Integers up to this convert to and from i64 without rounding away.
const INTEGER_MAX: f64 = 9.0e18;
/// A float may be this many units in the last place beside its decimal.
const RESIDUAL_MAX: i64 = 32;
/// Above this magnitude of m a residual would fit almost any float.
const RESIDUAL_DIGITS_MAX: f64 = 8.8e12;
/// Samples looked at to guess an exponent.
const PROBES: usize = 16;
/// How often a value that does not fit may raise the exponent for the whole chunk.
const RESTARTS_MAX: u32 = 4;

/// One value: `from_bits(bits(digits / 10^e) + residual)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// m.
    pub digits: i64,
    /// Difference of the bit patterns.
    pub residual: i64,
}

/// A chunk in decimal form.
#[derive(Clone, Debug, Default)]
pub struct DecimalChunk {
    /// e.
    pub exponent: u8,
    /// m of each value; exceptions repeat the one before.
    pub digits: Vec<i64>,
    /// Residual of each value.
    pub residuals: Vec<i64>,
    /// Index and bits of values without a decimal form.
    pub exceptions: Vec<(usize, u64)>,
}

/// The decimal form of `value` with exponent `exponent`, if it has one.
#[inline]
pub fn fit(value: f64, exponent: u8) -> Option<Decimal> {
    if exponent == 0 {
        let digits = value as i64;
        if (digits as f64).to_bits() == value.to_bits() && value.abs() < INTEGER_MAX {
            return Some(Decimal { digits, residual: 0 });
        }
    }
    let power = POWERS[usize::from(exponent)];
    let scaled = value * power;
    if scaled.abs() >= ROUNDED_MAX || scaled.is_nan() {
        return None;
    }
    let rounded = (scaled + ROUNDER) - ROUNDER;
    let residual = value.to_bits().wrapping_sub((rounded / power).to_bits()) as i64;
    if residual == 0 {
        return Some(Decimal { digits: rounded as i64, residual });
    }
    let near = residual.unsigned_abs() <= RESIDUAL_MAX as u64
        && scaled.abs() < RESIDUAL_DIGITS_MAX
        && rounded != 0.0;
    near.then_some(Decimal { digits: rounded as i64, residual })
}

/// The value of a decimal.
#[inline]
pub fn value_of(digits: i64, residual: i64, exponent: u8) -> f64 {
    let nearest = digits as f64 / POWERS[usize::from(exponent)];
    f64::from_bits(nearest.to_bits().wrapping_add(residual as u64))
}

/// The smallest exponent from `from` on that fits.
pub fn smallest_exponent(value: f64, from: u8) -> Option<u8> {
    (from..=EXPONENT_MAX).find(|e| fit(value, *e).is_some())
}

/// The decimal form of a chunk, if few enough values resist.
pub fn convert(values: &[f64]) -> Option<DecimalChunk> {
    let mut exponent = guess_exponent(values)?;
    let mut chunk = DecimalChunk::default();
    for _ in 0..RESTARTS_MAX {
        match try_exponent(values, exponent, true, &mut chunk) {
            Attempt::Done => return Some(chunk),
            Attempt::TooMany => return None,
            Attempt::Raise(higher) => exponent = higher,
        }
    }
    match try_exponent(values, exponent, false, &mut chunk) {
        Attempt::Done => Some(chunk),
        _ => None,
    }
}

/// The smallest exponent that fits all probes but a few.
fn guess_exponent(values: &[f64]) -> Option<u8> {
    let stride = (values.len() / PROBES).max(1);
    let (mut exponent, mut misfits) = (0, 0);
    for value in values.iter().step_by(stride) {
        match smallest_exponent(*value, exponent) {
            Some(fitting) => exponent = fitting,
            None => misfits += 1,
        }
        if misfits > PROBES / 4 {
            return None;
        }
    }
    Some(exponent)
}

/// How a conversion with one exponent went.
enum Attempt {
    /// The chunk is filled.
    Done,
    /// More exceptions than pay.
    TooMany,
    /// A value needs this exponent.
    Raise(u8),
}

/// Fills `chunk` with `exponent`.
fn try_exponent(
    values: &[f64],
    exponent: u8,
    may_raise: bool,
    chunk: &mut DecimalChunk,
) -> Attempt {
    let exceptions_max = values.len() / 16 + 2;
    chunk.exponent = exponent;
    chunk.digits.clear();
    chunk.residuals.clear();
    chunk.exceptions.clear();
    let mut last = 0;
    for (i, value) in values.iter().enumerate() {
        let mut residual = 0;
        if let Some(decimal) = fit(*value, exponent) {
            last = decimal.digits;
            residual = decimal.residual;
        } else {
            if let Some(higher) = smallest_exponent(*value, exponent).filter(|_| may_raise) {
                return Attempt::Raise(higher);
            }
            chunk.exceptions.push((i, value.to_bits()));
            if chunk.exceptions.len() > exceptions_max {
                return Attempt::TooMany;
            }
        }
        chunk.digits.push(last);
        chunk.residuals.push(residual);
    }
    Attempt::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_decimals_fit_their_digits() {
        assert_eq!(fit(0.1, 1), Some(Decimal { digits: 1, residual: 0 }));
        assert_eq!(fit(123_456.78, 2), Some(Decimal { digits: 12_345_678, residual: 0 }));
        assert_eq!(smallest_exponent(0.25, 0), Some(2));
        assert_eq!(fit(-0.0, 0), None);
        assert_eq!(fit(f64::NAN, 3), None);
        assert_eq!(fit(f64::INFINITY, 0), None);
    }

    #[test]
    fn computed_decimals_fit_with_a_residual() {
        let value = 12_347.0 * 0.001;
        let decimal = fit(value, 3).unwrap();
        assert_eq!(decimal.digits, 12_347);
        assert_eq!(value_of(decimal.digits, decimal.residual, 3).to_bits(), value.to_bits());
    }
}
