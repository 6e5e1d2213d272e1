//! `jira_configs`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::super::go_duration::PromDuration;
use super::super::receiver::Complete;
use super::super::{Global, HttpConfig, Inherited, WebUrl};
use super::complete_http;

/// A Jira project.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct JiraConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached.
    pub http_config: Inherited<HttpConfig>,
    /// Where the API is.
    pub api_url: Inherited<WebUrl>,
    /// Which API it is.
    pub api_type: JiraApi,
    /// The project's key; a template, not empty.
    pub project: String,
    /// The issue in one line.
    #[serde(deserialize_with = "summary")]
    pub summary: JiraField,
    /// The issue in full.
    #[serde(deserialize_with = "description")]
    pub description: JiraField,
    /// Labels; templates.
    pub labels: Vec<String>,
    /// The priority's name; a template.
    pub priority: String,
    /// The issue's type; a template, not empty.
    pub issue_type: String,
    /// Transition that opens an issue again.
    pub reopen_transition: String,
    /// Transition that closes an issue.
    pub resolve_transition: String,
    /// Resolution of issues that are never opened again.
    pub wont_fix_resolution: String,
    #[serde(rename = "reopen_duration")]
    raw_reopen_duration: Option<PromDuration>,
    /// How long a closed issue may be opened again; 0 for ever.
    #[serde(skip)]
    pub reopen_duration: Duration,
    /// Further fields by name; texts within are templates.
    pub fields: BTreeMap<String, Value>,
}

/// Which of Jira's APIs is spoken.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum JiraApi {
    /// By the address.
    #[default]
    Auto,
    /// Version 3.
    Cloud,
    /// Version 2.
    Datacenter,
}

const SUMMARY: &str = r#"{{ template "jira.default.summary" . }}"#;
const DESCRIPTION: &str = r#"{{ template "jira.default.description" . }}"#;

/// A text of an issue: written as a template, or as a section that may hold one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JiraField {
    /// The text.
    pub template: String,
    /// Whether it is also changed in an issue that is there already.
    pub enable_update: bool,
}

impl JiraField {
    fn of(template: &str) -> JiraField {
        JiraField { template: template.to_owned(), enable_update: true }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawField {
    template: Option<String>,
    enable_update: Option<bool>,
}

fn summary<'de, D: Deserializer<'de>>(deserializer: D) -> Result<JiraField, D::Error> {
    deserializer.deserialize_any(FieldWithout(SUMMARY))
}

fn description<'de, D: Deserializer<'de>>(deserializer: D) -> Result<JiraField, D::Error> {
    deserializer.deserialize_any(FieldWithout(DESCRIPTION))
}

/// Reads a field; a section without a template has this one.
struct FieldWithout(&'static str);

impl<'de> Visitor<'de> for FieldWithout {
    type Value = JiraField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a template or a section with one")
    }

    fn visit_unit<E: de::Error>(self) -> Result<JiraField, E> {
        Ok(JiraField::of(""))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<JiraField, E> {
        Ok(JiraField::of(text))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<JiraField, E> {
        Ok(JiraField::of(&value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<JiraField, E> {
        Ok(JiraField::of(&value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<JiraField, E> {
        Ok(JiraField::of(&value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<JiraField, E> {
        Ok(JiraField::of(&value.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<JiraField, A::Error> {
        let raw = RawField::deserialize(de::value::MapAccessDeserializer::new(map))?;
        let enable_update = raw.enable_update.unwrap_or(true);
        let template = raw.template.unwrap_or_else(|| self.0.to_owned());
        Ok(JiraField { template, enable_update })
    }
}

impl Default for JiraConfig {
    fn default() -> JiraConfig {
        JiraConfig {
            send_resolved: true,
            http_config: Inherited::default(),
            api_url: Inherited::default(),
            api_type: JiraApi::Auto,
            project: String::new(),
            summary: JiraField::of(SUMMARY),
            description: JiraField::of(DESCRIPTION),
            labels: Vec::new(),
            priority: r#"{{ template "jira.default.priority" . }}"#.to_owned(),
            issue_type: String::new(),
            reopen_transition: String::new(),
            resolve_transition: String::new(),
            wont_fix_resolution: String::new(),
            raw_reopen_duration: None,
            reopen_duration: Duration::ZERO,
            fields: BTreeMap::new(),
        }
    }
}

impl Complete for JiraConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        complete_http(&mut self.http_config, global, base)?;
        if self.project.is_empty() {
            return Err("missing project in jira_config".to_owned());
        }
        if self.issue_type.is_empty() {
            return Err("missing issue_type in jira_config".to_owned());
        }
        self.reopen_duration = self.raw_reopen_duration.map_or(Duration::ZERO, |given| given.0);
        self.api_url.inherit(global.jira_api_url.as_ref(), "no global Jira Cloud URL set")
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}
