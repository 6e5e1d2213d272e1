//! The StatsD line grammar, as a pure parser.
//!
//! In: the bytes of one line. Out: samples, events and service checks borrowed from it, or the
//! reason why a part of it is refused. Never here: state, sockets, tags inside of names (those are
//! [`super::name`]'s).
//!
//! ```text
//! line    = name ":" sample *( ":" sample ) | event | check
//! sample  = value *( ":" value ) "|" type *( "|" section )
//! type    = "c" | "g" | "ms" | "h" | "d" | "s"
//! section = "@" rate | "#" tags | "c:" container | "T" seconds | anything else, which is skipped
//! ```
//! Several values before one type are DogStatsD's packing, several samples after one name are
//! statsd_exporter's; both are taken. Only `@` sections end at a colon: the other ones may contain
//! it. Refusals carry the reasons of statsd_exporter's `sample_errors_total`. Events (`_e{`) and
//! service checks (`_sc|`) are [`super::notice`]'s.

use super::notice::{self, Check, Notice};

/// Smallest accepted sampling rate: one sample never stands for more than a million observations,
/// so that a typing error cannot dwarf everything else in a summary.
pub const RATE_MIN: f64 = 1e-6;

/// What kind of metric a sample belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `c`: adds to a counter.
    Counter,
    /// `g`: sets or moves a gauge.
    Gauge,
    /// `ms`, `h`, `d`: one observation of a distribution.
    Observer,
    /// `s`: one member of a set.
    Set,
}

impl Kind {
    /// All kinds, in the order of their metrics.
    pub const ALL: [Kind; 4] = [Kind::Counter, Kind::Gauge, Kind::Observer, Kind::Set];

    /// The `type` label of the receiver's own metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Observer => "observer",
            Kind::Set => "set",
        }
    }
}

/// What a sample says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// The counter grows by this, the sampling rate already applied; whether it may be negative is
    /// the aggregation's question.
    Count(f64),
    /// The gauge becomes this.
    GaugeSet(f64),
    /// The gauge moves by this.
    GaugeAdd(f64),
    /// So many observations of one value.
    Observe {
        /// The observed value as sent: milliseconds for timers.
        value: f64,
        /// How many observations it stands for: 1 divided by the sampling rate, rounded down.
        weight: u64,
        /// Whether the type was `ms`.
        timer: bool,
    },
    /// This member was seen.
    Member(&'a str),
}

impl Value<'_> {
    /// The kind of metric this value belongs to.
    pub const fn kind(&self) -> Kind {
        match self {
            Value::Count(_) => Kind::Counter,
            Value::GaugeSet(_) | Value::GaugeAdd(_) => Kind::Gauge,
            Value::Observe { .. } => Kind::Observer,
            Value::Member(_) => Kind::Set,
        }
    }
}

/// One sample of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event<'a> {
    /// The metric name as sent, tags of the Influx, Librato, SignalFx and Graphite dialects
    /// included; never empty.
    pub name: &'a str,
    /// The DogStatsD tags as sent (`k:v,k2:v2`), without the `#`; empty when there are none.
    pub tags: &'a str,
    /// The sender's container (`c:` section); empty when not given.
    pub container: &'a str,
    /// What is said about the metric.
    pub value: Value<'a>,
    /// When it was so (`T` section), in seconds since the epoch; only on counters and gauges.
    pub timestamp: Option<i64>,
    /// Whether a sign in front of a gauge's value was dropped because a DogStatsD client sent it.
    pub dogstatsd: bool,
}

