//! Amazon SNS: a message to a topic, a phone or a target, signed.

use std::time::Duration;

use super::Done;
use super::context::Context;
use super::sigv4::{Keys, Signed, headers};
use super::trouble::{Trouble, check_status};
use super::wire::Request;
use crate::model::Timestamp;
use crate::notify::config::{Sigv4, SnsConfig};
use crate::notify::deliver::FailureKind;

/// Longest message in bytes, and that to a phone.
const MESSAGE_BYTES_MAX: usize = 256 << 10;
const PHONE_BYTES_MAX: usize = 1600;

/// The parameters of a form.
type Form = Vec<(String, String)>;

pub(super) fn tell(config: &SnsConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let form = publish(config, context)?;
    let region = region(&config.sigv4)?;
    let mut url = context.setting("api_url", &config.api_url)?;
    if url.is_empty() {
        url = format!("https://sns.{region}.amazonaws.com/");
    }
    let mut keys = keys(&config.sigv4, context)?;
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

fn region(sigv4: &Sigv4) -> Result<String, Trouble> {
    let from_environment =
        || ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| std::env::var(name).ok());
    let own = Some(sigv4.region.clone()).filter(|region| !region.is_empty());
    let is_name = |region: &String| region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    own.or_else(from_environment).filter(is_name).ok_or_else(|| {
        Trouble::lasting(FailureKind::Other, "sigv4.region is not set, nor is AWS_REGION")
    })
}

/// The keys of the configuration, or those of the environment.
fn keys(sigv4: &Sigv4, context: &mut Context<'_>) -> Result<Keys, Trouble> {
    if let (Some(access), Some(secret)) = (&sigv4.access_key, &sigv4.secret_key) {
        let access = context.secret(access)?;
        return Ok(Keys { access, secret: context.secret(secret)?, session: None });
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (access, secret) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"));
    let (Some(access), Some(secret)) = (access, secret) else {
        let why = "no keys to sign with: set sigv4.access_key and secret_key, or \
                   AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        return Err(Trouble::lasting(FailureKind::Auth, why));
    };
    let session = variable("AWS_SESSION_TOKEN");
    [Some(&access), Some(&secret), session.as_ref()]
        .into_iter()
        .flatten()
        .for_each(|key| context.secrets.add(key));
    Ok(Keys { access, secret, session })
}

/// Temporary keys of a role.
fn assume_role(
    config: &SnsConfig,
    context: &mut Context<'_>,
    region: &str,
    keys: &Keys,
) -> Result<Keys, Trouble> {
    let sigv4 = &config.sigv4;
    let mut form: Form = [
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", &sigv4.role_arn),
        ("RoleSessionName", "tidewatch"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    if !sigv4.external_id.is_empty() {
        form.push(("ExternalId".to_owned(), sigv4.external_id.clone()));
    }
    let fips = if sigv4.use_fips_sts_endpoint { "-fips" } else { "" };
    let url = format!("https://sts{fips}.{region}.amazonaws.com/");
    let body = call(config, context, &url, (region, "sts"), keys, form)
        .map_err(|trouble| trouble.while_doing("assuming the role"))?;
    let part = |name: &str| between(&body, &format!("<{name}>"), &format!("</{name}>"));
    let (access, secret) = (part("AccessKeyId"), part("SecretAccessKey"));
    let (Some(access), Some(secret)) = (access, secret) else {
        let why = "assuming the role: the answer holds no keys";
        return Err(Trouble::lasting(FailureKind::Auth, why));
    };
    let session = part("SessionToken");
    [Some(&access), Some(&secret), session.as_ref()]
        .into_iter()
        .flatten()
        .for_each(|key| context.secrets.add(key));
    Ok(Keys { access, secret, session })
}

/// Sends a signed form; the body of the answer.
fn call(
    config: &SnsConfig,
    context: &mut Context<'_>,
    url: &str,
    (region, service): (&str, &str),
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
    let time = amazon_time(context.notification.now);
    let path = parsed.path();
    let signed = Signed { host: &host, path, body: &body, region, service, time: &time };
    let request = Request {
        method: "POST",
        url: parsed.to_string(),
        headers: headers(&signed, keys),
        body: Some(body),
    };
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

/// `20261121T100000Z`
fn amazon_time(at: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn between(text: &str, start: &str, end: &str) -> Option<String> {
    let (_, behind) = text.split_once(start)?;
    Some(behind.split_once(end)?.0.to_owned())
}
