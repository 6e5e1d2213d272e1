//! A web server of one's own: Alertmanager's JSON, version 4, or the user's.

use super::context::{Context, go_json};
use super::trouble::Trouble;
use super::{Done, post};
use crate::notify::config::WebhookConfig;
use crate::notify::deliver::FailureKind;

pub(super) fn tell(config: &WebhookConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let left_out = context.keep_alerts(config.max_alerts);
    let body = match &config.payload {
        Some(payload) => go_json(&context.structure(payload)?),
        None => message(context, "4", left_out)?,
    };
    let template = context.secret_url(&config.url)?;
    let url = context.setting("url", &template)?;
    context.secrets.add_url(&url);
    if url.is_empty() {
        let message = "the webhook's url is empty after its actions were carried out";
        return Err(Trouble::lasting(FailureKind::Other, message));
    }
    post(context, &config.http_config, url, body, config.timeout)
}

/// The notification as JSON, with the version of that format.
pub(super) fn message(
    context: &Context<'_>,
    version: &str,
    left_out: u64,
) -> Result<String, Trouble> {
    let data = context.data().dot().to_json();
    let mut text = data.map_err(|why| Trouble::lasting(FailureKind::Other, why))?;
    text.pop();
    let key = crate::template::Value::text(&*context.notification.group_key).to_json();
    let key = key.map_err(|why| Trouble::lasting(FailureKind::Other, why))?;
    text.push_str(&format!(
        ",\"version\":\"{version}\",\"groupKey\":{key},\"truncatedAlerts\":{left_out}}}\n"
    ));
    Ok(text)
}

/// As [`message`] with the first alert alone; what all alerts have in common stays.
pub(super) fn message_of_first(
    context: &Context<'_>,
    version: &str,
    left_out: u64,
) -> Result<String, Trouble> {
    let whole = message(context, version, left_out)?;
    let failed = |e: serde_json::Error| Trouble::lasting(FailureKind::Other, e.to_string());
    let mut value: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&whole).map_err(failed)?;
    if let Some(serde_json::Value::Array(alerts)) = value.get_mut("alerts") {
        alerts.truncate(1);
    }
    Ok(go_json(&value))
}
