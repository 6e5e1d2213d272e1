//! Parts of a date in UTC, of seconds since the epoch. Computed by hand (Howard Hinnant's
//! `civil_from_days`), since values beyond any calendar must not fail.

const DAY_SECONDS: i64 = 86_400;

/// A day of the proleptic Gregorian calendar.
struct Day {
    year: i64,
    month: i64,
    day: i64,
}

/// Whole seconds. What is no number of seconds counts as the end of all calendars, as where
/// Prometheus mostly runs: the conversion gives the least number there, and its clock wraps.
fn seconds(value: f64) -> i64 {
    const BEYOND: f64 = (1u64 << 63) as f64;
    if (-BEYOND..BEYOND).contains(&value) { value as i64 } else { i64::MAX }
}

fn day_number(value: f64) -> i64 {
    seconds(value).div_euclid(DAY_SECONDS)
}

fn civil(days: i64) -> Day {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Day { year, month, day }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// 1..=31
pub(super) fn day_of_month(value: f64) -> f64 {
    civil(day_number(value)).day as f64
}

/// 0 (Sunday) ..= 6
pub(super) fn day_of_week(value: f64) -> f64 {
    (day_number(value) + 4).rem_euclid(7) as f64
}

/// 1..=366
pub(super) fn day_of_year(value: f64) -> f64 {
    let date = civil(day_number(value));
    let before: i64 = (1..date.month).map(|month| month_days(date.year, month)).sum();
    (before + date.day) as f64
}

/// 28..=31
pub(super) fn days_in_month(value: f64) -> f64 {
    let date = civil(day_number(value));
    month_days(date.year, date.month) as f64
}

/// 0..=23
pub(super) fn hour(value: f64) -> f64 {
    (seconds(value).rem_euclid(DAY_SECONDS) / 3600) as f64
}

/// 0..=59
pub(super) fn minute(value: f64) -> f64 {
    (seconds(value).rem_euclid(3600) / 60) as f64
}

/// 1..=12
pub(super) fn month(value: f64) -> f64 {
    civil(day_number(value)).month as f64
}

/// The year.
pub(super) fn year(value: f64) -> f64 {
    civil(day_number(value)).year as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_known_dates() {
        let leap_day = 1_456_790_399.0; // 2016-02-29T23:59:59Z, a Monday
        assert_eq!((year(leap_day), month(leap_day), day_of_month(leap_day)), (2016.0, 2.0, 29.0));
        assert_eq!((hour(leap_day), minute(leap_day)), (23.0, 59.0));
        assert_eq!((day_of_week(leap_day), day_of_year(leap_day)), (1.0, 60.0));
        assert_eq!(days_in_month(leap_day), 29.0);
        assert_eq!((year(-1.0), day_of_year(-1.0), day_of_week(-1.0)), (1969.0, 365.0, 3.0));
    }

    #[test]
    fn numbers_that_are_no_time_do_not_fail() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert!((1.0..=12.0).contains(&month(value)));
        }
    }
}
