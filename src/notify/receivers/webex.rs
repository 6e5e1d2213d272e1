//! Webex: a message to a room.

use std::time::Duration;

use serde::Serialize;

use super::context::{Context, go_json};
use super::trouble::Trouble;
use super::{Done, cut, post};
use crate::notify::config::WebexConfig;

/// Longest message in bytes.
const MESSAGE_BYTES_MAX: usize = 7439;

#[derive(Serialize)]
struct Message {
    markdown: String,
    #[serde(rename = "roomId", skip_serializing_if = "String::is_empty")]
    room_id: String,
}

pub(super) fn tell(config: &WebexConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let message = Message {
        markdown: cut::to_bytes(context.setting("message", &config.message)?, MESSAGE_BYTES_MAX),
        room_id: context.setting("room_id", &config.room_id)?,
    };
    let url = config.api_url.as_str().to_owned();
    post(context, &config.http_config, url, go_json(&message), Duration::ZERO)
}
