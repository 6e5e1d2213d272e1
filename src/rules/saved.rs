//! What is kept of alerts over a restart: one small record an alert, under group, rule and labels.
//!
//! Keys: `len group-key len rule-key packed-labels`, lengths as four bytes; the record under
//! `len group-key` alone is the time of the group's latest evaluation that was kept. A record that
//! cannot be read is left out: its alert begins anew.

use super::alert::{ActiveAlert, AlertState};
use super::rule::Rule;
use super::seams::StateStore;
use super::spec::GroupSpec;
use crate::model::{Annotations, Labels, Timestamp};

/// First byte of a record.
const VERSION: u8 = 1;

/// Key of the record of a group.
pub(super) fn group_key(group: &GroupSpec) -> Vec<u8> {
    let mut key = Vec::new();
    push_text(&mut key, group.key().as_bytes());
    key
}

/// What the keys of a rule's alerts begin with.
pub(super) fn rule_key(group: &GroupSpec, rule: &Rule) -> Vec<u8> {
    let mut key = group_key(group);
    push_text(&mut key, rule.key().as_bytes());
    key
}

/// Key of an alert.
pub(super) fn alert_key(rule_key: &[u8], labels: &Labels) -> Vec<u8> {
    [rule_key, labels.as_packed()].concat()
}

fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    let len = u32::try_from(text.len()).expect("BUG: names come from files of a bounded size");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(text);
}

/// The record of an alert.
pub(super) fn encode(alert: &ActiveAlert) -> Vec<u8> {
    let mut out = vec![VERSION, alert.state as u8];
    out.extend_from_slice(&alert.value.to_bits().to_le_bytes());
    let times = [
        alert.active_at,
        alert.fired_at,
        alert.resolved_at,
        alert.last_sent_at,
        alert.keep_firing_since,
    ];
    times.iter().for_each(|time| out.extend_from_slice(&time.to_le_bytes()));
    alert.annotations.pack(&mut out);
    out
}

/// The alert of a record.
fn decode(mut record: &[u8]) -> Option<ActiveAlert> {
    let [version, state] = *record.split_off(..2)? else { return None };
    let state = match (version, state) {
        (VERSION, 0) => AlertState::Inactive,
        (VERSION, 1) => AlertState::Pending,
        (VERSION, 2) => AlertState::Firing,
        _ => return None,
    };
    let mut word = || Some(u64::from_le_bytes(record.split_off(..8)?.try_into().ok()?));
    let value = f64::from_bits(word()?);
    let mut times = [0; 5];
    for time in &mut times {
        *time = word()?.cast_signed();
    }
    Some(ActiveAlert::kept(Annotations::from_packed(record)?, value, state, times))
}

/// What was kept of a group.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// When it was evaluated last; `None` when it never was.
    pub evaluated_at: Option<Timestamp>,
    /// Keys of rules that there are not.
    pub unknown: Vec<Vec<u8>>,
}

/// Puts the alerts that were kept into their rules.
///
/// # Errors
/// The store cannot be read; says why.
pub(super) fn load(
    store: &dyn StateStore,
    group: &GroupSpec,
    rules: &[Rule],
) -> Result<Loaded, String> {
    let own = group_key(group);
    let prefixes: Vec<Vec<u8>> = rules.iter().map(|rule| rule_key(group, rule)).collect();
    let mut loaded = Loaded::default();
    store.load(&own, &mut |key, record| {
        if key == own {
            let time = <[u8; 8]>::try_from(record).map(i64::from_le_bytes);
            loaded.evaluated_at = time.ok().map(Timestamp);
            return;
        }
        let Some(at) = prefixes.iter().position(|prefix| key.starts_with(prefix)) else {
            loaded.unknown.push(key.to_owned());
            return;
        };
        let labels = Labels::from_packed(&key[prefixes[at].len()..]);
        match (labels, decode(record)) {
            (Ok(labels), Some(alert)) => rules[at].alerts().put(labels, alert),
            _ => loaded.unknown.push(key.to_owned()),
        }
    })?;
    Ok(loaded)
}

/// Keys of rules of the group that there are not (any more).
///
/// # Errors
/// The store cannot be read; says why.
pub(super) fn unknown(
    store: &dyn StateStore,
    group: &GroupSpec,
    rules: &[Rule],
) -> Result<Vec<Vec<u8>>, String> {
    let own = group_key(group);
    let prefixes: Vec<Vec<u8>> = rules.iter().map(|rule| rule_key(group, rule)).collect();
    let mut unknown = Vec::new();
    store.load(&own, &mut |key, _| {
        let is_known = key == own || prefixes.iter().any(|prefix| key.starts_with(prefix));
        unknown.extend((!is_known).then(|| key.to_owned()));
    })?;
    Ok(unknown)
}

/// Every key of the group.
///
/// # Errors
/// The store cannot be read; says why.
pub(super) fn all_of_group(
    store: &dyn StateStore,
    group: &GroupSpec,
) -> Result<Vec<Vec<u8>>, String> {
    let mut all = Vec::new();
    store.load(&group_key(group), &mut |key, _| all.push(key.to_owned()))?;
    Ok(all)
}

/// Keys of groups that are none of `groups`.
///
/// # Errors
/// The store cannot be read; says why.
pub(super) fn of_other_groups<'a>(
    store: &dyn StateStore,
    groups: impl Iterator<Item = &'a GroupSpec>,
) -> Result<Vec<Vec<u8>>, String> {
    let own: Vec<Vec<u8>> = groups.map(group_key).collect();
    let mut others = Vec::new();
    store.load(&[], &mut |key, _| {
        let is_own = own.iter().any(|own| key.starts_with(own));
        others.extend((!is_own).then(|| key.to_owned()));
    })?;
    Ok(others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::alert::NEVER;

    #[test]
    fn a_record_comes_back_and_half_a_one_does_not() {
        let texts: Annotations = [("a", ""), ("b", "text")].into_iter().collect();
        let times = [1, 2, NEVER, 4, 5];
        let alert = ActiveAlert::kept(texts.clone(), f64::NAN, AlertState::Firing, times);
        let record = encode(&alert);
        let back = decode(&record).expect("a record");
        assert_eq!((back.annotations, back.state), (texts, AlertState::Firing));
        assert_eq!((back.active_at, back.resolved_at, back.last_sent_at), (1, NEVER, 4));
        assert!(back.value.is_nan());
        let whole = (0..record.len()).filter(|cut| decode(&record[..*cut]).is_some());
        // Cut between texts it is a record with fewer of them.
        assert_eq!(whole.collect::<Vec<_>>(), [50, 59]);
    }
}
