//! Alerts sent to external Alertmanagers, through their API v2.
//!
//! In: alerts of rules. Out: requests, one queue and one thread an Alertmanager, so that a slow one
//! delays no other. Never here: grouping, silences, receivers; Alertmanagers do that. A delivery
//! that fails is not repeated: rules repeat alerts as long as they last.
//!
//! [`discovery`] says where Alertmanagers are that no static list names; one thread asks its sources, name
//! servers among them ([`dns`]).

mod discovery;
pub mod dns;
mod metrics;
mod payload;
mod queue;
mod target;

use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use discovery::Watch;
pub use discovery::{Discovered, Found, Source, SourceKind, TargetGroup};
pub use dns::message::RecordKind;
pub use metrics::families;
use target::Target;

use crate::aws::Sigv4;
use crate::model::{Alert, Labels};
use crate::relabel::{Step, apply};
use crate::rules::AlertSink;
use crate::web_client::config::HttpConfig;

/// Most alerts that wait for one Alertmanager; the oldest are dropped beyond it
/// (`--alertmanager.notification-queue-capacity`).
pub const QUEUE_ALERTS_MAX: usize = 10_000;
/// Most alerts in one request (`--alertmanager.notification-batch-size`).
pub const BATCH_ALERTS_MAX: usize = 256;
/// Most Alertmanagers that are sent to; each has a queue and a thread. Discovered ones beyond it are
/// left out, and it is said so.
const TARGETS_MAX: usize = 100;

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
    /// Where further ones are found.
    pub discovered: Vec<Discovered>,
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
            discovered: Vec::new(),
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
    /// How it is reached.
    pub http: HttpConfig,
    /// Who signs requests to Amazon's.
    pub sigv4: Option<Sigv4>,
}

/// Sends alerts; cheap to clone.
#[derive(Clone, Debug)]
pub struct AlertSender(Arc<RwLock<Inner>>);

#[derive(Debug)]
struct Inner {
    options: SenderOptions,
    targets: Vec<Target>,
    /// What was found, in the order of `options.discovered`.
    found: Vec<Found>,
    watch: Option<Watch>,
}

impl Inner {
    /// Every Alertmanager that is to be sent to, each once.
    fn wanted(&self) -> Vec<AlertmanagerOptions> {
        let found = self.found.iter().flat_map(|found| &found.alertmanagers);
        let mut wanted: Vec<AlertmanagerOptions> = Vec::new();
        for own in self.options.alertmanagers.iter().chain(found) {
            if !wanted.contains(own) {
                wanted.push(own.clone());
            }
        }
        if wanted.len() > TARGETS_MAX {
            let number = wanted.len();
            tracing::warn!("{number} Alertmanagers are known; {TARGETS_MAX} of them are sent to");
            wanted.truncate(TARGETS_MAX);
        }
        wanted
    }

    /// Sends to those that are wanted from now on. Who stays keeps its queue; what waits for others
    /// is still delivered.
    fn follow(&mut self, limits: (usize, usize)) -> Result<(), String> {
        let wanted = self.wanted();
        let mut fresh = Vec::new();
        for own in &wanted {
            let is_kept = self.targets.iter().any(|target| target.is_same(own, limits));
            fresh.push(if is_kept { None } else { Some(Target::start(own.clone(), limits)?) });
        }
        let mut before = std::mem::take(&mut self.targets);
        for (own, fresh) in wanted.iter().zip(fresh) {
            let kept = before.iter().position(|target| target.is_same(own, limits));
            let kept = kept.map(|at| before.swap_remove(at));
            self.targets.extend(fresh.or(kept));
        }
        before.into_iter().for_each(Target::finish_apart);
        Ok(())
    }
}

/// A sender's own thread sees it through this, and does not keep it alive.
#[derive(Debug)]
struct WeakSender(Weak<RwLock<Inner>>);

impl WeakSender {
    /// Takes over what was found for the entry `index`; false when nobody wants to know any more.
    fn found(&self, index: usize, entry: &Discovered, found: Found) -> bool {
        let Some(inner) = self.0.upgrade() else { return false };
        let mut inner = inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.options.discovered.get(index) != Some(entry) {
            return false;
        }
        let before = std::mem::replace(&mut inner.found[index], found);
        let limits = (inner.options.queue_alerts_max, inner.options.batch_alerts_max);
        if let Err(why) = inner.follow(limits) {
            tracing::error!("discovered Alertmanagers cannot be sent to: {why}");
            inner.found[index] = before;
        }
        true
    }
}

impl AlertSender {
    /// A sender that sends to nobody until [`AlertSender::set`].
    pub fn new() -> AlertSender {
        let inner = Inner {
            options: SenderOptions::default(),
            targets: Vec::new(),
            found: Vec::new(),
            watch: None,
        };
        AlertSender(Arc::new(RwLock::new(inner)))
    }

    /// Sends as `options` say from now on. Alertmanagers that stay keep their queues; what waits for
    /// others is still delivered.
    ///
    /// # Errors
    /// A certificate or proxy cannot be used, or the system refused a thread; nothing has changed.
    pub fn set(&self, options: SenderOptions) -> Result<(), String> {
        let limits = (options.queue_alerts_max, options.batch_alerts_max);
        let sender = WeakSender(Arc::downgrade(&self.0));
        // Locked first: the thread has to find its entries here.
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let watch = Watch::start(&options.discovered, sender)?;
        // Until they are looked for again, those are sent to that are known.
        let before: Vec<Found> = options
            .discovered
            .iter()
            .map(|entry| {
                let at = inner.options.discovered.iter().position(|before| before == entry);
                at.map(|at| inner.found[at].clone()).unwrap_or_default()
            })
            .collect();
        let old = std::mem::replace(&mut inner.options, options);
        let old_found = std::mem::replace(&mut inner.found, before);
        if let Err(why) = inner.follow(limits) {
            (inner.options, inner.found) = (old, old_found);
            return Err(why);
        }
        inner.watch = watch;
        Ok(())
    }

    /// URLs that alerts are sent to, and those that relabelling dropped.
    pub fn urls(&self) -> (Vec<String>, Vec<String>) {
        let inner = self.read();
        let active = inner.targets.iter().map(|target| target.options().url.clone());
        let dropped = inner.found.iter().flat_map(|found| &found.dropped);
        let dropped = inner.options.dropped.iter().chain(dropped).cloned();
        (active.collect(), dropped.collect())
    }

    /// Stops; what waits is delivered first, for `patience` at most. Returns how many alerts are
    /// lost.
    pub fn stop(&self, patience: Duration) -> usize {
        let targets = {
            let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
            (inner.watch, inner.found) = (None, Vec::new());
            inner.options.discovered.clear();
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
