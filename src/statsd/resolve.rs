//! From a sample to the series it belongs to: dialects, mapping rules, names.
//!
//! In: one parsed sample and where it came from. Out: a [`Spec`] of its series, or why there is
//! none. Never here: values, the series themselves, time. The aggregation remembers the answer for
//! each spelling, so that none of this is on the way of a sample that was seen before.

use std::borrow::Cow;

use super::airflow::{Airflow, Answer, Form, Knowledge};
use super::line::{Event, Kind, Reason};
use super::listen::source::Origin;
use super::mapping::{Action, Mapped, Mapper};
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
    /// What is special about it.
    pub treatment: Treatment,
}

impl Spec {
    /// An ordinary series without labels.
    pub fn new(family: String, what: What) -> Spec {
        Spec {
            family,
            tags: Vec::new(),
            what,
            help: String::new(),
            ttl_ms: 0,
            scale: 1.0,
            timer_divisor: TIMER_DIVISOR,
            rule: None,
            treatment: Treatment::default(),
        }
    }
}

/// What is special about a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Treatment {
    /// A gauge that counts up and down: counter samples of either sign are added to it.
    pub signed: bool,
    /// Its sum never falls below zero: a sample was lost.
    pub floor: bool,
    /// Every observation comes twice.
    pub drop_repeats: bool,
    /// Not written for a while: a better form of the metric may be about to come.
    pub hold: bool,
    /// The same metric comes in other forms.
    pub twin: Option<Twin>,
}

/// One form of a metric that comes in several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twin {
    /// Whose metric it is.
    pub instance: u16,
    /// Which metric it is.
    pub metric: u16,
    /// The form.
    pub form: Form,
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
    /// Another form of the same metric is kept.
    Duplicate,
    /// This value says nothing; another one of the same spelling may.
    Nothing,
    /// More has to be known about the sender first.
    Waits,
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
    /// The built-in mapping for Airflow; `None` when it is off. Mapping rules come first.
    pub airflow: Option<Airflow>,
    /// Labels every series gets that has no tag of that name.
    pub labels: Vec<(String, String)>,
}

impl Resolver {
    /// Resolves a sample. Adds tags that were left out to `counts`, and what the sample tells about
    /// its sender to `knowledge`.
    pub fn resolve(
        &self,
        origin: Origin,
        event: &Event<'_>,
        knowledge: &mut Knowledge,
        counts: &mut Counts,
    ) -> Resolution {
        let read = name::read(event.name, event.tags, event.container, self.dialects, counts);
        let (name, mut tags) = match read {
            Ok(read) => read,
            Err(reason) => return Resolution::Refused(reason),
        };
        for (key, value) in &self.labels {
            if tags.iter().all(|(known, _)| known != key) {
                tags.push((key.clone(), Cow::Borrowed(value)));
            }
        }
        let kind = event.value.kind();
        if let Some(mapped) = self.mapper.find(&name, kind) {
            return mapped_to(mapped, tags, kind);
        }
        let airflow = self.airflow.as_ref();
        let answer = airflow.and_then(|airflow| {
            airflow.resolve(origin, &name, &tags, &event.value, event.dogstatsd, knowledge)
        });
        match answer {
            Some(Answer::Series(spec)) => Resolution::Series(spec),
            Some(Answer::Duplicate) => Resolution::Duplicate,
            Some(Answer::Nothing) => Resolution::Nothing,
            Some(Answer::Waits) => Resolution::Waits,
            None => self.unmapped(&name, tags, kind),
        }
    }

    /// The series of one of the receiver's own metrics, with the tags a DogStatsD client sent.
    pub fn own(&self, family: &str, tags: &str, what: What, counts: &mut Counts) -> Spec {
        // Only a name with tags in it is ever refused.
        let read = name::read("", tags, "", self.dialects, counts);
        Spec {
            tags: read.map(|(_, tags)| owned(tags)).unwrap_or_default(),
            ttl_ms: self.mapper.ttl_ms,
            ..Spec::new(family.to_owned(), what)
        }
    }

    fn unmapped(&self, name: &str, tags: Tags<'_>, kind: Kind) -> Resolution {
        let family = escape(name);
        if family.is_empty() {
            return Resolution::Refused(Reason::EmptyMetricName);
        }
        Resolution::Series(Box::new(Spec {
            tags: owned(tags),
            ttl_ms: self.mapper.ttl_ms,
            ..Spec::new(family, what(kind, &self.mapper.observer))
        }))
    }
}

fn mapped_to(mapped: Mapped<'_>, mut tags: Tags<'_>, kind: Kind) -> Resolution {
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
        tags: owned(tags),
        help: rule.help.clone(),
        ttl_ms: rule.ttl_ms,
        scale: rule.scale,
        rule: Some(index),
        ..Spec::new(escape(&mapped.name), what(kind, &rule.observer))
    }))
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