/// What a line holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<'a> {
    /// A sample of a metric.
    Sample(Event<'a>),
    /// A DogStatsD event.
    Notice(Notice<'a>),
    /// A DogStatsD service check.
    Check(Check<'a>),
}

/// Why a line or one of its samples is refused; named as in statsd_exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No colon, no name, or not UTF-8.
    MalformedLine,
    /// Nothing that looks like `value|type` after the name.
    NotEnoughPartsAfterColon,
    /// Packed values of a type that cannot be packed.
    InvalidExtendedAggregateType,
    /// A further sample without a type, or an empty section.
    MalformedComponent,
    /// The value is not a finite number.
    MalformedValue,
    /// The sampling rate is not a number from [`RATE_MIN`] to 1.
    InvalidSampleFactor,
    /// A type that is not known, or an event or service check that cannot be read.
    IllegalEvent,
    /// A counter would shrink.
    IllegalNegativeCounter,
    /// Tags both in the name and in a DogStatsD section.
    MixedTaggingStyles,
    /// A container section without content.
    MalformedContainerId,
    /// A timestamp that is no number of seconds, or too far in the future.
    MalformedTimestamp,
    /// A mapping rule made an empty name.
    EmptyMetricName,
}

impl Reason {
    /// All reasons, in the order of their metrics.
    pub const ALL: [Reason; 12] = [
        Reason::MalformedLine,
        Reason::NotEnoughPartsAfterColon,
        Reason::InvalidExtendedAggregateType,
        Reason::MalformedComponent,
        Reason::MalformedValue,
        Reason::InvalidSampleFactor,
        Reason::IllegalEvent,
        Reason::IllegalNegativeCounter,
        Reason::MixedTaggingStyles,
        Reason::MalformedContainerId,
        Reason::MalformedTimestamp,
        Reason::EmptyMetricName,
    ];

    /// The `reason` label of the receiver's own metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::MalformedLine => "malformed_line",
            Reason::NotEnoughPartsAfterColon => "not_enough_parts_after_colon",
            Reason::InvalidExtendedAggregateType => "invalid_extended_aggregate_type",
            Reason::MalformedComponent => "malformed_component",
            Reason::MalformedValue => "malformed_value",
            Reason::InvalidSampleFactor => "invalid_sample_factor",
            Reason::IllegalEvent => "illegal_event",
            Reason::IllegalNegativeCounter => "illegal_negative_counter",
            Reason::MixedTaggingStyles => "mixed_tagging_styles",
            Reason::MalformedContainerId => "malformed_container_id",
            Reason::MalformedTimestamp => "malformed_timestamp",
            Reason::EmptyMetricName => "empty_metric_name",
        }
    }
}

/// Parses one line without its line end and hands each sample, or why it is refused, to `each`.
#[inline]
pub fn parse_line<'a>(line: &'a [u8], mut each: impl FnMut(Result<Item<'a>, Reason>)) {
    let Ok(line) = std::str::from_utf8(line) else {
        return each(Err(Reason::MalformedLine));
    };
    if line.starts_with("_e{") {
        return each(notice::parse_event(line).map(Item::Notice).ok_or(Reason::IllegalEvent));
    }
    if let Some(rest) = line.strip_prefix("_sc|") {
        return each(notice::parse_check(rest).map(Item::Check).ok_or(Reason::IllegalEvent));
    }
    let Some((name, mut rest)) = split_name(line) else {
        return each(Err(Reason::MalformedLine));
    };
    if memchr::memchr(b'|', rest.as_bytes()).is_none() {
        return each(Err(Reason::NotEnoughPartsAfterColon));
    }
    loop {
        let (sample, tail) = split_sample(rest);
        match sample {
            Ok(sample) => emit(name, &sample, &mut each),
            Err(reason) => each(Err(reason)),
        }
        match tail {
            Some(tail) => rest = tail,
            None => return,
        }
    }
}

fn split_name(line: &str) -> Option<(&str, &str)> {
    let colon = memchr::memchr(b':', line.as_bytes()).filter(|colon| *colon > 0)?;
    Some((&line[..colon], &line[colon + 1..]))
}

/// One sample, cut into its parts.
struct Parts<'a> {
    values: &'a str,
    kind: &'a str,
    rate: Option<&'a str>,
    tags: &'a str,
    container: &'a str,
    timestamp: Option<i64>,
    /// Carries a section that only DogStatsD clients send.
    dogstatsd: bool,
}

/// Cuts the first sample off `text`: its parts, or what is wrong with them, and the text after the
/// colon that ends it.
#[inline]
fn split_sample(text: &str) -> (Result<Parts<'_>, Reason>, Option<&str>) {
    let Some(bar) = memchr::memchr(b'|', text.as_bytes()) else {
        return (Err(Reason::MalformedComponent), None);
    };
    let (kind, mut rest) = split_at_any(&text[bar + 1..], b"|:");
    let values = &text[..bar];
    let mut parts = Parts {
        values,
        kind,
        rate: None,
        tags: "",
        container: "",
        timestamp: None,
        dogstatsd: false,
    };
    let mut wrong = None;
    while let Some(after) = rest.strip_prefix('|') {
        let ends: &[u8] = if after.starts_with('@') { b"|:" } else { b"|" };
        let (section, tail) = split_at_any(after, ends);
        rest = tail;
        wrong = wrong.or(take_section(section, &mut parts).err());
    }
    (wrong.map_or(Ok(parts), Err), rest.strip_prefix(':'))
}

