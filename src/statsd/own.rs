//! Series the receiver makes of DogStatsD events and service checks.
//!
//! A part of [`Aggregator`]. An event is counted in `dogstatsd_events_total`, a service check's
//! status is the gauge `dogstatsd_service_check_status`: 0 ok, 1 warning, 2 critical, 3 unknown.

use super::aggregate::{Aggregator, count_refusal};
use super::line::{Kind, Reason};
use super::metrics::Counts;
use super::notice::{Check, Notice};
use super::resolve::{Spec, What};
use super::series::Series;
use crate::model::Timestamp;

impl Aggregator {
    /// Counts a DogStatsD event in `dogstatsd_events_total`.
    pub(super) fn apply_notice(
        &mut self,
        notice: &Notice<'_>,
        now: Timestamp,
        counts: &mut Counts,
    ) -> Result<(), Reason> {
        counts.notices += 1;
        self.samples.noticed(notice, now);
        let own = [
            ("alert_type", notice.alert_type),
            ("priority", notice.priority),
            ("source", notice.source),
            ("host", notice.host),
        ];
        let spec =
            self.own_spec("dogstatsd_events_total", &own, notice.tags, What::Counter, counts);
        self.apply_own(&spec, Kind::Counter, now, counts, |series| series.add(1.0));
        Ok(())
    }

    /// Keeps a service check's status in `dogstatsd_service_check_status`.
    pub(super) fn apply_check(
        &mut self,
        check: &Check<'_>,
        now: Timestamp,
        counts: &mut Counts,
    ) -> Result<(), Reason> {
        counts.checks += 1;
        let own = [("check", check.name), ("host", check.host)];
        let name = "dogstatsd_service_check_status";
        let spec = self.own_spec(name, &own, check.tags, What::Gauge, counts);
        let status = f64::from(check.status);
        self.apply_own(&spec, Kind::Gauge, now, counts, |series| series.set(status));
        Ok(())
    }

    fn own_spec(
        &self,
        family: &str,
        own: &[(&str, &str)],
        tags: &str,
        what: What,
        counts: &mut Counts,
    ) -> Spec {
        let mut spec = self.resolver.own(family, tags, what, counts);
        for (key, value) in own.iter().filter(|(_, value)| !value.is_empty()) {
            spec.tags.retain(|(known, _)| known != key);
            spec.tags.push(((*key).to_owned(), (*value).to_owned()));
        }
        spec
    }

    fn apply_own(
        &mut self,
        spec: &Spec,
        kind: Kind,
        now: Timestamp,
        counts: &mut Counts,
        change: impl FnOnce(&mut Series),
    ) {
        match self.slot(spec, now) {
            Ok(slot) => {
                let series = &mut self.series[slot as usize];
                change(series);
                series.touched = now.as_millis();
                series.asleep = false;
            }
            Err(refusal) => count_refusal(refusal, kind, counts),
        }
    }
}
