//! The state machine with 100,000 alerts that fire, in 5,000 groups, and 10,000 silences: one
//! interval in which every alert is reported again and every group has its turn; and a start with
//! all of it. The bar: less than a second an interval, at most 300 MB.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewatch::model::{Alert, Annotations, Labels, Matcher, Timestamp};
use tidewatch::notify::config::{self, AlertConfig};
use tidewatch::notify::deliver::Outcome;
use tidewatch::notify::machine::{Incoming, Machine};
use tidewatch::notify::rows::RowKey;
use tidewatch::notify::silence::SilenceDraft;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ALERTS: usize = 100_000;
const GROUPS: usize = 5_000;
const SILENCES: usize = 10_000;
const INTERVAL_MS: i64 = 60_000;
const START: Timestamp = Timestamp(1_767_225_600_000);

fn alert_config() -> Arc<AlertConfig> {
    let mut routes = String::new();
    for team in 0..50 {
        routes.push_str(&format!("  - {{matchers: [team=t{team}], receiver: r{}}}\n", team % 5));
    }
    let receivers: String = (0..5)
        .map(|n| format!("- {{name: r{n}, webhook_configs: [{{url: 'http://r{n}/'}}]}}\n"))
        .collect();
    let text = format!(
        "route:\n  receiver: r0\n  group_by: [alertname, service]\n  group_interval: 1m\n  routes:\n{routes}\
         inhibit_rules:\n\
         - {{source_matchers: [severity=critical], target_matchers: [severity=warning], equal: [alertname, instance]}}\n\
         - {{source_matchers: [alertname=ClusterDown], target_matchers: ['alertname!=ClusterDown'], equal: [cluster]}}\n\
         receivers:\n{receivers}"
    );
    Arc::new(config::parse(Path::new("bench"), &text).expect("valid"))
}

/// Alert `n`: 20 of them a group.
fn alert(n: usize, now: Timestamp) -> Incoming {
    let group = n % GROUPS;
    let labels = [
        ("alertname", format!("Alert{}", group % 100)),
        ("service", format!("service-{}", group / 100)),
        ("instance", format!("host-{:05}.example.org:9100", n / 7)),
        ("job", format!("job-{}", group % 20)),
        ("cluster", format!("cluster-{}", n % 10)),
        ("team", format!("t{}", group % 60)),
        ("severity", ["critical", "warning", "info"][n % 3].to_owned()),
        ("n", n.to_string()),
    ];
    let annotations: Annotations = [
        ("summary", format!("Instance host-{:05} is in trouble", n / 7)),
        ("runbook_url", format!("https://runbooks.example.org/alert{}", group % 100)),
    ]
    .into_iter()
    .collect();
    let pairs = labels.iter().map(|(name, value)| (*name, value.as_str()));
    let alert = Alert {
        labels: Labels::from_pairs(pairs).expect("valid"),
        annotations,
        starts_at: START,
        ends_at: now.saturating_add(4 * INTERVAL_MS),
        generator_url: "http://prometheus.example.org/graph?g0.expr=up".into(),
    };
    Incoming { alert, timeout: false, is_repeated: true }
}

fn silence(n: usize) -> SilenceDraft {
    let host = Matcher::equal("instance", format!("host-{n:05}.example.org:9100"));
    SilenceDraft {
        id: None,
        matchers: vec![host, Matcher::equal("alertname", format!("Alert{}", n % 100))],
        starts_at: START,
        ends_at: START.saturating_add(30 * 86_400_000),
        created_by: "bench".to_owned(),
        comment: "bench".to_owned(),
        annotations: BTreeMap::new(),
    }
}

/// Stores nothing and delivers everything.
fn settle(machine: &mut Machine, now: Timestamp, rows: &mut BTreeMap<RowKey, Vec<u8>>) -> usize {
    let mut told = 0;
    loop {
        let effects = machine.take_effects();
        for (key, row) in effects.rows {
            match row {
                Some(row) => drop(rows.insert(key, row)),
                None => drop(rows.remove(&key)),
            }
        }
        if effects.sends.is_empty() && !machine.has_effects() {
            return told;
        }
        told += effects.sends.len();
        for send in effects.sends {
            let outcome = Outcome::Delivered { data: None, note: String::new() };
            machine.outcome(send.number, outcome, now);
        }
        machine.tick(now);
    }
}

/// Memory of the process in MB (Linux).
fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn notify(c: &mut Criterion) {
    let config = alert_config();
    let mut rows = BTreeMap::new();
    let before = resident_mb();
    let mut machine = Machine::new(Arc::clone(&config), 1, START);
    for n in 0..SILENCES {
        machine.set_silence(silence(n), START).expect("valid");
    }
    let mut now = START;
    for n in 0..ALERTS {
        machine.receive(alert(n, now), now).expect("taken");
    }
    now = now.saturating_add(INTERVAL_MS);
    machine.tick(now);
    while machine.has_effects() {
        drop(machine.take_effects());
    }
    let after = resident_mb();
    println!(
        "{} alerts, {} groups, {} silences: {} MB",
        machine.alert_count(),
        machine.group_count(),
        machine.silences().len(),
        after.saturating_sub(before)
    );
    let told = settle(&mut machine, now, &mut rows);
    println!("told {told} groups");
    let mut group = c.benchmark_group("notify");
    group.sample_size(10).throughput(Throughput::Elements(ALERTS as u64));
    group.bench_function("interval: 100k reports, 5k turns, 10k silences", |b| {
        b.iter_custom(|iterations| {
            let mut wall = Duration::ZERO;
            for _ in 0..iterations {
                now = now.saturating_add(INTERVAL_MS);
                let reports: Vec<Incoming> = (0..ALERTS).map(|n| alert(n, now)).collect();
                let began = Instant::now();
                for report in reports {
                    machine.receive(report, now).expect("taken");
                }
                machine.tick(now);
                wall += began.elapsed();
                settle(&mut machine, now, &mut rows);
            }
            wall
        });
    });
    let mut machine = Machine::new(Arc::clone(&config), 1, now);
    for n in 0..SILENCES {
        machine.set_silence(silence(n), now).expect("valid");
    }
    (0..ALERTS).for_each(|n| machine.receive(alert(n, now), now).expect("taken"));
    machine.tick(now);
    settle(&mut machine, now, &mut rows);
    group.bench_function("restart: all of it from its rows", |b| {
        b.iter_custom(|iterations| {
            let mut wall = Duration::ZERO;
            for _ in 0..iterations {
                let stored = rows.clone();
                let began = Instant::now();
                let (restored, faults) = Machine::restore(Arc::clone(&config), 2, now, stored);
                wall += began.elapsed();
                assert!(faults.is_empty() && restored.alert_count() >= ALERTS);
            }
            wall
        });
    });
    group.finish();
}

criterion_group!(benches, notify);
criterion_main!(benches);
