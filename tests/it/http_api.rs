//! The HTTP API against golden files: each file in `tests/fixtures/http` holds one request and the
//! complete answer to it, over a store with fixed content and a clock that stands still.
//!
//! A golden file is the request (`METHOD TARGET`, header lines, an empty line, the body if any), a
//! line `---`, and the answer in the same form. Files are taken in the order of their names: what the
//! `alertmanager_` ones post, later ones see. To take new answers over, run the test with
//! `TIDEWATCH_UPDATE_GOLDENS=1` and review the difference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::Request;
use tempfile::TempDir;
use tidewatch::http::alertmanager::AlertmanagerState;
use tidewatch::http::{self, BuildInfo, HttpOptions, HttpState, LifecycleOrder, LiveConfig};
use tidewatch::ingest::{Ingest, WriteMode};
use tidewatch::model::histogram::IntHistogram;
use tidewatch::model::source::HistogramPoint;
use tidewatch::model::{
    BucketSpan, Clock, Exemplar, Histogram, Labels, ManualClock, MetricMetadata, MetricType,
    Sample, SeriesEntry, Timestamp, WriteBatch, stale_nan,
};
use tidewatch::notify::deliver::{Deliver, Notification, Outcome};
use tidewatch::notify::service::{HISTORY_RETENTION, Notifier, NotifierOptions};
use tidewatch::promql::{Engine, EngineOptions};
use tidewatch::runtime::CpuPool;
use tidewatch::storage::{Store, StoreOptions};
use tidewatch::telemetry::Registry;
use tower::ServiceExt;

/// 2025-11-21 04:00:00 UTC: the present of all golden files.
const NOW: i64 = 1_763_697_600_000;

/// A router over a store with the fixed content.
struct Server {
    router: Router,
    state: HttpState,
    _dir: TempDir,
}

async fn server() -> Server {
    server_with(http_options()).await
}

async fn server_with(options: HttpOptions) -> Server {
    let dir = tempfile::tempdir().expect("temporary directory");
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(NOW)));
    let stored = StoreOptions::new(dir.path(), Arc::clone(&clock));
    let store = Arc::new(Store::open(stored, &|_| ()).expect("store opens"));
    fill(&Ingest::new(Arc::clone(&store))).await;
    let engine = Engine::new(EngineOptions { clock: Arc::clone(&clock), ..Default::default() });
    let pool = CpuPool::new("golden", 2, 64).expect("pool");
    let state =
        HttpState::new(Arc::new(engine), pool, Arc::clone(&clock), Registry::new(), options, None);
    state.set_live_config(LiveConfig {
        flags: BTreeMap::from([("listen".into(), "127.0.0.1:9090".into())]),
        retention: "15d".into(),
        yaml: "global:\n  scrape_interval: 15s\n".into(),
        external_labels: labels(&[("region", "eu"), ("job", "ignored")]),
        reload_ok: true,
        loaded_at: Timestamp(NOW - 1000),
    });
    let alerting = alerting(&store, &clock);
    state.open(store);
    Server { router: http::router(state.clone(), alerting), state, _dir: dir }
}

/// Receives every message and says nothing.
struct Silent;

impl Deliver for Silent {
    fn deliver(&self, _: &Notification, _: Duration) -> Outcome {
        Outcome::Delivered { data: None, note: String::new() }
    }
}

/// Alertmanager's API, with one receiver that has no address.
fn alerting(store: &Arc<Store>, clock: &Arc<dyn Clock>) -> Router {
    let text = "{route: {receiver: team, group_by: [alertname]}, receivers: [{name: team}]}";
    let config = tidewatch::notify::config::parse(Path::new("alertmanager.yml"), text);
    let notifier = Notifier::start(NotifierOptions {
        config: Arc::new(config.expect("valid")),
        deliver: Arc::new(Silent),
        clock: Arc::clone(clock),
        store: Arc::clone(store),
        history_retention: HISTORY_RETENTION,
        id_seed: 1,
    });
    http::alertmanager::router(AlertmanagerState {
        notifier: notifier.expect("starts"),
        pool: CpuPool::new("golden-alerts", 1, 8).expect("pool"),
        build: Arc::new(http_options().build),
        started_at: clock.now(),
        clock: Arc::clone(clock),
    })
}

fn http_options() -> HttpOptions {
    HttpOptions {
        build: BuildInfo {
            version: "3.14.0".into(),
            revision: "abc123".into(),
            branch: "main".into(),
            build_user: "builder".into(),
            build_date: "20251121".into(),
            compiler: "rustc 1.90".into(),
        },
        ..HttpOptions::default()
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).expect("valid labels")
}

/// One series of the fixed content.
#[derive(Default)]
struct Content {
    labels: Vec<(&'static str, &'static str)>,
    samples: Vec<(i64, f64)>,
    histograms: Vec<(i64, Histogram)>,
    exemplars: Vec<Exemplar>,
}

