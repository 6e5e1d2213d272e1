//! `route`: the routing tree as it is written, each node with only what it says itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_saphyr::Spanned;

use super::error::Mistake;
use super::go_duration::PromDuration;
use crate::model::Matcher;
use crate::model::labels::is_legacy_name;
use crate::notify::matcher::{Grammar, matcher_of, parse_matchers, sort_matchers};

/// Deepest nesting of routes; walking them recurses.
const ROUTE_DEPTH_MAX: usize = 64;

/// One node of the tree. What is `None` is taken over from its parent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteConfig {
    /// Where its alerts go.
    pub receiver: Option<String>,
    /// By which labels its alerts are grouped.
    pub group_by: Option<GroupBy>,
    /// What alerts have to match, sorted; `match` and `match_re` included.
    pub matchers: Vec<Matcher>,
    /// Times in which it is silent.
    pub mute_time_intervals: Vec<String>,
    /// Times outside of which it is silent; always active when empty.
    pub active_time_intervals: Vec<String>,
    /// Whether its siblings are tried after it matched.
    pub continue_matching: bool,
    /// Its children, in order.
    pub routes: Vec<RouteConfig>,
    /// How long a new group waits for further alerts.
    pub group_wait: Option<Duration>,
    /// How long a group waits after a notification; more than zero.
    pub group_interval: Option<Duration>,
    /// After which time an unchanged group is told again; more than zero.
    pub repeat_interval: Option<Duration>,
    /// Labels for templates; values are templates themselves.
    pub labels: BTreeMap<String, String>,
}

/// By which labels alerts are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// By all: each alert is a group (`...`).
    All,
    /// By these, ascending; by none there is one group.
    Labels(Vec<String>),
}

/// A node as it stands in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRoute {
    pub receiver: Option<Spanned<String>>,
    group_by: Option<Spanned<Vec<String>>>,
    r#match: BTreeMap<String, Option<String>>,
    match_re: BTreeMap<String, Option<String>>,
    matchers: RawMatchers,
    pub mute_time_intervals: Vec<Spanned<String>>,
    pub active_time_intervals: Vec<Spanned<String>>,
    r#continue: bool,
    pub routes: Vec<RawRoute>,
    group_wait: Option<PromDuration>,
    group_interval: Option<Spanned<PromDuration>>,
    repeat_interval: Option<Spanned<PromDuration>>,
    labels: BTreeMap<String, String>,
}

/// A list of texts, each of which may hold several matchers.
#[derive(Clone, Debug, Default)]
pub(super) struct RawMatchers {
    matchers: Vec<Matcher>,
    pub warnings: Vec<String>,
}

impl<'de> Deserialize<'de> for RawMatchers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawMatchers, D::Error> {
        let mut all = RawMatchers::default();
        for text in Option::<Vec<OneText>>::deserialize(deserializer)?.unwrap_or_default() {
            all.matchers.extend(text.0.matchers);
            all.warnings.extend(text.0.warning);
        }
        Ok(all)
    }
}

/// One text of matchers, read where it stands so that a mistake has its place.
struct OneText(crate::notify::matcher::Parsed);

impl<'de> Deserialize<'de> for OneText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneText, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_matchers(&text, Grammar::Fallback).map(OneText).map_err(de::Error::custom)
    }
}

/// All matchers of a node or of one side of an inhibition rule, sorted.
pub(super) fn all_matchers(
    equal: &BTreeMap<String, Option<String>>,
    regex: &BTreeMap<String, Option<String>>,
    listed: &RawMatchers,
) -> Result<Vec<Matcher>, String> {
    let mut all = listed.matchers.clone();
    for (old, is_regex) in [(equal, false), (regex, true)] {
        for (name, value) in old {
            if !is_legacy_name(name) {
                return Err(format!("invalid label name {name:?}"));
            }
            let value = match value {
                Some(value) => value,
                None if is_regex => return Err(format!("invalid regexp value for {name:?}")),
                None => "",
            };
            let matcher = matcher_of(name, value, is_regex, true);
            all.push(matcher.map_err(|error| format!("label {name:?}: {error}"))?);
        }
    }
    sort_matchers(&mut all);
    Ok(all)
}

