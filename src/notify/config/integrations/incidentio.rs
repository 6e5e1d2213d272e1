//! `incidentio_configs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::super::inherit::{one_optional_secret, one_secret};
use super::super::receiver::Complete;
use super::super::web::check_secret_url;
use super::super::{Global, HttpConfig, Inherited, Secret, go_duration};
use super::complete_http;

/// An alert source of incident.io.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct IncidentioConfig {
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How the service is reached.
    pub http_config: Inherited<HttpConfig>,
    /// Where to post.
    pub url: Inherited<Secret>,
    url_file: Option<PathBuf>,
    url_env: Option<String>,
    /// The source's token, unless `http_config` has an `authorization`.
    pub alert_source_token: Option<Secret>,
    alert_source_token_file: Option<PathBuf>,
    alert_source_token_env: Option<String>,
    /// Most alerts of one message; 0 for all.
    pub max_alerts: u64,
    /// How long one request may take; 0 for no limit of its own.
    #[serde(deserialize_with = "go_duration::deserialize")]
    pub timeout: Duration,
}

impl Default for IncidentioConfig {
    fn default() -> IncidentioConfig {
        IncidentioConfig {
            send_resolved: true,
            http_config: Inherited::default(),
            url: Inherited::default(),
            url_file: None,
            url_env: None,
            alert_source_token: None,
            alert_source_token_file: None,
            alert_source_token_env: None,
            max_alerts: 0,
            timeout: Duration::ZERO,
        }
    }
}

impl Complete for IncidentioConfig {
    fn complete(&mut self, global: &Global, base: &Path) -> Result<(), String> {
        one_secret!(self, url, url_file, url_env);
        check_secret_url("url", self.url.0.as_ref())?;
        self.url.inherit(None, "one of url or url_file must be configured")?;
        one_optional_secret!(
            self,
            alert_source_token,
            alert_source_token_file,
            alert_source_token_env
        );
        let (own, token) = (self.http_config.0.as_ref(), self.alert_source_token.is_some());
        match own.map(|http| http.authorization.is_some()) {
            Some(true) if token => Err("cannot specify alert_source_token or \
                alert_source_token_file when using http_config.authorization"),
            Some(false) if !token => Err("at least one of alert_source_token, \
                alert_source_token_file or http_config.authorization must be configured"),
            _ => Ok(()),
        }?;
        complete_http(&mut self.http_config, global, base)
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }
}
