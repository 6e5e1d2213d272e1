//! incident.io: the webhook's JSON as version 1, with a token.

use super::context::Context;
use super::trouble::{Trouble, check_status, excerpt};
use super::wire::Request;
use super::{Done, webhook};
use crate::notify::config::{HttpConfig, IncidentioConfig};

/// Largest body that incident.io takes, in bytes.
const BODY_BYTES_MAX: usize = 512 << 10;

pub(super) fn tell(config: &IncidentioConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let left_out = context.keep_alerts(config.max_alerts);
    let mut body = webhook::message(context, "1", left_out)?;
    if body.len() > BODY_BYTES_MAX {
        // One alert is enough for an incident; what all have in common stays that of all.
        body = webhook::message_of_first(context, "1", left_out)?;
    }
    let url = context.secret_url(&config.url)?;
    let mut http: HttpConfig = (*config.http_config).clone();
    if let Some(token) = &config.alert_source_token {
        http.authorization = Some(crate::notify::config::Authorization::bearer(token.clone()));
        (http.basic_auth, http.oauth2) = (None, None);
    }
    let answer = context.send(&http, Request::json("POST", url, body), config.timeout)?;
    let details = details(&answer.body);
    check_status(answer.status, &details, answer.retry_after, &[])?;
    Ok(Done::status(answer.status))
}

/// What an answer says is wrong.
fn details(body: &str) -> String {
    let Ok(answer) = serde_json::from_str::<serde_json::Value>(body) else {
        return excerpt(body);
    };
    let text = |name: &str| answer[name].as_str().map(str::to_owned);
    let errors = answer["errors"].as_array().map(|errors| {
        let errors: Vec<String> = errors
            .iter()
            .map(|e| e.as_str().map_or_else(|| e.to_string(), str::to_owned))
            .collect();
        errors.join(", ")
    });
    let parts = [text("message"), text("error"), errors.filter(|e| !e.is_empty())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
}
