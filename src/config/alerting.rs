//! `alerting`: the Alertmanagers that alerts are sent to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::ConfigError;
use super::raw::PromDuration;
use super::relabel::Relabel;
use crate::alert_sender::{Access, AlertmanagerOptions, SenderOptions};
use crate::model::Labels;
use crate::relabel::{Step, apply};
use crate::secret::Secret;
use crate::tls::TlsOptions;

/// How long a delivery may take unless the configuration says otherwise (as in Prometheus).
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most Alertmanagers; each has a queue and a thread.
const ALERTMANAGERS_MAX: usize = 100;
/// Path of the API below the prefix.
const API_PATH: &str = "/api/v2/alerts";

/// `alerting`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlerting {
    alert_relabel_configs: Option<Vec<Relabel>>,
    alertmanagers: Option<Vec<RawAlertmanager>>,
}

/// One entry of `alerting.alertmanagers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlertmanager {
    scheme: Option<Scheme>,
    path_prefix: Option<String>,
    timeout: Option<PromDuration>,
    #[serde(rename = "api_version")]
    _api_version: Option<ApiVersion>,
    static_configs: Option<Vec<StaticConfig>>,
    relabel_configs: Option<Vec<Relabel>>,
    alert_relabel_configs: Option<Vec<Relabel>>,
    basic_auth: Option<BasicAuth>,
    authorization: Option<Authorization>,
    bearer_token: Option<String>,
    bearer_token_file: Option<PathBuf>,
    tls_config: Option<RawTls>,
    proxy_url: Option<String>,
    http_headers: Option<BTreeMap<String, Header>>,
    #[serde(rename = "follow_redirects")]
    _follow_redirects: Option<bool>,
    #[serde(rename = "enable_http2")]
    _enable_http2: Option<bool>,
    /// What is known and not acted on: discovery and further ways to log in.
    oauth2: Option<IgnoredAny>,
    sigv4: Option<IgnoredAny>,
    no_proxy: Option<IgnoredAny>,
    proxy_from_environment: Option<IgnoredAny>,
    proxy_connect_header: Option<IgnoredAny>,
    azure_sd_configs: Option<IgnoredAny>,
    consul_sd_configs: Option<IgnoredAny>,
    digitalocean_sd_configs: Option<IgnoredAny>,
    dns_sd_configs: Option<IgnoredAny>,
    docker_sd_configs: Option<IgnoredAny>,
    dockerswarm_sd_configs: Option<IgnoredAny>,
    ec2_sd_configs: Option<IgnoredAny>,
    eureka_sd_configs: Option<IgnoredAny>,
    file_sd_configs: Option<IgnoredAny>,
    gce_sd_configs: Option<IgnoredAny>,
    hetzner_sd_configs: Option<IgnoredAny>,
    http_sd_configs: Option<IgnoredAny>,
    ionos_sd_configs: Option<IgnoredAny>,
    kubernetes_sd_configs: Option<IgnoredAny>,
    kuma_sd_configs: Option<IgnoredAny>,
    lightsail_sd_configs: Option<IgnoredAny>,
    linode_sd_configs: Option<IgnoredAny>,
    marathon_sd_configs: Option<IgnoredAny>,
    nerve_sd_configs: Option<IgnoredAny>,
    nomad_sd_configs: Option<IgnoredAny>,
    openstack_sd_configs: Option<IgnoredAny>,
    ovhcloud_sd_configs: Option<IgnoredAny>,
    puppetdb_sd_configs: Option<IgnoredAny>,
    scaleway_sd_configs: Option<IgnoredAny>,
    serverset_sd_configs: Option<IgnoredAny>,
    stackit_sd_configs: Option<IgnoredAny>,
    triton_sd_configs: Option<IgnoredAny>,
    uyuni_sd_configs: Option<IgnoredAny>,
    vultr_sd_configs: Option<IgnoredAny>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scheme {
    #[default]
    Http,
    Https,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ApiVersion {
    V2,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StaticConfig {
    targets: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BasicAuth {
    username: Option<String>,
    username_file: Option<PathBuf>,
    password: Option<String>,
    password_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Authorization {
    #[serde(rename = "type")]
    kind: Option<String>,
    credentials: Option<String>,
    credentials_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[serde(default)]
    values: Vec<String>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    files: Vec<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    #[serde(default)]
    insecure_skip_verify: bool,
    /// TLS 1.2 and 1.3 are spoken, whatever stands here.
    #[serde(rename = "min_version")]
    _min_version: Option<IgnoredAny>,
    #[serde(rename = "max_version")]
    _max_version: Option<IgnoredAny>,
}

fn invalid(message: String) -> ConfigError {
    ConfigError::Invalid { key: "alerting", message }
}

/// Builds what the sender is told. `base` is the directory of the configuration file: paths in it
/// are relative to that.
///
/// # Errors
/// A value cannot be used.
pub(super) fn build(
    raw: Option<&RawAlerting>,
    external_labels: &Labels,
    base: &Path,
) -> Result<SenderOptions, ConfigError> {
    let mut options =
        SenderOptions { external_labels: external_labels.clone(), ..SenderOptions::default() };
    let Some(raw) = raw else { return Ok(options) };
    options.relabel = steps(raw.alert_relabel_configs.as_ref());
    for one in raw.alertmanagers.iter().flatten() {
        let targets = one.targets().map_err(invalid)?;
        for target in targets {
            match target.url {
                Some(url) => options.alertmanagers.push(one.build(url, base).map_err(invalid)?),
                None => options.dropped.push(target.before),
            }
        }
    }
    let number = options.alertmanagers.len();
    if number > ALERTMANAGERS_MAX {
        return Err(invalid(format!("{number} Alertmanagers, more than {ALERTMANAGERS_MAX}")));
    }
    Ok(options)
}

fn steps(relabel: Option<&Vec<Relabel>>) -> Vec<Step> {
    relabel.into_iter().flatten().map(|relabel| relabel.0.clone()).collect()
}

/// Whether anything stands there that is known and not acted on.
pub(super) fn is_unused(raw: &RawAlerting) -> bool {
    raw.alertmanagers.iter().flatten().any(RawAlertmanager::has_unused)
}

/// An Alertmanager before and after relabelling.
struct Target {
    before: String,
    url: Option<String>,
}

impl RawAlertmanager {
    fn targets(&self) -> Result<Vec<Target>, String> {
        let scheme = match self.scheme.unwrap_or_default() {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let prefix = self.path_prefix.as_deref().unwrap_or_default().trim_matches('/');
        let path =
            if prefix.is_empty() { API_PATH.to_owned() } else { format!("/{prefix}{API_PATH}") };
        let relabel = steps(self.relabel_configs.as_ref());
        let mut targets = Vec::new();
        for group in self.static_configs.iter().flatten() {
            for address in group.targets.iter().flatten() {
                let own = group.labels.iter().flatten().map(|(n, v)| (n.as_str(), v.as_str()));
                let fixed = [
                    ("__address__", address.as_str()),
                    ("__scheme__", scheme),
                    ("__alerts_path__", path.as_str()),
                ];
                let labels = Labels::from_pairs(own.chain(fixed)).map_err(|e| e.to_string())?;
                let before = url_of(&labels);
                let labels = apply(&relabel, labels).map_err(|error| error.to_string())?;
                let url = labels.map(|labels| url_of(&labels));
                if let Some(url) = &url {
                    check_url(url)?;
                }
                targets.push(Target { before, url });
            }
        }
        Ok(targets)
    }

    fn build(&self, url: String, base: &Path) -> Result<AlertmanagerOptions, String> {
        let tls = self.tls_config.as_ref();
        let file = |file: fn(&RawTls) -> &Option<PathBuf>| {
            tls.and_then(|tls| file(tls).as_ref()).map(|path| base.join(path))
        };
        let tls_options = TlsOptions {
            ca_file: file(|tls| &tls.ca_file),
            cert_file: file(|tls| &tls.cert_file),
            key_file: file(|tls| &tls.key_file),
            insecure_skip_verify: tls.is_some_and(|tls| tls.insecure_skip_verify),
        };
        if tls_options.cert_file.is_some() != tls_options.key_file.is_some() {
            return Err("cert_file and key_file of tls_config belong together".to_owned());
        }
        Ok(AlertmanagerOptions {
            url,
            timeout: self
                .timeout
                .map_or(TIMEOUT, |timeout| timeout.0)
                .max(Duration::from_millis(1)),
            relabel: steps(self.alert_relabel_configs.as_ref()),
            access: self.access(base)?,
            headers: self.headers(base)?,
            tls: tls_options,
            proxy: self.proxy_url.clone(),
        })
    }

    fn access(&self, base: &Path) -> Result<Access, String> {
        let bearer = secret("bearer_token", &self.bearer_token, &self.bearer_token_file, base)?;
        let given = [self.basic_auth.is_some(), self.authorization.is_some(), bearer.is_some()];
        if given.iter().filter(|given| **given).count() > 1 {
            return Err("at most one of basic_auth, authorization and bearer_token".to_owned());
        }
        if let Some(basic) = &self.basic_auth {
            let username = secret("username", &basic.username, &basic.username_file, base)?;
            let password = secret("password", &basic.password, &basic.password_file, base)?;
            let empty = || Secret::Inline(String::new());
            return Ok(Access::Basic {
                username: username.unwrap_or_else(empty),
                password: password.unwrap_or_else(empty),
            });
        }
        if let Some(authorization) = &self.authorization {
            let kind = authorization.kind.as_deref().unwrap_or("Bearer").trim();
            if kind.is_empty() || kind.eq_ignore_ascii_case("basic") {
                return Err("authorization type cannot be \"basic\", use basic_auth".to_owned());
            }
            let (inline, file) = (&authorization.credentials, &authorization.credentials_file);
            let credentials = secret("credentials", inline, file, base)?;
            return Ok(credentials.map_or(Access::None, |credentials| Access::Header {
                kind: kind.to_owned(),
                credentials,
            }));
        }
        let kind = "Bearer".to_owned();
        Ok(bearer.map_or(Access::None, |credentials| Access::Header { kind, credentials }))
    }

    fn headers(&self, base: &Path) -> Result<Vec<(String, Secret)>, String> {
        let mut headers = Vec::new();
        for (name, header) in self.http_headers.iter().flatten() {
            if ureq::http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(format!("http_headers: {name:?} is not a header's name"));
            }
            let inline = header.values.iter().chain(&header.secrets);
            headers.extend(inline.map(|text| (name.clone(), Secret::Inline(text.clone()))));
            let files = header.files.iter().map(|path| Secret::File(base.join(path)));
            headers.extend(files.map(|file| (name.clone(), file)));
        }
        Ok(headers)
    }

    fn has_unused(&self) -> bool {
        [
            &self.oauth2,
            &self.sigv4,
            &self.no_proxy,
            &self.proxy_from_environment,
            &self.proxy_connect_header,
            &self.azure_sd_configs,
            &self.consul_sd_configs,
            &self.digitalocean_sd_configs,
            &self.dns_sd_configs,
            &self.docker_sd_configs,
            &self.dockerswarm_sd_configs,
            &self.ec2_sd_configs,
            &self.eureka_sd_configs,
            &self.file_sd_configs,
            &self.gce_sd_configs,
            &self.hetzner_sd_configs,
            &self.http_sd_configs,
            &self.ionos_sd_configs,
            &self.kubernetes_sd_configs,
            &self.kuma_sd_configs,
            &self.lightsail_sd_configs,
            &self.linode_sd_configs,
            &self.marathon_sd_configs,
            &self.nerve_sd_configs,
            &self.nomad_sd_configs,
            &self.openstack_sd_configs,
            &self.ovhcloud_sd_configs,
            &self.puppetdb_sd_configs,
            &self.scaleway_sd_configs,
            &self.serverset_sd_configs,
            &self.stackit_sd_configs,
            &self.triton_sd_configs,
            &self.uyuni_sd_configs,
            &self.vultr_sd_configs,
        ]
        .iter()
        .any(|key| key.is_some())
    }
}

fn url_of(labels: &Labels) -> String {
    let part = |name| labels.value(name);
    format!("{}://{}{}", part("__scheme__"), part("__address__"), part("__alerts_path__"))
}

fn check_url(url: &str) -> Result<(), String> {
    let parsed = url::Url::parse(url).map_err(|error| format!("address {url:?}: {error}"))?;
    match parsed.scheme() {
        "http" | "https" if parsed.host_str().is_some() => Ok(()),
        _ => Err(format!("address {url:?} is not one of HTTP")),
    }
}

fn secret(
    key: &str,
    inline: &Option<String>,
    file: &Option<PathBuf>,
    base: &Path,
) -> Result<Option<Secret>, String> {
    match (inline, file) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(Secret::Inline(text.clone()))),
        (None, Some(path)) => Ok(Some(Secret::File(base.join(path)))),
        (Some(_), Some(_)) => Err(format!("at most one of {key} and {key}_file")),
    }
}
