//! Runs CPU work away from the async runtime.
//!
//! In: a closure. Out: its result. Never here: the work.

use std::sync::Arc;

use tokio::sync::oneshot;

/// The threads that compute.
pub type Pool = Arc<rayon::ThreadPool>;

/// The work was not run, or ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRun;

/// Runs `job` on the pool and waits for it without blocking the thread.
///
/// # Errors
/// The pool did not run the job to its end.
pub async fn run<T: Send + 'static>(
    pool: &Pool,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NotRun> {
    let (sender, receiver) = oneshot::channel();
    pool.spawn(move || drop(sender.send(job())));
    receiver.await.map_err(|_| NotRun)
}
