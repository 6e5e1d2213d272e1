//! Relabelling: steps that change a label set, or drop what it stands for.
//!
//! In: a label set and the steps of a `relabel_configs` list. Out: the new set, or nothing when it
//! is dropped. Never here: how the steps are written (`config`). Source: Prometheus'
//! `model/relabel/relabel.go`, which the results equal.

use md5::{Digest, Md5};
use regex::Regex;
use serde::Deserialize;

use crate::model::{LabelError, Labels, LabelsBuilder, pattern};

/// Joins the values of the source labels unless another text is given.
pub const SEPARATOR: &str = ";";
/// What the joined values must match unless another expression is given.
pub const REGEX: &str = "(.*)";
/// What becomes the target's value unless another text is given.
pub const REPLACEMENT: &str = "$1";
/// Largest compiled expression in bytes; beyond it the pattern is an accident.
const REGEX_BYTES_MAX: usize = 10 << 20;

/// What a step does.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Sets the target to the replacement when the expression matches.
    #[default]
    Replace,
    /// Drops what does not match.
    Keep,
    /// Drops what matches.
    Drop,
    /// Sets the target to the hash of the values modulo the modulus.
    HashMod,
    /// Copies labels whose name matches to the name the replacement gives.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Sets the target to the values in lower case.
    Lowercase,
    /// Sets the target to the values in upper case.
    Uppercase,
    /// Drops what does not have the values in its target.
    KeepEqual,
    /// Drops what has the values in its target.
    DropEqual,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Labels whose values are looked at.
    pub source_labels: Vec<String>,
    /// What joins them.
    pub separator: String,
    /// What they, or names, must match from end to end.
    pub regex: Anchored,
    /// For [`Action::HashMod`]; above 0 there.
    pub modulus: u64,
    /// The label that is set.
    pub target_label: String,
    /// What it is set to; `$1` and `${name}` stand for groups of the expression.
    pub replacement: String,
    /// What is done.
    pub action: Action,
}

impl Default for Step {
    fn default() -> Step {
        Step {
            source_labels: Vec::new(),
            separator: SEPARATOR.to_owned(),
            regex: Anchored::new(REGEX).expect("BUG: a constant pattern"),
            modulus: 0,
            target_label: String::new(),
            replacement: REPLACEMENT.to_owned(),
            action: Action::default(),
        }
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Step) -> bool {
        let texts = |step: &Step| {
            let Step { separator, regex, target_label, replacement, .. } = step.clone();
            (separator, regex.text, target_label, replacement)
        };
        self.source_labels == other.source_labels
            && texts(self) == texts(other)
            && (self.modulus, self.action) == (other.modulus, other.action)
    }
}

/// A regular expression that matches from end to end; `.` matches a line feed, too.
#[derive(Clone, Debug)]
pub struct Anchored {
    text: String,
    regex: Regex,
}

impl Anchored {
    /// Compiles `text`.
    ///
    /// # Errors
    /// It is not an expression, or too large.
    pub fn new(text: &str) -> Result<Anchored, regex::Error> {
        let regex = pattern::anchored(text, REGEX_BYTES_MAX)?;
        Ok(Anchored { text: text.to_owned(), regex })
    }
}

/// The labels after all steps; `None` when one of them drops it.
///
/// # Errors
/// The result passes a limit of label sets.
pub fn apply(steps: &[Step], labels: Labels) -> Result<Option<Labels>, LabelError> {
    if steps.is_empty() {
        return Ok(Some(labels));
    }
    let mut builder = labels.to_builder();
    for step in steps {
        if !step.apply(&mut builder)? {
            return Ok(None);
        }
    }
    builder.build().map(Some)
}

impl Step {
    /// Changes the labels; false when they are dropped.
    fn apply(&self, labels: &mut LabelsBuilder) -> Result<bool, LabelError> {
        let values: Vec<&str> =
            self.source_labels.iter().map(|name| labels.get(name).unwrap_or("")).collect();
        let value = values.join(&self.separator);
        let target = &self.target_label;
        match self.action {
            Action::Drop => return Ok(!self.regex.regex.is_match(&value)),
            Action::Keep => return Ok(self.regex.regex.is_match(&value)),
            Action::DropEqual => return Ok(labels.get(target).unwrap_or("") != value),
            Action::KeepEqual => return Ok(labels.get(target).unwrap_or("") == value),
            Action::Replace => self.replace(labels, &value),
            Action::Lowercase => drop(labels.set(target, &value.to_lowercase())),
            Action::Uppercase => drop(labels.set(target, &value.to_uppercase())),
            Action::HashMod => {
                let hash = last_eight_bytes_of_md5(value.as_bytes());
                labels.set(target, &(hash % self.modulus.max(1)).to_string());
            }
            Action::LabelMap => {
                for (name, value) in labels.build()?.iter() {
                    if let Some(groups) = self.regex.regex.captures(name) {
                        let mut new = String::new();
                        groups.expand(&self.replacement, &mut new);
                        labels.set(&new, value);
                    }
                }
            }
            Action::LabelDrop | Action::LabelKeep => {
                let is_gone = |name: &str| {
                    self.regex.regex.is_match(name) == (self.action == Action::LabelDrop)
                };
                for (name, _) in labels.build()?.iter().filter(|(name, _)| is_gone(name)) {
                    labels.delete(name);
                }
            }
        }
        Ok(true)
    }

    fn replace(&self, labels: &mut LabelsBuilder, value: &str) {
        let Some(groups) = self.regex.regex.captures(value) else { return };
        let (mut target, mut new) = (String::new(), String::new());
        groups.expand(&self.target_label, &mut target);
        if target.is_empty() {
            return;
        }
        groups.expand(&self.replacement, &mut new);
        // An empty value removes the label.
        labels.set(&target, &new);
    }
}

/// What `hashmod` shards by, so that the shards are Prometheus' own.
fn last_eight_bytes_of_md5(text: &[u8]) -> u64 {
    let hash: [u8; 16] = Md5::digest(text).into();
    u128::from_be_bytes(hash) as u64
}

#[cfg(test)]
mod tests;
