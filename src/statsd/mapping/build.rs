//! From what a mapping file holds to checked rules; the checks and defaults are statsd_exporter's.

use super::file::{
    GoDuration, RawAction, RawDefaults, RawFile, RawHistogram, RawKind, RawMatchType, RawObserver,
    RawQuantile, RawRule, RawSummary,
};
use super::glob::{Globs, PARTS_MAX};
use super::regexes::Regexes;
use super::template::Template;
use super::{Action, Mapper, RULES_MAX, Rule};
use crate::statsd::line::Kind;
use crate::statsd::observer::{HistogramOptions, NativeOptions, ObserverOptions, SummaryOptions};

/// Checks a file and makes a mapper of it.
pub(super) fn build(file: RawFile) -> Result<Mapper, String> {
    let defaults = file.defaults.unwrap_or_default();
    let raw_rules = file.mappings.unwrap_or_default();
    if raw_rules.len() > RULES_MAX {
        return Err(format!("has {} mappings, more than {RULES_MAX}", raw_rules.len()));
    }
    let observer = observer(&defaults, &RawRule::default())?;
    let mut rules = Vec::with_capacity(raw_rules.len());
    let mut globs = Globs::new(defaults.glob_disable_ordering.unwrap_or(false));
    for (index, raw) in raw_rules.into_iter().enumerate() {
        let rule = rule(raw, &defaults).map_err(|why| format!("mapping {index}: {why}"))?;
        if !rule.is_regex {
            globs.add(&rule.pattern, rule.only, index);
        }
        rules.push(rule);
    }
    globs.complete();
    let patterns: Vec<(usize, &str)> = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.is_regex)
        .map(|(index, rule)| (index, rule.pattern.as_str()))
        .collect();
    let regexes = Regexes::new(&patterns)?;
    Ok(Mapper { rules, globs, regexes, observer, ttl_ms: ttl(defaults.ttl) })
}

fn ttl(duration: Option<GoDuration>) -> i64 {
    duration.map_or(0, |ttl| ttl.0)
}

fn rule(raw: RawRule, defaults: &RawDefaults) -> Result<Rule, String> {
    let observer = observer(defaults, &raw)?;
    let match_type = raw.match_type.or(defaults.match_type).unwrap_or(RawMatchType::Glob);
    let pattern = raw.pattern.unwrap_or_default().0;
    let is_regex = match_type == RawMatchType::Regex;
    if !is_regex && !is_glob(&pattern) {
        return Err(format!(
            "invalid match {pattern:?}: the parts of a glob are letters, digits, _ and -, or just *"
        ));
    }
    let name = raw.name.unwrap_or_default().0;
    if name.is_empty() {
        return Err("has no name; one is needed even to drop metrics".to_owned());
    }
    if !is_name_template(&name) {
        return Err(format!("{name:?} is not a metric name"));
    }
    let labels = raw.labels.unwrap_or_default();
    if let Some(key) = labels.keys().find(|key| !is_label_name(key)) {
        return Err(format!("invalid label key {key:?}: at least two of letters, digits and _"));
    }
    Ok(Rule {
        pattern,
        is_regex,
        action: match raw.action {
            Some(RawAction::Drop) => Action::Drop,
            Some(RawAction::Map) | None => Action::Map,
        },
        only: raw.match_metric_type.map(|kind| match kind {
            RawKind::Counter => Kind::Counter,
            RawKind::Gauge => Kind::Gauge,
            RawKind::Observer => Kind::Observer,
        }),
        help: raw.help.unwrap_or_default().0,
        honor_labels: raw.honor_labels.unwrap_or(false),
        ttl_ms: match ttl(raw.ttl) {
            0 => ttl(defaults.ttl),
            own => own,
        },
        scale: raw.scale.unwrap_or(1.0),
        observer,
        name: Template::new(&name),
        labels: labels
            .into_iter()
            .map(|(key, value)| (key, Template::new(&value.unwrap_or_default().0)))
            .collect(),
    })
}

