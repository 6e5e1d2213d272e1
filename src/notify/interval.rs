//! Time intervals, as `time_intervals` of `alertmanager.yml` describes them: times of the day,
//! weekdays, days of the month, months, years, in a time zone.
//!
//! In: the file's text and a moment. Out: whether the moment lies within. Never here: reading the
//! clock; the time zone database is the system's.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::model::Timestamp;

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;
const WEEKDAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A set of moments. A field that is not given allows all; of a field that is given one of the
/// ranges has to hold; all fields have to hold.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct TimeInterval {
    /// Times of the day.
    pub times: Option<Vec<TimeRange>>,
    /// Weekdays, `monday` or `monday:friday`.
    pub weekdays: Option<Vec<WeekdayRange>>,
    /// Days of the month; negative ones count from its end.
    pub days_of_month: Option<Vec<DayRange>>,
    /// Months, by name or number.
    pub months: Option<Vec<MonthRange>>,
    /// Years.
    pub years: Option<Vec<YearRange>>,
    /// The time zone all of this is meant in; UTC when not given.
    pub location: Option<Location>,
}

/// A time zone by its IANA name, `UTC` or `Local`.
#[derive(Clone, Debug, PartialEq)]
pub struct Location(pub TimeZone);

/// Minutes of the day: from `start_minute`, up to and without `end_minute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// The first minute.
    pub start_minute: u16,
    /// The first minute after it; at most 1440.
    pub end_minute: u16,
}

macro_rules! range {
    ($name:ident, $number:ty, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name {
            /// The first.
            pub first: $number,
            /// The last, which belongs to it.
            pub last: $number,
        }
    };
}

range!(WeekdayRange, i8, "Weekdays; 0 is Sunday.");
range!(DayRange, i8, "Days of a month, 1 to 31, or -31 to -1 counted from its end.");
range!(MonthRange, i8, "Months, 1 to 12.");
range!(YearRange, i16, "Years.");

impl TimeInterval {
    /// Whether `at` lies within.
    pub fn contains(&self, at: Timestamp) -> bool {
        let Ok(at) = jiff::Timestamp::from_millisecond(at.0) else { return false };
        let zone = self.location.as_ref().map_or(TimeZone::UTC, |location| location.0.clone());
        let at = at.to_zoned(zone);
        let minute = i16::from(at.hour()) * 60 + i16::from(at.minute());
        let minute = u16::try_from(minute).expect("BUG: a day's minutes are not negative");
        let within = |value: i8, first: i8, last: i8| value >= first && value <= last;
        any(&self.times, |range| (range.start_minute..range.end_minute).contains(&minute))
            && any(&self.days_of_month, |range| range.contains(at.day(), at.days_in_month()))
            && any(&self.months, |range| within(at.month(), range.first, range.last))
            && any(&self.weekdays, |range| within(number(at.weekday()), range.first, range.last))
            && any(&self.years, |range| (range.first..=range.last).contains(&at.year()))
    }
}

fn any<T>(ranges: &Option<Vec<T>>, holds: impl FnMut(&T) -> bool) -> bool {
    ranges.as_ref().is_none_or(|ranges| ranges.iter().any(holds))
}

fn number(weekday: Weekday) -> i8 {
    weekday.to_sunday_zero_offset()
}

