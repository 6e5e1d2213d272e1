//! The own metrics into the own store: as if Prometheus scraped `/metrics` every ten seconds.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use super::event::{Event, Events};
use super::family::{MetricFamily, MetricSample};
use super::registry::Registry;
use crate::ingest::{Ingest, WriteMode};
use crate::model::labels::METRIC_NAME;
use crate::model::{
    Clock, LabelError, Labels, MetricMetadata, Sample, Timestamp, WriteBatch, stale_nan,
};
use crate::runtime::{CpuPool, Shutdown};

/// How often the own metrics are collected.
pub const COLLECT_INTERVAL: Duration = Duration::from_secs(10);
/// The job label of the own metrics.
const JOB: &str = "tidewatch";

/// What is collected and under which labels.
#[derive(Clone, Debug)]
pub struct SelfCollector {
    /// What is gathered.
    pub registry: Registry,
    /// Address others reach this server at; becomes the `instance` label.
    pub instance: String,
    /// The time samples are stamped with.
    pub clock: Arc<dyn Clock>,
}

/// Collects into `ingest` at once and then every [`COLLECT_INTERVAL`], until the stop; then writes
/// stale markers, so that graphs end where the server ended.
pub async fn run(
    collector: SelfCollector,
    ingest: Ingest,
    pool: CpuPool,
    events: Events,
    shutdown: Shutdown,
) {
    let mut ticks = interval(COLLECT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut known = Vec::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.requested() => break,
        }
        let collected = collector.collect(&known);
        let written = write(collected, ingest.clone(), &pool).await;
        match written {
            Ok(series) => known = series,
            Err(reason) => events.emit(&Event::SelfCollectionFailed { reason }),
        }
    }
    let stale = Collected::stale(known, collector.clock.now());
    if let Err(reason) = write(stale, ingest, &pool).await {
        events.emit(&Event::SelfCollectionFailed { reason });
    }
}

/// One collection, owned so that it can move to the CPU pool.
#[derive(Debug, Default)]
struct Collected {
    series: Vec<Labels>,
    samples: Vec<Sample>,
    metadata: Vec<(String, MetricMetadata)>,
}

/// Writes a collection and returns its series.
async fn write(
    collected: Collected,
    ingest: Ingest,
    pool: &CpuPool,
) -> Result<Vec<Labels>, String> {
    let job = move || {
        let submitted = ingest.submit(&collected.batch(), WriteMode::Partial);
        submitted.map(|submitted| (submitted, collected.series))
    };
    let submitted = pool.run(job).await.map_err(|error| error.to_string())?;
    let (submitted, series) = submitted.map_err(|error| error.to_string())?;
    let outcome = submitted.durable().await.map_err(|error| error.to_string())?;
    match outcome.reasons.first() {
        Some(reason) => Err(format!("{} rejected: {reason}", outcome.rejected)),
        None => Ok(series),
    }
}

impl SelfCollector {
    /// Everything registered, plus the series Prometheus adds to each scrape. Series of `before`
    /// that are gone get a stale marker.
    fn collect(&self, before: &[Labels]) -> Collected {
        let begin = Instant::now();
        let now = self.clock.now();
        let families = self.registry.gather();
        let mut collected = Collected::default();
        for family in &families {
            collected.push_family(family, &self.instance, now);
        }
        let scraped = collected.samples.len();
        let known: HashSet<&[u8]> = before.iter().map(Labels::as_packed).collect();
        let added =
            collected.series.iter().filter(|labels| !known.contains(labels.as_packed())).count();
        for (name, value) in [
            ("up", 1.0),
            ("scrape_duration_seconds", begin.elapsed().as_secs_f64()),
            ("scrape_samples_scraped", scraped as f64),
            ("scrape_samples_post_metric_relabeling", scraped as f64),
            ("scrape_series_added", added as f64),
        ] {
            collected.push(name, &[], value, &self.instance, now);
        }
        collected.mark_gone(before, now);
        collected
    }
}

