//! What can be called on times, durations and named numbers.

use super::{Call, Method, Param, text_at};
use crate::template::time::{GoTime, duration_text};
use crate::template::value::Value;

const TIME: Param = Param::Of("time.Time");
const DURATION: Param = Param::Of("time.Duration");

/// Methods of `time.Time`.
pub static TIME_METHODS: &[Method] = &[
    Method { name: "Add", params: &[DURATION], call: add },
    Method { name: "AddDate", params: &[Param::Int, Param::Int, Param::Int], call: add_date },
    Method { name: "After", params: &[TIME], call: |_, t, args| compare(t, args, |ns| ns > 0) },
    Method { name: "Before", params: &[TIME], call: |_, t, args| compare(t, args, |ns| ns < 0) },
    Method {
        name: "Compare",
        params: &[TIME],
        call: |_, t, a| Ok(Value::Int(diff(t, a).signum())),
    },
    Method { name: "Equal", params: &[TIME], call: |_, t, args| compare(t, args, |ns| ns == 0) },
    Method { name: "Sub", params: &[TIME], call: |_, t, args| Ok(Value::Duration(diff(t, args))) },
    Method { name: "Format", params: &[Param::Text], call: format },
    Method { name: "IsZero", params: &[], call: |_, t, _| Ok(Value::Bool(time(t).is_zero())) },
    Method { name: "String", params: &[], call: |_, t, _| Ok(time(t).to_string().into()) },
    Method { name: "UTC", params: &[], call: |_, t, _| in_zone(t, "UTC") },
    Method { name: "Local", params: &[], call: |_, t, _| in_zone(t, "Local") },
    Method { name: "Year", params: &[], call: |_, t, _| int(time(t).0.year()) },
    Method { name: "Month", params: &[], call: month },
    Method { name: "Day", params: &[], call: |_, t, _| int(time(t).0.day()) },
    Method { name: "Weekday", params: &[], call: weekday },
    Method { name: "YearDay", params: &[], call: |_, t, _| int(time(t).0.day_of_year()) },
    Method { name: "Hour", params: &[], call: |_, t, _| int(time(t).0.hour()) },
    Method { name: "Minute", params: &[], call: |_, t, _| int(time(t).0.minute()) },
    Method { name: "Second", params: &[], call: |_, t, _| int(time(t).0.second()) },
    Method { name: "Nanosecond", params: &[], call: |_, t, _| int(time(t).0.subsec_nanosecond()) },
    Method { name: "Unix", params: &[], call: |_, t, _| unix(t, 1_000_000_000) },
    Method { name: "UnixMilli", params: &[], call: |_, t, _| unix(t, 1_000_000) },
    Method { name: "UnixMicro", params: &[], call: |_, t, _| unix(t, 1_000) },
    Method { name: "UnixNano", params: &[], call: |_, t, _| unix(t, 1) },
    Method { name: "Truncate", params: &[DURATION], call: truncate },
];

/// Methods of `time.Duration`.
pub static DURATION_METHODS: &[Method] = &[
    Method { name: "Hours", params: &[], call: |_, d, _| float(d, 3.6e12) },
    Method { name: "Minutes", params: &[], call: |_, d, _| float(d, 6e10) },
    Method { name: "Seconds", params: &[], call: |_, d, _| float(d, 1e9) },
    Method { name: "Milliseconds", params: &[], call: |_, d, _| Ok((ns(d) / 1_000_000).into()) },
    Method { name: "Microseconds", params: &[], call: |_, d, _| Ok((ns(d) / 1_000).into()) },
    Method { name: "Nanoseconds", params: &[], call: |_, d, _| Ok(ns(d).into()) },
    Method { name: "String", params: &[], call: |_, d, _| Ok(duration_text(ns(d)).into()) },
    Method {
        name: "Abs",
        params: &[],
        call: |_, d, _| Ok(Value::Duration(ns(d).saturating_abs())),
    },
    Method { name: "Round", params: &[DURATION], call: round },
    Method { name: "Truncate", params: &[DURATION], call: truncate_duration },
];

/// Methods of weekdays and months.
pub static NAMED_METHODS: &[Method] = &[Method {
    name: "String",
    params: &[],
    call: |_, value, _| Ok(Value::text(value.own_display().unwrap_or_default())),
}];

