//! From a sample to the series it belongs to: dialects, mapping rules, names.
//!
//! In: one parsed sample and where it came from. Out: a [`Spec`] of its series, or why there is
//! none. Never here: values, the series themselves, time. The aggregation remembers the answer for
//! each spelling, so that none of this is on the way of a sample that was seen before.

use std::borrow::Cow;

use super::line::{Event, Kind, Reason, Value};
use super::mapping::{Action, Mapper};
use super::metrics::Counts;
use super::name::{self, Dialects, Tags, escape};
use super::observer::ObserverOptions;

/// Timers are sent in milliseconds and kept in seconds.
const TIMER_DIVISOR: f64 = 1000.0;

/// What a sign before the value of a gauge means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignedGauges {
    /// A change, unless the line carries a section that only DogStatsD clients send: they mean the
    /// value itself.
    #[default]
    Auto,
    /// A change, always: statsd_exporter's way.
    Relative,
    /// The value itself, always.
    Absolute,
}

impl SignedGauges {
    /// Whether a signed value is the gauge's new value.
    pub fn sets(self, dogstatsd: bool) -> bool {
        match self {
            SignedGauges::Auto => dogstatsd,
            SignedGauges::Relative => false,
            SignedGauges::Absolute => true,
        }
    }
}

/// What kind of series a sample goes to.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Adds up; negative samples are refused.
    Counter,
    /// Is set or moved.
    Gauge,
    /// Counts distinct members.
    Set,
    /// Observes.
    Observer(ObserverOptions),
}

/// The series a spelling belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The metric's name, escaped; never empty.
    pub family: String,
    /// Labels beside the name.
    pub tags: Vec<(String, String)>,
    /// The kind of series.
    pub what: What,
    /// Help text; empty when not given.
    pub help: String,
    /// How long the series lives without a sample, in ms; 0 for ever.
    pub ttl_ms: i64,
    /// What values are multiplied by.
    pub scale: f64,
    /// What the values of timers are divided by.
    pub timer_divisor: f64,
    /// The mapping rule, by position.
    pub rule: Option<u32>,
}

/// What becomes of a spelling.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolution {
    /// It has a series.
    Series(Box<Spec>),
    /// A mapping rule, by position, throws it away.
    Dropped(u32),
    /// It cannot have one.
    Refused(Reason),
}

/// All that decides which series a sample belongs to.
#[derive(Debug, Default)]
pub struct Resolver {
    /// Tag dialects.
    pub dialects: Dialects,
    /// Signs of gauges.
    pub signed_gauges: SignedGauges,
    /// Mapping rules.
    pub mapper: Mapper,
}

impl Resolver {
    /// Resolves a sample. Adds tags that were left out to `counts`.
    pub fn resolve(&self, event: &Event<'_>, counts: &mut Counts) -> Resolution {
        let read = name::read(event.name, event.tags, event.container, self.dialects, counts);
        match read {
            Ok((name, tags)) => self.named(&name, tags, &event.value),
            Err(reason) => Resolution::Refused(reason),
        }
    }

    /// The series of one of the receiver's own metrics, with the tags a DogStatsD client sent.
    pub fn own(&self, family: &str, tags: &str, what: What, counts: &mut Counts) -> Spec {
        // Only a name with tags in it is ever refused.
        let read = name::read("", tags, "", self.dialects, counts);
        Spec {
            family: family.to_owned(),
            tags: read.map(|(_, tags)| owned(tags)).unwrap_or_default(),
            what,
            help: String::new(),
            ttl_ms: self.mapper.ttl_ms,
            scale: 1.0,
            timer_divisor: TIMER_DIVISOR,
            rule: None,
        }
    }

    fn named(&self, name: &str, mut tags: Tags<'_>, value: &Value<'_>) -> Resolution {
        let kind = value.kind();
        let Some(mapped) = self.mapper.find(name, kind) else {
            return self.unmapped(name, tags, kind);
        };
        let (rule, index) = (mapped.rule, mapped.index as u32);
        if rule.action == Action::Drop {
            return Resolution::Dropped(index);
        }
        if mapped.name.is_empty() {
            return Resolution::Refused(Reason::EmptyMetricName);
        }
        for (key, value) in mapped.labels {
            let sent = tags.iter().any(|(known, _)| known == key);
            if !(sent && rule.honor_labels) {
                tags.retain(|(known, _)| known != key);
                tags.push((key.to_owned(), Cow::Owned(value)));
            }
        }
        Resolution::Series(Box::new(Spec {
            family: escape(&mapped.name),
            tags: owned(tags),
            what: what(kind, &rule.observer),
            help: rule.help.clone(),
            ttl_ms: rule.ttl_ms,
            scale: rule.scale,
            timer_divisor: TIMER_DIVISOR,
            rule: Some(index),
        }))
    }

    fn unmapped(&self, name: &str, tags: Tags<'_>, kind: Kind) -> Resolution {
        let family = escape(name);
        if family.is_empty() {
            return Resolution::Refused(Reason::EmptyMetricName);
        }
        Resolution::Series(Box::new(Spec {
            family,
            tags: owned(tags),
            what: what(kind, &self.mapper.observer),
            help: String::new(),
            ttl_ms: self.mapper.ttl_ms,
            scale: 1.0,
            timer_divisor: TIMER_DIVISOR,
            rule: None,
        }))
    }
}

fn what(kind: Kind, observer: &ObserverOptions) -> What {
    match kind {
        Kind::Counter => What::Counter,
        Kind::Gauge => What::Gauge,
        Kind::Set => What::Set,
        Kind::Observer => What::Observer(observer.clone()),
    }
}

/// The tags as labels; an empty value is no label.
fn owned(tags: Tags<'_>) -> Vec<(String, String)> {
    let tags = tags.into_iter().filter(|(_, value)| !value.is_empty());
    tags.map(|(key, value)| (key, value.into_owned())).collect()
}
