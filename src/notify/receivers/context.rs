//! What the code of every receiver works with: the notification, its templates, a wire, secrets.
//!
//! In: a [`Notification`]. Out: expanded texts and answers. Never here: what one kind of receiver
//! wants.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use ring::digest;
use serde::Serialize;

use super::trouble::Trouble;
use super::wire::{Answer, Request, Secrets, USER_AGENT, Wire};
use crate::model::Timestamp;
use crate::notify::config::{HttpConfig, Secret};
use crate::notify::deliver::{FailureKind, Notification, NotifiedAlert};
use crate::template::{AlertData, Escaping, Host, NotificationData, Run, TemplateSet, Value};

/// How deeply route labels may refer to each other.
const ROUTE_LABEL_DEPTH_MAX: usize = 8;

/// One delivery under way.
pub struct Context<'a> {
    /// What is to be told.
    pub notification: &'a Notification,
    /// Texts that nobody is to see.
    pub secrets: Secrets,
    templates: &'a TemplateSet,
    data: NotificationData,
    dot: Value,
    wire: &'a mut dyn Wire,
}

/// What templates are lent.
struct Lent<'a> {
    now: Timestamp,
    route_labels: &'a BTreeMap<String, String>,
}

impl Host for Lent<'_> {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn route_label(&self, name: &str) -> Result<String, String> {
        Ok(self.route_labels.get(name).cloned().unwrap_or_default())
    }
}

impl<'a> Context<'a> {
    /// Prepares a delivery.
    pub fn new(
        templates: &'a TemplateSet,
        notification: &'a Notification,
        external_url: &str,
        wire: &'a mut dyn Wire,
    ) -> Context<'a> {
        let mut data = NotificationData {
            receiver: quote_meta(&notification.receiver.name),
            alerts: notification.alerts.iter().map(alert_data).collect(),
            reason: notification.reason.as_str().to_owned(),
            group_labels: pairs(notification.group_labels.iter()),
            route_labels: notification.route_labels.as_ref().clone(),
            external_url: external_url.trim_end_matches('/').to_owned(),
        };
        data.route_labels = rendered_route_labels(templates, &data, notification.now);
        let dot = data.dot();
        Context { notification, secrets: Secrets::default(), templates, data, dot, wire }
    }

    /// A text with its actions carried out.
    ///
    /// # Errors
    /// It is no template, or it cannot be carried out.
    pub fn text(&self, template: &str) -> Result<String, Trouble> {
        self.expand(template, Escaping::Text)
    }

    /// A text with its actions carried out, values escaped for HTML.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn html(&self, template: &str) -> Result<String, Trouble> {
        self.expand(template, Escaping::Html)
    }

    fn expand(&self, template: &str, escaping: Escaping) -> Result<String, Trouble> {
        let lent = Lent { now: self.notification.now, route_labels: &self.data.route_labels };
        let run = Run { data: &self.dot, variables: &[], host: &lent, escaping };
        Ok(self.templates.expand("", template, &run)?)
    }

    /// As [`Self::text`], said of one setting.
    ///
    /// # Errors
    /// As [`Self::text`], the setting named.
    pub fn setting(&self, name: &str, template: &str) -> Result<String, Trouble> {
        self.text(template).map_err(|trouble| trouble.while_doing(name))
    }

    /// Texts within JSON with their actions carried out; what then reads as another YAML value than
    /// a text becomes that value. Names are templates, too.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn structure(&self, value: &serde_json::Value) -> Result<serde_json::Value, Trouble> {
        use serde_json::Value as Json;
        Ok(match value {
            Json::String(template) => {
                let text = self.text(template)?;
                if text.trim().is_empty() {
                    return Ok(Json::Null);
                }
                match serde_saphyr::from_str::<Json>(&text) {
                    Ok(Json::String(_)) | Err(_) => Json::String(text),
                    Ok(other) => other,
                }
            }
            Json::Array(items) => Json::Array(
                items.iter().map(|item| self.structure(item)).collect::<Result<_, _>>()?,
            ),
            Json::Object(map) => {
                let pair = |(name, value): (&String, _)| -> Result<_, Trouble> {
                    Ok((self.text(name)?, self.structure(value)?))
                };
                Json::Object(map.iter().map(pair).collect::<Result<_, _>>()?)
            }
            other => other.clone(),
        })
    }

    /// The notification as templates see it.
    pub fn data(&self) -> &NotificationData {
        &self.data
    }

    /// Keeps the first `max` alerts, all if 0; how many alerts of the group are left out, those that
    /// no message lists among them.
    pub fn keep_alerts(&mut self, max: u64) -> u64 {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let mut left_out = self.notification.unlisted;
        if max != 0 && self.data.alerts.len() > max {
            left_out += self.data.alerts.len() - max;
            self.data.alerts.truncate(max);
            self.dot = self.data.dot();
        }
        u64::try_from(left_out).unwrap_or(u64::MAX)
    }

    /// Whether any alert fires.
    pub fn is_firing(&self) -> bool {
        self.notification.is_firing()
    }

    /// The name of the group as receivers know it: always the same for the same group.
    pub fn key_hash(&self) -> String {
        hex(digest::digest(&digest::SHA256, self.notification.group_key.as_bytes()).as_ref())
    }

    /// Reads a secret and remembers to mask it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn secret(&mut self, secret: &Secret) -> Result<String, Trouble> {
        self.secrets.read(secret)
    }

    /// Reads a URL that lets its holder in, and remembers to mask what follows the host.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn secret_url(&mut self, secret: &Secret) -> Result<String, Trouble> {
        let url = secret.read().map_err(|why| Trouble::lasting(FailureKind::Other, why))?;
        self.secrets.add_url(&url);
        Ok(url)
    }

    /// Sends a request. What is said of the answer may hold secrets until [`Self::masked`].
    ///
    /// # Errors
    /// No answer came.
    pub fn send(
        &mut self,
        http: &HttpConfig,
        request: Request,
        timeout: Duration,
    ) -> Result<Answer, Trouble> {
        // Secrets that cannot be read end the delivery when they are needed.
        let own = http.secrets().into_iter().filter_map(|secret| secret.read().ok());
        own.chain(http.basic().ok().flatten()).for_each(|text| self.secrets.add(&text));
        if let Some(proxy) = http.proxy_url.as_ref().and_then(|url| url.read().ok()) {
            self.secrets.add_login(&proxy);
        }
        let request = request.header("User-Agent", USER_AGENT);
        let timeout = (!timeout.is_zero()).then_some(timeout);
        self.wire.send(http, request, timeout)
    }

    /// Hands a mail to the mail server; what that said.
    ///
    /// # Errors
    /// It did not take it.
    pub fn mail(
        &mut self,
        config: &crate::notify::config::EmailConfig,
        mail: super::mail::Mail,
    ) -> Result<String, Trouble> {
        for secret in [&config.auth_password, &config.auth_secret].into_iter().flatten() {
            if let Ok(text) = secret.read() {
                self.secrets.add(&text);
                self.secrets.add(&BASE64_STANDARD.encode(&text));
            }
        }
        self.wire.mail(config, mail)
    }

    /// A trouble without secrets.
    pub fn masked(&self, mut trouble: Trouble) -> Trouble {
        trouble.failure.message = self.secrets.mask(&trouble.failure.message);
        trouble
    }
}

