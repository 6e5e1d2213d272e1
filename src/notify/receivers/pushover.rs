//! Pushover: everything in the query.

use std::collections::BTreeMap;
use std::time::Duration;

use super::context::Context;
use super::trouble::{Trouble, check_status};
use super::wire::Request;
use super::{Done, cut};
use crate::notify::config::PushoverConfig;

const URL: &str = "https://api.pushover.net/1/messages.json";
/// Longest title, message and URL in characters.
const TITLE_CHARS_MAX: usize = 250;
const MESSAGE_CHARS_MAX: usize = 1024;
const URL_CHARS_MAX: usize = 512;

pub(super) fn tell(config: &PushoverConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let mut keys = Vec::new();
    for secret in [&config.token, &config.user_key] {
        let template = context.secret(secret)?;
        let key = context.text(template.trim())?;
        context.secrets.add(&key);
        keys.push(key);
    }
    let text = |template: &str| context.text(template);
    let message = match config.html {
        true => context.html(&config.message)?,
        false => text(&config.message)?,
    };
    let message = cut::to_chars(message, MESSAGE_CHARS_MAX).trim().to_owned();
    let mut query = BTreeMap::from([
        ("token", keys[0].clone()),
        ("user", keys[1].clone()),
        ("title", cut::to_chars(text(&config.title)?, TITLE_CHARS_MAX)),
        // An empty one is refused.
        ("message", if message.is_empty() { "(no details)".to_owned() } else { message }),
        ("url", cut::to_chars(text(&config.url)?, URL_CHARS_MAX)),
        ("url_title", text(&config.url_title)?),
        ("priority", text(&config.priority)?),
        ("retry", config.retry.as_secs().to_string()),
        ("expire", config.expire.as_secs().to_string()),
        ("device", text(&config.device)?),
        ("sound", text(&config.sound)?),
    ]);
    for (name, is_set) in [("html", config.html), ("monospace", config.monospace)] {
        query.extend(is_set.then(|| (name, "1".to_owned())));
    }
    if config.ttl.as_secs() > 0 {
        query.insert("ttl", config.ttl.as_secs().to_string());
    }
    let pairs = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let request = Request {
        method: "POST",
        url: format!("{URL}?{pairs}"),
        headers: vec![("Content-Type".to_owned(), "text/plain".to_owned())],
        body: Some(String::new()),
    };
    let answer = context.send(&config.http_config, request, Duration::ZERO)?;
    check_status(answer.status, &answer.body, answer.retry_after, &[])?;
    Ok(Done::status(answer.status))
}
