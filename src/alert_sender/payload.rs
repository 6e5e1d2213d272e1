//! Alerts as the body of a request: `postableAlerts` of Alertmanager's API v2.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::model::Alert;

/// The body.
pub(super) fn body(alerts: &[Arc<Alert>]) -> String {
    serde_json::to_string(&All(alerts)).expect("BUG: texts and maps of texts are JSON")
}

struct All<'a>(&'a [Arc<Alert>]);

impl Serialize for All<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for alert in self.0 {
            list.serialize_element(&One(alert))?;
        }
        list.end()
    }
}

struct One<'a>(&'a Alert);

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let alert = self.0;
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("annotations", &Pairs(|| alert.annotations.iter()))?;
        map.serialize_entry("endsAt", &alert.ends_at.to_string())?;
        map.serialize_entry("startsAt", &alert.starts_at.to_string())?;
        map.serialize_entry("generatorURL", &*alert.generator_url)?;
        map.serialize_entry("labels", &Pairs(|| alert.labels.iter()))?;
        map.end()
    }
}

struct Pairs<F>(F);

impl<'a, I: Iterator<Item = (&'a str, &'a str)>, F: Fn() -> I> Serialize for Pairs<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map((self.0)())
    }
}