async fn fill(ingest: &Ingest) {
    let contents = contents();
    let packed: Vec<Labels> = contents.iter().map(|c| labels(&c.labels)).collect();
    let mut batch = WriteBatch { metadata: metadata(), ..WriteBatch::default() };
    for (content, labels) in contents.into_iter().zip(&packed) {
        batch.series.push(SeriesEntry {
            labels: labels.as_packed(),
            samples: content.samples.len() as u32,
            histograms: content.histograms.len() as u32,
            exemplars: content.exemplars.len() as u32,
        });
        let samples = content.samples.iter();
        batch.samples.extend(samples.map(|(t, v)| Sample::new(Timestamp(*t), *v)));
        batch.histograms.extend(content.histograms.into_iter().map(|(timestamp, histogram)| {
            HistogramPoint { timestamp, start_timestamp: 0, histogram }
        }));
        batch.exemplars.extend(content.exemplars);
    }
    let submitted = ingest.submit(&batch, WriteMode::Whole).expect("accepted");
    submitted.durable().await.expect("written");
}

/// Samples every 15 s of the last five minutes.
fn every_15_s(value: impl Fn(i64) -> f64) -> Vec<(i64, f64)> {
    (0..=20).map(|n| (NOW - 300_000 + n * 15_000, value(n))).collect()
}

fn contents() -> Vec<Content> {
    let up = |instance| vec![("__name__", "up"), ("instance", instance), ("job", "node")];
    let requests = |code| vec![("__name__", "http_requests_total"), ("code", code), ("job", "web")];
    let bucket = |le| vec![("__name__", "duration_seconds_bucket"), ("job", "web"), ("le", le)];
    let mut gone = every_15_s(|_| 1.0);
    gone.truncate(16);
    gone.push((NOW - 60_000, stale_nan()));
    vec![
        Content { labels: up("a:9100"), samples: every_15_s(|_| 1.0), ..Content::default() },
        Content { labels: up("b:9100"), samples: gone, ..Content::default() },
        Content {
            labels: requests("200"),
            samples: every_15_s(|n| n as f64 * 30.0),
            exemplars: vec![exemplar(NOW - 45_521, 0.067), exemplar(NOW - 10_000, 0.5)],
            ..Content::default()
        },
        Content {
            labels: requests("500"),
            samples: every_15_s(|n| n as f64),
            ..Content::default()
        },
        Content { labels: bucket("0.1"), samples: every_15_s(|n| n as f64), ..Content::default() },
        Content {
            labels: bucket("+Inf"),
            samples: every_15_s(|n| n as f64 * 2.0),
            ..Content::default()
        },
        Content {
            labels: vec![("__name__", "extremes"), ("kind", "large")],
            samples: vec![(NOW - 1_500, 1e21), (NOW - 500, f64::INFINITY)],
            ..Content::default()
        },
        Content {
            labels: vec![("__name__", "my.metric"), ("my.label", "a \"quoted\" <value>\n")],
            samples: vec![(NOW - 999, 1e-7)],
            ..Content::default()
        },
        Content {
            labels: vec![("__name__", "latency_seconds"), ("job", "web")],
            histograms: vec![(NOW - 30_000, histogram(1)), (NOW, histogram(2))],
            ..Content::default()
        },
    ]
}

fn exemplar(time: i64, value: f64) -> Exemplar {
    Exemplar { labels: labels(&[("trace_id", "4bf92f35")]), value, timestamp: Timestamp(time) }
}

fn histogram(factor: i64) -> Histogram {
    Histogram::Int(IntHistogram {
        schema: 1,
        zero_threshold: 0.001,
        zero_count: factor as u64,
        count: 7 * factor as u64,
        sum: 3.25 * factor as f64,
        positive_spans: vec![BucketSpan { offset: -1, length: 2 }],
        positive_deltas: vec![factor, factor],
        negative_spans: vec![BucketSpan { offset: 0, length: 1 }],
        negative_deltas: vec![3 * factor],
        ..IntHistogram::default()
    })
}

fn metadata() -> Vec<(String, MetricMetadata)> {
    let entry = |name: &str, metric_type, help: &str, unit: &str| {
        let (help, unit) = (help.to_owned(), unit.to_owned());
        (name.to_owned(), MetricMetadata { metric_type, help, unit })
    };
    vec![
        entry("http_requests_total", MetricType::Counter, "Requests \"served\".", ""),
        entry("duration_seconds", MetricType::Histogram, "Time to answer.", "seconds"),
        entry("up", MetricType::Gauge, "Whether the target answers.", ""),
    ]
}

/// One golden file.
struct Golden {
    path: PathBuf,
    request: String,
    answer: String,
}

