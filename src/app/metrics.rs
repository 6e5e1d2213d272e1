//! The parts' counters as metric families.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::remote_write::RemoteWriteMetrics;
use crate::runtime::CpuPool;
use crate::statsd::StatsdMetrics;
use crate::storage::Store;
use crate::telemetry::{MetricFamily, Registry, build_info, cpu_pool_metrics, process_metrics};

/// Registers what every server has.
pub(super) fn register(registry: &Registry, store: &Arc<Store>, pools: &[&CpuPool]) {
    let pools: Vec<CpuPool> = pools.iter().copied().cloned().collect();
    registry.register(move || {
        let mut families = process_metrics();
        families.push(build_info());
        families.extend(cpu_pool_metrics(&pools));
        families
    });
    let (counters, journal) = (Arc::clone(store.metrics()), Arc::clone(store.journal_metrics()));
    registry.register(move || {
        [
            ("samples_appended", "Float samples appended.", &counters.samples),
            ("histograms_appended", "Histogram samples appended.", &counters.histograms),
            ("exemplars_appended", "Exemplars appended.", &counters.exemplars),
            (
                "samples_replaced",
                "Samples that replaced one of the same time and another value.",
                &counters.replaced_samples,
            ),
            ("series_created", "Series created.", &counters.created_series),
            ("flushes", "Flushes completed.", &counters.flushes),
            (
                "flushes_failed",
                "Flushes that failed and are tried again.",
                &counters.failed_flushes,
            ),
            ("samples_flushed", "Samples written to day files.", &counters.flushed_samples),
            ("samples_recovered", "Samples read back at start.", &counters.recovered_samples),
            (
                "partitions_removed",
                "Day files removed because they passed the retention.",
                &counters.removed_partitions,
            ),
            ("journal_commits", "Journal commits.", &journal.commits),
            ("journal_batches", "Batches committed to the journal.", &journal.batches),
            ("journal_bytes", "Bytes committed to the journal.", &journal.bytes),
            ("journal_failures", "Journal commits that failed.", &journal.failures),
        ]
        .map(|(name, help, value)| storage_counter(name, help, value))
        .into()
    });
    // Weak: a collector must not keep the store open.
    let store = Arc::downgrade(store);
    registry.register(move || store.upgrade().map_or_else(Vec::new, |store| state(&store)));
}

fn storage_counter(name: &str, help: &'static str, value: &AtomicU64) -> MetricFamily {
    let mut family = MetricFamily::counter("", help).value(value.load(Ordering::Relaxed) as f64);
    family.name = format!("tidewatch_storage_{name}_total").into();
    family
}

fn state(store: &Store) -> Vec<MetricFamily> {
    let stats = store.stats();
    let gauge = |name, help, value| MetricFamily::gauge(name, help).value(value);
    let poisoned = f64::from(u8::from(store.write_fault().is_some()));
    vec![
        gauge("tidewatch_storage_series", "Live series.", stats.series as f64),
        gauge(
            "tidewatch_storage_head_bytes",
            "Memory of samples not yet in day files.",
            stats.head_bytes as f64,
        ),
        gauge("tidewatch_storage_disk_bytes", "Bytes of all data files.", stats.disk_bytes as f64),
        gauge(
            "tidewatch_storage_write_fault",
            "1 when the store does not accept writes; the log says why.",
            poisoned,
        ),
    ]
}

/// Registers the remote-write receiver's counters.
pub(super) fn register_remote_write(registry: &Registry, counters: Arc<RemoteWriteMetrics>) {
    registry.register(move || counters.families());
}

/// Registers the StatsD receiver's counters.
pub(super) fn register_statsd(registry: &Registry, counters: Arc<StatsdMetrics>) {
    registry.register(move || {
        let families = counters.expose().into_iter().map(|exposed| {
            let family = match exposed.counter {
                true => MetricFamily::counter(exposed.name, exposed.help),
                false => MetricFamily::gauge(exposed.name, exposed.help),
            };
            let label = exposed.label.map(|(name, value)| [(name, value)]);
            family.with(label.as_ref().map_or(&[], |label| &label[..]), exposed.value as f64)
        });
        families.collect()
    });
}
