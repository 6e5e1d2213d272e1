//! One kind of receiver each: what its section may hold, its defaults, its checks.
//!
//! Texts with `{{ }}` are templates, filled in for each notification. Defaults are those of
//! Alertmanager 0.34.

pub mod discord;
pub mod email;
pub mod incidentio;
pub mod jira;
pub mod mattermost;
pub mod msteams;
pub mod opsgenie;
pub mod pagerduty;
pub mod pushover;
pub mod rocketchat;
pub mod slack;
pub mod sns;
pub mod telegram;
pub mod victorops;
pub mod webex;
pub mod webhook;
pub mod wechat;

use std::path::{Path, PathBuf};

use super::inherit::chosen_secret;
use super::web::check_secret_url;
use super::{Global, HttpConfig, Inherited, Secret};

/// The section's own way to reach the service, or the global one: never a mixture.
fn complete_http(
    own: &mut Inherited<HttpConfig>,
    global: &Global,
    base: &Path,
) -> Result<(), String> {
    match &mut own.0 {
        Some(http) => http.complete(base),
        None => own.inherit(Some(&global.http_config), "no http_config"),
    }
}

/// The one of `webhook_url`, `webhook_url_file` and `webhook_url_env`.
fn complete_webhook_url(
    url: &mut Inherited<Secret>,
    file: &Option<PathBuf>,
    env: &Option<String>,
) -> Result<(), String> {
    url.0 = chosen_secret("webhook_url", url.0.take(), file, env)?;
    check_secret_url("webhook_url", url.0.as_ref())
}