fn time(value: &Value) -> GoTime {
    match value {
        Value::Time(time) => (**time).clone(),
        _ => GoTime::zero(),
    }
}

fn ns(value: &Value) -> i64 {
    value.as_int().unwrap_or(0)
}

fn int(number: impl Into<i64>) -> Result<Value, String> {
    Ok(Value::Int(number.into()))
}

fn float(value: &Value, unit: f64) -> Result<Value, String> {
    Ok(Value::Float(ns(value) as f64 / unit))
}

fn diff(value: &Value, args: &[Value]) -> i64 {
    time(value).since_ns(&args.first().map(time).unwrap_or_else(GoTime::zero))
}

fn compare(value: &Value, args: &[Value], test: fn(i64) -> bool) -> Result<Value, String> {
    Ok(Value::Bool(test(diff(value, args))))
}

fn with_time(time: Option<GoTime>) -> Result<Value, String> {
    time.map(|t| Value::Time(t.into())).ok_or_else(|| "time is outside the calendar".to_owned())
}

fn add(_: &mut Call<'_>, value: &Value, args: &[Value]) -> Result<Value, String> {
    with_time(time(value).add_ns(args.first().map_or(0, ns)))
}

fn add_date(_: &mut Call<'_>, value: &Value, args: &[Value]) -> Result<Value, String> {
    let part = |i: usize| args.get(i).and_then(Value::as_int).unwrap_or(0);
    let span = jiff::Span::new()
        .try_years(part(0))
        .and_then(|s| s.try_months(part(1)))
        .and_then(|s| s.try_days(part(2)));
    with_time(span.and_then(|span| time(value).0.checked_add(span)).ok().map(GoTime))
}

fn format(call: &mut Call<'_>, value: &Value, args: &[Value]) -> Result<Value, String> {
    let mut text = call.text();
    time(value).format(&mut text, text_at(args, 0))?;
    call.finish(text)
}

fn in_zone(value: &Value, zone: &str) -> Result<Value, String> {
    with_time(time(value).in_zone(zone))
}

fn month(_: &mut Call<'_>, value: &Value, _: &[Value]) -> Result<Value, String> {
    let (name, number) = time(value).month();
    Ok(Value::Named("time.Month", number, name))
}

fn weekday(_: &mut Call<'_>, value: &Value, _: &[Value]) -> Result<Value, String> {
    let (name, number) = time(value).weekday();
    Ok(Value::Named("time.Weekday", number, name))
}

fn unix(value: &Value, unit_ns: i128) -> Result<Value, String> {
    let count = time(value).0.timestamp().as_nanosecond().div_euclid(unit_ns);
    i64::try_from(count).map(Value::Int).map_err(|_| "time does not fit 64 bits".to_owned())
}

/// Rounded down to a multiple since the zero time.
fn truncate(_: &mut Call<'_>, value: &Value, args: &[Value]) -> Result<Value, String> {
    let unit = i128::from(args.first().map_or(0, ns));
    let time = time(value);
    if unit <= 0 {
        return with_time(Some(time));
    }
    let zero = GoTime::zero().0.timestamp().as_nanosecond();
    let over = (time.0.timestamp().as_nanosecond() - zero).rem_euclid(unit);
    with_time(time.add_ns(-i64::try_from(over).unwrap_or(0)))
}

/// To the nearest multiple, halves away from zero.
fn round(_: &mut Call<'_>, value: &Value, args: &[Value]) -> Result<Value, String> {
    let (own, unit) = (ns(value), args.first().map_or(0, ns));
    if unit <= 0 {
        return Ok(Value::Duration(own));
    }
    let over = own % unit;
    let down = own - over;
    let is_up = over.unsigned_abs() >= unit.unsigned_abs() - over.unsigned_abs();
    let step = if own < 0 { -unit } else { unit };
    Ok(Value::Duration(if is_up { down.saturating_add(step) } else { down }))
}

fn truncate_duration(_: &mut Call<'_>, value: &Value, args: &[Value]) -> Result<Value, String> {
    let (own, unit) = (ns(value), args.first().map_or(0, ns));
    Ok(Value::Duration(if unit <= 0 { own } else { own - own % unit }))
}