impl RawRoute {
    /// Builds the node and all below it. `known` says whether receivers and time intervals exist.
    pub(super) fn build(
        self,
        known: &dyn Known,
        depth: usize,
        warnings: &mut Vec<String>,
    ) -> Result<RouteConfig, Mistake> {
        if depth > ROUTE_DEPTH_MAX {
            return Err(format!("routes are nested deeper than {ROUTE_DEPTH_MAX}").into());
        }
        if let Some(receiver) = self.receiver.as_ref().filter(|r| !known.receiver(&r.value)) {
            let why = format!("undefined receiver {:?} used in route", receiver.value);
            return Err(Mistake::at(receiver, why));
        }
        for interval in self.mute_time_intervals.iter().chain(&self.active_time_intervals) {
            if !known.time_interval(&interval.value) {
                let why = format!("undefined time interval {:?} used in route", interval.value);
                return Err(Mistake::at(interval, why));
            }
        }
        if self.labels.keys().any(String::is_empty) {
            return Err("invalid label name \"\" in route labels".to_owned().into());
        }
        warnings.extend(self.matchers.warnings.iter().cloned());
        let matchers = all_matchers(&self.r#match, &self.match_re, &self.matchers)?;
        let routes = self.routes.into_iter().map(|route| route.build(known, depth + 1, warnings));
        Ok(RouteConfig {
            matchers,
            routes: routes.collect::<Result<_, _>>()?,
            receiver: self.receiver.map(|name| name.value).filter(|name| !name.is_empty()),
            group_by: self.group_by.map(|names| group_by(&names)).transpose()?,
            mute_time_intervals: values(self.mute_time_intervals),
            active_time_intervals: values(self.active_time_intervals),
            continue_matching: self.r#continue,
            group_wait: self.group_wait.map(|wait| wait.0),
            group_interval: not_zero("group_interval", self.group_interval)?,
            repeat_interval: not_zero("repeat_interval", self.repeat_interval)?,
            labels: self.labels,
        })
    }
}

/// Which names may be used in routes.
pub(super) trait Known {
    fn receiver(&self, name: &str) -> bool;
    fn time_interval(&self, name: &str) -> bool;
}

fn values(all: Vec<Spanned<String>>) -> Vec<String> {
    all.into_iter().map(|spanned| spanned.value).collect()
}

fn not_zero(key: &str, value: Option<Spanned<PromDuration>>) -> Result<Option<Duration>, Mistake> {
    match value {
        Some(zero) if zero.value.0.is_zero() => {
            Err(Mistake::at(&zero, format!("{key} cannot be zero")))
        }
        value => Ok(value.map(|duration| duration.value.0)),
    }
}

fn group_by(names: &Spanned<Vec<String>>) -> Result<GroupBy, Mistake> {
    let mut labels = names.value.clone();
    let all = labels.iter().any(|name| name == "...");
    labels.retain(|name| name != "...");
    if all && !labels.is_empty() {
        let why = "cannot have wildcard group_by (`...`) and other labels at the same time";
        return Err(Mistake::at(names, why));
    }
    labels.sort();
    if let Some(twice) = labels.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Mistake::at(names, format!("duplicated label {:?} in group_by", twice[0])));
    }
    if labels.first().is_some_and(String::is_empty) {
        return Err(Mistake::at(names, "invalid label name \"\" in group_by list"));
    }
    Ok(if all { GroupBy::All } else { GroupBy::Labels(labels) })
}

/// Checks what only the root must not have: it takes every alert, at all times.
pub(super) fn check_root(route: &RouteConfig) -> Result<(), String> {
    let refused = |what: &str| Err(format!("root route must not have any {what}"));
    if route.receiver.is_none() {
        return Err("root route must specify a default receiver".to_owned());
    }
    if !route.matchers.is_empty() {
        return refused("matchers");
    }
    if !route.mute_time_intervals.is_empty() {
        return refused("mute time intervals");
    }
    if !route.active_time_intervals.is_empty() {
        return refused("active time intervals");
    }
    if route.continue_matching {
        return Err("cannot have continue in root route".to_owned());
    }
    Ok(())
}

/// One rule of `inhibit_rules` as it stands in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawInhibitRule {
    name: String,
    source_match: BTreeMap<String, Option<String>>,
    source_match_re: BTreeMap<String, Option<String>>,
    source_matchers: RawMatchers,
    target_match: BTreeMap<String, Option<String>>,
    target_match_re: BTreeMap<String, Option<String>>,
    target_matchers: RawMatchers,
    equal: Vec<String>,
}

impl RawInhibitRule {
    pub(super) fn build(
        mut self,
        warnings: &mut Vec<String>,
    ) -> Result<super::InhibitRule, String> {
        if self.equal.iter().any(String::is_empty) {
            return Err("invalid label name \"\" in equal list".to_owned());
        }
        self.equal.sort();
        self.equal.dedup();
        warnings.append(&mut self.source_matchers.warnings);
        warnings.append(&mut self.target_matchers.warnings);
        let source = all_matchers(&self.source_match, &self.source_match_re, &self.source_matchers);
        let target = all_matchers(&self.target_match, &self.target_match_re, &self.target_matchers);
        Ok(super::InhibitRule {
            name: self.name,
            source: source?,
            target: target?,
            equal: self.equal,
        })
    }
}
