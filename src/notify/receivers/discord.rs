//! Discord: a message with one embedded part.

use std::time::Duration;

use serde::Serialize;

use super::context::{Context, go_json};
use super::trouble::Trouble;
use super::{Done, cut, post};
use crate::notify::config::DiscordConfig;

/// Longest title in characters.
const TITLE_CHARS_MAX: usize = 256;
/// Longest embedded message in characters.
const DESCRIPTION_CHARS_MAX: usize = 4096;
/// Longest text beside it in characters.
const CONTENT_CHARS_MAX: usize = 2000;
const RED: u32 = 0x99_2D22;
const GREEN: u32 = 0x2E_CC71;

#[derive(Serialize)]
struct Message<'a> {
    content: String,
    embeds: [Embed; 1],
    #[serde(skip_serializing_if = "str::is_empty")]
    username: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    avatar_url: &'a str,
}

#[derive(Serialize)]
struct Embed {
    title: String,
    description: String,
    color: u32,
}

pub(super) fn tell(config: &DiscordConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let embed = Embed {
        title: cut::to_chars(context.setting("title", &config.title)?, TITLE_CHARS_MAX),
        description: cut::to_chars(
            context.setting("message", &config.message)?,
            DESCRIPTION_CHARS_MAX,
        ),
        color: if context.is_firing() { RED } else { GREEN },
    };
    let is_url = url::Url::parse(&config.avatar_url).is_ok();
    let message = Message {
        content: cut::to_chars(context.setting("content", &config.content)?, CONTENT_CHARS_MAX),
        embeds: [embed],
        username: &config.username,
        avatar_url: if is_url { &config.avatar_url } else { "" },
    };
    let url = context.secret_url(&config.webhook_url)?;
    post(context, &config.http_config, url, go_json(&message), Duration::ZERO)
}
