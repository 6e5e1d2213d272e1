//! The CPU pools' metrics; here because `runtime` knows nothing of telemetry.

use super::family::MetricFamily;
use crate::runtime::CpuPool;

/// The families of these pools, one series a pool.
pub fn cpu_pool_metrics(pools: &[CpuPool]) -> Vec<MetricFamily> {
    let gauge = MetricFamily::gauge;
    let counter = MetricFamily::counter;
    let mut families = [
        gauge("tidewatch_cpu_pool_threads", "Threads of the CPU pool."),
        gauge("tidewatch_cpu_pool_pending_jobs", "Jobs admitted and not yet started."),
        gauge("tidewatch_cpu_pool_running_jobs", "Jobs being run."),
        counter("tidewatch_cpu_pool_completed_jobs_total", "Jobs that ran to their end."),
        counter(
            "tidewatch_cpu_pool_abandoned_jobs_total",
            "Jobs skipped because their caller had gone away.",
        ),
        counter("tidewatch_cpu_pool_panicked_jobs_total", "Jobs that panicked."),
        counter(
            "tidewatch_cpu_pool_refused_jobs_total",
            "Jobs refused because too many were waiting.",
        ),
    ];
    for pool in pools {
        let s = pool.stats();
        let values =
            [s.threads, s.pending, s.running, s.completed, s.abandoned, s.panicked, s.refused];
        families = add_series(families, pool.name(), values);
    }
    families.into()
}

fn add_series<const N: usize>(
    families: [MetricFamily; N],
    pool: &str,
    values: [u64; N],
) -> [MetricFamily; N] {
    let mut values = values.into_iter();
    families.map(|family| {
        let value = values.next().expect("BUG: as many values as families");
        family.with(&[("pool", pool)], value as f64)
    })
}
