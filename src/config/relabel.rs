//! `relabel_configs`: read and checked so that a mistake is found before it is acted on.

use regex::Regex;
use serde::Deserialize;
use serde::de::{self, Deserializer};

/// One step of a `relabel_configs` list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, try_from = "RawRelabel")]
pub(super) struct Relabel;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRelabel {
    #[serde(default)]
    source_labels: Vec<String>,
    #[serde(default, rename = "separator")]
    _separator: String,
    #[serde(default)]
    target_label: String,
    #[serde(default, rename = "regex")]
    _regex: Pattern,
    #[serde(default)]
    modulus: u64,
    #[serde(default, rename = "replacement")]
    _replacement: String,
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

/// A regular expression that compiles.
#[derive(Debug, Default)]
struct Pattern;

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
        let text = String::deserialize(deserializer)?;
        match Regex::new(&format!("^(?s:{text})$")) {
            Ok(_) => Ok(Pattern),
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
        Ok(Relabel)
    }
}