impl Collected {
    fn push_family(&mut self, family: &MetricFamily, instance: &str, now: Timestamp) {
        if family.samples.is_empty() {
            return;
        }
        for MetricSample { suffix, labels, value } in &family.samples {
            let name = format!("{}{suffix}", family.name);
            let labels: Vec<(&str, &str)> =
                labels.iter().map(|(n, v)| (n.as_ref(), v.as_str())).collect();
            self.push(&name, &labels, *value, instance, now);
        }
        let metadata = MetricMetadata {
            metric_type: family.metric_type,
            help: family.help.clone().into_owned(),
            unit: family.unit.to_owned(),
        };
        self.metadata.push((family.name.clone().into_owned(), metadata));
    }

    fn push(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        value: f64,
        instance: &str,
        now: Timestamp,
    ) {
        match series_labels(name, labels, instance) {
            Ok(labels) => {
                self.series.push(labels);
                self.samples.push(Sample::new(now, value));
            }
            // Only a label value from outside (a path, say) could be too long: leave it out.
            Err(error) => tracing::debug!(metric = name, "own series left out: {error}"),
        }
    }

    fn mark_gone(&mut self, before: &[Labels], now: Timestamp) {
        let present: HashSet<Box<[u8]>> =
            self.series.iter().map(|labels| labels.as_packed().into()).collect();
        for labels in before.iter().filter(|labels| !present.contains(labels.as_packed())) {
            self.series.push(labels.clone());
            self.samples.push(Sample::new(now, stale_nan()));
        }
    }

    fn stale(series: Vec<Labels>, now: Timestamp) -> Collected {
        let samples = vec![Sample::new(now, stale_nan()); series.len()];
        Collected { series, samples, metadata: Vec::new() }
    }

    fn batch(&self) -> WriteBatch<'_> {
        let mut batch = WriteBatch { metadata: self.metadata.clone(), ..WriteBatch::default() };
        for (labels, sample) in self.series.iter().zip(&self.samples) {
            batch.push_sample(labels, *sample);
        }
        batch
    }
}

fn series_labels(
    name: &str,
    labels: &[(&str, &str)],
    instance: &str,
) -> Result<Labels, LabelError> {
    let own = [(METRIC_NAME, name), ("instance", instance), ("job", JOB)];
    Labels::from_pairs(labels.iter().copied().chain(own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ManualClock, is_stale_nan};

    fn collector(registry: Registry) -> SelfCollector {
        let clock = Arc::new(ManualClock::new(Timestamp(60_000)));
        SelfCollector { registry, instance: "127.0.0.1:9090".to_owned(), clock }
    }

    fn value(collected: &Collected, name: &str) -> f64 {
        let found = collected.series.iter().position(|labels| labels.metric_name() == name);
        collected.samples[found.expect("series present")].value
    }

    #[test]
    fn a_collection_looks_like_a_scrape() {
        let registry = Registry::new();
        registry.register(|| vec![MetricFamily::counter("x_total", "X.").with(&[("a", "b")], 4.0)]);
        let collected = collector(registry).collect(&[]);
        let labels = &collected.series[0];
        assert_eq!(labels.value("job"), "tidewatch");
        assert_eq!(labels.value("instance"), "127.0.0.1:9090");
        assert_eq!(labels.value("a"), "b");
        assert_eq!(collected.samples[0], Sample::new(Timestamp(60_000), 4.0));
        assert_eq!(value(&collected, "up"), 1.0);
        assert_eq!(value(&collected, "scrape_samples_scraped"), 1.0);
        assert_eq!(value(&collected, "scrape_series_added"), 1.0);
        assert_eq!(collected.metadata[0].0, "x_total");
        assert_eq!(collected.batch().series.len(), 6);
    }

    #[test]
    fn series_that_vanish_get_a_stale_marker() {
        let registry = Registry::new();
        registry.register(|| vec![MetricFamily::gauge("kept", "K.").value(1.0)]);
        let collector = collector(registry);
        let mut before = collector.collect(&[]).series;
        before.push(series_labels("gone", &[], "127.0.0.1:9090").expect("labels"));
        let collected = collector.collect(&before);
        assert!(is_stale_nan(value(&collected, "gone")));
        assert_eq!(value(&collected, "scrape_series_added"), 0.0);
    }
}
