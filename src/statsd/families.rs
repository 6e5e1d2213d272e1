//! Metric names in use, and what kind of metric each is.
//!
//! In: names and kinds. Out: whether a name is free for a kind, and what has to be declared. A name
//! keeps its first kind, also against the names a summary or histogram stores (`_sum`, `_count`,
//! `_bucket`); when the rules have changed since, the newer kind wins.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::observer::ObserverOptions;
use super::resolve::What;
use super::series::metric_type;
use crate::model::MetricMetadata;

/// The names.
#[derive(Debug, Default)]
pub(super) struct Families {
    known: HashMap<String, Family, RandomState>,
    generation: u64,
    undeclared: Vec<(String, MetricMetadata)>,
}

#[derive(Debug)]
struct Family {
    shape: Shape,
    generation: u64,
}

/// What two metrics of one name must agree in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Counter,
    Gauge,
    Set,
    Summary,
    Histogram,
}

/// Why a name is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// The name itself is of another kind, since before the rules changed.
    Older,
    /// It belongs to another metric.
    Present,
}

impl Shape {
    fn of(what: &What) -> Shape {
        match what {
            What::Counter => Shape::Counter,
            What::Gauge => Shape::Gauge,
            What::Set => Shape::Set,
            What::Observer(ObserverOptions::Summary(_)) => Shape::Summary,
            What::Observer(ObserverOptions::Histogram(_)) => Shape::Histogram,
        }
    }

    /// What it appends to its name in the store.
    fn suffixes(self) -> &'static [&'static str] {
        match self {
            Shape::Counter | Shape::Gauge | Shape::Set => &[],
            Shape::Summary => &["_sum", "_count"],
            Shape::Histogram => &["_sum", "_count", "_bucket"],
        }
    }
}

impl Families {
    /// From now on older families yield to newer ones.
    pub(super) fn start_generation(&mut self) {
        self.generation += 1;
    }

    /// Whether `name` is free for `what`.
    pub(super) fn check(&self, name: &str, what: &What) -> Result<(), Conflict> {
        let shape = Shape::of(what);
        if let Some(family) = self.known.get(name) {
            return match family.shape == shape {
                true => Ok(()),
                false if family.generation < self.generation => Err(Conflict::Older),
                false => Err(Conflict::Present),
            };
        }
        let taken = |suffix: &&str| {
            let owner = name.strip_suffix(suffix).and_then(|owner| self.known.get(owner));
            owner.is_some_and(|family| family.shape.suffixes().contains(suffix))
        };
        let takes = |suffix: &&str| self.known.contains_key(&format!("{name}{suffix}"));
        let all = Shape::Histogram.suffixes();
        match all.iter().any(taken) || shape.suffixes().iter().any(takes) {
            true => Err(Conflict::Present),
            false => Ok(()),
        }
    }

    /// Takes a name that is free.
    pub(super) fn add(&mut self, name: &str, what: &What, help: &str) {
        let generation = self.generation;
        let family = Family { shape: Shape::of(what), generation };
        if self.known.insert(name.to_owned(), family).is_none() {
            let (metric_type, help) = (metric_type(what), help.to_owned());
            let metadata = MetricMetadata { metric_type, help, ..MetricMetadata::default() };
            self.undeclared.push((name.to_owned(), metadata));
        }
    }

    /// Gives a name free.
    pub(super) fn remove(&mut self, name: &str) {
        self.known.remove(name);
    }

    /// What has to be declared.
    pub(super) fn undeclared(&self) -> &[(String, MetricMetadata)] {
        &self.undeclared
    }

    /// Says that the first `count` are declared.
    pub(super) fn declared(&mut self, count: usize) {
        self.undeclared.drain(..count.min(self.undeclared.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MetricType;
    use crate::statsd::observer::HistogramOptions;

    #[test]
    fn a_name_keeps_its_kind_until_the_rules_change() {
        let mut families = Families::default();
        families.add("x", &What::Counter, "");
        assert_eq!(families.check("x", &What::Gauge), Err(Conflict::Present));
        families.start_generation();
        assert_eq!(families.check("x", &What::Gauge), Err(Conflict::Older));
        families.remove("x");
        families.add("x", &What::Gauge, "");
        assert_eq!(families.check("x", &What::Counter), Err(Conflict::Present));
    }

    #[test]
    fn stored_names_of_histograms_are_taken() {
        let options = HistogramOptions::new(vec![1.0], None).expect("valid");
        let histogram = What::Observer(ObserverOptions::histogram(options));
        let summary = What::Observer(ObserverOptions::default());
        let mut families = Families::default();
        families.add("h", &histogram, "");
        families.add("s", &summary, "");
        families.add("c_bucket", &What::Counter, "");
        for taken in ["h_sum", "h_bucket", "s_count"] {
            assert_eq!(families.check(taken, &What::Counter), Err(Conflict::Present), "{taken}");
        }
        assert_eq!(families.check("s_bucket", &What::Counter), Ok(()));
        assert_eq!(families.check("c", &histogram), Err(Conflict::Present));
        assert_eq!(families.check("c", &summary), Ok(()));
        assert_eq!(families.undeclared()[0].1.metric_type, MetricType::Histogram);
    }
}
