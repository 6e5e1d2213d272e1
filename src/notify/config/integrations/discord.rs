//! `discord_configs`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::receiver::Complete;
use super::super::{Global, HttpConfig, Inherited, Secret};
use super::{complete_http, complete_webhook_url};

/// A Discord channel's webhook.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct DiscordConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached.
    pub http_config: Inherited<HttpConfig>,
    /// Where to post.
    pub webhook_url: Inherited<Secret>,
    webhook_url_file: Option<PathBuf>,
    webhook_url_env: Option<String>,
    /// Text beside the embedded message.
    pub content: String,
    /// Title of the embedded message.
    pub title: String,
    /// The embedded message.
    pub message: String,
    /// Name of the sender, instead of the webhook's.
    pub username: String,
    /// Picture of the sender, instead of the webhook's.
    pub avatar_url: String,
}

impl Default for DiscordConfig {
    fn default() -> DiscordConfig {
        DiscordConfig {
            send_resolved: true,
            http_config: Inherited::default(),
            webhook_url: Inherited::default(),
            webhook_url_file: None,
            webhook_url_env: None,
            content: String::new(),
            title: r#"{{ template "discord.default.title" . }}"#.to_owned(),
            message: r#"{{ template "discord.default.message" . }}"#.to_owned(),
            username: String::new(),
            avatar_url: String::new(),
        }
    }
}

impl Complete for DiscordConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        complete_http(&mut self.http_config, global, base)?;
        let (file, env) = (&self.webhook_url_file, &self.webhook_url_env);
        complete_webhook_url(&mut self.webhook_url, file, env)?;
        let missing = "one of webhook_url or webhook_url_file must be configured";
        self.webhook_url.inherit(None, missing)
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}
