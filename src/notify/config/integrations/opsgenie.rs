//! `opsgenie_configs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::inherit::one_secret;
use super::super::receiver::Complete;
use super::super::web::check_template;
use super::super::{Global, HttpConfig, Inherited, Secret, WebUrl};
use super::complete_http;

const RESPONDER_TYPES: [&str; 5] = ["team", "teams", "user", "escalation", "schedule"];

/// Opsgenie.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct OpsGenieConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached.
    pub http_config: Inherited<HttpConfig>,
    /// The key.
    pub api_key: Inherited<Secret>,
    api_key_file: Option<PathBuf>,
    api_key_env: Option<String>,
    /// Where the API is; ends with a slash.
    pub api_url: Inherited<WebUrl>,
    /// The alert in one line.
    pub message: String,
    /// The alert in full.
    pub description: String,
    /// Where it comes from.
    pub source: String,
    /// Further details by name, beside the common labels.
    pub details: BTreeMap<String, String>,
    /// What it is about.
    pub entity: String,
    /// Who has to act.
    pub responders: Vec<OpsGenieResponder>,
    /// What can be done, comma-separated.
    pub actions: String,
    /// Tags, comma-separated.
    pub tags: String,
    /// A further note.
    pub note: String,
    /// `P1` to `P5`; a template.
    pub priority: String,
    /// Whether message and description of an alert that is known already are updated.
    pub update_alerts: bool,
}

/// Who has to act; at least one of id, name and username is given.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct OpsGenieResponder {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// The name of a user.
    pub username: String,
    /// `team`, `teams`, `user`, `escalation` or `schedule`, in lower case, or a template.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Default for OpsGenieConfig {
    fn default() -> OpsGenieConfig {
        OpsGenieConfig {
            send_resolved: true,
            http_config: Inherited::default(),
            api_key: Inherited::default(),
            api_key_file: None,
            api_key_env: None,
            api_url: Inherited::default(),
            message: r#"{{ template "opsgenie.default.message" . }}"#.to_owned(),
            description: r#"{{ template "opsgenie.default.description" . }}"#.to_owned(),
            source: r#"{{ template "opsgenie.default.source" . }}"#.to_owned(),
            details: BTreeMap::new(),
            entity: String::new(),
            responders: Vec::new(),
            actions: String::new(),
            tags: String::new(),
            note: String::new(),
            priority: String::new(),
            update_alerts: false,
        }
    }
}

impl Complete for OpsGenieConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        complete_http(&mut self.http_config, global, base)?;
        one_secret!(self, api_key, api_key_file, api_key_env);
        let missing = "no global OpsGenie API Key set either inline or in a file";
        self.api_key.inherit(global.opsgenie_api_key.as_ref(), missing)?;
        self.api_url.inherit(Some(&global.opsgenie_api_url), "no global OpsGenie URL set")?;
        self.api_url = self.api_url.with_slash().into();
        self.responders.iter_mut().try_for_each(OpsGenieResponder::complete)
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}

impl OpsGenieResponder {
    fn complete(&mut self) -> Result<(), String> {
        if self.id.is_empty() && self.name.is_empty() && self.username.is_empty() {
            return Err("opsgenie responder has to have at least one of id, username or name \
                specified"
                .to_owned());
        }
        if self.kind.contains("{{") {
            return check_template(&self.kind).map_err(|why| {
                format!("opsgenie responder type {:?}: invalid template syntax: {why}", self.kind)
            });
        }
        self.kind = self.kind.to_lowercase();
        if !RESPONDER_TYPES.contains(&self.kind.as_str()) {
            let types = RESPONDER_TYPES.join(", ");
            return Err(format!("opsgenie responder type {:?} is none of {types}", self.kind));
        }
        Ok(())
    }
}
