//! Points in time and spans of time as Go's `time` package shows them.
//!
//! In: instants with a zone, nanoseconds, layouts. Out: texts. Never here: the present.
//!
//! Source of the rules: the documentation of package `time`.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::limits::{BoundedText, LimitPassed};

/// A point in time with the zone it is shown in.
#[derive(Clone, Debug, PartialEq)]
pub struct GoTime(pub Zoned);

/// `String` of Go's `Time`.
const DEFAULT_LAYOUT: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl GoTime {
    /// An instant in UTC; `None` outside the calendar's range.
    pub fn utc(timestamp: crate::model::Timestamp) -> Option<GoTime> {
        let at = Timestamp::from_millisecond(timestamp.as_millis()).ok()?;
        Some(GoTime(at.to_zoned(TimeZone::UTC)))
    }

    /// Go's zero time, midnight of 1 January of year 1 in UTC: what a field without a time holds.
    pub fn zero() -> GoTime {
        let at = jiff::civil::date(1, 1, 1).to_zoned(TimeZone::UTC);
        GoTime(at.expect("BUG: year 1 is within the calendar"))
    }

    /// Whether it is Go's zero time.
    pub fn is_zero(&self) -> bool {
        self.0.timestamp() == GoTime::zero().0.timestamp()
    }

    /// The name of its weekday, and its number from Sunday, 0.
    pub fn weekday(&self) -> (&'static str, i64) {
        let number = self.0.weekday().to_sunday_zero_offset();
        (WEEKDAYS[usize::try_from(number).unwrap_or(0)], i64::from(number))
    }

    /// The name of its month, and its number from January, 1.
    pub fn month(&self) -> (&'static str, i64) {
        let number = self.0.month();
        (MONTHS[usize::try_from(number - 1).unwrap_or(0)], i64::from(number))
    }

    /// Later by `ns` nanoseconds, or `None` outside the calendar's range.
    pub fn add_ns(&self, ns: i64) -> Option<GoTime> {
        self.0.checked_add(SignedDuration::from_nanos(ns)).ok().map(GoTime)
    }

    /// Nanoseconds since `earlier`, as many as fit.
    pub fn since_ns(&self, earlier: &GoTime) -> i64 {
        let ns = self.0.timestamp().as_nanosecond() - earlier.0.timestamp().as_nanosecond();
        i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
    }

    /// The same instant in the zone `name` of the time zone database; `None` if there is none.
    pub fn in_zone(&self, name: &str) -> Option<GoTime> {
        let zone = match name {
            "" | "UTC" => TimeZone::UTC,
            "Local" => TimeZone::system(),
            name => TimeZone::get(name).ok()?,
        };
        Some(GoTime(self.0.with_time_zone(zone)))
    }

    /// The zone's abbreviation and its offset from UTC in seconds.
    fn zone(&self) -> (String, i32) {
        let info = self.0.time_zone().to_offset_info(self.0.timestamp());
        let name = info.abbreviation().to_owned();
        (name, self.0.offset().seconds())
    }

    /// As `layout` shows it.
    pub fn format(&self, out: &mut BoundedText, layout: &str) -> Result<(), LimitPassed> {
        let mut rest = layout;
        while let Some((before, part, behind)) = next_part(rest) {
            out.push(before)?;
            out.push(&self.part(part, &rest[before.len()..rest.len() - behind.len()]))?;
            rest = behind;
        }
        out.push(rest)
    }

    fn part(&self, part: Part, source: &str) -> String {
        let t = &self.0;
        let hour12 = (t.hour() + 11) % 12 + 1;
        match part {
            Part::LongMonth => self.month().0.to_owned(),
            Part::Month => self.month().0[..3].to_owned(),
            Part::NumMonth => t.month().to_string(),
            Part::ZeroMonth => format!("{:02}", t.month()),
            Part::LongWeekday => self.weekday().0.to_owned(),
            Part::Weekday => self.weekday().0[..3].to_owned(),
            Part::Day => t.day().to_string(),
            Part::UnderDay => format!("{:2}", t.day()),
            Part::ZeroDay => format!("{:02}", t.day()),
            Part::UnderYearDay => format!("{:3}", t.day_of_year()),
            Part::ZeroYearDay => format!("{:03}", t.day_of_year()),
            Part::Hour => format!("{:02}", t.hour()),
            Part::Hour12 => hour12.to_string(),
            Part::ZeroHour12 => format!("{hour12:02}"),
            Part::Minute => t.minute().to_string(),
            Part::ZeroMinute => format!("{:02}", t.minute()),
            Part::Second => t.second().to_string(),
            Part::ZeroSecond => format!("{:02}", t.second()),
            Part::LongYear => format!("{:04}", t.year()),
            Part::Year => format!("{:02}", t.year().rem_euclid(100)),
            Part::UpperPm => (if t.hour() >= 12 { "PM" } else { "AM" }).to_owned(),
            Part::LowerPm => (if t.hour() >= 12 { "pm" } else { "am" }).to_owned(),
            Part::ZoneName => {
                let (name, offset) = self.zone();
                // Zones without letters of their own are shown by their offset.
                let is_number = name.starts_with(['+', '-']);
                if is_number { offset_text(offset, "-07") } else { name }
            }
            Part::Offset => match source.strip_prefix('Z') {
                Some(_) if self.zone().1 == 0 => "Z".to_owned(),
                Some(tail) => offset_text(self.zone().1, &format!("-{tail}")),
                None => offset_text(self.zone().1, source),
            },
            Part::Fraction => self.fraction(source),
        }
    }

    /// `.000` with all digits, `.999` without zeros at the end.
    fn fraction(&self, source: &str) -> String {
        let digits = format!("{:09}", self.0.subsec_nanosecond());
        let kept = &digits[..(source.len() - 1).min(9)];
        if source.ends_with('0') {
            return format!("{}{kept}", &source[..1]);
        }
        match kept.trim_end_matches('0') {
            "" => String::new(),
            kept => format!("{}{kept}", &source[..1]),
        }
    }
}

