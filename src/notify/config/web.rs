//! URLs of web services.

use std::fmt;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use crate::secret::{MASK, Secret};
use crate::template::TemplateSet;
use crate::template::functions::alertmanager;

/// An `http` or `https` URL with a host, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WebUrl(String);

impl WebUrl {
    /// Checks a URL.
    ///
    /// # Errors
    /// A sentence.
    pub fn new(text: &str) -> Result<WebUrl, String> {
        check(text)?;
        Ok(WebUrl(text.to_owned()))
    }

    /// One of ours.
    pub(super) fn constant(text: &'static str) -> WebUrl {
        WebUrl(text.to_owned())
    }

    /// The URL as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// With a slash at its end, so that a path can follow.
    #[must_use]
    pub(super) fn with_slash(&self) -> WebUrl {
        match self.0.ends_with('/') {
            true => self.clone(),
            false => WebUrl(format!("{}/", self.0)),
        }
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for WebUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WebUrl, D::Error> {
        WebUrl::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The URL is not repeated: it may be secret.
fn check(text: &str) -> Result<(), String> {
    let url = url::Url::parse(text).map_err(|error| format!("not a valid URL: {error}"))?;
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(host)) if !host.is_empty() => Ok(()),
        ("http" | "https", _) => Err("missing host for URL".to_owned()),
        (scheme, _) => Err(format!("unsupported scheme {scheme:?} for URL")),
    }
}

/// Checks a secret that is a URL, as far as it is in the configuration itself. One that was masked
/// by ourselves is not secret.
pub(super) fn check_secret_url(key: &str, secret: Option<&Secret>) -> Result<(), String> {
    match secret.and_then(Secret::inline) {
        Some(text) if !text.contains(MASK) => check(text).map_err(|why| format!("{key}: {why}")),
        _ => Ok(()),
    }
}

/// As [`check_secret_url`]; a text with template actions is a URL once they are carried out, and a
/// template now.
pub(super) fn check_template_url(key: &str, secret: Option<&Secret>) -> Result<(), String> {
    match secret.and_then(Secret::inline) {
        Some(text) if text.contains("{{") => {
            check_template(text).map_err(|why| format!("{key}: invalid template syntax: {why}"))
        }
        _ => check_secret_url(key, secret),
    }
}

/// Checks that a text is a template. Those that it calls may be defined elsewhere.
pub(super) fn check_template(text: &str) -> Result<(), String> {
    let set = TemplateSet::new(alertmanager::FUNCTIONS);
    set.compile("", text, &[]).map(drop).map_err(|error| error.to_string())
}
