//! Things that happen rarely and matter: each is a type with one log line and one counter.

use std::sync::Arc;

use super::family::MetricFamily;
use super::metric::CounterVec;
use super::registry::Registry;

/// Something worth a log line and a count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The configuration was read again and taken.
    ConfigReloaded,
    /// The configuration was read again and refused; the old one stays.
    ConfigReloadFailed {
        /// Why, as a sentence.
        reason: String,
    },
    /// A key of the configuration that is known but not acted on.
    ConfigKeyIgnored {
        /// Where and which.
        warning: String,
    },
    /// The own metrics could not be written into the own store.
    SelfCollectionFailed {
        /// Why, as a sentence.
        reason: String,
    },
    /// The store does not accept writes.
    WritesRefused {
        /// Why, and what to do.
        reason: String,
    },
    /// The store accepts writes again.
    WritesAccepted,
    /// Samples cannot be moved from the journal to partitions; it is tried again.
    FlushFails {
        /// What went wrong.
        reason: String,
    },
    /// The process was asked to stop.
    StopRequested {
        /// By what, for example `SIGTERM`.
        by: String,
    },
    /// A stage of the stop did not end in time and was cut off.
    StopStageCut {
        /// The stage.
        stage: &'static str,
        /// Tasks that had to be aborted.
        tasks: usize,
    },
}

impl Event {
    /// The value of the counter's `event` label.
    pub const fn name(&self) -> &'static str {
        match self {
            Event::ConfigReloaded => "config_reloaded",
            Event::ConfigReloadFailed { .. } => "config_reload_failed",
            Event::ConfigKeyIgnored { .. } => "config_key_ignored",
            Event::SelfCollectionFailed { .. } => "self_collection_failed",
            Event::WritesRefused { .. } => "writes_refused",
            Event::WritesAccepted => "writes_accepted",
            Event::FlushFails { .. } => "flush_fails",
            Event::StopRequested { .. } => "stop_requested",
            Event::StopStageCut { .. } => "stop_stage_cut",
        }
    }

    fn log(&self) {
        match self {
            Event::ConfigReloaded => tracing::info!("configuration reloaded"),
            Event::ConfigReloadFailed { reason } => {
                tracing::error!("configuration not reloaded, the old one stays: {reason}");
            }
            Event::ConfigKeyIgnored { warning } => tracing::warn!("{warning}"),
            Event::SelfCollectionFailed { reason } => {
                tracing::warn!("own metrics not stored: {reason}");
            }
            Event::WritesRefused { reason } => tracing::error!("writes are refused: {reason}"),
            Event::WritesAccepted => tracing::info!("writes are accepted again"),
            Event::FlushFails { reason } => tracing::error!(
                "samples cannot be moved from the journal to partitions, trying again: {reason}"
            ),
            Event::StopRequested { by } => tracing::info!("stopping on {by}"),
            Event::StopStageCut { stage, tasks } => {
                tracing::warn!("stop: {tasks} tasks of stage {stage} did not end in time");
            }
        }
    }
}

/// Logs and counts events; cheap to clone.
#[derive(Clone, Debug)]
pub struct Events(Arc<CounterVec<1>>);

/// More than the number of event kinds, which are fixed at compile time.
const EVENT_KINDS_MAX: usize = 64;

impl Events {
    /// Events counted in `registry` as `tidewatch_events_total`.
    pub fn new(registry: &Registry) -> Events {
        let counters = Arc::new(CounterVec::new(["event"], EVENT_KINDS_MAX));
        let read = Arc::clone(&counters);
        registry.register(move || vec![family(&read)]);
        Events(counters)
    }

    /// Logs `event` and counts it.
    pub fn emit(&self, event: &Event) {
        event.log();
        self.0.with([event.name()]).inc();
    }
}

fn family(counters: &CounterVec<1>) -> MetricFamily {
    counters.family("tidewatch_events_total", "Things that happened, by kind; each has a log line.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_counted_under_its_name() {
        let registry = Registry::new();
        let events = Events::new(&registry);
        events.emit(&Event::ConfigReloaded);
        events.emit(&Event::ConfigReloaded);
        let families = registry.gather();
        let sample = &families[0].samples[0];
        assert_eq!((sample.labels[0].1.as_str(), sample.value), ("config_reloaded", 2.0));
    }
}
