//! Slack: a webhook, or `chat.postMessage` of an app.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::context::{Context, go_json};
use super::trouble::{Trouble, check_status, excerpt};
use super::wire::{Answer, Request};
use super::{Done, cut};
use crate::notify::config::{SlackAction, SlackConfig};
use crate::notify::deliver::FailureKind;

/// Longest title in characters.
const TITLE_CHARS_MAX: usize = 1024;
/// Where a message is changed that was sent before.
const UPDATE_URL: &str = "https://slack.com/api/chat.update";
/// Under which names the id of a message is kept.
const TIME_KEY: &str = "threadTs";
const CHANNEL_KEY: &str = "channelId";

#[derive(Serialize)]
struct Message {
    #[serde(skip_serializing_if = "String::is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ts: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_emoji: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_url: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    link_names: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    attachments: [Attachment; 1],
}

#[derive(Serialize)]
struct Attachment {
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title_link: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pretext: String,
    text: String,
    fallback: String,
    callback_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<Action>,
    #[serde(skip_serializing_if = "String::is_empty")]
    image_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thumb_url: String,
    footer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    color: String,
    mrkdwn_in: Vec<String>,
}

#[derive(Serialize)]
struct Field {
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
    short: bool,
}

#[derive(Serialize)]
struct Action {
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    style: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm: Option<Confirmation>,
}

#[derive(Serialize)]
struct Confirmation {
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ok_text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dismiss_text: String,
}

/// What Slack says of a message.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    error: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    ts: String,
}

/// Texts of a message. One that cannot be made is left out, as with Alertmanager: it is better to be
/// told with a gap than not at all. There the texts behind it are left out, too.
struct Texts<'c, 'a> {
    context: &'c Context<'a>,
    left_out: RefCell<Vec<String>>,
}

impl Texts<'_, '_> {
    fn text(&self, template: &str) -> String {
        self.context.text(template).unwrap_or_else(|trouble| {
            self.left_out.borrow_mut().push(trouble.failure.message);
            String::new()
        })
    }
}

pub(super) fn tell(config: &SlackConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let texts = Texts { context, left_out: RefCell::default() };
    let mut message = message(config, &texts);
    let left_out = texts.left_out.into_inner();
    let mut url = context.secret_url(&config.api_url)?;
    if config.update_message {
        let earlier = &context.notification.receiver_data;
        if let (Some(time), Some(channel)) = (earlier.get(TIME_KEY), earlier.get(CHANNEL_KEY)) {
            (message.ts, message.channel) = (time.clone(), channel.clone());
            UPDATE_URL.clone_into(&mut url);
        }
    }
    let request = Request::json("POST", url, go_json(&message));
    let answer = context.send(&config.http_config, request, config.timeout)?;
    let channel = format!("channel {:?}", message.channel);
    let done = read(config, &answer).map_err(|trouble| trouble.while_doing(&channel))?;
    Ok(Done { left_out, ..done })
}

fn message(config: &SlackConfig, texts: &Texts<'_, '_>) -> Message {
    let text = |template: &str| texts.text(template);
    let mut markdown = config.mrkdwn_in.clone();
    if markdown.is_empty() {
        markdown = ["fallback", "pretext", "text"].map(str::to_owned).to_vec();
    }
    let field = |field: &crate::notify::config::SlackField| Field {
        title: text(&field.title),
        value: text(&field.value),
        short: field.short.unwrap_or(config.short_fields),
    };
    let attachment = Attachment {
        title: cut::to_chars(text(&config.title), TITLE_CHARS_MAX),
        title_link: text(&config.title_link),
        pretext: text(&config.pretext),
        text: text(&config.text),
        fallback: text(&config.fallback),
        callback_id: text(&config.callback_id),
        fields: config.fields.iter().map(field).collect(),
        actions: config.actions.iter().map(|a| action(a, texts)).collect(),
        image_url: text(&config.image_url),
        thumb_url: text(&config.thumb_url),
        footer: text(&config.footer),
        color: text(&config.color),
        mrkdwn_in: markdown,
    };
    Message {
        channel: text(&config.channel),
        ts: String::new(),
        username: text(&config.username),
        icon_emoji: text(&config.icon_emoji),
        icon_url: text(&config.icon_url),
        link_names: config.link_names,
        text: text(&config.message_text),
        attachments: [attachment],
    }
}

fn action(action: &SlackAction, texts: &Texts<'_, '_>) -> Action {
    let text = |template: &str| texts.text(template);
    let confirm = action.confirm.as_ref().map(|confirm| Confirmation {
        text: text(&confirm.text),
        title: text(&confirm.title),
        ok_text: text(&confirm.ok_text),
        dismiss_text: text(&confirm.dismiss_text),
    });
    Action {
        kind: text(&action.kind),
        text: text(&action.text),
        url: text(&action.url),
        style: text(&action.style),
        name: text(&action.name),
        value: text(&action.value),
        confirm,
    }
}

/// Slack says with status 200, too, that it has not taken a message.
fn read(config: &SlackConfig, answer: &Answer) -> Result<Done, Trouble> {
    check_status(answer.status, &answer.body, answer.retry_after, &[])?;
    let failed = |why: String| Trouble::lasting(FailureKind::ClientError, why);
    if !answer.content_type.starts_with("application/json") {
        return match answer.body.as_str() {
            "ok" => Ok(Done::status(answer.status)),
            other => Err(failed(format!("Slack answered with an error: {}", excerpt(other)))),
        };
    }
    let said: Said = serde_json::from_str(&answer.body).map_err(|_| {
        let why = format!("Slack's answer is no JSON: {}", excerpt(&answer.body));
        Trouble::temporary(FailureKind::ClientError, why)
    })?;
    if !said.ok {
        let trouble = failed(format!("Slack answered with an error: {}", said.error));
        // With status 200 when a method is called too often.
        let is_limited = matches!(said.error.as_str(), "ratelimited" | "rate_limited");
        return Err(Trouble { is_temporary: is_limited, after: answer.retry_after, ..trouble });
    }
    let is_kept = config.update_message && !said.ts.is_empty() && !said.channel.is_empty();
    let data = [(TIME_KEY, said.ts), (CHANNEL_KEY, said.channel)];
    let data: BTreeMap<String, String> =
        data.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Done { data: is_kept.then_some(data), ..Done::status(answer.status) })
}
