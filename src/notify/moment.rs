//! Moments as people name them: `Saturday 03:00`, `03:00`, `2026-11-21 03:00`.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};

use crate::model::Timestamp;

/// The moment that `text` names as seen at `now`: RFC 3339; a date with a time; a weekday with a
/// time, or a time alone, the next one that comes. `zone` is the IANA name of the time zone in which
/// it is meant; the machine's when not given.
///
/// # Errors
/// A sentence: it is none of these, or there is no such time zone.
pub fn parse_moment(text: &str, now: Timestamp, zone: Option<&str>) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp(at.as_millisecond()));
    }
    let zone = match zone {
        None => TimeZone::system(),
        Some(name) => TimeZone::get(name).map_err(|_| format!("unknown time zone {name:?}"))?,
    };
    let bad = || {
        format!("{text:?} is no moment such as \"Saturday 03:00\", 03:00 or 2026-11-21T03:00:00Z")
    };
    let now = jiff::Timestamp::from_millisecond(now.0).map_err(|_| bad())?.to_zoned(zone);
    let found = match text.split_once([' ', 'T']) {
        None => next_time(&now, time(text).ok_or_else(bad)?),
        Some((day, rest)) => {
            let time = time(rest.trim()).ok_or_else(bad)?;
            match (weekday(day), day.parse::<Date>()) {
                (Some(day), _) => next_weekday(&now, day, time),
                (None, Ok(date)) => at(&now, date, time),
                (None, Err(_)) => None,
            }
        }
    };
    found.map(|at| Timestamp(at.timestamp().as_millisecond())).ok_or_else(bad)
}

fn time(text: &str) -> Option<Time> {
    let (hour, rest) = text.split_once(':')?;
    let (minute, second) = rest.split_once(':').unwrap_or((rest, "0"));
    Time::new(hour.parse().ok()?, minute.parse().ok()?, second.parse().ok()?, 0).ok()
}

fn weekday(text: &str) -> Option<Weekday> {
    let all = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    let text = text.to_ascii_lowercase();
    let named = |name: &&str| text.len() >= 3 && name.starts_with(&text);
    let number = all.iter().position(named)?;
    Weekday::from_sunday_zero_offset(i8::try_from(number).ok()?).ok()
}

fn at(now: &Zoned, date: Date, time: Time) -> Option<Zoned> {
    date.to_datetime(time).to_zoned(now.time_zone().clone()).ok()
}

fn next_time(now: &Zoned, time: Time) -> Option<Zoned> {
    let today = at(now, now.date(), time)?;
    match today < *now {
        true => at(now, now.date().checked_add(1.day()).ok()?, time),
        false => Some(today),
    }
}

fn next_weekday(now: &Zoned, day: Weekday, time: Time) -> Option<Zoned> {
    let days = now.date().weekday().until(day);
    let date = now.date().checked_add(i64::from(days).days()).ok()?;
    let found = at(now, date, time)?;
    match found < *now {
        true => at(now, date.checked_add(7.days()).ok()?, time),
        false => Some(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_the_next_ones_that_come() {
        // A Saturday.
        let now: jiff::Timestamp = "2026-11-21T10:00:00Z".parse().expect("a time");
        let now = Timestamp(now.as_millisecond());
        for (text, zone, expected) in [
            ("Saturday 03:00", "UTC", "2026-11-28T03:00:00.000Z"),
            ("saturday 11:30", "UTC", "2026-11-21T11:30:00.000Z"),
            ("Mon 08:00", "UTC", "2026-11-23T08:00:00.000Z"),
            ("Mon 08:00", "Europe/Berlin", "2026-11-23T07:00:00.000Z"),
            ("09:00", "UTC", "2026-11-22T09:00:00.000Z"),
            ("2026-12-24 18:00", "America/New_York", "2026-12-24T23:00:00.000Z"),
            ("2026-12-24T18:00:00Z", "America/New_York", "2026-12-24T18:00:00.000Z"),
        ] {
            let found = parse_moment(text, now, Some(zone)).expect(text);
            assert_eq!(found.to_string(), expected, "{text}");
        }
        for text in ["", "soon", "Sat", "25:00", "Someday 03:00", "2026-13-01 03:00"] {
            assert!(parse_moment(text, now, Some("UTC")).is_err(), "{text}");
        }
        assert!(parse_moment("03:00", now, Some("Nowhere/Atall")).is_err());
    }
}
