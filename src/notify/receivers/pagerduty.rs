//! PagerDuty: events of API version 1 or 2. The event resolves when all alerts of the group have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::context::{Context, go_json};
use super::trouble::{Trouble, check_status};
use super::wire::Request;
use super::{Done, cut};
use crate::notify::config::{PagerdutyConfig, PagerdutyKey};
use crate::notify::deliver::FailureKind;

/// Where events of version 1 go.
const V1_URL: &str = "https://events.pagerduty.com/generic/2010-04-15/create_event.json";
/// Largest event that PagerDuty takes, in bytes.
const EVENT_BYTES_MAX: usize = 512_000;
/// Longest description and summary in characters.
const DESCRIPTION_CHARS_MAX: usize = 1024;

#[derive(Serialize, Default)]
struct Event {
    #[serde(skip_serializing_if = "String::is_empty")]
    routing_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    service_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dedup_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    incident_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    event_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    event_action: String,
    payload: Option<Payload>,
    #[serde(skip_serializing_if = "String::is_empty")]
    client: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    client_url: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<String, Json>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Image>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
}

#[derive(Serialize)]
struct Payload {
    summary: String,
    source: String,
    severity: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    class: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    component: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    custom_details: BTreeMap<String, Json>,
}

#[derive(Serialize)]
struct Image {
    src: String,
    alt: String,
    href: String,
}

#[derive(Serialize)]
struct Link {
    href: String,
    text: String,
}

pub(super) fn tell(config: &PagerdutyConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let details = |(name, value): (&String, &Json)| -> Result<(String, Json), Trouble> {
        Ok((name.clone(), context.structure(value)?))
    };
    let details: BTreeMap<String, Json> =
        config.details.iter().map(details).collect::<Result<_, _>>()?;
    let action = if context.is_firing() { "trigger" } else { "resolve" };
    let (event, url, further) = match &*config.key {
        PagerdutyKey::Service(key) => {
            let key = context.secret(key)?;
            // Too many requests are refused with 403 there.
            (v1(config, context, &key, action, details)?, V1_URL, &[403][..])
        }
        PagerdutyKey::Routing(key) => {
            let key = context.secret(key)?;
            (v2(config, context, &key, action, details)?, config.url.as_str(), &[][..])
        }
    };
    context.secrets.add(&event.service_key);
    context.secrets.add(&event.routing_key);
    let request = Request::json("POST", url, encode(event));
    let answer = context.send(&config.http_config, request, config.timeout)?;
    let details = if answer.status == 400 { details_of(&answer.body) } else { String::new() };
    check_status(answer.status, &details, answer.retry_after, further)?;
    Ok(Done::status(answer.status))
}

fn empty(what: &str) -> Trouble {
    Trouble::lasting(FailureKind::Other, format!("the {what} is empty"))
}

fn v1(
    config: &PagerdutyConfig,
    context: &Context<'_>,
    key: &str,
    action: &str,
    details: BTreeMap<String, Json>,
) -> Result<Event, Trouble> {
    let text = |template: &str| context.text(template);
    let description = cut::to_chars(text(&config.description)?, DESCRIPTION_CHARS_MAX);
    let mut event = Event {
        service_key: text(key)?,
        incident_key: context.key_hash(),
        event_type: action.to_owned(),
        description,
        details,
        ..Event::default()
    };
    if action == "trigger" {
        event.client = text(&config.client)?;
        event.client_url = text(&config.client_url)?;
    }
    if event.service_key.is_empty() { Err(empty("service key")) } else { Ok(event) }
}

fn v2(
    config: &PagerdutyConfig,
    context: &Context<'_>,
    key: &str,
    action: &str,
    details: BTreeMap<String, Json>,
) -> Result<Event, Trouble> {
    let text = |template: &str| context.text(template);
    let severity = if config.severity.is_empty() { "error" } else { &config.severity };
    let mut event = Event {
        routing_key: text(key)?,
        dedup_key: context.key_hash(),
        event_action: action.to_owned(),
        payload: Some(Payload {
            summary: cut::to_chars(text(&config.description)?, DESCRIPTION_CHARS_MAX),
            source: text(&config.source)?,
            severity: text(severity)?,
            class: text(&config.class)?,
            component: text(&config.component)?,
            group: text(&config.group)?,
            custom_details: details,
        }),
        client: text(&config.client)?,
        client_url: text(&config.client_url)?,
        ..Event::default()
    };
    for image in &config.images {
        let image =
            Image { src: text(&image.src)?, alt: text(&image.alt)?, href: text(&image.href)? };
        event.images.extend((!image.src.is_empty()).then_some(image));
    }
    for link in &config.links {
        let link = Link { href: text(&link.href)?, text: text(&link.text)? };
        event.links.extend((!link.href.is_empty()).then_some(link));
    }
    if event.routing_key.is_empty() { Err(empty("routing key")) } else { Ok(event) }
}

/// The event as JSON, without details if it is too large with them.
fn encode(mut event: Event) -> String {
    let text = go_json(&event);
    if text.len() <= EVENT_BYTES_MAX {
        return text;
    }
    let why = "Custom details have been removed because the original event exceeds the maximum \
               size of 512KB";
    let details = BTreeMap::from([("error".to_owned(), Json::from(why))]);
    match &mut event.payload {
        Some(payload) => payload.custom_details = details,
        None => event.details = details,
    }
    go_json(&event)
}

/// What PagerDuty says is wrong with an event.
fn details_of(body: &str) -> String {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Said {
        message: String,
        errors: Vec<String>,
    }
    match serde_json::from_str::<Said>(body) {
        Ok(said) => format!("{}: {}", said.message, said.errors.join(",")),
        Err(_) => String::new(),
    }
}
