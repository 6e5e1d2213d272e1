//! `msteams_configs` and `msteamsv2_configs`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::receiver::Complete;
use super::super::{Global, HttpConfig, Inherited, Secret};
use super::{complete_http, complete_webhook_url};

const MISSING: &str = "one of webhook_url or webhook_url_file must be configured";

/// A Microsoft Teams channel's connector (the old way).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct MsTeamsConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached.
    pub http_config: Inherited<HttpConfig>,
    /// Where to post.
    pub webhook_url: Inherited<Secret>,
    webhook_url_file: Option<PathBuf>,
    webhook_url_env: Option<String>,
    /// Title of the card.
    pub title: String,
    /// Summary of the card.
    pub summary: String,
    /// Text of the card.
    pub text: String,
}

impl Default for MsTeamsConfig {
    fn default() -> MsTeamsConfig {
        MsTeamsConfig {
            send_resolved: true,
            http_config: Inherited::default(),
            webhook_url: Inherited::default(),
            webhook_url_file: None,
            webhook_url_env: None,
            title: r#"{{ template "msteams.default.title" . }}"#.to_owned(),
            summary: r#"{{ template "msteams.default.summary" . }}"#.to_owned(),
            text: r#"{{ template "msteams.default.text" . }}"#.to_owned(),
        }
    }
}

impl Complete for MsTeamsConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        complete_http(&mut self.http_config, global, base)?;
        let (file, env) = (&self.webhook_url_file, &self.webhook_url_env);
        complete_webhook_url(&mut self.webhook_url, file, env)?;
        self.webhook_url.inherit(None, MISSING)
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}

/// A Microsoft Teams channel's workflow.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct MsTeamsV2Config {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached; a proxy is taken over from the global section.
    pub http_config: Inherited<HttpConfig>,
    /// Where to post.
    pub webhook_url: Inherited<Secret>,
    webhook_url_file: Option<PathBuf>,
    webhook_url_env: Option<String>,
    /// Title of the card.
    pub title: String,
    /// Text of the card.
    pub text: String,
}

impl Default for MsTeamsV2Config {
    fn default() -> MsTeamsV2Config {
        MsTeamsV2Config {
            send_resolved: true,
            http_config: Inherited::default(),
            webhook_url: Inherited::default(),
            webhook_url_file: None,
            webhook_url_env: None,
            title: r#"{{ template "msteamsv2.default.title" . }}"#.to_owned(),
            text: r#"{{ template "msteamsv2.default.text" . }}"#.to_owned(),
        }
    }
}

impl Complete for MsTeamsV2Config {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        complete_http(&mut self.http_config, global, base)?;
        if let Some(http) = self.http_config.0.as_mut().filter(|http| http.proxy_url.is_none()) {
            http.proxy_url = global.http_config.proxy_url.clone();
        }
        let (file, env) = (&self.webhook_url_file, &self.webhook_url_env);
        complete_webhook_url(&mut self.webhook_url, file, env)?;
        self.webhook_url.inherit(None, MISSING)
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}
