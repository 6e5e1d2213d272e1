//! Microsoft Teams: cards of the old connectors, and adaptive cards of workflows.

use std::time::Duration;

use serde::Serialize;

use super::context::{Context, go_json};
use super::trouble::Trouble;
use super::{Done, post};
use crate::notify::config::{MsTeamsConfig, MsTeamsV2Config};

#[derive(Serialize)]
struct Card {
    #[serde(rename = "@context")]
    context: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    title: String,
    summary: String,
    text: String,
    #[serde(rename = "themeColor")]
    color: &'static str,
}

pub(super) fn tell(config: &MsTeamsConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let card = Card {
        context: "http://schema.org/extensions",
        kind: "MessageCard",
        title: context.setting("title", &config.title)?,
        summary: context.setting("summary", &config.summary)?,
        text: context.setting("text", &config.text)?,
        color: if context.is_firing() { "8C1A1A" } else { "2DC72D" },
    };
    let url = context.secret_url(&config.webhook_url)?;
    post(context, &config.http_config, url, go_json(&card), Duration::ZERO)
}

#[derive(Serialize)]
struct Message {
    #[serde(rename = "type")]
    kind: &'static str,
    attachments: [Attachment; 1],
}

#[derive(Serialize)]
struct Attachment {
    #[serde(rename = "contentType")]
    content_type: &'static str,
    #[serde(rename = "contentUrl")]
    content_url: Option<&'static str>,
    content: AdaptiveCard,
}

#[derive(Serialize)]
struct AdaptiveCard {
    #[serde(rename = "$schema")]
    schema: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    version: &'static str,
    body: [Block; 2],
    msteams: Width,
}

#[derive(Serialize, Default)]
struct Block {
    #[serde(rename = "type")]
    kind: &'static str,
    text: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    weight: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    size: &'static str,
    wrap: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    style: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    color: &'static str,
}

#[derive(Serialize)]
struct Width {
    width: &'static str,
}

pub(super) fn tell_v2(
    config: &MsTeamsV2Config,
    context: &mut Context<'_>,
) -> Result<Done, Trouble> {
    let title = Block {
        kind: "TextBlock",
        text: context.setting("title", &config.title)?,
        weight: "Bolder",
        size: "Medium",
        wrap: true,
        style: "heading",
        color: if context.is_firing() { "Attention" } else { "Good" },
    };
    let text = Block {
        kind: "TextBlock",
        text: context.setting("text", &config.text)?,
        wrap: true,
        ..Block::default()
    };
    let content = AdaptiveCard {
        schema: "http://adaptivecards.io/schemas/adaptive-card.json",
        kind: "AdaptiveCard",
        version: "1.2",
        body: [title, text],
        msteams: Width { width: "full" },
    };
    let attachment = Attachment {
        content_type: "application/vnd.microsoft.card.adaptive",
        content_url: None,
        content,
    };
    let message = Message { kind: "message", attachments: [attachment] };
    let url = context.secret_url(&config.webhook_url)?;
    post(context, &config.http_config, url, go_json(&message), Duration::ZERO)
}
