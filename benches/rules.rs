//! Evaluating many alerts: 100,000 active alerts of one rule with labels and annotations that are
//! templates, evaluated, told as series in the real store, and handed on. The first evaluation makes
//! them all and keeps their state; what is measured is each one after it, as it comes every interval.
//! Printed besides: the time of the first evaluation, and the memory of the process.

#[allow(dead_code)] // each bench uses its part
mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use tidewatch::ingest::{Ingest, WriteMode};
use tidewatch::model::{Alert, Labels, ManualClock, SeriesSource, Timestamp, WriteBatch};
use tidewatch::promql::{Engine, EngineOptions, Features};
use tidewatch::rules::file::{ReadOptions, parse};
use tidewatch::rules::metrics::RuleMetrics;
use tidewatch::rules::seams::Change;
use tidewatch::rules::{
    AlertSink, Environment, Externals, GoTemplates, Group, SampleSink, Settings, StateStore,
    Written,
};
use tidewatch::storage::{StateChange, Store};

use support::{Filled, NOON, STEP_MS};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ALERTS: usize = 100_000;
const INTERVAL_MS: i64 = 60_000;

const RULES: &str = "groups:
- name: g
  rules:
  - alert: TooHot
    expr: temperature > -1
    for: 1m
    labels: {severity: page, room: 'room-{{ $labels.host }}'}
    annotations:
      summary: '{{ $labels.host }} has {{ $value | humanize }} degrees'
      description: 'Sensor {{ $labels.sensor }} of {{ $labels.host }} in {{ $labels.site }}'
      runbook: 'Open the window. Close the door. Read on at https://runbooks.example.org/too-hot'
";

struct Parts {
    filled: Filled,
    store: Arc<Store>,
    source: Arc<dyn SeriesSource>,
    samples: Samples,
    state: State,
    sent: Sent,
    engine: Engine,
    externals: Externals,
    metrics: RuleMetrics,
    clock: ManualClock,
}

struct Samples(Ingest);

impl SampleSink for Samples {
    fn submit(&self, batch: &WriteBatch<'_>) -> Result<Written, String> {
        let submitted = self.0.submit(batch, WriteMode::Partial).map_err(|e| e.to_string())?;
        Ok(Box::new(|| submitted.wait().map(|_| ()).map_err(|e| e.to_string())))
    }
}

struct State(Arc<Store>);

impl StateStore for State {
    fn load(&self, _: &[u8], _: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), String> {
        Ok(())
    }

    fn change(&self, changes: Vec<Change>) -> Result<(), String> {
        let changes = changes.into_iter().map(|(key, value)| StateChange { key, value });
        let mut changes: Vec<StateChange> = changes.collect();
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        self.0.change_part_state("rules", &changes).map_err(|error| error.to_string())
    }
}

#[derive(Default)]
struct Sent(AtomicUsize);

impl AlertSink for Sent {
    fn send(&self, alerts: &[Alert]) {
        self.0.fetch_add(black_box(alerts).len(), Ordering::Relaxed);
    }
}

impl Parts {
    fn environment(&self) -> Environment<'_> {
        Environment {
            engine: &self.engine,
            source: &*self.source,
            samples: &self.samples,
            alerts: &self.sent,
            state: &self.state,
            externals: &self.externals,
            clock: &self.clock,
            elapsed: &|| Duration::ZERO,
            resend_delay_ms: INTERVAL_MS,
            metrics: &self.metrics,
            cancel: None,
        }
    }
}

fn series(n: usize) -> Labels {
    let (host, sensor) = (format!("host-{:04}", n / 100), format!("sensor-{:02}", n % 100));
    let pairs = [
        ("__name__", "temperature"),
        ("host", &*host),
        ("sensor", &*sensor),
        ("site", "eu-central-1"),
        ("job", "sensors"),
    ];
    Labels::from_pairs(pairs).expect("valid labels")
}

fn memory_mib() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = text.split(' ').nth(1).and_then(|p| p.parse().ok()).unwrap_or(0.0);
    pages * 4096.0 / 1_048_576.0
}

fn evaluate_many(c: &mut Criterion) {
    let filled = Filled::new(NOON + 3_600_000);
    let all: Vec<Labels> = (0..ALERTS).map(series).collect();
    let before = memory_mib();
    // Values that hold for the look-back, and beyond every evaluation here.
    let mut at = NOON;
    while at < NOON + 3_600_000 {
        filled.write(&all, at, at + STEP_MS);
        at += 4 * 60_000;
    }
    drop(all);
    let with_series = memory_mib();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let store = Arc::clone(&filled.store);
    let parts = Parts {
        source: store.source(),
        samples: Samples(Ingest::new(Arc::clone(&store))),
        state: State(Arc::clone(&store)),
        sent: Sent::default(),
        engine: Engine::new(EngineOptions {
            pool: Some(Arc::new(pool)),
            ..EngineOptions::default()
        }),
        externals: Externals::default(),
        metrics: RuleMetrics::default(),
        clock: ManualClock::new(Timestamp(NOON)),
        store,
        filled,
    };
    let (features, templates) = (Features::default(), GoTemplates::default());
    let options =
        ReadOptions { features: &features, templates: &templates, ignore_unknown_fields: false };
    let spec = parse(&"bench.yml".into(), RULES, options).expect("a rule file").remove(0);
    let group = Group::new(Arc::new(spec), Settings::default(), true);
    let mut ts = NOON;
    for what in ["first evaluation, all pending", "second, all firing"] {
        let start = Instant::now();
        group.evaluate(&parts.environment(), Timestamp(ts));
        println!("{what}: {:?}", start.elapsed());
        ts += INTERVAL_MS;
    }
    let rule = &group.rules()[0];
    assert_eq!(rule.outcome().last_error, None);
    assert_eq!(
        (rule.alerts().active().count(), parts.sent.0.load(Ordering::Relaxed)),
        (ALERTS, ALERTS)
    );
    let mut criterion = c.benchmark_group("rules");
    criterion.sample_size(10);
    criterion.bench_function("100k active alerts, one interval", |b| {
        b.iter(|| {
            group.evaluate(&parts.environment(), Timestamp(ts));
            ts = if ts < NOON + 3_000_000 { ts + INTERVAL_MS } else { NOON + 2 * INTERVAL_MS };
        });
    });
    criterion.finish();
    println!(
        "memory in MiB: {before:.0} at start, {with_series:.0} with the input's series and samples, \
         {:.0} with {ALERTS} alerts and their 200,000 series",
        memory_mib()
    );
    drop((parts.filled, parts.store));
}

criterion_group!(benches, evaluate_many);
criterion_main!(benches);
