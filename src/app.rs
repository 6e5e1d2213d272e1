//! The wiring: the one file that knows every part.
//!
//! In: options of the command line. Out: a running server, until a signal or an order ends it.
//! Never here: what the parts do.
//!
//! Start: configuration, signals, sockets, an early HTTP server that says "not ready", the store
//! (which reads its journals back), then everything. Stop, in this order: no new requests and the
//! last StatsD flush; rules, and the alerts that wait; the last collection of own metrics; the store. What was acknowledged is on
//! disk before each acknowledgement, so a stop that is cut short loses nothing either.

mod banner;
mod error;
mod local;
mod metrics;
mod notify;
mod progress;
mod reload;
mod rules;
mod script_disk;
mod statsd;
mod watch;

use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub use error::ServeError;
pub use local::ask_data_dir;
pub use rules::load as load_rules;
pub use script_disk::{Placement, ScriptDisk};

use crate::config::{self, Config, Overrides};
use crate::http::server::{self, ServerOptions};
use crate::http::{self, CorsOrigin, HttpOptions, HttpState, LifecycleOrder};
use crate::ingest::Ingest;
use crate::model::{Clock, SystemClock};
use crate::promql::{Engine, EngineOptions, Features};
use crate::remote_read::{self, RemoteReadState};
use crate::remote_write::{self, RemoteWriteMetrics, RemoteWriteState};
use crate::runtime::{
    CpuPool, Shutdown, Signal, Signals, Tasks, cores, give_back_memory, parallel_pool,
};
use crate::storage::{Store, StoreLimits, StoreOptions};
use crate::telemetry::{self, Event, Events, LogLevel, Registry, SelfCollector};
use reload::Reloader;

/// Most write jobs waiting or running. Each holds a request body; beyond it senders are told to
/// come back.
const WRITE_JOBS_MAX: usize = 256;
/// Most query jobs waiting or running; the queries among them are fewer (`query.max-concurrency`).
const QUERY_JOBS_MAX: usize = 256;
/// Orders waiting to be taken; one is taken at a time.
const ORDERS_MAX: usize = 16;
/// How long a stage of the stop may take: the HTTP server cuts its connections off before.
const STAGE_PATIENCE: Duration = Duration::from_secs(20);
/// How long queries that were cut off may take to notice.
const QUERIES_END: Duration = Duration::from_secs(3);
/// Pause between two looks whether they have.
const STORE_LOOK: Duration = Duration::from_millis(20);

