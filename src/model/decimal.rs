//! The shortest decimal that reads back as the same float, as Go's `strconv.FormatFloat(v, _, -1, 64)`
//! finds it: of two equally near ones the even one, where the standard library takes the larger.
//!
//! In: finite floats. Out: digits and where they stand. Never here: NaN and infinities, which every
//! format calls otherwise.

/// The digits of a magnitude and the decimal exponent of the first one: 1250 is `125` and 3.
#[derive(Clone, Copy, Debug)]
pub struct Shortest {
    digits: [u8; DIGITS_MAX],
    len: usize,
    exponent: i32,
}

/// Digits that tell any two floats apart.
const DIGITS_MAX: usize = 17;

impl Shortest {
    /// Of a finite float; its sign is not looked at. Zero is `0` and 0.
    pub fn of(value: f64) -> Shortest {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value.abs());
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        let zeros = all().take_while(|digit| *digit == b'0').count();
        let mut shortest = Shortest { digits: [b'0'; DIGITS_MAX], len: 1, exponent: 0 };
        for (place, digit) in all().skip(zeros).enumerate().filter(|(_, digit)| *digit != b'0') {
            shortest.digits[place] = digit;
            shortest.len = place + 1;
        }
        if value != 0.0 {
            let exponent: i32 = exponent.parse().expect("BUG: the formatter wrote an integer");
            shortest.exponent = exponent + whole.len() as i32 - 1 - zeros as i32;
        }
        shortest
    }

    /// The digits in ASCII, at least one, without zeros at the end.
    pub fn digits(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.len]).expect("BUG: digits are ASCII")
    }

    /// The decimal exponent of the first digit.
    pub fn exponent(&self) -> i32 {
        self.exponent
    }
}

/// Appends a finite float without an exponent (`'f'`).
#[inline]
pub fn push_plain(out: &mut Vec<u8>, value: f64) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    if !text.contains('e') {
        out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
        return;
    }
    let shortest = Shortest::of(value);
    let (digits, exponent) = (shortest.digits(), shortest.exponent());
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-exponent - 1) as usize, b'0');
        out.extend_from_slice(digits.as_bytes());
    } else {
        // From 1e16 on, where a float has no fraction.
        out.extend_from_slice(digits.as_bytes());
        out.resize(out.len() + exponent as usize + 1 - digits.len(), b'0');
    }
}

/// Appends a finite float as `d.ddde+XX`, with at least two digits of exponent (`'e'`).
pub fn push_exponent(out: &mut Vec<u8>, value: f64) {
    let shortest = Shortest::of(value);
    let (first, rest) = shortest.digits().split_at(1);
    if value.is_sign_negative() {
        out.push(b'-');
    }
    out.extend_from_slice(first.as_bytes());
    if !rest.is_empty() {
        out.push(b'.');
        out.extend_from_slice(rest.as_bytes());
    }
    let exponent = shortest.exponent();
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.abs() < 10 {
        out.push(b'0');
    }
    out.extend_from_slice(itoa::Buffer::new().format(exponent.unsigned_abs()).as_bytes());
}

/// As [`push_plain`].
pub fn plain(value: f64) -> String {
    text(push_plain, value)
}

/// As [`push_exponent`].
pub fn exponent(value: f64) -> String {
    text(push_exponent, value)
}

fn text(push: fn(&mut Vec<u8>, f64), value: f64) -> String {
    let mut out = Vec::new();
    push(&mut out, value);
    String::from_utf8(out).expect("BUG: digits are ASCII")
}

#[cfg(test)]
#[allow(clippy::excessive_precision)] // all digits of a float that lies in the middle of two decimals
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_two_equally_near_ones_the_even_one() {
        // As Prometheus 2.42 answers.
        let cases = [
            (932_227_818_908_920.25, "932227818908920.2"),
            (932_227_818_908_920.75, "932227818908920.8"),
            (932_227_818_908_921.25, "932227818908921.2"),
            (466_113_909_454_460.125, "466113909454460.1"),
            (123_456_789_012_345.25, "123456789012345.25"),
            (9_007_199_254_740_994.0, "9007199254740994"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(push_plain, value), expected);
        }
        assert_eq!(text(push_exponent, 932_227_818_908_920.25), "9.322278189089202e+14");
    }

    #[test]
    fn digits_stand_where_the_exponent_says() {
        let cases = [
            (0.0, "0", 0),
            (-1250.0, "125", 3),
            (0.0025, "25", -3),
            (1e300, "1", 300),
            (5e-324, "5", -324),
            (10.25, "1025", 1),
            (f64::MAX, "17976931348623157", 308),
        ];
        for (value, digits, exponent) in cases {
            let shortest = Shortest::of(value);
            assert_eq!((shortest.digits(), shortest.exponent()), (digits, exponent));
        }
    }

    proptest! {
        #[test]
        fn all_forms_read_back(bits in any::<u64>(), digits in -1e9f64..1e9) {
            let short = (digits * 1e3).round() / 1e3;
            for value in [f64::from_bits(bits), digits, short].into_iter().filter(|v| v.is_finite()) {
                for push in [push_plain, push_exponent] {
                    let text = text(push, value);
                    prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()), "{}", text);
                }
                prop_assert_eq!(text(push_plain, value).len(), value.to_string().len());
            }
        }
    }
}