fn alert_data(alert: &NotifiedAlert) -> AlertData {
    AlertData {
        is_resolved: !alert.is_firing(),
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        starts_at: alert.starts_at,
        ends_at: alert.resolved_at,
        generator_url: (*alert.generator_url).into(),
        fingerprint: alert.fingerprint.to_string().into(),
    }
}

fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A name with what has a meaning in regular expressions escaped, as Go's `QuoteMeta`.
fn quote_meta(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len());
    for c in name.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

/// Looks a route label up and carries out its actions, which may look up others.
struct Renderer<'a> {
    templates: &'a TemplateSet,
    raw: &'a BTreeMap<String, String>,
    dot: &'a Value,
    now: Timestamp,
    under_way: RefCell<Vec<String>>,
}

impl Host for Renderer<'_> {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn route_label(&self, name: &str) -> Result<String, String> {
        let Some(text) = self.raw.get(name) else { return Ok(String::new()) };
        {
            let mut under_way = self.under_way.borrow_mut();
            let is_cycle = under_way.iter().any(|other| other == name);
            under_way.push(name.to_owned());
            if is_cycle || under_way.len() > ROUTE_LABEL_DEPTH_MAX {
                return Err(format!("route label cycle detected: {}", under_way.join(" -> ")));
            }
        }
        let run = Run { data: self.dot, variables: &[], host: self, escaping: Escaping::Text };
        let result = self.templates.expand("", text, &run);
        self.under_way.borrow_mut().pop();
        result.map_err(|error| error.to_string())
    }
}

/// The labels of the route with their actions carried out; one that fails stays as it is written.
fn rendered_route_labels(
    templates: &TemplateSet,
    data: &NotificationData,
    now: Timestamp,
) -> BTreeMap<String, String> {
    if data.route_labels.is_empty() {
        return BTreeMap::new();
    }
    let dot = data.dot();
    let mut rendered = BTreeMap::new();
    for (name, text) in &data.route_labels {
        let under_way = RefCell::default();
        let renderer = Renderer { templates, raw: &data.route_labels, dot: &dot, now, under_way };
        let value = renderer.route_label(name).unwrap_or_else(|_| text.clone());
        rendered.insert(name.clone(), value);
    }
    rendered
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON as Go's encoder writes it: `<`, `>` and `&` escaped, a newline at the end.
pub fn go_json(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("BUG: payloads are JSON");
    let mut escaped = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => escaped.push(c),
        }
    }
    escaped.push('\n');
    escaped
}
