//! `pushover_configs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::super::inherit::one_secret;
use super::super::receiver::Complete;
use super::super::{Global, HttpConfig, Inherited, Secret, go_duration};
use super::complete_http;

/// Pushover.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct PushoverConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached.
    pub http_config: Inherited<HttpConfig>,
    /// Who is told.
    pub user_key: Inherited<Secret>,
    user_key_file: Option<PathBuf>,
    user_key_env: Option<String>,
    /// The application's token.
    pub token: Inherited<Secret>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    /// The title.
    pub title: String,
    /// The text.
    pub message: String,
    /// A link.
    pub url: String,
    /// What stands on it.
    pub url_title: String,
    /// Only this device.
    pub device: String,
    /// The sound.
    pub sound: String,
    /// -2 to 2; a template.
    pub priority: String,
    /// Pause until an emergency is repeated.
    #[serde(deserialize_with = "go_duration::deserialize")]
    pub retry: Duration,
    /// How long an emergency is repeated.
    #[serde(deserialize_with = "go_duration::deserialize")]
    pub expire: Duration,
    /// How long the message is kept; 0 for the service's default.
    #[serde(deserialize_with = "go_duration::deserialize")]
    pub ttl: Duration,
    /// Whether the text is HTML.
    pub html: bool,
    /// Whether the text is shown in a font of equal widths.
    pub monospace: bool,
}

impl Default for PushoverConfig {
    fn default() -> PushoverConfig {
        PushoverConfig {
            send_resolved: true,
            http_config: Inherited::default(),
            user_key: Inherited::default(),
            user_key_file: None,
            user_key_env: None,
            token: Inherited::default(),
            token_file: None,
            token_env: None,
            title: r#"{{ template "pushover.default.title" . }}"#.to_owned(),
            message: r#"{{ template "pushover.default.message" . }}"#.to_owned(),
            url: r#"{{ template "pushover.default.url" . }}"#.to_owned(),
            url_title: String::new(),
            device: String::new(),
            sound: String::new(),
            priority: r#"{{ if eq .Status "firing" }}2{{ else }}0{{ end }}"#.to_owned(),
            retry: Duration::from_secs(60),
            expire: Duration::from_secs(60 * 60),
            ttl: Duration::ZERO,
            html: false,
            monospace: false,
        }
    }
}

impl Complete for PushoverConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        complete_http(&mut self.http_config, global, base)?;
        one_secret!(self, user_key, user_key_file, user_key_env);
        self.user_key.inherit(None, "one of user_key or user_key_file must be configured")?;
        one_secret!(self, token, token_file, token_env);
        self.token.inherit(None, "one of token or token_file must be configured")?;
        if self.html && self.monospace {
            return Err("at most one of monospace & html must be configured".to_owned());
        }
        Ok(())
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}
