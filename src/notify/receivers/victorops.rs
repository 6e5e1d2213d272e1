//! VictorOps (Splunk On-Call): an incident a group.

use std::collections::BTreeMap;
use std::time::Duration;

use super::context::{Context, go_json};
use super::trouble::Trouble;
use super::{Done, cut, post};
use crate::notify::config::VictoropsConfig;
use crate::url_text;

/// Longest message in characters.
const MESSAGE_CHARS_MAX: usize = 20_480;

pub(super) fn tell(config: &VictoropsConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let key = context.secret(&config.api_key)?;
    let routing_key = context.setting("routing_key", &config.routing_key)?;
    let (key, routing_key) = (url_text::path(&key), url_text::path(&routing_key));
    let url = format!("{}{key}/{routing_key}", *config.api_url);
    // As with Alertmanager what is wrong with these is tried again, with the routing key it is not.
    let text = |name: &str, template: &str| {
        context.setting(name, template).map_err(Trouble::that_may_pass)
    };
    let kind = match (context.is_firing(), text("message_type", &config.message_type)?) {
        (false, _) => "RECOVERY".to_owned(),
        (true, kind) if matches!(kind.as_str(), "INFO" | "WARNING" | "CRITICAL") => kind,
        (true, _) => "CRITICAL".to_owned(),
    };
    let state = cut::to_chars(text("state_message", &config.state_message)?, MESSAGE_CHARS_MAX);
    let name = text("entity_display_name", &config.entity_display_name)?;
    let mut message = BTreeMap::from([
        ("message_type".to_owned(), kind),
        ("entity_id".to_owned(), context.key_hash()),
        ("entity_display_name".to_owned(), name),
        ("state_message".to_owned(), state),
        ("monitoring_tool".to_owned(), text("monitoring_tool", &config.monitoring_tool)?),
    ]);
    for (name, template) in &config.custom_fields {
        message.insert(name.clone(), text(name, template)?);
    }
    post(context, &config.http_config, url, go_json(&message), Duration::ZERO)
}
