//! What evaluation is given: where samples come from and go to, who takes alerts, where state is
//! kept. The wiring implements these.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::metrics::RuleMetrics;
use crate::model::{Alert, Clock, Labels, SeriesSource, Timestamp, WriteBatch};
use crate::promql::{Engine, QueryOptions, Value, VectorSample};

/// Says when a batch is on disk, or why it is not.
pub type Written = Box<dyn FnOnce() -> Result<(), String> + Send>;

/// Takes samples.
pub trait SampleSink: Send + Sync {
    /// Takes a batch: queries see it from now on, and what is returned waits until it is on disk.
    ///
    /// # Errors
    /// It was not taken, or not in full; says why.
    fn submit(&self, batch: &WriteBatch<'_>) -> Result<Written, String>;
}

/// Takes alerts, firing and resolved ones. It must not wait for networks: what it cannot pass on at
/// once it queues.
pub trait AlertSink: Send + Sync {
    /// Takes alerts of one rule; they are repeated as long as they last.
    fn send(&self, alerts: &[Alert]);

    /// Says when rules are evaluated next that have not been evaluated yet as they are now: after a
    /// start, and after a change that may have made their interval longer. Alerts with the labels of
    /// one of them must not end before the time beside it only because nobody repeats them. Who keeps
    /// no alerts over a restart has nothing to do.
    fn hold(&self, _expected: &[(Labels, Timestamp)]) {}
}

/// One change of what is kept: a key and its new value; `None` removes it.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// Keeps the state of rules over a restart.
pub trait StateStore: Send + Sync {
    /// Hands over everything kept whose key begins with `prefix`, ascending by key.
    ///
    /// # Errors
    /// It cannot be read; says why.
    fn load(&self, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), String>;

    /// Makes the changes, all or none. They are on disk when this returns.
    ///
    /// # Errors
    /// They could not be written; says why.
    fn change(&self, changes: Vec<Change>) -> Result<(), String>;
}

/// Labels and URL of this server, as templates and links show them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Externals {
    /// `global.external_labels`.
    pub labels: Labels,
    /// URL under which users reach this server, without a slash at the end; may be empty.
    pub url: Box<str>,
}

impl Default for Externals {
    fn default() -> Externals {
        Externals { labels: Labels::empty(), url: "".into() }
    }
}

/// Everything an evaluation works with.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Evaluates expressions.
    pub engine: &'a Engine,
    /// What they read.
    pub source: &'a dyn SeriesSource,
    /// Takes what they give.
    pub samples: &'a dyn SampleSink,
    /// Takes alerts.
    pub alerts: &'a dyn AlertSink,
    /// Keeps state.
    pub state: &'a dyn StateStore,
    /// What texts and links show of this server.
    pub externals: &'a Externals,
    /// The wall clock, for what is shown.
    pub clock: &'a dyn Clock,
    /// A clock that only goes forward, for durations.
    pub elapsed: &'a (dyn Fn() -> Duration + Sync),
    /// Time after which a firing alert is sent again, in ms.
    pub resend_delay_ms: i64,
    /// Where durations are counted.
    pub metrics: &'a RuleMetrics,
    /// Turns true when evaluation is to end.
    pub cancel: Option<&'a Arc<AtomicBool>>,
}

impl Environment<'_> {
    /// Whether evaluation is to end.
    pub fn is_canceled(&self) -> bool {
        self.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed))
    }

    /// What a query of this evaluation sets differently.
    pub(super) fn query_options(&self) -> QueryOptions {
        QueryOptions { cancel: self.cancel.map(Arc::clone), ..QueryOptions::default() }
    }

    /// Evaluates the text of a query, as templates do.
    pub(super) fn query_text(
        &self,
        text: &str,
        at: Timestamp,
    ) -> Result<Vec<VectorSample>, String> {
        let output = self.engine.instant(self.source, text, at, &self.query_options());
        vector(output.map_err(|error| error.to_string())?.value)
    }
}

/// The elements of a rule's result.
///
/// # Errors
/// It is a text or a range.
pub(super) fn vector(value: Value) -> Result<Vec<VectorSample>, String> {
    match value {
        Value::Vector(samples) => Ok(samples),
        Value::Scalar { timestamp, value } => Ok(vec![VectorSample {
            labels: Labels::empty(),
            timestamp,
            value: crate::promql::PointValue::Float(value),
        }]),
        Value::String { .. } | Value::Matrix(_) => {
            Err("rule result is not a vector or scalar".to_owned())
        }
    }
}

/// Keeps nothing and passes nothing on: for tests of rules and checks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nowhere;

impl AlertSink for Nowhere {
    fn send(&self, _: &[Alert]) {}
}

impl StateStore for Nowhere {
    fn load(&self, _: &[u8], _: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), String> {
        Ok(())
    }

    fn change(&self, _: Vec<Change>) -> Result<(), String> {
        Ok(())
    }
}