impl DayRange {
    /// Days beyond the month's end are clamped to it; a range that begins beyond it holds none.
    fn contains(&self, day: i8, days: i8) -> bool {
        let from_end = |n: i8| if n < 0 { days + n + 1 } else { n };
        let (first, last) = (from_end(self.first), from_end(self.last));
        first <= days && day >= first.max(-days) && day <= last.min(days)
    }
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Location, D::Error> {
        let name = String::deserialize(deserializer)?;
        let zone = match name.as_str() {
            "" | "UTC" => TimeZone::UTC,
            "Local" => TimeZone::system(),
            name => TimeZone::get(name)
                .map_err(|_| de::Error::custom(format!("unknown time zone {name:?}")))?,
        };
        Ok(Location(zone))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTimeRange {
    #[serde(default)]
    start_time: String,
    #[serde(default)]
    end_time: String,
}

impl<'de> Deserialize<'de> for TimeRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TimeRange, D::Error> {
        let raw = RawTimeRange::deserialize(deserializer)?;
        if raw.start_time.is_empty() || raw.end_time.is_empty() {
            return Err(de::Error::custom("both start_time and end_time must be given"));
        }
        let minute = |text: &str| minute_of_day(text).map_err(de::Error::custom);
        let (start_minute, end_minute) = (minute(&raw.start_time)?, minute(&raw.end_time)?);
        if start_minute >= end_minute {
            let why = "start_time must be before end_time; past midnight needs two entries";
            return Err(de::Error::custom(why));
        }
        Ok(TimeRange { start_minute, end_minute })
    }
}

/// `HH:MM`, `24:00` included.
fn minute_of_day(text: &str) -> Result<u16, String> {
    let bad = || format!("{text:?} is not a time of the day such as 08:30");
    let (hour, minute) = text.split_once(':').ok_or_else(bad)?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return Err(bad());
    }
    let number = |part: &str| part.parse::<u16>().map_err(|_| bad());
    let (hour, minute) = (number(hour)?, number(minute)?);
    let total = hour * 60 + minute;
    if minute > 59 || total > DAY_MINUTES { Err(bad()) } else { Ok(total) }
}

/// `a` or `a:b`, each understood by `member`.
fn span<T: Copy>(text: &str, member: impl Fn(&str) -> Result<T, String>) -> Result<(T, T), String> {
    let text = text.to_ascii_lowercase();
    let Some((first, last)) = text.split_once(':') else {
        return member(&text).map(|only| (only, only));
    };
    if last.contains(':') {
        return Err(format!("{text:?} is not a range such as 1:5"));
    }
    Ok((member(first)?, member(last)?))
}

fn named(names: &[&str], text: &str) -> Option<i8> {
    let at = names.iter().position(|name| *name == text)?;
    i8::try_from(at).ok()
}

impl std::str::FromStr for WeekdayRange {
    type Err = String;

    fn from_str(text: &str) -> Result<WeekdayRange, String> {
        let day = |day: &str| named(&WEEKDAYS, day).ok_or(format!("{day:?} is not a weekday"));
        let (first, last) = span(text, day)?;
        if first > last {
            return Err(format!("the weekdays {text:?} end before they start; Sunday is first"));
        }
        Ok(WeekdayRange { first, last })
    }
}

impl std::str::FromStr for DayRange {
    type Err = String;

    fn from_str(text: &str) -> Result<DayRange, String> {
        let day = |text: &str| match text.parse::<i8>() {
            Ok(day) if day != 0 && (-31..=31).contains(&day) => Ok(day),
            _ => Err(format!("{text:?} is not a day of the month")),
        };
        let (first, last) = span(text, day)?;
        if first < 0 && last > 0 {
            return Err("the last day must be negative if the first day is negative".to_owned());
        }
        // The shortest month has 28 days; what never holds even there is a mistake.
        let in_february = |day: i8| if day < 0 { 28 + day } else { day };
        if in_february(first) > in_february(last) {
            return Err(format!("the last day {last} is always before the first day {first}"));
        }
        Ok(DayRange { first, last })
    }
}

impl std::str::FromStr for MonthRange {
    type Err = String;

    fn from_str(text: &str) -> Result<MonthRange, String> {
        let month = |text: &str| {
            let number = named(&MONTHS, text).map(|month| month + 1).or(text.parse().ok());
            let number = number.filter(|month| (1..=12).contains(month));
            number.ok_or(format!("{text:?} is not a month"))
        };
        let (first, last) = span(text, month)?;
        if first > last {
            return Err(format!("the months {text:?} end before they start"));
        }
        Ok(MonthRange { first, last })
    }
}

impl std::str::FromStr for YearRange {
    type Err = String;

    fn from_str(text: &str) -> Result<YearRange, String> {
        let year = |text: &str| text.parse().map_err(|_| format!("{text:?} is not a year"));
        let (first, last) = span(text, year)?;
        if first > last {
            return Err(format!("the years {text:?} end before they start"));
        }
        Ok(YearRange { first, last })
    }
}

