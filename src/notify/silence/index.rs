//! Finds the silences of an alert without trying every silence on every alert.
//!
//! Each silence hangs at one label value that every alert it matches must have, taken from a
//! matcher `a="b"` or `a=~"b|c"`. An alert looks under each of its label values. Silences without
//! such a matcher are tried on every alert.

use std::collections::HashMap;
use std::sync::Arc;

use super::Silence;
use crate::model::{Labels, MatchOp, Matcher};

/// Silences by a label value their alerts must have.
#[derive(Clone, Debug, Default)]
pub struct SilenceIndex {
    silences: Vec<(Arc<str>, Arc<[Matcher]>)>,
    /// Label name -> value -> numbers in `silences`.
    anchored: HashMap<String, HashMap<String, Vec<u32>>>,
    floating: Vec<u32>,
}

impl SilenceIndex {
    /// An index of these silences; their state is not looked at.
    pub fn new<'a>(silences: impl Iterator<Item = &'a Silence>) -> SilenceIndex {
        let mut index = SilenceIndex::default();
        for silence in silences {
            index.add(silence);
        }
        index
    }

    fn add(&mut self, silence: &Silence) {
        let number = u32::try_from(self.silences.len()).expect("BUG: SILENCES_MAX fits u32");
        self.silences.push((Arc::clone(&silence.id), Arc::clone(&silence.matchers)));
        // The value with the fewest silences so far tells alerts apart best.
        let load = |matcher: &&Matcher| {
            let by_value = self.anchored.get(matcher.name());
            let count = |value: &String| by_value?.get(value).map(Vec::len);
            values(matcher).iter().filter_map(count).sum::<usize>()
        };
        let anchors = silence.matchers.iter().filter(|matcher| !values(matcher).is_empty());
        let Some(anchor) = anchors.min_by_key(load) else {
            return self.floating.push(number);
        };
        let by_value = self.anchored.entry(anchor.name().to_owned()).or_default();
        for value in values(anchor) {
            by_value.entry(value).or_default().push(number);
        }
    }

    /// Whether there is no silence.
    pub fn is_empty(&self) -> bool {
        self.silences.is_empty()
    }

    /// The names of the silences that match an alert.
    pub fn matching(&self, labels: &Labels) -> Vec<Arc<str>> {
        let mut found = Vec::new();
        if self.is_empty() {
            return found;
        }
        for (name, value) in labels.iter() {
            let Some(by_value) = self.anchored.get(name) else { continue };
            for number in by_value.get(value).into_iter().flatten() {
                self.try_one(*number, labels, &mut found);
            }
        }
        self.floating.iter().for_each(|number| self.try_one(*number, labels, &mut found));
        found
    }

    fn try_one(&self, number: u32, labels: &Labels, found: &mut Vec<Arc<str>>) {
        let (id, matchers) = &self.silences[number as usize];
        if matchers.iter().all(|matcher| matcher.matches_labels(labels)) {
            found.push(Arc::clone(id));
        }
    }
}

/// The values one of which a matching alert must have; none when the matcher does not say.
fn values(matcher: &Matcher) -> Vec<String> {
    let values = match matcher.op() {
        MatchOp::Equal => vec![matcher.value().to_owned()],
        MatchOp::Regex => matcher.literals().unwrap_or(&[]).to_vec(),
        MatchOp::NotEqual | MatchOp::NotRegex => Vec::new(),
    };
    // An absent label matches the empty value, and is found under no value.
    if values.iter().any(String::is_empty) { Vec::new() } else { values }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Timestamp;
    use crate::notify::matcher::{Grammar, parse_matchers};

    fn silence(id: &str, matchers: &str) -> Silence {
        Silence {
            id: id.into(),
            matchers: parse_matchers(matchers, Grammar::Fallback).expect(matchers).matchers.into(),
            starts_at: Timestamp(0),
            ends_at: Timestamp(1),
            updated_at: Timestamp(0),
            created_by: "me".to_owned(),
            comment: "why".to_owned(),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn the_index_finds_what_trying_all_finds() {
        let texts = [
            "a=1",
            "a=1,b=2",
            "a=~\"1|2\"",
            "a=~\"1.*\"",
            "a!=1",
            "b=\"\",a=~\".+\"",
            "a=~\"|1\"",
            "c=x,a=1",
            "c!~\"x\",b=2",
            "a=1,a=2",
        ];
        let silences: Vec<Silence> = texts.iter().map(|text| silence(text, text)).collect();
        let index = SilenceIndex::new(silences.iter());
        for pairs in [
            &[][..],
            &[("a", "1")],
            &[("a", "2"), ("b", "2")],
            &[("a", "1"), ("b", "2"), ("c", "x")],
            &[("a", "12")],
            &[("b", "2")],
        ] {
            let labels = Labels::from_pairs(pairs.iter().copied()).expect("valid");
            let mut found = index.matching(&labels);
            found.sort();
            let all = silences.iter().filter(|silence| {
                silence.matchers.iter().all(|matcher| matcher.matches_labels(&labels))
            });
            let mut expected: Vec<Arc<str>> = all.map(|silence| Arc::clone(&silence.id)).collect();
            expected.sort();
            assert_eq!(found, expected, "{labels}");
        }
    }
}
