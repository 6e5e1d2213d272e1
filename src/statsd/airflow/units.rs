//! Seconds or milliseconds: what Airflow's timers carry depends on version and backend.
//!
//! All say `ms`. Plain StatsD (and Influx tags) of 2.x sends queue times in seconds and the rest in
//! milliseconds; DogStatsD of 2.x sends seconds throughout, unless `timer_unit_consistency` is set.
//! 3.x sends durations in milliseconds, file durations in seconds, and DogStatsD timers in seconds.

use super::catalogue::Unit;
use super::learned::Version;

/// What a sender is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    /// Its version; `None` while unknown.
    pub version: Option<Version>,
    /// Whether it uses a DogStatsD client.
    pub dogstatsd: bool,
    /// Whether 2.x is set to send milliseconds throughout (`timer_unit_consistency`).
    pub consistent: bool,
}

/// What a value is divided by to get seconds; `None` when the version decides and is not known.
pub(super) fn divisor(unit: Unit, sender: Sender) -> Option<f64> {
    const SECONDS: f64 = 1.0;
    const MILLISECONDS: f64 = 1000.0;
    let by_version = |of_2: f64, of_3: f64| match sender.version {
        Some(Version::V2) if sender.consistent => Some(MILLISECONDS),
        Some(Version::V2) => Some(of_2),
        Some(Version::V3) => Some(of_3),
        // Where both agree the version does not matter.
        None if of_2 == of_3 && !sender.consistent => Some(of_2),
        None => None,
    };
    match (unit, sender.dogstatsd) {
        (Unit::None, _) => Some(MILLISECONDS),
        (Unit::Duration, true) => by_version(SECONDS, MILLISECONDS),
        (Unit::Duration, false) => by_version(MILLISECONDS, MILLISECONDS),
        (Unit::Queued, _) => by_version(SECONDS, MILLISECONDS),
        (Unit::Last, true) => by_version(SECONDS, SECONDS),
        (Unit::Last, false) => by_version(MILLISECONDS, SECONDS),
        (Unit::Timer, true) => by_version(SECONDS, SECONDS),
        (Unit::Timer, false) => by_version(MILLISECONDS, MILLISECONDS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_the_table() {
        let (v2, v3) = (Some(Version::V2), Some(Version::V3));
        for (unit, plain_2, dogstatsd_2, plain_3, dogstatsd_3) in [
            (Unit::Duration, 1000.0, 1.0, 1000.0, 1000.0),
            (Unit::Queued, 1.0, 1.0, 1000.0, 1000.0),
            (Unit::Last, 1000.0, 1.0, 1.0, 1.0),
            (Unit::Timer, 1000.0, 1.0, 1000.0, 1.0),
        ] {
            for (version, dogstatsd, expected) in [
                (v2, false, plain_2),
                (v2, true, dogstatsd_2),
                (v3, false, plain_3),
                (v3, true, dogstatsd_3),
            ] {
                let sender = Sender { version, dogstatsd, consistent: false };
                assert_eq!(divisor(unit, sender), Some(expected), "{unit:?} {sender:?}");
                let consistent = Sender { consistent: true, ..sender };
                let expected = if version == v2 { 1000.0 } else { expected };
                assert_eq!(divisor(unit, consistent), Some(expected), "{unit:?} {consistent:?}");
            }
        }
    }

    #[test]
    fn an_unknown_version_matters_only_where_versions_differ() {
        let plain = Sender { version: None, dogstatsd: false, consistent: false };
        assert_eq!(divisor(Unit::Timer, plain), Some(1000.0));
        assert_eq!(divisor(Unit::Duration, plain), Some(1000.0));
        assert_eq!(divisor(Unit::Queued, plain), None);
        assert_eq!(divisor(Unit::Last, plain), None);
        let dogstatsd = Sender { dogstatsd: true, ..plain };
        assert_eq!(divisor(Unit::Timer, dogstatsd), Some(1.0));
        assert_eq!(divisor(Unit::Duration, dogstatsd), None);
    }
}
