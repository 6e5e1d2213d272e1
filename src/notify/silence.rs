//! Silences: who keeps which alerts quiet, from when until when, and why.
//!
//! In: silences to create, change and expire, and the time. Out: their state, and what is wrong with
//! a change. Never here: groups; [`index`] finds the silences of an alert.

pub mod index;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::matcher::{MatcherError, matcher_of};
use crate::model::{MatchOp, Matcher, Timestamp};

/// Most silences kept, expired ones included; each is looked at whenever one changes.
pub const SILENCES_MAX: usize = 100_000;
/// Most matchers of one silence.
pub const SILENCE_MATCHERS_MAX: usize = 100;
/// Longest comment or author in bytes.
pub const SILENCE_TEXT_BYTES_MAX: usize = 16 << 10;
/// How long an expired silence is kept (as in Alertmanager), in ms.
pub const SILENCE_RETENTION_MS: i64 = 120 * 3_600_000;

/// A silence.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// Its name, a UUID.
    pub id: Arc<str>,
    /// Alerts that match all of them are kept quiet; not empty. Shared with the index.
    pub matchers: Arc<[Matcher]>,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when; after `starts_at`.
    pub ends_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who made it; not empty.
    pub created_by: String,
    /// Why; not empty.
    pub comment: String,
    /// Further texts by name.
    pub annotations: BTreeMap<String, String>,
}

/// Where a silence is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SilenceState {
    /// It begins later.
    Pending,
    /// It keeps alerts quiet.
    Active,
    /// It is over.
    Expired,
}

impl SilenceState {
    /// As the API names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            SilenceState::Pending => "pending",
            SilenceState::Active => "active",
            SilenceState::Expired => "expired",
        }
    }
}

impl Silence {
    /// Where it is in its life.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        if now >= self.ends_at {
            SilenceState::Expired
        } else if now < self.starts_at {
            SilenceState::Pending
        } else {
            SilenceState::Active
        }
    }
}

/// What is to become a silence.
#[derive(Clone, Debug, PartialEq)]
pub struct SilenceDraft {
    /// Which silence is changed; `None` for a new one.
    pub id: Option<String>,
    /// As in [`Silence`].
    pub matchers: Vec<Matcher>,
    /// As in [`Silence`].
    pub starts_at: Timestamp,
    /// As in [`Silence`].
    pub ends_at: Timestamp,
    /// As in [`Silence`].
    pub created_by: String,
    /// As in [`Silence`].
    pub comment: String,
    /// As in [`Silence`].
    pub annotations: BTreeMap<String, String>,
}

/// Why a silence is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SilenceError {
    /// There is none of that name.
    NotFound(String),
    /// It makes no sense.
    Invalid(String),
    /// There are too many.
    TooMany,
}

impl fmt::Display for SilenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SilenceError::NotFound(_) => f.write_str("silence not found"),
            SilenceError::Invalid(why) => write!(f, "invalid silence: {why}"),
            SilenceError::TooMany => {
                write!(f, "exceeded maximum number of silences: {SILENCES_MAX}")
            }
        }
    }
}

impl std::error::Error for SilenceError {}

/// What happened to silences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SilenceChange {
    /// This one is new.
    Created(Arc<str>),
    /// This one was changed.
    Updated(Arc<str>),
    /// This one was ended before its time.
    Ended(Arc<str>),
}

/// All silences.
#[derive(Clone, Debug, Default)]
pub struct Silences {
    all: BTreeMap<Arc<str>, Silence>,
}

impl Silences {
    /// Takes one over as it was stored.
    pub fn restore(&mut self, silence: Silence) {
        self.all.insert(Arc::clone(&silence.id), silence);
    }

    /// The silence of that name.
    pub fn get(&self, id: &str) -> Option<&Silence> {
        self.all.get(id)
    }

    /// All, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = &Silence> {
        self.all.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Creates or changes a silence (`silences.Set` of Alertmanager): one whose matchers stay and
    /// whose times may still be changed keeps its name; otherwise the old one ends and `new_id`
    /// names the new one. Returns the name and what happened.
    ///
    /// # Errors
    /// See [`SilenceError`]; nothing has changed.
    pub fn set(
        &mut self,
        draft: SilenceDraft,
        now: Timestamp,
        new_id: impl FnOnce() -> Arc<str>,
    ) -> Result<(Arc<str>, Vec<SilenceChange>), SilenceError> {
        check(&draft)?;
        let known = match draft.id.as_deref().filter(|id| !id.is_empty()) {
            None => None,
            Some(id) => Some(self.get(id).ok_or(SilenceError::NotFound(id.to_owned()))?),
        };
        if let Some(known) = known.filter(|known| can_update(known, &draft, now)) {
            let id = Arc::clone(&known.id);
            self.put(Arc::clone(&id), draft, now);
            return Ok((Arc::clone(&id), vec![SilenceChange::Updated(id)]));
        }
        if self.all.len() >= SILENCES_MAX {
            return Err(SilenceError::TooMany);
        }
        let mut changes = Vec::new();
        let old = known.filter(|known| known.state(now) != SilenceState::Expired);
        if let Some(old) = old.map(|old| Arc::clone(&old.id)) {
            self.end(&old, now);
            changes.push(SilenceChange::Ended(old));
        }
        let id = new_id();
        let starts_at = draft.starts_at.max(now);
        self.put(Arc::clone(&id), SilenceDraft { starts_at, ..draft }, now);
        changes.push(SilenceChange::Created(Arc::clone(&id)));
        Ok((id, changes))
    }