/// What the command line says.
#[derive(Debug)]
pub struct ServeOptions {
    /// The configuration file, if one was named.
    pub config_file: Option<PathBuf>,
    /// Flags that beat the file.
    pub overrides: Overrides,
    /// Whether `/-/reload` and `/-/quit` work.
    pub lifecycle_enabled: bool,
    /// Whether the admin endpoints work.
    pub admin_enabled: bool,
    /// Pages that may call the API from a browser.
    pub cors_origin: CorsOrigin,
    /// URL under which users reach this server; empty when it was not given.
    pub external_url: String,
    /// Optional parts of PromQL.
    pub features: Features,
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// It could not start, or the store could not be closed in order.
pub fn serve(options: ServeOptions) -> Result<(), ServeError> {
    let config = config::load(options.config_file.as_deref(), &options.overrides)?;
    let log_level = telemetry::init_logging(&config.log)
        .map_err(|message| config::ConfigError::Invalid { key: "log-level", message })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("tidewatch-io")
        .build()
        .map_err(|error| ServeError::io("starting the runtime", error))?;
    runtime.block_on(run(options, config, log_level))
}

async fn run(options: ServeOptions, config: Config, log_level: LogLevel) -> Result<(), ServeError> {
    let mut signals =
        Signals::listen().map_err(|error| ServeError::io("taking over signals", error))?;
    let (orders, mut inbox) = mpsc::channel(ORDERS_MAX);
    let base = Base::new(&options, &config, orders)?;
    banner::warn_of(&config, &base.events);
    let groups = rules::load(&config, &options.features).map_err(ServeError::Rules)?;
    let listener = bind(config.listen)?;
    let address = listener
        .local_addr()
        .map_err(|error| ServeError::io("asking for the own address", error))?;
    let store = open_early(&base, &listener, &config).await?;
    let alerting =
        notify::Alerting::start(&base, &config, &external_url(&options, &config), &store)?;
    let parts = start(&base, listener, &config, &store, &alerting)?;
    let sink = Some(alerting.sink());
    let rules = rules::Rules::start(&base, &options, &config, &store, groups, sink)?;
    let mut reloader = Reloader::new(&base, options, &config, &store, log_level);
    reloader.set_rules(rules);
    reloader.set_alerting(alerting);
    let statsd = parts.statsd.as_ref();
    reloader.set_statsd(statsd.map(|statsd| statsd.handle.clone()));
    banner::print(&config, address, statsd.and_then(|statsd| statsd.address));
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Reload => drop(reloader.reload()),
                Signal::Stop(by) => break base.events.emit(&stop_by(by)),
            },
            Some(order) = inbox.recv() => match order {
                // A client that left meanwhile does not want the answer.
                LifecycleOrder::Reload(reply) => drop(reply.send(reloader.reload())),
                LifecycleOrder::Quit => break base.events.emit(&stop_by("/-/quit")),
            },
        }
    }
    let (rules, alerting) = (reloader.take_rules(), reloader.take_alerting());
    drop(reloader);
    stop(base, parts, rules, alerting, store).await
}

fn stop_by(by: &str) -> Event {
    Event::StopRequested { by: by.to_owned() }
}

/// What exists before the store is open.
struct Base {
    registry: Registry,
    events: Events,
    clock: Arc<dyn Clock>,
    write_pool: CpuPool,
    query_pool: CpuPool,
    /// Where one query spreads its work.
    parallel: Arc<rayon::ThreadPool>,
    state: HttpState,
}

impl Base {
    fn new(
        options: &ServeOptions,
        config: &Config,
        orders: mpsc::Sender<LifecycleOrder>,
    ) -> Result<Base, ServeError> {
        let fail = |error| ServeError::io("starting the CPU pool", error);
        let pool = |name, jobs_max| CpuPool::new(name, cores(), jobs_max).map_err(fail);
        // Two pools, so that long queries cannot make writers wait.
        let (write_pool, query_pool) =
            (pool("write", WRITE_JOBS_MAX)?, pool("query", QUERY_JOBS_MAX)?);
        let parallel = parallel_pool().map_err(fail)?;
        let registry = Registry::new();
        let events = Events::new(&registry);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engine = engine(options.features, config, &clock, &parallel);
        let http = HttpOptions {
            queries_max: config.query.concurrency_max,
            admin_enabled: options.admin_enabled,
            lifecycle_enabled: options.lifecycle_enabled,
            cors_origin: options.cors_origin.clone(),
            build: banner::build(),
        };
        let state = HttpState::new(
            Arc::new(engine),
            query_pool.clone(),
            Arc::clone(&clock),
            registry.clone(),
            http,
            Some(orders),
        );
        state.set_live_config(reload::live_config(options, config, clock.now()));
        state.aliases().set(config.airflow_aliases);
        Ok(Base { registry, events, clock, write_pool, query_pool, parallel, state })
    }
}

fn engine(
    features: Features,
    config: &Config,
    clock: &Arc<dyn Clock>,
    pool: &Arc<rayon::ThreadPool>,
) -> Engine {
    Engine::new(EngineOptions {
        lookback_ms: millis(config.query.lookback_delta),
        timeout: config.query.timeout,
        samples_max: config.query.samples_max,
        default_subquery_step_ms: millis(config.query.subquery_step),
        features,
        clock: Arc::clone(clock),
        pool: Some(Arc::clone(pool)),
    })
}

