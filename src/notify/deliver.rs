//! The seam between what is to be told and those who tell it.
//!
//! In: a [`Notification`] for one integration of one receiver. Out: an [`Outcome`]. Never here:
//! deciding whether and when; a notification that is handed over is sent once, now.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::config::{Integration, Receiver};
use super::fingerprint::Fingerprint;
use crate::model::{Annotations, Labels, Timestamp};

/// Why a group is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It was not told before.
    First,
    /// It has further alerts.
    NewAlerts,
    /// Some of its alerts are resolved.
    SomeResolved,
    /// All of its alerts are resolved.
    AllResolved,
    /// Nothing has changed for the repeat interval.
    Repeat,
    /// Somebody wants to see a notification.
    Test,
}

impl Reason {
    /// In words, as templates and payloads have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::First => "first notification",
            Reason::NewAlerts => "new alerts added",
            Reason::SomeResolved => "some alerts resolved",
            Reason::AllResolved => "all alerts resolved",
            Reason::Repeat => "repeat interval elapsed",
            Reason::Test => "test",
        }
    }
}

/// One alert of a notification.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifiedAlert {
    /// What identifies it.
    pub labels: Labels,
    /// What describes it.
    pub annotations: Annotations,
    /// Since when it fires or fired.
    pub starts_at: Timestamp,
    /// When it was resolved; `None` while it fires.
    pub resolved_at: Option<Timestamp>,
    /// Where its rule can be seen; may be empty.
    pub generator_url: Arc<str>,
    /// Its short name.
    pub fingerprint: Fingerprint,
}

impl NotifiedAlert {
    /// Whether it fires.
    pub fn is_firing(&self) -> bool {
        self.resolved_at.is_none()
    }
}

/// What one integration is to be told now: the whole state of a group, not the change alone.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Who is told.
    pub receiver: Arc<Receiver>,
    /// In which way; `send_resolved` is taken care of already.
    pub integration: Arc<Integration>,
    /// Names the group, as in Alertmanager: `{}/{severity="critical"}:{alertname="X"}`.
    pub group_key: Arc<str>,
    /// The labels all alerts of the group share because they are grouped by them.
    pub group_labels: Labels,
    /// Labels of the route; values are templates.
    pub route_labels: Arc<BTreeMap<String, String>>,
    /// Ordered by `job`, `instance` and all labels; never empty.
    pub alerts: Vec<NotifiedAlert>,
    /// How many more alerts the group has than are listed.
    pub unlisted: usize,
    /// Why it is told.
    pub reason: Reason,
    /// The present time.
    pub now: Timestamp,
    /// What earlier deliveries of this group left behind, such as the id of a message.
    pub receiver_data: BTreeMap<String, String>,
}

impl Notification {
    /// Whether any alert fires: the status of the whole.
    pub fn is_firing(&self) -> bool {
        self.alerts.iter().any(NotifiedAlert::is_firing)
    }
}

/// How a delivery went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has taken it.
    Delivered {
        /// What the next delivery of this group wants to know; `None` leaves it as it was.
        data: Option<BTreeMap<String, String>>,
        /// What the receiver said, in short, such as `200 OK`.
        note: String,
    },
    /// It may work later.
    Retry {
        /// Why it did not now.
        failure: Failure,
        /// How long the receiver asks not to be disturbed (`Retry-After`).
        after: Option<Duration>,
    },
    /// It will not work as it is; it is tried again at the group's next turn.
    Failed(Failure),
}

/// Why a delivery failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// A sentence without secrets.
    pub message: String,
    /// Whether the receiver may have taken it all the same: the request was sent and no answer came.
    pub maybe_delivered: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What kind of failure; the label `reason` of the metric of failed notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// None of the others.
    Other,
    /// The receiver refused the request (4xx).
    ClientError,
    /// The receiver is at fault (5xx).
    ServerError,
    /// It was called off.
    Canceled,
    /// No answer in time.
    Timeout,
    /// The receiver does not know us (401, 403).
    Auth,
    /// Too many requests (429).
    RateLimited,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [FailureKind; 7] = [
        FailureKind::Other,
        FailureKind::ClientError,
        FailureKind::ServerError,
        FailureKind::Canceled,
        FailureKind::Timeout,
        FailureKind::Auth,
        FailureKind::RateLimited,
    ];

    /// As Alertmanager names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            FailureKind::Other => "other",
            FailureKind::ClientError => "clientError",
            FailureKind::ServerError => "serverError",
            FailureKind::Canceled => "contextCanceled",
            FailureKind::Timeout => "contextDeadlineExceeded",
            FailureKind::Auth => "authError",
            FailureKind::RateLimited => "rateLimited",
        }
    }
}

/// Tells receivers. Called from several threads at a time; a call blocks until the outcome is known.
pub trait Deliver: Send + Sync {
    /// Sends one notification; the whole of it must not take longer than `timeout`.
    fn deliver(&self, notification: &Notification, timeout: Duration) -> Outcome;
}
