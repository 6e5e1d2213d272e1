//! The file as a whole.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::error::Mistake;
use super::nulls::Nulls;
use super::receiver::RawReceiver;
use super::route::{Known, RawInhibitRule, RawRoute, check_root};
use super::{AlertConfig, Global, Receiver};
use crate::notify::interval::TimeInterval;

/// What stands in a file; [`super::build`] checks it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub struct AlertFile {
    global: Option<Spanned<Global>>,
    templates: Option<Vec<String>>,
    route: Option<Spanned<RawRoute>>,
    inhibit_rules: Option<Vec<Spanned<RawInhibitRule>>>,
    mute_time_intervals: Option<Vec<Spanned<NamedInterval>>>,
    time_intervals: Option<Vec<Spanned<NamedInterval>>>,
    receivers: Option<Vec<Spanned<RawReceiver>>>,
    tracing: Option<Spanned<IgnoredAny>>,
    event_recorder: Option<Spanned<IgnoredAny>>,
}

impl<'de> Deserialize<'de> for AlertFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AlertFile, D::Error> {
        // What is derived goes by the same name and comes first.
        AlertFile::deserialize(Nulls(deserializer))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedInterval {
    #[serde(default)]
    name: String,
    #[serde(default)]
    time_intervals: Vec<TimeInterval>,
}

struct Names<'a> {
    receivers: HashSet<&'a str>,
    intervals: &'a BTreeMap<String, Vec<TimeInterval>>,
}

impl Known for Names<'_> {
    fn receiver(&self, name: &str) -> bool {
        name.is_empty() || self.receivers.contains(name)
    }

    fn time_interval(&self, name: &str) -> bool {
        self.intervals.contains_key(name)
    }
}

impl AlertFile {
    pub(super) fn build(self, base: &Path) -> Result<AlertConfig, Mistake> {
        let mut warnings = self.not_acted_on();
        let global = global(self.global, base)?;
        let receivers = receivers(self.receivers.unwrap_or_default(), &global, base)?;
        let old = self.mute_time_intervals.unwrap_or_default();
        let time_intervals = intervals(old, self.time_intervals.unwrap_or_default())?;
        let names = Names {
            receivers: receivers.iter().map(|receiver| receiver.name.as_str()).collect(),
            intervals: &time_intervals,
        };
        let Some(route) = self.route else {
            return Err("no route provided in config".to_owned().into());
        };
        let place = Spanned::new((), route.referenced, route.defined);
        let route = route.value.build(&names, 0, &mut warnings)?;
        check_root(&route).map_err(|why| Mistake::at(&place, why))?;
        let mut inhibit_rules = Vec::new();
        for rule in self.inhibit_rules.unwrap_or_default() {
            let place = Spanned::new((), rule.referenced, rule.defined);
            let rule = rule.value.build(&mut warnings);
            inhibit_rules.push(rule.map_err(|why| Mistake::at(&place, why))?);
        }
        let templates = self.templates.unwrap_or_default();
        let seen = |pattern: String| super::absolute(base, Path::new(&pattern));
        Ok(AlertConfig {
            resolve_timeout: global.resolve_timeout.0,
            templates: templates
                .into_iter()
                .map(|pattern| seen(pattern).to_string_lossy().into_owned())
                .collect(),
            route,
            inhibit_rules,
            time_intervals,
            receivers,
            yaml: String::new(),
            warnings,
        })
    }

    fn not_acted_on(&self) -> Vec<String> {
        let keys = [("tracing", &self.tracing), ("event_recorder", &self.event_recorder)];
        let line = |spot: &Option<Spanned<IgnoredAny>>| Some(spot.as_ref()?.defined.line());
        keys.into_iter()
            .filter_map(|(key, spot)| Some((key, line(spot)?)))
            .map(|(key, line)| format!("line {line}: {key} is read but not acted on"))
            .collect()
    }
}

fn global(given: Option<Spanned<Global>>, base: &Path) -> Result<Global, Mistake> {
    let Some(mut given) = given else { return Ok(Global::default()) };
    let checked = given.value.complete(base);
    checked.map_err(|why| Mistake::at(&given, why))?;
    Ok(given.value)
}

fn receivers(
    raw: Vec<Spanned<RawReceiver>>,
    global: &Global,
    base: &Path,
) -> Result<Vec<Arc<Receiver>>, Mistake> {
    let mut names = HashSet::new();
    let mut built: Vec<Arc<Receiver>> = Vec::new();
    for receiver in raw {
        let place = Spanned::new((), receiver.referenced, receiver.defined);
        let receiver = receiver.value.build(global, base, &place)?;
        if !names.insert(receiver.name.clone()) {
            let why = format!("notification config name {:?} is not unique", receiver.name);
            return Err(Mistake::at(&place, why));
        }
        built.push(Arc::new(receiver));
    }
    Ok(built)
}

fn intervals(
    old: Vec<Spanned<NamedInterval>>,
    new: Vec<Spanned<NamedInterval>>,
) -> Result<BTreeMap<String, Vec<TimeInterval>>, Mistake> {
    let mut all = BTreeMap::new();
    for interval in old.into_iter().chain(new) {
        let place = Spanned::new((), interval.referenced, interval.defined);
        let interval = interval.value;
        if interval.name.is_empty() {
            return Err(Mistake::at(&place, "missing name in time interval"));
        }
        let name = interval.name.clone();
        if all.insert(interval.name, interval.time_intervals).is_some() {
            return Err(Mistake::at(&place, format!("time interval {name:?} is not unique")));
        }
    }
    Ok(all)
}
