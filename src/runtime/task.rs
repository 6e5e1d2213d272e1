//! Named tasks: the replacement for a bare `tokio::spawn`, whose panics nobody would see.

use std::future::{Future, poll_fn};
use std::panic::{self, AssertUnwindSafe};
use std::task::Poll;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};

/// Starts a task of its own that nobody has to wait for, such as one connection. A panic in it is
/// logged under `name` and ends only this task.
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    #[allow(clippy::disallowed_methods)] // the one place that may: panics are watched here
    tokio::spawn(watched(name, future))
}

/// Tasks of one stage, waited for together when the stage stops.
#[derive(Debug, Default)]
pub struct Tasks(JoinSet<()>);

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Tasks {
        Tasks::default()
    }

    /// Starts a task that belongs to this stage.
    pub fn spawn<F>(&mut self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.spawn(watched(name, future));
    }

    /// Waits until every task has ended, at most `patience`; then the rest is aborted. Returns how
    /// many had to be aborted.
    pub async fn join(mut self, patience: Duration) -> usize {
        let all = async { while self.0.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(patience, all).await;
        let left = self.0.len();
        self.0.shutdown().await;
        left
    }
}

/// Runs `future` to its end and logs when that end is a panic.
async fn watched<F: Future<Output = ()> + Send + 'static>(name: &'static str, future: F) {
    let mut future = Box::pin(future);
    // The future is not polled again after a panic, so its broken state is never seen.
    let guarded = poll_fn(|context| {
        let poll = || future.as_mut().poll(context);
        match panic::catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(true),
            Err(_) => Poll::Ready(false),
        }
    });
    if !guarded.await {
        tracing::error!(task = name, "a task panicked; this is a bug, please report it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_only_its_own_task() {
        spawn("broken", async { panic!("broken") }).await.expect("the panic was caught");
        let mut tasks = Tasks::new();
        tasks.spawn("fine", async {});
        assert_eq!(tasks.join(Duration::from_secs(5)).await, 0);
    }

    #[tokio::test]
    async fn tasks_that_do_not_end_are_aborted_and_counted() {
        let mut tasks = Tasks::new();
        tasks.spawn("stuck", std::future::pending());
        assert_eq!(tasks.join(Duration::from_millis(10)).await, 1);
    }
}
