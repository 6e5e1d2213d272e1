//! `receivers`: names with their integrations.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::error::Mistake;
use super::{
    DiscordConfig, EmailConfig, Global, IncidentioConfig, JiraConfig, MattermostConfig,
    MsTeamsConfig, MsTeamsV2Config, OpsGenieConfig, PagerdutyConfig, PushoverConfig,
    RocketchatConfig, SlackConfig, SnsConfig, TelegramConfig, VictoropsConfig, WebexConfig,
    WebhookConfig, WechatConfig,
};

/// A named target of notifications; without integrations it swallows them.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    /// Its name; unique and not empty.
    pub name: String,
    /// Labels by which the API finds it; `name` is always among them.
    pub labels: BTreeMap<String, String>,
    /// Ways it is told, in Alertmanager's order of kinds.
    pub integrations: Vec<Arc<Integration>>,
}

/// One way to tell a receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Integration {
    /// Its number among those of its kind in the receiver.
    pub index: usize,
    /// Whether it is told that alerts are resolved.
    pub send_resolved: bool,
    /// How it is told.
    pub config: IntegrationConfig,
}

impl Integration {
    /// What kind it is, as metrics and the API name it.
    pub fn kind(&self) -> &'static str {
        self.config.kind()
    }
}

/// Checks a configuration that was read, and takes over what it leaves to `global`.
pub(super) trait Complete {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String>;
    fn send_resolved(&self) -> bool;
}

macro_rules! integrations {
    ($($variant:ident($config:ident) = $kind:literal, $list:ident, $doc:literal;)*) => {
        /// How a receiver is told.
        #[derive(Clone, Debug, PartialEq)]
        pub enum IntegrationConfig {
            $(#[doc = $doc] $variant(Box<$config>),)*
        }

        impl IntegrationConfig {
            /// What kind it is, as metrics and the API name it.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(IntegrationConfig::$variant(_) => $kind,)*
                }
            }
        }

        /// A receiver as it stands in the file.
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct RawReceiver {
            name: String,
            labels: BTreeMap<String, String>,
            $($list: Option<Vec<Spanned<$config>>>,)*
        }

        impl RawReceiver {
            fn integrations(
                &mut self,
                global: &Global,
                base: &Path,
            ) -> Result<Vec<Arc<Integration>>, Mistake> {
                let mut all = Vec::new();
                $(for (index, config) in self.$list.take().into_iter().flatten().enumerate() {
                    let place = Spanned::new((), config.referenced, config.defined);
                    let mut config = Box::new(config.value);
                    let completed = config.complete(global, base);
                    completed.map_err(|why| Mistake::at(&place, why))?;
                    all.push(Arc::new(Integration {
                        index,
                        send_resolved: config.send_resolved(),
                        config: IntegrationConfig::$variant(config),
                    }));
                })*
                Ok(all)
            }
        }
    };
}

integrations! {
    Webhook(WebhookConfig) = "webhook", webhook_configs, "A web server of one's own.";
    Email(EmailConfig) = "email", email_configs, "A mail server.";
    Pagerduty(PagerdutyConfig) = "pagerduty", pagerduty_configs, "PagerDuty.";
    OpsGenie(OpsGenieConfig) = "opsgenie", opsgenie_configs, "Opsgenie.";
    Wechat(WechatConfig) = "wechat", wechat_configs, "WeChat.";
    Slack(SlackConfig) = "slack", slack_configs, "Slack.";
    Victorops(VictoropsConfig) = "victorops", victorops_configs, "VictorOps (Splunk On-Call).";
    Pushover(PushoverConfig) = "pushover", pushover_configs, "Pushover.";
    Sns(SnsConfig) = "sns", sns_configs, "Amazon SNS.";
    Telegram(TelegramConfig) = "telegram", telegram_configs, "Telegram.";
    Discord(DiscordConfig) = "discord", discord_configs, "Discord.";
    Webex(WebexConfig) = "webex", webex_configs, "Webex.";
    MsTeams(MsTeamsConfig) = "msteams", msteams_configs, "Microsoft Teams, old connectors.";
    MsTeamsV2(MsTeamsV2Config) = "msteamsv2", msteamsv2_configs, "Microsoft Teams, workflows.";
    Jira(JiraConfig) = "jira", jira_configs, "Jira.";
    Rocketchat(RocketchatConfig) = "rocketchat", rocketchat_configs, "Rocket.Chat.";
    Mattermost(MattermostConfig) = "mattermost", mattermost_configs, "Mattermost.";
    Incidentio(IncidentioConfig) = "incidentio", incidentio_configs, "incident.io.";
}

impl RawReceiver {
    pub(super) fn build(
        mut self,
        global: &Global,
        base: &Path,
        place: &Spanned<()>,
    ) -> Result<Receiver, Mistake> {
        let integrations = self.integrations(global, base)?;
        let (name, mut labels) = (self.name, self.labels);
        if name.is_empty() {
            return Err(Mistake::at(place, "missing name in receiver"));
        }
        if let Some(other) = labels.get("name").filter(|label| **label != name) {
            let why =
                format!("receiver label \"name\" must match receiver name {name:?}, got {other:?}");
            return Err(Mistake::at(place, why));
        }
        labels.insert("name".to_owned(), name.clone());
        Ok(Receiver { name, labels, integrations })
    }
}
