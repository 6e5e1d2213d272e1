//! `alerting`: the Alertmanagers that alerts are sent to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::discovery::with_unused_discovery;
use super::error::ConfigError;
use super::raw::PromDuration;
use super::relabel::Relabel;
use crate::alert_sender::{
    AlertmanagerOptions, Discovered, RecordKind, SenderOptions, Source, SourceKind, TargetGroup,
};
use crate::aws::Sigv4;
use crate::model::Labels;
use crate::relabel::Step;
use crate::web_client::config::{HttpConfig, http_section};

/// How long a delivery may take unless the configuration says otherwise (as in Prometheus).
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most Alertmanagers of static lists; each has a queue and a thread.
const ALERTMANAGERS_MAX: usize = 100;
/// Path of the API below the prefix.
const API_PATH: &str = "/api/v2/alerts";
/// How often the sources of targets are asked (as in Prometheus).
const FILE_REFRESH: Duration = Duration::from_secs(5 * 60);
const HTTP_REFRESH: Duration = Duration::from_secs(60);
const DNS_REFRESH: Duration = Duration::from_secs(30);

/// `alerting`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlerting {
    alert_relabel_configs: Option<Vec<Relabel>>,
    alertmanagers: Option<Vec<Spanned<RawAlertmanager>>>,
}

with_unused_discovery! { http_section! {
    /// One entry of `alerting.alertmanagers`.
    struct RawAlertmanager {
        scheme: Scheme,
        path_prefix: Option<String>,
        timeout: Option<PromDuration>,
        #[serde(rename = "api_version")]
        _api_version: Option<ApiVersion>,
        static_configs: Option<Vec<TargetGroup>>,
        file_sd_configs: Option<Vec<FileSd>>,
        http_sd_configs: Option<Vec<HttpSd>>,
        dns_sd_configs: Option<Vec<DnsSd>>,
        relabel_configs: Option<Vec<Relabel>>,
        alert_relabel_configs: Option<Vec<Relabel>>,
        sigv4: Option<Sigv4>,
    }
} }

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Scheme {
    #[default]
    Http,
    Https,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum ApiVersion {
    V2,
}

/// One entry of `file_sd_configs`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct FileSd {
    files: Vec<PathBuf>,
    refresh_interval: Option<PromDuration>,
}

http_section! {
    /// One entry of `http_sd_configs`.
    struct HttpSd {
        url: String,
        refresh_interval: Option<PromDuration>,
    }
    unused {}
}