impl fmt::Display for GoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = BoundedText::new(256);
        self.format(&mut text, DEFAULT_LAYOUT).map_err(|_| fmt::Error)?;
        f.write_str(text.as_str())
    }
}

/// `+0100`, `+01:00` or `+01`, with seconds where the layout has them.
fn offset_text(seconds: i32, layout: &str) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes, seconds) =
        (seconds.abs() / 3600, seconds.abs() / 60 % 60, seconds.abs() % 60);
    match layout {
        "-07:00" => format!("{sign}{hours:02}:{minutes:02}"),
        "-07" => match minutes {
            0 => format!("{sign}{hours:02}"),
            _ => format!("{sign}{hours:02}{minutes:02}"),
        },
        "-070000" => format!("{sign}{hours:02}{minutes:02}{seconds:02}"),
        "-07:00:00" => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
        _ => format!("{sign}{hours:02}{minutes:02}"),
    }
}

#[derive(Clone, Copy, Debug)]
enum Part {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperPm,
    LowerPm,
    ZoneName,
    Offset,
    Fraction,
}

/// What stands for what, longer before shorter.
const PARTS: [(&str, Part); 33] = [
    ("January", Part::LongMonth),
    ("Jan", Part::Month),
    ("Monday", Part::LongWeekday),
    ("Mon", Part::Weekday),
    ("MST", Part::ZoneName),
    ("002", Part::ZeroYearDay),
    ("01", Part::ZeroMonth),
    ("02", Part::ZeroDay),
    ("03", Part::ZeroHour12),
    ("04", Part::ZeroMinute),
    ("05", Part::ZeroSecond),
    ("06", Part::Year),
    ("15", Part::Hour),
    ("1", Part::NumMonth),
    ("2006", Part::LongYear),
    ("2", Part::Day),
    ("__2", Part::UnderYearDay),
    ("_2", Part::UnderDay),
    ("3", Part::Hour12),
    ("4", Part::Minute),
    ("5", Part::Second),
    ("PM", Part::UpperPm),
    ("pm", Part::LowerPm),
    ("-070000", Part::Offset),
    ("-07:00:00", Part::Offset),
    ("-0700", Part::Offset),
    ("-07:00", Part::Offset),
    ("-07", Part::Offset),
    ("Z070000", Part::Offset),
    ("Z07:00:00", Part::Offset),
    ("Z0700", Part::Offset),
    ("Z07:00", Part::Offset),
    ("Z07", Part::Offset),
];

/// The text before the first part that stands for something, the part, and the rest.
fn next_part(layout: &str) -> Option<(&str, Part, &str)> {
    for (at, _) in layout.char_indices() {
        let here = &layout[at..];
        // `_2006` is an underscore and a year.
        if here.starts_with("_2006") {
            continue;
        }
        // `Jan` within a longer word, as in `January`, is caught by order; `Month` is no `Mon`.
        if let Some(length) = fraction_length(here) {
            return Some((&layout[..at], Part::Fraction, &here[length..]));
        }
        let found = PARTS.iter().find(|(source, _)| here.starts_with(source));
        let is_word = |source: &str| {
            matches!(source, "Jan" | "Mon")
                && here[3..].starts_with(|c: char| c.is_ascii_lowercase())
        };
        if let Some((source, part)) = found.filter(|(source, _)| !is_word(source)) {
            return Some((&layout[..at], *part, &here[source.len()..]));
        }
    }
    None
}

