//! What handlers work with: the parts of the process they read, and how they run work on the pool.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::model::{Clock, Labels, SeriesSource, Timestamp};
use crate::promql::Engine;
use crate::runtime::CpuPool;

use super::cors::CorsOrigin;
use super::error::{ApiError, ErrorKind};

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
    /// Command-line flags and their values, as `status/flags` shows them.
    pub flags: BTreeMap<String, String>,
    /// What was built.
    pub build: BuildInfo,
    /// Retention in words, as `status/runtimeinfo` shows it.
    pub retention: String,
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions {
            queries_max: QUERIES_MAX,
            admin_enabled: false,
            lifecycle_enabled: false,
            cors_origin: CorsOrigin::any(),
            flags: BTreeMap::new(),
            build: BuildInfo::default(),
            retention: String::new(),
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
    engine: Arc<Engine>,
    source: Arc<dyn SeriesSource>,
    pool: CpuPool,
    clock: Arc<dyn Clock>,
    options: HttpOptions,
    started_at: Timestamp,
    queries: Semaphore,
    readiness: AtomicU8,
    /// Read by many requests, replaced by a reload; the lock is held for one clone of the handle.
    live: RwLock<Arc<LiveConfig>>,
    lifecycle: Option<mpsc::Sender<LifecycleOrder>>,
}

impl HttpState {
    /// A state that is [`Readiness::Starting`]. `lifecycle` receives the orders of `/-/reload` and
    /// `/-/quit`; without it these endpoints say that nobody listens.
    pub fn new(
        engine: Arc<Engine>,
        source: Arc<dyn SeriesSource>,
        pool: CpuPool,
        clock: Arc<dyn Clock>,
        options: HttpOptions,
        lifecycle: Option<mpsc::Sender<LifecycleOrder>>,
    ) -> HttpState {
        HttpState(Arc::new(Inner {
            started_at: clock.now(),
            queries: Semaphore::new(options.queries_max.max(1)),
            readiness: AtomicU8::new(Readiness::Starting as u8),
            live: RwLock::default(),
            engine,
            source,
            pool,
            clock,
            options,
            lifecycle,
        }))
    }

    /// Says from now on whether requests that need the store are served.
    pub fn set_readiness(&self, readiness: Readiness) {
        self.0.readiness.store(readiness as u8, Ordering::Release);
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
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The series.
    pub fn source(&self) -> &dyn SeriesSource {
        &*self.0.source
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

    /// Runs the query `job` on the CPU pool once a place among the concurrent queries is free. The
    /// flag it gets turns true when the future returned here is dropped, which is what happens when
    /// the client goes away.
    ///
    /// # Errors
    /// Those of `job`, the pool is overloaded, or no place became free in time.
    pub async fn run_query<T: Send + 'static>(
        &self,
        job: impl FnOnce(&HttpState, Arc<AtomicBool>) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let _place = self.query_place(self.engine().options().timeout).await?;
        let cancel = CancelOnDrop::default();
        let flag = Arc::clone(&cancel.0);
        self.run(move |state| job(state, flag)).await
    }

    async fn query_place(
        &self,
        patience: Duration,
    ) -> Result<tokio::sync::SemaphorePermit<'_>, ApiError> {
        match tokio::time::timeout(patience, self.0.queries.acquire()).await {
            Ok(place) => Ok(place.expect("BUG: the semaphore is never closed")),
            Err(_) => Err(ApiError::new(ErrorKind::Timeout, "query timed out in query queue")),
        }
    }
}

/// Sets its flag when dropped.
#[derive(Default)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
