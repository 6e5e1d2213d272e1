//! `victorops_configs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::inherit::one_secret;
use super::super::receiver::Complete;
use super::super::{Global, HttpConfig, Inherited, Secret, WebUrl};
use super::complete_http;

/// Fields that custom ones must not replace.
const RESERVED: [&str; 7] = [
    "routing_key",
    "message_type",
    "state_message",
    "entity_display_name",
    "monitoring_tool",
    "entity_id",
    "entity_state",
];

/// VictorOps (Splunk On-Call).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct VictoropsConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached.
    pub http_config: Inherited<HttpConfig>,
    /// The key.
    pub api_key: Inherited<Secret>,
    api_key_file: Option<PathBuf>,
    api_key_env: Option<String>,
    /// Where to post; ends with a slash.
    pub api_url: Inherited<WebUrl>,
    /// Which team; not empty.
    pub routing_key: String,
    /// `CRITICAL`, `WARNING` or `INFO`; a template.
    pub message_type: String,
    /// The alert in full.
    pub state_message: String,
    /// The alert in one line.
    pub entity_display_name: String,
    /// Who sends.
    pub monitoring_tool: String,
    /// Further fields by name.
    pub custom_fields: BTreeMap<String, String>,
}

impl Default for VictoropsConfig {
    fn default() -> VictoropsConfig {
        let template = |field: &str| format!(r#"{{{{ template "victorops.default.{field}" . }}}}"#);
        VictoropsConfig {
            send_resolved: true,
            http_config: Inherited::default(),
            api_key: Inherited::default(),
            api_key_file: None,
            api_key_env: None,
            api_url: Inherited::default(),
            routing_key: String::new(),
            message_type: "CRITICAL".to_owned(),
            state_message: template("state_message"),
            entity_display_name: template("entity_display_name"),
            monitoring_tool: template("monitoring_tool"),
            custom_fields: BTreeMap::new(),
        }
    }
}

impl Complete for VictoropsConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        complete_http(&mut self.http_config, global, base)?;
        if self.routing_key.is_empty() {
            return Err("missing Routing key in VictorOps config".to_owned());
        }
        if let Some(name) = RESERVED.iter().find(|name| self.custom_fields.contains_key(**name)) {
            return Err(format!(
                "VictorOps config contains custom field {name} which cannot be used as it \
                 conflicts with the fixed/static fields"
            ));
        }
        one_secret!(self, api_key, api_key_file, api_key_env);
        let missing = "no global VictorOps API Key set";
        self.api_key.inherit(global.victorops_api_key.as_ref(), missing)?;
        self.api_url.inherit(Some(&global.victorops_api_url), "no global VictorOps URL set")?;
        self.api_url = self.api_url.with_slash().into();
        Ok(())
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}