impl Golden {
    fn all() -> Vec<Golden> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/http");
        let entries = std::fs::read_dir(dir).expect("fixtures are there");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
        paths.sort();
        paths.into_iter().map(Golden::read).collect()
    }

    fn read(path: PathBuf) -> Golden {
        let text = std::fs::read_to_string(&path).expect("golden file is text");
        let (request, answer) = text.split_once("\n---\n").expect("a line --- divides the file");
        Golden { request: request.to_owned(), answer: answer.to_owned(), path }
    }

    /// Method and path of the request.
    fn route(&self) -> (&str, &str) {
        let line = self.request.lines().next().expect("request line");
        let (method, target) = line.split_once(' ').expect("METHOD TARGET");
        (method, target.split('?').next().unwrap_or(target))
    }

    fn http_request(&self) -> Request<Body> {
        let (head, body) = self.request.split_once("\n\n").unwrap_or((&self.request, ""));
        let mut lines = head.lines();
        let line = lines.next().expect("request line");
        let (method, target) = line.split_once(' ').expect("METHOD TARGET");
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            request = request.header(name, value);
        }
        request.body(Body::from(body.trim_end().to_owned())).expect("valid request")
    }
}

/// The answer as golden files have it: status, headers sorted, body. The length is compared with
/// the body and left out: it is another on a machine with a longer name.
async fn answer(router: &Router, request: Request<Body>) -> String {
    let bodyless = request.method() == "HEAD";
    let response = router.clone().oneshot(request).await.expect("infallible");
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await.expect("body").to_bytes();
    if let Some(length) = parts.headers.remove("content-length").filter(|_| !bodyless) {
        assert_eq!(length.to_str().expect("ASCII header"), body.len().to_string());
    }
    let mut head: Vec<String> = parts
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII header")))
        .collect();
    head.sort();
    let body = String::from_utf8_lossy(&body);
    format!("{}\n{}\n\n{}\n", parts.status.as_u16(), head.join("\n"), redacted(&body))
}

