//! Carries requests over HTTP and mails over SMTP.
//!
//! In: requests, `http_config`. Out: answers, or why none came. Never here: what requests mean.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Timeout;

use super::mail::Mail;
use super::smtp;
use super::trouble::{Trouble, check_status, retry_after};
use super::wire::{Answer, Request, USER_AGENT, Wire};
use crate::model::Clock;
use crate::notify::config::{EmailConfig, HttpConfig};
use crate::notify::deliver::FailureKind;
use crate::web_client::{Client, Tokens, WebError};

/// How much of an answer is read, in bytes: enough for what receivers say.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// The network.
pub struct Network<'a> {
    until: Instant,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    tokens: &'a Tokens,
}

impl<'a> Network<'a> {
    /// For one delivery, which ends after `timeout`.
    pub fn new(timeout: Duration, clock: Arc<dyn Clock>, tokens: &'a Tokens) -> Network<'a> {
        // Beyond a day nobody waits.
        let timeout = timeout.min(Duration::from_secs(86_400));
        Network { until: Instant::now() + timeout, timeout, clock, tokens }
    }

    /// What is left of the time.
    fn left(&self) -> Result<Duration, Trouble> {
        let left = self.until.saturating_duration_since(Instant::now());
        match left.is_zero() {
            false => Ok(left),
            true => {
                let why = format!("no answer within {:?}", self.timeout);
                Err(Trouble::temporary(FailureKind::Timeout, why))
            }
        }
    }

    fn trouble(&self, error: &WebError) -> Trouble {
        match error {
            WebError::Config(_) | WebError::Request(_) => {
                Trouble::lasting(FailureKind::Other, error.to_string())
            }
            WebError::Secret(_) => Trouble::temporary(FailureKind::Other, error.to_string()),
            WebError::Transport(error) => transport(error),
            WebError::Token(error) => {
                self.trouble(error).while_doing("fetching an OAuth 2 token").not_delivered()
            }
            WebError::TokenRefused { status, retry_after: after } => {
                let after = after.as_deref().and_then(|a| retry_after(a, self.clock.now()));
                match check_status(*status, "", after, &[]) {
                    Ok(()) => Trouble::temporary(FailureKind::Auth, error.to_string()),
                    Err(trouble) => trouble.while_doing("fetching an OAuth 2 token"),
                }
            }
            WebError::NoToken => Trouble::temporary(FailureKind::Auth, error.to_string()),
        }
    }
}

impl Wire for Network<'_> {
    fn send(
        &mut self,
        http: &HttpConfig,
        request: Request,
        timeout: Option<Duration>,
    ) -> Result<Answer, Trouble> {
        let left = self.left()?;
        let left = timeout.map_or(left, |timeout| timeout.min(left));
        let client = Client {
            http,
            tokens: self.tokens,
            user_agent: USER_AGENT,
            until: Instant::now() + left,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let reply = client.send(request).map_err(|error| self.trouble(&error))?;
        let after = reply.retry_after.as_deref();
        let after = after.and_then(|value| retry_after(value, self.clock.now()));
        // Some repeat what they refuse.
        let body = if reply.status < 400 { reply.body } else { self.tokens.masked(reply.body) };
        let (status, content_type) = (reply.status, reply.content_type);
        Ok(Answer { status, content_type, retry_after: after, body })
    }

    fn mail(&mut self, config: &EmailConfig, mail: Mail) -> Result<String, Trouble> {
        smtp::send(config, &mail, self.left()?)
    }
}

/// No answer came. Whether the receiver may have taken the request is known only where it was not
/// sent.
fn transport(error: &ureq::Error) -> Trouble {
    use ureq::Error;
    let (kind, was_sent) = match error {
        Error::Timeout(Timeout::Resolve | Timeout::Connect | Timeout::SendRequest) => {
            (FailureKind::Timeout, false)
        }
        Error::Timeout(_) => (FailureKind::Timeout, true),
        Error::HostNotFound
        | Error::ConnectionFailed
        | Error::ConnectProxyFailed(_)
        | Error::Tls(_)
        | Error::Rustls(_)
        | Error::InvalidProxyUrl
        | Error::BadUri(_) => (FailureKind::Other, false),
        Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            (FailureKind::Other, false)
        }
        _ => (FailureKind::Other, true),
    };
    let mut trouble = Trouble::temporary(kind, format!("no answer: {error}"));
    trouble.failure.maybe_delivered = was_sent;
    trouble
}