/// What observations become under a rule.
fn observer(defaults: &RawDefaults, rule: &RawRule) -> Result<ObserverOptions, String> {
    let kind = rule.observer_type.or(defaults.observer_type);
    let default_histogram = merged_histogram(&defaults.histogram_options, &defaults.buckets);
    let default_summary = merged_summary(&defaults.summary_options, &defaults.quantiles);
    let own_histogram = rule.histogram_options.is_some() || rule.buckets.is_some();
    let own_summary = rule.summary_options.is_some() || rule.quantiles.is_some();
    let histogram = merged_histogram(&rule.histogram_options, &rule.buckets);
    let summary = merged_summary(&rule.summary_options, &rule.quantiles);
    match kind {
        Some(RawObserver::Histogram) if own_summary => {
            Err("cannot use histogram observer and summary options at the same time".to_owned())
        }
        Some(RawObserver::Summary) if own_histogram => {
            Err("cannot use summary observer and histogram options at the same time".to_owned())
        }
        Some(RawObserver::Histogram) => histogram_options(&histogram, &default_histogram),
        Some(RawObserver::Summary) | None => summary_options(&summary, &default_summary),
    }
}

fn merged_histogram(options: &Option<RawHistogram>, buckets: &Option<Vec<f64>>) -> RawHistogram {
    let mut options = options.clone().unwrap_or_default();
    options.buckets = options.buckets.or_else(|| buckets.clone()).filter(|all| !all.is_empty());
    options
}

fn merged_summary(
    options: &Option<RawSummary>,
    quantiles: &Option<Vec<RawQuantile>>,
) -> RawSummary {
    let mut options = options.clone().unwrap_or_default();
    let all = options.quantiles.or_else(|| quantiles.clone());
    options.quantiles = all.filter(|all| !all.is_empty());
    options
}

/// A native histogram is made when a bucket factor is given, classic buckets when buckets are given
/// or no factor is: statsd_exporter always keeps both and leaves the choice to the scrape.
fn histogram_options(
    own: &RawHistogram,
    defaults: &RawHistogram,
) -> Result<ObserverOptions, String> {
    let factor = own.native_histogram_bucket_factor.or(defaults.native_histogram_bucket_factor);
    let max = own.native_histogram_max_buckets.or(defaults.native_histogram_max_buckets);
    let native = factor.and_then(|factor| NativeOptions::new(factor, max.unwrap_or(0)));
    let given = own.buckets.clone().or_else(|| defaults.buckets.clone());
    let buckets = match (given, &native) {
        (Some(buckets), _) => buckets,
        (None, Some(_)) => Vec::new(),
        (None, None) => HistogramOptions::BUCKETS.to_vec(),
    };
    HistogramOptions::new(buckets, native).map(ObserverOptions::histogram)
}

fn summary_options(own: &RawSummary, defaults: &RawSummary) -> Result<ObserverOptions, String> {
    let quantiles = own.quantiles.clone().or_else(|| defaults.quantiles.clone());
    let targets = match quantiles {
        Some(quantiles) => quantiles.iter().map(|q| (q.quantile, q.error)).collect(),
        None => SummaryOptions::TARGETS.to_vec(),
    };
    let max_age = own.max_age.or(defaults.max_age).map_or(0, |age| age.0);
    let slices = own.age_buckets.or(defaults.age_buckets).unwrap_or(0);
    SummaryOptions::new(targets, max_age, slices).map(ObserverOptions::summary)
}

/// `*` or a name that starts with a letter or underscore, then any number of parts that are `*` or a
/// name.
fn is_glob(pattern: &str) -> bool {
    if pattern.split('.').count() > PARTS_MAX {
        return false;
    }
    pattern.split('.').enumerate().all(|(i, part)| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let start = |byte: u8| byte == b'_' || byte.is_ascii_alphabetic();
        let first_legal = part.bytes().next().is_some_and(|byte| match i {
            0 => start(byte),
            _ => start(byte) || byte.is_ascii_digit(),
        });
        part == "*" || first_legal && part.bytes().all(legal)
    })
}

/// Letters, digits, underscores and captures; not a digit first.
fn is_name_template(name: &str) -> bool {
    let mut rest = name;
    while let Some(at) = rest.find('$') {
        if !rest[..at].bytes().all(is_name_byte) {
            return false;
        }
        let after = &rest[at + 1..];
        let open = after.starts_with('{');
        let digits = &after[usize::from(open)..];
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return false;
        }
        // Both braces are optional, each by itself, as in statsd_exporter.
        rest = digits[count..].strip_prefix('}').unwrap_or(&digits[count..]);
    }
    rest.bytes().all(is_name_byte) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_label_name(key: &str) -> bool {
    let start = |byte: &u8| *byte == b'_' || byte.is_ascii_alphabetic();
    key.len() >= 2 && key.as_bytes().first().is_some_and(start) && key.bytes().all(is_name_byte)
}
