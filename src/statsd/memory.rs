//! What the receiver knows again after a restart, so that no count starts over.
//!
//! In: series as they are made and forgotten. Out: after a restart the same series with the values
//! they had last. Never here: the values themselves: those are in the store, where every flush
//! writes them. Kept beside them, under the part `statsd` of the control file, is only what a series
//! is (kind, bounds, lifetime), once, when it is made; and when values were last written.
//!
//! So a crash at any point is as good as a stop: a count goes on from the last value on disk. Samples
//! since that flush are lost, members of sets and quantiles start anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::observer::{HistogramOptions, NativeOptions, ObserverOptions, SummaryOptions};
use super::resolve::What;
use super::series::{PointValue, stored_names};
use crate::model::{Labels, Matcher, Selector, SeriesData, SourceError, Timestamp};
use crate::storage::{StateChange, StorageError, Store};

/// The part's name in the control file.
const PART: &str = "statsd";
/// The key of the time of the last write; no label set is empty.
const WRITTEN_KEY: &[u8] = b"";
/// How often the time of the last write is noted, in ms.
pub const NOTE_EVERY_MS: i64 = 60_000;
/// How far before the noted time values are looked for, in ms: some flushes may have failed.
const LOOK_BACK_MS: i64 = 10 * 60_000;

/// What a series is.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Name and tags.
    pub base: Labels,
    /// The kind of series.
    pub what: What,
    /// How long it lives without a sample, in ms; 0 for ever.
    pub ttl_ms: i64,
}

/// A change of what there is.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A series was made.
    Made(Definition),
    /// A series was forgotten.
    Gone(Labels),
}

/// A [`Definition`] without its labels, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    kind: KeptKind,
    ttl_ms: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptKind {
    Counter,
    Gauge,
    Set,
    Summary { targets: Vec<(f64, f64)>, max_age_ms: i64, slices: u32 },
    Histogram { buckets: Vec<f64>, native: Option<(i32, u32)> },
}

/// The last value of each stored series.
pub type LastValues = HashMap<Labels, PointValue, RandomState>;

/// The way to what is kept.
#[derive(Clone, Debug)]
pub struct Memory {
    store: Arc<Store>,
}

impl Memory {
    /// What is kept in `store`.
    pub fn new(store: Arc<Store>) -> Memory {
        Memory { store }
    }

    /// Keeps changes, and that everything was written at `now`.
    ///
    /// # Errors
    /// The control file cannot be written; nothing is kept.
    pub fn keep(&self, changes: &[Change], now: Timestamp) -> Result<(), StorageError> {
        let written = now.as_millis().to_le_bytes().to_vec();
        let mut all = vec![StateChange { key: WRITTEN_KEY.to_vec(), value: Some(written) }];
        all.extend(changes.iter().map(|change| match change {
            Change::Made(definition) => StateChange {
                key: definition.base.as_packed().to_vec(),
                value: Some(encode(definition)),
            },
            Change::Gone(base) => StateChange { key: base.as_packed().to_vec(), value: None },
        }));
        self.store.change_part_state(PART, &all)
    }

    /// What was kept before the restart, and the values of then.
    ///
    /// # Errors
    /// The control file or the store cannot be read; says which.
    pub fn recall(&self, now: Timestamp) -> Result<(Vec<Definition>, LastValues), String> {
        let kept = self.store.part_state(PART).map_err(|error| error.to_string())?;
        let mut written = None;
        let mut definitions = Vec::with_capacity(kept.len());
        for (key, value) in kept {
            if key == WRITTEN_KEY {
                written = value.try_into().ok().map(i64::from_le_bytes);
            } else {
                // What an older or damaged version left is no series any more.
                definitions.extend(decode(&key, &value));
            }
        }
        let Some(written) = written.filter(|_| !definitions.is_empty()) else {
            return Ok((Vec::new(), LastValues::default()));
        };
        let start = Timestamp(written).saturating_sub(LOOK_BACK_MS);
        let values = self.last_values(&definitions, start, now);
        Ok((definitions, values.map_err(|error| error.to_string())?))
    }

