//! Functions of one number that the standard library lacks.

/// Radians to degrees.
pub(super) fn deg(value: f64) -> f64 {
    value * 180.0 / std::f64::consts::PI
}

/// Degrees to radians.
pub(super) fn rad(value: f64) -> f64 {
    value * std::f64::consts::PI / 180.0
}

/// The sign: -1, 0 or 1; NaN stays NaN.
pub(super) fn sgn(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_and_angles() {
        assert_eq!((sgn(-3.0), sgn(0.0), sgn(2.0)), (-1.0, 0.0, 1.0));
        assert!(sgn(f64::NAN).is_nan());
        assert_eq!(deg(std::f64::consts::PI), 180.0);
        assert_eq!(rad(180.0), std::f64::consts::PI);
    }
}
