//! The metrics every Prometheus client library gives about its process, and the build.

use std::fs;

use super::family::MetricFamily;

/// Clock ticks a second in `/proc`; 100 on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
/// Bytes in the `kB` of `/proc/self/status`.
const KIB: f64 = 1024.0;

/// Processor time, memory, open files and start time of this process, read from `/proc`. What the
/// system does not tell (no `/proc` on macOS) is left out.
pub fn process_metrics() -> Vec<MetricFamily> {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
    let open = fs::read_dir("/proc/self/fd").map(|entries| entries.count() as f64).ok();
    let bytes = |key| status_kib(&status, key).map(|kib| kib * KIB);
    let gauge = MetricFamily::gauge;
    let counter = MetricFamily::counter;
    let families = [
        (
            counter("process_cpu_seconds_total", "Processor time spent, user and system."),
            cpu_seconds(&stat),
        ),
        (gauge("process_resident_memory_bytes", "Resident memory."), bytes("VmRSS:")),
        (gauge("process_virtual_memory_bytes", "Virtual memory."), bytes("VmSize:")),
        (gauge("process_open_fds", "Open file descriptors."), open),
        (gauge("process_max_fds", "Most file descriptors allowed."), max_fds(&limits)),
        (
            gauge("process_start_time_seconds", "Start time since the Unix epoch."),
            start_time(&stat, &boot),
        ),
    ];
    families.into_iter().filter_map(|(family, value)| Some(family.value(value?))).collect()
}

/// What was built: constant 1 with the version in its labels.
pub fn build_info() -> MetricFamily {
    MetricFamily::gauge("tidewatch_build_info", "The version that runs; always 1.")
        .with(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)
}

/// Field `n` of `/proc/self/stat`, counted from 1 as in proc(5). The second field is the command
/// in parentheses and may hold spaces, so counting begins behind the last parenthesis.
fn stat_field(stat: &str, n: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(n.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    let (user, system) = (stat_field(stat, 14)?, stat_field(stat, 15)?);
    Some((user + system) / TICKS_PER_SECOND)
}

fn start_time(stat: &str, boot: &str) -> Option<f64> {
    let booted = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(booted.trim().parse::<f64>().ok()? + stat_field(stat, 22)? / TICKS_PER_SECOND)
}

fn status_kib(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

fn max_fds(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_proc_texts_with_odd_command_names() {
        let mut fields: Vec<String> = (3..=52).map(|n| n.to_string()).collect();
        fields[0] = "S".to_owned();
        let stat = format!("42 (a) b (c) {}", fields.join(" "));
        assert_eq!(cpu_seconds(&stat), Some(0.29));
        assert_eq!(start_time(&stat, "cpu 1\nbtime 1000\n"), Some(1000.22));
        assert_eq!(status_kib("VmSize:\t  10 kB\nVmRSS:\t  7 kB\n", "VmRSS:"), Some(7.0));
        let limits = "Max open files            1024                 4096   files\n";
        assert_eq!(max_fds(limits), Some(1024.0));
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_all_six() {
        let families = process_metrics();
        assert_eq!(families.len(), 6);
        assert!(families.iter().all(|f| f.samples[0].value > 0.0), "{families:?}");
    }
}
