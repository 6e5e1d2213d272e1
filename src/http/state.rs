//! What handlers work with: the parts of the process they read, and how they run work on the pool.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::alert_sender::AlertSender;
use crate::alias::{AliasSource, AliasSwitch};
use crate::model::{Clock, Interrupt, Labels, SeriesSource, Timestamp};
use crate::promql::Engine;
use crate::rules::Group;
use crate::rules::manager::Running;
use crate::runtime::{CancelOnDrop, CpuPool};
use crate::storage::Store;
use crate::telemetry::{Gauge, Registry};

use super::cors::CorsOrigin;
use super::error::{ApiError, ErrorKind};
use super::metrics::{self, HttpMetrics};
use super::recovery::RecoveryProgress;

/// Most queries evaluated at a time; others wait (`--query.max-concurrency` of Prometheus).
pub const QUERIES_MAX: usize = 20;

/// What the HTTP part is built from.
#[derive(Debug)]
pub struct HttpOptions {
    /// Most queries evaluated at a time.
    pub queries_max: usize,
    /// Whether `/api/v1/admin/...` does anything.
    pub admin_enabled: bool,
    /// Whether `/-/reload` and `/-/quit` do anything.
    pub lifecycle_enabled: bool,
    /// Which pages may call the API from a browser.
    pub cors_origin: CorsOrigin,
    /// What was built.
    pub build: BuildInfo,
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions {
            queries_max: QUERIES_MAX,
            admin_enabled: false,
            lifecycle_enabled: false,
            cors_origin: CorsOrigin::any(),
            build: BuildInfo::default(),
        }
    }
}

/// What was built, from what, when.
#[derive(Clone, Debug, Default)]
pub struct BuildInfo {
    /// Version of the product.
    pub version: String,
    /// Commit it was built from; may be empty.
    pub revision: String,
    /// Branch it was built from; may be empty.
    pub branch: String,
    /// Who built it; may be empty.
    pub build_user: String,
    /// When it was built; may be empty.
    pub build_date: String,
    /// Version of the compiler; the key in answers is `goVersion` because clients look for it.
    pub compiler: String,
}

/// What a configuration reload changes.
#[derive(Clone, Debug)]
pub struct LiveConfig {
    /// The configuration as YAML, secrets masked.
    pub yaml: String,
    /// Command-line flags and the values in force, as `status/flags` shows them.
    pub flags: BTreeMap<String, String>,
    /// Retention in words, as `status/runtimeinfo` shows it.
    pub retention: String,
    /// Labels attached to federated series.
    pub external_labels: Labels,
    /// Whether the latest reload succeeded.
    pub reload_ok: bool,
    /// When the configuration in force was loaded.
    pub loaded_at: Timestamp,
}

impl Default for LiveConfig {
    fn default() -> LiveConfig {
        LiveConfig {
            yaml: String::new(),
            flags: BTreeMap::new(),
            retention: String::new(),
            external_labels: Labels::empty(),
            reload_ok: true,
            loaded_at: Timestamp(0),
        }
    }
}

/// Whether requests that need the store are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Readiness {
    /// The store is still opening.
    Starting = 0,
    /// Everything is served.
    Ready = 1,
    /// The process is shutting down.
    Stopping = 2,
}

/// An order from the lifecycle endpoints to the wiring.
#[derive(Debug)]
pub enum LifecycleOrder {
    /// Load the configuration again and say how it went.
    Reload(oneshot::Sender<Result<(), String>>),
    /// Shut down.
    Quit,
}

/// The parts handlers read. Cheap to clone.
#[derive(Clone)]
pub struct HttpState(Arc<Inner>);

struct Inner {
    /// Read by every query, replaced by a reload; the lock is held for one clone of the handle.
    queries: RwLock<Arc<Queries>>,
    /// Set once, when the store is open.
    store: OnceLock<(Arc<Store>, Arc<dyn SeriesSource>)>,
    aliases: Arc<AliasSwitch>,
    pool: CpuPool,
    clock: Arc<dyn Clock>,
    options: HttpOptions,
    started_at: Timestamp,
    readiness: AtomicU8,
    /// Read by many requests, replaced by a reload; the lock is held for one clone of the handle.
    live: RwLock<Arc<LiveConfig>>,
    lifecycle: Option<mpsc::Sender<LifecycleOrder>>,
    registry: Registry,
    metrics: Arc<HttpMetrics>,
    recovery: Arc<RecoveryProgress>,
    /// Set once, when rules are evaluated.
    rules: OnceLock<(Running, AlertSender)>,
}

/// What evaluates queries, and how many at a time.
struct Queries {
    engine: Arc<Engine>,
    places: Arc<Semaphore>,
    places_max: usize,
}

impl Queries {
    fn new(engine: Arc<Engine>, places_max: usize) -> Queries {
        let places_max = places_max.clamp(1, Semaphore::MAX_PERMITS);
        Queries { engine, places: Arc::new(Semaphore::new(places_max)), places_max }
    }
}

