//! Telling parts to stop, in an order that only the wiring knows.
//!
//! The wiring makes one trigger a stage (receivers first, the store last) and pulls them one after
//! the other; a part gets the [`Shutdown`] of its stage and knows nothing of the others.

use tokio::sync::watch;

/// Pulled once to tell everybody who holds the matching [`Shutdown`] to stop. Dropping it counts as
/// pulling it, so a part cannot outlive the wiring that forgot about it.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

/// Says when to stop; cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// A trigger and what it triggers.
    pub fn new() -> (ShutdownTrigger, Shutdown) {
        let (sender, receiver) = watch::channel(false);
        (ShutdownTrigger(sender), Shutdown(receiver))
    }

    /// Waits until stopping is asked for; returns at once when it was already. Safe to use in
    /// `select!`: dropping the future loses nothing.
    pub async fn requested(&self) {
        let mut receiver = self.0.clone();
        // An error means the trigger was dropped, which counts as pulled.
        let _ = receiver.wait_for(|stop| *stop).await;
    }

    /// Whether stopping has been asked for.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

impl ShutdownTrigger {
    /// Asks everybody of this stage to stop.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test joins what it spawns itself
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_hears_the_trigger_also_afterwards() {
        let (trigger, shutdown) = Shutdown::new();
        let early = shutdown.clone();
        let waiting = tokio::spawn(async move { early.requested().await });
        assert!(!shutdown.is_requested());
        trigger.request();
        waiting.await.expect("woken");
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn dropping_the_trigger_stops_too() {
        let (trigger, shutdown) = Shutdown::new();
        drop(trigger);
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }
}
