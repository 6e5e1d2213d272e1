//! An alert as rules hand it on, as Alertmanager's API takes it and as receivers are told of it.

use std::fmt;
use std::sync::Arc;

use super::{Labels, Timestamp};

/// Texts that describe an alert and do not identify it: ascending by name, each name once. Unlike
/// a label, an annotation may be empty. Cheap to clone: an alert has one copy of its texts, whoever
/// holds it.
///
/// Packed: of each name and then its text the length (four bytes, little endian) and the bytes. Texts
/// that alerts have in common may be kept once for all of them.
#[derive(Clone)]
pub struct Annotations {
    own: Arc<[u8]>,
    common: Option<Arc<CommonTexts>>,
}

/// Texts that many alerts have: those of a rule that are no templates. Packed as [`Annotations`].
#[derive(Debug)]
pub struct CommonTexts(Box<[u8]>);

impl CommonTexts {
    /// Packs texts with different names; `None` when there is none.
    pub fn new<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Arc<CommonTexts>> {
        let packed: Box<[u8]> = packed(pairs).into();
        (!packed.is_empty()).then(|| Arc::new(CommonTexts(packed)))
    }
}

impl Annotations {
    /// The text of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, text)| text)
    }

    /// Every name with its text, ascending by name.
    pub fn iter(&self) -> AnnotationIter<'_> {
        let common = self.common.as_ref().map_or(&[][..], |common| &common.0);
        AnnotationIter { own: &self.own, common }
    }

    /// Appends the packed form of all texts.
    pub fn pack(&self, out: &mut Vec<u8>) {
        match &self.common {
            None => out.extend_from_slice(&self.own),
            Some(_) => self.iter().for_each(|pair| push_pair(out, pair)),
        }
    }

    /// The texts of `own`, and `common` beside them; their names are different.
    pub fn beside<N: AsRef<str>, T: AsRef<str>>(
        common: Option<&Arc<CommonTexts>>,
        own: impl IntoIterator<Item = (N, T)>,
    ) -> Annotations {
        Annotations { common: common.cloned(), ..own.into_iter().collect() }
    }

    /// Whether both are equal and keep the same texts in common with others.
    pub fn is_kept_as(&self, other: &Annotations) -> bool {
        let common = |one: &Annotations| one.common.as_ref().map(Arc::as_ptr);
        common(self) == common(other) && self == other
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
        self.own.is_empty() && self.common.is_none()
    }
}

impl PartialEq for Annotations {
    /// Often both are one: an alert that is repeated has the texts it had.
    fn eq(&self, other: &Annotations) -> bool {
        let common = |one: &Annotations| one.common.as_ref().map(Arc::as_ptr);
        match common(self) == common(other) {
            true => Arc::ptr_eq(&self.own, &other.own) || self.own == other.own,
            false => self.iter().eq(other.iter()),
        }
    }
}

impl Eq for Annotations {}

impl Default for Annotations {
    fn default() -> Annotations {
        Annotations { own: Arc::from([].as_slice()), common: None }
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
    own: &'a [u8],
    common: &'a [u8],
}

impl<'a> Iterator for AnnotationIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let next = |mut packed: &'a [u8]| split_text(&mut packed);
        let from = match (next(self.own), next(self.common)) {
            (None, None) => return None,
            (Some(own), Some(common)) if common < own => &mut self.common,
            (Some(_), _) => &mut self.own,
            (None, Some(_)) => &mut self.common,
        };
        let mut text = || split_text(from).expect("BUG: only whole texts are packed");
        Some((text(), text()))
    }
}

/// Of a name given more than once the last text counts.
fn packed<N: AsRef<str>, T: AsRef<str>>(pairs: impl IntoIterator<Item = (N, T)>) -> Vec<u8> {
    let mut all: Vec<(N, T)> = pairs.into_iter().collect();
    all.reverse();
    all.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
    all.dedup_by(|later, kept| later.0.as_ref() == kept.0.as_ref());
    let bytes = |(name, text): &(N, T)| 8 + name.as_ref().len() + text.as_ref().len();
    let mut packed = Vec::with_capacity(all.iter().map(bytes).sum());
    all.iter().for_each(|(name, text)| push_pair(&mut packed, (name.as_ref(), text.as_ref())));
    packed
}

fn push_pair(packed: &mut Vec<u8>, (name, text): (&str, &str)) {
    push_text(packed, name);
    push_text(packed, text);
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
        Annotations { own: packed(pairs).into(), common: None }
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
        let mut packed = Vec::new();
        all.pack(&mut packed);
        assert_eq!(Annotations::from_packed(&packed), Some(all.clone()));
        let read = |cut: &usize| Annotations::from_packed(&packed[..*cut]).is_some();
        let whole: Vec<usize> = (0..=packed.len()).filter(read).collect();
        assert_eq!(whole, [0, 10, 19], "cut between two it is the first");
        assert_eq!(Annotations::from_packed(b"\x01\0\0\0\xff\0\0\0\0"), None, "no text");
    }

    #[test]
    fn texts_in_common_stand_among_the_own_ones() {
        let common = CommonTexts::new([("b", "2"), ("d", "4")].into_iter());
        let all = Annotations::beside(common.as_ref(), [("c", "3"), ("a", "1")]);
        let plain: Annotations =
            [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")].into_iter().collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), plain.iter().collect::<Vec<_>>());
        assert_eq!(
            (all.get("d"), all.get("c"), all.get("e"), all.len()),
            (Some("4"), Some("3"), None, 4)
        );
        assert_eq!(all, plain);
        assert!(all.is_kept_as(&all.clone()) && !all.is_kept_as(&plain));
        assert_ne!(all, Annotations::beside(common.as_ref(), [("a", "1")]));
        let (mut one, mut other) = (Vec::new(), Vec::new());
        all.pack(&mut one);
        plain.pack(&mut other);
        assert_eq!(one, other);
        let alone = Annotations::beside(common.as_ref(), [("x", "y"); 0]);
        assert_eq!((alone.len(), alone.is_empty()), (2, false));
        assert!(CommonTexts::new(std::iter::empty()).is_none());
    }
}