    /// The last values from `start` on of all series that `definitions` store.
    fn last_values(
        &self,
        definitions: &[Definition],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<LastValues, SourceError> {
        let names: BTreeSet<String> = definitions
            .iter()
            .flat_map(|definition| stored_names(definition.base.metric_name(), &definition.what))
            .collect();
        let source = self.store.source();
        let (mut values, mut data) = (LastValues::default(), SeriesData::default());
        for name in names {
            let matchers = [Matcher::equal("__name__", &name)];
            let set = source.select(&Selector::new(&matchers, start, end))?;
            for index in 0..set.len() {
                set.read(index, &mut data)?;
                if let Some(value) = last_value(&data) {
                    values.insert(set.labels(index).clone(), value);
                }
            }
        }
        Ok(values)
    }
}

fn last_value(data: &SeriesData) -> Option<PointValue> {
    let float_at = data.timestamps.last();
    match data.histograms.last() {
        Some(point) if float_at.is_none_or(|at| *at < point.timestamp) => {
            Some(PointValue::Histogram(Box::new(point.histogram.clone())))
        }
        _ => data.values.last().map(|value| PointValue::Float(*value)),
    }
}

fn encode(definition: &Definition) -> Vec<u8> {
    let kind = match &definition.what {
        What::Counter => KeptKind::Counter,
        What::Gauge => KeptKind::Gauge,
        What::Set => KeptKind::Set,
        What::Observer(ObserverOptions::Summary(options)) => KeptKind::Summary {
            targets: options.targets().to_vec(),
            max_age_ms: options.max_age_ms(),
            slices: options.slices() as u32,
        },
        What::Observer(ObserverOptions::Histogram(options)) => KeptKind::Histogram {
            buckets: options.buckets().to_vec(),
            native: options.native().map(|native| (native.schema, native.buckets_max)),
        },
    };
    let kept = Kept { kind, ttl_ms: definition.ttl_ms };
    serde_json::to_vec(&kept).expect("BUG: plain values are always JSON")
}

fn decode(key: &[u8], value: &[u8]) -> Option<Definition> {
    let base = Labels::from_packed(key).ok()?;
    let kept: Kept = serde_json::from_slice(value).ok()?;
    let what = match kept.kind {
        KeptKind::Counter => What::Counter,
        KeptKind::Gauge => What::Gauge,
        KeptKind::Set => What::Set,
        KeptKind::Summary { targets, max_age_ms, slices } => {
            let options = SummaryOptions::new(targets, max_age_ms, slices).ok()?;
            What::Observer(ObserverOptions::summary(options))
        }
        KeptKind::Histogram { buckets, native } => {
            let native = native.map(|(schema, buckets_max)| NativeOptions {
                schema: schema.clamp(-4, 8),
                buckets_max,
            });
            let options = HistogramOptions::new(buckets, native).ok()?;
            What::Observer(ObserverOptions::histogram(options))
        }
    };
    Some(Definition { base, what, ttl_ms: kept.ttl_ms.max(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_read_back_as_they_were() {
        let base = Labels::from_pairs([("__name__", "m"), ("a", "b")]).expect("valid");
        let native = NativeOptions::new(1.1, 0);
        let histogram = HistogramOptions::new(vec![0.1, 1.0], native).expect("valid");
        for what in [
            What::Counter,
            What::Gauge,
            What::Set,
            What::Observer(ObserverOptions::default()),
            What::Observer(ObserverOptions::histogram(histogram)),
        ] {
            let definition = Definition { base: base.clone(), what, ttl_ms: 5 };
            let read = decode(base.as_packed(), &encode(&definition));
            assert_eq!(read, Some(definition));
        }
        assert_eq!(decode(base.as_packed(), b"{}"), None);
        assert_eq!(decode(b"\xff", b"{\"kind\":\"counter\",\"ttl_ms\":0}"), None);
    }
}
