//! Opsgenie: an alert a group, closed when all of its alerts are resolved.

use std::collections::BTreeMap;

use serde::Serialize;

use super::context::{Context, go_json};
use super::trouble::{Trouble, check_status};
use super::wire::Request;
use super::{Done, cut};
use crate::notify::config::OpsGenieConfig;

/// Longest message in characters.
const MESSAGE_CHARS_MAX: usize = 130;

#[derive(Serialize)]
struct Create {
    alias: String,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    details: BTreeMap<String, String>,
    source: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    responders: Vec<Responder>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    priority: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    entity: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<String>,
}

#[derive(Serialize, Default)]
struct Responder {
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize)]
struct Close {
    source: String,
}

#[derive(Serialize)]
struct NewMessage<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
}

#[derive(Serialize)]
struct NewDescription<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
}

pub(super) fn tell(config: &OpsGenieConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let requests = requests(config, context)?;
    let key = context.secret(&config.api_key)?;
    let key = context.text(&key)?;
    context.secrets.add(&key);
    let mut done = Done::default();
    for request in requests {
        let request = request.header("Authorization", format!("GenieKey {key}"));
        let answer = context.send(&config.http_config, request, std::time::Duration::ZERO)?;
        check_status(answer.status, &answer.body, answer.retry_after, &[])?;
        done = Done::status(answer.status);
    }
    Ok(done)
}

fn requests(config: &OpsGenieConfig, context: &Context<'_>) -> Result<Vec<Request>, Trouble> {
    let alias = context.key_hash();
    let url = config.api_url.as_str();
    let of_alert = |what: &str| format!("{url}v2/alerts/{alias}/{what}?identifierType=alias");
    if !context.is_firing() {
        let close = Close { source: context.text(&config.source)? };
        return Ok(vec![Request::json("POST", of_alert("close"), go_json(&close))]);
    }
    let create = create(config, context, alias.clone())?;
    let mut all = vec![Request::json("POST", format!("{url}v2/alerts"), go_json(&create))];
    if config.update_alerts {
        let message = NewMessage { message: &create.message };
        all.push(Request::json("PUT", of_alert("message"), go_json(&message)));
        let description = NewDescription { description: &create.description };
        all.push(Request::json("PUT", of_alert("description"), go_json(&description)));
    }
    Ok(all)
}

fn create(
    config: &OpsGenieConfig,
    context: &Context<'_>,
    alias: String,
) -> Result<Create, Trouble> {
    let text = |template: &str| context.text(template);
    let mut details = context.data().common_labels();
    for (name, value) in &config.details {
        details.insert(name.clone(), text(value)?);
    }
    Ok(Create {
        alias,
        message: cut::to_chars(text(&config.message)?, MESSAGE_CHARS_MAX),
        description: text(&config.description)?,
        details,
        source: text(&config.source)?,
        responders: responders(config, context)?,
        tags: split(&text(&config.tags)?),
        note: text(&config.note)?,
        priority: text(&config.priority)?,
        entity: text(&config.entity)?,
        actions: split(&text(&config.actions)?),
    })
}

fn responders(config: &OpsGenieConfig, context: &Context<'_>) -> Result<Vec<Responder>, Trouble> {
    let text = |template: &str| context.text(template);
    let mut all = Vec::new();
    for responder in &config.responders {
        let responder = Responder {
            id: text(&responder.id)?,
            name: text(&responder.name)?,
            username: text(&responder.username)?,
            kind: text(&responder.kind)?,
        };
        let Responder { id, name, username, kind } = &responder;
        if [id, name, username, kind].iter().all(|part| part.is_empty()) {
            continue;
        }
        if kind == "teams" {
            let team = |name| Responder { name, kind: "team".to_owned(), ..Responder::default() };
            all.extend(split(name).into_iter().map(team));
            continue;
        }
        all.push(responder);
    }
    Ok(all)
}

/// The parts between commas that are not empty.
fn split(list: &str) -> Vec<String> {
    list.trim().split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
