//! The one way CPU work leaves the async runtime: threads behind an admission limit.
//!
//! Async workers move bytes and wait; decoding, storing and evaluating happen here. The limit makes
//! an overload visible to the caller at once instead of letting a queue grow.
//!
//! Idle threads sleep at once. The threads of a rayon pool look for more work first, which costs
//! more than a small query and takes the core from whoever writes the answer; so rayon is only for
//! what one job spreads over all cores, see [`parallel_pool`].

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

/// Stack of a pool thread in bytes: the deepest expression that is accepted
/// ([`crate::model::limits::EXPRESSION_DEPTH_MAX`]) is parsed and evaluated with room to spare.
const STACK_BYTES: usize = 8 << 20;

/// The pool has as many jobs waiting and running as it admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded {
    /// Name of the pool.
    pub pool: &'static str,
    /// The admission limit that was met: jobs waiting plus jobs running.
    pub jobs_max: usize,
}

impl fmt::Display for Overloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the {} pool already has {} jobs waiting or running, try again later",
            self.pool, self.jobs_max
        )
    }
}

impl std::error::Error for Overloaded {}

/// The threads on which a job spreads what is too much for one core: one a core.
///
/// # Errors
/// The system refused to start a thread.
pub fn parallel_pool() -> std::io::Result<Arc<rayon::ThreadPool>> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(cores())
        .thread_name(|n| format!("tidewatch-parallel-{n}"))
        .stack_size(STACK_BYTES)
        .build();
    pool.map(Arc::new).map_err(std::io::Error::other)
}

/// The cores this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// A bounded pool of CPU threads; cheap to clone. The threads end with its last clone, when they
/// are done with what was admitted.
#[derive(Clone, Debug)]
pub struct CpuPool {
    jobs: Arc<Jobs>,
    state: Arc<State>,
}

type Job = Box<dyn FnOnce() + Send>;

/// The end of the queue that jobs come in at; the threads stop when it is dropped.
struct Jobs(Arc<Queue>);

/// Jobs on their way to the threads: never more than are admitted.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    closed: bool,
}

#[derive(Debug)]
struct State {
    name: &'static str,
    threads: usize,
    jobs_max: usize,
    /// Jobs waiting plus jobs running.
    admitted: AtomicUsize,
    running: AtomicUsize,
    completed: AtomicU64,
    abandoned: AtomicU64,
    panicked: AtomicU64,
    refused: AtomicU64,
}

/// What a pool is doing and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuPoolStats {
    /// Threads of the pool.
    pub threads: u64,
    /// Jobs admitted and not yet started.
    pub pending: u64,
    /// Jobs being run.
    pub running: u64,
    /// Jobs that ran to their end.
    pub completed: u64,
    /// Jobs skipped because their caller had gone away.
    pub abandoned: u64,
    /// Jobs that panicked.
    pub panicked: u64,
    /// Jobs refused by the admission limit.
    pub refused: u64,
}

impl CpuPool {
    /// Starts `threads` threads named `tidewatch-NAME-0` and on; at most `jobs_max` jobs may wait or
    /// run at a time.
    ///
    /// # Errors
    /// The system refused to start a thread.
    pub fn new(name: &'static str, threads: usize, jobs_max: usize) -> std::io::Result<CpuPool> {
        let state = Arc::new(State::new(name, threads.max(1), jobs_max.max(1)));
        let jobs = Jobs(Arc::default());
        for n in 0..state.threads {
            let queue = Arc::clone(&jobs.0);
            let thread = thread::Builder::new()
                .name(format!("tidewatch-{name}-{n}"))
                .stack_size(STACK_BYTES);
            thread.spawn(move || queue.work())?;
        }
        Ok(CpuPool { jobs: Arc::new(jobs), state })
    }

    /// Name of the pool, as it stands in thread names and metrics.
    pub fn name(&self) -> &'static str {
        self.state.name
    }

    /// Runs `job` on the pool and waits for its result without blocking the runtime. When the
    /// returned future is dropped before the job has started, the job is skipped.
    ///
    /// # Errors
    /// The admission limit is met; nothing was run.
    ///
    /// # Panics
    /// When `job` panics: the panic is counted, the pool lives on, and the panic goes on in the
    /// caller, where the HTTP server turns it into a 500.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Overloaded> {
        let admission = Admission::take(&self.state)?;
        let (reply, result) = oneshot::channel();
        self.jobs.0.push(Box::new(move || run_admitted(admission, job, reply)));
        match result.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => panic::resume_unwind(panic),
            Err(_) => unreachable!("BUG: an admitted job ended without an answer"),
        }
    }

    /// The pool's present state and its totals.
    pub fn stats(&self) -> CpuPoolStats {
        let state = &*self.state;
        let running = state.running.load(Ordering::Relaxed) as u64;
        let admitted = state.admitted.load(Ordering::Relaxed) as u64;
        CpuPoolStats {
            threads: state.threads as u64,
            pending: admitted.saturating_sub(running),
            running,
            completed: state.completed.load(Ordering::Relaxed),
            abandoned: state.abandoned.load(Ordering::Relaxed),
            panicked: state.panicked.load(Ordering::Relaxed),
            refused: state.refused.load(Ordering::Relaxed),
        }
    }
}

