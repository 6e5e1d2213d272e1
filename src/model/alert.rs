//! An alert as rules hand it on, as Alertmanager's API takes it and as receivers are told of it.

use super::{Labels, Timestamp};

/// Texts that describe an alert and do not identify it: ascending by name, each name once. Unlike
/// a label, an annotation may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Annotations(Box<[(Box<str>, Box<str>)]>);

impl Annotations {
    /// The text of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.binary_search_by(|(own, _)| (**own).cmp(name)).ok()?;
        Some(&self.0[found].1)
    }

    /// Every name with its text, ascending by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|(name, text)| (&**name, &**text))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<Box<str>>, T: Into<Box<str>>> FromIterator<(N, T)> for Annotations {
    /// Of a name given more than once the last text counts.
    fn from_iter<I: IntoIterator<Item = (N, T)>>(pairs: I) -> Annotations {
        let mut all: Vec<(Box<str>, Box<str>)> =
            pairs.into_iter().map(|(name, text)| (name.into(), text.into())).collect();
        all.reverse();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.dedup_by(|later, kept| later.0 == kept.0);
        Annotations(all.into())
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
    pub generator_url: Box<str>,
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
    }
}
