//! Alerting as a whole: a rule with 100,000 active alerts is evaluated against the real store, its
//! alerts are handed to the notifier, which routes them into 5,000 groups past 10,000 silences and
//! stores what it knows. The bar: evaluation and routing of all of them in less than a second an
//! interval, in at most 300 MB.
//!
//! Printed besides: the first evaluations, in which alerts come to be, fire and are told; and the
//! memory of the process, at the end and at its highest, beside that of the store with its input.

#[allow(dead_code)] // each bench uses its part
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use tidewatch::alert_sender::{SenderOptions, prepared};
use tidewatch::ingest::{Ingest, WriteMode};
use tidewatch::model::{Alert, Clock, Labels, Matcher, SeriesSource, Timestamp, WriteBatch};
use tidewatch::notify::config;
use tidewatch::notify::deliver::{Deliver, Notification, Outcome};
use tidewatch::notify::machine::Incoming;
use tidewatch::notify::service::{HISTORY_RETENTION, Notifier, NotifierOptions, delivered};
use tidewatch::notify::silence::SilenceDraft;
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
const GROUPS: usize = 5_000;
const SILENCES: usize = 10_000;
const INTERVAL_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

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

const ALERTING: &str = "route:
  receiver: a
  group_by: [alertname, host]
  group_interval: 1m
  routes:
  - {matchers: ['team=~\"x|y\"'], receiver: b}
  - {matchers: [severity=page], receiver: b}
inhibit_rules:
- {source_matchers: [severity=page], target_matchers: [severity=warn], equal: [host]}
receivers:
- {name: a, webhook_configs: [{url: 'http://a/'}]}
- {name: b, webhook_configs: [{url: 'http://b/'}]}
";

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
        let changes: Vec<StateChange> = changes.collect();
        self.0.change_part_state("rules", &changes).map_err(|error| error.to_string())
    }
}

/// Hands alerts on as the server does.
struct Sink(Notifier);

impl AlertSink for Sink {
    fn send(&self, alerts: &[Alert]) {
        let alerts = prepared(&SenderOptions::default(), alerts).into_iter();
        let alerts = alerts.map(|alert| {
            let alert = Arc::unwrap_or_clone(alert);
            Incoming { alert, timeout: false, is_repeated: true }
        });
        let (refused, _) = self.0.receive(alerts);
        assert_eq!(refused, []);
    }
}

/// Every receiver takes everything.
struct Taken;

impl Deliver for Taken {
    fn deliver(&self, _: &Notification, _: Duration) -> Outcome {
        delivered("")
    }
}

struct Parts {
    filled: Filled,
    series: Vec<Labels>,
    source: Arc<dyn SeriesSource>,
    samples: Samples,
    state: State,
    sink: Sink,
    engine: Engine,
    externals: Externals,
    metrics: RuleMetrics,
    group: Group,
}

impl Parts {
    fn new(filled: Filled, series: Vec<Labels>) -> Parts {
        let store = &filled.store;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let pool = Some(Arc::new(pool));
        let clock = Arc::clone(&filled.clock) as Arc<dyn Clock>;
        Parts {
            series,
            source: store.source(),
            samples: Samples(Ingest::new(Arc::clone(store))),
            state: State(Arc::clone(store)),
            sink: Sink(notifier(store, clock)),
            engine: Engine::new(EngineOptions { pool, ..EngineOptions::default() }),
            externals: Externals::default(),
            metrics: RuleMetrics::default(),
            group: group(),
            filled,
        }
    }

    fn environment(&self) -> Environment<'_> {
        Environment {
            engine: &self.engine,
            source: &*self.source,
            samples: &self.samples,
            alerts: &self.sink,
            state: &self.state,
            externals: &self.externals,
            clock: &*self.filled.clock,
            elapsed: &|| Duration::ZERO,
            resend_delay_ms: INTERVAL_MS,
            metrics: &self.metrics,
            cancel: None,
        }
    }

    /// One interval: the sensors are read, then the rule is evaluated at `ts` and every group has its
    /// turn; how long the latter took.
    fn interval(&self, ts: i64) -> Duration {
        self.filled.clock.set(Timestamp(ts));
        self.filled.write(&self.series, ts, ts + STEP_MS);
        let start = Instant::now();
        self.group.evaluate(&self.environment(), Timestamp(ts));
        // A change that comes after all of them; it is stored when their turns are over.
        let (_, pending) = self.sink.0.receive([]);
        block_on(pending.stored());
        while self.sink.0.ask(|machine, _| machine.queue_lengths() != (0, 0)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        start.elapsed()
    }
}

