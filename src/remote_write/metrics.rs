//! What the remote-write receiver counts about itself; telemetry gathers it.
//!
//! In: one call per request. Out: counters, and the families they make. Never here: the format of
//! metrics pages.

use crate::ingest::WriteOutcome;
use crate::telemetry::{Counter, MetricFamily};

use super::negotiation::Version;

/// Requests of one kind, by how they were answered.
#[derive(Debug, Default)]
pub struct Requests {
    /// Everything was written: 204.
    pub written: Counter,
    /// Some or all of it was not acceptable: 4xx.
    pub refused: Counter,
    /// We could not write it: 5xx.
    pub failed: Counter,
}

/// Counters of the remote-write receiver since the start of the process.
#[derive(Debug, Default)]
pub struct RemoteWriteMetrics {
    /// Requests of remote write 1.0.
    pub requests_v1: Requests,
    /// Requests of remote write 2.0.
    pub requests_v2: Requests,
    /// Requests whose headers name no version we know.
    pub requests_unknown: Requests,
    /// Float samples written.
    pub samples: Counter,
    /// Histograms written.
    pub histograms: Counter,
    /// Exemplars written.
    pub exemplars: Counter,
    /// Series, samples and histograms that were not written because they are not acceptable.
    pub rejected: Counter,
    /// Exemplars that were not written because they are not acceptable.
    pub exemplars_rejected: Counter,
    /// Series left out because their labels are not valid: what Prometheus calls
    /// `prometheus_api_remote_write_invalid_labels_samples_total`.
    pub invalid_labels_samples: Counter,
    /// Bytes of request bodies as received, compressed.
    pub body_bytes: Counter,
    /// Bytes of request bodies after decompression.
    pub decoded_bytes: Counter,
}

impl RemoteWriteMetrics {
    /// The request counters of a version; `None` is a version we do not know.
    pub fn requests(&self, version: Option<Version>) -> &Requests {
        match version {
            Some(Version::V1) => &self.requests_v1,
            Some(Version::V2) => &self.requests_v2,
            None => &self.requests_unknown,
        }
    }

    /// Counts what became of one request's content.
    pub fn add_outcome(&self, outcome: &WriteOutcome) {
        self.samples.add(outcome.samples);
        self.histograms.add(outcome.histograms);
        self.exemplars.add(outcome.exemplars);
        self.rejected.add(outcome.rejected);
        self.exemplars_rejected.add(outcome.exemplars_rejected);
        self.invalid_labels_samples.add(outcome.invalid_series);
    }

    /// The counters as metric families.
    pub fn families(&self) -> Vec<MetricFamily> {
        let counter = MetricFamily::counter;
        let samples = counter(
            "tidewatch_remote_write_samples_total",
            "Samples written through remote write, by kind.",
        );
        let bytes = counter(
            "tidewatch_remote_write_bytes_total",
            "Bytes of remote-write bodies, as received and after decompression.",
        );
        vec![
            self.request_family(),
            samples
                .with(&[("kind", "float")], self.samples.get() as f64)
                .with(&[("kind", "histogram")], self.histograms.get() as f64),
            counter(
                "tidewatch_remote_write_exemplars_total",
                "Exemplars written through remote write.",
            )
            .value(self.exemplars.get() as f64),
            counter(
                "tidewatch_remote_write_rejected_total",
                "Series, samples and histograms that were not acceptable.",
            )
            .value(self.rejected.get() as f64),
            counter(
                "tidewatch_remote_write_exemplars_rejected_total",
                "Exemplars that were not acceptable.",
            )
            .value(self.exemplars_rejected.get() as f64),
            counter(
                "prometheus_api_remote_write_invalid_labels_samples_total",
                "Series left out because their labels were not valid.",
            )
            .value(self.invalid_labels_samples.get() as f64),
            bytes
                .with(&[("form", "received")], self.body_bytes.get() as f64)
                .with(&[("form", "decoded")], self.decoded_bytes.get() as f64),
        ]
    }

    fn request_family(&self) -> MetricFamily {
        let mut family = MetricFamily::counter(
            "tidewatch_remote_write_requests_total",
            "Remote-write requests by protocol version and outcome.",
        );
        for (version, requests) in [
            ("1.0", &self.requests_v1),
            ("2.0", &self.requests_v2),
            ("unknown", &self.requests_unknown),
        ] {
            for (outcome, counter) in [
                ("written", &requests.written),
                ("refused", &requests.refused),
                ("failed", &requests.failed),
            ] {
                let labels = [("version", version), ("outcome", outcome)];
                family = family.with(&labels, counter.get() as f64);
            }
        }
        family
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_become_families() {
        let metrics = RemoteWriteMetrics::default();
        metrics.requests(Some(Version::V2)).refused.add(3);
        metrics.add_outcome(&WriteOutcome { samples: 5, ..WriteOutcome::default() });
        let families = metrics.families();
        let value = |family: usize, label: &str| {
            let labelled = |s: &&crate::telemetry::MetricSample| {
                s.labels.iter().any(|(_, value)| value == label) && s.value > 0.0
            };
            families[family].samples.iter().find(labelled).map(|sample| sample.value)
        };
        assert_eq!(value(0, "2.0"), Some(3.0));
        assert_eq!(value(0, "1.0"), None);
        assert_eq!(value(1, "float"), Some(5.0));
    }
}
