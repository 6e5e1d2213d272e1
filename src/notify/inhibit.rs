//! Inhibition: alerts that keep others quiet.
//!
//! In: rules, and alerts as they come and go. Out: for an alert the one that keeps it quiet. Never
//! here: whether an alert still fires; the caller says so.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use super::config::InhibitRule;
use crate::model::{Labels, Matcher};

/// The sides of the rules an alert is on; computed once for each alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// Rules it can be a source of: (rule, hash of its equal labels).
    sources: Box<[(u16, u64)]>,
    /// Rules it can be a target of.
    targets: Box<[(u16, u64)]>,
}

/// The rules with all alerts that can be a source, whether they fire or not.
#[derive(Debug, Default)]
pub struct Inhibitor {
    rules: Vec<InhibitRule>,
    /// Rule -> hash of the equal labels -> alerts.
    sources: Vec<HashMap<u64, Vec<u32>, FixedState>>,
}

/// Most rules: their numbers are kept with each alert.
pub const INHIBIT_RULES_MAX: usize = u16::MAX as usize;

impl Inhibitor {
    /// Rules without alerts; those beyond [`INHIBIT_RULES_MAX`] are left out.
    pub fn new(rules: &[InhibitRule]) -> Inhibitor {
        let rules: Vec<InhibitRule> = rules.iter().take(INHIBIT_RULES_MAX).cloned().collect();
        let sources = rules.iter().map(|_| HashMap::default()).collect();
        Inhibitor { rules, sources }
    }

    /// The sides of an alert with these labels.
    pub fn sides(&self, labels: &Labels) -> Sides {
        let (mut sources, mut targets) = (Vec::new(), Vec::new());
        for (number, rule) in (0u16..).zip(&self.rules) {
            if all_match(&rule.source, labels) {
                sources.push((number, equal_hash(rule, labels)));
            }
            if all_match(&rule.target, labels) {
                targets.push((number, equal_hash(rule, labels)));
            }
        }
        Sides { sources: sources.into(), targets: targets.into() }
    }

    /// Takes an alert in.
    pub fn add(&mut self, alert: u32, sides: &Sides) {
        for (rule, hash) in &sides.sources {
            self.sources[usize::from(*rule)].entry(*hash).or_default().push(alert);
        }
    }

    /// Takes an alert out.
    pub fn remove(&mut self, alert: u32, sides: &Sides) {
        for (rule, hash) in &sides.sources {
            let by_hash = &mut self.sources[usize::from(*rule)];
            if let Some(alerts) = by_hash.get_mut(hash) {
                alerts.retain(|other| *other != alert);
                if alerts.is_empty() {
                    by_hash.remove(hash);
                }
            }
        }
    }

    /// The first alert that keeps one with these labels quiet: `firing` gives the labels and sides
    /// of an alert that fires.
    pub fn inhibited_by<'a>(
        &self,
        labels: &Labels,
        sides: &Sides,
        firing: impl Fn(u32) -> Option<(&'a Labels, &'a Sides)>,
    ) -> Option<u32> {
        sides.targets.iter().find_map(|(number, hash)| {
            let rule = &self.rules[usize::from(*number)];
            let two_sided = sides.sources.iter().any(|(source, _)| source == number);
            let holds = |alert: &&u32| {
                let Some((source, of)) = firing(**alert) else { return false };
                // An alert on both sides is not kept quiet by another one on both sides.
                let source_two_sided = of.targets.iter().any(|(target, _)| target == number);
                !(two_sided && source_two_sided)
                    && rule.equal.iter().all(|name| source.value(name) == labels.value(name))
            };
            self.sources[usize::from(*number)].get(hash)?.iter().find(holds).copied()
        })
    }
}

fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches_labels(labels))
}

/// Equal for equal values; others are told apart afterwards.
fn equal_hash(rule: &InhibitRule, labels: &Labels) -> u64 {
    let mut hasher = FixedState::with_seed(0).build_hasher();
    for name in &rule.equal {
        hasher.write(labels.value(name).as_bytes());
        hasher.write_u8(0xff);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::matcher::{Grammar, parse_matchers};

    fn rule(source: &str, target: &str, equal: &[&str]) -> InhibitRule {
        let read = |text: &str| parse_matchers(text, Grammar::Fallback).expect(text).matchers;
        InhibitRule {
            name: String::new(),
            source: read(source),
            target: read(target),
            equal: equal.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// Which of `alerts` keeps each of them quiet, those in `resolved` not firing.
    fn inhibited(rules: &[InhibitRule], alerts: &[&str], resolved: &[u32]) -> Vec<Option<u32>> {
        let labels = |text: &&str| {
            let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
            Labels::from_pairs(pairs).expect("valid")
        };
        let labels: Vec<Labels> = alerts.iter().map(labels).collect();
        let mut inhibitor = Inhibitor::new(rules);
        let sides: Vec<Sides> = labels.iter().map(|labels| inhibitor.sides(labels)).collect();
        for (number, sides) in (0..).zip(&sides) {
            inhibitor.add(number, sides);
        }
        let firing = |alert: u32| {
            let at = alert as usize;
            (!resolved.contains(&alert)).then(|| (&labels[at], &sides[at]))
        };
        let all = labels.iter().zip(&sides);
        all.map(|(labels, sides)| inhibitor.inhibited_by(labels, sides, firing)).collect()
    }

    #[test]
    fn equal_labels_decide_and_absent_equals_empty() {
        let rules = [rule("s=crit", "s=warn", &["c", "n"])];
        let alerts = ["s=crit c=1", "s=warn c=1", "s=warn c=2", "s=warn c=1 n=x", "s=crit"];
        assert_eq!(inhibited(&rules, &alerts, &[]), [None, Some(0), None, None, None]);
        assert_eq!(inhibited(&rules, &alerts, &[0]), [None; 5]);
    }

    #[test]
    fn an_alert_on_both_sides_is_not_kept_quiet_by_its_like() {
        let rules = [rule("a=~\".+\"", "a=~\".+\",b=1", &[])];
        // Both of the first two are on both sides, the third only a source.
        assert_eq!(inhibited(&rules, &["a=1 b=1", "a=2 b=1"], &[]), [None, None]);
        assert_eq!(
            inhibited(&rules, &["a=1 b=1", "a=2 b=1", "a=3"], &[]),
            [Some(2), Some(2), None]
        );
    }

    #[test]
    fn without_equal_labels_any_source_counts_while_one_fires() {
        let rules = [rule("s=crit", "s=warn", &[])];
        let alerts = ["s=crit x=1", "s=crit x=2", "s=warn"];
        assert_eq!(inhibited(&rules, &alerts, &[0])[2], Some(1));
        assert_eq!(inhibited(&rules, &alerts, &[0, 1])[2], None);
    }
}
