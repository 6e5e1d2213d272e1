//! What a rule file may hold, key by key. Every scalar stays text with its place; keys that there
//! are not are collected, so that all mistakes of a file are told at once.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;

/// A text with its place.
pub(in crate::rules) type Text = Spanned<String>;

/// Declares a mapping whose unknown keys are kept.
macro_rules! mapping {
    ($(#[$doc:meta])* $name:ident, $what:literal, { $($key:literal => $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(in crate::rules) struct $name {
            $(pub $field: Option<$type>,)*
            /// Keys that there are not.
            pub unknown: Vec<serde_saphyr::Spanned<String>>,
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                use serde::de::{IgnoredAny, MapAccess, Visitor};

                struct Keys;

                impl<'de> Visitor<'de> for Keys {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($what)
                    }

                    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<$name, M::Error> {
                        let mut out = $name::default();
                        while let Some(key) = map.next_key::<serde_saphyr::Spanned<String>>()? {
                            match key.value.as_str() {
                                $($key => out.$field = map.next_value()?,)*
                                _ => {
                                    map.next_value::<IgnoredAny>()?;
                                    out.unknown.push(key);
                                }
                            }
                        }
                        Ok(out)
                    }
                }

                deserializer.deserialize_map(Keys)
            }
        }
    };
}
pub(in crate::rules) use mapping;

mapping!(
    /// A whole file.
    RawFile,
    "a mapping with the key groups",
    { "groups" => groups: Vec<Spanned<RawGroup>>, }
);

mapping!(
    /// One entry of `groups`.
    RawGroup,
    "a rule group",
    {
        "name" => name: Text,
        "interval" => interval: Text,
        "query_offset" => query_offset: Text,
        "limit" => limit: Text,
        "labels" => labels: Pairs,
        "rules" => rules: Vec<Spanned<RawRule>>,
    }
);

mapping!(
    /// One entry of `rules`.
    RawRule,
    "a rule",
    {
        "record" => record: Text,
        "alert" => alert: Text,
        "expr" => expr: Text,
        "for" => hold: Text,
        "keep_firing_for" => keep_firing_for: Text,
        "labels" => labels: Pairs,
        "annotations" => annotations: Pairs,
    }
);

/// Names and texts in the order of the file. A text that is not given is empty.
#[derive(Debug, Default)]
pub(in crate::rules) struct Pairs(pub Vec<(Text, Option<Text>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of names to texts")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs, M::Error> {
                let mut pairs = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    pairs.push(entry);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}