/// One entry of `dns_sd_configs`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct DnsSd {
    names: Vec<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    port: Option<u16>,
    refresh_interval: Option<PromDuration>,
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
    for (number, one) in raw.alertmanagers.iter().flatten().enumerate() {
        let (line, one) = (one.defined.line(), &one.value);
        let place = format!("alertmanagers, entry {} in line {line}", number + 1);
        let named = |why| invalid(format!("{place}: {why}"));
        let entry = one.build(base).map_err(named)?;
        let groups = one.static_configs.iter().flatten();
        let found = entry.resolve(groups).map_err(named)?;
        options.alertmanagers.extend(found.alertmanagers);
        options.dropped.extend(found.dropped);
        if !entry.sources.is_empty() {
            options.discovered.push(entry);
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

/// Keys that are known and not acted on.
pub(super) fn unused(raw: &RawAlerting) -> Vec<&'static str> {
    let all = raw.alertmanagers.iter().flatten().flat_map(|one| one.value.unused());
    let mut all: Vec<_> = all.collect();
    all.sort_unstable();
    all.dedup();
    all
}

impl RawAlertmanager {
    fn build(&self, base: &Path) -> Result<Discovered, String> {
        let prefix = self.path_prefix.as_deref().unwrap_or_default().trim_matches('/');
        let path =
            if prefix.is_empty() { API_PATH.to_owned() } else { format!("/{prefix}{API_PATH}") };
        if let Some(sigv4) = &self.sigv4 {
            sigv4.check()?;
            let others = [
                self.basic_auth.is_some(),
                self.authorization.is_some() || self.bearer_token.is_some(),
                self.oauth2.is_some() || self.bearer_token_file.is_some(),
            ];
            if others.contains(&true) {
                let why = "at most one of basic_auth, authorization, oauth2 and sigv4";
                return Err(why.to_owned());
            }
        }
        let timeout = self.timeout.map_or(TIMEOUT, |timeout| timeout.0);
        Ok(Discovered {
            template: AlertmanagerOptions {
                url: String::new(),
                timeout: timeout.max(Duration::from_millis(1)),
                relabel: steps(self.alert_relabel_configs.as_ref()),
                http: self.http(base)?,
                sigv4: self.sigv4.clone(),
            },
            scheme: match self.scheme {
                Scheme::Http => "http",
                Scheme::Https => "https",
            },
            path,
            relabel: steps(self.relabel_configs.as_ref()),
            sources: self.sources(base)?,
        })
    }

    fn sources(&self, base: &Path) -> Result<Vec<Source>, String> {
        let mut sources = Vec::new();
        for one in self.file_sd_configs.iter().flatten() {
            sources.push(one.source(base).map_err(|why| format!("file_sd_configs: {why}"))?);
        }
        for one in self.http_sd_configs.iter().flatten() {
            sources.push(one.source(base).map_err(|why| format!("http_sd_configs: {why}"))?);
        }
        for one in self.dns_sd_configs.iter().flatten() {
            sources.push(one.source().map_err(|why| format!("dns_sd_configs: {why}"))?);
        }
        Ok(sources)
    }
}

fn every(given: Option<PromDuration>, usual: Duration) -> Result<Duration, String> {
    match given.map_or(usual, |given| given.0) {
        Duration::ZERO => Err("refresh_interval must be more than 0".to_owned()),
        every => Ok(every),
    }
}

impl FileSd {
    fn source(&self, base: &Path) -> Result<Source, String> {
        if self.files.is_empty() {
            return Err("it names no file".to_owned());
        }
        for file in &self.files {
            let ending = file.extension().map(|e| e.to_string_lossy().to_lowercase());
            if !matches!(ending.as_deref(), Some("json" | "yml" | "yaml")) {
                let why = "does not end with .json, .yml or .yaml";
                return Err(format!("{} {why}", file.display()));
            }
        }
        let files = self.files.iter().map(|file| base.join(file)).collect();
        let kind = SourceKind::Files(files);
        Ok(Source { kind, every: every(self.refresh_interval, FILE_REFRESH)? })
    }
}

impl HttpSd {
    fn source(&self, base: &Path) -> Result<Source, String> {
        match url::Url::parse(&self.url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            _ => return Err("url is not one of HTTP with a host".to_owned()),
        }
        let http: Box<HttpConfig> = Box::new(self.http(base)?);
        let kind = SourceKind::Http { url: self.url.clone(), http };
        Ok(Source { kind, every: every(self.refresh_interval, HTTP_REFRESH)? })
    }
}

impl DnsSd {
    fn source(&self) -> Result<Source, String> {
        let kind = self.kind.as_deref().unwrap_or("SRV").to_ascii_uppercase();
        let record = match &*kind {
            "A" => RecordKind::A,
            "AAAA" => RecordKind::Aaaa,
            "SRV" => RecordKind::Srv,
            "MX" => RecordKind::Mx,
            "NS" => RecordKind::Ns,
            other => {
                return Err(format!("type {other} is not known: it is SRV, A, AAAA, MX or NS"));
            }
        };
        if self.names.is_empty() {
            return Err("it has no names".to_owned());
        }
        let port = self.port.filter(|port| *port != 0);
        let port = match record {
            RecordKind::Srv => 0,
            _ => port.ok_or("every type but SRV needs a port")?,
        };
        let kind = SourceKind::Dns { names: self.names.clone(), record, port };
        Ok(Source { kind, every: every(self.refresh_interval, DNS_REFRESH)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(entry: &str) -> Result<SenderOptions, String> {
        let text = format!("alertmanagers:\n- {entry}\n");
        let raw: RawAlerting = serde_saphyr::from_str(&text).map_err(|e| e.to_string())?;
        build(Some(&raw), &Labels::empty(), Path::new("/etc/t")).map_err(|e| e.to_string())
    }

    #[test]
    fn entries_hold_targets_sources_and_logins() {
        let options = built(
            "{static_configs: [{targets: ['a:9093', 'b:9093']}, {targets: }], path_prefix: /am/, \
             scheme: https, relabel_configs: [{source_labels: [__address__], regex: 'b:.*', \
             action: drop}], oauth2: {client_id: i, client_secret: s, token_url: 'http://t/'}, \
             file_sd_configs: [{files: [am/*.yml]}], \
             http_sd_configs: [{url: 'http://x/', basic_auth: {username: u, password_file: p}}], \
             dns_sd_configs: [{names: [am], type: A, port: 9093, refresh_interval: 1m}, \
             {names: [_am._tcp.x]}, {names: [x], type: mx, port: 1}]}",
        )
        .expect("valid");
        assert_eq!(options.alertmanagers[0].url, "https://a:9093/am/api/v2/alerts");
        assert_eq!(options.dropped, ["https://b:9093/am/api/v2/alerts"]);
        assert!(options.alertmanagers[0].http.oauth2.is_some());
        let sources = &options.discovered[0].sources;
        let files = SourceKind::Files(vec![PathBuf::from("/etc/t/am/*.yml")]);
        assert_eq!(sources[0], Source { kind: files, every: FILE_REFRESH });
        let SourceKind::Http { http, .. } = &sources[1].kind else { panic!("{sources:?}") };
        let password = http.basic_auth.as_ref().and_then(|basic| basic.password.clone());
        assert_eq!(password, Some(crate::secret::Secret::File("/etc/t/p".into())));
        let dns = |name: &str, record, port| SourceKind::Dns {
            names: vec![name.to_owned()],
            record,
            port,
        };
        let a = dns("am", RecordKind::A, 9093);
        assert_eq!(sources[2], Source { kind: a, every: Duration::from_secs(60) });
        let srv = dns("_am._tcp.x", RecordKind::Srv, 0);
        assert_eq!(sources[3], Source { kind: srv, every: DNS_REFRESH });
        assert_eq!(sources[4].kind, dns("x", RecordKind::Mx, 1));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (entry, hint) in [
            ("{dns_sd_configs: [{names: []}]}", "no names"),
            ("{dns_sd_configs: [{names: [x], type: TXT}]}", "TXT"),
            ("{dns_sd_configs: [{names: [x], type: A}]}", "port"),
            ("{dns_sd_configs: [{names: [x], type: MX, port: 0}]}", "port"),
            ("{file_sd_configs: [{files: [x.txt]}]}", "x.txt"),
            ("{http_sd_configs: [{url: 'ftp://x'}]}", "http_sd_configs: url"),
            ("{http_sd_configs: [{url: 'http://x', refresh_interval: 0s}]}", "refresh_interval"),
            ("{tls_config: {max_version: TLS11}}", "tls_config: max_version"),
            ("{proxy_url: 'ftp://x'}", "proxy_url"),
            ("{http_headers: {Host: {values: [x]}}}", "\"Host\""),
            ("{sigv4: {region: x}, basic_auth: {username: u}}", "sigv4"),
            ("{sigv4: {access_key: x}}", "belong together"),
            ("{static_configs: [{targets: ['a b']}]}", "a b"),
            ("{no_proxy: x}", "no_proxy"),
        ] {
            let error = built(entry).expect_err(entry);
            assert!(error.contains(hint), "{entry}: {error}");
            assert!(error.contains("entry 1"), "{entry}: {error}");
        }
    }

    #[test]
    fn unknown_ways_of_discovery_are_named() {
        let text = "alertmanagers: [{consul_sd_configs: [{server: x}], ec2_sd_configs: []}]";
        let raw: RawAlerting = serde_saphyr::from_str(text).expect("valid");
        assert_eq!(unused(&raw), ["consul_sd_configs", "ec2_sd_configs"]);
    }
}
