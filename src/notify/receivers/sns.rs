//! Amazon SNS: a message to a topic, a phone or a target, signed.

use std::time::Duration;

use super::Done;
use super::context::Context;
use super::trouble::{Trouble, check_status};
use super::wire::Request;
use crate::aws::{Keys, between, form_request, role_keys};
use crate::notify::config::SnsConfig;
use crate::notify::deliver::FailureKind;

/// Longest message in bytes, and that to a phone.
const MESSAGE_BYTES_MAX: usize = 256 << 10;
const PHONE_BYTES_MAX: usize = 1600;

/// The parameters of a form.
type Form = Vec<(String, String)>;

pub(super) fn tell(config: &SnsConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    // Alertmanager tries everything again here, what templates are in the way of, too.
    let failed = |trouble: Trouble| trouble.of_kind(FailureKind::ClientError).that_may_pass();
    let form = publish(config, context).map_err(failed)?;
    let environment = |name: &str| std::env::var(name).ok();
    // What stands in the profile may be set right meanwhile.
    let temporary = |kind| move |why: String| Trouble::temporary(kind, why);
    let region = config.sigv4.region(&environment).map_err(temporary(FailureKind::Other))?;
    let mut url = context.setting("api_url", &config.api_url).map_err(failed)?;
    if url.is_empty() {
        url = format!("https://sns.{region}.amazonaws.com/");
    }
    let mut keys = config.sigv4.keys(&environment).map_err(temporary(FailureKind::Auth))?;
    keys.secrets().for_each(|key| context.secrets.add(key));
    if !config.sigv4.role_arn.is_empty() {
        keys = assume_role(config, context, &region, &keys)?;
    }
    let service = match config.sigv4.service_name.as_str() {
        "" => "sns",
        name => name,
    };
    let body = call(config, context, &url, (&region, service), &keys, form)?;
    let id = between(&body, "<MessageId>", "</MessageId>").unwrap_or_default();
    Ok(Done::note(format!("message {id}")))
}

fn publish(config: &SnsConfig, context: &Context<'_>) -> Result<Form, Trouble> {
    let mut form: Form = Vec::new();
    let mut add = |name: &str, value: String| form.push((name.to_owned(), value));
    add("Action", "Publish".to_owned());
    add("Version", "2010-03-31".to_owned());
    let mut bytes_max = MESSAGE_BYTES_MAX;
    if !config.topic_arn.is_empty() {
        let topic = context.setting("topic_arn", &config.topic_arn)?;
        if topic.ends_with(".fifo") {
            add("MessageDeduplicationId", context.key_hash());
            add("MessageGroupId", context.key_hash());
        }
        add("TopicArn", topic);
    }
    if !config.phone_number.is_empty() {
        add("PhoneNumber", context.setting("phone_number", &config.phone_number)?);
        bytes_max = PHONE_BYTES_MAX;
    }
    if !config.target_arn.is_empty() {
        add("TargetArn", context.setting("target_arn", &config.target_arn)?);
    }
    let mut message = context.setting("message", &config.message)?;
    let mut attributes = Vec::new();
    for (name, value) in &config.attributes {
        let name = context.setting("attributes", name)?;
        attributes.push((name, context.setting("attributes", value)?));
    }
    if message.len() > bytes_max {
        let mut end = bytes_max;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        attributes.retain(|(name, _)| name != "truncated");
        attributes.push(("truncated".to_owned(), "true".to_owned()));
    }
    add("Message", message);
    if !config.subject.is_empty() {
        add("Subject", context.setting("subject", &config.subject)?);
    }
    for (i, (name, value)) in attributes.into_iter().enumerate() {
        let entry = format!("MessageAttributes.entry.{}", i + 1);
        add(&format!("{entry}.Name"), name);
        add(&format!("{entry}.Value.DataType"), "String".to_owned());
        add(&format!("{entry}.Value.StringValue"), value);
    }
    Ok(form)
}

/// Temporary keys of a role.
fn assume_role(
    config: &SnsConfig,
    context: &mut Context<'_>,
    region: &str,
    keys: &Keys,
) -> Result<Keys, Trouble> {
    let request = config.sigv4.role_request(region, keys, context.notification.now);
    let body = send(config, context, request)
        .map_err(|trouble| trouble.while_doing("assuming the role").not_delivered())?;
    let keys = role_keys(&body).ok_or_else(|| {
        let why = "assuming the role: the answer holds no keys";
        Trouble::lasting(FailureKind::Auth, why)
    })?;
    keys.secrets().for_each(|key| context.secrets.add(key));
    Ok(keys)
}

/// Sends a signed form; the body of the answer.
fn call(
    config: &SnsConfig,
    context: &mut Context<'_>,
    url: &str,
    scope: (&str, &str),
    keys: &Keys,
    form: Form,
) -> Result<String, Trouble> {
    let bad = |why: String| Trouble::lasting(FailureKind::Other, why);
    let parsed = url::Url::parse(url).map_err(|e| bad(format!("api_url {url:?}: {e}")))?;
    let host = parsed.host_str().ok_or_else(|| bad(format!("api_url {url:?} has no host")))?;
    let host = match parsed.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let (place, now) = ((host.as_str(), parsed.path()), context.notification.now);
    send(config, context, form_request(parsed.as_str(), place, body, scope, keys, now))
}

fn send(
    config: &SnsConfig,
    context: &mut Context<'_>,
    request: Request,
) -> Result<String, Trouble> {
    let answer = context.send(&config.http_config, request, Duration::ZERO)?;
    let why = between(&answer.body, "<Message>", "</Message>");
    let is_throttled = answer.body.contains("<Code>Throttl");
    let checked = check_status(
        answer.status,
        why.as_deref().unwrap_or(&answer.body),
        answer.retry_after,
        if is_throttled { &[400] } else { &[] },
    );
    checked.map(|()| answer.body)
}
