//! Why a receiver was not told, and whether it is worth trying again.
//!
//! In: status codes, transport errors, template errors. Out: an [`Outcome`]. Never here: waiting.
//!
//! Source of the rules: Alertmanager's `notify.Retrier` and its receivers; that 429 and
//! `Retry-After` are honoured everywhere is ours.

use std::time::Duration;

use crate::notify::deliver::{Failure, FailureKind, Outcome};
use crate::template::TemplateError;

/// Longest part of an answer that is repeated in an error, in characters.
const EXCERPT_CHARS_MAX: usize = 300;
/// Longest pause that a receiver's `Retry-After` is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// A delivery that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Why.
    pub failure: Failure,
    /// Whether it may work later.
    pub is_temporary: bool,
    /// How long the receiver asks not to be disturbed.
    pub after: Option<Duration>,
}

impl Trouble {
    /// It will not work as it is.
    pub fn lasting(kind: FailureKind, message: impl Into<String>) -> Trouble {
        let failure = Failure { kind, message: message.into(), maybe_delivered: false };
        Trouble { failure, is_temporary: false, after: None }
    }

    /// It may work later.
    pub fn temporary(kind: FailureKind, message: impl Into<String>) -> Trouble {
        Trouble { is_temporary: true, ..Trouble::lasting(kind, message) }
    }

    /// The same, said of one step of the delivery.
    #[must_use]
    pub fn while_doing(mut self, what: &str) -> Trouble {
        self.failure.message = format!("{what}: {}", self.failure.message);
        self
    }

    /// The same, counted as another kind.
    #[must_use]
    pub fn of_kind(mut self, kind: FailureKind) -> Trouble {
        self.failure.kind = kind;
        self
    }

    /// The same, worth trying again.
    #[must_use]
    pub fn that_may_pass(self) -> Trouble {
        Trouble { is_temporary: true, ..self }
    }

    /// The same, of a step before the delivery itself.
    #[must_use]
    pub fn not_delivered(mut self) -> Trouble {
        self.failure.maybe_delivered = false;
        self
    }

    /// The outcome that this is.
    pub fn outcome(self) -> Outcome {
        match self.is_temporary {
            true => Outcome::Retry { failure: self.failure, after: self.after },
            false => Outcome::Failed(self.failure),
        }
    }
}

impl From<TemplateError> for Trouble {
    fn from(error: TemplateError) -> Trouble {
        Trouble::lasting(FailureKind::Other, error.to_string())
    }
}

/// What kind of failure a status is.
pub fn kind_of_status(status: u16) -> FailureKind {
    match status {
        401 | 403 => FailureKind::Auth,
        429 => FailureKind::RateLimited,
        400..=499 => FailureKind::ClientError,
        500..=599 => FailureKind::ServerError,
        _ => FailureKind::Other,
    }
}

/// What an answer's status means: 2xx is success; 429, 5xx and the `further` ones may pass.
///
/// # Errors
/// The trouble that any other status is.
pub fn check_status(
    status: u16,
    details: &str,
    after: Option<Duration>,
    further: &[u16],
) -> Result<(), Trouble> {
    if (200..300).contains(&status) {
        return Ok(());
    }
    let mut message = format!("unexpected status code {status}");
    let details = details.trim();
    if !details.is_empty() {
        message.push_str(": ");
        message.push_str(&excerpt(details));
    }
    let is_temporary = status == 429 || (500..600).contains(&status) || further.contains(&status);
    let failure = Failure { kind: kind_of_status(status), message, maybe_delivered: false };
    Err(Trouble { failure, is_temporary, after: after.filter(|_| is_temporary) })
}

/// The beginning of a text, for an error.
pub fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The pause that a `Retry-After` header asks for: seconds, or a date as HTTP writes it.
pub fn retry_after(value: &str, now: crate::model::Timestamp) -> Option<Duration> {
    let value = value.trim();
    let pause = match value.parse::<f64>() {
        Ok(seconds) if seconds >= 0.0 => Duration::try_from_secs_f64(seconds).ok()?,
        Ok(_) => return None,
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(value).ok()?;
            let ms = date.timestamp().as_millisecond().saturating_sub(now.as_millis());
            Duration::from_millis(u64::try_from(ms).unwrap_or(0))
        }
    };
    Some(pause.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn statuses_are_told_apart() {
        let check = |status| match check_status(status, " busy ", None, &[403]) {
            Ok(()) => "ok".to_owned(),
            Err(t) => format!("{} {} {}", t.is_temporary, t.failure.kind.as_str(), t.failure),
        };
        assert_eq!(check(204), "ok");
        assert_eq!(check(503), "true serverError unexpected status code 503: busy");
        assert_eq!(check(429), "true rateLimited unexpected status code 429: busy");
        assert_eq!(check(403), "true authError unexpected status code 403: busy");
        assert_eq!(check(401), "false authError unexpected status code 401: busy");
        assert_eq!(check(404), "false clientError unexpected status code 404: busy");
        assert_eq!(check(301), "false other unexpected status code 301: busy");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT
        let seconds = |value| retry_after(value, now).map(|pause| pause.as_secs_f64());
        assert_eq!(seconds("120"), Some(120.0));
        assert_eq!(seconds("0.5"), Some(0.5));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60.0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0.0));
        assert_eq!(seconds("999999999"), Some(3600.0));
        assert_eq!(seconds("-5"), None);
        assert_eq!(seconds("soon"), None);
    }
}
