//! The alerts of a rule side by side, found by their labels and by the sample they come of.
//!
//! An evaluation finds an alert by the sample that gave it before, and so need not make its labels and
//! texts anew.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::alert::ActiveAlert;
use crate::model::Labels;

/// Alerts kept in one piece: growing by one such block moves none of those that are there.
const BLOCK_ALERTS: usize = 1024;

/// Place of an alert; it stays there until it is removed.
pub(super) type AlertPlace = u32;

#[derive(Debug)]
struct Slot {
    labels: Labels,
    /// Labels of the sample it comes of, where its labels and texts may be used again.
    sample: Option<Labels>,
    alert: ActiveAlert,
}

/// The alerts.
#[derive(Debug, Default)]
pub(super) struct AlertMap {
    slots: Slots,
    free: Vec<AlertPlace>,
    by_labels: HashTable<AlertPlace>,
    by_sample: HashTable<AlertPlace>,
}

/// Each block has room for [`BLOCK_ALERTS`]; all but the last are full.
#[derive(Debug, Default)]
struct Slots(Vec<Vec<Option<Slot>>>);

impl Slots {
    fn get(&self, at: AlertPlace) -> Option<&Slot> {
        self.0.get(at as usize / BLOCK_ALERTS)?.get(at as usize % BLOCK_ALERTS)?.as_ref()
    }

    fn place(&mut self, at: AlertPlace) -> Option<&mut Option<Slot>> {
        self.0.get_mut(at as usize / BLOCK_ALERTS)?.get_mut(at as usize % BLOCK_ALERTS)
    }

    fn push(&mut self, slot: Slot) -> AlertPlace {
        if self.0.last().is_none_or(|block| block.len() == BLOCK_ALERTS) {
            self.0.push(Vec::with_capacity(BLOCK_ALERTS));
        }
        let full = (self.0.len() - 1) * BLOCK_ALERTS;
        let block = self.0.last_mut().expect("BUG: just added");
        block.push(Some(slot));
        AlertPlace::try_from(full + block.len() - 1).expect("BUG: a result has fewer elements")
    }

    fn len(&self) -> usize {
        let last = self.0.last().map_or(BLOCK_ALERTS, Vec::len);
        self.0.len() * BLOCK_ALERTS + last - BLOCK_ALERTS
    }

    fn has_labels(&self, at: AlertPlace, labels: &Labels) -> bool {
        self.get(at).is_some_and(|slot| slot.labels == *labels)
    }

    fn has_sample(&self, at: AlertPlace, sample: &Labels) -> bool {
        self.get(at).is_some_and(|slot| slot.sample.as_ref() == Some(sample))
    }

    fn hash_of_labels(&self, at: AlertPlace) -> u64 {
        self.get(at).map_or(0, |slot| hash(&slot.labels))
    }

    fn hash_of_sample(&self, at: AlertPlace) -> u64 {
        self.get(at).and_then(|slot| slot.sample.as_ref()).map_or(0, hash)
    }
}

fn hash(labels: &Labels) -> u64 {
    FixedState::default().hash_one(labels)
}

impl AlertMap {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// No place is at or beyond this.
    pub fn places(&self) -> usize {
        self.slots.len()
    }

    /// The place of the alert with these labels.
    pub fn find(&self, labels: &Labels) -> Option<AlertPlace> {
        self.by_labels.find(hash(labels), |at| self.slots.has_labels(*at, labels)).copied()
    }

    /// The place of the alert that comes of the sample with these labels.
    pub fn of_sample(&self, sample: &Labels) -> Option<AlertPlace> {
        self.by_sample.find(hash(sample), |at| self.slots.has_sample(*at, sample)).copied()
    }

    /// The alert at a place.
    pub fn at(&self, at: AlertPlace) -> Option<(&Labels, &ActiveAlert)> {
        self.slots.get(at).map(|slot| (&slot.labels, &slot.alert))
    }

    /// The alert at a place.
    pub fn at_mut(&mut self, at: AlertPlace) -> Option<&mut ActiveAlert> {
        self.slots.place(at)?.as_mut().map(|slot| &mut slot.alert)
    }

    /// The alert with these labels.
    pub fn get(&self, labels: &Labels) -> Option<&ActiveAlert> {
        Some(self.at(self.find(labels)?)?.1)
    }

    /// Puts an alert there, in place of one with the same labels, which is returned.
    pub fn insert(&mut self, labels: Labels, alert: ActiveAlert) -> Option<ActiveAlert> {
        if let Some(known) = self.find(&labels).and_then(|at| self.at_mut(at)) {
            return Some(std::mem::replace(known, alert));
        }
        let hash = hash(&labels);
        let slot = Slot { labels, sample: None, alert };
        let at = match self.free.pop() {
            Some(at) => {
                *self.slots.place(at).expect("BUG: it was given back") = Some(slot);
                at
            }
            None => self.slots.push(slot),
        };
        let slots = &self.slots;
        self.by_labels.insert_unique(hash, at, |at| slots.hash_of_labels(*at));
        None
    }

