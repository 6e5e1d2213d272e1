//! `relabel_configs`: read and checked so that a mistake is found before it is acted on.

use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::relabel::{self, Anchored, Step};

/// One step of a `relabel_configs` list.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, try_from = "RawRelabel")]
pub(super) struct Relabel(pub Step);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRelabel {
    #[serde(default)]
    source_labels: Vec<String>,
    separator: Option<String>,
    #[serde(default)]
    target_label: String,
    regex: Option<Pattern>,
    #[serde(default)]
    modulus: u64,
    replacement: Option<String>,
    #[serde(default)]
    action: Action,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Replace,
    Keep,
    Drop,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
    KeepEqual,
    DropEqual,
}

impl From<Action> for relabel::Action {
    fn from(action: Action) -> relabel::Action {
        match action {
            Action::Replace => relabel::Action::Replace,
            Action::Keep => relabel::Action::Keep,
            Action::Drop => relabel::Action::Drop,
            Action::HashMod => relabel::Action::HashMod,
            Action::LabelMap => relabel::Action::LabelMap,
            Action::LabelDrop => relabel::Action::LabelDrop,
            Action::LabelKeep => relabel::Action::LabelKeep,
            Action::Lowercase => relabel::Action::Lowercase,
            Action::Uppercase => relabel::Action::Uppercase,
            Action::KeepEqual => relabel::Action::KeepEqual,
            Action::DropEqual => relabel::Action::DropEqual,
        }
    }
}

/// A regular expression that compiles.
#[derive(Debug)]
struct Pattern(Anchored);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
        let text = String::deserialize(deserializer)?;
        match Anchored::new(&text) {
            Ok(regex) => Ok(Pattern(regex)),
            Err(_) => Err(de::Error::custom(format!("not a valid regular expression: {text:?}"))),
        }
    }
}

impl TryFrom<RawRelabel> for Relabel {
    type Error = String;

    fn try_from(raw: RawRelabel) -> Result<Relabel, String> {
        use Action::{DropEqual, HashMod, KeepEqual, Lowercase, Replace, Uppercase};
        let needs_target =
            matches!(raw.action, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual);
        if needs_target && raw.target_label.is_empty() {
            return Err("relabel configuration needs a target_label for this action".to_owned());
        }
        if raw.action == HashMod && raw.modulus == 0 {
            return Err("relabel configuration for hashmod needs a modulus above 0".to_owned());
        }
        let needs_sources = matches!(raw.action, Lowercase | Uppercase | KeepEqual | DropEqual);
        if needs_sources && raw.source_labels.is_empty() {
            return Err("relabel configuration needs source_labels for this action".to_owned());
        }
        let default = Step::default();
        Ok(Relabel(Step {
            source_labels: raw.source_labels,
            separator: raw.separator.unwrap_or(default.separator),
            regex: raw.regex.map_or(default.regex, |pattern| pattern.0),
            modulus: raw.modulus,
            target_label: raw.target_label,
            replacement: raw.replacement.unwrap_or(default.replacement),
            action: raw.action.into(),
        }))
    }
}