/// A handle that does not keep the state, and with it the store, alive.
#[derive(Clone)]
pub struct WeakHttpState(Weak<Inner>);

impl WeakHttpState {
    /// The state, if anybody else still holds it.
    pub fn upgrade(&self) -> Option<HttpState> {
        self.0.upgrade().map(HttpState)
    }
}

impl HttpState {
    /// A state that is [`Readiness::Starting`] until [`HttpState::open`]. Its metrics are registered
    /// with `registry`, which is what `/metrics` shows. `lifecycle` receives the orders of `/-/reload` and
    /// `/-/quit`; without it these endpoints say that nobody listens.
    pub fn new(
        engine: Arc<Engine>,
        pool: CpuPool,
        clock: Arc<dyn Clock>,
        registry: Registry,
        options: HttpOptions,
        lifecycle: Option<mpsc::Sender<LifecycleOrder>>,
    ) -> HttpState {
        let state = HttpState(Arc::new(Inner {
            started_at: clock.now(),
            readiness: AtomicU8::new(Readiness::Starting as u8),
            live: RwLock::default(),
            store: OnceLock::new(),
            aliases: AliasSwitch::new(true),
            queries: RwLock::new(Arc::new(Queries::new(engine, options.queries_max))),
            pool,
            clock,
            options,
            lifecycle,
            registry,
            metrics: Arc::default(),
            recovery: Arc::default(),
            rules: OnceLock::new(),
        }));
        metrics::register(&state.0.registry, &state);
        state
    }

    /// A handle that does not keep this state alive.
    pub fn downgrade(&self) -> WeakHttpState {
        WeakHttpState(Arc::downgrade(&self.0))
    }

    /// Where all parts' own metrics are gathered.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// The HTTP part's own metrics.
    pub fn metrics(&self) -> &Arc<HttpMetrics> {
        &self.0.metrics
    }

    /// Where whoever reads the journals back writes down how far it is.
    pub fn recovery(&self) -> &Arc<RecoveryProgress> {
        &self.0.recovery
    }

    /// Serves requests from `store` from now on. A second store is not taken.
    pub fn open(&self, store: Arc<Store>) {
        let source = AliasSource::new(store.source(), Arc::clone(&self.0.aliases));
        let source: Arc<dyn SeriesSource> = Arc::new(source);
        if self.0.store.set((store, source)).is_ok() {
            self.0.readiness.store(Readiness::Ready as u8, Ordering::Release);
        }
    }

    /// Shows these rules, and to whom their alerts are sent. A second set is not taken.
    pub fn set_rules(&self, rules: Running, sender: AlertSender) {
        drop(self.0.rules.set((rules, sender)));
    }

    /// The rule groups that are evaluated, ascending by file and name.
    pub fn rule_groups(&self) -> Arc<[Arc<Group>]> {
        self.0.rules.get().map_or_else(|| Arc::new([]) as _, |(rules, _)| rules.groups())
    }

    /// URLs of the Alertmanagers that alerts are sent to, and of those that relabelling dropped.
    pub fn alertmanagers(&self) -> (Vec<String>, Vec<String>) {
        self.0.rules.get().map(|(_, sender)| sender.urls()).unwrap_or_default()
    }

    /// Refuses from now on requests that need the store.
    pub fn stop(&self) {
        self.0.readiness.store(Readiness::Stopping as u8, Ordering::Release);
    }

    /// Whether requests that need the store are served.
    pub fn readiness(&self) -> Readiness {
        match self.0.readiness.load(Ordering::Acquire) {
            0 => Readiness::Starting,
            1 => Readiness::Ready,
            _ => Readiness::Stopping,
        }
    }

    /// Replaces what a reload changes.
    pub fn set_live_config(&self, live: LiveConfig) {
        let mut slot = self.0.live.write().expect("BUG: nobody panics holding this lock");
        *slot = Arc::new(live);
    }

    /// What the latest reload left.
    pub fn live_config(&self) -> Arc<LiveConfig> {
        Arc::clone(&self.0.live.read().expect("BUG: nobody panics holding this lock"))
    }