/// The length of `.000` or `,999` at the start, if no further digit follows.
fn fraction_length(text: &str) -> Option<usize> {
    let behind = text.strip_prefix(['.', ','])?;
    let digit = behind.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let digits = behind.len() - behind.trim_start_matches(digit).len();
    let is_end = !behind[digits..].starts_with(|c: char| c.is_ascii_digit());
    is_end.then_some(digits + 1)
}

/// Nanoseconds as `1h2m3.5s`, `1.5ms`; as Go's `Duration.String`.
pub fn duration_text(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let magnitude = ns.unsigned_abs();
    let (unit_ns, unit) = match magnitude {
        0 => return "0s".to_owned(),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "\u{b5}s"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => {
            let seconds = magnitude / 1_000_000_000;
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let rest = decimal(magnitude % 60_000_000_000, 1_000_000_000);
            return match (hours, minutes) {
                (0, 0) => format!("{sign}{rest}s"),
                (0, minutes) => format!("{sign}{minutes}m{rest}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{rest}s"),
            };
        }
    };
    format!("{sign}{}{unit}", decimal(magnitude, unit_ns))
}

/// `number / unit` exactly; `unit` is a power of ten.
fn decimal(number: u64, unit: u64) -> String {
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", number % unit);
    match if width == 0 { "" } else { fraction.trim_end_matches('0') } {
        "" => (number / unit).to_string(),
        fraction => format!("{}.{fraction}", number / unit),
    }
}

impl GoTime {
    /// Reads `text` as `layout` shows times; what the layout leaves out is as in Go's zero time,
    /// and the zone is UTC.
    ///
    /// # Errors
    /// A sentence that names layout and text.
    pub fn parse(layout: &str, text: &str) -> Result<GoTime, String> {
        let bad = || {
            let (text, layout) = (super::format::quote(text), super::format::quote(layout));
            format!("parsing time {text} as {layout}: text does not fit the layout")
        };
        let mut read = Read::default();
        let (mut layout_rest, mut rest) = (layout, text);
        while let Some((before, part, behind)) = next_part(layout_rest) {
            rest = rest.strip_prefix(before).ok_or_else(bad)?;
            let source = &layout_rest[before.len()..layout_rest.len() - behind.len()];
            rest = read.part(part, source, rest).ok_or_else(bad)?;
            if matches!(part, Part::Second | Part::ZeroSecond) && !behind.starts_with(['.', ',']) {
                rest = read.fraction(rest);
            }
            layout_rest = behind;
        }
        match rest == layout_rest {
            true => read.time().ok_or_else(bad),
            false => Err(bad()),
        }
    }
}

/// The parts of a time that were read.
#[derive(Debug)]
struct Read {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    ns: i32,
    is_afternoon: Option<bool>,
    offset_seconds: i32,
}

impl Default for Read {
    fn default() -> Read {
        Read {
            year: 0,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
            ns: 0,
            is_afternoon: None,
            offset_seconds: 0,
        }
    }
}

/// A number of `digits` digits at the start, and the rest.
fn digits<T: std::str::FromStr>(
    text: &str,
    digits: std::ops::RangeInclusive<usize>,
) -> Option<(T, &str)> {
    let all = text.bytes().take_while(u8::is_ascii_digit).count();
    let count = all.min(*digits.end());
    let number = digits.contains(&count).then(|| text[..count].parse().ok()).flatten()?;
    Some((number, &text[count..]))
}

/// The place of the name that `text` begins with, and the rest.
fn name<'a>(text: &'a str, names: &[&str], length: Option<usize>) -> Option<(i8, &'a str)> {
    names.iter().enumerate().find_map(|(i, name)| {
        let name = &name[..length.unwrap_or(name.len())];
        let start = text.get(..name.len())?;
        let is_equal = start.eq_ignore_ascii_case(name);
        is_equal.then_some((i8::try_from(i).ok()?, &text[name.len()..]))
    })
}