/// Blanks what differs from machine to machine and from run to run.
fn redacted(body: &str) -> String {
    let volatile =
        concat!(r#""(CWD|hostname)":"[^"]*"|"#, r#""(GOMAXPROCS|[a-zA-Z]+Time)":[0-9][0-9.e-]*"#);
    let volatile = regex::Regex::new(volatile).expect("valid pattern");
    volatile
        .replace_all(body, |found: &regex::Captures<'_>| {
            let key = found.get(1).or(found.get(2)).map_or("", |key| key.as_str());
            if matches!(key, "minTime" | "maxTime") {
                return found[0].to_owned();
            }
            format!("\"{key}\":\"...\"")
        })
        .trim_end()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_the_golden_one() {
    let server = server().await;
    let update = std::env::var_os("TIDEWATCH_UPDATE_GOLDENS").is_some();
    let mut wrong = Vec::new();
    for golden in Golden::all() {
        let answer = answer(&server.router, golden.http_request()).await;
        if answer == golden.answer {
            continue;
        }
        if update {
            let text = format!("{}\n---\n{answer}", golden.request);
            std::fs::write(&golden.path, text).expect("golden file is written");
        } else {
            let name = golden.path.display();
            wrong.push(format!("{name}:\n{answer}\ninstead of\n{}", golden.answer));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Routes without a golden file, each with the reason and the test it has instead.
const NOT_GOLDEN: [(&str, &str); 1] =
    [("/metrics", "different at each call: metrics_count_requests_by_handler_and_code")];

#[test]
fn every_route_has_a_golden_file() {
    let goldens = Golden::all();
    let covered = |method: &str, path: &str| {
        let segments: Vec<&str> = path.split('/').collect();
        goldens.iter().any(|golden| {
            let (golden_method, golden_path) = golden.route();
            let golden_segments: Vec<&str> = golden_path.split('/').collect();
            golden_method == method
                && golden_segments.len() == segments.len()
                && golden_segments.iter().zip(&segments).all(|(g, s)| g == s || s.starts_with('{'))
        })
    };
    let excused = |path: &str| NOT_GOLDEN.iter().any(|(excused, _)| *excused == path);
    let golden = http::ROUTES.iter().filter(|(_, path)| !excused(path));
    let missing: Vec<_> = golden.filter(|(method, path)| !covered(method, path)).collect();
    assert!(missing.is_empty(), "no golden file for {missing:?}");
    let idle = NOT_GOLDEN.iter().filter(|(path, _)| {
        covered("GET", path) || !http::ROUTES.iter().any(|(_, route)| route == path)
    });
    assert_eq!(idle.count(), 0, "a route is excused that need not be");
}

fn get(target: &str) -> Request<Body> {
    Request::get(target).body(Body::empty()).expect("valid request")
}

#[tokio::test]
async fn metrics_count_requests_by_handler_and_code() {
    let server = server().await;
    answer(&server.router, get("/api/v1/query?query=1")).await;
    answer(&server.router, get("/api/v1/query?query=")).await;
    answer(&server.router, get("/api/v1/label/job/values")).await;
    answer(&server.router, get("/no/such/page")).await;
    let page = answer(&server.router, get("/metrics")).await;
    for line in [
        r#"prometheus_http_requests_total{handler="/api/v1/query",code="200"} 1"#,
        r#"prometheus_http_requests_total{handler="/api/v1/query",code="400"} 1"#,
        r#"prometheus_http_requests_total{handler="/api/v1/label/:name/values",code="200"} 1"#,
        r#"prometheus_http_request_duration_seconds_count{handler="/api/v1/query"} 2"#,
        "prometheus_ready 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    assert!(!page.contains("/no/such/page"), "{page}");
}

#[tokio::test]
async fn what_needs_the_store_waits_until_it_is_open_and_stops_before_it_closes() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(NOW)));
    let engine = Arc::new(Engine::new(EngineOptions::default()));
    let pool = CpuPool::new("starting", 1, 8).expect("pool");
    let options = HttpOptions::default();
    let state = HttpState::new(engine, pool, clock, Registry::new(), options, None);
    let progress = Arc::clone(state.recovery());
    let router = http::router(state, Router::new());
    for target in ["/-/ready", "/api/v1/query?query=1", "/federate"] {
        let refused = answer(&router, get(target)).await;
        assert!(refused.starts_with("503\n"), "{target}: {refused}");
        assert!(refused.contains("x-prometheus-stopping: false"), "{target}: {refused}");
    }
    assert!(answer(&router, get("/-/healthy")).await.starts_with("200\n"));
    progress.report(3, 9, 5);
    let replay = answer(&router, get("/api/v1/status/walreplay")).await;
    assert!(replay.starts_with("200\n"), "{replay}");
    assert!(replay.contains(r#"{"min":3,"max":9,"current":5}"#), "{replay}");

    let server = server().await;
    server.state.stop();
    let refused = answer(&server.router, get("/-/ready")).await;
    assert!(refused.contains("x-prometheus-stopping: true"), "{refused}");
}

#[tokio::test]
async fn answers_are_compressed_when_the_client_can_read_it() {
    use std::io::Read;
    let server = server().await;
    let target = "/api/v1/label/__name__/values";
    let plain = server.router.clone().oneshot(get(target)).await.expect("infallible");
    let plain = plain.into_body().collect().await.expect("body").to_bytes();
    let mut request = get(target);
    request.headers_mut().insert("accept-encoding", "gzip".parse().expect("ASCII"));
    let packed = server.router.clone().oneshot(request).await.expect("infallible");
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = packed.into_body().collect().await.expect("body").to_bytes();
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("gzip");
    assert_eq!(unpacked, plain);
}

#[tokio::test]
async fn lifecycle_orders_reach_the_wiring() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(NOW)));
    let engine = Arc::new(Engine::new(EngineOptions::default()));
    let pool = CpuPool::new("lifecycle", 1, 8).expect("pool");
    let options = HttpOptions { lifecycle_enabled: true, ..HttpOptions::default() };
    let (orders, mut taken) = tokio::sync::mpsc::channel(1);
    let state = HttpState::new(engine, pool, clock, Registry::new(), options, Some(orders));
    let router = http::router(state, Router::new());
    let wiring = async {
        match taken.recv().await.expect("an order") {
            LifecycleOrder::Reload(reply) => reply.send(Err("line 3: nonsense".into())),
            LifecycleOrder::Quit => panic!("nobody asked to quit"),
        }
    };
    let request = Request::post("/-/reload").body(Body::empty()).expect("valid request");
    let (answer, _) = tokio::join!(answer(&router, request), wiring);
    assert!(answer.starts_with("500\n"), "{answer}");
    assert!(answer.contains("failed to reload config: line 3: nonsense"), "{answer}");
}

/// An order that is not carried out must not look like one that was.
#[tokio::test]
async fn admin_endpoints_say_that_they_are_not_supported_yet() {
    let options = HttpOptions { admin_enabled: true, ..http_options() };
    let server = server_with(options).await;
    for path in ["delete_series?match[]=up", "clean_tombstones", "snapshot"] {
        let request = Request::post(format!("/api/v1/admin/tsdb/{path}"));
        let request = request.body(Body::empty()).expect("valid request");
        let answer = answer(&server.router, request).await;
        assert!(answer.starts_with("500\n"), "{answer}");
        assert!(answer.contains(r#""errorType":"unavailable""#), "{answer}");
        assert!(answer.contains("not supported yet"), "{answer}");
    }
}
