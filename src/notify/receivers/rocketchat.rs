//! Rocket.Chat: a message of a user.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::{Context, go_json};
use super::trouble::{Trouble, check_status, excerpt};
use super::wire::Request;
use super::{Done, cut};
use crate::notify::config::RocketchatConfig;
use crate::notify::deliver::FailureKind;

/// Longest title in characters.
const TITLE_CHARS_MAX: usize = 1024;

#[derive(Serialize)]
struct Message {
    #[serde(skip_serializing_if = "String::is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    emoji: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    avatar: String,
    attachments: [Attachment; 1],
}

#[derive(Serialize)]
struct Attachment {
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title_link: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    image_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thumb_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    color: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<Action>,
}

#[derive(Serialize)]
struct Field {
    short: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
}

#[derive(Serialize)]
struct Action {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    is_webview: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    msg: String,
    msg_in_chat_window: bool,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    success: bool,
    #[serde(default)]
    error: String,
}

pub(super) fn tell(config: &RocketchatConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let message = message(config, context)?;
    let url = format!("{}/api/v1/chat.postMessage", config.api_url.as_str().trim_end_matches('/'));
    // Alertmanager reads them once, when it starts; whoever changes them now is soon done.
    let token = context.secret(&config.token).map_err(Trouble::that_may_pass)?;
    let id = context.secret(&config.token_id).map_err(Trouble::that_may_pass)?;
    let request = Request::json("POST", url, go_json(&message))
        .header("X-Auth-Token", token)
        .header("X-User-Id", id);
    let answer = context.send(&config.http_config, request, Duration::ZERO)?;
    let channel = format!("channel {:?}", message.channel);
    read(answer.status, &answer.body, answer.retry_after)
        .map_err(|trouble| trouble.while_doing(&channel))
}

/// Rocket.Chat says with status 200, too, that it has not taken a message.
fn read(status: u16, body: &str, after: Option<Duration>) -> Result<Done, Trouble> {
    check_status(status, body, after, &[])?;
    match serde_json::from_str::<Said>(body) {
        Ok(Said { success: true, .. }) => Ok(Done::status(status)),
        Ok(Said { error, .. }) => {
            let why = format!("Rocket.Chat answered with an error: {error}");
            Err(Trouble::lasting(FailureKind::ClientError, why))
        }
        Err(_) => {
            let why = format!("Rocket.Chat's answer is no JSON: {}", excerpt(body));
            Err(Trouble::temporary(FailureKind::ClientError, why))
        }
    }
}

fn message(config: &RocketchatConfig, context: &Context<'_>) -> Result<Message, Trouble> {
    let text = |template: &str| context.text(template);
    let mut fields = Vec::new();
    for field in &config.fields {
        fields.push(Field {
            short: field.short.unwrap_or(config.short_fields),
            title: text(&field.title)?,
            value: text(&field.value)?,
        });
    }
    let mut actions = Vec::new();
    for action in &config.actions {
        actions.push(Action {
            kind: "button",
            text: text(&action.text)?,
            url: text(&action.url)?,
            is_webview: false,
            msg: text(&action.msg)?,
            msg_in_chat_window: false,
        });
    }
    Ok(Message {
        channel: text(&config.channel)?,
        emoji: text(&config.emoji)?,
        avatar: text(&config.icon_url)?,
        attachments: [Attachment {
            title: cut::to_chars(text(&config.title)?, TITLE_CHARS_MAX),
            title_link: text(&config.title_link)?,
            text: text(&config.text)?,
            image_url: text(&config.image_url)?,
            thumb_url: text(&config.thumb_url)?,
            color: text(&config.color)?,
            fields,
            actions,
        }],
    })
}