/// As the server does: the allocator gives memory back when a thread ends.
fn give_memory_back() {
    loop {
        std::thread::sleep(Duration::from_secs(3));
        drop(std::thread::spawn(|| ()));
    }
}

fn block_on<T, E: std::fmt::Display>(future: impl Future<Output = Result<T, E>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    if let Err(why) = runtime.block_on(future) {
        panic!("{why}");
    }
}

fn notifier(store: &Arc<Store>, clock: Arc<dyn Clock>) -> Notifier {
    let config = config::parse(Path::new("bench"), ALERTING).expect("valid");
    let options = NotifierOptions {
        config: Arc::new(config),
        deliver: Arc::new(Taken),
        clock,
        store: Arc::clone(store),
        history_retention: HISTORY_RETENTION,
        id_seed: 1,
    };
    Notifier::start(options).expect("it starts")
}

fn group() -> Group {
    let (features, templates) = (Features::default(), GoTemplates::default());
    let options =
        ReadOptions { features: &features, templates: &templates, ignore_unknown_fields: false };
    let spec = parse(&"bench.yml".into(), RULES, options).expect("a rule file").remove(0);
    Group::new(Arc::new(spec), Settings::default(), true)
}

fn host(number: usize) -> String {
    format!("host-{number:04}")
}

fn series(n: usize) -> Labels {
    let (host, sensor) = (host(n % GROUPS), format!("sensor-{:02}", n / GROUPS));
    let pairs = [
        ("__name__", "temperature"),
        ("host", &*host),
        ("sensor", &*sensor),
        ("site", "eu-central-1"),
        ("job", "sensors"),
    ];
    Labels::from_pairs(pairs).expect("valid labels")
}

/// Half of them meet an alert.
fn silence(n: usize) -> SilenceDraft {
    let sensor = Matcher::equal("sensor", format!("sensor-{:02}", n % 20));
    SilenceDraft {
        id: None,
        matchers: vec![Matcher::equal("host", host(n)), sensor],
        starts_at: Timestamp(NOON),
        ends_at: Timestamp(NOON + 30 * 24 * HOUR_MS),
        created_by: "bench".to_owned(),
        comment: "bench".to_owned(),
        annotations: BTreeMap::new(),
    }
}

/// A line of the process' status in MB (Linux).
fn status_mb(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// What the process has now, and the most it had since it was asked last.
fn tell_memory(what: &str, before: u64) {
    let (now, highest) = (status_mb("VmRSS:"), status_mb("VmHWM:"));
    let beside = |mb: u64| mb.saturating_sub(before);
    println!("{what}: {} MB, at its highest {} MB", beside(now), beside(highest));
    let _ = std::fs::write("/proc/self/clear_refs", "5"); // only a measure begins anew
}

fn alerting(c: &mut Criterion) {
    drop(std::thread::spawn(give_memory_back));
    let series: Vec<Labels> = (0..ALERTS).map(series).collect();
    let filled = Filled::new(NOON);
    filled.write(&series, NOON, NOON + STEP_MS);
    let parts = Parts::new(filled, series);
    std::thread::sleep(Duration::from_secs(7));
    let before = status_mb("VmRSS:");
    tell_memory(&format!("the store with its input, of {before} MB"), before);
    for n in 0..SILENCES {
        drop(parts.sink.0.set_silence(silence(n)).expect("valid"));
    }
    tell_memory("with silences", before);
    let mut ts = NOON;
    for what in ["all pending", "all firing, told", "all of it again"] {
        println!("{what}: {:?}", parts.interval(ts));
        tell_memory(what, before);
        ts += INTERVAL_MS;
    }
    assert_eq!(parts.group.rules()[0].outcome().last_error, None);
    let counts = parts
        .sink
        .0
        .ask(|machine, _| (machine.alert_count(), machine.group_count(), machine.silences().len()));
    assert_eq!(counts, (ALERTS, GROUPS, SILENCES));
    let mut criterion = c.benchmark_group("alerting");
    criterion.sample_size(10).sampling_mode(SamplingMode::Flat);
    criterion.bench_function("100k alerts, 5k groups, 10k silences, one interval", |b| {
        b.iter_custom(|times| {
            let mut took = Duration::ZERO;
            for _ in 0..times {
                took += parts.interval(ts);
                ts += INTERVAL_MS;
            }
            took
        });
    });
    criterion.finish();
    tell_memory("after all intervals", before);
    parts.sink.0.stop(Duration::from_secs(10));
    drop(parts.filled);
}

criterion_group!(benches, alerting);
criterion_main!(benches);
