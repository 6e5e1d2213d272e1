//! `slack_configs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::super::inherit::{one_optional_secret, one_secret};
use super::super::receiver::Complete;
use super::super::web::check_secret_url;
use super::super::{Authorization, Global, HttpConfig, Inherited, Secret, WebUrl, go_duration};
use super::complete_http;

/// The one address under which messages can be changed afterwards.
const POST_MESSAGE: &str = "https://slack.com/api/chat.postMessage";

/// A Slack channel, through a webhook or an app's token.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct SlackConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached; with an app's token its `authorization` holds the token.
    pub http_config: Inherited<HttpConfig>,
    /// Where to post: a webhook, or with a token where apps post.
    pub api_url: Inherited<Secret>,
    api_url_file: Option<PathBuf>,
    api_url_env: Option<String>,
    /// An app's token.
    pub app_token: Option<Secret>,
    app_token_file: Option<PathBuf>,
    app_token_env: Option<String>,
    app_url: Option<WebUrl>,
    /// The channel, `#channel` or `@user`.
    pub channel: String,
    /// Name of the sender.
    pub username: String,
    /// `good`, `warning`, `danger` or `#rrggbb`.
    pub color: String,
    /// Title of the attachment.
    pub title: String,
    /// Where the title leads.
    pub title_link: String,
    /// Text above the attachment.
    pub pretext: String,
    /// Text of the attachment.
    pub text: String,
    /// Text of the message itself.
    pub message_text: String,
    /// Fields of the attachment.
    pub fields: Vec<SlackField>,
    /// Whether fields that do not say it themselves are short.
    pub short_fields: bool,
    /// Text below the attachment.
    pub footer: String,
    /// What is shown where attachments are not.
    pub fallback: String,
    /// Identifies the message to interactive parts.
    pub callback_id: String,
    /// Picture of the sender as `:emoji:`.
    pub icon_emoji: String,
    /// Picture of the sender.
    pub icon_url: String,
    /// A picture in the attachment.
    pub image_url: String,
    /// A small picture in the attachment.
    pub thumb_url: String,
    /// Whether names in texts become links.
    pub link_names: bool,
    /// Fields that are formatted; the default three when empty.
    pub mrkdwn_in: Vec<String>,
    /// Buttons.
    pub actions: Vec<SlackAction>,
    /// Whether a group's message is changed instead of posting further ones.
    pub update_message: bool,
    /// How long one request may take; 0 for no limit of its own.
    #[serde(deserialize_with = "go_duration::deserialize")]
    pub timeout: Duration,
}

/// A field of an attachment; title and value are not empty.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct SlackField {
    /// Its title.
    pub title: String,
    /// Its text.
    pub value: String,
    /// Whether it fits beside another one.
    pub short: Option<bool>,
}

/// A button: one with a `url` leads there, one with a `name` posts a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlackAction {
    /// Its kind, `button`.
    pub kind: String,
    /// What stands on it.
    pub text: String,
    /// Where it leads.
    pub url: String,
    /// `default`, `primary` or `danger`.
    pub style: String,
    /// Its name.
    pub name: String,
    /// What is sent.
    pub value: String,
    /// What is asked first.
    pub confirm: Option<SlackConfirmation>,
}

/// What is asked before a button acts; the text is not empty.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct SlackConfirmation {
    /// The question.
    pub text: String,
    /// Its title.
    pub title: String,
    /// The button to go on.
    pub ok_text: String,
    /// The button to leave it.
    pub dismiss_text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAction {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    style: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: String,
    confirm: Option<SlackConfirmation>,
}