    /// Ends a silence now; one that is over stays as it is. Whether anything changed.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn expire(&mut self, id: &str, now: Timestamp) -> Result<bool, SilenceError> {
        match self.get(id).map(|silence| silence.state(now)) {
            None => Err(SilenceError::NotFound(id.to_owned())),
            Some(SilenceState::Expired) => Ok(false),
            Some(_) => {
                self.end(id, now);
                Ok(true)
            }
        }
    }

    /// Removes silences that have been over for the retention; returns their names.
    pub fn collect_garbage(&mut self, now: Timestamp) -> Vec<Arc<str>> {
        let keep_after = now.saturating_sub(SILENCE_RETENTION_MS);
        let old = self.all.values().filter(|silence| silence.ends_at < keep_after);
        let old: Vec<Arc<str>> = old.map(|silence| Arc::clone(&silence.id)).collect();
        old.iter().for_each(|id| drop(self.all.remove(id)));
        old
    }

    fn put(&mut self, id: Arc<str>, draft: SilenceDraft, now: Timestamp) {
        let silence = Silence {
            id: Arc::clone(&id),
            matchers: draft.matchers.into(),
            starts_at: draft.starts_at,
            ends_at: draft.ends_at,
            updated_at: now,
            created_by: draft.created_by,
            comment: draft.comment,
            annotations: draft.annotations,
        };
        self.all.insert(id, silence);
    }

    /// A pending one never begins.
    fn end(&mut self, id: &str, now: Timestamp) {
        let silence = self.all.get_mut(id).expect("BUG: looked up before");
        silence.starts_at = silence.starts_at.min(now);
        silence.ends_at = now;
        silence.updated_at = now;
    }
}

fn check(draft: &SilenceDraft) -> Result<(), SilenceError> {
    let invalid = |why: &str| Err(SilenceError::Invalid(why.to_owned()));
    if draft.matchers.is_empty() {
        return invalid("at least one matcher required");
    }
    if draft.matchers.len() > SILENCE_MATCHERS_MAX {
        return invalid("too many matchers");
    }
    if draft.matchers.iter().any(|matcher| matcher.name().is_empty()) {
        return invalid("invalid label matcher: invalid label name \"\"");
    }
    if draft.matchers.iter().all(is_empty) {
        return invalid("matcher set 0: at least one matcher must not match the empty string");
    }
    if draft.ends_at < draft.starts_at {
        return invalid("end time must not be before start time");
    }
    if draft.created_by.trim().is_empty() {
        return invalid("an author (createdBy) is required");
    }
    if draft.comment.trim().is_empty() {
        return invalid("a comment is required");
    }
    if draft.comment.len() > SILENCE_TEXT_BYTES_MAX
        || draft.created_by.len() > SILENCE_TEXT_BYTES_MAX
    {
        return invalid("comment or author is too long");
    }
    Ok(())
}

/// Whether a matcher asks for nothing. `!=` and `!~` ask for something, whatever it is.
fn is_empty(matcher: &Matcher) -> bool {
    matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex) && matcher.matches("")
}

/// Whether a silence may be changed in place.
fn can_update(known: &Silence, draft: &SilenceDraft, now: Timestamp) -> bool {
    let second = |at: Timestamp| at.0.div_euclid(1000);
    *known.matchers == *draft.matchers
        && match known.state(now) {
            SilenceState::Active => {
                second(known.starts_at) == second(draft.starts_at) && draft.ends_at >= now
            }
            SilenceState::Pending => draft.starts_at >= now,
            SilenceState::Expired => false,
        }
}

/// A matcher as it is stored: name, value, whether it is a regular expression, whether it is equal.
pub type MatcherParts = (String, String, bool, bool);

/// The parts of a matcher.
pub fn matcher_parts(matcher: &Matcher) -> MatcherParts {
    let is_regex = matches!(matcher.op(), MatchOp::Regex | MatchOp::NotRegex);
    let is_equal = matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex);
    (matcher.name().to_owned(), matcher.value().to_owned(), is_regex, is_equal)
}

