//! What is allowed in rule files and yet likely a mistake.

use std::collections::BTreeMap;

use crate::rules::spec::GroupSpec;

/// Rules of one name with the same labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Name of the series or alert.
    pub name: String,
    /// Their labels, as they stand in the file.
    pub labels: Vec<(String, String)>,
}

/// Rules that occur more than once in `groups`: same name and same labels, whatever they evaluate.
/// Each is named once, ascending.
pub fn duplicates(groups: &[GroupSpec]) -> Vec<Duplicate> {
    let mut seen: BTreeMap<(String, Vec<(String, String)>), usize> = BTreeMap::new();
    for rule in groups.iter().flat_map(|group| &group.rules) {
        let labels = rule.labels.iter();
        let labels = labels.map(|(n, text)| (n.to_string(), text.source().to_owned())).collect();
        *seen.entry((rule.name.to_string(), labels)).or_default() += 1;
    }
    let twice = seen.into_iter().filter(|(_, count)| *count > 1);
    twice.map(|((name, labels), _)| Duplicate { name, labels }).collect()
}
