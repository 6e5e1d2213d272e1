//! Silences within the state machine: which alerts they keep quiet, and what happens when they
//! begin and end.

use std::sync::Arc;

use super::{Dirty, Machine};
use crate::model::Timestamp;
use crate::notify::event::{Event, EventKind, SilenceNote};
use crate::notify::matcher::MatcherText;
use crate::notify::rows::SilenceRow;
use crate::notify::silence::index::SilenceIndex;
use crate::notify::silence::{
    Silence, SilenceChange, SilenceDraft, SilenceError, SilenceState, matcher_from_parts,
    matcher_parts,
};

impl Machine {
    /// Creates or changes a silence; returns its name.
    ///
    /// # Errors
    /// See [`SilenceError`]; nothing has changed.
    pub fn set_silence(
        &mut self,
        draft: SilenceDraft,
        now: Timestamp,
    ) -> Result<Arc<str>, SilenceError> {
        self.move_clock(now);
        let (seed, number) = (self.id_seed, self.next_id);
        let (id, changes) = self.silences.set(draft, now, || uuid(seed, number))?;
        self.next_id += 1;
        for change in changes {
            let (kind, id) = match change {
                SilenceChange::Created(id) => (EventKind::SilenceCreated, id),
                SilenceChange::Updated(id) => (EventKind::SilenceUpdated, id),
                SilenceChange::Ended(id) => (EventKind::SilenceExpired, id),
            };
            self.note_silence(kind, &id, "");
        }
        self.silences_changed = true;
        Ok(id)
    }

    /// Ends a silence now.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn expire_silence(&mut self, id: &str, now: Timestamp) -> Result<(), SilenceError> {
        self.move_clock(now);
        if self.silences.expire(id, now)? {
            let id = Arc::clone(&self.silences.get(id).expect("BUG: just expired").id);
            self.note_silence(EventKind::SilenceExpired, &id, "ended by somebody");
            self.silences_changed = true;
        }
        Ok(())
    }

    fn note_silence(&mut self, kind: EventKind, id: &Arc<str>, reason: &str) {
        self.dirty.insert(Dirty::Silence(Arc::clone(id)));
        let Some(silence) = self.silences.get(id) else { return };
        self.backlog.push(Event {
            silence: Some(Box::new(note(silence))),
            reason: reason.into(),
            ..Event::new(kind, self.now)
        });
    }

    /// Lets silences begin and end whose time has come.
    pub(super) fn pass_silences(&mut self) {
        let mut passed = Vec::new();
        while let Some(first) = self.silence_timers.first().filter(|(at, _)| *at <= self.now) {
            let first = first.clone();
            self.silence_timers.remove(&first);
            passed.push(first.1);
        }
        self.silences_changed |= !passed.is_empty();
        for id in passed {
            let state = self.silences.get(&id).map(|silence| silence.state(self.now));
            if state == Some(SilenceState::Expired) {
                self.note_silence(EventKind::SilenceExpired, &id, "its time is over");
            }
        }
        if self.silences_changed {
            self.rebuild_silences();
        }
    }

    /// Finds out anew which silences are active and which alerts they keep quiet; groups of alerts
    /// that are not kept quiet any more are woken.
    pub(super) fn rebuild_silences(&mut self) {
        self.silences_changed = false;
        let now = self.now;
        let state = |silence: &&Silence| silence.state(now);
        let active = self.silences.iter().filter(|silence| state(silence) == SilenceState::Active);
        self.silence_index = SilenceIndex::new(active);
        self.silence_timers = self.silences.iter().filter_map(|s| next_change(s, now)).collect();
        let mut woken = Vec::new();
        for (_, entry) in self.alerts.iter_mut() {
            if self.silence_index.is_empty() && entry.silenced_by.is_empty() {
                continue;
            }
            let silenced_by = self.silence_index.matching(&entry.labels);
            if silenced_by.is_empty() && !entry.silenced_by.is_empty() {
                woken.extend(entry.groups.iter().copied());
            }
            entry.silenced_by = silenced_by;
        }
        woken.sort_unstable();
        woken.dedup();
        woken.into_iter().for_each(|id| self.wake(id));
    }
}

fn next_change(silence: &Silence, now: Timestamp) -> Option<(Timestamp, Arc<str>)> {
    let id = || Arc::clone(&silence.id);
    match silence.state(now) {
        SilenceState::Pending => Some((silence.starts_at, id())),
        SilenceState::Active => Some((silence.ends_at, id())),
        SilenceState::Expired => None,
    }
}

/// A UUID of version 4 in form.
fn uuid(seed: u64, number: u64) -> Arc<str> {
    let high = mixed(seed ^ mixed(number.wrapping_mul(2).wrapping_add(1)));
    let low = mixed(high ^ mixed(number.wrapping_mul(2).wrapping_add(2)) ^ seed);
    let bits = (u128::from(high) << 64) | u128::from(low);
    let bits = (bits & !(0xf << 76)) | (0x4 << 76);
    let bits = (bits & !(0b11 << 62)) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-").into()
}

/// The finalizer of splitmix64.
fn mixed(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn note(silence: &Silence) -> SilenceNote {
    SilenceNote {
        id: silence.id[..].into(),
        matchers: silence.matchers.iter().map(|m| MatcherText(m).to_string()).collect(),
        starts_at: silence.starts_at.0,
        ends_at: silence.ends_at.0,
        created_by: silence.created_by.clone(),
        comment: silence.comment.clone(),
    }
}

pub(super) fn row(silence: &Silence) -> SilenceRow {
    SilenceRow {
        matchers: silence.matchers.iter().map(matcher_parts).collect(),
        starts_at: silence.starts_at.0,
        ends_at: silence.ends_at.0,
        updated_at: silence.updated_at.0,
        created_by: silence.created_by.clone(),
        comment: silence.comment.clone(),
        annotations: silence.annotations.clone(),
    }
}

pub(super) fn from_row(id: &str, row: SilenceRow) -> Result<Silence, String> {
    let matchers = row.matchers.iter().map(matcher_from_parts);
    Ok(Silence {
        id: id.into(),
        matchers: matchers.collect::<Result<_, _>>().map_err(|error| error.to_string())?,
        starts_at: Timestamp(row.starts_at),
        ends_at: Timestamp(row.ends_at),
        updated_at: Timestamp(row.updated_at),
        created_by: row.created_by,
        comment: row.comment,
        annotations: row.annotations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_look_like_uuids_and_differ() {
        let (a, b) = (uuid(1, 0), uuid(1, 1));
        assert_ne!(a, b);
        assert_ne!(a, uuid(2, 0));
        for id in [a, b] {
            let parts: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(&id[14..15], "4", "{id}");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
    }
}