    /// The query engine.
    pub fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.queries().engine)
    }

    /// Most queries evaluated at a time.
    pub fn queries_max(&self) -> usize {
        self.queries().places_max
    }

    /// Evaluates queries that come from now on with `engine`, at most `queries_max` at a time.
    /// Those that wait or run under another number are counted apart until they end.
    pub fn set_engine(&self, engine: Arc<Engine>, queries_max: usize) {
        let mut slot = self.0.queries.write().expect("BUG: nobody panics holding this lock");
        let mut queries = Queries::new(engine, queries_max);
        if queries.places_max == slot.places_max {
            queries.places = Arc::clone(&slot.places);
        }
        *slot = Arc::new(queries);
    }

    fn queries(&self) -> Arc<Queries> {
        Arc::clone(&self.0.queries.read().expect("BUG: nobody panics holding this lock"))
    }

    /// Whether queries find series under the other names they are known by.
    pub fn aliases(&self) -> &Arc<AliasSwitch> {
        &self.0.aliases
    }

    /// The series, and their aliases, for handlers behind [`super::health::gate`].
    pub fn source(&self) -> &dyn SeriesSource {
        &*self.opened().1
    }

    /// The store, for handlers behind [`super::health::gate`].
    pub fn store(&self) -> &Store {
        &self.opened().0
    }

    fn opened(&self) -> &(Arc<Store>, Arc<dyn SeriesSource>) {
        self.0.store.get().expect("BUG: the gate lets nobody through before the store is open")
    }

    /// What the part was built from.
    pub fn options(&self) -> &HttpOptions {
        &self.0.options
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// When the process started.
    pub fn started_at(&self) -> Timestamp {
        self.0.started_at
    }

    /// Where lifecycle orders go.
    pub fn lifecycle(&self) -> Option<&mpsc::Sender<LifecycleOrder>> {
        self.0.lifecycle.as_ref()
    }

    /// Runs `job` on the CPU pool.
    ///
    /// # Errors
    /// Those of `job`, or the pool is overloaded.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&HttpState) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let state = self.clone();
        self.0.pool.run(move || job(&state)).await?
    }

    /// Runs the query `job` on the CPU pool once a place among the concurrent queries is free. It is
    /// interrupted after `patience`, the wait included, and when the future returned here is
    /// dropped, which is what happens when the client goes away.
    ///
    /// # Errors
    /// Those of `job`, the pool is overloaded, or no place became free within `patience`.
    pub async fn run_query<T: Send + 'static>(
        &self,
        patience: Duration,
        job: impl FnOnce(&HttpState, &Asked) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let cancel = CancelOnDrop::default();
        let interrupt = self.interrupt(&cancel, patience);
        let place = self.query_place(patience).await?;
        self.run(move |state| {
            // Held to the job's end: a query nobody waits for takes its place until it has stopped.
            let _place = place;
            let asked = Asked { interrupt, looked_at: Arc::default() };
            let result = job(state, &asked);
            state.metrics().samples_looked_at.add(asked.looked_at.load(Ordering::Relaxed));
            state.count_canceled(&result);
            result
        })
        .await
    }

    /// Runs `job`, which reads the store for long, on the CPU pool. It is interrupted as a query is,
    /// after the engine's time limit.
    ///
    /// # Errors
    /// Those of `job`, or the pool is overloaded.
    pub async fn run_read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&HttpState, &Interrupt) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let cancel = CancelOnDrop::default();
        let interrupt = self.interrupt(&cancel, self.engine().options().timeout);
        self.run(move |state| {
            let result = job(state, &interrupt);
            state.count_canceled(&result);
            result
        })
        .await
    }

    fn interrupt(&self, cancel: &CancelOnDrop, patience: Duration) -> Interrupt {
        let patience_ms = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
        let deadline = self.now().saturating_add(patience_ms);
        Interrupt::new(Some(cancel.flag()), deadline, Arc::clone(&self.0.clock))
    }

    fn count_canceled<T>(&self, result: &Result<T, ApiError>) {
        if result.as_ref().is_err_and(|error| error.kind == ErrorKind::Canceled) {
            self.metrics().queries_canceled.inc();
        }
    }

    async fn query_place(&self, patience: Duration) -> Result<QueryPlace, ApiError> {
        let _waiting = Counted::new(self.metrics(), |metrics| &metrics.queries_waiting);
        let place = Arc::clone(&self.queries().places).acquire_owned();
        match tokio::time::timeout(patience, place).await {
            Ok(permit) => Ok(QueryPlace {
                _permit: permit.expect("BUG: the semaphore is never closed"),
                _running: Counted::new(self.metrics(), |metrics| &metrics.queries_running),
            }),
            Err(_) => Err(ApiError::new(ErrorKind::Timeout, "query timed out in query queue")),
        }
    }
}

/// What a query is told by whoever runs it, and tells them.
#[derive(Debug)]
pub struct Asked {
    /// When to stop.
    pub interrupt: Interrupt,
    /// Where the samples looked at are counted.
    pub looked_at: Arc<AtomicU64>,
}

/// A place among the concurrent queries, given back on drop.
struct QueryPlace {
    _permit: OwnedSemaphorePermit,
    _running: Counted,
}

/// Counts in a gauge while it lives.
struct Counted {
    metrics: Arc<HttpMetrics>,
    gauge: fn(&HttpMetrics) -> &Gauge,
}

impl Counted {
    fn new(metrics: &Arc<HttpMetrics>, gauge: fn(&HttpMetrics) -> &Gauge) -> Counted {
        gauge(metrics).add(1);
        Counted { metrics: Arc::clone(metrics), gauge }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.gauge)(&self.metrics).add(-1);
    }
}
