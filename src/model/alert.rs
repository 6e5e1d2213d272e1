//! An alert as rules hand it on, as Alertmanager's API takes it and as receivers are told of it.

use std::fmt;
use std::sync::Arc;

use super::{Labels, Timestamp};

/// Texts that describe an alert and do not identify it: ascending by name, each name once. Unlike
/// a label, an annotation may be empty. Cheap to clone: an alert has one copy of its texts, whoever
/// holds it.
///
/// Packed: of each name and then its text the length (four bytes, little endian) and the bytes.
#[derive(Clone)]
pub struct Annotations(Arc<[u8]>);

impl Annotations {
    /// The text of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, text)| text)
    }

    /// Every name with its text, ascending by name.
    pub fn iter(&self) -> AnnotationIter<'_> {
        AnnotationIter { rest: &self.0 }
    }

    /// The packed form.
    pub fn as_packed(&self) -> &[u8] {
        &self.0
    }

    /// Reads the packed form; `None` when it is none.
    pub fn from_packed(packed: &[u8]) -> Option<Annotations> {
        let mut rest = packed;
        let mut pairs = Vec::new();
        while !rest.is_empty() {
            pairs.push((split_text(&mut rest)?, split_text(&mut rest)?));
        }
        Some(pairs.into_iter().collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Annotations {
    /// Often both are one: an alert that is repeated has the texts it had.
    fn eq(&self, other: &Annotations) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Annotations {}

impl Default for Annotations {
    fn default() -> Annotations {
        Annotations(Arc::from([].as_slice()))
    }
}

impl fmt::Debug for Annotations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The annotations of an alert, ascending by name.
#[derive(Clone, Debug)]
pub struct AnnotationIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for AnnotationIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        if self.rest.is_empty() {
            return None;
        }
        let mut text = || split_text(&mut self.rest).expect("BUG: only whole texts are packed");
        Some((text(), text()))
    }
}

fn push_text(packed: &mut Vec<u8>, text: &str) {
    let len =
        u32::try_from(text.len()).expect("BUG: bodies, files and templates have their limits");
    packed.extend_from_slice(&len.to_le_bytes());
    packed.extend_from_slice(text.as_bytes());
}

fn split_text<'a>(packed: &mut &'a [u8]) -> Option<&'a str> {
    let len = u32::from_le_bytes(packed.split_off(..4)?.try_into().ok()?);
    std::str::from_utf8(packed.split_off(..usize::try_from(len).ok()?)?).ok()
}

impl<N: AsRef<str>, T: AsRef<str>> FromIterator<(N, T)> for Annotations {
    /// Of a name given more than once the last text counts.
    fn from_iter<I: IntoIterator<Item = (N, T)>>(pairs: I) -> Annotations {
        let mut all: Vec<(N, T)> = pairs.into_iter().collect();
        all.reverse();
        all.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        all.dedup_by(|later, kept| later.0.as_ref() == kept.0.as_ref());
        let bytes = |(name, text): &(N, T)| 8 + name.as_ref().len() + text.as_ref().len();
        let mut packed = Vec::with_capacity(all.iter().map(bytes).sum());
        for (name, text) in &all {
            push_text(&mut packed, name.as_ref());
            push_text(&mut packed, text.as_ref());
        }
        Annotations(packed.into())
    }
}

/// One alert, identified by its labels (`alertname` among them).
///
/// Source of the fields: Alertmanager's API v2, `postableAlert`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What identifies it.
    pub labels: Labels,
    /// What describes it.
    pub annotations: Annotations,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// When it was resolved, or, still in the future, when it counts as resolved unless its sender
    /// repeats it.
    pub ends_at: Timestamp,
    /// Where its rule can be seen; may be empty.
    pub generator_url: Arc<str>,
}

impl Alert {
    /// Whether it has ended by `now`.
    pub fn is_resolved_at(&self, now: Timestamp) -> bool {
        self.ends_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_sorted_and_the_last_of_a_name_counts() {
        let all: Annotations = [("b", "1"), ("a", ""), ("b", "2")].into_iter().collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), [("a", ""), ("b", "2")]);
        assert_eq!((all.get("b"), all.get("c")), (Some("2"), None));
        assert_eq!((all.len(), Annotations::default().is_empty()), (2, true));
    }

    #[test]
    fn the_packed_form_comes_back_and_half_of_it_does_not() {
        let all: Annotations = [("a", "x"), ("b", "")].into_iter().collect();
        assert_eq!(Annotations::from_packed(all.as_packed()), Some(all.clone()));
        let read = |cut: &usize| Annotations::from_packed(&all.as_packed()[..*cut]).is_some();
        let whole: Vec<usize> = (0..=all.as_packed().len()).filter(read).collect();
        assert_eq!(whole, [0, 10, 19], "cut between two it is the first");
        assert_eq!(Annotations::from_packed(b"\x01\0\0\0\xff\0\0\0\0"), None, "no text");
    }
}
