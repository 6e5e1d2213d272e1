//! Talks to receivers: what each kind is sent, and what its answers mean.
//!
//! In: a [`Notification`]. Out: an [`Outcome`], or a preview of what would be sent. Never here:
//! deciding whether and when.
//!
//! One file a kind; each says with [`context::Context`] what it sends. [`web`] and [`smtp`] carry
//! it. Payloads, limits and what is tried again are those of Alertmanager 0.34, but for 429 and
//! `Retry-After`, which are honoured everywhere.

mod context;
mod cut;
mod discord;
mod email;
mod incidentio;
mod jira;
mod mail;
mod mattermost;
mod msteams;
mod opsgenie;
mod pagerduty;
mod pushover;
mod rocketchat;
mod slack;
mod smtp;
mod sns;
mod telegram;
pub mod templates;
mod trouble;
mod victorops;
mod web;
mod webex;
mod webhook;
mod wechat;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use context::Context;
use trouble::Trouble;
use web::Network;
pub use wire::Preview;
use wire::{Recorder, Wire};

use super::config::IntegrationConfig;
use super::deliver::{Deliver, Failure, FailureKind, Notification, Outcome};
use crate::model::Clock;
use crate::template::TemplateSet;
use crate::web_client::Tokens;

/// Tells receivers of every kind.
pub struct Receivers {
    templates: TemplateSet,
    external_url: String,
    clock: Arc<dyn Clock>,
    wechat_tokens: wechat::Tokens,
    tokens: Tokens,
}

/// A delivery that succeeded.
#[derive(Debug, Default)]
struct Done {
    note: String,
    data: Option<BTreeMap<String, String>>,
    /// Why texts of the message were left out.
    left_out: Vec<String>,
}

impl Done {
    fn status(status: u16) -> Done {
        Done::note(format!("status {status}"))
    }

    fn note(note: impl Into<String>) -> Done {
        Done { note: note.into(), ..Done::default() }
    }

    /// The outcome that this is; what was left out is said in the note.
    fn outcome(self) -> Outcome {
        let parts = std::iter::once(self.note).chain(self.left_out);
        Outcome::Delivered { data: self.data, note: parts.collect::<Vec<_>>().join("; ") }
    }
}

impl Receivers {
    /// With the templates that [`templates::load`] gives, and the URL under which users reach this
    /// server.
    pub fn new(
        templates: TemplateSet,
        external_url: impl Into<String>,
        clock: Arc<dyn Clock>,
    ) -> Receivers {
        Receivers {
            templates,
            external_url: external_url.into(),
            clock,
            wechat_tokens: wechat::Tokens::default(),
            tokens: Tokens::default(),
        }
    }

    /// What a delivery would send, secrets masked; nothing is sent. Where what is sent depends on
    /// an answer, it is that of a receiver that hears of the group for the first time.
    ///
    /// # Errors
    /// A template or secret that cannot be used.
    pub fn preview(&self, notification: &Notification) -> Result<Vec<Preview>, Failure> {
        let mut recorder = Recorder::default();
        let (result, secrets) = self.run(notification, &mut recorder);
        let done = result.map_err(|trouble| trouble.failure)?;
        if let Some(why) = done.left_out.into_iter().next() {
            let why = Trouble::lasting(FailureKind::Other, why);
            return Err(why.failure);
        }
        let mask = |mut preview: Preview| {
            preview.url = secrets.mask(&preview.url);
            preview.body = secrets.mask(&preview.body);
            for (_, value) in &mut preview.headers {
                *value = secrets.mask(value);
            }
            preview
        };
        Ok(recorder.sent.into_iter().map(mask).collect())
    }

    fn run(
        &self,
        notification: &Notification,
        wire: &mut dyn Wire,
    ) -> (Result<Done, Trouble>, wire::Secrets) {
        let mut context = Context::new(&self.templates, notification, &self.external_url, wire);
        let result = self.tell(&mut context).map_err(|trouble| context.masked(trouble));
        (result, context.secrets)
    }

    fn tell(&self, context: &mut Context<'_>) -> Result<Done, Trouble> {
        use IntegrationConfig as Kind;
        let integration = context.notification.integration.clone();
        match &integration.config {
            Kind::Discord(config) => discord::tell(config, context),
            Kind::Email(config) => email::tell(config, context),
            Kind::Incidentio(config) => incidentio::tell(config, context),
            Kind::Jira(config) => jira::tell(config, context),
            Kind::Mattermost(config) => mattermost::tell(config, context),
            Kind::MsTeams(config) => msteams::tell(config, context),
            Kind::MsTeamsV2(config) => msteams::tell_v2(config, context),
            Kind::OpsGenie(config) => opsgenie::tell(config, context),
            Kind::Pagerduty(config) => pagerduty::tell(config, context),
            Kind::Pushover(config) => pushover::tell(config, context),
            Kind::Rocketchat(config) => rocketchat::tell(config, context),
            Kind::Slack(config) => slack::tell(config, context),
            Kind::Sns(config) => sns::tell(config, context),
            Kind::Telegram(config) => telegram::tell(config, context),
            Kind::Victorops(config) => victorops::tell(config, context),
            Kind::Webex(config) => webex::tell(config, context),
            Kind::Webhook(config) => webhook::tell(config, context),
            Kind::Wechat(config) => wechat::tell(config, context, &self.wechat_tokens),
        }
    }
}

impl Deliver for Receivers {
    fn deliver(&self, notification: &Notification, timeout: Duration) -> Outcome {
        if notification.alerts.is_empty() {
            let message = "there is no alert to tell of";
            return Trouble::lasting(FailureKind::Other, message).outcome();
        }
        let mut network = Network::new(timeout, self.clock.clone(), &self.tokens);
        match self.run(notification, &mut network).0 {
            Ok(done) => {
                for why in &done.left_out {
                    tracing::warn!(
                        "a message to {} lacks a text: {why}",
                        notification.receiver.name
                    );
                }
                done.outcome()
            }
            Err(trouble) => trouble.outcome(),
        }
    }
}

/// Posts JSON and checks the status of the answer; 429 and 5xx may pass.
fn post(
    context: &mut Context<'_>,
    http: &super::config::HttpConfig,
    url: String,
    body: String,
    timeout: Duration,
) -> Result<Done, Trouble> {
    let request = wire::Request::json("POST", url, body);
    let answer = context.send(http, request, timeout)?;
    trouble::check_status(answer.status, &answer.body, answer.retry_after, &[])?;
    Ok(Done::status(answer.status))
}