impl Queue {
    fn push(&self, job: Job) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).jobs.push_back(job);
        self.changed.notify_one();
    }

    /// Runs jobs in the order they came, until there are no more and none can come.
    fn work(&self) {
        while let Some(job) = self.next() {
            job();
        }
    }

    fn next(&self) -> Option<Job> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |waiting: &mut Waiting| waiting.jobs.is_empty() && !waiting.closed;
        let waiting = self.changed.wait_while(waiting, idle);
        waiting.unwrap_or_else(PoisonError::into_inner).jobs.pop_front()
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jobs")
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.0.changed.notify_all();
    }
}

/// Runs one admitted job on a pool thread, unless nobody waits for it any more.
fn run_admitted<T>(
    admission: Admission,
    job: impl FnOnce() -> T,
    reply: oneshot::Sender<Result<T, Box<dyn Any + Send>>>,
) {
    let state = Arc::clone(&admission.state);
    if reply.is_closed() {
        state.abandoned.fetch_add(1, Ordering::Relaxed);
        return;
    }
    state.running.fetch_add(1, Ordering::Relaxed);
    // The closure is gone after a panic and shares nothing with the pool, so nothing half-done
    // can be seen through it here.
    let result = panic::catch_unwind(AssertUnwindSafe(job));
    let total = if result.is_ok() { &state.completed } else { &state.panicked };
    total.fetch_add(1, Ordering::Relaxed);
    state.running.fetch_sub(1, Ordering::Relaxed);
    // Free the place before answering: a caller that comes back at once must find it free.
    drop(admission);
    // A caller that left meanwhile does not want the result.
    let _ = reply.send(result);
}

impl State {
    fn new(name: &'static str, threads: usize, jobs_max: usize) -> State {
        State {
            name,
            threads,
            jobs_max,
            admitted: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            completed: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            panicked: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

/// One place under the admission limit, given back on drop.
struct Admission {
    state: Arc<State>,
}

impl Admission {
    fn take(state: &Arc<State>) -> Result<Admission, Overloaded> {
        let jobs_max = state.jobs_max;
        let admit = |n: usize| (n < jobs_max).then_some(n + 1);
        match state.admitted.fetch_update(Ordering::AcqRel, Ordering::Acquire, admit) {
            Ok(_) => Ok(Admission { state: Arc::clone(state) }),
            Err(_) => {
                state.refused.fetch_add(1, Ordering::Relaxed);
                Err(Overloaded { pool: state.name, jobs_max })
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.state.admitted.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test joins what it spawns itself
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn gives_results_and_names_its_threads() {
        let pool = CpuPool::new("test", 2, 4).expect("pool");
        let name = pool.run(|| std::thread::current().name().map(str::to_owned)).await;
        assert!(name.expect("admitted").is_some_and(|n| n.starts_with("tidewatch-test-")));
        assert_eq!(pool.stats().completed, 1);
        assert_eq!(pool.stats().pending + pool.stats().running, 0);
    }

    #[tokio::test]
    async fn threads_end_with_the_pool() {
        let pool = CpuPool::new("test", 2, 4).expect("pool");
        let queue = Arc::downgrade(&pool.jobs.0);
        assert_eq!(pool.clone().run(|| 3).await, Ok(3));
        drop(pool);
        while queue.upgrade().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn refuses_beyond_the_limit_and_recovers() {
        let pool = CpuPool::new("test", 1, 1).expect("pool");
        let (release, wait) = mpsc::sync_channel::<()>(1);
        let busy = pool.clone();
        let first = tokio::spawn(async move { busy.run(move || wait.recv().is_ok()).await });
        while pool.stats().running == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let refused = pool.run(|| ()).await.expect_err("limit of one");
        assert_eq!(refused, Overloaded { pool: "test", jobs_max: 1 });
        release.send(()).expect("job waits");
        assert_eq!(first.await.expect("task"), Ok(true));
        assert_eq!(pool.run(|| 7).await, Ok(7));
        assert_eq!(pool.stats().refused, 1);
    }

    #[tokio::test]
    async fn skips_a_job_whose_caller_is_gone() {
        let pool = CpuPool::new("test", 1, 8).expect("pool");
        let (release, wait) = mpsc::sync_channel::<()>(1);
        let busy = pool.clone();
        let first = tokio::spawn(async move { busy.run(move || wait.recv().is_ok()).await });
        while pool.stats().running == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let ran = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&ran);
        let waiting = pool.run(move || seen.fetch_add(1, Ordering::SeqCst));
        let gone = tokio::time::timeout(Duration::from_millis(20), waiting).await;
        assert!(gone.is_err(), "the pool is busy, so the job cannot have run");
        release.send(()).expect("job waits");
        assert_eq!(first.await.expect("task"), Ok(true));
        pool.run(|| ()).await.expect("admitted");
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        assert_eq!(pool.stats().abandoned, 1);
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller_and_spares_the_pool() {
        let pool = CpuPool::new("test", 1, 2).expect("pool");
        let panicking = pool.clone();
        let task = tokio::spawn(async move { panicking.run(|| panic!("job failed")).await });
        assert!(task.await.expect_err("the panic goes on in the caller").is_panic());
        assert_eq!(pool.run(|| 1).await, Ok(1));
        assert_eq!(pool.stats().panicked, 1);
    }
}