/// The URL under which users reach this server, without a slash at the end. Whoever named none is
/// most likely on this machine.
fn external_url(options: &ServeOptions, config: &Config) -> String {
    match options.external_url.trim_end_matches('/') {
        "" => format!("http://{}", config.listen),
        url => url.to_owned(),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn bind(address: SocketAddr) -> Result<StdListener, ServeError> {
    let bound = StdListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| ServeError::Listen { address, error })
}

fn tokio_listener(listener: StdListener) -> Result<TcpListener, ServeError> {
    TcpListener::from_std(listener)
        .map_err(|error| ServeError::io("handing the HTTP socket to the runtime", error))
}

/// Opens the store while a server on the same socket already answers `/-/healthy`, and says that
/// nothing else is ready.
async fn open_early(
    base: &Base,
    listener: &StdListener,
    config: &Config,
) -> Result<Arc<Store>, ServeError> {
    let early =
        listener.try_clone().map_err(|error| ServeError::io("sharing the HTTP socket", error))?;
    let early = tokio_listener(early)?;
    let router = http::router(base.state.clone(), early_receivers());
    let options = server_options(config);
    let (trigger, shutdown) = Shutdown::new();
    let mut tasks = Tasks::new();
    tasks.spawn("early HTTP server", async move {
        server::serve(early, router, options, shutdown).await;
    });
    let store = open_store(base, config).await;
    trigger.request();
    tasks.join(STAGE_PATIENCE).await;
    store
}

fn server_options(config: &Config) -> ServerOptions {
    ServerOptions::new(config.http.read_timeout, config.http.connections_max)
}

/// The receivers' paths while there is no store. Senders try again after a 503; after the 404 of an
/// unknown path they would drop their data.
fn early_receivers() -> Router {
    let not_ready = || async { (StatusCode::SERVICE_UNAVAILABLE, "the store is still opening\n") };
    Router::new()
        .route("/api/v1/write", any(not_ready))
        .route("/api/v1/read", any(not_ready))
        .route("/api/v2/{*path}", any(not_ready))
}

async fn open_store(base: &Base, config: &Config) -> Result<Arc<Store>, ServeError> {
    let limits = store_limits(config);
    let options = StoreOptions {
        retention_ms: millis(config.retention),
        series_max: limits.series_max,
        head_bytes_max: limits.head_bytes_max,
        disk_free_bytes_min: limits.disk_free_bytes_min,
        pool: Some(Arc::clone(&base.parallel)),
        ..StoreOptions::new(&config.data_dir, Arc::clone(&base.clock))
    };
    let shown = Arc::clone(base.state.recovery());
    let opening = tokio::task::spawn_blocking(move || {
        let progress = progress::RecoveryLine::new(shown);
        Store::open(options, &|report| progress.show(report))
    });
    match opening.await {
        Ok(opened) => Ok(Arc::new(opened?)),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn store_limits(config: &Config) -> StoreLimits {
    StoreLimits {
        series_max: config.limits.series_max,
        head_bytes_max: config.limits.head_bytes_max,
        disk_free_bytes_min: config.limits.disk_free_bytes_min,
    }
}

/// The running parts, by the stage of the stop they belong to.
struct Parts {
    /// The StatsD receiver, when it is on.
    statsd: Option<statsd::Running>,
    receivers: Stage,
    collection: Stage,
}

/// Tasks that stop together.
struct Stage {
    name: &'static str,
    trigger: crate::runtime::ShutdownTrigger,
    tasks: Tasks,
}

impl Stage {
    fn new(name: &'static str) -> (Stage, Shutdown) {
        let (trigger, shutdown) = Shutdown::new();
        (Stage { name, trigger, tasks: Tasks::new() }, shutdown)
    }

    async fn stop(self, events: &Events) {
        self.trigger.request();
        let tasks = self.tasks.join(STAGE_PATIENCE).await;
        if tasks > 0 {
            events.emit(&Event::StopStageCut { stage: self.name, tasks });
        }
    }
}

fn start(
    base: &Base,
    listener: StdListener,
    config: &Config,
    store: &Arc<Store>,
    alerting: &notify::Alerting,
) -> Result<Parts, ServeError> {
    let ingest = Ingest::new(Arc::clone(store));
    let (mut receivers, shutdown) = Stage::new("receivers");
    let statsd = statsd::start(base, config, &ingest, store, &mut receivers, &shutdown)?;
    let mut router = receiver_router(base, &ingest, store);
    router = router.merge(http::alertmanager::router(alerting.api(base)));
    if let Some(statsd) = &statsd {
        router = router.merge(crate::statsd::status::router(statsd.handle.clone()));
    }
    base.state.open(Arc::clone(store));
    let http = server::serve(
        tokio_listener(listener)?,
        http::router(base.state.clone(), router),
        server_options(config),
        shutdown,
    );
    receivers.tasks.spawn("HTTP server", async move {
        http.await;
    });
    metrics::register(&base.registry, store, &[&base.write_pool, &base.query_pool]);
    let (mut collection, shutdown) = Stage::new("own metrics");
    let collector = SelfCollector {
        registry: base.registry.clone(),
        instance: config.listen.to_string(),
        clock: Arc::clone(&base.clock),
    };
    let (pool, events) = (base.write_pool.clone(), base.events.clone());
    let watching = watch::run(Arc::downgrade(store), events.clone(), shutdown.clone());
    collection.tasks.spawn("watch on the store", watching);
    collection.tasks.spawn("memory", give_back_memory(shutdown.clone()));
    let collecting = telemetry::run_self_collection(collector, ingest, pool, events, shutdown);
    collection.tasks.spawn("own metrics", collecting);
    Ok(Parts { statsd, receivers, collection })
}

/// Routes that are served as they are: remote write and remote read.
fn receiver_router(base: &Base, ingest: &Ingest, store: &Arc<Store>) -> Router {
    let counters = Arc::new(RemoteWriteMetrics::default());
    metrics::register_remote_write(&base.registry, Arc::clone(&counters));
    let write = RemoteWriteState::new(ingest.clone(), base.write_pool.clone(), counters);
    let (pool, timeout) = (base.query_pool.clone(), base.state.engine().options().timeout);
    let read = RemoteReadState::new(store.source(), pool, timeout, Arc::clone(&base.clock));
    remote_write::router(write).merge(remote_read::router(read))
}

/// Stops the stages in order and closes the store.
async fn stop(
    base: Base,
    parts: Parts,
    rules: Option<rules::Rules>,
    alerting: Option<notify::Alerting>,
    store: Arc<Store>,
) -> Result<(), ServeError> {
    // Connections that are open are drained: the gate would refuse what they already sent.
    parts.receivers.stop(&base.events).await;
    base.state.stop();
    let stopping = tokio::task::spawn_blocking(move || {
        if let Some(rules) = rules {
            rules.stop();
        }
        if let Some(alerting) = alerting {
            alerting.stop();
        }
    });
    if let Err(panic) = stopping.await {
        tracing::error!("stopping rules and alerting failed: {panic}");
    }
    parts.collection.stop(&base.events).await;
    // The last handles of the store are in the state and in the collectors.
    drop(base);
    let closing = tokio::task::spawn_blocking(move || match alone(store) {
        Some(store) => store.close().map_err(ServeError::from),
        None => {
            tracing::warn!("the store is still in use; the next start reads its journal back");
            Ok(())
        }
    });
    let closed = closing.await;
    match closed {
        Ok(result) => result.inspect(|()| tracing::info!("stopped")),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// The store once nobody else holds it: queries that were cut off take a moment to notice.
fn alone(mut store: Arc<Store>) -> Option<Store> {
    let looks = QUERIES_END.as_millis() / STORE_LOOK.as_millis();
    for _ in 0..looks {
        match Arc::try_unwrap(store) {
            Ok(store) => return Some(store),
            Err(shared) => store = shared,
        }
        std::thread::sleep(STORE_LOOK);
    }
    Arc::try_unwrap(store).ok()
}
