//! Mail: what it says, to whom. The rest is [`super::mail`] and [`super::smtp`].

use std::collections::BTreeMap;

use ring::rand::{SecureRandom, SystemRandom};

use super::Done;
use super::context::{Context, hex};
use super::mail::{self, Mail, Part};
use super::trouble::Trouble;
use crate::notify::config::{EmailConfig, ThreadBy};
use crate::notify::deliver::FailureKind;

pub(super) fn tell(config: &EmailConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let mail = write(config, context)?;
    let said = context.mail(config, mail)?;
    Ok(Done::note(said))
}

fn write(config: &EmailConfig, context: &Context<'_>) -> Result<Mail, Trouble> {
    let bad = |name: &str, why: String| {
        Trouble::lasting(FailureKind::Other, format!("{name} of the mail: {why}"))
    };
    let from = context.setting("from", &config.from)?;
    let senders = mail::addresses(&from).map_err(|why| bad("from", why))?;
    let [sender] = senders.as_slice() else {
        return Err(bad("from", format!("there must be one address, not {}", senders.len())));
    };
    let to = mail::addresses(&context.setting("to", &config.to)?).map_err(|e| bad("to", e))?;
    let headers = headers(config, context, sender)?;
    let plain = match config.text.as_str() {
        "" => None,
        text => Some(context.setting("text", text)?),
    };
    let html = match config.html.as_str() {
        "" => None,
        html => Some(context.html(html).map_err(|trouble| trouble.while_doing("html"))?),
    };
    let kinds = [("text/plain", &plain), ("text/html", &html)];
    let parts: Vec<Part<'_>> = kinds
        .into_iter()
        .filter_map(|(content_type, text)| Some(Part { content_type, text: text.as_ref()? }))
        .collect();
    let date = jiff::Timestamp::from_millisecond(context.notification.now.as_millis());
    let date = date.unwrap_or_default().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
    let text = mail::multipart(&headers, &date, &random()?, &parts);
    Ok(Mail { from: sender.clone(), to, text })
}

/// The configured headers, and those that a mail has to have.
fn headers(
    config: &EmailConfig,
    context: &Context<'_>,
    sender: &str,
) -> Result<Vec<(String, String)>, Trouble> {
    let mut templates: BTreeMap<&str, &str> = BTreeMap::from([
        ("From", config.from.as_str()),
        ("Subject", r#"{{ template "email.default.subject" . }}"#),
        ("To", config.to.as_str()),
    ]);
    for (name, value) in &config.headers {
        templates.insert(name, value);
    }
    let mut headers = Vec::new();
    for (name, template) in templates {
        headers.push((name.to_owned(), context.setting(name, template)?));
    }
    if !config.headers.contains_key("Message-Id") {
        let domain = sender.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
        let now = context.notification.now.as_millis();
        headers.push(("Message-Id".to_owned(), format!("<{now}.{}@{domain}>", random()?)));
    }
    if config.threading.enabled {
        let root = thread_root(config, context);
        headers.push(("References".to_owned(), root.clone()));
        headers.push(("In-Reply-To".to_owned(), root));
    }
    Ok(headers)
}

/// The id of a mail that does not exist and that all mails of the thread answer.
fn thread_root(config: &EmailConfig, context: &Context<'_>) -> String {
    let day = match config.threading.thread_by_date {
        Some(ThreadBy::Daily) => {
            let now = jiff::Timestamp::from_millisecond(context.notification.now.as_millis());
            now.unwrap_or_default().strftime("%Y-%m-%d").to_string()
        }
        Some(ThreadBy::None) | None => String::new(),
    };
    format!("<alert-{}-{day}@alertmanager>", &context.key_hash()[..16])
}

fn random() -> Result<String, Trouble> {
    let mut bytes = [0; 15];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Trouble::temporary(FailureKind::Other, "no random numbers can be had"))?;
    Ok(hex(&bytes))
}