impl<'de> Deserialize<'de> for SlackAction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SlackAction, D::Error> {
        let raw = RawAction::deserialize(deserializer)?;
        let missing =
            |what| Err(de::Error::custom(format!("missing {what} in Slack action configuration")));
        if raw.kind.is_empty() {
            return missing("type");
        }
        if raw.text.is_empty() {
            return missing("text");
        }
        if raw.confirm.as_ref().is_some_and(|confirm| confirm.text.is_empty()) {
            return Err(de::Error::custom("missing text in Slack confirmation configuration"));
        }
        let RawAction { kind, text, url, style, name, value, confirm } = raw;
        match (url.is_empty(), name.is_empty()) {
            (false, _) => Ok(SlackAction { kind, text, url, style, ..SlackAction::default() }),
            (true, false) => Ok(SlackAction { kind, text, url, style, name, value, confirm }),
            (true, true) => missing("name or url"),
        }
    }
}

impl Default for SlackConfig {
    fn default() -> SlackConfig {
        let template = |field: &str| format!(r#"{{{{ template "slack.default.{field}" . }}}}"#);
        SlackConfig {
            send_resolved: false,
            http_config: Inherited::default(),
            api_url: Inherited::default(),
            api_url_file: None,
            api_url_env: None,
            app_token: None,
            app_token_file: None,
            app_token_env: None,
            app_url: None,
            channel: String::new(),
            username: template("username"),
            color: template("color"),
            title: template("title"),
            title_link: template("titlelink"),
            pretext: template("pretext"),
            text: template("text"),
            message_text: String::new(),
            fields: Vec::new(),
            short_fields: false,
            footer: template("footer"),
            fallback: template("fallback"),
            callback_id: template("callbackid"),
            icon_emoji: template("iconemoji"),
            icon_url: template("iconurl"),
            image_url: String::new(),
            thumb_url: String::new(),
            link_names: false,
            mrkdwn_in: Vec::new(),
            actions: Vec::new(),
            update_message: false,
            timeout: Duration::ZERO,
        }
    }
}

impl Complete for SlackConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        one_secret!(self, api_url, api_url_file, api_url_env);
        one_optional_secret!(self, app_token, app_token_file, app_token_env);
        check_secret_url("api_url", self.api_url.0.as_ref())?;
        self.check()?;
        let own_login =
            self.http_config.0.as_ref().is_some_and(|http| http.authorization.is_some());
        complete_http(&mut self.http_config, global, base)?;
        if self.app_token.is_none() && !own_login && self.api_url.0.is_none() {
            self.app_token.clone_from(&global.slack_app_token);
        }
        if let Some(token) = self.app_token.clone() {
            return self.post_with(token, global);
        }
        let missing = "no Slack API URL nor App token set either inline or in a file";
        self.api_url.inherit(global.slack_api_url.as_ref(), missing)
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}

impl SlackConfig {
    fn check(&self) -> Result<(), String> {
        if self.api_url.0.is_some() && self.app_token.is_some() {
            return Err("at most one of api_url/api_url_file & app_token/app_token_file must be \
                configured"
                .to_owned());
        }
        let url = self.api_url.0.as_ref().and_then(Secret::inline);
        if self.update_message && url != Some(POST_MESSAGE) {
            return Err(format!(
                "update_message can only be used with bot tokens. api_url must be set to {POST_MESSAGE}"
            ));
        }
        if self.fields.iter().any(|field| field.title.is_empty()) {
            return Err("missing title in Slack field configuration".to_owned());
        }
        if self.fields.iter().any(|field| field.value.is_empty()) {
            return Err("missing value in Slack field configuration".to_owned());
        }
        Ok(())
    }

    /// An app's token is sent as `Authorization` to where apps post.
    fn post_with(&mut self, token: Secret, global: &Global) -> Result<(), String> {
        let http = self.http_config.0.as_mut().expect("BUG: it was taken over from global");
        if http.authorization.is_some() {
            return Err("http authorization can't be set when using Slack App tokens".to_owned());
        }
        http.authorization = Some(Authorization::bearer(token));
        let url = self.app_url.as_ref().unwrap_or(&global.slack_app_url);
        self.api_url = Secret::Inline(url.as_str().to_owned()).into();
        Ok(())
    }
}
