//! The StatsD line grammar, as a pure parser.
//!
//! In: the bytes of one line. Out: events borrowed from it, or the reason why a sample of it is
//! refused. Never here: state, allocation, sockets.
//!
//! ```text
//! line    = name ":" sample *( ":" sample )
//! sample  = value *( ":" value ) "|" type *( "|" section )
//! type    = "c" | "g" | "ms" | "h" | "d" | "s"
//! section = "@" rate | "#" tags | anything else, which is skipped
//! ```
//! Several values before one type are DogStatsD's packing, several samples after one name are
//! statsd_exporter's; both are taken. Only `@` sections end at a colon: the other ones may contain
//! it. Refusals carry the reasons of statsd_exporter's `sample_errors_total`.

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
    /// The counter grows by this, the sampling rate already applied; never negative.
    Count(f64),
    /// The gauge becomes this.
    GaugeSet(f64),
    /// The gauge moves by this.
    GaugeAdd(f64),
    /// So many observations of one value; `ms` is already in seconds.
    Observe {
        /// The observed value; seconds for timers.
        value: f64,
        /// How many observations it stands for: 1 divided by the sampling rate, rounded down.
        weight: u64,
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
    /// The metric name as sent, not escaped; never empty.
    pub name: &'a str,
    /// The DogStatsD tags as sent (`k:v,k2:v2`), without the `#`; empty when there are none.
    pub tags: &'a str,
    /// What is said about the metric.
    pub value: Value<'a>,
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
    /// A type that is not known; DogStatsD events and service checks.
    IllegalEvent,
    /// A counter would shrink.
    IllegalNegativeCounter,
}

impl Reason {
    /// All reasons, in the order of their metrics.
    pub const ALL: [Reason; 8] = [
        Reason::MalformedLine,
        Reason::NotEnoughPartsAfterColon,
        Reason::InvalidExtendedAggregateType,
        Reason::MalformedComponent,
        Reason::MalformedValue,
        Reason::InvalidSampleFactor,
        Reason::IllegalEvent,
        Reason::IllegalNegativeCounter,
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
        }
    }
}

/// Parses one line without its line end and hands each sample, or why it is refused, to `each`.
pub fn parse_line<'a>(line: &'a [u8], mut each: impl FnMut(Result<Event<'a>, Reason>)) {
    if line.starts_with(b"_e{") || line.starts_with(b"_sc|") {
        return each(Err(Reason::IllegalEvent));
    }
    let Some((name, mut rest)) = split_name(line) else {
        return each(Err(Reason::MalformedLine));
    };
    if !rest.contains('|') {
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

fn split_name(line: &[u8]) -> Option<(&str, &str)> {
    let (name, rest) = std::str::from_utf8(line).ok()?.split_once(':')?;
    (!name.is_empty()).then_some((name, rest))
}

/// One sample, cut into its parts.
struct Parts<'a> {
    values: &'a str,
    kind: &'a str,
    rate: Option<&'a str>,
    tags: &'a str,
    /// Carries a section that only DogStatsD clients send.
    dogstatsd: bool,
}

/// Cuts the first sample off `text`: its parts, or what is wrong with them, and the text after the
/// colon that ends it.
fn split_sample(text: &str) -> (Result<Parts<'_>, Reason>, Option<&str>) {
    let Some((values, rest)) = text.split_once('|') else {
        return (Err(Reason::MalformedComponent), None);
    };
    let (kind, mut rest) = split_at_any(rest, b"|:");
    let mut parts = Parts { values, kind, rate: None, tags: "", dogstatsd: false };
    let mut sound = true;
    while let Some(after) = rest.strip_prefix('|') {
        let ends: &[u8] = if after.starts_with('@') { b"|:" } else { b"|" };
        let (section, tail) = split_at_any(after, ends);
        rest = tail;
        match section.as_bytes().first() {
            Some(b'@') => parts.rate = Some(&section[1..]),
            Some(b'#') => parts.tags = &section[1..],
            Some(_) => {}
            None => sound = false,
        }
        parts.dogstatsd |= !section.starts_with('@');
    }
    (if sound { Ok(parts) } else { Err(Reason::MalformedComponent) }, rest.strip_prefix(':'))
}

/// Splits before the first byte of `ends`, which must be ASCII.
fn split_at_any<'a>(text: &'a str, ends: &[u8]) -> (&'a str, &'a str) {
    let end = text.bytes().position(|byte| ends.contains(&byte)).unwrap_or(text.len());
    text.split_at(end)
}

fn emit<'a>(name: &'a str, parts: &Parts<'a>, each: &mut impl FnMut(Result<Event<'a>, Reason>)) {
    let rate = match parts.rate.map_or(Ok(1.0), parse_rate) {
        Ok(rate) => rate,
        Err(reason) => return each(Err(reason)),
    };
    if parts.kind == "s" && parts.values.contains(':') {
        return each(Err(Reason::InvalidExtendedAggregateType));
    }
    for text in parts.values.split(':') {
        let value = parse_value(text, parts, rate);
        each(value.map(|value| Event { name, tags: parts.tags, value }));
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

fn parse_value<'a>(text: &'a str, parts: &Parts<'a>, rate: f64) -> Result<Value<'a>, Reason> {
    match parts.kind {
        "c" => match number(text)? / rate {
            count if count < 0.0 => Err(Reason::IllegalNegativeCounter),
            count if count.is_infinite() => Err(Reason::MalformedValue),
            count => Ok(Value::Count(count)),
        },
        "g" => number(text).map(|value| {
            // A sign makes a plain gauge relative; DogStatsD clients mean an absolute value.
            let signed = text.starts_with(['+', '-']);
            if signed && !parts.dogstatsd { Value::GaugeAdd(value) } else { Value::GaugeSet(value) }
        }),
        "ms" => Ok(observe(number(text)? / 1000.0, rate)),
        "h" | "d" => Ok(observe(number(text)?, rate)),
        "s" => Ok(Value::Member(text)),
        _ => Err(Reason::IllegalEvent),
    }
}

fn observe<'a>(value: f64, rate: f64) -> Value<'a> {
    // `rate` is at least RATE_MIN, so the quotient is small; the fraction goes, as in
    // statsd_exporter.
    Value::Observe { value, weight: (1.0 / rate) as u64 }
}

fn number(text: &str) -> Result<f64, Reason> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(Reason::MalformedValue),
    }
}

/// The tags of a DogStatsD section as (key, value); `Err(())` for each tag without a value, without
/// a key, or with a reserved key (`__...`).
pub fn tags(section: &str) -> impl Iterator<Item = Result<(&str, &str), ()>> {
    section.split(',').filter(|tag| !tag.is_empty()).map(|tag| match tag.split_once(':') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() && !key.starts_with("__") => {
            Ok((key, value))
        }
        _ => Err(()),
    })
}

/// Appends `name` as a Prometheus name: every character outside `[A-Za-z0-9_]` becomes `_`, a run
/// of `-` a single one, and a leading digit gets a `_` before it (statsd_exporter's rules).
pub fn escape_into(name: &str, out: &mut String) {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    let mut previous = None;
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            out.push(c);
        } else if !(c == '-' && previous == Some('-')) {
            out.push('_');
        }
        previous = Some(c);
    }
}

/// [`escape_into`] a new string.
pub fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 1);
    escape_into(name, &mut out);
    out
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
