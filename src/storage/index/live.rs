//! The head's index: postings in memory, changed as series come and go.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use roaring::RoaringBitmap;

use super::resolve::Postings;
use crate::model::Labels;
use crate::storage::error::StorageError;

type Values = BTreeMap<Box<str>, RoaringBitmap>;

/// Postings of the series alive, ordered by label name and value.
#[derive(Debug, Default)]
pub struct LabelIndex {
    names: BTreeMap<Box<str>, Values>,
    all: RoaringBitmap,
}

impl LabelIndex {
    /// Adds series, each with its number. Series of one sender share most of their labels: each
    /// label pair is looked up once.
    pub fn insert(&mut self, series: &[(u32, Labels)]) {
        self.all.extend(series.iter().map(|(id, _)| *id));
        let mut pairs: HashMap<(&[u8], &[u8]), Vec<u32>, foldhash::fast::RandomState> =
            HashMap::default();
        for (id, labels) in series {
            for pair in labels.byte_pairs() {
                pairs.entry(pair).or_default().push(*id);
            }
        }
        let text = |bytes| std::str::from_utf8(bytes).expect("BUG: labels are UTF-8");
        for ((name, value), ids) in pairs {
            let (name, value) = (text(name), text(value));
            let values = match self.names.get_mut(name) {
                Some(values) => values,
                None => self.names.entry(name.into()).or_default(),
            };
            match values.get_mut(value) {
                Some(posting) => posting.extend(ids),
                None => values.entry(value.into()).or_default().extend(ids),
            }
        }
    }

    /// Removes series `id`, which was added with these labels.
    pub fn remove(&mut self, id: u32, labels: &Labels) {
        self.all.remove(id);
        for (name, value) in labels.iter() {
            let Some(values) = self.names.get_mut(name) else { continue };
            if let Some(posting) = values.get_mut(value) {
                posting.remove(id);
                if posting.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.names.remove(name);
            }
        }
    }

    /// Number of series.
    pub fn len(&self) -> u64 {
        self.all.len()
    }

    /// Names of labels that occur on any series of `within` (on any at all when `None`), ascending.
    pub fn names(&self, within: Option<&RoaringBitmap>) -> Vec<String> {
        let occurs = |values: &Values| {
            within.is_none_or(|ids| values.values().any(|posting| !posting.is_disjoint(ids)))
        };
        self.names.iter().filter(|(_, values)| occurs(values)).map(|(n, _)| n.to_string()).collect()
    }

    /// Values of label `name` on any series of `within` (on any at all when `None`), ascending.
    pub fn values(&self, name: &str, within: Option<&RoaringBitmap>) -> Vec<String> {
        let Some(values) = self.names.get(name) else { return Vec::new() };
        let occurs = |posting: &RoaringBitmap| within.is_none_or(|ids| !posting.is_disjoint(ids));
        values.iter().filter(|(_, posting)| occurs(posting)).map(|(v, _)| v.to_string()).collect()
    }

    /// Every label pair with its number of series.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.names.iter().flat_map(|(name, values)| {
            values.iter().map(move |(value, posting)| (&**name, &**value, posting.len()))
        })
    }
}

impl Postings for LabelIndex {
    fn all(&self) -> Result<RoaringBitmap, StorageError> {
        Ok(self.all.clone())
    }

    fn get(&self, name: &str, value: &str) -> Result<RoaringBitmap, StorageError> {
        let posting = self.names.get(name).and_then(|values| values.get(value));
        Ok(posting.cloned().unwrap_or_default())
    }

    fn union(
        &self,
        name: &str,
        prefix: &str,
        accept: &mut dyn FnMut(&str) -> Result<bool, StorageError>,
    ) -> Result<RoaringBitmap, StorageError> {
        let mut union = RoaringBitmap::new();
        let Some(values) = self.names.get(name) else { return Ok(union) };
        let from = (Bound::Included(prefix), Bound::Unbounded);
        for (value, posting) in values.range::<str, _>(from) {
            if !value.starts_with(prefix) {
                break;
            }
            if accept(value)? {
                union |= posting;
            }
        }
        Ok(union)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Interrupt, MatchOp, Matcher};
    use crate::storage::index::resolve;

    fn index() -> LabelIndex {
        let mut index = LabelIndex::default();
        let series: [&[(&str, &str)]; 4] = [
            &[("__name__", "up"), ("host", "a1")],
            &[("__name__", "up"), ("host", "a2"), ("env", "prod")],
            &[("__name__", "up"), ("host", "b1"), ("env", "dev")],
            &[("__name__", "down"), ("host", "a1")],
        ];
        for (id, pairs) in series.iter().enumerate() {
            let labels = Labels::from_pairs(pairs.iter().copied()).expect("valid");
            index.insert(&[(id as u32, labels)]);
        }
        index
    }

    fn find(matchers: &[(MatchOp, &str, &str)]) -> Vec<u32> {
        let matchers: Vec<Matcher> = matchers
            .iter()
            .map(|(op, name, value)| Matcher::new(*op, *name, *value).expect("valid"))
            .collect();
        resolve(&index(), &matchers, Interrupt::never()).expect("in memory").into_iter().collect()
    }

    #[test]
    fn matchers_intersect_and_absent_labels_count_as_empty() {
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        assert_eq!(find(&[]), [0, 1, 2, 3]);
        assert_eq!(find(&[(Equal, "__name__", "up"), (Regex, "host", "a.")]), [0, 1]);
        assert_eq!(find(&[(Equal, "__name__", "up"), (Regex, "host", "a1|b1")]), [0, 2]);
        assert_eq!(find(&[(NotEqual, "env", "prod")]), [0, 2, 3]);
        assert_eq!(find(&[(Equal, "env", "")]), [0, 3]);
        assert_eq!(find(&[(NotEqual, "env", "")]), [1, 2]);
        assert_eq!(find(&[(Regex, "env", "prod|")]), [0, 1, 3]);
        assert_eq!(find(&[(NotRegex, "env", "p.*"), (Equal, "__name__", "up")]), [0, 2]);
        assert_eq!(find(&[(NotRegex, "env", ".+")]), [0, 3]);
        assert_eq!(find(&[(Equal, "nosuch", "x")]), [] as [u32; 0]);
    }

    #[test]
    fn removed_series_leave_nothing_behind() {
        let mut index = index();
        let labels = Labels::from_pairs([("__name__", "down"), ("host", "a1")]).expect("valid");
        index.remove(3, &labels);
        assert_eq!(index.values("__name__", None), ["up"]);
        assert_eq!(index.values("host", None), ["a1", "a2", "b1"]);
        assert_eq!(index.names(Some(&RoaringBitmap::from_iter([0]))), ["__name__", "host"]);
        assert_eq!(index.len(), 3);
    }
}
