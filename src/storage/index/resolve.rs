//! Combining postings: which series do all matchers accept?

use roaring::RoaringBitmap;

use crate::model::{MatchOp, Matcher};
use crate::storage::error::StorageError;

/// Postings: for each label pair the ids of the series that carry it.
pub trait Postings {
    /// All series.
    fn all(&self) -> Result<RoaringBitmap, StorageError>;

    /// The series with exactly this label; empty when there are none.
    fn get(&self, name: &str, value: &str) -> Result<RoaringBitmap, StorageError>;

    /// The union over all values of label `name` which start with `prefix` and which `accept`
    /// accepts.
    fn union(
        &self,
        name: &str,
        prefix: &str,
        accept: &mut dyn FnMut(&str) -> bool,
    ) -> Result<RoaringBitmap, StorageError>;
}

/// The series which every matcher accepts; all series when there is no matcher.
///
/// A matcher that accepts the empty string also accepts series without the label, so it is applied
/// as a subtraction of those it refuses; any other one as an intersection. The cheap ones, equality
/// first, go before those which have to look at every value.
///
/// # Errors
/// The postings cannot be read.
pub fn resolve(
    postings: &dyn Postings,
    matchers: &[Matcher],
) -> Result<RoaringBitmap, StorageError> {
    let (subtract, mut intersect): (Vec<&Matcher>, Vec<&Matcher>) =
        matchers.iter().partition(|matcher| matcher.matches(""));
    intersect.sort_by_key(|matcher| cost(matcher));
    let mut found: Option<RoaringBitmap> = None;
    for matcher in intersect {
        let accepted = accepted_by(postings, matcher)?;
        found = Some(match found {
            Some(found) => found & accepted,
            None => accepted,
        });
        if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
            return Ok(RoaringBitmap::new());
        }
    }
    let mut found = match found {
        Some(found) => found,
        None => postings.all()?,
    };
    for matcher in subtract {
        if found.is_empty() {
            break;
        }
        found -= refused_by(postings, matcher)?;
    }
    Ok(found)
}

fn cost(matcher: &Matcher) -> u8 {
    match matcher.op() {
        MatchOp::Equal => 0,
        MatchOp::Regex if matcher.literals().is_some() => 1,
        MatchOp::Regex if !matcher.literal_prefix().is_empty() => 2,
        _ => 3,
    }
}

fn accepted_by(postings: &dyn Postings, matcher: &Matcher) -> Result<RoaringBitmap, StorageError> {
    match (matcher.op(), matcher.literals()) {
        (MatchOp::Equal, _) => postings.get(matcher.name(), matcher.value()),
        (MatchOp::Regex, Some(literals)) => {
            let mut union = RoaringBitmap::new();
            for literal in literals {
                union |= postings.get(matcher.name(), literal)?;
            }
            Ok(union)
        }
        (MatchOp::Regex, None) => {
            postings.union(matcher.name(), matcher.literal_prefix(), &mut |v| matcher.matches(v))
        }
        _ => postings.union(matcher.name(), "", &mut |value| matcher.matches(value)),
    }
}

fn refused_by(postings: &dyn Postings, matcher: &Matcher) -> Result<RoaringBitmap, StorageError> {
    match matcher.op() {
        MatchOp::NotEqual => postings.get(matcher.name(), matcher.value()),
        _ => postings.union(matcher.name(), "", &mut |value| !matcher.matches(value)),
    }
}
