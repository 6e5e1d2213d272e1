//! When a group is evaluated: at fixed times, spread over the interval by the group's name.

use twox_hash::XxHash64;

use crate::model::Timestamp;

/// The evaluation times of a group: `k * interval + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    interval_ms: i64,
    offset_ms: i64,
}

impl Slots {
    /// The times of the group `name` of `file`; `interval_ms` is above 0.
    pub fn new(file: &str, name: &str, interval_ms: i64) -> Slots {
        let interval_ms = interval_ms.max(1);
        let text = format!("file\0{file}\0name\0{name}");
        let hash = XxHash64::oneshot(0, text.as_bytes());
        let offset_ms = (hash % interval_ms.unsigned_abs()) as i64;
        Slots { interval_ms, offset_ms }
    }

    /// Time between two evaluations in ms.
    pub fn interval_ms(self) -> i64 {
        self.interval_ms
    }

    /// The first time after `now`.
    pub fn next_after(self, now: Timestamp) -> Timestamp {
        let since = now.0.saturating_sub(self.offset_ms).rem_euclid(self.interval_ms);
        Timestamp(now.0.saturating_sub(since).saturating_add(self.interval_ms))
    }

    /// The time to evaluate for at `now` when `next` was to be next, and how many times are left out
    /// because it is late; `None` when it is not time yet.
    pub fn due(self, next: Timestamp, now: Timestamp) -> Option<(Timestamp, u64)> {
        let late = now.0.checked_sub(next.0).filter(|late| *late >= 0)?;
        let missed = late / self.interval_ms;
        Some((next.saturating_add(missed * self.interval_ms), missed.unsigned_abs()))
    }

    /// Whether `next` is further away than it can be: the clock has been set back.
    pub fn is_lost(self, next: Timestamp, now: Timestamp) -> bool {
        next.0.saturating_sub(now.0) > self.interval_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_lie_on_the_grid_of_the_group() {
        let slots = Slots::new("f", "g", 60_000);
        let first = slots.next_after(Timestamp(1_700_000_000_000));
        assert!((1_700_000_000_001..=1_700_000_060_000).contains(&first.0));
        assert_eq!(first.0.rem_euclid(60_000), slots.offset_ms);
        assert_eq!(slots.next_after(first), first.saturating_add(60_000));
        assert_eq!(slots.next_after(first.saturating_sub(1)), first);
        let others: std::collections::HashSet<i64> =
            (0..100).map(|n| Slots::new("f", &n.to_string(), 60_000).offset_ms).collect();
        assert!(others.len() > 90, "groups are spread");
    }

    #[test]
    fn what_is_late_leaves_times_out() {
        let slots = Slots::new("f", "g", 1000);
        let at = Timestamp;
        assert_eq!(slots.due(at(5000), at(4999)), None);
        assert_eq!(slots.due(at(5000), at(5000)), Some((at(5000), 0)));
        assert_eq!(slots.due(at(5000), at(5999)), Some((at(5000), 0)));
        assert_eq!(slots.due(at(5000), at(7500)), Some((at(7000), 2)));
        assert!(slots.is_lost(at(5000), at(3000)) && !slots.is_lost(at(5000), at(4000)));
    }
}
