//! Alerts sent to external Alertmanagers, through their API v2.
//!
//! In: alerts of rules. Out: requests, one queue and one thread an Alertmanager, so that a slow one
//! delays no other. Never here: grouping, silences, receivers; Alertmanagers do that. A delivery
//! that fails is not repeated: rules repeat alerts as long as they last.

mod metrics;
mod payload;
mod queue;
mod target;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use metrics::families;
use target::Target;

use crate::model::{Alert, Labels};
use crate::relabel::{Step, apply};
use crate::rules::AlertSink;
use crate::secret::Secret;
use crate::tls::TlsOptions;

/// Most alerts that wait for one Alertmanager; the oldest are dropped beyond it
/// (`--alertmanager.notification-queue-capacity`).
pub const QUEUE_ALERTS_MAX: usize = 10_000;
/// Most alerts in one request (`--alertmanager.notification-batch-size`).
pub const BATCH_ALERTS_MAX: usize = 256;

/// What the sender is told.
#[derive(Clone, Debug, PartialEq)]
pub struct SenderOptions {
    /// Labels added to alerts that do not have them.
    pub external_labels: Labels,
    /// Steps for all alerts (`alert_relabel_configs`).
    pub relabel: Vec<Step>,
    /// Who is sent to.
    pub alertmanagers: Vec<AlertmanagerOptions>,
    /// URLs that relabelling dropped.
    pub dropped: Vec<String>,
    /// Most alerts that wait for one Alertmanager.
    pub queue_alerts_max: usize,
    /// Most alerts in one request.
    pub batch_alerts_max: usize,
}

impl Default for SenderOptions {
    fn default() -> SenderOptions {
        SenderOptions {
            external_labels: Labels::empty(),
            relabel: Vec::new(),
            alertmanagers: Vec::new(),
            dropped: Vec::new(),
            queue_alerts_max: QUEUE_ALERTS_MAX,
            batch_alerts_max: BATCH_ALERTS_MAX,
        }
    }
}

/// One Alertmanager.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertmanagerOptions {
    /// Where alerts are posted to.
    pub url: String,
    /// How long a request may take.
    pub timeout: Duration,
    /// Steps for alerts to this one.
    pub relabel: Vec<Step>,
    /// How requests are authorized.
    pub access: Access,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
    /// How its certificate is checked.
    pub tls: TlsOptions,
    /// Proxy all requests go through.
    pub proxy: Option<String>,
}

/// How requests prove who they are.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// They do not.
    None,
    /// Basic authentication.
    Basic {
        /// The user.
        username: Secret,
        /// The password.
        password: Secret,
    },
    /// A header `Authorization: KIND CREDENTIALS`.
    Header {
        /// Such as `Bearer`.
        kind: String,
        /// What proves it.
        credentials: Secret,
    },
}

/// Sends alerts; cheap to clone.
#[derive(Clone, Debug)]
pub struct AlertSender(Arc<RwLock<Inner>>);

#[derive(Debug)]
struct Inner {
    options: SenderOptions,
    targets: Vec<Target>,
}

impl AlertSender {
    /// A sender that sends to nobody until [`AlertSender::set`].
    pub fn new() -> AlertSender {
        let inner = Inner { options: SenderOptions::default(), targets: Vec::new() };
        AlertSender(Arc::new(RwLock::new(inner)))
    }

    /// Sends as `options` say from now on. Alertmanagers that stay keep their queues; what waits for
    /// others is still delivered.
    ///
    /// # Errors
    /// A certificate or proxy cannot be used, or the system refused a thread; nothing has changed.
    pub fn set(&self, options: SenderOptions) -> Result<(), String> {
        let limits = (options.queue_alerts_max, options.batch_alerts_max);
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = Vec::new();
        for own in &options.alertmanagers {
            let is_kept = inner.targets.iter().any(|target| target.is_same(own, limits));
            fresh.push(if is_kept { None } else { Some(Target::start(own.clone(), limits)?) });
        }
        let mut before = std::mem::take(&mut inner.targets);
        for (own, fresh) in options.alertmanagers.iter().zip(fresh) {
            let kept = before.iter().position(|target| target.is_same(own, limits));
            let kept = kept.map(|at| before.swap_remove(at));
            inner.targets.extend(fresh.or(kept));
        }
        inner.options = options;
        before.into_iter().for_each(Target::finish_apart);
        Ok(())
    }

    /// URLs that alerts are sent to, and those that relabelling dropped.
    pub fn urls(&self) -> (Vec<String>, Vec<String>) {
        let inner = self.read();
        let active = inner.options.alertmanagers.iter().map(|own| own.url.clone());
        (active.collect(), inner.options.dropped.clone())
    }

    /// Stops; what waits is delivered first, for `patience` at most. Returns how many alerts are
    /// lost.
    pub fn stop(&self, patience: Duration) -> usize {
        let targets = {
            let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut inner.targets)
        };
        targets.iter().for_each(Target::close);
        let end = std::time::Instant::now() + patience;
        let left = targets.into_iter().map(|target| target.join_until(end));
        left.sum()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for AlertSender {
    fn default() -> AlertSender {
        AlertSender::new()
    }
}

impl AlertSink for AlertSender {
    fn send(&self, alerts: &[Alert]) {
        let inner = self.read();
        if inner.targets.is_empty() {
            return;
        }
        let prepared = prepared(&inner.options, alerts);
        for target in &inner.targets {
            let steps = &target.options().relabel;
            let own = prepared.iter().filter_map(|alert| relabelled(steps, Arc::clone(alert)));
            target.push(own.collect());
        }
    }
}

/// Alerts as every Alertmanager gets them, with external labels and relabelled for all.
pub fn prepared(options: &SenderOptions, alerts: &[Alert]) -> Vec<Arc<Alert>> {
    let prepare = |alert: &Alert| {
        let labels = with_external(&alert.labels, &options.external_labels);
        relabelled(&options.relabel, Arc::new(Alert { labels, ..alert.clone() }))
    };
    alerts.iter().filter_map(prepare).collect()
}

/// External labels only where the alert has none of the name.
fn with_external(labels: &Labels, external: &Labels) -> Labels {
    if external.is_empty() {
        return labels.clone();
    }
    let missing = external.iter().filter(|(name, _)| labels.get(name).is_none());
    // Too many labels: better sent without the external ones than not at all.
    Labels::from_pairs(labels.iter().chain(missing)).unwrap_or_else(|_| labels.clone())
}

fn relabelled(steps: &[Step], alert: Arc<Alert>) -> Option<Arc<Alert>> {
    if steps.is_empty() {
        return Some(alert);
    }
    match apply(steps, alert.labels.clone()) {
        Ok(labels) => Some(Arc::new(Alert { labels: labels?, ..(*alert).clone() })),
        Err(error) => {
            tracing::warn!("alert {} cannot be relabelled: {error}", alert.labels);
            None
        }
    }
}

#[cfg(test)]
mod tests;
