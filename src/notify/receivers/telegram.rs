//! Telegram: a message of a bot.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::context::{Context, go_json};
use super::trouble::{Trouble, check_status};
use super::wire::Request;
use super::{Done, cut};
use crate::notify::config::{Secret, TelegramConfig};
use crate::notify::deliver::FailureKind;

/// Longest message in characters.
const MESSAGE_CHARS_MAX: usize = 4096;
/// What is sent instead of HTML that is too long, since it cannot be cut.
const TOO_LONG: &str = "Alertmanager notification could not be sent: message length exceeds \
                        Telegram limits.\n\t\t\tPlease check the template used for producing the \
                        message content.";

pub(super) fn tell(config: &TelegramConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let text = match config.parse_mode.as_str() {
        "HTML" => match context.html(&config.message)? {
            text if text.chars().count() > MESSAGE_CHARS_MAX => TOO_LONG.to_owned(),
            text => text,
        },
        _ => cut::to_chars(context.text(&config.message)?, MESSAGE_CHARS_MAX),
    };
    let mut parameters = BTreeMap::from([
        ("chat_id", chat_id(config)?),
        ("text", text),
        ("disable_web_page_preview", "true".to_owned()),
    ]);
    if config.disable_notifications {
        parameters.insert("disable_notification", "true".to_owned());
    }
    if !config.parse_mode.is_empty() {
        parameters.insert("parse_mode", config.parse_mode.clone());
    }
    if config.message_thread_id != 0 {
        parameters.insert("message_thread_id", config.message_thread_id.to_string());
    }
    let token = context.secret(&config.bot_token).map_err(Trouble::that_may_pass)?;
    let base = config.api_url.as_str().trim_end_matches('/');
    let request =
        Request::json("POST", format!("{base}/bot{token}/sendMessage"), go_json(&parameters));
    let answer = context.send(&config.http_config, request, Duration::ZERO)?;
    let (details, after) = details(&answer.body);
    check_status(answer.status, &details, answer.retry_after.or(after), &[])?;
    Ok(Done::status(answer.status))
}

fn chat_id(config: &TelegramConfig) -> Result<String, Trouble> {
    let Some(path) = &config.chat_id_file else { return Ok(config.chat_id.to_string()) };
    let failed = |why: String| Trouble::temporary(FailureKind::Other, why);
    let text = Secret::File(path.clone()).read().map_err(failed)?;
    match text.parse::<i64>() {
        Ok(id) => Ok(id.to_string()),
        Err(_) => Err(failed(format!("{} holds no chat id", path.display()))),
    }
}

/// What Telegram says is wrong, and the pause it asks for in its answer's body.
fn details(body: &str) -> (String, Option<Duration>) {
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        description: String,
        parameters: Option<Parameters>,
    }
    #[derive(Deserialize)]
    struct Parameters {
        retry_after: Option<u32>,
    }
    match serde_json::from_str::<Said>(body) {
        Ok(said) => {
            let seconds = said.parameters.and_then(|parameters| parameters.retry_after);
            (said.description, seconds.map(|s| Duration::from_secs(u64::from(s.min(3600)))))
        }
        Err(_) => (body.to_owned(), None),
    }
}