/// Sections that are not known are skipped: newer clients send more of them.
fn take_section<'a>(section: &'a str, parts: &mut Parts<'a>) -> Result<(), Reason> {
    match section.as_bytes() {
        [] => return Err(Reason::MalformedComponent),
        [b'@', ..] => {
            parts.rate = Some(&section[1..]);
            return Ok(());
        }
        [b'#', ..] => parts.tags = &section[1..],
        [b'c', b':'] => return Err(Reason::MalformedContainerId),
        [b'c', b':', ..] => parts.container = &section[2..],
        [b'T', ..] => {
            let seconds = section[1..].parse().map_err(|_| Reason::MalformedTimestamp)?;
            parts.timestamp = Some(seconds);
        }
        _ => {}
    }
    parts.dogstatsd = true;
    Ok(())
}

/// Splits before the first byte of `ends`, which must be ASCII.
#[inline]
fn split_at_any<'a>(text: &'a str, ends: &[u8]) -> (&'a str, &'a str) {
    let end = text.bytes().position(|byte| ends.contains(&byte)).unwrap_or(text.len());
    text.split_at(end)
}

#[inline]
fn emit<'a>(name: &'a str, parts: &Parts<'a>, each: &mut impl FnMut(Result<Item<'a>, Reason>)) {
    let rate = match parts.rate.map_or(Ok(1.0), parse_rate) {
        Ok(rate) => rate,
        Err(reason) => return each(Err(reason)),
    };
    let packed = memchr::memchr(b':', parts.values.as_bytes()).is_some();
    if packed && parts.kind == "s" {
        return each(Err(Reason::InvalidExtendedAggregateType));
    }
    let mut one = |text: &'a str| {
        let value = parse_value(text, parts, rate);
        each(value.map(|value| {
            let timed = matches!(value.kind(), Kind::Counter | Kind::Gauge);
            Item::Sample(Event {
                name,
                tags: parts.tags,
                container: parts.container,
                value,
                timestamp: parts.timestamp.filter(|_| timed),
                dogstatsd: parts.dogstatsd,
            })
        }));
    };
    match packed {
        false => one(parts.values),
        true => parts.values.split(':').for_each(one),
    }
}

fn parse_rate(text: &str) -> Result<f64, Reason> {
    match text.parse::<f64>() {
        // As statsd_exporter: a rate of zero means "not sampled".
        Ok(0.0) => Ok(1.0),
        Ok(rate) if (RATE_MIN..=1.0).contains(&rate) => Ok(rate),
        _ => Err(Reason::InvalidSampleFactor),
    }
}

#[inline]
fn parse_value<'a>(text: &'a str, parts: &Parts<'a>, rate: f64) -> Result<Value<'a>, Reason> {
    match parts.kind {
        "c" => match number(text)? / rate {
            count if count.is_infinite() => Err(Reason::MalformedValue),
            count => Ok(Value::Count(count)),
        },
        "g" => number(text).map(|value| match text.starts_with(['+', '-']) {
            true => Value::GaugeAdd(value),
            false => Value::GaugeSet(value),
        }),
        "ms" => Ok(observe(number(text)?, rate, true)),
        "h" | "d" => Ok(observe(number(text)?, rate, false)),
        "s" => Ok(Value::Member(text)),
        _ => Err(Reason::IllegalEvent),
    }
}

fn observe<'a>(value: f64, rate: f64, timer: bool) -> Value<'a> {
    // `rate` is at least RATE_MIN, so the quotient is small; the fraction goes, as in
    // statsd_exporter.
    Value::Observe { value, weight: (1.0 / rate) as u64, timer }
}

/// Longest number taken as digits: 15 of them fit a float exactly.
const DIGITS_EXACT: usize = 15;

#[inline]
fn number(text: &str) -> Result<f64, Reason> {
    let digits = text.as_bytes();
    if !digits.is_empty() && digits.len() <= DIGITS_EXACT && digits.iter().all(u8::is_ascii_digit) {
        let whole = digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        return Ok(whole as f64);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(Reason::MalformedValue),
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
