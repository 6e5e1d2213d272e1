//! Mattermost: a webhook that takes messages like Slack's.

use std::time::Duration;

use serde::Serialize;

use super::context::{Context, go_json};
use super::trouble::Trouble;
use super::{Done, cut, post};
use crate::notify::config::{MattermostAttachment, MattermostConfig, MattermostField};
use crate::notify::deliver::FailureKind;

/// Longest text in characters.
const TEXT_CHARS_MAX: usize = 16_383;

#[derive(Serialize)]
struct Message {
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_emoji: String,
    attachments: Vec<Attachment>,
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    props: Option<Props>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
}

#[derive(Serialize)]
struct Attachment {
    #[serde(skip_serializing_if = "String::is_empty")]
    fallback: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    color: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pretext: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author_link: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author_icon: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title_link: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field>,
    #[serde(skip_serializing_if = "String::is_empty")]
    thumb_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    footer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    footer_icon: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    image_url: String,
}

#[derive(Serialize)]
struct Field {
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    short: Option<bool>,
}

#[derive(Serialize)]
struct Props {
    #[serde(skip_serializing_if = "String::is_empty")]
    card: String,
}

#[derive(Serialize)]
struct Priority {
    priority: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    requested_ack: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    persistent_notifications: bool,
}

pub(super) fn tell(config: &MattermostConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let message = message(config, context)?;
    let url = context.secret_url(&config.webhook_url)?;
    if url.is_empty() {
        return Err(Trouble::lasting(FailureKind::Other, "the webhook_url is empty"));
    }
    let channel = format!("channel {:?}", message.channel);
    post(context, &config.http_config, url, go_json(&message), Duration::ZERO)
        .map_err(|trouble| trouble.while_doing(&channel))
}

fn message(config: &MattermostConfig, context: &Context<'_>) -> Result<Message, Trouble> {
    let text = |template: &str| context.text(template);
    let whole = text(&config.text)?;
    // The text stands in the one attachment, or beside those that are configured.
    let (text_beside, attachments) = match config.attachments.as_slice() {
        [] => (String::new(), vec![only_attachment(config, context, whole)?]),
        several => {
            let all = several.iter().map(|one| attachment(one, context));
            (cut::to_chars(whole, TEXT_CHARS_MAX), all.collect::<Result<_, _>>()?)
        }
    };
    let props = config.props.as_ref().filter(|props| !props.card.is_empty());
    let props = props.map(|props| Ok::<_, Trouble>(Props { card: text(&props.card)? }));
    Ok(Message {
        text: text_beside,
        channel: text(&config.channel)?,
        username: text(&config.username)?,
        icon_url: text(&config.icon_url)?,
        icon_emoji: text(&config.icon_emoji)?,
        attachments,
        kind: text(&config.kind)?,
        props: props.transpose()?,
        priority: priority(config, context)?,
    })
}

/// A priority that Mattermost knows, and only what it allows with it.
fn priority(config: &MattermostConfig, context: &Context<'_>) -> Result<Option<Priority>, Trouble> {
    let Some(wanted) = config.priority.as_ref().filter(|wanted| !wanted.priority.is_empty()) else {
        return Ok(None);
    };
    let mut priority = context.text(&wanted.priority)?.to_lowercase();
    if !["urgent", "important", "standard"].contains(&priority.as_str()) {
        "standard".clone_into(&mut priority);
    }
    let requested_ack = wanted.requested_ack && priority != "standard";
    let persistent_notifications = wanted.persistent_notifications && priority == "urgent";
    Ok(Some(Priority { priority, requested_ack, persistent_notifications }))
}

fn fields(fields: &[MattermostField], context: &Context<'_>) -> Result<Vec<Field>, Trouble> {
    let field = |field: &MattermostField| -> Result<Field, Trouble> {
        Ok(Field {
            title: context.text(&field.title)?,
            value: context.text(&field.value)?,
            short: field.short,
        })
    };
    fields.iter().map(field).collect()
}

fn only_attachment(
    config: &MattermostConfig,
    context: &Context<'_>,
    whole: String,
) -> Result<Attachment, Trouble> {
    let text = |template: &str| context.text(template);
    Ok(Attachment {
        fallback: text(&config.fallback)?,
        color: text(&config.color)?,
        pretext: text(&config.pretext)?,
        text: whole,
        author_name: text(&config.author_name)?,
        author_link: text(&config.author_link)?,
        author_icon: text(&config.author_icon)?,
        title: text(&config.title)?,
        title_link: text(&config.title_link)?,
        fields: fields(&config.fields, context)?,
        thumb_url: text(&config.thumb_url)?,
        footer: text(&config.footer)?,
        footer_icon: text(&config.footer_icon)?,
        image_url: text(&config.image_url)?,
    })
}

fn attachment(one: &MattermostAttachment, context: &Context<'_>) -> Result<Attachment, Trouble> {
    let text = |template: &str| context.text(template);
    Ok(Attachment {
        fallback: text(&one.fallback)?,
        color: text(&one.color)?,
        pretext: text(&one.pretext)?,
        text: text(&one.text)?,
        author_name: text(&one.author_name)?,
        author_link: text(&one.author_link)?,
        author_icon: text(&one.author_icon)?,
        title: text(&one.title)?,
        title_link: text(&one.title_link)?,
        fields: fields(&one.fields, context)?,
        thumb_url: text(&one.thumb_url)?,
        footer: text(&one.footer)?,
        footer_icon: text(&one.footer_icon)?,
        image_url: text(&one.image_url)?,
    })
}
