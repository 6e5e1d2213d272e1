//! `alertmanager.yml`, in full.
//!
//! In: the text of a file, or the section `alertmanager` of the server's own configuration. Out: a
//! checked [`AlertConfig`] with defaults filled in and values inherited from `global`. Never here:
//! reading template files, talking to receivers.
//!
//! [`file`] says what the file may hold as a whole, [`route`] and [`receiver`] its two large parts,
//! the files in `integrations/` one kind of receiver each. Unknown keys are errors, as in
//! Alertmanager; every secret may also come from a file (`x_file`) or, which Alertmanager does not
//! have, from an environment variable (`x_env`).

mod error;
mod file;
mod global;
mod go_duration;
mod inherit;
mod integrations;
pub mod mask;
mod nulls;
mod receiver;
mod route;
mod web;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use crate::secret::Secret;
pub use crate::web_client::config::{
    Authorization, BasicAuth, HeaderValues, HttpConfig, Oauth2Config, TlsConfig, TlsVersion,
};
pub use error::AlertConfigError;
pub use file::AlertFile;
pub use global::{Global, HostPort};
pub use inherit::Inherited;
pub use integrations::discord::DiscordConfig;
pub use integrations::email::{EmailConfig, ThreadBy, Threading};
pub use integrations::incidentio::IncidentioConfig;
pub use integrations::jira::{JiraApi, JiraConfig, JiraField};
pub use integrations::mattermost::{
    MattermostAttachment, MattermostConfig, MattermostField, MattermostPriority, MattermostProps,
};
pub use integrations::msteams::{MsTeamsConfig, MsTeamsV2Config};
pub use integrations::opsgenie::{OpsGenieConfig, OpsGenieResponder};
pub use integrations::pagerduty::{PagerdutyConfig, PagerdutyImage, PagerdutyKey, PagerdutyLink};
pub use integrations::pushover::PushoverConfig;
pub use integrations::rocketchat::{RocketchatAction, RocketchatConfig, RocketchatField};
pub use integrations::slack::{SlackAction, SlackConfig, SlackConfirmation, SlackField};
pub use integrations::sns::SnsConfig;
pub use integrations::telegram::TelegramConfig;
pub use integrations::victorops::VictoropsConfig;
pub use integrations::webex::WebexConfig;
pub use integrations::webhook::WebhookConfig;
pub use integrations::wechat::WechatConfig;
pub use receiver::{Integration, IntegrationConfig, Receiver};
pub use route::{GroupBy, RouteConfig};
pub use web::WebUrl;

use super::interval::TimeInterval;
use crate::model::Matcher;

/// Largest file; larger is not a configuration but a mistake.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Receiver of the configuration that is in force when none is given; it sends nothing.
pub const DEFAULT_RECEIVER: &str = "default-receiver";

/// A whole configuration, checked.
#[derive(Clone, Debug)]
pub struct AlertConfig {
    /// How long an alert counts as firing that says nothing about its end; more than zero.
    pub resolve_timeout: Duration,
    /// Patterns of template files, absolute or relative to the working directory.
    pub templates: Vec<String>,
    /// The root of the routing tree.
    pub route: RouteConfig,
    /// Which alerts keep others quiet.
    pub inhibit_rules: Vec<InhibitRule>,
    /// Named time intervals.
    pub time_intervals: BTreeMap<String, Vec<TimeInterval>>,
    /// Receivers in the order of the file; names are unique.
    pub receivers: Vec<Arc<Receiver>>,
    /// The file as YAML with secrets masked.
    pub yaml: String,
    /// What is read and not acted on, or should be written otherwise.
    pub warnings: Vec<String>,
}

/// Alerts that match the source keep alerts that match the target quiet, if the labels in `equal`
/// have equal values.
#[derive(Clone, Debug, PartialEq)]
pub struct InhibitRule {
    /// Its name; may be empty.
    pub name: String,
    /// What a source matches.
    pub source: Vec<Matcher>,
    /// What a target matches.
    pub target: Vec<Matcher>,
    /// Labels that must be equal; absent ones count as empty.
    pub equal: Vec<String>,
}

impl AlertConfig {
    /// What is in force when no configuration is given: alerts are kept and shown, nothing is sent.
    pub fn none() -> AlertConfig {
        let text = format!(
            "route: {{receiver: {DEFAULT_RECEIVER}}}\nreceivers: [{{name: {DEFAULT_RECEIVER}}}]\n"
        );
        let config = parse(Path::new("(defaults)"), &text);
        AlertConfig {
            yaml: String::new(),
            ..config.expect("BUG: the default configuration is valid")
        }
    }

    /// The receiver of that name.
    pub fn receiver(&self, name: &str) -> Option<&Arc<Receiver>> {
        self.receivers.iter().find(|receiver| receiver.name == name)
    }
}

/// Reads a file.
///
/// # Errors
/// It cannot be read, or something in it is wrong.
pub fn load(path: &Path) -> Result<AlertConfig, AlertConfigError> {
    let read = |error| AlertConfigError::Read { path: path.to_owned(), error };
    let bytes = std::fs::metadata(path).map_err(read)?.len();
    if bytes > FILE_BYTES_MAX {
        let message = format!("has {bytes} bytes, more than {FILE_BYTES_MAX}");
        return Err(AlertConfigError::Invalid { path: path.to_owned(), place: None, message });
    }
    parse(path, &std::fs::read_to_string(path).map_err(read)?)
}

/// Like [`load`], from the text of a file; relative paths in it are seen from the folder of `path`.
///
/// # Errors
/// Something in it is wrong.
pub fn parse(path: &Path, text: &str) -> Result<AlertConfig, AlertConfigError> {
    let file: Option<AlertFile> =
        serde_saphyr::from_str(text).map_err(|error| AlertConfigError::yaml(path, &error))?;
    let mut config = build(path, file.unwrap_or_default())?;
    config.yaml = mask::masked_yaml(text);
    Ok(config)
}

/// Checks what was read from `path`, also when it was a section of a larger file. The field `yaml`
/// is left empty.
///
/// # Errors
/// Something in it is wrong.
pub fn build(path: &Path, file: AlertFile) -> Result<AlertConfig, AlertConfigError> {
    file.build(path.parent().unwrap_or(Path::new(""))).map_err(|mistake| {
        AlertConfigError::Invalid {
            path: path.to_owned(),
            place: mistake.place,
            message: mistake.message,
        }
    })
}

/// A path as seen from `base`.
fn absolute(base: &Path, path: &Path) -> PathBuf {
    base.join(path)
}