/// The matcher of these parts.
///
/// # Errors
/// The value is not a valid regular expression.
pub fn matcher_from_parts(parts: &MatcherParts) -> Result<Matcher, MatcherError> {
    matcher_of(&parts.0, &parts.1, parts.2, parts.3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn draft(id: Option<&str>, value: &str, starts: i64, ends: i64) -> SilenceDraft {
        SilenceDraft {
            id: id.map(str::to_owned),
            matchers: vec![Matcher::equal("a", value)],
            starts_at: Timestamp(starts),
            ends_at: Timestamp(ends),
            created_by: "me".to_owned(),
            comment: "why".to_owned(),
            annotations: BTreeMap::new(),
        }
    }

    fn set(
        silences: &mut Silences,
        draft: SilenceDraft,
        now: Timestamp,
    ) -> Result<(Arc<str>, Vec<SilenceChange>), SilenceError> {
        let name = format!("id{}", silences.len());
        silences.set(draft, now, || name.as_str().into())
    }

    #[test]
    fn a_silence_is_pending_active_and_expired() {
        let mut all = Silences::default();
        let (id, _) = set(&mut all, draft(None, "1", 1_000_500, 1_002_000), NOW).expect("valid");
        let silence = all.get(&id).expect("there");
        assert_eq!(silence.state(NOW), SilenceState::Pending);
        assert_eq!(silence.state(Timestamp(1_000_500)), SilenceState::Active);
        assert_eq!(silence.state(Timestamp(1_002_000)), SilenceState::Expired);
    }

    #[test]
    fn a_start_in_the_past_becomes_now() {
        let mut all = Silences::default();
        let (id, _) = set(&mut all, draft(None, "1", 5, 2_000_000), NOW).expect("valid");
        assert_eq!(all.get(&id).expect("there").starts_at, NOW);
    }

    #[test]
    fn only_what_may_change_is_changed_in_place() {
        let mut all = Silences::default();
        let (id, _) = set(&mut all, draft(None, "1", 0, 2_000_000), NOW).expect("valid");
        let later = Timestamp(1_100_000);
        // The end of an active one.
        let (same, changes) =
            set(&mut all, draft(Some(&id), "1", 1_000_000, 3_000_000), later).expect("valid");
        assert_eq!((&same, changes), (&id, vec![SilenceChange::Updated(Arc::clone(&id))]));
        // Not its start.
        let (other, changes) =
            set(&mut all, draft(Some(&id), "1", 1_200_000, 3_000_000), later).expect("valid");
        assert_ne!(other, id);
        assert_eq!(changes.len(), 2);
        assert_eq!(all.get(&id).expect("kept").state(later), SilenceState::Expired);
        // Not its matchers, and a pending one's start only within the future.
        let (third, _) =
            set(&mut all, draft(Some(&other), "2", 1_200_000, 3_000_000), later).expect("valid");
        assert_ne!(third, other);
        let (moved, _) =
            set(&mut all, draft(Some(&third), "2", 1_300_000, 3_000_000), later).expect("valid");
        assert_eq!(moved, third);
        // An expired one comes back under a new name.
        let (back, changes) =
            set(&mut all, draft(Some(&id), "1", 1_000_000, 3_000_000), later).expect("valid");
        assert!(back != id && changes.len() == 1);
        assert_eq!(
            set(&mut all, draft(Some("nope"), "1", 0, 3_000_000), later),
            Err(SilenceError::NotFound("nope".to_owned()))
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut all = Silences::default();
        let good = || draft(None, "1", 0, 2_000_000);
        for (bad, hint) in [
            (SilenceDraft { matchers: Vec::new(), ..good() }, "at least one matcher required"),
            (
                SilenceDraft { matchers: vec![Matcher::equal("a", "")], ..good() },
                "must not match the empty string",
            ),
            (SilenceDraft { comment: " ".to_owned(), ..good() }, "comment"),
            (SilenceDraft { created_by: String::new(), ..good() }, "author"),
            (SilenceDraft { ends_at: Timestamp(-1), ..good() }, "end time"),
        ] {
            let error = set(&mut all, bad, NOW).expect_err(hint).to_string();
            assert!(error.contains(hint), "{error}");
        }
        assert_eq!(all.len(), 0);
    }

    #[test]
    fn expiring_is_idempotent_and_old_ones_go() {
        let mut all = Silences::default();
        let (id, _) = set(&mut all, draft(None, "1", 0, 2_000_000), NOW).expect("valid");
        assert_eq!(all.expire(&id, NOW), Ok(true));
        assert_eq!(all.expire(&id, NOW), Ok(false));
        assert!(all.expire("nope", NOW).is_err());
        assert!(all.collect_garbage(NOW).is_empty());
        assert_eq!(all.collect_garbage(Timestamp(NOW.0 + SILENCE_RETENTION_MS + 1)), [id]);
    }
}
