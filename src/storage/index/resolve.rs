//! Combining postings: which series do all matchers accept?

use roaring::RoaringBitmap;

use crate::model::{Interrupt, MatchOp, Matcher};
use crate::storage::error::StorageError;

/// Postings: for each label pair the ids of the series that carry it.
pub trait Postings {
    /// All series.
    fn all(&self) -> Result<RoaringBitmap, StorageError>;

    /// The series with exactly this label; empty when there are none.
    fn get(&self, name: &str, value: &str) -> Result<RoaringBitmap, StorageError>;

    /// The union over all values of label `name` which start with `prefix` and which `accept`
    /// accepts; its errors end the search.
    fn union(
        &self,
        name: &str,
        prefix: &str,
        accept: &mut dyn FnMut(&str) -> Result<bool, StorageError>,
    ) -> Result<RoaringBitmap, StorageError>;
}

/// The series which every matcher accepts; all series when there is no matcher.
///
/// A matcher that accepts the empty string also accepts series without the label, so it is applied
/// as a subtraction of those it refuses; any other one as an intersection. The cheap ones, equality
/// first, go before those which have to look at every value.
///
/// # Errors
/// The postings cannot be read, or the search is interrupted.
pub fn resolve(
    postings: &dyn Postings,
    matchers: &[Matcher],
    interrupt: &Interrupt,
) -> Result<RoaringBitmap, StorageError> {
    let (subtract, mut intersect): (Vec<&Matcher>, Vec<&Matcher>) =
        matchers.iter().partition(|matcher| matcher.matches(""));
    intersect.sort_by_key(|matcher| cost(matcher));
    let mut found: Option<RoaringBitmap> = None;
    for matcher in intersect {
        let accepted = accepted_by(postings, matcher, interrupt)?;
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
        found -= refused_by(postings, matcher, interrupt)?;
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

fn accepted_by(
    postings: &dyn Postings,
    matcher: &Matcher,
    interrupt: &Interrupt,
) -> Result<RoaringBitmap, StorageError> {
    let mut accept = asked(interrupt, |value| matcher.matches(value));
    match (matcher.op(), matcher.literals()) {
        (MatchOp::Equal, _) => postings.get(matcher.name(), matcher.value()),
        (MatchOp::Regex, Some(literals)) => {
            let mut union = RoaringBitmap::new();
            for (number, literal) in literals.iter().enumerate() {
                interrupt.check_at(number)?;
                union |= postings.get(matcher.name(), literal)?;
            }
            Ok(union)
        }
        (MatchOp::Regex, None) => {
            postings.union(matcher.name(), matcher.literal_prefix(), &mut accept)
        }
        _ => postings.union(matcher.name(), "", &mut accept),
    }
}

/// `accept`, which fails when the search is interrupted.
fn asked(
    interrupt: &Interrupt,
    accept: impl Fn(&str) -> bool,
) -> impl FnMut(&str) -> Result<bool, StorageError> {
    let mut seen = 0;
    move |value| {
        interrupt.check_at(seen)?;
        seen += 1;
        Ok(accept(value))
    }
}

fn refused_by(
    postings: &dyn Postings,
    matcher: &Matcher,
    interrupt: &Interrupt,
) -> Result<RoaringBitmap, StorageError> {
    let mut refuse = asked(interrupt, |value| !matcher.matches(value));
    match matcher.op() {
        MatchOp::NotEqual => postings.get(matcher.name(), matcher.value()),
        _ => postings.union(matcher.name(), "", &mut refuse),
    }
}
