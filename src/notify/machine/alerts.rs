//! The alerts that are known: those that fire, and those that are resolved and not yet told.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::Incoming;
use super::backlog::OfAlert;
use crate::model::{Annotations, Labels, Timestamp};
use crate::notify::deliver::NotifiedAlert;
use crate::notify::event::EventKind;
use crate::notify::fingerprint::Fingerprint;
use crate::notify::inhibit::Sides;

/// Number of an alert in the store.
pub(super) type AlertId = u32;

/// One alert.
#[derive(Debug)]
pub(super) struct Entry {
    pub fingerprint: Fingerprint,
    pub labels: Labels,
    pub annotations: Annotations,
    pub generator_url: Arc<str>,
    pub starts_at: Timestamp,
    /// When it ends or ended; in the future while it fires.
    pub ends_at: Timestamp,
    pub updated_at: Timestamp,
    /// Whether `ends_at` is only our guess.
    pub timeout: bool,
    /// Whether it is resolved; told apart from `ends_at` so that the moment is noticed once.
    pub resolved: bool,
    /// `ends_at` as it was last stored.
    pub stored_ends_at: Timestamp,
    /// The routes it belongs to; shared by alerts that have the same.
    pub routes: Arc<[usize]>,
    /// The groups it is in.
    pub groups: Vec<u64>,
    /// Names of the silences that keep it quiet now.
    pub silenced_by: Vec<Arc<str>>,
    pub sides: Sides,
}

impl Entry {
    /// Whether it has this label with this value.
    pub(super) fn has(&self, (name, value): (&str, &str)) -> bool {
        self.labels.get(name) == Some(value)
    }

    /// A line of the history about it.
    pub(super) fn line(&self, kind: EventKind, at: Timestamp) -> OfAlert {
        OfAlert { kind, at, labels: self.labels.clone(), fingerprint: self.fingerprint }
    }

    pub(super) fn notified(&self) -> NotifiedAlert {
        NotifiedAlert {
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            starts_at: self.starts_at,
            resolved_at: self.resolved.then_some(self.ends_at),
            generator_url: Arc::clone(&self.generator_url),
            fingerprint: self.fingerprint,
        }
    }

    /// Takes a newer report of the same alert over (`Alert.Merge` and the store of Alertmanager).
    pub(super) fn merge(&mut self, new: Incoming, now: Timestamp) -> Merged {
        let (mut starts_at, mut ends_at) = (new.alert.starts_at, new.alert.ends_at);
        let overlaps = (ends_at > self.starts_at && ends_at < self.ends_at)
            || (starts_at > self.starts_at && starts_at < self.ends_at);
        if overlaps {
            starts_at = starts_at.min(self.starts_at);
            let (new_resolved, old_resolved) = (ends_at <= now, self.ends_at <= now);
            let keeps_old_end = match new_resolved {
                true => old_resolved,
                // An end that somebody has named counts if it is the later one.
                false => !self.timeout,
            };
            if keeps_old_end {
                ends_at = ends_at.max(self.ends_at);
            }
        }
        let more = self.generator_url != new.alert.generator_url || self.starts_at != starts_at;
        let merged = match self.annotations == new.alert.annotations {
            _ if more => Merged::More,
            true => Merged::Times,
            false => Merged::Texts,
        };
        // Also where they are equal: then sender and receiver share one copy.
        if self.labels == new.alert.labels {
            self.labels = new.alert.labels;
        }
        self.annotations = new.alert.annotations;
        self.generator_url = new.alert.generator_url;
        (self.starts_at, self.ends_at) = (starts_at, ends_at);
        (self.updated_at, self.timeout) = (now, new.timeout);
        merged
    }
}

/// What a newer report of an alert has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// When it ends and was reported, at most.
    Times,
    /// Its texts, too.
    Texts,
    /// When it began or where it comes from.
    More,
}

/// Alerts kept side by side: growing by one such block moves none of those that are there.
const BLOCK_ALERTS: usize = 1024;

/// All alerts by number and by fingerprint.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    /// Each block has room for [`BLOCK_ALERTS`]; all but the last are full.
    blocks: Vec<Vec<Option<Entry>>>,
    free: Vec<AlertId>,
    by_fingerprint: HashMap<Fingerprint, AlertId, FixedState>,
}

impl Alerts {
    pub(super) fn len(&self) -> usize {
        self.by_fingerprint.len()
    }

    pub(super) fn find(&self, fingerprint: Fingerprint) -> Option<AlertId> {
        self.by_fingerprint.get(&fingerprint).copied()
    }

    pub(super) fn get(&self, id: AlertId) -> Option<&Entry> {
        self.blocks.get(id as usize / BLOCK_ALERTS)?.get(id as usize % BLOCK_ALERTS)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: AlertId) -> Option<&mut Entry> {
        self.slot(id)?.as_mut()
    }

    pub(super) fn insert(&mut self, entry: Entry) -> AlertId {
        let fingerprint = entry.fingerprint;
        let id = match self.free.pop() {
            Some(id) => {
                *self.slot(id).expect("BUG: it was given back") = Some(entry);
                id
            }
            None => self.push(entry),
        };
        self.by_fingerprint.insert(fingerprint, id);
        id
    }

    fn push(&mut self, entry: Entry) -> AlertId {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK_ALERTS) {
            self.blocks.push(Vec::with_capacity(BLOCK_ALERTS));
        }
        let full = (self.blocks.len() - 1) * BLOCK_ALERTS;
        let block = self.blocks.last_mut().expect("BUG: just added");
        block.push(Some(entry));
        AlertId::try_from(full + block.len() - 1).expect("BUG: ALERTS_MAX fits u32")
    }

    fn slot(&mut self, id: AlertId) -> Option<&mut Option<Entry>> {
        self.blocks.get_mut(id as usize / BLOCK_ALERTS)?.get_mut(id as usize % BLOCK_ALERTS)
    }

    pub(super) fn remove(&mut self, id: AlertId) -> Option<Entry> {
        let entry = self.slot(id)?.take()?;
        self.by_fingerprint.remove(&entry.fingerprint);
        self.free.push(id);
        Some(entry)
    }

    /// All, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (AlertId, &Entry)> {
        (0..)
            .zip(self.blocks.iter().flatten())
            .filter_map(|(id, entry)| Some((id, entry.as_ref()?)))
    }

    /// All, by number.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (AlertId, &mut Entry)> {
        (0..)
            .zip(self.blocks.iter_mut().flatten())
            .filter_map(|(id, entry)| Some((id, entry.as_mut()?)))
    }
}
