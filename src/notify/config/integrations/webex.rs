//! `webex_configs`.

use std::path::Path;

use serde::Deserialize;

use super::super::receiver::Complete;
use super::super::{Global, HttpConfig, Inherited, WebUrl};
use super::complete_http;

/// A Webex room. The bot's token is the `authorization` of its `http_config`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct WebexConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached; its `authorization` is set.
    pub http_config: Inherited<HttpConfig>,
    /// Where to post.
    pub api_url: Inherited<WebUrl>,
    /// The text.
    pub message: String,
    /// The room; a template, not empty.
    pub room_id: String,
}

impl Default for WebexConfig {
    fn default() -> WebexConfig {
        WebexConfig {
            send_resolved: true,
            http_config: Inherited::default(),
            api_url: Inherited::default(),
            message: r#"{{ template "webex.default.message" . }}"#.to_owned(),
            room_id: String::new(),
        }
    }
}

impl Complete for WebexConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        if self.room_id.is_empty() {
            return Err("missing room_id on webex_config".to_owned());
        }
        let own_login =
            self.http_config.0.as_ref().is_some_and(|http| http.authorization.is_some());
        if !own_login {
            return Err("missing webex_configs.http_config.authorization".to_owned());
        }
        complete_http(&mut self.http_config, global, base)?;
        self.api_url.inherit(Some(&global.webex_api_url), "no global Webex URL set")
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}
