//! `rocketchat_configs`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::inherit::one_secret;
use super::super::receiver::Complete;
use super::super::{Global, HttpConfig, Inherited, Secret, WebUrl};
use super::complete_http;

/// A Rocket.Chat channel.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct RocketchatConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached.
    pub http_config: Inherited<HttpConfig>,
    /// Where the server is.
    pub api_url: Inherited<WebUrl>,
    /// Whose token it is.
    pub token_id: Inherited<Secret>,
    token_id_file: Option<PathBuf>,
    token_id_env: Option<String>,
    /// The token.
    pub token: Inherited<Secret>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    /// The channel, `#channel` or `@user`.
    pub channel: String,
    /// The colour.
    pub color: String,
    /// The title.
    pub title: String,
    /// Where the title leads.
    pub title_link: String,
    /// The text.
    pub text: String,
    /// Fields of the attachment.
    pub fields: Vec<RocketchatField>,
    /// Whether fields that do not say it themselves are short.
    pub short_fields: bool,
    /// Picture of the sender as `:emoji:`.
    pub emoji: String,
    /// Picture of the sender.
    pub icon_url: String,
    /// A picture in the attachment.
    pub image_url: String,
    /// A small picture in the attachment.
    pub thumb_url: String,
    /// Whether names in texts become links.
    pub link_names: bool,
    /// Buttons.
    pub actions: Vec<RocketchatAction>,
}

/// A field of an attachment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct RocketchatField {
    /// Whether it fits beside another one.
    pub short: Option<bool>,
    /// Its title.
    pub title: String,
    /// Its text.
    pub value: String,
}

/// A button. The names of its keys are those that Alertmanager reads: without underscores.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct RocketchatAction {
    /// Its kind, `button`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What stands on it.
    pub text: String,
    /// Where it leads.
    pub url: String,
    /// A picture on it.
    #[serde(rename = "imageurl", alias = "image_url")]
    pub image_url: String,
    /// Whether it opens within the chat.
    #[serde(rename = "iswebview", alias = "is_webview")]
    pub is_webview: bool,
    /// How high.
    #[serde(rename = "webviewheightratio", alias = "webview_height_ratio")]
    pub webview_height_ratio: String,
    /// A message it sends.
    pub msg: String,
    /// Whether the message is shown.
    #[serde(rename = "msginchatwindow", alias = "msg_in_chat_window")]
    pub msg_in_chat_window: bool,
    /// `sendMessage` or `respondWithMessage`.
    #[serde(rename = "msgprocessingtype", alias = "msg_processing_type")]
    pub msg_processing_type: String,
}

impl Default for RocketchatConfig {
    fn default() -> RocketchatConfig {
        let template =
            |field: &str| format!(r#"{{{{ template "rocketchat.default.{field}" . }}}}"#);
        RocketchatConfig {
            send_resolved: false,
            http_config: Inherited::default(),
            api_url: Inherited::default(),
            token_id: Inherited::default(),
            token_id_file: None,
            token_id_env: None,
            token: Inherited::default(),
            token_file: None,
            token_env: None,
            channel: String::new(),
            color: r#"{{ if eq .Status "firing" }}red{{ else }}green{{ end }}"#.to_owned(),
            title: template("title"),
            title_link: template("titlelink"),
            text: template("text"),
            fields: Vec::new(),
            short_fields: false,
            emoji: template("emoji"),
            icon_url: template("iconurl"),
            image_url: String::new(),
            thumb_url: String::new(),
            link_names: false,
            actions: Vec::new(),
        }
    }
}

impl Complete for RocketchatConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        complete_http(&mut self.http_config, global, base)?;
        one_secret!(self, token_id, token_id_file, token_id_env);
        let missing = "no global Rocketchat TokenID set either inline or in a file";
        self.token_id.inherit(global.rocketchat_token_id.as_ref(), missing)?;
        one_secret!(self, token, token_file, token_env);
        let missing = "no global Rocketchat Token set either inline or in a file";
        self.token.inherit(global.rocketchat_token.as_ref(), missing)?;
        self.api_url.inherit(Some(&global.rocketchat_api_url), "no global Rocketchat URL set")
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}