    /// Notes of which sample the alert at a place comes; with `None` that it has to be made anew.
    pub fn set_sample(&mut self, at: AlertPlace, sample: Option<Labels>) {
        if self.slots.get(at).is_none_or(|slot| slot.sample == sample) {
            return;
        }
        self.forget_sample(at);
        let Some(sample) = sample else { return };
        if let Some(other) = self.of_sample(&sample) {
            self.forget_sample(other);
        }
        let hash = hash(&sample);
        if let Some(Some(slot)) = self.slots.place(at) {
            slot.sample = Some(sample);
        }
        let slots = &self.slots;
        self.by_sample.insert_unique(hash, at, |at| slots.hash_of_sample(*at));
    }

    fn forget_sample(&mut self, at: AlertPlace) {
        let hash = self.slots.hash_of_sample(at);
        if let Ok(known) = self.by_sample.find_entry(hash, |other| *other == at) {
            known.remove();
        }
        if let Some(Some(slot)) = self.slots.place(at) {
            slot.sample = None;
        }
    }

    /// Forgets of which samples they come: all are made anew.
    pub fn forget_samples(&mut self) {
        self.by_sample = HashTable::new();
        self.slots.0.iter_mut().flatten().flatten().for_each(|slot| slot.sample = None);
    }

    /// Removes those that are not to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(&Labels, &mut ActiveAlert) -> bool) {
        for at in (0..self.places()).filter_map(|at| AlertPlace::try_from(at).ok()) {
            let slot = self.slots.place(at).and_then(Option::as_mut);
            if slot.is_some_and(|slot| !keep(&slot.labels, &mut slot.alert)) {
                self.remove(at);
            }
        }
    }

    fn remove(&mut self, at: AlertPlace) {
        self.forget_sample(at);
        let hash = self.slots.hash_of_labels(at);
        if let Ok(known) = self.by_labels.find_entry(hash, |other| *other == at) {
            known.remove();
        }
        if self.slots.place(at).and_then(Option::take).is_some() {
            self.free.push(at);
        }
        if self.by_labels.is_empty() {
            *self = AlertMap::default(); // a storm's memory is given back
        }
    }

    /// All, by place.
    pub fn iter(&self) -> impl Iterator<Item = (&Labels, &ActiveAlert)> {
        self.slots.0.iter().flatten().flatten().map(|slot| (&slot.labels, &slot.alert))
    }

    /// All, by place, each with its place.
    pub fn places_mut(&mut self) -> impl Iterator<Item = (AlertPlace, &mut ActiveAlert)> {
        let all = (0..).zip(self.slots.0.iter_mut().flatten());
        all.filter_map(|(at, slot)| Some((at, &mut slot.as_mut()?.alert)))
    }

    /// All, by place.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Labels, &mut ActiveAlert)> {
        self.slots.0.iter_mut().flatten().flatten().map(|slot| (&slot.labels, &mut slot.alert))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::alert::{AlertState, NEVER};

    fn labels(number: usize) -> Labels {
        Labels::from_pairs([("n", &*number.to_string())]).expect("valid labels")
    }

    fn alert(value: f64) -> ActiveAlert {
        ActiveAlert::kept(Default::default(), value, AlertState::Firing, [NEVER; 5])
    }

    #[test]
    fn alerts_are_found_by_labels_and_sample_until_they_are_removed() {
        let mut map = AlertMap::default();
        for number in 0..3000 {
            assert!(map.insert(labels(number), alert(number as f64)).is_none());
            let at = map.find(&labels(number)).expect("just put there");
            map.set_sample(at, Some(labels(number + 10_000)));
        }
        assert_eq!((map.len(), map.places()), (3000, 3000));
        let before = map.insert(labels(7), alert(0.5)).expect("it was there");
        assert_eq!((before.value, map.len()), (7.0, 3000));
        map.retain(|_, alert| alert.value < 1000.0);
        assert_eq!((map.len(), map.iter().count()), (1000, 1000));
        assert_eq!((map.find(&labels(1000)), map.of_sample(&labels(11_000))), (None, None));
        for number in 0..1000 {
            assert_eq!(map.of_sample(&labels(number + 10_000)), map.find(&labels(number)));
            assert!(map.find(&labels(number)).is_some());
        }
        map.insert(labels(5000), alert(1.0));
        assert_eq!((map.len(), map.places()), (1001, 3000), "a place is used again");
        map.retain(|_, _| false);
        assert_eq!((map.len(), map.places()), (0, 0));
    }

    #[test]
    fn a_sample_belongs_to_one_alert() {
        let mut map = AlertMap::default();
        map.insert(labels(0), alert(0.0));
        map.insert(labels(1), alert(1.0));
        map.set_sample(0, Some(labels(9)));
        map.set_sample(1, Some(labels(9)));
        assert_eq!(map.of_sample(&labels(9)), Some(1));
        map.set_sample(1, Some(labels(8)));
        assert_eq!((map.of_sample(&labels(9)), map.of_sample(&labels(8))), (None, Some(1)));
        map.forget_samples();
        assert_eq!((map.of_sample(&labels(8)), map.len()), (None, 2));
    }
}