macro_rules! from_text {
    ($($name:ty),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

from_text!(WeekdayRange, DayRange, MonthRange, YearRange);

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(text: &str) -> TimeInterval {
        serde_saphyr::from_str(text).expect(text)
    }

    fn at(text: &str) -> Timestamp {
        let time: jiff::Timestamp = text.parse().expect("a time");
        Timestamp(time.as_millisecond())
    }

    #[test]
    fn fields_are_anded_and_lists_ored() {
        let office = interval(
            "times: [{start_time: '09:00', end_time: '12:00'}, {start_time: '13:00', end_time: '17:00'}]\n\
             weekdays: ['monday:friday']\nmonths: ['january:march', '7', December]\nyears: ['2024:2026']\n",
        );
        for (time, expected) in [
            ("2026-01-05T09:00:00Z", true),
            ("2026-01-05T12:00:00Z", false),
            ("2026-01-05T16:59:59Z", true),
            ("2026-01-04T10:00:00Z", false),
            ("2026-04-06T10:00:00Z", false),
            ("2026-07-06T10:00:00Z", true),
            ("2027-01-04T10:00:00Z", false),
        ] {
            assert_eq!(office.contains(at(time)), expected, "{time}");
        }
        assert!(interval("{}").contains(at("2026-01-01T00:00:00Z")));
        let evening = interval("times: [{start_time: '18:00', end_time: '24:00'}]");
        assert!(evening.contains(at("2026-01-01T23:59:59Z")));
    }

    #[test]
    fn days_count_from_either_end_and_are_clamped() {
        let last_three = interval("days_of_month: ['-3:-1']");
        assert!(last_three.contains(at("2025-02-26T00:00:00Z")));
        assert!(!last_three.contains(at("2025-02-25T00:00:00Z")));
        assert!(last_three.contains(at("2025-01-29T00:00:00Z")));
        let late = interval("days_of_month: ['28:31']");
        assert!(late.contains(at("2025-02-28T00:00:00Z")));
        let beyond = interval("days_of_month: ['30:31']");
        assert!(!beyond.contains(at("2025-02-28T00:00:00Z")));
        let to_end = interval("days_of_month: ['5:-1']");
        assert!(to_end.contains(at("2025-02-28T00:00:00Z")));
    }

    #[test]
    fn the_location_moves_the_clock_with_daylight_saving() {
        let morning = interval(
            "times: [{start_time: '08:00', end_time: '09:00'}]\nlocation: Europe/Berlin\n",
        );
        assert!(morning.contains(at("2026-01-15T07:30:00Z")));
        assert!(!morning.contains(at("2026-07-15T07:30:00Z")));
        assert!(morning.contains(at("2026-07-15T06:30:00Z")));
        // 02:30 does not exist on the day the clocks go forward, and exists twice when they go back.
        let night = interval(
            "times: [{start_time: '02:00', end_time: '03:00'}]\nlocation: Europe/Berlin\n",
        );
        let minutes = |day: &str, n: i64| {
            let start = at(day).0;
            (0..n).filter(|m| night.contains(Timestamp(start + m * 60_000))).count()
        };
        assert_eq!(minutes("2026-03-29T00:00:00Z", 300), 0);
        assert_eq!(minutes("2026-10-25T00:00:00Z", 300), 120);
    }

    #[test]
    fn mistakes_are_refused() {
        for text in [
            "times: [{start_time: '9:00', end_time: '12:00'}]",
            "times: [{start_time: '12:00', end_time: '09:00'}]",
            "times: [{start_time: '12:00'}]",
            "times: [{start_time: '23:60', end_time: '24:00'}]",
            "times: [{start_time: '23:00', end_time: '24:01'}]",
            "weekdays: [friday:monday]",
            "weekdays: [someday]",
            "weekdays: ['1']",
            "days_of_month: ['0']",
            "days_of_month: ['32']",
            "days_of_month: ['-1:5']",
            "days_of_month: ['-1:-3']",
            "months: [march:january]",
            "months: ['13']",
            "years: ['2026:2025']",
            "location: Nowhere/Atall",
            "hours: ['1']",
        ] {
            assert!(serde_saphyr::from_str::<TimeInterval>(text).is_err(), "{text}");
        }
    }
}
