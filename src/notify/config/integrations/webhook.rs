//! `webhook_configs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::super::inherit::one_secret;
use super::super::receiver::Complete;
use super::super::web::check_template_url;
use super::super::{Global, HttpConfig, Inherited, Secret, go_duration};
use super::complete_http;

/// A web server of one's own.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the server is reached.
    pub http_config: Inherited<HttpConfig>,
    /// Where to post; may be a template.
    pub url: Inherited<Secret>,
    url_file: Option<PathBuf>,
    url_env: Option<String>,
    /// Most alerts of one message; 0 for all.
    pub max_alerts: u64,
    /// How long one request may take; 0 for no limit of its own.
    #[serde(deserialize_with = "go_duration::deserialize")]
    pub timeout: Duration,
    /// What is sent instead of the usual body; texts within are templates.
    pub payload: Option<Value>,
}

impl Default for WebhookConfig {
    fn default() -> WebhookConfig {
        WebhookConfig {
            send_resolved: true,
            http_config: Inherited::default(),
            url: Inherited::default(),
            url_file: None,
            url_env: None,
            max_alerts: 0,
            timeout: Duration::ZERO,
            payload: None,
        }
    }
}

impl Complete for WebhookConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        complete_http(&mut self.http_config, global, base)?;
        one_secret!(self, url, url_file, url_env);
        check_template_url("url", self.url.0.as_ref())?;
        self.url.inherit(None, "one of url or url_file must be configured")
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}
