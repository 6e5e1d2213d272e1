//! The wiring of alerting: its configuration, who delivers, its metrics, and the alerts of the own
//! rules.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::{Base, ServeError};
use crate::alert_sender::{SenderOptions, prepared};
use crate::config::{Config, glob_all};
use crate::http::alertmanager::AlertmanagerState;
use crate::model::{Alert, Labels, SystemClock, Timestamp};
use crate::notify::config::AlertConfig;
use crate::notify::deliver::Deliver;
use crate::notify::machine::Incoming;
use crate::notify::receivers::{Receivers, templates};
use crate::notify::service::{HISTORY_RETENTION, Notifier, NotifierOptions};
use crate::rules::AlertSink;
use crate::storage::Store;

/// How long a stop waits for deliveries that are under way.
const PATIENCE: Duration = Duration::from_secs(10);

/// Running alerting.
pub(super) struct Alerting {
    notifier: Notifier,
    /// How alerts of the own rules are prepared.
    options: Arc<RwLock<SenderOptions>>,
}

/// Who delivers under this configuration.
///
/// # Errors
/// A sentence: its templates cannot be used.
pub(super) fn deliver(
    config: &AlertConfig,
    external_url: &str,
) -> Result<Arc<dyn Deliver>, String> {
    let files = glob_all(&config.templates)?;
    let templates = templates::load(&files).map_err(|error| error.to_string())?;
    Ok(Arc::new(Receivers::new(templates, external_url, Arc::new(SystemClock))))
}

fn alert_config(config: &Config) -> Arc<AlertConfig> {
    config.alertmanager.clone().unwrap_or_else(|| Arc::new(AlertConfig::none()))
}

impl Alerting {
    /// Starts with what the last process left.
    pub(super) fn start(
        base: &Base,
        config: &Config,
        external_url: &str,
        store: &Arc<Store>,
    ) -> Result<Alerting, ServeError> {
        let own = alert_config(config);
        let failed = |why| ServeError::io("starting alerting", std::io::Error::other(why));
        let notifier = Notifier::start(NotifierOptions {
            deliver: deliver(&own, external_url).map_err(failed)?,
            config: own,
            clock: Arc::clone(&base.clock),
            store: Arc::clone(store),
            history_retention: HISTORY_RETENTION,
            id_seed: RandomState::new().hash_one(base.clock.now().0),
        })?;
        let metrics = notifier.clone();
        base.registry.register(move || crate::notify::metrics::families(&metrics));
        let options = Arc::new(RwLock::new(config.alerting.clone()));
        Ok(Alerting { notifier, options })
    }

    /// What takes the alerts of the own rules.
    pub(super) fn sink(&self) -> Arc<dyn AlertSink> {
        Arc::new(Sink { notifier: self.notifier.clone(), options: Arc::clone(&self.options) })
    }

    /// What the API works with.
    pub(super) fn api(&self, base: &Base) -> AlertmanagerState {
        AlertmanagerState {
            notifier: self.notifier.clone(),
            pool: base.query_pool.clone(),
            build: Arc::new(super::banner::build()),
            started_at: base.state.started_at(),
            clock: Arc::clone(&base.clock),
        }
    }

    /// Goes on under another configuration.
    pub(super) fn reload(&self, config: &Config, deliver: Arc<dyn Deliver>) {
        let mut options = self.options.write().unwrap_or_else(PoisonError::into_inner);
        options.clone_from(&config.alerting);
        drop(options);
        self.notifier.reload(alert_config(config), deliver);
    }

    /// Stops; what is not told is told by the next process.
    pub(super) fn stop(self) {
        self.notifier.stop(PATIENCE);
    }
}

/// Checks what a reload would deliver with.
///
/// # Errors
/// A sentence: its templates cannot be used.
pub(super) fn check(config: &Config, external_url: &str) -> Result<Arc<dyn Deliver>, String> {
    deliver(&alert_config(config), external_url)
}

struct Sink {
    notifier: Notifier,
    options: Arc<RwLock<SenderOptions>>,
}

impl AlertSink for Sink {
    fn send(&self, alerts: &[Alert]) {
        let alerts = {
            let options = self.options.read().unwrap_or_else(PoisonError::into_inner);
            prepared(&options, alerts)
        };
        let alerts = alerts.into_iter().map(|alert| {
            let alert = Arc::unwrap_or_clone(alert);
            Incoming { alert, timeout: false, is_repeated: true }
        });
        // Rules send again what lasts, so nobody waits until it is stored.
        let (refused, _) = self.notifier.receive(alerts);
        if let Some((_, why)) = refused.first() {
            tracing::error!("{} alerts of the own rules are lost: {why}", refused.len());
        }
    }

    fn hold(&self, expected: &[(Labels, Timestamp)]) {
        self.notifier.hold(expected);
    }
}
