//! WeChat Work: a token, then a message of an application.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Done;
use super::context::{Context, go_json};
use super::trouble::{Trouble, kind_of_status};
use super::wire::Request;
use crate::model::Timestamp;
use crate::notify::config::WechatConfig;
use crate::notify::deliver::FailureKind;

/// How long a token is used, in milliseconds; WeChat ends it after two hours.
const TOKEN_MS: i64 = 2 * 3600 * 1000;
/// What WeChat answers when it has ended a token.
const TOKEN_ENDED: i64 = 42001;
/// Most tokens kept: one for each pair of company and secret in use.
const TOKENS_MAX: usize = 1000;

/// Tokens by what they were got with. The lock is held for a look-up only.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<String, (String, Timestamp)>>);

impl Tokens {
    fn get(&self, key: &str, now: Timestamp) -> Option<String> {
        let tokens = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (token, since) = tokens.get(key)?;
        let age = now.as_millis().saturating_sub(since.as_millis());
        (0..TOKEN_MS).contains(&age).then(|| token.clone())
    }

    fn set(&self, key: &str, token: Option<(String, Timestamp)>) {
        let mut tokens = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if tokens.len() >= TOKENS_MAX {
            tokens.clear();
        }
        match token {
            Some(token) => tokens.insert(key.to_owned(), token),
            None => tokens.remove(key),
        };
    }
}

#[derive(Serialize)]
struct Message {
    text: Content,
    #[serde(skip_serializing_if = "String::is_empty")]
    touser: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    toparty: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    totag: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    agentid: String,
    safe: &'static str,
    msgtype: String,
    markdown: Content,
}

#[derive(Serialize, Default)]
struct Content {
    content: String,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    errcode: i64,
    #[serde(default)]
    errmsg: String,
    #[serde(default)]
    access_token: String,
}

pub(super) fn tell(
    config: &WechatConfig,
    context: &mut Context<'_>,
    tokens: &Tokens,
) -> Result<Done, Trouble> {
    let message = message(config, context)?;
    let secret = context.secret(&config.api_secret)?;
    let secret = context.text(&secret)?;
    context.secrets.add(&secret);
    let company = context.text(&config.corp_id)?;
    let key = format!("{}\n{company}\n{secret}", *config.api_url);
    let now = context.notification.now;
    let token = match tokens.get(&key, now) {
        Some(token) => token,
        None => {
            let token = fetch_token(config, context, &company, &secret)?;
            tokens.set(&key, Some((token.clone(), now)));
            token
        }
    };
    context.secrets.add(&token);
    let token = url::form_urlencoded::byte_serialize(token.as_bytes()).collect::<String>();
    let url = format!("{}message/send?access_token={token}", *config.api_url);
    let request = Request::json("POST", url, go_json(&message));
    let answer = context.send(&config.http_config, request, Duration::ZERO)?;
    if answer.status != 200 {
        let why = format!("unexpected status code {}", answer.status);
        let trouble = Trouble::temporary(kind_of_status(answer.status), why);
        return Err(Trouble { after: answer.retry_after, ..trouble });
    }
    let said: Said = serde_json::from_str(&answer.body)
        .map_err(|_| Trouble::temporary(FailureKind::Other, "WeChat's answer is no JSON"))?;
    match said.errcode {
        0 => Ok(Done::status(answer.status)),
        TOKEN_ENDED => {
            tokens.set(&key, None);
            Err(Trouble::temporary(FailureKind::Auth, said.errmsg))
        }
        _ => Err(Trouble::lasting(FailureKind::ClientError, said.errmsg)),
    }
}

fn message(config: &WechatConfig, context: &Context<'_>) -> Result<Message, Trouble> {
    let content = Content { content: context.text(&config.message)? };
    let (text, markdown) = match config.message_type == "markdown" {
        true => (Content::default(), content),
        false => (content, Content::default()),
    };
    Ok(Message {
        text,
        touser: context.text(&config.to_user)?,
        toparty: context.text(&config.to_party)?,
        totag: context.text(&config.to_tag)?,
        agentid: context.text(&config.agent_id)?,
        safe: "0",
        msgtype: config.message_type.clone(),
        markdown,
    })
}

fn fetch_token(
    config: &WechatConfig,
    context: &mut Context<'_>,
    company: &str,
    secret: &str,
) -> Result<String, Trouble> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("corpid", company).append_pair("corpsecret", secret);
    let url = format!("{}gettoken?{}", *config.api_url, query.finish());
    let answer = context.send(&config.http_config, Request::get(url), Duration::ZERO)?;
    let said = serde_json::from_str::<Said>(&answer.body).ok();
    match said.filter(|said| !said.access_token.is_empty()) {
        Some(said) => Ok(said.access_token),
        None if answer.status == 200 => {
            let why = format!("WeChat gives no token to company {company}");
            Err(Trouble::lasting(FailureKind::Auth, why))
        }
        None => {
            let why = format!("fetching a token: unexpected status code {}", answer.status);
            let trouble = Trouble::temporary(kind_of_status(answer.status), why);
            Err(Trouble { after: answer.retry_after, ..trouble })
        }
    }
}