impl Read {
    fn part<'a>(&mut self, part: Part, source: &str, text: &'a str) -> Option<&'a str> {
        let padded = text.trim_start_matches(' ');
        let rest;
        match part {
            Part::LongMonth => rest = self.month_name(text, None)?,
            Part::Month => rest = self.month_name(text, Some(3))?,
            Part::NumMonth => (self.month, rest) = digits(text, 1..=2)?,
            Part::ZeroMonth => (self.month, rest) = digits(text, 2..=2)?,
            Part::LongWeekday => (_, rest) = name(text, &WEEKDAYS, None)?,
            Part::Weekday => (_, rest) = name(text, &WEEKDAYS, Some(3))?,
            Part::Day => (self.day, rest) = digits(text, 1..=2)?,
            Part::UnderDay => (self.day, rest) = digits(padded, 1..=2)?,
            Part::ZeroDay => (self.day, rest) = digits(text, 2..=2)?,
            Part::UnderYearDay | Part::ZeroYearDay => {
                let (day, behind) = digits::<i64>(padded, 1..=3)?;
                let date = jiff::civil::date(self.year.max(1), 1, 1);
                let date = date.checked_add(jiff::Span::new().try_days(day - 1).ok()?).ok()?;
                (self.month, self.day, rest) = (date.month(), date.day(), behind);
            }
            Part::Hour => (self.hour, rest) = digits(text, 2..=2)?,
            Part::Hour12 => (self.hour, rest) = digits(text, 1..=2)?,
            Part::ZeroHour12 => (self.hour, rest) = digits(text, 2..=2)?,
            Part::Minute => (self.minute, rest) = digits(text, 1..=2)?,
            Part::ZeroMinute => (self.minute, rest) = digits(text, 2..=2)?,
            Part::Second => (self.second, rest) = digits(text, 1..=2)?,
            Part::ZeroSecond => (self.second, rest) = digits(text, 2..=2)?,
            Part::LongYear => (self.year, rest) = digits(text, 4..=4)?,
            Part::Year => {
                let (year, behind) = digits::<i16>(text, 2..=2)?;
                self.year = if year >= 69 { 1900 + year } else { 2000 + year };
                rest = behind;
            }
            Part::UpperPm | Part::LowerPm => {
                let (afternoon, behind) = name(text, &["AM", "PM"], None)?;
                self.is_afternoon = Some(afternoon == 1);
                rest = behind;
            }
            Part::ZoneName => {
                let end = text.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(text.len());
                rest = (end >= 3).then(|| &text[end..])?;
            }
            Part::Offset => rest = self.offset(source, text)?,
            Part::Fraction => rest = self.fraction(text),
        }
        Some(rest)
    }

    fn month_name<'a>(&mut self, text: &'a str, length: Option<usize>) -> Option<&'a str> {
        let (place, rest) = name(text, &MONTHS, length)?;
        self.month = place + 1;
        Some(rest)
    }

    /// Digits behind a point or comma, if there are any.
    fn fraction<'a>(&mut self, text: &'a str) -> &'a str {
        let Some(behind) = text.strip_prefix(['.', ',']) else { return text };
        let count = behind.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return text;
        }
        self.ns = format!("{:0<9}", &behind[..count])[..9].parse().unwrap_or(0);
        &behind[count..]
    }

    fn offset<'a>(&mut self, source: &str, text: &'a str) -> Option<&'a str> {
        if source.starts_with('Z')
            && let Some(rest) = text.strip_prefix('Z')
        {
            return Some(rest);
        }
        let sign = match text.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let (mut rest, mut unit, mut layout) = (&text[1..], 3600, &source[1..]);
        while !layout.is_empty() {
            if let Some(behind) = layout.strip_prefix(':') {
                (layout, rest) = (behind, rest.strip_prefix(':')?);
            }
            let (number, behind) = digits::<i32>(rest, 2..=2)?;
            self.offset_seconds += sign * number * unit;
            (layout, rest, unit) = (layout.get(2..)?, behind, unit / 60);
        }
        Some(rest)
    }

    fn time(&self) -> Option<GoTime> {
        let hour = match self.is_afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let month = self.month;
        let date = jiff::civil::Date::new(self.year, month, self.day).ok()?;
        let time = jiff::civil::Time::new(hour, self.minute, self.second, self.ns).ok()?;
        let offset = jiff::tz::Offset::from_seconds(self.offset_seconds).ok()?;
        let zone = if self.offset_seconds == 0 { TimeZone::UTC } else { TimeZone::fixed(offset) };
        date.to_datetime(time).to_zoned(zone).ok().map(GoTime)
    }
}
