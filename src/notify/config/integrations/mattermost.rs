//! `mattermost_configs`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::receiver::Complete;
use super::super::{Global, HttpConfig, Inherited, Secret};
use super::{complete_http, complete_webhook_url};

/// A Mattermost channel's webhook.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct MattermostConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached.
    pub http_config: Inherited<HttpConfig>,
    /// Where to post.
    pub webhook_url: Inherited<Secret>,
    webhook_url_file: Option<PathBuf>,
    webhook_url_env: Option<String>,
    /// The channel.
    pub channel: String,
    /// Name of the sender.
    pub username: String,
    /// The text.
    pub text: String,
    /// What is shown where attachments are not.
    pub fallback: String,
    /// The colour.
    pub color: String,
    /// Text above the attachment.
    pub pretext: String,
    /// The author's name.
    pub author_name: String,
    /// Where the author's name leads.
    pub author_link: String,
    /// The author's picture.
    pub author_icon: String,
    /// The title.
    pub title: String,
    /// Where the title leads.
    pub title_link: String,
    /// Fields of the attachment.
    pub fields: Vec<MattermostField>,
    /// A small picture.
    pub thumb_url: String,
    /// Text below the attachment.
    pub footer: String,
    /// Picture beside it.
    pub footer_icon: String,
    /// A picture.
    pub image_url: String,
    /// Picture of the sender.
    pub icon_url: String,
    /// Picture of the sender as `:emoji:`.
    pub icon_emoji: String,
    /// Attachments instead of the one that the fields above describe.
    pub attachments: Vec<MattermostAttachment>,
    /// Type of the post.
    #[serde(rename = "type")]
    pub kind: String,
    /// Further properties.
    pub props: Option<MattermostProps>,
    /// Its priority.
    pub priority: Option<MattermostPriority>,
}

/// A post's priority.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct MattermostPriority {
    /// `important` or `urgent`; a template.
    pub priority: String,
    /// Whether readers are asked to acknowledge it.
    pub requested_ack: bool,
    /// Whether it is repeated until they have.
    pub persistent_notifications: bool,
}

/// Further properties of a post.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct MattermostProps {
    /// Text of the card beside the post.
    pub card: String,
}

/// A field of an attachment; title and value are not empty.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct MattermostField {
    /// Its title.
    pub title: String,
    /// Its text.
    pub value: String,
    /// Whether it fits beside another one.
    pub short: Option<bool>,
}

/// An attachment; the fields are those of [`MattermostConfig`].
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct MattermostAttachment {
    pub fallback: String,
    pub color: String,
    pub pretext: String,
    pub text: String,
    pub author_name: String,
    pub author_link: String,
    pub author_icon: String,
    pub title: String,
    pub title_link: String,
    pub fields: Vec<MattermostField>,
    pub thumb_url: String,
    pub footer: String,
    pub footer_icon: String,
    pub image_url: String,
}

impl Default for MattermostConfig {
    fn default() -> MattermostConfig {
        let template =
            |field: &str| format!(r#"{{{{ template "mattermost.default.{field}" . }}}}"#);
        MattermostConfig {
            send_resolved: true,
            http_config: Inherited::default(),
            webhook_url: Inherited::default(),
            webhook_url_file: None,
            webhook_url_env: None,
            channel: String::new(),
            username: template("username"),
            text: template("text"),
            fallback: template("fallback"),
            color: template("color"),
            pretext: String::new(),
            author_name: String::new(),
            author_link: String::new(),
            author_icon: String::new(),
            title: template("title"),
            title_link: template("titlelink"),
            fields: Vec::new(),
            thumb_url: String::new(),
            footer: String::new(),
            footer_icon: String::new(),
            image_url: String::new(),
            icon_url: String::new(),
            icon_emoji: String::new(),
            attachments: Vec::new(),
            kind: String::new(),
            props: None,
            priority: None,
        }
    }
}

impl Complete for MattermostConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        complete_http(&mut self.http_config, global, base)?;
        let (file, env) = (&self.webhook_url_file, &self.webhook_url_env);
        complete_webhook_url(&mut self.webhook_url, file, env)?;
        let attached = self.attachments.iter().flat_map(|attachment| &attachment.fields);
        for field in self.fields.iter().chain(attached) {
            if field.title.is_empty() || field.value.is_empty() {
                let what = if field.title.is_empty() { "title" } else { "value" };
                return Err(format!("missing {what} in Mattermost field configuration"));
            }
        }
        let missing = "missing webhook_url or webhook_url_file on mattermost_config";
        self.webhook_url.inherit(global.mattermost_webhook_url.as_ref(), missing)
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}
