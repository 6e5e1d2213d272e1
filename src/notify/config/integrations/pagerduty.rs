//! `pagerduty_configs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::super::inherit::one_optional_secret;
use super::super::receiver::Complete;
use super::super::{Global, HttpConfig, Inherited, Secret, WebUrl, go_duration};
use super::complete_http;

const DEFAULT_DETAILS: [(&str, &str); 4] = [
    ("firing", "{{ .Alerts.Firing | toJson }}"),
    ("resolved", "{{ .Alerts.Resolved | toJson }}"),
    ("num_firing", "{{ .Alerts.Firing | len }}"),
    ("num_resolved", "{{ .Alerts.Resolved | len }}"),
];

/// PagerDuty, through either of its two APIs.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct PagerdutyConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached.
    pub http_config: Inherited<HttpConfig>,
    service_key: Option<Secret>,
    service_key_file: Option<PathBuf>,
    service_key_env: Option<String>,
    routing_key: Option<Secret>,
    routing_key_file: Option<PathBuf>,
    routing_key_env: Option<String>,
    /// The key, which says which API is used.
    #[serde(skip)]
    pub key: Inherited<PagerdutyKey>,
    /// Where API version 2 is reached.
    pub url: Inherited<WebUrl>,
    /// Who sends.
    pub client: String,
    /// Where to find who sends.
    pub client_url: String,
    /// What happened.
    pub description: String,
    /// Further details by name, the four default ones included; texts within are templates.
    pub details: BTreeMap<String, Value>,
    /// Pictures.
    pub images: Vec<PagerdutyImage>,
    /// Links.
    pub links: Vec<PagerdutyLink>,
    /// What is affected; the client when not given.
    pub source: String,
    /// `critical`, `error`, `warning` or `info`; a template.
    pub severity: String,
    /// Class of the event.
    pub class: String,
    /// Part that is affected.
    pub component: String,
    /// Group of parts.
    pub group: String,
    /// How long one request may take; 0 for no limit of its own.
    #[serde(deserialize_with = "go_duration::deserialize")]
    pub timeout: Duration,
}

/// The key of an integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PagerdutyKey {
    /// `service_key`: API version 1.
    Service(Secret),
    /// `routing_key`: API version 2.
    Routing(Secret),
}

/// A picture.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct PagerdutyImage {
    /// Where it is.
    pub src: String,
    /// What it shows.
    pub alt: String,
    /// Where it leads.
    pub href: String,
}

/// A link.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct PagerdutyLink {
    /// Where it leads.
    pub href: String,
    /// What stands on it.
    pub text: String,
}

impl Default for PagerdutyConfig {
    fn default() -> PagerdutyConfig {
        PagerdutyConfig {
            send_resolved: true,
            http_config: Inherited::default(),
            service_key: None,
            service_key_file: None,
            service_key_env: None,
            routing_key: None,
            routing_key_file: None,
            routing_key_env: None,
            key: Inherited::default(),
            url: Inherited::default(),
            client: r#"{{ template "pagerduty.default.client" . }}"#.to_owned(),
            client_url: r#"{{ template "pagerduty.default.clientURL" . }}"#.to_owned(),
            description: r#"{{ template "pagerduty.default.description" .}}"#.to_owned(),
            details: BTreeMap::new(),
            images: Vec::new(),
            links: Vec::new(),
            source: String::new(),
            severity: String::new(),
            class: String::new(),
            component: String::new(),
            group: String::new(),
            timeout: Duration::ZERO,
        }
    }
}

impl Complete for PagerdutyConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        complete_http(&mut self.http_config, global, base)?;
        one_optional_secret!(self, service_key, service_key_file, service_key_env);
        one_optional_secret!(self, routing_key, routing_key_file, routing_key_env);
        // With both, Alertmanager uses version 1.
        let service = self.service_key.take().map(PagerdutyKey::Service);
        let routing = self.routing_key.take().map(PagerdutyKey::Routing);
        self.key.0 = service.or(routing);
        self.key.inherit(None, "missing service or routing key in PagerDuty config")?;
        self.url.inherit(Some(&global.pagerduty_url), "no global PagerDuty URL set")?;
        if self.source.is_empty() {
            self.source.clone_from(&self.client);
        }
        for (name, template) in DEFAULT_DETAILS {
            self.details.entry(name.to_owned()).or_insert_with(|| Value::from(template));
        }
        Ok(())
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}
